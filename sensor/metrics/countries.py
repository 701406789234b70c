"""The operator's own country database, a file in MaxMind's format (GeoLite2, DB-IP, IPinfo)."""

from collections.abc import Callable
from typing import Any

from sensor.errors import DamagedCapture, InputMissing, UsageError
from sensor.model.address import address_text

Countries = Callable[[bytes], str | None]  # an address in 16 octets; ISO 3166-1 alpha-2


def open_countries(path: str) -> Countries:
    """Read into memory, so that it needs no file later. UsageError: the extra `geo` is missing;
    InputMissing; DamagedCapture: no such database."""
    try:
        import maxminddb  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise UsageError("maxminddb not installed: pip install 'shadower-sensor[geo]'") from None
    try:
        database = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    except OSError as error:
        raise InputMissing(path, (error.strerror or str(error)).lower()) from error
    except maxminddb.InvalidDatabaseError as error:
        raise DamagedCapture(path, None, "not a MaxMind database") from error
    only_ipv4 = database.metadata().ip_version == 4

    def country(packed: bytes) -> str | None:
        text = address_text(packed)
        if only_ipv4 and ":" in text:
            return None
        try:
            return code_of(database.get(text))
        except maxminddb.InvalidDatabaseError:
            return None

    return country


def code_of(record: Any) -> str | None:
    """Where it is, else where it is registered; None for anything that is no country code."""
    if not isinstance(record, dict):
        return None
    for name in ("country", "country_code", "registered_country"):
        found = record.get(name)
        code = found.get("iso_code") if isinstance(found, dict) else found
        if isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha():
            return code.upper()
    return None
