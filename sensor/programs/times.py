"""Points in time on the command line: a date, or an age."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click

from sensor.model.time import EPOCH

US = 1_000_000
UNITS = {"s": US, "m": 60 * US, "h": 3600 * US, "d": 86400 * US, "w": 7 * 86400 * US}
LONGEST = 1 << 61  # so that SQLite can hold the difference
AGE = re.compile(r"(\d{1,9})([smhdw])")


@dataclass(frozen=True, slots=True)
class Point:
    """Microseconds since 1970 UTC, or before the newest packet that is known."""

    us: int
    is_age: bool = False

    def at(self, newest: int | None) -> int | None:
        """None when it counts from a newest packet and there is none."""
        if not self.is_age:
            return self.us
        return None if newest is None else newest - self.us


def point_option(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> Point | None:
    """An option's callback: RFC 3339, its date alone, or an age such as 90s, 15m, 1h, 7d, 2w."""
    if text is None:
        return None
    if age := AGE.fullmatch(text.strip()):
        return Point(min(int(age[1]) * UNITS[age[2]], LONGEST), is_age=True)
    try:
        moment = datetime.fromisoformat(text.strip())
        # Without an offset it is UTC, as all times that we show.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return Point((moment - EPOCH) // timedelta(microseconds=1))
    except (ValueError, OverflowError):
        reason = f"{text!r} is neither RFC 3339 nor an age such as 15m, 1h, 7d"
        raise click.BadParameter(reason) from None
