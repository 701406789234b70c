"""Several agents on one host, by VLAN and prefix: each packet is counted once, where it belongs."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.namespaces import Net, run, two_namespaces

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces"),
]
# Frames to an address, with a VLAN tag or none: "address vlan count".
SEND = """
import socket, struct, sys
address, vlan, count = socket.inet_aton(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("eth0", 0))
tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""
for i in range(count):
    udp = struct.pack("!HHHH4s", 5000, 9, 12, 0, b"data")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, i, 0, 64, 17, 0, bytes([10, 9, 0, 1]), address)
    s.send(b"\\xff" * 6 + b"\\x02" * 6 + tag + b"\\x08\\x00" + ip + udp)
"""
SETTINGS = """
[capture]
interfaces = ["eth0"]
window_s = 1
filter = "udp port 9"
[[agents]]
name = "web"
prefixes = ["10.9.0.64/28", "10.9.0.80/32"]
[[agents]]
name = "guests"
vlan = 7
prefixes = []
"""


@pytest.fixture
def net() -> Iterator[Net]:
    with two_namespaces() as made:
        yield made


@pytest.mark.parametrize("offload", ["on", "off"])
def test_each_packet_belongs_to_one(net: Net, tmp_path: Path, offload: str) -> None:
    """`offload`: whether the kernel takes the tag out before the filter sees the frame."""
    run("ip", "netns", "exec", net.host, "ethtool", "-K", "eth0", "rxvlan", offload)
    (tmp_path / "s.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "sensor", "run", "--config", str(tmp_path / "s.toml"),
               "--db", str(tmp_path / "s.db")]  # fmt: skip
    with subprocess.Popen(net.on_host(*command), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "capturing" in process.stderr.readline()
            for address, vlan, count in (("10.9.0.2", 0, 50), ("10.9.0.65", 0, 30),
                                         ("10.9.0.80", 0, 5), ("10.9.0.2", 7, 20),
                                         ("10.9.0.2", 8, 3)):  # fmt: skip
                run("ip", "netns", "exec", net.world, sys.executable, "-c", SEND,
                    address, str(vlan), str(count))  # fmt: skip
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
    with closing(sqlite3.connect(tmp_path / "s.db")) as db:
        sums = db.execute("SELECT sum(received) FROM capture_health GROUP BY agent_id").fetchall()
    assert sorted(n for (n,) in sums) == [20, 35, 53]
