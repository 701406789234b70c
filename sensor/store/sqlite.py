"""The SQLite store: one writer, one transaction per window.

WAL with `synchronous=FULL`: what write_window() returned from is on the disk. The thread that makes
the store owns it (sqlite3 checks that); readers open the file themselves (sensor.store.queries).
A second writer is refused by a lock on `<file>.lock`, which the kernel drops with the process.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from time import time_ns
from typing import Any, Self
from uuid import UUID, uuid5

from sensor.errors import CannotWrite, DamagedStore, MovedStore, one_line
from sensor.model.address import Prefix, pack_prefix
from sensor.model.rows import (
    AgentRow,
    BandwidthSecond,
    CaptureHealthRow,
    ConnectionRow,
    DetectionStateRow,
    LatencyHistogramRow,
    MetricsRow,
    ProtocolMixRow,
    RegionalRow,
    SecurityEventRow,
    WindowRows,
)
from sensor.store.deletions import make_store_id
from sensor.store.events import EventFilter, Events
from sensor.store.hours import Hours
from sensor.store.migrations import migrate
from sensor.store.retention import Limits, Retention
from sensor.store.tables import APPLICATION_ID, CURRENT
from sensor.store.topology import write_topology

MAGIC = b"SQLite format 3\0"
DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
SIDES = ("", "-wal", "-shm")  # files that are one database
FREE_LEAST = 8 << 20  # octets of disk: SQLite's shared memory has holes, and filling them is SIGBUS
BUSY_MS = 5000  # how long a reader's checkpoint may keep us waiting
WAL_LIMIT = 16 << 20  # octets the log is cut back to
WAL_MOST = 64 << 20  # octets: a reader that never ends may make it grow as far, and no further
MOST_OPEN = 10_000  # events of one agent that a restart takes up again


def set_aside(path: str, now_s: int) -> str:
    """Moves a damaged database away, so that a new one can begin; the new name of it."""
    aside = f"{path}.damaged-{now_s}"
    for side in SIDES:
        with suppress(FileNotFoundError):
            os.rename(path + side, aside + side)
    return aside


def insertion(table: str, row: Any, *extra: str, verb: str = "INSERT") -> str:
    """The statement that inserts one kind of row, its own columns first."""
    columns = [*row._fields, *extra]
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def upsertion(table: str, row: Any, key: str, *extra: str) -> str:
    """The same for a table that keeps the newest row of each `key`, in the order they came in."""
    columns = ", ".join(f"{c} = excluded.{c}" for c in (*row._fields, *extra) if c != key)
    return f"{insertion(table, row, *extra)} ON CONFLICT ({key}) DO UPDATE SET {columns}"


PLAIN = {  # field of WindowRows: statement; `seq` comes last
    "connections": insertion("connections", ConnectionRow, "seq"),
    "bandwidth": insertion("bandwidth_seconds", BandwidthSecond, "seq"),
    "protocols": insertion("protocol_mix", ProtocolMixRow, "seq"),
    "latency": insertion("latency_histograms", LatencyHistogramRow, "seq"),
    "regions": insertion("regional_metrics", RegionalRow, "seq"),
    "health": insertion("capture_health", CaptureHealthRow, "seq"),
    "events": upsertion("network_security_events", SecurityEventRow, "id", "seq"),
}
DETECTION = upsertion("detection_state", DetectionStateRow, "agent_id")
STATE = "SELECT agent_id, saved_at, state FROM detection_state WHERE agent_id = ?"
LAST_WINDOW = """
    SELECT max(timestamp + window_s * 1000000) FROM capture_health
    WHERE agent_id = ? AND boot_id IN (SELECT boot_id FROM agents WHERE source = 'live')
"""
METRICS = insertion("network_performance_metrics", MetricsRow, "seq", "id")
AGENT = (
    insertion("agents", AgentRow)
    + """
    ON CONFLICT (agent_id, boot_id) DO UPDATE SET
        first_packet = coalesce(min(first_packet, excluded.first_packet),
                                first_packet, excluded.first_packet),
        last_packet = coalesce(max(last_packet, excluded.last_packet),
                               last_packet, excluded.last_packet),
        workspace_id = excluded.workspace_id, network_id = excluded.network_id,
        region = excluded.region, hostname = excluded.hostname, version = excluded.version,
        local_prefixes = excluded.local_prefixes, local_source = excluded.local_source"""
)


def connect(path: str) -> sqlite3.Connection:
    """A connection whose transactions are ours to begin and end."""
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000)


def file_identity(path: str) -> tuple[int, int] | None:
    """Device and inode; None: there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def reason(error: sqlite3.Error) -> str:
    """What SQLite says, in words that help where its own do not."""
    words = {"SQLITE_NOTADB": "not a database", "SQLITE_FULL": "the disk is full"}
    return words.get(getattr(error, "sqlite_errorname", ""), str(error))


