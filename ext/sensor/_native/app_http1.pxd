# HTTP/1 on a TCP connection (RFC 9112): who asked, what was answered, how long it took.
#
# Both sides of one state machine share a struct, so they stay in one file; what a line says is read
# in http1_syntax.pxd.
#
# Invariants: nothing of a message is stored but a start-line or field line that is split over
# segments (of a long one, its beginning and its last H1_TAIL octets, which hold the version of a
# request line and the last transfer coding); bodies are skipped by count; every pass of the loop
# consumes an octet. Roles come from content: whoever sends a request line is the client, on any
# port and whoever opened the connection.
#
# A message counts at the end of its header section, or when missing octets cut that section after a
# start-line was recognised. Lost sync waits for a segment that begins with a start-line.
# At most H1_ASKED requests in flight are timed; the ones beyond are counted without a sample.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from sensor._native.app cimport (
    APP_HTTP2, APP_MAYBE, APP_NO, APP_TLS, APP_WEBSOCKET, APP_YES, AppVerdict,
)
from sensor._native.counters cimport (
    C_APP_LOST_SYNC, C_CACHE_HITS, C_HTTP_401, C_HTTP_4XX, C_HTTP_5XX, C_HTTP_PARSE_ERRORS,
    C_HTTP_POSTS, C_HTTP_REQUESTS, C_HTTP_RESPONSES, C_WS_CONNECTIONS, Counter,
)
from sensor._native.http1_syntax cimport (
    H1_CACHE_HIT, H1_CACHE_UNSAID, H1_CONNECT, H1_FIELD_CACHE_STATUS, H1_FIELD_CACHE_VENDOR,
    H1_FIELD_CODING, H1_FIELD_HOST, H1_FIELD_LENGTH, H1_FIELD_OTHER, H1_HEAD, H1_NONE,
    H1_PART, H1_POST, http1_cache_status, http1_cache_vendor, http1_chunk_size, http1_decimal,
    http1_field_name, http1_host_len, http1_is, http1_start_line, sensor_h1_method,
)
from sensor._native.sink cimport (
    AppSink, L_HTTP_RESPONSE, NAME_HOST, sink_count, sink_latency, sink_name, sink_status,
    sink_target,
)

cdef enum:
    H1_LINE = 94                 # octets kept of a line that is split over segments
    H1_TAIL = 16                 # of these, when it is longer: its last ones
    H1_ASKED = 16                # requests in flight that are timed; a power of two

cdef enum:                       # Http1Side.state
    H1_START = 0                 # before or inside a start-line
    H1_FIELDS                    # header section
    H1_BODY                      # `left` octets of content
    H1_CHUNK_SIZE
    H1_CHUNK_DATA                # `left` octets of a chunk and its CRLF
    H1_TRAILERS
    H1_UNTIL_CLOSE               # content that only the end of the connection ends
    H1_TUNNEL                    # after CONNECT, or an upgrade to something unknown
    H1_LOST                      # waits for a segment that begins with a start-line

cdef enum:                       # Http1Side.flags, of the message being read
    H1_CHUNKED = 1
    H1_CODED = 2                 # a transfer coding that does not end in chunked
    H1_BAD_LENGTH = 4
    H1_HAS_LENGTH = 8
    H1_TO_WEBSOCKET = 16         # Upgrade names it
    H1_TO_H2C = 32
    H1_PROXIED = 64              # the target names another host than the one that is asked

cdef enum:                       # what an answer must know of its request: 2 bits of Http1.kinds
    H1_KIND_PLAIN = 0
    H1_KIND_HEAD = 1
    H1_KIND_CONNECT = 2

cdef struct Http1Side:
    uint64_t left                # H1_FIELDS: Content-Length; else octets still to skip
    uint16_t code                # status of the response being read, 0: a request
    uint8_t state
    uint8_t flags
    uint8_t kind
    uint8_t kept                 # octets in line[]
    uint8_t cut                  # the line was longer than line[]: its middle is missing
    uint8_t looked               # H1_TUNNEL: its first octets were looked at
    uint8_t begun                # a start-line was seen: other text before it is a middle
    uint8_t cache                # H1_CACHE_* of the response being read
    uint8_t line[H1_LINE]

