"""Statuses by the specification's thresholds, causes by what was planted."""

import random
from pathlib import Path

import numpy as np
import pytest

from sensor.analytics.figures import merged, percentiles_ms
from sensor.analytics.latency import analyse, causes, jitter_status, latency_status
from sensor.model.rows import WindowRows
from sensor.store.opening import open_reading
from sensor.store.reading import Latency, Scope
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import AGENT, HOUR, T0, US, agent, metrics


def latency(samples: list[int], jitter_us: int = 1000) -> Latency:
    slots: dict[int, int] = {}
    for us in samples:
        slots[us] = slots.get(us, 0) + 1
    return Latency(
        0, (), len(samples), sum(samples), min(samples), max(samples), len(samples),
        jitter_us * len(samples), slots,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ms", "status"),
    [(None, "insufficient_data"), (100, "acceptable"), (100.1, "moderate_latency"),
     (200.1, "high_latency"), (500.1, "critical_latency")],
)  # fmt: skip
def test_latency_status(ms: float | None, status: str) -> None:
    assert latency_status(ms) == status


@pytest.mark.parametrize(
    ("ms", "status"),
    [(None, "insufficient_data"), (20, "low_jitter"), (50, "moderate_jitter"), (51, "high_jitter")],
)
def test_jitter_status(ms: float | None, status: str) -> None:
    assert jitter_status(ms) == status


def planted(kind: str) -> tuple[Latency, float | None]:
    rng = random.Random(1)
    if kind == "distance":
        return latency([rng.randrange(150_000, 160_000) for _ in range(500)]), 0.0
    if kind == "queueing":
        return latency([rng.randrange(5000, 300_000) for _ in range(500)]), None
    if kind == "loss":
        return latency([1000] * 500), 0.02
    if kind == "jitter":
        return latency([20_000] * 500, jitter_us=60_000), 0.0
    return latency([rng.randrange(5000, 9000) for _ in range(500)]), 0.001


@pytest.mark.parametrize("kind", ["distance", "queueing", "loss", "jitter", "none"])
def test_the_planted_cause_and_no_other(kind: str) -> None:
    found = [one["cause"] for one in causes(*planted(kind), served=False)]
    assert found == ([] if kind == "none" else [kind])


def test_a_servers_clients_differ() -> None:
    found = causes(*planted("queueing"), served=True)
    assert [one["cause"] for one in found] == ["mixed_clients"]


def test_opportunities_of_a_store(tmp_path: Path) -> None:
    """Three hours, one of which is slow; percentiles are the day's, the maximum is that hour's."""
    path, rng = str(tmp_path / "s.db"), random.Random(2)
    samples: dict[int, list[int]] = {}
    with SqliteStore(path) as store:
        for hour in range(3):
            mean = 12 if hour == 1 else 10
            samples[hour] = [int(rng.lognormvariate(mean, 0.3)) for _ in range(400)]
            row = metrics("a:443/tcp", T0 + hour * HOUR, samples[hour], region="CH", packets_lost=0)
            few = metrics("b:443/tcp", T0 + hour * HOUR, [900_000] * 5)
            store.write_window(WindowRows(agent(T0 + hour * HOUR + US), [row, few]))
    reading = open_reading(path)
    found = {row["endpoint"]: row for row in analyse(reading, Scope(T0, T0 + 3 * HOUR, (AGENT,)))}
    everything = np.array(sum(samples.values(), []))  # noqa: RUF017
    exact = np.percentile(everything, 99, method="inverted_cdf") / 1000
    worst = np.percentile(samples[1], 99, method="inverted_cdf") / 1000
    slow = found["a:443/tcp"]
    assert slow["avg_p99_ms"] == pytest.approx(exact, rel=0.01)
    assert slow["max_p99_ms"] == pytest.approx(worst, rel=0.01)
    assert slow["high_latency_hours"] == 1
    assert slow["regional_latencies"] == [
        {"region": "CH", "latency_ms": pytest.approx(everything.mean() / 1000)}
    ]
    assert found["b:443/tcp"]["latency_status"] == "insufficient_data"
    assert found["b:443/tcp"]["optimization_recommendations"] == ["Monitor continuously"]
    reading.close()


@pytest.mark.parametrize("parts", [60, 20])
def test_merged_percentiles_are_within_1_percent(tmp_path: Path, parts: int) -> None:
    """Over 60 minutes of one agent, and over 20 agents: through blobs, SQLite and back."""
    path, rng = str(tmp_path / "s.db"), np.random.default_rng(parts)
    everything = []
    with SqliteStore(path) as store:
        for n in range(parts):
            # Each part has a distribution of its own: averages of percentiles would be far off.
            mine = (rng.lognormal(8 + 3 * rng.random(), 0.8, 500) + 1).astype(int)
            everything.append(mine)
            who = AGENT if parts == 60 else f"{AGENT[:-2]}{n:02d}"
            at = T0 + (n * 60 * US if parts == 60 else 0)
            row = metrics("a:443/tcp", at, mine.tolist())._replace(agent_id=who)
            store.write_window(WindowRows(agent(at + US)._replace(agent_id=who), [row]))
    reading = open_reading(path)
    exact = np.percentile(np.concatenate(everything), [50, 95, 99], method="inverted_cdf") / 1000
    for scope in (Scope(T0, T0 + HOUR), Scope(T0 - 7, T0 + HOUR + 7)):
        found = merged(reading.latency(scope, None, ("agent_id",)))
        assert found.count == parts * 500
        assert percentiles_ms(found, 50, 95, 99) == pytest.approx(exact.tolist(), rel=0.01)
    reading.close()
