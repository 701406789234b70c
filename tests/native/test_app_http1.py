"""HTTP/1 against h11 as the sender, and against hand-worked streams."""

import random

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor._native import doors_web

CLIENT, SERVER = True, False
HTTP, TLS, HTTP2, WEBSOCKET = 1, 2, 3, 5


def read(*events: tuple[bool, bytes | int]) -> doors_web.WebStream:
    """Event k happens at k milliseconds; a number is a gap of as many octets."""
    stream = doors_web.WebStream()
    for at, (from_orig, what) in enumerate(events):
        feed(stream, from_orig, what, at * 1_000_000 + 1)
    return stream


def feed(stream: doors_web.WebStream, from_orig: bool, what: bytes | int, ts_ns: int) -> None:
    if isinstance(what, bytes):
        stream.data(from_orig, what, ts_ns)
    else:
        stream.gap(from_orig, what, ts_ns)


def counts(stream: doors_web.WebStream) -> tuple[int, int, int, int]:
    """Requests, responses, parse errors, times that sync was lost."""
    f = stream.figures()
    return (
        f.get("C_HTTP_REQUESTS", 0),
        f.get("C_HTTP_RESPONSES", 0),
        f.get("C_HTTP_PARSE_ERRORS", 0),
        f.get("C_APP_LOST_SYNC", 0),
    )


GET = b"GET /a HTTP/1.1\r\nHost: Example.ORG:8080\r\n\r\n"
OK3 = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


def test_state_is_small() -> None:
    assert doors_web.sizes()["http1"] <= 384


def test_one_exchange() -> None:
    s = read((CLIENT, GET[:20]), (CLIENT, GET[20:]), (SERVER, OK3[:5]), (SERVER, OK3[5:]))
    assert counts(s) == (1, 1, 0, 0)
    assert s.statuses() == {200: 1}
    assert s.names == [b"example.org"]
    # The request's last octet at 1 ms, the response's first one at 2 ms.
    assert s.response_times() == (1, 1_000_000)


def test_the_client_is_known_by_content_not_by_who_opened() -> None:
    s = read((SERVER, GET), (CLIENT, OK3))
    assert counts(s) == (1, 1, 0, 0)
    assert s.response_times() == (1, 1_000_000)


METHODS = [b"GET", b"HEAD", b"POST", b"PUT"]
BODIES = st.binary(max_size=60)
EXCHANGES = st.lists(
    st.tuples(
        st.sampled_from(METHODS),
        BODIES,
        st.booleans(),
        st.sampled_from([200, 204, 304, 404, 503]),
        BODIES,
        st.booleans(),
        st.sampled_from([[], [100], [103, 103]]),
    ),
    min_size=1,
    max_size=6,
)


def framing(body: bytes, chunked: bool) -> list[tuple[str, str]]:
    return [("Transfer-Encoding", "chunked") if chunked else ("Content-Length", f"{len(body)}")]


def by_h11(exchanges: list) -> tuple[list[tuple[bytes, bytes]], dict[int, int]]:
    """The octets that h11 sends for each exchange, and how often each status code is in them."""
    pairs = []
    codes: dict[int, int] = {}
    for method, question, q_chunked, code, answer, a_chunked, interim in exchanges:
        client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
        has_body = method in (b"POST", b"PUT")
        headers = [("Host", "h.test"), *(framing(question, q_chunked) if has_body else [])]
        asked = client.send(h11.Request(method=method, target="/x", headers=headers))
        if has_body:
            asked += client.send(h11.Data(question))
        asked += client.send(h11.EndOfMessage())
        server.receive_data(asked)
        while server.their_state is not h11.DONE:
            server.next_event()
        no_content = method == b"HEAD" or code in (204, 304)
        told = b"".join(
            server.send(h11.InformationalResponse(status_code=early, headers=[]))
            for early in interim
        )
        told += server.send(
            h11.Response(
                status_code=code, headers=framing(answer, a_chunked) if code != 204 else []
            )
        )
        if not no_content:
            told += server.send(h11.Data(answer))
        told += server.send(h11.EndOfMessage())
        for seen in (*interim, code):
            codes[seen] = codes.get(seen, 0) + 1
        pairs.append((asked, told))
    return pairs, codes


