# ruff: noqa: S608 - names are ours
"""The store in ClickHouse: the modern engine, within this process (chDB)."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import time_ns
from typing import Any

import pytest

from sensor.errors import CannotWrite, DamagedCapture, InputMissing, UsageError
from sensor.model.rows import WindowRows
from sensor.ship.destination import Unavailable
from sensor.ship.exporters import open_destination
from sensor.ship.outbox import NUMBERED, Outbox
from sensor.ship.shipper import Shipper
from sensor.store.opening import open_reading
from sensor.store.reading import Scope
from sensor.store.retention import DAY_US
from sensor.store.sqlite import SqliteStore
from sensor.store.sqlite_reading import SqliteReading
from tests.fleet.flapping import Flapping
from tests.fleet.made import MINUTE, SINCE, agent_id, boot_id, host, mine, run, window
from tests.fleet.servers import free_port
from tests.fleet.shipping import ship
from tests.unit.store.made import HOUR, event, resolved

pytest.importorskip("chdb")
from sensor.store import clickhouse
from sensor.store.clickhouse_sql import schema

pytestmark = pytest.mark.system
NOW = time_ns() // 1000 // MINUTE * MINUTE


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"chdb://{tmp_path / 'chdb'}"
    clickhouse.init(made)
    return made


@pytest.fixture
def db(url: str) -> Iterator[Any]:
    with closing(clickhouse.connect(url)) as client:
        yield client


def ask(db: Any, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.query(sql).result_rows]


def count(db: Any, table: str) -> int:
    return int(ask(db, f"SELECT count() FROM {table} FINAL")[0][0])


def assert_equal(path: str, db: Any) -> None:
    """Every numbered row is there once, hours have all their windows."""
    with closing(sqlite3.connect(path)) as local:
        for table in NUMBERED:
            keys = "id" if table == "network_security_events" else "agent_id"
            sql = f"SELECT {keys}, seq FROM {table}"
            here = sorted((str(a), b) for a, b in local.execute(sql))
            assert sorted((str(a), b) for a, b in ask(db, f"{sql} FINAL")) == here, table
        sql = "SELECT agent_id, endpoint, windows, latency_count FROM metrics_hourly"
        here = sorted(local.execute(sql))
        assert sorted((str(a), *rest) for a, *rest in ask(db, f"{sql} FINAL")) == here
        samples = local.execute("SELECT sum(latency_count) FROM metrics_hourly").fetchone()
    assert ask(
        db, "SELECT toInt64(arraySum(mapValues(sumMap(slots)))) FROM metrics_hourly FINAL"
    ) == [samples]


@pytest.mark.parametrize("seed", range(3))
def test_acknowledgements_lost_doubled_and_out_of_order(
    tmp_path: Path, url: str, db: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of hours whose older state comes last."""
    monkeypatch.setattr("sensor.ship.outbox.BATCH_ROWS", 100)
    path = host(tmp_path / "s.db", range(2), 20)
    rng = random.Random(seed)
    flapping = Flapping(open_destination(url), rng)
    with (
        SqliteStore(path) as writer,
        closing(flapping),
        closing(Outbox(path, flapping.name)) as outbox,
    ):
        shipper = Shipper(outbox, flapping, print)
        failures = 0
        while True:
            try:
                shipper.once()
                break
            except Unavailable:
                failures += 1
            if failures < 20:
                writer.write_window(window(1, SINCE + (20 + failures) * MINUTE, rng))
    assert failures > 10
    assert_equal(path, db)


def test_the_newest_state_of_an_event_wins_whatever_comes_last(
    tmp_path: Path, url: str, db: Any
) -> None:
    path = str(tmp_path / "s.db")
    (first,) = mine(1, [event(1, SINCE)])
    sent: list[Any] = []
    with closing(open_destination(url)) as real:
        for state in (first, first._replace(packets_count=5), resolved(first, SINCE + MINUTE)):
            with SqliteStore(path) as store:
                store.write_window(WindowRows(run(1, SINCE), events=[state]))
            with closing(Outbox(path, real.name)) as outbox:
                sent.append(outbox.batch("network_security_events"))
                outbox.acknowledge(sent[-1])
                for batch in outbox.changes("agents"):
                    real.send(batch)
        for batch in reversed(sent):
            real.send(batch)
    found = ask(db, "SELECT status, toUnixTimestamp64Micro(resolved_at) FROM"
                    " network_security_events FINAL")  # fmt: skip
    assert found == [("resolved", SINCE + MINUTE)]


def test_what_is_too_old_goes_but_not_what_was_replayed(tmp_path: Path, url: str, db: Any) -> None:
    path = str(tmp_path / "live.db")
    with SqliteStore(path) as store:
        for at in (NOW - 20 * DAY_US, NOW):
            rows = window(1, at, random.Random(at))
            store.write_window(WindowRows(run(1, at, source="live"), rows.metrics))
    ship(path, url)
    ship(host(tmp_path / "old.db", [2], 2), url)
    db.command("OPTIMIZE TABLE network_performance_metrics FINAL")
    rows = ask(db, "SELECT toString(agent_id), count() FROM network_performance_metrics FINAL"
                   " WHERE window_s = 60 GROUP BY 1 ORDER BY 1")  # fmt: skip
    assert rows == [(agent_id(1), 4), (agent_id(2), 8)]
    assert count(db, "metrics_hourly") == 8 + 4


