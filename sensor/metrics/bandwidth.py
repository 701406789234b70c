"""Bandwidth and bursts (definitions 1.2). Decimal megabits of octets on the wire."""

from bisect import bisect_left, insort
from collections import deque

from sensor._native.faces import Window
from sensor.model.metrics import BandwidthMetrics

BINS_PER_SECOND = 10
TRAILING_BINS = 600  # 60 s
MIN_TRAILING_BINS = 100  # 10 s: with less history nothing is called a burst
FLOOR_MBPS = 1.0  # a burst is at least this, or 5 % of a known capacity
CAPACITY_SHARE = 0.05


class BurstMeter:
    """Runs of 100-ms bins above twice the median of the 60 s before them.

    Streaming: a sorted copy of the trailing bins is kept, 600 numbers. Seconds without packets
    count as empty bins; seconds that come out of order are left out.
    """

    def __init__(self, capacity_mbps: float | None = None) -> None:
        floor = FLOOR_MBPS if capacity_mbps is None else CAPACITY_SHARE * capacity_mbps
        self.floor = floor * 1e6 / 8 / BINS_PER_SECOND  # octets per bin
        self.runs = 0
        self.burst_bins = 0
        self.judged_bins = 0
        self._in_run = False
        self._trail: deque[int] = deque()
        self._ordered: list[int] = []
        self._next_second: int | None = None

    def second(self, second: int, bins: list[int]) -> None:
        """The ten bins of one second; seconds must not go back (one that does is ignored)."""
        if self._next_second is not None:
            if second < self._next_second:
                return
            empty = (second - self._next_second) * BINS_PER_SECOND
            for _ in range(min(empty, TRAILING_BINS)):
                self._bin(0)
            self.judged_bins += max(0, empty - TRAILING_BINS)
        for octets in bins:
            self._bin(octets)
        self._next_second = second + 1

    def _bin(self, octets: int) -> None:
        trail, ordered = self._trail, self._ordered
        if len(trail) >= MIN_TRAILING_BINS:
            self.judged_bins += 1
            burst = octets > self.floor and octets > 2 * ordered[len(ordered) // 2]
            self.runs += burst and not self._in_run
            self.burst_bins += burst
            self._in_run = burst
        if len(trail) == TRAILING_BINS:
            del ordered[bisect_left(ordered, trail.popleft())]
        trail.append(octets)
        insort(ordered, octets)

    @property
    def per_hour(self) -> float | None:
        """Runs per hour of judged time; None with less than 10 s of history."""
        hours = self.judged_bins / BINS_PER_SECOND / 3600
        return round(self.runs / hours, 3) if hours else None

    @property
    def mean_ms(self) -> float | None:
        """Mean length of a run; None without one."""
        return self.burst_bins * 1000 / BINS_PER_SECOND / self.runs if self.runs else None


class BandwidthFigures:
    """Means and peaks per direction. Without a known local side there is no direction: None."""

    def __init__(self, *, local_known: bool, capacity_mbps: float | None = None) -> None:
        self.local_known = local_known
        self.capacity_mbps = capacity_mbps
        self.bytes_in = 0
        self.bytes_out = 0
        self.bytes_other = 0
        self.peak_in = 0  # octets in one aligned second
        self.peak_out = 0
        self.peak_total = 0
        self.bursts = BurstMeter(capacity_mbps)

    def add(self, window: Window) -> None:
        rows = window["seconds"]
        if not rows.size:
            return
        self.bytes_in += int(rows["bytes_in"].sum())
        self.bytes_out += int(rows["bytes_out"].sum())
        self.bytes_other += int(rows["bytes_other"].sum())
        self.peak_in = max(self.peak_in, int(rows["bytes_in"].max()))
        self.peak_out = max(self.peak_out, int(rows["bytes_out"].max()))
        total = rows["bytes_in"] + rows["bytes_out"] + rows["bytes_other"]
        self.peak_total = max(self.peak_total, int(total.max()))
        bins = rows["bins_in"].astype("u8") + rows["bins_out"] + rows["bins_other"]
        order = rows["second"].argsort(kind="stable")
        for second, row in zip(rows["second"][order].tolist(), bins[order].tolist(), strict=True):
            self.bursts.second(second, row)

    def metrics(self, period_s: float) -> BandwidthMetrics:
        """`period_s` of the figures is at least one second, their resolution."""
        if not self.local_known:
            return BandwidthMetrics(burst_frequency=self.bursts.per_hour)
        ingress, egress = mbps(self.bytes_in, period_s), mbps(self.bytes_out, period_s)
        # The mean over a second or more is a lower bound of the busiest second.
        peak_in, peak_out = max(mbps(self.peak_in), ingress), max(mbps(self.peak_out), egress)
        capacity = self.capacity_mbps
        return BandwidthMetrics(
            ingress_mbps=ingress,
            egress_mbps=egress,
            peak_ingress_mbps=peak_in,
            peak_egress_mbps=peak_out,
            bandwidth_utilization=max(ingress, egress) / capacity if capacity else None,
            burst_frequency=self.bursts.per_hour,
        )


def mbps(octets: int, seconds: float = 1.0) -> float:
    """Megabits per second over at least one second."""
    return round(octets * 8 / 1e6 / max(seconds, 1.0), 6)
