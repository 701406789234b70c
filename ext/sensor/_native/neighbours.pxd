# Who claims which address on the link: ARP (RFC 826) and neighbour advertisements (RFC 4861).
#
# Invariants: at most NEIGHBOURS addresses, in sets of WAYS; a new one takes the place of the set's
# longest silent; reads p[0..n) only. An address whose MAC goes back and forth, or a MAC that claims
# several addresses nobody asked for, is what ARP spoofing looks like. The virtual MACs of VRRP,
# HSRP, GLBP and CARP move between machines on purpose and are not kept.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from sensor._native.packet cimport sensor_mum
from sensor._native.span cimport sensor_be16, sensor_be32, sensor_be64

cdef extern from *:
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil

cdef enum:
    NEIGHBOURS = 2048
    WAYS = 8
    ASKED_NS = 5000000000          # an answer within this time was asked for
    MEMORY_NS = 60000000000        # how long flips and unasked answers are remembered
    ARP_REQUEST = 1
    ARP_REPLY = 2

cdef struct Neighbour:
    uint64_t hi                    # the address; IPv4 as ::ffff:a.b.c.d
    uint64_t lo
    uint64_t mac                   # 48 bits
    uint64_t heard_ns
    uint64_t asked_ns              # somebody asked for it
    uint64_t since_ns              # flips and unasked: counted from here
    uint32_t flips                 # changes of the MAC
    uint32_t unasked               # claims nobody asked for
    uint32_t second                # of these two
    uint32_t replies
    uint32_t requests

cdef struct NeighbourRow:          # dtypes.NEIGHBOUR
    uint32_t slot
    uint32_t generation
    uint64_t address[2]
    uint64_t mac
    uint32_t flips
    uint32_t claims
    uint32_t unasked
    uint32_t replies
    uint32_t requests
    uint32_t reserved

cdef struct Neighbours:
    Neighbour entry[NEIGHBOURS]
    uint32_t second                # number of the one being counted; from 1
    uint64_t evicted


cdef inline bint mac_is_virtual(uint64_t mac) noexcept nogil:
    return (mac >> 16 == 0x00005e00 or mac >> 8 == 0x00005e0001 or mac >> 8 == 0x00005e0002
            or mac >> 8 == 0x00000c07ac or mac >> 12 == 0x00000c9ff or mac >> 16 == 0x0007b400)


cdef inline Neighbour* neighbour_get(Neighbours* t, uint64_t hi, uint64_t lo,
                                     const uint64_t* secret) noexcept nogil:
    cdef uint64_t h = sensor_mum(hi ^ secret[1], lo ^ secret[2])
    cdef Neighbour* set = &t.entry[(h ^ (h >> 32)) & (NEIGHBOURS - WAYS)]
    cdef Neighbour* oldest = set
    cdef uint32_t i
    for i in range(<uint32_t> WAYS):
        if set[i].lo == lo and set[i].hi == hi:
            oldest = &set[i]
            break
        if set[i].heard_ns < oldest.heard_ns:
            oldest = &set[i]
    else:
        if oldest.heard_ns:
            t.evicted += 1
        memset(oldest, 0, sizeof(Neighbour))
        oldest.hi = hi
        oldest.lo = lo
    if oldest.second != t.second:
        oldest.second = t.second
        oldest.replies = oldest.requests = 0
    return oldest


cdef inline void neighbour_claims(Neighbours* t, uint64_t hi, uint64_t lo, uint64_t mac,
                                  bint announced, uint64_t ts_ns, const uint64_t* secret) noexcept nogil:
    # `announced`: not sent as somebody's answer, but by its own sender about itself (a request, a
    # gratuitous broadcast): that needs no question.
    cdef Neighbour* e
    if mac == 0 or (hi == 0 and lo == <uint64_t> 0xffff << 32) or mac_is_virtual(mac):
        return
    e = neighbour_get(t, hi, lo, secret)
    if ts_ns > e.since_ns + <uint64_t> MEMORY_NS or ts_ns < e.since_ns:
        e.since_ns = ts_ns
        e.flips = e.unasked = 0
    if e.mac and e.mac != mac:
        e.flips += 1
    if not announced and (ts_ns > e.asked_ns + <uint64_t> ASKED_NS or ts_ns < e.asked_ns):
        e.unasked += 1
    e.mac = mac
    e.heard_ns = ts_ns
    e.replies += not announced


