"""What one destination has still to get: the rows of the SQLite file itself, and a cursor.

Nothing is copied: a row waits where the sensor wrote it until retention takes it. A batch counts as
arrived only after the destination said so: at least once, with the numbers (agent_id, boot_id, seq)
by which the destination knows what it has already. What retention took first is named as a gap.

Reads are short and of bounded size, so neither the writer nor its log is held back.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from uuid import UUID

from sensor.errors import DamagedCapture
from sensor.ship.cursors import DELETED, Cursors, Gap
from sensor.ship.destination import Batch, Row
from sensor.store.deletions import WITHOUT_RUN, make_store_id, store_id
from sensor.store.hours import HOUR_US
from sensor.store.queries import open_readonly
from sensor.store.sqlite import SqliteStore, connect, reason
from sensor.store.tables import CURRENT

METRICS = "network_performance_metrics"
HOURS = "metrics_hourly"
GAPS = "shipping_gaps"
# In the order in which they are worth having when there is a backlog.
NUMBERED = (
    "network_security_events", "capture_health", METRICS, "latency_histograms", "protocol_mix",
    "regional_metrics", "bandwidth_seconds", "cdn_requests", "connections",
)  # fmt: skip
KEPT = {  # tables without numbers: their key
    "agents": ("agent_id", "boot_id"),
    "topology_nodes": ("agent_id", "node"),
    "topology_links": ("agent_id", "source", "target", "kind"),
    GAPS: ("table_name", "agent_id", "boot_id", "reason"),
}
TABLES = frozenset((*NUMBERED, HOURS, *KEPT))

BATCH_ROWS = 5_000
BATCH_OCTETS = 4 << 20  # of text and histograms
NUMBER_OCTETS = 8
HOUR_KEY = ("agent_id", "endpoint", "hour", "boot_id")
HOUR_ROWS = 2_000  # hours of endpoints in a batch
HOUR_SCAN = 200_000  # windows looked at for it
# The hours that windows were added to.
TOUCHED = f"""
    SELECT agent_id, endpoint, timestamp / {HOUR_US} * {HOUR_US}, boot_id, seq
    FROM {METRICS} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {HOUR_SCAN}
"""  # noqa: S608 - names are ours
DELETIONS = """
    SELECT id, table_name, agent_id, boot_id, reason, first_seq, last_seq, rows
    FROM deleted_ranges WHERE id > ? ORDER BY id
