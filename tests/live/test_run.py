"""`sensor run` on a real interface: nothing lost, nothing twice, and what went wrong is said."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import pytest

from tests.live.namespaces import Net, run, two_namespaces

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces"),
]
FRAMES = 200_000
SEND = """
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("eth0", 0))
for i in range(int(sys.argv[1])):
    udp = struct.pack("!HHHH4s", 5000, 9, 12, 0, b"data")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, i & 0xffff, 0, 64, 17, 0,
                     bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2]))
    s.send(b"\\xff" * 6 + b"\\x02" * 6 + b"\\x08\\x00" + ip + udp)
"""


@pytest.fixture
def net() -> Iterator[Net]:
    with two_namespaces() as made:
        yield made


class Daemon:
    """A running `sensor run`; `told` is what it said."""

    def __init__(self, process: subprocess.Popen[str], db: Path) -> None:
        self.process = process
        self.db = db
        self.told: list[str] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.told.extend(self.process.stderr)

    def stop(self) -> float:
        """Seconds from SIGTERM to the end."""
        began = monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self._reader.join()
        return monotonic() - began

    def ask(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.db)) as db:
            return db.execute(sql).fetchall()


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = monotonic() + seconds
    while not true():
        assert monotonic() < deadline
        sleep(0.05)


@contextmanager
def daemon(net: Net, db: Path, *options: str) -> Iterator[Daemon]:
    command = [sys.executable, "-m", "sensor", "run", "-i", "eth0", "--db", str(db), *options]
    with subprocess.Popen(net.on_host(*command), stderr=subprocess.PIPE, text=True) as process:
        made = Daemon(process, db)
        try:
            until(lambda: any("capturing" in line for line in made.told))
            yield made
        finally:
            process.kill()


def send(net: Net, frames: int) -> None:
    run("ip", "netns", "exec", net.world, sys.executable, "-c", SEND, str(frames))


def test_every_frame_is_received_or_counted_as_dropped(net: Net, tmp_path: Path) -> None:
    with daemon(net, tmp_path / "s.db", "--window", "1", "--filter", "udp port 9") as live:
        send(net, FRAMES)
        assert live.stop() < 2
    ((received, dropped),) = live.ask("SELECT sum(received), sum(dropped) FROM capture_health")
    assert received + dropped == FRAMES
    ((sent,),) = live.ask("SELECT sum(packets_in) FROM bandwidth_seconds")
    assert sent == received
    assert live.ask("SELECT DISTINCT source FROM agents") == [("live",)]
    assert "packets" in live.told[-1]


def test_a_small_ring_says_what_it_dropped(net: Net, tmp_path: Path) -> None:
    options = ("--window", "1", "--ring", "1", "--filter", "udp port 9")
    with daemon(net, tmp_path / "s.db", *options) as live:
        live.process.send_signal(signal.SIGSTOP)
        send(net, FRAMES)
        live.process.send_signal(signal.SIGCONT)
        live.stop()
    ((received, dropped),) = live.ask("SELECT sum(received), sum(dropped) FROM capture_health")
    assert dropped > 0
    assert received + dropped == FRAMES
    assert ("degraded",) in live.ask("SELECT DISTINCT quality FROM capture_health")


def test_an_interface_may_go_down_and_away(net: Net, tmp_path: Path) -> None:
    with daemon(net, tmp_path / "s.db", "--window", "1", "--filter", "udp port 9") as live:
        send(net, 10)
        run("ip", "-n", net.host, "link", "set", "eth0", "down")
        run("ip", "-n", net.host, "link", "set", "eth0", "up")
        run("ip", "-n", net.host, "link", "del", "eth0")
        run("ip", "-n", net.host, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns",
            net.world)  # fmt: skip
        for name in (net.host, net.world):
            run("ip", "-n", name, "link", "set", "eth0", "up")
        sleep(2)  # what is promised
        send(net, 10)
        live.stop()
    assert live.ask("SELECT sum(received) FROM capture_health") == [(20,)]


def test_without_the_capability_it_says_how_to_mend_it(net: Net, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sensor", "run", "-i", "eth0", "--db", str(tmp_path / "s.db")]
    weak = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", *command]
    done = subprocess.run(net.on_host(*weak), capture_output=True, text=True, check=False)
    assert done.returncode == 77
    assert "setcap" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (("-i", "nothing0"), 66, "nothing0: no such interface"),
        (("-i", "lo", "--filter", "prot 80"), 2, "filter 'prot 80'"),
    ],
)
def test_what_cannot_be_captured(
    options: tuple[str, ...], status: int, reason: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "sensor", "run", *options, "--db", str(tmp_path / "s.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_loopback_counts_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sensor", "run", "-i", "lo", "--filter", "udp port 9"]
    with two_namespaces() as net:
        words = net.on_host(*command, "--db", str(tmp_path / "s.db"))
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            live = Daemon(process, tmp_path / "s.db")
            until(lambda: any("capturing" in line for line in live.told))
            shout = "import socket; s=socket.socket(2,2); [s.sendto(b'x',('127.0.0.1',9))]*1"
            run(*net.on_host(sys.executable, "-c", shout))
            live.stop()
    assert live.ask("SELECT sum(received) FROM capture_health") == [(1,)]
