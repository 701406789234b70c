"""The central store in PostgreSQL: made, upgraded, kept tidy. Its SQL is in postgres_sql."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

import psycopg
from psycopg import Connection, conninfo, sql

from sensor.errors import CannotWrite, SensorError, UsageError, one_line
from sensor.store.central import VERSION, Field, Table, tables
from sensor.store.hosts import is_local
from sensor.store.postgres_sql import VIEW, column, quoted, schema

CONNECT_S = 10
STATEMENT_MS = 120_000
SILENCE_MS = 30_000  # after which a peer that says nothing is taken for gone
OLDEST = 140000  # server version: date_bin()
VIEW_NAME = "latency_optimization_opportunities"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one table."""

    table: str
    what: str


def connect(url: str, *, readonly: bool = False, statement_ms: int = STATEMENT_MS) -> Connection:
    """A connection that neither hangs nor, over a network, talks to whoever answers.

    To another host TLS is asked for with the system's certificate authorities, unless the URL says
    otherwise (`?sslmode=...`). psycopg.Error; UsageError: no such URL.
    """
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text repeats the URL, and so a password
        raise UsageError("not a PostgreSQL URL: postgresql://user@host:port/database") from None
    settings: dict[str, object] = {
        "application_name": "sensor",
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": SILENCE_MS,
        "keepalives_idle": SILENCE_MS // 1000,
        **given,
    }
    if "sslmode" not in given and not is_local(str(given.get("host") or "")):
        settings |= {"sslmode": "verify-full", "sslrootcert": "system"}
    options = f"-c statement_timeout={statement_ms} -c timezone=UTC -c intervalstyle=postgres"
    if readonly:
        options += " -c default_transaction_read_only=on"
    settings["options"] = f"{given.get('options') or ''} {options}".strip()
    made = psycopg.connect(conninfo.make_conninfo(**settings), autocommit=True)  # type: ignore[arg-type]
    if made.info.server_version < OLDEST:
        made.close()
        raise UsageError(f"PostgreSQL {made.info.server_version // 10000} is too old: 14 or newer")
    return made


def init(url: str) -> None:
    """Make the tables; UsageError when there are some. CannotWrite."""
    with opened(url) as db:
        if version(db) is not None:
            raise UsageError("there is a store already: `sensor store upgrade`")
        build(db)


def upgrade(url: str) -> list[Done]:
    """Add what a newer sensor has; UsageError when there is no store. CannotWrite."""
    with opened(url) as db:
        found = version(db)
        if found is None:
            raise UsageError("there is no store: `sensor store init`")
        if found > VERSION:
            raise UsageError(f"made by a newer sensor (version {found}, this one knows {VERSION})")
        return build(db)


def maintain(url: str) -> list[Done]:
    """Make the partitions of the next days, drop those that are too old, refresh the view."""
    with opened(url) as db:
        rows = db.execute("SELECT table_name, done FROM sensor_maintain()").fetchall()
        db.execute("SELECT sensor_refresh()")
    return [Done(*row) for row in rows]


def build(db: Connection) -> list[Done]:
    """All that is missing, in one transaction."""
    done = []
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(hashtext('sensor_schema'))")
        (name,) = db.execute("SELECT current_schema()").fetchone() or ("public",)
        db.execute("SET LOCAL client_min_messages = warning")
        done += drop_old_view(db)
        for table, one in missing(db):
            add = f"ALTER TABLE {quoted(table.name)} ADD COLUMN {column(table, one)}"
            db.execute(add.encode())
            done.append(Done(table.name, f"added {one.name}"))
        for statement in schema(name):
            db.execute(statement.encode())
        fingerprint = sql.Literal(view_fingerprint())
        db.execute(sql.SQL(f"COMMENT ON MATERIALIZED VIEW {VIEW_NAME} IS {{}}").format(fingerprint))
        if version(db) != VERSION:
            db.execute("INSERT INTO sensor_schema (version) VALUES (%s)", (VERSION,))
        db.execute("SELECT sensor_maintain()")
    return done


def view_fingerprint() -> str:
    return f"made by sensor, {sha256(VIEW.encode()).hexdigest()[:16]}"


def drop_old_view(db: Connection) -> list[Done]:
    """A view of another definition goes: it holds nothing of its own."""
    row = db.execute(
        "SELECT obj_description(to_regclass(%s), 'pg_class') FROM pg_matviews"
        " WHERE matviewname = %s AND schemaname = current_schema()",
        (VIEW_NAME, VIEW_NAME),
    ).fetchone()
    if row is None or row[0] == view_fingerprint():
        return []
    db.execute(f"DROP MATERIALIZED VIEW {VIEW_NAME}".encode())
    return [Done(VIEW_NAME, "made anew")]


def missing(db: Connection) -> list[tuple[Table, Field]]:
    """Columns that tables of the database do not have yet."""
    there = columns_of(db)
    return [
        (table, one)
        for table in tables().values()
        for one in table.fields
        if table.name in there and one.name not in there[table.name]
    ]


def columns_of(db: Connection) -> dict[str, set[str]]:
    """By table, in the schema that is written to."""
    found: dict[str, set[str]] = {}
    for table, name in db.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema()"
    ):
        found.setdefault(table, set()).add(name)
    return found


def version(db: Connection) -> int | None:
    """Of the central schema; None where there is none."""
    if "sensor_schema" not in columns_of(db):
        return None
    row = db.execute("SELECT max(version) FROM sensor_schema").fetchone()
    return None if row is None else row[0]


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """For an administrator's command: no statement is cut short."""
    try:
        with connect(url, statement_ms=0) as db:
            yield db
    except psycopg.Error as error:
        raise CannotWrite(said(error)) from error
    except SensorError as error:
        raise type(error)(f"{place(url)}: {error}") from error


def place(url: str) -> str:
    """host/database, as it may be shown."""
    given = conninfo.conninfo_to_dict(url)
    return one_line(f"{given.get('host') or 'local'}/{given.get('dbname') or ''}")


def said(error: psycopg.Error) -> str:
    """What the server or libpq says, in one line; it never has the password in it."""
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    return one_line(f"PostgreSQL: {' '.join(text.split())}")[:500]
