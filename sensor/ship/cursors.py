"""How far one destination has acknowledged: two small tables, in the sensor's database itself or in
a file of their own where it may only be read.

Every batch is noted before it is sent, so that a retry after a crash is the same batch.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from time import time_ns
from typing import NamedTuple

from sensor.errors import CannotWrite, one_line
from sensor.ship.destination import Row
from sensor.store.migrations import statements
from sensor.store.sqlite import connect, reason
from sensor.store.tables import APPLICATION_ID, SHIPPING_5

STORE = "store_id"  # the cursor that remembers which database all of them are of
DELETED = "deleted_ranges"  # how many of the writer's deletions have been looked at
SET = """
    INSERT INTO shipping_cursors (destination, table_name, acknowledged_seq, updated_at)
    VALUES (?, ?, ?, ?) ON CONFLICT (destination, table_name) DO {otherwise}
"""
PENDING = """
    UPDATE shipping_cursors SET pending_seq = ?, updated_at = ?
    WHERE destination = ? AND table_name = ?
"""
ARRIVED = """
    UPDATE shipping_cursors
    SET acknowledged_seq = max(acknowledged_seq, ?), pending_seq = NULL, rows = rows + ?,
        updated_at = ?, last_error = NULL
    WHERE destination = ? AND table_name = ?
"""
GAP = """
    INSERT INTO shipping_gaps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (destination, table_name, agent_id, boot_id, reason) DO UPDATE SET
        first_seq = min(first_seq, excluded.first_seq),
        last_seq = max(last_seq, excluded.last_seq), rows = rows + excluded.rows,
        noted_at = excluded.noted_at, detail = excluded.detail
"""


class Gap(NamedTuple):
    """Rows of one run that will never arrive; `rows` None: some of them had."""

    table: str
    agent_id: str
    boot_id: str
    reason: str
    first_seq: int
    last_seq: int
    rows: int | None
    detail: str | None = None


class Cursors:
    """Those of one destination, in the file at `path`; CannotWrite when that cannot be written."""

    def __init__(self, path: str, destination: str) -> None:
        self.path = path
        self.destination = destination
        with self._explained():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = connect(path)
            self._db.execute("PRAGMA synchronous = FULL")
            if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                with self._transaction():
                    for statement in statements(SHIPPING_5):
                        self._db.execute(statement)

    def close(self) -> None:
        self._db.close()

    def begin(self, number: int, deletions: int, tables: Iterable[str]) -> None:
        """Make the cursors that are not there yet; those of another database are dropped.

        `number` tells databases apart; what had been deleted by now is no gap of a new destination.
        """
        with self._explained(), self._transaction():
            known = self._get(STORE)
            if known is not None and known[0] != number:
                self._forget()
            for name, seq in (
                (STORE, number),
                (DELETED, deletions),
                *((table, 0) for table in tables),
            ):
                bound = (self.destination, name, seq, now())
                self._db.execute(SET.format(otherwise="NOTHING"), bound)

    def of(self, table: str) -> tuple[int, int | None]:
        """Acknowledged, and the end of what is on its way."""
        with self._explained():
            found = self._get(table)
        return found or (0, None)

    def _get(self, table: str) -> tuple[int, int | None] | None:
        found: tuple[int, int | None] | None = self._db.execute(
            "SELECT acknowledged_seq, pending_seq FROM shipping_cursors"
            " WHERE destination = ? AND table_name = ?",
            (self.destination, table),
        ).fetchone()
        return found

    def on_its_way(self, table: str, upto: int) -> None:
        with self._explained():
            self._db.execute(PENDING, (upto, now(), self.destination, table))

    def arrived(self, table: str, upto: int, rows: int) -> None:
        with self._explained():
            self._db.execute(ARRIVED, (upto, rows, now(), self.destination, table))

    def failed(self, why: str) -> None:
        """What the destination says; no cursor moves."""
        with self._explained():
            self._db.execute(
                "UPDATE shipping_cursors SET last_error = ?, updated_at = ? WHERE destination = ?",
                (one_line(why)[:500], now(), self.destination),
            )

    # ---- gaps

    def note(self, gaps: Iterable[Gap], deletions: int | None = None) -> None:
        """Name rows that will not arrive; `deletions`: the writer's, looked at up to this one."""
        with self._explained(), self._transaction():
            for gap in gaps:
                *what, detail = gap
                text = None if detail is None else one_line(detail)[:200]
                self._db.execute(GAP, (self.destination, *what, now(), text))
            if deletions is not None:
                bound = (self.destination, DELETED, deletions, now())
                otherwise = "UPDATE SET acknowledged_seq = excluded.acknowledged_seq"
                self._db.execute(SET.format(otherwise=otherwise), bound)

    def gaps(self) -> tuple[tuple[str, ...], list[Row]]:
        """Columns and rows of shipping_gaps."""
        with self._explained():
            found = self._db.execute(
                "SELECT * FROM shipping_gaps WHERE destination = ?", (self.destination,)
            )
            return tuple(c[0] for c in found.description), found.fetchall()

    def forget(self) -> int:
        """Drop all; how many there were."""
        with self._explained(), self._transaction():
            return self._forget()

    def _forget(self) -> int:
        bound = (self.destination,)
        self._db.execute("DELETE FROM shipping_gaps WHERE destination = ?", bound)
        sql = "DELETE FROM shipping_cursors WHERE destination = ?"
        return self._db.execute(sql, bound).rowcount

    # ---- SQLite

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.rollback()
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CannotWrite(one_line(f"{self.path}: {error.strerror}".lower())) from error
        except sqlite3.Error as error:
            raise CannotWrite(one_line(f"{self.path}: {reason(error)}")) from error


def now() -> int:
    """Wall clock, us: stamps only."""
    return time_ns() // 1000
