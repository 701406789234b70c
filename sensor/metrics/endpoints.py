"""Totals per endpoint over all windows: slowest and busiest.

An endpoint is `name:port/proto` of the responder (DESIGN 4.6), the name by SNI, Host, observed DNS,
else the address. At most ROOM are kept; when twice as many have gathered, the ones with the least
octets are folded into `__other__`, which is what the native floor does within a window.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensor._native.counters import Counter
from sensor._native.faces import Rows, Window
from sensor.metrics.histograms import Latency
from sensor.metrics.latency import two_way
from sensor.model.endpoint import OTHER, endpoint_label
from sensor.model.text import decode_name

ROOM = 512
SCALARS = (  # in the order that EndpointFigures._add takes them
    "jitter_count",
    "jitter_sum_ns",
    "latency_count",
    "latency_sum_ns",
    "latency_min_ns",
    "latency_max_ns",
)


@dataclass(slots=True)
class Endpoint:
    """One endpoint's merged figures."""

    label: str
    totals: NDArray[np.uint64] = field(repr=False)
    latency: Latency = field(default_factory=lambda: Latency(2))
    jitter_count: int = 0
    jitter_sum_ns: int = 0
    lost: int = 0
    sent: int = 0  # data segments to be seen, the lost ones included

    def __getitem__(self, counter: Counter) -> int:
        return int(self.totals[counter])

    @property
    def octets(self) -> int:
        return self[Counter.C_BYTES_SENT] + self[Counter.C_BYTES_RECEIVED]

    @property
    def loss_rate(self) -> float | None:
        return self.lost / self.sent if self.sent else None

    @property
    def jitter_us(self) -> float | None:
        return self.jitter_sum_ns / self.jitter_count / 1000 if self.jitter_count else None

    def merge(self, other: "Endpoint") -> None:
        self.totals += other.totals
        self.latency.merge(other.latency)
        self.jitter_count += other.jitter_count
        self.jitter_sum_ns += other.jitter_sum_ns
        self.lost += other.lost
        self.sent += other.sent


def labels(rows: Rows) -> list[str]:
    """`name:port/proto` of each row; IPv6 addresses in brackets; ICMP has no port."""
    columns = [rows[c].tolist() for c in ("name", "name_len", "address", "port", "protocol")]
    return [
        endpoint_label(name[:length], address, port, protocol)
        for name, length, address, port, protocol in zip(*columns, strict=True)
    ]


class EndpointFigures:
    """Merges windows by label."""

    def __init__(self) -> None:
        self.known: dict[str, Endpoint] = {}
        self.folded = 0  # endpoints that went into OTHER here

    def add(self, window: Window) -> None:
        rows = window["endpoints"]
        named = [OTHER, *labels(rows[1:])]
        columns = [rows[c].tolist() for c in SCALARS]
        for name, counters, counts, seen_two_way, *scalars in zip(
            named,
            rows["counters"],
            window["latency_counts"],
            two_way(rows).tolist(),
            *columns,
            strict=True,
        ):
            if name != OTHER or counters.any():
                self._add(self._of(name), counters, counts, seen_two_way, *scalars)
        if len(self.known) > 2 * ROOM:
            self._fold()

    def _of(self, name: str) -> Endpoint:
        endpoint = self.known.get(name)
        if endpoint is None:
            endpoint = self.known[name] = Endpoint(name, np.zeros(Counter.C_COUNT, np.uint64))
        return endpoint

    @staticmethod
    def _add(
        endpoint: Endpoint,
        counters: NDArray[np.uint64],
        counts: NDArray[np.uint32],
        seen_two_way: bool,
        jitter_count: int,
        jitter_sum_ns: int,
        *latency: int,
    ) -> None:
        endpoint.totals += counters
        endpoint.jitter_count += jitter_count
        endpoint.jitter_sum_ns += jitter_sum_ns
        endpoint.latency.add(counts, *latency)
        if seen_two_way:
            lost = int(counters[Counter.C_LOST_UPSTREAM] + counters[Counter.C_LOST_DOWNSTREAM])
            endpoint.lost += lost
            endpoint.sent += int(counters[Counter.C_DATA_SEGMENTS]) + lost

    def _fold(self) -> None:
        named = [e for e in self.known.values() if e.label != OTHER]
        named.sort(key=lambda e: (-e.octets, e.label))
        other = self.known.get(OTHER) or Endpoint(OTHER, np.zeros(Counter.C_COUNT, np.uint64))
        for endpoint in named[ROOM:]:
            other.merge(endpoint)
        self.folded += len(named[ROOM:])
        self.known = {e.label: e for e in [*named[:ROOM], other]}

    def slowest(self, n: int) -> list[Endpoint]:
        """By p95 of network latency, the slowest first."""
        timed = [e for e in self.known.values() if e.latency.count]
        timed.sort(key=lambda e: (-(e.latency.percentiles_us(95)[0] or 0.0), e.label))
        return timed[:n]

    def busiest(self, n: int) -> list[Endpoint]:
        """By octets on the wire."""
        return sorted(self.known.values(), key=lambda e: (-e.octets, e.label))[:n]


def server_names(rows: Rows, source: int) -> set[str]:
    """Names of endpoint rows that came from `source` (NameSource)."""
    return {
        decode_name(bytes(row["name"])[: int(row["name_len"])])
        for row in rows[rows["name_source"] == source]
    }
