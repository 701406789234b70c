"""The server name in QUIC Initials: RFC vectors, and packets sealed by aioquic's cryptography."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from aioquic.quic.crypto import CryptoPair
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.flow.quic_initial import client_keys, server_name

A2 = (Path(__file__).parent.parent / "fuzz/corpus/quic/rfc9001_a2").read_bytes()[3:]
ID = bytes.fromhex("8394c8f03e515708")
SALT_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
SALT_V2 = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
V1, V2 = 0x00000001, 0x6B3343CF
SERVER_ID = b"server-1"


def test_keys_of_rfc_9001_a1() -> None:
    key, iv, hp = client_keys(V1, SALT_V1, ID)
    assert key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert hp.hex() == "9f50449e04a0e810283a1e9933adedd2"


def test_keys_of_rfc_9369_a1() -> None:
    key, iv, hp = client_keys(V2, SALT_V2, ID)
    assert key.hex() == "8b1a0bc121284290a29e0971b5cd045d"
    assert iv.hex() == "91f73e2351d8fa91660e909f"
    assert hp.hex() == "45b95e15235d6f45a6b19cbcb0294ba9"


def test_packet_of_rfc_9001_a2() -> None:
    assert server_name([A2]) == "example.com"


def test_one_wrong_bit_gives_nothing() -> None:
    for at in random.Random(9001).sample(range(len(A2)), 60):
        broken = bytearray(A2)
        broken[at] ^= 0x01
        if at != 0:  # bits of the first octet that header protection does not cover
            assert server_name([bytes(broken)]) is None


# ---- packets of our own making, sealed by aioquic

HELLO_BODY = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"


def hello(name: bytes, before: int = 0) -> bytes:
    """A ClientHello whose server_name comes after `before` octets of another extension."""
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    listed = len(entry).to_bytes(2, "big") + entry
    extensions = b"\x5a\x5a" + before.to_bytes(2, "big") + bytes(before)
    extensions += b"\0\0" + len(listed).to_bytes(2, "big") + listed
    body = HELLO_BODY + len(extensions).to_bytes(2, "big") + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def varint(n: int) -> bytes:
    return (n | 0x4000).to_bytes(2, "big")


def crypto(offset: int, octets: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(octets)) + octets


def sealed(
    frames: bytes, *, version: int = V1, to: bytes = ID, keys_of: bytes = ID, number: int = 0
) -> bytes:
    """A client's Initial of about 1200 octets with these frames."""
    pair = CryptoPair()
    pair.setup_initial(cid=keys_of, is_client=True, version=version)
    frames += bytes(max(0, 1140 - len(frames)))
    first = 0xC3 if version == V1 else 0xD3
    head = bytes([first]) + version.to_bytes(4, "big") + bytes([len(to)]) + to + b"\0\0"
    head += varint(4 + len(frames) + 16) + number.to_bytes(4, "big")
    return bytes(pair.encrypt_packet(head, frames, number))


@pytest.mark.parametrize("version", [V1, V2])
def test_versions(version: int) -> None:
    assert server_name([sealed(crypto(0, hello(b"Www.Example.NET")), version=version)]) == (
        "www.example.net"
    )


@given(
    cuts=st.sets(st.integers(1, 2600), max_size=12),
    shuffle=st.randoms(use_true_random=False),
    per_datagram=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_frames_in_any_order_over_several_datagrams(
    cuts: set[int], shuffle: random.Random, per_datagram: int
) -> None:
    """As Chrome does: the hello in pieces, shuffled, with PING and PADDING between them."""
    whole = hello(b"shuffled.example", before=2500)
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    frames = [crypto(a, whole[a:b]) for a, b in pairwise(edges)]
    shuffle.shuffle(frames)
    datagrams = [
        sealed(b"\x01\0\0".join(frames[i : i + per_datagram]), number=i)
        for i in range(0, len(frames), per_datagram)
    ]
    assert server_name(datagrams) == "shuffled.example"
    if len(datagrams) > 1:
        missing = [d for d in datagrams if d != datagrams[0]]
        assert server_name(missing) in (None, "shuffled.example")


def test_later_initials_keep_the_first_keys_and_a_retry_gives_new_ones() -> None:
    whole = hello(b"two.example", before=1500)
    first, rest = crypto(0, whole[:1000]), crypto(1000, whole[1000:])
    assert server_name([sealed(first), sealed(rest, to=SERVER_ID, number=1)]) == "two.example"
    retried = [sealed(f, to=SERVER_ID, keys_of=SERVER_ID) for f in (first, rest)]
    assert server_name([sealed(crypto(0, b"")), *retried]) == "two.example"


def test_acknowledgements_before_the_hello() -> None:
    ack = b"\x02\x05\x00\x01\x00\x00\x00" + b"\x03\x05\x00\x00\x00\x01\x02\x03"
    assert server_name([sealed(ack + crypto(0, hello(b"ack.example")))]) == "ack.example"


@pytest.mark.parametrize(
    "octets",
    [
        crypto(0, b"\x02" + hello(b"x.example")[1:]),  # not a ClientHello
        crypto(5, hello(b"x.example")),  # the start is missing
        crypto(0, hello(b"")),
        crypto(0, hello(b"x.example")[:-3]),
        b"\x1c" + bytes(20),  # CONNECTION_CLOSE
        b"\x06\xff\xff\xff\xff\xff\xff\xff\xff\x01a",  # an offset of 2^62
        b"\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00",  # 2^62 ranges
    ],
)
def test_what_gives_no_name(octets: bytes) -> None:
    assert server_name([sealed(octets)]) is None


def test_hostile_names_stay_text() -> None:
    assert server_name([sealed(crypto(0, hello(b"\x1b[2J\xff\r\n")))]) == "\x1b[2j\\xff\r\n"


@given(st.lists(st.binary(max_size=1400), max_size=20))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_garbage_never_raises(datagrams: list[bytes]) -> None:
    assert server_name(datagrams) is None


def test_truncation_never_raises() -> None:
    assert [server_name([A2[:n]]) for n in range(len(A2))] == [None] * len(A2)
