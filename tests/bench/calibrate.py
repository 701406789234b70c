"""What the two numbers of an event are worth: measured on labelled traffic.

    python -m tests.bench.calibrate [--captures DIR] [--write]

Plays every case of tests/rules (attacks and look-alikes, IPv4 and IPv6), and with --captures the
files of a folder whose CATALOGUE.tsv has the columns `file` and `class`. Printed:

- per rule, key-windows of benign traffic looked at, wrong events in them and the upper end of the
  rate's 95 % Wilson interval; they become the events' `false_positive_probability`;
- how often events of each confidence named the class rightly, the expected calibration error
  (Naeini, Cooper, Hauskrecht: AAAI 2015) and the Brier score (1950);
- a curve from the computed posterior to the share that was right, by isotonic regression (Zadrozny,
  Elkan: KDD 2002).

--write puts rates into `rules/*.toml`, the curve into `sensor/detect/calibration.py`, the tables
into docs/detection.md.

Bias: the rules were written beside these cases, so both are better than on traffic nobody has seen;
and windows of one capture are not independent, so the interval is too narrow.
"""

import argparse
import csv
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import chi2

from sensor.detect import calibration, confidence
from sensor.errors import SensorError
from sensor.programs.replay import Replay
from tests.rules.case import play
from tests.rules.measured import Judged, Measured, brier, calibration_error, reliability
from tests.rules.test_rules import CASES

BENIGN = "benign"
ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
LEAST = 10  # events that a knot of the curve stands for


def play_cases(measured: Measured) -> None:
    """Every case of tests/rules."""
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES:
            progress(f"{name}: {case.name}")
            for version in case.versions:
                outcome = play(case, version, Path(folder))
                measured.add(outcome.replay, outcome.document, case.right)


def play_captures(measured: Measured, folder: Path) -> None:
    for name, label in catalogue(folder):
        progress(name)
        replay = Replay((str(folder / name),))
        try:
            document = replay.run().document
        except SensorError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        measured.add(replay, document, () if label == BENIGN else (label,))


def catalogue(folder: Path) -> Iterator[tuple[str, str]]:
    """Files that are plainly benign, or of one of our classes."""
    classes = {
        match[1] for file in RULES.glob("*.toml") if (match := CLASS.search(file.read_text()))
    }
    with (folder / "CATALOGUE.tsv").open(newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if not row.get("unclear") and row["class"] in {BENIGN, *classes}:
                yield row["file"], row["class"]


CLASS = re.compile(r'^class\s*=\s*"(\w+)"', re.MULTILINE)
RATE = re.compile(r"^(?:false_positive_rate|benign_windows) .*\n", re.MULTILINE)
PRIOR = re.compile(r"(^\[confidence\]\n)", re.MULTILINE)


def tables(measured: Measured) -> str:
    """Markdown."""
    lines = [
        "| rule | benign key-windows | wrong events | rate below (95 %) |",
        "|---|---|---|---|",
    ]
    for rule in sorted(measured.windows):
        windows, wrong = measured.windows[rule], measured.wrong[rule]
        lines.append(f"| {rule} | {windows:,} | {wrong} | {measured.rate(rule):.1e} |")
    wrong, days = sum(measured.wrong.values()), measured.seconds / 86_400
    most = chi2.ppf(0.95, 2 * wrong + 2) / 2 / days  # Garwood's bound of a Poisson rate
    lines += ["", f"{wrong} wrong events of severity medium or above in {24 * days:.1f} hours with"
              f" benign traffic: at most {most:.1f} a day (95 %)."]  # fmt: skip
    shipped = curved(measured.judged, calibration.TABLE)
    lines += ["", "| mean confidence | right | events |", "|---|---|---|"]
    lines += [f"| {c:.3f} | {share:.3f} | {n:,} |" for c, share, n in reliability(shipped)]
    lines += ["", "| confidence | expected calibration error | Brier score |", "|---|---|---|"]
    for name, some in (
        ("with the curve that ships", shipped),
        ("without a curve", measured.judged),
        ("with a curve of the other half", held_out(measured.judged)),
    ):
        lines.append(f"| {name} | {calibration_error(some):.3f} | {brier(some):.3f} |")
    return "\n".join(lines)


def write_page(text: str) -> None:
    file = ROOT / "docs" / "detection.md"
    head, rest = file.read_text().split("<!-- calibration -->\n", 1)
    tail = rest.split("<!-- /calibration -->", 1)[1]
    file.write_text(f"{head}<!-- calibration -->\n{text}\n<!-- /calibration -->{tail}")


def write_rates(measured: Measured) -> None:
    """Into the rules' files."""
    for file in sorted(RULES.glob("*.toml")):
        rule, text = file.stem, RATE.sub("", file.read_text())
        if windows := measured.windows[rule]:
            lines = f"false_positive_rate = {measured.rate(rule)!r}\nbenign_windows = {windows}\n"
            text = PRIOR.sub(rf"\g<1>{lines}", text)
        file.write_text(text)


def curved(judged: Judged, knots: Iterable[tuple[float, float]]) -> Judged:
    """With what the curve makes of each confidence."""
    raw, mended = zip(*knots, strict=True)
    return [(float(np.interp(c, raw, mended)), right) for c, right in judged]


def fit(judged: Judged) -> list[tuple[float, float]]:
    """Knots of a rising curve: isotonic regression, in groups of LEAST events and more."""
    sure, right = (np.array(column, float) for column in zip(*sorted(judged), strict=True))
    blocks = isotonic_regression(right).blocks.tolist()
    knots, start = [(0.0, 0.0)], 0
    for end in [*(b for b in blocks[1:-1] if len(right) - b >= LEAST), len(right)]:
        if end - start < LEAST:
            continue
        x = float(sure[start:end].mean())
        y = float((right[start:end].sum() + 0.5) / (end - start + 1))  # Krichevsky, Trofimov
        if x > knots[-1][0] and y > knots[-1][1]:
            knots.append((round(x, 4), round(y, 4)))
        start = end
    return [*knots, (1.0, 1.0)]


def held_out(judged: Judged) -> Judged:
    """Each half by the curve of the other."""
    return [each for half in (0, 1) for each in curved(judged[half::2], fit(judged[1 - half :: 2]))]


def write_curve(knots: list[tuple[float, float]]) -> None:
    file = ROOT / "sensor" / "detect" / "calibration.py"
    head = file.read_text().split("TABLE:", 1)[0]
    lines = "".join(f"    ({x}, {y}),\n" for x, y in knots)
    file.write_text(f"{head}TABLE: tuple[tuple[float, float], ...] = (\n{lines})\n")


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}"[:90], end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--captures", type=Path, metavar="DIR", help="with CATALOGUE.tsv")
    parser.add_argument("--write", action="store_true", help="put all of it into the files")
    args = parser.parse_args()
    confidence.TABLE = ((0.0, 0.0), (1.0, 1.0))  # what is computed, before the curve
    measured = Measured()
    play_cases(measured)
    if args.captures:
        play_captures(measured, args.captures)
    progress("")
    print(text := tables(measured))
    print("\nThe curve from this traffic:", *fit(measured.judged))
    if args.write:
        write_rates(measured)
        write_curve(fit(measured.judged))
        write_page(text)


if __name__ == "__main__":
    main()
