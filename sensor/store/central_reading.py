# ruff: noqa: S608 - names are ours, values are bound
"""A central store as analytics read it: see reading.ReadingStore.

What SQLite answers for one host, this answers for many, with the same figures; histograms are added
up by the server, slot by slot. The questions are here, the words in which two databases differ in
their Dialect. One thread at a time.

A central store's hours are sent every quarter of an hour, so `hours_until` says up to when those of
an agent are whole: latency before it is read from them, everything else from windows.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sensor.model.rows import SEVERITIES, AgentRow, ConnectionRow, SecurityEventRow
from sensor.store.central import EVENTS, HOURS, METRICS, tables
from sensor.store.dialect import Ask, Words
from sensor.store.events import EventFilter, Stored
from sensor.store.fleet_reading import NETWORK_KIND, FleetReading
from sensor.store.hours import HOUR_US
from sensor.store.reading import KEYS, Closed, Columns, Latency, Scope
from sensor.store.slots import Slots, samples_of
from sensor.store.sqlite_reading import (
    BINS,
    HOUR_S,
    MOST_BINS,
    in_order,
    metrics_columns,
)
from sensor.store.sqlite_words import (
    CDN_KEYS,
    COUNTERS,
    HEALTH,
    IN_HOURS,
    Groups,
    add_figures,
    columns_of,
    folded,
    group_of,
    merge_groups,
)

SIDES = (
    "bytes_in", "bytes_out", "bytes_other", "packets_in", "packets_out", "packets_other",
)  # fmt: skip
FIGURES = (
    "sum(t.latency_count)", "sum(t.latency_sum_us)", "min(t.latency_min_us)",
    "max(t.latency_max_us)", "sum(t.jitter_count)", "sum(t.jitter_sum_us)",
)  # fmt: skip
OF_KIND = ("sum(t.count)", "sum(round(t.mean_us * t.count))", "min(t.min_us)", "max(t.max_us)",
           "0", "0")  # fmt: skip
SLOTS = "<slots>"  # in the text given to Dialect.slots(): the columns of the histogram
SOME = "(t.latency_count > 0 OR t.jitter_count > 0)"
SOME_OF_KIND = "t.count > 0"


class Dialect(Words):
    """Where the databases differ."""

    text_order = ""  # by octets

    @abstractmethod
    def step(self, time: str, step_s: int) -> str:
        """The start of a row's step, us, counted from 1970."""

    @abstractmethod
    def whole(self, number: str) -> str:
        """A sum as an integer; NULL stays."""

    @abstractmethod
    def usual(self, condition: str) -> str:
        """Whether (agent_id, boot_id, window_s) of `t` is the usual length of a run."""

    @abstractmethod
    def slots(self, keys: Sequence[str], source: str) -> str:
        """SELECT of keys, us, n: what `source` selects (keys, SLOTS) added up by the keys."""


def keys_of(by: Sequence[str]) -> list[str]:
    """ValueError for a key that there is not."""
    if unknown := set(by) - set(KEYS):
        raise ValueError(f"no such key: {sorted(unknown)}")
    return list(by)


