"""The table `[response]` of the configuration: what may be blocked, how long, how much of it."""

from dataclasses import dataclass, replace

from sensor import config
from sensor.config import CONFIRMABLE, Response
from sensor.errors import UsageError, one_line
from sensor.model.address import Prefix, pack_prefix

LONGEST_S = 30 * 86400  # that a source may stay blocked


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
    """The settings of a file (None: the usual one), as `sensor.config.load` reads it."""
    return settings_of(config.load(path).response, path or config.PATH)


def settings_of(table: Response, where: str) -> Settings:
    """Of the table; `where` begins the error. UsageError: what the table alone cannot tell."""

    def wrong(text: str) -> UsageError:
        return UsageError(one_line(f"{where}: response.{text}"))

    for name in table.classes:
        if name not in CONFIRMABLE:
            raise wrong(f"classes: the source of {name!r} may be forged, or it is no class")
    if table.set4 == table.set6:
        raise wrong("set4: not the name of set6")
    try:
        allow = tuple(pack_prefix(text) for text in table.allow)
    except ValueError as error:
        raise wrong(f"allow: {error}") from error
    timeout_s, max_age_s = config.seconds(table.timeout), config.seconds(table.max_age)
    if max(timeout_s, max_age_s) > LONGEST_S:
        raise wrong("timeout and max_age are at most 30d")
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
