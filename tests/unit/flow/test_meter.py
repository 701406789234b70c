"""Consumers get connections before the window they ended in, and nothing twice."""

from typing import Any

import numpy as np
import pytest

from sensor._native.dtypes import FLOW
from sensor._native.faces import FLOWS_NEARLY_FULL, WINDOW_ENDED, Rows, Window
from sensor.flow import meter as under_test
from sensor.flow.meter import Meter, Pace
from tests.unit.windows import totals, window


class Script:
    """An engine that plays what `feed` is to answer, batch by batch."""

    def __init__(self, batches: list[list[int]], last_rows: int = 0) -> None:
        self.batches = [iter([*reasons, 0]) for reasons in batches]
        self.batch: Any = None
        self.rows_left = [1] * 100 if last_rows == 0 else []
        self.last_rows = last_rows
        self.windows = 0

    def next_batch(self) -> int:
        self.batch = self.batches.pop(0) if self.batches else None
        return 1 if self.batch else 0

    def feed(self, source: object) -> int:
        return next(self.batch)

    def finish(self) -> None:
        self.rows_left = [1] * self.last_rows

    def take_features(self) -> None:
        return None

    def take_flows(self) -> tuple[Rows, bytes]:
        return np.zeros(self.rows_left.pop() if self.rows_left else 0, FLOW), b""

    def take_window(self) -> Window:
        self.windows += 1
        return window(self.windows, totals=totals(connections_new=1))


class Log:
    def __init__(self) -> None:
        self.said: list[str] = []

    def window(self, window: Window) -> None:
        self.said.append(f"window {window['start_ns'] // 10**9}")

    def flows(self, rows: Rows, names: bytes) -> None:
        self.said.append("flows")


def drain(engine: Any, log: Log) -> None:
    meter = Meter(engine, [log])
    while meter.read(engine):
        meter.feed(engine)
    meter.finish()


def test_flows_before_their_window() -> None:
    log = Log()
    drain(Script([[FLOWS_NEARLY_FULL], [WINDOW_ENDED | FLOWS_NEARLY_FULL], [WINDOW_ENDED]]), log)
    assert log.said == ["flows", "flows", "window 1", "flows", "window 2", "window 3"]


def test_at_the_end_flows_are_taken_until_there_are_none() -> None:
    log = Log()
    drain(Script([[]], last_rows=3), log)
    assert log.said == ["flows", "flows", "flows", "window 1"]


def test_an_empty_input_gives_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    log, engine = Log(), Script([])
    monkeypatch.setattr(engine, "take_window", window)
    engine.rows_left = []
    drain(engine, log)
    assert log.said == []


def test_pace_sleeps_by_packet_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    naps: list[float] = []

    def sleep(s: float) -> None:
        naps.append(s)
        clock[0] += s

    monkeypatch.setattr(under_test, "monotonic", lambda: clock[0])
    monkeypatch.setattr(under_test, "sleep", sleep)
    pace = Pace(speed=4)
    pace.wait(5 * 10**9, lambda: False)
    pace.wait(7 * 10**9, lambda: False)  # 2 s of packet time are 0.5 s
    assert sum(naps) == pytest.approx(0.5)
    pace.wait(1 * 10**9, lambda: False)  # time that went back is due
    pace.wait(900 * 10**9, lambda: True)  # told to stop
    assert sum(naps) == pytest.approx(0.5)
