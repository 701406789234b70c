"""Windows and connections as the engine hands them out, made by hand for the figures' tests."""

from typing import Any

import numpy as np

from sensor._native.counters import Counter
from sensor._native.dtypes import COUNTERS, ENDPOINT, FLOW, PEER, SECOND
from sensor._native.faces import KINDS, LEAVES, Rows, Window
from sensor.model.address import pack_address

NO_MIN = (1 << 64) - 1


def index_of(us: int, half_bits: int) -> int:
    """Where HdrHistogram counts a value (the formula of its specification, one value at a time)."""
    p = max(0, us.bit_length() - (half_bits + 1))
    return ((p + 1) << half_bits) + (us >> p) - (1 << half_bits)


def window(start_s: int = 0, end_s: int = 60, **parts: Any) -> Window:
    """An empty window with `parts` put in; endpoint row 0 is `__other__`, peer row 0 no room."""
    rows = parts.get("endpoints", endpoints())
    empty: Any = {
        "start_ns": start_s * 10**9,
        "end_ns": end_s * 10**9,
        "endpoints": rows,
        "latency_counts": np.zeros((len(rows), 2560), np.uint32),
        "kinds": np.zeros((len(KINDS), 17408), np.uint32),
        "kind_stats": np.array([[0, 0, NO_MIN, 0, 0]] * len(KINDS), np.uint64),
        "peers": np.zeros(1, PEER),
        "seconds": np.zeros(0, SECOND),
        "leaf_bytes": np.zeros(len(LEAVES), np.uint64),
        "leaf_packets": np.zeros(len(LEAVES), np.uint64),
        "leaf_connections": np.zeros(len(LEAVES), np.uint64),
        "totals": np.zeros(COUNTERS, np.uint64),
        "status": np.zeros(1000, np.uint32),
        "health": {},
        "counters": {},
        "anomalies": {},
        "connections_open": 0,
        "established_open": 0,
    }
    made: Window = empty | parts
    return made


def endpoint(
    address: str = "192.0.2.1",
    port: int = 443,
    protocol: int = 6,
    *,
    name: bytes = b"",
    name_source: int = 0,
    app: int = 0,
    one_way: int = 0,
    jitter_ns: tuple[int, ...] = (),
    **counters: int,
) -> np.void:
    """One ENDPOINT row; counters by name without `C_`, in lower case."""
    row = np.zeros(1, ENDPOINT)[0]
    row["address"] = pack_address(address)
    row["port"], row["protocol"], row["app"] = port, protocol, app
    row["name_source"], row["name_len"], row["name"] = name_source, len(name), name
    row["one_way"] = one_way
    row["jitter_count"], row["jitter_sum_ns"] = len(jitter_ns), sum(jitter_ns)
    row["latency_min_ns"] = NO_MIN
    for counter, n in counters.items():
        row["counters"][Counter[f"C_{counter.upper()}"]] = n
    return row


def endpoints(*rows: np.void) -> Rows:
    other = endpoint("::", 0, 0)
    return np.array([other, *rows], ENDPOINT)


def with_latency(made: Window, row: int, samples_ns: list[int]) -> Window:
    """Network latency of one endpoint row."""
    e = made["endpoints"][row]
    for ns in samples_ns:
        made["latency_counts"][row, index_of((ns + 500) // 1000, 7)] += 1
    e["latency_count"], e["latency_sum_ns"] = len(samples_ns), sum(samples_ns)
    e["latency_min_ns"], e["latency_max_ns"] = min(samples_ns), max(samples_ns)
    return made


def with_kind(made: Window, kind: str, samples_ns: list[int]) -> Window:
    """Samples of one latency kind."""
    i = KINDS.index(kind)
    for ns in samples_ns:
        made["kinds"][i, index_of((ns + 500) // 1000, 10)] += 1
    made["kind_stats"][i] = (len(samples_ns), sum(samples_ns), min(samples_ns), max(samples_ns), 0)
    return made


def seconds(*rows: tuple[int, int, int]) -> Rows:
    """SECOND rows of (second, octets in, octets out), evenly spread over the ten bins."""
    made = np.zeros(len(rows), SECOND)
    for row, (second, octets_in, octets_out) in zip(made, rows, strict=True):
        row["second"], row["bytes_in"], row["bytes_out"] = second, octets_in, octets_out
        row["bins_in"], row["bins_out"] = octets_in // 10, octets_out // 10
    return made


def totals(**counters: int) -> Any:
    made = np.zeros(COUNTERS, np.uint64)
    for counter, n in counters.items():
        made[Counter[f"C_{counter.upper()}"]] = n
    return made


def flow(name: bytes = b"", name_at: int = 0, name_source: int = 0) -> np.void:
    row = np.zeros(1, FLOW)[0]
    row["name_at"], row["name_len"], row["name_source"] = name_at, len(name), name_source
    return row
