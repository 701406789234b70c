"""The DNS recogniser against dnspython, a plain Python model and hand-worked octets."""

import random
import struct
from collections.abc import Callable

import dns.exception
import dns.message
import dns.name
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor._native.app import AppProto
from sensor._native.doors_dns import SIZES, Door
from sensor._native.sink import LatencyKind

DNS, MDNS, LLMNR = AppProto.APP_DNS, AppProto.APP_MDNS, AppProto.APP_LLMNR
UNKNOWN = AppProto.APP_UNKNOWN
CLIENT, SERVER = True, False
MS, SECOND = 10**6, 10**9
NOW = 1_700_000_000 * SECOND
PURE = Door()  # for what keeps no state
DNS_TIME = int(LatencyKind.L_DNS_RESPONSE)

# RFC 1035 4.1 by hand: id 0x1234, RD, one question "ab.C" A IN; then the answer with TTL 300.
QUERY = bytes.fromhex("1234 0100 0001 0000 0000 0000 026162 0143 00 0001 0001")
ANSWER = bytes.fromhex(
    "1234 8180 0001 0001 0000 0000 026162 0143 00 0001 0001 c00c 0001 0001 0000012c 0004 01020304"
)


def v4(text: str) -> bytes:
    return bytes(10) + b"\xff\xff" + bytes(int(x) for x in text.split("."))


def question(name: str, kind: str = "A", ident: int = 7) -> dns.message.Message:
    return dns.message.make_query(name, kind, id=ident)


def answer(query: dns.message.Message, *records: str, rcode: int = 0) -> bytes:
    """`records`: "owner ttl type data"."""
    reply = dns.message.make_response(query)
    reply.set_rcode(rcode)
    for record in records:
        owner, ttl, kind, data = record.split(maxsplit=3)
        reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))
    return reply.to_wire()


def test_sizes_are_those_of_the_memory_plan() -> None:
    assert SIZES == {"DnsCacheLine": 128, "Rtp": 128, "WaitSlot": 16}


def test_one_question_and_its_answer_by_hand() -> None:
    door = Door()
    assert door.dns(QUERY, NOW, CLIENT) == DNS
    assert door.dns(ANSWER, NOW + 50_000, SERVER) == DNS
    assert door.counts == {"DNS_QUERIES": 1, "DNS_RESPONSES": 1}
    assert door.latency(DNS_TIME) == (1, 50_000, 50_000, 50_000)
    assert door.cache_get(v4("1.2.3.4"), NOW + SECOND) == b"ab.c"


@pytest.mark.parametrize("rcode", range(16))
def test_response_codes(rcode: int) -> None:
    door = Door()
    query = question("host.test")
    door.dns(query.to_wire(), NOW, CLIENT)
    door.dns(answer(query, rcode=rcode), NOW + MS, SERVER)
    got = door.counts
    assert got.pop("DNS_QUERIES") == got.pop("DNS_RESPONSES") == 1
    assert got == {
        0: {},
        2: {"DNS_SERVFAIL": 1, "DNS_ERRORS": 1},
        3: {"DNS_NXDOMAIN": 1},
    }.get(rcode, {"DNS_ERRORS": 1})
    assert door.latency(DNS_TIME)[0] == 1


# ---- names


def oracle(message: bytes, at: int) -> tuple[bytes, int] | None:
    try:
        name, used = dns.name.from_wire(message, at)
    except dns.exception.DNSException:
        return None
    return name.to_wire(), at + used


@given(st.data())
@settings(max_examples=150)
def test_names_as_dnspython_reads_them(data: st.DataObject) -> None:
    pieces = st.one_of(
        st.sampled_from([b"\x01a", b"\x03www", b"\x07ExampLe", b"\x3f" + b"y" * 63, b"\0"]),
        st.integers(0, 80).map(lambda to: struct.pack(">H", 0xC000 | to)),
        st.binary(max_size=3),
    )
    message = b"".join(data.draw(st.lists(pieces, max_size=9)))
    for at in range(len(message)):
        assert PURE.dns_name(message, at) == oracle(message, at)


