"""The tests that a rule file carries: series of windows, and what must come of them."""

import re

from sensor.detect.names import Names
from sensor.detect.reader import Table
from sensor.detect.rule import SEVERITIES, RuleTest

MAX_STEPS = 100_000  # of a test's series
_TOKEN = re.compile(r"(-?\d+(?:\.\d+)?)(?:([+-]\d+(?:\.\d+)?))?(?:x(\d{1,6}))?")


def parse_tests(parts: list[Table], window_s: int, names: Names) -> tuple[RuleTest, ...]:
    tests = []
    for part in parts:
        pcap = part.text("pcap", None)
        series_part = part.table("series", {})
        series = {name: _series(series_part, name, names) for name in series_part.rest()}
        if (pcap is None) == (not series):
            raise part.error("", "a test has either a series or a pcap")
        tests.append(
            RuleTest(
                name=part.text("name"),
                series=series,
                pcap=pcap,
                step_s=part.seconds("step", window_s, low=1),
                expect=_expect(part.table("expect")),
            )
        )
        part.done()
    return tuple(tests)


def _series(table: Table, name: str, names: Names) -> tuple[float, ...]:
    if name not in names.columns:
        raise table.error(name, f"series: unknown column {name}")
    text = table.text(name)
    values: list[float] = []
    for token in text.split():
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise table.error(name, f'series: {token!r} is neither "5", "5x20" nor "0+10x20"')
        first, step, times = float(match[1]), match[2], match[3]
        # As Prometheus has it: "a+bxN" is a and N more; "axN" here is N values, not one more.
        repeat = int(times or 0) + 1 if step else int(times or 1)
        if len(values) + repeat > MAX_STEPS:
            raise table.error(name, f"series: longer than {MAX_STEPS}")
        values.extend(max(first + float(step or 0) * i, 0.0) for i in range(repeat))
    return tuple(values)


def _expect(table: Table) -> dict[str, str | int | float]:
    expect: dict[str, str | int | float] = {}
    for key in table.rest():
        match key:
            case "opens" | "open_by" | "clear_by":
                expect[key] = table.whole(key)
            case "min_confidence":
                expect[key] = table.number(key, low=0.0, high=1.0)
            case "min_severity" | "max_severity":
                expect[key] = table.word(key, SEVERITIES)
            case "event_type" | "attack_class":
                expect[key] = table.word(key)
            case "max_detect_delay":
                expect[key] = table.seconds(key)
            case _:
                pass  # done() says it
    table.done()
    if "opens" not in expect:
        raise table.error("", "expect needs opens")
    return expect
