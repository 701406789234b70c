"""RTP against RFC 3550's own arithmetic in Python, and loss, reordering and restarts by hand."""

import random
import struct

import dpkt
import pytest

from sensor._native.doors_dns import Door

MS = 10**6
PCMU = 0
NO, MAYBE, YES = 0, 1, 2  # AppVerdict


def rtp(
    seq: int, ts: int, ssrc: int = 0xDEADBEEF, pt: int = PCMU, payload: bytes = b"x" * 20
) -> bytes:
    packet = dpkt.rtp.RTP(seq=seq & 0xFFFF, ts=ts & 0xFFFFFFFF, ssrc=ssrc, pt=pt, data=payload)
    return bytes(packet)


def stream(door: Door, seqs: list[int], start_ns: int = 0, **kw: int) -> None:
    for i, seq in enumerate(seqs):
        door.rtp(rtp(seq, seq * 160, **kw), start_ns + i * 20 * MS)


def test_three_in_a_row() -> None:
    door = Door()
    got = [door.rtp(rtp(seq, seq * 160), seq * 20 * MS) for seq in (5, 6, 8, 9, 9, 10, 11)]
    assert got == [MAYBE] * 5 + [YES] * 2
    assert door.counts == {"RTP_PACKETS": 4}


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        rtp(1, 1)[:11],
        b"\x40" + rtp(1, 1)[1:],  # version 1
        rtp(1, 1, pt=72),  # RTCP sender report in disguise
        rtp(1, 1, pt=35),
        b"\x8f" + rtp(1, 1, payload=b"x" * 59)[1:],  # 15 CSRCs need 60 octets
        b"\x90" + rtp(1, 1, payload=b"\xbe\xde\0\x09" + b"x" * 35)[1:],  # extension too long
    ],
)
def test_not_rtp(packet: bytes) -> None:
    assert Door().rtp(packet) == NO


def test_csrcs_and_extension_that_fit() -> None:
    door = Door()
    assert door.rtp(b"\x8f" + rtp(1, 1, payload=b"x" * 60)[1:]) == MAYBE
    assert door.rtp(b"\x90" + rtp(2, 1, payload=b"\xbe\xde\0\x09" + b"x" * 36)[1:]) == MAYBE


def test_random_datagrams_are_not_rtp() -> None:
    rng = random.Random(3550)
    door = Door()
    for i in range(100_000):
        assert door.rtp(rng.randbytes(rng.randrange(1, 100)), i * MS) != YES
    assert door.counts == {}


def test_loss_over_the_wrap_of_the_sequence_number() -> None:
    door = Door()
    sent = list(range(65_400, 65_400 + 1000))
    lost = {65_500, 65_536, 65_537, 66_000}
    stream(door, [s for s in sent if s not in lost])
    door.rtp_flush()
    assert door.counts == {"RTP_PACKETS": 996, "RTP_LOST": 4}
    door.rtp_flush()
    assert door.counts["RTP_LOST"] == 4


def test_reordering_and_duplicates_are_no_loss() -> None:
    rng = random.Random(1889)
    door = Door()
    sent = list(range(10, 2010))
    rest = sent[3:] + rng.sample(sent[3:], 50)
    order = sent[:3] + sorted(rest, key=lambda s: s + rng.uniform(0, 40))
    stream(door, order)
    door.rtp_flush()
    assert door.counts == {"RTP_PACKETS": 2000}


def test_against_a_model_of_arrivals() -> None:
    rng = random.Random(7)
    door = Door()
    seqs = [s for s in range(5000) if s < 3 or rng.random() > 0.1]
    seqs = [s for s in seqs if not 2000 <= s < 2100]  # a burst longer than the window
    stream(door, seqs)
    door.rtp_flush()
    assert door.counts == {"RTP_PACKETS": len(seqs), "RTP_LOST": max(seqs) + 1 - len(seqs)}


def test_a_restarted_source_is_no_loss() -> None:
    door = Door()
    stream(door, [*range(100), *range(30_000, 30_100)])
    door.rtp_flush()
    assert door.counts == {"RTP_PACKETS": 200}


def test_two_sources_of_one_direction_and_a_third_after_silence() -> None:
    door = Door()
    for i in range(50):
        for ssrc in (1, 2, 3):
            door.rtp(rtp(i, i * 160, ssrc), i * 20 * MS)
    assert door.counts == {"RTP_PACKETS": 100}
    stream(door, list(range(10)), 10_000 * MS, ssrc=4)
    assert door.counts == {"RTP_PACKETS": 110}


@pytest.mark.parametrize(("pt", "clock"), [(0, 8000), (6, 16000), (10, 44100), (26, 90000)])
def test_jitter_is_that_of_appendix_a8(pt: int, clock: int) -> None:
    rng = random.Random(pt)
    door = Door()
    jitter, previous = 0, None
    for seq in range(500):
        at = seq * 20 * MS + rng.randrange(9 * MS)
        ts = seq * clock // 50
        transit = at * clock / 1e9 - ts
        if previous is not None:
            jitter += (abs(transit - previous) - jitter) / 16
        previous = transit
        door.rtp(rtp(seq, ts, pt=pt), at)
    assert door.rtp_jitter_ns() == pytest.approx(jitter / clock * 1e9, abs=2 * 1e9 / clock)


def test_jitter_of_an_unknown_clock_is_unknown() -> None:
    door = Door()
    stream(door, list(range(50)), pt=111)
    assert door.counts == {"RTP_PACKETS": 50}
    assert door.rtp_jitter_ns() is None
    assert door.rtp_jitter_ns(False) is None


def test_hostile_sequences_never_count_more_loss_than_numbers_exist() -> None:
    rng = random.Random(0)
    door = Door()
    stream(door, [0, 1, 2])
    jumps = 20_000
    for i in range(jumps):
        seq, ts = rng.choice([3000, 65_000, 40_000, i]), rng.getrandbits(32)
        door.rtp(struct.pack(">BBHII", 0x80, rng.choice([0, 111]), seq & 0xFFFF, ts, 0xDEADBEEF), i)
    door.rtp_flush()
    assert door.counts["RTP_PACKETS"] <= jumps + 3
    assert door.counts.get("RTP_LOST", 0) <= jumps * 3000
