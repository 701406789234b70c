"""Draws a list of events, two lines each: who does it to whom has a line of its own, because two
IPv6 addresses fill one.

Every string that came from the wire goes through `printable()`, as in a report.
"""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from sensor.model.event import time_text
from sensor.model.event_words import UNKNOWN, ends
from sensor.model.rows import SecurityEventRow
from sensor.model.text import printable
from sensor.programs.units import duration, sure

STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}
ID_SHOWN = 8  # of its hexadecimal digits: enough to name one among thousands
HEADER = (
    f"  {'Time (UTC)':<19}  {'Severity':<8}  {'Attack':<16}  {'Packets':>9}  {'Sure':>6}  State"
)


def print_events(
    rows: Iterable[SecurityEventRow], console: Console, *, header: bool = True
) -> None:
    """One below the other, in columns of fixed width, so that --follow can go on below."""
    if header:
        console.print(Text(HEADER, style="dim"))
    arrow = "->" if console.options.ascii_only else "→"
    for row in rows:
        console.print(first_line(row), second_line(row, arrow), sep="\n", soft_wrap=True)


def first_line(row: SecurityEventRow) -> Text:
    severity = row.severity or UNKNOWN
    packets = UNKNOWN if row.packets_count is None else f"{row.packets_count:,}"
    text = Text(f"  {clock(row.detected_at):<19}  ")
    text.append(f"{printable(severity, 8):<8}", style=STYLES.get(severity, ""))
    text.append(f"  {attack(row):<16}", style="bold")
    text.append(f"  {packets:>9}  {sure(row.confidence_score):>6}  {state(row)}")
    return text


def second_line(row: SecurityEventRow, arrow: str) -> Text:
    return Text(f"    {printable(row.id[:ID_SHOWN])}  {ends(row, arrow)}", style="dim")


def clock(us: int | None) -> str:
    """``2023-11-14 22:13:20``, UTC."""
    return (time_text(us) or UNKNOWN)[:19].replace("T", " ")


def attack(row: SecurityEventRow) -> str:
    return printable(row.attack_class or row.event_type or UNKNOWN, 40)


def state(row: SecurityEventRow) -> str:
    """``open``, or how long it lasted."""
    if row.resolved_at is None:
        return row.status or "open"
    return "over" if row.duration_ms is None else f"over after {duration(row.duration_ms / 1000)}"
