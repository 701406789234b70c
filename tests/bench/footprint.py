"""`python -m tests.bench.footprint [--write]`: what the sensor costs a host that does little.

Start-up, memory at rest and with open flows, CPU when idle and at 10,000 packets/s over a virtual
link, and what a window costs to write. Root: two network namespaces. Times are wall time, medians
of ROUNDS; memory is VmRSS; CPU is that of all threads (schedstat).
"""

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic, perf_counter, sleep

import numpy as np

from sensor.programs.keep import Keeper
from sensor.programs.replay import Replay
from sensor.store.base import WindowRows
from sensor.store.sqlite import SqliteStore
from tests.bench import page
from tests.bench.make_captures import make
from tests.bench.run import SENSOR, machine
from tests.live.namespaces import Net, two_namespaces
from tests.traffic.capture import write
from tests.traffic.frames import udp
from tests.traffic.net import Frame

ROUNDS = 7
SECONDS = 60  # of packets: a window ends among them
IDLE_S = 20
RATE = 10_000
FLOWS = 100_000
WINDOW_S = 60
SEND = """
import socket, struct, sys, time
path, rate = sys.argv[1], float(sys.argv[2])
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
link.bind(("eth0", 0))
with open(path, "rb") as file:
    file.read(24)
    sent, began = 0, time.monotonic()
    while head := file.read(16):
        link.send(file.read(struct.unpack("<IIII", head)[2]))
        sent += 1
        if sent % 20 == 0 and (early := began + sent / rate - time.monotonic()) > 0:
            time.sleep(early)
print(sent / (time.monotonic() - began))
"""


def wall_s(*command: str) -> float:
    def once() -> float:
        began = perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return perf_counter() - began

    return median(once() for _ in range(ROUNDS))


