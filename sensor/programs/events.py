"""`sensor events`: what the rules found, as a table, JSON or ECS; one event explained.

--follow reads the file again and again by `seq`: it shows what changes too, and holds nothing up.
"""

import json
import sys
from collections.abc import Callable, Iterable
from time import sleep
from typing import Any

import click

from sensor.detect.rule import RuleSet
from sensor.errors import InputMissing, UsageError
from sensor.model.event import event_document
from sensor.model.rows import SEVERITIES, SecurityEventRow
from sensor.model.text import printable
from sensor.programs.detection import shipped_rules
from sensor.programs.event_view import print_events
from sensor.programs.explain import explanation
from sensor.programs.render import console_for
from sensor.programs.sections import print_sections
from sensor.programs.times import Point, point_option
from sensor.respond.journal import Outcome, journal_path, outcomes
from sensor.ship.ecs import ecs_document
from sensor.store.events import EventFilter, Stored
from sensor.store.queries import Reader, open_reader

SHOWN = 50  # events, unless --limit says otherwise
MOST = 100_000
POLL_S = 1.0  # of --follow; a live window writes no more often
BATCH = 1000  # changes read at a time
Write = Callable[[Iterable[Stored]], None]  # shows events one below the other

EPILOG = """\b
TIME is RFC 3339 (2023-11-14T22:00:00Z, or its date alone), or an age: 90s, 15m,
1h, 7d, 2w. An age counts back from the newest packet of any event, not from now:
the database may hold an old capture.

\b
Examples:
  sensor events --db site.db
  sensor events --db site.db --severity high --since 1d
  sensor events --db site.db --follow --ecs | vector
  sensor events --db site.db explain 0b0e5a1c
"""


@click.command(
    name="events",
    short_help="List security events, or explain one.",
    epilog=EPILOG,
)
@click.option("--db", required=True, metavar="FILE", help="A database that the sensor wrote.")
@click.option(
    "--severity",
    type=click.Choice(SEVERITIES),
    metavar="LEVEL",
    help=f"This one or worse: {', '.join(SEVERITIES)}.",
)
@click.option("--type", "event_type", metavar="T", help="Of this event_type, such as dos_attack.")
@click.option("--class", "attack_class", metavar="C", help="Of this class, such as syn_flood.")
@click.option(
    "--since", callback=point_option, metavar="TIME", help="Those that still went on then."
)
@click.option("--until", callback=point_option, metavar="TIME", help="Those that began before.")
@click.option("--status", type=click.Choice(["open", "resolved"]), help="Of this state.")
@click.option("--agent", "agent_id", metavar="UUID", help="Of this agent.")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=SHOWN,
    show_default=True,
    metavar="N",
    help="At most so many, the newest.",
)
@click.option("--follow", is_flag=True, help="Go on: show what is new or changes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document; with --follow, lines.")
@click.option("--ecs", is_flag=True, help="Elastic Common Schema, one JSON object per line.")
@click.option("--explain", metavar="ID", help="One event in words; the first digits will do.")
@click.option(
    "--rules",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Your rule files, whose words --explain and --ecs use too.",
)
@click.argument("words", nargs=-1, metavar="[explain ID]")
def command(
    db: str,
    since: Point | None,
    until: Point | None,
    limit: int,
    follow: bool,
    as_json: bool,
    ecs: bool,
    explain: str | None,
    rules: str | None,
    words: tuple[str, ...],
    **wanted: Any,
) -> int:
    """List the security events of a database, newest first; or explain one."""
    if words:
        if words[0] != "explain" or len(words) != 2 or explain is not None:
            raise click.UsageError("only `explain ID` may follow the options")
        explain = words[1]
    if as_json and ecs:
        raise click.UsageError("--json and --ecs are two forms of output: give one")
    if explain is not None and (follow or ecs):
        raise click.UsageError("explain tells about one event: no --follow, no --ecs")
    with open_reader(db) as reader:
        if explain is not None:
            (one,) = answered(db, [find(reader, db, explain)])
            explain_event(one.event, shipped_rules(rules), as_json=as_json)
            return 0
        newest = reader.events.newest()
        which = EventFilter(since=at(since, newest), until=at(until, newest), **wanted)
        upto = reader.events.last_seq()
        found = answered(db, reader.events.matching(which, limit))
        matched = reader.events.count(which)
    write = ecs_lines(shipped_rules(rules)) if ecs else json_lines if as_json else table()
    if follow:
        watch(db, which, upto, found[::-1], write)
    elif ecs:
        write(found)
    elif as_json:
        listed = [event_document(event) for _, event in found]
        click.echo(json.dumps({"schema": 1, "matched": matched, "events": listed}, indent=2))
    elif not found:
        click.echo("No events.")
    else:
        write(found)
        if matched > len(found):
            click.echo(f"\n{matched - len(found):,} older ones are not shown: --limit {matched}")
    return 0


