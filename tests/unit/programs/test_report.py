"""`sensor report` of a database made row by row: hostile names, several windows, no packets."""

import json
from pathlib import Path

import numpy as np
import pytest

from sensor._native.faces import LEAVES
from sensor.analytics import performance
from sensor.analytics.timeframe import period_of
from sensor.metrics.rows import rows_of
from sensor.model.rows import AgentRow
from sensor.store.opening import open_reading
from sensor.store.sqlite import SqliteStore
from tests.unit.programs.test_cli import run
from tests.unit.windows import endpoint, endpoints, totals, window, with_kind, with_latency

MS = 1_000_000
START_S = 1_699_999_980  # a full minute
AGENT = AgentRow(
    agent_id="4743acf1-39d0-526f-8b1f-766912eda886",
    boot_id="39d48f03-01fa-5238-a4c5-afc10fce845f",
    source="replay",
    workspace_id="default",
    network_id=None,
    region=None,
    hostname=None,
    version="1",
    local_prefixes="[]",
    local_source="unknown",
    first_packet=1_700_000_000_000_000,
    last_packet=1_700_000_245_000_000,
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    leaf_bytes = np.zeros(len(LEAVES), np.uint64)
    leaf_bytes[[0, 9]] = 300, 100
    with SqliteStore(str(path)) as store:
        for i, slow_ms in enumerate((1, 9)):
            made = window(
                START_S + 60 * i,
                START_S + 60 * (i + 1),
                endpoints=endpoints(
                    endpoint(name=b"slow\x1b[2J.example", port=80, packets_sent=1, bytes_sent=3),
                    endpoint(name=b"fast.example", port=80, bytes_sent=2500, bytes_received=1000,
                             packets_sent=7, packets_received=8, connections_new=3),
                ),
                leaf_bytes=leaf_bytes,
                totals=totals(acks=100, capture_gaps=5),
            )  # fmt: skip
            made = with_latency(made, 1, [slow_ms * MS])
            made = with_kind(with_latency(made, 2, [50_000] * 9), "dns_response", [slow_ms * MS])
            anomalies = {"truncated_tcp": 2, "gso": 1} if i else {}
            store.write_window(rows_of(made, AGENT, (), {"frames": 16}, anomalies))
    return path


def test_report(database: Path) -> None:
    done = run("report", "--db", str(database))
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.decode().splitlines()]
    assert "Time 2023-11-14 22:13:20 to 22:17:25 UTC, 4 min 05 s" in lines
    assert "http ██████████████████████▌ 75.0 % 600 B" in lines
    assert "DNS response 2 1.00 9.00 9.00 9.00" in lines
    slow = lines.index("slow\\x1b[2J.example:80/tcp 2 1.00 9.00 9.00 9.00 -")
    assert lines[slow + 1] == "fast.example:80/tcp 18 0.050 0.050 0.050 0.050 -"
    assert "fast.example:80/tcp 7.0 kB 30 6" in lines
    assert "Quality of 2 windows 2 degraded, 0 blind" in lines
    assert "truncated 2" in lines


def test_json(database: Path) -> None:
    made = json.loads(run("report", "--db", str(database), "--json").stdout)
    slow, fast = made["slowest"]
    assert (slow["samples"], slow["p95"]) == (2, 9000)
    assert (fast["samples"], fast["p50"]) == (18, 50)
    assert made["failures"] == []


def test_no_database_and_none_of_ours(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("these are notes, not a database, and more than a hundred octets of them" * 20)
    assert run("report", "--db", str(tmp_path / "nowhere.db")).returncode == 66
    done = run("report", "--db", str(text))
    assert done.returncode == 65
    assert len(done.stderr.splitlines()) == 1
    assert b"Traceback" not in done.stderr


# ---- --since: what the API answers


def test_analysis_is_what_the_analytics_answer(database: Path) -> None:
    found = json.loads(run("report", "--db", str(database), "--since", "1h", "--json").stdout)
    [agent] = found["agents"]
    store = open_reading(str(database))
    period = period_of("1h", AGENT.last_packet, 2 * (AGENT.last_packet or 0))
    expected = performance.analyse(store, AGENT.agent_id, period)
    store.close()
    assert agent["performance"] == json.loads(json.dumps(expected))
    assert (found["since"], found["until"]) == (expected["since"], expected["until"])
    assert {row["endpoint"] for row in agent["latency_optimization"]} == {
        "fast.example:80/tcp", "slow\x1b[2J.example:80/tcp",
    }  # fmt: skip
    assert found["security_threats"]["total"] == 0
    assert len(found["objectives"]) == 5


def test_analysis_as_text(database: Path) -> None:
    done = run("report", "--db", str(database), "--since", "1h")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    text = " ".join(done.stdout.decode().split())
    assert f"Agent {AGENT.agent_id} Latency: p50 0.05 ms" in text
    assert "Protocols: http 75.0" in text
    assert "0 events of severity low or worse" in text
    assert "packet loss rate: " in text


@pytest.mark.parametrize("since", ["5m", "91d", "yesterday", ""])
def test_a_timeframe_that_is_none(database: Path, since: str) -> None:
    done = run("report", "--db", str(database), "--since", since)
    assert done.returncode == 2
    assert done.stderr.startswith(b"sensor: --since: a timeframe is")


def test_a_database_that_nobody_wrote_to(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    SqliteStore(str(path)).close()
    done = run("report", "--db", str(path), "--since", "1h")
    assert (done.returncode, b"no agent" in done.stderr) == (66, True)
