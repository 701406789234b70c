"""SqliteReading against numpy on the raw samples, and against sums of the rows written."""

import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sensor.errors import DamagedCapture, InputMissing, UsageError
from sensor.model.rows import (
    BandwidthSecond,
    CaptureHealthRow,
    LatencyHistogramRow,
    ProtocolMixRow,
    RegionalRow,
    WindowRows,
)
from sensor.store.events import EventFilter
from sensor.store.hour_cache import HourCache
from sensor.store.opening import open_reading
from sensor.store.reading import Scope
from sensor.store.slots import percentiles
from sensor.store.sqlite import SqliteStore
from sensor.store.sqlite_reading import SqliteReading
from tests.unit.store.made import AGENT, BOOT, HOUR, T0, US, agent, connection, event, histogram
from tests.unit.store.made import metrics as row_of

MINUTE = 60 * US
WINDOWS = 200  # of one minute: more than three hours, which begin in the middle of nowhere
SINCE = T0 + 25 * MINUTE
ENDPOINTS = ("a:443/tcp", "b:443/tcp", "c:53/udp")
OTHER_AGENT = "5f0d2c9e-58c5-4ac5-a8a5-d2ad3e1c7d11"
OTHER_BOOT = "c0ffee00-0000-4000-8000-000000000002"


class Truth:
    """What was written, as it was before anything was encoded."""

    def __init__(self) -> None:
        self.samples: dict[tuple[int, str], list[int]] = {}

    def of(self, since: int, until: int, endpoint: str | None = None) -> np.ndarray:
        chosen = [
            sample
            for (at, name), samples in self.samples.items()
            for sample in samples
            if since <= at < until and endpoint in (None, name)
        ]
        return np.array(chosen)


def window(at: int, rng: random.Random, truth: Truth) -> WindowRows:
    """A minute of one agent: three endpoints, two seconds with traffic, a mix, a health row."""
    rows = []
    for n, endpoint in enumerate(ENDPOINTS):
        samples = [int(rng.lognormvariate(9 + n, 1)) + 1 for _ in range(rng.randrange(40))]
        truth.samples[at, endpoint] = samples
        lost = None if endpoint.endswith("udp") else rng.randrange(3)
        rows.append(
            row_of(
                endpoint, at, samples, packets_lost=lost, jitter_count=len(samples),
                jitter_sum_us=7 * len(samples), region="CH" if n else "DE", http_requests=2,
            )
        )  # fmt: skip
    ten = json.dumps([100] * 10)
    zero = json.dumps([0] * 10)
    seconds = [
        BandwidthSecond(AGENT, BOOT, at + s * US, 1000 * (s + 1), 50, 0, 2, 1, 0, ten, zero, zero)
        for s in range(2)
    ]
    kinds = [
        LatencyHistogramRow(AGENT, BOOT, at, 60, "dns_response", 2, 5, 6.5, 5, 8, 8, 8,
                            histogram([5, 8]))
    ]  # fmt: skip
    return WindowRows(
        agent(at + 59 * US),
        rows,
        [connection(at)],
        seconds,
        [ProtocolMixRow(AGENT, BOOT, at, 60, leaf, 100, 2, 1) for leaf in ("https", "dns")],
        kinds,
        [RegionalRow(AGENT, BOOT, at, 60, "CH", 10, 2, 4, 1, 1000, 3)],
        [CaptureHealthRow(AGENT, BOOT, at, 60, "ok" if at % HOUR else "degraded", 100, None, 3,
                          0, 0, 0, 0, 0, 0, 0, 0, 0.0, "{}")],
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Truth]:
    path = str(tmp_path_factory.mktemp("reading") / "s.db")
    rng, truth = random.Random(1), Truth()
    with SqliteStore(path) as store:
        for n in range(WINDOWS):
            at = SINCE + n * MINUTE
            short = window(at, random.Random(n), Truth())  # the daemon's look at the same minute
            store.write_window(
                WindowRows(
                    short.agent,
                    [row._replace(window_s=10) for row in short.metrics],
                    protocols=[row._replace(window_s=10) for row in short.protocols],
                    health=[row._replace(window_s=10) for row in short.health],
                    snapshot=True,
                )
            )
            store.write_window(window(at, rng, truth))
        other = agent(SINCE)._replace(
            agent_id=OTHER_AGENT, boot_id=OTHER_BOOT, workspace_id="elsewhere"
        )
        short_run = row_of("a:443/tcp", SINCE, [5], window_s=10)
        store.write_window(
            WindowRows(other, [short_run._replace(agent_id=OTHER_AGENT, boot_id=OTHER_BOOT)])
        )
        store.write_window(
            WindowRows(agent(SINCE), events=[event(n, SINCE + n * US) for n in range(5)])
        )
    return path, truth


