"""`sensor serve`: API, WebSocket and dashboard over a store."""

import logging
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sensor import config
from sensor.config import PATH, load
from sensor.errors import CannotWrite, SensorError, UsageError
from sensor.model.text import printable
from sensor.programs.notify import Notifier

if TYPE_CHECKING:
    from sensor.api.settings import Prices

PORT = 8765
WEB = Path(__file__).parent.parent / "web"
NEEDED = ("fastapi", "uvicorn", "websockets", "scipy")


def default_token_file() -> Path:
    """Beside systemd's state, else in the user's."""
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if state:
        return Path(state) / "api-token"
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local/state") / "sensor" / "api-token"


def require_extra() -> None:
    """UsageError when the extra `server` is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} not installed: pip install 'shadower-sensor[server]'"
        )


@click.command(
    name="serve",
    short_help="Serve the API, the WebSocket and the dashboard.",
    epilog="\b\nExamples:\n  sensor serve --store s.db\n"
    "  sensor serve --store postgresql://sensor@db/sensor --host 0.0.0.0 --allow-host sensor.lan",
)
@click.option(
    "--store",
    "url",
    metavar="URL",
    help="A database file, or sqlite:///, postgresql:// or clickhouse:// with a database."
    "  [default: the daemon's, by its configuration]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen on; 0 is any that is free.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The token that clients need; made (mode 0600) when there is none."
    "  [default: ~/.local/state/sensor/api-token]",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A further name that this server goes by (repeatable); loopback always is.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A further origin whose pages may ask (repeatable), as http://localhost:5173.",
)
@click.option(
    "--capacity-mbps",
    type=click.FloatRange(0, 1e7, min_open=True),
    metavar="MBPS",
    help="Capacity of the link: utilization is not known without.",
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    help=f"Settings: the store, and prices (billing).  [default: {PATH}, where there is one]",
)
def command(
    url: str | None,
    host: str,
    port: int,
    token_file: Path | None,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    capacity_mbps: float | None,
    config_file: str | None,
) -> int:
    """Serve until SIGTERM or Ctrl-C. Needs no privilege; only reads the store.

    Clients send `Authorization: Bearer TOKEN`; a browser opens the address that is printed once
    and has a cookie from then on.
    """
    require_extra()
    # Here, so that the other commands start without a web framework.
    from sensor.api.app import make_app  # noqa: PLC0415
    from sensor.api.security import read_token  # noqa: PLC0415
    from sensor.api.server import make_server, settle  # noqa: PLC0415
    from sensor.api.settings import ApiSettings  # noqa: PLC0415
    from sensor.store.opening import opener  # noqa: PLC0415

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="sensor: %(message)s")
    chosen = load(config_file)
    store = url or chosen.store.path
    open_store = opener(store)
    open_store().close()  # says now what is wrong with it
    path = token_file or default_token_file()
    if token_file is None:
        make_folder(path.parent)
    settings = ApiSettings(
        token=read_token(path),
        hosts=hosts,
        origins=origins,
        web=WEB,
        capacity_mbps=capacity_mbps,
        prices=prices_of(chosen.billing),
        more_metrics=lambda: daemon_metrics(store),
    )
    listening = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"

    notifier = Notifier()

    def ready() -> None:
        is_terminal = sys.stderr.isatty()
        click.echo(f"sensor: serving {printable(url_shown(store), 1000)} on {address}", err=True)
        click.echo(
            f"sensor: open {address}?token={settings.token}"
            if is_terminal  # not into a log
            else f"sensor: the token is in {printable(str(path), 1000)}",
            err=True,
        )
        notifier.tell(READY=1, STATUS=f"serving on {address}")

    def beat() -> None:
        notifier.tell(WATCHDOG=1)

    server = make_server(make_app(settings, open_store), settings, ready, beat, notifier.watchdog_s)
    settle()
    server.run(sockets=[listening])
    notifier.tell(STOPPING=1)
    return 0


def prices_of(table: config.Billing) -> "Prices":
    """What the file says of prices, as analytics take it."""
    from sensor.analytics.cost import Billing  # noqa: PLC0415 - as above
    from sensor.api.settings import Prices  # noqa: PLC0415

    billing = None
    if table.model != "none":
        billing = Billing(
            table.model,
            table.rate,
            table.currency,
            table.commit,
            table.direction,
            table.implementation_cost or None,
            table.timezone,
        )
    return Prices(
        billing,
        table.baseline_cost or None,
        table.cdn_price_per_gb or None,
        table.origin_price_per_gb or None,
    )


def make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{path}: {(error.strerror or str(error)).lower()}") from error


def url_shown(url: str) -> str:
    """Without a password."""
    head, at, tail = url.rpartition("@")
    if not at or "://" not in head:
        return url
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.partition(':')[0]}@{tail}"


def listen(host: str, port: int) -> socket.socket:
    """UsageError when that address cannot be listened on."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Named, or asyncio would not know that TCP_NODELAY is for the connections: an answer of two
        # writes would wait 40 ms for the delayed ACK of the first.
        made = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot listen on {host} port {port}: {why}") from error
    return made


def daemon_metrics(store: str) -> list[str]:
    """Of the daemon that writes the store, where it tells how it is (`sensor status`)."""
    from sensor.programs.status import exposition, read  # noqa: PLC0415 - loads the daemon's code

    try:
        return list(exposition(read(store)))
    except SensorError:
        return []
