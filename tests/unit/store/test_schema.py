"""The schema is the specification's, documents itself, and is what docs/schema.md says."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sensor.model.rows import (
    AgentRow,
    BandwidthSecond,
    CaptureHealthRow,
    ConnectionRow,
    DetectionStateRow,
    LatencyHistogramRow,
    MetricsRow,
    ProtocolMixRow,
    RegionalRow,
    SecurityEventRow,
)
from sensor.store.document import columns, meaning, objects, page
from sensor.store.migrations import migrate
from sensor.store.tables import CURRENT

# Sections 1.2 and 6 of the specification, as they stand there.
SPECIFIED = {
    "network_performance_metrics": """
    id UUID PRIMARY KEY,
    agent_id UUID NOT NULL,
    endpoint VARCHAR(255),
    timestamp TIMESTAMP NOT NULL,

    -- Latency metrics (in microseconds for precision)
    latency_avg_us INTEGER,
    latency_p50_us INTEGER,
    latency_p95_us INTEGER,
    latency_p99_us INTEGER,
    jitter_us INTEGER,

    -- Packet metrics
    packets_sent BIGINT,
    packets_received BIGINT,
    packets_lost INTEGER,
    packets_retransmitted INTEGER,

    -- Bandwidth metrics
    bytes_sent BIGINT,
    bytes_received BIGINT,
    bandwidth_usage_percent FLOAT,

    -- Connection metrics
    connections_active INTEGER,
    connections_new INTEGER,
    connections_closed INTEGER,
    connections_failed INTEGER,

    -- Error metrics
    timeout_errors INTEGER,
    connection_reset_errors INTEGER,
    dns_resolution_errors INTEGER,
    ssl_handshake_errors INTEGER,

    -- Protocol breakdown
    http_requests INTEGER,
    https_requests INTEGER,
    websocket_frames INTEGER,
    grpc_calls INTEGER,

    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
""",
    "network_security_events": """
    id UUID PRIMARY KEY,
    agent_id UUID NOT NULL,
    event_type VARCHAR(50), -- 'port_scan', 'dos_attack', 'intrusion_attempt', etc.
    severity VARCHAR(20),

    -- Event details
    source_ip INET,
    destination_ip INET,
    source_port INTEGER,
    destination_port INTEGER,
    protocol VARCHAR(20),

    -- Attack characteristics
    packets_count INTEGER,
    bytes_transferred BIGINT,
    duration_ms INTEGER,

    -- Detection details
    detection_method VARCHAR(50),
    confidence_score FLOAT,
    false_positive_probability FLOAT,

    -- Response
    action_taken VARCHAR(50),
    blocked BOOLEAN,

    detected_at TIMESTAMP,
    resolved_at TIMESTAMP
""",
}
# SQLite's name of each type.
TYPES = {
    "UUID": "TEXT", "VARCHAR": "TEXT", "INET": "TEXT", "TIMESTAMP": "INTEGER", "BOOLEAN": "INTEGER",
    "INTEGER": "INTEGER", "BIGINT": "INTEGER", "FLOAT": "REAL",
}  # fmt: skip
ROWS = {
    "network_performance_metrics": MetricsRow,
    "network_security_events": SecurityEventRow,
    "connections": ConnectionRow,
    "bandwidth_seconds": BandwidthSecond,
    "protocol_mix": ProtocolMixRow,
    "latency_histograms": LatencyHistogramRow,
    "regional_metrics": RegionalRow,
    "capture_health": CaptureHealthRow,
    "agents": AgentRow,
    "detection_state": DetectionStateRow,
}
CONTRACT = [
    "agent_id", "community_id", "started_at", "ended_at", "duration_us", "protocol", "orig_ip",
    "orig_port", "resp_ip", "resp_port", "service", "endpoint", "conn_state", "history",
    "end_reason", "orig_packets", "orig_bytes", "resp_packets", "resp_bytes", "handshake_us",
    "rtt_min_us", "retransmissions",
]  # fmt: skip


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        migrate(made)
        yield made


def declared(db: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    return [(row[1], row[2]) for row in db.execute(f"PRAGMA table_info({table})")]


@pytest.mark.parametrize("table", SPECIFIED)
def test_the_specifications_columns_come_first_in_its_order(
    db: sqlite3.Connection, table: str
) -> None:
    wanted = [
        (name, TYPES[kind])
        for name, kind in re.findall(r"^ +([a-z_0-9]+) ([A-Z]+)", SPECIFIED[table], re.MULTILINE)
    ]
    assert declared(db, table)[: len(wanted)] == wanted


def test_connections_have_the_columns_of_the_contract_in_order(db: sqlite3.Connection) -> None:
    names = [name for name, _ in declared(db, "connections")]
    assert [name for name in names if name in CONTRACT] == CONTRACT


def test_rows_and_tables_have_the_same_columns(db: sqlite3.Connection) -> None:
    for table, row in ROWS.items():
        added = {"seq", "id"} - set(row._fields) if table != "agents" else set()
        assert set(row._fields) | added >= {n for n, _ in declared(db, table)} >= set(row._fields)


def test_all_is_strict_and_every_table_view_and_column_says_what_it_means(
    db: sqlite3.Connection,
) -> None:
    strict = {row[1]: row[5] for row in db.execute("PRAGMA table_list")}
    for name, sql in objects(db, "table"):
        assert strict[name] == 1, name
        assert meaning(sql), name
        assert list(columns(sql)) == [column for column, _ in declared(db, name)], name
    for name, sql in objects(db, "view"):
        assert meaning(sql), name


def test_the_page_is_current(db: sqlite3.Connection) -> None:
    written = Path("docs/schema.md").read_text(encoding="utf-8")
    assert page(db) == written, "run: python -m sensor.store.document > docs/schema.md"


def test_migrating_twice_changes_nothing(db: sqlite3.Connection) -> None:
    before = db.execute("SELECT type, name, sql, rowid FROM sqlite_master").fetchall()
    migrate(db)
    assert db.execute("SELECT type, name, sql, rowid FROM sqlite_master").fetchall() == before
    assert db.execute("PRAGMA user_version").fetchone()[0] == CURRENT


def test_an_outdated_view_is_made_anew(db: sqlite3.Connection) -> None:
    db.execute("DROP VIEW top_talkers")
    db.execute("CREATE VIEW top_talkers AS SELECT 1 AS old")
    migrate(db)
    assert "old" not in [name for name, _ in declared(db, "top_talkers")]


def test_the_specifications_partial_index_is_used(db: sqlite3.Connection) -> None:
    plan = db.execute(
        "EXPLAIN QUERY PLAN SELECT endpoint FROM network_performance_metrics"
        " WHERE timeout_errors > 0 OR connection_reset_errors > 0"
    ).fetchall()
    assert "idx_network_errors" in plan[0][3]
