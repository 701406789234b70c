"""Which rows retention deleted (`deleted_ranges`), so that whoever ships can name what it missed.

Written in the transaction that deletes. The writer neither knows nor asks who has had the rows:
those who ship may have no right to write here.
"""

import secrets
import sqlite3
from time import time_ns
from uuid import UUID

KEPT = 20_000  # ranges: some months of hourly sweeps
WITHOUT_RUN = "cdn_requests"  # logs of a CDN belong to no run
LOG = """
    INSERT INTO deleted_ranges
        (table_name, agent_id, boot_id, reason, first_seq, last_seq, rows, deleted_at)
    SELECT '{table}', agent_id, {boot}, ?, min(seq), max(seq), count(*), ?
    FROM {table} WHERE {condition} GROUP BY agent_id, {boot}
"""
FORGET = f"DELETE FROM deleted_ranges WHERE id <= (SELECT max(id) FROM deleted_ranges) - {KEPT}"  # noqa: S608


def log_deleted(
    db: sqlite3.Connection, table: str, condition: str, bound: tuple[object, ...], reason: str
) -> None:
    """Rows of a numbered table that are about to be deleted, by run; `reason`: age or size."""
    boot = "''" if table == WITHOUT_RUN else "boot_id"
    sql = LOG.format(table=table, condition=condition, boot=boot)
    if db.execute(sql, (reason, time_ns() // 1000, *bound)).rowcount:
        db.execute(FORGET)


def make_store_id(db: sqlite3.Connection) -> None:
    """Give the database a number that tells it from every other one; it keeps what it has.

    A live sensor's has one. One that was only replayed into gets it when it is shipped: until then
    two of the same capture are alike.
    """
    db.execute(
        "INSERT OR IGNORE INTO store_counters VALUES ('store_id', ?)", (secrets.randbits(62),)
    )


def store_id(db: sqlite3.Connection) -> str | None:
    """That number as a UUID."""
    row = db.execute("SELECT value FROM store_counters WHERE name = 'store_id'").fetchone()
    return None if row is None else str(UUID(int=row[0]))
