"""Test door of histogram.pxd: index and record, with the counts handed out as a copy."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from sensor._native.histogram cimport (
    HIST2_LEN, HIST3_LEN, HIST_HIGHEST_US, Hist, hist_index, hist_record,
)

HIGHEST_US = HIST_HIGHEST_US
LENGTHS = {2: HIST2_LEN, 3: HIST3_LEN}
HALF_BITS = {2: 7, 3: 10}


def index(int digits, const uint64_t[::1] values_us) -> list[int]:
    """The slot of each value; the values must not exceed HIGHEST_US."""
    cdef uint32_t half_bits = HALF_BITS[digits]
    cdef Py_ssize_t i
    return [hist_index(half_bits, values_us[i]) for i in range(values_us.shape[0])]


def record(int digits, const uint64_t[::1] values_ns) -> dict[str, object]:
    """Record durations and give back the histogram's fields; `counts` is a list."""
    cdef Hist h
    cdef uint32_t length = LENGTHS[digits]
    cdef Py_ssize_t i
    h.counts = <uint32_t*> calloc(length, sizeof(uint32_t))
    if h.counts == NULL:
        raise MemoryError
    h.half_bits = HALF_BITS[digits]
    h.clamped = 0
    h.total = h.sum_ns = h.max_ns = 0
    h.min_ns = <uint64_t> -1
    try:
        for i in range(values_ns.shape[0]):
            hist_record(&h, values_ns[i])
        return {
            "counts": [h.counts[i] for i in range(<Py_ssize_t> length)],
            "clamped": h.clamped,
            "total": h.total,
            "sum_ns": h.sum_ns,
            "min_ns": h.min_ns,
            "max_ns": h.max_ns,
        }
    finally:
        free(h.counts)