def test_hostile_names() -> None:
    door = Door()
    header = QUERY[:12]
    assert door.dns_name(header + b"\xc0\x0c", 12) is None  # points at itself
    assert door.dns_name(header + b"\xc0\x0e\xc0\x0c", 12) is None  # a loop of two
    assert door.dns_name(header + b"\x01a\xc0\x0c", 12) is None  # a name that contains itself
    assert door.dns_name(header + b"\x40", 12) is None  # reserved label types
    assert door.dns_name(header + b"\x80a", 12) is None
    chain = b"\0" + b"".join(struct.pack(">H", 0xC000 | max(0, 2 * i - 1)) for i in range(200))
    assert door.dns_name(chain, 1 + 2 * 120) == (b"\0", 1 + 2 * 121)
    assert door.dns_name(chain, 1 + 2 * 199) is None  # longer than 128 steps
    full = b"".join(b"\x3f" + b"x" * 63 for _ in range(3))
    assert len(door.dns_name(full + b"\x3d" + b"y" * 61 + b"\0", 0)[0]) == 255
    assert door.dns_name(full + b"\x3e" + b"y" * 62 + b"\0", 0) is None


def test_every_truncation_of_a_message() -> None:
    query = question("www.example.com")
    for wire in (
        query.to_wire(),
        answer(query, "www.example.com. 60 CNAME e.test.", "e.test. 60 A 1.1.1.1"),
    ):
        for n in range(1, len(wire)):
            door = Door()
            door.dns(query.to_wire(), NOW, CLIENT)
            assert door.dns(wire[:n], NOW, not wire[2] & 0x80) == DNS
            parsed = n >= 12 + 17 + 4
            assert ("DNS_PARSE_ERRORS" in door.counts) == (not parsed)
            cut = Door()
            cut.dns(wire[:n], NOW, wire=len(wire))
            assert "DNS_PARSE_ERRORS" not in cut.counts  # the snaplen's fault, not the sender's
            assert Door().dns(wire[:n], port=4000) == UNKNOWN


# ---- questions and answers


def test_a_repeated_question_keeps_its_first_time_and_one_answer_counts() -> None:
    door = Door()
    for at in (0, 1000 * MS):
        door.dns(QUERY, NOW + at, CLIENT)
    for at in (1053, 1060):
        door.dns(ANSWER, NOW + at * MS, SERVER)
    assert door.latency(DNS_TIME)[:2] == (1, 1053 * MS)
    assert door.counts == {"DNS_QUERIES": 2, "DNS_RESPONSES": 2}
    assert door.health["dns_unsolicited"] == 1


@pytest.mark.parametrize(
    ("change", "side"),
    [
        (lambda a: b"\x12\x35" + a[2:], SERVER),
        (lambda a: a.replace(b"\x02ab", b"\x02ax"), SERVER),
        (lambda a: a, CLIENT),
    ],
    ids=["other id", "other name", "from the asker"],
)
def test_an_answer_must_fit_its_question(change: Callable[[bytes], bytes], side: bool) -> None:
    door = Door()
    door.dns(QUERY, NOW, CLIENT)
    door.dns(change(ANSWER), NOW + MS, side)
    assert door.latency(DNS_TIME)[0] == 0
    assert door.cache_get(v4("1.2.3.4"), NOW + MS) is None
    assert door.health["cache_refused_unsolicited"] == 1
    door.dns(ANSWER.replace(b"\x02ab", b"\x02Ab"), NOW + 2 * MS, SERVER)  # case does not matter
    assert door.latency(DNS_TIME)[:2] == (1, 2 * MS)


def test_an_answer_without_question_section_is_an_answer() -> None:
    door = Door()
    door.dns(QUERY, NOW, CLIENT)
    door.dns(bytes.fromhex("1234 8185 0000 0000 0000 0000"), NOW + MS, SERVER)
    assert door.latency(DNS_TIME)[0] == 1


@pytest.mark.parametrize("swept", [False, True])
def test_five_seconds_is_unanswered(swept: bool) -> None:
    door = Door()
    other = question("other.test", ident=8).to_wire()
    door.dns(QUERY, NOW, CLIENT)
    door.dns(other, NOW + 2 * SECOND, CLIENT)
    for ms in range(0, 6500, 5) if swept else ():
        door.dns_sweep(NOW + ms * MS)
    if swept:
        assert door.counts["DNS_UNANSWERED"] == 1
    door.dns(ANSWER, NOW + 6600 * MS, SERVER)  # too late
    door.dns_flush(NOW + 6700 * MS)
    assert door.latency(DNS_TIME)[0] == 0
    assert door.counts == {
        "DNS_QUERIES": 2,
        "DNS_RESPONSES": 1,
        "DNS_UNANSWERED": 1,
        "DNS_ERRORS": 1,
    }


