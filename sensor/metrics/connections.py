"""Connections and their failures (definitions 1.3)."""

import numpy as np

from sensor._native.counters import Counter
from sensor._native.faces import Window
from sensor.model.metrics import ConnectionMetrics


class ConnectionFigures:
    """Totals of every counter; `active` is the busiest window's number of distinct connections."""

    def __init__(self) -> None:
        self.totals = np.zeros(Counter.C_COUNT, np.uint64)
        self.status = np.zeros(1000, np.uint64)  # by HTTP status code
        self.active_max = 0
        self.open_last = 0

    def add(self, window: Window) -> None:
        self.totals += window["totals"]
        self.status += window["status"]
        self.active_max = max(self.active_max, int(window["totals"][Counter.C_CONNECTIONS_ACTIVE]))
        self.open_last = window["connections_open"]

    def __getitem__(self, counter: Counter) -> int:
        return int(self.totals[counter])

    def metrics(self, period_s: float) -> ConnectionMetrics:
        period = max(period_s, 1.0)
        failed, resets, timeouts = (
            self[c] for c in (Counter.C_CONNECTIONS_FAILED, Counter.C_RESETS, Counter.C_TIMEOUTS)
        )
        return ConnectionMetrics(
            active_connections=self.active_max,
            new_connections_per_sec=round(self[Counter.C_CONNECTIONS_NEW] / period, 6),
            closed_connections_per_sec=round(self[Counter.C_CONNECTIONS_CLOSED] / period, 6),
            connection_errors=failed + resets + timeouts,
            timeout_count=timeouts,
            reset_count=resets,
        )