KEPT = HourCache()


@pytest.fixture(params=[None, KEPT, KEPT], ids=["uncached", "cold", "warm"])
def store(made: tuple[str, Truth], request: pytest.FixtureRequest) -> Iterator[SqliteReading]:
    """Answers are the same whether hours are kept or not."""
    opened = SqliteReading(made[0], request.param)
    yield opened
    opened.close()


UNTIL = SINCE + WINDOWS * MINUTE
MINE = Scope(SINCE, UNTIL, (AGENT,))


def test_latency_is_that_of_all_samples(store: SqliteReading, made: tuple[str, Truth]) -> None:
    """Over hours and the parts of hours at both ends; a slot of 2 digits is 1 % wide."""
    (whole,) = store.latency(MINE, None)
    samples = made[1].of(SINCE, UNTIL)
    assert (whole.count, whole.sum_us) == (len(samples), int(samples.sum()))
    assert (whole.min_us, whole.max_us) == (samples.min(), samples.max())
    assert (whole.jitter_count, whole.jitter_sum_us) == (len(samples), 7 * len(samples))
    exact = np.percentile(samples, [50, 95, 99], method="inverted_cdf")
    assert percentiles(whole.slots, 50, 95, 99) == pytest.approx(exact.tolist(), rel=0.01)


@pytest.mark.parametrize(("first", "minutes"), [(0, 1), (7, 20), (30, 5), (34, 2), (20, 100)])
@pytest.mark.parametrize("by", [(), ("endpoint",)])
def test_latency_of_parts_of_hours(
    store: SqliteReading, made: tuple[str, Truth], first: int, minutes: int, by: tuple[str, ...]
) -> None:
    since, until = SINCE + first * MINUTE, SINCE + (first + minutes) * MINUTE
    found = store.latency(Scope(since, until, (AGENT,)), None, by)
    assert sum(group.count for group in found) == len(made[1].of(since, until))
    assert {group.bucket for group in found} == {since}


@pytest.mark.parametrize("step_s", [60, 900, 3600, 7200])
def test_latency_by_step_and_endpoint(
    store: SqliteReading, made: tuple[str, Truth], step_s: int
) -> None:
    step = step_s * US
    groups = store.latency(MINE, step_s, ("endpoint",))
    seen = {(g.bucket, g.key[0]): g for g in groups}
    assert list(seen) == sorted(seen)
    for (at, name), found in seen.items():
        samples = made[1].of(max(at, SINCE), at + step, name)
        assert found.count == len(samples)
        assert sum(found.slots.values()) == len(samples)
        exact = np.percentile(samples, 99, method="inverted_cdf")
        assert percentiles(found.slots, 99)[0] == pytest.approx(exact, rel=0.01)
    assert sum(g.count for g in groups) == len(made[1].of(SINCE, UNTIL))


def test_latency_by_region_reads_windows(store: SqliteReading, made: tuple[str, Truth]) -> None:
    found = {g.key: g.count for g in store.latency(MINE, None, ("region", "endpoint"))}
    assert found["DE", "a:443/tcp"] == len(made[1].of(SINCE, UNTIL, "a:443/tcp"))


def test_metrics_are_sums_without_the_snapshots(store: SqliteReading) -> None:
    found = store.metrics(MINE, None)
    assert found["windows"].tolist() == [WINDOWS]
    assert found["rows"].tolist() == [WINDOWS * 3]
    assert found["bytes_received"].tolist() == [WINDOWS * 3 * 3000]
    assert found["http_requests"].tolist() == [WINDOWS * 3 * 2]
    assert found["loss_segments"].tolist() == [WINDOWS * 2 * 30]  # UDP's loss is not known
    assert np.isnan(found["rtp_packets"]).all()  # unknown in all rows, so not 0
    hourly = store.metrics(MINE, 3600, ("endpoint",))
    assert len(hourly["bucket"]) == 3 * 4
    assert hourly["bytes_sent"].sum() == WINDOWS * 3 * 1000
    assert set(hourly["bucket"].tolist()) == {T0 + h * HOUR for h in range(4)}


def test_a_run_of_short_windows_counts_them(store: SqliteReading) -> None:
    theirs = Scope(SINCE, UNTIL, (OTHER_AGENT,))
    assert store.metrics(theirs, None)["rows"].tolist() == [1]
    everybody = store.metrics(Scope(SINCE, UNTIL), None, ("agent_id",))
    assert dict(zip(everybody["agent_id"], everybody["rows"], strict=True)) == {
        AGENT: WINDOWS * 3,
        OTHER_AGENT: 1,
    }