cdef struct Http1:
    Http1Side side[2]            # by from_orig
    uint64_t asked_ns[H1_ASKED]  # last octet of request k, at k % H1_ASKED; 0: not sent whole yet
    uint64_t first_ns            # first octet of the response being read
    uint32_t kinds               # request k: 2 bits at k % H1_ASKED
    uint32_t asked               # requests so far
    uint32_t answered
    uint8_t client               # 1 + from_orig of the client, 0: not known
    uint8_t next_proto           # AppProto that both directions speak from here on, 0: none


cdef inline AppVerdict http1_probe(const uint8_t* p, uint32_t n, bint from_orig) noexcept nogil:
    # A line that is complete must end in HTTP/1.x: OPTIONS, NOTIFY and others are SIP and RTSP too.
    cdef uint32_t at = 0
    cdef uint32_t length
    cdef const uint8_t* end
    cdef int method
    if n == 0:
        return APP_MAYBE
    if memcmp(p, b"HTTP/1.", 7 if n > 7 else n) == 0:
        if n >= 7:
            return APP_YES
        return APP_MAYBE
    method = sensor_h1_method(p, n, &at)
    if method == H1_NONE:
        return APP_NO
    if method == H1_PART or n == at:
        return APP_MAYBE
    end = <const uint8_t*> memchr(p, 10, n)
    if end != NULL:
        length = <uint32_t> (end - p)
        if length and p[length - 1] == 13:
            length -= 1
        return APP_YES if http1_start_line(p, length, True, &at) >= 0 else APP_NO
    if p[at] == 47:                                        # an origin-form target: "/"
        return APP_YES
    if n >= at + 4 and memcmp(p + at, b"http", 4) == 0:
        return APP_YES
    return APP_MAYBE if p[at] > 32 else APP_NO


cdef inline void http1_forget(Http1* s) noexcept nogil:
    # Which request a response answers is no longer certain.
    if s.asked != s.answered:
        s.answered = s.asked
        s.kinds = 0
        memset(s.asked_ns, 0, sizeof(s.asked_ns))


cdef inline void http1_keep_newest(Http1* s) noexcept nogil:
    # Responses were missed: only the newest request can still be waiting for one.
    cdef uint32_t waiting = s.asked - s.answered
    cdef uint32_t slot = (s.asked + H1_ASKED - 1) % H1_ASKED
    cdef uint64_t asked_ns = s.asked_ns[slot]
    cdef uint32_t kind = s.kinds & (<uint32_t> 3 << (2 * slot))
    if waiting <= 1:
        return
    http1_forget(s)
    s.answered = s.asked - 1
    if waiting <= H1_ASKED:
        s.asked_ns[slot] = asked_ns
        s.kinds = kind


cdef inline void http1_start_over(Http1Side* side, uint8_t state) noexcept nogil:
    side.left = 0
    side.code = 0
    side.state = state
    side.flags = 0
    side.kind = H1_KIND_PLAIN
    side.kept = 0
    side.cut = 0


cdef inline void http1_fail(Http1* s, AppSink* sink, Http1Side* side) noexcept nogil:
    if side.begun:
        sink_count(sink, C_HTTP_PARSE_ERRORS, 1)
    else:
        sink_count(sink, C_APP_LOST_SYNC, 1)
    http1_forget(s)
    http1_start_over(side, H1_LOST)


cdef inline void http1_message_end(Http1* s, AppSink* sink, Http1Side* side,
                                   bint from_orig) noexcept nogil:
    # A request that was answered before its end has no sample: its place is taken back already.
    if (side.code == 0 and s.client == 1 + from_orig
            and 0 < s.asked - s.answered <= H1_ASKED):
        s.asked_ns[(s.asked - 1) % H1_ASKED] = sink.ts_ns
    http1_start_over(side, H1_START)


cdef inline void http1_ask(Http1* s, Http1Side* side) noexcept nogil:
    cdef uint32_t slot = s.asked % H1_ASKED
    if s.asked - s.answered < H1_ASKED:
        s.asked_ns[slot] = 0
        s.kinds |= <uint32_t> side.kind << (2 * slot)
    s.asked += 1


