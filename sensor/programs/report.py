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
from typing import Any

import click

from sensor.errors import DamagedCapture, InputMissing
from sensor.metrics.histograms import decode, percentiles
from sensor.model.time import rfc3339
from sensor.programs.render import console_for, render
from sensor.programs.units import duration
from sensor.programs.view import (
    ROWS,
    FailureLine,
    LatencyLine,
    MixLine,
    Report,
    TalkerLine,
    by_number,
    period_fact,
)

PERIOD = "SELECT min(started_at), max(ended_at), count(*) FROM connections"
STATES = "SELECT conn_state, count(*) FROM connections GROUP BY conn_state"
SERVICES = """
    SELECT coalesce(nullif(service, ''), protocol), sum(orig_bytes + resp_bytes) AS octets
    FROM connections GROUP BY 1 HAVING octets > 0 ORDER BY octets DESC, 1
"""
TALKERS = """
    SELECT endpoint, sum(bytes_sent + bytes_received) AS octets,
           sum(packets_sent + packets_received), sum(connections_new)
    FROM network_performance_metrics GROUP BY endpoint ORDER BY octets DESC, endpoint LIMIT ?
"""
FAILURES = """
    SELECT endpoint, sum(connections_failed) AS failed, sum(connection_reset_errors) AS resets,
           sum(timeout_errors), sum(connections_new)
    FROM network_performance_metrics GROUP BY endpoint HAVING failed > 0 OR resets > 0
    ORDER BY failed DESC, resets DESC, endpoint LIMIT ?
"""
HISTOGRAMS = """
    SELECT endpoint, latency_hist FROM network_performance_metrics
    WHERE latency_hist IS NOT NULL ORDER BY endpoint
"""


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
    first_us, last_us, made = db.execute(PERIOD).fetchone()
    states = sorted(db.execute(STATES), key=by_number)
    facts = [("Connections", f"{made:,}" + shown_states(states))]
    if first_us is not None and last_us is not None:
        text = period_fact(rfc3339(first_us * 1000), rfc3339(last_us * 1000))
        facts.insert(0, ("Time", f"{text}, {duration((last_us - first_us) / 1e6)}"))
    services = db.execute(SERVICES).fetchall()
    whole = sum(octets for _, octets in services)
    return Report(
        title=path,
        facts=facts,
        mix=[MixLine(name, octets, 100 * octets / whole) for name, octets in services],
        slowest=slowest(db.execute(HISTOGRAMS)),
        talkers=[TalkerLine(*row) for row in db.execute(TALKERS, (ROWS,))],
        failures=[FailureLine(*row) for row in db.execute(FAILURES, (ROWS,))],
    )


def shown_states(states: Iterable[tuple[str, int]]) -> str:
    text = ", ".join(f"{state} {n:,}" for state, n in states)
    return f" ({text})" if text else ""


def slowest(rows: Iterable[tuple[str, bytes]]) -> list[LatencyLine]:
    """Endpoints by p95 of all their windows' histograms together; rows come by endpoint."""
    merged: dict[str, Any] = {}
    for endpoint, blob in rows:
        counts = decode(blob)
        if endpoint in merged:
            merged[endpoint] += counts
        else:
            merged[endpoint] = counts
    lines = [
        LatencyLine(name, int(counts.sum()), *percentiles(counts, (50, 95, 99, 100)))
        for name, counts in merged.items()
    ]
    lines.sort(key=lambda line: (-(line.p95 or 0), line.title))
    return lines[:ROWS]


@click.command(name="report", short_help="Show what a database of the sensor holds.")
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
