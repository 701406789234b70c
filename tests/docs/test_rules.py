"""docs/rules.md: its examples load and pass their tests, its lists are the engine's."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sensor._native.dtypes import TABLES
from sensor.detect.columns import readable
from sensor.detect.expression import FUNCTIONS
from sensor.detect.parse import EVENT_TYPES, FAMILIES, STATUSES
from sensor.detect.rule import SEVERITIES
from tests.unit.programs.test_cli import run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
OWN, CHANGE, LEFT_OUT = EXAMPLES
KEYS = PAGE.split("\n## Keys\n")[1].split("\n## Expressions\n")[0]
# Of the key, of the native floor itself: no figures.
HIDDEN = {"slot", "generation", "reserved", "padding"}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for name, text in zip(("own", "change", "out"), EXAMPLES, strict=True):
        (tmp_path / f"{name}.toml").write_text(text)
    return str(tmp_path)


def test_the_examples_are_right_and_do_what_the_page_says(folder: str) -> None:
    checked = run("rules", "check", folder)
    assert (checked.returncode, checked.stderr) == (0, b"")
    tested = run("rules", "test", "printer_jobs", "--rules", folder)
    assert tested.returncode == 0, tested.stdout.decode()
    assert tested.stdout.decode().splitlines()[-1] == "4 tests of 1 rules, 0 failed"
    listed = run("rules", "list", "--rules", folder).stdout.decode().splitlines()
    states = {line.split()[0]: line for line in listed if line.startswith("  ")}
    assert states["syn_flood"].endswith("on, overridden")
    assert states["http_flood_tls"].endswith("off, overridden")
    assert states["printer_jobs"].endswith("on")
    words = run("rules", "explain", "syn_flood", "--rules", folder).stdout.decode()
    assert "floor = 50" in words
    assert "high from 70" in words
    assert "sources: 198.51.100.0/24" in words


def test_every_key_that_a_file_uses_is_explained(tmp_path: Path) -> None:
    """By section: `gate` of [scope] is no key of [event]."""
    explained: dict[str, set[str]] = {}
    section = ""
    for line in KEYS.splitlines():
        if not line.startswith("|"):
            continue
        first = line.split("|")[1]
        if heading := re.search(r"\*\*`\[+([a-z_]+)", first):
            section = heading[1]
        explained.setdefault(section, set()).update(re.findall(r"`([a-z_]+)`", line))
    files = [tomllib.loads(f.read_text()) for f in sorted((ROOT / "rules").glob("*.toml"))]
    for values in (*files, *map(tomllib.loads, EXAMPLES)):
        for where, key in keys_of(values):
            assert key in explained[where], f"[{where}] {key}"


def keys_of(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(section, key) of a rule file; names that its author chose are no keys."""
    for name, value in values.items():
        if name in ("features", "params", "look_alikes"):
            continue
        parts = value if isinstance(value, list) else [value]
        if name == "baseline":
            parts = list(value.values())
        for part in parts:
            if isinstance(part, dict):
                yield from ((name, key) for key in part if key != "levels")
        if not isinstance(parts[0] if parts else None, dict):
            yield "", name


def test_the_words_that_a_key_may_be_are_listed() -> None:
    for word in (*EVENT_TYPES, *FAMILIES, *STATUSES, *SEVERITIES):
        assert f"`{word}`" in KEYS, word
    explained = PAGE.split("\n## Expressions\n")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)\(", explained)) == FUNCTIONS


def test_every_column_is_explained_and_no_other() -> None:
    text = PAGE.split("\n## Tables and columns\n")[1]
    tables = set(re.findall(r"^\| `(\w+)` \|", text.split("\n### ")[0], re.MULTILINE))
    assert tables == set(TABLES)
    for section in text.split("\n### ")[1:]:
        names, _, body = section.partition("\n")
        rows = re.findall(r"^\| (`.*?) \|", body, re.MULTILINE)
        explained = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        assert len(explained) == len(set(explained))
        for table in names.split(", "):
            assert set(explained) == readable(TABLES[table]) - HIDDEN, table
            tables.remove(table)
    assert not tables