cdef inline uint32_t http1_answer(Http1* s, AppSink* sink) noexcept nogil:
    # Takes the oldest request in flight; its kind.
    cdef uint32_t slot = s.answered % H1_ASKED
    cdef uint32_t kind = (s.kinds >> (2 * slot)) & 3
    if s.answered == s.asked:
        return H1_KIND_PLAIN
    if s.asked_ns[slot]:
        sink_latency(sink, L_HTTP_RESPONSE, s.asked_ns[slot], s.first_ns)
    s.asked_ns[slot] = 0
    s.kinds &= ~(<uint32_t> 3 << (2 * slot))
    s.answered += 1
    return kind


cdef inline uint32_t http1_count(Http1* s, AppSink* sink, Http1Side* side,
                                 bint from_orig) noexcept nogil:
    # One message whose header section is over. The kind of request that a final response answers.
    if side.code == 0:
        sink_count(sink, C_HTTP_REQUESTS, 1)
        if s.client == 0:
            s.client = 1 + from_orig
        if s.client == 1 + from_orig:
            http1_ask(s, side)
        return H1_KIND_PLAIN
    sink_count(sink, C_HTTP_RESPONSES, 1)
    sink_status(sink, side.code)
    if 400 <= side.code <= 499:
        sink_count(sink, C_HTTP_4XX, 1)
        if side.code == 401:
            sink_count(sink, C_HTTP_401, 1)
    elif 500 <= side.code <= 599:
        sink_count(sink, C_HTTP_5XX, 1)
    if side.cache != H1_CACHE_UNSAID:
        sink_count(sink, <Counter> (C_CACHE_HITS + side.cache - H1_CACHE_HIT), 1)
    if s.client == 0:
        s.client = 2 - from_orig
    if s.client == 1 + from_orig or (side.code < 200 and side.code != 101):
        return H1_KIND_PLAIN                               # an interim response answers nothing yet
    return http1_answer(s, sink)


cdef inline void http1_header_end(Http1* s, AppSink* sink, Http1Side* side,
                                  bint from_orig) noexcept nogil:
    # RFC 9112 section 6.3, in its order. A response's count comes first: it tells the request.
    cdef uint32_t kind = http1_count(s, sink, side, from_orig)
    cdef bint is_request = side.code == 0
    if side.code == 101:
        if side.flags & H1_TO_WEBSOCKET:
            sink_count(sink, C_WS_CONNECTIONS, 1)
            s.next_proto = APP_WEBSOCKET
        elif side.flags & H1_TO_H2C:
            s.next_proto = APP_HTTP2
        http1_start_over(&s.side[0], H1_TUNNEL)
        http1_start_over(&s.side[1], H1_TUNNEL)
        s.side[0].looked = 1
        s.side[1].looked = 1
    elif kind == H1_KIND_CONNECT and 200 <= side.code <= 299:
        http1_start_over(&s.side[0], H1_TUNNEL)
        http1_start_over(&s.side[1], H1_TUNNEL)
        s.side[0].looked = 0
        s.side[1].looked = 0
    elif not is_request and (side.code < 200 or side.code == 204 or side.code == 304
                             or kind == H1_KIND_HEAD):
        http1_start_over(side, H1_START)
    elif side.flags & H1_CHUNKED:
        side.state = H1_CHUNK_SIZE
    elif side.flags & H1_CODED and not is_request:
        side.state = H1_UNTIL_CLOSE
    elif side.flags & (H1_CODED | H1_BAD_LENGTH):
        http1_fail(s, sink, side)
    elif side.left:
        side.state = H1_BODY
    elif is_request or side.flags & H1_HAS_LENGTH:
        http1_message_end(s, sink, side, from_orig)
    else:
        side.state = H1_UNTIL_CLOSE


