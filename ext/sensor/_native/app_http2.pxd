# HTTP/2 in clear text (RFC 9113) and gRPC on it: requests and calls.
#
# Invariants: only the client's direction is read, the other one costs nothing; frame payloads but
# header blocks are skipped by count; every pass of the loop consumes an octet. The client is whoever
# sends the connection preface, first thing or after an `Upgrade: h2c`.
#
# A request is a header block that opens a new odd stream; a call is a request whose content-type is
# application/grpc, read through HPACK (so a connection may mix). Where HPACK is lost (missing
# octets), a connection whose requests were all calls keeps counting them as calls.
#
# A gap inside a payload is skipped by count; any other loses sync, which waits for a segment that is
# a whole number of valid frames.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from sensor._native.app cimport (
    APP_GRPC, APP_HTTP2, APP_MAYBE, APP_NO, APP_YES, AppProto, AppVerdict,
)
from sensor._native.counters cimport (
    C_APP_LOST_SYNC, C_GRPC_CALLS, C_HTTP2_REQUESTS, C_HTTP_PARSE_ERRORS,
)
from sensor._native.hpack cimport HPACK_FIELD, Hpack, hpack_data
from sensor._native.sink cimport AppSink, sink_count
from sensor._native.span cimport sensor_be16, sensor_be32

cdef extern from *:
    """
    #define H2_PREFACE "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"
    """
    const char* H2_PREFACE

cdef enum:
    H2_PREFACE_LEN = 24
    H2_HEAD = 9
    H2_FRAME_MAX = 16384         # what a frame may carry unless the peer allows more

cdef enum:                       # frame types (RFC 9113 section 6) and flags
    H2_DATA = 0
    H2_HEADERS = 1
    H2_PRIORITY = 2
    H2_RST_STREAM = 3
    H2_SETTINGS = 4
    H2_PUSH_PROMISE = 5
    H2_PING = 6
    H2_GOAWAY = 7
    H2_WINDOW_UPDATE = 8
    H2_CONTINUATION = 9
    H2_END_HEADERS = 0x04
    H2_PADDED = 0x08
    H2_WITH_PRIORITY = 0x20

cdef enum:                       # Http2.role[]
    H2_UNKNOWN = 0
    H2_CLIENT = 1
    H2_SERVER = 2

cdef enum:                       # Http2.state, of the client's direction
    H2_AT_PREFACE = 0
    H2_AT_HEAD
    H2_AT_LEAD                   # pad length and priority in front of a header block
    H2_AT_BLOCK
    H2_AT_REST                   # payload or padding nobody reads
    H2_AT_NOTHING                # lost

cdef struct Http2:
    Hpack hpack
    uint32_t left                # octets of the frame's payload still to come
    uint32_t last_stream
    uint8_t head[H2_HEAD]
    uint8_t have                 # octets of the preface or of head[]
    uint8_t lead
    uint8_t pad
    uint8_t state
    uint8_t in_block             # a header block is open: 1, and it opens a stream: 2
    uint8_t calls                # some request was a gRPC call
    uint8_t plain                # some was not
    uint8_t role[2]              # by from_orig


cdef inline AppProto http2_label(const Http2* s) noexcept nogil:
    # What the connection speaks: gRPC when every request so far was a call.
    return APP_GRPC if s.calls and not s.plain else APP_HTTP2


cdef inline AppVerdict http2_probe(const uint8_t* p, uint32_t n, bint from_orig) noexcept nogil:
    # Only the client's preface says yes; a first SETTINGS frame makes it worth to wait for it.
    if n == 0 or memcmp(p, H2_PREFACE, n if n < H2_PREFACE_LEN else H2_PREFACE_LEN) == 0:
        return APP_YES if n >= H2_PREFACE_LEN else APP_MAYBE
    if (n >= H2_HEAD and p[0] == 0 and p[3] == H2_SETTINGS and p[4] == 0
            and sensor_be32(p + 5) == 0 and sensor_be16(p + 1) % 6 == 0):
        return APP_MAYBE
    return APP_NO


cdef inline uint32_t http2_size(const uint8_t* head) noexcept nogil:
    return (<uint32_t> head[0] << 16) | sensor_be16(head + 1)


cdef inline bint http2_plausible(const uint8_t* head) noexcept nogil:
    # Could this be the head of a client's frame? Strict, as it is all that resynchronises.
    cdef uint32_t size = http2_size(head)
    cdef uint32_t stream = sensor_be32(head + 5)
    cdef uint8_t kind = head[3]
    if size > H2_FRAME_MAX or stream >> 31:
        return False
    if kind == H2_SETTINGS:
        return stream == 0 and size % 6 == 0
    if kind == H2_PING or kind == H2_GOAWAY:
        return stream == 0 and (size == 8 or (kind == H2_GOAWAY and size > 8))
    if kind == H2_WINDOW_UPDATE:
        return size == 4
    if kind == H2_RST_STREAM or kind == H2_PRIORITY:
        return stream & 1 and size == (4 if kind == H2_RST_STREAM else 5)
    return stream & 1 and (kind == H2_DATA or kind == H2_HEADERS or kind == H2_CONTINUATION)


