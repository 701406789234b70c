"""To ClickHouse: one INSERT for each batch, with a token that names it.

On return from send() the server has synced the part that it made. A row that came before is
replaced by its like; see sensor.store.clickhouse_sql for why nothing depends on tokens.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import time_ns
from typing import Any
from uuid import UUID

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError

from sensor.ship.destination import Batch, Refused, Row, Unavailable
from sensor.ship.outbox import TABLES
from sensor.ship.rows import slots_in, without_runs
from sensor.ship.urls import public
from sensor.store.central import (
    AGENTS,
    HEALTH,
    HISTOGRAMS,
    HOURS,
    METRICS,
    SLOTS,
    Field,
    Table,
    tables,
)
from sensor.store.clickhouse import columns_of, connect, said
from sensor.store.clickhouse_sql import RUNS, extra, name_of, stored, type_of
from sensor.store.hours import HOUR_US
from sensor.store.sqlite_words import tens

OVER_US = 2 * HOUR_US  # after which an hour is taken to be whole
SEQ_BITS = 22
ELSEWHERE = """
    SELECT toString(agent_id), toString(boot_id) FROM agents FINAL
    WHERE boot_id IN {boots:Array(UUID)} AND store_id <> {store:UUID}
"""


class ClickhouseDestination:
    """See destination.Destination. Connects when there is something to send."""

    tables = TABLES

    def __init__(self, url: str) -> None:
        self.name = public(url)
        self._url = url
        self._client: Client | None = None
        self._columns: dict[str, set[str]] = {}
        self._replayed: set[Row] = set()  # runs of old captures
        self._elsewhere: set[Row] = set()

    def send(self, batch: Batch) -> None:
        """See destination.Destination."""
        with self._explained():
            client = self._connected()
            if batch.table == AGENTS:
                batch = self._own(client, batch)
            batch = without_runs(batch, self._elsewhere)
            if not batch.rows:
                return
            table = tables()[batch.table]
            names, columns, types = self._prepared(table, batch)
            known = self._columns.get(table.name, set())
            parts = [part for part in zip(names, columns, types, strict=True) if part[0] in known]
            token = batch.key if batch.upto and table.name != HOURS else ""
            insert(client, table.name, token, *zip(*parts, strict=True))
            if table.name in (METRICS, HEALTH) or (table.name == HOURS and batch.upto):
                self._learn(client, table, batch)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Client:
        if self._client is None:
            client = connect(self._url)
            self._columns = columns_of(client)
            if RUNS not in self._columns:
                client.close()
                raise Unavailable(f"{self.name}: no store there: `sensor store init`")
            self._client = client
        return self._client

    def _own(self, client: Client, batch: Batch) -> Batch:
        """Runs, with their database; those that came from another one are there already."""
        agent, boot, source = (batch.columns.index(n) for n in ("agent_id", "boot_id", "source"))
        runs = {(row[agent], row[boot]): row for row in batch.rows}
        self._replayed |= {run for run, row in runs.items() if row[source] == "replay"}
        found = client.query(
            ELSEWHERE, parameters={"boots": [str(b) for _, b in runs], "store": batch.store}
        )
        self._elsewhere |= {tuple(row) for row in found.result_rows} & runs.keys()
        columns = (*batch.columns, "store_id")
        return Batch(batch.store, AGENTS, columns, [(*row, batch.store) for row in batch.rows])

    def _prepared(self, table: Table, batch: Batch) -> tuple[list[str], list[Any], list[str]]:
        """Names, columns and types, as the client library takes them."""
        given = dict(zip(batch.columns, zip(*batch.rows, strict=True), strict=True))
        for name in HISTOGRAMS & given.keys():
            given[SLOTS[0]] = tuple(slots_in(value) for value in given[name])
        fields = [one for one in stored(table) if one.name in given]
        names = [name_of(one) for one in fields]
        columns = [taken(one, given[one.name]) for one in fields]
        types = [plain(type_of(table, one)) for one in fields]
        more = extra(table)
        if "replayed" in more:
            runs = zip(given["agent_id"], given["boot_id"], strict=True)
            agents = {agent for agent, _ in self._replayed}
            of_cdn = table.name == "cdn_requests"  # which belongs to no run
            columns.append(
                [int(run[0] in agents if of_cdn else run in self._replayed) for run in runs]
            )
            names.append("replayed")
            types.append("UInt8")
        if "version" in more:
            columns.append([newness(*row) for row in zip(
                given["updated_at"], given["detected_at"], given["seq"], strict=True)])  # fmt: skip
            names.append("version")
            types.append("UInt64")
        if table.name == AGENTS:
            names.append("heard_at")
            columns.append([datetime.now(UTC)] * len(batch.rows))
            types.append("Nullable(DateTime64(6, 'UTC'))")
        return names, columns, types

    def _learn(self, client: Client, table: Table, batch: Batch) -> None:
        """The length of a run's windows; up to when its hours are whole."""
        agent, boot = (batch.columns.index(name) for name in ("agent_id", "boot_id"))
        which = batch.columns.index("hour" if table.name == HOURS else "window_s")
        most: dict[Row, int] = {}
        for row in batch.rows:
            run, value = (row[agent], row[boot]), int(str(row[which]))
            most[run] = max(value, most.get(run, 0))
        runs = list(most)
        if table.name == HOURS:
            over = time_ns() // 1000 - OVER_US
            values = [moment(h + HOUR_US if h < over else h) for h in most.values()]
            windows, until = [0] * len(runs), values
        else:
            windows, until = list(most.values()), [moment(0)] * len(runs)
        insert(
            client, RUNS, "", ["agent_id", "boot_id", "window_s", "hours_until"],
            [[UUID(str(a)) for a, _ in runs], [UUID(str(b)) for _, b in runs], windows, until],
            ["UUID", "UUID", "Int64", "DateTime64(6, 'UTC')"],
        )  # fmt: skip

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (DataError, ValueError, TypeError, OverflowError) as error:
            raise Refused(f"{self.name}: {said(error)}") from error
        except (ClickHouseError, OSError) as error:
            self.close()
            raise Unavailable(f"{self.name}: {said(error)}") from error


def insert(
    client: Client,
    table: str,
    token: str,
    names: Sequence[str],
    columns: Sequence[Any],
    types: Sequence[str],
) -> None:
    """Column by column; rows of a token that was used lately are not written again."""
    client.insert(
        table,
        columns,
        column_names=names,
        column_type_names=types,
        column_oriented=True,
        settings={"insert_deduplication_token": token} if token else {},
    )


def plain(kind: str) -> str:
    """Of a SimpleAggregateFunction the type that is inserted."""
    if kind.startswith("SimpleAggregateFunction("):
        return kind.removesuffix(")").partition(", ")[2]
    return kind


def taken(one: Field, values: Sequence[Any]) -> Any:
    """A column of SQLite's as the client library takes it."""
    if one.kind == "uuid":
        known = {value: UUID(value) for value in set(values)}
        return [known[value] for value in values]
    if one.kind == "time":
        return [None if value is None else moment(value) for value in values]
    if one.kind == "tens":
        return tens(values).tolist()
    return list(values)


def moment(us: int) -> datetime:
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


def newness(updated_at: int | None, detected_at: int, seq: int) -> int:
    """Of two states of an event the newer has the larger: by time, then by number."""
    at = max(detected_at if updated_at is None else updated_at, 0)
    return (at // 1000 << SEQ_BITS) | (seq & (1 << SEQ_BITS) - 1)