def test_a_clock_that_goes_back_is_harmless() -> None:
    door = Door()
    door.dns_sweep(NOW)
    door.dns(QUERY, NOW, CLIENT)
    door.dns(ANSWER, NOW - SECOND, SERVER)
    door.dns_sweep(NOW - 10 * SECOND)
    door.dns_sweep(0)
    door.dns_sweep(2**64 - 1)
    assert door.latency(DNS_TIME)[0] == 0
    assert "DNS_UNANSWERED" not in door.counts


@given(st.integers(0, 2**32))
@settings(max_examples=12)
def test_the_table_agrees_with_a_dictionary(seed: int) -> None:
    rng = random.Random(seed)
    door = Door()
    model: dict[tuple[int, int, int], int] = {}
    queries = [question(f"h{i}.test", ident=0).to_wire()[2:] for i in range(4)]
    flows = [rng.getrandbits(32) for _ in range(5)]  # as the engine's keyed hash gives them
    unanswered, samples, now = 0, 0, NOW
    for _ in range(1500):
        now += rng.randrange(800 * MS)
        key = rng.randrange(5), rng.randrange(3), rng.randrange(4)
        wire = key[1].to_bytes(2, "big") + queries[key[2]]
        asked = model.get(key)
        late = asked is not None and now - asked >= 5 * SECOND
        unanswered += late
        if rng.random() < 0.6:
            door.dns(wire, now, CLIENT, flows[key[0]])
            if asked is None or late:
                model[key] = now
        else:
            door.dns(wire[:2] + bytes([wire[2] | 0x80]) + wire[3:], now, SERVER, flows[key[0]])
            model.pop(key, None)
            samples += asked is not None and not late
        if rng.random() < 0.5:
            door.dns_sweep(now)
    assert door.health["dns_evicted"] == 0
    unanswered += sum(now - t >= 5 * SECOND for t in model.values())
    door.dns_flush(now)
    assert door.counts.get("DNS_UNANSWERED", 0) == unanswered
    assert door.latency(DNS_TIME)[0] == samples


def test_a_flood_of_questions_stays_bounded_and_is_accounted_for() -> None:
    door = Door()
    total = 200_000
    for i in range(total):
        door.dns(struct.pack(">H", i & 0xFFFF) + QUERY[2:], NOW + i, CLIENT, i)
    evicted = door.health["dns_evicted"]
    assert total - 65_536 <= evicted < total - 60_000
    door.dns_flush(NOW + 6 * SECOND)
    assert door.counts["DNS_UNANSWERED"] == total - evicted


# ---- content and ports


def test_random_datagrams_are_not_dns() -> None:
    rng = random.Random(20261123)
    door = Door()
    for _ in range(100_000):
        payload = rng.randbytes(rng.randrange(1, 200))
        assert door.dns(payload, port=4000) == UNKNOWN
    for _ in range(50_000):  # a perfect header alone is not enough
        assert door.dns(QUERY[:12] + rng.randbytes(rng.randrange(1, 60)), port=4000) == UNKNOWN
    assert door.counts == {}


@pytest.mark.parametrize("kind", ["A", "AAAA", "TXT", "PTR", "HTTPS", "ANY", "SRV"])
def test_dns_on_any_port(kind: str) -> None:
    query = dns.message.make_query("_x.example.org", kind, use_edns=True, want_dnssec=True)
    wire = answer(query, '_x.example.org. 60 TXT "v=spf1"')
    door = Door()
    assert door.dns(query.to_wire(), port=9953) == DNS
    assert door.dns(wire, port=9953, from_orig=SERVER) == DNS
    assert door.dns(wire[:60], port=9953, wire=len(wire)) == DNS  # cut by the snaplen
    assert door.dns(wire + b"\0", port=9953) == UNKNOWN
    large = {"DNS_ANY": 1} if kind in ("TXT", "ANY") else {}
    assert door.counts == {"DNS_QUERIES": 1, "DNS_RESPONSES": 2, **large}


def test_the_cousins_are_counted_apart() -> None:
    door = Door()
    assert door.dns(QUERY, port=5353, other_port=5353) == MDNS
    assert door.dns(QUERY, port=40000, other_port=5355) == LLMNR
    assert door.dns(QUERY, port=137, other_port=137) == UNKNOWN
    assert door.dns(b"\0", port=40000, other_port=53) == DNS
    assert door.counts == {"MDNS": 1, "LLMNR": 1, "DNS_PARSE_ERRORS": 1}


# ---- what the cache learns


def learn(query: dns.message.Message, wire: bytes) -> Door:
    door = Door()
    door.dns(query.to_wire(), NOW, CLIENT)
    door.dns(wire, NOW + MS, SERVER)
    return door


