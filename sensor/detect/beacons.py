"""Connections that come back like a clock: start times per (source, destination, port).

A consumer of finished connections, off the hot path. Most pairs come once and never again: the
first start waits in a table of fixed size (newest wins), the second makes the pair. Once an hour of
packet time, and at the end of input, every pair with enough starts becomes a row of the table
"pair", for rules to judge.

The score is RITA's (Active Countermeasures, github.com/activecm/rita): the mean of Bowley skewness
and relative median absolute deviation, each of the intervals and of the octets sent; 1 is a clock.
"""

from collections import OrderedDict, deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sensor._native.faces import Rows, Window
from sensor.detect.expression import Values
from sensor.detect.window import NS

PAIR = np.dtype(
    [
        ("slot", "<u4"),
        ("generation", "<u4"),
        ("address", "V16"),  # who starts
        ("peer", "V16"),
        ("port", "<u2"),
        ("protocol", "u1"),
        ("local", "u1"),  # always 1: who starts is the agent's own
        ("starts", "<u4"),  # since the pair was first seen
        ("span_s", "<f4"),  # from the first to the last of them
        ("interval_s", "<f4"),  # median
        ("interval_score", "<f4"),  # 0..1
        ("size_score", "<f4"),  # 0..1
        ("score", "<f4"),  # 0..1, the mean of the two
        ("bytes", "<f4"),  # median payload octets that it sends per connection
        ("top_address", "V16"),
        ("top_port", "<u2"),
        ("top_count", "<u4"),
        ("top_total", "<u4"),
    ]
)
PERIOD_NS = 3600 * NS
MOST_PAIRS = 8192  # the least recently used gives way
KEPT = 128  # newest starts of a pair
FEWEST = 8  # starts before a pair is worth a row
APART_NS = NS  # starts closer together are one: a page fetched over several connections
ONCE = 65536  # pairs that came once, by hash

Hashes = NDArray[np.uint64]
Sink = Callable[[str, Rows, int, int], None]


class _Pair:
    __slots__ = ("first_ns", "key", "last_ns", "number", "sizes", "slot", "starts", "times")

    def __init__(self, flow: np.void, number: int, slot: int) -> None:
        self.key = (
            flow["orig_ip"].tobytes(),
            flow["resp_ip"].tobytes(),
            int(flow["resp_port"]),
            int(flow["protocol"]),
        )
        self.number = number  # names the slot's generation
        self.slot = slot
        self.first_ns = self.last_ns = 0
        self.starts = 0
        self.times: deque[int] = deque(maxlen=KEPT)
        self.sizes: deque[int] = deque(maxlen=KEPT)

    def add(self, start_ns: int, size: int) -> None:
        self.first_ns = min(self.first_ns, start_ns) if self.starts else start_ns
        self.last_ns = max(self.last_ns, start_ns)
        self.starts += 1
        self.times.append(start_ns)
        self.sizes.append(size)


