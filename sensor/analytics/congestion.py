"""Congestion (definitions 1.7): loss and a growing delay on several endpoints at once.

Loss without a longer round trip is no congestion, and neither is a long round trip without loss.
Windows are what is kept, so an event's length is a multiple of theirs.
"""

from typing import Any

import numpy as np

from sensor.analytics.figures import percentiles_ms, ratio
from sensor.store.reading import ReadingStore, Scope

WINDOW_S = 60
WINDOW_US = WINDOW_S * 1_000_000
DAY_US = 86_400_000_000
LOSSY = 0.01  # segments sent again, of all with data
FEWEST_SEGMENTS = 20
DELAYED = 1.5  # p50 over the endpoint's shortest round trip
ELEPHANT = 0.5  # of the window's octets: one such endpoint is enough
MOST = 500  # lossy windows whose delay is looked at, the newest
FIELDS = ("congestion_events", "avg_congestion_duration_ms", "packet_loss_during_congestion",
          "throughput_degradation")  # fmt: skip


def congestion(store: ReadingStore, scope: Scope) -> tuple[dict[str, Any], dict[str, str]]:
    """`congestion_analysis` over the newest day of the scope, and reasons for what is None."""
    since = max(scope.since, scope.until - DAY_US)
    day = Scope(since, scope.until, scope.agent_ids, scope.workspace_id)
    rows = store.metrics(day, WINDOW_S, ("endpoint",))
    if not len(rows["bucket"]) or np.isnan(rows["packets_retransmitted"]).all():
        text = "no windows with TCP are kept of this period"
        return dict.fromkeys(FIELDS), dict.fromkeys(FIELDS, text)
    segments = np.nan_to_num(rows["data_segments"])
    octets = rows["bytes_sent"] + rows["bytes_received"]
    lossy = (np.nan_to_num(rows["packets_retransmitted"]) > LOSSY * segments) & (
        segments >= FEWEST_SEGMENTS
    )
    whole = dict(zip(*totals(rows["bucket"], octets), strict=True))
    shortest = {g.key[0]: g.min_us for g in store.latency(day, None, ("endpoint",)) if g.min_us}
    congested = []
    for at in np.unique(rows["bucket"][lossy])[-MOST:].tolist():
        suspects = lossy & (rows["bucket"] == at)
        names = dict(zip(rows["endpoint"][suspects], octets[suspects], strict=True))
        window = Scope(at, at + WINDOW_US, scope.agent_ids, scope.workspace_id)
        slow = [
            name
            for group in store.latency(window, None, ("endpoint",))
            if (name := group.key[0]) in names and name in shortest
            if (percentiles_ms(group, 50)[0] or 0.0) * 1000 > DELAYED * shortest[name]
        ]
        if len(slow) >= 2 or any(names[name] > ELEPHANT * whole[at] for name in slow):
            congested.append(at)
    return figures(rows, np.array(congested, np.int64), whole)


def totals(
    keys: np.ndarray[Any, Any], values: np.ndarray[Any, Any]
) -> tuple[list[int], list[float]]:
    found, group = np.unique(keys, return_inverse=True)
    return found.tolist(), np.bincount(group, np.nan_to_num(values)).tolist()


def figures(
    rows: dict[str, Any], congested: np.ndarray[Any, Any], whole: dict[int, float]
) -> tuple[dict[str, Any], dict[str, str]]:
    if not len(congested):
        none = {"avg_congestion_duration_ms", "packet_loss_during_congestion",
                "throughput_degradation"}  # fmt: skip
        return {**dict.fromkeys(FIELDS), "congestion_events": 0}, dict.fromkeys(
            sorted(none), "there was no congestion"
        )
    events = np.split(congested, np.flatnonzero(np.diff(congested) > WINDOW_US) + 1)
    during = np.isin(rows["bucket"], congested)
    lost, segments = (float(np.nansum(rows[n][during])) for n in ("packets_lost", "loss_segments"))
    changes = [
        1 - float(np.mean([whole[at] for at in event.tolist()])) / before
        for event in events
        if (before := whole.get(int(event[0]) - WINDOW_US))
    ]
    made = {
        "congestion_events": len(events),
        "avg_congestion_duration_ms": round(len(congested) * WINDOW_S * 1000 / len(events), 3),
        "packet_loss_during_congestion": ratio(lost, lost + segments),
        # Below 0: more went through than in the window before.
        "throughput_degradation": round(float(np.mean(changes)), 6) if changes else None,
    }
    why = {} if changes else {"throughput_degradation": "nothing is known of the window before"}
    return made, why
