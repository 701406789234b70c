"""The central store in ClickHouse's words: for fleets, on one server or a cluster.

Rows may come twice and in any order, and nothing depends on a window of deduplication: numbered
tables replace a row by its like, and hours are merged by `max` of counts that only grow (a slot of
a histogram has as many samples as its newest state, whichever state comes last). `sumMap` adds the
slots of many hours up, exactly. Tokens keep most repetitions from being written at all.

On a cluster each table is `name_local`, replicated, and `name`, which distributes by agent: all
rows of an agent are on one shard, so FINAL stays within it.
"""

from collections.abc import Iterator

from sensor.store.central import AGENTS, EVENTS, HOURS, SLOTS, Field, Table, tables

TYPES = {
    "uuid": "UUID", "time": "DateTime64(6, 'UTC')", "address": "String", "json": "String",
    "tens": "Array(Int64)", "flag": "UInt8", "integer": "Int64", "real": "Float64",
    "text": "String",
}  # fmt: skip
LOW = frozenset((
    "region", "quality", "role", "app", "name_source", "leaf", "kind", "protocol", "service",
    "conn_state", "end_reason", "severity", "event_type", "attack_class", "status", "workspace_id",
    "network_id", "version", "source", "local_source", "provider", "edge_location", "cache_status",
    "table_name", "reason", "rule_id", "detection_method", "action_taken",
))  # fmt: skip
MAP = "Map(UInt32, UInt64)"
# Of an hour's state only what grows or shrinks for good can be merged: percentiles are in slots.
NOT_IN_HOURS = frozenset(("latency_p50_us", "latency_p95_us", "latency_p99_us"))
NOT_STORED = frozenset(("window_s", "hours_until"))  # of agents: they are in `runs`
RUNS = "runs"
EXTRA = {  # columns that only ClickHouse has: name, type, meaning
    "replayed": ("UInt8", "1: of an old capture, kept for good"),
    "version": ("UInt64", "of two states of an event the newer one has the larger"),
    "came_in": ("DateTime64(6, 'UTC') DEFAULT now64(6)", "when the row came in, wall clock"),
}
SETTINGS = (
    "non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1"
)
REPLICATED = "fsync_after_insert = 1, fsync_part_directory = 1"


def quoted(name: str) -> str:
    return f"`{name}`"


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def stored(table: Table) -> list[Field]:
    """The table's columns here; the two of a histogram are one map."""
    left_out = (
        NOT_IN_HOURS if table.name == HOURS else NOT_STORED if table.name == AGENTS else frozenset()
    )
    return [
        one
        for one in table.fields
        if one.name not in left_out and one.name not in (SLOTS[1], "came_in")
    ]


def extra(table: Table) -> list[str]:
    """Names of EXTRA columns."""
    if table.name == HOURS:
        return ["replayed"]
    names = ["came_in"]
    if table.days and table.name != "shipping_gaps" and not table.name.startswith("topology"):
        names.append("replayed")
    return [*names, "version"] if table.name == EVENTS else names


def type_of(table: Table, one: Field) -> str:
    """Unknown is NULL, but in a key."""
    if one.name == SLOTS[0]:
        return f"SimpleAggregateFunction(maxMap, {MAP})" if table.name == HOURS else MAP
    kind = TYPES[one.kind]
    never = (*table.key, table.time, "agent_id", "boot_id", "seq")
    if one.kind == "tens" or one.name in never:
        return kind
    if one.kind == "text" and one.name in LOW:
        return f"LowCardinality(Nullable({kind}))"
    if table.name == HOURS:
        how = "min" if one.name == "latency_min_us" else "max"
        return f"SimpleAggregateFunction({how}, Nullable({kind}))"
    return f"Nullable({kind})"


def codec(one: Field) -> str:
    return "CODEC(Delta, ZSTD(1))" if one.kind == "time" or one.name == "seq" else "CODEC(ZSTD(1))"


def name_of(one: Field) -> str:
    return "slots" if one.name == SLOTS[0] else one.name


