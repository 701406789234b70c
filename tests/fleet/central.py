"""A central store of each kind, for tests that every kind has to pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensor.store.administration import administration
from tests.fleet.servers import Postgres

KINDS = ("postgresql", "clickhouse")


@contextmanager
def central_store(kind: str, folder: Path, postgres: Callable[[], Postgres]) -> Iterator[str]:
    """An empty store; its URL. One of ClickHouse's at a time: the engine is in this process."""
    if kind == "postgresql":
        url = postgres().database("central")
        administration(url).init(url)
        yield url
        return
    pytest.importorskip("chdb", reason="no ClickHouse engine: pip install chdb")
    url = f"chdb://{folder / 'chdb'}"
    administration(url).init(url)
    yield url
