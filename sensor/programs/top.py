"""`sensor top`: the database as it grows, on a terminal: rates, percentiles, endpoints, events."""

import sys
from time import sleep, time_ns

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sensor import config
from sensor.errors import SensorError
from sensor.model.rows import SEVERITIES
from sensor.model.text import printable
from sensor.programs.status import read
from sensor.programs.units import milliseconds, percent, size, sure
from sensor.store.events import EventFilter, Stored
from sensor.store.reading import Columns, Latency, ReadingStore, Scope
from sensor.store.slots import percentiles
from sensor.store.sqlite_reading import SqliteReading

SPARKS = "▁▂▃▄▅▆▇█"
STYLES = dict(zip(SEVERITIES, ("dim", "cyan", "yellow", "red", "bold red"), strict=True))
SECOND, MINUTE = 1_000_000, 60_000_000  # us
WIDTH = 30  # characters of a sparkline


@click.command(
    name="top",
    short_help="Watch a sensor's database on the terminal.",
    epilog="\b\nExamples:\n  sensor top\n  sensor top --db s.db --minutes 60\n"
    "  sensor top --db s.db --once",
)
@click.option("--db", metavar="FILE", help=f"The database.  [default: {config.Store().path}]")
@click.option(
    "--minutes", type=click.IntRange(1, 1440), default=15, show_default=True, help="How far back."
)
@click.option(
    "--every", type=click.FloatRange(0.2, 60), default=2, show_default=True, help="Seconds."
)
@click.option("--once", is_flag=True, help="One picture, then end.")
def command(db: str | None, minutes: int, every: float, once: bool) -> int:
    """Counts back from now while packets come in, else from the newest packet."""
    path = db or config.load(None).store.path
    store = SqliteReading(path)
    console = Console()
    try:
        if once or not sys.stdout.isatty():
            console.print(picture(store, path, minutes, 20))
            return 0
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                rows = max(console.size.height - 16, 5)
                live.update(picture(store, path, minutes, rows), refresh=True)
                sleep(every)
    finally:
        store.close()


def picture(store: ReadingStore, path: str, minutes: int, rows: int) -> RenderableType:
    """All of the screen; `rows` for endpoints and events together."""
    scope = scope_of(store, minutes)
    if scope is None:
        return Panel("no packets yet", title=printable(path, 60))
    events = store.events(EventFilter(since=scope.since, until=scope.until), max(rows // 3, 3))
    latency = store.latency(scope, None)
    return Group(
        Panel(rates(store, scope, latency), title=head(path, scope, minutes), title_align="left"),
        endpoints(store, scope, rows - len(events)),
        alerts(events),
    )


def scope_of(store: ReadingStore, minutes: int) -> Scope | None:
    """The last minutes with packets in them."""
    newest = store.newest(Scope(0, 1 << 62))
    if newest is None:
        return None
    now = time_ns() // 1000
    until = now if now - newest < 5 * MINUTE else newest + SECOND
    return Scope(until - minutes * MINUTE, until)


def head(path: str, scope: Scope, minutes: int) -> Text:
    try:
        document = read(path)
        state = "live" if document["alive"] else "not running"
    except SensorError:
        state = "replay"
    return Text(f"sensor {printable(path, 60)} · last {minutes} min · {state}", "bold")


def rates(store: ReadingStore, scope: Scope, latency: list[Latency]) -> Table:
    """Sparklines of the period and its figures."""
    step_s = max((scope.until - scope.since) // SECOND // WIDTH, 1)
    seconds = store.bandwidth(scope, step_s)
    buckets = (seconds["bucket"] - scope.since) // (step_s * SECOND)
    table = Table.grid(padding=(0, 2))
    for name, key in (("in", "bytes_in"), ("out", "bytes_out")):
        series = [0.0] * (WIDTH + 1)
        for at, octets in zip(buckets.tolist(), seconds[key].tolist(), strict=True):
            series[min(max(int(at), 0), WIDTH)] += octets * 8 / step_s
        peak = max(series)
        table.add_row(
            Text(name, "bold"),
            Text(spark(series), "green" if name == "in" else "blue"),
            f"{size(series[-2] / 8)}/s now",
            f"{size(peak / 8)}/s at most",
        )
    metrics = store.metrics(scope, None)
    health = store.health(scope, None)

    def total(columns: Columns, name: str) -> float | None:
        values = columns.get(name)
        found = float(values.sum()) if values is not None and len(values) else None
        return None if found is None or found != found else found  # NaN: unknown

    dropped = total(health, "dropped")
    new, failed = total(metrics, "connections_new"), total(metrics, "connections_failed")
    lost, sent = total(metrics, "packets_lost"), total(metrics, "data_segments")
    loss = lost / (lost + sent) if lost is not None and sent and lost + sent > 0 else None
    table.add_row(
        Text("conn", "bold"),
        f"{new or 0:,.0f} new, {failed or 0:,.0f} failed",
        f"loss {percent(loss)}",
        "" if dropped is None else f"{dropped:,.0f} not captured",
    )
    if latency and latency[0].slots:
        p50, p95, p99 = percentiles(latency[0].slots, 50, 95, 99)
        table.add_row(
            Text("rtt", "bold"),
            f"p50 {milliseconds(p50)}  p95 {milliseconds(p95)}  p99 {milliseconds(p99)} ms",
            f"{latency[0].count:,} samples",
        )
    return table


def spark(series: list[float]) -> str:
    """One character each; the largest is full height."""
    peak = max(series)
    top = len(SPARKS) - 1
    return "".join(SPARKS[round(value / peak * top)] if peak else SPARKS[0] for value in series)


def endpoints(store: ReadingStore, scope: Scope, rows: int) -> Table:
    """By octets."""
    metrics = store.metrics(scope, None, ("endpoint",))
    slow = {group.key[0]: group for group in store.latency(scope, None, ("endpoint",))}
    table = Table(expand=True, box=None, header_style="bold dim")
    table.add_column("endpoint", ratio=1, no_wrap=True)
    for name in ("octets", "new", "failed", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="right")
    octets = metrics["bytes_sent"] + metrics["bytes_received"]
    for at in octets.argsort()[::-1][:rows].tolist():
        name = str(metrics["endpoint"][at])
        group = slow.get(name)
        found = percentiles(group.slots, 50, 95, 99) if group and group.slots else [None] * 3
        table.add_row(
            Text(printable(name, 80)),
            size(float(octets[at])),
            f"{metrics['connections_new'][at]:,.0f}",
            f"{metrics['connections_failed'][at]:,.0f}",
            *(milliseconds(us) for us in found),
        )
    return table


def alerts(events: list[Stored]) -> RenderableType:
    """Newest first."""
    if not events:
        return Text("no events", "dim")
    table = Table(expand=True, box=None, header_style="bold dim")
    for name in ("severity", "event", "from", "to", "sure", ""):
        table.add_column(name, no_wrap=True, ratio=1 if name == "event" else None)
    for _, event in events:
        severity = event.severity or "info"
        table.add_row(
            Text(severity, STYLES.get(severity, "")),
            Text(printable(event.title or event.attack_class or "", 80)),
            printable(event.source_ip or "many", 40),
            printable(event.destination_ip or "-", 40),
            sure(event.confidence_score),
            event.status or "",
        )
    return table
