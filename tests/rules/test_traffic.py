"""The cases' traffic is what it says it is, as dpkt reads it."""

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable

import dpkt
import pytest

from tests.rules.case import frames_of
from tests.rules.test_rules import CASES
from tests.traffic import floods, media, web
from tests.traffic.capture import merged
from tests.traffic.frames import ACK, FIN, RST, SYN
from tests.traffic.net import SECOND, Frame, Net

Segment = tuple[int, tuple[bytes, int, bytes, int], dpkt.tcp.TCP]


@pytest.fixture(params=[4, 6])
def net(request: pytest.FixtureRequest) -> Net:
    return Net(request.param, "traffic")


def segments(frames: Iterable[Frame]) -> list[Segment]:
    found = []
    for ts, octets in merged(frames):
        packet = dpkt.ethernet.Ethernet(octets).data
        if isinstance(packet.data, dpkt.tcp.TCP):
            tcp = packet.data
            found.append((ts, (packet.src, tcp.sport, packet.dst, tcp.dport), tcp))
    return found


def first_syns(found: list[Segment]) -> dict[tuple[bytes, int, bytes, int], int]:
    """When each connection began."""
    began: dict[tuple[bytes, int, bytes, int], int] = {}
    for ts, key, tcp in found:
        if tcp.flags & (SYN | ACK) == SYN:
            began.setdefault(key, ts)
    return began


def test_the_same_case_gives_the_same_octets() -> None:
    for _, case in CASES[::25]:
        assert frames_of(case, 4)[1] == frames_of(case, 4)[1]


def test_a_conversation_is_whole(net: Net) -> None:
    """No gap, nothing acknowledged before it was seen, both sides closed."""
    sides: dict[tuple[bytes, int, bytes, int], int] = {}
    ends = Counter()
    for _, key, tcp in segments(web.steady(net, seconds=20)):
        back = (*key[2:], *key[:2])
        if not tcp.flags & SYN:
            assert tcp.seq == sides[key]
            assert (sides[back] - tcp.ack) % 2**32 < 2**20  # what was seen of the other side
        length = len(tcp.data) + bool(tcp.flags & SYN) + bool(tcp.flags & FIN)
        sides[key] = (tcp.seq + length) % 2**32
        ends["SYN"] += bool(tcp.flags & SYN)
        ends["FIN"] += bool(tcp.flags & FIN)
        ends["RST"] += bool(tcp.flags & RST)
    assert ends["SYN"] == ends["FIN"] > 100
    assert ends["RST"] == 0


@pytest.mark.parametrize("sources", [60, 600])
def test_a_flash_crowd_is_twenty_times_as_many_from_many(net: Net, sources: int) -> None:
    began = first_syns(segments(web.crowd(net, sources=sources, seconds=8)))
    before = [ts for ts in began.values() if ts < net.at(15)]
    rush = {key: ts for key, ts in began.items() if ts >= net.at(15)}
    assert 14 < (len(rush) / 8) / (len(before) / 15) < 27
    addresses = Counter(key[0] for key in rush)
    assert 0.6 * sources <= len(addresses) <= sources
    assert max(addresses.values()) < 60  # each a few connections


def test_dropped_syns_are_repeated_by_the_same_stack(net: Net) -> None:
    syns = defaultdict(list)
    for ts, key, tcp in segments(web.crowd(net, dropped=0.33, seconds=6)):
        if tcp.flags & (SYN | ACK) == SYN:
            syns[key].append((ts, tcp.seq))
    repeated = [each for each in syns.values() if len(each) > 1]
    assert 0.15 < len(repeated) / len(syns) < 0.45
    for (first, isn), (second, again), *_ in repeated:
        assert 0 <= second - first - SECOND < SECOND // 1000  # RFC 6298: after a second
        assert isn == again


def test_a_nat_gateway_is_one_address_with_many_clocks(net: Net) -> None:
    clocks, addresses = set(), set()
    for ts, key, tcp in segments(web.from_nat(net)):
        if tcp.flags & (SYN | ACK) == SYN:
            addresses.add(key[0])
            stamps = dict(dpkt.tcp.parse_opts(tcp.opts)).get(dpkt.tcp.TCP_OPT_TIMESTAMP)
            if stamps:
                clocks.add((struct.unpack(">I", stamps[:4])[0] - ts // 10**6) & 0xFFFFFFFF)
    assert len(addresses) == 1
    assert len(clocks) > 30


def test_health_checks_are_four_a_second_and_complete_nothing(net: Net) -> None:
    found = segments(web.health_checks(net, seconds=10))
    assert len(first_syns(found)) == 40
    assert len({key[0] for key in first_syns(found)}) == 4
    assert [tcp.flags for _, _, tcp in found].count(RST) == 40
    assert not any(tcp.flags == ACK for _, _, tcp in found)


def test_paces_and_bursts_last_what_they_say(net: Net) -> None:
    times = [ts for ts, _ in floods.syn(net, net.paced(3, 8, 400), net.spoofed, answered=False)]
    assert len(times) == 3200
    assert 7.98 < (times[-1] - times[0]) / SECOND < 8.01
    burst = list(net.burst(1, 2000, 20))
    assert len(burst) == 2000
    assert burst[-1] - burst[0] < 0.0201 * SECOND


def test_a_speed_test_is_as_fast_as_it_says(net: Net) -> None:
    seconds = 8
    frames = merged(media.iperf_udp(net, seconds=seconds))
    sent = sum(len(dpkt.ethernet.Ethernet(octets).data.data.data) for _, octets in frames[20:])
    assert 2.9e6 < sent * 8 / seconds < 3.1e6