def test_hours_answer_when_windows_are_gone(tmp_path: Path, url: str, db: Any) -> None:
    path = host(tmp_path / "s.db", range(2), 180)
    ship(path, url)
    cut = SINCE - 25 * MINUTE + 2 * HOUR
    with closing(sqlite3.connect(path)) as local, local:
        local.execute("DELETE FROM network_performance_metrics WHERE timestamp < ?", (cut,))
    db.command("DELETE FROM network_performance_metrics WHERE"
               f" toUnixTimestamp64Micro(timestamp) < {cut}")  # fmt: skip
    scope = Scope(SINCE - HOUR, SINCE + 5 * HOUR)
    with closing(SqliteReading(path)) as here, closing(open_reading(url)) as there:
        for by in ((), ("endpoint",), ("agent_id",)):
            one, other = here.metrics(scope, 3600, by), there.metrics(scope, 3600, by)
            for name in ("bucket", "windows", "rows", "bytes_sent", "latency_count"):
                assert other[name].tolist() == one[name].tolist(), (by, name)
            mine, theirs = here.latency(scope, 3600, by), there.latency(scope, 3600, by)
            assert [(g.bucket, g.count, g.slots) for g in theirs] == [
                (g.bucket, g.count, dict(sorted(g.slots.items()))) for g in mine
            ]


def test_windows_are_told_as_they_come_in(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.store.clickhouse_reading.SETTLED_US", 0)
    with closing(open_reading(url)) as store:
        cursor, none = store.closed(None, 10)
        assert none == []
        path = host(tmp_path / "s.db", [1], 2)
        ship(path, url)
        cursor, found = store.closed(cursor, 10)
        assert [(w.timestamp, w.window_s) for w in found] == [
            (SINCE, 10), (SINCE, 60), (SINCE + MINUTE, 10), (SINCE + MINUTE, 60),
        ]  # fmt: skip
        assert store.closed(cursor, 10)[1] == []


def test_what_it_cannot_take_is_named_and_the_rest_arrives(
    tmp_path: Path, url: str, db: Any
) -> None:
    path = host(tmp_path / "s.db", [1], 20)
    with closing(sqlite3.connect(path)) as local, local:
        local.execute("UPDATE connections SET boot_id = 'nonsense' WHERE seq % 5 = 0")
        bad = local.execute("SELECT count(*) FROM connections WHERE boot_id = 'nonsense'")
        refused = bad.fetchone()[0]
    assert ship(path, url, []).refused >= refused > 0
    assert count(db, "connections") == 20 - refused


def test_the_same_capture_from_two_databases_is_there_once(
    tmp_path: Path, url: str, db: Any
) -> None:
    ship(host(tmp_path / "a.db", [1], 5), url)
    before = count(db, "network_performance_metrics")
    ship(host(tmp_path / "b.db", [2, 1], 5), url)
    found = ask(
        db, "SELECT toString(boot_id), count() FROM network_performance_metrics FINAL GROUP BY 1"
    )
    assert dict(found) == {boot_id(1): before, boot_id(2): before}


def test_upgrade_adds_what_is_missing(tmp_path: Path, url: str, db: Any) -> None:
    db.command("ALTER TABLE connections DROP COLUMN offloaded")
    db.command("DROP TABLE topology_links")
    path = host(tmp_path / "s.db", [1], 3)
    with closing(open_destination(url)) as real, closing(Outbox(path, real.name)) as outbox:
        batch = outbox.batch("connections")
        assert batch is not None
        real.send(batch)  # an older store takes what it knows
    assert count(db, "connections") == 3
    assert [(d.table, d.what) for d in clickhouse.upgrade(url)] == [
        ("connections", "added offloaded")
    ]
    assert count(db, "topology_links") == 0
    assert clickhouse.upgrade(url) == []


def test_a_clusters_statements_are_understood(db: Any) -> None:
    """Its servers are not here; the parser is."""
    statements = list(schema("fleet"))
    for statement in statements:
        assert "ON CLUSTER 'fleet'" in statement
        ask(db, f"EXPLAIN AST {statement}")
    local = [s for s in statements if "_local` ON CLUSTER" in s]
    assert len(local) == len(statements) // 2
    assert all("ENGINE = Replicated" in s for s in local)


def test_what_cannot_be_done(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="there is a store already"):
        clickhouse.init(url)
    nobody = f"clickhouse://u:secret@127.0.0.1:{free_port()}/x"
    path = host(tmp_path / "s.db", [1], 1)
    for attempt in (open_reading, clickhouse.init, lambda u: ship(path, u)):
        with pytest.raises((InputMissing, CannotWrite)) as told:
            attempt(nobody)
        assert "secret" not in str(told.value)
    with pytest.raises(UsageError, match="in clear to another host"):
        open_reading("clickhouse://u:secret@192.0.2.1/x")
    with pytest.raises(UsageError, match="no name of a cluster"):
        clickhouse.cluster_of("clickhouse://h/x?cluster=a'b")


def test_no_store(tmp_path: Path) -> None:
    empty = f"chdb://{tmp_path / 'empty'}"
    with pytest.raises(DamagedCapture, match="no store there"):
        open_reading(empty)
    with pytest.raises(UsageError, match="there is no store"):
        clickhouse.upgrade(empty)
    with pytest.raises(CannotWrite, match="no store there"):
        ship(host(tmp_path / "s.db", [1], 1), empty)
