"""CDN figures (specification 7.1, definitions 1.8): from the CDN's logs; from the wire, what asked
the origin and what caches said in cleartext responses (RFC 9211 Cache-Status and vendors' fields).

Logs come first; without either every ratio is None: encrypted packets do not tell hits. Octets that
a cache saved are those of its hits. Prices are the caller's; without them costs are None.
"""

from typing import Any

import numpy as np

from sensor.analytics.figures import count, known, ratio, time_text
from sensor.analytics.performance import recent
from sensor.analytics.timeframe import Period
from sensor.model.cdn import BYPASS, HIT, MISS, provider_of
from sensor.model.endpoint import OTHER
from sensor.store.reading import Columns, ReadingStore, Scope

GB = 1e9
MOST_EDGES = 200
NO_LOGS = "no CDN log in this timeframe (sensor cdn ingest): packets do not tell hits from misses"
IN_CLEAR = "no CDN log: what caches said in cleartext responses, in the newest day on the wire"
NO_PRICES = "no prices were given: cdn_price_per_gb, origin_price_per_gb"
NO_SHIELD = "the log shows no answer from a shield: whether there is one is not known"
Answer = dict[str, Any]


def analyse(
    store: ReadingStore,
    agent_id: str,
    period: Period,
    *,
    cdn_price_per_gb: float | None = None,
    origin_price_per_gb: float | None = None,
) -> Answer:
    """The answer of GET cdn. Prices: of a decimal gigabyte, any currency."""
    scope = period.scope(agent_id)
    total = store.cdn(scope, ())
    requests = known(total["requests"][0]) or 0 if len(total["requests"]) else 0
    seen = observed_providers(store, scope)
    newest = recent(scope)
    wire = store.metrics(newest, None, ("role",))
    said = observed_caching(wire)
    reasons: dict[str, str] = {}
    by_status = store.cdn(scope, ("cache_status",)) if requests else {}
    by_edge = edges(store.cdn(scope, ("edge_location",))) if requests else []
    saved = offload(by_status, requests, reasons) | {"on_wire": on_wire(wire, newest)}
    none = IN_CLEAR if said else NO_LOGS
    return {
        "agent_id": agent_id,
        "timeframe": period.timeframe,
        "available": requests > 0 or said is not None,
        "reason": None if requests else none,
        "requests": round(requests),
        "cdn_provider": provider(store.cdn(scope, ("provider",)), seen, reasons),
        "edge_locations": sorted(row["edge_location"] for row in by_edge),
        "cache_performance": (
            cache_performance(by_status, total, requests, reasons)
            if requests
            else observed_performance(said, none, reasons)
        ),
        "edge_metrics": by_edge,
        "origin_offload": saved,
        "geographic_performance": places(store, scope) if requests else [],
        "cost_effectiveness": costs(
            total, saved["bandwidth_savings_gb"], cdn_price_per_gb, origin_price_per_gb,
            requests > 0, reasons,
        ),
        "availability": availability(store.cdn(scope, ("bucket",))) if requests else None,
        "observed_providers": seen,
        "observed_caching": said,
        "reasons": reasons,
    }  # fmt: skip


def rows(columns: Columns) -> list[dict[str, Any]]:
    names = list(columns)
    lists = [columns[name].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]


def provider(found: Columns, seen: dict[str, int], reasons: dict[str, str]) -> str | None:
    """The one with most requests in the logs, else with most octets by name on the wire."""
    logged = rows(found)
    if logged:
        return str(max(logged, key=lambda row: (row["requests"], row["provider"]))["provider"])
    if seen:
        reasons["cdn_provider"] = "by the names of endpoints of the newest day on the wire"
        return next(iter(seen))
    reasons["cdn_provider"] = "no log, and no endpoint has a CDN's name"
    return None


def observed_providers(store: ReadingStore, scope: Scope) -> dict[str, int]:
    """Octets exchanged with endpoints whose name is a CDN's; the newest day, most first."""
    made: dict[str, int] = {}
    found = store.metrics(recent(scope), None, ("endpoint",))
    for name, sent, received in zip(
        *(found[c].tolist() for c in ("endpoint", "bytes_sent", "bytes_received")), strict=True
    ):
        owner = None if name == OTHER else provider_of(name.rpartition(":")[0])
        if owner is not None:
            octets = (known(sent) or 0) + (known(received) or 0)
            made[owner] = made.get(owner, 0) + round(octets)
    return dict(sorted(made.items(), key=lambda item: (-item[1], item[0])))


def of_status(by_status: Columns, status: str, column: str = "requests") -> float:
    """Sum over rows of one cache status."""
    if not by_status:
        return 0.0
    return float(np.nansum(by_status[column][by_status["cache_status"] == status]))


def cache_performance(
    by_status: Columns, total: Columns, requests: float, reasons: dict[str, str]
) -> Answer:
    """hit / (hit + miss), as all three vendors count it; bypass is of all requests."""
    hits, misses = of_status(by_status, HIT), of_status(by_status, MISS)
    shielded, told = known(total["shielded"][0]), known(total["shield_known"][0])
    if not shielded:
        reasons["cache_performance.origin_shield_hit_ratio"] = NO_SHIELD
    return {
        "cache_hit_ratio": ratio(hits, hits + misses),
        "cache_miss_ratio": ratio(misses, hits + misses),
        "cache_bypass_ratio": ratio(of_status(by_status, BYPASS), requests),
        "origin_shield_hit_ratio": ratio(shielded, told) if shielded else None,
    }


