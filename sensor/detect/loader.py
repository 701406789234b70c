"""Loads rule files: the built-in ones, and the operator's on top. A bad file stops only itself.

A file of a later folder that carries the id of a rule already there changes that rule's [params],
[allow], enabled and [severity.levels], and nothing else, so that an upgrade and an operator's edit
do not fight. With an id of its own it is a rule of its own.
"""

import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from sensor.detect.columns import Tables
from sensor.detect.parse import parse_rule
from sensor.detect.reader import Source, Table
from sensor.detect.rule import Rule, RuleError, RuleSet

MAX_OCTETS = 256 * 1024  # of one file
MAX_FILES = 512  # of one folder
Folder = Path | Traversable


def load_rules(
    builtin: Folder, *overrides: Folder, columns: Tables, previous: RuleSet | None = None
) -> RuleSet:
    """The rules of all folders. `columns`: the dtype of every feature table.

    A rule whose file is bad keeps its version of `previous`, where it has one; a bad override
    leaves the rule as it is without.
    """
    loading = _Loading(columns, previous)
    loading.folder(builtin, override=False)
    for folder in overrides:
        loading.folder(folder, override=True)
    return RuleSet(tuple(loading.rules.values()), tuple(loading.errors))


class _Loading:
    def __init__(self, columns: Tables, previous: RuleSet | None) -> None:
        self.rules: dict[str, Rule] = {}
        self.errors: list[RuleError] = []
        self._columns = columns
        self._previous = previous or RuleSet(())
        self._raw: dict[str, tuple[Source, dict[str, Any]]] = {}

    def folder(self, folder: Folder, *, override: bool) -> None:
        seen: dict[str, str] = {}
        try:
            files = list(_files(folder))
        except OSError as error:  # it is there, but not ours to read
            self.errors.append(RuleError(str(folder), 0, error.strerror or "cannot be read"))
            return
        for file in files:
            try:
                self._file(file, seen, override=override)
            except RuleError as error:
                self.errors.append(error)
                self._keep(error)
            except OSError as error:
                self.errors.append(RuleError(str(file), 0, error.strerror or "cannot be read"))

    def _file(self, file: Folder, seen: dict[str, str], *, override: bool) -> None:
        source, values = _read(file)
        rule_id = values.get("id")
        if isinstance(rule_id, str):
            if rule_id in seen:
                raise source.error(("id",), f"id {rule_id!r} is that of {seen[rule_id]} already")
            seen[rule_id] = source.file
            if override and rule_id in self._raw:
                self._override(rule_id, source, values)
                return
        rule = parse_rule(source, values, self._columns)
        self.rules[rule.id] = rule
        self._raw[rule.id] = source, values

    def _override(self, rule_id: str, source: Source, values: dict[str, Any]) -> None:
        source.rule_id = rule_id
        own, base = self._raw[rule_id]
        merged = deepcopy(base)
        table = Table(source, values)
        table.word("id")
        table.whole("schema", 1)
        if "enabled" in table:
            merged["enabled"] = table.flag("enabled", True)
        for name, known in (("params", base.get("params", {})), ("allow", None)):
            _merge(table.table(name, {}), merged.setdefault(name, {}), known)
        severity = table.table("severity", {})
        levels = merged["severity"]["levels"]
        _merge(severity.table("levels", {}), levels, levels)
        severity.done()
        for key in table.rest():
            raise table.error(
                key, f"{key!r}: only [params], [allow], enabled and [severity.levels] may change"
            )
        try:
            rule = parse_rule(own, merged, self._columns)
        except RuleError as error:  # its line is the built-in file's: say it of this one
            path = ("severity", "levels") if "levels" in error.reason else ("allow",)
            raise source.error(path, error.reason) from None
        self._raw[rule_id] = own, merged
        files = (*self.rules[rule_id].overridden_by, source.file)
        self.rules[rule_id] = replace(rule, overridden_by=files)

    def _keep(self, error: RuleError) -> None:
        """The version of before of the rule whose file is bad now."""
        for rule in self._previous.rules:
            if rule.file == error.file:
                self.rules.setdefault(rule.id, rule)


def _merge(table: Table, into: dict[str, Any], known: dict[str, Any] | None) -> None:
    for name in table.rest():
        if known is not None and name not in known:
            raise table.error(name, f"{name!r} is not in the rule")
        value = table.raw(name)
        if known is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise table.error(name, f"{name} must be a number")
        into[name] = value


def _files(folder: Folder) -> Iterator[Folder]:
    if not folder.is_dir():
        return
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    yield from files[:MAX_FILES]


def _read(file: Folder) -> tuple[Source, dict[str, Any]]:
    name = str(file)
    with file.open("rb") as stream:
        octets = stream.read(MAX_OCTETS + 1)
    if len(octets) > MAX_OCTETS:
        raise RuleError(name, 0, f"larger than {MAX_OCTETS} octets")
    try:
        text = octets.decode()
        values = tomllib.loads(text)
    except UnicodeDecodeError:
        raise RuleError(name, 0, "not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        raise RuleError(name, int(line[1]) if line else 0, f"not TOML: {error}") from None
    return Source(name, text), values
