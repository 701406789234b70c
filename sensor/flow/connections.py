"""Finished connections of the native floor become the rows that a store keeps.

Column by column with NumPy, then one pass that makes the texts. Nothing here waits or fails: an
unknown number becomes None or its own name.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.model.address import address_text
from sensor.model.community_id import community_id
from sensor.model.connection import conn_state_names, end_reason_names
from sensor.model.endpoint import endpoint_label, protocol_name
from sensor.model.text import decode_name

NONE_NS = np.uint64((1 << 64) - 1)
# Zeek's service names where it has one, by AppProto (app.pxd).
SERVICES = (
    None, "http", "ssl", "http2", "grpc", "websocket", "dns", "quic", "rtp", "ssh", "ftp", "smtp",
    "ntp", "dhcp", "snmp", "sip", "mdns", "llmnr", "ssdp", None, None,
)  # fmt: skip
NAME_SOURCES = (None, "dns", "host", "sni")  # NameSource (sink.pxd)
NAME_DNS = 1
NAME_SNI = 3
CONN_STATES = conn_state_names()
END_REASONS = end_reason_names()
MIDSTREAM, GSO, TRUNCATED, TUNNELLED, FRAGMENTS = 1, 4, 8, 16, 32  # FlowFlag (flow.pxd)

Column = list[Any]


def connections_from_flows(
    flows: NDArray[np.void], names: bytes, agent_id: str, boot_id: str, *, local_known: bool
) -> Iterator[tuple[object, ...]]:
    """Rows in the order of ConnectionRow's fields.

    flows: dtypes.FLOW; names: the text arena of the same take. Without a known local side
    `local_orig` and `local_resp` are None.
    """
    if not len(flows):
        return iter(())
    n = len(flows)
    orig, resp, orig_port, resp_port, protocol = (
        flows[c].tolist() for c in ("orig_ip", "resp_ip", "orig_port", "resp_port", "protocol")
    )
    found = [
        names[at : at + length]
        for at, length in zip(flows["name_at"].tolist(), flows["name_len"].tolist(), strict=True)
    ]
    # A name that DNS gave names the endpoint, but the connection itself did not say it.
    said = np.where(flows["name_source"] > NAME_DNS, flows["name_len"], 0)
    started, ended = microseconds(flows["started_ns"]), microseconds(flows["ended_ns"])
    flags = flows["flags"]
    columns: tuple[Column, ...] = (
        [agent_id] * n,
        [boot_id] * n,
        list(map(community_id, orig, resp, orig_port, resp_port, protocol)),
        started.tolist(),
        ended.tolist(),
        (ended - started).tolist(),
        list(map(protocol_name, protocol)),
        list(map(address_text, orig)),
        orig_port,
        list(map(address_text, resp)),
        resp_port,
        named(flows["app"], SERVICES),
        list(map(endpoint_label, found, resp, resp_port, protocol)),
        named(flows["conn_state"], CONN_STATES),
        histories(flows),
        named(flows["end_reason"], END_REASONS),
        *(signed(flows[c]) for c in ("orig_packets", "orig_bytes", "resp_packets", "resp_bytes")),
        duration(flows["handshake_ns"]),
        duration(flows["rtt_min_ns"]),
        flows["retransmissions"].tolist(),
        *(signed(flows[c]) for c in ("orig_wire_bytes", "resp_wire_bytes", "missed_bytes")),
        *(
            flows[c].tolist()
            for c in ("lost_upstream", "lost_downstream", "out_of_order", "zero_windows")
        ),
        duration(flows["handshake_responder_ns"]),
        duration(flows["handshake_originator_ns"]),
        [
            name_text(raw) if length else None
            for raw, length in zip(found, said.tolist(), strict=True)
        ],
        named(flows["name_source"], NAME_SOURCES),
        [vlan or None for vlan in flows["vlan"].tolist()],
        (flows["local"] & 1).tolist() if local_known else [None] * n,
        (flows["local"] >> 1 & 1).tolist() if local_known else [None] * n,
        *(
            (flags & bit != 0).astype(np.uint8).tolist()
            for bit in (MIDSTREAM, TUNNELLED, FRAGMENTS, TRUNCATED, GSO)
        ),
    )
    return zip(*columns, strict=True)


def microseconds(ns: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Packet times, the part below a microsecond cut off so that order is kept."""
    return (ns // np.uint64(1000)).astype(np.int64)


def duration(ns: NDArray[np.uint64]) -> Column:
    """Durations, rounded; None where there is none."""
    us = ((ns // np.uint64(500) + np.uint64(1)) // np.uint64(2)).astype(np.int64).astype(object)
    us[ns == NONE_NS] = None
    return list(us)


def signed(counts: NDArray[np.uint64]) -> Column:
    """Counts as SQLite has them: 63 bits."""
    least: Column = np.minimum(counts, np.uint64((1 << 63) - 1)).tolist()
    return least


def named(numbers: NDArray[np.uint8], table: tuple[str | None, ...]) -> Column:
    """The name of each number; None for one beyond the table."""
    names = np.array((*table, None), dtype=object)
    return list(names[np.minimum(numbers, len(table))])


def histories(flows: NDArray[np.void]) -> Column:
    """Zeek's history letters."""
    pairs = zip(flows["history"].tolist(), flows["history_len"].tolist(), strict=True)
    return [history_text(raw, length) for raw, length in pairs]


@lru_cache(maxsize=4096)
def history_text(raw: bytes, length: int) -> str:
    return raw[:length].decode("ascii", "replace")


@lru_cache(maxsize=65536)
def name_text(raw: bytes) -> str:
    return decode_name(raw)
