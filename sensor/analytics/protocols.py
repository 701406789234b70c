"""Shares of protocols and regions over time, and when they moved (definitions 1.4, 1.5)."""

from itertools import pairwise
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.analytics.figures import ratio, time_text
from sensor.analytics.series import HOUR_S, HOUR_US, Values
from sensor.store.reading import Columns, ReadingStore, Scope

BLOCK = 24  # hours: a day has all its hours, so that its cycle is no change
NEEDED_BLOCKS = 6
SHORTEST = 3  # blocks: a weekend is no change of habit
MOVED = 0.10  # share points
PENALTY = 3.0  # of log(n) times the noise
MOST_NAMES = 20
OTHER = "other_regions"
NO_EXTRA = "change points need shadower-sensor[server]"


def analyse(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """`protocol_analysis`: octets by leaf of the partition, by day, and its change points."""
    found = store.protocols(scope, HOUR_S)
    return {**shares_over_time(found, "leaf"), "unit": "octets on the wire"}


def geographic(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """`geographic_patterns`: the same by region of the remote side, with latency and errors."""
    found = store.regions(scope, HOUR_S)
    made = shares_over_time(found, "region")
    whole = by_region(found)
    for name, share in made["shares"].items():
        share |= whole.get(name, {})
    return made


def by_region(found: Columns) -> dict[str, dict[str, Any]]:
    made = {}
    for name in dict.fromkeys(found["region"].tolist()):
        at = found["region"] == name
        sums = {
            column: float(np.nansum(found[column][at]))
            for column in ("connections", "errors", "latency_sum_us", "latency_count")
        }
        made[name] = {
            "error_rate": ratio(sums["errors"], sums["connections"]),
            "latency_avg_ms": ratio(sums["latency_sum_us"], sums["latency_count"] * 1000, 6),
        }
    return made


def shares_over_time(found: Columns, key: str) -> dict[str, Any]:
    """Shares of all, by day counted back from the newest hour, and where they moved."""
    names, hours, table = table_of(found, key)
    total = table.sum()
    if not total:
        return {"status": "insufficient_data", "shares": {}, "days": None, "change_points": [],
                "reason": "no windows with traffic are kept of this period"}  # fmt: skip
    blocks = len(hours) // BLOCK
    tail = table[len(hours) - blocks * BLOCK :]
    by_day = tail.reshape(blocks, BLOCK, len(names)).sum(axis=1)
    starts = hours[len(hours) - blocks * BLOCK :: BLOCK][:blocks]
    seen = by_day.sum(axis=1) > 0
    by_day, starts = by_day[seen], starts[seen]
    shares = by_day / by_day.sum(axis=1, keepdims=True)
    enough = len(shares) >= NEEDED_BLOCKS
    moved, reason = changes(shares, starts, names) if enough else ([], None)
    octets = table.sum(axis=0)
    return {
        "status": "ok" if enough else "insufficient_data",
        "shares": {
            name: {"bytes": int(n), "percent": round(float(100 * n / total), 4)}
            for name, n in zip(names, octets.tolist(), strict=True)
        },
        "days": {
            "start": [time_text(int(at)) for at in starts],
            "percent": {
                name: [round(100 * share, 4) for share in shares[:, n].tolist()]
                for n, name in enumerate(names)
            },
        },
        "change_points": moved,
        "reason": reason
        if enough
        else f"change points need {NEEDED_BLOCKS} days, {len(shares)} are known",
    }


def table_of(found: Columns, key: str) -> tuple[list[str], NDArray[np.int64], Values]:
    """Octets by hour (no hour left out) and name, the largest first, the small ones together."""
    if not len(found["bucket"]):
        return [], np.empty(0, np.int64), np.zeros((0, 0))
    octets: dict[str, float] = {}
    for name, n in zip(found[key].tolist(), np.nan_to_num(found["bytes"]).tolist(), strict=True):
        octets[name] = octets.get(name, 0.0) + n
    ordered = sorted(octets, key=lambda name: (-octets[name], str(name)))
    names = ordered[:MOST_NAMES]
    if len(ordered) > MOST_NAMES:
        names = [*names, OTHER]
    column = {name: min(n, MOST_NAMES) for n, name in enumerate(ordered)}
    first, last = int(found["bucket"].min()), int(found["bucket"].max())
    hours = np.arange(first, last + 1, HOUR_US, dtype=np.int64)
    table = np.zeros((len(hours), len(names)))
    rows = (found["bucket"] - first) // HOUR_US
    columns = np.array([column[name] for name in found[key].tolist()], np.int64)
    np.add.at(table, (rows, columns), np.nan_to_num(found["bytes"]))
    return names, hours, table


def changes(
    shares: Values, starts: NDArray[np.int64], names: list[str]
) -> tuple[list[dict[str, Any]], str | None]:
    """Days from which on a share is at least 10 points off what it was (PELT, Killick 2012)."""
    try:
        # Here, because it needs the extra `server`.
        import ruptures  # noqa: PLC0415
    except ImportError:
        return [], NO_EXTRA
    # Noise by the differences of neighbours, which a few steps do not move.
    noise = (
        float((np.median(np.abs(np.diff(shares, axis=0)), axis=0) * 1.4826).__pow__(2).sum()) / 2
    )
    penalty = PENALTY * log(len(shares)) * max(noise, 1e-6)
    fitted = ruptures.Pelt(model="l2", min_size=SHORTEST, jump=1).fit(shares)
    ends = fitted.predict(pen=penalty)
    made = []
    begin = 0
    for cut, end in pairwise(ends):
        before, after = shares[begin:cut].mean(axis=0), shares[cut:end].mean(axis=0)
        if np.abs(after - before).max() >= MOVED:
            made.append(
                {
                    "at": time_text(int(starts[cut])),
                    "resolution_s": BLOCK * HOUR_S,
                    "moved": {
                        names[n]: {
                            "before_percent": round(100 * float(before[n]), 3),
                            "after_percent": round(100 * float(after[n]), 3),
                        }
                        for n in np.flatnonzero(np.abs(after - before) >= MOVED).tolist()
                    },
                }
            )
            begin = cut
    return made, None
