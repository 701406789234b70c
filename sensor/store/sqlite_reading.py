"""A SQLite database as analytics read it, while a daemon writes to it.

Every question is one statement without a transaction around it, so no reader holds the log back.
Windows shorter than the usual one of their run repeat what a later window counts again (the
daemon's 10-s rows): they are left out.

`metrics()` and `latency()` read windows, or hours where windows of the period are gone. Whole hours
of `latency()` come from `metrics_hourly` in any case: its histograms are merged already, exactly.
"""

import sqlite3
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from sensor.errors import DamagedCapture
from sensor.model.rows import AgentRow, ConnectionRow
from sensor.store.dialect import Ask, Words
from sensor.store.events import EventFilter, Events, Stored
from sensor.store.fleet_reading import NETWORK_KIND, FleetReading
from sensor.store.hour_cache import PIECE_US, HourCache
from sensor.store.hours import HOUR_US
from sensor.store.queries import open_readonly
from sensor.store.reading import KEYS, Closed, Columns, Latency, Scope
from sensor.store.slots import NOTHING, Merger, add_texts
from sensor.store.sqlite_words import (
    CDN_KEYS,
    COUNTERS,
    HEALTH,
    HEALTH_SUMS,
    INNER_HOURLY,
    LOSS_SEGMENTS,
    OF_HOURS,
    OUTER_HOURLY,
    Groups,
    SqliteWords,
    add_figures,
    columns_of,
    folded,
    group_of,
    merge_groups,
    step_of,
    tens,
    window_sums,
)

Bound = Sequence[object] | Mapping[str, object]
MOST_BINS = 86_400  # seconds that bins() answers
LOOK_BACK = 4096  # newest rows of a run that tell how long its windows are
LONG_WINDOW_S = 60  # a run with windows this long has its usual length
HOUR_S = 3600
BLOCKS_US = (24 * HOUR_US, 6 * HOUR_US)
PARTS_US = (6 * HOUR_US, HOUR_US, PIECE_US)
PIECE_S = PIECE_US // 1_000_000
T = TypeVar("T")
BINS = ("bins_in", "bins_out", "bins_other")
BINS_WEIGHT = 16  # of five minutes of bins, in other answers
MOST_NEWS = 200_000  # new rows beyond which nothing that was kept is worth keeping
NEXT_SEQ = "SELECT value FROM store_counters WHERE name = 'next_seq'"
TOUCHED = " UNION ".join(
    f"SELECT timestamp / {PIECE_US} FROM {table} WHERE seq >= :since"  # noqa: S608
    for table in (
        "network_performance_metrics", "bandwidth_seconds", "protocol_mix", "latency_histograms",
        "regional_metrics", "capture_health",
    )
)  # fmt: skip


