"""What the columns of a feature table are: keys, counts of a window, levels, peaks.

The native floor says which columns there are (sensor._native.dtypes); this page says how several
seconds of one become one window.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor._native.faces import Rows

Dtype = np.dtype[np.void]
Tables = Mapping[str, Dtype]  # table -> dtype of its rows

KEYS = (
    "address",
    "peer",
    "port",
    "protocol",
    "name",
    "mac",
)  # of these, a table's own make its key
IDENTITY = frozenset({*KEYS, "slot", "generation", "local"})
# Counterparts: where there are several values, the one of the second with the largest top_count.
TOP = ("top_address", "top_port", "top_count", "top_addresses", "top_counts", "top_ports", "client")
# Levels that the sensor holds itself (now, or over five minutes): the newest value counts.
LEVELS = frozenset(
    {
        "half_open",
        "conn_active",
        "conn_slow_header",
        "conn_slow_body",
        "conn_slow_read",
        "conn_tls_silent",
        "conn_silent",
        "conn_idle",
        "scan_hosts",
        "scan_ports",
        "scan_failures",
        "scan_successes",
        "scan_score",
        "scan_services",
        "scan_echoed",
        "names",
        "name_bytes",
        "longest",
        "entropy",
        "flips",
        "claims",
    }
)
# Whole numbers that are no level are counts: they add up. Fractions are estimates of distinct
# things or shares within a second: the largest counts, which never overstates a window.
DERIVED = {"top_share": ("top_count", "top_total")}


def readable(dtype: Dtype) -> frozenset[str]:
    """The columns that an expression may read: scalar numbers, and what is derived from them."""
    plain = {name for name in dtype.names or () if dtype[name].kind in "uif"}
    derived = {name for name, parts in DERIVED.items() if plain.issuperset(parts)}
    return frozenset(plain | derived)


def key_columns(dtype: Dtype) -> tuple[str, ...]:
    """The columns that name a row of the table, in the order of KEYS."""
    return tuple(name for name in KEYS if name in (dtype.names or ()))


def slots_of(rows: Rows) -> NDArray[np.intp]:
    """Where each row's key is kept; a table of one row needs no column to say it."""
    if "slot" in (rows.dtype.names or ()):
        return rows["slot"].astype(np.intp)
    return np.arange(len(rows))


def generations_of(rows: Rows) -> NDArray[np.uint32]:
    """Which of a slot's successive keys each row is about."""
    if "generation" in (rows.dtype.names or ()):
        return np.asarray(rows["generation"], np.uint32)
    return np.zeros(len(rows), np.uint32)


def counts(dtype: Dtype) -> tuple[str, ...]:
    """The columns that add up over the seconds of a window."""
    return tuple(
        name
        for name in dtype.names or ()
        if dtype[name].kind in "ui" and name not in IDENTITY | LEVELS and name not in TOP
    )


def peaks(dtype: Dtype) -> tuple[str, ...]:
    """The columns of which the largest second counts."""
    return tuple(n for n in dtype.names or () if dtype[n].kind == "f" and n not in LEVELS)


@cache
def levels(dtype: Dtype) -> tuple[str, ...]:
    """The columns of which the newest second counts."""
    known = set(counts(dtype)) | set(peaks(dtype)) | set(TOP)
    return tuple(name for name in dtype.names or () if name not in known)


def whole(rows: Rows) -> NDArray[np.void]:
    """Rows without their columns, sharing their memory: NumPy copies rows column by column."""
    return rows.view(f"V{rows.itemsize}")


@dataclass(frozen=True, slots=True)
class Block:
    """Columns of one format that lie side by side."""

    format: np.dtype[Any]
    offset: int  # octets
    n: int

    def of(self, rows: Rows) -> NDArray[Any]:
        """Them in `rows` (contiguous, not empty): an array that shares their memory."""
        strides = (rows.itemsize, self.format.itemsize)
        return np.ndarray((len(rows), self.n), self.format, rows, self.offset, strides)


@cache
def blocks(dtype: Dtype, which: Callable[[Dtype], tuple[str, ...]]) -> tuple[Block, ...]:
    """What `which` names, in as few pieces as there are: a loop over columns is slow."""
    found: list[Block] = []
    fields: Mapping[str, tuple[Any, ...]] = dtype.fields or {}
    named = [fields[name][:2] for name in which(dtype)]
    for form, offset in sorted(named, key=lambda field: field[1]):
        last = found[-1] if found else None
        if last and last.format == form and last.offset + last.n * form.itemsize == offset:
            found[-1] = Block(form, last.offset, last.n + 1)
        else:
            found.append(Block(form, offset, 1))
    return tuple(found)