@settings(max_examples=60, deadline=None)
@given(EXCHANGES, st.booleans(), st.randoms(use_true_random=False))
def test_what_h11_sends_is_counted_however_it_is_cut(
    exchanges: list, pipelined: bool, rnd: random.Random
) -> None:
    pairs, codes = by_h11(exchanges)
    if pipelined:
        pairs_sent = [(b"".join(a for a, _ in pairs), b"".join(b for _, b in pairs))]
    else:
        pairs_sent = pairs
    messages = [m for a, b in pairs_sent for m in ((CLIENT, a), (SERVER, b))]
    s = doors_web.WebStream()
    for at, (side, octets) in enumerate(messages):
        while octets:
            k = rnd.choice([1, 2, 7, 40, len(octets)])
            s.data(side, octets[:k], at * 1000 + 1)
            octets = octets[k:]
    assert counts(s) == (len(pairs), sum(codes.values()), 0, 0)
    assert s.statuses() == codes
    assert s.response_times() == (len(pairs), 1000 * len(pairs))


def test_every_single_cut_gives_the_same_figures() -> None:
    asked = (
        b"POST /" + b"u" * 200 + b" HTTP/1.1\n"
        b"host:\t[2001:db8::1]:80 \nX-Long: " + b"y" * 300 + b"\n folded: 9\n"
        b"transfer-ENCODING: gzip, " + b"br, " * 30 + b"Chunked\n\n"
        b'5;ext="a"\r\nhello\r\n00A \r\n0123456789\r\n0\r\nTrailer: v\r\n\r\n' + GET
    )
    told = b"HTTP/1.1 100 Continue\r\n\r\n" + OK3 + b"HTTP/1.0 500 Oops\r\n\r\nuntil the end" + OK3
    for cut in range(1, len(asked)):
        s = read((CLIENT, asked[:cut]), (CLIENT, asked[cut:]))
        assert counts(s) == (2, 0, 0, 0), cut
        assert s.names[-1] == b"example.org", cut
    assert read((CLIENT, asked[: -len(GET)])).names == [b"[2001:db8::1]"]
    for cut in range(1, len(told)):
        s = read((SERVER, told[:cut]), (SERVER, told[cut:]))
        assert (counts(s), s.statuses()) == ((0, 3, 0, 0), {100: 1, 200: 1, 500: 1}), cut


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (b"HEAD / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 102 Wait\r\nContent-Length: 9\r\n\r\n" + OK3),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 200\r\n" + 2 * b"Content-Length: 4\r\n" + b"\r\nHTTP",
        ),
    ],
)
def test_answers_without_the_content_they_announce(asked: bytes, told: bytes) -> None:
    s = read((CLIENT, asked), (SERVER, told), (CLIENT, GET), (SERVER, OK3))
    requests, responses, errors, lost = counts(s)
    assert (requests, errors, lost) == (2, 0, 0)
    assert responses == told.count(b"HTTP/1.1 ") + 1
    assert s.response_times()[0] == 2


def test_an_early_answer_is_no_sample_and_sixteen_are_in_flight() -> None:
    put = b"PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\n"
    s = read((CLIENT, put + b"01234"), (SERVER, OK3), (CLIENT, b"56789" + GET), (SERVER, OK3))
    assert (counts(s), s.response_times()) == ((2, 2, 0, 0), (1, 1_000_000))
    s = read((CLIENT, GET * 20), (SERVER, OK3 * 20), (CLIENT, GET), (SERVER, OK3))
    assert (counts(s), s.response_times()) == ((21, 21, 0, 0), (17, 17_000_000))


def test_gaps_inside_content_are_exact() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n"
    s = read((CLIENT, GET), (SERVER, long), (SERVER, 4_999_999_999), (SERVER, b"z" + OK3))
    assert counts(s) == (1, 2, 0, 0)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n"
    s = read((SERVER, chunked), (SERVER, 0x102), (SERVER, b"0\r\n\r\n" + OK3))
    assert counts(s) == (0, 2, 0, 0)
    chunked += b"a" * 9
    s = read((SERVER, chunked), (SERVER, 0x102 - 8), (SERVER, b"HTTP is what"), (SERVER, OK3))
    assert counts(s) == (0, 2, 0, 1)


def test_a_cut_header_section_is_still_a_message() -> None:
    # What a snaplen leaves of a request and of its response, twice.
    cut = ((CLIENT, GET[:30]), (CLIENT, 13), (SERVER, OK3[:25]), (SERVER, 17))
    s = read(*cut, *cut)
    assert counts(s) == (2, 2, 0, 4)
    assert s.response_times() == (2, 2_000_000)
    s = read((CLIENT, b"GET /long/path"), (CLIENT, 500), (CLIENT, b"rest of it"), (CLIENT, GET))
    assert counts(s) == (2, 0, 0, 1)


