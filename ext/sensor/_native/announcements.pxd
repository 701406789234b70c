# What switches and routers say of themselves: LLDP (IEEE 802.1AB) and Cisco's CDP. Kept as they came:
# they are a few a minute, and sensor/metrics/announcements.py reads them.
#
# Invariants: at most ANNOUNCEMENTS of a second and ANNOUNCEMENT_MAX octets of each; the ones beyond
# are counted; reads p[0..n) only.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    ANNOUNCEMENTS = 16
    ANNOUNCEMENT_MAX = 508

cdef struct Announcement:          # dtypes.ANNOUNCEMENT
    uint16_t is_cdp
    uint16_t length
    uint8_t octets[ANNOUNCEMENT_MAX]

cdef struct Announcements:
    Announcement said[ANNOUNCEMENTS]
    uint32_t n                     # of this second
    uint64_t dropped


cdef inline void announcement_keep(Announcements* t, bint is_cdp, const uint8_t* p,
                                   uint32_t n) noexcept nogil:
    cdef Announcement* a
    if t.n == ANNOUNCEMENTS:
        t.dropped += 1
        return
    a = &t.said[t.n]
    t.n += 1
    a.is_cdp = is_cdp
    a.length = <uint16_t> (n if n < ANNOUNCEMENT_MAX else ANNOUNCEMENT_MAX)
    memcpy(a.octets, p, a.length)
    memset(a.octets + a.length, 0, ANNOUNCEMENT_MAX - a.length)
