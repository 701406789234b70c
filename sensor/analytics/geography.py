"""Traffic and latency by region, with where to draw it on a map (definitions 1.4, 1.10).

A region is a country of registration (ISO 3166-1 alpha-2), `private`, `unknown`, or a name of the
operator's own (`sensor regions import`). Coordinates are those of a country's largest land area,
from Natural Earth (public domain); where the host stands is not known from its address.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from sensor.analytics.figures import count, known, merged, percentiles_ms, ratio
from sensor.analytics.performance import recent
from sensor.store.reading import Latency, ReadingStore, Scope

COLUMNS = (
    "region", "agent_id", "bytes", "errors", "connections", "latency_sum_us", "latency_count"
)  # fmt: skip
FEWEST_SAMPLES = 20  # of an agent's latency before it may be called the nearest to a region


class Country(NamedTuple):
    """`region`: the United Nations' sub-region; degrees north and east."""

    name: str
    lat: float
    lon: float
    region: str


@cache
def countries() -> dict[str, Country]:
    """By ISO 3166-1 alpha-2 code."""
    text = files("sensor.analytics").joinpath("data/countries.csv").read_text("utf-8")
    return {
        row["code"]: Country(row["name"], float(row["lat"]), float(row["lon"]), row["region"])
        for row in csv.DictReader(text.splitlines())
    }


def regions(store: ReadingStore, scope: Scope) -> list[dict[str, Any]]:
    """One row per region, the one with most octets first.

    Octets, errors and the mean are of the whole scope; percentiles of its newest day, from merged
    histograms, which endpoints in the region have and clients there have not. `best_agent_id`: the
    agent with the lowest median there (without one: the lowest mean), of those with enough samples.
    """
    found = store.regions(scope, None)
    octets: dict[str, float] = {}
    errors: dict[str, list[float]] = {}
    means: dict[str, dict[str, list[float]]] = {}  # by region and agent: sum in us, samples
    for name, agent, sent, failed, made, sum_us, samples in zip(
        *(found[column].tolist() for column in COLUMNS), strict=True
    ):
        mean = means.setdefault(name, {}).setdefault(agent, [0, 0])
        mean[0] += known(sum_us) or 0
        mean[1] += known(samples) or 0
        octets[name] = octets.get(name, 0) + (known(sent) or 0)
        pair = errors.setdefault(name, [0, 0])
        pair[0] += known(failed) or 0
        pair[1] += known(made) or 0
    by_agent: dict[str, list[Latency]] = {}
    for group in store.latency(recent(scope), None, ("region", "agent_id")):
        if group.key[0] is not None and group.count:
            by_agent.setdefault(group.key[0], []).append(group)
    names = sorted(octets.keys() | by_agent.keys(), key=lambda name: (-octets.get(name, 0), name))
    return [
        row(
            name,
            count(octets.get(name)),
            errors.get(name),
            by_agent.get(name, []),
            means.get(name, {}),
        )
        for name in names
    ]


def row(
    name: str,
    octets: int | None,
    errors: list[float] | None,
    latencies: list[Latency],
    means: dict[str, list[float]],
) -> dict[str, Any]:
    sum_us, samples = (sum(mean[part] for mean in means.values()) for part in (0, 1))
    country = countries().get(name)
    p50, p95 = percentiles_ms(merged(latencies), 50, 95)
    return {
        "region": name,
        "name": country.name if country else name,
        "continental_region": country.region if country else None,
        "lat": country.lat if country else None,
        "lon": country.lon if country else None,
        "avg_ms": round(sum_us / samples / 1000, 6) if samples else None,
        "p50_ms": p50,
        "p95_ms": p95,
        "sample_count": sum(latency.count for latency in latencies),
        "bytes": octets,
        "error_rate": ratio(errors[0], errors[1]) if errors else None,
        "best_agent_id": best_agent(latencies) or nearest(means),
    }


def best_agent(latencies: list[Latency]) -> str | None:
    """Of groups with the key (region, agent)."""
    medians = [
        (median, latency.key[1] or "")
        for latency in latencies
        if latency.count >= FEWEST_SAMPLES
        if (median := percentiles_ms(latency, 50)[0]) is not None
    ]
    return min(medians)[1] if medians else None


def nearest(means: dict[str, list[float]]) -> str | None:
    """The agent with the lowest mean."""
    enough = [(one[0] / one[1], agent) for agent, one in means.items() if one[1] >= FEWEST_SAMPLES]
    return min(enough)[1] if enough else None
