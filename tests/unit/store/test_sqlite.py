# ruff: noqa: S608 - names are ours
"""The writer: durable windows, one writer, deterministic rows, clear refusals."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from sensor.errors import CannotWrite, DamagedCapture, InputMissing
from sensor.model.rows import ConnectionRow, SecurityEventRow, WindowRows
from sensor.store import sqlite as under_test
from sensor.store.queries import open_reader
from sensor.store.sqlite import SqliteStore
from sensor.store.tables import CURRENT
from tests.unit.store.made import AGENT, BOOT, T0, US, agent, connection, metrics

EVENT = SecurityEventRow(
    "0b0e5a1c-0000-4000-8000-000000000001", AGENT, "dos_attack", "high", None, "10.0.0.1", None, 80,
    "tcp", 1000, 60000, 1500, "threshold", 0.9, None, "none", 0, T0, None, BOOT, "syn_flood",
    evidence='{"rate": 5000}',
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sensor.db")


def query(path: str, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def window(n: int, connections: int = 2) -> WindowRows:
    at = T0 + n * 60 * US
    return WindowRows(
        agent(at + 59 * US),
        [metrics("a:443/tcp", at, [1000, 2000]), metrics("b:53/udp", at)],
        [connection(at + i) for i in range(connections)],
    )


def test_what_is_written_is_read_back(path: str) -> None:
    made = connection(T0, "RSTO", server_name="a'b\x00\u202e", handshake_us=None)
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), connections=iter([made]), events=[EVENT]))
    fields = ", ".join(ConnectionRow._fields)
    assert query(path, f"SELECT {fields} FROM connections") == [made]
    fields = ", ".join(SecurityEventRow._fields)
    assert query(path, f"SELECT {fields} FROM network_security_events") == [tuple(EVENT)]


def test_the_file_is_private_self_contained_and_durable(path: str) -> None:
    with SqliteStore(path) as store:
        store.write_window(window(0))
        for suffix in ("", "-wal", "-shm", ".lock"):
            assert stat.S_IMODE(Path(path + suffix).stat().st_mode) == 0o600
        pragmas = [
            store._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "auto_vacuum")
        ]
        assert pragmas == ["wal", 2, 2]  # FULL, INCREMENTAL
    assert not Path(f"{path}-wal").exists()
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_numbers_and_ids_are_the_same_every_time(tmp_path: Path) -> None:
    dumps = []
    for name in ("one.db", "two.db"):
        path = str(tmp_path / name)
        for n in range(3):  # closed and opened again in between: seq goes on
            with SqliteStore(path) as store:
                store.write_window(window(n))
        with closing(sqlite3.connect(path)) as db:
            dumps.append([line for line in db.iterdump() if "_sqlite_migrations" not in line])
        ids = query(path, "SELECT seq, id FROM network_performance_metrics ORDER BY seq")
    assert dumps[0] == dumps[1]
    assert ids == [(seq, str(uuid5(UUID(AGENT), f"{BOOT}/{seq}"))) for seq in (3, 4, 7, 8, 11, 12)]


def test_a_window_that_fails_leaves_nothing(path: str) -> None:
    def broken() -> Iterator[tuple]:
        yield connection(T0)
        yield connection(T0, orig_port="not a number")  # STRICT refuses it

    with SqliteStore(path) as store:
        store.write_window(window(0))
        with pytest.raises(CannotWrite, match="INTEGER"):
            store.write_window(WindowRows(agent(), [metrics("a:443/tcp", T0, [5])], broken()))
        store.write_window(window(1))
    assert query(path, "SELECT seq FROM connections") == [(1,), (2,), (5,), (6,)]
    hours = "SELECT windows, latency_count FROM metrics_hourly WHERE endpoint = 'a:443/tcp'"
    assert query(path, hours) == [(2, 4)]


def test_the_rows_time_is_stamped_when_none_is_given(path: str) -> None:
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), [metrics("a:1/tcp", T0, created_at=None)]))
    [(ago,)] = query(
        path, "SELECT strftime('%s') - created_at / 1000000 FROM network_performance_metrics"
    )
    assert 0 <= ago < 60


def test_a_run_is_one_row_that_grows(path: str) -> None:
    with SqliteStore(path) as store:
        for last in (T0 + 5, T0 + 9, T0 + 7):
            store.write_window(WindowRows(agent(last)))
        store.write_window(WindowRows(agent()._replace(first_packet=None, last_packet=None)))
    assert query(path, "SELECT first_packet, last_packet FROM agents") == [(T0, T0 + 9)]


WRITER = """
import sys
from tests.unit.store.test_sqlite import window
from sensor.store.sqlite import SqliteStore
with SqliteStore(sys.argv[1]) as store:
    for n in range(1000000):
        store.write_window(window(n, connections=50))
        print(n, flush=True)
