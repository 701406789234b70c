"""Traffic over time as arrays: a rate per step, NaN where nobody looked (definitions 1.5).

An hour without traffic is 0 only when a window of it was written; without one it is a gap. Hours
and days are those of a time zone, steps those of UTC.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sensor.analytics.figures import MEGABIT, time_text
from sensor.analytics.timeframe import SECOND_US, observed, runs_of
from sensor.analytics.timeline import buckets_of, spread
from sensor.store.reading import ReadingStore, Scope

HOUR_S, DAY_S, WINDOW_S = 3600, 86_400, 60
HOUR_US, DAY_US = HOUR_S * SECOND_US, DAY_S * SECOND_US
WINDOWS_KEPT_US = 14 * DAY_US  # as retention leaves them
LEAST_COVERED = 0.25  # of a step: with less its rate is not known
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEKEND = (5, 6)
Values = NDArray[np.float64]
Whole = NDArray[np.int64]


class BadTimezone(ValueError):
    """Not the name of a time zone."""


def zone_of(name: str) -> ZoneInfo:
    """`UTC`, `Europe/Zurich`, ...; BadTimezone for anything else."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise BadTimezone("a time zone is a name such as UTC or Europe/Zurich") from None


@dataclass(frozen=True, slots=True)
class Series:
    """One value per step from `start` (us) on."""

    start: int
    step_s: int
    values: Values
    zone: ZoneInfo

    @property
    def step_us(self) -> int:
        return self.step_s * SECOND_US

    @property
    def times(self) -> Whole:
        """Starts of the steps, us."""
        return self.start + np.arange(len(self.values), dtype=np.int64) * self.step_us

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.values)

    @property
    def known_days(self) -> float:
        return float(self.known.sum()) * self.step_s / DAY_S

    def with_values(self, values: Values) -> "Series":
        return Series(self.start, self.step_s, values, self.zone)

    def local(self) -> tuple[Whole, Whole, Whole]:
        """Hour of the day, day of the week (Monday 0) and day since 1970 of each step, in the
        zone."""
        return local_parts(self.times, self.zone)


def local_parts(times: Whole, zone: ZoneInfo) -> tuple[Whole, Whole, Whole]:
    hours, at = np.unique(times // HOUR_US, return_inverse=True)  # offsets change on the hour
    offsets = np.array([offset_s(int(hour) * HOUR_S, zone) for hour in hours], np.int64)
    seconds = times // SECOND_US + (offsets[at] if len(at) else 0)
    days = seconds // DAY_S
    return seconds % DAY_S // HOUR_S, (days + 3) % 7, days


def offset_s(second: int, zone: ZoneInfo) -> int:
    found = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
    return 0 if found is None else int(found.total_seconds())


def covered_s(spans: list[tuple[int, int]], buckets: Whole, step_us: int) -> Values:
    """Seconds of each step that lie within a span; the spans do not overlap."""
    if not spans:
        return np.zeros(len(buckets))
    begins, ends = (np.array(side, np.float64) for side in zip(*spans, strict=True))
    lengths = np.concatenate(([0.0], np.cumsum(ends - begins)))
    edges = np.column_stack((begins, ends)).ravel()
    upto = np.column_stack((lengths[:-1], lengths[1:])).ravel()

    def seen(at: Whole) -> Values:
        found: Values = np.interp(at.astype(np.float64), edges, upto)
        return found

    return (seen(buckets + step_us) - seen(buckets)) / SECOND_US


@dataclass(frozen=True, slots=True)
class Traffic:
    """Mbps by hour: of all agents together, and of each."""

    total: Series
    received: Series
    sent: Series
    by_agent: dict[str, tuple[Values, Values]]  # received, sent

    @property
    def busier(self) -> Series:
        """The busier direction of each hour: what fills a full-duplex link first."""
        return self.total.with_values(np.fmax(self.received.values, self.sent.values))


def hourly(store: ReadingStore, scope: Scope, zone: ZoneInfo) -> Traffic:
    """An agent that was not there adds nothing to the total; where none was, there is a gap."""
    found = store.metrics(scope, HOUR_S, ("agent_id",))
    buckets = buckets_of(scope, HOUR_S)
    health = store.health(scope, HOUR_S)
    written = np.nan_to_num(spread(buckets, health, health["windows"])) > 0
    by_agent = {}
    for agent in sorted({run.agent_id for run in runs_of(store, scope)}):
        runs = [run for run in runs_of(store, scope) if run.agent_id == agent]
        spans = observed(runs, scope.since, scope.until)
        seconds = covered_s(spans, buckets, HOUR_US)
        seen = seconds >= LEAST_COVERED * HOUR_S
        rows = {name: column[found["agent_id"] == agent] for name, column in found.items()}
        sides = []
        for name in ("bytes_received", "bytes_sent"):
            octets = spread(buckets, rows, rows[name])
            octets[np.isnan(octets) & seen & written] = 0.0
            with np.errstate(divide="ignore", invalid="ignore"):
                sides.append(np.where(seen, octets * 8 / MEGABIT / seconds, np.nan))
        by_agent[agent] = (sides[0], sides[1])
    start = int(buckets[0]) if len(buckets) else scope.since
    received, sent = (
        Series(start, HOUR_S, summed([sides[n] for sides in by_agent.values()], len(buckets)), zone)
        for n in (0, 1)
    )
    return Traffic(received.with_values(received.values + sent.values), received, sent, by_agent)


def summed(parts: list[Values], length: int) -> Values:
    """Sum of what is known; NaN where nothing is."""
    if not parts:
        return np.full(length, np.nan)
    stacked = np.array(parts)
    made: Values = np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, axis=0))
    return made


