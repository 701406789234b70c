"""What one destination has still to get: the rows of the SQLite file itself, and a cursor.

Nothing is copied: a row waits where the sensor wrote it until retention takes it. Every batch is
noted in `shipping_cursors` before it is sent, so a retry after a crash is the same batch, and
counted as arrived only after the destination said so: at least once, in a form (agent_id, boot_id,
seq) by which the destination knows what it has already.

Reads are single statements of bounded size, so neither the writer nor its log is held back.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import time_ns

from sensor.errors import CannotWrite, DamagedCapture, one_line
from sensor.ship.destination import Batch, Row
from sensor.store.gaps import WITHOUT_RUN, note_gap, store_id
from sensor.store.hours import HOUR_US
from sensor.store.queries import open_reader
from sensor.store.sqlite import SqliteStore, connect, reason
from sensor.store.tables import CURRENT

METRICS = "network_performance_metrics"
HOURS = "metrics_hourly"
# In the order in which they are worth having when there is a backlog.
NUMBERED = (
    "network_security_events", "capture_health", METRICS, "latency_histograms", "protocol_mix",
    "regional_metrics", "bandwidth_seconds", "cdn_requests", "connections",
)  # fmt: skip
KEPT = {  # tables without numbers: their key
    "agents": ("agent_id", "boot_id"),
    "topology_nodes": ("agent_id", "node"),
    "topology_links": ("agent_id", "source", "target", "kind"),
    "shipping_gaps": ("table_name", "agent_id", "boot_id", "reason"),
}
TABLES = frozenset((*NUMBERED, HOURS, *KEPT))

BATCH_ROWS = 5_000
BATCH_OCTETS = 4 << 20  # of text and histograms
NUMBER_OCTETS = 8
HOUR_KEY = ("agent_id", "endpoint", "hour", "boot_id")
HOUR_KEYS = 2_000  # hours of endpoints in a batch
HOUR_SCAN = 200_000  # windows looked at for it

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
# The hours of windows: what they were added to, and how far that goes.
TOUCHED = f"""
    SELECT agent_id, endpoint, timestamp / {HOUR_US} * {HOUR_US}, boot_id, seq
    FROM {METRICS} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {HOUR_SCAN}
