"""What holds traffic up, as far as one host can see it, by cause (definitions 1.5).

A cause is named when its figures are beyond both thresholds of its row in docs/analytics.md; the
figures come along. They are correlations at one place: the mending is elsewhere at times.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.analytics.figures import merged, milliseconds, percentiles_ms, ratio, time_text
from sensor.analytics.series import DAY_US, HOUR_S, HOUR_US, Traffic, Values
from sensor.store.reading import Columns, Latency, ReadingStore, Scope

ENDPOINT_DAYS, SECONDS_DAYS = 7, 2
SATURATED = 0.8  # 95th percentile of the seconds of an hour, of the capacity
LOSSY = 0.01  # segments sent again, of those with data
MORE_LOSSY = 2.0  # in busy hours than in quiet ones
QUEUE, QUEUE_MS = 3.0, 20.0  # 95th percentile over the shortest round trip
RISING = 0.6  # rank correlation of the delay with the rate
FEWEST_HOURS = 24
FEWEST_SEGMENTS, FEWEST_SAMPLES = 1000, 100
ZERO_WINDOWS, ZERO_SHARE = 5, 0.25  # per hour, and in so many of the hours
FEWEST_RECEIVING = 6  # hours
SLOW_MS, SLOW_TIMES = 500.0, 5.0  # 95th percentile, alone and over that of the round trip
BLIND_SHARE, DROPPED = 0.01, 0.001
MOST = 50
Key = tuple[str | None, ...]
Finding = dict[str, Any]


def analyse(
    store: ReadingStore, scope: Scope, traffic: Traffic, capacity_mbps: float | None
) -> dict[str, Any]:
    """`bottleneck_analysis`: what is worst first, by the share of the traffic that it is about."""
    found = [
        *saturated(store, scope, traffic, capacity_mbps),
        *by_endpoint(store, newest(scope, ENDPOINT_DAYS)),
        *(one for agent in traffic.by_agent for one in slow_servers(store, scope, agent)),
        *(one for agent in traffic.by_agent for one in sensor_drops(store, scope, agent)),
    ]
    found.sort(key=lambda one: (-one["impact"], one["cause"], str(one["endpoint"])))
    reasons = {}
    if capacity_mbps is None:
        reasons["link_saturated"] = "the link's capacity is not known"
    return {"bottlenecks": found[:MOST], "found": len(found), "reasons": reasons}


def newest(scope: Scope, days: int) -> Scope:
    return replace(scope, since=max(scope.since, scope.until - days * DAY_US))


def only(scope: Scope, agent: str) -> Scope:
    return replace(scope, agent_ids=(agent,))


def finding(
    cause: str,
    agent: str | None,
    endpoint: str | None,
    impact: float,
    evidence: dict[str, Any],
    threshold: dict[str, Any],
) -> Finding:
    """impact: 0..1, the share of time or octets that it is about."""
    return {
        "cause": cause,
        "agent_id": agent,
        "endpoint": endpoint,
        "impact": round(min(max(impact, 0.0), 1.0), 4),
        "evidence": evidence,
        "threshold": threshold,
    }


# ---- the link


def saturated(
    store: ReadingStore, scope: Scope, traffic: Traffic, capacity_mbps: float | None
) -> Iterator[Finding]:
    """Hours whose seconds (the newest two days) or whose mean (before) fill the link to 80 %."""
    if capacity_mbps is None:
        return
    full = SATURATED * capacity_mbps
    for agent, sides in traffic.by_agent.items():
        mean = np.fmax(*sides)
        hours = {int(traffic.total.times[at]) for at in np.flatnonzero(mean > full)}
        recent = newest(only(scope, agent), SECONDS_DAYS)
        worst = float(np.nanmax(mean)) if not np.isnan(mean).all() else 0.0
        for hour, busy in busy_seconds(store.bandwidth(recent, 1)):
            worst = max(worst, busy)
            if busy > full:
                hours.add(hour)
        if hours:
            known = max(int((~np.isnan(mean)).sum()), 1)
            yield finding(
                "link_saturated", agent, None, len(hours) / known,
                {"hours": len(hours), "known_hours": known, "worst_mbps": round(worst, 6),
                 "first": time_text(min(hours)), "last": time_text(max(hours) + HOUR_US)},
                {"p95_of_seconds_mbps": round(full, 6)},
            )  # fmt: skip


def busy_seconds(seconds: Columns) -> Iterator[tuple[int, float]]:
    """Each hour's 95th percentile of its 3600 seconds, busier direction, Mbps; seconds without
    traffic count."""
    if not len(seconds["bucket"]):
        return
    hour = seconds["bucket"] // HOUR_US
    for at in np.unique(hour).tolist():
        rows = hour == at
        busier = 0.0
        for side in ("bytes_in", "bytes_out"):
            some = np.zeros(HOUR_S)
            octets = seconds[side][rows][:HOUR_S]
            some[: len(octets)] = octets
            busier = max(busier, float(np.percentile(some, 95)))
        yield at * HOUR_US, busier * 8 / 1e6


# ---- endpoints


def by_endpoint(store: ReadingStore, scope: Scope) -> Iterator[Finding]:
    """Loss, queues and closed windows, by hour and endpoint over the newest week."""
    rows = store.metrics(scope, HOUR_S, ("agent_id", "endpoint"))
    octets = rows["bytes_sent"] + rows["bytes_received"]
    whole = float(np.nansum(octets))
    delays: dict[Key, list[Latency]] = {}
    for group in store.latency(scope, HOUR_S, ("agent_id", "endpoint")):
        delays.setdefault(group.key, []).append(group)
    for key, at in groups(rows):
        share = ratio(float(np.nansum(octets[at])), whole) or 0.0
        yield from losses(key, rows, at, octets, share)
        yield from closed_windows(key, rows, at, share)
        yield from queues(key, rows["bucket"][at], octets[at], delays.get(key, []), share)


def groups(rows: Columns) -> Iterator[tuple[Key, NDArray[np.int64]]]:
    """The rows of each agent and endpoint."""
    found: dict[Key, list[int]] = {}
    keys = zip(rows["agent_id"].tolist(), rows["endpoint"].tolist(), strict=True)
    for n, (agent, endpoint) in enumerate(keys):
        found.setdefault((agent, endpoint), []).append(n)
    for who, at in found.items():
        yield who, np.array(at, np.int64)


def losses(
    key: Key, rows: Columns, at: NDArray[np.int64], octets: Values, share: float
) -> Iterator[Finding]:
    """Segments sent again: more of them when there is more traffic, or at any time."""
    again = np.nan_to_num(rows["packets_retransmitted"][at])
    segments = np.nan_to_num(rows["data_segments"][at])
    rate = octets[at]
    if segments.sum() < FEWEST_SEGMENTS or len(at) < FEWEST_HOURS:
        return
    busy = rate > np.median(rate)
    high, low = (ratio(float(again[w].sum()), float(segments[w].sum())) for w in (busy, ~busy))
    if high is None or high <= LOSSY:
        return
    is_load = low is None or high >= MORE_LOSSY * low
    if not is_load and (low is None or low <= LOSSY):
        return
    yield finding(
        "loss_congestion" if is_load else "lossy_path", key[0], key[1], share,
        {"retransmitted_busy": high, "retransmitted_quiet": low, "hours": len(at),
         "data_segments": int(segments.sum())},
        {"retransmitted": LOSSY, "busy_to_quiet": MORE_LOSSY},
    )  # fmt: skip


def queues(
    key: Key, buckets: NDArray[np.int64], octets: Values, delays: list[Latency], share: float
) -> Iterator[Finding]:
    """Round trips that grow with the rate (bufferbloat)."""
    rate = dict(zip(buckets.tolist(), octets.tolist(), strict=True))
    both = [(d, rate[d.bucket]) for d in delays if d.bucket in rate and d.slots]
    if len(both) < FEWEST_HOURS:
        return
    whole = merged(d for d, _ in both)
    (p95,) = percentiles_ms(whole, 95)
    shortest = milliseconds(whole.min_us)
    if p95 is None or shortest is None or whole.count < FEWEST_SAMPLES:
        return
    if p95 <= QUEUE * shortest or p95 - shortest <= QUEUE_MS:
        return
    by_hour = np.array([percentiles_ms(d, 95)[0] or 0.0 for d, _ in both])
    together = rank_correlation(by_hour, np.array([r for _, r in both]))
    if together >= RISING:
        yield finding(
            "queueing", key[0], key[1], share,
            {"p95_ms": p95, "min_ms": shortest, "correlation_with_rate": round(together, 3),
             "hours": len(both), "samples": whole.count},
            {"p95_to_min": QUEUE, "correlation_with_rate": RISING},
        )  # fmt: skip


def rank_correlation(a: Values, b: Values) -> float:
    """Spearman's; 0 when one of them does not change."""
    ranks = [ranked(a), ranked(b)]
    if any(float(r.std()) == 0 for r in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def ranked(values: Values) -> Values:
    """Equal values share the mean of their ranks."""
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    made: Values = (last - (counts - 1) / 2)[at]
    return made


def closed_windows(
    key: Key, rows: Columns, at: NDArray[np.int64], share: float
) -> Iterator[Finding]:
    """A receiver that does not read what it is sent, in many of its hours."""
    closed = rows["zero_windows"][at]
    known = int((~np.isnan(closed)).sum())
    if known < FEWEST_RECEIVING:
        return
    with np.errstate(invalid="ignore"):
        hours = int((closed >= ZERO_WINDOWS).sum())
    if hours >= ZERO_SHARE * known:
        yield finding(
            "receiver_limited", key[0], key[1], share,
            {"zero_windows": int(np.nansum(closed)), "hours": hours, "known_hours": known},
            {"zero_windows_per_hour": ZERO_WINDOWS, "share_of_hours": ZERO_SHARE},
        )  # fmt: skip


# ---- servers, and ourselves


def slow_servers(store: ReadingStore, scope: Scope, agent: str) -> Iterator[Finding]:
    """Answers that take long while the network does not. Which endpoint is not known."""
    recent = newest(only(scope, agent), 1)
    answers = merged(store.latency(recent, None, kind="http_response"))
    if answers.count < FEWEST_SAMPLES:
        return
    (p95,) = percentiles_ms(answers, 95)
    (round_trip,) = percentiles_ms(merged(store.latency(recent, None)), 95)
    if p95 is None or round_trip is None or p95 <= SLOW_MS or p95 <= SLOW_TIMES * round_trip:
        return
    slow = sum(n for us, n in answers.slots.items() if us > SLOW_MS * 1000)
    yield finding(
        "server_slow", agent, None, slow / answers.count,
        {"http_response_p95_ms": p95, "round_trip_p95_ms": round_trip, "samples": answers.count},
        {"http_response_p95_ms": SLOW_MS, "to_round_trip": SLOW_TIMES},
    )  # fmt: skip


def sensor_drops(store: ReadingStore, scope: Scope, agent: str) -> Iterator[Finding]:
    """What we missed ourselves: figures of these windows are too low."""
    health = store.health(only(scope, agent), None)
    if not len(health["windows"]):
        return
    windows = float(health["windows"][0])
    poor = float(health["degraded"][0] + health["blind"][0])
    dropped, received = (float(np.nan_to_num(health[n][0])) for n in ("dropped", "received"))
    missed = ratio(dropped, dropped + received) or 0.0
    share = ratio(poor, windows) or 0.0
    if share > BLIND_SHARE or missed > DROPPED:
        yield finding(
            "sensor", agent, None, max(share, missed),
            {"windows": int(windows), "degraded": int(health["degraded"][0]),
             "blind": int(health["blind"][0]), "dropped": int(dropped), "dropped_share": missed},
            {"degraded_share": BLIND_SHARE, "dropped_share": DROPPED},
        )  # fmt: skip
