"""The demo's capture holds what its truth file says; dpkt and scapy read it, not our decoder."""

import fcntl
import hashlib
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import urllib.request
from collections import Counter
from pathlib import Path

import click
import dpkt
import pytest
from click.testing import CliRunner

from sensor.errors import CannotWrite
from sensor.programs import demo
from tests.traffic.checksums import checksums_are_right


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.pcap"
    demo.make(path, seed=3)
    return path


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def test_the_truth_is_what_dpkt_sees(capture: Path) -> None:
    truth = json.loads(capture.with_name("demo.pcap.truth.json").read_text())
    seen: Counter[str] = Counter()
    scanned, sent, flood_sources = set(), set(), set()
    last = 0.0
    with capture.open("rb") as file:
        for at, frame in dpkt.pcap.Reader(file):
            assert at >= last
            last = at
            ip = dpkt.ethernet.Ethernet(frame).data
            seen["packets"] += 1
            seen["bytes"] += len(frame)
            seen["ipv6"] += isinstance(ip, dpkt.ip6.IP6)
            segment = ip.data
            if isinstance(segment, dpkt.udp.UDP):
                message = dpkt.dns.DNS(segment.data)
                seen["dns_responses" if message.qr else "dns_queries"] += 1
                seen["dns_nxdomain"] += message.rcode == dpkt.dns.DNS_RCODE_NXDOMAIN
                continue
            assert isinstance(segment, dpkt.tcp.TCP)
            source = dpkt.utils.inet_to_str(ip.src)
            if segment.flags & 0x12 == dpkt.tcp.TH_SYN:
                if source == demo.SCANNER:
                    scanned.add(segment.dport)
                elif source.startswith("198.19."):
                    flood_sources.add((ip.src, segment.sport))
                    seen["flood"] += 1
                else:
                    seen["tcp_connections"] += 1
            if segment.data:
                key = (ip.src, ip.dst, segment.sport, segment.dport, segment.seq)
                seen["retransmissions"] += key in sent
                sent.add(key)
                seen["http_requests"] += b"GET /page" in segment.data[:9]
                for status in (b"200", b"404", b"500"):
                    start = b"HTTP/1.1 " + status
                    seen[f"http_{status.decode()}"] += segment.data.startswith(start)
                seen["tls_client_hellos"] += (
                    segment.data[:6] == b"\x16\x03\x01" + segment.data[3:5] + b"\x01"
                    and segment.dport == 443
                )

    counts = truth["counts"]
    assert (seen["packets"], seen["bytes"]) == (truth["packets"], truth["bytes"])
    assert seen["dns_queries"] - seen["dns_responses"] == counts["dns_unanswered"]
    repeated = seen.pop("retransmissions")
    retransmitted_first_segments = repeated - counts["retransmissions"]
    assert retransmitted_first_segments == 0
    for name in ("tcp_connections", "dns_queries", "dns_nxdomain", "http_requests",
                 "tls_client_hellos"):  # fmt: skip
        assert seen[name] == counts[name], name
    episodes = {episode["kind"]: episode for episode in truth["episodes"]}
    assert len(scanned) == episodes["port_scan"]["ports"]
    assert seen["flood"] == episodes["syn_flood"]["syns"]
    assert len(flood_sources) > 0.99 * seen["flood"]
    assert seen["ipv6"] > 1_000
    assert counts["retransmissions"] > 100
    # Only the first segment of a lost response can make its status line appear twice.
    for status in ("200", "404", "500"):
        assert counts[f"http_{status}"] <= seen[f"http_{status}"] <= counts[f"http_{status}"] + 50


def test_checksums_are_right(capture: Path) -> None:
    with capture.open("rb") as file:
        for number, (_, frame) in enumerate(dpkt.pcap.Reader(file)):
            if number % 997 == 0:
                checksums_are_right(frame)


def test_same_seed_same_bytes(capture: Path, tmp_path: Path) -> None:
    demo.make(tmp_path / "again.pcap", seed=3)
    assert digest(tmp_path / "again.pcap") == digest(capture)


def test_the_command_replays_what_it_made(capture: Path, tmp_path: Path) -> None:
    given: list[object] = []

    @click.group()
    def main() -> None: ...

    @main.command()
    @click.argument("path")
    @click.option("--db")
    @click.option("--local", multiple=True)
    def replay(path: str, db: str, local: tuple[str, ...]) -> None:
        given.extend((path, db, local))

    main.add_command(demo.command)
    out = tmp_path / "new" / "x.pcap"
    result = CliRunner().invoke(main, ["demo", "--out", str(out), "--seed", "5"])
    assert result.exit_code == 0, result.output
    assert given == [str(out), f"{out}.db", demo.LOCAL]
    assert digest(out) != digest(capture)
    assert "syn flood, 10.20.0.10:443" in result.output

    (tmp_path / "file").write_text("")
    bad = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "file" / "x.pcap")])
    assert isinstance(bad.exception, CannotWrite)


def test_on_a_terminal_the_dashboard_is_served(tmp_path: Path) -> None:
    """Until Ctrl-C; what it serves is the database of the capture that was just made."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sensor", "demo", "--out", str(tmp_path / "demo.pcap")]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    os.close(theirs)
    try:
        said = b""
        while (found := re.search(rb"on (http://\S+/)\s", said)) is None:
            assert select.select([ours], [], [], 120)[0], said.decode()
            said += os.read(ours, 4096)
        assert b"The dashboard on it, until Ctrl-C:" in said
        with urllib.request.urlopen(found[1].decode() + "healthz", timeout=20) as answer:  # noqa: S310
            assert answer.status == 200
        os.write(ours, b"\x03")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
