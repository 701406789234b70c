"""One database, shipped to each central store: every question has the answer that SQLite gives."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensor.store.events import EventFilter
from sensor.store.opening import open_reading
from sensor.store.reading import Latency, ReadingStore, Scope
from sensor.store.slots import add_slots, percentiles
from sensor.store.sqlite_reading import SqliteReading
from tests.fleet.made import MINUTE, SINCE, agent_id, host
from tests.fleet.shipping import ship
from tests.unit.store.made import HOUR

pytestmark = pytest.mark.system
WINDOWS = 200
ALL = Scope(SINCE, SINCE + WINDOWS * MINUTE)
ONE = replace(ALL, agent_ids=(agent_id(1),))
ODD = replace(ALL, workspace_id="w1")
PART = Scope(SINCE + 70 * MINUTE, SINCE + 150 * MINUTE)
WIDE = Scope(SINCE - 100 * HOUR, SINCE + 100 * HOUR)
NOBODY = replace(ALL, workspace_id="nobody")
SHORT = replace(PART, window_s=10)
SCOPES = {"all": ALL, "one": ONE, "workspace": ODD, "part": PART, "wide": WIDE, "nobody": NOBODY,
          "short": SHORT}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return host(tmp_path_factory.mktemp("host") / "s.db", range(3), WINDOWS)


@pytest.fixture(scope="module")
def local(path: str) -> Iterator[SqliteReading]:
    opened = SqliteReading(path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def central(path: str, central_url: str) -> Iterator[ReadingStore]:
    ship(path, central_url)
    opened = open_reading(central_url)
    yield opened
    opened.close()


Question = Callable[[ReadingStore, Scope], Any]
QUESTIONS: dict[str, Question] = {
    "agents": lambda s, w: s.agents(w.workspace_id),
    "runs of some": lambda s, w: s.agents(w.workspace_id, w.agent_ids),
    "newest": lambda s, w: s.newest(w),
    "newest runs": lambda s, w: s.newest_runs(w.workspace_id),
    "newest runs of some": lambda s, w: s.newest_runs(None, w.agent_ids),
    "newest health": lambda s, w: s.newest_health(900, w.workspace_id),
    "newest health of some": lambda s, w: s.newest_health(300, None, w.agent_ids),
    "open events of all": lambda s, w: s.open_events(w.workspace_id),
    "open events of some": lambda s, w: s.open_events(None, w.agent_ids),
    "newest figures": lambda s, w: s.newest_figures(newest_windows(s, w)),
    "newest latency": lambda s, w: s.newest_latency(newest_windows(s, w)),
    "metrics": lambda s, w: s.metrics(w, None),
    "metrics by minute": lambda s, w: s.metrics(w, 60, ("agent_id",)),
    "metrics by endpoint and hour": lambda s, w: s.metrics(w, 3600, ("endpoint", "agent_id")),
    "metrics by region and app": lambda s, w: s.metrics(w, 900, ("region", "app", "role")),
    "latency": lambda s, w: s.latency(w, None),
    "latency by agent": lambda s, w: s.latency(w, None, ("agent_id",)),
    "latency by hour": lambda s, w: s.latency(w, 3600, ("endpoint",)),
    "latency by five minutes": lambda s, w: s.latency(w, 300, ("agent_id", "endpoint")),
    "latency by region": lambda s, w: s.latency(w, 7200, ("region",)),
    "latency of a kind": lambda s, w: s.latency(w, 900, ("agent_id",), "dns_response"),
    "kinds": lambda s, w: s.kinds(w),
    "bandwidth": lambda s, w: s.bandwidth(w, 60),
    "bins": lambda s, w: s.bins(w),
    "protocols": lambda s, w: s.protocols(w, 900),
    "connections": lambda s, w: s.connections(w, 50),
    "regions": lambda s, w: s.regions(w, 3600),
    "health": lambda s, w: s.health(w, 1800),
    "events": lambda s, w: by_id(s.events(which(w), 100)),
    "newest events": lambda s, w: [e.event.detected_at for e in s.events(which(w), 2, 1)],
    "severe events": lambda s, w: by_id(s.events(replace(which(w), severity="high"), 100)),
    "count of events": lambda s, w: s.count_events(which(w)),
    "nodes": lambda s, w: s.nodes(w),
    "links": lambda s, w: s.links(w),
    "cdn": lambda s, w: s.cdn(w, ()),
    "cdn by place": lambda s, w: s.cdn(w, ("provider", "edge_location", "bucket")),
}


def newest_windows(store: ReadingStore, scope: Scope) -> dict[str, int]:
    found = store.newest_health(900, scope.workspace_id, scope.agent_ids or None)
    return dict(zip(found["agent_id"].tolist(), map(int, found["newest"]), strict=True))


def which(scope: Scope) -> EventFilter:
    return EventFilter(since=scope.since, until=scope.until, agent_ids=scope.agent_ids or None)


def by_id(found: list[Any]) -> list[Any]:
    return sorted(found, key=lambda stored: stored.event.id)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("question", QUESTIONS)
def test_same_answer(
    local: SqliteReading, central: ReadingStore, question: str, scope: str
) -> None:
    ask, which_scope = QUESTIONS[question], SCOPES[scope]
    same(ask(local, which_scope), ask(central, which_scope))


def same(expected: Any, found: Any) -> None:
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, column in expected.items():
            assert found[name].dtype == column.dtype, name
            if column.dtype == object:
                assert clean(found[name].tolist()) == clean(column.tolist()), name
            else:
                np.testing.assert_allclose(found[name], column, rtol=1e-12, err_msg=name)
    elif isinstance(expected, list) and expected and isinstance(expected[0], Latency):
        assert [key_of(g) for g in found] == [key_of(g) for g in expected]
        for one, other in zip(expected, found, strict=True):
            assert plain(other) == plain(one)
    else:
        assert found == expected


def clean(values: list[Any]) -> list[Any]:
    """PostgreSQL's text holds no NUL."""
    return [v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in values]


def key_of(group: Latency) -> tuple[int, tuple[str | None, ...]]:
    return group.bucket, tuple(clean(list(group.key)))


def plain(group: Latency) -> tuple[Any, ...]:
    return (group.count, group.sum_us, group.min_us, group.max_us, group.jitter_count,
            group.jitter_sum_us, dict(sorted(group.slots.items())))  # fmt: skip


def test_percentiles_of_twenty_hosts_are_those_of_all_their_samples(
    tmp_path: Path, central: ReadingStore, central_url: str
) -> None:
    """Slot by slot the sum of the hosts' own histograms; percentiles by numpy on the samples."""
    samples: list[int] = []
    agents = tuple(agent_id(n) for n in range(100, 120))
    scope = Scope(SINCE, SINCE + HOUR, agents)
    merged: dict[int, int] = {}
    for n in range(100, 120):
        one = host(tmp_path / f"{n}.db", [n], 5, samples)
        ship(one, central_url)
        with closing(SqliteReading(one)) as own:
            for group in own.latency(scope, None):
                add_slots(merged, group.slots)
    (found,) = central.latency(scope, None)
    by_agent = central.latency(scope, None, ("agent_id",))
    assert [group.key for group in by_agent] == [(agent,) for agent in sorted(agents)]
    assert found.slots == merged
    assert found.count == len(samples)
    exact = np.percentile(samples, [50, 95, 99], method="inverted_cdf")
    assert percentiles(found.slots, 50, 95, 99) == pytest.approx(exact.tolist(), rel=0.01)
