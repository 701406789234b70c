from libc.stdint cimport uint8_t, uint32_t, uint64_t
from sensor._native.sink cimport AppSink
cdef struct EchoTable:
    int x
cdef inline void echo_message(EchoTable* t, AppSink* s, uint32_t h, uint8_t ty, const uint8_t* p, uint32_t n, uint64_t ts) noexcept nogil:
    pass
