# What the fuzz targets of HTTP/1, WebSocket and HTTP/2 share: a sink, and when two must agree.
#
# Their input: chunks of {control, length (2, big-endian), octets}; control bit 0: from the
# originator, bit 1: the octets are a gap (of as many times 7), bits 2..7: the size of the pieces of
# the split feeding, 0: not split.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, malloc
from libc.string cimport memcmp, memcpy, memset
from sensor._native.counters cimport C_APP_LOST_SYNC, C_COUNT, C_HTTP_PARSE_ERRORS
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


cdef inline void web_prepare(WebSide* s) noexcept nogil:
    memset(s, 0, sizeof(WebSide))
    s.latency[<int> L_HTTP_RESPONSE].counts = s.bins
    s.latency[<int> L_HTTP_RESPONSE].half_bits = 7
    s.sink.latency = s.latency
    s.sink.status = s.status


cdef inline size_t web_chunk(const unsigned char* data, size_t n, size_t at, Chunk* c) noexcept nogil:
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


cdef inline uint8_t* web_copy(const uint8_t* p, uint32_t n) noexcept nogil:
    # On the heap and exactly as long as promised: AddressSanitizer sees one octet more.
    cdef uint8_t* copy = <uint8_t*> malloc(n)
    if copy == NULL:
        abort()
    memcpy(copy, p, n)
    return copy


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