def columns(table: Table) -> Iterator[str]:
    for one in stored(table):
        text = f"COMMENT {literal(one.meaning)} {codec(one)}"
        yield f"{quoted(name_of(one))} {type_of(table, one)} {text}"
    for name in extra(table):
        kind, text = EXTRA[name]
        yield f"{quoted(name)} {kind} COMMENT {literal(text)}"


def engine(table: Table) -> tuple[str, str]:
    """Its name, and the column of the version."""
    if table.name == HOURS:
        return "AggregatingMergeTree", ""
    if table.name == EVENTS:
        return "ReplacingMergeTree", "version"
    return "ReplacingMergeTree", "" if table.part else "came_in"


def order(table: Table) -> tuple[str, ...]:
    if table.name == HOURS:
        return (*table.key, "replayed")
    return ("agent_id", "id") if table.name == EVENTS else table.key


def make(
    name: str, body: list[str], kind: tuple[str, str], tail: str, cluster: str
) -> Iterator[str]:
    """A table, or on a cluster the local and the distributed one."""
    lines = ",\n    ".join(body)
    if not cluster:
        yield (
            f"CREATE TABLE IF NOT EXISTS {quoted(name)} (\n    {lines}\n)"
            f" ENGINE = {kind[0]}({kind[1]}) {tail} SETTINGS {SETTINGS}"
        )
        return
    on = f"ON CLUSTER {literal(cluster)}"
    place = f"'/clickhouse/tables/{{shard}}/{{database}}/{name}', '{{replica}}'"
    version = f", {kind[1]}" if kind[1] else ""
    yield (
        f"CREATE TABLE IF NOT EXISTS {quoted(name + '_local')} {on} (\n    {lines}\n)"
        f" ENGINE = Replicated{kind[0]}({place}{version}) {tail} SETTINGS {REPLICATED}"
    )
    yield (
        f"CREATE TABLE IF NOT EXISTS {quoted(name)} {on} AS {quoted(name + '_local')} ENGINE ="
        f" Distributed({literal(cluster)}, currentDatabase(), {quoted(name + '_local')},"
        " cityHash64(agent_id))"
    )


def create(table: Table, cluster: str) -> Iterator[str]:
    parts = [f"ORDER BY ({', '.join(map(quoted, order(table)))})"]
    if table.part:  # an old capture may have hundreds of months
        parts.insert(0, f"PARTITION BY if(replayed = 1, 0, toYYYYMM({quoted(table.time)}))")
    if table.days:
        # An old capture was shipped to be kept; places are as old as what was last heard of them.
        time, where = table.time, " DELETE WHERE replayed = 0"
        if "replayed" not in extra(table):
            time, where = "came_in", ""
        parts.append(f"TTL toDateTime({quoted(time)}) + INTERVAL {table.days} DAY{where}")
    yield from make(table.name, list(columns(table)), engine(table), " ".join(parts), cluster)


def runs(cluster: str) -> Iterator[str]:
    """What is learnt of a run from its rows."""
    yield from make(
        RUNS,
        [
            "agent_id UUID",
            "boot_id UUID",
            "window_s SimpleAggregateFunction(max, Int64)"
            " COMMENT 'length of its windows: the longest, in seconds'",
            "hours_until SimpleAggregateFunction(max, DateTime64(6, 'UTC'))"
            " COMMENT 'metrics_hourly has all windows before this time'",
        ],
        ("AggregatingMergeTree", ""),
        "ORDER BY (agent_id, boot_id)",
        cluster,
    )


def schema(cluster: str = "") -> Iterator[str]:
    """Statements that make a whole store, or what is missing of it."""
    yield from make(
        "sensor_schema", ["version UInt32", "agent_id UUID DEFAULT generateUUIDv4()"],
        ("ReplacingMergeTree", ""), "ORDER BY version", cluster,
    )  # fmt: skip
    for table in tables().values():
        yield from create(table, cluster)
    yield from runs(cluster)