cdef inline void neighbour_asked(Neighbours* t, uint64_t hi, uint64_t lo, uint64_t ts_ns,
                                 const uint64_t* secret) noexcept nogil:
    cdef Neighbour* e = neighbour_get(t, hi, lo, secret)
    e.asked_ns = e.heard_ns = ts_ns
    e.requests += 1


cdef inline void neighbour_arp(Neighbours* t, const uint8_t* p, uint32_t n, uint64_t ts_ns,
                               const uint64_t* secret) noexcept nogil:
    # An ARP message for IPv4 over Ethernet; others say nothing here.
    cdef uint16_t op
    cdef uint64_t mac
    cdef uint64_t sender
    cdef uint64_t target
    if n < 28 or sensor_be32(p) != 0x00010800 or sensor_be16(p + 4) != 0x0604:
        return
    op = sensor_be16(p + 6)
    mac = <uint64_t> sensor_be16(p + 8) << 32 | sensor_be32(p + 10)
    sender = <uint64_t> 0xffff << 32 | sensor_be32(p + 14)
    target = <uint64_t> 0xffff << 32 | sensor_be32(p + 24)
    if op == ARP_REQUEST:
        if sender != target:
            neighbour_asked(t, 0, target, ts_ns, secret)
        neighbour_claims(t, 0, sender, mac, True, ts_ns, secret)
    elif op == ARP_REPLY:
        neighbour_claims(t, 0, sender, mac, sender == target, ts_ns, secret)


cdef inline void neighbour_icmp6(Neighbours* t, uint8_t kind, const uint8_t* p, uint32_t n,
                                 uint32_t word, uint64_t ts_ns, const uint64_t* secret) noexcept nogil:
    # Neighbour solicitation (135) and advertisement (136), behind the ICMPv6 header, whose second
    # word holds the advertisement's flags.
    cdef uint32_t at = 16
    cdef uint64_t hi
    cdef uint64_t lo
    if n < 16:
        return
    hi = sensor_be64(p)
    lo = sensor_be64(p + 8)
    if kind == 135:
        neighbour_asked(t, hi, lo, ts_ns, secret)
        return
    while at + 8 <= n and p[at + 1]:
        if p[at] == 2 and p[at + 1] == 1:                  # target link-layer address
            neighbour_claims(t, hi, lo, <uint64_t> sensor_be16(p + at + 2) << 32
                             | sensor_be32(p + at + 4), not word >> 30 & 1, ts_ns, secret)
            return
        at += <uint32_t> p[at + 1] * 8


cdef inline uint32_t neighbour_rows(const Neighbours* t, NeighbourRow* out) noexcept nogil:
    # Rows of the addresses that said or were asked something in this second; how many.
    cdef uint32_t n = 0
    cdef uint32_t i
    cdef uint32_t k
    cdef const Neighbour* e
    for i in range(<uint32_t> NEIGHBOURS):
        e = &t.entry[i]
        if e.second != t.second or not (e.replies or e.flips):
            continue
        out[n].slot = i
        out[n].generation = <uint32_t> (e.lo ^ e.hi)
        out[n].address[0] = __builtin_bswap64(e.hi)
        out[n].address[1] = __builtin_bswap64(e.lo)
        out[n].mac = __builtin_bswap64(e.mac << 16)        # six octets, then two of zero
        out[n].flips = e.flips
        out[n].unasked = e.unasked
        out[n].replies = e.replies
        out[n].requests = e.requests
        out[n].reserved = 0
        out[n].claims = 0
        for k in range(<uint32_t> NEIGHBOURS):
            if t.entry[k].mac == e.mac and t.entry[k].unasked:
                out[n].claims += 1
        n += 1
        if n == WAYS * 8:
            break                                          # bounds the work; the rest comes again
    return n