def test_scope_by_workspace_and_period(store: SqliteReading) -> None:
    assert [run.agent_id for run in store.agents("elsewhere")] == [OTHER_AGENT]
    assert store.metrics(Scope(SINCE, UNTIL, (), "elsewhere"), None)["rows"].tolist() == [1]
    assert store.metrics(Scope(SINCE, UNTIL, (), "nobody"), None)["rows"].size == 0
    part = Scope(SINCE + MINUTE, SINCE + 3 * MINUTE, (AGENT,))
    assert store.metrics(part, None)["windows"].tolist() == [2]
    assert store.newest(MINE) == UNTIL - US


@pytest.mark.parametrize("cache", [None, HourCache()])
def test_hours_answer_when_windows_are_gone(tmp_path: Path, cache: HourCache | None) -> None:
    path = str(tmp_path / "old.db")
    rng, truth = random.Random(2), Truth()
    with SqliteStore(path) as store:
        for n in range(180):
            store.write_window(window(T0 + n * MINUTE, rng, truth))
        store._db.execute(
            "DELETE FROM network_performance_metrics WHERE timestamp < ?", (T0 + 2 * HOUR,)
        )
    reading = SqliteReading(path, cache)
    scope = Scope(T0, T0 + 3 * HOUR, (AGENT,))
    reading.latency(scope, None, ("endpoint",))
    found = reading.metrics(scope, None, ("endpoint",))
    assert found["endpoint"].tolist() == list(ENDPOINTS)
    assert found["bytes_sent"].tolist() == [180 * 1000] * 3
    assert found["windows"].tolist() == [180] * 3
    assert np.isnan(found["http_requests"]).all()  # hours do not have it
    assert reading.metrics(scope, 3600)["bytes_sent"].tolist() == [60 * 3000] * 3
    assert sum(g.count for g in reading.latency(scope, 60)) == len(truth.of(T0, T0 + 3 * HOUR))
    recent = Scope(T0 + 2 * HOUR, T0 + 3 * HOUR, (AGENT,))
    assert reading.metrics(recent, None)["http_requests"].tolist() == [60 * 6]
    reading.close()


def test_kinds(store: SqliteReading) -> None:
    assert store.kinds(MINE) == ["dns_response"]
    (found,) = store.latency(MINE, None, kind="dns_response")
    assert (found.count, found.sum_us, found.slots) == (2 * WINDOWS, 13 * WINDOWS, {5: 200, 8: 200})
    with pytest.raises(ValueError, match="by agent only"):
        store.latency(MINE, None, ("endpoint",), "dns_response")


def test_bandwidth_and_bins(store: SqliteReading) -> None:
    found = store.bandwidth(MINE, 60)
    assert len(found["bucket"]) == WINDOWS
    assert set(found["bytes_in"]) == {3000}
    assert set(found["peak_in"]) == {2000}
    assert set(found["peak_out"]) == {50}
    assert set(found["seconds"]) == {2}
    bins = store.bins(MINE)
    assert bins["bins_in"].shape == (2 * WINDOWS, 10)
    assert bins["timestamp"][:2].tolist() == [SINCE, SINCE + US]
    assert bins["bins_in"].sum() == 2 * WINDOWS * 1000
    assert store.bins(Scope(0, 1))["bins_in"].shape == (0, 10)


def test_protocols_regions_health_connections(store: SqliteReading) -> None:
    mix = store.protocols(MINE, None)
    assert dict(zip(mix["leaf"], mix["bytes"], strict=True)) == {
        "dns": WINDOWS * 100,
        "https": WINDOWS * 100,
    }
    regions = store.regions(MINE, None)
    assert regions["errors"].tolist() == [WINDOWS]
    assert regions["latency_sum_us"].tolist() == [3000 * WINDOWS]
    health = store.health(MINE, None)
    assert health["windows"].tolist() == [WINDOWS]
    assert health["degraded"].tolist() == [3]
    assert health["window_s"].tolist() == [WINDOWS * 60]
    assert np.isnan(health["dropped"]).all()  # a savefile cannot know
    newest = store.connections(MINE, 7)
    assert len(newest["ended_at"]) == 7
    assert newest["ended_at"].tolist() == sorted(newest["ended_at"].tolist(), reverse=True)


def test_events_page_by_page(store: SqliteReading) -> None:
    mine = EventFilter(agent_ids=(AGENT,), event_types=("dos_attack",))
    assert store.count_events(mine) == 5
    ids = [stored.event.id for stored in store.events(mine, 3)]
    ids += [stored.event.id for stored in store.events(mine, 3, 3)]
    assert [int(i[-1]) for i in ids] == [4, 3, 2, 1, 0]
    assert store.count_events(EventFilter(event_types=("port_scan",))) == 0
    assert store.count_events(EventFilter(agent_ids=())) == 0


