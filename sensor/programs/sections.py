"""Text in sections for people: a title, lines below it; the form of everything that explains."""

from math import isfinite
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from sensor.model.text import printable

INDENT, HANGING = "  ", "  "  # of a line, and of what is left of it
WIDE = 4000  # characters of one line, much more than any rule's or event's


class Section(NamedTuple):
    title: str
    lines: list[str]


def sections(*parts: tuple[str, list[str]]) -> list[Section]:
    """Those that say something, with nothing in them that a terminal would obey."""
    return [
        Section(title, [printable(" ".join(line.split()), WIDE) for line in lines])
        for title, lines in parts
        if lines
    ]


def print_sections(title: str, body: list[Section], console: Console) -> None:
    console.print(Text(printable(title, WIDE), style="bold"))
    for section in body:
        console.print(Text(f"\n{section.title}", style="bold cyan"))
        for line in section.lines:
            wrapped = Text(line).wrap(console, max(console.width - len(INDENT + HANGING), 20))
            text = f"\n{INDENT}{HANGING}".join(part.plain.rstrip() for part in wrapped)
            console.print(Text(INDENT + text), soft_wrap=True)


def number(value: object) -> str:
    """A figure with the digits that mean something; anything else as it is."""
    if value is None:
        return "unknown"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not isfinite(value):
        return "unbounded"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"
