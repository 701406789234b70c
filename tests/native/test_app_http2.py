"""HTTP/2 and gRPC as h2 and hpack send them, and the octets of RFC 7541 and RFC 9113."""

import random
import struct

import h2.config
import h2.connection
import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame, DataFrame, Frame, HeadersFrame, PingFrame, PriorityFrame, SettingsFrame,
    WindowUpdateFrame,
)  # fmt: skip
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor._native import doors_web

HTTP2, GRPC = 3, 4
CLIENT, SERVER = True, False
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
START = PREFACE + SettingsFrame(0).serialize()


def counts(stream: doors_web.WebStream) -> tuple[int, int, int, int]:
    """Requests, gRPC calls, parse errors, times that sync was lost."""
    f = stream.figures()
    return (
        f.get("C_HTTP2_REQUESTS", 0),
        f.get("C_GRPC_CALLS", 0),
        f.get("C_HTTP_PARSE_ERRORS", 0),
        f.get("C_APP_LOST_SYNC", 0),
    )


def read(*segments: bytes | int) -> doors_web.WebStream:
    """What one client sends; a number is a gap."""
    s = doors_web.WebStream(HTTP2)
    for what in segments:
        if isinstance(what, bytes):
            s.data(CLIENT, what)
        else:
            s.gap(CLIENT, what)
    return s


def fields(kind: str = "", host: str = "h.test:50051") -> list[tuple[str, str]]:
    return [
        (":method", "POST"), (":scheme", "http"), (":path", "/p"), (":authority", host),
        *([("content-type", kind)] if kind else []),
    ]  # fmt: skip


def headers(stream: int, block: bytes, *flags: str, **extra: int) -> bytes:
    frame: Frame = HeadersFrame(stream, block, **extra)
    frame.flags |= set(flags or ("END_HEADERS",))
    return frame.serialize()


def test_state_is_small() -> None:
    assert doors_web.sizes()["http2"] <= 256


KINDS = st.sampled_from(
    ["", "application/grpc", "application/grpc+proto", "application/grpc-web", "application/json",
     "text/plain; charset=utf-8"]
)  # fmt: skip
REQUESTS = st.lists(
    st.tuples(
        KINDS,
        st.binary(max_size=40),
        st.lists(st.tuples(st.sampled_from(["x-a", "x-b"]), st.text("aZ~\x7fé", max_size=60))),
        st.sampled_from([None, 0, 64, 200, 4096]),
    ),
    min_size=1,
    max_size=12,
)


def is_call(kind: str) -> bool:
    return kind.startswith("application/grpc") and not kind.startswith("application/grpc-")


@settings(max_examples=100, deadline=None)
@given(REQUESTS, st.booleans(), st.randoms(use_true_random=False))
def test_what_hpack_encodes_is_read_however_it_is_framed_and_cut(
    requests: list, huffman: bool, rnd: random.Random
) -> None:
    encoder = hpack.Encoder()
    sent = START
    for at, (kind, body, more, resize) in enumerate(requests):
        if resize is not None:
            encoder.header_table_size = resize
        block = encoder.encode(fields(kind) + more, huffman=huffman)
        stream = 2 * at + 1
        padding = rnd.choice([0, 0, 1, 200])
        flags = [*(["PADDED"] if padding else []), *rnd.choice([[], ["PRIORITY"]])]
        cut = rnd.randrange(len(block) + 1)
        extra = {"pad_length": padding, "depends_on": 0, "stream_weight": 3}
        if rnd.random() < 0.5:
            sent += headers(stream, block, "END_HEADERS", *flags, **extra)
        else:
            frame: Frame = HeadersFrame(stream, block[:cut], **extra)
            frame.flags |= set(flags)
            sent += frame.serialize()
            frame = ContinuationFrame(stream, block[cut:])
            frame.flags.add("END_HEADERS")
            sent += frame.serialize()
        sent += DataFrame(stream, body).serialize() + PingFrame(0, b"12345678").serialize()
        sent += rnd.choice([PriorityFrame(stream), WindowUpdateFrame(0, 9)]).serialize()
    s = doors_web.WebStream(HTTP2)
    s.data(SERVER, SettingsFrame(0).serialize())
    while sent:
        k = rnd.choice([1, 3, 9, 60, len(sent)])
        s.data(CLIENT, sent[:k])
        sent = sent[k:]
    calls = [is_call(kind) for kind, *_ in requests]
    assert counts(s) == (len(requests), sum(calls), 0, 0)
    assert s.label() == (GRPC if all(calls) else HTTP2)
    assert set(s.names) == {b"h.test"}


