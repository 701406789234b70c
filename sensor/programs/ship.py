"""`sensor ship`: rows of the database to where they are wanted, each destination in a thread.

Needs no privilege: it reads and writes one SQLite file, and connects. Passwords come in a file.
"""

import signal
from collections.abc import Callable
from contextlib import closing
from threading import Event, Lock, Thread

import click

from sensor.config import Store
from sensor.errors import CannotWrite, SensorError, UsageError
from sensor.model.text import printable
from sensor.ship.destination import Destination
from sensor.ship.exporters import open_destination
from sensor.ship.outbox import TABLES, Outbox
from sensor.ship.shipper import Shipper
from sensor.ship.urls import (
    default_credentials,
    destinations,
    has_password,
    public,
    read_credentials,
)

DB = Store().path
MOST_DESTINATIONS = 16

EPILOG = """\b
Destinations:
  postgresql://user@host/database     made by `sensor store init`

\b
Every row arrives once, however often the connection breaks: a batch counts as
shipped after the destination has committed it. Rows wait in the database, as
long as its retention lets them; those that it deletes before they were shipped
are named in its table shipping_gaps, here and at the destination.

\b
Passwords belong into a file of URLs, one per line, mode 600:
--credentials-file, or systemd's LoadCredential=ship:FILE. A URL of --to without
one takes it from there; without --to, all of the file are destinations.

\b
Examples:
  sensor ship --to postgresql://sensor@db.example/fleet --once
  sensor ship --credentials-file /etc/sensor/ship --without connections
"""


@click.command(name="ship", short_help="Ship rows to a central store.", epilog=EPILOG)
@click.option("--to", "urls", multiple=True, metavar="URL", help="Destination (repeatable).")
@click.option("--once", is_flag=True, help="What is there now, then end.")
@click.option("--db", metavar="FILE", default=DB, show_default=True, help="The database.")
@click.option(
    "--credentials-file", "file", metavar="FILE", help="URLs with passwords, one per line."
)
@click.option(
    "--without",
    multiple=True,
    metavar="TABLE",
    type=click.Choice(sorted(TABLES - {"agents", "shipping_gaps"})),
    help="Leave out a table, such as connections (repeatable).",
)
@click.option("--forget", is_flag=True, help="Drop the cursors of --to: it is shipped to no more.")
def command(
    urls: tuple[str, ...],
    once: bool,
    db: str,
    file: str | None,
    without: tuple[str, ...],
    forget: bool,
) -> int:
    """Ship until SIGTERM or Ctrl-C; with --once, what is there now.

    Exit status 73: with --once, not all arrived.
    """
    chosen = chosen_urls(urls, file)
    if forget:
        for url in chosen:
            with closing(Outbox(db, public(url), frozenset())) as outbox:
                rows = outbox.forget()
            click.echo(f"{public(url)}: {'forgotten' if rows else 'was not shipped to'}")
        return 0
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    workers = [Worker(db, open_destination(url), frozenset(without), stop) for url in chosen]
    threads = [
        Thread(target=worker.run, args=(once,), name=worker.destination.name) for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # so that signals are seen
            thread.join(0.5)
    failures = [worker.failure for worker in workers if worker.failure is not None]
    for failure in failures[1:]:
        say(str(failure))
    if failures:
        raise failures[0]
    return 0


class Worker:
    """One destination; what went wrong for good is in `failure`."""

    def __init__(
        self, db: str, destination: Destination, without: frozenset[str], stop: Event
    ) -> None:
        self.destination = destination
        self.failure: SensorError | None = None
        self._db = db
        self._tables = destination.tables - without
        self._stop = stop

    def run(self, once: bool) -> None:
        try:
            with (
                closing(Outbox(self._db, self.destination.name, self._tables)) as outbox,
                closing(self.destination),
            ):
                shipper = Shipper(outbox, self.destination, say)
                if once:
                    self._once(outbox, shipper)
                else:
                    shipper.until(self._stop)
        except SensorError as error:
            self.failure = error
            self._stop.set()  # the others end too: the unit is started again as a whole
        except BaseException:
            self._stop.set()
            raise

    def _once(self, outbox: Outbox, shipper: Shipper) -> None:
        try:
            rows = shipper.once()
        except CannotWrite as error:
            outbox.failed(str(error))
            self.failure = error  # the other destinations are not to blame
            return
        say(f"{self.destination.name}: {rows:,} rows")
        if shipper.refused:
            self.failure = CannotWrite(
                f"{self.destination.name}: {shipper.refused:,} rows were refused"
            )


def chosen_urls(urls: tuple[str, ...], file: str | None) -> list[str]:
    """UsageError when there are none, or too many."""
    path = file or default_credentials()
    credentials = read_credentials(path) if path else []
    chosen = destinations(urls, credentials)
    if not chosen:
        raise UsageError("where to? give --to URL or --credentials-file FILE")
    if len(chosen) > MOST_DESTINATIONS:
        raise UsageError(f"at most {MOST_DESTINATIONS} destinations")
    for url in urls:
        if has_password(url):
            say(f"{public(url)}: everybody sees the password of a command line: use a file")
    return chosen


def teller() -> Callable[[str], None]:
    """One line at a time on standard error, from any thread; the journal takes it from there."""
    lock = Lock()

    def tell(text: str) -> None:
        with lock:
            click.echo(f"sensor: {printable(text, 1000)}", err=True)

    return tell


say = teller()
