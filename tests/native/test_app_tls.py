"""The TLS recogniser against real TLS stacks (the ssl module, in memory) and hand-worked octets."""

import datetime
import ssl
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor._native.doors_crypto import TLS_SIZE, TlsDoor, probe

CLIENT, SERVER = True, False
MS = 1_000_000
NAME = "Shop.Example.COM"
Stream = list[tuple[bool, bytes]]


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(client, server) with a throw-away self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .sign(key, hashes.SHA256())
    )
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_alpn_protocols(["http/1.1", "h2"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_alpn_protocols(["h2"])
    with TemporaryDirectory() as folder:
        pem = Path(folder, "pem")
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        server.load_cert_chain(pem)
    return client, server


class Talk:
    """A client and a server in memory; `stream` is what a sensor between them sees."""

    def __init__(
        self,
        version: ssl.TLSVersion,
        session: ssl.SSLSession | None = None,
        *,
        trusting: bool = True,
        curve: str | None = None,
    ) -> None:
        client, server = contexts()
        client.minimum_version = ssl.TLSVersion.TLSv1_2
        client.maximum_version = version
        if curve is not None:
            server.set_ecdh_curve(curve)
        client.verify_mode = ssl.CERT_NONE if trusting else ssl.CERT_REQUIRED
        self.stream: Stream = []
        self.wires = [ssl.MemoryBIO() for _ in range(4)]
        self.client = client.wrap_bio(
            self.wires[0], self.wires[1], server_hostname=NAME, session=session
        )
        self.server = server.wrap_bio(self.wires[2], self.wires[3], server_side=True)

    def flush(self) -> None:
        for side, out, into in ((CLIENT, 1, 2), (SERVER, 3, 0)):
            octets = self.wires[out].read()
            if octets:
                self.stream.append((side, octets))
                self.wires[into].write(octets)

    def handshake(self) -> "Talk":
        pending = [self.client, self.server]
        for _ in range(10):
            for end in list(pending):
                try:
                    end.do_handshake()
                    pending.remove(end)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:  # it has said so in an alert
                    pending.clear()
                self.flush()
        return self

    def request(self, asked: bytes, answer: bytes) -> "Talk":
        for sender, receiver, octets in (
            (self.client, self.server, asked),
            (self.server, self.client, answer),
        ):
            sender.write(octets)
            self.flush()
            while octets:
                octets = octets[len(receiver.read(len(octets))) :]
        return self


@cache
def spoken(version: ssl.TLSVersion) -> tuple[Stream, ssl.SSLSession]:
    talk = Talk(version).handshake()
    for _ in range(3):
        talk.request(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + bytes(40_000))
    return talk.stream, talk.client.session


def fed(stream: Stream, cuts: list[int] | None = None) -> TlsDoor:
    """The recogniser after the stream, at 1 ms a message, cut into pieces of those sizes."""
    door = TlsDoor()
    sizes = iter(cuts or [])
    for at, (side, octets) in enumerate(stream):
        assert probe(octets, side) == 2 or at > 1
        while octets:
            size = next(sizes, len(octets)) or 1
            assert door.data(side, octets[:size], at * MS) == len(octets[:size])
            octets = octets[size:]
    return door


def said(door: TlsDoor) -> tuple[object, ...]:
    return door.counters, door.name, door.state, door.handshakes


V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(("version", "number"), [(V12, 0x0303), (V13, 0x0304)])
def test_a_real_connection(version: ssl.TLSVersion, number: int) -> None:
    stream, _ = spoken(version)
    door = fed(stream)
    door.end()
    assert door.counters == {
        "TLS_CLIENT_HELLOS": 1, "TLS_SERVER_HELLOS": 1, "HTTPS_TURNS": 3,
    }  # fmt: skip
    assert door.name == NAME.lower().encode()
    state = door.state
    assert state["version"] == number
    assert state["offered"] == number
    assert state["done"]
    assert state["offers_h2"]
    assert (state["resumed"], state["retried"], state["swapped"]) == (0, 0, 0)
    # The choice is in clear in TLS 1.2 only; in 1.3 the client's first offer is all there is.
    assert state["alpn"] == (b"h2" if version is V12 else b"http/1.1")
    # Message 0 is the ClientHello, 1 the server's flight, 2 the client's next record.
    assert door.handshakes == (1, 2 * MS)


@pytest.mark.parametrize("version", [V12, V13])
@given(cuts=st.lists(st.integers(1, 700), max_size=300))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_segmentation_changes_nothing(version: ssl.TLSVersion, cuts: list[int]) -> None:
    stream, _ = spoken(version)
    assert said(fed(stream, cuts)) == said(fed(stream))


@pytest.mark.parametrize("version", [V12, V13])
def test_octet_by_octet(version: ssl.TLSVersion) -> None:
    stream, _ = spoken(version)
    stream = stream[:4]
    assert said(fed(stream, [1] * sum(len(o) for _, o in stream))) == said(fed(stream))


def test_the_responder_may_be_the_client() -> None:
    stream, _ = spoken(V13)
    door = fed([(not side, octets) for side, octets in stream])
    assert door.state["swapped"]
    assert door.counters == fed(stream).counters


def test_resumption_is_seen() -> None:
    _, session = spoken(V12)
    door = fed(Talk(V12, session).handshake().stream)
    assert door.state["resumed"]
    assert door.state["resumption_offered"]
    _, session = spoken(V13)
    assert fed(Talk(V13, session).handshake().stream).state["resumed"]


def test_a_retry_is_a_second_hello_on_both_sides() -> None:
    # The server's only curve is not the one the client guessed (RFC 8446 4.1.4).
    door = fed(Talk(V13, curve="secp521r1").handshake().request(b"x" * 99, b"y" * 99).stream)
    assert door.state["retried"]
    assert door.counters == {
        "TLS_CLIENT_HELLOS": 2, "TLS_SERVER_HELLOS": 2, "HTTPS_TURNS": 1,
    }  # fmt: skip
    assert door.handshakes[0] == 1


def test_a_refused_certificate_is_an_alert_in_clear_below_1_3() -> None:
    door = fed(Talk(V12, trusting=False).handshake().stream)
    door.end()
    assert door.counters == {
        "TLS_CLIENT_HELLOS": 1, "TLS_SERVER_HELLOS": 1, "TLS_FATAL_ALERTS": 1, "TLS_ERRORS": 1,
    }  # fmt: skip
    assert door.state["fatal_alert"] - 1 == 48  # unknown_ca
    assert not door.state["done"]


def test_a_hello_without_answer_is_an_error_once() -> None:
    stream, _ = spoken(V13)
    door = fed(stream[:1])
    door.end()
    assert door.counters == {"TLS_CLIENT_HELLOS": 1, "TLS_ERRORS": 1}


# ---- hand-worked octets

ALERT = bytes.fromhex("15 0301 0002 02 28")  # fatal handshake_failure
WARNING = bytes.fromhex("15 0301 0002 01 00")
DATA = bytes.fromhex("17 0303 0040") + bytes(64)
# RFC 5246 E.2: SSLv2 framing, version 3.1, one cipher, no session id, a 16-octet challenge.
V2_HELLO = bytes.fromhex("801c 01 0301 0003 0000 0010 000005") + bytes(range(16))


def record(kind: int, body: bytes) -> bytes:
    return bytes([kind, 3, 1]) + len(body).to_bytes(2, "big") + body


def server_hello(random: bytes, version: int = 0x0303) -> bytes:
    body = version.to_bytes(2, "big") + random + b"\0\xc0\x2f\0"
    return b"\x02" + len(body).to_bytes(3, "big") + body


def client_hello(extensions: bytes) -> bytes:
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\xc0\x2f" + b"\x01\0"
    body += len(extensions).to_bytes(2, "big") + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def test_only_fatal_alerts_in_clear_count() -> None:
    door = TlsDoor()
    door.data(SERVER, WARNING + record(21, bytes(40)) + ALERT)
    assert door.counters == {"TLS_FATAL_ALERTS": 1, "TLS_ERRORS": 1}
    assert door.state["fatal_alert"] - 1 == 40


def test_sslv2_framed_hello() -> None:
    assert probe(V2_HELLO) == 2
    door = TlsDoor()
    door.data(CLIENT, V2_HELLO)
    door.data(SERVER, record(22, server_hello(bytes(32))))
    assert door.counters == {"TLS_CLIENT_HELLOS": 1, "TLS_SERVER_HELLOS": 1}


@pytest.mark.parametrize(("tail", "seen"), [(b"DOWNGRD\x01", 1), (b"DOWNGRD\0", 1), (bytes(8), 0)])
def test_downgrade_sentinel(tail: bytes, seen: int) -> None:
    door = TlsDoor()
    door.data(SERVER, record(22, server_hello(bytes(24) + tail)))
    assert door.state["downgraded"] == seen
    assert door.state["swapped"] == 0
    assert door.state["cipher"] == 0xC02F


def test_refused_early_data_is_not_taken_for_the_finished() -> None:
    def hello(random: bytes) -> bytes:  # TLS 1.3 by supported_versions
        body = b"\x03\x03" + random + b"\0\x13\x01\0" + b"\0\x06\0\x2b\0\x02\x03\x04"
        return record(22, b"\x02" + len(body).to_bytes(3, "big") + body)

    retry = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
    door = TlsDoor()
    for side, octets, done in (
        (CLIENT, record(22, client_hello(b"")), 0),
        (SERVER, hello(bytes.fromhex(retry)), 0),
        (CLIENT, DATA, 0),  # early data, sent before the retry arrived
        (CLIENT, record(20, b"\1") + record(22, client_hello(b"")), 0),
        (SERVER, hello(bytes(32)) + DATA, 0),  # the flight answers the early data: one turn
        (CLIENT, DATA, 1),  # Finished
        (SERVER, DATA, 1),  # a session ticket
    ):
        door.data(side, octets)
        assert door.state["done"] == done
    assert door.counters == {
        "TLS_CLIENT_HELLOS": 2, "TLS_SERVER_HELLOS": 2, "HTTPS_TURNS": 1,
    }  # fmt: skip


def test_a_hello_over_many_records_and_two_hellos_in_one() -> None:
    hello = client_hello(b"\0\0\0\x08\0\x06\0\0\x03a.b")
    door = TlsDoor()
    door.data(CLIENT, b"".join(record(22, hello[i : i + 7]) for i in range(0, len(hello), 7)))
    assert door.name == b"a.b"
    door.data(CLIENT, record(22, hello + hello))
    assert door.counters == {"TLS_CLIENT_HELLOS": 3}


@pytest.mark.parametrize(
    "extension",
    [
        b"\0\0\0\x08\0\x06\0\0\xff\xffa.b",  # the name is longer than its extension
        b"\0\0\0\x08\0\x06\x01\0\x03a.b",  # not a host_name
        b"\0\0\0\x05\0\x03\0\0\0",  # empty
        b"\0\0\0\x02\0\0",  # an empty list
        b"\0\0\xff\xff",  # an extension longer than the message
        b"\0\x10\0\x03\0\xff\xff",  # ALPN lists that lie
        b"\0\x2b\0\x01\xff",
    ],
)
def test_lies_in_extensions_give_no_name(extension: bytes) -> None:
    door = TlsDoor()
    door.data(CLIENT, record(22, client_hello(extension)))
    assert door.name is None
    assert door.counters == {"TLS_CLIENT_HELLOS": 1}


def test_a_long_name_is_cut_at_255() -> None:
    name = b"a" * 4000
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    listed = len(entry).to_bytes(2, "big") + entry
    hello = client_hello(b"\0\0" + len(listed).to_bytes(2, "big") + listed)
    door = TlsDoor()
    door.data(CLIENT, record(22, hello))
    assert door.name == b"a" * 255


def test_not_tls_any_more_is_one_parse_error() -> None:
    door = TlsDoor()
    door.data(CLIENT, DATA + b"GET / HTTP/1.1\r\n")
    door.data(CLIENT, DATA)
    assert door.counters == {"TLS_PARSE_ERRORS": 1}


@pytest.mark.parametrize(
    ("octets", "verdict"),
    [
        (b"\x16", 1), (b"\x16\x03\x01", 1), (b"\x16\x03\x01\x02\x00\x01", 2), (DATA, 2),
        (b"\x16\x03\x05", 0), (b"\x16\x02\x01", 0), (b"\x16\x03\x01\x00\x00", 0),
        (b"\x17\x03\x03\x41\x01", 0), (b"GET / HTTP/1.1", 0), (b"\x19\x03\x03", 0),
        (DATA + b"GET /", 0), (V2_HELLO[:4], 0), (b"\x17\x03", 0), (b"\x80\x1c\x04\x03\x01", 0),
    ],
)  # fmt: skip
def test_probe(octets: bytes, verdict: int) -> None:
    assert probe(octets) == verdict


def test_a_gap_inside_a_record_body_is_passed_over() -> None:
    door = TlsDoor()
    door.data(CLIENT, DATA[:20])
    door.gap(CLIENT, len(DATA) - 20)
    door.data(SERVER, DATA)
    assert door.counters == {"HTTPS_TURNS": 1}


def test_a_gap_over_a_header_waits_for_a_record_at_a_segment_start() -> None:
    door = TlsDoor()
    door.data(CLIENT, DATA[:20])
    door.gap(CLIENT, len(DATA))
    door.data(CLIENT, bytes(100))
    door.data(SERVER, DATA)
    assert door.counters == {"APP_LOST_SYNC": 1, "HTTPS_TURNS": 1}
    door.data(CLIENT, DATA)
    door.data(SERVER, DATA)
    assert door.counters == {"APP_LOST_SYNC": 1, "HTTPS_TURNS": 2}


def test_a_cut_hello_still_counts_and_its_loss_is_not_an_error() -> None:
    stream, _ = spoken(V13)
    hello, flight = stream[0][1], stream[1][1]
    door = TlsDoor()
    door.data(CLIENT, hello[:100])  # the snaplen cuts
    door.gap(CLIENT, len(hello) - 100)
    door.gap(SERVER, len(flight))
    door.end()
    assert door.counters == {"TLS_CLIENT_HELLOS": 1, "APP_LOST_SYNC": 1}


def test_the_struct_keeps_to_its_size() -> None:
    assert TLS_SIZE <= 512
