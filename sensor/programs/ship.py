"""`sensor ship`: rows of the database to where they are wanted, each destination in a thread.

Needs no privilege: it reads and writes one SQLite file, and connects. Passwords come in a file.
"""

import os
import signal
from collections.abc import Callable
from contextlib import closing
from threading import Event, Lock, Thread

import click

from sensor import config as settings_file
from sensor.config import LEFT_OUT, load
from sensor.errors import CannotWrite, SensorError, UsageError
from sensor.model.text import printable
from sensor.ship.cursors import Cursors
from sensor.ship.destination import Destination
from sensor.ship.exporters import open_destination
from sensor.ship.outbox import Outbox
from sensor.ship.shipper import Shipper
from sensor.ship.urls import (
    default_credentials,
    destinations,
    has_password,
    public,
    read_credentials,
)

MOST_DESTINATIONS = 16

EPILOG = """\b
Destinations:
  postgresql://user@host/database     made by `sensor store init`
  clickhouse://user@host/database     likewise; clickhouses:// with TLS
  otlp+http://host:4318               metrics, OpenTelemetry; otlp+https:// with TLS
  ndjson:///var/log/sensor.ndjson     events and connections, Elastic Common Schema

\b
Every row arrives once, however often the connection breaks: a batch counts as
shipped after the destination has committed it. Rows wait in the database, as
long as its retention lets them; those that it deletes before they were shipped
are named in its table shipping_gaps, here and at the destination.

\b
Passwords belong into a file of mode 600, `to = ["URL", ...]` in TOML:
--credentials-file, or systemd's LoadCredential=ship.toml:FILE. A URL without one
takes it from there; without --to and [ship] to, all of the file are destinations.

\b
What has arrived is remembered in the database itself; by a service with a state
directory of its own, which may only read the database, in cursors.db there.

\b
Examples:
  sensor ship --to postgresql://sensor@db.example/fleet --once
  sensor ship --credentials-file /etc/sensor/ship.toml --without connections
"""


@click.command(name="ship", short_help="Ship rows to a central store.", epilog=EPILOG)
@click.option("--to", "urls", multiple=True, metavar="URL", help="Destination (repeatable).")
@click.option("--once", is_flag=True, help="What is there now, then end.")
@click.option("--db", metavar="FILE", help="The database.  [default: that of the configuration]")
@click.option("--config", metavar="FILE", help=f"Settings.  [default: {settings_file.PATH}]")
@click.option("--credentials-file", "file", metavar="FILE", help="URLs with passwords, in TOML.")
@click.option("--cursors", metavar="FILE", help="Remember here what has arrived.")
@click.option(
    "--without",
    multiple=True,
    metavar="TABLE",
    type=click.Choice(LEFT_OUT),
    help="Leave out a table, such as connections (repeatable).",
)
@click.option("--forget", is_flag=True, help="Drop the cursors of --to: it is shipped to no more.")
def command(
    urls: tuple[str, ...],
    once: bool,
    db: str | None,
    config: str | None,
    file: str | None,
    cursors: str | None,
    without: tuple[str, ...],
    forget: bool,
) -> int:
    """Ship until SIGTERM or Ctrl-C; with --once, what is there now.

    Exit status 73: with --once, not all arrived.
    """
    settings = load(config)
    chosen = chosen_urls(urls or settings.ship.to, file)
    db = db or settings.store.path
    without = without or settings.ship.without
    cursors = cursors or own_file(db)
    if forget:
        for url in chosen:
            with closing(Cursors(cursors or db, public(url))) as kept:
                rows = kept.forget()
            click.echo(f"{public(url)}: {'forgotten' if rows else 'was not shipped to'}")
        return 0
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    left_out = frozenset(without)
    workers = [Worker(db, cursors, open_destination(url), left_out, stop) for url in chosen]
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
        self,
        db: str,
        cursors: str | None,
        destination: Destination,
        without: frozenset[str],
        stop: Event,
    ) -> None:
        self.destination = destination
        self.failure: SensorError | None = None
        self._db = db
        self._cursors = cursors
        self._tables = destination.tables - without
        self._stop = stop

    def run(self, once: bool) -> None:
        try:
            with (
                closing(
                    Outbox(self._db, self.destination.name, self._tables, self._cursors)
                ) as outbox,
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
            outbox.cursors.failed(str(error))
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
        raise UsageError("where to? give --to URL, [ship] to, or --credentials-file FILE")
    if len(chosen) > MOST_DESTINATIONS:
        raise UsageError(f"at most {MOST_DESTINATIONS} destinations")
    for url in urls:
        if has_password(url):
            say(f"{public(url)}: everybody sees the password of a command line: use a file")
    return chosen


def own_file(db: str) -> str | None:
    """Where a service remembers that has a state directory, and not this database's."""
    folder = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if not folder or os.path.dirname(os.path.abspath(db)) == folder:
        return None
    return os.path.join(folder, "cursors.db")


def teller() -> Callable[[str], None]:
    """One line at a time on standard error, from any thread; the journal takes it from there."""
    lock = Lock()

    def tell(text: str) -> None:
        with lock:
            click.echo(f"sensor: {printable(text, 1000)}", err=True)

    return tell


say = teller()
