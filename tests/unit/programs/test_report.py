"""`sensor report` of a database, with the columns of DESIGN 4.3 that it reads."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sensor.metrics.histograms import encode
from tests.unit.metrics.test_histograms import counted
from tests.unit.programs.test_cli import run


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE connections (started_at, ended_at, protocol, service, conn_state,"
            " orig_bytes, resp_bytes)"
        )
        db.executemany(
            "INSERT INTO connections VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (1_700_000_000_000_000, 1_700_000_001_000_000, "tcp", "http", "SF", 100, 500),
                (1_700_000_002_000_000, 1_700_000_245_000_000, "udp", None, "S0", 200, 0),
            ],
        )
        db.execute(
            "CREATE TABLE network_performance_metrics (endpoint, bytes_sent, bytes_received,"
            " packets_sent, packets_received, connections_new, connections_failed,"
            " connection_reset_errors, timeout_errors, latency_hist)"
        )
        db.executemany(
            "INSERT INTO network_performance_metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                ("slow\x1b[2J.example:80/tcp", 1, 2, 1, 1, 1, 0, 0, 0, encode(counted([9], 2))),
                ("slow\x1b[2J.example:80/tcp", 1, 2, 1, 1, 1, 0, 0, 0, encode(counted([9000], 2))),
                ("fast.example:80/tcp", 5000, 2000, 7, 8, 3, 1, 0, 1, encode(counted([50] * 9, 2))),
            ],
        )
    return path


def test_report(database: Path) -> None:
    done = run("report", "--db", str(database))
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.decode().split())
    assert "2023-11-14 22:13:20 to 22:17:25 UTC, 4 min 05 s" in text
    assert "2 (S0 1, SF 1)" in text
    assert "http ██" in text
    assert "75.0 % 600 B" in text
    assert text.index("slow\\x1b[2J.example") < text.index("fast.example")
    assert "\x1b" not in text
    assert "fast.example:80/tcp 7.0 kB 15 3" in text


def test_json(database: Path) -> None:
    made = json.loads(run("report", "--db", str(database), "--json").stdout)
    slow, fast = made["slowest"]
    assert (slow["samples"], slow["p95"]) == (2, 9023)  # 9000 us at 2 digits: 8960..9023
    assert (fast["samples"], fast["p50"]) == (9, 50)
    (failure,) = made["failures"]
    assert failure.pop("endpoint") == "fast.example:80/tcp"
    assert failure == {"failed": 1, "resets": 0, "timeouts": 1, "connections": 3}


def test_no_database_and_none_of_ours(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("these are notes, not a database, and more than a hundred octets of them" * 20)
    assert run("report", "--db", str(tmp_path / "nowhere.db")).returncode == 66
    done = run("report", "--db", str(text))
    assert done.returncode == 65
    assert len(done.stderr.splitlines()) == 1
    assert b"Traceback" not in done.stderr
