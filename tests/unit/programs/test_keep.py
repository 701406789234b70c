"""`sensor replay --db` and what `sensor report` makes of it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from sensor.metrics.histograms import decode
from sensor.programs import keep
from sensor.programs.replay import Replay, open_store
from tests.unit.programs.captures import MS, START, refused, traffic, write
from tests.unit.programs.test_cli import run

CONNECTIONS = 150
TABLES = (
    "agents", "network_performance_metrics", "metrics_hourly", "connections", "bandwidth_seconds",
    "protocol_mix", "latency_histograms", "regional_metrics", "capture_health",
)  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("captures") / "traffic.pcap", traffic(CONNECTIONS))


def replay(capture: Path, db: Path) -> dict[str, Any]:
    done = run("replay", str(capture), "--json", "--db", str(db))
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@pytest.fixture(scope="module")
def database(capture: Path) -> Path:
    return capture.with_suffix(".db")


@pytest.fixture(scope="module")
def document(capture: Path, database: Path) -> dict[str, Any]:
    return replay(capture, database)


@pytest.fixture
def db(database: Path, document: dict[str, Any]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as opened:
        yield opened


def one(db: sqlite3.Connection, what: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = db.execute(f"SELECT {what}").fetchone()
    return row


def test_the_rows_add_up_to_the_document(db: sqlite3.Connection, document: dict[str, Any]) -> None:
    states = db.execute("SELECT conn_state, count(*) FROM connections GROUP BY 1 ORDER BY 1")
    assert dict(states) == document["connections"]["states"]
    octets = document["capture"]["bytes"]
    for sums in (
        "sum(bytes_sent + bytes_received), sum(packets_sent + packets_received)"
        " FROM network_performance_metrics",
        "sum(bytes_in + bytes_out + bytes_other), sum(packets_in + packets_out + packets_other)"
        " FROM bandwidth_seconds",
        "sum(bytes), sum(packets) FROM protocol_mix",
        "sum(bytes), sum(packets) FROM regional_metrics",
        "sum(orig_wire_bytes + resp_wire_bytes), sum(orig_packets + resp_packets) FROM connections",
    ):
        assert one(db, sums) == (octets, document["capture"]["packets"]), sums
    assert one(db, "sum(received), max(dropped) FROM capture_health") == (
        document["capture"]["packets"],
        None,
    )
    assert one(
        db,
        "sum(http_requests), sum(dns_queries), sum(dns_nxdomain), sum(connections_failed)"
        " FROM network_performance_metrics",
    ) == (CONNECTIONS, CONNECTIONS, CONNECTIONS // 10, 10)


def test_windows_and_their_latency(db: sqlite3.Connection) -> None:
    """150 s from 20 s after a full minute: three windows, each with its own connections."""
    start_us = (START - 20 * 10**9) // 1000
    rows = db.execute(
        "SELECT timestamp, created_at, connections_new, latency_count, latency_min_us,"
        " latency_p50_us, latency_avg_us, latency_max_us, latency_hist, packets_lost, role, app"
        " FROM network_performance_metrics WHERE endpoint = 'shop.example:80/tcp' ORDER BY 1"
    ).fetchall()
    assert [row[:3] for row in rows] == [
        (start_us + i * 60_000_000, start_us + (i + 1) * 60_000_000, n)
        for i, n in enumerate((40, 60, 50))
    ]
    for *_, count, low, p50, mean, high, blob, lost, role, app in rows:
        assert low == p50 == mean == high == 20_000
        assert decode(blob).sum() == count
        assert (lost, role, app) == (0, "originator", "http")


def test_unknown_is_null(db: sqlite3.Connection) -> None:
    """DNS over UDP: no TCP, so no segments to lose."""
    assert one(
        db,
        "count(packets_lost), count(packets_retransmitted), count(handshakes),"
        " count(bandwidth_usage_percent), count(*) FROM network_performance_metrics"
        " WHERE endpoint = '10.0.0.53:53/udp'",
    ) == (0, 0, 0, 0, 3)


def test_replaying_twice_gives_the_same_rows(
    capture: Path, database: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    replay(capture, tmp_path / "again.db")
    for table in TABLES:
        found = []
        for path in (database, tmp_path / "again.db"):
            with closing(sqlite3.connect(path)) as opened:
                found.append(opened.execute(f"SELECT * FROM {table}").fetchall())  # noqa: S608
        assert found[0] == found[1], table
        assert found[0], table


def test_a_database_that_cannot_be_written(capture: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.db"
    notes.write_text("these are notes, and no database")
    for path in (tmp_path / "nowhere" / "s.db", tmp_path, notes):
        done = run("replay", str(capture), "--db", str(path))
        assert (done.returncode, done.stdout) == (73, b""), path
        (line,) = done.stderr.splitlines()
        assert str(path).encode() in line
    assert notes.read_text() == "these are notes, and no database"


def test_an_empty_capture_leaves_its_agent(tmp_path: Path) -> None:
    replay(write(tmp_path / "empty.pcap", []), tmp_path / "s.db")
    with closing(sqlite3.connect(tmp_path / "s.db")) as opened:
        assert one(opened, "source, first_packet FROM agents") == ("replay", None)
        assert one(opened, "count(*) FROM connections") == (0,)
    assert run("report", "--db", str(tmp_path / "s.db")).returncode == 0


def test_the_report_of_a_database_is_the_replay_s(
    capture: Path, database: Path, document: dict[str, Any]
) -> None:
    """Section by section the same figures, whichever way they went; within 80 columns."""
    shown = run("report", "--db", str(database)).stdout.decode()
    assert max(map(len, shown.splitlines())) <= 80
    direct = run("replay", str(capture)).stdout.decode().splitlines()
    sections = shown.split("\n\n")[1:]
    assert len(sections) == 5
    for section in sections:
        for line in section.splitlines():
            assert line in direct
    made = json.loads(run("report", "--db", str(database), "--json").stdout)
    assert made["failures"] == [
        {"host": "198.51.100.7", "reason": "refused", "connections": 10, "ports": 1}
    ]


def test_a_scan_is_one_line_and_the_rest_is_other(tmp_path: Path) -> None:
    """More endpoints than have a row, and than the native floor has."""
    ports = 1500
    frames = [frame for i in range(ports) for frame in refused(START + i * 2 * MS, 3000, 1 + i)]
    document = replay(write(tmp_path / "scan.pcap", frames), tmp_path / "s.db")
    made = json.loads(run("report", "--db", str(tmp_path / "s.db"), "--json").stdout)
    assert made["failures"] == [
        {"host": "198.51.100.7", "reason": "refused", "connections": ports, "ports": ports}
    ]
    with closing(sqlite3.connect(tmp_path / "s.db")) as opened:
        found = dict(
            opened.execute(
                "SELECT endpoint = '__other__', sum(connections_failed)"
                " FROM network_performance_metrics GROUP BY 1"
            )
        )
        assert found == {0: 500, 1: ports - 500}
        assert one(
            opened,
            "sum(bytes_sent + bytes_received) FROM network_performance_metrics",
        ) == (document["capture"]["bytes"],)
        assert one(opened, "endpoints_folded FROM capture_health")[0] >= ports - 500


def test_too_many_rows_for_one_transaction_lose_none(
    capture: Path, database: Path, document: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(keep, "MOST_ROWS", 1)
    with ExitStack() as stack:
        run_of = Replay((str(capture),))
        run_of.run(open_store(stack, run_of, str(tmp_path / "s.db"), "default"))
    found = []
    for path in (database, tmp_path / "s.db"):
        with closing(sqlite3.connect(path)) as opened:
            rows = opened.execute("SELECT * FROM connections ORDER BY seq").fetchall()
            found.append([row[1:] for row in rows])
    assert found[0] == found[1]
