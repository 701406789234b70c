"""Writes what is not measured here into a sensor's database: CDN logs and the operator's regions.

A daemon may be writing the same file: each transaction is short, and takes its numbers from the
counter that the daemon looks at too. How much of a log was read is kept in the same transaction
(`store_counters`, `cdn_log/<digest>`), so a log that is read again, or was broken off, adds nothing
twice.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self
from uuid import UUID, uuid5

from sensor.errors import CannotWrite, SensorError, one_line
from sensor.model.address import Prefix, prefix_text
from sensor.model.rows import AgentRow, CdnRow
from sensor.store.queries import open_reader
from sensor.store.sqlite import AGENT, SqliteStore, connect, insertion, reason
from sensor.store.tables import CURRENT

CDN = insertion("cdn_requests", CdnRow, "seq")
DONE = """
    INSERT INTO store_counters VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
REGION = """
    INSERT INTO geographic_regions (ip_range, region, first_address, last_address, prefix_length)
    VALUES (?, ?, ?, ?, ?)
"""
RUN_OF = "SELECT 1 FROM agents WHERE agent_id = ?"


class Additions:
    """A second writer of the database at `path`, which is made or upgraded when that is needed.

    CannotWrite: in one line; also when an older sensor is writing an older file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if not is_current(path):
            SqliteStore(path).close()
        with self._explained():
            self._db = connect(path)
            self._db.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def lines_done(self, digest: str) -> int:
        """Of a log with this content: how many lines were read already."""
        with self._explained():
            row = self._db.execute(
                "SELECT value FROM store_counters WHERE name = ?", (f"cdn_log/{digest}",)
            ).fetchone()
        return int(row[0]) if row else 0

    def requests(
        self, rows: Sequence[CdnRow], workspace_id: str, digest: str | None, lines: int
    ) -> None:
        """One transaction; `lines` of the log are done with it."""
        with self._transaction():
            if rows:
                self._know(rows, workspace_id)
                (seq,) = self._db.execute(
                    "SELECT value FROM store_counters WHERE name = 'next_seq'"
                ).fetchone()
                self._db.executemany(CDN, ((*row, seq + n) for n, row in enumerate(rows)))
                self._db.execute(
                    "UPDATE store_counters SET value = ? WHERE name = 'next_seq'",
                    (seq + len(rows),),
                )
            if digest is not None:
                self._db.execute(DONE, (f"cdn_log/{digest}", lines))

    def _know(self, rows: Sequence[CdnRow], workspace_id: str) -> None:
        """An agent without any traffic has a run of its own: its logs."""
        agent_id = rows[0].agent_id
        boot_id = str(uuid5(UUID(agent_id), "cdn"))
        mine = self._db.execute(f"{RUN_OF} AND boot_id = ?", (agent_id, boot_id)).fetchone()
        if mine is None and self._db.execute(RUN_OF, (agent_id,)).fetchone():
            return
        times = [row.timestamp for row in rows]
        run = AgentRow(
            agent_id, boot_id, "replay", workspace_id, None, None, None, "cdn", "[]", "unknown",
            min(times), max(times),
        )  # fmt: skip
        self._db.execute(AGENT, run)

    def regions(self, ranges: Sequence[tuple[Prefix, str]]) -> None:
        """These and no others, from now on."""
        with self._transaction():
            self._db.execute("DELETE FROM geographic_regions")
            self._db.executemany(
                REGION,
                (
                    (prefix_text(prefix), name, prefix[0], last_address(prefix), prefix[1])
                    for prefix, name in ranges
                ),
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
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
        except sqlite3.Error as error:
            raise CannotWrite(one_line(f"{self.path}: {reason(error)}")) from error


def is_current(path: str) -> bool:
    """Whether it is a database of this version; what else it may be, SqliteStore says."""
    try:
        with open_reader(path) as reader:
            version: int = reader.db.execute("PRAGMA user_version").fetchone()[0]
    except (SensorError, sqlite3.Error):
        return False
    return version == CURRENT


def last_address(prefix: Prefix) -> bytes:
    network, length = prefix
    return (int.from_bytes(network) | ((1 << (128 - length)) - 1)).to_bytes(16)
