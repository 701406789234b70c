"""Frames that offload joined count as the packets of the wire, as the kernel's own queue does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.capture.live import tells_gso
from tests.live.namespaces import GATEWAY4, HOST4, Net, run, two_namespaces
from tests.live.test_run import daemon

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces"),
    pytest.mark.skipif(not tells_gso(), reason="the kernel does not tell"),
]
# Of the host: 3 MB over TCP, then 40 datagrams of 30 packets each (UDP_SEGMENT of <linux/udp.h>).
SEND = f"""
import socket
with socket.create_connection(({GATEWAY4!r}, 9000)) as s:
    s.sendall(bytes(3_000_000))
    s.shutdown(socket.SHUT_WR)
    s.recv(1)  # its end: everything has come
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
    for _ in range(40):
        s.sendto(bytes(29_500), ({GATEWAY4!r}, 9001))
"""
TAKE = """
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 9001))
with socket.create_server(("", 9000)) as server:
    print("ready", flush=True)
    client, _ = server.accept()
    while client.recv(1 << 20):
        pass
    client.close()
"""


@pytest.fixture
def net() -> Iterator[Net]:
    with two_namespaces() as made:
        for name, other, its_address in (
            (made.host, made.world, GATEWAY4),
            (made.world, made.host, HOST4),
        ):  # nothing is on the wire but what the test sends
            run(*on(name), "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
            (link,) = json.loads(run("ip", "-n", other, "-j", "link", "show", "eth0"))
            run("ip", "-n", name, "neigh", "replace", its_address, "lladdr", link["address"], "dev",
                "eth0", "nud", "permanent")  # fmt: skip
        run("tc", "-n", made.host, "qdisc", "replace", "dev", "eth0", "root", "pfifo")
        yield made


def on(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", namespace]


def queued(net: Net) -> tuple[int, int]:
    """Packets and octets that the host's queue passed on: the kernel counts the packets of a joined
    frame, each with its headers (net/core/dev.c, qdisc_pkt_len_init)."""
    (queue,) = json.loads(run("tc", "-n", net.host, "-s", "-j", "qdisc", "show", "dev", "eth0"))
    return queue["packets"], queue["bytes"]


@pytest.mark.parametrize("offload", ["on", "off"])
def test_packets_and_octets_are_those_of_the_wire(net: Net, tmp_path: Path, offload: str) -> None:
    for feature in ("tso", "gso", "tx-udp-segmentation"):
        run(*on(net.host), "ethtool", "-K", "eth0", feature, offload)
    options = ("--window", "1", "--local", HOST4)
    take = [*on(net.world), sys.executable, "-c", TAKE]
    with (
        daemon(net, tmp_path / "s.db", *options) as live,
        subprocess.Popen(take, stdout=subprocess.PIPE) as taking,
    ):
        assert taking.stdout is not None
        assert taking.stdout.readline() == b"ready\n"
        before = queued(net)
        run(*net.on_host(sys.executable, "-c", SEND))
        packets, octets = (now - then for now, then in zip(queued(net), before, strict=True))
        live.stop()
    seconds = "SELECT sum(packets_out), sum(bytes_out) FROM bandwidth_seconds"
    assert live.ask(seconds) == [(packets, octets)]
    talks = "SELECT sum(orig_packets), sum(orig_bytes) FROM connections WHERE orig_ip = "
    assert live.ask(f"{talks} '{HOST4}'") == [(packets, 3_000_000 + 40 * 29_500)]
    udp = "SELECT orig_packets, offloaded FROM connections WHERE protocol = 'udp'"
    assert live.ask(udp) == [(40 * 30, offload == "on")]
    mix = "SELECT sum(packets) FROM protocol_mix"
    ((all_packets,),) = live.ask("SELECT sum(packets_in + packets_out) FROM bandwidth_seconds")
    assert live.ask(mix) == [(all_packets,)]
    if offload == "on":
        ((frames,),) = live.ask("SELECT sum(received) FROM capture_health")
        assert frames < all_packets / 4
