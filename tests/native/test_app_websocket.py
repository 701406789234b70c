"""WebSocket frames as wsproto sends them, and hand-worked octets."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate

from sensor._native import doors_web

WEBSOCKET = 5
CLIENT, SERVER = True, False


def counts(stream: doors_web.WebStream) -> tuple[int, int, int]:
    """Frames, parse errors, times that sync was lost."""
    f = stream.figures()
    return f.get("C_WS_FRAMES", 0), f.get("C_HTTP_PARSE_ERRORS", 0), f.get("C_APP_LOST_SYNC", 0)


def test_state_is_small() -> None:
    assert doors_web.sizes()["websocket"] <= 64


MESSAGES = st.lists(
    st.tuples(
        st.booleans(),
        st.one_of(
            st.builds(BytesMessage, st.sampled_from([b"", b"x" * 125, b"x" * 126, b"y" * 70_000])),
            st.builds(BytesMessage, st.binary(max_size=20), message_finished=st.just(True)),
            st.builds(TextMessage, st.text(max_size=5)),
            st.builds(Ping, st.binary(max_size=125)),
        ),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(MESSAGES, st.booleans(), st.randoms(use_true_random=False))
def test_what_wsproto_sends_is_counted_however_it_is_cut(
    messages: list[tuple[bool, Message]], deflate: bool, rnd: random.Random
) -> None:
    def extensions() -> list[PerMessageDeflate]:
        extension = PerMessageDeflate()
        extension._enabled = deflate
        return [extension] if deflate else []

    ends = {
        CLIENT: Connection(ConnectionType.CLIENT, extensions()),
        SERVER: Connection(ConnectionType.SERVER, extensions()),
    }
    s = doors_web.WebStream(WEBSOCKET)
    sent = [(side, ends[side].send(message)) for side, message in messages]
    sent += [(side, ends[side].send(CloseConnection(code=1000))) for side in (CLIENT, SERVER)]
    for side, octets in sent:
        while octets:
            k = rnd.choice([1, 2, 5, len(octets), len(octets)])
            s.data(side, octets[:k])
            octets = octets[k:]
    assert counts(s) == (len(messages) + 2, 0, 0)


FRAMES = bytes.fromhex("8105") + b"hello" + bytes.fromhex("027e0100") + b"a" * 256 + b"\x89\x00"


def test_every_single_cut() -> None:
    for cut in range(len(FRAMES) + 1):
        s = doors_web.WebStream(WEBSOCKET)
        s.data(SERVER, FRAMES[:cut])
        s.data(SERVER, FRAMES[cut:])
        assert counts(s) == (3, 0, 0), cut


def test_a_64_bit_length_is_skipped_by_count() -> None:
    s = doors_web.WebStream(WEBSOCKET)
    s.data(CLIENT, bytes.fromhex("82ff000000ff00000000") + b"mask")
    s.gap(CLIENT, 0xFF00000000)
    s.data(CLIENT, b"\x88\x80mask")
    assert counts(s) == (2, 0, 0)


@pytest.mark.parametrize(
    "bad",
    ["82ff8000000000000000", "8300", "8b00", "0900", "897e007e", "88fe"],
    ids=["2^63", "data opcode 3", "control opcode 11", "split ping", "ping of 126", "close of 126"],
)
def test_errors_stop_the_count(bad: str) -> None:
    s = doors_web.WebStream(WEBSOCKET)
    s.data(SERVER, FRAMES)
    s.data(SERVER, bytes.fromhex(bad) + b"\x81" * 500)
    s.data(SERVER, b"\xff\xff not frames \xff")
    assert counts(s) == (3, 1, 0)


def test_lost_sync_ends_at_a_segment_of_whole_frames_with_the_same_masking() -> None:
    s = doors_web.WebStream(WEBSOCKET)
    s.data(SERVER, b"\x81\x05hel")
    s.gap(SERVER, 3)  # one octet more than the frame
    s.data(SERVER, FRAMES[:-1])
    s.data(SERVER, b"\x81\x85maskhello")
    assert counts(s) == (1, 0, 1)
    s.data(SERVER, FRAMES)
    s.data(SERVER, FRAMES[:9])
    assert counts(s) == (5, 0, 1)