def minutely(store: ReadingStore, scope: Scope, zone: ZoneInfo) -> Series:
    """Mbps by minute (by window where these are longer) over the newest 14 days of the scope.

    The octets are those of the protocols, which are a partition of all traffic.
    """
    since = max(scope.since, scope.until - WINDOWS_KEPT_US)
    recent = Scope(since, scope.until, scope.agent_ids, scope.workspace_id)
    health = store.health(recent, WINDOW_S)
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = health["window_s"] / health["windows"]
    usual = float(np.median(lengths)) if len(lengths) else WINDOW_S
    step_s = max(WINDOW_S, round(usual / WINDOW_S) * WINDOW_S)
    mix = store.protocols(recent, step_s)
    if step_s != WINDOW_S:
        health = store.health(recent, step_s)
    buckets = buckets_of(recent, step_s)
    octets = np.zeros(len(buckets))
    at = np.searchsorted(buckets, mix["bucket"])
    inside = at < len(buckets)
    np.add.at(octets, at[inside], np.nan_to_num(mix["bytes"][inside]))
    seen = np.zeros(len(buckets), np.bool_)
    seen[at[inside]] = True
    seen |= np.nan_to_num(spread(buckets, health, health["windows"])) > 0
    values = np.where(seen, octets * 8 / MEGABIT / step_s, np.nan)
    # What is at the ends has no whole window.
    start = int(buckets[0]) if len(buckets) else since
    return trimmed(Series(start, step_s, values, zone))


def trimmed(series: Series) -> Series:
    """Without the gaps at both ends."""
    known = np.flatnonzero(series.known)
    if not len(known):
        return Series(series.start, series.step_s, np.empty(0), series.zone)
    first, last = int(known[0]), int(known[-1])
    return Series(
        series.start + first * series.step_us,
        series.step_s,
        series.values[first : last + 1],
        series.zone,
    )


def runs_where(mask: NDArray[np.bool_], gap: int = 0) -> list[tuple[int, int]]:
    """First and last (excluded) index of each run of True; runs at most `gap` apart are one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for begin, end in edges.reshape(-1, 2).tolist():
        if runs and begin - runs[-1][1] <= gap:
            runs[-1] = runs[-1][0], end
        else:
            runs.append((begin, end))
    return runs


def heatmap(hours: Series) -> dict[str, Any]:
    """Mean Mbps by day of the week and hour; null where nobody looked."""
    hour, day, _ = hours.local()
    cell = day * 24 + hour
    known = hours.known
    n = np.bincount(cell[known], minlength=168)
    sums = np.bincount(cell[known], hours.values[known], minlength=168)
    cells = [round(s / k, 6) if k else None for s, k in zip(sums.tolist(), n.tolist(), strict=True)]
    return {
        "hours": list(range(24)),
        "days": list(DAYS),
        "mbps": [cells[at : at + 24] for at in range(0, 168, 24)],
        "timezone": hours.zone.key,
    }


def span_of(series: Series, begin: int, end: int) -> dict[str, Any]:
    """When steps `begin` to `end` (excluded) were."""
    since, until = (series.start + at * series.step_us for at in (begin, end))
    return {
        "start": time_text(since),
        "end": time_text(until),
        "duration_s": (end - begin) * series.step_s,
    }
