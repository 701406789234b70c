"""What detection is told each second, against hand-worked traffic and exact counts."""

import random
import socket
import struct
from collections import Counter
from ipaddress import IPv6Address

import pytest

from sensor._native.doors_engine import Frames
from sensor._native.engine import Engine
from tests.traffic.tcp import (
    ETHERNET,
    MS,
    START_NS,
    Conversation,
    ip_frame,
    tcp_frame,
    udp_frame,
)

SECOND = 1_000_000_000
VICTIM = {4: "198.51.100.2", 6: "2001:db8::2"}


def address(octets):
    whole = IPv6Address(bytes(octets))
    return str(whole.ipv4_mapped or whole)


def seconds(frames, **settings):
    """Every second's tables, the unfinished one at the end included."""
    engine = Engine(secret=bytes(range(40)), features=True, keep_rows=False, **settings)
    source, taken = Frames(frames), []
    while source.next_batch():
        while why := engine.feed(source):
            if why & 8:
                taken.append(engine.take_features())
            elif why & 1:
                engine.take_window()
    engine.finish()
    taken.append(engine.take_features())
    assert engine.take_features() is None
    return taken


def row(second, table, key, port=None):
    """The key's row of one second, or None."""
    rows = second["tables"][table]
    found = [
        r for r in rows if address(r["address"]) == key and (port is None or r["port"] == port)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def total(taken, table, column, key, port=None):
    return sum(int(r[column]) for s in taken if (r := row(s, table, key, port)) is not None)


def frame(at, octets):
    return at, octets, len(octets), ETHERNET


def client(i, version=4):
    return f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" if version == 4 else f"2001:db8:1::{i:x}"


@pytest.mark.parametrize("version", [4, 6])
def test_what_becomes_of_a_syn(version):
    server, frames = VICTIM[version], []
    for k in range(60):
        talk = Conversation(client(k, version), server, 1000 + k, 80, START_NS + k * MS)
        if k < 10:
            talk.handshake()  # completes
        else:
            talk.orig("S", 7, ms=1, options=b"" if k < 30 else b"\x02\x04\x05\xb4")
        if 10 <= k < 20:
            talk.resp("RA", 0, 8)  # refused
        elif 20 <= k < 30:
            talk.resp("SA", 9, 8)
            talk.orig("R", 8)  # aborted by its sender
        elif 30 <= k < 40:
            talk.wait(1_000 * MS)
            talk.orig("S", 7, options=b"\x02\x04\x05\xb4")  # tried again: no flood does that
        frames += talk.frames
    end = START_NS + 9 * SECOND
    frames.append(frame(end, udp_frame("192.0.2.9", "192.0.2.8", 5, 6, b"")))
    taken = seconds(sorted(frames))
    for table, port in (("service", 80), ("host", None)):
        told = {
            what: total(taken, table, f"syn_{what}", server, port)
            for what in ("new", "complete", "refused", "aborted", "retrans", "silent", "failed")
        }
        assert told == {
            "new": 60,
            "complete": 10,
            "refused": 10,
            "aborted": 10,
            "retrans": 10,
            "silent": 20,
            "failed": 40,  # refused, tried again, silent
        }
        assert total(taken, table, "syn_bare", server, port) == 30
    first = row(taken[0], "service", server, 80)
    assert first["half_open"] == 30  # of the first second: neither complete nor reset
    assert abs(first["peers"] - 60) < 3 * 0.13 * 60


def test_distinct_and_frequent_counterparts_against_exact_counts():
    draw = random.Random(7)
    sources = [draw.randrange(1, 1 << 20) for _ in range(3000)]
    heavy = client(4_000_000)
    frames = []
    for k, source in enumerate(sources):
        at = START_NS + k * 300_000
        frames.append(
            frame(at, udp_frame(client(source), VICTIM[4], 9, draw.randrange(1, 800), b"x"))
        )
        frames.append(frame(at, udp_frame(heavy, VICTIM[4], 9, 999, b"x")))
    taken = seconds(frames)
    host = row(taken[0], "host", VICTIM[4])
    inside = [s for k, s in enumerate(sources) if START_NS + k * 300_000 <= taken[0]["end_ns"]]
    assert host["udp_packets"] == 2 * len(inside)
    distinct = len({*inside}) + 1
    assert abs(host["peers"] - distinct) < 3 * 0.13 * distinct
    assert address(host["top_address"]) == heavy
    true = Counter([heavy] * len(inside))[heavy]
    assert true - host["top_total"] / 5 <= host["top_count"] <= true  # Misra-Gries' bound
    ports = len({struct.unpack(">H", f[1][36:38])[0] for f in frames if f[0] <= taken[0]["end_ns"]})
    assert abs(host["ports"] - ports) < 0.15 * ports


def test_a_flood_of_sources_is_bounded_and_the_steady_one_keeps_its_row():
    frames = []
    for k in range(60_000):
        at = START_NS + k * 50_000  # 20,000 a second for three seconds
        frames.append(frame(at, tcp_frame(client(k + 1000), VICTIM[4], 999, 80, "S", k)))
        if k % 200 == 0:
            frames.append(frame(at, tcp_frame(client(1), VICTIM[4], 2000 + k // 200, 80, "S", 5)))
    taken = seconds(frames)
    assert all(len(s["tables"]["source"]) <= 8192 for s in taken)
    whole = total(taken, "service", "syn_new", VICTIM[4], 80)
    assert whole == 60_300
    steady = [row(s, "source", client(1)) for s in taken]
    assert [int(r["syn_new"]) for r in steady if r is not None] == [100, 100, 100]
    assert {int(r["slot"]) for r in steady} == {int(steady[0]["slot"])}


def test_scan_by_first_contacts():
    frames = []
    for k in range(40):
        talk = Conversation(client(1), VICTIM[4], 5000 + k, 20 + k, START_NS + k * 10 * MS)
        talk.orig("S", 1)
        talk.resp("RA", 0, 2)
        talk.sport += 1000
        talk.orig("S", 1)  # the same port again: no first contact
        talk.resp("RA", 0, 2)
        frames += talk.frames
    source = row(seconds(sorted(frames))[0], "source", client(1))
    assert source["syn_failed"] == 80
    assert source["scan_failures"] == 40
    assert source["scan_score"] == pytest.approx(40 * 1.386, rel=1e-3)
    assert abs(source["scan_ports"] - 40) < 2
    assert round(float(source["scan_hosts"])) == 1


def test_benign_successes_lower_the_scan_score_to_its_floor():
    frames = []
    for k in range(20):
        talk = Conversation(client(1), client(100 + k), 5000 + k, 443, START_NS + k * 10 * MS)
        talk.handshake()
        frames += talk.frames
    source = row(seconds(sorted(frames))[0], "source", client(1))
    assert (source["scan_successes"], source["scan_score"]) == (20, -5)


@pytest.mark.parametrize(
    ("flags", "column"),
    [
        ("SA", "stray_synack"),
        ("R", "stray_rst"),
        ("A", "stray_ack"),
        ("", "stray_odd"),
        ("F", "stray_odd"),
        ("FPU", "stray_odd"),
        ("SF", "stray_odd"),
    ],
)
def test_packets_of_no_connection(flags, column):
    frames = [
        frame(START_NS + k * MS, tcp_frame(client(9), VICTIM[4], 3000 + k, 80, flags, 5))
        for k in range(30)
    ]
    host = row(seconds(frames)[0], "host", VICTIM[4])
    assert (host[column], host["stray_flows"], host["stray_answered"]) == (30, 30, 0)


def test_connections_begun_before_the_capture_are_answered_strays():
    frames = []
    for k in range(10):
        talk = Conversation(client(k), VICTIM[4], 3000 + k, 80, START_NS + k * MS)
        for i in range(5):
            talk.orig("A", 100 + i, 1, b"x")
            talk.resp("A", 1, 101 + i)
        frames += talk.frames
    host = row(seconds(sorted(frames))[0], "host", VICTIM[4])
    assert (host["stray_flows"], host["stray_answered"], host["stray_ack"]) == (10, 10, 10)


def test_answers_nobody_asked_for():
    frames = []
    question = bytes.fromhex("1234010000010000000000000161000001 0001".replace(" ", ""))
    answer = question[:2] + b"\x81\x80" + question[4:]
    for k in range(50):
        asked = udp_frame(client(1), client(2), 4000 + k, 53, question)
        told = udp_frame(client(2), client(1), 53, 4000 + k, answer)
        frames += [frame(START_NS + k * MS, asked), frame(START_NS + k * MS + 1, told)]
        frames.append(
            frame(START_NS + k * MS, udp_frame(client(50 + k), VICTIM[4], 123, 80, b"m" * 440))
        )
    taken = seconds(frames)
    unasked = row(taken[0], "reflection", VICTIM[4], 123)
    assert (unasked["refl_packets"], unasked["refl_answers"]) == (50, 0)
    assert unasked["refl_bytes"] == 50 * (14 + 20 + 8 + 440)
    resolver = row(taken[0], "reflection", client(1), 53)
    assert (resolver["refl_packets"], resolver["refl_requests"], resolver["refl_answers"]) == (
        0,
        50,
        50,
    )


def request(talk, octets, seq=101):
    talk.orig("PA", seq, 301, octets)
    return seq + len(octets)


def test_held_connections_are_slow_and_used_ones_are_not():
    frames, server = [], VICTIM[4]
    for k in range(60):
        talk = Conversation(client(k), server, 6000 + k, 80, START_NS + k * MS)
        talk.handshake()
        if k < 15:  # a header that never ends, a line every two seconds
            seq = request(talk, b"GET / HTTP/1.1\r\nHost: x\r\n")
            for _ in range(5):
                talk.wait(2 * SECOND)
                seq = request(talk, b"X-a: b\r\n", seq)
        elif k < 30:  # a body that comes drop by drop
            seq = request(talk, b"POST / HTTP/1.1\r\nContent-Length: 9999\r\n\r\n")
            for _ in range(5):
                talk.wait(2 * SECOND)
                seq = request(talk, b"xx", seq)
        elif k < 40:  # an upload on a slow line: 4,000 octets a second
            seq = request(talk, b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n")
            for _ in range(20):
                talk.wait(SECOND // 2)
                seq = request(talk, b"y" * 2000, seq)
        elif k < 50:  # asked, and waits for an answer: a long poll
            seq = request(talk, b"GET /events HTTP/1.1\r\n\r\n")
            talk.resp("A", 301, seq)
            talk.wait(10 * SECOND)
            talk.resp("PA", 301, seq, b": ping\n")
        else:  # reads through a closed window
            seq = request(talk, b"GET /big HTTP/1.1\r\n\r\n")
            talk.resp("PA", 301, seq, b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
            for _ in range(5):
                talk.wait(2 * SECOND)
                talk.orig("A", seq, 345, window=0)
        frames += talk.frames
    taken = seconds(sorted(frames))
    service = row(taken[-1], "service", server, 80)
    assert service["conn_active"] == 60
    held = [int(service[f"conn_slow_{what}"]) for what in ("header", "body", "read")]
    assert held == [15, 15, 10]
    early = row(taken[3], "service", server, 80)
    assert early is None or int(early["conn_slow_header"]) == 0  # not before five seconds


def arp(op, mac, sender, target, asker=b"\x02" * 6):
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, op) + mac + socket.inet_aton(sender)
    return b"\xff" * 6 + mac + b"\x08\x06" + body + asker + socket.inet_aton(target)


def test_neighbours():
    gateway, liar, other = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x66", "192.0.2.20"
    virtual = b"\0\0\x5e\0\x01\x07"
    frames = []
    for k in range(6):
        at = START_NS + k * 100 * MS
        frames += [
            frame(at, arp(1, gateway, "192.0.2.1", other)),  # asks: gateway claims itself
            frame(at + 1, arp(2, liar, "192.0.2.1", other)),
            frame(at + 2, arp(2, liar, other, "192.0.2.1")),  # this was asked for
            frame(at + 3, arp(2, virtual, "192.0.2.30", other)),
        ]
    told = seconds(frames)[0]
    spoofed = row(told, "neighbour", "192.0.2.1")
    assert (spoofed["flips"], spoofed["unasked"], spoofed["replies"]) == (11, 6, 6)
    assert row(told, "neighbour", other)["unasked"] == 0
    assert row(told, "neighbour", "192.0.2.30") is None  # VRRP moves on purpose


def question(name, qtype=16, ident=7):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return (
        struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0)
        + labels
        + struct.pack(">BHH", 0, qtype, 1)
    )


def test_domains():
    frames = []
    for k in range(40):
        name = f"{k:032x}.t.example.co.uk"
        frames.append(
            frame(START_NS + k * MS, udp_frame(client(3), VICTIM[4], 4000, 53, question(name)))
        )
        frames.append(
            frame(
                START_NS + k * MS,
                udp_frame(client(4), VICTIM[4], 4000, 53, question("www.example.com", 1)),
            )
        )
    rows = {r["name"].decode(): r for r in seconds(frames)[0]["tables"]["domain"]}
    tunnel, site = rows["example.co.uk"], rows["example.com"]
    assert (tunnel["queries"], tunnel["txt"]) == (40, 40)
    assert 38 * 35 <= tunnel["name_bytes"] <= 40 * 35  # "x" * 32 and "t", with their lengths
    assert abs(tunnel["names"] - 40) < 2
    assert abs(site["names"] - 1) < 0.1
    assert address(tunnel["top_address"]) == client(3)


def test_icmp_and_fragments():
    def echo(kind, n, payload=b"p" * 56):
        return struct.pack(">BBHHH", kind, 0, 0, 1, n) + payload

    frames = []
    for k in range(20):
        at = START_NS + k * MS
        frames += [
            frame(at, ip_frame(client(1), VICTIM[4], 1, echo(8, k))),
            frame(at + 1, ip_frame(VICTIM[4], client(1), 1, echo(0, k))),  # an answer
            frame(at + 2, ip_frame(client(2), VICTIM[4], 1, echo(0, k))),  # nobody asked
            frame(at + 3, ip_frame(client(3), VICTIM[4], 1, echo(8, k, b"z" * (k % 7)))),
        ]
    host = row(seconds(frames)[0], "host", VICTIM[4])
    assert (host["icmp_echo"], host["icmp_reply_stray"]) == (40, 20)
    assert host["icmp_odd"] == 19  # lengths that change: no ping's


def test_time_jumps_and_goes_back():
    year = 31_556_952 * SECOND

    def burst(at):
        return [frame(at + k * MS, udp_frame(client(k), VICTIM[4], 9, 9, b"x")) for k in range(100)]

    taken = seconds(
        burst(START_NS) + burst(START_NS + year) + burst(START_NS + 2 * SECOND) + burst(START_NS)
    )
    assert total(taken, "host", "udp_packets", VICTIM[4]) == 400
    assert all(s["end_ns"] >= s["start_ns"] for s in taken)


def test_local_keys_are_marked():
    prefix = (b"\0" * 10 + b"\xff\xff" + socket.inet_aton("198.51.100.0"), 96 + 24)
    frames = [
        frame(START_NS + k * MS, tcp_frame(client(1), VICTIM[4], 500 + k, 80, "S", 1))
        for k in range(5)
    ]
    told = seconds(frames, local=[prefix])[0]
    assert row(told, "service", VICTIM[4], 80)["local"] == 1
    assert row(told, "source", client(1))["local"] == 0
