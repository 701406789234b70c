# Invariant: whatever is recorded, no count is written outside counts[0..n), the counts add up to
# `total`, and the index grows with the value.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, calloc, free
from libc.string cimport memcpy
from sensor._native.histogram cimport (
    HIST2_LEN, HIST3_LEN, HIST_HIGHEST_US, Hist, hist_index, hist_record,
)


cdef int check(uint32_t half_bits, uint32_t length, const uint8_t* data, size_t n) noexcept nogil:
    cdef Hist h
    cdef uint64_t value, before = 0, sum = 0
    cdef uint32_t i, index, last = 0
    cdef size_t at = 0
    # On the heap and exactly as long as promised: AddressSanitizer sees one slot too many.
    h.counts = <uint32_t*> calloc(length, sizeof(uint32_t))
    if h.counts == NULL:
        return 0
    h.half_bits = half_bits
    h.clamped = 0
    h.total = h.sum_ns = h.max_ns = 0
    h.min_ns = <uint64_t> -1
    while n - at >= 8:
        memcpy(&value, data + at, 8)
        at += 8
        hist_record(&h, value)
        value %= HIST_HIGHEST_US + 1
        index = hist_index(half_bits, value)
        if index >= length or (value >= before and index < last):
            abort()
        before = value
        last = index
    for i in range(length):
        sum += h.counts[i]
    if sum != h.total or h.total != at // 8 or (h.total and h.min_ns > h.max_ns):
        abort()
    free(h.counts)
    return 0


cdef public int fuzz_histogram(const unsigned char* data, size_t n) noexcept nogil:
    check(10, HIST3_LEN, data, n)
    check(7, HIST2_LEN, data, n)
    return 0
