# The canonical flow key of packet.pxd: both directions of a connection have the same one.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    MAPPED = 0xffff              # second word of ::ffff:a.b.c.d, above the address


cdef inline uint64_t mapped_ipv4(uint32_t address) noexcept nogil:
    return <uint64_t> MAPPED << 32 | address


cdef inline uint8_t key_set(uint64_t* key, uint64_t s0, uint64_t s1, uint64_t d0, uint64_t d1,
                            uint16_t sport, uint16_t dport, uint8_t proto) noexcept nogil:
    # Returns 0 when the sender (s, sport) is side A, the smaller one, else 1.
    cdef bint swap
    if s0 != d0:
        swap = s0 > d0
    elif s1 != d1:
        swap = s1 > d1
    else:
        swap = sport > dport
    if swap:
        key[0] = d0
        key[1] = d1
        key[2] = s0
        key[3] = s1
        key[4] = <uint64_t> dport << 48 | <uint64_t> sport << 32 | proto
        return 1
    key[0] = s0
    key[1] = s1
    key[2] = d0
    key[3] = d1
    key[4] = <uint64_t> sport << 48 | <uint64_t> dport << 32 | proto
    return 0
