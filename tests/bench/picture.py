"""`python -m tests.bench.picture [RESULTS [SVG]]`: the results of run.py as bars, on a log scale.

One panel per capture, one row per program, the cheapest on mixed first. Programs that were given
only a capture's first packets stand below, beside the sensor on the same. SVG by hand: a chart of
rectangles and text needs no library.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

from tests.bench.run import RESULTS, ROOT

PICTURE = ROOT / "docs" / "pictures" / "bench.svg"
LABELS, PANEL, GAP, ROW, TOP = 130, 250, 50, 20, 76
INK, MUTED, GRID = "#1f2328", "#59636e", "#d8dee4"
SENSOR, PEER, LIMIT = "#0969da", "#8c959f", "#1a7f37"

Costs = dict[str, float]  # ns a packet by program


def text(x: float, y: float, what: str, anchor: str = "start", fill: str = INK,
         weight: str = "normal") -> str:  # fmt: skip
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" '
        f'font-weight="{weight}">{escape(what)}</text>'
    )


def rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}"/>'


def colour(program: str) -> str:
    if program == "C limit":
        return LIMIT
    return SENSOR if program.startswith("sensor") else PEER


class Scale:
    """ns to a length within a panel, by whole decades."""

    def __init__(self, costs: list[float]) -> None:
        self.low = math.floor(math.log10(min(costs)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(costs))))

    def __call__(self, cost: float) -> float:
        return PANEL * (math.log10(cost) - self.low) / (self.high - self.low)

    def decades(self) -> range:
        return range(self.low, self.high + 1)


def rows(panels: list[Costs]) -> list[str]:
    """Every program of any panel, the cheapest in the first panel first."""
    names = {name for panel in panels for name in panel}
    return sorted(names, key=lambda name: [panel.get(name, math.inf) for panel in panels])


def block(title: str, panels: list[Costs], scale: Scale, top: float) -> Iterator[str]:
    yield text(8, top - 8, title, weight="bold")
    names = rows(panels)
    for number, panel in enumerate(panels):
        left = LABELS + number * (PANEL + GAP)
        for decade in scale.decades():
            x = left + scale(10.0**decade)
            yield rect(x, top, 1, len(names) * ROW, GRID)
        for row, name in enumerate(names):
            y = top + row * ROW
            if number == 0:
                weight = "bold" if colour(name) == SENSOR else "normal"
                yield text(LABELS - 8, y + 14, name, "end", weight=weight)
            if (cost := panel.get(name)) is None:
                yield text(left + 4, y + 14, "out of time", fill=MUTED)
                continue
            length = scale(cost)
            yield rect(left, y + 3, length, ROW - 6, colour(name))
            inside = length > PANEL - 50
            fill = "#ffffff" if inside else INK
            x, anchor = (left + length - 4, "end") if inside else (left + length + 4, "start")
            yield text(x, y + 14, f"{cost:,.0f}", anchor, fill)


def draw(results: dict[str, Any]) -> str:
    """The SVG. `results`: what run.py keeps."""
    kinds = list(results["captures"])
    found = [
        [
            {name: median(walls) for name, walls in results["captures"][kind][part].items()}
            for kind in kinds
        ]
        for part in ("whole", "first")
    ]
    scale = Scale([cost for panels in found for panel in panels for cost in panel.values()])
    width = LABELS + len(kinds) * (PANEL + GAP)
    lines, y = [], float(TOP)
    lines.append(text(8, 22, "ns per packet, whole process, log scale: shorter is cheaper",
                      weight="bold"))  # fmt: skip
    for number, kind in enumerate(kinds):
        packets = results["captures"][kind]["packets"]
        left = LABELS + number * (PANEL + GAP)
        lines.append(text(left, 44, f"{kind}, {packets:,} packets", weight="bold"))
    first = results["first"]
    titles = ("whole capture", f"the first {first:,} packets: for the sensor mostly its start")
    for title, panels in zip(titles, found, strict=True):
        if not any(panels):
            continue
        lines += block(title, panels, scale, y)
        y += len(rows(panels)) * ROW + 16
        for number in range(len(kinds)):
            for decade in scale.decades():
                x = LABELS + number * (PANEL + GAP) + scale(10.0**decade)
                lines.append(text(x, y - 4, unit(decade), "middle", MUTED))
        y += 34
    for part in results["machine"].split("; ", 2):
        lines.append(text(8, y, part, fill=MUTED))
        y += 16
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y:.0f}" '
        f'viewBox="0 0 {width} {y:.0f}" font-family="sans-serif" font-size="12" role="img" '
        'aria-label="Nanoseconds per packet of the sensor and its peers">'
    )
    return "\n".join([head, rect(0, 0, width, y, "#ffffff"), *lines, "</svg>"]) + "\n"


def unit(decade: int) -> str:
    return f"{10 ** (decade % 3)} {('ns', 'µs', 'ms', 's')[decade // 3]}"


def main() -> None:
    given = [Path(word) for word in sys.argv[1:3]]
    results, picture = [*given, *(RESULTS, PICTURE)[len(given) :]]
    picture.write_text(draw(json.loads(results.read_text())))
    print(picture)


if __name__ == "__main__":
    main()
