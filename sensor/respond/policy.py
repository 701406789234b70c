"""Which events are acted on. Pure: everything that is known is handed in.

What is not `wanted` is none of the responder's business; an `objection` to what is wanted is
recorded. Finished connections have the last word (sensor.respond.confirm).
"""

from dataclasses import dataclass

from sensor.model.event import evidence_of
from sensor.model.rows import SEVERITIES, SecurityEventRow
from sensor.respond.protected import Protected, parsed
from sensor.respond.settings import Settings


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the event itself."""

    now_us: int  # wall clock
    is_live: bool  # its agent's run captured live, and did not replay a file
    protected: Protected
    victims: frozenset[bytes]  # destinations of what goes on now, in 16 octets
    undone: bool = False  # the operator took this event's block back


def wanted(event: SecurityEventRow, settings: Settings) -> str | None:
    """Why the settings do not ask for an answer to this event; None when they do."""
    if event.attack_class not in settings.classes:
        return f"class {event.attack_class} is not answered"
    if event.severity not in SEVERITIES or (
        SEVERITIES.index(event.severity) < SEVERITIES.index(settings.min_severity)
    ):
        return f"severity {event.severity} is below {settings.min_severity}"
    if event.confidence_score is None or not event.confidence_score >= settings.min_confidence:
        return f"confidence {event.confidence_score} is below {settings.min_confidence}"
    false = event.false_positive_probability
    if false is None or not false <= settings.max_false_positive:
        return f"false positive probability {false} is above {settings.max_false_positive}"
    return None


def age_us(event: SecurityEventRow, now_us: int) -> int:
    """How long ago the event went on last; negative when that is to come."""
    newest = max(
        at for at in (event.detected_at, event.updated_at, event.resolved_at) if at is not None
    )
    return now_us - newest


def objection(event: SecurityEventRow, settings: Settings, facts: Facts) -> str | None:
    """Why the source of an event that was wanted must not be blocked; None: nothing is known."""
    address = parsed(event.source_ip)
    if event.source_ip is None:
        return "no single source"
    if address is None:
        return "the source is no address"
    if evidence_of(event).get("spoofed") is not False:
        return "the source may be forged"
    if not facts.is_live:
        return "not seen live: a replay is no reason to block"
    age = age_us(event, facts.now_us)
    if not -settings.max_age_s * 1_000_000 <= age <= settings.max_age_s * 1_000_000:
        return "not now: the event is too old, or the clocks differ"
    if facts.undone:
        return "the operator took it back"
    if address == parsed(event.destination_ip) or address in facts.victims:
        return "it is itself under attack"
    reason = facts.protected.why(address)
    return None if reason is None else f"protected: {reason}"