@contextmanager
def daemon(net: Net, folder: Path) -> Iterator[tuple[int, float]]:
    """A running `sensor run`: its process, and seconds from its start to READY=1."""
    address = folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        notify.settimeout(30)
        command = net.on_host(*SENSOR, "run", "-i", "eth0", "--db", str(folder / "live.db"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(address)}
        began = perf_counter()
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                while b"READY=1" not in notify.recv(4096):
                    pass
                ready_s = perf_counter() - began
                Thread(target=drain, args=(notify,), daemon=True).start()
                yield process.pid, ready_s  # `ip netns exec` becomes the command
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def drain(notify: socket.socket) -> None:
    """Takes what the daemon says of itself, as a service manager does."""
    notify.settimeout(None)
    with suppress(OSError):  # closed
        while True:
            notify.recv(4096)


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def cpu_s(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def busy(pid: int, work: Callable[[], object]) -> float:
    """Share of one core while `work` goes on."""
    before, began = cpu_s(pid), monotonic()
    work()
    return (cpu_s(pid) - before) / (monotonic() - began)


def send(net: Net, capture: Path, rate: float) -> float:
    """Packets/s that it came to."""
    command = ["ip", "netns", "exec", net.world, sys.executable, "-c", SEND, capture, str(rate)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def opened(flows: int) -> Iterator[Frame]:
    """A datagram of each flow to the host, and its answer."""
    host, world = bytes((10, 9, 0, 2)), bytes((198, 51, 100, 7))
    for number in range(flows):
        ports = 1024 + number % 60_000, 9_000 + number // 60_000
        yield 0, udp(world, host, *ports, b"?")
        yield 0, udp(host, world, *ports[::-1], b"!")


def live(net: Net, folder: Path) -> Iterator[tuple[str, str]]:
    starts = []
    for _ in range(ROUNDS):
        (folder / "live.db").unlink(missing_ok=True)
        with daemon(net, folder) as (_, ready_s):
            starts.append(ready_s)
    yield "`sensor run`, start to READY, new database", f"{median(starts) * 1e3:,.0f} ms"
    capture = folder / "live.pcap"
    with daemon(net, folder) as (pid, _):
        sleep(3)  # what is left of the start
        idle = busy(pid, lambda: sleep(IDLE_S))
        rest = rss_mb(pid)
        yield "memory at rest, ring of 64 MiB included", f"{rest:,.0f} MB"
        yield "CPU without packets", f"{idle:.2%} of a core"
        write(capture, opened(FLOWS))
        send(net, capture, RATE * 4)
        sleep(1)
        grown = (rss_mb(pid) - rest) / FLOWS * 10_000
        yield "memory for 10,000 flows more, two-way UDP", f"{grown:,.1f} MB"
        make("mixed", RATE * SECONDS, capture)
        rates: list[float] = []
        share = busy(pid, lambda: rates.append(send(net, capture, RATE)))
        each = share / rates[0] * 1e9
        told = f"{share:.1%} of a core ({each:,.0f} ns/packet)"
        yield f"CPU at {rates[0]:,.0f} packets/s of the mixed capture", told


class Timed(SqliteStore):
    """Notes how long each window took."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.seconds: list[float] = []

    def write_window(self, window: WindowRows) -> None:
        began = perf_counter()
        super().write_window(window)
        self.seconds.append(perf_counter() - began)


def stretched(capture: Path, factor: int) -> None:
    """The same packets, slower, from the beginning of a window on."""
    octets = np.memmap(capture, np.uint8, "r+")
    record, at = struct.Struct("<IIII"), 24
    began = first = 0
    while at < len(octets):
        seconds, micros, caplen, length = record.unpack_from(octets, at)
        now = seconds * 10**6 + micros
        if at == 24:
            began, first = now, now // (WINDOW_S * 10**6) * WINDOW_S * 10**6
        stamp = divmod(first + (now - began) * factor, 10**6)
        record.pack_into(octets, at, *stamp, caplen, length)
        at += record.size + caplen


def stored(folder: Path) -> Iterator[tuple[str, str]]:
    capture, empty, path = (folder / name for name in ("w.pcap", "empty.db", "w.db"))
    make("mixed", RATE * WINDOW_S, capture)
    stretched(capture, 200_000 // RATE)
    SqliteStore(str(empty)).close()
    with Timed(str(path)) as store:
        replay = Replay((str(capture),))
        with Keeper(store, replay, "bench") as keeper:
            replay.run((keeper,))
        rows = store.seconds
        connections, endpoints = (
            store._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("connections", "network_performance_metrics")
        )
    octets = path.stat().st_size - empty.stat().st_size
    what = f"a minute of the mixed capture at {RATE:,} packets/s, in SQLite"
    yield what, f"{connections:,} connections, {endpoints:,} rows of metrics"
    yield "its writing, on disk with every commit", f"{sum(rows) * 1e3:,.0f} ms"
    yield "its size", f"{octets / 1e6:,.1f} MB"


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("needs root: network namespaces")
    found = []

    def note(told: Iterator[tuple[str, str]]) -> None:
        for what, cost in told:
            print(f"{what}: {cost}", flush=True)
            found.append([what, cost])

    with TemporaryDirectory() as name:
        folder = Path(name)
        empty = folder / "empty.pcap"
        write(empty, [])
        bare = wall_s(sys.executable, "-c", "pass")
        helped, replayed = wall_s(*SENSOR, "--help"), wall_s(*SENSOR, "replay", str(empty))
        starts = {"`python -c pass`": bare, "`sensor --help`": helped,
                  "`sensor replay` of an empty capture": replayed}  # fmt: skip
        note((what, f"{seconds * 1e3:,.0f} ms") for what, seconds in starts.items())
        with two_namespaces() as net:
            note(live(net, folder))
        note(stored(folder))
    if "--write" in sys.argv[1:]:
        page.put("footprint", f"{page.table(['what', 'cost'], found)}\n\n{machine()}.")


if __name__ == "__main__":
    main()
