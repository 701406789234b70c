"""conn_state and history: hand-worked conversations, one for every state Zeek names.

The expected values were worked out from Zeek's scripts/base/protocols/conn/main.zeek and its TCP
session adapter, segment by segment.
"""

import ipaddress

import numpy as np
import pytest

from sensor._native.doors_engine import Frames
from sensor._native.dtypes import NONE_NS
from sensor._native.engine import Engine
from sensor._native.flow import ConnState, EndReason
from sensor._native.sink import LatencyKind as L
from sensor.model.address import pack_prefix
from tests.traffic.tcp import ETHERNET, MS, START_NS, Conversation, ip_frame, udp_frame

SECOND = 1_000_000_000


def replay(frames, **settings):
    """Every connection row, the windows, and the engine at the end."""
    engine = Engine(secret=bytes(range(40)), **settings)
    source = Frames(sorted(frames, key=lambda f: f[0]))
    rows, windows = [], []

    def keep():
        part, text = engine.take_flows()
        for row in part:
            name = text[row["name_at"] : row["name_at"] + row["name_len"]].decode()
            rows.append((row, name))
        return len(part)

    while source.next_batch():
        while why := engine.feed(source):
            if why & 2:
                keep()
            if why & 1:
                windows.append(engine.take_window())
    engine.finish()
    while keep():
        pass
    windows.append(engine.take_window())
    return rows, windows, engine


def only(frames, **settings):
    rows, _, _ = replay(frames, **settings)
    assert len(rows) == 1
    return rows[0][0]


def state(row):
    return ConnState(row["conn_state"]).name, bytes(row["history"])[: row["history_len"]].decode()


def established():
    talk = Conversation()
    talk.handshake()
    return talk


def s0(talk):
    talk.orig("S", 100)


def s1(talk):
    talk.handshake()
    talk.orig("PA", 101, 301, b"hello")
    talk.resp("A", 301, 106)


def sf(talk):
    s1(talk)
    talk.resp("PA", 301, 106, b"world!")
    talk.orig("FA", 106, 307)
    talk.resp("FA", 307, 107)
    talk.orig("A", 107, 308)


def rej(talk):
    talk.orig("S", 100)
    talk.resp("RA", 0, 101)


def s2(talk):
    talk.handshake()
    talk.orig("FA", 101, 301)
    talk.resp("A", 301, 102)


def s3(talk):
    talk.handshake()
    talk.resp("FA", 301, 101)
    talk.orig("A", 101, 302)


def rsto(talk):
    s1(talk)
    talk.orig("RA", 106, 301)


def rstr(talk):
    s1(talk)
    talk.resp("RA", 301, 106)


def rstos0(talk):
    talk.orig("S", 100)
    talk.orig("R", 101)


def rstrh(talk):
    talk.resp("SA", 300, 101)
    talk.resp("R", 301, 101)


def sh(talk):
    talk.orig("S", 100)
    talk.orig("F", 101)


def shr(talk):
    talk.resp("SA", 300, 101)
    talk.resp("F", 301, 101)


def oth(talk):
    talk.orig("PA", 5000, 9000, b"midstream")
    talk.resp("A", 9000, 5009)


def syn_scan(talk):
    talk.orig("S", 100)
    talk.resp("SA", 300, 101)
    talk.orig("R", 101)


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        (s0, ("S0", "S")),
        (s1, ("S1", "ShADa")),
        (sf, ("SF", "ShADadFf")),
        (rej, ("REJ", "Sr")),
        (s2, ("S2", "ShAFa")),
        (s3, ("S3", "ShAf")),
        (rsto, ("RSTO", "ShADaR")),
        (rstr, ("RSTR", "ShADar")),
        (rstos0, ("RSTOS0", "SR")),
        (rstrh, ("RSTRH", "^hr")),
        (sh, ("SH", "SF")),
        (shr, ("SHR", "^hf")),
        (oth, ("OTH", "Da")),
        (syn_scan, ("RSTO", "ShR")),
    ],
    ids=lambda value: value.__name__ if callable(value) else value[0],
)
def test_every_state_of_zeek(scene, expected):
    for client, server in (("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8:1::2")):
        talk = Conversation(client=client, server=server)
        scene(talk)
        row = only(talk.frames)
        assert state(row) == expected
        assert (row["orig_port"], row["resp_port"]) == (40000, 80)


def test_bytes_packets_and_times():
    talk = Conversation()
    sf(talk)
    row = only(talk.frames)
    assert (row["orig_bytes"], row["resp_bytes"]) == (5, 6)
    assert (row["orig_packets"], row["resp_packets"]) == (5, 4)
    assert row["orig_wire_bytes"] == 5 * 54 + 5
    assert row["handshake_responder_ns"] == 20 * MS
    assert row["handshake_originator_ns"] == 5 * MS
    assert row["handshake_ns"] == 25 * MS
    assert row["started_ns"] == START_NS
    assert EndReason(row["end_reason"]).name == "END_DETECTED"


