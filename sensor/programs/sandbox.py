"""What the daemon gives up once its sockets are open: capabilities, system calls, files.

Called before any other thread is there, which inherit it. What was asked for is verified in
/proc/self/status: a daemon that could not give something up does not run (CVE-2003-0194 was a drop
that nobody checked).
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from pathlib import Path

from sensor.errors import SensorError
from sensor.model.text import printable

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAPBSET_DROP = 47, 4, 24
CAPABILITY_VERSION_3 = 0x20080522
SELF = Path("/proc/self")

# Of <asm/unistd.h>: (x86_64, aarch64); aarch64 never had what -1 stands for.
CALLS = {
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, -1), "vfork": (58, -1),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "listen": (50, 201),
    "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269), "sendfile": (40, 71),
    "splice": (275, 76), "tee": (276, 77), "vmsplice": (278, 75), "pidfd_getfd": (438, 438),
    "dup": (32, 23), "dup2": (33, -1), "dup3": (292, 24), "io_uring_setup": (425, 425),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "setns": (308, 268), "unshare": (272, 97), "keyctl": (250, 219), "add_key": (248, 217),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setresuid": (117, 147),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "mknod": (133, -1), "mknodat": (259, 33), "swapon": (167, 224), "quotactl": (179, 60),
    "chown": (92, -1), "fchownat": (260, 54), "personality": (135, 92),
}  # fmt: skip
WRITES = {"write": (1, 64), "writev": (20, 66), "pwrite64": (18, 68), "pwritev": (296, 70),
          "pwritev2": (328, 287)}  # fmt: skip
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH_
X32 = 0x40000000  # a second set of numbers on x86_64

LD, JEQ, JGE, RET = 0x20, 0x15, 0x35, 0x06
NR, ARCH, ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; of the first argument's low half
ALLOW, EPERM_, KILL = 0x7FFF0000, 0x00050001, 0x80000000

# <linux/landlock.h>: what may be done to files beneath a folder
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
MAKE_REG, REMOVE_FILE, TRUNCATE = 1 << 8, 1 << 5, 1 << 14
READ = EXECUTE | READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | MAKE_REG | REMOVE_FILE | TRUNCATE
OF_FILES = READ_FILE | WRITE_FILE | EXECUTE | TRUNCATE
HANDLED = ((1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1)  # by version of the interface: 1, 2, 3
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every machine
VERSION, PATH_BENEATH = 1, 1

libc = ctypes.CDLL(None, use_errno=True)


def called(result: int, what: str) -> int:
    """SensorError when a C function said -1."""
    if result < 0:
        raise SensorError(f"sandbox: {what}: {os.strerror(ctypes.get_errno())}")
    return result


def no_new_privileges() -> None:
    called(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def drop_capabilities() -> None:
    """All of them, in every set, the bounding set too where that is allowed."""
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(64):  # needs CAP_SETPCAP; without it there is no setuid program either
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    called(libc.capset(header, struct.pack("6I", *(0,) * 6)), "capset")


def forbid_calls(never_written: Iterable[int]) -> bool:
    """seccomp(2): EPERM for what the daemon has no use for; `never_written`: descriptors that are
    only read. False on a machine whose numbers are not known here."""
    if not knows_machine():
        return False
    column, arch = MACHINES[platform.machine()]
    steps = [(LD, 0, 0, ARCH), (JEQ, 1, 0, arch), (RET, 0, 0, KILL), (LD, 0, 0, NR)]
    if column == 0:
        steps += [(JGE, 0, 1, X32), (RET, 0, 0, EPERM_)]
    for call in CALLS.values():
        if call[column] >= 0:
            steps += [(JEQ, 0, 1, call[column]), (RET, 0, 0, EPERM_)]
    sockets = list(never_written)
    for call in WRITES.values():
        tests = [step for fd in sockets for step in ((JEQ, 0, 1, fd), (RET, 0, 0, EPERM_))]
        steps += [(JEQ, 0, len(tests) + 2, call[column]), (LD, 0, 0, ARGUMENT), *tests]
        steps += [(RET, 0, 0, ALLOW)]
    steps.append((RET, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    called(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0), "seccomp")
    return True


def knows_machine() -> bool:
    """Whether forbid_calls() has this machine's numbers."""
    return platform.machine() in MACHINES and struct.calcsize("P") == 8


def landlock_version() -> int:
    """Of the kernel's interface; less than 1: there is none."""
    return int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION))


def confine(writable: Iterable[Path], readable: Iterable[Path]) -> bool:
    """landlock(7): no file but those beneath these folders. False where the kernel has none."""
    version = landlock_version()
    if version < 1:
        return False
    handled = HANDLED[min(version, len(HANDLED)) - 1]
    attributes = struct.pack("Q", handled)
    ruleset = called(
        libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0), "landlock"
    )
    try:
        for paths, access in ((readable, READ), (writable, WRITE)):
            for path in paths:
                allow(ruleset, path, access & handled)
        called(libc.syscall(RESTRICT_SELF, ruleset, 0), "landlock")
    finally:
        os.close(ruleset)
    return True


def allow(ruleset: int, path: Path, access: int) -> None:
    """What is not there needs no permission."""
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = struct.pack("=Qi", access if path.is_dir() else access & OF_FILES, beneath)
        called(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, rule, 0), f"landlock {path}")
    finally:
        os.close(beneath)


def standing(task: Path = SELF) -> dict[str, str]:
    """What /proc says of a thread's privileges."""
    wanted = ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd", "NoNewPrivs", "Seccomp", "Uid")
    lines = (line.partition(":") for line in (task / "status").read_text().splitlines())
    return {name: value.split()[0] for name, _, value in lines if name in wanted and value.split()}


def verify(*, capabilities: bool, calls: bool) -> None:
    """SensorError when a thread still has something that was to be given up."""
    for task in (SELF / "task").iterdir():
        found = standing(task)
        for name in ("CapEff", "CapPrm", "CapInh", "CapAmb") if capabilities else ():
            if int(found[name], 16):
                raise SensorError(f"sandbox: {name} of thread {comm(task)} is still {found[name]}")
        if found["NoNewPrivs"] != "1" or (calls and found["Seccomp"] != "2"):
            raise SensorError(f"sandbox: not in force in thread {comm(task)}")


def comm(task: Path) -> str:
    return printable((task / "comm").read_text().strip(), 32)
