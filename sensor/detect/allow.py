"""Allow lists: whom no event is about."""

from collections.abc import Iterable
from datetime import timedelta

import numpy as np

from sensor.detect.counterparts import Counterparts
from sensor.detect.rule import Allow, Rule
from sensor.detect.window import NS
from sensor.model.address import Prefix, contains
from sensor.model.time import EPOCH


def allows(allow: Allow, rule: Rule, row: np.void, now_ns: int) -> bool:
    """Whether a row's source, destination or domain is on the list, and the list still holds."""
    if allow.until is not None and (EPOCH + timedelta(seconds=now_ns // NS)).date() > allow.until:
        return False
    return (
        _within(allow.sources, rule.event.source, row)
        or _within(allow.destinations, rule.event.destination, row)
        or _below(allow.names, row)
    )


def _within(prefixes: Iterable[Prefix], role: str, row: np.void) -> bool:
    if not prefixes:
        return False
    packed: bytes | None = None
    if role == "key" and "address" in (row.dtype.names or ()):
        packed = row["address"].tobytes()
    elif role == "top":
        packed = Counterparts.of(row).main()
    return packed is not None and any(contains(prefix, packed) for prefix in prefixes)


def _below(names: Iterable[str], row: np.void) -> bool:
    if not names or "name" not in (row.dtype.names or ()):
        return False
    name = bytes(row["name"]).decode("utf-8", "replace").lower()
    return any(name == allowed or name.endswith(f".{allowed}") for allowed in names)
