"""The report on 80 columns, with attackers' names in it."""

import io
import unicodedata

import pytest
from rich.cells import cell_len

from sensor.programs.render import console_for, render
from sensor.programs.units import count, duration, mbits, milliseconds, size
from sensor.programs.view import Report, of_replay
from tests.unit.programs.made import replayed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(out: io.StringIO, **how: bool) -> str:
    render(of_replay(*replayed(**how)), console_for(out))
    return out.getvalue()


@pytest.fixture(autouse=True)
def plain_80(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("local", [True, False])
def test_fits_80_columns_without_a_control_character(local: bool) -> None:
    text = drawn(io.StringIO(), local=local)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert not [c for c in text.replace("\n", "") if unicodedata.category(c) in ("Cc", "Cf")]


def test_colours_on_a_terminal_only() -> None:
    assert "\x1b[" in drawn(Terminal())
    assert "\x1b[" not in drawn(io.StringIO())


def test_says_what_was_found() -> None:
    text = drawn(io.StringIO())
    for said in (
        "9, 2.5 MB on the wire (2.0 MB captured)",
        "2023-11-14 22:13:20 to 22:13:30 UTC, 10 s",
        "10.0.0.0/8 (given)",
        "800 kbit/s, 8.00 Mbit/s at its peak",
        "3 TCP, 1 UDP (SF 2, REJ 1)",
        "4 requests (200 x4)",
        "1 query, 1 unanswered",
        "192.0.2.9:22/tcp",
        "TCP handshake",
        "truncated tcp",
        "degraded at its worst: 5.00 % of ACKs are for octets not captured",
        "flows evicted 4",
        "Damaged: tw\\x1bo.pcap:4711",
    ):
        assert said in " ".join(text.split()), said


def test_names_are_not_markup() -> None:
    out = io.StringIO()
    render(Report("[bold]x[/bold] :smile:", facts=[("[red]", "[/red]")]), console_for(out))
    assert out.getvalue().split() == ["[bold]x[/bold]", ":smile:", "[red]", "[/red]"]


def test_nothing_to_say_says_nothing() -> None:
    out = io.StringIO()
    render(Report("empty.pcap"), console_for(out))
    assert out.getvalue().split() == ["empty.pcap"]


def test_numbers_for_people() -> None:
    assert [size(n) for n in (0, 999, 1000, 999_949, 123_456_789)] == [
        "0 B", "999 B", "1.0 kB", "1.0 MB", "123 MB",
    ]  # fmt: skip
    assert [milliseconds(us) for us in (None, 0.5, 999.9, 12_345, 123_456, 1_234_567)] == [
        "-", "0.001", "1.00", "12.3", "123", "1,235",
    ]  # fmt: skip
    assert [duration(s) for s in (0.0123, 119, 245, 7380, 273_600)] == [
        "0.0123 s", "119 s", "4 min 05 s", "2 h 03 min", "3 d 4 h",
    ]  # fmt: skip
    assert [mbits(v) for v in (None, 0, 0.0005, 0.05, 1.234, 2500)] == [
        "-", "0 bit/s", "500 bit/s", "50.0 kbit/s", "1.23 Mbit/s", "2.50 Gbit/s",
    ]  # fmt: skip
    queries = [count(n, "query", "queries") for n in (0, 1, 1000)]
    assert queries == ["0 queries", "1 query", "1,000 queries"]