"""


class Outbox:
    """The rows of the database at `path` that `destination` has not acknowledged.

    `cursors`: the file that remembers; None: the database itself. InputMissing, DamagedCapture: no
    database of the sensor, or one that has to be upgraded and may not. CannotWrite: no cursors.
    """

    def __init__(
        self,
        path: str,
        destination: str,
        tables: frozenset[str] = TABLES,
        cursors: str | None = None,
    ) -> None:
        self.path = path
        self.numbered = tuple(name for name in NUMBERED if name in tables)
        self.with_hours = HOURS in tables and METRICS in tables
        self.kept = tuple(name for name in KEPT if name in tables)
        self._sent: dict[str, dict[Row, int]] = {name: {} for name in self.kept}
        upgrade(path)
        self.store = identify(path, may_write=cursors is None)
        self._db = open_readonly(path, any_thread=True)
        with self._explained():
            self._columns = {name: self._columns_of(name) for name in TABLES}
            sql = "SELECT coalesce(max(id), 0) FROM deleted_ranges"
            deletions = self._db.execute(sql).fetchone()[0]
        self.cursors = Cursors(cursors or path, destination)
        hours = (HOURS,) if self.with_hours else ()
        self.cursors.begin(UUID(self.store).int, deletions, (*self.numbered, *hours))

    def look(self) -> None:
        """Open the file anew: it may be another one, and a file whose log could not be read when
        it was opened is never looked at again."""
        self._db.close()
        self._db = open_readonly(self.path, any_thread=True)

    def close(self) -> None:
        self._db.close()
        self.cursors.close()

    # ---- numbered tables

    def batch(self, table: str) -> Batch | None:
        """The next rows of a numbered table, noted as being on their way; None when all arrived."""
        while True:
            after, pending = self.cursors.of(table)
            with self._explained(), self._snapshot():
                # In the snapshot of the rows: what is gone from the one is named in the other.
                gaps, deletions = self._deletions()
                rows = self._read(table, after, pending)
            if deletions is not None:
                self.cursors.note(gaps, deletions)
            if rows:
                upto = int(str(rows[-1][-1])) if pending is None else pending
                if pending is None:
                    self.cursors.on_its_way(table, upto)
                return Batch(self.store, table, self._columns[table], rows, after, upto)
            if pending is None:
                return None
            self.cursors.arrived(table, pending, 0)  # retention took all that was on its way

    def _read(self, table: str, after: int, upto: int | None) -> list[Row]:
        """Ascending; `seq` is the last column."""
        columns = ", ".join(
            f"'{self.store}'" if (table, c) == (WITHOUT_RUN, "boot_id") else c
            for c in self._columns[table]
        )
        bound = "" if upto is None else f"AND seq <= {int(upto)} "
        found = self._db.execute(
            f"SELECT {columns} FROM {table} WHERE seq > ? {bound}ORDER BY seq LIMIT {BATCH_ROWS}",  # noqa: S608
            (after,),
        )
        rows: list[Row] = []
        octets = 0
        for row in found:
            rows.append(row)
            octets += octets_of(row)
            if upto is None and octets >= BATCH_OCTETS:
                break
        return rows

    def _deletions(self) -> tuple[list[Gap], int | None]:
        """What was deleted before it was shipped, of what was deleted since the last look."""
        seen, _ = self.cursors.of(DELETED)
        gaps = []
        last = None
        for number, *what, first, end, rows in self._db.execute(DELETIONS, (seen,)):
            last = int(number)
            table, agent, boot, why = what
            if table in self.numbered:
                acknowledged, _ = self.cursors.of(table)
                if end > acknowledged:
                    whole = first > acknowledged
                    begin = first if whole else acknowledged + 1
                    run = boot or self.store  # logs of a CDN have none
                    gaps.append(Gap(table, agent, run, why, begin, end, rows if whole else None))
        return gaps, last

    def acknowledge(self, batch: Batch, refused: int = 0) -> None:
        """The destination has it, safely, but for rows that it refused."""
        self.cursors.arrived(batch.table, batch.upto, len(batch.rows) - refused)

    def refuse(self, batch: Batch, why: str) -> None:
        """Give these rows up; they are named where they have numbers."""
        if batch.table not in NUMBERED:
            return
        agent, boot, seq = (batch.columns.index(c) for c in ("agent_id", "boot_id", "seq"))
        self.cursors.note(
            Gap(batch.table, str(row[agent]), str(row[boot]), "refused",
                int(str(row[seq])), int(str(row[seq])), 1, why)
            for row in batch.rows
        )  # fmt: skip

    # ---- hours

    def hours(self) -> Iterator[Batch]:
        """Hours whose windows have arrived, as they are now: an hour that is still growing is sent
        again next time. Acknowledge each before taking the next.

        Hours outlive their windows: where windows never arrived, as at a new destination, all hours
        are sent first, without numbers.
        """
        if not self.with_hours:
            return
        upto, _ = self.cursors.of(METRICS)
        begun, _ = self.cursors.of(HOURS)
        if begun == 0 or self._windows_lost(begun):
            yield from self._all_hours()
        while begun < upto:
            with self._explained(), self._snapshot():
                keys, ends, begun = self._touched(begun, upto)
                rows = [row for key in keys for row in self._hour(key)]
            if rows:
                yield Batch(self.store, HOURS, self._columns[HOURS], rows, 0, ends)

    def _touched(self, after: int, upto: int) -> tuple[list[Row], int, int]:
        """Hours of windows that follow; up to where they are complete; where to go on."""
        keys: dict[Row, int] = {}  # hour of an endpoint: its first window here
        newest: dict[object, object] = {}  # run: its newest hour
        last = scanned = 0
        for *key, seq in self._db.execute(TOUCHED, (after, upto)):
            keys.setdefault(tuple(key), seq)
            newest[key[3]] = key[2]
            last = seq
            scanned += 1
            if len(keys) == HOUR_ROWS:
                break
        if len(keys) == HOUR_ROWS or scanned == HOUR_SCAN:
            return list(keys), last, last
        growing = [seq for key, seq in keys.items() if key[2] == newest[key[3]]]
        return list(keys), min(growing, default=upto + 1) - 1, upto

    def _windows_lost(self, after: int) -> bool:
        """Whether windows over this number went before they were shipped."""
        names, gaps = self.cursors.gaps()
        table, why, last = (names.index(c) for c in ("table_name", "reason", "last_seq"))
        return any(
            gap[table] == METRICS and gap[why] != "refused" and int(str(gap[last])) > after
            for gap in gaps
        )

    def _all_hours(self) -> Iterator[Batch]:
        names = self._columns[HOURS]
        at = [names.index(name) for name in HOUR_KEY]
        last: Row = ("", "", -(1 << 63), "")
        sql = (
            f"SELECT {', '.join(names)} FROM {HOURS} WHERE ({', '.join(HOUR_KEY)}) > (?, ?, ?, ?)"  # noqa: S608
            f" ORDER BY {', '.join(HOUR_KEY)} LIMIT {HOUR_ROWS}"
        )
        while True:
            with self._explained():
                rows = self._db.execute(sql, last).fetchall()
            if not rows:
                return
            yield Batch(self.store, HOURS, names, rows)
            last = tuple(rows[-1][i] for i in at)

    def _hour(self, key: Row) -> list[Row]:
        return self._db.execute(
            f"SELECT {', '.join(self._columns[HOURS])} FROM {HOURS}"  # noqa: S608
            " WHERE agent_id = ? AND endpoint = ? AND hour = ? AND boot_id = ?",
            key,
        ).fetchall()

    # ---- tables without numbers

    def changes(self, table: str) -> Iterator[Batch]:
        """Rows that are new or other than when they were last acknowledged to this process."""
        names, rows = self._all_of(table)
        key = [names.index(name) for name in KEPT[table]]
        sent = self._sent[table]
        changed = [row for row in rows if sent.get(tuple(row[i] for i in key)) != hash(row)]
        for begin in range(0, len(changed), BATCH_ROWS):
            part = changed[begin : begin + BATCH_ROWS]
            yield Batch(self.store, table, names, part)
            sent.update({tuple(row[i] for i in key): hash(row) for row in part})

    def _all_of(self, table: str) -> tuple[tuple[str, ...], list[Row]]:
        if table == GAPS:
            return self.cursors.gaps()
        names = self._columns[table]
        with self._explained():
            return names, self._db.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()  # noqa: S608

    # ---- the rest

    def behind(self) -> dict[str, int]:
        """Numbers between what is acknowledged and the newest row: 0 when a table is shipped."""
        found = {}
        for table in self.numbered:
            with self._explained():
                newest = self._db.execute(f"SELECT max(seq) FROM {table}").fetchone()[0]  # noqa: S608
            found[table] = max(0, (newest or 0) - self.cursors.of(table)[0])
        return found

    def changed(self) -> tuple[int, ...]:
        """Other numbers whenever somebody has written to the database."""
        found: list[int] = []
        for path in (self.path, f"{self.path}-wal"):
            with suppress(OSError):
                status = os.stat(path)
                found += (status.st_ino, status.st_size, status.st_mtime_ns)
        return tuple(found)

    def _columns_of(self, table: str) -> tuple[str, ...]:
        """As the file has them; `seq` last, and a run for rows that have none."""
        names = [row[1] for row in self._db.execute(f"PRAGMA table_info({table})")]
        if table == WITHOUT_RUN:
            names.append("boot_id")
        return tuple(sorted(names, key=lambda name: name == "seq"))

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All reads see the same state."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = f"cannot be read: {reason(error)}"
            raise DamagedCapture(self.path, None, text) from error


def upgrade(path: str) -> None:
    """A file of an older schema is brought up to date.

    InputMissing, DamagedCapture: see open_readonly(). CannotWrite: an older sensor writes it, or it
    may not be written.
    """
    with closing(open_readonly(path)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
    if version < CURRENT:
        SqliteStore(path).close()


def identify(path: str, *, may_write: bool) -> str:
    """The database's own UUID; one that has none gets one where it may be written."""
    if may_write:
        with closing(connect(path)) as writing:
            try:
                make_store_id(writing)
            except sqlite3.Error as error:
                text = f"{reason(error)}: give --cursors FILE, to remember elsewhere"
                raise DamagedCapture(path, None, text) from error
    with closing(open_readonly(path)) as db:
        found = store_id(db)
    if found is None:
        text = "was never shipped and has no live run: ship it once as its owner"
        raise DamagedCapture(path, None, text)
    return found


def octets_of(row: Row) -> int:
    """Roughly what a row takes on its way."""
    return sum(len(v) if isinstance(v, str | bytes) else NUMBER_OCTETS for v in row)
