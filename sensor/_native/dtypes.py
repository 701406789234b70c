"""NumPy views of the native rows; every itemsize is asserted against C at import of the engine.

Addresses are 16 octets (IPv4 as ::ffff:a.b.c.d). Times are packet time in nanoseconds since 1970
UTC; `NONE_NS` in a duration or time column means unknown.
"""

import numpy as np

from sensor._native.counters import Counter
from sensor._native.features import Feature, Gauge

NONE_NS = (1 << 64) - 1
FEATURES = [f.name[2:].lower() for f in Feature if f.name != "F_COUNT"]
GAUGES = [g.name[2:].lower() for g in Gauge if g.name != "G_COUNT"]
COUNTERS = len([c for c in Counter if c.name != "C_COUNT"])

ENDPOINT = np.dtype(
    [
        ("address", "V16"),  # the responder's address
        ("port", "<u2"),
        ("protocol", "u1"),  # IP protocol number
        ("role", "u1"),  # 0 external, 1 agent is originator, 2 agent is responder, 3 internal
        ("name_source", "u1"),  # NameSource
        ("name_len", "u1"),
        ("app", "u1"),  # AppProto
        ("reserved", "u1"),
        ("counters", "<u8", (COUNTERS,)),
        ("latency_count", "<u8"),  # network-class RTT samples
        ("latency_sum_ns", "<u8"),
        ("latency_min_ns", "<u8"),
        ("latency_max_ns", "<u8"),
        ("jitter_count", "<u8"),  # |RTT_i - RTT_(i-1)| within one flow and side
        ("jitter_sum_ns", "<u8"),
        ("one_way", "<u8"),  # TCP connections of which only one direction was seen
        ("name", "V256"),
    ],
    align=True,
)

PEER = np.dtype(
    [
        ("prefix", "V16"),  # /24 (IPv4) or /48 (IPv6) of the remote side
        ("bytes", "<u8"),
        ("packets", "<u8"),
        ("connections", "<u8"),
        ("errors", "<u8"),
        ("latency_count", "<u8"),
        ("latency_sum_ns", "<u8"),
    ],
    align=True,
)

SECOND = np.dtype(
    [
        ("second", "<i8"),  # seconds since 1970 UTC, packet time
        ("bytes_in", "<u8"),
        ("bytes_out", "<u8"),
        ("bytes_other", "<u8"),  # neither side, or both sides, local
        ("packets_in", "<u8"),
        ("packets_out", "<u8"),
        ("packets_other", "<u8"),
        ("bins_in", "<u4", (10,)),  # octets per 100 ms
        ("bins_out", "<u4", (10,)),
        ("bins_other", "<u4", (10,)),
    ],
    align=True,
)

FLOW = np.dtype(
    [
        ("started_ns", "<u8"),
        ("ended_ns", "<u8"),
        ("orig_ip", "V16"),
        ("resp_ip", "V16"),
        ("orig_port", "<u2"),
        ("resp_port", "<u2"),
        ("protocol", "u1"),
        ("conn_state", "u1"),  # ConnState
        ("app", "u1"),  # AppProto
        ("end_reason", "u1"),  # EndReason
        ("orig_packets", "<u8"),
        ("orig_bytes", "<u8"),  # payload
        ("resp_packets", "<u8"),
        ("resp_bytes", "<u8"),
        ("orig_wire_bytes", "<u8"),
        ("resp_wire_bytes", "<u8"),
        ("handshake_ns", "<u8"),
        ("handshake_responder_ns", "<u8"),
        ("handshake_originator_ns", "<u8"),
        ("rtt_min_ns", "<u8"),
        ("missed_bytes", "<u8"),
        ("retransmissions", "<u4"),
        ("lost_upstream", "<u4"),
        ("lost_downstream", "<u4"),
        ("out_of_order", "<u4"),
        ("zero_windows", "<u4"),
        ("name_at", "<u4"),  # into the text arena of the same take
        ("vlan", "<u2"),
        ("name_len", "u1"),
        ("name_source", "u1"),
        ("local", "u1"),  # bit 0: originator local, bit 1: responder local
        ("flags", "u1"),  # 1 midstream, 2 turned, 4 gso, 8 truncated, 16 tunnelled, 32 fragments
        ("history_len", "u1"),
        ("ttl", "u1"),  # of the remote end, the responder unless only that one is local; 0: unknown
        ("history", "V24"),
    ],
    align=True,
)