def pieces(since: int, until: int) -> Iterator[tuple[int, int]]:
    """The period cut at every five minutes."""
    while since < until:
        end = min((since // PIECE_US + 1) * PIECE_US, until)
        yield since, end
        since = end


def metrics_columns(keys: Sequence[str]) -> list[str]:
    """What metrics() answers."""
    return ["bucket", *keys, "windows", "rows", *COUNTERS, LOSS_SEGMENTS]


def in_order(groups: Groups) -> list[Latency]:
    """By bucket, then key."""
    return [groups[at] for at in sorted(groups, key=lambda at: (at[0], [t or "" for t in at[1]]))]


class SqliteReading(FleetReading):
    """See reading.ReadingStore. One thread at a time; it may be another one each time.

    InputMissing and DamagedCapture as open_reader().
    """

    def __init__(self, path: str, cache: HourCache | None = None) -> None:
        """`cache`: shared by the readers of one file; without it nothing is kept."""
        self.path = path
        self._cache = cache
        self._db = open_readonly(path, any_thread=True)
        self._events = Events(self._db)
        self._runs_known: tuple[int, list[AgentRow]] | None = None  # PRAGMA data_version, runs
        info = self._db.execute("PRAGMA table_info(network_performance_metrics)")
        self._columns = frozenset(row[1] for row in info)
        self._window_sums = window_sums(self._columns)
        # boot_id: window_s of runs that are known for good
        self._usual: dict[str, int] = {} if cache is None else cache.usual

    def close(self) -> None:
        self._db.close()

    # ---- who and when

    def agents(
        self, workspace_id: str | None = None, agent_ids: Sequence[str] = ()
    ) -> list[AgentRow]:
        runs = self._every_run()
        if workspace_id is not None:
            runs = [run for run in runs if run.workspace_id == workspace_id]
        if agent_ids:
            wanted = set(agent_ids)
            runs = [run for run in runs if run.agent_id in wanted]
        return runs

    def _every_run(self) -> list[AgentRow]:
        """Asked again when something was written since."""
        version = int(self._all("PRAGMA data_version", ())[0][0])
        if self._runs_known is None or self._runs_known[0] != version:
            names = ", ".join(AgentRow._fields)
            order = "coalesce(last_packet, 0), agent_id, boot_id"
            rows = self._all(f"SELECT {names} FROM agents ORDER BY {order}", ())  # noqa: S608
            self._runs_known = version, [AgentRow._make(row) for row in rows]
        return self._runs_known[1]

    def newest(self, scope: Scope) -> int | None:
        runs = self._runs(scope)
        return max((run.last_packet for run in runs if run.last_packet is not None), default=None)

    def closed(self, after: int | None, limit: int) -> tuple[int, list[Closed]]:
        newest = int(self._all(NEXT_SEQ, ())[0][0]) - 1
        if after is None or newest <= after:
            return newest, []
        rows = self._all(
            "SELECT agent_id, timestamp, window_s, seq FROM capture_health"
            " WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (after, newest, limit),
        )
        last = rows[-1][3] if len(rows) == limit else newest
        return last, [Closed(*row[:3]) for row in rows]

    def _runs(self, scope: Scope) -> list[AgentRow]:
        return self.agents(scope.workspace_id, scope.agent_ids)

    def _who(self, scope: Scope) -> list[str]:
        return sorted({run.agent_id for run in self._runs(scope)})

    def _in(self, scope: Scope, time: str = "timestamp") -> tuple[str, list[object]]:
        """The scope as a condition, and what to bind to it."""
        who = self._who(scope)
        marks = ", ".join("?" * len(who))
        return f"agent_id IN ({marks}) AND {time} >= ? AND {time} < ?", [
            *who,
            scope.since,
            scope.until,
        ]

    def _usual_window(self, scope: Scope) -> str:
        """A condition that leaves out windows shorter than the usual of their run."""
        if scope.window_s is not None:
            return f"window_s = {int(scope.window_s)}"
        lengths = {
            run.boot_id: self._length(run)
            for run in self._runs(scope)
            if run.last_packet is not None and run.last_packet >= scope.since
        }
        known = [s for s in lengths.values() if s]
        common = max(set(known), key=known.count) if known else LONG_WINDOW_S
        others = "".join(
            f" WHEN '{boot}' THEN {s}"
            for boot, s in lengths.items()
            if s and s != common and boot.isascii() and "'" not in boot
        )
        return f"window_s = CASE boot_id{others} ELSE {common} END" if others else (
            f"window_s = {common}"
        )  # fmt: skip

    def _length(self, run: AgentRow) -> int:
        """Seconds of a run's usual window: its longest; 0 when it has none left."""
        known = self._usual.get(run.boot_id)
        if known:
            return known
        until = run.last_packet if run.last_packet is not None else 0
        longest = 0
        for table in ("network_performance_metrics", "capture_health"):
            found = self._all(
                f"SELECT max(window_s) FROM (SELECT window_s, boot_id FROM {table}"  # noqa: S608
                " WHERE agent_id = ? AND timestamp <= ? ORDER BY timestamp DESC LIMIT ?)"
                " WHERE boot_id = ?",
                (run.agent_id, until, LOOK_BACK, run.boot_id),
            )
            longest = max(longest, int(found[0][0] or 0))
        if longest >= LONG_WINDOW_S:
            self._usual[run.boot_id] = longest
        return longest

    def _by_hours(self, scope: Scope) -> bool:
        """Whether windows of the scope are gone that its hours still know."""
        first_hour = -(-scope.since // HOUR_US) * HOUR_US
        for agent in self._who(scope):
            oldest = self._all(
                "SELECT min(timestamp) FROM network_performance_metrics"
                " WHERE agent_id = ? AND timestamp >= ? AND timestamp < ?",
                (agent, scope.since, scope.until),
            )[0][0]
            if oldest is None:
                since, until = scope.since // HOUR_US * HOUR_US, scope.until
            else:
                since, until = first_hour, oldest // HOUR_US * HOUR_US
            bound = {"agent": agent, "since": since, "until": until}
            if until > since and self._all(f"SELECT 1 {OF_HOURS} LIMIT 1", bound):
                return True
        return False

    # ---- whole hours, asked once

    def _by_hour(
        self,
        question: Hashable,
        scope: Scope,
        step_s: int | None,
        ask: Callable[[Scope], T],
        add: Callable[[list[T]], T],
    ) -> T:
        """The sum of the answers for parts of the scope, which are kept.

        Its whole hours, and its ends by five minutes: as time goes on it loses these one by one.
        """
        step = step_s or PIECE_S
        cache = self._cache
        fits = PIECE_S % step == 0 or step % PIECE_S == 0
        is_long = scope.until - scope.since >= 2 * PIECE_US
        if cache is None or scope.window_s is not None or not fits or not is_long:
            return ask(scope)
        seq = self._advance(cache)
        first = min(-(-scope.since // HOUR_US) * HOUR_US, scope.until)
        last = max(scope.until // HOUR_US * HOUR_US, first)
        asked = (question, step_s, tuple(self._who(scope)))

        def part(since: int, until: int) -> T:
            return ask(replace(scope, since=since, until=until))

        def kept(since: int, until: int, answer: Callable[[int, int], T]) -> T:
            found: T | None = cache.get(since, until, asked)
            if found is None:
                found = answer(since, until)
                cache.put(since, until, asked, found, seq)
            return found

        def composed(since: int, until: int) -> T:
            """A block of its parts when most of them are kept already."""
            length = next(n for n in PARTS_US if n < until - since)
            within = [(at, at + length) for at in range(since, until, length)]
            have = sum(cache.get(a, b, asked) is not None for a, b in within)
            if have * 2 <= len(within):
                return part(since, until)
            answer = part if length == PIECE_US else composed
            return add([kept(a, b, answer) for a, b in within])

        def whole(since: int, until: int) -> T:
            spans = self._spans(scope, since, until)
            return add([kept(a, b, composed) for a, b in spans]) if spans else part(since, since)

        # The newest hour is still written to: what is before it is kept as one.
        newest = (self.newest(scope) or 0) // HOUR_US * HOUR_US
        settled = min(max(first, newest), last)
        made = [kept(a, b, whole) for a, b in ((first, settled), (settled, last)) if a < b]
        for a, b in ((scope.since, first), (last, scope.until)):
            for since, until in pieces(a, b):
                is_whole = until - since == PIECE_US
                made.append(kept(since, until, part) if is_whole else part(since, until))
        if scope.since < first < settled:
            self._ahead(cache, seq, asked, first, part)
        return add(made) if len(made) > 1 else made[0]

    @staticmethod
    def _ahead(
        cache: HourCache, seq: int, asked: Hashable, hour: int, ask: Callable[[int, int], object]
    ) -> None:
        """A period that goes on loses its first whole hour next, piece by piece: asks for one of
        these each time, so that not all are missing at once."""
        for since, until in pieces(hour, hour + HOUR_US):
            if cache.get(since, until, asked) is None:
                cache.put(since, until, asked, ask(since, until), seq)
                return

    def _spans(self, scope: Scope, first: int, last: int) -> list[tuple[int, int]]:
        """Days, quarters of a day or hours, the longest that fit, in which a run of the scope's
        agents had packets."""
        begun: set[int] = set()
        for run in self._runs(scope):
            if run.first_packet is not None and run.last_packet is not None:
                since = max(first, run.first_packet // HOUR_US * HOUR_US - HOUR_US)
                begun.update(range(since, min(last, run.last_packet + 1), HOUR_US))
        spans: dict[tuple[int, int], None] = {}
        for hour in sorted(begun):
            starts = ((hour // length * length, length) for length in BLOCKS_US)
            fitting = ((at, at + n) for at, n in starts if first <= at and at + n <= last)
            spans[next(fitting, (hour, hour + HOUR_US))] = None
        return list(spans)

    def _advance(self, cache: HourCache) -> int:
        """Drops the answers of what was written to since; the number of the next row."""
        newest = int(self._all(NEXT_SEQ, ())[0][0])
        since = cache.seq
        if newest != since:
            times: set[int] | None = None
            if 0 <= newest - since <= MOST_NEWS:
                times = {row[0] * PIECE_US for row in self._all(TOUCHED, {"since": since})}
            cache.advance(newest, times)
        return newest

    # ---- figures

    def metrics(self, scope: Scope, step_s: int | None, by: Sequence[str] = ()) -> Columns:
        keys = self._keys(by)
        if self._by_hours(scope) and not set(keys) - {"agent_id", "endpoint"}:

            def ask_hours(part: Scope, step_s: int | None) -> Columns:
                return self._hourly_metrics(part, step_s, keys)

            return self._summed(
                ("metrics by hours", *keys), ask_hours, scope, step_s, ["bucket", *keys]
            )

        def ask(part: Scope, step_s: int | None) -> Columns:
            return self._window_metrics(part, step_s, keys)

        return self._summed(("metrics", *keys), ask, scope, step_s, ["bucket", *keys])

    def _window_metrics(self, scope: Scope, step_s: int | None, keys: list[str]) -> Columns:
        where, bound = self._in(scope)
        group = ", ".join(map(str, range(1, len(keys) + 2)))
        rows = self._all(
            f"SELECT {', '.join([step_of('timestamp', step_s), *keys])},"  # noqa: S608
            f" count(DISTINCT timestamp), count(*), {self._window_sums}"
            " FROM network_performance_metrics INDEXED BY idx_network_agent"
            f" WHERE {where} AND {self._usual_window(scope)} GROUP BY {group} ORDER BY {group}",
            bound,
        )
        return columns_of(rows, metrics_columns(keys))

    def _hourly_metrics(self, scope: Scope, step_s: int | None, keys: list[str]) -> Columns:
        rows: list[Sequence[object]] = []
        grouped = ", ".join(["hour", *keys])
        for agent in self._who(scope):
            # An hour's windows are those of the endpoint that was seen in most of them.
            rows += self._all(
                f"SELECT {', '.join(['bucket', *keys])}, sum(windows), sum(counted),"  # noqa: S608
                f" {OUTER_HOURLY} FROM (SELECT {step_of('hour', step_s)} AS bucket,"
                f" {grouped}, max(windows) AS windows, count(*) AS counted, {INNER_HOURLY}"
                f" {OF_HOURS} GROUP BY {grouped}) GROUP BY {', '.join(['bucket', *keys])}",
                {"agent": agent, "since": scope.since, "until": scope.until},
            )
        found = columns_of(rows, metrics_columns(keys))
        return folded([found], ["bucket", *keys], maxima=("windows",))

    def latency(
        self, scope: Scope, step_s: int | None, by: Sequence[str] = (), kind: str | None = None
    ) -> list[Latency]:
        keys = self._keys(by)
        asked = "latency", kind, *keys

        def ask_windows(part: Scope) -> Groups:
            if kind is None:
                return self._window_latency(part, step_s, keys)
            return self._kind_latency(part, step_s, keys, kind)

        hourly = kind is None and not set(keys) - {"agent_id", "endpoint"}
        if hourly and (step_s is None or step_s % HOUR_S == 0 or self._by_hours(scope)):
            since, until = self._whole_hours(scope)

            def ask(part: Scope) -> Groups:
                return self._hour_latency(part, step_s, keys)

            # What is left are the ends of the scope, shorter than an hour each.
            parts = [
                self._by_hour(
                    ("latency by hours", *keys),
                    replace(scope, since=since, until=until),
                    step_s,
                    ask,
                    merge_groups,
                )
            ]
            for begin, end in ((scope.since, since), (until, scope.until)):
                if begin < end:
                    part = replace(scope, since=begin, until=end)
                    parts.append(self._by_hour(asked, part, step_s, ask_windows, merge_groups))
            if self._cache is not None and scope.since < since < until:
                kept = asked, step_s, tuple(self._who(scope))
                self._ahead(
                    self._cache, self._advance(self._cache), kept, since,
                    lambda begin, end: ask_windows(replace(scope, since=begin, until=end)),
                )  # fmt: skip
            made = merge_groups(parts)
        else:
            made = self._by_hour(asked, scope, step_s, ask_windows, merge_groups)
        if step_s is None:
            made = {(scope.since, key): replace(g, bucket=scope.since)
                    for (_, key), g in made.items()}  # fmt: skip
        return in_order(made)

    def _whole_hours(self, scope: Scope) -> tuple[int, int]:
        """From when to when the scope has all windows of its hours; the last may still go on."""
        since = min(-(-scope.since // HOUR_US) * HOUR_US, scope.until)
        newest = self.newest(scope)
        is_newest_in = newest is not None and newest < scope.until
        until = -(-scope.until // HOUR_US) if is_newest_in else scope.until // HOUR_US
        return since, max(until * HOUR_US, since)

    def _hour_latency(self, scope: Scope, step_s: int | None, keys: list[str]) -> Groups:
        columns = ", ".join([step_of("hour", step_s), *keys])
        made: Groups = {}
        texts: dict[int, list[str]] = {}
        for agent in self._who(scope):
            for bucket, *rest in self._each(
                f"SELECT {columns}, latency_count, latency_sum_us, latency_min_us,"
                f" latency_max_us, jitter_count, jitter_sum_us, latency_slots {OF_HOURS}"
                " AND (latency_count > 0 OR jitter_count > 0)",
                {"agent": agent, "since": scope.since, "until": scope.until},
            ):
                *figures, slots = rest[len(keys) :]
                latency = group_of(made, bucket, rest[: len(keys)])
                add_figures(latency, *figures)
                texts.setdefault(id(latency), []).append(slots)
        for latency in made.values():
            latency.slots = add_texts(texts[id(latency)])
        return made

    def _window_latency(self, scope: Scope, step_s: int | None, keys: list[str]) -> Groups:
        where, bound = self._in(scope)
        columns = ", ".join([step_of("timestamp", step_s), *keys])
        if not set(keys) - {"agent_id"}:
            found = self._network_latency(scope, step_s, keys)
            if found is not None:
                return found
        return self._decoded(
            len(keys),
            f"SELECT {columns}, latency_count, latency_sum_us, latency_min_us, latency_max_us,"  # noqa: S608
            " jitter_count, jitter_sum_us, latency_hist"
            f" FROM network_performance_metrics INDEXED BY idx_network_agent WHERE {where}"
            f" AND {self._usual_window(scope)} AND (latency_count > 0 OR jitter_count > 0)",
            bound,
        )

    def _network_latency(self, scope: Scope, step_s: int | None, keys: list[str]) -> Groups | None:
        """All endpoints' samples from the one histogram that a window has of them (tcp_rtt).

        None when that has other samples than the endpoints have.
        """
        where, bound = self._in(scope)
        columns = ", ".join([step_of("timestamp", step_s), *keys])
        group = ", ".join(map(str, range(1, len(keys) + 2)))
        made: Groups = {}
        for bucket, *rest in self._each(
            f"SELECT {columns}, sum(latency_count), sum(latency_sum_us), min(latency_min_us),"  # noqa: S608
            " max(latency_max_us), sum(jitter_count), sum(jitter_sum_us)"
            f" FROM network_performance_metrics INDEXED BY idx_network_agent WHERE {where}"
            f" AND {self._usual_window(scope)} AND (latency_count > 0 OR jitter_count > 0)"
            f" GROUP BY {group}",
            bound,
        ):
            add_figures(group_of(made, bucket, rest[: len(keys)]), *rest[len(keys) :])
        histograms = self._kind_latency(scope, step_s, keys, NETWORK_KIND)
        for at, latency in made.items():
            same = histograms.get(at)
            if (same.count if same else 0) != latency.count:
                return None
            latency.slots = same.slots if same else NOTHING
        return made

    def _kind_latency(self, scope: Scope, step_s: int | None, keys: list[str], kind: str) -> Groups:
        if set(keys) - {"agent_id"}:
            raise ValueError("a kind of latency is known by agent only")
        where, bound = self._in(scope)
        columns = ", ".join([step_of("timestamp", step_s), *keys])
        return self._decoded(
            len(keys),
            f"SELECT {columns}, count, CAST(round(mean_us * count) AS INTEGER), min_us, max_us,"  # noqa: S608
            f" 0, 0, histogram FROM latency_histograms WHERE {where} AND kind = ? AND count > 0"
            f" AND {self._usual_window(scope)}",
            [*bound, kind],
        )

    def _decoded(self, keys: int, sql: str, bound: Sequence[object]) -> Groups:
        made: Groups = {}
        mergers: dict[int, tuple[Latency, Merger]] = {}
        for bucket, *rest in self._each(sql, bound):
            *figures, blob = rest[keys:]
            latency = group_of(made, bucket, rest[:keys])
            add_figures(latency, *figures)
            if blob is not None:
                mergers.setdefault(id(latency), (latency, Merger()))[1].add(blob)
        for latency, merger in mergers.values():
            latency.slots = merger.samples()
        return made

    def kinds(self, scope: Scope) -> list[str]:
        where, bound = self._in(scope)
        rows = self._all(
            f"SELECT DISTINCT kind FROM latency_histograms WHERE {where} AND count > 0 ORDER BY 1",  # noqa: S608
            bound,
        )
        return [row[0] for row in rows]

    # ---- traffic

    def bandwidth(self, scope: Scope, step_s: int) -> Columns:
        peaks = ("peak_in", "peak_out")
        return self._summed("bandwidth", self._seconds, scope, step_s, ["bucket"], peaks)

    def _seconds(self, scope: Scope, step_s: int | None) -> Columns:
        where, bound = self._in(scope)
        sides = ("bytes_in", "bytes_out", "bytes_other", "packets_in", "packets_out",
                 "packets_other")  # fmt: skip
        sums = ", ".join(f"sum({name}) AS {name}" for name in sides)
        again = ", ".join(f"sum({name})" for name in sides)
        rows = self._all(
            f"SELECT {step_of('timestamp', step_s)}, {again},"  # noqa: S608
            " count(*), max(bytes_in), max(bytes_out)"
            f" FROM (SELECT timestamp, {sums} FROM bandwidth_seconds WHERE {where}"
            " GROUP BY timestamp) GROUP BY 1 ORDER BY 1",
            bound,
        )
        return columns_of(rows, ["bucket", *sides, "seconds", "peak_in", "peak_out"])

    def bins(self, scope: Scope) -> Columns:
        cache = self._cache
        if cache is None or scope.until - scope.since > HOUR_US:
            return self._bins(scope)
        seq = self._advance(cache)
        asked = ("bins", tuple(self._who(scope)))
        made = []
        for since, until in pieces(scope.since, scope.until):
            found = cache.get(since, until, asked)
            if found is None:
                found = self._bins(replace(scope, since=since, until=until))
                if until - since == PIECE_US:
                    cache.put(since, until, asked, found, seq, BINS_WEIGHT)
            made.append(found)
        if not made:
            return self._bins(scope)
        return {name: np.concatenate([part[name] for part in made]) for name in made[0]}

    def _bins(self, scope: Scope) -> Columns:
        where, bound = self._in(scope)
        rows = self._all(
            f"SELECT timestamp, {', '.join(BINS)} FROM bandwidth_seconds WHERE {where}"  # noqa: S608
            " ORDER BY timestamp DESC LIMIT ?",
            [*bound, 4 * MOST_BINS],
        )
        times, first = np.unique(np.array([row[0] for row in rows], np.int64), return_inverse=True)
        made: Columns = {"timestamp": times}
        for at, name in enumerate(BINS, 1):
            summed = np.zeros((len(times), 10), np.int64)
            np.add.at(summed, first, tens([row[at] for row in rows]))
            made[name] = summed
        return {name: column[-MOST_BINS:] for name, column in made.items()}

    def _summed(
        self,
        question: Hashable,
        ask: Callable[[Scope, int | None], Columns],
        scope: Scope,
        step_s: int | None,
        keys: Sequence[str],
        maxima: Sequence[str] = (),
    ) -> Columns:
        found = self._by_hour(
            question,
            scope,
            step_s,
            lambda part: ask(part, step_s),
            lambda parts: folded(parts, keys, maxima),
        )
        if step_s is None:
            return {**found, "bucket": np.full_like(found["bucket"], scope.since)}
        return found

    def protocols(self, scope: Scope, step_s: int | None) -> Columns:
        return self._summed("protocols", self._protocols, scope, step_s, ["bucket", "leaf"])

    def _protocols(self, scope: Scope, step_s: int | None) -> Columns:
        where, bound = self._in(scope)
        rows = self._all(
            f"SELECT {step_of('timestamp', step_s)}, leaf, sum(bytes), sum(packets),"  # noqa: S608
            f" sum(connections) FROM protocol_mix WHERE {where} AND {self._usual_window(scope)}"
            " GROUP BY 1, 2 ORDER BY 1, 2",
            bound,
        )
        return columns_of(rows, ["bucket", "leaf", "bytes", "packets", "connections"])

    def connections(self, scope: Scope, limit: int) -> Columns:
        where, bound = self._in(scope, "ended_at")
        names = ConnectionRow._fields
        rows = self._all(
            f"SELECT {', '.join(names)} FROM connections WHERE {where}"  # noqa: S608
            " ORDER BY ended_at DESC, seq DESC LIMIT ?",
            [*bound, limit],
        )
        return columns_of(rows, names)

    def regions(self, scope: Scope, step_s: int | None) -> Columns:
        return self._summed(
            "regions", self._regions, scope, step_s, ["bucket", "agent_id", "region"]
        )

    def _regions(self, scope: Scope, step_s: int | None) -> Columns:
        where, bound = self._in(scope)
        rows = self._all(
            f"SELECT {step_of('timestamp', step_s)}, agent_id, region, sum(bytes),"  # noqa: S608
            " sum(packets), sum(connections), sum(errors), sum(latency_avg_us * latency_count),"
            f" sum(latency_count) FROM regional_metrics WHERE {where}"
            f" AND {self._usual_window(scope)} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            bound,
        )
        return columns_of(rows, ["bucket", "agent_id", "region", "bytes", "packets", "connections",
                                 "errors", "latency_sum_us", "latency_count"])  # fmt: skip

    def health(self, scope: Scope, step_s: int | None) -> Columns:
        return self._summed("health", self._health, scope, step_s, ["bucket"])

    def _health(self, scope: Scope, step_s: int | None) -> Columns:
        where, bound = self._in(scope)
        rows = self._all(
            f"SELECT {step_of('timestamp', step_s)}, {HEALTH_SUMS},"  # noqa: S608
            " count(*), sum(quality = 'degraded'), sum(quality = 'blind'), sum(window_s)"
            f" FROM capture_health WHERE {where} AND {self._usual_window(scope)}"
            " GROUP BY 1 ORDER BY 1",
            bound,
        )
        return columns_of(rows, ["bucket", *HEALTH, "windows", "degraded", "blind", "window_s"])

    # ---- events and places

    def events(self, which: EventFilter, limit: int, offset: int = 0) -> list[Stored]:
        with self._said():
            return self._events.matching(which, limit, offset)

    def count_events(self, which: EventFilter) -> int:
        with self._said():
            return self._events.count(which)

    def nodes(self, scope: Scope) -> Columns:
        return self._places(scope, "topology_nodes")

    def links(self, scope: Scope) -> Columns:
        return self._places(scope, "topology_links")

    def _places(self, scope: Scope, table: str) -> Columns:
        who = self._who(scope)
        with self._said():
            cursor = self._db.execute(
                f"SELECT * FROM {table} WHERE agent_id IN ({', '.join('?' * len(who))})"  # noqa: S608
                " AND last_seen >= ? AND first_seen < ?",
                [*who, scope.since, scope.until],
            )
            return columns_of(cursor.fetchall(), [column[0] for column in cursor.description])

    def cdn(self, scope: Scope, by: Sequence[str]) -> Columns:
        if unknown := set(by) - set(CDN_KEYS):
            raise ValueError(f"no such key: {sorted(unknown)}")
        where, bound = self._in(scope)
        keys = ", ".join(CDN_KEYS[name] for name in by)
        group = ", ".join(str(n + 1) for n in range(len(by)))
        rows = self._all(
            f"SELECT {keys}{',' if keys else ''} count(*), sum(bytes), sum(origin_bytes),"  # noqa: S608
            " sum(status >= 500), sum(origin_shield), count(origin_shield), sum(response_us),"
            f" count(response_us) FROM cdn_requests WHERE {where}"
            + (f" GROUP BY {group} ORDER BY {group}" if group else ""),
            bound,
        )
        return columns_of(rows, [*by, "requests", "bytes", "origin_bytes", "errors", "shielded",
                                 "shield_known", "response_sum_us", "response_count"])  # fmt: skip

    # ---- SQL

    def _words(self) -> Words:
        return SqliteWords()

    def _asked(self, sql: str, ask: Ask) -> list[Any]:
        return self._all(sql, ask.values)

    def _counters(self) -> frozenset[str]:
        return self._columns

    @staticmethod
    def _keys(by: Sequence[str]) -> list[str]:
        if unknown := set(by) - set(KEYS):
            raise ValueError(f"no such key: {sorted(unknown)}")
        return list(by)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """What SQLite says against a question, in one line."""
        try:
            yield
        except sqlite3.Error as error:
            raise DamagedCapture(self.path, None, f"cannot be read: {error}") from error

    def _all(self, sql: str, bound: Bound) -> list[Any]:
        with self._said():
            return self._db.execute(sql, bound).fetchall()

    def _each(self, sql: str, bound: Bound) -> Iterator[Any]:
        with self._said():
            yield from self._db.execute(sql, bound)
