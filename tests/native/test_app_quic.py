"""The QUIC recogniser against a real stack (aioquic, in memory) and hand-worked headers."""

import datetime
import random
import ssl
from pathlib import Path

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sensor._native.doors_crypto import QUIC_SIZE, QuicDoor
from sensor.flow.quic_initial import server_name

CLIENT, SERVER = True, False
NO, YES = 0, 2
MS = 1_000_000
# RFC 9001 appendix A.2: a client's Initial for example.com.
A2 = (Path(__file__).parent.parent / "fuzz/corpus/quic/rfc9001_a2").read_bytes()[3:]
C, S, X = b"client-1", b"server-1", b"firstdst"
INITIAL, ZERO_RTT, HANDSHAKE, RETRY = 0, 1, 2, 3


def long(kind: int, to: bytes, by: bytes, *, version: int = 1, n: int = 40, pad: int = 0) -> bytes:
    """A long-header packet (RFC 9000 17.2), its protected part all 0xEE."""
    bits = (kind + 1) % 4 if version == 0x6B3343CF else kind
    head = bytes([0xC0 | bits << 4]) + version.to_bytes(4, "big")
    head += bytes([len(to)]) + to + bytes([len(by)]) + by
    if kind == RETRY:
        return head + b"token" + bytes(16)
    if kind == INITIAL:
        head += b"\0"
    return head + (0x4000 | n).to_bytes(2, "big") + b"\xee" * n + bytes(pad)


SHORT = b"\x41" + b"\xee" * 60


def test_a_handshake_is_one_connection_with_two_halves() -> None:
    door = QuicDoor()
    assert door.datagram(CLIENT, long(INITIAL, X, C, n=1150), 10 * MS) == YES
    # Initial and Handshake coalesced, 20 ms later; the rest of the flight at 25; then the client.
    flight = long(INITIAL, C, S) + long(HANDSHAKE, C, S, n=900)
    assert door.datagram(SERVER, flight, 30 * MS) == YES
    assert door.datagram(SERVER, long(HANDSHAKE, C, S), 35 * MS) == YES
    done = long(INITIAL, S, C) + long(HANDSHAKE, S, C) + SHORT
    assert door.datagram(CLIENT, done, 36 * MS) == YES
    assert door.datagram(CLIENT, long(HANDSHAKE, S, C), 90 * MS) == YES
    assert door.datagram(SERVER, SHORT, 91 * MS) == YES
    assert door.counters == {"QUIC_CONNECTIONS": 1}
    assert door.handshakes == (1, 20 * MS + 6 * MS)


def test_retry_negotiation_and_early_data_are_the_same_connection() -> None:
    door = QuicDoor()
    door.datagram(CLIENT, long(INITIAL, X, b"", version=0x1A2A3A4A, n=1180), 0)
    door.datagram(SERVER, b"\x80" + bytes(4) + b"\0" + b"\x08" + X + b"\0\0\0\1", 5 * MS)
    door.datagram(CLIENT, long(INITIAL, X, b"") + long(ZERO_RTT, X, b""), 6 * MS)
    door.datagram(SERVER, long(RETRY, b"", b"retry-id"), 10 * MS)
    door.datagram(CLIENT, long(INITIAL, b"retry-id", b""), 11 * MS)
    door.datagram(SERVER, long(INITIAL, b"", S), 20 * MS)
    door.datagram(CLIENT, long(INITIAL, S, b""), 21 * MS)
    assert door.counters == {"QUIC_CONNECTIONS": 1}
    assert door.version == 1


def test_a_new_first_destination_is_a_new_connection() -> None:
    door = QuicDoor()
    for i in range(3):
        for _ in range(2):  # sent again: the same one
            door.datagram(CLIENT, long(INITIAL, bytes([i]) * 8, b""))
    assert door.counters == {"QUIC_CONNECTIONS": 3}


def test_picked_up_in_the_middle_has_no_latency() -> None:
    door = QuicDoor()
    door.datagram(SERVER, long(HANDSHAKE, C, S), 1 * MS)
    door.datagram(CLIENT, long(HANDSHAKE, S, C), 2 * MS)
    door.datagram(SERVER, long(HANDSHAKE, C, S), 3 * MS)
    door.datagram(CLIENT, long(HANDSHAKE, S, C), 4 * MS)
    assert door.counters == {"QUIC_CONNECTIONS": 1}
    assert door.handshakes == (0, 0)


