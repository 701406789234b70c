# ruff: noqa: S608 - names are ours, values are bound
"""A central store in PostgreSQL as analytics read it: central_reading in PostgreSQL's words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import Connection

from sensor.errors import DamagedCapture, InputMissing
from sensor.model.rows import AgentRow
from sensor.store.central import METRICS
from sensor.store.central_reading import SLOTS, CentralReading, Dialect
from sensor.store.dialect import Ask
from sensor.store.postgres import connect, place, said, version
from sensor.store.postgres_sql import quoted
from sensor.store.reading import Closed, Scope

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
CASTS = {
    "time": "TIMESTAMPTZ", "integer": "BIGINT", "text": "TEXT", "uuid": "UUID", "texts": "TEXT[]",
    "uuids": "UUID[]", "times": "TIMESTAMPTZ[]",
}  # fmt: skip


class PostgresAsk(Ask):
    def mark(self, name: str, kind: str) -> str:
        return f"%({name})s::{CASTS[kind]}"

    def value(self, value: Any, kind: str) -> object:
        if kind == "times":
            return [moment(us) for us in value]
        return moment(value) if kind == "time" else value


class PostgresDialect(Dialect):
    ask = PostgresAsk
    text_order = ' COLLATE "C"'

    def table(self, name: str) -> str:
        return f"{quoted(name)} AS t"

    def micros(self, time: str) -> str:
        return f"(extract(epoch FROM {time}) * 1000000)::BIGINT"  # exact: it is NUMERIC

    def step(self, time: str, step_s: int) -> str:
        return self.micros(f"date_bin('{step_s} seconds', {time}, 'epoch')")

    def real(self, number: str) -> str:
        return f"({number})::FLOAT8"

    def whole(self, number: str) -> str:
        return f"({number})::BIGINT"

    def text(self, column: str) -> str:
        return f"{column}::TEXT"

    def among(self, column: str, mark: str) -> str:
        return f"{column} = ANY({mark})"

    def within(self, column: str, query: str) -> str:
        return f"{column} IN ({query})"

    def pairs(self, agents: str, times: str) -> str:
        return f"SELECT * FROM unnest({agents}, {times}) AS pair(agent_id, newest)"

    def newest(self, table: str, who: str, seconds: int) -> str:
        # OFFSET 0 keeps it one look into the index per agent, in the partitions of its time:
        # without bounds known beforehand a join would read them all.
        return (
            f"({who}) AS w CROSS JOIN LATERAL (SELECT * FROM {quoted(table)} AS h"
            " WHERE h.agent_id = w.agent_id AND h.timestamp <= w.newest"
            f" AND h.timestamp > w.newest - INTERVAL '{seconds} seconds' OFFSET 0) AS t WHERE TRUE"
        )

    def column(self, name: str, kind: str) -> str:
        if kind == "time":
            return self.micros(name)
        if kind in ("uuid", "json"):
            return self.text(name)
        if kind == "address":
            return f"host({name})"
        return f"{name}::INTEGER" if kind == "flag" else name

    def usual(self, condition: str) -> str:
        return (
            "(t.agent_id, t.boot_id, t.window_s) IN"
            f" (SELECT agent_id, boot_id, window_s FROM agents WHERE {condition})"
        )

    def slots(self, keys: Sequence[str], source: str) -> str:
        # Unnested in the row's own scope, after all that leaves rows out.
        names = ", ".join(keys)
        return (
            f"SELECT {names}, slot.us, sum(slot.n)::BIGINT FROM (SELECT"
            f" {source.replace(SLOTS, 't.slot_us, t.slot_n')}) AS t,"
            f" unnest(slot_us, slot_n) AS slot(us, n) GROUP BY {names}, slot.us ORDER BY slot.us"
        )


class PostgresReading(CentralReading):
    """InputMissing: it cannot be reached, now or later. DamagedCapture: no store of the sensor."""

    def __init__(self, url: str) -> None:
        super().__init__(PostgresDialect())
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

    def closed(self, after: int | None, limit: int) -> tuple[int, list[Closed]]:
        """The cursor is the number of a transaction: rows of many hosts have no common order."""
        newest = int(
            self._all("SELECT pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT")[0][0]
        )
        if after is None or newest <= after:
            return newest, []
        ask = PostgresAsk()
        since, until = ask.bind(after, "integer"), ask.bind(newest, "integer")
        rows = self._all(
            f"SELECT agent_id::TEXT, {self.dialect.micros('timestamp')}, window_s, came_in"
            f" FROM capture_health WHERE came_in >= {since} AND came_in < {until}"
            f" ORDER BY came_in FETCH FIRST {int(limit)} ROWS WITH TIES",
            ask,
        )
        last = rows[-1][3] + 1 if len(rows) >= limit else newest
        return last, sorted((Closed(*row[:3]) for row in rows), key=lambda w: w.timestamp)

    def _runs(self, workspace_id: str | None, agent_ids: Sequence[str] = ()) -> list[AgentRow]:
        ask = PostgresAsk()
        where = self._whose(ask, workspace_id, agent_ids or None)
        rows = self._all(
            f"SELECT {self._selected(AgentRow._fields, 'agents')} FROM agents AS t WHERE {where}"
            " ORDER BY coalesce(last_packet, 'epoch'), agent_id, boot_id",
            ask,
        )
        return [AgentRow._make(row) for row in rows]

    def _settled(self, agents: Sequence[str]) -> Mapping[str, int]:
        ask = PostgresAsk()
        newest = self.dialect.micros("max(hours_until)")
        rows = self._all(
            f"SELECT agent_id::TEXT, coalesce({newest}, 0) FROM agents"
            f" WHERE {self.dialect.among('agent_id', ask.bind(agents, 'uuids'))} GROUP BY agent_id",
            ask,
        )
        return dict(rows)

    def _oldest(self, scope: Scope) -> Mapping[str, int]:
        """One look into the index for each agent."""
        ask = PostgresAsk()
        who = ask.bind(self._who(scope), "uuids")
        since, until = ask.bind(scope.since, "time"), ask.bind(scope.until, "time")
        rows = self._all(
            f"SELECT w.agent_id::TEXT, {self.dialect.micros('m.oldest')}"
            f" FROM unnest({who}) AS w(agent_id)"
            " CROSS JOIN LATERAL (SELECT min(timestamp) AS oldest"
            f" FROM {METRICS} AS t WHERE t.agent_id = w.agent_id AND t.timestamp >= {since}"
            f" AND t.timestamp < {until}) AS m WHERE m.oldest IS NOT NULL",
            ask,
        )
        return dict(rows)

    # ---- the connection

    def _connected(self) -> Connection:
        if self._db is None or self._db.closed:
            self._db = connect(self._url, readonly=True)
        return self._db

    def _all(self, sql: str, ask: Ask | None = None) -> list[Any]:
        values = ask.values if ask is not None else None
        with self._said():
            try:
                return self._connected().execute(sql.encode(), values).fetchall()
            except psycopg.OperationalError:
                if self._db is None or not self._db.closed:
                    raise
                return self._connected().execute(sql.encode(), values).fetchall()  # once more

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
