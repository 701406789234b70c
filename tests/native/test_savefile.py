"""The savefile reader against dpkt, scapy, and every broken file we can think of."""

import io
import os
import random
import re
import struct
import threading
from fractions import Fraction

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import Ether
from scapy.utils import EDecimal, RawPcapNgReader, wrpcap, wrpcapng

from sensor._native.doors_savefile import batch, records
from sensor._native.savefile import Savefile
from sensor.errors import DamagedCapture, InputError, NotACapture
from tests.traffic.savefiles import (
    CASES,
    FRAME,
    SEC,
    Case,
    enhanced,
    interface,
    old_packet,
    option,
    pcap_header,
    pcap_record,
    section,
    simple,
)

Record = tuple[int, int, int, int, bytes]


class Dribble(io.RawIOBase):
    """A stream that gives what it likes: `sizes` octets at a time, over and over."""

    def __init__(self, octets: bytes, sizes: list[int]) -> None:
        self.octets = octets
        self.sizes = sizes
        self.position = 0
        self.turn = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        n = min(self.sizes[self.turn % len(self.sizes)], len(buffer))
        self.turn += 1
        piece = self.octets[self.position : self.position + n]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)


def read_all(source: Savefile) -> tuple[list[Record], InputError | None]:
    found: list[Record] = []
    try:
        for record in records(source):
            found.append(record)
    except DamagedCapture as e:
        return found, e
    return found, None


def read(
    octets: bytes, sizes: tuple[int, ...] = (1 << 30,)
) -> tuple[list[Record], InputError | None]:
    try:
        return read_all(Savefile(Dribble(octets, list(sizes)), "x"))
    except NotACapture as e:
        return [], e


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_broken_and_odd_files(case: Case, tmp_path) -> None:
    path = tmp_path / "file"
    path.write_bytes(case.octets)
    error = None
    try:
        source = Savefile(os.open(path, os.O_RDONLY), "file", len(case.octets))
    except NotACapture as e:
        found, error = [], e
    else:
        found, error = read_all(source)
        assert source.anomalies == case.anomalies
        assert source.packets_read == len(found)
        if error is None:
            assert source.position == len(case.octets)
        else:
            with pytest.raises(DamagedCapture):
                source.next_batch()
    assert len(found) == case.packets
    assert all(
        0 <= ts < 1 << 63 and caplen == len(octets) <= length
        for ts, caplen, length, _, octets in found
    )
    if case.error is None:
        assert error is None
    else:
        assert type(error) is case.error
        assert error.exit_code == (65 if case.error is DamagedCapture else 66)
        assert error.offset == case.offset
        assert re.search(case.reason, error.reason)
        assert str(error) == f"file:{case.offset}: {error.reason}"


