"""What goes out, who takes it, and how that can fail."""

from dataclasses import dataclass
from typing import Protocol

from sensor.errors import CannotWrite

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one table, as SQLite has them (docs/schema.md); a retry is the same batch.

    Numbered tables: the rows with after < seq <= upto, ascending. Kept tables (agents, topology,
    gaps): newest rows, to be put over those of the same key; after and upto are 0.
    """

    store: str  # UUID of the database
    table: str
    columns: tuple[str, ...]
    rows: list[Row]
    after: int = 0
    upto: int = 0

    @property
    def key(self) -> str:
        """Names the batch for destinations that know duplicates by name."""
        return f"{self.store}/{self.table}/{self.after}-{self.upto}"

    def part(self, begin: int, end: int) -> "Batch":
        """Some of its rows; the numbers are theirs."""
        rows = self.rows[begin:end]
        if "seq" not in self.columns:
            return Batch(self.store, self.table, self.columns, rows)
        seq = self.columns.index("seq")
        first, last = int(str(rows[0][seq])), int(str(rows[-1][seq]))
        return Batch(self.store, self.table, self.columns, rows, first - 1, last)


class Unavailable(CannotWrite):
    """The destination cannot be reached, or cannot write now: to be tried again."""


class Refused(CannotWrite):
    """The destination will never take these rows: their content is the reason."""


class Destination(Protocol):
    """One place that rows go to. One thread uses it."""

    name: str  # its URL without credentials
    tables: frozenset[str]  # what it takes; nothing else is read for it

    def send(self, batch: Batch) -> None:
        """On return the batch is safe there, once, however often it is sent.

        Unavailable: it may or may not be there. Refused: nothing of it is.
        """
        ...

    def close(self) -> None: ...
