"""The typed faces of what the native floor hands to Python: a packet source, the engine, a window.

Nothing here runs: these are the names that the floors above write against.
"""

from typing import Any, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.void]  # of one of the dtypes in sensor._native.dtypes

# What `Engine.feed` wants before it goes on with the same batch (a bit mask; 0: batch used up).
WINDOW_ENDED = 1
FLOWS_NEARLY_FULL = 2
SECOND_ENDED = 8

# Latency kinds in the order of LatencyKind (sink.pxd), by their names in the JSON document.
KINDS = (
    "tcp_handshake",
    "tcp_handshake_responder",
    "tcp_handshake_originator",
    "tcp_rtt",
    "tcp_ack",
    "tls_handshake",
    "http_response",
    "dns_response",
    "icmp_echo",
    "quic_handshake",
)

# The protocol partition in the order of Leaf (flow.pxd).
LEAVES = (
    "http",
    "https",
    "websocket",
    "grpc",
    "quic",
    "dns",
    "other_tcp",
    "other_udp",
    "icmp",
    "other",
)


class Features(TypedDict):
    """What detection looks at in one second of packet time in which something happened.

    `tables`: rows of dtypes.SLOT ("service", "host", "source", "reflection") or SENSOR ("sensor",
    one row), and of "domain", "neighbour" and "announcement". A key without a row did nothing.
    """

    start_ns: int
    end_ns: int  # of the second, or the newest packet of the input's last one
    tables: dict[str, Rows]


class Part(TypedDict):
    """What one of several engines gives for the Features of a second; only a Merger reads it."""

    share: int  # whose
    start_ns: int
    end_ns: int
    slots: list[NDArray[np.uint8]]
    tables: dict[str, Rows]
    packets: int
    bytes: int
    dhcp_requests: int
    dhcp_clients: NDArray[np.uint8]
    two_way: int
    one_way: int


class Window(TypedDict):
    """What one window accumulated; `start_ns <= packet time < end_ns`."""

    start_ns: int
    end_ns: int
    endpoints: Rows  # ENDPOINT; row 0 is `__other__`
    latency_counts: NDArray[np.uint32]  # [endpoint, 2560]: network-class latency, 2 digits
    kinds: NDArray[np.uint32]  # [kind, 17408]: 3 digits
    kind_stats: NDArray[np.uint64]  # [kind]: count, sum_ns, min_ns, max_ns, clamped
    peers: Rows  # PEER
    seconds: Rows  # SECOND
    leaf_bytes: NDArray[np.uint64]
    leaf_packets: NDArray[np.uint64]
    leaf_connections: NDArray[np.uint64]
    totals: NDArray[np.uint64]  # by Counter
    status: NDArray[np.uint32]  # by HTTP status code
    health: dict[str, int]
    counters: dict[str, int]  # cumulative, at the window's end: Engine.counters()
    anomalies: dict[str, int]  # likewise
    connections_open: int
    established_open: int


class Source(Protocol):
    """A batch of borrowed packet records (source.pyx)."""

    @property
    def pending(self) -> int:
        """Records of the current batch that the engine has not taken yet."""
        ...

    def next_batch(self) -> int:
        """Read the next batch; how many records it has, 0 at the end."""
        ...

    def take_totals(self) -> tuple[int, int, int, int, int]:
        """Of the batches since it was last asked: packets, octets on the wire, octets captured,
        earliest and latest time (ns; 0 without packets)."""
        ...


class Engine(Protocol):
    """The native flow engine (engine.pyx)."""

    def feed(self, source: Any) -> int: ...
    def idle(self, now_ns: int) -> int: ...
    def finish(self) -> None: ...
    def take_window(self) -> Window: ...
    def take_features(self) -> Features | None: ...
    def take_part(self, share: int) -> Part | None: ...
    def take_flows(self) -> tuple[Rows, bytes]: ...
    def counters(self) -> dict[str, int]: ...
    def anomalies(self) -> dict[str, int]: ...
    def states(self) -> dict[str, int]: ...
    def connections(self) -> dict[str, int]: ...
    def top_addresses(self, source: Any) -> list[tuple[bytes, int]]: ...
