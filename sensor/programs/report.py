"""`sensor report`: what a database of the sensor holds, in the form of a replay's report.

Percentiles are read from merged histograms, here as everywhere.
"""

import json
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from sensor.errors import DamagedCapture, InputMissing
from sensor.metrics.failures import REASONS, Failure
from sensor.metrics.histograms import Latency, decode
from sensor.model.time import rfc3339
from sensor.programs.render import console_for, render
from sensor.programs.units import duration
from sensor.programs.view import (
    KIND_TITLES,
    ROWS,
    LatencyLine,
    MixLine,
    Report,
    TalkerLine,
    by_number,
    period_fact,
)

PERIOD = "SELECT min(first_packet), max(last_packet) FROM agents"
STATES = "SELECT conn_state, count(*) FROM connections GROUP BY conn_state"
MIX = """
    SELECT leaf, sum(bytes) AS octets FROM protocol_mix
    GROUP BY leaf HAVING octets > 0 ORDER BY octets DESC, leaf
"""
TALKERS = """
    SELECT endpoint, sum(bytes), sum(packets), sum(connections)
    FROM top_talkers GROUP BY endpoint ORDER BY sum(bytes) DESC, endpoint LIMIT ?
"""
# Connections are kept for a day; the rest of the report is about all that is kept.
FAILURES = """
    SELECT resp_ip, conn_state, count(*) AS failed, count(DISTINCT resp_port)
    FROM connections WHERE protocol = 'tcp'
    AND conn_state IN ('S0', 'REJ', 'RSTOS0', 'RSTRH', 'SH', 'SHR')
    GROUP BY resp_ip, conn_state ORDER BY failed DESC, resp_ip, conn_state LIMIT ?
"""
SLOWEST = """
    SELECT endpoint, samples, p50_ms * 1000, p95_ms * 1000, p99_ms * 1000, max_ms * 1000, loss_rate
    FROM slowest_endpoints ORDER BY p95_ms DESC, endpoint LIMIT ?
"""
KINDS = "SELECT kind, histogram, min_us, max_us FROM latency_histograms ORDER BY seq"
HEALTH = """
    SELECT sum(quality = 'degraded'), sum(quality = 'blind'), count(*),
           sum(truncated), sum(malformed), sum(unsupported), sum(dropped), sum(interface_dropped),
           sum(flows_evicted), sum(flows_refused), sum(half_open_evicted), sum(rows_lost)
    FROM capture_health
"""
HEALTH_WORDS = (
    "truncated", "malformed", "unsupported", "dropped", "interface dropped", "flows evicted",
    "flows refused", "half open evicted", "rows lost",
)  # fmt: skip


def read(path: str) -> Report:
    """The report of a database file; InputMissing or DamagedCapture says why there is none."""
    if not Path(path).is_file():
        raise InputMissing(path, "no such database")
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as db:
            return report_of(db, path)
    except (sqlite3.Error, ValueError) as error:
        raise DamagedCapture(path, None, f"not a database of the sensor: {error}") from error


def report_of(db: sqlite3.Connection, path: str) -> Report:
    first_us, last_us = db.execute(PERIOD).fetchone()
    states = sorted(db.execute(STATES), key=by_number)
    made = sum(n for _, n in states)
    facts = [("Connections", f"{made:,}" + shown_states(states))]
    if first_us is not None and last_us is not None:
        text = period_fact(rfc3339(first_us * 1000), rfc3339(last_us * 1000))
        facts.insert(0, ("Time", f"{text}, {duration((last_us - first_us) / 1e6)}"))
    leaves = db.execute(MIX).fetchall()
    whole = sum(octets for _, octets in leaves)
    return Report(
        title=path,
        facts=facts,
        mix=[
            MixLine(leaf.replace("_", " "), octets, 100 * octets / whole) for leaf, octets in leaves
        ],
        latency=kinds(db.execute(KINDS)),
        slowest=[LatencyLine(*row) for row in db.execute(SLOWEST, (ROWS,))],
        talkers=[TalkerLine(*row) for row in db.execute(TALKERS, (ROWS,))],
        failures=[
            Failure(host, REASONS[state], n, ports)
            for host, state, n, ports in db.execute(FAILURES, (ROWS,))
        ],
        health=health(db.execute(HEALTH).fetchone()),
    )


def shown_states(states: Iterable[tuple[str, int]]) -> str:
    text = ", ".join(f"{state} {n:,}" for state, n in states)
    return f" ({text})" if text else ""


def kinds(rows: Iterable[tuple[str, bytes, int, int]]) -> list[LatencyLine]:
    """Latency by kind, all windows' histograms together."""
    merged: dict[str, Latency] = {}
    for kind, blob, shortest, longest in rows:
        counts = decode(blob)
        latency = merged.setdefault(kind, Latency(3))
        latency.add(counts, int(counts.sum()), 0, shortest * 1000, longest * 1000)
    lines = []
    for kind in filter(merged.__contains__, KIND_TITLES):
        seen = merged[kind]
        p50, p95, p99 = seen.percentiles_us(50, 95, 99)
        longest_us = None if seen.max_ns is None else seen.max_ns / 1000
        lines.append(LatencyLine(KIND_TITLES[kind], seen.count, p50, p95, p99, longest_us))
    return lines


def health(row: tuple[int | None, ...]) -> list[tuple[str, str]]:
    """What a reader should know; nothing when all is well."""
    degraded, blind, windows, *counts = row
    facts = []
    if degraded or blind:
        facts.append(
            ("Quality", f"of {windows:,} windows {degraded or 0:,} degraded, {blind or 0:,} blind")
        )
    facts += [(word, f"{n:,}") for word, n in zip(HEALTH_WORDS, counts, strict=True) if n]
    return facts


@click.command(
    name="report",
    short_help="Show what a database of the sensor holds.",
    epilog="\b\nExample:\n  sensor report --db site.db",
)
@click.option("--db", required=True, metavar="FILE", help="A database that the sensor wrote.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(db: str, as_json: bool) -> int:
    """Show what a database of the sensor holds: who was slow, busy, failing."""
    report = read(db)
    if as_json:
        click.echo(json.dumps({"schema": 1, **asdict(report)}, indent=2))
    else:
        render(report, console_for(sys.stdout))
    return 0
