# ruff: noqa: S608 - names are ours
"""A collector that flaps, a network that breaks, kill -9 on both sides: the central store has every
row once. Real servers, a real `sensor ship`."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import psycopg
import pytest

from sensor.ship.destination import Unavailable
from sensor.ship.exporters import open_destination
from sensor.ship.outbox import NUMBERED, Outbox
from sensor.ship.shipper import Shipper
from sensor.store.administration import administration
from sensor.store.opening import open_reading
from sensor.store.queries import open_readonly
from sensor.store.reading import Scope
from sensor.store.slots import add_slots, percentiles
from sensor.store.sqlite import SqliteStore
from sensor.store.sqlite_reading import SqliteReading
from tests.fleet.flapping import Flapping
from tests.fleet.made import MINUTE, SINCE, host, window
from tests.fleet.proxy import proxy
from tests.fleet.servers import Postgres
from tests.fleet.shipping import ship
from tests.unit.store.made import HOUR

pytestmark = pytest.mark.system
WITHIN_S = 120


@pytest.fixture
def url(postgres_server: Postgres) -> str:
    made = postgres_server.database("flaps")
    administration(made).init(made)
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Path(host(tmp_path_factory.mktemp("made") / "s.db", range(2), 40)).read_bytes()


@pytest.fixture
def path(shared: bytes, tmp_path: Path) -> str:
    made = tmp_path / "s.db"
    made.write_bytes(shared)
    return str(made)


def keys(table: str) -> str:
    return "id, seq" if table == "network_security_events" else "agent_id, boot_id, seq"


def assert_equal(path: str, url: str) -> None:
    """Every numbered row is there once, hours have all their windows."""
    with closing(sqlite3.connect(path)) as local, psycopg.connect(url) as central:
        for table in NUMBERED:
            if table == "cdn_requests":  # its run is the database
                sql = "SELECT agent_id, seq FROM cdn_requests"
            else:
                sql = f"SELECT {keys(table)} FROM {table}"
            here = sorted(tuple(map(str, row)) for row in local.execute(sql))
            there = sorted(tuple(map(str, row)) for row in central.execute(sql.encode()))
            assert there == here, table
        sql = "SELECT agent_id, endpoint, windows, latency_count FROM metrics_hourly"
        here = sorted((a, e.replace("\0", "\ufffd"), w, n) for a, e, w, n in local.execute(sql))
        assert sorted((str(a), e, w, n) for a, e, w, n in central.execute(sql)) == here


@pytest.mark.parametrize("seed", range(3))
def test_connections_that_break_anywhere(
    path: str, url: str, postgres_server: Postgres, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut after any octet of either direction: before a commit, in it, before its answer."""
    monkeypatch.setattr("sensor.ship.outbox.BATCH_ROWS", 100)
    rng = random.Random(seed)
    with (
        SqliteStore(path) as writer,
        proxy(postgres_server.port, lambda: int(rng.expovariate(1 / 60_000)) + 2_000) as network,
    ):
        broken = url.replace(str(postgres_server.port), str(network.port))
        for attempt in range(2000):
            destination = open_destination(broken)
            with (
                closing(destination),
                closing(Outbox(path, "postgresql://central/flaps")) as outbox,
            ):
                try:
                    Shipper(outbox, destination, print).once()
                    break
                except Unavailable:
                    pass
            if attempt < 30:
                writer.write_window(window(0, SINCE + (40 + attempt) * MINUTE, rng))
        else:
            pytest.fail("it never got through")
        assert network.cuts > 10
    assert_equal(path, url)


def test_acknowledgements_lost_doubled_and_out_of_order(
    path: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.ship.outbox.BATCH_ROWS", 50)
    rng = random.Random(4)
    flapping = Flapping(open_destination(url), rng)
    with (
        SqliteStore(path) as writer,
        closing(flapping),
        closing(Outbox(path, flapping.name)) as outbox,
    ):
        shipper = Shipper(outbox, flapping, print)
        failures = 0
        while True:
            try:
                shipper.once()
                break
            except Unavailable:
                failures += 1
            if failures < 30:
                writer.write_window(window(1, SINCE + (40 + failures) * MINUTE, rng))
    assert failures > 20
    assert_equal(path, url)


def start(path: str, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c",
         "import sensor.ship.outbox as o; o.BATCH_ROWS = 20\n"
         "from sensor.programs.cli import main; main()",
         "ship", "--db", path, "--to", url],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def shipped(db: sqlite3.Connection) -> int:
    sql = "SELECT coalesce(sum(rows), 0) FROM shipping_cursors"
    return int(db.execute(sql).fetchone()[0])


def wait_for(path: str, more: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many further rows are acknowledged."""
    deadline = time.monotonic() + WITHIN_S
    with closing(open_readonly(path)) as db:
        rows = shipped(db) + more
        while shipped(db) < rows:
            assert process.poll() is None, "it ended"
            assert time.monotonic() < deadline, "it does not ship"
            time.sleep(0.005)


def test_kill_9_of_the_shipper(path: str, url: str) -> None:
    rng = random.Random(5)
    for k in range(5):
        with SqliteStore(path) as writer:
            for minute in range(20):
                writer.write_window(window(0, SINCE + (40 + 20 * k + minute) * MINUTE, rng))
        process = start(path, url)
        try:
            wait_for(path, rng.randrange(1, 200), process)
        finally:
            process.kill()
            process.wait()
    finish(path, url)
    assert_equal(path, url)


def finish(path: str, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sensor", "ship", "--once", "--db", path, "--to", url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_kill_9_of_the_server_while_a_sensor_writes(
    path: str, url: str, postgres_server: Postgres
) -> None:
    process = start(path, url)
    try:
        with SqliteStore(path) as writer:
            for k in range(3):
                wait_for(path, 60, process)
                postgres_server.kill()
                for minute in range(30):
                    at = SINCE + (40 + k * 30 + minute) * MINUTE
                    writer.write_window(window(0, at, random.Random(minute)))
                postgres_server.start()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    finally:
        process.kill()
        process.wait()
    finish(path, url)
    assert_equal(path, url)


def test_twenty_hosts_are_one_merged_histogram(tmp_path: Path, url: str) -> None:
    """Shipped at the same time; percentiles are those of all samples of all hosts."""
    samples: list[int] = []
    paths = [host(tmp_path / f"{n}.db", [n], 5, samples) for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(lambda path: ship(path, url).rows, paths))
    scope = Scope(SINCE, SINCE + HOUR)
    with closing(open_reading(url)) as store:
        (found,) = store.latency(scope, None)
        assert len(store.agents()) == 20
    merged: dict[int, int] = {}
    for path in paths:
        with closing(SqliteReading(path)) as one:
            for group in one.latency(scope, None):
                add_slots(merged, group.slots)
    assert found.slots == merged
    assert found.count == len(samples)
    exact = np.percentile(samples, [50, 95, 99], method="inverted_cdf")
    assert percentiles(found.slots, 50, 95, 99) == pytest.approx(exact.tolist(), rel=0.01)
