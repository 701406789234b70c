"""Packet time as text, and the clock on the wall."""

from datetime import UTC, datetime, timedelta
from time import time_ns

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NS = 1_000_000_000


def rfc3339(ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC, all nine digits (years 1970 to 2262)."""
    seconds, fraction = divmod(ns, NS)
    moment = EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def microseconds_now() -> int:
    """Wall clock, since 1970."""
    return time_ns() // 1000