def test_the_cache_learns_the_name_asked_for_along_cnames() -> None:
    query = question("Shop.Example.com")
    door = learn(
        query,
        answer(
            query,
            "shop.example.com. 90 CNAME cdn.test.",
            "cdn.test. 9000 CNAME edge7.cdn.test.",
            "edge7.cdn.test. 9000 A 1.2.3.4",
            "elsewhere.test. 9000 A 5.6.7.8",
        ),
    )
    assert door.cache_get(v4("1.2.3.4"), NOW + 89 * SECOND) == b"shop.example.com"
    assert door.cache_get(v4("1.2.3.4"), NOW + 90 * SECOND) is None  # the chain's smallest TTL
    assert door.cache_get(v4("5.6.7.8"), NOW + SECOND) is None  # not what was asked


def test_the_cache_learns_ipv6() -> None:
    query = question("six.test", "AAAA")
    door = learn(query, answer(query, "six.test. 60 AAAA 2001:db8::7"))
    assert door.cache_get(bytes.fromhex("20010db8" + "0" * 22 + "07"), NOW) == b"six.test"


def test_names_that_could_deceive_are_not_learnt() -> None:
    for name in (r"www\.bank\.com.evil.test", r"a\010b.test", r"\<b\>.test", "."):
        query = question(name)
        owner = query.question[0].name.to_text()
        door = learn(query, answer(query, f"{owner} 60 A 1.2.3.4"))
        assert door.cache_get(v4("1.2.3.4"), NOW + MS) is None
        assert door.health["cache_refused_name"] == 1


# ---- TCP


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(m)) + m for m in messages)


def big_answer() -> tuple[bytes, bytes]:
    query = question("big.test", "TXT")
    return query.to_wire(), answer(query, *(f'big.test. 60 TXT "{i:0200}"' for i in range(20)))


@given(st.lists(st.integers(1, 700), max_size=40))
@settings(max_examples=40)
def test_a_stream_may_be_cut_anywhere(sizes: list[int]) -> None:
    query, reply = big_answer()
    assert len(reply) > 4000
    door = Door()
    door.tcp_data(framed(query, QUERY), NOW, CLIENT)
    stream = framed(reply, ANSWER)
    for size in [*sizes, len(stream)]:
        assert door.tcp_data(stream[:size], NOW + MS, SERVER) == len(stream[:size])
        stream = stream[size:]
    assert door.counts == {"DNS_QUERIES": 2, "DNS_ANY": 1, "DNS_RESPONSES": 2}
    assert door.latency(DNS_TIME)[0] == 2
    assert not any(v for k, v in door.health.items() if k != "cache_stored")


def test_octet_by_octet() -> None:
    door = Door()
    query, reply = big_answer()
    for side, stream in ((CLIENT, framed(query)), (SERVER, framed(reply))):
        for octet in stream:
            door.tcp_data(bytes([octet]), NOW, side)
    assert door.counts == {"DNS_QUERIES": 1, "DNS_ANY": 1, "DNS_RESPONSES": 1}


def test_a_gap_inside_a_message_is_stepped_over_by_its_length() -> None:
    door = Door()
    query, reply = big_answer()
    stream = framed(reply, ANSWER)
    door.tcp_data(framed(query, QUERY), NOW, CLIENT)
    door.tcp_data(stream[:100], NOW, SERVER)
    door.tcp_gap(1000, SERVER)
    door.tcp_data(stream[1100:], NOW, SERVER)
    assert door.counts == {"DNS_QUERIES": 2, "DNS_ANY": 1, "DNS_RESPONSES": 2}


def test_a_longer_gap_loses_the_place_until_a_message_starts() -> None:
    door = Door()
    stream = framed(QUERY)
    door.tcp_data(stream[:20], NOW, CLIENT)
    door.tcp_gap(500, CLIENT)
    door.tcp_data(b"\xee" * 300, NOW, CLIENT)
    door.tcp_data(framed(question("again.test").to_wire()), NOW, CLIENT)
    assert door.counts == {"DNS_QUERIES": 2, "APP_LOST_SYNC": 1}


def test_the_probe() -> None:
    door = Door()
    stream = framed(QUERY)
    verdicts = [door.tcp_probe(stream[:n]) for n in range(1, len(stream) + 1)]
    assert verdicts == [1] * (len(stream) - 1) + [2]
    for start in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(32)):
        assert door.tcp_probe(start) == 0
    rng = random.Random(53)
    assert all(door.tcp_probe(rng.randbytes(64)) == 0 for _ in range(20_000))
