"""How long GET performance takes over a day and over 30 days, with a window written in between.

    python -m tests.bench.api [--days 30] [--endpoints 20] [--rounds 200]

A day has one-minute rows of --endpoints endpoints and a row for every second; days before the last
two have a quarter of the endpoints. Before every question a window is written, as a daemon would.
"""

import argparse
import json
import random
import secrets
import tempfile
import time
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from threading import Thread

from sensor.api.app import make_app
from sensor.api.server import make_server, settle
from sensor.api.settings import ApiSettings
from sensor.model.rows import (
    BandwidthSecond,
    CaptureHealthRow,
    LatencyHistogramRow,
    ProtocolMixRow,
    RegionalRow,
    WindowRows,
)
from sensor.programs.serve import listen
from sensor.store.opening import opener
from sensor.store.retention import Limits
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import AGENT, BOOT, T0, US, agent, histogram, metrics

TOKEN = secrets.token_urlsafe()
MINUTE = 60 * US
GOALS_MS = {"24h": 50.0, "30d": 1000.0}


class Traffic:
    """Windows of a made agent; blobs are drawn from a few, since making them takes longest."""

    def __init__(self, seed: int = 1) -> None:
        self.rng = random.Random(seed)
        self.samples = [
            [int(self.rng.lognormvariate(9 + n % 4 / 2, 0.7)) + 1 for _ in range(40)]
            for n in range(64)
        ]
        self.rows = [metrics("x", T0, samples) for samples in self.samples]
        pooled = list(chain.from_iterable(self.samples))
        self.pooled = {n: histogram(pooled[: 40 * n]) for n in range(1, len(self.samples))}
        self.ten = json.dumps([1250] * 10, separators=(",", ":"))

    def window(self, at: int, endpoints: int) -> WindowRows:
        rows = [
            self.rng.choice(self.rows)._replace(
                endpoint=f"host{n}.example:443/tcp", timestamp=at, packets_lost=1, region="CH",
                jitter_count=30, jitter_sum_us=9000, app="ssl", role="originator",
            )
            for n in range(endpoints)
        ]  # fmt: skip
        seconds = [
            BandwidthSecond(AGENT, BOOT, at + s * US, 12_500, 12_500, 0, 20, 20, 0, self.ten,
                            self.ten, "[0,0,0,0,0,0,0,0,0,0]")
            for s in range(60)
        ]  # fmt: skip
        return WindowRows(
            agent(at + 59 * US)._replace(first_packet=at),
            rows,
            (),
            seconds,
            [ProtocolMixRow(AGENT, BOOT, at, 60, leaf, 10_000, 20, 2)
             for leaf in ("https", "http", "dns", "quic")],
            [LatencyHistogramRow(AGENT, BOOT, at, 60, "tcp_rtt", 40 * endpoints, 1, 1.0, 1, 1, 1,
                                 99_999, self.pooled[endpoints])],
            [RegionalRow(AGENT, BOOT, at, 60, "CH", 10_000, 20, 3, 0, 9000, 40)],
            [CaptureHealthRow(AGENT, BOOT, at, 60, "ok", 1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0,
                              "{}")],
        )  # fmt: skip


def fill(path: str, days: int, endpoints: int, left: int = 0) -> tuple[SqliteStore, Traffic, int]:
    """A store that ends `left` minutes ago, its writer, and the start of the next window."""
    traffic = Traffic()
    store = SqliteStore(path, Limits(size=8 << 30))
    store._db.execute("PRAGMA synchronous = OFF")  # a made store needs no durability
    until = (int(time.time()) // 60 - left) * MINUTE
    at = until - days * 1440 * MINUTE
    while at < until:
        is_recent = until - at <= 2 * 1440 * MINUTE
        store.write_window(traffic.window(at, endpoints if is_recent else max(endpoints // 4, 1)))
        at += MINUTE
    return store, traffic, until


def percentile(values: list[float], p: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--endpoints", type=int, default=20, choices=range(1, 64), metavar="N")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "bench.db")
        start = time.perf_counter()
        store, traffic, at = fill(path, options.days, options.endpoints, options.rounds * 2)
        size = Path(path).stat().st_size / 1e6
        print(f"made {options.days} days in {time.perf_counter() - start:.0f} s, {size:.0f} MB")
        settings = ApiSettings(token=TOKEN)
        listening = listen("127.0.0.1", 0)
        server = make_server(make_app(settings, opener(path)), settings)
        settle()
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        client = HTTPConnection(*listening.getsockname())
        for timeframe in GOALS_MS:
            took, busy = [], time.process_time()
            for _ in range(options.rounds if timeframe == "24h" else options.rounds // 4):
                store.write_window(traffic.window(at, options.endpoints))
                at += MINUTE
                start = time.perf_counter()
                client.request(
                    "GET",
                    f"/analytics/network/{AGENT}/performance?timeframe={timeframe}",
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )
                answer = client.getresponse()
                body = answer.read()
                took.append((time.perf_counter() - start) * 1000)
                assert answer.status == 200, body
            warm = took[1:]
            busy = (time.process_time() - busy) * 1000 / len(took)
            print(
                f"performance {timeframe}: first {took[0]:.0f} ms, then p50"
                f" {percentile(warm, 0.5):.1f} ms, p99 {percentile(warm, 0.99):.1f} ms"
                f" ({busy:.0f} ms of a core, the window's writing and the client included)"
                f" (goal {GOALS_MS[timeframe]:.0f} ms), {len(body)} octets"
            )
        server.should_exit = True
        thread.join()
        store.close()


if __name__ == "__main__":
    main()
