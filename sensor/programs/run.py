"""`sensor run`: the daemon. One thread captures and decodes, another computes and writes."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic, time_ns
from uuid import NAMESPACE_DNS, uuid4, uuid5

import click

from sensor._native.engine import Engine
from sensor._native.faces import Window
from sensor.capture.live import ANY, Interface, is_up
from sensor.detect.detector import Detector
from sensor.errors import UsageError
from sensor.flow.backlog import Backlog
from sensor.flow.locality import Local, given
from sensor.flow.meter import Consumer, Meter
from sensor.flow.quic_initial import server_name
from sensor.metrics.geography import region_of
from sensor.model.address import prefix_text
from sensor.model.ids import DEFAULT_WORKSPACE, network_id
from sensor.model.text import printable
from sensor.programs.detection import Detection, shipped_rules
from sensor.programs.document import Capture
from sensor.programs.interfaces import interfaces
from sensor.programs.keep import Keeper
from sensor.programs.replay import LocalPrefix
from sensor.respond.netlink import host_addresses
from sensor.store.sqlite import SqliteStore

DB = "/var/lib/sensor/sensor.db"
MACHINE_ID = Path("/etc/machine-id")
WAIT_MS = 100
RETIRE_MS = 50  # by then the kernel has handed over what it holds back
DRAIN_S = 1.0
BATCHES = 64  # of one interface before the others have their turn
LATE_NS = 500_000_000  # the ring keeps packets back for at most its 20 ms; several rings, less so


@dataclass(slots=True)
class Run:
    """What the rows are marked with."""

    agent_id: str
    network_id: str
    home: str | None
    boot_id: str
    capture: Capture
    detector: Detector
    source: str = "live"
    hostname: str | None = None


class Daemon:
    """Interfaces, one engine, and the thread behind it."""

    def __init__(
        self, interfaces: list[Interface], db: str, local: Local, window_s: int, rules: str | None
    ) -> None:
        self.interfaces = interfaces
        self.db = db
        self.rules = rules
        names = ",".join(interface.name for interface in interfaces)
        self.capture = Capture(files=[names], local=local)
        self.run = Run(
            agent_id=machine_agent(),
            network_id=network_id(names, local.texts()),
            home=region_of(local.prefixes[0][0]) if local.known else None,
            boot_id=str(uuid4()),
            capture=self.capture,
            detector=Detector(shipped_rules(rules), agent_id=machine_agent(), boot_id=""),
            hostname=socket.gethostname(),
        )
        self.engine = Engine(
            local=list(local.prefixes),
            window_ns=window_s * 10**9,
            features=True,
            server_name=server_name,
        )
        self.backlog = Backlog(self._worker, complain)
        self.meter = Meter(self.engine, (Health(interfaces, self.backlog),), self.backlog)

    def until(self, stop: Event) -> None:
        """Capture until `stop` is set, then write everything."""
        try:
            while not stop.is_set():
                self._turn()
            self._drain()
        finally:
            self.meter.finish()
            self.backlog.close()

    def _turn(self) -> None:
        wait_ms = WAIT_MS // len(self.interfaces)
        for interface in self.interfaces:
            if interface.wait(wait_ms):
                self._take(interface)
        self.meter.idle(time_ns() - LATE_NS)

    def _drain(self) -> None:
        """What the rings hold at the end, as far as it can be taken in DRAIN_S."""
        deadline = monotonic() + DRAIN_S
        for interface in self.interfaces:
            while monotonic() < deadline and interface.wait(RETIRE_MS):
                self._take(interface)

    def _take(self, interface: Interface) -> None:
        for _ in range(BATCHES):
            if not self.meter.read(interface.ring):
                return
            self.capture.add_batch(interface.ring)
            self.meter.feed(interface.ring)

    @contextmanager
    def _worker(self) -> Iterator["Work"]:
        """In the other thread."""
        with Keeper(SqliteStore(self.db), self.run, DEFAULT_WORKSPACE) as keeper:
            agent, store = self.run.agent_id, keeper.store
            if (kept := store.detection_state(agent)) is not None:
                self.run.detector = Detector(
                    shipped_rules(self.rules),
                    agent_id=agent,
                    boot_id="",
                    state=json.loads(kept.state),
                )
            self.run.detector.restore(store.open_events(agent), time_ns())
            watcher = Detection(self.run.detector)
            yield Work(watcher, (watcher.beacons, keeper))


@dataclass(frozen=True, slots=True)
class Work:
    """What the other thread works with."""

    watcher: Detection
    consumers: tuple[Consumer, ...]


class Health:
    """Puts into a window's health what its interfaces dropped, and hands it on."""

    def __init__(self, interfaces: list[Interface], behind: Backlog) -> None:
        self.flows = behind.flows
        self._interfaces = interfaces
        self._behind = behind
        self._dropped = self._freezes = 0

    def window(self, window: Window) -> None:
        dropped = freezes = 0
        for interface in self._interfaces:
            _, d, f = interface.ring.statistics()
            dropped, freezes = dropped + d, freezes + f
        window["health"] |= {
            "kernel_drops": dropped - self._dropped,
            "ring_freezes": freezes - self._freezes,
        }
        self._dropped, self._freezes = dropped, freezes
        self._behind.window(window)


