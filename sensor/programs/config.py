"""`sensor config`: checks the configuration file, shows what is in force, writes an example."""

import json
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from sensor import config
from sensor.config import Config, Table, keys_of, tables

HEAD = """\
# Settings of sensor. All is commented out: these are the defaults.
# `sensor config check` reads it; `systemctl reload sensor-capture` puts it in force.
# Every key with its limits: docs/settings.md, or `sensor config reference`.
"""
file_argument = click.argument("file", required=False)


@click.group(
    name="config",
    short_help="Check and show the configuration.",
    epilog="\b\nExamples:\n"
    "  sensor config check                      /etc/sensor/sensor.toml\n"
    "  sensor config check new.toml\n"
    "  sensor config example > sensor.toml      every key with its default",
)
def command() -> None:
    """The configuration file: every key has a default, so there need not be one."""


@command.command(
    short_help="Read a file; say what is wrong with it.",
    epilog="\b\nExample:\n  sensor config check new.toml",
)
@file_argument
def check(file: str | None) -> int:
    """Exit status 2 and one line with the place when something is."""
    config.load(file)
    click.echo(f"{file or config.PATH}: ok")
    return 0


@command.command(
    short_help="What is in force, as JSON.",
    epilog="\b\nExample:\n  sensor config show",
)
@file_argument
def show(file: str | None) -> int:
    """The file's values, and the defaults of all other keys."""
    click.echo(json.dumps(msgspec.to_builtins(config.load(file)), indent=2))
    return 0


@command.command(
    short_help="A file with every key, commented out.",
    epilog="\b\nExample:\n  sensor config example > sensor.toml",
)
def example() -> int:
    """TOML on standard output."""
    click.echo("\n".join(example_lines()))
    return 0


@command.command(
    short_help="Every key, its default, its meaning, as Markdown.",
    epilog="\b\nExample:\n  sensor config reference > settings.md",
)
def reference() -> int:
    """What docs/settings.md is made of."""
    click.echo("\n".join(reference_lines()))
    return 0


def toml(value: Any) -> str:
    """A default in TOML's words."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)  # strings, numbers and truth values are the same in both


def heading(name: str) -> str:
    return f"[[{name}]]" if name == "agents" else f"[{name}]"


def meaning(table: type[Table]) -> str:
    return " ".join((table.__doc__ or "").split())


def example_lines() -> Iterator[str]:
    yield HEAD.rstrip()
    for name, table in tables().items():
        yield ""
        yield f"# {meaning(table)}"
        yield f"#{heading(name)}"
        for key, default, description in keys_of(table):
            value = '""' if default is msgspec.NODEFAULT else toml(default)
            yield f"#{key} = {value}  # {description}"


def reference_lines() -> Iterator[str]:
    """With the limits of each key, from the JSON Schema that msgspec makes."""
    yield "# Settings"
    yield ""
    yield f"`{config.PATH}`, or the file given with `--config`. TOML; every key has a default; an"
    yield "unknown key, a wrong type or a value out of bounds is an error with the line and the"
    yield "nearest name. Options of the command line win. `sensor config check FILE` reads one,"
    yield "`sensor config show` says what is in force. SIGHUP (`systemctl reload sensor-capture`)"
    yield "makes the daemon read rules and settings again; a bad file is told and changes nothing."
    yield ""
    yield "Made by `sensor config reference`."
    schema = msgspec.json.schema(Config)["$defs"]
    for name, table in tables().items():
        properties = schema[table.__name__]["properties"]
        yield ""
        yield f"## `{heading(name)}`"
        yield ""
        yield meaning(table)
        yield ""
        yield "| key | default | limits | meaning |"
        yield "|---|---|---|---|"
        for key, default, description in keys_of(table):
            value = "required" if default is msgspec.NODEFAULT else f"`{toml(default)}`"
            yield f"| `{key}` | {value} | {limits(properties[key])} | {description} |"


def limits(schema: dict[str, Any]) -> str:
    """In words."""
    if (items := schema.get("items")) is not None:
        return f"list of {limits(items)}, at most {schema['maxItems']}"
    if (words := schema.get("enum")) is not None:
        return ", ".join(words)
    if (form := config.FORMS.get(schema.get("pattern", ""))) is not None:
        return form
    if schema["type"] == "string":
        return f"text, at most {schema['maxLength']}" if "maxLength" in schema else "text"
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    return "true or false"
