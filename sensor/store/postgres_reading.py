# ruff: noqa: S608 - names are ours, values are bound
"""A central store in PostgreSQL as analytics read it: see reading.ReadingStore.

What SQLite answers for one host, this answers for many, with the same figures. Histograms are added
up by the server, slot by slot. One thread at a time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from psycopg import Connection

from sensor.errors import DamagedCapture, InputMissing
from sensor.model.rows import SEVERITIES, AgentRow, ConnectionRow, SecurityEventRow
from sensor.store.central import EVENTS, HOURS, METRICS, tables
from sensor.store.central_reading import grouped, keys_of, parts_of, runs_of
from sensor.store.events import EventFilter, Stored
from sensor.store.hours import HOUR_US
from sensor.store.postgres import connect, place, said, version
from sensor.store.postgres_sql import quoted
from sensor.store.reading import Closed, Columns, Latency, Scope
from sensor.store.sqlite_reading import MOST_BINS, NETWORK_KIND, in_order, metrics_columns
from sensor.store.sqlite_words import (
    CDN_KEYS,
    COUNTERS,
    HEALTH,
    IN_HOURS,
    Groups,
    columns_of,
    folded,
    merge_groups,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
FIGURES = (
    "sum(latency_count)::BIGINT, sum(latency_sum_us)::BIGINT, min(latency_min_us),"
    " max(latency_max_us), sum(jitter_count)::BIGINT, sum(jitter_sum_us)::BIGINT"
)
OF_KIND = "sum(count)::BIGINT, sum(round(mean_us * count))::BIGINT, min(min_us), max(max_us), 0, 0"
WINDOW_SUMS = ", ".join(f"sum({name})::FLOAT8" for name in COUNTERS) + (
    ", sum(data_segments) FILTER (WHERE packets_lost IS NOT NULL)::FLOAT8"
)
INNER_HOURLY = ", ".join(f"sum({name}) AS {name}" for name in IN_HOURS)
OUTER_HOURLY = ", ".join(
    f"sum({name})::FLOAT8" if name in IN_HOURS else "NULL" for name in (*COUNTERS, "data_segments")
)
SIDES = (
    "bytes_in", "bytes_out", "bytes_other", "packets_in", "packets_out", "packets_other",
)  # fmt: skip
BINS = ("bins_in", "bins_out", "bins_other")


class PostgresReading:
    """InputMissing: it cannot be reached, now or later. DamagedCapture: no store of the sensor."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.place = place(url)
        self._db: Connection | None = None
        with self._said():
            found = version(self._connected())
        if found is None:
            self.close()
            raise DamagedCapture(self.place, None, "no store there: `sensor store init`")

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    # ---- who and when

    def agents(self, workspace_id: str | None = None) -> list[AgentRow]:
        names = selected(AgentRow._fields, "agents")
        rows = self._all(
            f"SELECT {names} FROM agents WHERE %s::TEXT IS NULL OR workspace_id = %s"
            " ORDER BY coalesce(last_packet, 'epoch'), agent_id, boot_id",
            (workspace_id, workspace_id),
        )
        return [AgentRow._make(row) for row in rows]

    def newest(self, scope: Scope) -> int | None:
        times = [run.last_packet for run in runs_of(self.agents(scope.workspace_id), scope)]
        return max((time for time in times if time is not None), default=None)

    def closed(self, after: int | None, limit: int) -> tuple[int, list[Closed]]:
        """The cursor is the id of a transaction: rows of many hosts come in no common order."""
        newest = int(
            self._all("SELECT pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT")[0][0]
        )
        if after is None or newest <= after:
            return newest, []
        rows = self._all(
            f"SELECT agent_id::TEXT, {micros('timestamp')}, window_s, came_in FROM capture_health"
            " WHERE came_in >= %s AND came_in < %s"
            " ORDER BY came_in FETCH FIRST %s ROWS WITH TIES",
            (after, newest, limit),
        )
        last = rows[-1][3] + 1 if len(rows) >= limit else newest
        return last, sorted((Closed(*row[:3]) for row in rows), key=lambda w: w.timestamp)

    def _who(self, scope: Scope) -> list[str]:
        return sorted({run.agent_id for run in runs_of(self.agents(scope.workspace_id), scope)})

    def _in(self, scope: Scope, time: str = "timestamp") -> tuple[str, list[object]]:
        """The scope as a condition on the table `t`, and what to bind to it."""
        return f"t.agent_id = ANY(%s::UUID[]) AND t.{time} >= %s AND t.{time} < %s", [
            self._who(scope), moment(scope.since), moment(scope.until),
        ]  # fmt: skip

    def _windows(self, table: str, scope: Scope) -> tuple[str, list[object]]:
        """FROM and WHERE of the table's windows of the usual length of their run."""
        where, bound = self._in(scope)
        usual = "a.window_s" if scope.window_s is None else str(int(scope.window_s))
        return (
            f"{quoted(table)} AS t JOIN agents AS a USING (agent_id, boot_id)"
            f" WHERE {where} AND t.window_s = {usual}"
        ), bound

    def _by_hours(self, scope: Scope) -> bool:
        """Whether windows of the scope are gone that its hours still know."""
        first_hour = -(-scope.since // HOUR_US) * HOUR_US
        found = self._all(
            "SELECT EXISTS (SELECT FROM unnest(%(who)s::UUID[]) AS w(agent_id) LEFT JOIN LATERAL ("
            f"SELECT min(timestamp) AS oldest FROM {METRICS} AS t WHERE t.agent_id = w.agent_id"
            " AND t.timestamp >= %(since)s AND t.timestamp < %(until)s) AS m ON TRUE"
            f" WHERE EXISTS (SELECT FROM {HOURS} AS h WHERE h.agent_id = w.agent_id AND h.hour >="
            " CASE WHEN m.oldest IS NULL THEN date_trunc('hour', %(since)s::TIMESTAMPTZ)"
            " ELSE %(first)s END"
            " AND h.hour < coalesce(date_trunc('hour', m.oldest), %(until)s)))",
            {
                "who": self._who(scope),
                "since": moment(scope.since),
                "until": moment(scope.until),
                "first": moment(first_hour),
            },
        )
        return bool(found[0][0])

    # ---- figures

    def metrics(self, scope: Scope, step_s: int | None, by: Sequence[str] = ()) -> Columns:
        keys = keys_of(by)
        if self._by_hours(scope) and not set(keys) - {"agent_id", "endpoint"}:
            return self._hourly_metrics(scope, step_s, keys)
        rest, bound = self._windows(METRICS, scope)
        rows = self._all(
            f"SELECT {bucket('t.timestamp', step_s, scope)}{columns(keys)},"
            f" count(DISTINCT t.timestamp), count(*), {WINDOW_SUMS}"
            f" FROM {rest} {group_by(keys)}",
            bound,
        )
        return columns_of(rows, metrics_columns(keys))

    def _hourly_metrics(self, scope: Scope, step_s: int | None, keys: list[str]) -> Columns:
        where, bound = self._in(scope, "hour")
        # An hour's windows are those of the endpoint that was seen in most of them.
        inner = ", ".join(["agent_id", "hour", *(key for key in keys if key != "agent_id")])
        outer = "".join(f", {key}{'::TEXT' if key == 'agent_id' else ''}" for key in keys)
        group = ", ".join(["1", *parts(keys), "t.agent_id"])
        rows = self._all(
            f"SELECT {bucket('t.hour', step_s, scope)}{outer}, sum(windows)::FLOAT8,"
            f" sum(counted)::FLOAT8, {OUTER_HOURLY} FROM (SELECT {inner}, max(windows) AS windows,"
            f" count(*) AS counted, {INNER_HOURLY} FROM {HOURS} AS t WHERE {where}"
            f" GROUP BY {inner}) AS t GROUP BY {group}",
            bound,
        )
        return folded(
            [columns_of(rows, metrics_columns(keys))], ["bucket", *keys], maxima=("windows",)
        )

    def latency(
        self, scope: Scope, step_s: int | None, by: Sequence[str] = (), kind: str | None = None
    ) -> list[Latency]:
        keys = keys_of(by)
        if kind is not None:
            if set(keys) - {"agent_id"}:
                raise ValueError("a kind of latency is known by agent only")
            return in_order(self._kind_latency(scope, step_s, keys, kind, scope))
        hourly = not set(keys) - {"agent_id", "endpoint"} and scope.window_s is None
        gone = hourly and self._by_hours(scope)
        if not gone and (not hourly or (step_s is not None and step_s % 3600)):
            return in_order(self._latency(scope, step_s, keys, scope, by_hours=False))
        made: list[Groups] = []
        settled = self._settled(scope)
        if gone:
            settled = dict.fromkeys(settled, scope.until)
        for part, by_hours in parts_of(scope, settled):
            made.append(self._latency(part, step_s, keys, scope, by_hours=by_hours))
        return in_order(merge_groups(made))

    def _latency(
        self, part: Scope, step_s: int | None, keys: list[str], scope: Scope, *, by_hours: bool
    ) -> Groups:
        if by_hours:
            where, bound = self._in(part, "hour")
            step = bucket("t.hour", step_s, scope)
            return self._groups(f"{HOURS} AS t WHERE {where}", bound, keys, step, FIGURES)
        rest, bound = self._windows(METRICS, part)
        step = bucket("t.timestamp", step_s, scope)
        if not set(keys) - {"agent_id"}:
            figures = grouped(self._figures(rest, bound, keys, step, FIGURES), (), len(keys))
            same = self._kind_latency(part, step_s, keys, NETWORK_KIND, scope)
            if all(at in same and same[at].count == one.count for at, one in figures.items()):
                for at, one in figures.items():
                    one.slots = same[at].slots
                return figures
        return self._groups(rest, bound, keys, step, FIGURES)

    def _kind_latency(
        self, part: Scope, step_s: int | None, keys: list[str], kind: str, scope: Scope
    ) -> Groups:
        rest, bound = self._windows("latency_histograms", part)
        step = bucket("t.timestamp", step_s, scope)
        return self._groups(f"{rest} AND t.kind = %s", [*bound, kind], keys, step, OF_KIND, "count")

    def _groups(
        self,
        rest: str,
        bound: list[object],
        keys: list[str],
        step: str,
        figures: str,
        *counts: str,
    ) -> Groups:
        numbers = self._figures(rest, bound, keys, step, figures, *counts)
        some = any_of(counts)
        # The slots of each row are unnested in the row's own scope, after all that leaves rows out.
        inner = ", ".join(f"{c} AS k{n}" for n, c in enumerate([step, *parts(keys)]))
        outer = ", ".join(f"k{n}" for n in range(len(keys) + 1))
        slots = self._all(
            f"SELECT {outer}, slot.us, sum(slot.n)::BIGINT FROM (SELECT {inner}, t.slot_us,"
            f" t.slot_n FROM {rest} AND ({some})) AS t, unnest(slot_us, slot_n) AS slot(us, n)"
            f" GROUP BY {outer}, slot.us ORDER BY slot.us",
            bound,
        )
        return grouped(numbers, slots, len(keys))

    def _figures(
        self,
        rest: str,
        bound: list[object],
        keys: list[str],
        step: str,
        figures: str,
        *counts: str,
    ) -> list[Any]:
        return self._all(
            f"SELECT {step}{columns(keys)}, {figures} FROM {rest} AND ({any_of(counts)})"
            f" {group_by(keys)}",
            bound,
        )

    def _settled(self, scope: Scope) -> dict[str, int]:
        """By agent, until when its hours are whole."""
        rows = self._all(
            f"SELECT agent_id::TEXT, coalesce({micros('max(hours_until)')}, 0) FROM agents"
            " WHERE agent_id = ANY(%s::UUID[]) GROUP BY agent_id",
            (self._who(scope),),
        )
        return dict(rows)

    def kinds(self, scope: Scope) -> list[str]:
        where, bound = self._in(scope)
        sql = f"SELECT DISTINCT kind FROM latency_histograms AS t WHERE {where} AND count > 0"
        return [row[0] for row in self._all(f"{sql} ORDER BY 1", bound)]

    # ---- traffic

    def bandwidth(self, scope: Scope, step_s: int) -> Columns:
        where, bound = self._in(scope)
        sums = ", ".join(f"sum({name}) AS {name}" for name in SIDES)
        again = ", ".join(f"sum({name})::FLOAT8" for name in SIDES)
        rows = self._all(
            f"SELECT {bucket('t.timestamp', step_s, scope)}, {again}, count(*),"
            " max(bytes_in)::FLOAT8, max(bytes_out)::FLOAT8 FROM (SELECT timestamp,"
            f" {sums} FROM bandwidth_seconds AS t WHERE {where} GROUP BY timestamp) AS t"
            " GROUP BY 1 ORDER BY 1",
            bound,
        )
        return columns_of(rows, ["bucket", *SIDES, "seconds", "peak_in", "peak_out"])

    def bins(self, scope: Scope) -> Columns:
        where, bound = self._in(scope)
        rows = self._all(
            f"SELECT {micros('timestamp')}, {', '.join(BINS)} FROM bandwidth_seconds AS t"
            f" WHERE {where} ORDER BY timestamp DESC LIMIT %s",
            [*bound, 4 * MOST_BINS],
        )
        times, first = np.unique(np.array([row[0] for row in rows], np.int64), return_inverse=True)
        made: Columns = {"timestamp": times}
        for at, name in enumerate(BINS, 1):
            summed = np.zeros((len(times), 10), np.int64)
            np.add.at(summed, first, np.array([row[at] for row in rows], np.int64).reshape(-1, 10))
            made[name] = summed
        return {name: column[-MOST_BINS:] for name, column in made.items()}

    def protocols(self, scope: Scope, step_s: int | None) -> Columns:
        rest, bound = self._windows("protocol_mix", scope)
        rows = self._all(
            f"SELECT {bucket('t.timestamp', step_s, scope)}, leaf, sum(bytes)::FLOAT8,"
            f" sum(packets)::FLOAT8, sum(connections)::FLOAT8 FROM {rest}"
            ' GROUP BY 1, 2 ORDER BY 1, leaf COLLATE "C"',
            bound,
        )
        return columns_of(rows, ["bucket", "leaf", "bytes", "packets", "connections"])

    def connections(self, scope: Scope, limit: int) -> Columns:
        where, bound = self._in(scope, "ended_at")
        names = ConnectionRow._fields
        rows = self._all(
            f"SELECT {selected(names, 'connections')} FROM connections AS t WHERE {where}"
            " ORDER BY t.ended_at DESC, t.seq DESC LIMIT %s",
            [*bound, limit],
        )
        return columns_of(rows, names)

    def regions(self, scope: Scope, step_s: int | None) -> Columns:
        rest, bound = self._windows("regional_metrics", scope)
        rows = self._all(
            f"SELECT {bucket('t.timestamp', step_s, scope)}, agent_id::TEXT, t.region,"
            " sum(bytes)::FLOAT8, sum(packets)::FLOAT8, sum(connections)::FLOAT8,"
            " sum(errors)::FLOAT8, sum(latency_avg_us * latency_count)::FLOAT8,"
            f" sum(latency_count)::FLOAT8 FROM {rest}"
            ' GROUP BY 1, agent_id, t.region ORDER BY 1, agent_id, t.region COLLATE "C"',
            bound,
        )
        return columns_of(rows, ["bucket", "agent_id", "region", "bytes", "packets", "connections",
                                 "errors", "latency_sum_us", "latency_count"])  # fmt: skip

    def health(self, scope: Scope, step_s: int | None) -> Columns:
        rest, bound = self._windows("capture_health", scope)
        sums = ", ".join(f"sum({name})::FLOAT8" for name in HEALTH)
        rows = self._all(
            f"SELECT {bucket('t.timestamp', step_s, scope)}, {sums}, count(*),"
            " count(*) FILTER (WHERE quality = 'degraded'),"
            " count(*) FILTER (WHERE quality = 'blind'), sum(t.window_s)::FLOAT8"
            f" FROM {rest} GROUP BY 1 ORDER BY 1",
            bound,
        )
        return columns_of(rows, ["bucket", *HEALTH, "windows", "degraded", "blind", "window_s"])

    # ---- events and places

    def events(self, which: EventFilter, limit: int, offset: int = 0) -> list[Stored]:
        where, bound = condition(which)
        names = selected(SecurityEventRow._fields, EVENTS)
        rows = self._all(
            f"SELECT seq, {names} FROM {EVENTS} AS t WHERE {where}"
            " ORDER BY t.detected_at DESC, t.seq DESC, t.id LIMIT %s OFFSET %s",
            [*bound, limit, offset],
        )
        return [Stored(seq, SecurityEventRow._make(row)) for seq, *row in rows]

    def count_events(self, which: EventFilter) -> int:
        where, bound = condition(which)
        return int(self._all(f"SELECT count(*) FROM {EVENTS} AS t WHERE {where}", bound)[0][0])

    def nodes(self, scope: Scope) -> Columns:
        return self._places(scope, "topology_nodes")

    def links(self, scope: Scope) -> Columns:
        return self._places(scope, "topology_links")

    def _places(self, scope: Scope, table: str) -> Columns:
        names = [one.name for one in tables()[table].fields]
        rows = self._all(
            f"SELECT {selected(names, table)} FROM {table} AS t WHERE agent_id = ANY(%s::UUID[])"
            " AND t.last_seen >= %s AND t.first_seen < %s"
            f" ORDER BY {', '.join(quoted(name) for name in tables()[table].key)}",
            [self._who(scope), moment(scope.since), moment(scope.until)],
        )
        return columns_of(rows, names)

    def cdn(self, scope: Scope, by: Sequence[str]) -> Columns:
        if unknown := set(by) - set(CDN_KEYS):
            raise ValueError(f"no such key: {sorted(unknown)}")
        where, bound = self._in(scope)
        keys = [bucket("t.timestamp", 300, scope) if k == "bucket" else f"t.{k}" for k in by]
        order = [f'{n} COLLATE "C" NULLS FIRST' if k != "bucket" else str(n)
                 for n, k in zip(keys, by, strict=True)]  # fmt: skip
        rows = self._all(
            f"SELECT {''.join(f'{k}, ' for k in keys)}count(*), sum(bytes)::FLOAT8,"
            " sum(origin_bytes)::FLOAT8, CASE WHEN count(status) > 0 THEN"
            " count(*) FILTER (WHERE status >= 500) END, sum(origin_shield)::FLOAT8,"
            " count(origin_shield), sum(response_us)::FLOAT8, count(response_us)"
            f" FROM cdn_requests AS t WHERE {where}"
            + (f" GROUP BY {', '.join(keys)} ORDER BY {', '.join(order)}" if keys else ""),
            bound,
        )
        return columns_of(rows, [*by, "requests", "bytes", "origin_bytes", "errors", "shielded",
                                 "shield_known", "response_sum_us", "response_count"])  # fmt: skip

    # ---- SQL

    def _connected(self) -> Connection:
        if self._db is None or self._db.closed:
            self._db = connect(self._url, readonly=True)
        return self._db

    def _all(self, sql: str, bound: Any = ()) -> list[Any]:
        with self._said():
            try:
                return self._connected().execute(sql.encode(), bound).fetchall()
            except psycopg.OperationalError:
                if self._db is None or not self._db.closed:
                    raise
                return self._connected().execute(sql.encode(), bound).fetchall()  # once more

    @contextmanager
    def _said(self) -> Iterator[None]:
        """What the server says against a question, in one line."""
        try:
            yield
        except psycopg.OperationalError as error:
            raise InputMissing(self.place, said(error)) from error
        except psycopg.Error as error:
            raise DamagedCapture(self.place, None, said(error)) from error


def moment(us: int) -> datetime:
    """A bound of a period; what is beyond all calendars is their end."""
    try:
        return EPOCH + timedelta(microseconds=us)
    except OverflowError:
        return LATEST if us > 0 else EPOCH


def micros(time: str) -> str:
    """A time as us since 1970, exactly: extract() is of type NUMERIC."""
    return f"(extract(epoch FROM {time}) * 1000000)::BIGINT"


def bucket(time: str, step_s: int | None, scope: Scope) -> str:
    """The start of a row's step, counted from 1970; the scope's for one step of all."""
    if step_s is None:
        return f"{int(scope.since)}::BIGINT"
    return micros(f"date_bin('{int(step_s)} seconds', {time}, 'epoch')")


def parts(keys: Sequence[str]) -> list[str]:
    return [f"t.{key}{'::TEXT' if key == 'agent_id' else ''}" for key in keys]


def columns(keys: Sequence[str]) -> str:
    return "".join(f", {part}" for part in parts(keys))


def group_by(keys: Sequence[str]) -> str:
    """By all keys, in the order of SQLite: octets of the text, unknown first."""
    group = ", ".join(["1", *parts(keys)])
    order = ", ".join(["1", *(f'{part} COLLATE "C" NULLS FIRST' for part in parts(keys))])
    return f"GROUP BY {group} ORDER BY {order}"


def any_of(counts: Sequence[str]) -> str:
    """Rows that have some of these."""
    return " OR ".join(f"t.{c} > 0" for c in counts or ("latency_count", "jitter_count"))


def selected(names: Sequence[str], table: str) -> str:
    """Columns as SQLite has them."""
    kinds = {one.name: one.kind for one in tables()[table].fields}
    return ", ".join(as_sqlite(f"t.{quoted(n)}" if table != "agents" else quoted(n), kinds[n])
                     for n in names)  # fmt: skip


def as_sqlite(column: str, kind: str) -> str:
    if kind == "time":
        return micros(column)
    if kind in ("uuid", "json"):
        return f"{column}::TEXT"
    if kind == "address":
        return f"host({column})"
    return f"{column}::INTEGER" if kind == "flag" else column


def condition(which: EventFilter) -> tuple[str, list[object]]:
    """See EventFilter.where()."""
    found, bound = ["TRUE"], list[object]()
    if which.severity is not None:
        found.append("severity = ANY(%s)")
        bound.append(list(SEVERITIES[SEVERITIES.index(which.severity) :]))
    for text, value in (
        ("event_type = %s", which.event_type),
        ("attack_class = %s", which.attack_class),
        ("status = %s", which.status),
        ("agent_id = %s::UUID", which.agent_id),
        ("(resolved_at IS NULL OR resolved_at >= %s)",
         None if which.since is None else moment(which.since)),
        ("coalesce(started_at, detected_at) < %s",
         None if which.until is None else moment(which.until)),
        ("agent_id = ANY(%s::UUID[])", None if which.agent_ids is None else list(which.agent_ids)),
        ("event_type = ANY(%s)", None if which.event_types is None else list(which.event_types)),
    ):  # fmt: skip
        if value is not None:
            found.append(text)
            bound.append(value)
    return " AND ".join(found), bound
