"""Opens a store for reading, whichever database a URL names."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from urllib.parse import urlsplit

from sensor.errors import UsageError
from sensor.store.hour_cache import HourCache
from sensor.store.reading import ReadingStore
from sensor.store.sqlite_reading import SqliteReading

# scheme: module and class; imported when asked for, since each needs its own client library
ELSEWHERE = {
    "postgresql": ("sensor.store.postgres_reading", "PostgresReading"),
    "postgres": ("sensor.store.postgres_reading", "PostgresReading"),
    "clickhouse": ("sensor.store.clickhouse_reading", "ClickhouseReading"),
    "clickhouses": ("sensor.store.clickhouse_reading", "ClickhouseReading"),
    "chdb": ("sensor.store.clickhouse_reading", "ClickhouseReading"),
}


Opener = Callable[[], ReadingStore]


def opener(url: str) -> Opener:
    """Opens the store that `url` names, as often as it is called; readers share what they keep.

    A path, sqlite:///path, postgresql://... or clickhouse://... UsageError: no such kind of store,
    or its client is not installed. InputMissing and DamagedCapture: see open_reader().
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme in ("", "sqlite"):
        path = url.removeprefix("sqlite://") if scheme else url
        return partial(SqliteReading, path, HourCache())
    if scheme not in ELSEWHERE:
        known = ", ".join(["a path", "sqlite:///path", *(f"{name}://" for name in ELSEWHERE)])
        raise UsageError(f"no store of the kind {scheme}://: give {known}")
    module, name = ELSEWHERE[scheme]
    try:
        made: Callable[[str], ReadingStore] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{scheme}:// needs a package that is missing: {error.name}") from error
    return partial(made, url)


def open_reading(url: str) -> ReadingStore:
    """One reader of the store that `url` names; see opener()."""
    return opener(url)()
