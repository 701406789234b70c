# The canonical flow key of packet.pxd: both directions of a connection have the same one.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    MAPPED = 0xffff              # second word of ::ffff:a.b.c.d, above the address


cdef inline uint64_t mapped_ipv4(uint32_t address) noexcept nogil:
    return <uint64_t> MAPPED << 32 | address


cdef inline uint8_t key_set(uint64_t* key, uint64_t s0, uint64_t s1, uint64_t d0, uint64_t d1,
                            uint16_t sport, uint16_t dport, uint8_t proto) noexcept nogil:
    # Returns 0 when the sender (s, sport) is side A, the smaller one, else 1. Selects, no branch:
    # the direction of the next packet is what a branch predictor cannot know.
    cdef bint swap = (s0 > d0) | ((s0 == d0) & ((s1 > d1) | ((s1 == d1) & (sport > dport))))
    cdef uint64_t a_port = dport if swap else sport
    cdef uint64_t b_port = sport if swap else dport
    key[0] = d0 if swap else s0
    key[1] = d1 if swap else s1
    key[2] = s0 if swap else d0
    key[3] = s1 if swap else d1
    key[4] = a_port << 48 | b_port << 32 | proto
    return swap
