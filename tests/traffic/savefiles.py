"""Capture files built octet by octet, the broken ones first of all.

Records are (ts, caplen or None, len or None, octets): `ts` is in ticks of the file's resolution,
None takes what is true.
"""

import struct
from dataclasses import dataclass, field

from sensor.errors import DamagedCapture, InputError, NotACapture

FRAME = bytes.fromhex(
    "ffffffffffff020202020202080045000028000100004006000"
    "00a4d00010a4d000204d2005000000001000000005002040000000000"
)
SEC = 1_000_000


def pcap_header(
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    version: tuple[int, int] = (2, 4),
    snaplen: int = 65535,
    link: int = 1,
) -> bytes:
    """The 24 octets in front of a pcap file."""
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)


def pcap_record(
    octets: bytes,
    sec: int = 1,
    fraction: int = 0,
    caplen: int | None = None,
    length: int | None = None,
    order: str = "<",
) -> bytes:
    """One pcap record."""
    n = len(octets)
    return (
        struct.pack(
            order + "IIII",
            sec & 0xFFFFFFFF,
            fraction,
            n if caplen is None else caplen,
            n if length is None else length,
        )
        + octets
    )


def pad(octets: bytes) -> bytes:
    """Zeros up to a multiple of 4."""
    return octets + bytes(-len(octets) % 4)


def block(kind: int, body: bytes, order: str = "<", length: int | None = None) -> bytes:
    """One pcapng block; `length` lies about its length."""
    body = pad(body)
    n = len(body) + 12 if length is None else length
    return struct.pack(order + "II", kind, n) + body + struct.pack(order + "I", n)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """One pcapng option."""
    return struct.pack(order + "HH", code, len(value)) + pad(value)


