# ruff: noqa: S608 - names are ours
"""The store in PostgreSQL: the specification's DDL, partitions in time, the view, upgrades."""

import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import time_ns

import psycopg
import pytest

from sensor.errors import CannotWrite, DamagedCapture, InputMissing, UsageError
from sensor.model.rows import WindowRows
from sensor.store import postgres
from sensor.store.opening import open_reading
from sensor.store.reading import Scope
from sensor.store.retention import DAY_US
from sensor.store.sqlite import SqliteStore
from sensor.store.sqlite_reading import SqliteReading
from tests.fleet.made import MINUTE, SINCE, agent_id, boot_id, host, run, window
from tests.fleet.servers import Postgres, free_port
from tests.fleet.shipping import ship
from tests.unit.store.made import HOUR
from tests.unit.store.test_schema import SPECIFIED

pytestmark = pytest.mark.system
NOW = time_ns() // 1000 // MINUTE * MINUTE
# information_schema's name of the specification's types; counters are wider, times have a zone.
TYPES = {
    "UUID": "uuid", "VARCHAR": "text", "INET": "inet", "TIMESTAMP": "timestamp with time zone",
    "BOOLEAN": "boolean", "INTEGER": "bigint", "BIGINT": "bigint", "FLOAT": "double precision",
}  # fmt: skip


@pytest.fixture
def url(postgres_server: Postgres) -> str:
    made = postgres_server.database("store")
    postgres.init(made)
    return made


@pytest.fixture
def db(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as made:
        yield made


def count(db: psycopg.Connection, table: str) -> int:
    row = db.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def partitions(db: psycopg.Connection, table: str) -> list[str]:
    sql = (
        "SELECT inhrelid::REGCLASS::TEXT FROM pg_inherits WHERE inhparent = %s::REGCLASS ORDER BY 1"
    )
    return [row[0].removeprefix(f"{table}_") for row in db.execute(sql, (table,))]


def live(path: Path, times: list[int], n: int = 0, source: str = "live") -> str:
    """A live sensor's database."""
    with SqliteStore(str(path)) as store:
        for at in times:
            rows = window(n, at, random.Random(at))
            store.write_window(rows.__class__(**{
                **{f: getattr(rows, f) for f in rows.__dataclass_fields__},
                "agent": run(n, at + 59_000_000, source=source),
            }))  # fmt: skip
    return str(path)


@pytest.mark.parametrize("table", SPECIFIED)
def test_the_columns_are_the_specifications(db: psycopg.Connection, table: str) -> None:
    lines = [line.split("--")[0].strip() for line in SPECIFIED[table].splitlines()]
    wanted = [line.split()[:2] for line in lines if line]
    found = dict(
        db.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
            " ORDER BY ordinal_position",
            (table,),
        ).fetchall()
    )
    assert list(found)[: len(wanted)] == [name for name, _ in wanted]
    for name, kind in wanted:
        assert found[name] == TYPES[re.sub(r"\W.*", "", kind)], name


def test_a_row_with_the_specifications_columns_only_can_be_inserted(db: psycopg.Connection) -> None:
    for at in ("2011-01-01", "now", "2099-01-01"):
        db.execute(
            "INSERT INTO network_performance_metrics (id, agent_id, endpoint, timestamp)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'x', %s)",
            (at,),
        )
    assert count(db, "network_performance_metrics") == 3
    assert count(db, "network_performance_metrics_default") == 2


def test_rows_of_today_have_partitions_and_old_captures_the_default(
    tmp_path: Path, url: str, db: psycopg.Connection
) -> None:
    today = NOW // DAY_US * DAY_US
    ship(live(tmp_path / "live.db", [today - 3 * DAY_US, today]), url)
    ship(host(tmp_path / "old.db", [7], 2), url)
    name = "network_performance_metrics"
    days = [f"d{days_after(k)}" for k in (-3, 0, 1, 2)]
    assert partitions(db, name) == [*days, "default"]
    assert [count(db, f"{name}_{day}") for day in (days[0], days[1], "default")] == [4, 4, 16]


