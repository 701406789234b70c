# Invariant: whatever the octets and however they are cut, every read stays inside the segment, all
# of it is consumed, and (until sync is lost) whole and split feeding give the same figures.
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport abort, free
from libc.string cimport memset
from sensor._native.app_http2 cimport (
    H2_HEAD, H2_PREFACE_LEN, Http2, http2_data, http2_gap, http2_label, http2_probe,
)
from sensor._native.counters cimport C_GRPC_CALLS, C_HTTP2_REQUESTS
from web_side cimport Chunk, WebSide, web_agree, web_chunk, web_copy, web_lost, web_prepare


cdef void feed(Http2* s, WebSide* side, const Chunk* c, uint32_t piece) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t k
    cdef uint8_t* copy
    if c.gap:
        http2_gap(s, &side.sink, c.from_orig, <uint32_t> 7 * c.n)
        return
    while at < c.n:
        k = piece if piece and piece < c.n - at else c.n - at
        copy = web_copy(c.p + at, k)
        http2_probe(copy, k, c.from_orig)
        if http2_data(s, &side.sink, c.from_orig, copy, k) != k:
            abort()
        free(copy)
        at += k
    if s.have >= (H2_PREFACE_LEN if s.state == 0 else H2_HEAD) and s.state < 2:
        abort()
    if side.sink.n[<int> C_GRPC_CALLS] > side.sink.n[<int> C_HTTP2_REQUESTS]:
        abort()


cdef public int fuzz_http2(const unsigned char* data, size_t n) noexcept nogil:
    cdef Http2 whole, split
    cdef WebSide a, b
    cdef Chunk c
    cdef size_t at = 0
    memset(&whole, 0, sizeof(Http2))
    memset(&split, 0, sizeof(Http2))
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
            if (whole.state != split.state or whole.left != split.left
                    or whole.hpack.inserted != split.hpack.inserted
                    or http2_label(&whole) != http2_label(&split)):
                abort()
