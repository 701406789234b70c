"""Nine agents whose troubles are known, in one store."""

import time
from collections.abc import Iterator
from typing import Any

from sensor.model.rows import CaptureHealthRow, LatencyHistogramRow, WindowRows
from sensor.store.sqlite import SqliteStore
from tests.api.made import MINUTE
from tests.fleet.made import agent_id, boot_id
from tests.unit.store.made import T0, US, agent, event, histogram, metrics

NAMES = ("attacked", "bothered", "losing", "leaky", "dead", "Fine", "noted", "capture", "empty")
DEAD_S = 7200
EVENTS = {"attacked": ("critical", "medium"), "bothered": ("medium",), "noted": ("low",)}
DROPPED = {"losing": 150, "leaky": 20, "dead": 5000}  # beside 1000 that were received
EXPECTED = {
    "attacked": "critical", "bothered": "degraded", "losing": "critical", "leaky": "degraded",
    "dead": "silent", "Fine": "healthy", "noted": "healthy", "capture": "healthy", "empty": None,
}  # fmt: skip
SAMPLES = [1000, 2000, 3000, 40_000]


def last_of(name: str, now: int) -> int:
    return {"capture": T0, "dead": now - DEAD_S * US}.get(name, now - 20 * US)


def windows(last: int, name: str, run: Any) -> Iterator[WindowRows]:
    """Twenty minutes, and the daemon's ten seconds after them: of these only fifteen count."""
    ids = {"agent_id": run.agent_id, "boot_id": run.boot_id}
    dropped = None if name == "capture" else DROPPED.get(name, 0)
    for k in range(20, -1, -1):
        at = last - k * MINUTE - 30 * US
        for window_s in (60, 10) if k == 0 else (60,):
            flag = "degraded" if dropped else "ok"
            health = CaptureHealthRow(run.agent_id, run.boot_id, at, window_s, flag, 1000, dropped,
                                      None, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, "{}")  # fmt: skip
            rows = [metrics(f"{e}.example:443/tcp", at, SAMPLES, window_s=window_s,
                            **ids) for e in "ab"]  # fmt: skip
            ranks = (1000, 11_500, 2000, 40_000, 40_000, 40_000)
            kinds = [LatencyHistogramRow(run.agent_id, run.boot_id, at, window_s, "tcp_rtt", 4,
                                         *ranks, histogram(SAMPLES))]  # fmt: skip
            short = window_s == 10
            yield WindowRows(run, rows, latency=[] if short else kinds, health=[health],
                             snapshot=short)  # fmt: skip


def fill(path: str) -> None:
    now = time.time_ns() // 1000  # when the test begins, not when it was collected
    with SqliteStore(path) as store:
        for n, name in enumerate(NAMES):
            last = last_of(name, now)
            run = agent(last, boot=boot_id(n), source="replay" if name in ("capture", "empty")
                        else "live")._replace(
                agent_id=agent_id(n), hostname=name, workspace_id=f"w{n % 2}",
                version=f"0.{n % 3}.0", first_packet=last - 1)  # fmt: skip
            older = run._replace(boot_id=boot_id(100 + n), version="0.0.9", first_packet=1,
                                 last_packet=last - 90 * MINUTE)  # fmt: skip
            store.write_window(WindowRows(older))
            if name == "empty":
                store.write_window(WindowRows(run))
                continue
            for window in windows(last, name, run):
                store.write_window(window)
            made = [
                event(10 * n + k, last, severity=severity, agent_id=run.agent_id)._replace(
                    boot_id=run.boot_id)
                for k, severity in enumerate(EVENTS.get(name, ()))
            ]  # fmt: skip
            over = event(900 + n, last, severity="critical", status="resolved", resolved_at=last,
                         agent_id=run.agent_id, boot_id=run.boot_id)  # fmt: skip
            store.write_window(WindowRows(run, events=[*made, over]))