"""  # noqa: S608 - names are ours


class Outbox:
    """The rows of the database at `path` that `destination` has not acknowledged.

    InputMissing, DamagedCapture: no database of the sensor. CannotWrite: its cursors cannot be.
    """

    def __init__(self, path: str, destination: str, tables: frozenset[str] = TABLES) -> None:
        self.path = path
        self.destination = destination
        self.numbered = tuple(name for name in NUMBERED if name in tables)
        self.with_hours = HOURS in tables and METRICS in tables
        self.kept = tuple(name for name in KEPT if name in tables)
        self._sent: dict[str, dict[Row, int]] = {name: {} for name in self.kept}
        upgrade(path)
        with self._explained():
            self._db = connect(path)
            self._db.execute("PRAGMA synchronous = FULL")
            with self._transaction():
                self.store = store_id(self._db)
                for name in (*self.numbered, *((HOURS,) if self.with_hours else ())):
                    self._db.execute(
                        "INSERT INTO shipping_cursors (destination, table_name, acknowledged_seq,"
                        " updated_at) VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING",
                        (destination, name, now()),
                    )
            self._columns = {name: self._columns_of(name) for name in TABLES}

    def close(self) -> None:
        self._db.close()

    # ---- numbered tables

    def batch(self, table: str) -> Batch | None:
        """The next rows of a numbered table, noted as being on their way; None when all arrived."""
        with self._explained():
            while True:
                after, pending = self._cursor(table)
                rows = self._read(table, after, pending)
                if rows:
                    upto = pending if pending is not None else int(str(rows[-1][-1]))
                    if pending is None:
                        self._db.execute(PENDING, (upto, now(), self.destination, table))
                    return Batch(self.store, table, self._columns[table], rows, after, upto)
                if pending is None:
                    return None
                # Retention took what was on its way, and named it.
                self._db.execute(ARRIVED, (pending, 0, now(), self.destination, table))

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
        found.close()  # so that the log is not held back
        return rows

    def acknowledge(self, batch: Batch, refused: int = 0) -> None:
        """The destination has it, safely, but for rows that it refused."""
        arrived = len(batch.rows) - refused
        with self._explained():
            self._db.execute(ARRIVED, (batch.upto, arrived, now(), self.destination, batch.table))

    def refuse(self, batch: Batch, why: str) -> None:
        """Give these rows up; `shipping_gaps` names them where they have numbers."""
        if batch.table not in NUMBERED:
            return
        with self._explained(), self._transaction():
            note_gap(
                self._db, batch.table, "seq > ? AND seq <= ?", (batch.after, batch.upto),
                "refused", destination=self.destination, detail=one_line(why)[:200],
            )  # fmt: skip

    def failed(self, why: str) -> None:
        """What the destination says; None of the cursors moves."""
        with self._explained():
            self._db.execute(
                "UPDATE shipping_cursors SET last_error = ?, updated_at = ? WHERE destination = ?",
                (one_line(why)[:500], now(), self.destination),
            )

    def forget(self) -> int:
        """Drop the cursors and gaps of this destination; how many cursors there were."""
        with self._explained(), self._transaction():
            gone = 0
            for table in ("shipping_gaps", "shipping_cursors"):
                sql = f"DELETE FROM {table} WHERE destination = ?"  # noqa: S608
                gone = self._db.execute(sql, (self.destination,)).rowcount
            return gone

    # ---- hours

    def hours(self) -> Iterator[Batch]:
        """Hours whose windows have arrived, as they are now: an hour that is still growing is sent
        again next time. Acknowledge each before taking the next.

        Hours outlive their windows: where windows never arrived, as at a new destination, all hours
        are sent first, without numbers.
        """
        if not self.with_hours:
            return
        with self._explained():
            upto, _ = self._cursor(METRICS)
            begun, _ = self._cursor(HOURS)
            if begun == 0 or self._windows_lost(begun):
                yield from self._all_hours()
            while begun < upto:
                keys: dict[Row, int] = {}  # hour of an endpoint: its first window seen here
                newest: dict[object, object] = {}  # run: its newest hour
                last = upto
                scanned = 0
                for *key, seq in (found := self._db.execute(TOUCHED, (begun, upto))):
                    scanned += 1
                    keys.setdefault(tuple(key), seq)
                    newest[key[3]] = key[2]
                    last = seq
                    if len(keys) == HOUR_KEYS:
                        break
                found.close()
                if not keys:
                    return
                full = len(keys) == HOUR_KEYS or scanned == HOUR_SCAN
                growing = [seq for key, seq in keys.items() if key[2] == newest[key[3]]]
                ends = last if full else max(begun, min(growing) - 1)
                rows = [row for key in keys for row in self._hour(key)]
                yield Batch(self.store, HOURS, self._columns[HOURS], rows, begun, ends)
                if not full:
                    return
                begun = last

    def _windows_lost(self, after: int) -> bool:
        """Whether windows over this number went before they were shipped."""
        return bool(
            self._db.execute(
                "SELECT 1 FROM shipping_gaps WHERE destination = ? AND table_name = ?"
                " AND reason <> 'refused' AND last_seq > ? LIMIT 1",
                (self.destination, METRICS, after),
            ).fetchone()
        )

    def _all_hours(self) -> Iterator[Batch]:
        names = self._columns[HOURS]
        at = [names.index(name) for name in HOUR_KEY]
        last: Row = ("", "", -(1 << 63), "")
        while rows := self._db.execute(
            f"SELECT {', '.join(names)} FROM {HOURS} WHERE ({', '.join(HOUR_KEY)}) > (?, ?, ?, ?)"  # noqa: S608
            f" ORDER BY {', '.join(HOUR_KEY)} LIMIT {HOUR_KEYS}",
            last,
        ).fetchall():
            yield Batch(self.store, HOURS, names, rows)
            last = tuple(rows[-1][i] for i in at)

    def _hour(self, key: Row) -> list[Row]:
        columns = ", ".join(self._columns[HOURS])
        return self._db.execute(
            f"SELECT {columns} FROM {HOURS}"  # noqa: S608
            " WHERE agent_id = ? AND endpoint = ? AND hour = ? AND boot_id = ?",
            key,
        ).fetchall()

    # ---- tables without numbers

    def changes(self, table: str) -> Iterator[Batch]:
        """Rows that are new or other than when they were last acknowledged to this process."""
        names = self._columns[table]
        key = [names.index(name) for name in KEPT[table]]
        sent = self._sent[table]
        only = " WHERE destination = ?" if table == "shipping_gaps" else ""
        bound = (self.destination,) if only else ()
        sql = f"SELECT {', '.join(names)} FROM {table}{only} ORDER BY {', '.join(KEPT[table])}"  # noqa: S608
        with self._explained():
            rows = self._db.execute(sql, bound).fetchall()
        changed = [row for row in rows if sent.get(tuple(row[i] for i in key)) != hash(row)]
        for begin in range(0, len(changed), BATCH_ROWS):
            part = changed[begin : begin + BATCH_ROWS]
            yield Batch(self.store, table, names, part)
            sent.update({tuple(row[i] for i in key): hash(row) for row in part})

    # ---- the rest

    def behind(self) -> dict[str, int]:
        """Numbers between what is acknowledged and the newest row: 0 when a table is shipped."""
        with self._explained():
            return {
                table: max(0, int(newest or 0) - self._cursor(table)[0])
                for table in self.numbered
                for (newest,) in self._db.execute(f"SELECT max(seq) FROM {table}")  # noqa: S608
            }

    def changed(self) -> int:
        """A number that is another one when somebody else has written to the database."""
        with self._explained():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def _cursor(self, table: str) -> tuple[int, int | None]:
        """Acknowledged, and the end of what is on its way."""
        row = self._db.execute(
            "SELECT acknowledged_seq, pending_seq FROM shipping_cursors"
            " WHERE destination = ? AND table_name = ?",
            (self.destination, table),
        ).fetchone()
        return int(row[0]), row[1]

    def _columns_of(self, table: str) -> tuple[str, ...]:
        """As the file has them; `seq` last, and a run for rows that have none."""
        names = [row[1] for row in self._db.execute(f"PRAGMA table_info({table})")]
        if table == WITHOUT_RUN:
            names.append("boot_id")
        return tuple(sorted(names, key=lambda name: name == "seq"))

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
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                raise DamagedCapture(self.path, None, reason(error)) from error
            raise CannotWrite(one_line(f"{self.path}: {reason(error)}")) from error


def upgrade(path: str) -> None:
    """A file of an older schema is brought up to date, unless a sensor is writing it.

    InputMissing, DamagedCapture: see open_reader(). CannotWrite: that sensor is an older one.
    """
    with open_reader(path) as reader:
        version = reader.db.execute("PRAGMA user_version").fetchone()[0]
    if version < CURRENT:
        SqliteStore(path).close()


def now() -> int:
    """Wall clock, us: stamps only."""
    return time_ns() // 1000


def octets_of(row: Row) -> int:
    """Roughly what a row takes on its way."""
    return sum(len(v) if isinstance(v, str | bytes) else NUMBER_OCTETS for v in row)