class SqliteStore:
    """Writes a database file; made new when there is none.

    Errors: CannotWrite, in one line, for a folder or file that cannot be written, a file that is no
    database, another program's, of a newer version, or in use by another writer.
    """

    def __init__(self, path: str, limits: Limits | None = None) -> None:
        self.path = path
        with ExitStack() as stack, self._explained():
            self._need_room()
            self._was_ours = os.path.exists(f"{path}.lock")
            stack.callback(os.close, self._lock())
            is_new = self._look()
            self._db = stack.enter_context(closing(connect(path)))
            self._prepare(is_new)
            self._identity = file_identity(path)
            self._next_seq = self._counted()
            self._hours = Hours(self._db)
            self._retention = Retention(self._db, limits or Limits())
            self._open = stack.pop_all()

    # ---- opening

    def _mode(self) -> int:
        """Nobody else's; in a service's own folder its group's, too, if its UMask= lets them."""
        own = os.environ.get("STATE_DIRECTORY", "").split(":")
        return 0o640 if os.path.dirname(os.path.abspath(self.path)) in own else 0o600

    def _need_room(self) -> None:
        disk = os.statvfs(os.path.dirname(os.path.abspath(self.path)))
        if (free := disk.f_bavail * disk.f_frsize) < FREE_LEAST:
            raise self._error(f"only {free >> 20} MiB free on the disk, needs {FREE_LEAST >> 20}")

    def _lock(self) -> int:
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise self._error("in use by another sensor") from None
        return lock

    def _look(self) -> bool:
        """Whether the file is new; CannotWrite when it is there but no SQLite database."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode())
        with open(descriptor, "rb") as file:
            head = file.read(len(MAGIC))
        if head and head != MAGIC:
            if self._was_ours:
                raise DamagedStore(one_line(f"{self.path}: its first page is broken"))
            raise self._error("not a database")
        return not head

    def _prepare(self, is_new: bool) -> None:
        db = self._db
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        if not ours and (tables or (version and not is_new)):
            raise self._error("a database of another program")
        if version > CURRENT:
            raise self._error(
                f"written by a newer sensor (schema {version}, this one knows {CURRENT})"
            )
        if not tables:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts before the first table only
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        migrate(db)

    # ---- writing

    def write_window(self, window: WindowRows) -> None:
        """See Store.write_window."""
        before = self._next_seq
        if file_identity(self.path) != self._identity:
            raise MovedStore(one_line(f"{self.path}: was removed or replaced"))
        self._bound_log()
        with self._explained():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._next_seq = self._counted()  # `sensor cdn ingest` may have taken some
                self._db.execute(AGENT, window.agent)
                if window.agent.source == "live":
                    make_store_id(self._db)
                for name, statement in PLAIN.items():
                    self._db.executemany(statement, self._numbered(getattr(window, name)))
                self._metrics(window)
                write_topology(self._db, window)
                if window.detection is not None:
                    self._db.execute(DETECTION, window.detection)
                self._db.execute(
                    "UPDATE store_counters SET value = ? WHERE name = 'next_seq'",
                    (self._next_seq,),
                )
                self._db.execute("COMMIT")
            except BaseException:
                self._next_seq = before
                self._hours.forget()
                with suppress(sqlite3.Error):  # a full disk may have rolled back already
                    self._db.rollback()
                raise
            self._retention.wrote(window.agent)

    def _bound_log(self) -> None:
        """The log cannot be folded into the file while somebody still reads what came before."""
        try:
            octets = os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return
        if octets <= WAL_LIMIT:
            return
        with self._explained():
            self._db.execute("PRAGMA busy_timeout = 0")
            try:
                is_held = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        if is_held and octets > WAL_MOST:
            raise self._error("a reader does not end its transaction, and the log is full")

    def detection_state(self, agent_id: str) -> DetectionStateRow | None:
        """See Store.detection_state."""
        with self._explained():
            row = self._db.execute(STATE, (agent_id,)).fetchone()
        return None if row is None else DetectionStateRow._make(row)

    def last_window_end(self, agent_id: str) -> int | None:
        """See Store.last_window_end."""
        with self._explained():
            found: int | None = self._db.execute(LAST_WINDOW, (agent_id,)).fetchone()[0]
        return found

    def open_events(self, agent_id: str) -> list[SecurityEventRow]:
        """See Store.open_events."""
        which = EventFilter(status="open", agent_id=agent_id)
        with self._explained():
            return [row for _, row in Events(self._db).matching(which, MOST_OPEN)][::-1]

    def regions(self) -> list[tuple[Prefix, str]]:
        """See Store.regions."""
        with self._explained():
            rows = self._db.execute("SELECT ip_range, region FROM geographic_regions").fetchall()
        return [(pack_prefix(text), name) for text, name in rows]

    def _counted(self) -> int:
        row = self._db.execute("SELECT value FROM store_counters WHERE name = 'next_seq'")
        return int(row.fetchone()[0])

    def _numbered(self, rows: Any) -> Iterator[tuple[object, ...]]:
        for row in rows:
            yield (*row, self._next_seq)
            self._next_seq += 1

    def _metrics(self, window: WindowRows) -> None:
        for row in window.metrics:
            seq = self._next_seq
            identity = str(uuid5(UUID(row.agent_id), f"{row.boot_id}/{seq}"))
            if row.created_at is None:
                row = row._replace(created_at=time_ns() // 1000)
            self._db.execute(METRICS, (*row, seq, identity))
            self._next_seq += 1
        if not window.snapshot:
            self._hours.add(window.metrics)

    def close(self) -> None:
        """Fold the log into the file, so that the file alone is the database."""
        with self._explained(), self._open:
            self._db.execute("PRAGMA optimize")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    # ---- errors

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Failures of the disk and of SQLite in one line."""
        try:
            yield
        except OSError as error:
            raise self._error((error.strerror or str(error)).lower()) from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "").startswith(DAMAGE):
                raise DamagedStore(one_line(f"{self.path}: {reason(error)}")) from error
            raise self._error(reason(error)) from error

    def _error(self, reason: str) -> CannotWrite:
        return CannotWrite(one_line(f"{self.path}: {reason}"))
