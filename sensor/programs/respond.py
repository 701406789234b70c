"""`sensor respond`: blocks confirmed sources for a while, when the operator asked for it."""

import json
import signal
import sys
from collections.abc import Iterable
from threading import Event
from typing import Any

import click

from sensor.config import PATH as CONFIG
from sensor.errors import InputMissing, SensorError, UsageError
from sensor.model.address import address_text
from sensor.model.event import time_text
from sensor.model.text import printable
from sensor.respond.journal import Action, JournalFile, journal_path, open_journal
from sensor.respond.judge import Verdict, judge
from sensor.respond.nft import Firewall, Present
from sensor.respond.protected import parsed
from sensor.respond.responder import Responder, wall_us
from sensor.respond.settings import Settings, load
from sensor.store.events import EventFilter
from sensor.store.queries import open_reader

POLL_S = 2.0
SHOWN = 50

db_option = click.option("--db", metavar="FILE", required=True, help="The sensor's database.")
config_option = click.option(
    "--config",
    metavar="FILE",
    help=f"TOML with a table [response].  [default: {CONFIG}, where it is]",
)
journal_option = click.option(
    "--journal", metavar="FILE", help="Where actions are recorded.  [default: the database's name"
    " and .response]",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group(
    name="respond",
    short_help="Block the sources of attacks for a while (opt-in).",
    epilog="\b\nExamples:\n"
    "  sensor respond plan --db s.db            what would be done, and why not\n"
    "  sensor respond status --db s.db          what is in force\n"
    "  sensor respond undo 198.51.100.7 --db s.db",
)
def command() -> None:
    """Put confirmed sources of attacks into an nftables set with a timeout.

    Off, and a dry run, unless [response] in the configuration says otherwise.
    """


# ---- run


@command.command(
    name="run",
    short_help="Answer events until stopped.",
    epilog="\b\nExample:\n  sensor respond run --db /var/lib/sensor/sensor.db"
    " --config sensor.toml --dry-run",
)
@db_option
@config_option
@journal_option
@click.option("--once", is_flag=True, help="One look at the events of now, then end.")
@click.option("--dry-run", is_flag=True, help="Only record, whatever the configuration says.")
def run(db: str, config: str | None, journal: str | None, once: bool, dry_run: bool) -> int:
    """Follow the events of a live sensor and block confirmed sources.

    Needs CAP_NET_ADMIN, but not for a dry run. Does nothing unless `enabled = true`. Ends by
    SIGTERM or Ctrl-C; what is blocked stays so until its time is over, or `sensor respond undo`.
    """
    settings = load(config)
    if not settings.enabled:
        click.echo("Response is off: set `enabled = true` in [response] to turn it on.")
        return 0
    if dry_run:
        settings = settings.dry()
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with JournalFile(journal or journal_path(db)) as file:
        responder = Responder(db, settings, file)
        if not settings.dry_run:
            Firewall(settings).read()  # whoever may not should know now, not at the first attack
        let_go = 0
        while not stop.is_set():
            for action in responder.turn():
                click.echo(told(action))
            if responder.let_go > let_go:
                let_go = responder.let_go
                click.echo(f"sensor: more events than can be watched: {let_go} let go", err=True)
            sys.stdout.flush()
            if once or stop.wait(POLL_S):
                break
    return 0


WORDS = {
    "planned": "would block", "added": "blocked", "removed": "freed", "refused": "did not block",
    "failed": "could not block",
}  # fmt: skip


def told(action: Action) -> str:
    """One line about an action; it may hold what strangers wrote."""
    address = "a source" if action.address is None else action.address
    what = f"{WORDS[action.state]} {address}"
    if action.state in ("planned", "added"):
        what += f" for {action.timeout_s} s"
    why = action.ended_by if action.state == "removed" else action.reason
    event = "" if action.event_id is None else f", event {action.event_id[:8]}"
    output = "" if action.nft_output is None else f": {action.nft_output}"
    at = action.ended_at or action.added_at or action.at
    return printable(f"{seconds_text(at)} {what} ({why}{event}){output}", 1000)


def seconds_text(us: int | None) -> str:
    """RFC 3339 to the second."""
    text = time_text(us)
    return "-" if text is None else f"{text[:19]}Z"


# ---- plan


@command.command(
    name="plan",
    short_help="Show what would be done, and why not.",
    epilog="\b\nExample:\n  sensor respond plan --db s.db --json",
)
@db_option
@config_option
@journal_option
@click.option(
    "--limit",
    type=click.IntRange(1, 10000),
    default=SHOWN,
    show_default=True,
    metavar="N",
    help="At most so many events, the newest.",
)
@json_option
def plan(db: str, config: str | None, journal: str | None, limit: int, as_json: bool) -> None:
    """What the settings would do about the events of a database now. Changes nothing.

    Limits per hour and at a time are not counted. Needs no privileges.
    """
    settings = load(config)
    with open_reader(db) as reader:
        events = [event for _, event in reader.events.matching(EventFilter(), limit)]
        ids = (event.id for event in events)
        undone = undone_of(journal or journal_path(db), ids)
        verdicts = judge(reader.db, events, settings, wall_us(), undone)
    if as_json:
        document: dict[str, Any] = {
            "schema": 1,
            "enabled": settings.enabled,
            "dry_run": settings.dry_run,
            "plan": [verdict_document(verdict, settings) for verdict in verdicts],
        }
        click.echo(json.dumps(document, indent=2))
        return
    for verdict in verdicts:
        click.echo(verdict_line(verdict))
    if not verdicts:
        click.echo("No events.")
    if not settings.enabled or settings.dry_run:
        click.echo("Nothing is blocked: " + ("response is off." if not settings.enabled
                                             else "it is a dry run."))  # fmt: skip


def undone_of(path: str, event_ids: Iterable[str]) -> set[str]:
    try:
        with open_journal(path) as found:
            return {event_id for event_id in event_ids if found.is_undone(event_id)}
    except InputMissing:
        return set()


def verdict_document(verdict: Verdict, settings: Settings) -> dict[str, Any]:
    event = verdict.event
    return {
        "event_id": event.id,
        "attack_class": event.attack_class,
        "severity": event.severity,
        "detected_at": time_text(event.detected_at),
        "address": None if verdict.address is None else address_text(verdict.address),
        "wish": verdict.wish,
        "reason": verdict.reason,
        "timeout_s": settings.timeout_s if verdict.wish == "block" else None,
    }


def verdict_line(verdict: Verdict) -> str:
    address = "-" if verdict.address is None else address_text(verdict.address)
    line = f"{verdict.event.id[:8]} {verdict.wish:<7} {address} ({verdict.reason})"
    return printable(line, 1000)


# ---- status


@command.command(
    name="status",
    short_help="Show what is in force and what was done.",
    epilog="\b\nExample:\n  sensor respond status --db s.db --json",
)
@click.option("--db", metavar="FILE", help="The sensor's database, beside which the journal is.")
@config_option
@journal_option
@click.option(
    "--limit",
    type=click.IntRange(1, 10000),
    default=SHOWN,
    show_default=True,
    metavar="N",
    help="At most so many of the newest actions.",
)
@json_option
def status(
    db: str | None, config: str | None, journal: str | None, limit: int, as_json: bool
) -> None:
    """What the journal and, with CAP_NET_ADMIN, the kernel have. Changes nothing."""
    settings = load(config)
    now = wall_us()
    with open_journal(journal_of(db, journal)) as found:
        in_force = [a for a in found.open(dry_run=False) if (a.expires_at or 0) > now]
        newest = found.newest(limit)
    present, not_read = kernel(settings)
    if as_json:
        document: dict[str, Any] = {
            "schema": 1,
            "enabled": settings.enabled,
            "dry_run": settings.dry_run,
            "kernel": None if not_read else elements(present),
            "kernel_error": not_read,
            "active": [action_document(action) for action in in_force],
            "actions": [action_document(action) for action in newest],
        }
        click.echo(json.dumps(document, indent=2))
        return
    mode = "off" if not settings.enabled else "a dry run" if settings.dry_run else "on"
    click.echo(f"Response is {mode}. In force by the journal: {len(in_force)}.")
    if not_read:
        click.echo(f"The kernel was not asked ({printable(not_read, 200)}).")
    else:
        for element in elements(present):
            dropped = "" if element["packets"] is None else f", {element['packets']:,} dropped"
            click.echo(f"  {element['address']}: {element['expires_s']} s left{dropped}")
    for action in newest:
        click.echo(told(action))


def kernel(settings: Settings) -> tuple[Present | None, str | None]:
    """What is in the firewall, or why that is not known."""
    try:
        return Firewall(settings).read(), None
    except SensorError as error:
        return None, str(error)


def elements(present: Present | None) -> list[dict[str, Any]]:
    return [
        {
            "address": address_text(address),
            "expires_s": element.expires_s,
            "packets": element.packets,
            "bytes": element.bytes,
        }
        for address, element in sorted(present.elements.items() if present else ())
    ]


def action_document(action: Action) -> dict[str, Any]:
    """The columns by name, times in RFC 3339 (wall clock)."""
    times = ("at", "expires_at", "added_at", "ended_at")
    return {
        **action._asdict(),
        **{name: time_text(getattr(action, name)) for name in times},
        "dry_run": bool(action.dry_run),
    }


# ---- undo


@command.command(
    name="undo",
    short_help="Free addresses that were blocked.",
    epilog="\b\nExamples:\n  sensor respond undo 198.51.100.7 --db s.db\n"
    "  sensor respond undo --all --db s.db",
)
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--all", "everything", is_flag=True, help="All of them, and our nftables table.")
@click.option("--db", metavar="FILE", help="The sensor's database, beside which the journal is.")
@config_option
@journal_option
def undo(
    addresses: tuple[str, ...],
    everything: bool,
    db: str | None,
    config: str | None,
    journal: str | None,
) -> None:
    """Take back what was done. The same event never blocks the address again.

    Another event may: an address that must never be blocked belongs into `allow`.
    """
    if bool(addresses) == everything:
        raise click.UsageError("give addresses, or --all")
    given = None if everything else [packed_argument(text) for text in addresses]
    settings = load(config)
    # Never used: nothing of a store is read to take something back.
    with JournalFile(journal_of(db, journal)) as file:
        done = Responder("", settings, file).undo(given)
    for action in done:
        click.echo(told(action))
    if everything:
        click.echo("Nothing of ours is in the firewall any more.")
        return
    freed = {parsed(action.address) for action in done}
    missing = [address_text(address) for address in given or () if address not in freed]
    if missing:
        raise SensorError(f"not blocked: {', '.join(missing)}")


def packed_argument(text: str) -> bytes:
    address = parsed(text)
    if address is None:
        raise click.UsageError(f"{printable(text, 60)!r} is no address")
    return address


def journal_of(db: str | None, journal: str | None) -> str:
    if journal is not None:
        return journal
    if db is None:
        raise UsageError("give --db or --journal")
    return journal_path(db)
