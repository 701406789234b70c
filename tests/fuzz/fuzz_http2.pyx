# Invariant: whatever the octets and however they are cut, every read stays inside the segment, all
# of it is consumed, and (until sync is lost) whole and split feeding give the same figures.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort
from libc.string cimport memset
from sensor._native.app_http2 cimport (
    H2_HEAD, H2_PREFACE_LEN, Http2, http2_data, http2_gap, http2_label, http2_probe,
)
from sensor._native.counters cimport C_GRPC_CALLS, C_HTTP2_REQUESTS
from sensor._native.sink cimport AppSink
from web_side cimport WebReader, web_twice


cdef uint32_t data_of(void* state, AppSink* sink, bint from_orig, const uint8_t* p,
                      uint32_t n) noexcept nogil:
    cdef Http2* s = <Http2*> state
    cdef uint32_t used
    http2_probe(p, n, from_orig)
    used = http2_data(s, sink, from_orig, p, n)
    if s.have >= (H2_PREFACE_LEN if s.state == 0 else H2_HEAD) and s.state < 2:
        abort()
    if sink.n[<int> C_GRPC_CALLS] > sink.n[<int> C_HTTP2_REQUESTS]:
        abort()
    return used


cdef void gap_of(void* state, AppSink* sink, bint from_orig, uint64_t n) noexcept nogil:
    http2_gap(<Http2*> state, sink, from_orig, n)


cdef bint same(const void* a, const void* b) noexcept nogil:
    cdef const Http2* whole = <const Http2*> a
    cdef const Http2* split = <const Http2*> b
    return (whole.state == split.state and whole.left == split.left
            and whole.hpack.inserted == split.hpack.inserted
            and http2_label(whole) == http2_label(split))


cdef public int fuzz_http2(const unsigned char* data, size_t n) noexcept nogil:
    cdef Http2 whole, split
    cdef WebReader reader
    reader.data = data_of
    reader.gap = gap_of
    reader.same = same
    memset(&whole, 0, sizeof(Http2))
    memset(&split, 0, sizeof(Http2))
    web_twice(&reader, &whole, &split, data, n)
    return 0