def ticks_to_ns(ticks: int, tsresol: int, offset: int = 0) -> int:
    unit = Fraction(1, 2 ** (tsresol & 127) if tsresol & 128 else 10**tsresol)
    return int(ticks * unit * 10**9 // 1) + offset * 10**9


frames = st.lists(
    st.tuples(
        st.integers(0, 2**31 - 1),
        st.integers(0, 999_999_999),
        st.binary(max_size=90),
        st.integers(0, 70_000),
    ),
    max_size=12,
)


@given(frames, st.sampled_from("<>"), st.booleans(), st.integers(0, 2**16 - 1), st.integers(1, 80))
def test_pcap_agrees_with_dpkt(rows, order, nano, link, step) -> None:
    scale = 1 if nano else 1000
    octets = pcap_header(order, 0xA1B23C4D if nano else 0xA1B2C3D4, link=link) + b"".join(
        pcap_record(data, sec, fraction // scale, length=len(data) + more, order=order)
        for sec, fraction, data, more in rows
    )
    found, error = read(octets, (step,))
    assert error is None
    oracle = dpkt.pcap.Reader(io.BytesIO(octets))
    # dpkt gives times as floats or Decimals; the integers it was built from are exact.
    assert [r[4] for r in found] == [data for _, data in oracle]
    assert [r[:4] for r in found] == [
        (sec * 10**9 + fraction // scale * scale, len(data), len(data) + more, link)
        for sec, fraction, data, more in rows
    ]


def test_files_of_scapy(tmp_path) -> None:
    rng = random.Random(2)
    sent = [
        (rng.randrange(2**31), rng.randrange(10**6), rng.randbytes(rng.randrange(14, 200)))
        for _ in range(50)
    ]
    packets = []
    for sec, usec, data in sent:
        packets.append(Ether(data))
        packets[-1].time = EDecimal(f"{sec}.{usec:06}")
    for write in (wrpcap, wrpcapng):
        path = str(tmp_path / write.__name__)
        write(path, packets)
        found, error = read_all(Savefile(os.open(path, os.O_RDONLY), path))
        assert error is None
        assert [(ts, octets) for ts, _, _, _, octets in found] == [
            (sec * 10**9 + usec * 1000, data) for sec, usec, data in sent
        ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("<>"),
            st.lists(
                st.tuples(
                    st.one_of(st.integers(0, 19), st.integers(128, 191)),
                    st.integers(-(2**33), 2**33),
                    st.integers(0, 2**16 - 1),
                ),
                min_size=1,
                max_size=4,
            ),
            st.lists(
                st.tuples(
                    st.integers(0, 3),
                    st.integers(0, 2**64 - 1),
                    st.binary(max_size=40),
                    st.sampled_from(["enhanced", "old"]),
                ),
                max_size=5,
            ),
        ),
        min_size=1,
        max_size=3,
    ),
    st.integers(1, 200),
)
def test_pcapng_any_resolution(sections, step) -> None:
    octets, want = b"", []
    for order, interfaces, packets in sections:
        octets += section(order)
        for tsresol, offset, link in interfaces:
            octets += interface(
                order,
                link,
                options=option(2, b"eth0", order)
                + option(9, bytes([tsresol]), order)
                + option(14, struct.pack(order + "q", offset), order)
                + option(0, b"", order),
            )
        for number, ticks, data, kind in packets:
            n = number % len(interfaces)
            build = enhanced if kind == "enhanced" else old_packet
            octets += build(data, ticks, n, order=order)
            tsresol, offset, link = interfaces[n]
            ns = min(max(ticks_to_ns(ticks, tsresol, offset), 0), 2**63 - 1)
            want.append((ns, len(data), len(data), link, data))
    found, error = read(octets, (step,))
    assert error is None
    assert found == want


def test_pcapng_agrees_with_scapy() -> None:
    octets = section() + interface() + interface(link=101, options=option(9, b"\x09"))
    octets += b"".join(
        enhanced(FRAME + bytes([i]), (SEC if i % 2 == 0 else 10**9) * (i + 1), i % 2)
        for i in range(20)
    )
    found, _ = read(octets)
    oracle = [
        (m.linktype, (m.tshigh << 32 | m.tslow) * 10**9 // m.tsresol, m.wirelen, data)
        for data, m in RawPcapNgReader(io.BytesIO(octets))
    ]
    assert [(link, ts, length, data) for ts, _, length, link, data in found] == oracle


def test_simple_packet_is_cut_by_the_snaplen() -> None:
    octets = section() + interface(snaplen=20) + simple(FRAME[:20], length=54)
    assert read(octets) == ([(0, 20, 54, 1, FRAME[:20])], None)


def test_clamps() -> None:
    header = pcap_header(link=0xF400_0001)  # FCS of 16 words
    octets = (
        header
        + pcap_record(FRAME, 7, 0xFFFFFFF0, length=0xFFFFFFFF)
        + pcap_record(FRAME, 8, 0, length=10)
    )
    assert read(octets)[0] == [
        (7_999_999_000, 54, 2**31 - 1, 1, FRAME),
        (8_000_000_000, 54, 54, 1, FRAME),
    ]


def test_variants_of_old() -> None:
    """Kuznetzov's longer record header; wire and captured length swapped before version 2.3."""
    long_record = pcap_record(FRAME, 3, 5)[:16] + bytes(8) + FRAME
    assert (
        read(pcap_header(magic=0xA1B2CD34) + long_record * 2)[0]
        == [(3_000_005_000, 54, 54, 1, FRAME)] * 2
    )
    swapped = pcap_record(FRAME, caplen=99, length=54)
    straight = pcap_record(FRAME, caplen=54, length=99)
    want = (10**9, 54, 99, 1, FRAME)
    assert read(pcap_header(version=(2, 2)) + swapped)[0] == [want]
    assert read(pcap_header(version=(2, 3)) + swapped + straight)[0] == [want, want]


PCAP = pcap_header() + b"".join(pcap_record(FRAME[: 9 * i], i) for i in range(1, 5))
PCAPNG = (
    section()
    + interface(options=option(9, b"\x09"))
    + enhanced(FRAME)
    + interface("<", 101)
    + simple(FRAME[:7])
    + enhanced(FRAME[:3], number=1, options=option(1, b"comment"))
    + section(">")
    + interface(">")
    + old_packet(FRAME[:9], order=">")
)


@pytest.mark.parametrize("octets", [PCAP, PCAPNG], ids=["pcap", "pcapng"])
def test_cut_at_every_octet(octets: bytes) -> None:
    whole, error = read(octets)
    assert error is None
    assert len(whole) == 4
    ends = walk(octets)
    for n in range(len(octets)):
        found, error = read(octets[:n])
        assert found == whole[: sum(packet and end <= n for end, packet in ends)]
        assert (error is None) == (n in dict(ends))


def walk(octets: bytes) -> list[tuple[int, bool]]:
    """(end, is a packet) of every record, by a reader that trusts a good file."""
    if octets is PCAP:
        at, out = 24, [(24, False)]
        while at < len(octets):
            at += 16 + struct.unpack_from("<I", octets, at + 8)[0]
            out.append((at, True))
        return out
    at, out, order = 0, [], "<"
    while at < len(octets):
        if octets[at : at + 4] == b"\n\r\r\n":
            order = "<" if octets[at + 8] == 0x4D else ">"
        kind, length = struct.unpack_from(order + "II", octets, at)
        at += length
        out.append((at, kind in (2, 3, 6)))
    return out


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_damage_never_crashes_and_chunks_do_not_matter(sizes, rng) -> None:
    octets = bytearray(rng.choice([PCAP, PCAPNG]))
    for _ in range(rng.randrange(4)):
        octets[rng.randrange(4, len(octets))] = rng.choice([0, 1, 4, 127, 128, 255])
    once, error = read(bytes(octets))
    dribbled, same = read(bytes(octets), tuple(sizes))
    assert dribbled == once
    assert str(same) == str(error)


def test_through_a_pipe_in_random_pieces() -> None:
    rng = random.Random(5)
    octets = pcap_header() + b"".join(
        pcap_record(rng.randbytes(rng.randrange(1600)), i) for i in range(3000)
    )
    into, out = os.pipe()

    def feed() -> None:
        at = 0
        while at < len(octets):
            n = rng.choice([1, 7, 15, 16, 17, 1000, 60_000])
            os.write(out, octets[at : at + n])
            at += n
        os.close(out)

    writer = threading.Thread(target=feed)
    writer.start()
    piped, error = read_all(Savefile(into, "-"))
    writer.join()
    assert error is None
    assert piped == read(octets)[0]


def test_packets_before_the_damage_come_first_and_batches_are_bounded() -> None:
    good = pcap_record(FRAME)
    source = Savefile(Dribble(pcap_header() + good * 1000 + good[:20], [1 << 30]), "x", 7)
    assert source.next_batch() == 512
    assert source.pending == 512
    assert len(batch(source)) == 512
    assert source.next_batch() == 488
    for _ in range(2):
        with pytest.raises(DamagedCapture, match=r"^x:70024: truncated"):
            source.next_batch()
        assert source.pending == 0
    assert source.packets_read == 1000
    assert (source.format, source.link_types, source.nanosecond) == ("pcap", [1], False)


def test_a_stream_that_breaks() -> None:
    class Broken(Dribble):
        def readinto(self, buffer: memoryview) -> int:
            got = super().readinto(buffer)
            if got == 0:
                raise OSError("gzip: checksum differs")
            return got

    source = Savefile(Broken(pcap_header() + pcap_record(FRAME) * 2, [50]), "x")
    found, error = read_all(source)
    assert len(found) == 2
    assert str(error) == "x:164: cannot read on: gzip: checksum differs"


def test_close_ends_the_batch(tmp_path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(PCAP)
    with Savefile(os.open(path, os.O_RDONLY), "a") as source:
        assert source.next_batch() == 4
    assert source.pending == 0
    assert source.next_batch() == 0
