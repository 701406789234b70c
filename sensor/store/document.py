"""docs/schema.md out of the database itself: `python -m sensor.store.document > docs/schema.md`.

SQLite keeps the text of CREATE statements with their comments, so the page says what the file says.
"""

import re
import sqlite3
import sys
from contextlib import closing

from sensor.store.migrations import migrate
from sensor.store.tables import CURRENT

HEAD = f"""# The database

Made by `python -m sensor.store.document`; schema {CURRENT}. The same text is in the file:
`sqlite3 FILE .schema`.

One SQLite file, STRICT tables, write-ahead log. Times are integer microseconds since 1970 UTC,
packet time unless a column says otherwise; the views show them readably. NULL is unknown, never 0.
Names from the wire are whatever was sent: escape them where you show them.

To merge latency over windows, hours or hosts, merge the histograms (`latency_hist`,
`latency_histograms.histogram`: `HdrHistogram.decode()` and `add()`), or in plain SQL add up the
slots of `metrics_hourly.latency_slots`, as the views do. Never average percentiles.

A row of `network_security_events` is one event: it is rewritten, with a new `seq`, until it is
resolved; its `id` stays. Rows of the other numbered tables never change.

Kept: connections 24 hours, seconds and windows shorter than a minute 48 hours, other windows 14
days, hours and events 400 days, counted from the newest packet of the replay or of the live agent;
and at most 1 GiB in all: what was written first goes first.
"""
TITLE = re.compile(r"^CREATE (?:TABLE \w+ \(|VIEW \w+ AS) *-- (?P<meaning>.+)$", re.MULTILINE)
COLUMN = re.compile(
    r"^ +(?P<name>[a-z_0-9]+) (?P<type>INTEGER|REAL|TEXT|BLOB)\b(?P<rest>.*?),?"
    r" -- (?P<meaning>.+)$",
    re.MULTILINE,
)
ADDED = re.compile(  # by ALTER, which puts them all on the last line
    r", (?P<name>[a-z_0-9]+) (?P<type>INTEGER|REAL|TEXT|BLOB)\b(?P<rest>[^,]*?)"
    r" /\* (?P<meaning>.+?) \*/"
)


def meaning(sql: str) -> str:
    """The comment on the first line of a CREATE statement."""
    found = TITLE.search(sql)
    return found["meaning"] if found else ""


def columns(sql: str) -> dict[str, tuple[str, str]]:
    """Name: type (and whether it may be NULL), meaning."""
    return {
        m["name"]: (
            m["type"] + ("" if "NOT NULL" in m["rest"] or "PRIMARY" in m["rest"] else ", or NULL"),
            m["meaning"],
        )
        for m in (*COLUMN.finditer(sql), *ADDED.finditer(sql))
    }


def page(db: sqlite3.Connection) -> str:
    """The whole page of a database of the current schema."""
    parts = [HEAD, "## Views\n", "| view | answers | columns |", "|---|---|---|"]
    for name, sql in objects(db, "view"):
        shown = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({name})"))
        parts.append(f"| `{name}` | {escape(meaning(sql))} | {shown} |")
    parts.append("\n## Tables")
    for name, sql in objects(db, "table"):
        parts += [
            f"\n### {name}\n",
            meaning(sql),
            "",
            "| column | type | meaning |",
            "|---|---|---|",
        ]
        parts += [f"| {c} | {kind} | {escape(text)} |" for c, (kind, text) in columns(sql).items()]
    return "\n".join(parts) + "\n"


def objects(db: sqlite3.Connection, kind: str) -> list[tuple[str, str]]:
    """Name and CREATE statement of our tables or views, in the order they were made."""
    return db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite%'"
        " AND name NOT LIKE '\\_sqlite%' ESCAPE '\\' ORDER BY rowid",
        (kind,),
    ).fetchall()


def escape(text: str) -> str:
    """Text inside a cell of a Markdown table."""
    return text.replace("|", "\\|")


def main() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db)
        sys.stdout.write(page(db))


if __name__ == "__main__":
    main()
