"""What the daemon says: to systemd's journal with fields, else one line on standard error.

The journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram of KEY=value lines.
Everything is made printable first: attackers write host names.
"""

import os
import socket
from contextlib import suppress
from enum import IntEnum
from functools import cache

import click

from sensor.model.rows import SecurityEventRow
from sensor.model.text import printable

SOCKET = "/run/systemd/journal/socket"
MOST = 1000  # characters of a value


class Priority(IntEnum):
    """syslog(3)."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


BY_SEVERITY = {
    "critical": Priority.CRITICAL, "high": Priority.ERROR, "medium": Priority.WARNING,
    "low": Priority.NOTICE, "info": Priority.INFO,
}  # fmt: skip


@cache
def journal() -> socket.socket | None:
    """Connected, so that the sandbox need not allow sendto(); None when stderr is no journal."""
    if "JOURNAL_STREAM" not in os.environ:
        return None
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        made.connect(SOCKET)
    except OSError:
        made.close()
        return None
    return made


def say(text: str, priority: Priority = Priority.INFO, **fields: object) -> None:
    """`fields` become SENSOR_<NAME>; None is left out."""
    line = printable(text, MOST)
    if (to := journal()) is None:
        click.echo(f"sensor: {line}", err=True)
        return
    values = {"MESSAGE": line, "PRIORITY": int(priority), "SYSLOG_IDENTIFIER": "sensor"}
    named = {f"SENSOR_{k.upper()}": v for k, v in fields.items() if v is not None}
    lines = [f"{k}={printable(str(v), MOST)}" for k, v in {**values, **named}.items()]
    with suppress(OSError):  # a journal that is being restarted
        os.write(to.fileno(), ("\n".join(lines) + "\n").encode())


def say_error(error: Exception) -> None:
    """What went wrong, in one line."""
    say(str(error) or repr(error), Priority.ERROR)


class EventLog:
    """Says when an event begins, gets worse and ends."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str | None, str | None]] = {}

    def __call__(self, events: list[SecurityEventRow]) -> None:
        for event in events:
            now = event.severity, event.status
            if self._said.get(event.id) == now:
                continue
            if event.status == "resolved":
                self._said.pop(event.id, None)
            else:
                self._said[event.id] = now
            say(
                f"{event.severity} {event.attack_class}: {event.title} ({event.status})",
                BY_SEVERITY.get(event.severity or "", Priority.NOTICE),
                event_id=event.id,
                attack_class=event.attack_class,
                severity=event.severity,
                status=event.status,
                source_ip=event.source_ip,
                destination_ip=event.destination_ip,
                confidence=event.confidence_score,
            )
