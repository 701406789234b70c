"""The central store in ClickHouse: made, upgraded, kept tidy. Its SQL is in clickhouse_sql.

clickhouse://user@host:8123/database, clickhouses:// with TLS, chdb:///folder for the engine within
this process (to try it out; one process at a time).
`?cluster=NAME` when the store is made: replicated and distributed tables on all servers of that
cluster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sensor.errors import CannotWrite, UsageError, one_line
from sensor.store.central import VERSION, tables
from sensor.store.clickhouse_sql import columns, name_of, quoted, schema, stored
from sensor.store.hosts import is_local

CONNECT_S = 10
ANSWER_S = 120
CHDB = "chdb"
SETTINGS = {
    "do_not_merge_across_partitions_select_final": 1,
    "final": 0,
    "insert_deduplicate": 1,
    "distributed_foreground_insert": 1,  # an acknowledgement means that the shard has it
    "async_insert": 0,
    "max_partitions_per_insert_block": 0,
    "union_default_mode": "ALL",
}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one table."""

    table: str
    what: str


def split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise UsageError("not a ClickHouse URL: clickhouse://user@host:port/database") from None
    return parts


def connect(url: str) -> Client:
    """A client that neither hangs nor sends a password in clear to another host, unless the URL
    says `?plaintext=yes`. ClickHouseError; UsageError: no such URL."""
    parts = split(url)
    wanted = parse_qs(parts.query)
    known = {"cluster"} if parts.scheme == CHDB else {"cluster", "plaintext"}
    if unknown := set(wanted) - known:
        raise UsageError(one_line(f"a ClickHouse URL knows no {sorted(unknown)[0]}="))
    if parts.scheme == CHDB:
        client = clickhouse_connect.get_client(interface=CHDB, path=parts.path)
        for name, value in SETTINGS.items():
            client.set_client_setting(name, value)
        return client
    secure = parts.scheme == "clickhouses"
    host = parts.hostname or "localhost"
    if not secure and not is_local(host) and wanted.get("plaintext") != ["yes"]:
        raise UsageError("in clear to another host: clickhouses://, or ?plaintext=yes")
    return clickhouse_connect.get_client(
        host=host,
        port=parts.port or (8443 if secure else 8123),
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=parts.path.strip("/") or "default",
        secure=secure,
        connect_timeout=CONNECT_S,
        send_receive_timeout=ANSWER_S,
        query_retries=0,
        autogenerate_session_id=False,
        settings=SETTINGS,
    )


def cluster_of(url: str) -> str:
    """UsageError: no name that SQL could take."""
    name: str = (parse_qs(split(url).query).get("cluster") or [""])[0]
    if name and not name.replace("_", "").replace("-", "").isalnum():
        raise UsageError("no name of a cluster")
    return name


def init(url: str) -> None:
    """Make the tables; UsageError when there are some. CannotWrite."""
    with opened(url) as client:
        if version(client) is not None:
            raise UsageError("there is a store already: `sensor store upgrade`")
        build(client, cluster_of(url))


def upgrade(url: str) -> list[Done]:
    """Add what a newer sensor has; UsageError when there is no store. CannotWrite."""
    with opened(url) as client:
        found = version(client)
        if found is None:
            raise UsageError("there is no store: `sensor store init`")
        if found > VERSION:
            raise UsageError(f"made by a newer sensor (version {found}, this one knows {VERSION})")
        return build(client, cluster_of(url))


def maintain(url: str) -> list[Done]:
    """ClickHouse merges and drops by itself: there is nothing to do."""
    with opened(url) as client:
        if version(client) is None:
            raise UsageError("there is no store: `sensor store init`")
    return []


def build(client: Client, cluster: str) -> list[Done]:
    """All that is missing."""
    there = columns_of(client)
    done = []
    on = f" ON CLUSTER '{cluster}'" if cluster else ""
    for table in tables().values():
        if table.name not in there:
            continue
        definitions = dict(zip(map(name_of, stored(table)), columns(table), strict=False))
        for name, definition in definitions.items():
            if name not in there[table.name]:
                for target in (f"{table.name}_local", table.name) if cluster else (table.name,):
                    client.command(f"ALTER TABLE {quoted(target)}{on} ADD COLUMN {definition}")
                done.append(Done(table.name, f"added {name}"))
    for statement in schema(cluster):
        client.command(statement)
    if version(client) != VERSION:
        client.insert("sensor_schema", [[VERSION]], column_names=["version"])
    return done


def columns_of(client: Client) -> dict[str, set[str]]:
    """By table."""
    found: dict[str, set[str]] = {}
    sql = "SELECT table, name FROM system.columns WHERE database = currentDatabase()"
    for table, name in client.query(sql).result_rows:
        found.setdefault(table, set()).add(name)
    return found


def version(client: Client) -> int | None:
    """Of the central schema; None where there is none."""
    if "sensor_schema" not in columns_of(client):
        return None
    rows: list[Any] = client.query("SELECT max(version) FROM sensor_schema").result_rows  # type: ignore[assignment]
    return int(rows[0][0])


@contextmanager
def opened(url: str) -> Iterator[Client]:
    """For an administrator's command."""
    try:
        client = connect(url)
        try:
            yield client
        finally:
            client.close()
    except ClickHouseError as error:
        raise CannotWrite(f"{place(url)}: {said(error)}") from error
    except UsageError as error:
        raise UsageError(f"{place(url)}: {error}") from error


def place(url: str) -> str:
    """host/database, as it may be shown."""
    parts = split(url)
    return one_line(f"{parts.netloc.rpartition('@')[2]}{parts.path}")


def said(error: Exception) -> str:
    """What the server says, in one line; it never has the password in it."""
    text = str(error) or type(error).__name__
    return one_line(f"ClickHouse: {' '.join(text.split())}")[:500]
