"""Events and connections in Elastic Common Schema, one JSON object per line, appended to a file
that Filebeat, Vector, Fluent Bit ... read: ndjson:///var/log/sensor/ecs.ndjson

A batch is synced before it counts as arrived. A file has no keys: after a crash, lines may come
again; `event.id` (with `event.sequence` for an event that changed) says which.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from sensor.errors import UsageError, one_line
from sensor.model.rows import ConnectionRow, SecurityEventRow
from sensor.ship.destination import Batch, Row, Unavailable
from sensor.ship.ecs import connection_document, ecs_document
from sensor.ship.urls import public, split

EVENTS = "network_security_events"
CONNECTIONS = "connections"


class NdjsonDestination:
    """See destination.Destination. The file is opened for each batch, so it may be rotated."""

    tables = frozenset((EVENTS, CONNECTIONS))

    def __init__(self, url: str) -> None:
        self.name = public(url)
        self._path = unquote(split(url).path)
        if not self._path.strip("/"):
            raise UsageError("where to? ndjson:///var/log/sensor/ecs.ndjson")

    def send(self, batch: Batch) -> None:
        """See destination.Destination."""
        make = documents(batch)
        lines = "".join(
            json.dumps(make(row), separators=(",", ":"), allow_nan=False) + "\n"
            for row in batch.rows
        )
        try:
            append(self._path, lines.encode())
        except OSError as error:
            raise Unavailable(one_line(f"{self._path}: {error.strerror}".lower())) from error

    def close(self) -> None:
        pass


def append(path: str, octets: bytes) -> None:
    """All of it or nothing, and synced; a line that a crash tore is ended first."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    with open(os.open(path, flags, 0o640), "r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END) if file.seekable() else 0
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                octets = b"\n" + octets
        try:
            left = memoryview(octets)
            while left:
                left = left[file.write(left) :]
            with suppress(OSError):  # a pipe or a terminal cannot
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


def documents(batch: Batch) -> Callable[[Row], dict[str, Any]]:
    """What makes a row of this batch a document."""
    fields = (SecurityEventRow if batch.table == EVENTS else ConnectionRow)._fields
    at = [batch.columns.index(name) for name in fields]
    seq = batch.columns.index("seq")

    def event(row: Row) -> dict[str, Any]:
        return ecs_document(SecurityEventRow._make(row[i] for i in at), int(str(row[seq])))

    def connection(row: Row) -> dict[str, Any]:
        return connection_document(ConnectionRow._make(row[i] for i in at), int(str(row[seq])))

    return event if batch.table == EVENTS else connection