def test_after_lost_messages_no_wrong_latency() -> None:
    s = read((CLIENT, GET), (SERVER, 40), (CLIENT, GET), (SERVER, OK3))
    assert (counts(s), s.response_times()) == ((2, 1, 0, 1), (1, 1_000_000))


def test_a_response_after_missed_ones_answers_the_newest_request() -> None:
    head = GET.replace(b"GET", b"HEAD")
    s = read(
        (CLIENT, GET), (SERVER, OK3[:25]), (SERVER, 17), (CLIENT, GET), (SERVER, b"no start-line"),
        (CLIENT, head), (SERVER, OK3[:-3]), (CLIENT, GET), (SERVER, OK3),
    )  # fmt: skip
    assert counts(s) == (4, 3, 0, 1)
    assert s.response_times() == (3, 3_000_000)


@pytest.mark.parametrize(
    "bad",
    [
        b"GET / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"GET / HTTP/1.1\r\n\r\nOPTIONS sip:a SIP/2.0\r\n",
        b"GET / HTTP/1.1\r\n\r\n\x16\x03\x01\n",
    ],
)
def test_a_stream_that_stops_being_http(bad: bytes) -> None:
    s = read((CLIENT, bad), (CLIENT, b"more of that"), (CLIENT, GET))
    assert counts(s) == (2, 0, 1, 0)


