"""Figures worked by hand: every expected number below was made with pencil and paper."""

import dataclasses
import random

import numpy as np
import pytest

from sensor._native.faces import KINDS, LEAVES, Window
from sensor.metrics.bandwidth import BandwidthFigures, BurstMeter
from sensor.metrics.connections import ConnectionFigures
from sensor.metrics.endpoints import ROOM, EndpointFigures
from sensor.metrics.figures import Figures
from sensor.metrics.geography import GeographyFigures, region_of
from sensor.metrics.health import BLIND, DEGRADED, OK, quality
from sensor.metrics.latency import LatencyFigures
from sensor.metrics.protocols import ProtocolFigures
from sensor.model.address import pack_address
from sensor.model.endpoint import OTHER
from tests.unit.windows import (
    endpoint,
    endpoints,
    flow,
    seconds,
    totals,
    window,
    with_kind,
    with_latency,
)

MS = 1_000_000
SNI = 3


def test_latency_is_read_from_merged_windows_not_averaged() -> None:
    # 99 answers in 10 ms in one window, one in 1 s in the next: p99 of all 100 is 10 ms (rank 99),
    # the average of the two windows' p99 would be 505 ms.
    figures = LatencyFigures()
    figures.add(with_latency(window(endpoints=endpoints(endpoint())), 1, [10 * MS] * 99))
    figures.add(with_latency(window(60, 120, endpoints=endpoints(endpoint())), 1, [1000 * MS]))
    latency = figures.metrics()
    assert latency.avg_latency_ms == 19.9
    assert latency.p50_latency_ms == pytest.approx(10, rel=0.01)
    assert latency.p99_latency_ms == pytest.approx(10, rel=0.01)


def test_kinds_are_kept_apart_and_exact() -> None:
    figures = LatencyFigures()
    figures.add(with_kind(window(), "dns_response", [1_500_000, 2_500_001]))
    figures.add(with_kind(window(), "dns_response", [4_000_000]))
    document = figures.document()
    assert list(document) == list(KINDS)
    dns = document["dns_response"]
    assert (dns["count"], dns["min"], dns["max"]) == (3, 1500.0, 4000.0)
    assert dns["mean"] == pytest.approx(2666.667)
    assert dns["p50"] == pytest.approx(2500, abs=2)
    empty = document["tls_handshake"]
    assert empty == {
        "count": 0, "min": None, "mean": None, "p50": None, "p95": None, "p99": None, "max": None,
        "histogram": None,
    }  # fmt: skip


def test_jitter_is_the_mean_step_between_samples() -> None:
    # One flow with RTTs 10, 14, 11 ms: steps of 4 and 3 ms.
    figures = LatencyFigures()
    figures.add(window(endpoints=endpoints(endpoint(jitter_ns=(4 * MS, 3 * MS)))))
    assert figures.metrics().jitter_ms == 3.5


def test_loss_rate_counts_what_was_to_be_seen() -> None:
    # 97 segments seen, 2 lost before and 1 behind the capture point: 3 of 100.
    figures = LatencyFigures()
    row = endpoint(connections_active=1, data_segments=97, lost_upstream=2, lost_downstream=1)
    figures.add(window(endpoints=endpoints(row)))
    assert figures.metrics().packet_loss_rate == 0.03


@pytest.mark.parametrize(
    "row",
    [
        endpoint(protocol=17, connections_active=1),
        endpoint(connections_active=2, one_way=2, data_segments=50, lost_upstream=1),
    ],
    ids=["no TCP data", "one direction only"],
)
def test_loss_rate_is_unknown(row: np.void) -> None:
    figures = LatencyFigures()
    figures.add(window(endpoints=endpoints(row)))
    assert figures.metrics().packet_loss_rate is None


def test_bandwidth_of_a_known_local_side() -> None:
    # 10 s: 5 MB in over seconds 0..9 with 2 MB in the busiest, 1 MB out in one second.
    figures = BandwidthFigures(local_known=True, capacity_mbps=100)
    figures.add(
        window(seconds=seconds((0, 2_000_000, 0), (3, 1_500_000, 1_000_000), (9, 1_500_000, 0)))
    )
    metrics = figures.metrics(10.0)
    assert metrics.ingress_mbps == 4.0
    assert metrics.egress_mbps == 0.8
    assert metrics.peak_ingress_mbps == 16.0
    assert metrics.peak_egress_mbps == 8.0
    assert metrics.bandwidth_utilization == pytest.approx(0.04)


