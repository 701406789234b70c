"""Feature tables for the tests of detection: the columns of the contract, and some more."""

import numpy as np

from sensor.model.address import pack_address

KEYS = [
    ("slot", "<u4"),
    ("generation", "<u4"),
    ("address", "V16"),
    ("port", "<u2"),
    ("protocol", "u1"),
    ("local", "u1"),
]
COUNTS_TEXT = """
syn_new syn_retrans syn_silent syn_refused syn_aborted syn_complete syn_failed syn_bare
stray_synack stray_rst stray_ack stray_odd stray_flows conn_closed conn_empty
udp_packets udp_bytes udp_flows udp_answered udp_unreachable icmp_echo icmp_echo_bytes
icmp_reply_stray icmp_error icmp_other frag_packets frag_bytes frag_later
refl_packets refl_bytes refl_requests refl_request_bytes refl_answers refl_answer_bytes
http_requests http_posts http_4xx http_5xx http_401 tls_hellos tls_failed tls_turns tls_downgrades
tls_old quic_initials dns_queries dns_nxdomain dns_servfail dns_any
auth_failures auth_sessions auth_short auth_long dhcp_discovers
"""
GAUGES_TEXT = """
half_open conn_active conn_slow_header conn_slow_body conn_slow_read conn_tls_silent conn_silent
conn_idle
"""
# Columns that only the example rules of the design name: a dtype may always have more.
EXAMPLES_TEXT = """
backlog complete syn_incomplete k_syncookies k_reqq_drop k_listen_drop src_new_share src_distinct
link_mbps capture_loss dns_any_or_txt_share refl_unsolicited_pkts refl_unsolicited_bytes
refl_in_bytes refl_out_bytes frag_pkts slow_top_source conn_idle_complete tls_no_appdata
slow_interval_cv new_conn_ok_share conn_upgraded
"""
COUNTS, GAUGES, EXAMPLES = (t.split() for t in (COUNTS_TEXT, GAUGES_TEXT, EXAMPLES_TEXT))
SLOT = np.dtype(
    [
        *KEYS,
        *((name, "<u4") for name in COUNTS + GAUGES),
        *((name, "<f4") for name in ("peers", "ports", "uris", "uri_top", "scan_score")),
        *((name, "<f4") for name in ("scan_hosts", "scan_ports", "scan_services")),
        *((name, "<u4") for name in ("scan_failures", "scan_successes")),
        ("top_address", "V16"),
        ("top_port", "<u2"),
        ("top_count", "<u4"),
        ("top_total", "<u4"),
    ]
)
EXAMPLE_SLOT = np.dtype([*((n, SLOT[n]) for n in SLOT.names), *((n, "<f8") for n in EXAMPLES)])
DOMAIN = np.dtype(
    [
        ("slot", "<u4"),
        ("generation", "<u4"),
        ("name", "S64"),
        *((n, "<u4") for n in ("queries", "nxdomain", "bytes", "name_bytes", "txt")),
        ("names", "<f4"),
        ("longest", "<u2"),
        ("entropy", "<f4"),
        ("client", "V16"),
    ]
)
NEIGHBOUR = np.dtype(
    [
        ("slot", "<u4"),
        ("generation", "<u4"),
        ("address", "V16"),
        ("mac", "V6"),
        *((n, "<u4") for n in ("flips", "claims", "replies", "requests")),
    ]
)
SENSOR = np.dtype(
    [
        ("packets", "<u8"),
        ("bytes", "<u8"),
        ("one_way_share", "<f4"),
        ("capture_loss", "<f4"),
        ("dhcp_discovers", "<u4"),
    ]
)
TABLES = {
    **{name: SLOT for name in ("service", "host", "source", "reflection")},
    "domain": DOMAIN,
    "neighbour": NEIGHBOUR,
    "sensor": SENSOR,
}
EXAMPLE_TABLES = {**TABLES, "service": EXAMPLE_SLOT, "host": EXAMPLE_SLOT}
NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
AGENT = "00000000-0000-5000-8000-000000000001"


def address(text):
    return np.void(pack_address(text))


def rows(dtype, *given):
    """One row per dict; `ip` and `top` are addresses as text."""
    made = np.zeros(len(given), dtype)
    for i, values in enumerate(given):
        if "slot" in dtype.names:
            made[i]["slot"], made[i]["generation"] = i, 1
        for name, value in values.items():
            column = {"ip": "address", "top": "top_address"}.get(name, name)
            made[i][column] = address(value) if name in ("ip", "top") else value
    return made


def second(at, tables, end=None):
    """The features of second `at`, counted from START_NS."""
    start_ns = START_NS + int(at * NS)
    end_ns = start_ns + NS if end is None else START_NS + int(end * NS)
    full = {name: np.zeros(0, dtype) for name, dtype in TABLES.items()}
    full["sensor"] = np.zeros(1, SENSOR)
    return {"start_ns": start_ns, "end_ns": end_ns, "tables": {**full, **tables}}