def test_new_isn_on_an_old_tuple_is_a_new_connection():
    talk = Conversation()
    sf(talk)
    talk.handshake(isn=7_000_000, answer=9_000_000)
    rows, _, engine = replay(talk.frames)
    assert [state(r)[0] for r, _ in rows] == ["SF", "S1"]
    assert engine.connections()["tcp"] == 2


def test_syn_sent_again_is_the_same_connection_and_no_network_latency():
    talk = Conversation()
    talk.orig("S", 100, ms=1000)
    talk.handshake()
    rows, windows, _ = replay(talk.frames)
    row = rows[0][0]
    assert len(rows) == 1
    assert state(row) == ("S1", "ShA")
    assert row["retransmissions"] == 1
    assert row["handshake_ns"] == NONE_NS  # which SYN was answered cannot be known (Karn)
    kinds = sum(w["kind_stats"].astype(int) for w in windows)
    assert kinds[L.L_TCP_HANDSHAKE][:2].tolist() == [1, 25 * MS]  # tshark's: from the last SYN
    assert kinds[L.L_TCP_HANDSHAKE_RESPONDER][0] == 0
    assert kinds[L.L_TCP_RTT][0] == 0


def test_wrapping_sequence_numbers_count_every_octet():
    talk = Conversation()
    talk.handshake(isn=2**32 - 11, answer=300)
    for i in range(4):
        talk.orig("PA", 2**32 - 10 + i * 8, 301, b"x" * 8)
        talk.resp("A", 301, 2**32 - 10 + (i + 1) * 8)
    row = only(talk.frames)
    assert row["orig_bytes"] == 32
    assert row["retransmissions"] == 0


def test_unanswered_attempts_end_after_75_seconds_and_fail_after_5():
    talk = Conversation()
    talk.orig("S", 100)
    later = Conversation(sport=41000, now=talk.now + 80 * SECOND)
    later.orig("S", 1)
    rows, windows, _ = replay(talk.frames + later.frames)
    assert [state(r)[0] for r, _ in rows] == ["S0", "S0"]
    assert EndReason(rows[0][0]["end_reason"]).name == "END_IDLE"
    from_counter = sum(int(w["endpoints"]["counters"][:, 6].sum()) for w in windows)
    assert from_counter == 1  # the second one was not given its 5 s


def test_udp_and_icmp_follow_flow_semantics():
    a, b = "192.0.2.1", "198.51.100.2"
    echo = ip_frame(a, b, 1, b"\x08\0\0\0\0\x01\0\x01" + b"p" * 8)
    reply = ip_frame(b, a, 1, b"\0\0\0\0\0\x01\0\x01" + b"p" * 8)
    frames = [
        (START_NS, udp_frame(a, b, 40000, 9999, b"q"), 43, ETHERNET),
        (START_NS + MS, udp_frame(b, a, 9999, 40000, b"answer"), 48, ETHERNET),
        (START_NS + 2 * MS, udp_frame(a, b, 40001, 9999, b"q"), 43, ETHERNET),
        (START_NS + 3 * MS, echo, len(echo), ETHERNET),
        (START_NS + 9 * MS, reply, len(reply), ETHERNET),
    ]
    rows, windows, engine = replay(frames)
    assert sorted(state(r) for r, _ in rows) == [("OTH", ""), ("S0", "D"), ("SF", "Dd")]
    assert engine.connections() == {"tcp": 0, "udp": 2, "icmp": 1}
    assert windows[0]["kind_stats"][8][:2].tolist() == [1, 6 * MS]


def test_server_side_first_packet_is_turned():
    frames = [
        (START_NS, udp_frame("198.51.100.2", "192.0.2.1", 53, 40000, b"x" * 20), 62, ETHERNET)
    ]
    row = only(frames)
    assert (row["orig_port"], row["resp_port"]) == (40000, 53)
    assert state(row) == ("SHR", "^d")


def test_loss_is_told_from_reordering_and_from_capture_gaps():
    talk = established()
    talk.orig("PA", 101, 301, b"a" * 1000, ms=0)
    talk.orig("PA", 2101, 301, b"c" * 1000, ms=30)  # 1101..2101 is missing here ...
    talk.orig("PA", 1101, 301, b"b" * 1000, ms=1)  # ... and sent again 30 ms later
    talk.orig("PA", 3101, 301, b"d" * 1000, ms=30)
    talk.orig("PA", 3101, 301, b"d" * 1000, ms=1)  # lost behind us, sent again
    talk.resp("A", 301, 4101)
    talk.orig("PA", 101, 301, b"a" * 1000)  # already acknowledged
    talk.resp("A", 301, 9101)  # acknowledges what was never captured
    row = only(talk.frames)
    assert (row["lost_upstream"], row["lost_downstream"]) == (1, 1)
    assert row["retransmissions"] == 3
    assert row["out_of_order"] == 0
    assert row["missed_bytes"] == 5000

    late = established()
    late.orig("PA", 2101, 301, b"c" * 1000, ms=0.2)
    late.orig("PA", 101, 301, b"a" * 2000, ms=1)  # 0.2 ms late: reordering
    row = only(late.frames)
    assert (row["out_of_order"], row["lost_upstream"], row["retransmissions"]) == (1, 0, 0)


