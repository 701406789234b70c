"""`sensor run`: the daemon's composition: configuration, interfaces, sandbox, signals, status."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import click
import msgspec

from sensor import config
from sensor.capture.live import ANY, Interface
from sensor.capture.portable import PortableInterface
from sensor.config import Config
from sensor.errors import CannotWrite
from sensor.metrics.countries import open_countries
from sensor.metrics.geography import own
from sensor.programs import sandbox
from sensor.programs.agents import plans_of
from sensor.programs.daemon import Daemon
from sensor.programs.detection import OPERATOR_RULES, shipped_rules
from sensor.programs.journal import Priority, journal, say, say_error
from sensor.programs.notify import Notifier
from sensor.programs.options import LocalPrefix
from sensor.programs.reload import Reloader
from sensor.programs.status import Reporter, status_path
from sensor.store.retention import Limits

SWITCH_S = 0.5e-3  # how long the writer may make the capturing thread wait for the interpreter
READABLE = ("/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev")


@click.command(
    name="run",
    short_help="Capture on interfaces and keep what is found.",
    epilog="\b\nExamples:\n  sensor run -i eth0 --db s.db\n"
    "  sensor run -i eth0 -i wlan0 --filter 'not port 22' --db s.db\n"
    "  sensor run --config /etc/sensor/sensor.toml",
)
@click.option(
    "-i",
    "--interface",
    "names",
    multiple=True,
    metavar="IFACE",
    help=f"Interface (repeatable); `{ANY}` is all.  [default: those that are up]",
)
@click.option(
    "--config",
    "file",
    metavar="FILE",
    help=f"Settings; the options here win.  [default: {config.PATH}, where it is]",
)
@click.option("--db", metavar="FILE", help=f"SQLite database.  [default: {config.Store().path}]")
@click.option(
    "--local",
    multiple=True,
    type=LocalPrefix(),
    help="A prefix that is the agent's own (repeatable).  [default: this host's addresses]",
)
@click.option("--filter", "bpf", metavar="EXPR", help="Only packets of this pcap-filter(7).")
@click.option("--promiscuous", is_flag=True, help="Packets for others, too.")
@click.option(
    "--ring",
    type=click.IntRange(1, 1024),
    metavar="MiB",
    help="Size of each interface's ring.  [default: 64]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Threads that capture, each a share of the packets.  [default: 1]",
)
@click.option(
    "--rules",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Detection rules of your own.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 86400),
    metavar="SECONDS",
    help="Length of a window.  [default: 60]",
)
def command(file: str | None, **options: object) -> int:
    """Capture until SIGTERM or Ctrl-C; every window is one transaction in the database.

    Needs CAP_NET_RAW to open an interface; then it gives up every privilege. SIGHUP reads rules and
    settings again.
    """
    settings = with_options(config.load(file), **options)
    stop, asked = Event(), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: asked.set())
    sys.setswitchinterval(SWITCH_S)
    journal()  # connected now: later the sandbox forbids it
    notifier = Notifier()
    with ExitStack() as stack:
        plans = plans_of(settings, notifier, stack)
        opened = [interface for plan in plans for interface in plan.interfaces]
        db = Path(settings.store.path).absolute()
        status = status_path(db)
        rules = shipped_rules(settings.detection.rules or None)
        for error in rules.errors:
            say_error(error)
        if settings.geography.countries:
            own.use_countries(open_countries(settings.geography.countries))
        given_up = give_up(settings, opened, [db.parent, status.parent])
        daemon = Daemon(
            plans, str(db), rules, limits_of(settings), settings.capture.window_s, say_error
        )
        reporter = Reporter(daemon, status, notifier, given_up)
        keeper = Reloader(daemon, settings, lambda: with_options(config.load(file), **options))
        told = ", ".join(dict.fromkeys(interface.name for interface in opened))
        say(f"capturing on {told} into {db}")
        watch = Thread(target=reporter.work, name="status", daemon=True)
        watch.start()
        reporter.write()
        notifier.tell(READY=1, STATUS=f"capturing on {told}")
        daemon.until(stop, asked, lambda: reporter.reloading(keeper.reload))
        reporter.stop()
        watch.join()
    seen = sum(lane.run.capture.packets for lane in daemon.lanes)
    lost = sum(interface.ring.dropped for interface in opened)
    say(f"{seen:,} packets, {lost:,} dropped")
    if unwritten := sum(lane.behind.windows - 1 - lane.kept for lane in daemon.lanes):
        say(f"the last {unwritten:,} windows could not be written", Priority.ERROR)
        return CannotWrite.exit_code
    return 0


def with_options(settings: Config, **options: object) -> Config:
    """The settings with what the command line says over them."""
    capture = {
        "interfaces": options["names"] or None,
        "filter": options["bpf"],
        "promiscuous": options["promiscuous"] or None,
        "ring_mib": options["ring"],
        "workers": options["workers"],
        "local": options["local"] or None,
        "window_s": options["window"],
    }
    replace = msgspec.structs.replace
    return replace(
        settings,
        capture=replace(settings.capture, **{k: v for k, v in capture.items() if v is not None}),
        store=replace(settings.store, path=options["db"] or settings.store.path),
        detection=replace(settings.detection, rules=options["rules"] or settings.detection.rules),
    )


def limits_of(settings: Config) -> Limits:
    """How long rows stay, in the store's units."""
    store = settings.store
    us = 1_000_000
    return Limits(
        connections=config.seconds(store.connections) * us,
        short_windows=config.seconds(store.short_windows) * us,
        windows=config.seconds(store.windows) * us,
        hours=config.seconds(store.hours) * us,
        events=config.seconds(store.events) * us,
        size=store.size_mib << 20,
    )


def give_up(
    settings: Config, opened: Sequence[Interface | PortableInterface], folders: Sequence[Path]
) -> list[str]:
    """Privileges, as far as the settings say; what is in force, in words. No thread yet."""
    wish = settings.sandbox
    done = []
    os.environ.setdefault("SQLITE_TMPDIR", str(folders[0]))
    if wish.drop or wish.seccomp or wish.landlock:
        sandbox.no_new_privileges()
    if wish.landlock:
        readable = [*map(Path, READABLE), *python_paths()]
        readable.append(Path(settings.detection.rules or OPERATOR_RULES))
        if sandbox.confine(folders, readable):
            done.append("landlock")
    if wish.drop:
        sandbox.drop_capabilities()
        done.append("no capabilities")
    if wish.seccomp and sandbox.forbid_calls([i.fileno() for i in opened]):
        done.append("seccomp")
    if done:
        sandbox.verify(capabilities=wish.drop, calls="seccomp" in done)
    return done


def python_paths() -> Iterator[Path]:
    """Where modules that are not imported yet may come from."""
    yield from {Path(p).resolve() for p in (sys.prefix, sys.base_prefix, *filter(None, sys.path))}
