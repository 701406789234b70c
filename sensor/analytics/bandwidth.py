"""BandwidthAnalytics (specification 4.1, definitions 1.2 and 1.7). Octets of both directions."""

from typing import Any

import numpy as np

from sensor.analytics import cost
from sensor.analytics.congestion import congestion
from sensor.analytics.cost import FIELDS, NO_PRICE, Billing
from sensor.analytics.figures import MEGABIT, mbps
from sensor.analytics.microbursts import BIN_MS, Bins, Bursts, bursts, dense
from sensor.analytics.timeframe import Period, observed, observed_seconds, runs_of
from sensor.analytics.traffic_classes import CLASSES, allocation, shares
from sensor.store.reading import Columns, ReadingStore, Scope

SUSTAINED_S = 60
MOST_DELAY_S = 0.1  # what shaping may hold a packet back
BITS_PER_BIN = 8 * 1000 / BIN_MS  # octets of a bin to bits per second
NOT_SEEN = "bodies of responses are not looked into"
NO_SECONDS = "no seconds with traffic are kept of this period"


def analyse(
    store: ReadingStore,
    agent_id: str,
    period: Period,
    *,
    capacity_mbps: float | None = None,
    billing: Billing | None = None,
) -> dict[str, Any]:
    """The answer of GET bandwidth; the cost is that of the month in which the period ends."""
    scope = period.scope(agent_id)
    seconds = observed_seconds(observed(runs_of(store, scope), period.since, period.until))
    bins = store.bins(scope)
    octets = bins["bins_in"] + bins["bins_out"] + bins["bins_other"]
    found = bursts(bins["timestamp"], octets, capacity_mbps)
    classes = shares(store, scope)
    reasons = {
        "optimization_strategies.compression_potential": NOT_SEEN,
        "optimization_strategies.caching_effectiveness": NOT_SEEN,
    }
    if not len(octets):
        reasons["usage_patterns"] = NO_SECONDS
    if classes["total"] is None:
        reasons["traffic_classification"] = "no finished connections are kept of this period"
    costs: dict[str, Any] = dict.fromkeys(FIELDS)
    if billing is None:
        reasons["cost_analysis"] = NO_PRICE
    else:
        costs = cost.analyse(store, scope, billing)
        reasons |= {
            name if name == "cost_analysis" else f"cost_analysis.{name}": text
            for name, text in costs.pop("reasons").items()
        }
    congested, why = congestion(store, scope)
    reasons |= {f"congestion_analysis.{name}": text for name, text in why.items()}
    named = {name: classes[name] for name in CLASSES}
    return {
        "agent_id": agent_id,
        "usage_patterns": usage(store, scope, bins, octets, found, seconds),
        "traffic_classification": {
            "real_time_traffic": named["real_time"],
            "bulk_transfer": named["bulk"],
            "interactive_traffic": named["interactive"],
            "background_traffic": named["background"],
        },
        "congestion_analysis": congested,
        "optimization_strategies": {
            "compression_potential": None,
            "caching_effectiveness": None,
            "traffic_shaping_benefit": shaping_benefit(bins, octets),
            "qos_implementation": {
                "priority_classes": list(CLASSES),
                "bandwidth_allocation": allocation(named),
            },
        },
        "cost_analysis": costs,
        "timeframe": period.timeframe,
        "coverage_s": seconds,
        "classified_connections": classes["connections"],
        "reasons": reasons,
    }


def usage(
    store: ReadingStore, scope: Scope, bins: Columns, octets: Bins, found: Bursts, seconds: float
) -> dict[str, Any]:
    """Means over the time observed; peaks and bursts over the newest day of it."""
    total = store.metrics(scope, None)
    windows = float(np.nansum(total["bytes_sent"] + total["bytes_received"]))
    exact = float(octets.sum())
    per_second = octets.sum(axis=1)
    return {
        "avg_bandwidth_mbps": mbps(max(exact, windows), seconds) if seconds else None,
        "peak_bandwidth_mbps": mbps(float(per_second.max()), 1.0) if len(octets) else None,
        "burst_frequency": found.per_hour,
        "burst_duration_avg_ms": found.mean_ms,
        "sustained_throughput_mbps": sustained(bins, octets),
    }


def sustained(bins: Columns, octets: Bins) -> float | None:
    """The busiest 60 s; the mean of what there is when there is less. None without traffic."""
    if not len(octets):
        return None
    flat, _ = dense(bins["timestamp"], octets)
    upto = np.concatenate(([0], np.cumsum(flat)))
    n = min(len(flat), SUSTAINED_S * 1000 // BIN_MS)
    return mbps(float((upto[n:] - upto[:-n]).max()), n * BIN_MS / 1000)


def shaping_benefit(bins: Columns, octets: Bins) -> float | None:
    """Mbps by which the busiest 100 ms is above the least rate that delays nothing over 100 ms.

    A queue without limit, served at that rate, is run over every 100 ms that was seen.
    """
    if not len(octets):
        return None
    flat, _ = dense(bins["timestamp"], octets)
    peak = float(flat.max())
    low, high = 0.0, peak  # octets per bin
    while high - low > peak / 1000:
        rate = (low + high) / 2
        level = np.cumsum(flat - rate)
        backlog = level - np.minimum(np.minimum.accumulate(level), 0)
        if backlog.max() <= rate * MOST_DELAY_S * 1000 / BIN_MS:
            high = rate
        else:
            low = rate
    return round((peak - high) * BITS_PER_BIN / MEGABIT, 6)