def test_endpoints_seconds_and_leaves_add_up_to_the_whole():
    talk = Conversation(client="10.0.0.1")
    sf(talk)
    other = Conversation(client="10.0.0.1", sport=50000, dport=443, now=START_NS + SECOND)
    rej(other)
    local = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 0])
    _, windows, _ = replay(talk.frames + other.frames, local=[(local, 104)])
    octets = sum(f[2] for f in talk.frames + other.frames)
    counters = sum(w["endpoints"]["counters"].sum(axis=0).astype(int) for w in windows)
    assert counters[2] + counters[3] == octets
    assert counters[0] + counters[1] == len(talk.frames + other.frames)
    assert (counters[0], counters[1]) == (6, 5)  # sent and received, as seen from 10/8
    seconds = np.concatenate([w["seconds"] for w in windows])
    assert int(seconds["bytes_in"].sum() + seconds["bytes_out"].sum()) == octets
    assert int(seconds["bins_out"].sum()) == int(seconds["bytes_out"].sum())
    assert int(sum(w["leaf_bytes"].sum() for w in windows)) == octets


def test_local_prefixes_of_every_length():
    """By Python's ipaddress: who is inside is local, whatever the family and the length."""
    rng = np.random.default_rng(1)
    for family in (4, 6):
        bits = 32 if family == 4 else 128
        for length in range(bits + 1):
            number = int.from_bytes(rng.bytes(bits // 8))
            network = ipaddress.ip_network((number, length), strict=False)
            inside = network[int.from_bytes(rng.bytes(bits // 8)) % network.num_addresses]
            outside = type(inside)(int(inside) ^ (1 << (bits - max(length, 1))))
            frame = udp_frame(str(inside), str(outside), 40000, 40001, b"x")
            row = only([(START_NS, frame, len(frame), ETHERNET)], local=[pack_prefix(str(network))])
            ends = (row["orig_ip"].tobytes(), row["resp_ip"].tobytes())
            local = [text_of(end) in network for end in ends]
            assert local.count(True) == (2 if length == 0 else 1)
            assert row["local"] == local[0] | local[1] << 1, network


def text_of(packed):
    address = ipaddress.ip_address(packed)
    return address.ipv4_mapped or address


def test_replay_in_pieces_of_any_size_gives_the_same_rows():
    frames = []
    for i, scene in enumerate((sf, s1, rej, rsto, oth, shr, s3) * 5):
        talk = Conversation(sport=20000 + i, now=START_NS + i * 400 * MS)
        scene(talk)
        frames += talk.frames
    frames.sort(key=lambda f: f[0])
    whole = [bytes(r) for r, _ in replay(frames, window_ns=2 * SECOND)[0]]
    engine = Engine(secret=bytes(range(40)), window_ns=2 * SECOND)
    rows = []
    for i in range(0, len(frames), 3):
        source = Frames(frames[i : i + 3])
        source.next_batch()
        while why := engine.feed(source):
            if why & 1:
                engine.take_window()
            if why & 2:
                rows += [bytes(r) for r in engine.take_flows()[0]]
    engine.finish()
    while len(part := engine.take_flows()[0]):
        rows += [bytes(r) for r in part]
    assert rows == whole


def test_a_syn_flood_leaves_connections_alone_and_is_bounded():
    talk = established()
    frames = list(talk.frames)
    for i in range(5000):
        flood = Conversation(
            client=f"203.0.{i >> 8 & 255}.{i & 255}", sport=1024 + i, now=talk.now + i * 20_000
        )
        flood.orig("S", i)
        frames += flood.frames
    talk.now += SECOND
    talk.orig("PA", 101, 301, b"still here")
    talk.resp("A", 301, 111)
    rows, _, engine = replay(frames + talk.frames[3:], half_open=1024)
    survivors = [r for r, _ in rows if r["orig_port"] == 40000 and r["orig_bytes"] == 10]
    assert [state(r) for r in survivors] == [("S1", "ShADa")]
    assert engine.states()["S0"] == 5000
    assert engine.counters()["half_open_evicted"] >= 5000 - 1024
    assert engine.counters()["flows_evicted"] == 0
