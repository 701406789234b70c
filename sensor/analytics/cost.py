"""What the traffic costs (definitions 1.7): 95th percentile, by volume, or flat.

Null without a price. 95th percentile as providers bill it: 5-minute means of each direction over
the month, the highest 5 % left out, the next one is paid for, of the direction that has more.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensor.analytics.figures import MEGABIT, known, time_text
from sensor.analytics.series import (
    DAY_US,
    HOUR_S,
    HOUR_US,
    Values,
    zone_of,
)
from sensor.analytics.timeframe import SECOND_US
from sensor.analytics.timeline import buckets_of, spread
from sensor.store.reading import ReadingStore, Scope

SAMPLE_S = 300
LEFT_OUT = 0.05
DAYS_PER_MONTH = 30.436875  # of the Gregorian calendar
LEAST_COVERED = 0.9  # of the month, to be whole
NO_PRICE = "no price is configured (billing)"
FIELDS = ("current_bandwidth_cost", "optimized_bandwidth_cost", "savings_potential", "roi_months")


@dataclass(frozen=True, slots=True)
class Billing:
    """What a provider charges. p95: `rate` per Mbps and month; gb_transfer: per 10^9 octets;
    flat: per month."""

    model: Literal["p95", "gb_transfer", "flat"]
    rate: float
    currency: str
    commit: float = 0.0  # least Mbps (p95) or GB (gb_transfer) that is paid for
    direction: Literal["max", "in", "out", "sum"] = "max"  # which octets are charged
    implementation_cost: float | None = None  # of an optimization, for roi_months
    timezone: str = "UTC"  # of the month

    def __post_init__(self) -> None:
        if not self.rate >= 0 or not self.commit >= 0:
            raise ValueError("a rate and a commit are numbers from 0")
        zone_of(self.timezone)


@dataclass(frozen=True, slots=True)
class Usage:
    """5-minute means of a month so far, Mbps; an hour that is kept as one counts twelve times."""

    since: int
    until: int
    received: Values
    sent: Values
    coarse: float  # share of the samples that are hours'

    @property
    def octets(self) -> tuple[float, float]:
        scale = SAMPLE_S * MEGABIT / 8
        return float(self.received.sum()) * scale, float(self.sent.sum()) * scale


def month_of(until: int, timezone: str) -> int:
    """Start of the calendar month that `until` (us, excluded) ends in."""
    zone = zone_of(timezone)
    local = datetime.fromtimestamp((until - 1) / 1e6, zone)
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(first.timestamp()) * SECOND_US


def usage(store: ReadingStore, scope: Scope, timezone: str) -> Usage:
    """The newest calendar month of the scope, as far as it is kept."""
    since = month_of(scope.until, timezone)
    recent = windows_from(store, replace(scope, since=since))
    fine = Scope(recent, scope.until, scope.agent_ids, scope.workspace_id)
    received, sent = rates(store, fine, SAMPLE_S)
    coarse = 0
    if since < recent:
        old = Scope(since, recent, scope.agent_ids, scope.workspace_id)
        sides = [np.repeat(side, HOUR_S // SAMPLE_S) for side in rates(store, old, HOUR_S)]
        coarse = len(sides[0])
        received, sent = (np.concatenate(p) for p in zip(sides, (received, sent), strict=True))
    n = len(received)
    return Usage(since, scope.until, received, sent, coarse / n if n else 0.0)


def windows_from(store: ReadingStore, scope: Scope) -> int:
    """The first whole hour that is still kept as windows; the scope's end when none is.

    Asked and not computed: windows expire by the newest packet, and sooner when room is short.
    """
    health = store.health(scope, HOUR_S)
    windows = health["bucket"][np.nan_to_num(health["windows"]) > 0]
    if not len(windows):
        return scope.until
    first = int(windows[0])
    # The hour in which windows begin is whole only if it is the scope's first.
    return min(scope.since if first <= scope.since else first + HOUR_US, scope.until)


def rates(store: ReadingStore, scope: Scope, step_s: int) -> tuple[Values, Values]:
    """Mbps of each step that was observed, received and sent."""
    found = store.metrics(scope, step_s)
    health = store.health(scope, step_s)
    buckets = buckets_of(scope, step_s)
    seen = np.nan_to_num(spread(buckets, health, health["windows"])) > 0
    sides = []
    for name in ("bytes_received", "bytes_sent"):
        octets = spread(buckets, found, found[name])
        octets[np.isnan(octets) & seen] = 0.0
        sides.append(octets[~np.isnan(octets)] * 8 / MEGABIT / step_s)
    return sides[0], sides[1]


def p95(samples: Values) -> float | None:
    """The highest sample once the top 5 % are left out; None without samples."""
    n = len(samples)
    if not n:
        return None
    ordered: NDArray[np.float64] = np.sort(samples)
    return float(ordered[n - 1 - int(n * LEFT_OUT)])


def charged(received: float | None, sent: float | None, direction: str) -> float | None:
    if received is None or sent is None:
        return None
    sides = {"max": max(received, sent), "in": received, "out": sent, "sum": received + sent}
    return sides[direction]


def price(billing: Billing, quantity: float | None) -> float | None:
    """Of a month with that many Mbps or GB."""
    if billing.model == "flat":
        return billing.rate
    return None if quantity is None else billing.rate * max(quantity, billing.commit)


def analyse(
    store: ReadingStore,
    scope: Scope,
    billing: Billing | None,
    *,
    reducible_share: float | None = None,
) -> dict[str, Any]:
    """`cost_analysis` of the calendar month in which the scope ends.

    reducible_share: of the octets, 0..1, that compression and caching were *measured* to save;
    None: not known, and so is what it would save.
    """
    timezone = billing.timezone if billing else "UTC"
    found = usage(store, scope, timezone)
    p95_in, p95_out = p95(found.received), p95(found.sent)
    gb = [octets / 1e9 for octets in found.octets]
    elapsed = len(found.received) * SAMPLE_S * SECOND_US
    coverage = elapsed / max(found.until - found.since, 1)
    figures: dict[str, Any] = {
        "p95_in_mbps": rounded(p95_in),
        "p95_out_mbps": rounded(p95_out),
        "received_gb": rounded(gb[0]) if len(found.received) else None,
        "sent_gb": rounded(gb[1]) if len(found.sent) else None,
        "samples": len(found.received),
        "sample_s": SAMPLE_S,
        "month_since": time_text(found.since),
        "until": time_text(found.until),
        "month_to_date": month_of(found.until + 1, timezone) == found.since,
        "coverage": round(min(coverage, 1.0), 4),
        "hourly_share": round(found.coarse, 4),
        "estimated": found.coarse > 0 or coverage < LEAST_COVERED,
        "reasons": {},
    }
    reasons = figures["reasons"]
    if found.coarse:
        reasons["p95_in_mbps"] = reasons["p95_out_mbps"] = (
            "the older days are known by hour only: an estimate, as a rule too low"
        )
    if billing is None:
        reasons["cost_analysis"] = NO_PRICE
        return {**dict.fromkeys(FIELDS), **figures}
    if not len(found.received) and billing.model != "flat":
        reasons["cost_analysis"] = "no traffic is kept of this month"
        return {**dict.fromkeys(FIELDS), **figures, "currency": billing.currency}
    return {**figures, **costs(billing, found, (p95_in, p95_out), gb, reducible_share, reasons)}


def costs(
    billing: Billing,
    found: Usage,
    percentile: tuple[float | None, float | None],
    gb: list[float],
    reducible_share: float | None,
    reasons: dict[str, str],
) -> dict[str, Any]:
    """Volumes are what was used so far; `projected_month_cost` goes on at that rate."""
    is_volume = billing.model == "gb_transfer"
    quantity = charged(gb[0], gb[1], billing.direction) if is_volume else charged(
        *percentile, billing.direction
    )  # fmt: skip
    current = price(billing, quantity)
    optimized = None
    if billing.model == "flat":
        reasons["optimized_bandwidth_cost"] = "a flat price does not depend on the traffic"
    elif reducible_share is None:
        reasons["optimized_bandwidth_cost"] = "what compression and caching would save is not known"
    elif quantity is not None:
        optimized = price(billing, quantity * (1 - reducible_share))
    savings = None if current is None or optimized is None else current - optimized
    roi = None
    if savings is not None and savings > 0 and billing.implementation_cost is not None:
        roi = billing.implementation_cost / savings
    else:
        reasons["roi_months"] = (
            "no implementation cost is configured"
            if billing.implementation_cost is None
            else "no savings are known"
        )
    days = (found.until - found.since) / DAY_US
    projected = current
    if is_volume and quantity is not None:
        projected = price(billing, quantity * max(1.0, DAYS_PER_MONTH / max(days, 1e-9)))
    return {
        "current_bandwidth_cost": rounded(current),
        "optimized_bandwidth_cost": rounded(optimized),
        "savings_potential": rounded(savings),
        "roi_months": rounded(roi),
        "currency": billing.currency,
        "model": billing.model,
        "charged_quantity": rounded(quantity) if billing.model != "flat" else None,
        "charged_unit": {"p95": "Mbps", "gb_transfer": "GB", "flat": "month"}[billing.model],
        "projected_month_cost": rounded(projected),
    }


def rounded(value: float | None) -> float | None:
    found = known(value)
    return None if found is None else round(found, 6)
