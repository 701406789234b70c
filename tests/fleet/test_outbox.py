"""The outbox and the shipper against a collector that keeps what it is given, and that fails."""

import os
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from sensor.errors import InputMissing
from sensor.model.rows import WindowRows
from sensor.ship.destination import Batch, Refused, Row, Unavailable
from sensor.ship.outbox import HOUR_KEY, HOURS, KEPT, NUMBERED, TABLES, Outbox
from sensor.ship.shipper import LONGEST_PAUSE_S, Shipper, pause_s
from sensor.store.retention import DAY_US, Limits
from sensor.store.sqlite import SqliteStore
from tests.fleet.made import MINUTE, SINCE, host, run, window
from tests.unit.store.made import HOUR, metrics


class Collector:
    """Keeps rows by their key, as every destination does; fails where it is told to."""

    name = "made://collector"
    tables = TABLES

    def __init__(self) -> None:
        self.rows: dict[str, dict[Row, Row]] = {name: {} for name in TABLES}
        self.batches: list[Batch] = []
        self.fail_before: set[int] = set()  # batches that never come in
        self.fail_after: set[int] = set()  # batches whose acknowledgement is lost
        self.poison: set[object] = set()  # values that it cannot take

    def send(self, batch: Batch) -> None:
        number = len(self.batches)
        self.batches.append(batch)
        if number in self.fail_before:
            raise Unavailable("the line is dead")
        if self.poison and any(self.poison & set(row) for row in batch.rows):
            raise Refused("no such value")
        key = HOUR_KEY if batch.table == HOURS else KEPT.get(batch.table) or ("seq",)
        if batch.table == "network_security_events":
            key = ("id",)
        at = [batch.columns.index(name) for name in key]
        for row in batch.rows:
            self.rows[batch.table][tuple(row[i] for i in at)] = row
        if number in self.fail_after:
            raise Unavailable("the acknowledgement is lost")

    def close(self) -> None:
        pass

    def count(self, table: str) -> int:
        return len(self.rows[table])


def counts(path: str) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as db:
        return {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}  # noqa: S608


def ask(path: str, sql: str) -> list[Row]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = host(tmp_path_factory.mktemp("made") / "s.db", range(2), 40)
    return Path(path).read_bytes()


@pytest.fixture
def path(shared: bytes, tmp_path: Path) -> str:
    made = tmp_path / "s.db"
    made.write_bytes(shared)
    return str(made)


