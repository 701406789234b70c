"""Numbered steps from one schema to the next, each in one transaction.

`PRAGMA user_version` is the number of steps done; `sqlite-utils migrate` understands the record
that is kept of them. A step that has shipped is never edited.
"""

import sqlite3
from collections.abc import Iterator

from sensor.store.tables import (
    CACHES_7,
    DELETED_5,
    DETECTION,
    EVENTS_2,
    HEALTH_4,
    HOURS_6,
    SCHEMA_1,
    SHIPPING_3,
    SHIPPING_5,
)
from sensor.store.utils import Database, Migrations
from sensor.store.views import VIEWS

migrations = Migrations("sensor")


def statements(script: str) -> Iterator[str]:
    """One by one: sqlite3's executescript() would commit in the middle."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


@migrations()
def m0001_tables(db: Database) -> None:
    for statement in statements(SCHEMA_1):
        db.conn.execute(statement)
    db.conn.execute("INSERT INTO store_counters VALUES ('next_seq', 1)")
    db.conn.execute("PRAGMA user_version = 1")


@migrations()
def m0002_detection(db: Database) -> None:
    """The events' table is made anew: its comments are the reference, and no ALTER mends those."""
    execute = db.conn.execute
    execute("CREATE TEMP TABLE kept AS SELECT * FROM network_security_events ORDER BY rowid")
    execute("DROP TABLE network_security_events")  # and not renamed, which would quote its name
    for statement in statements(EVENTS_2 + DETECTION):
        execute(statement)
    execute("INSERT INTO network_security_events SELECT * FROM kept ORDER BY rowid")
    execute("DROP TABLE kept")
    execute("PRAGMA user_version = 2")


@migrations()
def m0003_shipping(db: Database) -> None:
    """Nothing had been shipped before: the cursors' table is empty."""
    db.conn.execute("DROP TABLE shipping_cursors")
    for statement in statements(SHIPPING_3):
        db.conn.execute(statement)
    db.conn.execute("PRAGMA user_version = 3")


@migrations()
def m0004_health(db: Database) -> None:
    """Made anew for its comments, as the events' table was."""
    execute = db.conn.execute
    execute("CREATE TEMP TABLE kept AS SELECT * FROM capture_health")
    execute("DROP TABLE capture_health")
    for statement in statements(HEALTH_4):
        execute(statement)
    columns = ", ".join(row[1] for row in execute("PRAGMA temp.table_info(kept)").fetchall())
    execute(f"INSERT INTO capture_health ({columns}) SELECT {columns} FROM kept")  # noqa: S608
    execute("DROP TABLE kept")
    execute("PRAGMA user_version = 4")


@migrations()
def m0005_deletions(db: Database) -> None:
    """A cursor that is lost only means that rows are sent again, which changes nothing."""
    for name in ("shipping_cursors", "shipping_gaps"):
        db.conn.execute(f"DROP TABLE {name}")
    for statement in statements(SHIPPING_5 + DELETED_5):
        db.conn.execute(statement)
    db.conn.execute("PRAGMA user_version = 5")


@migrations()
def m0006_hours(db: Database) -> None:
    for statement in statements(HOURS_6):
        db.conn.execute(statement)
    db.conn.execute("PRAGMA user_version = 6")


@migrations()
def m0007_caches(db: Database) -> None:
    for statement in statements(CACHES_7):
        db.conn.execute(statement)
    db.conn.execute("PRAGMA user_version = 7")  # the last step sets tables.CURRENT


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database of this or an older version up to date; its views are always the newest."""
    db = Database(connection, execute_plugins=False)
    migrations.apply(db)
    with db.atomic():
        for name, sql in VIEWS.items():
            found = connection.execute(
                "SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?", (name,)
            ).fetchone()
            if found is None or found[0] != sql:
                connection.execute(f'DROP VIEW IF EXISTS "{name}"')
                connection.execute(sql)