def section(order: str = "<", version: tuple[int, int] = (1, 0)) -> bytes:
    """Section header block."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1), order)


def interface(order: str = "<", link: int = 1, snaplen: int = 65535, options: bytes = b"") -> bytes:
    """Interface description block."""
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def enhanced(
    octets: bytes,
    ticks: int = SEC,
    number: int = 0,
    caplen: int | None = None,
    length: int | None = None,
    order: str = "<",
    options: bytes = b"",
) -> bytes:
    """Enhanced packet block."""
    n = len(octets)
    head = struct.pack(
        order + "IIIII",
        number,
        ticks >> 32,
        ticks & 0xFFFFFFFF,
        n if caplen is None else caplen,
        n if length is None else length,
    )
    return block(6, head + pad(octets) + options, order)


def simple(octets: bytes, length: int | None = None, order: str = "<") -> bytes:
    """Simple packet block."""
    return block(
        3, struct.pack(order + "I", len(octets) if length is None else length) + octets, order
    )


def old_packet(octets: bytes, ticks: int = SEC, number: int = 0, order: str = "<") -> bytes:
    """The obsolete packet block (type 2)."""
    n = len(octets)
    return block(
        2,
        struct.pack(order + "HHIIII", number, 0xFFFF, ticks >> 32, ticks & 0xFFFFFFFF, n, n)
        + octets,
        order,
    )


@dataclass(frozen=True)
class Case:
    """A file, and what its reader must say."""

    name: str
    octets: bytes
    packets: int
    error: type[InputError] | None = None
    reason: str = ""
    offset: int | None = None
    anomalies: dict[str, int] = field(default_factory=dict)


def _pcap_cases() -> list[Case]:
    h, r = pcap_header(), pcap_record(FRAME)
    n = len(r)

    def damaged(name: str, octets: bytes, packets: int, offset: int, reason: str) -> Case:
        return Case(name, octets, packets, DamagedCapture, reason, offset)

    def foreign(name: str, octets: bytes, reason: str) -> Case:
        return Case(name, octets, 0, NotACapture, reason, 0)

    return [
        foreign("empty", b"", "empty"),
        foreign("one octet", b"\xd4", "24 octets, this file only 1"),
        foreign("short header", h[:10], "24 octets, this file only 10"),
        foreign("garbage", b"GARBAGE!" * 10, "unknown file format"),
        foreign("version 9.4", pcap_header(version=(9, 4)) + r, r"pcap version 9\.4"),
        foreign("version 2.5", pcap_header(version=(2, 5)) + r, r"pcap version 2\.5"),
        foreign("gzip", b"\x1f\x8b\x08" + bytes(30), "name it .gz or decompress first"),
        foreign("zstd", b"\x28\xb5\x2f\xfd" + bytes(30), "name it .zst or decompress first"),
        foreign("xz", b"\xfd7zXZ\0" + bytes(30), "compressed capture"),
        Case("header only", h, 0),
        Case("good", h + r * 3, 3),
        damaged("cut record header", h + r + r[:7], 1, 24 + n, "16 octets .* only 7"),
        damaged("cut data", h + r + r[:-9], 1, 24 + n, "54 captured octets wanted, only 45"),
        damaged("cut after header", h + r[:16], 0, 24, "54 captured octets wanted, only 0"),
        damaged(
            "caplen 4G",
            h + r + pcap_record(FRAME, caplen=0xFFFFFFFF) + r,
            1,
            24 + n,
            "invalid captured length 4294967295",
        ),
        damaged(
            "caplen 300 MB",
            h + pcap_record(FRAME, caplen=300 << 20),
            0,
            24,
            "invalid captured length 314572800",
        ),
        damaged(
            "absurd caplen that is there",
            h + pcap_record(bytes(300_000)) + r,
            0,
            24,
            "length 300000, .* maximum 262144",
        ),
        damaged(
            "caplen above the block cap",
            pcap_header(snaplen=0xFFFFFFFF) + pcap_record(b"", caplen=(16 << 20) + 1),
            0,
            24,
            "maximum 16777216",
        ),
        Case(
            "a record longer than the buffer",
            pcap_header(snaplen=0) + r + pcap_record(bytes(3 << 20)) + r,
            3,
        ),
        Case(
            "caplen above snaplen",
            pcap_header(snaplen=64) + pcap_record(FRAME + bytes(200)) + r,
            2,
            anomalies={"capture_length_over_snaplen": 1},
        ),
        Case(
            "caplen above len",
            h + pcap_record(FRAME, length=10) + r,
            2,
            anomalies={"capture_length_over_length": 1},
        ),
        Case("caplen 0", h + pcap_record(b"", length=60) + r, 2),
        Case(
            "len 4G", h + pcap_record(FRAME, length=0xFFFFFFFF), 1, anomalies={"length_clamped": 1}
        ),
        Case(
            "negative time",
            h + pcap_record(FRAME, sec=-5) + r,
            2,
            anomalies={"timestamp_past_2038": 1, "timestamp_backwards": 1},
        ),
        Case(
            "fraction above a second",
            h + pcap_record(FRAME, fraction=0xFFFFFFF0) + r,
            2,
            anomalies={"timestamp_fraction": 1, "timestamp_backwards": 1},
        ),
        Case(
            "time runs back",
            h + pcap_record(FRAME, sec=9) + r + pcap_record(FRAME, sec=8),
            3,
            anomalies={"timestamp_backwards": 1},
        ),
        Case(
            "year 2106",
            h + pcap_record(FRAME, sec=0xFFFFFFFF),
            1,
            anomalies={"timestamp_past_2038": 1},
        ),
        Case("snaplen 0", pcap_header(snaplen=0) + r, 1),
        Case("snaplen 4G", pcap_header(snaplen=0xFFFFFFFF) + r, 1),
        Case("unknown link type", pcap_header(link=9999) + r, 1),
        Case("nanoseconds", pcap_header(magic=0xA1B23C4D) + pcap_record(FRAME, 1, 999_999_999), 1),
        Case("big endian", pcap_header(">") + pcap_record(FRAME, order=">"), 1),
    ]


def _pcapng_cases() -> list[Case]:
    s, i, e = section(), interface(), enhanced(FRAME)
    head = len(s) + len(i)  # 48

    def damaged(name: str, octets: bytes, packets: int, offset: int, reason: str) -> Case:
        return Case(name, octets, packets, DamagedCapture, reason, offset)

    def bad_block(name: str, bad: bytes, reason: str) -> Case:
        return damaged(name, s + i + e + bad + e, 1, head + len(e), reason)

    def bad_option(name: str, options: bytes, reason: str) -> Case:
        return damaged(name, s + interface(options=options) + e, 0, len(s), reason)

    return [
        Case("pcapng good", s + i + e * 2, 2),
        Case("pcapng only a section", s, 0),
        Case("pcapng 20,000 sections", s * 20_000, 0),
        Case(
            "pcapng byte-order magic 0",
            s[:8] + bytes(4) + s[12:],
            0,
            NotACapture,
            "byte-order magic 00000000",
            0,
        ),
        Case("pcapng version 2.0", section(version=(2, 0)), 0, NotACapture, r"version 2\.0", 0),
        Case("pcapng short section", s[:20], 0, NotACapture, "only 20", 0),
        bad_block("block length 0", block(6, FRAME, length=0), "type 6 has length 0, too short"),
        bad_block("block length 4G", block(6, FRAME, length=0xFFFFFFFC), "maximum 16777216"),
        bad_block("block length 500 MB", block(6, FRAME, length=500 << 20), "maximum 16777216"),
        bad_block("block length unaligned", block(6, FRAME, length=53), "not a multiple of 4"),
        bad_block("block too short for its type", block(6, bytes(8)), "length 20, too short"),
        bad_block("trailer differs", e[:-4] + struct.pack("<I", 4), "length 88 is 4 at"),
        bad_block("interface 99", enhanced(FRAME, number=99), "interface 99, .* only 1"),
        bad_block("caplen above its block", enhanced(FRAME, caplen=5000), "5000, .* room for 56"),
        bad_block("second section: byte order", s[:8] + bytes(4) + s[12:], "byte-order magic"),
        bad_block("second section: version", section(version=(1, 1)), r"version 1\.1"),
        damaged("packet before interface", s + e, 0, len(s), "before any interface"),
        damaged(
            "packet before interface of its section",
            s + i + e + s + e,
            1,
            head + len(e) + len(s),
            "before any interface",
        ),
        damaged("simple packet before interface", s + simple(FRAME), 0, len(s), "type 3 before"),
        damaged("cut block", s + i + e + e[:-1], 1, head + len(e), "88 octets, only 87"),
        damaged("cut block header", s + i + e + e[:5], 1, head + len(e), "12 .* only 5"),
        bad_option("tsresol 2^-127", option(9, b"\xff"), r"2\^-127"),
        bad_option("tsresol 2^-64", option(9, b"\xc0"), r"2\^-64"),
        bad_option("tsresol 10^-20", option(9, b"\x14"), r"10\^-20"),
        bad_option("tsresol of two octets", option(9, b"\6\0"), "option 9 .* length 2"),
        bad_option("tsoffset of four octets", option(14, bytes(4)), "option 14 .* length 4"),
        bad_option("option overrun", struct.pack("<HH", 2, 60000), "option 2 of 60000"),
        bad_option(
            "option overrun by its padding",
            struct.pack("<HH", 2, 5) + bytes(4),
            "option 2 of 5 octets",
        ),
        Case(
            "tsoffset before 1970",
            s + interface(options=option(14, struct.pack("<q", -(1 << 63)))) + e,
            1,
            anomalies={"timestamp_clamped": 1},
        ),
        Case(
            "time past 2262",
            s + i + enhanced(FRAME, ticks=(1 << 64) - 1),
            1,
            anomalies={"timestamp_clamped": 1},
        ),
        Case(
            "pcapng caplen above len",
            s + i + enhanced(FRAME, length=10),
            1,
            anomalies={"capture_length_over_length": 1},
        ),
        Case(
            "pcapng caplen above snaplen",
            s + interface(snaplen=20) + e,
            1,
            anomalies={"capture_length_over_snaplen": 1},
        ),
        Case(
            "100,000 interfaces",
            s + i * 100_000 + e,
            1,
            anomalies={"interfaces_over_limit": 34_465},
        ),
        Case(
            "packet of interface 70,000",
            s + i * 100_000 + enhanced(FRAME, number=70_000),
            0,
            DamagedCapture,
            "only 65535 a section",
            len(s) + 100_000 * len(i),
            {"interfaces_over_limit": 34_465},
        ),
        Case(
            "simple packet has no time",
            s + i + e + simple(FRAME),
            2,
            anomalies={"timestamp_missing": 1},
        ),
        Case(
            "custom, unknown and known blocks",
            s
            + i
            + block(0xBAD, bytes(64))
            + block(0x40000BAD, bytes(8))
            + block(4, bytes(4))
            + block(5, bytes(12))
            + block(0x1234, b"")
            + block(0x80000001, bytes(40))
            + e,
            1,
            anomalies={"unknown_block": 2},
        ),
        Case("a block longer than the buffer", s + i + block(0xBAD, bytes(3 << 20)) + e, 1),
    ]


CASES = [*_pcap_cases(), *_pcapng_cases()]
