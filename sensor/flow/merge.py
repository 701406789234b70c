"""One window out of what several engines saw of it, each of its share of one agent's packets.

Counts and histograms are added, minima and maxima taken, rows of the same endpoint, peer or second
become one: the result is what one engine had counted, where its tables had room.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from sensor._native.faces import Rows, Window

ENDPOINT_SUMS = (
    "counters", "latency_count", "latency_sum_ns", "jitter_count", "jitter_sum_ns", "one_way",
)  # fmt: skip
PEER_SUMS = ("bytes", "packets", "connections", "errors", "latency_count", "latency_sum_ns")
ONCE = ("interface_gaps", "gap_ms", "clock_step_ms")  # of the host: every engine tells the same
LEAST, MOST = "latency_min_ns", "latency_max_ns"


class Standing(TypedDict):
    """How things stand in an engine, whether it got a packet or not."""

    counters: dict[str, int]
    anomalies: dict[str, int]
    connections_open: int
    established_open: int


def standing(window: Window) -> Standing:
    """What stays true of an engine after its window."""
    return {
        "counters": window["counters"],
        "anomalies": window["anomalies"],
        "connections_open": window["connections_open"],
        "established_open": window["established_open"],
    }


def without_standing(window: Window) -> Window:
    """What happened in it only."""
    return {
        **window, "counters": {}, "anomalies": {}, "connections_open": 0, "established_open": 0,
    }  # fmt: skip


def merge_windows(windows: Sequence[Window], others: Sequence[Standing] = ()) -> Window:
    """`windows` have the same start, at least one; `others` are of engines without one."""
    first = windows[0]
    everyone: list[Standing] = [*map(standing, windows), *others]
    endpoints = np.concatenate([window["endpoints"] for window in windows])
    which, n = same(endpoint_keys(endpoints, [len(w["endpoints"]) for w in windows]))
    counts = np.zeros((n, first["latency_counts"].shape[1]), np.uint32)
    np.add.at(counts, which, np.concatenate([window["latency_counts"] for window in windows]))
    peers = np.concatenate([window["peers"] for window in windows])
    seconds = np.concatenate([window["seconds"] for window in windows])
    stats = np.stack([window["kind_stats"] for window in windows])
    kind_stats = stats.sum(axis=0)
    kind_stats[:, 2] = stats[:, :, 2].min(axis=0)
    kind_stats[:, 3] = stats[:, :, 3].max(axis=0)

    def total(key: str) -> NDArray[Any]:
        arrays: list[NDArray[Any]] = [window[key] for window in windows]  # type: ignore[literal-required]
        return np.sum(arrays, axis=0, dtype=arrays[0].dtype)  # type: ignore[no-any-return]

    return Window(
        start_ns=first["start_ns"],
        end_ns=first["end_ns"],
        endpoints=added(endpoints, which, n, ENDPOINT_SUMS),
        latency_counts=counts,
        kinds=total("kinds"),
        kind_stats=kind_stats,
        peers=added(peers, *same(peers["prefix"]), PEER_SUMS),
        seconds=np.sort(
            added(seconds, *same(seconds["second"]), tuple(seconds.dtype.names or ())[1:]),
            order="second",
        ),
        leaf_bytes=total("leaf_bytes"),
        leaf_packets=total("leaf_packets"),
        leaf_connections=total("leaf_connections"),
        totals=total("totals"),
        status=total("status"),
        health=merge_health([window["health"] for window in windows]),
        counters=sums([each["counters"] for each in everyone]),
        anomalies=sums([each["anomalies"] for each in everyone]),
        connections_open=sum(each["connections_open"] for each in everyone),
        established_open=sum(each["established_open"] for each in everyone),
    )


def endpoint_keys(rows: Rows, lengths: Sequence[int]) -> NDArray[np.void]:
    """What makes an endpoint: its name or else its address, port, protocol and role.

    The first row of each engine is `__other__`, whatever stands in it.
    """
    keys = np.zeros(len(rows), np.dtype([("other", "u1"), ("who", "V256"), ("what", "V4")]))
    keys["who"] = rows["name"]
    unnamed = rows["name_len"] == 0
    keys["who"][unnamed] = rows["address"][unnamed].astype("V256")
    what = np.stack(
        [rows["port"] >> 8, rows["port"] & 0xFF, rows["protocol"], rows["role"]], axis=1
    )
    keys["what"] = np.ascontiguousarray(what.astype(np.uint8)).view("V4").ravel()
    firsts = np.cumsum([0, *lengths[:-1]])
    keys[firsts] = np.zeros(1, keys.dtype)
    keys["other"][firsts] = 1
    return keys


def same(keys: NDArray[np.generic]) -> tuple[NDArray[np.intp], int]:
    """Which of the result's rows each row goes to, by first appearance; how many there are."""
    octets = np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), keys.dtype.itemsize)
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(row.tobytes(), len(numbers)) for row in octets]
    return np.array(which, np.intp), len(numbers)


def added(rows: Rows, which: NDArray[np.intp], n: int, sums_of: Sequence[str]) -> Rows:
    """One row for each number of `which`: as its first row, with sums, least and most of all."""
    _, first = np.unique(which, return_index=True)
    made = rows[first].copy()
    for name in sums_of:
        total = np.zeros((n, *rows.dtype[name].shape), rows.dtype[name].base)
        np.add.at(total, which, rows[name])
        made[name] = total
    if LEAST in (rows.dtype.names or ()):
        np.minimum.at(made[LEAST], which, rows[LEAST])
        np.maximum.at(made[MOST], which, rows[MOST])
    return made


def merge_health(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Losses are added; what happened to the host is counted once."""
    made = sums(parts)
    for name in ONCE:
        if name in made:
            made[name] = max((part.get(name, 0) for part in parts), key=abs)
    return made


def sums(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    """By name."""
    made: dict[str, int] = {}
    for each in counts:
        for name, n in each.items():
            made[name] = made.get(name, 0) + n
    return made
