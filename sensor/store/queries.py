"""Reads a store: the questions of `sensor report` and of what is built on top, by name.

Opened read-only, so a running sensor is never held up. Everything is returned as named tuples whose
fields are the columns asked for; None is unknown.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sensor.errors import DamagedCapture, InputMissing
from sensor.store.events import Events
from sensor.store.tables import APPLICATION_ID, CURRENT


class Period(NamedTuple):
    """First and last packet over all runs, in us; None without packets."""

    first_packet: int | None
    last_packet: int | None


class Tally(NamedTuple):
    name: str
    n: int


class Mix(NamedTuple):
    leaf: str
    bytes: int
    percent: float
    packets: int
    connections: int


class Slow(NamedTuple):
    endpoint: str
    samples: int
    avg_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    loss_rate: float | None


class Talker(NamedTuple):
    endpoint: str
    bytes: int
    packets: int
    connections: int


class Failure(NamedTuple):
    endpoint: str
    failed: int
    resets: int
    timeouts: int
    connections: int


class FailedHost(NamedTuple):
    """TCP connections to one host that ended in one way before they could carry anything."""

    host: str
    conn_state: str
    connections: int
    ports: int


class Losses(NamedTuple):
    """Sums over all windows; None is unknown (or there are no windows)."""

    truncated: int | None
    malformed: int | None
    unsupported: int | None
    dropped: int | None
    interface_dropped: int | None
    flows_evicted: int | None
    flows_refused: int | None
    half_open_evicted: int | None
    rows_lost: int | None


class KindHistogram(NamedTuple):
    """One window's latency of one kind, with samples; merge histograms, never percentiles."""

    kind: str
    samples: int
    min_us: int
    max_us: int
    histogram: bytes


PERIOD = "SELECT min(first_packet), max(last_packet) FROM agents"
PROTOCOLS = "SELECT protocol, count(*) AS n FROM connections GROUP BY 1 ORDER BY n DESC, 1"
STATES = "SELECT conn_state, count(*) AS n FROM connections GROUP BY 1 ORDER BY n DESC, 1"
MIX = """
    SELECT leaf, sum(bytes) AS octets, sum(bytes) * 100.0 / sum(sum(bytes)) OVER (), sum(packets),
           sum(connections)
    FROM protocol_mix GROUP BY leaf HAVING octets > 0 ORDER BY octets DESC, leaf
"""
SLOWEST = """
    SELECT endpoint, samples, avg_ms, p50_ms, p95_ms, p99_ms, max_ms, loss_rate
    FROM slowest_endpoints ORDER BY p95_ms DESC, endpoint LIMIT ?
"""
TALKERS = """
    SELECT endpoint, sum(bytes) AS octets, sum(packets), sum(connections)
    FROM top_talkers GROUP BY endpoint ORDER BY octets DESC, endpoint LIMIT ?
"""
FAILURES = """
    SELECT endpoint, sum(connections_failed) AS failed, sum(connection_reset_errors) AS resets,
           sum(timeout_errors), sum(connections_new)
    FROM metrics_hourly GROUP BY endpoint HAVING failed > 0 OR resets > 0
    ORDER BY failed DESC, resets DESC, endpoint LIMIT ?
"""
# Connections are kept for a day, the rest of what is asked here for longer.
FAILED_HOSTS = """
    SELECT resp_ip, conn_state, count(*) AS failed, count(DISTINCT resp_port)
    FROM connections WHERE protocol = 'tcp'
    AND conn_state IN ('S0', 'REJ', 'RSTOS0', 'RSTRH', 'SH', 'SHR')
    GROUP BY resp_ip, conn_state ORDER BY failed DESC, resp_ip, conn_state LIMIT ?
"""
KINDS = """
    SELECT kind, count, min_us, max_us, histogram FROM latency_histograms
    WHERE count > 0 ORDER BY kind, seq
"""
ANOMALIES = """
    SELECT anomaly.key, sum(anomaly.value) AS n
    FROM capture_health, json_each(anomalies) AS anomaly GROUP BY 1 ORDER BY n DESC, 1
"""
LOSSES = f"SELECT {', '.join(f'sum({name})' for name in Losses._fields)} FROM capture_health"  # noqa: S608
QUALITY = "SELECT quality, count(*) AS n FROM capture_health GROUP BY 1 ORDER BY n DESC, 1"


