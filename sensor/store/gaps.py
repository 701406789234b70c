"""Names the rows that a destination will never get (`shipping_gaps`).

Whoever deletes numbered rows, or gives them up, says so here first, in the same transaction. One
row per destination, table, run and reason: its range grows, so the table stays small.
"""

import secrets
import sqlite3
from time import time_ns
from uuid import UUID

NOTE = """
    INSERT INTO shipping_gaps
    SELECT destination, table_name, agent_id, {boot}, ?, min(seq), max(seq), count(*), ?, ?
    FROM {table}
    JOIN shipping_cursors ON table_name = '{table}' AND seq > acknowledged_seq {destination}
    WHERE seq > ? AND {condition} GROUP BY destination, table_name, agent_id, {boot}
    ON CONFLICT (destination, table_name, agent_id, boot_id, reason) DO UPDATE SET
        first_seq = min(first_seq, excluded.first_seq),
        last_seq = max(last_seq, excluded.last_seq), rows = rows + excluded.rows,
        noted_at = excluded.noted_at, detail = excluded.detail
"""
WITHOUT_RUN = "cdn_requests"  # logs of a CDN belong to no run: the database stands for it


def store_id(db: sqlite3.Connection) -> str:
    """A UUID that tells this database from every other one, where their rows come together.

    Made when it is first asked for: databases of the same capture are alike until they are shipped.
    """
    made = ("store_id", secrets.randbits(62))
    db.execute("INSERT OR IGNORE INTO store_counters VALUES (?, ?)", made)
    row = db.execute("SELECT value FROM store_counters WHERE name = 'store_id'").fetchone()
    return str(UUID(int=row[0]))


def note_gap(
    db: sqlite3.Connection,
    table: str,
    condition: str,
    bound: tuple[object, ...],
    reason: str,
    *,
    destination: str | None = None,
    detail: str | None = None,
) -> None:
    """Rows of `table` that meet `condition`, as far as a destination has not acknowledged them.

    A batch that is on its way counts as not acknowledged: a gap may name rows that did arrive, and
    never hides one that did not.
    """
    lowest = db.execute(
        "SELECT min(acknowledged_seq) FROM shipping_cursors WHERE table_name = ?", (table,)
    ).fetchone()[0]
    if lowest is None:
        return  # nobody ships it
    boot = f"'{store_id(db)}'" if table == WITHOUT_RUN else "boot_id"
    only = "" if destination is None else "AND destination = ?"
    sql = NOTE.format(table=table, condition=condition, boot=boot, destination=only)
    who = () if destination is None else (destination,)
    db.execute(sql, (reason, time_ns() // 1000, detail, *who, lowest, *bound))
