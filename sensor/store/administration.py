"""Makes, upgrades and tidies up a central store, whichever database a URL names."""

from importlib import import_module
from typing import Protocol
from urllib.parse import urlsplit

from sensor.errors import UsageError

# scheme: module; imported when asked for, since each needs its own client library
KINDS = {
    "postgresql": "sensor.store.postgres",
    "postgres": "sensor.store.postgres",
    "clickhouse": "sensor.store.clickhouse",
    "clickhouses": "sensor.store.clickhouse",
    "chdb": "sensor.store.clickhouse",
}


class Changed(Protocol):
    """What became of one table."""

    @property
    def table(self) -> str: ...

    @property
    def what(self) -> str: ...


class Administration(Protocol):
    """What the module of a kind offers; UsageError and CannotWrite say why it cannot be done."""

    def init(self, url: str) -> None: ...

    def upgrade(self, url: str) -> list[Changed]: ...

    def maintain(self, url: str) -> list[Changed]: ...


def administration(url: str) -> Administration:
    """UsageError: no such kind of store, or its client is not installed."""
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme not in KINDS:
        known = ", ".join(f"{name}://" for name in KINDS)
        raise UsageError(f"a central store is one of {known}; a SQLite file needs none of this")
    try:
        found: Administration = import_module(KINDS[scheme])
    except ModuleNotFoundError as error:
        package = f"{error.name}: pip install 'shadower-sensor[fleet]'"
        raise UsageError(f"{scheme}:// needs a package that is not installed: {package}") from error
    return found