def test_bandwidth_without_a_local_side_has_no_direction() -> None:
    figures = BandwidthFigures(local_known=False)
    figures.add(window(seconds=seconds((0, 100, 0))))
    metrics = figures.metrics(10.0)
    assert metrics.ingress_mbps is metrics.egress_mbps is metrics.peak_ingress_mbps is None


def test_a_capture_within_one_second_has_the_resolution_of_a_second() -> None:
    figures = BandwidthFigures(local_known=True)
    figures.add(window(seconds=seconds((7, 125_000, 0))))
    metrics = figures.metrics(0.001)
    assert metrics.ingress_mbps == metrics.peak_ingress_mbps == 1.0
    assert metrics.bandwidth_utilization is None
    assert metrics.burst_frequency is None


def bursts_by_definition(bins: list[int], floor: float) -> int:
    """The definition, word by word: a run of bins above twice the median of the 600 before."""
    runs, before = 0, False
    for i, octets in enumerate(bins):
        trail = sorted(bins[max(0, i - 600) : i])
        burst = i >= 100 and octets > floor and octets > 2 * trail[len(trail) // 2]
        runs += burst and not before
        before = burst
    return runs


def test_bursts_are_runs_above_twice_the_trailing_median() -> None:
    # An hour of 100 kB per bin with a run of 3 bins of 300 kB in each of 12 seconds.
    meter = BurstMeter()
    for second in range(3600):
        meter.second(
            second, [100_000] * 4 + [300_000 if second % 300 == 99 else 100_000] * 3 + [0] * 3
        )
    assert meter.runs == 12
    assert meter.mean_ms == 300
    assert meter.per_hour == pytest.approx(12 * 36000 / (36000 - 100), abs=0.001)


@pytest.mark.parametrize("seed", range(5))
def test_bursts_equal_their_definition_with_gaps(seed: int) -> None:
    rng = random.Random(seed)
    meter, bins, second = BurstMeter(), [], 0
    for _ in range(150):
        gap = rng.choice([0, 0, 0, 0, 0, 1, 3, 80]) if bins else 0
        bins += [0] * (10 * gap)
        second += gap
        row = [int(rng.lognormvariate(9.5, 1)) for _ in range(10)]
        meter.second(second, row)
        bins += row
        second += 1
    assert meter.runs == bursts_by_definition(bins, 12_500)
    assert meter.judged_bins == len(bins) - 100


def test_a_jump_of_years_costs_nothing() -> None:
    meter = BurstMeter()
    meter.second(0, [0] * 10)
    meter.second(10**10, [10**6] * 10)
    assert meter.runs == 1
    meter.second(5, [10**9] * 10)  # time that goes back is left out
    assert meter.runs == 1


def test_connection_rates_and_errors() -> None:
    figures = ConnectionFigures()
    figures.add(
        window(
            totals=totals(
                connections_new=30, connections_closed=20, connections_active=25,
                connections_failed=3, resets=2, timeouts=1,
            )
        )
    )  # fmt: skip
    figures.add(window(totals=totals(connections_new=10, connections_active=12)))
    metrics = figures.metrics(80.0)
    assert metrics.active_connections == 25
    assert metrics.new_connections_per_sec == 0.5
    assert metrics.closed_connections_per_sec == 0.25
    assert (metrics.connection_errors, metrics.timeout_count, metrics.reset_count) == (6, 1, 2)


def test_the_protocol_mix_is_a_partition() -> None:
    # DNS: 100 octets, 40 of them over TCP.
    octets = {"http": 200, "https": 300, "dns": 100, "quic": 250, "icmp": 50, "other": 100}
    figures = ProtocolFigures()
    figures.add(
        window(
            leaf_bytes=np.array([octets.get(leaf, 0) for leaf in LEAVES], np.uint64),
            endpoints=endpoints(endpoint(port=53, app=6, bytes_sent=15, bytes_received=25)),
        )
    )
    assert sum(share or 0 for share in figures.shares().values()) == pytest.approx(100)
    metrics = figures.metrics()
    assert (metrics.http_percentage, metrics.https_percentage) == (20.0, 30.0)
    assert (metrics.websocket_percentage, metrics.grpc_percentage) == (0.0, 0.0)
    assert metrics.tcp_percentage == 54.0
    assert metrics.udp_percentage == 31.0


def test_no_traffic_has_no_shares() -> None:
    figures = ProtocolFigures()
    figures.add(window())
    assert set(dataclasses.astuple(figures.metrics())) == {None}


def test_regions_by_registration() -> None:
    assert region_of(pack_address("10.1.2.0")) == "private"
    assert region_of(pack_address("fd00::")) == "private"
    assert region_of(pack_address("8.8.8.0")) == "US"
    assert region_of(pack_address("2001:4860:4860::")) == "US"
    assert region_of(pack_address("192.0.2.0")) == "unknown"


def test_geography_merges_prefixes_of_one_region() -> None:
    peers = window()["peers"].repeat(4)
    seen = (
        ("8.8.8.0", 1000, 4, 1, 2, 30 * MS),
        ("8.8.4.0", 500, 4, 0, 1, 15 * MS),
        ("10.0.0.0", 7, 0, 0, 0, 0),
    )
    for row, (prefix, octets, made, errors, count, sum_ns) in zip(peers[1:], seen, strict=True):
        row["prefix"], row["bytes"], row["connections"] = pack_address(prefix), octets, made
        row["errors"], row["latency_count"], row["latency_sum_ns"] = errors, count, sum_ns
    figures = GeographyFigures(home="private")
    figures.add(window(peers=peers))
    metrics = figures.metrics()
    assert metrics.region == "private"
    assert metrics.traffic_by_region == {"US": 1500, "private": 7}
    assert metrics.latency_by_region == {"US": 15.0, "private": None}
    assert metrics.error_rate_by_region == {"US": 0.125, "private": None}


@pytest.mark.parametrize(
    ("gaps", "health", "flag"),
    [
        (0, {}, OK),
        (10, {}, OK),
        (11, {}, DEGRADED),
        (101, {}, BLIND),
        (0, {"kernel_drops": 1}, DEGRADED),
        (0, {"endpoints_folded": 9}, OK),
    ],
)
def test_quality(gaps: int, health: dict[str, int], flag: str) -> None:
    made = window(totals=totals(acks=1000, capture_gaps=gaps), health=health)
    assert quality(made) == flag


def test_endpoints_merge_by_label_and_are_bounded() -> None:
    figures = EndpointFigures()
    for start in range(0, 3 * ROOM, ROOM):
        rows = [
            endpoint("2001:db8::1", 1000 + start + i, bytes_sent=start + i, connections_new=1)
            for i in range(ROOM)
        ]
        made = window(endpoints=endpoints(*rows))
        figures.add(made)
    assert len(figures.known) == ROOM + 1
    assert figures.folded == 2 * ROOM
    busiest = figures.busiest(2)
    assert busiest[0].label == OTHER  # 0 + 1 + ... + 1023
    assert busiest[0].octets == 1023 * 1024 // 2
    assert busiest[1].label == f"[2001:db8::1]:{1000 + 3 * ROOM - 1}/tcp"


def test_slowest_endpoints() -> None:
    rows = endpoints(
        endpoint(name=b"fast.example", port=443),
        endpoint(name=b"slow.example", port=443, resets=1),
        endpoint(address="192.0.2.9", port=0, protocol=1, connections_failed=2),
    )
    made = with_latency(window(endpoints=rows), 1, [1 * MS])
    made = with_latency(with_latency(made, 2, [90 * MS]), 3, [5 * MS])
    figures = EndpointFigures()
    figures.add(made)
    assert [e.label for e in figures.slowest(2)] == ["slow.example:443/tcp", "192.0.2.9/icmp"]


def test_splitting_windows_changes_nothing() -> None:
    """Two windows give the figures of one that holds both, in either order."""

    def half(n: int) -> Window:
        rows = endpoints(
            endpoint(name=b"a.example", name_source=SNI, bytes_sent=n, data_segments=n)
        )
        made = window(n, n + 1, endpoints=rows, seconds=seconds((n, n * 100, 0)))
        return with_latency(with_kind(made, "tcp_rtt", [n * MS]), 1, [n * MS])

    def figures(*windows: Window) -> dict[str, object]:
        made = Figures(local_known=True, home="private")
        for w in windows:
            made.window(w)
        return made.metrics("a", "n", 0, 20 * 10**9).to_dict() | made.latency.document()

    assert figures(half(5), half(9)) == figures(half(9), half(5))


def test_server_names_come_from_connections_and_endpoints_and_are_bounded() -> None:
    figures = Figures(local_known=False)
    names = b"b.examplec.exampleignored"
    rows = np.array(
        [flow(b"b.example", 0, SNI), flow(b"c.example", 9, SNI), flow(b"ignored", 18, 1)]
    )
    figures.flows(rows, names)
    figures.window(window(endpoints=endpoints(endpoint(name=b"a.example", name_source=SNI))))
    assert figures.server_names == {"a.example", "b.example", "c.example"}
    many = b"".join(b"%04d" % i for i in range(2000))
    figures.flows(np.array([flow(b"0000", 4 * i, SNI) for i in range(2000)]), many)
    assert len(figures.server_names) == 1000
    assert not figures.server_names_complete
