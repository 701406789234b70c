"""`sensor report`: what a database of the sensor holds, in the form of a replay's report.

Percentiles are read from merged histograms, here as everywhere.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict

import click

from sensor.errors import DamagedCapture, UsageError
from sensor.metrics.failures import REASONS, Failure
from sensor.metrics.histograms import Latency, decode
from sensor.model.time import rfc3339
from sensor.programs.render import console_for, render
from sensor.programs.sections import print_sections
from sensor.programs.serve import require_extra
from sensor.programs.units import duration
from sensor.programs.view import (
    KIND_TITLES,
    ROWS,
    LatencyLine,
    MixLine,
    Report,
    TalkerLine,
    period_fact,
)
from sensor.store.queries import KindHistogram, Losses, Reader, Tally, open_reader


def read(path: str) -> Report:
    """The report of a database file; InputMissing or DamagedCapture says why there is none."""
    try:
        with open_reader(path) as ask:
            return report_of(ask, path)
    except ValueError as error:
        raise DamagedCapture(path, None, f"not a database of the sensor: {error}") from error


def report_of(ask: Reader, path: str) -> Report:
    first_us, last_us = ask.period()
    states = ask.states()
    facts = [("Connections", f"{sum(s.n for s in states):,}{shown_states(states)}")]
    if first_us is not None and last_us is not None:
        text = period_fact(rfc3339(first_us * 1000), rfc3339(last_us * 1000))
        facts.insert(0, ("Time", f"{text}, {duration((last_us - first_us) / 1e6)}"))
    return Report(
        title=path,
        facts=facts,
        mix=[MixLine(m.leaf.replace("_", " "), m.bytes, m.percent) for m in ask.mix()],
        latency=kinds(ask.kinds()),
        slowest=[
            LatencyLine(
                s.endpoint,
                s.samples,
                s.p50_ms * 1000,
                s.p95_ms * 1000,
                s.p99_ms * 1000,
                s.max_ms * 1000,
                s.loss_rate,
            )
            for s in ask.slowest(ROWS)
        ],
        talkers=[TalkerLine(*row) for row in ask.talkers(ROWS)],
        failures=[
            Failure(f.host, REASONS[f.conn_state], f.connections, f.ports)
            for f in ask.failed_hosts(ROWS)
        ],
        health=health(ask.quality(), ask.losses()),
    )


def shown_states(states: Iterable[Tally]) -> str:
    text = ", ".join(f"{state} {n:,}" for state, n in states)
    return f" ({text})" if text else ""


def kinds(windows: Iterable[KindHistogram]) -> list[LatencyLine]:
    """Latency by kind, all windows' histograms together."""
    merged: dict[str, Latency] = {}
    for window in windows:
        counts = decode(window.histogram)
        latency = merged.setdefault(window.kind, Latency(3))
        latency.add(counts, int(counts.sum()), 0, window.min_us * 1000, window.max_us * 1000)
    lines = []
    for kind in filter(merged.__contains__, KIND_TITLES):
        seen = merged[kind]
        p50, p95, p99 = seen.percentiles_us(50, 95, 99)
        longest_us = None if seen.max_ns is None else seen.max_ns / 1000
        lines.append(LatencyLine(KIND_TITLES[kind], seen.count, p50, p95, p99, longest_us))
    return lines


def health(quality: Iterable[Tally], losses: Losses) -> list[tuple[str, str]]:
    """What a reader should know; nothing when all is well."""
    windows = dict(quality)
    degraded, blind = windows.get("degraded", 0), windows.get("blind", 0)
    facts = []
    if degraded or blind:
        of = f"of {sum(windows.values()):,} windows"
        facts.append(("Quality", f"{of} {degraded:,} degraded, {blind:,} blind"))
    facts += [(name.replace("_", " "), f"{n:,}") for name, n in losses._asdict().items() if n]
    return facts


@click.command(
    name="report",
    short_help="Show what a database of the sensor holds.",
    epilog="\b\nExamples:\n  sensor report --db site.db\n  sensor report --db site.db --since 24h\n"
    "  sensor report --db site.db --since 7d --json | jq '.agents[].performance.latency_metrics'",
)
@click.option("--db", required=True, metavar="FILE", help="A database that the sensor wrote.")
@click.option(
    "--since",
    metavar="AGE",
    help="Analyse the newest 15m to 90d, as the API does: figures, threats, objectives, advice.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(db: str, since: str | None, as_json: bool) -> int:
    """Show what a database of the sensor holds: who was slow, busy, failing."""
    if since is not None:
        return analyse(db, since, as_json)
    report = read(db)
    if as_json:
        click.echo(json.dumps({"schema": 1, **asdict(report)}, indent=2))
    else:
        render(report, console_for(sys.stdout))
    return 0


def analyse(db: str, timeframe: str, as_json: bool) -> int:
    require_extra()
    # Loads scipy, which a report without --since does without.
    from sensor.analytics.timeframe import BadTimeframe  # noqa: PLC0415
    from sensor.programs.analysis import analysis, analysis_sections  # noqa: PLC0415

    try:
        found = analysis(db, timeframe)
    except BadTimeframe as error:
        raise UsageError(f"--since: {error}") from error
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        title = f"{db}, {found['since']} to {found['until']}"
        print_sections(title, analysis_sections(found), console_for(sys.stdout))
    return 0
