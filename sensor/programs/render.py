"""Draws a report on a terminal of 80 columns or more; plain text where there is no terminal.

Every string that came from the wire goes through `printable()`, and none is parsed as markup.
"""

from typing import IO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from sensor.metrics.failures import Failure
from sensor.model.text import printable
from sensor.programs.units import milliseconds, percent, size, sure
from sensor.programs.view import EventLine, LatencyLine, MixLine, Report, TalkerLine

WIDEST = 100  # a wider terminal makes no report easier to read
BAR = 30  # cells of a full bar
EIGHTHS = " ▏▎▍▌▋▊▉█"


def console_for(out: IO[str]) -> Console:
    """A console that knows whether `out` is a terminal, and never guesses markup or emoji."""
    console = Console(file=out, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    return console


def render(report: Report, console: Console) -> None:
    """The whole report, ended by an empty line."""
    ascii_only = console.options.ascii_only
    parts: list[RenderableType] = [Text(printable(report.title), style="bold"), facts(report.facts)]
    sections = (
        ("Security events", events_note(report), events(report.events), report.events),
        ("Protocol mix", "share of octets", mix(report.mix, ascii_only), report.mix),
        ("Latency", "milliseconds", latency(report.latency, "Kind"), report.latency),
        (
            "Slowest endpoints",
            "network latency, milliseconds",
            latency(report.slowest, "Endpoint", loss=True),
            report.slowest,
        ),
        ("Top talkers", "both directions", talkers(report.talkers), report.talkers),
        ("Failed connections", "TCP, by host", failures(report.failures), report.failures),
        ("Capture health", "", facts(report.health), report.health),
    )
    for title, note, body, content in sections:
        if content:
            parts += [heading(title, note), body]
    if report.damaged:
        parts.append(Text(f"\nDamaged: {printable(report.damaged)}", style="bold red"))
    if report.footer:
        parts.append(Text(f"\n{report.footer}", style="dim"))
    console.print(Group(*parts))


SEVERITY_STYLES = {
    "info": "dim",
    "low": "cyan",
    "medium": "yellow",
    "high": "red",
    "critical": "bold red",
}


def events_note(report: Report) -> str:
    hidden = f", {report.more_events:,} less severe not shown" if report.more_events else ""
    return f"times in UTC{hidden}; sensor events tells more"


def events(lines: list[EventLine]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2), header_style="dim", expand=True)
    for title in ("  Time", "severity", "attack"):
        table.add_column(title, no_wrap=True)
    table.add_column("who → whom", ratio=1, overflow="fold")
    table.add_column("confidence", justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            f"  {line.time}",
            Text(line.severity, style=SEVERITY_STYLES.get(line.severity, "")),
            printable(line.attack),
            Text(printable(line.whom)),
            sure(line.confidence),
        )
    return table


def heading(title: str, note: str) -> Text:
    text = Text(f"\n{title}", style="bold cyan")
    if note:
        text.append(f"  {note}", style="dim not bold")
    return text


def facts(lines: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=11)
    table.add_column(overflow="fold")
    for label, value in lines:
        table.add_row(f"  {label}", Text(printable(value, 2000)))
    return table


def table_of(first: str, *numbers: str) -> Table:
    """A name on the left that may be cut, numbers on the right that may not."""
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2), header_style="dim", expand=True)
    table.add_column(Text(f"  {first}"), ratio=1, no_wrap=True, overflow="ellipsis")
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def name(text: str) -> Text:
    return Text(f"  {printable(text)}")


def bar(share: float, ascii_only: bool) -> str:
    """`share` (0..1) of BAR cells, to an eighth of one."""
    if ascii_only:
        return "#" * round(share * BAR)
    whole, eighth = divmod(round(share * BAR * 8), 8)
    return "█" * whole + EIGHTHS[eighth].strip()


def mix(lines: list[MixLine], ascii_only: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=11)
    table.add_column(style="cyan", no_wrap=True, width=BAR)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            f"  {line.protocol}",
            bar(line.percent / 100, ascii_only),
            f"{line.percent:.1f} %",
            size(line.octets),
        )
    return table


def latency(lines: list[LatencyLine], first: str, *, loss: bool = False) -> Table:
    last = ("loss",) if loss else ()
    table = table_of(first, "samples", "p50", "p95", "p99", "max", *last)
    for line in lines:
        figures = [milliseconds(us) for us in (line.p50, line.p95, line.p99, line.worst)]
        lost = [percent(line.loss_rate)] if loss else []
        table.add_row(name(line.title), f"{line.samples:,}", *figures, *lost)
    return table


def talkers(lines: list[TalkerLine]) -> Table:
    table = table_of("Endpoint", "octets", "packets", "connections")
    for line in lines:
        table.add_row(
            name(line.endpoint), size(line.octets), f"{line.packets:,}", f"{line.connections:,}"
        )
    return table


def failures(lines: list[Failure]) -> Table:
    table = table_of("Host", "what happened", "ports", "connections")
    for line in lines:
        ports = "-" if line.ports is None else f"{line.ports:,}"
        connections = Text(f"{line.connections:,}", style="red")
        table.add_row(name(line.host), line.reason, ports, connections)
    return table