cdef inline void http1_field(Http1Side* side, AppSink* sink, const uint8_t* p, uint32_t n,
                             bint whole) noexcept nogil:
    # One field line. A host whose middle is missing is none. A length that is no number, or is said
    # twice with two values, cannot be trusted.
    cdef uint32_t at = 0
    cdef uint32_t name = http1_field_name(p, n, &at)
    cdef uint32_t told = H1_CACHE_UNSAID
    cdef uint64_t v = 0
    if name == H1_FIELD_OTHER:
        return
    while at < n and (p[at] == 32 or p[at] == 9):
        at += 1
    while n > at and (p[n - 1] == 32 or p[n - 1] == 9):
        n -= 1
    p += at
    n -= at
    if name == H1_FIELD_HOST:
        if whole and side.code == 0 and not side.flags & H1_PROXIED:
            sink_name(sink, NAME_HOST, p, http1_host_len(p, n))
    elif name == H1_FIELD_LENGTH:
        if not http1_decimal(p, n, &v) or (side.flags & H1_HAS_LENGTH and v != side.left):
            side.flags |= H1_BAD_LENGTH
        side.flags |= H1_HAS_LENGTH
        side.left = v
    elif name == H1_FIELD_CODING:
        if n >= 7 and http1_is(p + n - 7, b"chunked", 7):
            side.flags = (side.flags & ~H1_CODED) | H1_CHUNKED
        elif not (n == 8 and http1_is(p, b"identity", 8)):
            side.flags = (side.flags & ~H1_CHUNKED) | H1_CODED
    elif name == H1_FIELD_CACHE_STATUS or name == H1_FIELD_CACHE_VENDOR:
        # Of several caches' fields that of the standard counts, else the first that tells.
        if not whole or side.code == 0:
            return
        if name == H1_FIELD_CACHE_STATUS:
            told = http1_cache_status(p, n)
        elif side.cache == H1_CACHE_UNSAID:
            told = http1_cache_vendor(p, n)
        if told != H1_CACHE_UNSAID:
            side.cache = <uint8_t> told
    elif n >= 9 and http1_is(p, b"websocket", 9):
        side.flags |= H1_TO_WEBSOCKET
    elif n >= 3 and http1_is(p, b"h2c", 3):
        side.flags |= H1_TO_H2C


cdef inline bint http1_start(Http1Side* side, AppSink* sink, const uint8_t* p, uint32_t n,
                             bint whole) noexcept nogil:
    cdef uint32_t at = 0
    cdef int what = http1_start_line(p, n, whole, &at)
    if what < 0:
        return False
    side.left = 0
    side.flags = 0
    side.kind = H1_KIND_PLAIN
    side.code = 0
    side.cache = H1_CACHE_UNSAID
    side.begun = 1
    side.state = H1_FIELDS
    if what >= 100:
        side.code = <uint16_t> what
    else:
        if what == H1_HEAD:
            side.kind = H1_KIND_HEAD
        elif what == H1_CONNECT:
            side.kind = H1_KIND_CONNECT
        elif what == H1_POST:
            sink_count(sink, C_HTTP_POSTS, 1)
        sink_target(sink, p + at, n - at)
        if p[at] != 47 and p[at] != 42:                    # neither "/path" nor "*"
            side.flags = H1_PROXIED
    return True


cdef inline void http1_line(Http1* s, AppSink* sink, Http1Side* side, bint from_orig,
                            const uint8_t* p, uint32_t n, bint whole) noexcept nogil:
    # One line without its line end; not whole: its middle is missing.
    cdef uint64_t size = 0
    if n and p[n - 1] == 13:
        n -= 1
    if side.state == H1_FIELDS:
        if n == 0:
            http1_header_end(s, sink, side, from_orig)
        else:
            http1_field(side, sink, p, n, whole)
    elif side.state == H1_START:
        if n and not http1_start(side, sink, p, n, True):        # blank lines in front are allowed
            http1_fail(s, sink, side)
    elif side.state == H1_CHUNK_SIZE:
        if not http1_chunk_size(p, n, &size):
            http1_fail(s, sink, side)
        elif size == 0:
            side.state = H1_TRAILERS
        else:
            side.left = size + 2                           # and its CRLF
            side.state = H1_CHUNK_DATA
    elif n == 0:                                           # H1_TRAILERS
        http1_message_end(s, sink, side, from_orig)


