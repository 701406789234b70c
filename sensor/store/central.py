"""The tables of a central store, whichever database it is: those of SQLite, for many hosts.

Columns and their meaning are read from SQLite's own schema, so a column that is added there is
added here too. Histograms become two arrays, the largest us of each slot in use and its samples,
which SQL can add up exactly. All rows carry (agent_id, boot_id, seq), which no two hosts share.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache

from sensor.store.document import columns, meaning, objects
from sensor.store.migrations import migrate

VERSION = 1  # of the central schema; raised when a change is more than a further column
METRICS = "network_performance_metrics"
HOURS = "metrics_hourly"
EVENTS = "network_security_events"
HEALTH = "capture_health"
AGENTS = "agents"
RUN = ("agent_id", "boot_id")
SLOTS = ("slot_us", "slot_n")  # what a histogram becomes
HISTOGRAMS = frozenset(("latency_hist", "histogram", "latency_slots"))
UUIDS = frozenset(("id", "agent_id", "boot_id", "store_id"))
TIMES = frozenset((
    "timestamp", "created_at", "started_at", "ended_at", "updated_at", "detected_at", "resolved_at",
    "first_packet", "last_packet", "hour", "first_seen", "last_seen", "noted_at", "hours_until",
    "heard_at",
))  # fmt: skip
ADDRESSES = frozenset(("source_ip", "destination_ip", "orig_ip", "resp_ip", "ip"))
JSON = frozenset(("evidence", "anomalies", "local_prefixes"))
TENS = frozenset(("bins_in", "bins_out", "bins_other"))
FLAGS = frozenset(("blocked",))


@dataclass(frozen=True, slots=True)
class Field:
    """A column; `kind` is uuid, time, address, json, tens, flag, integer, real, text or slots."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """`time` names the column that ages are counted by; `days` is how long rows stay."""

    name: str
    key: tuple[str, ...]
    time: str = ""
    days: int = 0  # 0: for good
    part: str = ""  # "day" or "month" that is dropped at a time
    fields: tuple[Field, ...] = ()
    meaning: str = ""
    more: tuple[Field, ...] = field(default=())  # that SQLite does not have


def numbered(
    name: str, time: str, days: int, part: str = "day", more: tuple[Field, ...] = ()
) -> Table:
    return Table(name, ("agent_id", time, "boot_id", "seq"), time, days, part, more=more)


SHAPES = (
    Table(
        AGENTS,
        RUN,
        more=(
            Field("store_id", "uuid", "database that the run was shipped from"),
            Field("window_s", "integer", "length of the run's windows: its longest, in seconds"),
            Field("hours_until", "time", "metrics_hourly has all windows before this time"),
            Field("heard_at", "time", "when the newest of its rows came in, wall clock"),
        ),
    ),
    Table(METRICS, ("id", "timestamp"), "timestamp", 14, "day"),
    Table(HOURS, ("agent_id", "hour", "endpoint", "boot_id"), "hour", 400, "month"),
    Table(EVENTS, ("id",), "detected_at", 400),
    numbered("connections", "ended_at", 1),
    numbered("bandwidth_seconds", "timestamp", 2),
    numbered("protocol_mix", "timestamp", 14),
    numbered("latency_histograms", "timestamp", 14),
    numbered("regional_metrics", "timestamp", 14),
    numbered(
        HEALTH, "timestamp", 14, more=(Field("came_in", "integer", "order in which rows came in"),)
    ),
    numbered("cdn_requests", "timestamp", 400, "month"),
    Table("topology_nodes", ("agent_id", "node"), "last_seen", 400),
    Table("topology_links", ("agent_id", "source", "target", "kind"), "last_seen", 400),
    Table("shipping_gaps", ("agent_id", "boot_id", "table_name", "reason"), "noted_at", 400),
)


@lru_cache(maxsize=1)
def tables() -> dict[str, Table]:
    """By name, agents first."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db)
        found = dict(objects(db, "table"))
    return {shape.name: whole(shape, found[shape.name]) for shape in SHAPES}


def whole(shape: Table, sql: str) -> Table:
    """With the columns of SQLite's table, in its order, then ours."""
    fields = tuple(fields_of(shape, sql))
    return Table(
        shape.name, shape.key, shape.time, shape.days, shape.part, fields, meaning(sql), shape.more
    )


def fields_of(shape: Table, sql: str) -> Iterator[Field]:
    known = columns(sql)
    for name, (kind, text) in known.items():
        if name in HISTOGRAMS:
            yield Field(SLOTS[0], "slots", f"largest us of each slot in use: {text}")
            yield Field(SLOTS[1], "slots", "samples in each of these slots")
        else:
            yield Field(name, kind_of(name, kind), text)
    for name in shape.key:
        if name not in known:
            yield Field(name, kind_of(name, "TEXT"), "the database that the row is from")
    yield from shape.more


def kind_of(name: str, sqlite_type: str) -> str:
    for kind, names in (
        ("uuid", UUIDS), ("time", TIMES), ("address", ADDRESSES), ("json", JSON), ("tens", TENS),
        ("flag", FLAGS),
    ):  # fmt: skip
        if name in names:
            return kind
    return {"INTEGER": "integer", "REAL": "real"}.get(sqlite_type.split(",")[0], "text")


def field_names(table: Table) -> tuple[str, ...]:
    return tuple(each.name for each in table.fields)
