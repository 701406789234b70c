"""Opens a store for reading, whichever database a URL names."""

from importlib import import_module
from urllib.parse import urlsplit

from sensor.errors import UsageError
from sensor.store.reading import ReadingStore
from sensor.store.sqlite_reading import SqliteReading

# scheme: module and class; imported when asked for, since each needs its own client library
ELSEWHERE = {
    "postgresql": ("sensor.store.postgres_reading", "PostgresReading"),
    "postgres": ("sensor.store.postgres_reading", "PostgresReading"),
    "clickhouse": ("sensor.store.clickhouse_reading", "ClickhouseReading"),
    "clickhouses": ("sensor.store.clickhouse_reading", "ClickhouseReading"),
}


def open_reading(url: str) -> ReadingStore:
    """A path, sqlite:///path, postgresql://..., or clickhouse://...

    UsageError: no such kind of store, or its client is not installed. InputMissing and
    DamagedCapture: see open_reader().
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme in ("", "sqlite"):
        return SqliteReading(url.removeprefix("sqlite://") if scheme else url)
    if scheme not in ELSEWHERE:
        known = ", ".join(["a path", "sqlite:///path", *(f"{name}://" for name in ELSEWHERE)])
        raise UsageError(f"no store of the kind {scheme}://: give {known}")
    module, name = ELSEWHERE[scheme]
    try:
        opened: ReadingStore = getattr(import_module(module), name)(url)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{scheme}:// needs a package that is not installed: {error.name}"
        ) from error
    return opened
