# Invariant: whatever the octets and however they are cut, every read stays inside the segment, all
# octets are consumed, and (while no side has lost its place) whole and split feeding give the same
# counters, name and state.
#
# Input: chunks of {control, length (2, big-endian), octets}; control bit 0: from the originator,
# bit 1: the octets are a gap, bits 2..7: the size of the pieces of the split feeding.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, calloc, free
from libc.string cimport memcmp, memset
from sensor._native.app_tls cimport Tls, tls_data, tls_end, tls_gap, tls_probe
from sensor._native.counters cimport C_APP_LOST_SYNC
from sensor._native.exact cimport exact_copy
from sensor._native.histogram cimport HIST2_LEN, Hist
from sensor._native.sink cimport AppSink, L_COUNT


cdef struct Side:
    Tls tls
    AppSink sink
    Hist latency[<int> L_COUNT]


cdef void prepare(Side* s, uint32_t* counts) noexcept nogil:
    cdef int i
    memset(s, 0, sizeof(Side))
    for i in range(<int> L_COUNT):
        s.latency[i].counts = counts
        s.latency[i].half_bits = 7
        s.latency[i].min_ns = <uint64_t> -1
    s.sink.latency = s.latency


cdef void feed(Side* s, bint from_orig, const unsigned char* data, uint32_t n,
               uint32_t piece) noexcept nogil:
    cdef uint8_t* copy = exact_copy(data, n)
    cdef uint32_t at = 0
    cdef uint32_t k
    while at < n:
        k = piece if piece and piece < n - at else n - at
        if tls_data(&s.tls, &s.sink, from_orig, copy + at, k) != k:
            abort()
        at += k
    if n:
        tls_probe(copy, n, from_orig)
    free(copy)


cdef public int fuzz_tls(const unsigned char* data, size_t n) noexcept nogil:
    cdef Side whole, split
    cdef uint32_t* counts = <uint32_t*> calloc(HIST2_LEN, sizeof(uint32_t))
    cdef size_t at = 0
    cdef uint32_t length, control
    if counts == NULL:
        return 0
    prepare(&whole, counts)
    prepare(&split, counts)
    while n - at >= 3:
        control = data[at]
        length = <uint32_t> data[at + 1] << 8 | data[at + 2]
        at += 3
        whole.sink.ts_ns = split.sink.ts_ns = at * 1000
        if control & 2:
            tls_gap(&whole.tls, &whole.sink, control & 1, length)
            tls_gap(&split.tls, &split.sink, control & 1, length)
            continue
        if length > n - at:
            length = <uint32_t> (n - at)
        feed(&whole, control & 1, data + at, length, 0)
        feed(&split, control & 1, data + at, length, 1 + (control >> 2))
        at += length
    tls_end(&whole.tls, &whole.sink)
    tls_end(&split.tls, &split.sink)
    free(counts)
    if (whole.sink.n[<int> C_APP_LOST_SYNC] == 0
            and (memcmp(whole.sink.n, split.sink.n, sizeof(whole.sink.n)) != 0
                 or memcmp(whole.sink.name, split.sink.name, sizeof(whole.sink.name)) != 0
                 or memcmp(&whole.tls, &split.tls, sizeof(Tls)) != 0)):
        abort()
    return 0