def observed_caching(wire: Columns) -> dict[str, int] | None:
    """Cleartext responses by what the nearest cache said of them; None where none said anything."""
    found = {
        name: round(float(np.nansum(wire[column])))
        for name, column in (
            ("hits", "cache_hits"), ("misses", "cache_misses"), ("bypasses", "cache_bypasses"),
        )
    }  # fmt: skip
    return found if any(found.values()) else None


def observed_performance(
    said: dict[str, int] | None, reason: str, reasons: dict[str, str]
) -> Answer:
    """The same ratios; bypass is of the responses that a cache said something of."""
    reasons["cache_performance"] = reason
    hits, misses, bypasses = (said or {"hits": 0, "misses": 0, "bypasses": 0}).values()
    return {
        "cache_hit_ratio": ratio(hits, hits + misses),
        "cache_miss_ratio": ratio(misses, hits + misses),
        "cache_bypass_ratio": ratio(bypasses, hits + misses + bypasses),
        "origin_shield_hit_ratio": None,
    }


def edges(found: Columns) -> list[Answer]:
    made = [
        {
            "edge_location": row["edge_location"],
            "requests_served": count(row["requests"]),
            "avg_response_time_ms": mean_ms(row),
            "error_rate": ratio(known(row["errors"]), known(row["requests"])),
            "bandwidth_served_gb": gigabytes(known(row["bytes"])),
        }
        for row in rows(found)
        if row["edge_location"] is not None
    ]
    made.sort(key=lambda row: (-(row["requests_served"] or 0), row["edge_location"]))
    return made[:MOST_EDGES]


def mean_ms(row: dict[str, Any]) -> float | None:
    us = ratio(known(row["response_sum_us"]), known(row["response_count"]))
    return None if us is None else round(us / 1000, 6)


def gigabytes(octets: float | None) -> float | None:
    return None if octets is None else round(octets / GB, 9)


def offload(by_status: Columns, requests: float, reasons: dict[str, str]) -> Answer:
    """Of the logs: a miss and a bypass asked the origin."""
    if not requests:
        reasons["origin_offload"] = NO_LOGS
    at_edge = of_status(by_status, HIT)
    asked = of_status(by_status, MISS) + of_status(by_status, BYPASS)
    return {
        "requests_to_origin": round(asked) if requests else None,
        "requests_served_from_edge": round(at_edge) if requests else None,
        "offload_percentage": percentage(ratio(at_edge, at_edge + asked)),
        "bandwidth_savings_gb": (
            gigabytes(of_status(by_status, HIT, "bytes")) if requests else None
        ),
    }


def percentage(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 6)


def on_wire(found: Columns, newest: Scope) -> Answer:
    """What the agent was asked as a server, by the CDN and others, in the newest day: counted in
    clear and estimated of HTTPS."""
    mine = found["role"] == "responder"
    clear = [found[c][mine] for c in ("http_requests", "http2_requests")]
    counted = [value for column in clear for value in column.tolist() if not np.isnan(value)]
    https = found["https_requests"][mine]
    return {
        "requests": round(sum(counted)) if counted else None,
        "https_requests_estimated": None if np.isnan(https).all() else round(np.nansum(https)),
        "since": time_text(newest.since),
    }


def places(store: ReadingStore, scope: Scope) -> list[Answer]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows(store.cdn(scope, ("region", "cache_status"))):
        place = found.setdefault(row["region"] or "unknown", {})
        for name in ("requests", "errors", "response_sum_us", "response_count"):
            place[name] = place.get(name, 0) + (known(row[name]) or 0)
        place[row["cache_status"]] = place.get(row["cache_status"], 0) + row["requests"]
    return [
        {
            "region": name,
            "avg_latency_ms": mean_ms(place),
            "cache_hit_ratio": ratio(place.get(HIT, 0), place.get(HIT, 0) + place.get(MISS, 0)),
            "availability": ratio(place["requests"] - place["errors"], place["requests"]),
            "requests": round(place["requests"]),
        }
        for name, place in sorted(found.items(), key=lambda item: (-item[1]["requests"], item[0]))
    ]


def availability(by_bucket: Columns) -> Answer:
    """Answers that are no 5xx, of all requests: as a whole, and in the worst five minutes."""
    requests, errors = by_bucket["requests"], np.nan_to_num(by_bucket["errors"])
    worst = int(np.argmax(errors / requests))
    return {
        "ratio": ratio(float(requests.sum() - errors.sum()), float(requests.sum())),
        "worst_5min": ratio(float(requests[worst] - errors[worst]), float(requests[worst])),
        "worst_5min_at": time_text(int(by_bucket["bucket"][worst])),
        "buckets": len(requests),
    }


def costs(
    total: Columns, saved_gb: float | None, cdn: float | None, origin: float | None, logged: bool,
    reasons: dict[str, str],
) -> Answer:  # fmt: skip
    """roi: what the origin's octets would have cost, less what the CDN's did, over the latter."""
    served = gigabytes(known(total["bytes"][0])) if logged else None
    if not logged:
        reasons["cost_effectiveness"] = NO_LOGS
    elif cdn is None or origin is None:
        reasons["cost_effectiveness"] = NO_PRICES
    cost = None if served is None or cdn is None else round(served * cdn, 6)
    worth = None if saved_gb is None or origin is None else saved_gb * origin
    return {
        "cdn_cost": cost,
        "origin_bandwidth_saved": None if worth is None else round(worth, 6),
        "cost_per_gb_served": ratio(cost, served),
        "roi": ratio(worth - cost, cost) if worth is not None and cost is not None else None,
    }