cdef inline bint http2_whole(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 0
    while n - at >= H2_HEAD:
        if not http2_plausible(p + at) or http2_size(p + at) > n - at - H2_HEAD:
            return False
        at += H2_HEAD + http2_size(p + at)
    return at == n


cdef inline void http2_lose(Http2* s) noexcept nogil:
    s.state = H2_AT_NOTHING
    s.hpack.blind = 1
    s.in_block = 0
    s.have = 0
    s.left = 0


cdef inline void http2_fail(Http2* s, AppSink* sink) noexcept nogil:
    sink_count(sink, C_HTTP_PARSE_ERRORS, 1)
    http2_lose(s)


cdef inline void http2_frame_end(Http2* s, AppSink* sink) noexcept nogil:
    # All of the frame was read or skipped.
    cdef Hpack* h = &s.hpack
    s.state = H2_AT_HEAD
    s.have = 0
    if not s.in_block or not s.head[4] & H2_END_HEADERS:
        return
    if h.step != HPACK_FIELD:
        h.blind = 1                                        # the block ends inside a field
    if s.in_block == 2:
        sink_count(sink, C_HTTP2_REQUESTS, 1)
        if h.grpc or (h.blind and s.calls and not s.plain):
            sink_count(sink, C_GRPC_CALLS, 1)
            s.calls = 1
        elif not h.blind:
            s.plain = 1
    s.in_block = 0


cdef inline void http2_frame(Http2* s, AppSink* sink) noexcept nogil:
    # head[] is complete.
    cdef uint32_t stream = sensor_be32(s.head + 5) & 0x7fffffff
    cdef uint8_t kind = s.head[3]
    cdef uint8_t flags = s.head[4]
    s.left = http2_size(s.head)
    s.state = H2_AT_REST
    s.lead = 0
    s.pad = 0
    if s.in_block and kind != H2_CONTINUATION:
        http2_fail(s, sink)                                # nothing may come between
        return
    if kind == H2_HEADERS:
        if not stream & 1:
            http2_fail(s, sink)
            return
        s.in_block = 1
        if stream > s.last_stream:
            s.last_stream = stream
            s.in_block = 2
        s.hpack.grpc = 0
        s.state = H2_AT_BLOCK
        if flags & H2_PADDED:
            s.lead = 1
        if flags & H2_WITH_PRIORITY:
            s.lead += 5
        if s.lead > s.left:
            http2_fail(s, sink)
            return
        if s.lead:
            s.state = H2_AT_LEAD
    elif kind == H2_CONTINUATION and s.in_block:
        s.state = H2_AT_BLOCK
    if s.left == 0:
        http2_frame_end(s, sink)


cdef inline void http2_lead(Http2* s, AppSink* sink, uint8_t octet) noexcept nogil:
    # The first octet of a padded frame is the length of the padding; priority is passed over.
    cdef bint first = s.left == http2_size(s.head)
    s.left -= 1
    s.lead -= 1
    if first and s.head[4] & H2_PADDED:
        s.pad = octet
    if s.lead:
        return
    s.state = H2_AT_BLOCK
    if s.pad > s.left:
        http2_fail(s, sink)
    elif s.left == 0:
        http2_frame_end(s, sink)
    elif s.left == s.pad:
        s.state = H2_AT_REST


cdef inline uint32_t http2_data(Http2* s, AppSink* sink, bint from_orig,
                                const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t take
    cdef bint was_blind
    if s.role[from_orig] == H2_UNKNOWN and n:
        # A frame that begins with "P" would be of 5 MB: no server says that first.
        s.role[from_orig] = H2_CLIENT if p[0] == 80 and s.role[not from_orig] != H2_CLIENT else H2_SERVER
    if s.role[from_orig] != H2_CLIENT:
        return n
    if s.state == H2_AT_NOTHING:
        if not http2_whole(p, n):
            return n
        s.state = H2_AT_HEAD
    while at < n:
        if s.state == H2_AT_HEAD:
            s.head[s.have] = p[at]
            s.have += 1
            at += 1
            if s.have == H2_HEAD:
                http2_frame(s, sink)
        elif s.state == H2_AT_REST:
            take = n - at if n - at < s.left else s.left
            s.left -= take
            at += take
            if s.left == 0:
                http2_frame_end(s, sink)
        elif s.state == H2_AT_BLOCK:
            take = s.left - s.pad
            if take > n - at:
                take = n - at
            was_blind = s.hpack.blind
            hpack_data(&s.hpack, sink, p + at, take)
            if s.hpack.blind and not was_blind:
                sink_count(sink, C_HTTP_PARSE_ERRORS, 1)
            s.left -= take
            at += take
            if s.left == 0:
                http2_frame_end(s, sink)
            elif s.left == s.pad:
                s.state = H2_AT_REST
        elif s.state == H2_AT_LEAD:
            http2_lead(s, sink, p[at])
            at += 1
        elif s.state == H2_AT_PREFACE:
            if p[at] != <uint8_t> H2_PREFACE[s.have]:
                http2_fail(s, sink)
                return n
            s.have += 1
            at += 1
            if s.have == H2_PREFACE_LEN:
                s.have = 0
                s.state = H2_AT_HEAD
        else:
            return n
    return n


cdef inline void http2_gap(Http2* s, AppSink* sink, bint from_orig, uint64_t n) noexcept nogil:
    if s.role[from_orig] == H2_UNKNOWN and s.role[not from_orig] == H2_SERVER:
        s.role[from_orig] = H2_CLIENT
    if s.role[from_orig] != H2_CLIENT or n == 0 or s.state == H2_AT_NOTHING:
        return
    if (s.state == H2_AT_REST or s.state == H2_AT_BLOCK) and n <= s.left:
        if s.state == H2_AT_BLOCK:
            s.hpack.blind = 1
            s.state = H2_AT_REST                           # the rest of the block is of no use
        s.left -= <uint32_t> n
        if s.left == 0:
            http2_frame_end(s, sink)
        return
    sink_count(sink, C_APP_LOST_SYNC, 1)
    http2_lose(s)