# ---- detection: one row per key and second (features.pxd says what each count is)

_TOP = 4  # most frequent counterparts of a key, the first of them also as a scalar
_SLOT_PARTS: list[tuple[str, object, int]] = [  # name, format, octets
    ("slot", "<u4", 4),
    ("generation", "<u4", 4),
    ("address", "V16", 16),
    ("top_addresses", ("V16", (_TOP,)), 16 * _TOP),
    ("top_counts", ("<u4", (_TOP,)), 4 * _TOP),
    ("top_ports", ("<u2", (_TOP,)), 2 * _TOP),
    ("top_total", "<u4", 4),
    ("peers", "<f4", 4),
    ("ports", "<f4", 4),
    ("uris", "<f4", 4),
    ("uri_top", "<f4", 4),
    ("scan_hosts", "<f4", 4),
    ("scan_ports", "<f4", 4),
    ("scan_services", "<f4", 4),
    ("scan_echoed", "<f4", 4),
    ("scan_score", "<f4", 4),
    ("scan_failures", "<u4", 4),
    ("scan_successes", "<u4", 4),
    *((name, "<u4", 4) for name in (*FEATURES, *GAUGES)),
    ("port", "<u2", 2),
    ("protocol", "u1", 1),
    ("local", "u1", 1),
]


def _slot_dtype() -> np.dtype[np.void]:
    names, formats, offsets, at = [], [], {}, 0
    for name, form, octets in _SLOT_PARTS:
        names.append(name)
        formats.append(form)
        offsets[name] = at
        at += octets
    for first, many, form in (
        ("top_address", "top_addresses", "V16"),
        ("top_count", "top_counts", "<u4"),
        ("top_port", "top_ports", "<u2"),
    ):
        names.append(first)
        formats.append(form)
        offsets[first] = offsets[many]
    where = [offsets[name] for name in names]
    size = -(-at // 8) * 8
    return np.dtype({"names": names, "formats": formats, "offsets": where, "itemsize": size})


SLOT = _slot_dtype()

DOMAIN = np.dtype(
    [
        ("slot", "<u4"),
        ("generation", "<u4"),
        ("top_address", "V16"),  # the client that asks most
        ("top_count", "<u4"),
        ("top_total", "<u4"),
        ("queries", "<u4"),  # this second
        ("txt", "<u4"),  # of these: TXT, NULL, ANY, private types
        ("name_bytes", "<u4"),  # five minutes: octets of the distinct names below the domain
        ("longest", "<u4"),
        ("asked", "<u4"),  # five minutes: queries
        ("names", "<f4"),  # five minutes: distinct names
        ("entropy", "<f4"),  # bits per character of those; 0: too few to say
        ("reserved", "<u4"),
        ("name", "S64"),
    ]
)

NEIGHBOUR = np.dtype(
    [
        ("slot", "<u4"),
        ("generation", "<u4"),
        ("address", "V16"),
        ("mac", "V6"),
        ("reserved", "<u2"),
        ("flips", "<u4"),  # a minute: changes of the address's MAC
        ("claims", "<u4"),  # addresses its MAC claimed without being asked
        ("unasked", "<u4"),  # a minute: claims nobody asked for
        ("replies", "<u4"),
        ("requests", "<u4"),
        ("padding", "<u4"),
    ]
)

ANNOUNCEMENT = np.dtype([("is_cdp", "<u2"), ("length", "<u2"), ("octets", "V508")])

SENSOR = np.dtype(
    [
        ("slot", "<u4"),  # there is one row only
        ("generation", "<u4"),
        ("packets", "<u8"),
        ("bytes", "<u8"),
        ("dhcp_requests", "<u4"),  # DISCOVER, REQUEST, INFORM
        ("dhcp_clients", "<f4"),  # distinct hardware addresses in these
        ("one_way_share", "<f4"),  # of recent TCP connections; NaN: too few to say
    ]
)

TABLES = {  # of faces.Features, as rules name them
    "service": SLOT,
    "host": SLOT,
    "source": SLOT,
    "reflection": SLOT,
    "domain": DOMAIN,
    "neighbour": NEIGHBOUR,
    "sensor": SENSOR,
}