def test_everything_arrives_in_bounded_batches(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.ship.outbox.BATCH_ROWS", 7)
    collector = Collector()
    with closing(Outbox(path, collector.name)) as outbox:
        shipper = Shipper(outbox, collector, print)
        shipper.once()
        assert {t: collector.count(t) for t in TABLES} == counts(path)
        assert set(outbox.behind().values()) == {0}
        # The hour that still grows is looked at again, and nothing else.
        again = len(collector.batches)
        shipper.once()
        assert {batch.table for batch in collector.batches[again:]} <= {HOURS}
    assert max(len(b.rows) for b in collector.batches if b.table in NUMBERED) == 7


def test_whatever_fails_every_row_arrives_and_retries_are_the_same_batch(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.ship.outbox.BATCH_ROWS", 20)
    rng = random.Random(1)
    collector = Collector()
    collector.fail_before = {n for n in range(400) if rng.random() < 0.2}
    collector.fail_after = {n for n in range(400) if rng.random() < 0.2}
    failures = 0
    with SqliteStore(path) as writer:
        for attempt in range(1000):
            # A new process each time, and a sensor that goes on writing.
            with closing(Outbox(path, collector.name)) as outbox:
                try:
                    Shipper(outbox, collector, print).once()
                    break
                except Unavailable:
                    failures += 1
            if attempt < 20:
                writer.write_window(window(0, SINCE + (40 + attempt) * MINUTE, rng))
    assert failures > 50
    assert {t: collector.count(t) for t in TABLES} == counts(path)
    kinds: dict[str, list[Row]] = {}
    for batch in collector.batches:
        if batch.table in NUMBERED and batch.table != "network_security_events":
            assert kinds.setdefault(batch.key, batch.rows) == batch.rows


def test_two_destinations_do_not_wait_for_each_other(path: str) -> None:
    good, bad = Collector(), Collector()
    bad.name, bad.fail_before = "made://bad", {0}
    with closing(Outbox(path, bad.name)) as outbox, pytest.raises(Unavailable):
        Shipper(outbox, bad, print).once()
    with closing(Outbox(path, good.name)) as outbox:
        Shipper(outbox, good, print).once()
    assert good.count("connections") == counts(path)["connections"]
    assert bad.count("connections") == 0


def test_an_event_that_changes_is_sent_again(path: str) -> None:
    collector = Collector()
    with closing(Outbox(path, collector.name)) as outbox:
        shipper = Shipper(outbox, collector, print)
        shipper.once()
        with SqliteStore(path) as writer:
            (first, *_) = writer.open_events(run(0, SINCE).agent_id)
            over = first._replace(status="resolved", resolved_at=SINCE + HOUR)
            writer.write_window(WindowRows(run(0, SINCE + HOUR), events=[over]))
        before = len(collector.batches)
        shipper.once()
    (sent,) = [b for b in collector.batches[before:] if b.table == "network_security_events"]
    assert len(sent.rows) == 1
    assert "resolved" in sent.rows[0]


def test_hours_of_windows_that_are_gone_arrive_at_a_new_destination(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        for day in range(40):
            store.write_window(window(0, SINCE + day * DAY_US, random.Random(day)))
    collector = Collector()
    with closing(Outbox(path, collector.name)) as outbox:
        Shipper(outbox, collector, print).once()
    assert collector.count(HOURS) == counts(path)[HOURS] == 40 * 4
    assert collector.count("network_performance_metrics") < 20 * 4
    assert counts(path)["shipping_gaps"] == 0  # it never could have had them


def test_what_retention_took_first_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    collector = Collector()
    limits = Limits(connections=DAY_US)
    with SqliteStore(path, limits) as store:
        store.write_window(window(0, SINCE, random.Random(0)))
        with closing(Outbox(path, collector.name)) as outbox:
            Shipper(outbox, collector, print).once()
        shipped = collector.count("connections")
        for hours in range(1, 60):  # the line is dead for longer than connections are kept
            store.write_window(window(0, SINCE + hours * HOUR, random.Random(hours)))
        seqs = [r[0] for r in ask(path, "SELECT seq FROM connections ORDER BY seq")]
        with closing(Outbox(path, collector.name)) as outbox:
            Shipper(outbox, collector, print).once()
    assert shipped == 1
    (gap,) = ask(path, "SELECT reason, last_seq, rows FROM shipping_gaps"
                       " WHERE table_name = 'connections'")  # fmt: skip
    assert gap[0] == "age"
    assert gap[1] < seqs[0]
    # What came, what is named and nothing else: together it is all there ever was.
    assert collector.count("connections") + gap[2] == 60
    arrived = collector.rows["shipping_gaps"]
    assert [key[0] for key in arrived if key[0] == "connections"] == ["connections"]


def test_a_gap_in_the_middle_of_what_had_arrived_has_no_count(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    collector = Collector()
    with SqliteStore(path) as store:
        for minute in range(10):
            store.write_window(window(0, SINCE + minute * MINUTE, random.Random(minute)))
        with closing(Outbox(path, collector.name)) as outbox:
            Shipper(outbox, collector, print).once()
        for minute in range(10, 20):
            store.write_window(window(0, SINCE + minute * MINUTE, random.Random(minute)))
        later = SINCE + 3 * DAY_US
        store.write_window(window(0, later, random.Random(3)))  # sweeps
        with closing(Outbox(path, collector.name)) as outbox:
            Shipper(outbox, collector, print).once()
    (gap,) = ask(path, "SELECT rows, first_seq FROM shipping_gaps"
                       " WHERE table_name = 'connections'")  # fmt: skip
    assert gap[0] is None
    assert collector.count("connections") == 11


def test_rows_that_are_refused_are_named_and_the_rest_goes_on(path: str) -> None:
    collector = Collector()
    poisoned = [r[0] for r in ask(path, "SELECT seq FROM connections ORDER BY seq")][3::9]
    with closing(sqlite3.connect(path)) as db, db:
        for seq in poisoned:
            db.execute("UPDATE connections SET orig_ip = 'nonsense' WHERE seq = ?", (seq,))
    collector.poison = {"nonsense"}
    said: list[str] = []
    with closing(Outbox(path, collector.name)) as outbox:
        shipper = Shipper(outbox, collector, said.append)
        shipper.once()
    total = counts(path)["connections"]
    assert shipper.refused == len(poisoned)
    assert collector.count("connections") == total - len(poisoned)
    gaps = ask(path, "SELECT sum(rows), min(first_seq), max(last_seq), max(detail)"
                     " FROM shipping_gaps WHERE reason = 'refused'")  # fmt: skip
    assert gaps == [(len(poisoned), poisoned[0], poisoned[-1], "no such value")]
    assert len(said) == 1
    done = ask(path, "SELECT rows FROM shipping_cursors WHERE table_name = 'connections'")
    assert done == [(total - len(poisoned),)]


def test_a_database_that_may_only_be_read_has_its_cursors_elsewhere(
    path: str, tmp_path: Path
) -> None:
    own = str(tmp_path / "cursors.db")
    with closing(Outbox(path, "made://first")):  # gives the database its identity
        pass
    os.chmod(path, 0o400)
    before = Path(path).read_bytes()
    collector = Collector()
    for _ in range(2):
        with closing(Outbox(path, collector.name, cursors=own)) as outbox:
            Shipper(outbox, collector, print).once()
    assert Path(path).read_bytes() == before
    assert collector.count("connections") == counts(path)["connections"]
    assert sum(b.table == "connections" for b in collector.batches) == 1  # the second time: none
    assert os.stat(own).st_mode & 0o777 == 0o600


def test_cursors_of_another_database_are_not_believed(path: str, tmp_path: Path) -> None:
    own = str(tmp_path / "cursors.db")
    other = host(tmp_path / "other.db", [5], 3)
    collector = Collector()
    for database in (path, other):
        with closing(Outbox(database, "made://x")):
            pass
        with closing(Outbox(database, collector.name, cursors=own)) as outbox:
            Shipper(outbox, collector, print).once()
    agents = {row[0] for row in collector.rows["agents"]}
    assert agents == {run(n, 0).agent_id for n in (0, 1, 5)}


def test_the_pause_doubles_up_to_five_minutes_and_half_of_it_is_chance() -> None:
    chance = random.Random(1)
    for failures in [*range(1, 20), 10_000]:
        longest = min(LONGEST_PAUSE_S, 2.0 ** min(failures - 1, 20))
        drawn = [pause_s(failures, chance) for _ in range(200)]
        assert longest / 2 <= min(drawn)
        assert max(drawn) <= longest
        assert max(drawn) - min(drawn) > longest / 3


class Stopped(Event):
    """Set after so many waits, so that nothing waits."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._most = waits

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()


def test_a_service_goes_on_after_failures_and_says_so_once(path: str) -> None:
    collector = Collector()
    collector.fail_before = {0, 1, 2, 3}
    said: list[str] = []
    stop = Stopped(6)
    with closing(Outbox(path, collector.name)) as outbox:
        shipper = Shipper(outbox, collector, said.append, chance=random.Random(2))
        shipper.until(stop)
        assert set(outbox.behind().values()) == {0}
    assert [w > 1 for w in stop.waits] == [False, True, True, True, False, False]
    assert len(said) == 2
    assert said[1].endswith("shipping again")
    assert ask(path, "SELECT count(last_error) FROM shipping_cursors"
                     " WHERE table_name = 'connections'") == [(0,)]  # fmt: skip


def test_it_ships_what_is_written_later(path: str) -> None:
    collector = Collector()
    with SqliteStore(path) as writer, closing(Outbox(path, collector.name)) as outbox:
        shipper = Shipper(outbox, collector, print)

        class Writing(Stopped):
            def wait(self, timeout: float | None = None) -> bool:
                at = SINCE + (50 + len(self.waits)) * MINUTE
                rows = [metrics("late:1/tcp", at)._replace(**ids)]
                writer.write_window(replace(window(0, at, random.Random(0)), metrics=rows))
                return super().wait(timeout)

        ids = {"agent_id": run(0, 0).agent_id, "boot_id": run(0, 0).boot_id}
        shipper.until(Writing(3))
    late = [r for r in collector.rows["network_performance_metrics"].values() if "late:1/tcp" in r]
    assert len(late) == 2  # the third was written after the last look


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no such database"):
        Outbox(str(tmp_path / "none.db"), "made://x")
    assert not list(tmp_path.iterdir())
