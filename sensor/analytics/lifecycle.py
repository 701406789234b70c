"""How connections go (specification 5.1): from which state to which, and in which patterns."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

from sensor.analytics.figures import ratio
from sensor.analytics.pooling import Mask
from sensor.store.reading import Columns

SHORT_US, LONG_US = 1_000_000, 300_000_000
SHORT_SHARE = 0.5  # of all connections, to be called a pattern
LONG_SHARE = 0.1
FAILING_SHARE = 0.2
FEWEST = 20
PERIODIC_CV = 0.1  # of the time between two starts
MOST = 20
# Zeek's history letters, either case: what the connection was in once that was seen.
STATES = {"s": "syn_sent", "h": "syn_answered", "a": "established", "d": "transferring",
          "f": "closing", "r": "reset"}  # fmt: skip


def transitions(rows: Columns) -> dict[str, dict[str, int]]:
    """{from: {to: connections}}, each transition once a connection; TCP only."""
    histories = Counter(
        zip(
            rows["history"][rows["protocol"] == "tcp"].tolist(),
            rows["conn_state"][rows["protocol"] == "tcp"].tolist(),
            strict=True,
        )
    )
    made: dict[str, Counter[str]] = {}
    for (history, final), n in histories.items():
        path = ["start"]
        for letter in history.lower():
            state = STATES.get(letter)
            if state is not None and state not in path[-1:]:
                path.append(state)
        path.append(final)
        for step in dict.fromkeys(pairwise(path)):
            made.setdefault(step[0], Counter())[step[1]] += n
    return {name: dict(sorted(to.items())) for name, to in sorted(made.items())}


def patterns(rows: Columns, failed: Mask) -> list[dict[str, Any]]:
    """What stands out: short, long, failing and periodic connections, with the figures."""
    n = len(rows["ended_at"])
    if n < FEWEST:
        return []
    made = []
    for name, chosen, least in (
        ("short_lived", rows["duration_us"] < SHORT_US, SHORT_SHARE),
        ("long_lived", rows["duration_us"] > LONG_US, LONG_SHARE),
        ("failing", failed, FAILING_SHARE),
    ):
        share = ratio(int(chosen.sum()), n, 6) or 0.0
        if share >= least:
            made.append({"type": name, "connections": int(chosen.sum()), "share": share})
    return made + periodic(rows)


def periodic(rows: Columns) -> list[dict[str, Any]]:
    """Endpoints that one originator connects to at a steady interval."""
    groups: dict[tuple[str, str], list[int]] = {}
    keys = zip(rows["orig_ip"].tolist(), rows["endpoint"].tolist(), strict=True)
    for key, started in zip(keys, rows["started_at"].tolist(), strict=True):
        groups.setdefault(key, []).append(started)
    made: list[dict[str, Any]] = []
    for (orig_ip, endpoint), starts in groups.items():
        if len(starts) < FEWEST:
            continue
        gaps = np.diff(np.sort(np.array(starts, np.int64)))
        mean = float(gaps.mean())
        if mean >= SHORT_US and float(gaps.std()) <= PERIODIC_CV * mean:
            made.append(
                {"type": "periodic", "orig_ip": orig_ip, "endpoint": endpoint,
                 "connections": len(starts), "interval_ms": round(mean / 1000, 3),
                 "variation_coefficient": round(float(gaps.std()) / mean, 6)}
            )  # fmt: skip
    made.sort(key=lambda one: (-one["connections"], one["orig_ip"], one["endpoint"]))
    return made[:MOST]
