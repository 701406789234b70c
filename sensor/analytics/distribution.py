"""How network latency was distributed: the histogram behind the percentiles of a period or step."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from sensor.analytics.figures import merged, percentiles_ms, time_text
from sensor.analytics.timeframe import BadTimeframe, Period
from sensor.store.reading import ReadingStore

# Edges of bins, us: ISO 3's R10, ten a decade, from 1 us to 1000 s.
R10 = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
EDGES = [10**decade * step for decade in range(9) for step in R10]


def analyse(
    store: ReadingStore, agent_id: str, period: Period, at_ms: int | None = None
) -> dict[str, Any]:
    """The answer of GET latency-histogram: the whole period, or its step that `at_ms` is in.

    BadTimeframe: that step is not of the period.
    """
    scope = period.scope(agent_id)
    if at_ms is not None:
        step = period.step_s * 1_000_000
        since = at_ms * 1000 // step * step
        if since + step <= scope.since or since >= scope.until:
            raise BadTimeframe("at is outside the timeframe")
        # A step that begins before the period is shown as far as the period goes, as in series.
        scope = replace(scope, since=max(since, scope.since), until=min(since + step, scope.until))
    latency = merged(store.latency(scope, None))
    p50, p95, p99 = percentiles_ms(latency, 50, 95, 99)
    return {
        "agent_id": agent_id,
        "timeframe": period.timeframe,
        "since": time_text(scope.since),
        "until": time_text(scope.until),
        "count": latency.count,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "bins": bins(latency.slots),
    }


def bins(slots: Mapping[int, int]) -> list[dict[str, Any]]:
    """Samples above `from_ms` and up to `to_ms`, from the first bin with some to the last.

    A slot of the histogram counts where its largest value is: at most a slot's width (0.1 %) off.
    """
    counts = [0] * (len(EDGES) + 1)
    for us, n in slots.items():
        counts[bisect_left(EDGES, us)] += n
    used = [at for at, n in enumerate(counts) if n]
    if not used:
        return []
    edges = [0.0, *EDGES, float(max(*slots, EDGES[-1] + 1))]
    return [
        {"from_ms": round(low / 1000, 6), "to_ms": round(high / 1000, 6), "count": counts[at]}
        for at, (low, high) in enumerate(pairwise(edges))
        if used[0] <= at <= used[-1]
    ]