@pytest.mark.parametrize("version", [1, 0x6B3343CF, 0xFF00001D, 0xFACEB002])
def test_versions(version: int) -> None:
    door = QuicDoor()
    assert door.datagram(CLIENT, long(INITIAL, X, C, version=version)) == YES
    assert door.counters == {"QUIC_CONNECTIONS": 1}


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"\xc0", SHORT, long(INITIAL, X, C)[:20], long(RETRY, X, C),
        long(INITIAL, X, C, version=2), long(INITIAL, X, C, version=0xFF000040),
        long(INITIAL, X, C, version=0x0A0A0A0A),  # greased, and too short to be a client's Initial
        long(INITIAL, X, C, version=0x0A0A0A0A, n=1180) + b"\1",
        b"\x80" + bytes(1200), b"\xff" * 1200,
        b"\xc0\0\0\0\1\x15" + bytes(1200),  # a connection id of 21
        b"\xc0\0\0\0\1\x08" + X + b"\0\xff" + b"\xff" * 1200,  # a token of 2^62
        bytes([0x80]) + long(INITIAL, X, C)[1:],  # the fixed bit is 0
    ],
)  # fmt: skip
def test_what_does_not_begin_a_connection(octets: bytes) -> None:
    door = QuicDoor()
    assert door.datagram(CLIENT, octets) == NO
    assert door.counters == {}


def test_random_datagrams_are_not_quic() -> None:
    source = random.Random(8999)
    door = QuicDoor()
    for _ in range(100_000):
        octets = source.randbytes(source.choice((20, 64, 1200)))
        assert door.datagram(source.random() < 0.5, octets) == NO


def test_every_truncation_is_safe() -> None:
    """It is QUIC once the header is whole, up to Length; read for a name once the packet is."""
    first = long(INITIAL, X, C)
    header = 1 + 4 + (1 + len(X)) + (1 + len(C)) + 1 + 2  # flags, version, ids, token, Length
    whole = first + long(HANDSHAKE, X, C) + long(ZERO_RTT, X, C)
    for n in range(len(whole) + 1):
        door = QuicDoor()
        assert door.datagram(CLIENT, whole[:n]) == (YES if n >= header else NO)
        assert door.counters == ({"QUIC_CONNECTIONS": 1} if n >= header else {})
        assert door.take() == ([(0, whole[:n])] if n >= len(first) else [], 0)


def test_the_queue_keeps_the_first_initials_of_each_flow() -> None:
    door = QuicDoor()
    door.datagram(CLIENT, A2, serial=7)
    door.datagram(SERVER, long(INITIAL, b"", S), serial=7)  # the server's are not wanted
    for _ in range(9):
        door.datagram(CLIENT, A2, serial=7)
    assert door.take() == ([(7, A2)] * 4, 0)
    for serial in range(70):
        door.forget()
        door.datagram(CLIENT, A2, serial=serial)
    kept, overflow = door.take()
    assert [serial for serial, _ in kept] == list(range(64))
    assert overflow == 6
    door.forget()
    door.datagram(CLIENT, A2 + bytes(400), serial=1)  # a datagram longer than an entry
    assert door.take() == ([], 6)


def throw_away() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    day, now = datetime.timedelta(days=1), datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(now - day)
    return builder.not_valid_after(now + day).sign(key, hashes.SHA256()), key


def real_handshake(name: str, alpn: list[str]) -> list[tuple[bool, bytes]]:
    """The datagrams of an aioquic client and server, each with its sender."""
    certificate, key = throw_away()
    there = QuicConfiguration(
        is_client=False, alpn_protocols=alpn, certificate=certificate, private_key=key
    )
    here = QuicConfiguration(server_name=name, alpn_protocols=alpn, verify_mode=ssl.CERT_NONE)
    client = QuicConnection(configuration=here)
    address = ("192.0.2.1", 443)
    client.connect(address, now=0.0)
    server = QuicConnection(
        configuration=there,
        original_destination_connection_id=client.original_destination_connection_id,
    )
    seen: list[tuple[bool, bytes]] = []
    for at in range(6):
        for side, sender, receiver in ((CLIENT, client, server), (SERVER, server, client)):
            for octets, _ in sender.datagrams_to_send(now=float(at)):
                seen.append((side, octets))
                receiver.receive_datagram(octets, address, now=float(at))
    return seen


@pytest.mark.parametrize("alpn", [["h3"], [f"protocol-{i:04}" for i in range(200)]])
def test_a_real_stack(alpn: list[str]) -> None:
    """The second ClientHello takes several datagrams."""
    door = QuicDoor()
    for at, (side, octets) in enumerate(real_handshake("www.Example.org", alpn)):
        assert door.datagram(side, octets, at * MS) == YES
    assert door.counters == {"QUIC_CONNECTIONS": 1}
    assert door.handshakes[0] == 1
    assert server_name([octets for _, octets in door.take()[0]]) == "www.example.org"


def test_the_struct_is_small() -> None:
    assert QUIC_SIZE <= 96
