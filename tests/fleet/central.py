"""A central store of each kind, for tests that every kind has to pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensor.store.administration import administration
from tests.fleet.servers import Postgres
from tests.fleet.zookeeper import zookeeper

KINDS = ("postgresql", "clickhouse", "clickhouse-cluster")
CLUSTER = """\
<clickhouse>
  <zookeeper><node><host>127.0.0.1</host><port>{port}</port></node></zookeeper>
  <tcp_port>9000</tcp_port>
  <macros><shard>1</shard><replica>one</replica></macros>
  <interserver_http_host>127.0.0.1</interserver_http_host>
  <interserver_http_port>9009</interserver_http_port>
  <remote_servers><fleet><shard>
    <internal_replication>true</internal_replication>
    <replica><host>127.0.0.1</host><port>9000</port></replica>
  </shard></fleet></remote_servers>
</clickhouse>
"""  # the port of the engine itself, which listens nowhere: it takes that replica for itself


@contextmanager
def central_store(kind: str, folder: Path, postgres: Callable[[], Postgres]) -> Iterator[str]:
    """An empty store; its URL. One of ClickHouse's at a time: the engine is in this process.

    `clickhouse-cluster`: the tables of a cluster, replicated by way of a real ZooKeeper, and all
    questions through Distributed tables; it has one node. The engine within this process has no
    queue for ON CLUSTER, so each statement is given to that node itself.
    """
    if kind == "postgresql":
        url = postgres().database("central")
        administration(url).init(url)
        yield url
        return
    pytest.importorskip("chdb", reason="no ClickHouse engine: pip install chdb")
    url = f"chdb://{folder / 'chdb'}"
    if kind == "clickhouse":
        administration(url).init(url)
        yield url
        return
    with zookeeper() as port:
        configuration = folder / "cluster.xml"
        configuration.write_text(CLUSTER.format(port=port))
        url = f"{url}?config-file={configuration}"
        with pytest.MonkeyPatch.context() as patch:
            from sensor.store import clickhouse  # noqa: PLC0415 - its client may be missing

            patch.setattr(clickhouse, "schema", lambda _: on_this_node("fleet"))
            clickhouse.init(url)
        yield url


def on_this_node(cluster: str) -> Iterator[str]:
    from sensor.store.clickhouse_sql import schema  # noqa: PLC0415

    for statement in schema(cluster):
        yield statement.replace(f" ON CLUSTER '{cluster}'", "")