def days_after(k: int) -> str:
    with closing(sqlite3.connect(":memory:")) as clock:
        sql = "SELECT strftime('%Y%m%d', ?, 'unixepoch')"
        return str(clock.execute(sql, ((NOW + k * DAY_US) // 1_000_000,)).fetchone()[0])


def test_what_is_too_old_is_dropped_but_not_what_was_replayed(
    tmp_path: Path, url: str, db: psycopg.Connection
) -> None:
    before = NOW - 5 * DAY_US
    ship(live(tmp_path / "live.db", [before, NOW], 1), url)
    ship(live(tmp_path / "replay.db", [before], 2, source="replay"), url)
    ship(host(tmp_path / "old.db", [3], 2), url)
    old_live = NOW - 500 * DAY_US
    ship(live(tmp_path / "late.db", [old_live], 4), url)
    assert count(db, "capture_health") == 3 + 4 + 1
    db.execute("UPDATE sensor_retention SET keep = INTERVAL '3 days' WHERE time_column <> 'hour'")
    done = {(one.table, one.what.split()[0]) for one in postgres.maintain(url)}
    assert ("capture_health", "dropped") in done
    left = db.execute("SELECT agent_id::TEXT, count(*) FROM capture_health GROUP BY 1").fetchall()
    assert dict(left) == {agent_id(1): 1, agent_id(2): 1, agent_id(3): 4}
    assert f"d{days_after(-5)}" not in partitions(db, "capture_health")
    assert count(db, "metrics_hourly") == 2 * 4 + 4 + 4 + 0  # the late one's hour was too old
    assert postgres.maintain(url) == []


def test_rows_that_came_before_their_partition_move_into_it(
    url: str, db: psycopg.Connection
) -> None:
    table = "network_performance_metrics"
    for part in partitions(db, table):
        if part != "default":
            db.execute(f"DROP TABLE {table}_{part}".encode())
    db.execute(f"INSERT INTO {table} (id, agent_id, endpoint, timestamp)"
               " VALUES (gen_random_uuid(), gen_random_uuid(), 'x', now())".encode())  # fmt: skip
    assert count(db, f"{table}_default") == 1
    postgres.maintain(url)
    assert count(db, f"{table}_default") == 0
    assert count(db, table) == 1


def test_the_view_is_that_of_sqlite(tmp_path: Path, url: str, db: psycopg.Connection) -> None:
    path = host(tmp_path / "s.db", range(2), 150)
    ship(path, url)
    db.execute("SELECT sensor_refresh()")  # concurrently: it has a unique index
    sql = "SELECT * FROM latency_optimization_opportunities ORDER BY agent_id, avg_p99_ms, endpoint"
    there = db.execute(sql).fetchall()
    with closing(sqlite3.connect(path)) as local:
        here = local.execute(sql).fetchall()
    assert len(here) == 8
    for mine, theirs in zip(here, there, strict=True):
        assert [str(theirs[0]), theirs[1]] == [mine[0], mine[1].replace("\0", "\ufffd")]
        assert theirs[2:7] == pytest.approx(mine[2:7], rel=1e-12)
        assert theirs[7:9] == mine[7:9]
        for one, other in zip(theirs[9], json.loads(mine[9]), strict=True):
            assert one == pytest.approx(other)
        assert theirs[10] == json.loads(mine[10])
        assert theirs[11] == mine[11]


def test_hours_answer_when_windows_are_gone(
    tmp_path: Path, url: str, db: psycopg.Connection
) -> None:
    path = host(tmp_path / "s.db", range(2), 180)
    ship(path, url)
    cut = SINCE - 25 * MINUTE + 2 * HOUR
    with closing(sqlite3.connect(path)) as local, local:
        local.execute("DELETE FROM network_performance_metrics WHERE timestamp < ?", (cut,))
    db.execute("DELETE FROM network_performance_metrics WHERE timestamp <"
               " TIMESTAMPTZ 'epoch' + %s * INTERVAL '1 microsecond'", (cut,))  # fmt: skip
    scope = Scope(SINCE - HOUR, SINCE + 5 * HOUR)
    with closing(SqliteReading(path)) as here, closing(open_reading(url)) as there:
        for by in ((), ("endpoint",), ("agent_id",)):
            mine, theirs = here.metrics(scope, 3600, by), there.metrics(scope, 3600, by)
            for name in ("bucket", "windows", "rows", "bytes_sent", "latency_count"):
                assert theirs[name].tolist() == mine[name].tolist(), (by, name)
            one, other = here.latency(scope, 3600, by), there.latency(scope, 3600, by)
            assert [(g.bucket, g.count, g.slots) for g in other] == [
                (g.bucket, g.count, dict(sorted(g.slots.items()))) for g in one
            ]
        assert sum(g.count for g in here.latency(scope, None)) > 0


def test_an_hour_that_still_grows_is_read_from_its_windows(tmp_path: Path, url: str) -> None:
    """The central hour is some minutes old; the answer is not."""
    hour = NOW // HOUR * HOUR
    path = live(tmp_path / "s.db", [hour - MINUTE, hour, hour + MINUTE])
    ship(path, url)
    with SqliteStore(path) as store:
        rows = window(0, hour + 2 * MINUTE, random.Random(9))
        store.write_window(
            WindowRows(run(0, hour + 3 * MINUTE, source="live"), rows.metrics, health=rows.health)
        )
    said: list[str] = []
    shipper = ship(path, url, said)
    assert shipper.rows
    with psycopg.connect(url) as db:  # as if the hours' turn had not come yet
        db.execute("UPDATE metrics_hourly SET windows = 1, latency_count = 0 WHERE hour = (SELECT"
                   " max(hour) FROM metrics_hourly)")  # fmt: skip
    scope = Scope(hour - HOUR, hour + HOUR)
    with closing(SqliteReading(path)) as here, closing(open_reading(url)) as there:
        for step in (None, 3600):
            mine = here.latency(scope, step, ("endpoint",))
            assert [(g.bucket, g.count) for g in there.latency(scope, step, ("endpoint",))] == [
                (g.bucket, g.count) for g in mine
            ]


def test_windows_are_told_as_they_come_in(tmp_path: Path, url: str) -> None:
    with closing(open_reading(url)) as store:
        cursor, none = store.closed(None, 10)
        assert none == []
        path = live(tmp_path / "s.db", [NOW - k * MINUTE for k in (3, 2, 1)])
        ship(path, url)
        cursor, found = store.closed(cursor, 2)
        assert [w.timestamp for w in found] == [NOW - k * MINUTE for k in (3, 2, 1)]
        cursor, found = store.closed(cursor, 2)
        assert found == []
        live(tmp_path / "s.db", [NOW])
        ship(path, url)
        assert [w.timestamp for w in store.closed(cursor, 2)[1]] == [NOW]


def test_what_postgres_cannot_take_is_named_and_the_rest_arrives(
    tmp_path: Path, url: str, db: psycopg.Connection
) -> None:
    path = host(tmp_path / "s.db", [1], 20)
    with closing(sqlite3.connect(path)) as local, local:
        local.execute(
            "UPDATE connections SET orig_ip = 'nonsense' WHERE seq IN"
            " (SELECT seq FROM connections ORDER BY seq LIMIT 4)"
        )
        bad = local.execute("SELECT count(*) FROM connections WHERE orig_ip = 'nonsense'")
        refused = bad.fetchone()[0]
    said: list[str] = []
    assert ship(path, url, said).refused == refused > 0
    assert "invalid input syntax for type inet" in said[0]
    assert count(db, "connections") == 20 - refused
    gaps = db.execute("SELECT sum(rows) FROM shipping_gaps WHERE reason = 'refused'").fetchone()
    assert gaps == (refused,)


def test_the_same_capture_from_two_databases_is_there_once(
    tmp_path: Path, url: str, db: psycopg.Connection
) -> None:
    """Its rows have other numbers in the second."""
    ship(host(tmp_path / "a.db", [1], 5), url)
    before = count(db, "network_performance_metrics")
    ship(host(tmp_path / "b.db", [2, 1], 5), url)
    per_run = db.execute(
        "SELECT boot_id::TEXT, count(*) FROM network_performance_metrics GROUP BY 1"
    )
    assert dict(per_run.fetchall()) == {boot_id(1): before, boot_id(2): before}


def test_upgrade_adds_what_is_missing(url: str, db: psycopg.Connection) -> None:
    db.execute("ALTER TABLE connections DROP COLUMN offloaded")
    db.execute("DROP TABLE topology_links")
    db.execute("COMMENT ON MATERIALIZED VIEW latency_optimization_opportunities IS 'an older one'")
    done = [(one.table, one.what) for one in postgres.upgrade(url)]
    assert ("connections", "added offloaded") in done
    assert ("latency_optimization_opportunities", "made anew") in done
    assert count(db, "topology_links") == 0
    assert postgres.upgrade(url) == []


def test_an_older_store_takes_what_it_knows(
    tmp_path: Path, url: str, db: psycopg.Connection
) -> None:
    db.execute("ALTER TABLE connections DROP COLUMN offloaded")
    ship(host(tmp_path / "s.db", [1], 3), url)
    assert count(db, "connections") == 3


def test_what_cannot_be_done(postgres_server: Postgres, tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="there is a store already"):
        postgres.init(url)
    empty = postgres_server.database("empty")
    with pytest.raises(UsageError, match="there is no store"):
        postgres.upgrade(empty)
    with pytest.raises(DamagedCapture, match="no store there"):
        open_reading(empty)
    path = host(tmp_path / "s.db", [1], 1)
    with pytest.raises(CannotWrite, match="no store there"):
        ship(path, empty)
    nobody = f"postgresql://u:secret@127.0.0.1:{free_port()}/x"
    for attempt in (open_reading, postgres.init, lambda u: ship(path, u)):
        with pytest.raises((InputMissing, CannotWrite)) as told:
            attempt(nobody)
        assert "refused" in str(told.value)
        assert "secret" not in str(told.value)


def test_the_command_never_shows_a_password(tmp_path: Path, url: str) -> None:
    path = host(tmp_path / "s.db", [1], 3)
    secret = "hunter2-hunter2"  # noqa: S105 - it is one
    with_password = url.replace("sensor@", f"sensor:{secret}@")
    file = tmp_path / "ship.toml"
    file.write_text(f'to = ["{with_password}"]')
    file.chmod(0o644)
    command = [sys.executable, "-m", "sensor", "ship", "--once", "--db", path,
               "--credentials-file", str(file)]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k != "STATE_DIRECTORY"}

    def outcome(*more: str) -> tuple[int, str]:
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False,
                              env=environment)  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    status, text = outcome()
    assert status == 2
    assert "chmod 600" in text
    file.chmod(0o600)
    status, text = outcome()
    assert status == 0, text
    assert f"{free_of_user(url)}: " in text
    status, text = outcome("--to", free_of_user(url))
    assert status == 0, text
    assert secret not in text
    assert secret.encode() not in Path(path).read_bytes()
    file.write_text(f'to = ["{with_password}?nonsense=1"]')
    status, text = outcome()
    assert status == 2
    assert secret not in text


def free_of_user(url: str) -> str:
    return url.replace("sensor@", "")
