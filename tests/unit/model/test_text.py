"""Names from the wire cannot drive a terminal."""

import unicodedata

import pytest

from sensor.model.text import decode_name, printable

HOSTILE = [
    b"\x1b[2J\x1b[H",
    b"\x1b]8;;http://evil\x07click\x1b]8;;\x07",
    b"a\r\nJan 1 00:00:00 sensor: all is well",
    "\u202egnp.exe".encode(),
    b"nul\x00nul",
    b"\xff\xfe\xc0\x80",
    "\u200b\u2028\ue000\U000e0001".encode(),
    b"\x9b31m",
]


@pytest.mark.parametrize("raw", HOSTILE)
def test_nothing_invisible_is_shown(raw: bytes) -> None:
    shown = printable(decode_name(raw))
    assert not {unicodedata.category(c)[0] for c in shown} & {"C"}
    assert "\u2028" not in shown


def test_escapes_say_what_was_there() -> None:
    assert printable("a\x1b[0m") == "a\\x1b[0m"
    assert printable("\u202e") == "\\u202e"
    assert decode_name(b"caf\xc3\xa9 \xff") == "café \\xff"


def test_what_can_be_read_stays() -> None:
    assert printable("büro.example 例え") == "büro.example 例え"


def test_length_is_bounded_after_escaping() -> None:
    shown = printable("\x00" * 10_000, 80)
    assert len(shown) == 80
    assert shown.endswith("…")
