"""`sensor regions import`: the operator's own names of networks."""

import csv

import click

from sensor.errors import InputMissing, UsageError
from sensor.model.address import Prefix, pack_prefix, prefix_text
from sensor.model.text import printable
from sensor.store.cdn import Additions

MOST_RANGES = 100_000
LONGEST_NAME = 64


@click.group(
    name="regions",
    short_help="Keep your own names of networks.",
    epilog="\b\nExample:\n  sensor regions import sites.csv --db site.db",
)
def command() -> None:
    """Regions of your own, before the country that a prefix is registered in."""


@command.command(
    name="import",
    short_help="Replace all regions by those of a CSV file.",
    epilog="\b\nExample:\n  printf 'ip_range,region\\n10.1.0.0/16,Lab\\n' > sites.csv\n"
    "  sensor regions import sites.csv --db site.db",
)
@click.argument("file", metavar="FILE.csv")
@click.option("--db", required=True, metavar="FILE", help="The database; a daemon may write it.")
def import_regions(file: str, db: str) -> int:
    """FILE has the columns `ip_range` (a CIDR) and `region`; the longest prefix wins.

    They count for what is captured or replayed from the sensor's next start on.
    """
    ranges = read_ranges(file)
    with Additions(db) as additions:
        additions.regions([(prefix, name) for prefix, name in ranges.items()])
    click.echo(f"{printable(file, 1000)}: {len(ranges)} regions", err=True)
    return 0


def read_ranges(path: str) -> dict[Prefix, str]:
    """All or nothing. UsageError names the line; InputMissing."""
    made: dict[Prefix, str] = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if not {"ip_range", "region"} <= set(rows.fieldnames or ()):
                raise UsageError(f"{path}: no columns ip_range and region in the first line")
            for row in rows:
                prefix, name = range_of(row, f"{path}:{rows.line_num}")
                if made.setdefault(prefix, name) != name:
                    raise UsageError(f"{path}:{rows.line_num}: {prefix_text(prefix)} is twice")
                if len(made) > MOST_RANGES:
                    raise UsageError(f"{path}: more than {MOST_RANGES} ranges")
    except OSError as error:
        raise InputMissing(path, (error.strerror or str(error)).lower()) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: no CSV in UTF-8: {error}") from error
    return made


def range_of(row: dict[str, str | None], where: str) -> tuple[Prefix, str]:
    name = (row["region"] or "").strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"{where}: a region is 1 to {LONGEST_NAME} printable characters")
    try:
        return pack_prefix((row["ip_range"] or "").strip()), name
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
