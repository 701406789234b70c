"""What the databases call differently, as far as SQLite and the central stores share a question."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any


class Ask(ABC):
    """One question: its values by the placeholders that its text has for them."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    @abstractmethod
    def mark(self, name: str, kind: str) -> str:
        """The placeholder of a value of that kind: time, integer, text, uuid, texts, uuids or
        times."""

    @abstractmethod
    def value(self, value: Any, kind: str) -> object:
        """As the client library takes it; times are us since 1970."""

    def bind(self, value: Any, kind: str) -> str:
        name = f"p{len(self.values)}"
        self.values[name] = self.value(value, kind)
        return self.mark(name, kind)


class Words(ABC):
    """Of one database."""

    ask: Callable[[], Ask]

    @abstractmethod
    def table(self, name: str) -> str:
        """As `t`, each row once."""

    @abstractmethod
    def column(self, name: str, kind: str) -> str:
        """A column of `t` as SQLite has it."""

    @abstractmethod
    def micros(self, time: str) -> str:
        """A time as us since 1970."""

    @abstractmethod
    def real(self, number: str) -> str:
        """A sum as a float; NULL stays."""

    @abstractmethod
    def text(self, column: str) -> str:
        """A UUID as text."""

    @abstractmethod
    def among(self, column: str, mark: str) -> str:
        """Whether it is one of those bound."""

    @abstractmethod
    def within(self, column: str, query: str) -> str:
        """Whether it is one of a query's."""

    @abstractmethod
    def pairs(self, agents: str, times: str) -> str:
        """SELECT of `agent_id`, `newest`: two lists that are bound."""

    @abstractmethod
    def newest(self, table: str, who: str, seconds: int) -> str:
        """FROM and WHERE of the table's rows, as `t`, of the last seconds up to each agent's
        `newest` in `who`, a query of `agent_id` and `newest`. Looked up by agent and time."""
