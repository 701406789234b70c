# HDR histogram counts (Gil Tene's layout, as the hdrhistogram packages have it):
# unit 1, value 0..highest; index = ((p + 1) << half_bits) + ((v >> p) - half), linear below
# 2 * half.
#
# Invariants: counts[0..n), n == HIST3_LEN or HIST2_LEN; a value above the highest is recorded as
# the highest and counted in `clamped`. Values are microseconds; sum_ns and the extrema keep ns.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from *:
    """
    static inline int sensor_bitlen(uint64_t v) { return v ? 64 - __builtin_clzll(v) : 0; }
    """
    int sensor_bitlen(uint64_t v) noexcept nogil

cdef enum:
    HIST_HIGHEST_US = 60000000     # 60 s
    HIST3_LEN = 17408              # 3 significant digits, 1 us .. 60 s: 68 KiB
    HIST2_LEN = 2560               # 2 significant digits: 10 KiB (both checked in tests)

cdef struct Hist:
    uint32_t* counts
    uint32_t half_bits             # 10 for 3 digits, 7 for 2 digits
    uint32_t clamped
    uint64_t total
    uint64_t sum_ns
    uint64_t min_ns
    uint64_t max_ns


cdef inline uint32_t hist_index(uint32_t half_bits, uint64_t v) noexcept nogil:
    cdef uint64_t mask = (<uint64_t> 2 << half_bits) - 1
    cdef uint32_t p = <uint32_t> (sensor_bitlen(v | mask) - <int> (half_bits + 1))
    return ((p + 1) << half_bits) + <uint32_t> ((v >> p) - (<uint64_t> 1 << half_bits))


cdef inline void hist_record(Hist* h, uint64_t ns) noexcept nogil:
    cdef uint64_t us = (ns + 500) // 1000
    if us > HIST_HIGHEST_US:
        us = HIST_HIGHEST_US
        h.clamped += 1
    h.counts[hist_index(h.half_bits, us)] += 1
    h.total += 1
    h.sum_ns += ns
    if ns < h.min_ns:
        h.min_ns = ns
    if ns > h.max_ns:
        h.max_ns = ns
