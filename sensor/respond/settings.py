"""The table `[response]` of the configuration: what may be blocked, how long, how much of it."""

import re
import tomllib
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import msgspec

from sensor.errors import UsageError, one_line
from sensor.model.address import Prefix, pack_prefix

# Attacks that take a completed TCP handshake, so that somebody at the address really took part.
# A scan is not among them: decoys (nmap -D) would have us block whomever a scanner names.
CONFIRMABLE = (
    "brute_force", "connection_flood", "http_flood", "slow_post", "slow_read", "slowloris",
    "tls_flood",
)  # fmt: skip
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_S = 30 * 86400
UNKNOWN_KEY = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,30}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=64)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The table as it is written; the defaults of every key."""

    enabled: bool = False
    dry_run: bool = True
    min_severity: Literal["info", "low", "medium", "high", "critical"] = "high"
    min_confidence: Probability = 0.95
    max_false_positive: Probability = 1e-3
    classes: Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)] = CONFIRMABLE
    timeout: Text = "30m"
    max_age: Text = "5m"
    max_entries: Annotated[int, msgspec.Meta(ge=1, le=65536)] = 1000
    max_per_hour: Annotated[int, msgspec.Meta(ge=1, le=65536)] = 60
    allow: Annotated[tuple[Text, ...], msgspec.Meta(max_length=10000)] = ()
    allow_private_targets: bool = False
    table: Name = "sensor_response"
    set4: Name = "blocked4"
    set6: Name = "blocked6"
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] = -300


@dataclass(frozen=True, slots=True)
class Settings:
    """What the responder works by; seconds, and prefixes in 16 octets."""

    enabled: bool
    dry_run: bool
    min_severity: str
    min_confidence: float
    max_false_positive: float
    classes: frozenset[str]
    timeout_s: int
    max_age_s: int  # of an event: what happened longer ago is no reason to act
    max_entries: int
    max_per_hour: int
    allow: tuple[Prefix, ...]
    allow_private_targets: bool
    table: str
    set4: str
    set6: str
    priority: int  # of the chain at the prerouting hook

    def dry(self) -> "Settings":
        """The same, but nothing is done."""
        return replace(self, dry_run=True)


def load(path: str | None) -> Settings:
    """The settings of a TOML file, whose other tables are others'; None gives the defaults.

    UsageError, in one line that names the key.
    """
    if path is None:
        return settings_of({}, "[response]")
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise UsageError(one_line(f"{path}: {(error.strerror or str(error)).lower()}")) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(one_line(f"{path}: no TOML: {error}")) from error
    return settings_of(document.get("response", {}), f"{path}: [response]")


def settings_of(values: Any, where: str) -> Settings:
    """Of one table; `where` begins the error."""

    def wrong(text: str) -> UsageError:
        return UsageError(one_line(f"{where} {text}"))

    try:
        table = msgspec.convert(values, Table, strict=True)
    except msgspec.ValidationError as error:
        raise wrong(explained(str(error))) from error
    for name in table.classes:
        if name not in CONFIRMABLE:
            raise wrong(f"classes: the source of {name!r} may be forged, or it is no class")
    if table.set4 == table.set6:
        raise wrong("set4 and set6 need different names")
    try:
        allow = tuple(pack_prefix(text) for text in table.allow)
        timeout_s, max_age_s = seconds("timeout", table.timeout), seconds("max_age", table.max_age)
    except ValueError as error:
        raise wrong(str(error)) from error
    return Settings(
        enabled=table.enabled,
        dry_run=table.dry_run,
        min_severity=table.min_severity,
        min_confidence=table.min_confidence,
        max_false_positive=table.max_false_positive,
        classes=frozenset(table.classes),
        timeout_s=timeout_s,
        max_age_s=max_age_s,
        max_entries=table.max_entries,
        max_per_hour=table.max_per_hour,
        allow=allow,
        allow_private_targets=table.allow_private_targets,
        table=table.table,
        set4=table.set4,
        set6=table.set6,
        priority=table.priority,
    )


def explained(text: str) -> str:
    """msgspec's words, with the key in front, or the key that was probably meant."""
    if unknown := UNKNOWN_KEY.match(text):
        near = get_close_matches(unknown[1], Table.__struct_fields__, 1)
        hint = f", perhaps {near[0]!r}" if near else ""
        return f"unknown key {unknown[1]!r}{hint}"
    reason, _, path = text.partition(" - at `$")
    key = path.strip("`.")
    return f"{key}: {reason}" if key else reason


def seconds(key: str, text: str) -> int:
    """``90s``, ``30m``, ``2h``, ``1d`` in seconds; ValueError outside 1 s to 30 days."""
    found = re.fullmatch(r"([0-9]{1,7})([smhd])", text)
    value = int(found[1]) * UNITS[found[2]] if found else 0
    if not 1 <= value <= LONGEST_S:
        raise ValueError(f"{key}: {text!r} is no duration such as 30m, of at least 1s, at most 30d")
    return value
