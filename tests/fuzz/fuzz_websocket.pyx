# Invariant: whatever the octets and however they are cut, every read stays inside the segment, all
# of it is consumed, and (until sync is lost) whole and split feeding give the same figures.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort
from libc.string cimport memset
from sensor._native.app_websocket cimport WS_HEADER_MAX, WebSocket, ws_data, ws_gap
from sensor._native.sink cimport AppSink
from web_side cimport WebReader, web_twice


cdef uint32_t data_of(void* state, AppSink* sink, bint from_orig, const uint8_t* p,
                      uint32_t n) noexcept nogil:
    cdef WebSocket* s = <WebSocket*> state
    cdef uint32_t used = ws_data(s, sink, from_orig, p, n)
    if s.side[from_orig].have >= WS_HEADER_MAX:
        abort()
    return used


cdef void gap_of(void* state, AppSink* sink, bint from_orig, uint64_t n) noexcept nogil:
    ws_gap(<WebSocket*> state, sink, from_orig, n)


cdef bint same(const void* a, const void* b) noexcept nogil:
    cdef const WebSocket* whole = <const WebSocket*> a
    cdef const WebSocket* split = <const WebSocket*> b
    return whole.side[0].left == split.side[0].left and whole.side[1].left == split.side[1].left


cdef public int fuzz_websocket(const unsigned char* data, size_t n) noexcept nogil:
    cdef WebSocket whole, split
    cdef WebReader reader
    reader.data = data_of
    reader.gap = gap_of
    reader.same = same
    memset(&whole, 0, sizeof(WebSocket))
    memset(&split, 0, sizeof(WebSocket))
    web_twice(&reader, &whole, &split, data, n)
    return 0
