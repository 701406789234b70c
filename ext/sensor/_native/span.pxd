# A borrowed run of packet bytes, and the only code that reads them.
#
# Invariants: `p` is readable for exactly `n` octets; nobody here owns it.
# Cython's boundscheck does not guard raw pointers, so these readers ARE the bounds check:
# a parser first proves span_has(s, k) and then reads offsets below k.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if SENSOR_CHECKED
    #include <stdlib.h>
    #define SPAN_PROVE(ok) do { if (!(ok)) abort(); } while (0)
    #else
    #define SPAN_PROVE(ok) ((void)0)
    #endif
    static inline uint16_t sensor_be16(const uint8_t *p) {
        uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
    static inline uint32_t sensor_be32(const uint8_t *p) {
        uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
    static inline uint64_t sensor_be64(const uint8_t *p) {
        uint64_t v; memcpy(&v, p, 8); return __builtin_bswap64(v); }
    static inline void sensor_prefetch(const void *p) { __builtin_prefetch(p, 1); }
    """
    void SPAN_PROVE(bint ok) noexcept nogil
    uint16_t sensor_be16(const uint8_t* p) noexcept nogil
    uint32_t sensor_be32(const uint8_t* p) noexcept nogil
    uint64_t sensor_be64(const uint8_t* p) noexcept nogil
    void sensor_prefetch(const void* p) noexcept nogil


cdef struct Span:
    const uint8_t* p
    uint32_t n


cdef inline Span span_of(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef Span s
    s.p = p
    s.n = n
    return s


cdef inline bint span_has(const Span* s, uint32_t need) noexcept nogil:
    return s.n >= need


cdef inline uint8_t span_u8(const Span* s, uint32_t at) noexcept nogil:
    # Caller has proved span_has(s, at + 1).
    SPAN_PROVE(at + 1 <= s.n)
    return s.p[at]


cdef inline uint16_t span_be16(const Span* s, uint32_t at) noexcept nogil:
    # Caller has proved span_has(s, at + 2).
    SPAN_PROVE(at + 2 <= s.n)
    return sensor_be16(s.p + at)


cdef inline uint32_t span_be32(const Span* s, uint32_t at) noexcept nogil:
    # Caller has proved span_has(s, at + 4).
    SPAN_PROVE(at + 4 <= s.n)
    return sensor_be32(s.p + at)


cdef inline uint64_t span_be64(const Span* s, uint32_t at) noexcept nogil:
    # Caller has proved span_has(s, at + 8).
    SPAN_PROVE(at + 8 <= s.n)
    return sensor_be64(s.p + at)


cdef inline Span span_from(const Span* s, uint32_t at) noexcept nogil:
    # The rest of `s` from `at`; empty when `at` is past the end.
    cdef Span r
    if at > s.n:
        at = s.n
    r.p = s.p + at
    r.n = s.n - at
    return r
