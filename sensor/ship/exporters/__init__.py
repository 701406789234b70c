"""The list of destinations: each is one file, and is imported when a URL asks for it."""

from importlib import import_module

from sensor.errors import UsageError
from sensor.ship.destination import Destination
from sensor.ship.urls import split

# scheme: (module, class)
EXPORTERS = {
    "postgresql": ("sensor.ship.exporters.postgres", "PostgresDestination"),
    "postgres": ("sensor.ship.exporters.postgres", "PostgresDestination"),
    "clickhouse": ("sensor.ship.exporters.clickhouse", "ClickhouseDestination"),
    "clickhouses": ("sensor.ship.exporters.clickhouse", "ClickhouseDestination"),
    "ndjson": ("sensor.ship.exporters.ndjson", "NdjsonDestination"),
    "otlp+http": ("sensor.ship.exporters.otlp", "OtlpDestination"),
    "otlp+https": ("sensor.ship.exporters.otlp", "OtlpDestination"),
    "chdb": ("sensor.ship.exporters.clickhouse", "ClickhouseDestination"),
}


def open_destination(url: str) -> Destination:
    """UsageError: no such kind, or its client is not installed. Nothing is connected yet."""
    scheme = split(url).scheme
    if scheme not in EXPORTERS:
        known = ", ".join(f"{name}://" for name in EXPORTERS)
        raise UsageError(f"no destination of the kind {scheme}://: there are {known}")
    module, name = EXPORTERS[scheme]
    try:
        made: Destination = getattr(import_module(module), name)(url)
    except ModuleNotFoundError as error:
        package = f"{error.name}: pip install 'shadower-sensor[fleet]'"
        raise UsageError(f"{scheme}:// needs a package that is not installed: {package}") from error
    return made
