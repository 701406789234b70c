"""Connections that come back like a clock: start times per (source, destination, port).

A consumer of finished connections, off the hot path. Once an hour of packet time, and at the end
of input, every pair with enough starts becomes a row of the table "pair", for rules to judge.

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
_KEY = ("orig_ip", "resp_ip", "resp_port", "protocol")

Sink = Callable[[str, Rows, int, int], None]


class _Pair:
    __slots__ = ("first_ns", "last_ns", "number", "sizes", "starts", "times")

    def __init__(self, number: int, start_ns: int) -> None:
        self.number = number  # names the slot's generation
        self.first_ns = self.last_ns = start_ns
        self.starts = 0
        self.times: deque[int] = deque(maxlen=KEPT)
        self.sizes: deque[int] = deque(maxlen=KEPT)

    def add(self, start_ns: int, size: int) -> None:
        self.starts += 1
        self.first_ns = min(self.first_ns, start_ns)
        self.last_ns = max(self.last_ns, start_ns)
        self.times.append(start_ns)
        self.sizes.append(size)


class Beacons:
    """Feed it finished connections; it calls `sink(table, rows, start_ns, end_ns)` by the hour."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pairs: OrderedDict[bytes, _Pair] = OrderedDict()
        self._slots: dict[bytes, int] = {}
        self._free: list[int] = list(range(MOST_PAIRS - 1, -1, -1))
        self._made = 0
        self._hour: int | None = None
        self._newest_ns = 0

    def window(self, window: Window) -> None:
        """Connections are all that is looked at."""

    def flows(self, rows: Rows, names: bytes) -> None:
        """Finished connections of local hosts that were answered; attempts make no beacon."""
        answered = rows[(rows["resp_packets"] > 0) & (rows["local"] & 1 == 1)]
        if not len(answered):
            return
        self._until(int(answered["ended_ns"].max()))
        answered = answered[np.argsort(answered["started_ns"], kind="stable")]
        keys = np.empty(len(answered), [(name, answered.dtype[name]) for name in _KEY])
        for name in _KEY:
            keys[name] = answered[name]
        starts, sizes = answered["started_ns"].tolist(), answered["orig_bytes"].tolist()
        width = keys.dtype.itemsize
        octets = keys.tobytes()
        for i, start_ns in enumerate(starts):
            pair = self._pair(octets[i * width : (i + 1) * width], start_ns)
            pair.add(start_ns, sizes[i])

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

    def _pair(self, key: bytes, start_ns: int) -> _Pair:
        pair = self._pairs.get(key)
        if pair is not None:
            self._pairs.move_to_end(key)
            return pair
        if not self._free:
            oldest, _ = self._pairs.popitem(last=False)
            self._free.append(self._slots.pop(oldest))
        self._made += 1
        pair = self._pairs[key] = _Pair(self._made, start_ns)
        self._slots[key] = self._free.pop()
        return pair

    def _tell(self, start_ns: int, end_ns: int) -> None:
        worth = [(k, p) for k, p in self._pairs.items() if p.starts >= FEWEST]
        rows = np.zeros(len(worth), PAIR)
        for row, (key, pair) in zip(rows, worth, strict=True):
            self._fill(row, key, pair)
        self._sink("pair", rows, start_ns, end_ns)

    def _fill(self, row: np.void, key: bytes, pair: _Pair) -> None:
        row["slot"] = self._slots[key]
        row["generation"] = pair.number & 0xFFFFFFFF
        row["address"] = np.void(key[:16])
        row["peer"] = row["top_address"] = np.void(key[16:32])
        row["port"] = row["top_port"] = int.from_bytes(key[32:34], "little")
        row["protocol"] = key[34]
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
