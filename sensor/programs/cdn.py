"""`sensor cdn ingest`: logs of a CDN into the database, for what packets cannot tell."""

import gzip
import hashlib
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, cast

import click

from sensor.errors import DamagedCapture, InputMissing, NotACapture
from sensor.model.rows import CdnRow
from sensor.model.text import printable
from sensor.programs.cdn_formats import FORMATS, BadLine, Lines, NotCounted
from sensor.store.cdn import Additions

GZIP = b"\x1f\x8b"
LONGEST = 64 << 10  # octets of a line; CloudFront's are at most 20 KB
CHUNK = 1 << 20
BATCH = 2000  # rows of a transaction


@dataclass(slots=True)
class Tally:
    """What came of a file."""

    rows: int = 0
    bad: int = 0
    elsewhere: int = 0  # lines about another hop of a request
    before: int = 0  # lines that a former run has read
    lines: int = 0
    first_bad: list[str] = field(default_factory=list)


@click.group(
    name="cdn",
    short_help="Read the logs of a CDN.",
    epilog="\b\nExample:\n  sensor cdn ingest log.gz --agent-id UUID --db site.db",
)
def command() -> None:
    """Hit ratios, offload and edges are in a CDN's logs only: packets do not tell them."""


@command.command(
    short_help="Add the requests in a log to a database.",
    epilog="\b\nExamples:\n"
    "  sensor cdn ingest E2EX.2026-11-23.gz --agent-id UUID --db site.db\n"
    "  zcat logpush/*.gz | sensor cdn ingest - --format cloudflare --agent-id UUID --db site.db",
)
@click.argument("file", metavar="FILE")
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", *FORMATS]),
    default="auto",
    show_default=True,
    help="Logpush JSON, CloudFront standard logs, or Fastly JSON; auto looks at the first line.",
)
@click.option(
    "--agent-id", type=click.UUID, required=True, metavar="UUID", help="Whose origin it is."
)
@click.option("--db", required=True, metavar="FILE", help="The database; a daemon may write it.")
@click.option(
    "--workspace-id", default="default", show_default=True, help="Of an agent that is new."
)
def ingest(file: str, form: str, agent_id: object, db: str, workspace_id: str) -> int:
    """FILE may be compressed with gzip; `-` is standard input.

    A file that was read before adds nothing; one that was broken off goes on where it was. Lines
    that are no request are counted and skipped. Exit status 66: none of them is one.
    """
    with opened(file) as stream, Additions(db) as additions:
        digest = None if file == "-" else content_digest(file)
        tally = read(stream, Lines(form, str(agent_id)), additions, digest, workspace_id, file)
    shown = printable(file, 1000)
    click.echo(
        f"{shown}: {tally.rows} requests, {tally.bad} bad lines, {tally.elsewhere} of other hops,"
        f" {tally.before} lines read before",
        err=True,
    )
    for text in tally.first_bad:
        click.echo(f"{shown}:{text}", err=True)
    if tally.bad and not tally.rows and not tally.before:
        raise NotACapture(file, None, "no line of it is a request in the log of a CDN we know")
    return 0


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """The file, unpacked; InputMissing."""
    try:
        raw: IO[bytes] = sys.stdin.buffer if name == "-" else open(name, "rb")  # noqa: SIM115
        try:
            packed = raw.peek(2)[:2] == GZIP  # type: ignore[attr-defined]
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
        finally:
            if name != "-":
                raw.close()
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise DamagedCapture(name, None, "damaged gzip") from error
        raise InputMissing(name, (error.strerror or str(error)).lower()) from error


def content_digest(name: str) -> str:
    """Which log it is: all of it, unpacked. DamagedCapture: then nothing of it is taken."""
    digest = hashlib.blake2b(digest_size=16)
    with opened(name) as stream:
        try:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        except (EOFError, zlib.error) as error:
            raise DamagedCapture(name, None, "damaged gzip") from error
    return digest.hexdigest()


def read(
    stream: IO[bytes], lines: Lines, additions: Additions, digest: str | None, workspace_id: str,
    name: str,
) -> Tally:  # fmt: skip
    """All rows; those before damage are kept."""
    tally = Tally()
    done = additions.lines_done(digest) if digest is not None else 0
    rows: list[CdnRow] = []
    try:
        for line in each(stream):
            tally.lines += 1
            again = tally.lines <= done
            tally.before += again
            try:
                row = None if line is None else lines.row(line)
                if line is None:
                    raise BadLine(f"longer than {LONGEST} octets")
            except BadLine as error:
                if not again:
                    tally.bad += 1
                    if len(tally.first_bad) < 3:
                        tally.first_bad.append(f"{tally.lines}: {error}")
                continue
            except NotCounted:
                tally.elsewhere += not again
                continue
            if row is None or again:
                continue
            rows.append(row)
            if len(rows) == BATCH:
                additions.requests(rows, workspace_id, digest, tally.lines)
                tally.rows += len(rows)
                rows.clear()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedCapture(name, None, f"damaged gzip after line {tally.lines}") from error
    finally:
        additions.requests(rows, workspace_id, digest, max(tally.lines, done))
        tally.rows += len(rows)
    return tally


def each(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Lines; None for one that is too long."""
    while line := stream.readline(LONGEST):
        if len(line) == LONGEST and not line.endswith(b"\n"):
            while (more := stream.readline(LONGEST)) and not more.endswith(b"\n"):
                pass
            yield None
        else:
            yield line
