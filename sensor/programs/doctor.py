"""`sensor doctor`: what could keep the daemon from working, each with its mend."""

import ctypes
import fcntl
import json
import os
import resource
import shutil
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from sensor import config
from sensor.capture.live import Interface, Wanted, is_up, tells_gso
from sensor.config import Config
from sensor.errors import NoPermission, SensorError
from sensor.model.text import printable
from sensor.programs import sandbox
from sensor.programs.agents import everything_up
from sensor.programs.detection import shipped_rules
from sensor.programs.units import size
from sensor.store.queries import open_reader

MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("bad", "red bold")}
MEMORY_PER_AGENT = 160 << 20  # octets: the fixed tables of an engine
MEMORY = 120 << 20  # and everything else
STA_UNSYNC, TIME_ERROR = 0x40, 5  # <sys/timex.h>
SIOCETHTOOL = 0x8946
GRO, FLAGS, LRO = 0x2B, 0x25, 1 << 15  # ETHTOOL_GGRO, ETHTOOL_GFLAGS, ETH_FLAG_LRO


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: ok, note (it works, but know this) or bad (it will not work)."""

    about: str
    state: str
    found: str
    mend: str = ""


@click.command(
    name="doctor",
    short_help="Check what the daemon needs, with the mend for each.",
    epilog="\b\nExamples:\n  sensor doctor\n  sudo sensor doctor --config /etc/sensor/sensor.toml\n"
    "  sensor doctor --json",
)
@click.option(
    "--config", "file", metavar="FILE", help=f"Settings.  [default: {config.PATH}, where it is]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(file: str | None, as_json: bool) -> int:
    """Exit status 1 when something would keep the daemon from working."""
    found = list(examine(file))
    if as_json:
        click.echo(json.dumps({"schema": 1, "findings": [asdict(f) for f in found]}, indent=2))
    else:
        console = Console(highlight=False)
        for finding in found:
            mark, style = MARKS[finding.state]
            line = Text(f"{mark:<5}", style)
            line.append(f"{finding.about:<14}", "bold").append(printable(finding.found, 300))
            console.print(line, soft_wrap=True)
            if finding.mend:
                console.print(
                    Text(f"{'':<19}{printable(finding.mend, 300)}", "dim"), soft_wrap=True
                )
    return int(any(finding.state == "bad" for finding in found))


def examine(file: str | None) -> Iterator[Finding]:
    """All checks, in the order in which a daemon would meet what they find."""
    try:
        settings = config.load(file)
    except SensorError as error:
        yield Finding("settings", "bad", str(error), "sensor config check FILE")
        settings = Config()
    else:
        name = file or (config.PATH if Path(config.PATH).exists() else "none: defaults")
        yield Finding("settings", "ok", name)
    yield from rules(settings)
    yield from privilege()
    yield from faces(settings)
    yield from sandboxes()
    yield from clock()
    yield from disk(settings)
    yield from database(settings)
    yield from limits(settings)


def rules(settings: Config) -> Iterator[Finding]:
    found = shipped_rules(settings.detection.rules or None)
    for error in found.errors:
        yield Finding("rules", "bad", str(error), "sensor rules check")
    yield Finding("rules", "ok", f"{len(found.rules)} in force")


def privilege() -> Iterator[Finding]:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        python = os.path.realpath(sys.executable)
        mend = f"run as root, or: setcap cap_net_raw+ep {python}"
        yield Finding("privilege", "bad", "may not open packet sockets", mend)
    else:
        yield Finding("privilege", "ok", "may open packet sockets (given up once they are open)")


def faces(settings: Config) -> Iterator[Finding]:
    """Each interface: there, up, a ring of the wished size, what its offloads do to packets."""
    try:
        names = settings.capture.interfaces or everything_up()
    except SensorError as error:
        yield Finding("interface", "bad", str(error))
        return
    for name in names:
        about = printable(name, 14)
        try:
            opened = Interface(name, Wanted(settings.capture.filter),
                               ring_mib=settings.capture.ring_mib)  # fmt: skip
        except NoPermission:
            continue  # said already
        except SensorError as error:
            yield Finding(about, "bad", str(error), "sensor interfaces; [capture] in sensor.toml")
            continue
        opened.close()
        ring = f"ring of {settings.capture.ring_mib} MiB"
        if not is_up(name):
            yield Finding(about, "note", f"{ring}, but it is down", f"ip link set {name} up")
        else:
            yield Finding(about, "ok", f"up, {ring}")
        if ethtool(name, FLAGS) & LRO:
            text = "LRO is on: the card joins packets, counts are of joined ones"
            yield Finding(about, "note", text, f"ethtool -K {name} lro off")
        elif ethtool(name, GRO) and not tells_gso():
            text = "GRO is on: the kernel joins TCP segments; octets are right, packets are fewer"
            yield Finding(
                about, "note", text, f"ethtool -K {name} gro off, if packets must be exact"
            )


def ethtool(name: str, command: int) -> int:
    """A value of <linux/ethtool.h>; 0 where the driver has none."""
    value = ctypes.create_string_buffer(struct.pack("II", command, 0))
    request = struct.pack("16sP16x", name.encode()[:15], ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            fcntl.ioctl(asked, SIOCETHTOOL, request)
        except OSError:
            return 0
    return int(struct.unpack("II", value.raw[:8])[1])


def sandboxes() -> Iterator[Finding]:
    version = sandbox.landlock_version()
    if version < 1:
        text = "this kernel has no landlock: files are not confined"
        yield Finding("sandbox", "note", text, "kernel 5.13 or newer with lsm=...,landlock")
    elif not sandbox.knows_machine():
        yield Finding("sandbox", "note", "landlock; seccomp not on this machine's architecture")
    else:
        yield Finding("sandbox", "ok", f"landlock (version {version}), seccomp")


def clock() -> Iterator[Finding]:
    """Synchronised or not, as the kernel knows (adjtimex(2))."""
    timex = ctypes.create_string_buffer(256)
    try:
        state = ctypes.CDLL(None).adjtimex(timex)
    except AttributeError:
        return
    if state < 0:
        yield Finding("clock", "note", "cannot be asked")
    elif state == TIME_ERROR or struct.unpack_from("i", timex, 40)[0] & STA_UNSYNC:
        text = "not synchronised: events of several hosts will not line up"
        yield Finding("clock", "note", text, "timedatectl set-ntp true, or chrony")
    else:
        yield Finding("clock", "ok", "synchronised")


def disk(settings: Config) -> Iterator[Finding]:
    folder = Path(settings.store.path).absolute().parent
    there = next(p for p in (folder, *folder.parents) if p.exists())
    wanted = settings.store.size_mib << 20
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        yield Finding("disk", "bad", f"{folder}: {error.strerror}")
        return
    if not os.access(there, os.W_OK) or not folder.exists():
        mend = f"install -d -m 0750 {folder}, owned by who runs the daemon"
        what = "may not be written" if folder.exists() else "is not there"
        yield Finding(
            "disk", "note" if os.access(there, os.W_OK) else "bad", f"{folder} {what}", mend
        )
    if free < wanted * 1.2:
        text = f"{size(free)} free in {there}, the database may take {size(wanted)}"
        yield Finding("disk", "note", text, "[store] size_mib, or another path")
    else:
        yield Finding("disk", "ok", f"{size(free)} free, the database may take {size(wanted)}")


def database(settings: Config) -> Iterator[Finding]:
    path = Path(settings.store.path)
    if not path.exists():
        yield Finding("database", "ok", f"{path} will be made")
        return
    try:
        with open_reader(str(path)) as reader:
            newest = reader.period().last_packet
    except SensorError as error:
        yield Finding("database", "bad", str(error), "move it away: the daemon begins a new one")
        return
    held = size(path.stat().st_size)
    yield Finding("database", "ok", f"{path}, {held}{'' if newest else ', empty'}")


def limits(settings: Config) -> Iterator[Finding]:
    agents = 1 + len(settings.agents)
    capture = settings.capture
    rings = len(capture.interfaces or "1") * capture.workers * (capture.ring_mib << 20)
    needed = MEMORY + agents * (MEMORY_PER_AGENT + rings)
    available = memory_available()
    text = f"about {size(needed)} needed" + (f", {size(available)} there" if available else "")
    short = available is not None and available < needed * 1.2
    mend = "[capture] ring_mib; fewer [[agents]]" if short else ""
    yield Finding("memory", "bad" if short else "ok", text, mend)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 256:
        yield Finding("open files", "bad", f"only {soft} allowed", "ulimit -n 1024")


def memory_available() -> int | None:
    """Octets, as the kernel estimates; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) << 10 for x in lines if x.startswith("MemAvailable")), None)
