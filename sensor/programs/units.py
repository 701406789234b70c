"""Numbers for people: short, with a unit."""

UNKNOWN = "-"
SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def size(octets: float) -> str:
    """``1.2 MB``: decimal, as links are sold."""
    value, unit = float(octets), SIZE_UNITS[0]
    for unit in SIZE_UNITS:
        if value < 999.5 or unit == SIZE_UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 packet``, ``1,234 packets``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def milliseconds(us: float | None) -> str:
    """Microseconds as milliseconds with three digits that mean something; a dash when unknown."""
    if us is None:
        return UNKNOWN
    ms = us / 1000
    return significant(ms) if ms >= 0.9995 else f"{ms:.3f}"


def duration(seconds: float) -> str:
    """``12.3 s``, ``4 min 05 s``, ``2 h 03 min``, ``3 d 4 h``."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    minutes, s = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    if minutes < 120:
        return f"{minutes} min {s:02d} s"
    if hours < 48:
        return f"{hours} h {minutes_left:02d} min"
    return f"{hours // 24:,} d {hours % 24} h"


def sure(score: float | None) -> str:
    """A probability in percent; never 100, which nobody is."""
    return UNKNOWN if score is None else f"{min(score * 100, 99.9):.3g} %"


def percent(share: float | None, digits: int = 2) -> str:
    """A fraction 0..1 in percent; a dash when unknown."""
    return UNKNOWN if share is None else f"{share * 100:.{digits}f} %"


def mbits(value: float | None) -> str:
    """``12.3 Mbit/s``; a dash when unknown."""
    if value is None:
        return UNKNOWN
    for unit, factor in (("Gbit/s", 1e-3), ("Mbit/s", 1.0), ("kbit/s", 1e3)):
        if value * factor >= 0.9995:
            return f"{significant(value * factor)} {unit}"
    return f"{value * 1e6:.0f} bit/s"


def significant(value: float) -> str:
    """Three digits that mean something: ``1.23``, ``12.3``, ``123``, ``1,234``."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
