"""What the pages say exists: commands, targets, links, counters."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from sensor._native.counters import Counter

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/*/README.md")])
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(group: click.Group, path: str = "sensor") -> list[tuple[str, click.Command]]:
    """Every command of the tree, with its full name."""
    found: list[tuple[str, click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        full = f"{path} {name}"
        if isinstance(command, click.Group):
            found += commands(command, full)
        else:
            found.append((full, command))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_and_links_exist(page: Path) -> None:
    text = page.read_text()
    spans = re.findall(r"`([^`\n]+)`|^(make [^\n#]+)", text, re.MULTILINE)
    code = "\n".join(inline or block for inline, block in spans)
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= TARGETS
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link


def test_readme_has_two_set_up_commands() -> None:
    start = (ROOT / "README.md").read_text().split("## Start")[1]
    block = re.search(r"```sh\n(.*?)```", start, re.DOTALL)
    assert block is not None
    assert [line.split("#")[0].strip() for line in block[1].splitlines()] == [
        "make demo",
        "make test",
    ]


def test_every_command_has_help_with_an_example() -> None:
    from sensor.programs.cli import cli  # noqa: PLC0415  (the rest of this file needs no CLI)

    found = commands(cli)
    assert found
    for name, command in found:
        context = click.Context(command, info_name=name)
        text = command.get_help(context)
        assert re.search(r"examples?:", text, re.IGNORECASE), f"{name} --help has no example"
        assert name in text
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help or parameter.hidden, f"{name} {parameter.opts}"


def test_commands_of_the_pages_exist() -> None:
    from sensor.programs.cli import cli  # noqa: PLC0415

    known = {name.split()[1] for name, _ in commands(cli)}
    for page in ("README.md", "docs/operating.md"):
        blocks = "\n".join(re.findall(r"`([^`]+)`", (ROOT / page).read_text()))
        used = set(re.findall(r"^(?:\.venv/bin/)?sensor ([a-z]+)", blocks, re.MULTILINE))
        assert used <= known, page


def test_every_counter_is_explained() -> None:
    page = (ROOT / "docs" / "counters.md").read_text()
    explained = re.findall(r"^\| `([a-z0-9_]+)` \| \S", page, re.MULTILINE)
    counters = [c.name.removeprefix("C_").lower() for c in Counter if c.name != "C_COUNT"]
    assert explained == counters


STUBS = sorted((ROOT / "sensor" / "_native").glob("*.pyi"))
ENUMS = [
    (stub.stem, node)
    for stub in STUBS
    for node in ast.parse(stub.read_text()).body
    if isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] == ["IntEnum"]
]


# Of a Cython module a stub leaves out its own machinery and constants that Python does not use;
# stubtest does not see the parameters of a __cinit__.
UNSTUBBED = r"""
.*\.__(reduce|setstate)_cython__
.*\.__test__
.*\.__init__
sensor\._native\.\w+\.[A-Z_]+
"""


def test_stubs_say_what_the_native_modules_have(tmp_path: Path) -> None:
    """Mypy's stubtest imports the modules and compares names and parameters."""
    allowed = tmp_path / "allowed"
    allowed.write_text(UNSTUBBED)
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "--concise", "--ignore-disjoint-bases",
         "--ignore-unused-allowlist", "--allowlist", allowed,
         *(f"sensor._native.{stub.stem}" for stub in STUBS)],
        cwd=ROOT,
        env=os.environ | {"MYPY_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("module", "stub"), ENUMS, ids=lambda part: getattr(part, "name", part))
def test_stubs_list_the_enums(module: str, stub: ast.ClassDef) -> None:
    listed = [ast.unparse(line) for line in stub.body]
    members = getattr(importlib.import_module(f"sensor._native.{module}"), stub.name).__members__
    assert listed == [f"{name} = {int(value)}" for name, value in members.items()]
