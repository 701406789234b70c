# What the fuzz targets of HTTP/1, WebSocket and HTTP/2 share: a sink, and when two must agree.
#
# Their input: chunks of {control, length (2, big-endian), octets}; control bit 0: from the
# originator, bit 1: the octets are a gap (of as many times 7), bits 2..7: the size of the pieces of
# the split feeding, 0: not split.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free
from libc.string cimport memcmp, memset
from sensor._native.counters cimport C_APP_LOST_SYNC, C_COUNT, C_HTTP_PARSE_ERRORS
from sensor._native.exact cimport exact_copy
from sensor._native.histogram cimport HIST2_LEN, Hist
from sensor._native.sink cimport AppSink, L_COUNT, L_HTTP_RESPONSE, STATUS_MAX

cdef struct WebSide:
    AppSink sink
    Hist latency[<int> L_COUNT]
    uint32_t bins[HIST2_LEN]
    uint32_t status[STATUS_MAX]

cdef struct Chunk:
    bint from_orig
    bint gap
    uint32_t piece
    uint32_t n
    const uint8_t* p

cdef struct WebReader:             # a recogniser that consumes all it is given
    uint32_t (*data)(void* s, AppSink* sink, bint from_orig, const uint8_t* p,
                     uint32_t n) noexcept nogil
    void (*gap)(void* s, AppSink* sink, bint from_orig, uint64_t n) noexcept nogil
    bint (*same)(const void* a, const void* b) noexcept nogil


cdef inline void web_prepare(WebSide* s) noexcept nogil:
    memset(s, 0, sizeof(WebSide))
    s.latency[<int> L_HTTP_RESPONSE].counts = s.bins
    s.latency[<int> L_HTTP_RESPONSE].half_bits = 7
    s.sink.latency = s.latency
    s.sink.status = s.status


cdef inline size_t web_chunk(const unsigned char* data, size_t n, size_t at,
                             Chunk* c) noexcept nogil:
    # The chunk at `at`, and where the next one is; 0: no more.
    if n - at < 3:
        return 0
    c.from_orig = data[at] & 1
    c.gap = (data[at] >> 1) & 1
    c.piece = data[at] >> 2
    c.n = <uint32_t> data[at + 1] << 8 | data[at + 2]
    at += 3
    if c.n > n - at:
        c.n = <uint32_t> (n - at)
    c.p = data + at
    return at + c.n


cdef inline bint web_lost(const WebSide* s) noexcept nogil:
    # Where a lost parser takes up again depends on the segments, rightly.
    return s.sink.n[<int> C_APP_LOST_SYNC] or s.sink.n[<int> C_HTTP_PARSE_ERRORS]


cdef inline void web_agree(const WebSide* a, const WebSide* b) noexcept nogil:
    if memcmp(a.sink.n, b.sink.n, sizeof(a.sink.n)) != 0:
        abort()
    if memcmp(a.status, b.status, sizeof(a.status)) != 0:
        abort()
    if memcmp(a.bins, b.bins, sizeof(a.bins)) != 0:
        abort()
    if a.sink.name_source != b.sink.name_source or a.sink.name_len != b.sink.name_len:
        abort()
    if memcmp(a.sink.name, b.sink.name, a.sink.name_len) != 0:
        abort()


cdef inline void web_feed(const WebReader* r, void* s, WebSide* side, const Chunk* c,
                          uint32_t piece) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t k
    cdef uint8_t* copy
    if c.gap:
        r.gap(s, &side.sink, c.from_orig, <uint32_t> 7 * c.n)
        return
    while at < c.n:
        k = piece if piece and piece < c.n - at else c.n - at
        copy = exact_copy(c.p + at, k)
        if r.data(s, &side.sink, c.from_orig, copy, k) != k:
            abort()
        free(copy)
        at += k


cdef inline void web_twice(const WebReader* r, void* whole, void* split, const unsigned char* data,
                           size_t n) noexcept nogil:
    # The same octets to two fresh states, whole and in pieces.
    cdef WebSide a, b
    cdef Chunk c
    cdef size_t at = 0
    web_prepare(&a)
    web_prepare(&b)
    while True:
        at = web_chunk(data, n, at, &c)
        if at == 0:
            return
        web_feed(r, whole, &a, &c, 0)
        web_feed(r, split, &b, &c, c.piece)
        if not web_lost(&a):
            web_agree(&a, &b)
            if not r.same(whole, split):
                abort()
