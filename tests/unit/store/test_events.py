"""Events: one row each that changes, in the order they came in; what is asked of them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from sensor.detect.detector import Detector
from sensor.detect.rule import RuleSet
from sensor.errors import CannotWrite
from sensor.model.rows import DetectionStateRow, WindowRows
from sensor.store.events import EventFilter
from sensor.store.migrations import migrations
from sensor.store.queries import open_reader
from sensor.store.retention import DAY_US, HOUR_US
from sensor.store.sqlite import SqliteStore
from sensor.store.state import state_text
from sensor.store.tables import APPLICATION_ID
from tests.unit.detect.demo import detector, feed, rule
from tests.unit.store.made import AGENT, T0, US, agent, connection, event, resolved


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s.db")


def numbers(path: str, **wanted: object) -> list[int]:
    """The last digits of the ids of the events that match, in the order they are given out."""
    with open_reader(path) as reader:
        found = reader.events.matching(EventFilter(**wanted), 100)
        assert reader.events.count(EventFilter(**wanted)) == len(found)
        return [int(row.id[-4:], 16) for _, row in found]


def test_an_event_is_one_row_with_a_new_number_at_every_change(path: str) -> None:
    first, second = event(1), event(2)
    with SqliteStore(path) as store, open_reader(path) as reader:
        store.write_window(WindowRows(agent(), connections=[connection(T0)], events=[first]))
        store.write_window(WindowRows(agent(), events=[second]))
        upto = reader.events.last_seq()
        seen = reader.events.changed(EventFilter(), 0, upto, 100)
        assert [row for _, row in seen] == [first, second]

        over = resolved(first, T0 + 9 * US, severity="critical", evidence=None)
        store.write_window(WindowRows(agent(), events=[over]))
        again = reader.events.changed(EventFilter(), upto, reader.events.last_seq(), 100)
        assert [row for _, row in again] == [over]
        assert again[0].seq > upto
        newest_first = [row for _, row in reader.events.matching(EventFilter(), 100)]
        assert newest_first == [second, over]  # of the same time: as they came in


def test_opened_and_resolved_within_one_window(path: str) -> None:
    over = resolved(event(), T0 + US)
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=[event(), over]))
    with open_reader(path) as reader:
        assert reader.events.matching(EventFilter(), 100) == [(2, over)]


@pytest.mark.parametrize("at", [0, T0 - 100 * 365 * DAY_US, 9_223_372_036_854_775_807])
def test_a_window_of_events_alone_is_kept_whatever_its_time(path: str, at: int) -> None:
    nobody = agent()._replace(first_packet=None, last_packet=None)
    with SqliteStore(path) as store:
        store.write_window(WindowRows(nobody, events=[event(at=at, started_at=None)]))
    assert numbers(path) == [0]


def test_a_failed_window_leaves_the_event_and_its_number(path: str) -> None:
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=[event()]))
        broken = resolved(event(), T0, evidence="not JSON")
        with pytest.raises(CannotWrite):
            store.write_window(WindowRows(agent(), events=[resolved(event(), T0), broken]))
        with open_reader(path) as reader:
            assert reader.events.changed(EventFilter(), 0, 100, 9) == [(1, event())]


def test_filters(path: str) -> None:
    other = "11111111-58c5-4ac5-a8a5-d2ad3e1c7d10"
    hour = T0 + HOUR_US
    made = [
        event(1, severity="low", event_type="port_scan", attack_class="host_scan"),
        resolved(event(2, severity="medium"), T0 + 5 * US),
        event(3, hour, severity="critical", agent_id=other),
        resolved(event(4, hour, attack_class="udp_flood"), hour + 9 * US),
    ]
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=made))
    assert numbers(path) == [4, 3, 2, 1]
    assert numbers(path, severity="medium") == [4, 3, 2]
    assert numbers(path, severity="critical") == [3]
    assert numbers(path, event_type="port_scan") == [1]
    assert numbers(path, attack_class="udp_flood") == [4]
    assert numbers(path, status="open") == [3, 1]
    assert numbers(path, agent_id=other) == [3]
    assert numbers(path, severity="high", status="resolved", since=T0) == [4]
    # In a period is what went on in it: the open ones did not end, the fourth began before `hour`.
    assert numbers(path, since=T0 + 5 * US) == [4, 3, 2, 1]
    assert numbers(path, since=T0 + 5 * US + 1) == [4, 3, 1]
    assert numbers(path, since=hour + 10 * US) == [3, 1]
    assert numbers(path, until=hour - 1 * US) == [4, 3, 2, 1]
    assert numbers(path, until=hour - 2 * US) == [2, 1]
    assert numbers(path, severity="low", event_type="'; DROP TABLE agents --") == []
    with open_reader(path) as reader:
        assert reader.events.matching(EventFilter(), 1) == [(4, made[3])]
        assert reader.events.newest() == hour + 9 * US


def test_by_id(path: str) -> None:
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=[event(0xA1), event(0xA2)]))
    with open_reader(path) as reader:
        assert reader.events.by_id(event(0xA2).id.upper(), 9) == [(2, event(0xA2))]
        both = reader.events.by_id(event(0xA2).id[:-1], 9)
        assert both == [(1, event(0xA1)), (2, event(0xA2))]
        for nothing in ("", "%", "_" * 36, "ff", "\x00"):
            assert reader.events.by_id(nothing, 9) == []


def test_an_empty_database_has_no_events(path: str) -> None:
    SqliteStore(path).close()
    with open_reader(path) as reader:
        assert reader.events.newest() is None
        assert reader.events.last_seq() == 0
        assert reader.events.matching(EventFilter(), 9) == []


def test_events_expire_by_packet_time_after_400_days(path: str) -> None:
    newest = T0 + 500 * DAY_US
    with SqliteStore(path) as store:
        old = [event(n, newest - age) for n, age in enumerate((401 * DAY_US, 399 * DAY_US, 0))]
        store.write_window(WindowRows(agent(newest - HOUR_US), events=old))
        assert numbers(path) == [2, 1, 0]
        store.write_window(WindowRows(agent(newest)))
    assert numbers(path) == [2, 1]


def test_the_newest_state_of_detection_is_kept_with_its_window(path: str) -> None:
    first = DetectionStateRow(AGENT, T0, '{"n": 1}')
    second = DetectionStateRow(AGENT, T0 + US, '{"n": 2}')
    with SqliteStore(path) as store:
        assert store.detection_state(AGENT) is None
        store.write_window(WindowRows(agent(), detection=first))
        store.write_window(WindowRows(agent()))
        assert store.detection_state(AGENT) == first
        with pytest.raises(CannotWrite):
            store.write_window(WindowRows(agent(), events=[event()], detection=(AGENT, T0, "{")))
        store.write_window(WindowRows(agent(), detection=second))
    with SqliteStore(path) as store:
        assert store.detection_state(AGENT) == second
        assert store.detection_state("another") is None
    assert numbers(path) == []


def test_the_events_that_a_restart_takes_up(path: str) -> None:
    mine = [event(1), event(2, T0 + US)]
    others = [event(3, agent_id="another"), resolved(event(4), T0 + US)]
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=[*others, *mine]))
        assert store.open_events(AGENT) == mine


def test_a_state_too_large_gives_up_its_last_keys() -> None:
    keys = {f"192.0.2.{n}|443|6": {"silent": [n / 7, 1.5, 0.0, 9.0, 1.0]} for n in range(2000)}
    state = {"version": 1, "rules": {"a": {"tested": 7, "keys": keys}, "b": {"keys": {"k": {}}}}}
    assert json.loads(state_text(state)) == state

    text = state_text(state, 50_000)
    assert 30_000 < len(text.encode()) <= 50_000
    kept = json.loads(text)["rules"]["a"]
    assert kept["tested"] == 7
    assert list(kept["keys"].items()) == list(keys.items())[: len(kept["keys"])]

    nothing = json.loads(state_text(state, 100))
    assert nothing == {"version": 1, "rules": {"a": {"tested": 7, "keys": {}}, "b": {"keys": {}}}}


def test_what_a_detector_learnt_comes_back(path: str) -> None:
    before = detector(rule())
    feed(before, [20, 25, 30] * 50)
    learnt = before.state()
    assert learnt["rules"]
    with SqliteStore(path) as store:
        saved = DetectionStateRow(AGENT, T0, state_text(learnt))
        store.write_window(WindowRows(agent(), events=before.changed(), detection=saved))
    with SqliteStore(path) as store:
        row = store.detection_state(AGENT)
    assert row is not None
    after = Detector(RuleSet((rule(),)), agent_id=AGENT, boot_id="b", state=json.loads(row.state))
    assert after.state() == learnt


def test_a_database_of_schema_1_is_brought_up_to_date(path: str) -> None:
    """Events keep their rows, numbers and order; the comments are the new ones."""
    made = [event(2), resolved(event(1), T0 + US), event(3, T0 - US)]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrations.apply(Database(db), stop_before="m0002_detection")
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        marks = ", ".join("?" * (len(event()) + 1))
        columns = ", ".join((*event()._fields, "seq"))
        for seq, row in enumerate(made, 1):
            sql = f"INSERT INTO network_security_events ({columns}) VALUES ({marks})"  # noqa: S608
            db.execute(sql, (*row, seq))
        db.execute("UPDATE store_counters SET value = 4 WHERE name = 'next_seq'")
    assert numbers(path) == [1, 2, 3]  # a reader needs no newer schema

    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=[event(4)]))
    with open_reader(path) as reader:
        changes = reader.events.changed(EventFilter(), 0, 99, 99)
        assert changes == list(enumerate([*made, event(4)], 1))
    with closing(sqlite3.connect(path)) as db:
        said = db.execute("SELECT sql FROM sqlite_master WHERE name = 'network_security_events'")
        assert "a new one whenever the row changes" in said.fetchone()[0]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        indexes = db.execute("PRAGMA index_list(network_security_events)").fetchall()
        assert len(indexes) == 5  # four of ours, the key's
