"""Reads a TOML table strictly: every value typed, every unknown key an error with its line."""

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any

from sensor.detect.expression import Expression, ExpressionError, compile_expression
from sensor.detect.positions import Path, Positions
from sensor.detect.rule import RuleError

MISSING: Any = object()
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DURATION = re.compile(r"(\d{1,7})(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_TEXT = 8000
MAX_ITEMS = 256


class Source:
    """The text that tables come from, for errors."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.rule_id: str | None = None
        self._positions = Positions(text)

    def error(self, path: Path, reason: str, text: str = "") -> RuleError:
        """A RuleError at the line of `path`."""
        return RuleError(self.file, self._positions.line(path, text), reason, self.rule_id)


class Table:
    """One table: take each key once, then say `done()`."""

    def __init__(self, source: Source, values: object, path: Path = ()) -> None:
        self.source = source
        self.path = path
        if not isinstance(values, dict):
            raise source.error(path, f"{self._name()} must be a table")
        self._values = dict(values)
        self._here = frozenset(self._values)

    def _name(self) -> str:
        return ".".join(str(part) for part in self.path)

    def __contains__(self, key: str) -> bool:
        return key in self._here

    def error(self, key: str, reason: str, text: str = "") -> RuleError:
        """A RuleError at the line of `key`."""
        return self.source.error((*self.path, key) if key else self.path, reason, text)

    def done(self) -> None:
        """Whatever was not taken is unknown."""
        for key in self._values:
            where = f" in [{self._name()}]" if self.path else ""
            raise self.error(key, f"unknown key {key!r}{where}")

    def _take(self, key: str, default: Any, kind: str, fits: Callable[[Any], bool]) -> Any:
        value = self._values.pop(key, MISSING)
        if value is MISSING:
            if default is MISSING:
                raise self.error(
                    "", f"{key!r} is missing" + (f" in [{self._name()}]" if self.path else "")
                )
            return default
        if not fits(value):
            raise self.error(key, f"{key} must be {kind}")
        return value

    def text(self, key: str, default: Any = MISSING) -> Any:
        """A string."""
        return self._take(
            key, default, "a text", lambda v: isinstance(v, str) and len(v) <= MAX_TEXT
        )

    def word(self, key: str, allowed: Iterable[str] | None = None, default: Any = MISSING) -> Any:
        """A lower-case identifier, one of `allowed` when given."""
        word = self.text(key, default)
        if word is default:
            return word
        known = None if allowed is None else sorted(allowed)
        if known is None and not NAME.fullmatch(word):
            raise self.error(key, f"{key} must be a lower-case word: {word!r}")
        if known is not None and word not in known:
            raise self.error(key, f"{key} must be one of {', '.join(known)}: {word!r}")
        return word

    def whole(self, key: str, default: Any = MISSING, low: int = 0, high: int = 1 << 40) -> Any:
        """A whole number."""
        return self._take(
            key,
            default,
            f"a whole number from {low} to {high}",
            lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high,
        )

    def number(
        self, key: str, default: Any = MISSING, low: float = -1e18, high: float = 1e18
    ) -> Any:
        """A finite number."""
        value = self._take(
            key,
            default,
            f"a number from {low:g} to {high:g}",
            lambda v: isinstance(v, int | float) and not isinstance(v, bool) and low <= v <= high,
        )
        return value if value is default else float(value)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        return bool(self._take(key, default, "true or false", lambda v: isinstance(v, bool)))

    def words(self, key: str) -> tuple[str, ...]:
        """An array of texts; none when it is missing."""
        value = self._take(
            key,
            (),
            "an array of texts",
            lambda v: (
                isinstance(v, list)
                and len(v) <= MAX_ITEMS
                and all(isinstance(item, str) and len(item) <= MAX_TEXT for item in v)
            ),
        )
        return tuple(value)

    def seconds(self, key: str, default: Any = MISSING, low: int = 0) -> Any:
        """A duration such as "10s", "5m", "1h", "1d", in seconds."""
        value = self.text(key, default)
        if value is default:
            return value
        match = _DURATION.fullmatch(value)
        seconds = int(match[1]) * _UNITS[match[2]] if match else -1
        if not low <= seconds <= 366 * 86400:
            raise self.error(
                key, f'{key} must be a duration such as "10s", "5m" or "1h": {value!r}'
            )
        return seconds

    def day(self, key: str) -> date | None:
        """A date; None when it is missing."""
        value = self._take(
            key, None, "a date", lambda v: isinstance(v, date) and not isinstance(v, datetime)
        )
        return value if isinstance(value, date) else None

    def expression(self, key: str, default: Any = MISSING) -> Any:
        """A compiled expression; its names are not checked yet."""
        value = self.text(key, default)
        if value is default:
            return value
        try:
            return compile_expression(value)
        except ExpressionError as error:
            raise self.error(
                key, f"{key}: {error}", value.strip().splitlines()[0] if value.strip() else ""
            ) from None

    def table(self, key: str, default: Any = MISSING) -> "Table":
        """A table; empty when it may be missing."""
        value = self._values.pop(key, default)
        if value is MISSING:
            raise self.error("", f"[{key}] is missing")
        return Table(self.source, value, (*self.path, key))

    def tables(self, key: str) -> list["Table"]:
        """An array of tables; none when it is missing."""
        value = self._values.pop(key, [])
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise self.error(key, f"{key} must be an array of at most {MAX_ITEMS} tables")
        return [Table(self.source, item, (*self.path, key, i)) for i, item in enumerate(value)]

    def raw(self, key: str) -> Any:
        """Whatever is there."""
        return self._values.pop(key)

    def rest(self) -> list[str]:
        """The keys that were not taken yet."""
        return list(self._values)


def first_line(expression: Expression) -> str:
    """A part of an expression's text that can be found in the file."""
    return expression.text.strip().splitlines()[0]
