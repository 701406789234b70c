# Invariant: whatever the octets and however they are cut, every read stays inside the segment, no
# more is consumed than given, and (until sync is lost, and while lines are short) whole and split
# feeding give the same figures.
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport abort, free
from libc.string cimport memset
from sensor._native.app_http1 cimport (
    H1_LINE, H1_TUNNEL, Http1, http1_data, http1_gap, http1_probe,
)
from sensor._native.exact cimport exact_copy
from web_side cimport Chunk, WebSide, web_agree, web_chunk, web_lost, web_prepare


cdef uint32_t feed(Http1* s, WebSide* side, const Chunk* c, uint32_t piece) noexcept nogil:
    # How many octets were consumed before the protocol changed.
    cdef uint32_t at = 0
    cdef uint32_t k, used
    cdef uint8_t* copy
    if c.gap:
        http1_gap(s, &side.sink, c.from_orig, <uint32_t> 7 * c.n)
        return c.n
    while at < c.n and not s.next_proto:
        k = piece if piece and piece < c.n - at else c.n - at
        copy = exact_copy(c.p + at, k)
        http1_probe(copy, k, c.from_orig)
        used = http1_data(s, &side.sink, c.from_orig, copy, k)
        free(copy)
        if used > k or (used < k and not s.next_proto):
            abort()
        at += used
    if s.side[0].kept > H1_LINE or s.side[1].kept > H1_LINE:
        abort()
    return at


cdef bint tunnel(const Http1* s) noexcept nogil:
    # What begins inside a tunnel is looked for at the start of a segment.
    return s.side[0].state == H1_TUNNEL or s.side[1].state == H1_TUNNEL


cdef bint long_line(const Chunk* c, uint32_t* run) noexcept nogil:
    # Of a line longer than line[] the middle is lost when it is split, and only then.
    cdef uint32_t i
    if c.gap:
        return False
    for i in range(c.n):
        run[0] = 0 if c.p[i] == 10 else run[0] + 1
        if run[0] > H1_LINE:
            return True
    return False


cdef public int fuzz_http1(const unsigned char* data, size_t n) noexcept nogil:
    cdef Http1 whole, split
    cdef WebSide a, b
    cdef Chunk c
    cdef size_t at = 0
    cdef bint same = True
    cdef uint32_t run[2]
    run[0] = run[1] = 0
    memset(&whole, 0, sizeof(Http1))
    memset(&split, 0, sizeof(Http1))
    web_prepare(&a)
    web_prepare(&b)
    while True:
        at = web_chunk(data, n, at, &c)
        if at == 0 or whole.next_proto or split.next_proto:
            return 0
        same = same and not long_line(&c, &run[c.from_orig])
        a.sink.ts_ns = b.sink.ts_ns = 1000 * at
        if feed(&whole, &a, &c, 0) != feed(&split, &b, &c, c.piece) and same and not web_lost(&a):
            abort()
        same = same and not tunnel(&whole) and not web_lost(&a)
        if same:
            web_agree(&a, &b)
            if (whole.side[c.from_orig].state != split.side[c.from_orig].state
                    or whole.side[c.from_orig].left != split.side[c.from_orig].left
                    or whole.asked != split.asked or whole.answered != split.answered):
                abort()