"""


def test_kill_9_loses_no_acknowledged_window(path: str) -> None:
    acknowledged = 0
    for kill in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert writer.stdout is not None
        for _ in range(3 + 4 * kill):
            assert writer.stdout.readline()
            acknowledged += 1
        writer.send_signal(signal.SIGKILL)
        acknowledged += len(writer.stdout.read().splitlines())
        writer.wait()
        writer.stdout.close()
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        [(windows,)] = query(
            path, "SELECT sum(windows) FROM metrics_hourly WHERE endpoint = 'a:443/tcp'"
        )
        rows = "SELECT count(*), count(DISTINCT seq) FROM"
        # One window more than was said may be there: killed between commit and word.
        assert acknowledged <= windows <= acknowledged + kill + 1
        assert query(path, f"{rows} connections") == [(windows * 50, windows * 50)]
        assert query(path, f"{rows} network_performance_metrics") == [(windows * 2, windows * 2)]


# ---- files that are not ours to write


def refusal(path: str) -> str:
    with pytest.raises(CannotWrite) as refused:
        SqliteStore(path)
    assert refused.value.exit_code == 73
    text = str(refused.value)
    assert "\n" not in text
    assert text.startswith(path)
    return text


def test_a_second_writer_is_refused(path: str) -> None:
    with SqliteStore(path):
        assert "in use by another sensor" in refusal(path)
    SqliteStore(path).close()


def test_what_is_no_database_is_left_alone(path: str) -> None:
    Path(path).write_bytes(b"precious notes" * 100)
    assert "not a database" in refusal(path)
    assert Path(path).read_bytes() == b"precious notes" * 100


def test_another_programs_database_is_left_alone(path: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    assert "another program" in refusal(path)
    assert query(path, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_a_newer_schema_is_refused(path: str) -> None:
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {CURRENT + 1}")
    assert f"schema {CURRENT + 1}" in refusal(path)
    with pytest.raises(DamagedCapture, match="newer"), open_reader(path):
        pass


def test_a_broken_database_is_said_in_one_line(path: str) -> None:
    with SqliteStore(path) as store:
        store.write_window(window(0, connections=500))
    body = bytearray(Path(path).read_bytes())
    body[4096:] = b"\xa5" * (len(body) - 4096)
    Path(path).write_bytes(body)
    refusal(path)
    with pytest.raises(DamagedCapture), open_reader(path) as reader:
        reader.states()


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    assert "no such file" in refusal(str(tmp_path / "absent" / "s.db"))
    assert "directory" in refusal(str(tmp_path))
    (tmp_path / "file").touch()
    assert "not a directory" in refusal(str(tmp_path / "file" / "s.db"))


def test_a_reader_needs_a_database(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputMissing), open_reader(str(tmp_path / "absent.db")):
        pass
    Path(path).write_bytes(b"precious notes" * 100)
    with pytest.raises(DamagedCapture, match="not a database"), open_reader(path):
        pass


def test_a_reader_sees_windows_while_they_are_written(path: str) -> None:
    with SqliteStore(path) as store:
        store.write_window(window(0))
        with open_reader(path) as reader:
            assert reader.states() == [("SF", 2)]
            store.write_window(window(1))
            assert reader.states() == [("SF", 4)]


def test_a_reader_that_never_ends_cannot_fill_the_disk(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "WAL_LIMIT", 1 << 18)
    monkeypatch.setattr(under_test, "WAL_MOST", 1 << 20)
    wal = Path(f"{path}-wal")
    with SqliteStore(path) as store, closing(sqlite3.connect(path)) as reader:
        store.write_window(window(0, connections=50))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM connections").fetchone()
        n = 1
        while wal.stat().st_size <= 1 << 20:
            store.write_window(window(n, connections=500))
            n += 1
        with pytest.raises(CannotWrite, match="a reader does not end"):
            store.write_window(window(n, connections=500))
        assert (1 << 20) < wal.stat().st_size < 3 << 20
        reader.execute("COMMIT")
        store.write_window(window(n, connections=500))
        assert wal.stat().st_size < 1 << 20
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