def at(point: Point | None, newest: int | None) -> int | None:
    return None if point is None else point.at(newest)


def answered(path: str, found: list[Stored]) -> list[Stored]:
    """With what the responder did: the store's one writer does not know that."""
    known = outcomes(journal_path(path), (stored.event.id for stored in found))
    return [with_outcome(stored, known.get(stored.event.id)) for stored in found]


def with_outcome(stored: Stored, done: Outcome | None) -> Stored:
    if done is None:
        return stored
    event = stored.event._replace(action_taken=done.action_taken, blocked=int(done.blocked))
    return stored._replace(event=event)


def find(reader: Reader, path: str, prefix: str) -> Stored:
    """The one event whose id begins so."""
    found = reader.events.by_id(prefix, 5)
    if not found:
        raise InputMissing(path, f"no event {printable(prefix, 40)}")
    if len(found) > 1:
        ids = ", ".join(event.id for _, event in found)
        raise UsageError(f"{printable(prefix, 40)} is the beginning of several: {ids}")
    return found[0]


def explain_event(row: SecurityEventRow, rules: RuleSet, *, as_json: bool) -> None:
    """One event in words, or the same in JSON; with what its rule's file adds."""
    body = explanation(row, rules.find(row.rule_id or ""))
    if as_json:
        words = {section.title: section.lines for section in body}
        document = {"schema": 1, "event": event_document(row), "explanation": words}
        click.echo(json.dumps(document, indent=2))
    else:
        print_sections(f"Event {row.id}", body, console_for(sys.stdout))


def json_lines(found: Iterable[Stored]) -> None:
    for _, event in found:
        click.echo(json.dumps(event_document(event), separators=(",", ":")))


def ecs_lines(rules: RuleSet) -> Write:
    """In ECS, with what the rules' files know of technique, name and version."""

    def write(found: Iterable[Stored]) -> None:
        for seq, event in found:
            made = ecs_document(event, seq, rules.find(event.rule_id or ""))
            click.echo(json.dumps(made, separators=(",", ":")))

    return write


def table() -> Write:
    """For people; the header once."""
    console = console_for(sys.stdout)
    header = True

    def write(found: Iterable[Stored]) -> None:
        nonlocal header
        print_events((event for _, event in found), console, header=header)
        header = False

    return write


def watch(
    path: str,
    which: EventFilter,
    seen: int,
    first: list[Stored],
    write: Write,
) -> None:
    """Shows the oldest first, then every change; ends by Ctrl-C, or when nobody reads on."""
    write(first)
    sys.stdout.flush()
    while True:
        # Opened anew, so that a file that was replaced or moved away is noticed.
        with open_reader(path) as reader:
            upto = reader.events.last_seq()
            seen = seen if seen <= upto else 0  # a new file
            found = reader.events.changed(which, seen, upto, BATCH)
        if found:
            write(answered(path, found))
            sys.stdout.flush()
        full = len(found) == BATCH
        seen = found[-1].seq if full else upto
        if not full:
            sleep(POLL_S)