class Reader:
    """The named questions, over an open database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.events = Events(db)

    def period(self) -> Period:
        return Period(*self.db.execute(PERIOD).fetchone())

    def protocols(self) -> list[Tally]:
        """Connections by transport."""
        return self._rows(Tally, PROTOCOLS)

    def states(self) -> list[Tally]:
        """Connections by conn_state."""
        return self._rows(Tally, STATES)

    def mix(self) -> list[Mix]:
        """The protocol partition, largest first; the shares add up to 100."""
        return self._rows(Mix, MIX)

    def slowest(self, limit: int) -> list[Slow]:
        """Endpoints by p95 of network latency, histograms merged over all hours."""
        return self._rows(Slow, SLOWEST, limit)

    def talkers(self, limit: int) -> list[Talker]:
        """Endpoints by octets on the wire."""
        return self._rows(Talker, TALKERS, limit)

    def failures(self, limit: int) -> list[Failure]:
        """Endpoints by connections failed, then reset."""
        return self._rows(Failure, FAILURES, limit)

    def failed_hosts(self, limit: int) -> list[FailedHost]:
        """Hosts and conn_states by TCP connections that came to nothing."""
        return self._rows(FailedHost, FAILED_HOSTS, limit)

    def kinds(self) -> Iterator[KindHistogram]:
        """Every window's histogram of every kind, by kind."""
        return map(KindHistogram._make, self.db.execute(KINDS))

    def anomalies(self) -> list[Tally]:
        """Decode anomalies by name."""
        return self._rows(Tally, ANOMALIES)

    def losses(self) -> Losses:
        """What was not seen, not understood, or let go."""
        return Losses(*self.db.execute(LOSSES).fetchone())

    def quality(self) -> list[Tally]:
        """Windows by quality."""
        return self._rows(Tally, QUALITY)

    def _rows(self, kind: Any, sql: str, *bound: object) -> list[Any]:
        return [kind._make(row) for row in self.db.execute(sql, bound)]


@contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    """A reader of the database at `path`.

    InputMissing: there is none that may be read. DamagedCapture: it is no database of the sensor,
    of a newer version, or broken; also when that shows only while it is read.
    """
    with explained(path), closing(open_readonly(path)) as db:
        yield Reader(db)


def open_readonly(path: str, *, any_thread: bool = False) -> sqlite3.Connection:
    """A checked connection that cannot write; errors as open_reader()."""
    try:
        if not Path(path).is_file():
            raise InputMissing(path, "no such database")
    except OSError as error:  # a folder on the way that may not be searched
        raise InputMissing(path, (error.strerror or str(error)).lower()) from error
    with explained(path):
        db = connect_readonly(path, any_thread=any_thread)
        try:
            check(db, path)
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Failures of SQLite as those of the input."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_CANTOPEN":
            raise InputMissing(path, str(error)) from error
        raise DamagedCapture(path, None, f"not a database of the sensor: {error}") from error


def connect_readonly(path: str, *, any_thread: bool = False) -> sqlite3.Connection:
    """In a folder that cannot be written, WAL needs `immutable`: safe while there is no log."""
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, check_same_thread=not any_thread)
    try:
        db.execute("PRAGMA user_version")
        db.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        db.close()
        if Path(f"{path}-wal").exists():
            raise
        db = sqlite3.connect(f"{uri}&immutable=1", uri=True, check_same_thread=not any_thread)
    return db


def check(db: sqlite3.Connection, path: str) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise DamagedCapture(path, None, "not a database of the sensor")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > CURRENT:
        known = f"(schema {version}, this one knows {CURRENT})"
        raise DamagedCapture(path, None, f"written by a newer sensor {known}")
