"""A booted systemd with the shipped units: systemd-nspawn over a copy-on-write view of this host.

The container has the host's own files below (Debian's Python and systemd), a folder of ours on top,
and a network namespace that the test feeds. Only the units under test are started.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

from tests.live.namespaces import ROOT, run

PYTHON = "/usr/bin/python3"  # of the host: the test's own may live where units must not look
TARGET = """[Unit]
Description=what the test boots
Requires=basic.target
After=basic.target
AllowIsolate=yes
"""
LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
SENSOR = f"""#!{PYTHON}
import sys
sys.path[:0] = ["/opt/sensor/tree", "/opt/sensor/site"]
from sensor.programs.cli import main
main()
"""


def missing() -> str | None:
    """Why there can be no machine here."""
    if os.geteuid() != 0:
        return "needs root"
    if not shutil.which("systemd-nspawn"):
        return "needs systemd-container"
    said = subprocess.run([PYTHON, "-c", "import sys; print(sys.version_info[:2])"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    if said.stdout.strip() != str(sys.version_info[:2]):
        return f"needs {PYTHON} of the version that runs the tests"
    return None


@dataclass
class Machine:
    """A running container."""

    leader: int  # process 1 of it, as the host numbers it

    def run(self, *words: str) -> str:
        """A command in it; its output."""
        return run("nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-p", "-n", *words)

    def systemctl(self, *words: str) -> str:
        return self.run("systemctl", *words)

    def show(self, unit: str, name: str) -> str:
        return self.systemctl("show", "-P", name, unit).strip()

    def main_pid(self, unit: str) -> int:
        """Of the unit, inside the container; 0 when it does not run."""
        return int(self.show(unit, "MainPID"))

    def log(self, unit: str) -> str:
        return self.run("journalctl", "-o", "cat", "--no-pager", "-u", unit)


def until(true: object, seconds: float = 30, what: str = "") -> None:
    assert callable(true)
    deadline = monotonic() + seconds
    while not true():
        assert monotonic() < deadline, what
        sleep(0.05)


def install(root: Path) -> None:
    """What `make install-service` puts in place, into a folder to be laid over the host's."""
    units, etc = root / "etc/systemd/system", root / "etc/sensor"
    for folder in (units, etc, root / "usr/bin", root / "usr/lib/sysusers.d", root / "opt/sensor",
                   root / "usr/lib/tmpfiles.d", root / "var/log/journal"):  # fmt: skip
        folder.mkdir(parents=True)
    (root / "var/log/journal").rmdir()
    for unit in (ROOT / "systemd").glob("*.service"):
        shutil.copy(unit, units)
    (root / "etc/machine-id").write_text(f"{uuid4().hex}\n")
    shutil.copy(ROOT / "systemd/sensor.sysusers", root / "usr/lib/sysusers.d/sensor.conf")
    shutil.copy(ROOT / "systemd/sensor.tmpfiles", root / "usr/lib/tmpfiles.d/sensor.conf")
    (units / "under-test.target").write_text(TARGET)
    command = root / "usr/bin/sensor"
    command.write_text(SENSOR)
    command.chmod(0o755)
    tree = root / "opt/sensor/tree"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "sensor", tree / "sensor", ignore=ignored)
    shutil.copytree(ROOT / "rules", tree / "rules", ignore=ignored)


@contextmanager
def booted(folder: Path, namespace: str, settings: str, **drop_ins: str) -> Iterator[Machine]:
    """`drop_ins`: further lines of a unit's [Service], by the unit's name with `_`."""
    with ExitStack() as stack:
        upper, work, merged = (folder / name for name in ("upper", "work", "merged"))
        for made in (upper, work, merged):
            made.mkdir()
        install(upper)
        (upper / "etc/sensor/sensor.toml").write_text(settings)
        for unit, lines in drop_ins.items():
            place = upper / f"etc/systemd/system/{unit.replace('_', '-')}.service.d"
            place.mkdir()
            (place / "test.conf").write_text(f"[Service]\n{lines}\n")
        layers = f"lowerdir=/,upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, str(merged))
        stack.callback(run, "umount", "-l", str(merged))
        site = sysconfig.get_path("platlib")
        command = ["systemd-nspawn", "-q", "-D", str(merged), "--boot", "--register=no",
                   "--keep-unit", "--console=pipe", f"--system-call-filter={LANDLOCK}",
                   f"--bind-ro={site}:/opt/sensor/site",
                   f"--network-namespace-path=/run/netns/{namespace}",
                   "systemd.unit=under-test.target"]  # fmt: skip
        console = stack.enter_context((folder / "console").open("w"))
        process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        )
        stack.callback(process.kill)
        machine = Machine(0)

        def is_up() -> bool:
            try:
                machine.leader = children(process.pid)[-1]
                machine.systemctl("is-active", "under-test.target")
            except (RuntimeError, IndexError):
                return False
            return True

        until(is_up, 60, f"it does not boot: {(folder / 'console').read_text()[-500:]}")
        machine.run("systemd-sysusers")
        machine.run("systemd-tmpfiles", "--create", "sensor.conf")
        yield machine


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