def test_it_cannot_write_and_sees_what_is_written_later(tmp_path: Path) -> None:
    path = str(tmp_path / "live.db")
    with SqliteStore(path) as writer:
        writer.write_window(WindowRows(agent(T0)))
        reading = open_reading(f"sqlite://{path}")
        assert reading.newest(Scope(0, 1)) == T0
        writer.write_window(window(T0, random.Random(3), Truth()))
        assert reading.metrics(Scope(T0, T0 + HOUR), None)["windows"].tolist() == [1]
        assert isinstance(reading, SqliteReading)
        with pytest.raises(DamagedCapture, match="readonly"):
            reading._all("DELETE FROM agents", ())
        reading.close()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no such database"):
        open_reading(str(tmp_path / "none.db"))
    (tmp_path / "text").write_text("no database at all, but long enough to be read as one" * 50)
    with pytest.raises(DamagedCapture, match="not a database"):
        open_reading(str(tmp_path / "text"))
    with pytest.raises(UsageError, match="no store of the kind mysql://"):
        open_reading("mysql://host/x")


def test_what_is_kept_gives_way_to_what_is_written(tmp_path: Path) -> None:
    path = str(tmp_path / "live.db")
    rng, truth, cache = random.Random(4), Truth(), HourCache()
    scope = Scope(T0, T0 + 4 * HOUR)
    with SqliteStore(path) as writer:
        reading, other = SqliteReading(path, cache), SqliteReading(path, cache)
        for n, minute in enumerate((0, 70, 150, 3, 71, 200)):
            writer.write_window(window(T0 + minute * MINUTE, rng, truth))
            for reader in (reading, other, reading):
                assert reader.metrics(scope, None)["windows"].tolist() == [n + 1]
                assert reader.bandwidth(scope, 86_400)["bytes_in"].sum() == 3000 * (n + 1)
                latency = reader.latency(scope, 60)
                assert sum(g.count for g in latency) == len(truth.of(T0, T0 + 4 * HOUR))
        reading.close()
        other.close()


def test_what_is_kept_of_a_period_that_goes_on(tmp_path: Path) -> None:
    """Hour by hour over a day's end, while windows are written: as if nothing were kept."""
    path, cache, rng = str(tmp_path / "s.db"), HourCache(), random.Random(5)
    with SqliteStore(path) as store:
        kept, fresh = SqliteReading(path, cache), SqliteReading(path)
        for n in range(110):
            at = SINCE + n * 17 * MINUTE
            store.write_window(window(at, rng, Truth()))
            until = at + rng.randrange(1, 60) * US
            for length in (HOUR, 8 * HOUR):
                scope = Scope(until - length, until, (AGENT,))
                for step in (60, 300, None):
                    one, other = kept.metrics(scope, step), fresh.metrics(scope, step)
                    assert all(np.array_equal(one[x], other[x], equal_nan=x != "bucket")
                               for x in other)  # fmt: skip
                    assert kept.latency(scope, step) == fresh.latency(scope, step)
                assert kept.latency(scope, None, ("endpoint",)) == fresh.latency(
                    scope, None, ("endpoint",)
                )
            scope = Scope(until - HOUR, until, (AGENT,))
            one, other = kept.bins(scope), fresh.bins(scope)
            assert all(np.array_equal(one[name], other[name]) for name in other)
        kept.close()
        fresh.close()


def test_a_room_that_is_full_loses_the_oldest() -> None:
    cache = HourCache(room=20)
    for n in range(5):
        cache.put(n, n + 1, "few", n, 0)
    cache.get(0, 1, "few")
    cache.put(9, 10, "large", "bins", 0, 16)
    assert [cache.get(n, n + 1, "few") for n in range(5)] == [0, None, 2, 3, 4]
    cache.put(10, 11, "large", "bins", 0, 16)
    assert cache.get(9, 10, "large") is None
    cache.put(10, 11, "late", "old", seq=-1)  # asked before what was written since
    assert cache.get(10, 11, "late") is None


def test_a_database_of_an_older_sensor_is_read(tmp_path: Path) -> None:
    """The reader may be newer than the daemon; what it has no column for is unknown."""
    path = tmp_path / "s.db"
    with SqliteStore(str(path)) as store:
        store.write_window(WindowRows(agent(T0 + 60 * US), [row_of("a:80/tcp", T0, cache_hits=1)]))
    with sqlite3.connect(path) as db:
        for name in ("cache_hits", "cache_misses", "cache_bypasses"):
            db.execute(f"ALTER TABLE network_performance_metrics DROP COLUMN {name}")
        db.execute("PRAGMA user_version = 6")
    found = SqliteReading(str(path)).metrics(Scope(T0, T0 + MINUTE, (AGENT,)), None)
    assert found["bytes_sent"].tolist() == [row_of("a:80/tcp", T0).bytes_sent]
    assert np.isnan(found["cache_hits"]).all()
