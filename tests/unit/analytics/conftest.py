from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.store.sqlite_reading import SqliteReading
from tests.traffic.history import PLAIN, TRUTH, Planted, write


def stored(folder: Path, planted: Planted) -> Iterator[SqliteReading]:
    path = str(folder / "history.db")
    write(path, planted)
    store = SqliteReading(path)
    yield store
    store.close()


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteReading]:
    """Sixty days with everything of TRUTH in them."""
    yield from stored(tmp_path_factory.mktemp("history"), TRUTH)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteReading]:
    """Sixty days of noise about 20 Mbps."""
    yield from stored(tmp_path_factory.mktemp("plain"), PLAIN)
