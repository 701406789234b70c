# ruff: noqa: S608 - names are ours, values are bound
"""A central store in ClickHouse as analytics read it: central_reading in ClickHouse's words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import time_ns
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sensor.errors import DamagedCapture, InputMissing
from sensor.model.rows import AgentRow
from sensor.store.central import METRICS
from sensor.store.central_reading import SLOTS, CentralReading, Dialect
from sensor.store.clickhouse import connect, place, said, version
from sensor.store.clickhouse_sql import RUNS, quoted
from sensor.store.dialect import Ask
from sensor.store.reading import Closed, Scope

SETTLED_US = 2_000_000  # after which no row comes in with an earlier stamp
TYPES = {
    "time": "Int64", "integer": "Int64", "text": "String", "uuid": "UUID",
    "texts": "Array(String)", "uuids": "Array(UUID)",
    "times": "Array(Int64)",
}  # fmt: skip


class ClickhouseAsk(Ask):
    def mark(self, name: str, kind: str) -> str:
        placeholder = f"{{{name}:{TYPES[kind]}}}"
        return f"fromUnixTimestamp64Micro({placeholder}, 'UTC')" if kind == "time" else placeholder

    def value(self, value: Any, kind: str) -> object:
        return value


class ClickhouseDialect(Dialect):
    ask = ClickhouseAsk

    def table(self, name: str) -> str:
        return f"{quoted(name)} AS t FINAL"

    def micros(self, time: str) -> str:
        return f"toUnixTimestamp64Micro({time})"

    def step(self, time: str, step_s: int) -> str:
        us = step_s * 1_000_000
        return f"intDiv({self.micros(time)}, {us}) * {us}"

    def real(self, number: str) -> str:
        return f"toFloat64({number})"

    def whole(self, number: str) -> str:
        return f"toInt64({number})"

    def text(self, column: str) -> str:
        return f"toString({column})"

    def among(self, column: str, mark: str) -> str:
        return f"{column} IN {mark}"

    def within(self, column: str, query: str) -> str:
        return f"{column} GLOBAL IN ({query})"

    def pairs(self, agents: str, times: str) -> str:
        return (
            "SELECT pair.1 AS agent_id, fromUnixTimestamp64Micro(pair.2, 'UTC') AS newest"
            f" FROM (SELECT arrayJoin(arrayZip({agents}, {times})) AS pair)"
        )

    def newest(self, table: str, who: str, seconds: int) -> str:
        # A join's condition does not choose what is read of a table; agents and their days do.
        begin = f"w.newest - INTERVAL {seconds} SECOND"
        days = " UNION ALL ".join(
            f"SELECT w.agent_id, toDate({time}) FROM ({who}) AS w" for time in ("w.newest", begin)
        )
        return (
            f"{quoted(table)} AS t FINAL GLOBAL INNER JOIN ({who}) AS w ON t.agent_id = w.agent_id"
            f" WHERE (t.agent_id, toDate(t.timestamp)) GLOBAL IN ({days})"
            f" AND t.timestamp <= w.newest AND t.timestamp > {begin}"
        )

    def column(self, name: str, kind: str) -> str:
        if kind == "time":
            return self.micros(name)
        return self.text(name) if kind == "uuid" else name

    def usual(self, condition: str) -> str:
        return (
            "(t.agent_id, t.boot_id, t.window_s) GLOBAL IN"
            f" (SELECT agent_id, boot_id, window_s FROM {RUNS} FINAL WHERE {condition})"
        )

    def slots(self, keys: Sequence[str], source: str) -> str:
        names = ", ".join(keys)
        return (
            f"SELECT {names}, slot.1, slot.2 FROM (SELECT {names}, sumMap(slots) AS merged"
            f" FROM (SELECT {source.replace(SLOTS, 't.slots AS slots')}) GROUP BY {names})"
            " ARRAY JOIN CAST(merged, 'Array(Tuple(UInt32, UInt64))') AS slot ORDER BY slot.1"
        )


class ClickhouseReading(CentralReading):
    """InputMissing: it cannot be reached, now or later. DamagedCapture: no store of the sensor."""

    def __init__(self, url: str) -> None:
        super().__init__(ClickhouseDialect())
        self.place = place(url)
        with self._said():
            self._client: Client = connect(url)
            found = version(self._client)
        if found is None:
            self.close()
            raise DamagedCapture(self.place, None, "no store there: `sensor store init`")

    def close(self) -> None:
        self._client.close()

    def closed(self, after: int | None, limit: int) -> tuple[int, list[Closed]]:
        """The cursor is the time of arrival, two seconds ago: by then all before it are there."""
        newest = time_ns() // 1000 - SETTLED_US
        if after is None or newest <= after:
            return newest, []
        ask = ClickhouseAsk()
        since, until = ask.bind(after, "time"), ask.bind(newest, "time")
        micros = self.dialect.micros
        rows = self._all(
            f"SELECT toString(agent_id), {micros('timestamp')}, window_s, {micros('came_in')}"
            f" FROM {self.dialect.table('capture_health')} WHERE came_in >= {since}"
            f" AND came_in < {until} ORDER BY came_in LIMIT {int(limit)} WITH TIES",
            ask,
        )
        last = rows[-1][3] + 1 if len(rows) >= limit else newest
        return last, sorted((Closed(*row[:3]) for row in rows), key=lambda w: w.timestamp)

    def _runs(self, workspace_id: str | None, agent_ids: Sequence[str] = ()) -> list[AgentRow]:
        ask = ClickhouseAsk()
        where = self._whose(ask, workspace_id, agent_ids or None)
        rows = self._all(
            f"SELECT {self._selected(AgentRow._fields, 'agents')}"
            f" FROM {self.dialect.table('agents')} WHERE {where}",
            ask,
        )
        runs = [AgentRow._make(row) for row in rows]
        return sorted(runs, key=lambda run: (run.last_packet or 0, run.agent_id, run.boot_id))

    def _settled(self, agents: Sequence[str]) -> Mapping[str, int]:
        ask = ClickhouseAsk()
        which = self.dialect.among("agent_id", ask.bind(agents, "uuids"))
        rows = self._all(
            f"SELECT toString(agent_id), {self.dialect.micros('max(hours_until)')}"
            f" FROM {RUNS} WHERE {which} GROUP BY agent_id",
            ask,
        )
        return dict(rows)

    def _oldest(self, scope: Scope) -> Mapping[str, int]:
        ask = ClickhouseAsk()
        rows = self._all(
            f"SELECT toString(t.agent_id), {self.dialect.micros('min(t.timestamp)')}"
            f" FROM {quoted(METRICS)} AS t WHERE {self._in(ask, scope)} GROUP BY t.agent_id",
            ask,
        )
        return dict(rows)

    # ---- the connection

    def _all(self, sql: str, ask: Ask | None = None) -> list[Any]:
        with self._said():
            return list(self._client.query(sql, parameters=ask.values if ask else None).result_rows)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """What the server says against a question, in one line."""
        try:
            yield
        except OSError as error:
            raise InputMissing(self.place, said(error)) from error
        except ClickHouseError as error:
            if "Code: " in str(error):  # the server answered
                raise DamagedCapture(self.place, None, said(error)) from error
            raise InputMissing(self.place, said(error)) from error
