"""`sensor rules`: list, check, test and explain the rule files.

The shipped rules, with the operator's folder over them: what a replay and the daemon run.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from rich.text import Text

from sensor.detect.loader import load_rules
from sensor.detect.rule import Rule, RuleError, RuleSet
from sensor.detect.series import SeriesResult, run_tests
from sensor.errors import InputMissing, UsageError
from sensor.model.text import printable
from sensor.programs.detection import COLUMNS, OPERATOR_RULES, shipped_folder, shipped_rules
from sensor.programs.events import explain_event, find
from sensor.programs.render import console_for
from sensor.programs.rule_words import rule_document, rule_sections
from sensor.programs.sections import print_sections
from sensor.programs.units import duration
from sensor.store.queries import open_reader

BAD = 2  # exit status when a file is wrong or a test fails: the configuration does not make sense
F = TypeVar("F", bound=Callable[..., Any])


def rules_option(function: F) -> F:
    """The operator's folder, the same for every command."""
    return click.option(
        "--rules",
        "folder",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIR",
        help=f"Your rule files, instead of {OPERATOR_RULES}.",
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(
        function
    )


@click.group(
    name="rules",
    short_help="List, check, test and explain detection rules.",
    epilog="\b\nExamples:\n  sensor rules list\n  sensor rules check /etc/sensor/rules.d\n"
    "  sensor rules test syn_flood\n  sensor rules explain syn_flood",
)
def command() -> None:
    """List, check, test and explain the detection rules: TOML files, one rule each."""


# ---- list


@command.command(
    name="list",
    short_help="Which rules there are.",
    epilog="\b\nExamples:\n  sensor rules list\n  sensor rules list --json | jq '.rules[].id'",
)
@rules_option
@json_option
def list_command(folder: str | None, as_json: bool) -> int:
    """Which rules there are, what they watch, and whether your files change them."""
    loaded = shipped_rules(folder)
    rules = sorted(loaded.rules, key=lambda rule: rule.id)
    if as_json:
        document = {
            "schema": 1,
            "rules": [rule_document(rule) for rule in rules],
            "errors": [error_document(error) for error in loaded.errors],
        }
        click.echo(json.dumps(document, indent=2))
        return 0
    say_errors(loaded.errors)
    console = console_for(sys.stdout)
    row = "  {:<20}  {:<18}  {:<10}  {:>6}  {:<12}  {}"
    header = row.format("Rule", "Class", "Table", "Window", "Status", "State")
    console.print(Text(header, style="dim"), soft_wrap=True)
    for rule in rules:
        cells = rule.id, rule.attack_class, rule.table, duration(rule.window_s), rule.status
        line = Text(row.format(*cells, state(rule)), style="" if rule.enabled else "dim")
        line.stylize("bold", 2, 2 + len(rule.id))
        levels = ", ".join(f"{name} {score:g}" for name, score in rule.levels)
        about = Text(f"    {printable(rule.title)} ({levels})", style="dim")
        console.print(line, about, sep="\n", soft_wrap=True)
    return 0


def state(rule: Rule) -> str:
    return ("on" if rule.enabled else "off") + (", overridden" if rule.overridden_by else "")


# ---- check


class Files:
    """Files as a folder of their own, for the loader."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = tuple(files)

    def is_dir(self) -> bool:
        return True

    def iterdir(self) -> Iterator[Path]:
        return iter(self._files)


@command.command(
    name="check",
    short_help="Whether rule files are right.",
    epilog="\b\nExamples:\n  sensor rules check\n  sensor rules check /etc/sensor/rules.d\n"
    "  sensor rules check my_rule.toml\n  sensor rules check --alone rules/",
)
@click.argument("paths", nargs=-1, metavar="[DIR|FILE]...")
@click.option("--alone", is_flag=True, help="Not as yours over the shipped ones, but as all.")
@rules_option
@json_option
def check_command(paths: tuple[str, ...], alone: bool, folder: str | None, as_json: bool) -> int:
    """Whether rule files are right: each error is a line `file:line: reason` on stderr.

    DIR and FILE are read as your files over the shipped rules; without any, the folder that the
    sensor would read. Exit status 2 when something is wrong.
    """
    if paths:
        folders = [cast(Path, place) for place in places(paths)]
        shipped = [] if alone else [shipped_folder()]
        loaded = load_rules(*shipped, *folders, columns=COLUMNS)
    else:
        loaded = shipped_rules(folder)
    if as_json:
        errors = [error_document(error) for error in loaded.errors]
        document = {"schema": 1, "rules": len(loaded.rules), "errors": errors}
        click.echo(json.dumps(document, indent=2))
    else:
        for error in loaded.errors:
            click.echo(printable(str(error), 1000), err=True)
        found = len(loaded.errors)
        click.echo(f"{len(loaded.rules)} rules, {found or 'no'} error{'' if found == 1 else 's'}")
    return BAD if loaded.errors else 0


def places(paths: Iterable[str]) -> Iterator[Path | Files]:
    """Folders as they are, files together; InputMissing for what is not there."""
    files = []
    for name in paths:
        path = Path(name)
        try:
            if path.is_dir():
                if not any(file.name.endswith(".toml") for file in path.iterdir()):
                    raise InputMissing(name, "no *.toml file in it")
                yield path
                continue
            if not path.exists():
                raise InputMissing(name, "no such file or folder")
        except OSError as error:
            raise InputMissing(name, (error.strerror or str(error)).lower()) from error
        if path.suffix != ".toml":
            raise UsageError(f"{name}: a rule file ends in .toml")
        files.append(path)
    if files:
        yield Files(files)


# ---- test


@command.command(
    name="test",
    short_help="Run the tests that the rules carry.",
    epilog="\b\nExamples:\n  sensor rules test\n  sensor rules test syn_flood port_scan\n"
    "  sensor rules test my_rule --rules .",
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@rules_option
@json_option
def test_command(ids: tuple[str, ...], folder: str | None, as_json: bool) -> int:
    """Run the tests that the rules carry: made windows through the real detector.

    Exit status 2 when a test fails or a file cannot be loaded.
    """
    loaded = shipped_rules(folder)
    rules = [named(loaded, one) for one in ids] if ids else list(loaded.rules)
    errors = [] if ids else loaded.errors
    results = []
    for rule in rules:
        for result in run_tests(rule, COLUMNS):
            results.append(result)
            if not as_json:
                click.echo(printable(result_line(result), 1000))
    failed = [r for r in results if not (r.passed or r.skipped)]
    if as_json:
        document = {
            "schema": 1,
            "tests": [result_document(result) for result in results],
            "errors": [error_document(error) for error in errors],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        say_errors(errors)
        skipped = sum(result.skipped for result in results)
        more = f", {skipped} skipped" if skipped else ""
        click.echo(f"{len(results)} tests of {len(rules)} rules, {len(failed)} failed{more}")
    return BAD if failed or errors else 0


def result_line(result: SeriesResult) -> str:
    if result.skipped:
        return f"skip  {result.rule_id}: {result.name}: needs a capture"
    if result.passed:
        return f"ok    {result.rule_id}: {result.name}"
    return f"FAIL  {result.rule_id}: {result.name}: {'; '.join(result.reasons)}"


def result_document(result: SeriesResult) -> dict[str, Any]:
    return {
        "rule": result.rule_id,
        "name": result.name,
        "passed": None if result.skipped else result.passed,
        "reasons": list(result.reasons),
    }


# ---- explain


@command.command(
    name="explain",
    short_help="A rule, or an event, in words.",
    epilog="\b\nExamples:\n  sensor rules explain syn_flood\n"
    "  sensor rules explain 0b0e5a1c --db site.db",
)
@click.argument("name", metavar="ID")
@click.option("--db", metavar="FILE", help="Where ID is an event: its database.")
@rules_option
@json_option
def explain_command(name: str, db: str | None, folder: str | None, as_json: bool) -> int:
    """A rule in words; or, with --db, the event whose id begins with ID."""
    loaded = shipped_rules(folder)
    rule = loaded.find(name)
    if rule is None and db is not None:
        with open_reader(db) as reader:
            explain_event(find(reader, db, name).event, loaded, as_json=as_json)
        return 0
    rule = rule or named(loaded, name)
    body = rule_sections(rule)
    if as_json:
        words = {section.title: section.lines for section in body}
        document = {"schema": 1, "rule": rule_document(rule), "explanation": words}
        click.echo(json.dumps(document, indent=2))
    else:
        title = f"{rule.id}, version {rule.version}: {rule.title}"
        print_sections(title, body, console_for(sys.stdout))
    return 0


# ---- what they share


def named(loaded: RuleSet, rule_id: str) -> Rule:
    """The rule of that id; why it is not there, when it is not."""
    rule = loaded.find(rule_id)
    if rule is not None:
        return rule
    for error in loaded.errors:
        if error.rule_id == rule_id:
            raise UsageError(str(error))
    raise UsageError(f"no rule {rule_id!r}: see sensor rules list; an event needs --db")


def say_errors(errors: Iterable[RuleError]) -> None:
    for error in errors:
        click.echo(printable(f"sensor: {error}", 1000), err=True)


def error_document(error: RuleError) -> dict[str, Any]:
    return {
        "file": error.file,
        "line": error.line or None,
        "rule": error.rule_id,
        "reason": error.reason,
    }
