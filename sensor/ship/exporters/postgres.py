"""To PostgreSQL: COPY into a temporary table, then INSERT of what is not there yet, in one
transaction. On return from send() that is committed; a row that came before changes nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection

from sensor.ship.destination import Batch, Refused, Row, Unavailable
from sensor.ship.outbox import TABLES
from sensor.ship.rows import central, picked, without_runs
from sensor.ship.urls import public
from sensor.store.central import AGENTS, EVENTS, HEALTH, HOURS, METRICS, RUN, Field, Table, tables
from sensor.store.postgres import columns_of, connect, said
from sensor.store.postgres_sql import quoted

MAINTAIN_EVERY = "1 hour"
# How a value of SQLite's becomes one of PostgreSQL's; {0} is the column of the temporary table.
INTO = {
    "uuid": "{0}::UUID",
    "time": "TIMESTAMPTZ 'epoch' + {0} * INTERVAL '1 microsecond'",
    "address": "{0}::INET",
    "json": "{0}::JSON",
    "tens": "translate({0}, '[]', '{{}}')::BIGINT[]",
    "flag": "({0} <> 0)",
}
HELD = {"integer": "BIGINT", "time": "BIGINT", "flag": "BIGINT", "real": "DOUBLE PRECISION",
        "slots": "BIGINT[]"}  # fmt: skip
# An event's newest state: of one run by its number, of two by its time.
NEWER_EVENT = """
    (t.boot_id = excluded.boot_id AND t.seq < excluded.seq) OR (t.boot_id <> excluded.boot_id AND
    coalesce(t.updated_at, t.detected_at) <= coalesce(excluded.updated_at, excluded.detected_at))
"""
NEWER = {
    EVENTS: NEWER_EVENT,
    HOURS: "t.windows < excluded.windows",
    AGENTS: "t.store_id = excluded.store_id",
}
ELSEWHERE = """
    SELECT agent_id::TEXT, boot_id::TEXT FROM agents
    JOIN unnest(%s::UUID[], %s::UUID[]) AS mine(agent_id, boot_id) USING (agent_id, boot_id)
    WHERE store_id <> %s
"""
WINDOW = """
    UPDATE agents AS a SET window_s = i.longest FROM (
        SELECT agent_id::UUID, boot_id::UUID, max(window_s) AS longest FROM {incoming}
        GROUP BY 1, 2) AS i
    WHERE a.agent_id = i.agent_id AND a.boot_id = i.boot_id
    AND (a.window_s IS NULL OR a.window_s < i.longest)
"""
# All but the newest hour of a run is complete; the newest too once it has long been over.
COMPLETE = """
    UPDATE agents AS a SET hours_until = i.until FROM (
        SELECT agent_id, boot_id, CASE WHEN last < now() - INTERVAL '2 hours'
               THEN last + INTERVAL '1 hour' ELSE last END AS until
        FROM (SELECT agent_id::UUID, boot_id::UUID,
                     TIMESTAMPTZ 'epoch' + max(hour) * INTERVAL '1 microsecond' AS last
              FROM {incoming} GROUP BY 1, 2) AS newest) AS i
    WHERE a.agent_id = i.agent_id AND a.boot_id = i.boot_id
    AND (a.hours_until IS NULL OR a.hours_until < i.until)
"""
DUE = f"""
    SELECT coalesce(min(kept_at), '-infinity') < now() - INTERVAL '{MAINTAIN_EVERY}'
    FROM sensor_retention
