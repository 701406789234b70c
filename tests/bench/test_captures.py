"""The benchmark's own captures: scapy and dpkt agree with what make_captures says it writes."""

import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path

import dpkt
import pytest

from tests.bench import make_captures
from tests.traffic.checksums import checksums_are_right

HERE = Path(__file__).parent
PACKETS = 12_000


@pytest.fixture(scope="module")
def limit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("limit") / "limit"
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, HERE / "limit.c", "-o", binary], check=True)
    return binary


@pytest.mark.parametrize("kind", sorted(make_captures.KINDS))
def test_capture_and_bare_loop(kind: str, limit: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.pcap"
    assert make_captures.make(kind, PACKETS, path, seed=5) == PACKETS
    make_captures.make(kind, PACKETS, tmp_path / "again.pcap", seed=5)
    assert len({hashlib.sha256(p.read_bytes()).digest() for p in tmp_path.iterdir()}) == 1

    flows: Counter[frozenset[tuple[bytes, int]]] = Counter()
    only_syns, last, other = set(), 0.0, 0
    with path.open("rb") as file:
        for number, (at, frame) in enumerate(dpkt.pcap.Reader(file)):
            assert at >= last
            last = at
            if number % 499 == 0:
                checksums_are_right(frame)
            ip = dpkt.ethernet.Ethernet(frame).data
            segment = getattr(ip, "data", None)
            if not isinstance(segment, dpkt.tcp.TCP | dpkt.udp.UDP):
                other += 1
                continue
            key = frozenset({(ip.src, segment.sport), (ip.dst, segment.dport)})
            if isinstance(segment, dpkt.tcp.TCP) and segment.flags & 0x16 == dpkt.tcp.TH_SYN:
                only_syns.add(key)
            else:
                flows[key] += 1
    out = subprocess.run([limit, path], capture_output=True, check=True)
    found = json.loads(out.stdout)
    assert found["packets"] == PACKETS
    assert found["other"] == other
    assert found["flows"] == len(flows)
    if kind == "synflood":
        assert len(only_syns) >= PACKETS * 19 // 20