class CentralReading(FleetReading):
    """The questions; a subclass brings the connection and the dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def _words(self) -> Words:
        return self.dialect

    def _asked(self, sql: str, ask: Ask) -> list[Any]:
        return self._all(sql, ask)

    def _counters(self) -> frozenset[str]:
        return frozenset(COUNTERS)

    @abstractmethod
    def _all(self, sql: str, ask: Ask | None = None) -> list[Any]:
        """InputMissing: the server cannot be reached. DamagedCapture: what it says against it."""

    @abstractmethod
    def closed(self, after: int | None, limit: int) -> tuple[int, list[Closed]]:
        """See ReadingStore.closed."""

    @abstractmethod
    def _runs(self, workspace_id: str | None, agent_ids: Sequence[str] = ()) -> list[AgentRow]:
        """Every run of these agents (none named: of all), newest last."""

    @abstractmethod
    def _settled(self, agents: Sequence[str]) -> Mapping[str, int]:
        """By agent, until when its hours are whole; 0 is never."""

    @abstractmethod
    def _oldest(self, scope: Scope) -> Mapping[str, int]:
        """By agent, its oldest window in the scope; agents without windows are absent."""

    # ---- who and when

    def agents(
        self, workspace_id: str | None = None, agent_ids: Sequence[str] = ()
    ) -> list[AgentRow]:
        return self._runs(workspace_id, agent_ids)

    def newest(self, scope: Scope) -> int | None:
        times = [run.last_packet for run in self._of(scope)]
        return max((time for time in times if time is not None), default=None)

    def _of(self, scope: Scope) -> list[AgentRow]:
        return self._runs(scope.workspace_id, scope.agent_ids)

    def _who(self, scope: Scope) -> list[str]:
        return sorted({run.agent_id for run in self._of(scope)})

    def _in(self, ask: Ask, scope: Scope, time: str = "timestamp") -> str:
        """The scope as a condition on the table `t`."""
        who = self.dialect.among("t.agent_id", ask.bind(self._who(scope), "uuids"))
        since, until = ask.bind(scope.since, "time"), ask.bind(scope.until, "time")
        return f"{who} AND t.{time} >= {since} AND t.{time} < {until}"

    def _rows(self, ask: Ask, table: str, scope: Scope, time: str = "timestamp") -> str:
        return f"{self.dialect.table(table)} WHERE {self._in(ask, scope, time)}"

    def _windows(self, ask: Ask, table: str, scope: Scope) -> str:
        """FROM and WHERE of the table's windows of the usual length of their run."""
        if scope.window_s is not None:
            usual = f"t.window_s = {int(scope.window_s)}"
        else:
            who = ask.bind(self._who(scope), "uuids")
            usual = self.dialect.usual(self.dialect.among("agent_id", who))
        return f"{self._rows(ask, table, scope)} AND {usual}"

    def _by_hours(self, scope: Scope) -> bool:
        """Whether windows of the scope are gone that its hours still know."""
        first = -(-scope.since // HOUR_US) * HOUR_US
        oldest = self._oldest(scope)
        ask = self.dialect.ask()
        wide = replace(scope, since=scope.since // HOUR_US * HOUR_US)
        hour = self.dialect.micros("t.hour")
        mark = ask.bind(first, "time")
        rows = self._all(
            f"SELECT {self.dialect.text('t.agent_id')}, min({hour}),"
            f" min(CASE WHEN t.hour >= {mark} THEN {hour} END)"
            f" FROM {self._rows(ask, HOURS, wide, 'hour')} GROUP BY t.agent_id",
            ask,
        )
        return any(
            (whole is not None and whole < oldest[agent] // HOUR_US * HOUR_US)
            if agent in oldest
            else some is not None
            for agent, some, whole in rows
        )

    def _bucket(self, time: str, step_s: int | None, scope: Scope) -> str:
        """The start of a row's step; the scope's for one step of all."""
        if step_s is None:
            return self.dialect.whole(str(int(scope.since)))
        return self.dialect.step(f"t.{time}", int(step_s))

    def _parts(self, keys: Sequence[str]) -> list[str]:
        return [self.dialect.text(f"t.{k}") if k == "agent_id" else f"t.{k}" for k in keys]

    def _by(self, step: str, keys: Sequence[str]) -> str:
        """Grouped and in the order of SQLite: unknown first, then octets of the text."""
        parts = self._parts(keys)
        order = [f"{part}{self.dialect.text_order} NULLS FIRST" for part in parts]
        return f"GROUP BY {', '.join([step, *parts])} ORDER BY {', '.join([step, *order])}"

    # ---- figures

    def metrics(self, scope: Scope, step_s: int | None, by: Sequence[str] = ()) -> Columns:
        keys = keys_of(by)
        if not set(keys) - {"agent_id", "endpoint"} and self._by_hours(scope):
            return self._hourly_metrics(scope, step_s, keys)
        real = self.dialect.real
        sums = [real(f"sum(t.{name})") for name in COUNTERS]
        loss = real("sum(CASE WHEN t.packets_lost IS NOT NULL THEN t.data_segments END)")
        step = self._bucket("timestamp", step_s, scope)
        ask = self.dialect.ask()
        rows = self._all(
            f"SELECT {', '.join([step, *self._parts(keys)])}, count(DISTINCT t.timestamp),"
            f" count(*), {', '.join([*sums, loss])}"
            f" FROM {self._windows(ask, METRICS, scope)} {self._by(step, keys)}",
            ask,
        )
        return columns_of(rows, metrics_columns(keys))

    def _hourly_metrics(self, scope: Scope, step_s: int | None, keys: list[str]) -> Columns:
        real = self.dialect.real
        # An hour's windows are those of the endpoint that was seen in most of them.
        names = ["agent_id", "hour", *(key for key in keys if key != "agent_id")]
        group = ", ".join(f"t.{name}" for name in names)
        inner = ", ".join(f"sum(t.{name}) AS s_{name}" for name in IN_HOURS)
        sums = [
            real(f"sum(t.s_{name})") if name in IN_HOURS else "NULL"
            for name in (*COUNTERS, "data_segments")
        ]
        step = self._bucket("hour", step_s, scope)
        outer = [step, *self._parts(keys)]
        ask = self.dialect.ask()
        rows = self._all(
            f"SELECT {', '.join(outer)}, {real('sum(t.n_windows)')}, {real('sum(t.n_rows)')},"
            f" {', '.join(sums)} FROM (SELECT"
            f" {', '.join(f't.{name} AS {name}' for name in names)}, max(t.windows) AS n_windows,"
            f" count(*) AS n_rows, {inner} FROM {self._rows(ask, HOURS, scope, 'hour')}"
            f" GROUP BY {group}) AS t GROUP BY {', '.join([*outer, 't.agent_id'])}",
            ask,
        )
        found = columns_of(rows, metrics_columns(keys))
        return folded([found], ["bucket", *keys], maxima=("windows",))

    def latency(
        self, scope: Scope, step_s: int | None, by: Sequence[str] = (), kind: str | None = None
    ) -> list[Latency]:
        keys = keys_of(by)
        if kind is not None:
            if set(keys) - {"agent_id"}:
                raise ValueError("a kind of latency is known by agent only")
            return in_order(self._kind_latency(scope, scope, step_s, keys, kind))
        hourly = not set(keys) - {"agent_id", "endpoint"} and scope.window_s is None
        gone = hourly and self._by_hours(scope)
        if not gone and (not hourly or (step_s is not None and step_s % HOUR_S)):
            return in_order(self._window_latency(scope, scope, step_s, keys))
        who = self._who(scope)
        settled = dict.fromkeys(who, scope.until) if gone else self._settled(who)
        made = [
            (self._hour_latency if by_hours else self._window_latency)(part, scope, step_s, keys)
            for part, by_hours in parts_of(scope, who, settled)
        ]
        return in_order(merge_groups(made))

    def _hour_latency(
        self, part: Scope, scope: Scope, step_s: int | None, keys: list[str]
    ) -> Groups:
        ask = self.dialect.ask()
        rest = f"{self._rows(ask, HOURS, part, 'hour')} AND {SOME}"
        return self._groups(ask, rest, self._bucket("hour", step_s, scope), keys, FIGURES)

    def _window_latency(
        self, part: Scope, scope: Scope, step_s: int | None, keys: list[str]
    ) -> Groups:
        ask = self.dialect.ask()
        rest = f"{self._windows(ask, METRICS, part)} AND {SOME}"
        step = self._bucket("timestamp", step_s, scope)
        if not set(keys) - {"agent_id"}:
            # A window has all endpoints' samples in one histogram, too: the same, and less to read.
            made = self._figures(ask, rest, step, keys, FIGURES)
            same = self._kind_latency(part, scope, step_s, keys, NETWORK_KIND)
            if all(at in same and same[at].count == one.count for at, one in made.items()):
                for at, one in made.items():
                    one.slots = same[at].slots
                return made
        return self._groups(ask, rest, step, keys, FIGURES)

    def _kind_latency(
        self, part: Scope, scope: Scope, step_s: int | None, keys: list[str], kind: str
    ) -> Groups:
        ask = self.dialect.ask()
        rest = self._windows(ask, "latency_histograms", part)
        rest += f" AND {SOME_OF_KIND} AND t.kind = {ask.bind(kind, 'text')}"
        return self._groups(ask, rest, self._bucket("timestamp", step_s, scope), keys, OF_KIND)

    def _groups(
        self, ask: Ask, rest: str, step: str, keys: Sequence[str], figures: Sequence[str]
    ) -> Groups:
        made = self._figures(ask, rest, step, keys, figures)
        chosen = [f"{part} AS k{n}" for n, part in enumerate([step, *self._parts(keys)])]
        names = [f"k{n}" for n in range(len(chosen))]
        slots: dict[tuple[int, tuple[str | None, ...]], Slots] = {}
        for bucket, *rest_of_row in self._all(
            self.dialect.slots(names, f"{', '.join(chosen)}, {SLOTS} FROM {rest}"), ask
        ):
            *key, us, n = rest_of_row
            into = slots.setdefault((int(bucket), tuple(key)), {})
            into[int(us)] = into.get(int(us), 0) + int(n)
        for at, found in slots.items():
            made[at].slots = samples_of(found)
        return made

    def _figures(
        self, ask: Ask, rest: str, step: str, keys: Sequence[str], figures: Sequence[str]
    ) -> Groups:
        numbers = ", ".join(map(self.dialect.whole, figures))
        rows = self._all(
            f"SELECT {', '.join([step, *self._parts(keys)])}, {numbers} FROM {rest}"
            f" GROUP BY {', '.join([step, *self._parts(keys)])}",
            ask,
        )
        made: Groups = {}
        for bucket, *row in rows:
            key, (count, sum_us, low, high, jitters, jitter_us) = row[: len(keys)], row[len(keys) :]
            into = group_of(made, int(bucket), key)
            add_figures(into, count or 0, sum_us, low, high, jitters or 0, jitter_us)
        return made

    def kinds(self, scope: Scope) -> list[str]:
        ask = self.dialect.ask()
        rest = self._rows(ask, "latency_histograms", scope)
        rows = self._all(f"SELECT DISTINCT t.kind FROM {rest} AND {SOME_OF_KIND}", ask)
        return sorted(row[0] for row in rows)

    # ---- traffic

    def bandwidth(self, scope: Scope, step_s: int) -> Columns:
        ask = self.dialect.ask()
        real = self.dialect.real
        step = self._bucket("timestamp", step_s, scope)
        sums = ", ".join(f"sum(t.{name}) AS s_{name}" for name in SIDES)
        again = ", ".join(real(f"sum(t.s_{name})") for name in SIDES)
        rows = self._all(
            f"SELECT {step}, {again}, count(*), {real('max(t.s_bytes_in)')},"
            f" {real('max(t.s_bytes_out)')} FROM (SELECT t.timestamp AS timestamp, {sums}"
            f" FROM {self._rows(ask, 'bandwidth_seconds', scope)} GROUP BY t.timestamp) AS t"
            f" {self._by(step, ())}",
            ask,
        )
        return columns_of(rows, ["bucket", *SIDES, "seconds", "peak_in", "peak_out"])

    def bins(self, scope: Scope) -> Columns:
        ask = self.dialect.ask()
        rows = self._all(
            f"SELECT {self.dialect.micros('t.timestamp')}, {', '.join(f't.{b}' for b in BINS)}"
            f" FROM {self._rows(ask, 'bandwidth_seconds', scope)}"
            f" ORDER BY t.timestamp DESC LIMIT {4 * MOST_BINS}",
            ask,
        )
        times, first = np.unique(np.array([row[0] for row in rows], np.int64), return_inverse=True)
        made: Columns = {"timestamp": times}
        for at, name in enumerate(BINS, 1):
            summed = np.zeros((len(times), 10), np.int64)
            np.add.at(summed, first, np.array([row[at] for row in rows], np.int64).reshape(-1, 10))
            made[name] = summed
        return {name: column[-MOST_BINS:] for name, column in made.items()}

    def protocols(self, scope: Scope, step_s: int | None) -> Columns:
        names = ("bytes", "packets", "connections")
        return self._sums("protocol_mix", scope, step_s, ["leaf"], names, names)

    def regions(self, scope: Scope, step_s: int | None) -> Columns:
        names = ("bytes", "packets", "connections", "errors", "latency_sum_us", "latency_count")
        sums = [f"t.{n}" if n != "latency_sum_us" else "t.latency_avg_us * t.latency_count"
                for n in names]  # fmt: skip
        keys = ["agent_id", "region"]
        return self._sums("regional_metrics", scope, step_s, keys, names, sums)

    def health(self, scope: Scope, step_s: int | None) -> Columns:
        names = (*HEALTH, "windows", "degraded", "blind", "window_s")
        sums = [f"t.{name}" for name in HEALTH] + [
            "1",
            "CASE WHEN t.quality = 'degraded' THEN 1 ELSE 0 END",
            "CASE WHEN t.quality = 'blind' THEN 1 ELSE 0 END",
            "t.window_s",
        ]
        return self._sums("capture_health", scope, step_s, [], names, sums)

    def _sums(
        self,
        table: str,
        scope: Scope,
        step_s: int | None,
        keys: list[str],
        names: Sequence[str],
        sums: Sequence[str],
    ) -> Columns:
        """Windows of a table added up."""
        ask = self.dialect.ask()
        step = self._bucket("timestamp", step_s, scope)
        figures = ", ".join(self.dialect.real(f"sum({one})") for one in sums)
        rows = self._all(
            f"SELECT {', '.join([step, *self._parts(keys)])}, {figures}"
            f" FROM {self._windows(ask, table, scope)} {self._by(step, keys)}",
            ask,
        )
        return columns_of(rows, ["bucket", *keys, *names])

    def connections(self, scope: Scope, limit: int) -> Columns:
        ask = self.dialect.ask()
        names = ConnectionRow._fields
        rows = self._all(
            f"SELECT {self._selected(names, 'connections')}"
            f" FROM {self._rows(ask, 'connections', scope, 'ended_at')}"
            f" ORDER BY t.ended_at DESC, t.seq DESC LIMIT {int(limit)}",
            ask,
        )
        return columns_of(rows, names)

    # ---- events and places

    def events(self, which: EventFilter, limit: int, offset: int = 0) -> list[Stored]:
        ask = self.dialect.ask()
        rows = self._all(
            f"SELECT t.seq, {self._selected(SecurityEventRow._fields, EVENTS)}"
            f" FROM {self.dialect.table(EVENTS)} WHERE {self._condition(ask, which)}"
            " ORDER BY t.detected_at DESC, t.seq DESC, t.id"
            f" LIMIT {int(limit)} OFFSET {int(offset)}",
            ask,
        )
        return [Stored(seq, SecurityEventRow._make(row)) for seq, *row in rows]

    def count_events(self, which: EventFilter) -> int:
        ask = self.dialect.ask()
        where = self._condition(ask, which)
        sql = f"SELECT count(*) FROM {self.dialect.table(EVENTS)} WHERE {where}"
        return int(self._all(sql, ask)[0][0])

    def _condition(self, ask: Ask, which: EventFilter) -> str:
        """See EventFilter.where()."""
        severities = which.severity and SEVERITIES[SEVERITIES.index(which.severity) :]
        found = ["1 = 1"]
        for text, several, kind in (
            ("severity", severities, "texts"),
            ("event_type", which.event_types, "texts"),
            ("agent_id", which.agent_ids, "uuids"),
        ):
            if several is not None:
                found.append(self.dialect.among(f"t.{text}", ask.bind(list(several), kind)))
        one: tuple[str, str | int | None, str]
        for one in (
            ("t.event_type = {}", which.event_type, "text"),
            ("t.attack_class = {}", which.attack_class, "text"),
            ("t.status = {}", which.status, "text"),
            ("t.agent_id = {}", which.agent_id, "uuid"),
            ("(t.resolved_at IS NULL OR t.resolved_at >= {})", which.since, "time"),
            ("coalesce(t.started_at, t.detected_at) < {}", which.until, "time"),
        ):
            text, value, kind = one
            if value is not None:
                found.append(text.format(ask.bind(value, kind)))
        return " AND ".join(found)

    def nodes(self, scope: Scope) -> Columns:
        return self._places(scope, "topology_nodes")

    def links(self, scope: Scope) -> Columns:
        return self._places(scope, "topology_links")

    def _places(self, scope: Scope, table: str) -> Columns:
        ask = self.dialect.ask()
        shape = tables()[table]
        names = [one.name for one in shape.fields if one not in shape.more]
        who = self.dialect.among("t.agent_id", ask.bind(self._who(scope), "uuids"))
        since, until = ask.bind(scope.since, "time"), ask.bind(scope.until, "time")
        rows = self._all(
            f"SELECT {self._selected(names, table)} FROM {self.dialect.table(table)}"
            f" WHERE {who} AND t.last_seen >= {since} AND t.first_seen < {until}",
            ask,
        )
        at = [names.index(name) for name in shape.key]
        return columns_of(sorted(rows, key=lambda row: [row[i] for i in at]), names)

    def cdn(self, scope: Scope, by: Sequence[str]) -> Columns:
        if unknown := set(by) - set(CDN_KEYS):
            raise ValueError(f"no such key: {sorted(unknown)}")
        ask = self.dialect.ask()
        keys = [self._bucket("timestamp", 300, scope) if k == "bucket" else f"t.{k}" for k in by]
        order = [
            key if name == "bucket" else f"{key}{self.dialect.text_order} NULLS FIRST"
            for key, name in zip(keys, by, strict=True)
        ]
        real = self.dialect.real
        errors = "sum(CASE WHEN t.status >= 500 THEN 1 WHEN t.status IS NOT NULL THEN 0 END)"
        figures = [
            "count(*)", real("sum(t.bytes)"), real("sum(t.origin_bytes)"), real(errors),
            real("sum(t.origin_shield)"), "count(t.origin_shield)", real("sum(t.response_us)"),
            "count(t.response_us)",
        ]  # fmt: skip
        rows = self._all(
            f"SELECT {', '.join([*keys, *figures])}"
            f" FROM {self._rows(ask, 'cdn_requests', scope)}"
            + (f" GROUP BY {', '.join(keys)} ORDER BY {', '.join(order)}" if keys else ""),
            ask,
        )
        return columns_of(rows, [*by, "requests", "bytes", "origin_bytes", "errors", "shielded",
                                 "shield_known", "response_sum_us", "response_count"])  # fmt: skip

    def _selected(self, names: Sequence[str], table: str) -> str:
        """Columns as SQLite has them."""
        kinds = {one.name: one.kind for one in tables()[table].fields}
        return ", ".join(self.dialect.column(f"t.{name}", kinds[name]) for name in names)


def parts_of(
    scope: Scope, agents: Iterable[str], settled: Mapping[str, int]
) -> list[tuple[Scope, bool]]:
    """The scope as periods and agents to be read from hours (True) or from windows.

    Agents whose hours are whole up to the same time stay together.
    """
    first = min(-(-scope.since // HOUR_US) * HOUR_US, scope.until)
    last = scope.until // HOUR_US * HOUR_US
    groups: dict[int, list[str]] = {}
    for agent in agents:
        groups.setdefault(max(first, min(settled.get(agent, 0), last)), []).append(agent)
    made = []
    for cut, together in sorted(groups.items()):
        mine = replace(scope, agent_ids=tuple(sorted(together)))
        for since, until, by_hours in (
            (scope.since, first, False), (first, cut, True), (cut, scope.until, False),
        ):  # fmt: skip
            if since < until:
                made.append((replace(mine, since=since, until=until), by_hours))
    return made