"""  # noqa: S608 - ours


class PostgresDestination:
    """See destination.Destination. Connects when there is something to send."""

    tables = TABLES

    def __init__(self, url: str) -> None:
        self.name = public(url)
        self._url = url
        self._db: Connection | None = None
        self._columns: dict[str, set[str]] = {}
        self._held: set[str] = set()  # tables whose temporary table this connection has
        self._parts: set[tuple[str, int]] = set()  # days that have their partition
        self._elsewhere: set[Row] = set()

    def send(self, batch: Batch) -> None:
        """See destination.Destination."""
        with self._explained():
            db = self._connected()
            batch = without_runs(batch, self._elsewhere)
            if batch.table == AGENTS:
                batch = with_store(batch)
            if not batch.rows:
                return
            columns, rows = central(batch)
            table = tables()[batch.table]
            known = self._columns.get(table.name, set())
            fields = [one for one in table.fields if one.name in columns and one.name in known]
            self._partitions(db, table, columns, rows)
            with db.transaction():
                self._hold(db, table, fields)
                self._copy(db, table, fields, picked(columns, rows, [f.name for f in fields]))
                self._take(db, table, fields)
                if table.name == HOURS and batch.upto:  # all before it are there
                    db.execute(COMPLETE.format(incoming=incoming(table)).encode())
            if table.name == AGENTS:
                self._find_elsewhere(db, batch)
                if (db.execute(DUE).fetchone() or (False,))[0]:
                    db.execute("SELECT sensor_maintain()")
                    db.execute("SELECT sensor_refresh()")

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connected(self) -> Connection:
        if self._db is None or self._db.closed:
            self._db = connect(self._url)
            self._held.clear()
            self._parts.clear()
            self._columns = columns_of(self._db)
            if AGENTS not in self._columns or "sensor_retention" not in self._columns:
                raise Unavailable(f"{self.name}: no store there: `sensor store init`")
        return self._db

    def _partitions(
        self, db: Connection, table: Table, columns: tuple[str, ...], rows: list[Row]
    ) -> None:
        """Days of these rows have their partition, where they should have one."""
        if not table.part:
            return
        at = columns.index(table.time)
        day = 86_400_000_000
        days = {value // day for row in rows if isinstance(value := row[at], int)}
        for number in sorted(days):
            if (table.name, number) not in self._parts:
                db.execute(
                    "SELECT sensor_partition(%s, TIMESTAMPTZ 'epoch' + %s * INTERVAL '1 day')",
                    (table.name, number),
                )
                self._parts.add((table.name, number))

    def _hold(self, db: Connection, table: Table, fields: list[Field]) -> None:
        """The temporary table that takes the rows as SQLite has them."""
        if table.name in self._held:
            return
        held = ", ".join(f"{quoted(f.name)} {HELD.get(f.kind, 'TEXT')}" for f in fields)
        db.execute(f"CREATE TEMP TABLE {incoming(table)} ({held}) ON COMMIT DELETE ROWS".encode())
        self._held.add(table.name)

    def _copy(self, db: Connection, table: Table, fields: list[Field], rows: list[Row]) -> None:
        names = ", ".join(quoted(f.name) for f in fields)
        with (
            db.cursor() as cursor,
            cursor.copy(f"COPY {incoming(table)} ({names}) FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(clean(row))

    def _take(self, db: Connection, table: Table, fields: list[Field]) -> None:
        """From the temporary table into the real one."""
        names = ", ".join(quoted(f.name) for f in fields)
        values = ", ".join(INTO.get(f.kind, "{0}").format(quoted(f.name)) for f in fields)
        key = ", ".join(map(quoted, table.key))
        sql = (
            f"INSERT INTO {quoted(table.name)} AS t ({names}) SELECT {values}"  # noqa: S608
            f" FROM {incoming(table)} ON CONFLICT ({key}) DO "
        )
        if table.name in NEWER or "seq" not in {f.name for f in fields}:
            sets = ", ".join(
                f"{quoted(f.name)} = excluded.{quoted(f.name)}"
                for f in fields
                if f.name not in table.key
            )
            if table.name == AGENTS:
                sets += ", heard_at = now()"
            newer = NEWER.get(table.name)
            sql += f"UPDATE SET {sets}" + (f" WHERE {newer}" if newer else "")
        else:
            sql += "NOTHING"
        db.execute(sql.encode())
        if table.name in (METRICS, HEALTH):
            db.execute(WINDOW.format(incoming=incoming(table)).encode())

    def _find_elsewhere(self, db: Connection, batch: Batch) -> None:
        """Runs that came from another database: the same capture, replayed twice. Their rows are
        there already, under numbers that ours would be taken for."""
        agents, boots = zip(*picked(batch.columns, batch.rows, RUN), strict=True)
        found = db.execute(ELSEWHERE, (list(agents), list(boots), batch.store))
        self._elsewhere |= {tuple(row) for row in found}

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            self._held.clear()  # what was made in that transaction is gone
            self.close()
            raise Refused(f"{self.name}: {said(error)}") from error
        except psycopg.Error as error:
            self.close()
            raise Unavailable(f"{self.name}: {said(error)}") from error


def incoming(table: Table) -> str:
    return quoted(f"incoming_{table.name}")


def clean(row: Row) -> Row:
    """PostgreSQL's text holds no NUL; what the wire brought may."""
    if any(isinstance(value, str) and "\0" in value for value in row):
        return tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in row)
    return row


def with_store(batch: Batch) -> Batch:
    """Runs, and the database that they are from."""
    columns = (*batch.columns, "store_id")
    return Batch(batch.store, batch.table, columns, [(*row, batch.store) for row in batch.rows])
