# Invariant: whatever the octets and however they are cut, every read stays inside the segment, all
# of it is consumed, and (until sync is lost) whole and split feeding give the same figures.
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport abort, free
from libc.string cimport memset
from sensor._native.app_websocket cimport WS_HEADER_MAX, WebSocket, ws_data, ws_gap
from web_side cimport Chunk, WebSide, web_agree, web_chunk, web_copy, web_lost, web_prepare


cdef void feed(WebSocket* s, WebSide* side, const Chunk* c, uint32_t piece) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t k
    cdef uint8_t* copy
    if c.gap:
        ws_gap(s, &side.sink, c.from_orig, <uint32_t> 7 * c.n)
        return
    while at < c.n:
        k = piece if piece and piece < c.n - at else c.n - at
        copy = web_copy(c.p + at, k)
        if ws_data(s, &side.sink, c.from_orig, copy, k) != k:
            abort()
        free(copy)
        at += k
    if s.side[c.from_orig].have >= WS_HEADER_MAX:
        abort()


cdef public int fuzz_websocket(const unsigned char* data, size_t n) noexcept nogil:
    cdef WebSocket whole, split
    cdef WebSide a, b
    cdef Chunk c
    cdef size_t at = 0
    memset(&whole, 0, sizeof(WebSocket))
    memset(&split, 0, sizeof(WebSocket))
    web_prepare(&a)
    web_prepare(&b)
    while True:
        at = web_chunk(data, n, at, &c)
        if at == 0:
            return 0
        feed(&whole, &a, &c, 0)
        feed(&split, &b, &c, c.piece)
        if not web_lost(&a):
            web_agree(&a, &b)
            if whole.side[c.from_orig].left != split.side[c.from_orig].left:
                abort()
