"""Which names the expressions of a rule may use."""

from collections.abc import Collection
from typing import Any

from sensor.detect.expression import FUNCTIONS
from sensor.detect.reader import MISSING, NAME, Table, first_line


class Names:
    """It grows in the order in which the parts of a rule are evaluated."""

    def __init__(self, columns: Collection[str], sensor: Collection[str]) -> None:
        self.columns = frozenset(columns) | {f"sensor.{name}" for name in sensor}
        self.baselined: set[str] = set()
        self._known = set(self.columns)

    def add(self, table: Table, key: str, name: str) -> None:
        """One more name, which may not hide another."""
        if not NAME.fullmatch(name.removeprefix("cond.")):
            raise table.error(key, f"{name!r} must be a lower-case word")
        if name in self._known or name in FUNCTIONS or name in ("cond", "sensor"):
            raise table.error(key, f"{name} is the name of something else already")
        self._known.add(name)

    def take(self, table: Table, key: str, default: Any = MISSING) -> Any:
        """The expression at `key`; RuleError for the first name that is not known (yet)."""
        expression = table.expression(key, default)
        if expression is default:
            return expression
        for name in sorted(expression.names - self._known):
            raise table.error(
                key, f"{key}: unknown column or feature {name}", first_line(expression)
            )
        for function, feature in sorted(expression.statistics):
            if feature not in self.baselined:
                reason = f"{key}: {function}({feature}) needs a [baseline.{feature}]"
                raise table.error(key, reason, first_line(expression))
        return expression
