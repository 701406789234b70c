"""`sensor run --workers`: several threads share an interface, and the rows are those of one."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.namespaces import HOST4, Net, run, server, two_namespaces
from tests.live.test_run import daemon, until

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces"),
]
FRAMES, HOSTS = 100_000, 200
SEND = """
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("eth0", 0))
for i in range(int(sys.argv[1])):
    udp = struct.pack("!HHHH4s", 5000, 9, 12, 0, b"data")
    source = bytes([203, 0, 113, 1 + i % int(sys.argv[2])])
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, i & 0xffff, 0, 64, 17, 0, source,
                     bytes([10, 9, 0, 2]))
    s.send(b"\\xff" * 6 + b"\\x02" * 6 + b"\\x08\\x00" + ip + udp)
"""
OPTIONS = ("--window", "1", "--workers", "2", "--local", HOST4)


@pytest.fixture
def net() -> Iterator[Net]:
    with two_namespaces() as made:
        yield made


def test_every_frame_goes_to_one_of_them(net: Net, tmp_path: Path) -> None:
    db = tmp_path / "s.db"
    with daemon(net, db, *OPTIONS, "--filter", "udp port 9") as live:
        words = [sys.executable, "-c", SEND, str(FRAMES), str(HOSTS)]
        run("ip", "netns", "exec", net.world, *words)
        status = json.loads((tmp_path / "s.db.status.json").read_text())
        assert [face["workers"] for face in status["agents"][0]["interfaces"]] == [2]
        assert live.stop() < 2
    ((received, dropped),) = live.ask("SELECT sum(received), sum(dropped) FROM capture_health")
    assert received + dropped == FRAMES
    assert live.ask("SELECT sum(packets_in) FROM bandwidth_seconds") == [(received,)]
    (hosts,) = live.ask("SELECT count(*), count(DISTINCT orig_ip) FROM connections")
    assert hosts == (HOSTS, HOSTS)
    (windows,) = live.ask("SELECT count(*), count(DISTINCT timestamp) FROM capture_health")
    assert windows[0] == windows[1]


def test_an_event_is_of_all_of_them(net: Net, tmp_path: Path) -> None:
    """A flood from many sources is seen in part by each; together it is one."""
    options = (*OPTIONS, "--filter", "tcp or arp")
    flood = ["hping3", "-q", "-S", "-p", "8080", "--rand-source", "-c", "8000", "-i", "u500", HOST4]
    with daemon(net, tmp_path / "s.db", *options) as live, server(net):
        sent = subprocess.run(["ip", "netns", "exec", net.world, *flood], check=False,
                              capture_output=True)  # fmt: skip
        assert sent.returncode in (0, 1)
        live.stop()
    assert live.ask("SELECT event_type FROM network_security_events") == [("dos_attack",)]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_ends_in_time_in_a_flood(net: Net, tmp_path: Path, workers: str) -> None:
    """SIGTERM while packets come as fast as this machine makes them: what was seen is written."""
    options = ("--window", "1", "--local", HOST4, "--workers", workers, "--filter", "tcp")
    flood = ["hping3", "--flood", "-q", "-S", "-p", "8080", "--rand-source", HOST4]
    with (
        daemon(net, tmp_path / "s.db", *options) as live,
        subprocess.Popen(["ip", "netns", "exec", net.world, *flood], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sender,
    ):  # fmt: skip
        try:
            until(lambda: live.process.poll() is not None or windows_of(tmp_path / "s.db") > 2)
            assert live.stop() < 6  # 2 where the machine has nothing else to do
        finally:
            sender.kill()
    assert live.process.returncode == 0
    ((received, rows),) = live.ask(
        "SELECT sum(received), (SELECT sum(packets_in + packets_out + packets_other)"
        " FROM bandwidth_seconds) FROM capture_health"
    )
    assert received == rows > 50_000
    assert f"{received:,} packets" in live.told[-1]


def windows_of(db: Path) -> int:
    return sqlite3.connect(db).execute("SELECT count(*) FROM capture_health").fetchone()[0]


def test_an_interface_made_anew_needs_a_restart(net: Net, tmp_path: Path) -> None:
    with daemon(net, tmp_path / "s.db", *OPTIONS) as live:
        run("ip", "-n", net.host, "link", "set", "eth0", "down")
        run("ip", "-n", net.host, "link", "set", "eth0", "up")
        run("ip", "-n", net.host, "link", "del", "eth0")
        run("ip", "-n", net.host, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns",
            net.world)  # fmt: skip
        for name in (net.host, net.world):
            run("ip", "-n", name, "link", "set", "eth0", "up")
        until(lambda: live.process.poll() is not None)
        assert live.process.returncode not in (0, None)
        until(lambda: any("made anew" in line for line in live.told))