def test_the_middle_of_a_message_is_no_parse_error() -> None:
    s = read((CLIENT, b"X-a: b\r\n"), (SERVER, b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert counts(s) == (0, 1, 0, 1)
    s = read((SERVER, b"no line end"), (SERVER, OK3))
    assert counts(s) == (0, 1, 0, 1)


UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"


def test_upgrades_change_the_protocol_at_the_exact_octet() -> None:
    hello, bye = b"\x81\x02hi", b"\x88\x80mask"
    s = read((CLIENT, GET), (SERVER, UPGRADE % b"WebSocket" + hello), (CLIENT, bye))
    assert s.proto == WEBSOCKET
    assert s.figures() == {
        "C_HTTP_REQUESTS": 1, "C_HTTP_RESPONSES": 1, "C_WS_CONNECTIONS": 1, "C_WS_FRAMES": 2,
    }  # fmt: skip
    s = read((CLIENT, GET), (SERVER, UPGRADE % b"h2c"))
    assert s.proto == HTTP2
    s = read((CLIENT, GET), (SERVER, UPGRADE % b"TLS/1.0"), (CLIENT, GET), (SERVER, OK3))
    assert (s.proto, counts(s)) == (HTTP, (1, 1, 0, 0))


def test_connect() -> None:
    ask = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
    done = b"HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n"
    s = read((CLIENT, ask), (SERVER, done), (CLIENT, b"\x16\x03\x01"))
    assert (s.proto, counts(s), s.names) == (TLS, (1, 1, 0, 0), [])  # the proxy is not example.org
    s = read((CLIENT, ask), (SERVER, done), (CLIENT, GET), (SERVER, OK3))
    assert (s.proto, counts(s)) == (HTTP, (2, 2, 0, 0))
    s = read((CLIENT, ask), (SERVER, done), (CLIENT, b"SSH-2.0"), (SERVER, OK3), (CLIENT, GET))
    assert (s.proto, counts(s)) == (HTTP, (1, 1, 0, 0))
    s = read((CLIENT, ask), (SERVER, OK3.replace(b"200", b"403")), (CLIENT, ask), (SERVER, done))
    assert (s.proto, counts(s)) == (HTTP, (2, 2, 0, 0))
    s = read((CLIENT, b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n"))
    assert (counts(s), s.names) == ((1, 0, 0, 0), [])


@pytest.mark.parametrize(
    ("octets", "verdict"),
    [
        (b"G", 1), (b"GET ", 1), (b"GET /", 2), (b"H", 1), (b"HTTP/1", 1), (b"HTTP/1.", 2),
        (b"HEAD / HTTP/1.0\r\n", 2), (b"OPTIONS * HTTP/1.1\n", 2), (b"OPTIONS * RTSP/1.0\r\n", 0),
        (b"NOTIFY sip:x SIP/2.0\r\n", 0), (b"PRI * HTTP/2.0\r\n", 0), (b"GETS /", 0),
        (b"\x16\x03", 0), (b"CONNECT a:443 HTTP/1.1\r\n", 2), (b"GET http://a/ ", 2),
        (b"get / HTTP/1.1\r\n", 0),
        (b"VERSION-CONTROL /x", 2), (b"GET / HTTP/2.0\r\n", 0), (b"GET \n", 0),
    ],
)  # fmt: skip
def test_probe(octets: bytes, verdict: int) -> None:
    assert doors_web.probe("http1", octets) == verdict


# ---- what caches say: the examples of RFC 9211 sections 2.2 and 4, and vendors' manuals

HIT, MISS, BYPASS = "C_CACHE_HITS", "C_CACHE_MISSES", "C_CACHE_BYPASSES"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("Cache-Status: ExampleCache; hit", HIT),
        ("cache-status: ExampleCache; hit; ttl=376", HIT),
        ("Cache-Status: ExampleCache; hit; ttl=-412", HIT),
        ("Cache-Status: ExampleCache;hit;detail=MEMORY", HIT),
        ("Cache-Status: ExampleCache; fwd=uri-miss", MISS),
        ("Cache-Status: ExampleCache; fwd=uri-miss; stored", MISS),
        ("Cache-Status: ExampleCache; fwd=stale; fwd-status=304; collapsed", MISS),
        ("Cache-Status: ExampleCache; fwd=request", MISS),
        ("Cache-Status: ExampleCache; fwd=method", BYPASS),
        ("Cache-Status: ExampleCache; fwd=bypass", BYPASS),
        ("Cache-Status: BypassCache; fwd=bypass; key=a", BYPASS),
        ("Cache-Status: OriginCache; hit; ttl=1100, CDN; fwd=uri-miss", MISS),
        ("Cache-Status: OriginCache; fwd=uri-miss, CDN; hit; ttl=545", HIT),
        ("Cache-Status: OriginCache; fwd=uri-miss\r\nCache-Status: CDN; hit", HIT),
        ('Cache-Status: "a; hit, b"; fwd=miss; detail="x, y"', MISS),
        ('Cache-Status: c; detail="\\"; hit, "; fwd=miss', MISS),
        ("Cache-Status: hit", None),
        ("Cache-Status: ExampleCache; hits; collapsed", None),
        ("Cache-Status:", None),
        *(
            (f"CF-Cache-Status: {word}", HIT)
            for word in ("HIT", "STALE", "UPDATING", "REVALIDATED")
        ),
        *((f"CF-Cache-Status: {word}", MISS) for word in ("MISS", "EXPIRED")),
        *((f"CF-Cache-Status: {word}", BYPASS) for word in ("BYPASS", "DYNAMIC")),
        ("CF-Cache-Status: NONE/UNKNOWN", None),
        ("X-Cache: Hit from cloudfront", HIT),
        ("X-Cache: RefreshHit from cloudfront", HIT),
        ("X-Cache: Miss from cloudfront", MISS),
        ("X-Cache: Error from cloudfront", None),
        ("X-Cache: MISS, HIT", HIT),
        ("X-Cache: HIT, MISS", MISS),
        ("X-Cache: TCP_MEM_HIT from proxy.example", HIT),
        ("X-Cache-Status: EXPIRED", MISS),
        ("X-Cache-Status: -", None),
        ("X-Cache: PASS", BYPASS),
        ("X-Cache: HIT\r\nCache-Status: c; fwd=uri-miss", MISS),
        ("Cache-Status: c; fwd=uri-miss\r\nX-Cache: HIT", MISS),
        ("X-Cache: HIT\r\nX-Cache-Status: MISS", HIT),
        ("X-Cached: HIT", None),
        ("Age: 30", None),
    ],
)
def test_what_a_cache_says_of_its_answer(fields: str, told: str | None) -> None:
    answer = f"HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 0\r\n\r\n".encode()
    twice = (
        (CLIENT, GET),
        (SERVER, answer),
        (CLIENT, GET),
        (SERVER, answer[:30]),
        (SERVER, answer[30:]),
    )
    found = read(*twice).figures()
    assert {name: found[name] for name in (HIT, MISS, BYPASS) if found.get(name)} == (
        {told: 2} if told else {}
    )


def test_a_request_says_nothing_of_a_cache_and_one_answer_nothing_of_the_next() -> None:
    asked = GET.replace(b"\r\n\r\n", b"\r\nCache-Status: c; hit\r\n\r\n")
    hit = b"HTTP/1.1 200 OK\r\nCache-Status: c; hit\r\nContent-Length: 0\r\n\r\n"
    found = read((CLIENT, asked), (SERVER, hit), (CLIENT, asked), (SERVER, OK3)).figures()
    assert [found.get(name, 0) for name in (HIT, MISS, BYPASS)] == [1, 0, 0]
