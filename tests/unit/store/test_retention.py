# ruff: noqa: S608 - names are ours
"""Ages count from packets, the file stays under its cap, and what went is counted."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sensor.model.rows import ProtocolMixRow, WindowRows
from sensor.store.retention import DAY_US, HOUR_US, Limits
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import AGENT, BOOT, T0, US, agent, connection, metrics


def counts(path: str, *tables: str) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


def counter(path: str, name: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT value FROM store_counters WHERE name = ?", (name,)).fetchone()
    return found[0] if found else 0


def window(at: int, **agents: str) -> WindowRows:
    boot = agents.get("boot", BOOT)
    return WindowRows(
        agent(at, **agents),
        [metrics("a:1/tcp", at, [9], boot_id=boot),
         metrics("a:1/tcp", at, window_s=10, boot_id=boot)],
        [connection(at, ended_at=at, boot_id=boot)],
        protocols=[ProtocolMixRow(AGENT, boot, at, 60, "dns", 1, 1, 1)],
    )  # fmt: skip


TABLES = ("connections", "network_performance_metrics", "protocol_mix", "metrics_hourly")


def test_each_kind_of_row_has_its_age(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    ages = [0, DAY_US // 2, 2 * DAY_US - 1, 3 * DAY_US, 15 * DAY_US, 401 * DAY_US]
    newest = T0 + 402 * DAY_US
    with SqliteStore(path) as store:
        for age in reversed(ages[1:]):
            store.write_window(window(newest - age))
        store.write_window(window(newest))
    # connections: 0 and 12 h; 1-min rows: up to 3 d; 10-s rows: up to 2 d; hours: all but 401 d
    assert counts(path, *TABLES) == [2, 4 + 3, 4, 5]
    written = len(ages) * 5
    assert counter(path, "rows_expired") == written - sum([2, 7, 4, 5])


def test_an_old_captures_rows_stay_beside_a_new_one(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        for minute in range(3 * 60):
            store.write_window(window(T0 - 5000 * DAY_US + minute * 60 * US, boot="old"))
        for minute in range(3 * 60):
            store.write_window(window(T0 + minute * 60 * US, boot="new"))
    assert counts(path, "connections") == [360]
    assert counter(path, "rows_expired") == 0


def test_a_live_agents_older_runs_do_expire(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        store.write_window(window(T0, boot="monday", source="live"))
        later = T0 + 2 * DAY_US
        store.write_window(window(later, boot="wednesday", source="live"))
        store.write_window(window(later + HOUR_US, boot="wednesday", source="live"))
    assert counts(path, "connections") == [2]


def test_the_file_stays_under_its_cap_and_keeps_the_newest(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    cap = 2 << 20
    with SqliteStore(path, Limits(size=cap)) as store:
        for n in range(64):
            at = T0 + n * US
            rows = [connection(at + i) for i in range(500)]
            store.write_window(WindowRows(agent(at), [metrics("a:1/tcp", at, [9])], rows))
    assert Path(path).stat().st_size <= cap
    with closing(sqlite3.connect(path)) as db:
        kept, oldest, newest = db.execute(
            "SELECT count(*), min(seq), max(seq) FROM connections"
        ).fetchone()
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert kept > 1000
    assert newest >= 64 * 501 - 1  # the newest are there, and none is missing in between
    assert newest - oldest + 1 - kept <= 64
    assert kept + counter(path, "rows_evicted") >= 64 * 500
    [hours] = counts(path, "metrics_hourly")
    assert hours == 1


def test_a_cap_below_an_empty_database_ends(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with SqliteStore(path, Limits(size=1)) as store:
        for n in range(16):
            store.write_window(window(T0 + n * US))
    assert counts(path, *TABLES) == [0, 0, 0, 0]
