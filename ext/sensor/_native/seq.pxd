# TCP sequence numbers compare modulo 2^32 (RFC 9293 section 3.4); nowhere else.
from libc.stdint cimport int32_t, uint32_t


cdef inline int32_t seq_diff(uint32_t a, uint32_t b) noexcept nogil:
    # a - b: negative when a comes before b.
    return <int32_t> (a - b)