def test_h2_client_with_trailers() -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    for stream in (1, 3):
        client.send_headers(stream, fields("application/grpc"))
        client.send_data(stream, b"\0" * 5)
        client.send_headers(stream, [("x-trailer", "1")], end_stream=True)
    assert counts(read(client.data_to_send())) == (2, 2, 0, 0)


def test_every_request_after_the_first_is_seven_indexed_octets() -> None:
    encoder = hpack.Encoder()
    ask = [*fields("application/grpc"), ("te", "trailers"), ("user-agent", "grpc/1")]
    first, again = encoder.encode(ask), encoder.encode(ask)
    assert bytes.fromhex("5f8b1d75d0620d263d4c4d6564") in first
    assert len(again) == 7
    s = read(START, headers(1, first), *(headers(n, again) for n in range(3, 9, 2)))
    assert counts(s) == (4, 4, 0, 0)


def test_an_entry_too_large_for_the_table_empties_it() -> None:
    # RFC 7541 section 4.4. The table holds 64; content-type + application/grpc takes 12 + 16 + 32.
    first = b"\x3f\x21" + b"\x5f\x10application/grpc"
    large = b"\x5f\x15application/grpc+four" + b"\x41\x01h"
    s = read(START, headers(1, first), headers(3, b"\xbe"), headers(5, large), headers(7, b"\xbe"))
    assert (counts(s), s.names) == ((4, 3, 0, 0), [b"h"])


def test_examples_of_rfc_7541_appendix_c() -> None:
    c4 = bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")
    s = read(START, headers(1, c4), headers(3, bytes.fromhex("828684be5886a8eb10649cbf")))
    assert (counts(s), s.names) == ((2, 0, 0, 0), [b"www.example.com"])
    literal = bytes.fromhex("400a637573746f6d2d6b65790d637573746f6d2d686561646572")
    never = bytes.fromhex("100870617373776f726406736563726574")
    plain = bytes.fromhex("040c2f73616d706c652f70617468")
    assert counts(read(START, headers(1, literal + never + plain)))[2] == 0


@pytest.mark.parametrize(
    "block",
    ["80", "be", "ffffffffffff7f", "418001", "4181ff", "4184ffffffff", "5f0b61", "3fffffffffff7f"],
    ids=["index 0", "no such entry", "huge index", "no length", "padding", "EOS", "short", "resize"],
)
def test_broken_header_blocks_are_requests_still_but_no_calls(block: str) -> None:
    f = counts(read(START, headers(1, bytes.fromhex(block)), headers(3, b"\x82")))
    assert f[:2] == (2, 0)
    assert f[3] == 0


def test_broken_framing_stops_and_a_whole_segment_of_frames_takes_up_again() -> None:
    zero = struct.pack(">HBBBL", 0, 1, 1, 4, 0)
    between = headers(1, b"\x82", "END_STREAM") + DataFrame(1, b"x").serialize()
    short = struct.pack(">HBBBL", 0, 3, 1, 0x28, 1) + b"abc"
    even = headers(2, b"\x82")
    for bad in (zero, between, short, even):
        s = read(START, bad, b"rubbish" * 9, headers(5, b"\x82") + DataFrame(5, b"x").serialize())
        assert counts(s) == (1, 0, 1, 0)
    assert counts(read(b"PRI * HTTP/2.0\r\n\r\nXX"))[2] == 1


def test_gaps() -> None:
    encoder = hpack.Encoder()
    call = encoder.encode(fields("application/grpc"))
    again = encoder.encode(fields("application/grpc"))
    opened = headers(1, call) + headers(3, again)
    data = DataFrame(3, b"z" * 5000).serialize()
    s = read(START + opened + data[:100], 4900, data[-9:] + headers(5, again))
    assert counts(s) == (3, 3, 0, 0)
    # Inside a header block: framing goes on, and what was all calls stays so.
    s = read(START + opened + headers(5, again)[:10], len(again) - 1, headers(7, again))
    assert counts(s) == (4, 4, 0, 0)
    # Past the end of a frame: lost until a segment of whole frames.
    s = read(START + opened + data[:100], 9000, b"zzzz", headers(9, again))
    assert counts(s) == (3, 3, 0, 1)
    assert s.label() == GRPC


@pytest.mark.parametrize(
    ("octets", "verdict"),
    [(b"P", 1), (PREFACE[:23], 1), (PREFACE, 2), (START, 2), (b"POST", 0), (PREFACE[:-1] + b"x", 0),
     (SettingsFrame(0).serialize(), 1), (PingFrame(0, b"12345678").serialize(), 0)],
)  # fmt: skip
def test_probe(octets: bytes, verdict: int) -> None:
    assert doors_web.probe("http2", octets) == verdict