cdef inline void http1_keep(Http1Side* side, const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t room = H1_LINE - side.kept
    cdef uint8_t* tail = side.line + H1_LINE - H1_TAIL
    if n <= room:
        memcpy(side.line + side.kept, p, n)
        side.kept += <uint8_t> n
        return
    memcpy(side.line + side.kept, p, room)
    side.kept = H1_LINE
    side.cut = 1
    p += room
    n -= room
    if n < H1_TAIL:
        memmove(tail, tail + n, H1_TAIL - n)
        memcpy(tail + H1_TAIL - n, p, n)
    else:
        memcpy(tail, p + n - H1_TAIL, H1_TAIL)


cdef inline bint http1_opens(Http1* s, Http1Side* side, const uint8_t* p, uint32_t n,
                             bint from_orig) noexcept nogil:
    # Whether a side that is not being read (lost, or a tunnel) has something to say now.
    if side.state == H1_LOST:
        if http1_probe(p, n, from_orig) != APP_YES:
            return False
        side.state = H1_START
        if s.client == 2 - from_orig:
            http1_keep_newest(s)
        return True
    if side.state == H1_TUNNEL and not side.looked and s.client == 1 + from_orig:
        # What the client says first through the tunnel: TLS nearly always, else HTTP again.
        side.looked = 1
        if p[0] == 22:
            s.next_proto = APP_TLS
        elif http1_probe(p, n, from_orig) == APP_YES:
            http1_start_over(&s.side[0], H1_START)
            http1_start_over(&s.side[1], H1_START)
            return True
    return False


cdef inline uint32_t http1_data(Http1* s, AppSink* sink, bint from_orig,
                                const uint8_t* p, uint32_t n) noexcept nogil:
    cdef Http1Side* side = &s.side[from_orig]
    cdef uint32_t at = 0
    cdef uint32_t length
    cdef const uint8_t* end
    if n and side.state >= H1_TUNNEL and not http1_opens(s, side, p, n, from_orig):
        return 0 if s.next_proto else n
    while at < n:
        if side.state == H1_BODY or side.state == H1_CHUNK_DATA:
            if side.left > n - at:
                side.left -= n - at
                return n
            at += <uint32_t> side.left
            side.left = 0
            if side.state == H1_CHUNK_DATA:
                side.state = H1_CHUNK_SIZE
            else:
                http1_message_end(s, sink, side, from_orig)
            continue
        if side.state >= H1_UNTIL_CLOSE:
            return n
        if side.state == H1_START and side.kept == 0 and s.client != 1 + from_orig:
            s.first_ns = sink.ts_ns
        end = <const uint8_t*> memchr(p + at, 10, n - at)
        if end == NULL:
            if (side.state == H1_START and side.kept == 0 and p[at] != 13
                    and http1_probe(p + at, n - at, from_orig) == APP_NO):
                http1_fail(s, sink, side)                  # text of something else: not kept
            else:
                http1_keep(side, p + at, n - at)
            return n
        length = <uint32_t> (end - (p + at))
        if side.kept == 0:
            http1_line(s, sink, side, from_orig, p + at, length, True)
        else:
            http1_keep(side, p + at, length)
            length = side.kept
            side.kept = 0
            http1_line(s, sink, side, from_orig, side.line, length, not side.cut)
            side.cut = 0
        at = <uint32_t> (end - p) + 1
        if s.next_proto:
            return at
    return n


cdef inline void http1_gap(Http1* s, AppSink* sink, bint from_orig, uint64_t n) noexcept nogil:
    # Content goes on by count; a header section that is cut has still been a message.
    cdef Http1Side* side = &s.side[from_orig]
    if n == 0 or side.state >= H1_UNTIL_CLOSE:
        return
    if (side.state == H1_BODY or side.state == H1_CHUNK_DATA) and n <= side.left:
        side.left -= n
        if side.left == 0:
            if side.state == H1_CHUNK_DATA:
                side.state = H1_CHUNK_SIZE
            else:
                http1_message_end(s, sink, side, from_orig)
        return
    sink_count(sink, C_APP_LOST_SYNC, 1)
    if side.state == H1_START and side.kept:
        http1_start(side, sink, side.line, side.kept, False)
    if side.state == H1_FIELDS:
        http1_count(s, sink, side, from_orig)
        http1_message_end(s, sink, side, from_orig)        # the best guess of a request's end
    else:
        http1_forget(s)
    http1_start_over(side, H1_LOST)
