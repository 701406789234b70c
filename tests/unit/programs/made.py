"""A replay's result made by hand: hostile names, every section filled."""

from typing import Any

import numpy as np

from sensor._native.faces import LEAVES
from sensor.flow.locality import UNKNOWN, Local, given
from sensor.metrics.figures import Figures
from sensor.model.ids import REPLAY_AGENT, network_id
from sensor.programs.document import Capture, Performance, build
from tests.unit.windows import endpoint, endpoints, seconds, totals, window, with_kind, with_latency

MS = 1_000_000
SNI = 3
HOSTILE = b"\x1b[2J\x1b]8;;x\x07" + "\u202e例".encode() * 30 + b"\x00[bold]x[/bold]"


class Counted:
    """The engine's cumulative answers."""

    def counters(self) -> dict[str, int]:
        return {"frames": 9, "ipv4": 7, "ipv6": 1, "tcp": 5, "udp": 3, "arp": 1, "flows_evicted": 4}

    def states(self) -> dict[str, int]:
        return {"SF": 2, "REJ": 1}

    def connections(self) -> dict[str, int]:
        return {"tcp": 3, "udp": 1, "icmp": 0}


def capture(local: Local = UNKNOWN) -> Capture:
    return Capture(
        files=["one.pcap", "tw\x1bo.pcap"],
        local=local,
        packets=9,
        wire_bytes=2_500_000,
        captured_bytes=2_000_000,
        first_ns=1_700_000_000_123_456_789,
        last_ns=1_700_000_010_123_456_789,
        anomalies={"truncated_tcp": 3, "gso": 1},
        damaged="tw\x1bo.pcap:4711: the capture ends in the middle of a packet",
    )


def figures(local_known: bool) -> Figures:
    rows = endpoints(
        endpoint(name=HOSTILE, name_source=SNI, bytes_sent=9000, packets_sent=5, connections_new=2),
        endpoint("192.0.2.9", 22, connections_failed=1, connections_new=1, bytes_received=100),
        endpoint("2001:db8:1234:5678:9abc:def0:1234:5678", 8443, bytes_sent=10, resets=7),
    )
    made = window(
        endpoints=rows,
        totals=totals(
            connections_new=3, handshakes=2, retransmissions=1, lost_upstream=2, lost_downstream=3,
            http_requests=4, dns_queries=1, dns_unanswered=1, tls_client_hellos=2, ws_frames=3,
            acks=100, capture_gaps=5,
        ),
        leaf_bytes=np.array([1000 * (i + 1) for i in range(len(LEAVES))], np.uint64),
        seconds=seconds((1_700_000_000, 1_000_000, 500_000), (1_700_000_009, 0, 1_000_000)),
        status=np.eye(1, 1000, 200, dtype=np.uint32)[0] * 4,
    )  # fmt: skip
    made = with_latency(with_latency(made, 1, [20 * MS, 45 * MS]), 2, [1 * MS])
    result = Figures(local_known=local_known)
    result.window(with_kind(made, "tcp_handshake", [20 * MS, 45 * MS]))
    return result


def replayed(*, local: bool = True) -> tuple[dict[str, Any], Capture, Figures]:
    seen, made = capture(given(("10.0.0.0/8",)) if local else UNKNOWN), figures(local)
    metrics = made.metrics(str(REPLAY_AGENT), network_id("replay", []), seen.first_ns, seen.last_ns)
    engine: Any = Counted()
    performance = Performance(seconds=0.25, peak_rss_bytes=50_000_000)
    return build(seen, engine, made, [metrics], [], performance), seen, made
