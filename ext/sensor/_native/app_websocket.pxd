# WebSocket frames (RFC 6455 section 5.2) on a connection that HTTP/1 has upgraded.
#
# Invariants: a frame counts at the end of its header (2, 4 or 10 octets), payload is skipped by
# count, nothing of it is read; every pass of the loop consumes an octet. The connection itself was
# counted by the upgrade. There is no probe: frames carry no mark, so the middle of a connection is
# never guessed to be WebSocket.
#
# Lost sync waits for a segment that is a whole number of valid frames, masked as this side's were.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from sensor._native.counters cimport C_APP_LOST_SYNC, C_HTTP_PARSE_ERRORS, C_WS_FRAMES
from sensor._native.sink cimport AppSink, sink_count
from sensor._native.span cimport sensor_be16, sensor_be64

cdef enum:
    WS_HEADER_MAX = 10           # without the masking key, which is skipped with the payload
    WS_SHORT = 1                 # ws_header: more octets are needed
    WS_FRAME = 2
    WS_BAD = 3

cdef struct WsSide:
    uint64_t left                # octets of masking key and payload still to skip
    uint8_t head[WS_HEADER_MAX]
    uint8_t have                 # octets in head[]
    uint8_t masked               # 0: no frame seen, 1: this side does not mask, 2: it does
    uint8_t lost

cdef struct WebSocket:
    WsSide side[2]               # by from_orig


cdef inline uint32_t ws_header(const uint8_t* p, uint32_t n, uint32_t* size, uint64_t* body) noexcept nogil:
    # Reads the header that p[0..n) begins with: WS_FRAME sets its size and the octets that follow
    # it, WS_SHORT sets the size that is needed to go on.
    cdef uint8_t code
    cdef uint8_t length
    size[0] = 2
    if n < 2:
        return WS_SHORT
    code = p[0] & 0x0f
    length = p[1] & 0x7f
    if (code & 7) > 2 or (code >= 8 and (length > 125 or p[0] < 0x80)):
        return WS_BAD                                      # reserved opcode; long or split control frame
    size[0] = 2 if length < 126 else (4 if length == 126 else 10)
    if n < size[0]:
        return WS_SHORT
    if length < 126:
        body[0] = length
    elif length == 126:
        body[0] = sensor_be16(p + 2)
    else:
        body[0] = sensor_be64(p + 2)
        if body[0] >> 63:
            return WS_BAD
    if p[1] & 0x80:
        body[0] += 4
    return WS_FRAME


cdef inline bint ws_whole(const WsSide* side, const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t size = 0
    cdef uint64_t body = 0
    while at < n:
        if ws_header(p + at, n - at, &size, &body) != WS_FRAME or body > n - at - size:
            return False
        if side.masked and (p[at + 1] >> 7) + 1 != side.masked:
            return False
        at += size + <uint32_t> body
    return True


cdef inline uint32_t ws_data(WebSocket* s, AppSink* sink, bint from_orig,
                             const uint8_t* p, uint32_t n) noexcept nogil:
    cdef WsSide* side = &s.side[from_orig]
    cdef uint32_t at = 0
    cdef uint32_t size = 0
    cdef uint64_t body = 0
    cdef uint32_t what
    if side.lost:
        if not ws_whole(side, p, n):
            return n
        side.lost = 0
    while at < n:
        if side.left > n - at:
            side.left -= n - at
            return n
        at += <uint32_t> side.left
        side.left = 0
        while True:
            what = ws_header(side.head, side.have, &size, &body)
            if what != WS_SHORT or at == n:
                break
            side.head[side.have] = p[at]
            side.have += 1
            at += 1
        if what == WS_SHORT:
            return n
        side.have = 0
        if what == WS_BAD:
            sink_count(sink, C_HTTP_PARSE_ERRORS, 1)
            side.lost = 1
            return n
        sink_count(sink, C_WS_FRAMES, 1)
        side.masked = (side.head[1] >> 7) + 1
        side.left = body
    return n


cdef inline void ws_gap(WebSocket* s, AppSink* sink, bint from_orig, uint64_t n) noexcept nogil:
    cdef WsSide* side = &s.side[from_orig]
    if side.lost or n == 0:
        return
    if n <= side.left:
        side.left -= n
        return
    sink_count(sink, C_APP_LOST_SYNC, 1)
    side.left = 0
    side.have = 0
    side.lost = 1