def machine_agent() -> str:
    """This host's agent: the same as long as /etc/machine-id is."""
    try:
        return str(uuid5(NAMESPACE_DNS, MACHINE_ID.read_text().strip()))
    except OSError:
        return str(uuid5(NAMESPACE_DNS, socket.gethostname()))


def own(prefixes: tuple[str, ...]) -> Local:
    """What was given; else the addresses of this host."""
    return given(prefixes or tuple(prefix_text(p) for p in sorted(host_addresses().own)))


def complain(error: Exception) -> None:
    """One line on standard error; systemd's journal takes it from there."""
    click.echo(f"sensor: {printable(str(error) or repr(error), 1000)}", err=True)


@click.command(
    name="run",
    short_help="Capture on interfaces and keep what is found.",
    epilog="\b\nExamples:\n  sensor run -i eth0 --db s.db\n"
    "  sensor run -i eth0 -i wlan0 --filter 'not port 22' --db s.db",
)
@click.option(
    "-i",
    "--interface",
    "names",
    multiple=True,
    metavar="IFACE",
    help=f"Interface (repeatable); `{ANY}` is all.  [default: those that are up]",
)
@click.option("--db", metavar="FILE", default=DB, show_default=True, help="SQLite database.")
@click.option(
    "--local",
    multiple=True,
    type=LocalPrefix(),
    help="A prefix that is the agent's own (repeatable).  [default: this host's addresses]",
)
@click.option("--filter", "bpf", metavar="EXPR", help="Only packets of this pcap-filter(7).")
@click.option("--promiscuous", is_flag=True, help="Packets for others, too.")
@click.option(
    "--ring",
    type=click.IntRange(1, 1024),
    default=32,
    show_default=True,
    metavar="MiB",
    help="Size of each interface's ring.",
)
@click.option(
    "--rules",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Detection rules of your own.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 86400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Length of a window.",
)
def command(
    names: tuple[str, ...],
    db: str,
    local: tuple[str, ...],
    bpf: str | None,
    promiscuous: bool,
    ring: int,
    rules: str | None,
    window: int,
) -> int:
    """Capture until SIGTERM or Ctrl-C; every window is one transaction in the database.

    Needs CAP_NET_RAW to open an interface, and nothing afterwards.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        opened = [
            stack.enter_context(
                closing(Interface(name, bpf=bpf, promiscuous=promiscuous, blocks=ring))
            )
            for name in names or everything_up()
        ]
        daemon = Daemon(opened, db, own(local), window, rules)
        told = ", ".join(interface.name for interface in opened)
        click.echo(f"sensor: capturing on {told} into {db}", err=True)
        daemon.until(stop)
    seen = daemon.capture
    lost = sum(interface.ring.dropped for interface in opened)
    click.echo(f"sensor: {seen.packets:,} packets, {lost:,} dropped", err=True)
    return 0


def everything_up() -> tuple[str, ...]:
    """Interfaces that are up, without the loopback; UsageError when there are none."""
    found = tuple(
        i.name for i in interfaces() if i.kind in ("physical", "virtual") and is_up(i.name)
    )
    if not found:
        raise UsageError("no interface is up: name one with -i (see `sensor interfaces`)")
    return found
