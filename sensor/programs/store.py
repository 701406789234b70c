"""`sensor store`: the central store that many hosts ship to."""

from collections.abc import Iterable

import click

from sensor.errors import UsageError
from sensor.model.text import printable
from sensor.ship.urls import destinations, has_password, public, read_credentials
from sensor.store.administration import Changed, administration

credentials_option = click.option(
    "--credentials-file", "file", metavar="FILE", help="URLs with passwords, in TOML."
)
url_argument = click.argument("url")


@click.group(
    name="store",
    short_help="Make, upgrade and tidy up a central store.",
    epilog="\b\nExamples:\n"
    "  createdb fleet && sensor store init postgresql:///fleet\n"
    "  sensor store upgrade postgresql://owner@db.example/fleet --credentials-file FILE",
)
def command() -> None:
    """The central store that `sensor ship` writes and `sensor serve --store` reads."""


@command.command(
    short_help="Make the tables in an empty database.",
    epilog="\b\nExample:\n  sensor store init postgresql://owner@db.example/fleet",
)
@url_argument
@credentials_option
def init(url: str, file: str | None) -> int:
    """The database itself must be there. Exit status 2: there is a store already."""
    whole = with_password(url, file)
    administration(whole).init(whole)
    click.echo(f"{public(url)}: made")
    return 0


@command.command(
    short_help="Add what a newer sensor has.",
    epilog="\b\nExample:\n  sensor store upgrade postgresql://owner@db.example/fleet",
)
@url_argument
@credentials_option
def upgrade(url: str, file: str | None) -> int:
    """Upgrade the store before the hosts; an older host can ship to a newer store."""
    whole = with_password(url, file)
    tell(url, administration(whole).upgrade(whole), "up to date")
    return 0


@command.command(
    short_help="Make and drop partitions, refresh views.",
    epilog="\b\nExample:\n  sensor store maintain postgresql://owner@db.example/fleet",
)
@url_argument
@credentials_option
def maintain(url: str, file: str | None) -> int:
    """What those who ship do once an hour; for a timer where none of them may."""
    whole = with_password(url, file)
    tell(url, administration(whole).maintain(whole), "nothing to do")
    return 0


def with_password(url: str, file: str | None) -> str:
    if has_password(url) and file is not None:
        raise UsageError("a password in the URL and a file of them: give one")
    (whole,) = destinations((url,), read_credentials(file) if file else [])
    return whole


def tell(url: str, done: Iterable[Changed], otherwise: str) -> None:
    lines = [f"{one.table}: {one.what}" for one in done] or [otherwise]
    for line in lines:
        click.echo(printable(f"{public(url)}: {line}", 1000))
