"""The queue between the threads: order, bounds, and failures that do not end the work."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import numpy as np
import pytest

from sensor._native.dtypes import FLOW
from sensor._native.faces import Features, Rows, Window
from sensor.flow import backlog as under_test
from sensor.flow.backlog import Backlog, Behind
from tests.unit.windows import window


class Log:
    """Consumer, watcher and worker in one."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.health: list[dict[str, int]] = []
        self.go = Event()
        self.go.set()
        self.consumers = (self,)
        self.watcher = self

    def window(self, window: Window) -> None:
        self.go.wait()
        if window["start_ns"] == 13 * 10**9:
            raise ValueError("thirteen")
        self.said.append(f"window {window['start_ns'] // 10**9}")
        self.health.append(window["health"])

    def flows(self, rows: Rows, names: bytes) -> None:
        self.said.append(f"flows {len(rows)}")

    def features(self, features: Features) -> None:
        self.said.append("second")

    def finish(self) -> None:
        self.said.append("finish")

    @contextmanager
    def make(self) -> Iterator[list["Log"]]:
        yield [self]
        self.said.append("closed")


def test_all_is_done_in_order_and_closed_at_the_end() -> None:
    log = Log()
    kept: list[int] = []
    backlog = Backlog(log.make, pytest.fail)
    behind = Behind(backlog, 0, kept.append)
    behind.flows(np.zeros(3, FLOW), b"")
    behind.features({"start_ns": 0, "end_ns": 1, "tables": {}})
    behind.window(window(1))
    behind.finish()
    backlog.close()
    assert log.said == ["flows 3", "second", "window 1", "finish", "closed"]
    assert kept == [0]


def test_what_does_not_fit_is_counted_and_told_by_the_next_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(under_test, "MOST", 2)
    log = Log()
    log.go.clear()
    kept: list[int] = []
    backlog = Backlog(log.make, pytest.fail)
    behind = Behind(backlog, 0, kept.append)
    for i in range(6):
        behind.window(window(i))
    log.go.set()
    behind.finish()
    backlog.close()
    assert len(kept) == len(log.health)
    done = len(log.health)
    assert 2 <= done < 6
    assert sum(health["windows_lost"] for health in log.health) + behind.lost["windows_lost"] == (
        6 - done
    )


def test_a_failure_is_told_and_work_goes_on() -> None:
    log, failures, kept = Log(), list[Exception](), list[int]()
    backlog = Backlog(log.make, failures.append)
    behind = Behind(backlog, 0, kept.append)
    behind.window(window(13))
    behind.window(window(14))
    backlog.close()
    assert kept == [1]
    assert [str(failure) for failure in failures] == ["thirteen"]
    assert log.said == ["window 14", "closed"]


def test_what_cannot_be_made_is_raised_where_it_was_asked_for() -> None:
    @contextmanager
    def make() -> Iterator[list[Log]]:
        raise ValueError("no disk")
        yield []

    with pytest.raises(ValueError, match="no disk"):
        Backlog(make, pytest.fail)
