# Hash index: buckets of 8 (16-bit tag, 32-bit entry) slots, one cache line each.
#
# Invariants: a slot with entry SLOT_FREE is free; an entry stands in exactly one slot, in the
# bucket of its hash. A find looks at one bucket only (bounded work, no tombstones); a full bucket
# makes the owner evict. A tag never proves equality: the caller compares keys.
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from sensor._native.span cimport sensor_prefetch

cdef enum:
    BUCKET_SLOTS = 8

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #define SLOT_FREE 0xffffffffu
    typedef struct __attribute__((aligned(64))) {
        uint16_t tag[8]; uint32_t entry[8]; uint32_t pad[4]; } sensor_bucket;
    /* Bit i set: tag[i] == tag. */
    #ifdef __SSE2__
    #include <emmintrin.h>
    static inline uint32_t sensor_bucket_match(const sensor_bucket *b, uint16_t tag) {
        __m128i equal = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)b->tag),
                                        _mm_set1_epi16((short)tag));
        return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
    }
    #else
    static inline uint32_t sensor_bucket_match(const sensor_bucket *b, uint16_t tag) {
        uint32_t m = 0;
        for (int i = 0; i < 8; i++) m |= (uint32_t)(b->tag[i] == tag) << i;
        return m;
    }
    #endif
    """
    const uint32_t SLOT_FREE
    ctypedef struct Bucket "sensor_bucket":
        uint16_t tag[8]
        uint32_t entry[8]
    uint32_t sensor_bucket_match(const Bucket* b, uint16_t tag) noexcept nogil
    int ctz "__builtin_ctz"(unsigned int x) noexcept nogil

cdef struct TagIndex:
    Bucket* buckets
    uint32_t mask


cdef inline uint16_t tag_of(uint32_t hash) noexcept nogil:
    return <uint16_t> (hash >> 16) | 1      # 0 is the tag of a free slot


cdef inline Bucket* index_bucket(TagIndex* t, uint32_t hash) noexcept nogil:
    return &t.buckets[hash & t.mask]


cdef inline void index_prefetch(TagIndex* t, uint32_t hash) noexcept nogil:
    sensor_prefetch(index_bucket(t, hash))


cdef inline bint index_insert(TagIndex* t, uint32_t hash, uint32_t entry) noexcept nogil:
    # False: the bucket is full.
    cdef Bucket* b = index_bucket(t, hash)
    cdef uint32_t free = sensor_bucket_match(b, 0)
    cdef int i
    if free == 0:
        return False
    i = ctz(free)
    b.tag[i] = tag_of(hash)
    b.entry[i] = entry
    return True


cdef inline void index_remove(TagIndex* t, uint32_t hash, uint32_t entry) noexcept nogil:
    cdef Bucket* b = index_bucket(t, hash)
    cdef uint32_t m = sensor_bucket_match(b, tag_of(hash))
    cdef int i
    while m:
        i = ctz(m)
        if b.entry[i] == entry:
            b.tag[i] = 0
            b.entry[i] = SLOT_FREE
            return
        m &= m - 1