class Beacons:
    """Feed it finished connections; it calls `sink(table, rows, start_ns, end_ns)` by the hour."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pairs: OrderedDict[int, _Pair] = OrderedDict()  # by hash
        self._free: list[int] = list(range(MOST_PAIRS - 1, -1, -1))
        self._made = 0
        self._once = np.zeros(ONCE, [("hash", "<u8"), ("start_ns", "<u8"), ("bytes", "<u8")])
        self._hour: int | None = None
        self._newest_ns = 0

    def window(self, window: Window) -> None:
        """Connections are all that is looked at."""

    def flows(self, rows: Rows, names: bytes) -> None:
        """Finished connections of local hosts that were answered; attempts make no beacon."""
        at = np.flatnonzero((rows["resp_packets"] > 0) & (rows["local"] & 1 == 1))
        if not len(at):
            return
        at = at[np.argsort(rows["started_ns"][at], kind="stable")]
        self._until(int(rows["ended_ns"][at].max()))
        starts, sizes = rows["started_ns"][at], rows["orig_bytes"][at]
        hashes = hashes_of(rows, at)
        new = self._new(hashes)
        place = hashes[new] % ONCE
        self._once["hash"][place] = hashes[new]
        self._once["start_ns"][place] = starts[new]
        self._once["bytes"][place] = sizes[new]
        for i in np.flatnonzero(~new).tolist():
            self._pair(int(hashes[i]), rows[at[i]]).add(int(starts[i]), int(sizes[i]))

    def _new(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Connections whose pair was never seen and does not come twice here."""
        pairs, which, times = np.unique(hashes, return_inverse=True, return_counts=True)
        known = np.fromiter((h in self._pairs for h in pairs.tolist()), np.bool_, len(pairs))
        alone = ~known & (times == 1) & (self._once["hash"][pairs % ONCE] != pairs)
        return np.asarray(alone[which])

    def finish(self) -> None:
        """End of input: the hour that had begun."""
        if self._hour is not None:
            self._tell(self._hour * PERIOD_NS, max(self._newest_ns, self._hour * PERIOD_NS + 1))
            self._hour = None

    def _until(self, now_ns: int) -> None:
        hour = now_ns // PERIOD_NS
        if self._hour is not None and hour > self._hour:
            self._tell(self._hour * PERIOD_NS, (self._hour + 1) * PERIOD_NS)
        self._hour = hour if self._hour is None else max(self._hour, hour)
        self._newest_ns = max(self._newest_ns, now_ns)

    def _pair(self, number: int, flow: np.void) -> _Pair:
        """The pair of that hash; made, with the start that waited, when it is its second."""
        pair = self._pairs.get(number)
        if pair is not None:
            self._pairs.move_to_end(number)
            return pair
        if not self._free:
            _, oldest = self._pairs.popitem(last=False)
            self._free.append(oldest.slot)
        self._made += 1
        pair = self._pairs[number] = _Pair(flow, self._made, self._free.pop())
        waited = self._once[number % ONCE]
        if waited["hash"] == number:
            pair.add(int(waited["start_ns"]), int(waited["bytes"]))
            waited["hash"] = 0
        return pair

    def _tell(self, start_ns: int, end_ns: int) -> None:
        worth = [pair for pair in self._pairs.values() if pair.starts >= FEWEST]
        rows = np.zeros(len(worth), PAIR)
        for row, pair in zip(rows, worth, strict=True):
            self._fill(row, pair)
        self._sink("pair", rows, start_ns, end_ns)

    def _fill(self, row: np.void, pair: _Pair) -> None:
        row["slot"] = pair.slot
        row["generation"] = pair.number & 0xFFFFFFFF
        address, peer, port, row["protocol"] = pair.key
        row["address"] = np.void(address)
        row["peer"] = row["top_address"] = np.void(peer)
        row["port"] = row["top_port"] = port
        row["local"] = 1
        row["starts"] = row["top_count"] = row["top_total"] = pair.starts
        row["span_s"] = (pair.last_ns - pair.first_ns) / NS
        intervals = _intervals(np.sort(np.array(pair.times, np.int64)))
        sizes = np.array(pair.sizes, np.float64)
        row["bytes"] = np.median(sizes)
        if len(intervals) + 1 >= FEWEST:
            row["interval_s"] = np.median(intervals)
            row["interval_score"] = regularity(intervals)
            row["size_score"] = regularity(sizes)
            row["score"] = (row["interval_score"] + row["size_score"]) / 2


def hashes_of(flows: Rows, at: NDArray[np.intp]) -> Hashes:
    """64 bits of source, destination, port and protocol (the mixer of SplitMix64, Steele 2014)."""
    number = np.zeros(len(at), np.uint64)
    words = [
        flows[name][at].view(np.uint64).reshape(-1, 2)[:, half]
        for name in ("orig_ip", "resp_ip")
        for half in (0, 1)
    ]
    ports = flows["resp_port"][at].astype(np.uint64) << np.uint64(8) | flows["protocol"][at]
    for word in (*words, ports):
        number = (number ^ word) + np.uint64(0x9E3779B97F4A7C15)
        number = (number ^ number >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        number = (number ^ number >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        number ^= number >> np.uint64(31)
    return number | np.uint64(1)  # 0: a free place


def _intervals(times: NDArray[np.int64]) -> Values:
    """Seconds between starts."""
    gaps = np.diff(times)
    return gaps[gaps >= APART_NS] / NS


def regularity(values: Values) -> float:
    """How alike values are, 0..1: mean of 1 - |Bowley skewness| and 1 - MAD / median."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    spread = high - low
    skew = 0.0
    if spread > 0.05 * middle and low < middle < high:  # else rounding decides the skewness
        skew = (low + high - 2 * middle) / spread
    deviation = float(np.median(np.abs(values - middle)))
    even = 1.0 if middle <= 0 else max(1 - deviation / float(middle), 0.0)
    return float((1 - abs(skew) + even) / 2)
