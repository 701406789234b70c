"""`sensor replay --json` beside tshark, on the demo's capture: every count that both can know."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensor.programs import demo

pytestmark = pytest.mark.system

FIELDS = (
    "ip.version",
    "tcp.stream",
    "tcp.flags",
    "udp.stream",
    "http.request",
    "http.response.code",
    "dns.flags.response",
    "dns.flags.rcode",
    "tls.handshake.type",
    "tls.handshake.extensions_server_name",
    "tcp.analysis.initial_rtt",
    "tcp.analysis.retransmission",
    "tcp.analysis.ack_rtt",
)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tshark") / "demo.pcap"
    demo.make(path, seed=11)
    return path


@pytest.fixture(scope="module")
def ours(capture: Path) -> dict[str, Any]:
    local = [part for prefix in demo.LOCAL for part in ("--local", prefix)]
    command = [sys.executable, "-m", "sensor", "replay", str(capture), "--json", *local]
    done = subprocess.run(command, capture_output=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def theirs(capture: Path) -> dict[str, Any]:
    """tshark's figures, from one pass over the fields."""
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "separator=/t"]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    counts: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    streams: dict[str, set[str]] = {"tcp": set(), "udp": set()}
    names: set[str] = set()
    accepted: set[str] = set()
    handshakes: dict[str, float] = {}
    ack_rtts: list[float] = []
    for line in done.stdout.splitlines():
        row = dict(zip(FIELDS, line.split("\t"), strict=True))
        counts["packets"] += 1
        counts["ipv4"] += row["ip.version"] == "4"
        streams["tcp"].add(row["tcp.stream"])
        streams["udp"].add(row["udp.stream"])
        counts["http_requests"] += bool(row["http.request"])
        statuses.update(filter(None, row["http.response.code"].split(",")))
        if row["dns.flags.response"]:
            answer = row["dns.flags.response"] in ("1", "True")
            counts["dns_responses" if answer else "dns_queries"] += 1
            counts["nxdomain"] += answer and row["dns.flags.rcode"] == "3"
        types = row["tls.handshake.type"].split(",")
        counts["client_hellos"] += types.count("1")
        counts["server_hellos"] += types.count("2")
        names.update(filter(None, row["tls.handshake.extensions_server_name"].split(",")))
        counts["retransmissions"] += bool(row["tcp.analysis.retransmission"])
        if int(row["tcp.flags"] or "0", 16) & 0x12 == 0x12:
            accepted.add(row["tcp.stream"])
        # tshark also has an "initial RTT" where a port is closed (SYN, RST): no handshake
        if row["tcp.analysis.initial_rtt"] and row["tcp.stream"] in accepted:
            handshakes[row["tcp.stream"]] = float(row["tcp.analysis.initial_rtt"])
        if row["tcp.analysis.ack_rtt"]:
            ack_rtts.append(float(row["tcp.analysis.ack_rtt"]))
    return {
        "counts": counts,
        "statuses": statuses,
        "names": names,
        "streams": {kind: len(found - {""}) for kind, found in streams.items()},
        "tcp_handshake": np.array(list(handshakes.values())) * 1e6,
        "tcp_ack": np.array(ack_rtts) * 1e6,
    }


def test_counts_are_equal(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    counts = theirs["counts"]
    got = {
        "packets": ours["capture"]["packets"],
        "ipv4": ours["packets"]["ipv4"],
        "http_requests": ours["http"]["requests"],
        "dns_queries": ours["dns"]["queries"],
        "dns_responses": ours["dns"]["responses"],
        "nxdomain": ours["dns"]["nxdomain"],
        "client_hellos": ours["tls"]["client_hellos"],
        "server_hellos": ours["tls"]["server_hellos"],
    }
    assert got == {name: counts[name] for name in got}
    assert ours["http"]["status"] == dict(theirs["statuses"])
    assert set(ours["tls"]["server_names"]) == theirs["names"]


def test_connections_are_its_streams(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    got = {kind: ours["connections"][kind] for kind in ("tcp", "udp")}
    assert got == theirs["streams"]
    assert ours["tcp"]["handshakes"] == len(theirs["tcp_handshake"])


def test_retransmissions(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    expected = theirs["counts"]["retransmissions"]
    assert expected > 100
    assert ours["tcp"]["retransmissions"] == pytest.approx(expected, rel=0.01)


def test_handshakes_take_as_long(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Percentiles of a histogram with three digits: within 0.2 % and a microsecond."""
    samples, found = theirs["tcp_handshake"], ours["latency_us"]["tcp_handshake"]
    assert found["count"] == len(samples)
    for percentile in (50, 95, 99):
        exact = float(np.percentile(samples, percentile, method="inverted_cdf"))
        assert found[f"p{percentile}"] == pytest.approx(exact, rel=0.002, abs=1)


def test_no_ack_sample_of_our_own(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """tshark times every segment; we time a bounded number of those in flight, and no others."""
    samples, found = theirs["tcp_ack"], ours["latency_us"]["tcp_ack"]
    assert 0.75 * len(samples) < found["count"] <= len(samples)
    assert found["min"] >= samples.min() - 2
    assert found["max"] <= samples.max() * 1.002 + 2
