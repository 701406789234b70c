"""Native connection rows become the rows of a store."""

import numpy as np

from sensor._native.dtypes import FLOW, NONE_NS
from sensor.flow.connections import SERVICES, connections_from_flows
from sensor.model.address import pack_address
from sensor.model.connection import ConnState, EndReason
from sensor.model.rows import ConnectionRow

NAMES = b"shop.examplebad\xff"


def flow(**fields: object) -> np.ndarray:
    made = np.zeros(1, FLOW)
    made["orig_ip"] = pack_address("128.232.110.120")
    made["resp_ip"] = pack_address("66.35.250.204")
    made["orig_port"], made["resp_port"], made["protocol"] = 34855, 80, 6
    for name in ("handshake_ns", "handshake_responder_ns", "handshake_originator_ns", "rtt_min_ns"):
        made[name] = NONE_NS
    made["end_reason"] = 3
    for name, value in fields.items():
        made[name] = value
    return made


def row(made: np.ndarray, *, local_known: bool = True) -> ConnectionRow:
    [values] = connections_from_flows(made, NAMES, "agent", "boot", local_known=local_known)
    return ConnectionRow._make(values)


def test_a_tls_connection() -> None:
    got = row(
        flow(
            started_ns=1_700_000_000_123_456_999, ended_ns=1_700_000_001_123_457_000, app=2,
            conn_state=2, orig_packets=6, orig_bytes=700, resp_packets=5, resp_bytes=5000,
            handshake_ns=1_499, handshake_responder_ns=500, handshake_originator_ns=0,
            history=b"ShADadFf", history_len=8, name_at=0, name_len=12, name_source=3, local=1,
            flags=1 | 16, vlan=7,
        )
    )  # fmt: skip
    assert got.community_id == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
    assert (got.started_at, got.ended_at) == (1_700_000_000_123_456, 1_700_000_001_123_457)
    assert got.duration_us == 1_000_001
    assert (got.orig_ip, got.resp_ip, got.protocol) == ("128.232.110.120", "66.35.250.204", "tcp")
    assert (got.service, got.endpoint) == ("ssl", "shop.example:80/tcp")
    assert (got.conn_state, got.history, got.end_reason) == ("SF", "ShADadFf", "end_detected")
    times = got.handshake_us, got.handshake_responder_us, got.handshake_originator_us
    assert (*times, got.rtt_min_us) == (1, 1, 0, None)
    assert (got.server_name, got.name_source) == ("shop.example", "sni")
    assert (got.local_orig, got.local_resp, got.vlan) == (1, 0, 7)
    assert (got.midstream, got.tunnelled, got.fragmented, got.truncated, got.offloaded) == (
        1, 1, 0, 0, 0,
    )  # fmt: skip


def test_endpoints() -> None:
    six = flow(resp_ip=pack_address("2001:db8::1"), orig_ip=pack_address("2001:db8::2"))
    assert row(six).endpoint == "[2001:db8::1]:80/tcp"
    echo = flow(protocol=1, orig_port=8, resp_port=0)
    assert (row(echo).endpoint, row(echo).protocol) == ("66.35.250.204/icmp", "icmp")
    assert row(flow(protocol=47, resp_port=0)).endpoint == "66.35.250.204:0/ip47"
    # Observed DNS names the endpoint, but the connection carried no name.
    by_dns = row(flow(name_at=12, name_len=4, name_source=1))
    assert (by_dns.endpoint, by_dns.server_name, by_dns.name_source) == (
        "bad\\xff:80/tcp", None, "dns",
    )  # fmt: skip


def test_what_is_unknown_is_none() -> None:
    got = row(flow(app=250, end_reason=99, conn_state=12), local_known=False)
    assert (got.service, got.end_reason, got.conn_state) == (None, None, "OTH")
    assert (got.local_orig, got.local_resp, got.vlan, got.server_name) == (None, None, None, None)
    nothing = np.zeros(0, FLOW)
    assert list(connections_from_flows(nothing, b"", "a", "b", local_known=True)) == []


def test_numbers_mean_what_the_native_floor_means() -> None:
    ipfix = ["idle_timeout", "active_timeout", "end_detected", "forced_end", "lack_of_resources"]
    assert [row(flow(end_reason=n)).end_reason for n in range(1, 6)] == ipfix
    zeek = [
        "S0",
        "S1",
        "SF",
        "REJ",
        "S2",
        "S3",
        "RSTO",
        "RSTR",
        "RSTOS0",
        "RSTRH",
        "SH",
        "SHR",
        "OTH",
    ]
    assert [row(flow(conn_state=n)).conn_state for n in range(13)] == zeek
    assert (len(ConnState), len(EndReason), len(SERVICES)) == (13, 5, 21)
