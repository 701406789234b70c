# Small fixed summaries of many keys: how many distinct ones, and which are frequent.
#
# Invariants: all-zero = empty; each takes a 64-bit hash keyed with a secret, so that nobody outside
# can choose what collides; nothing here allocates or loops over more than its own size.
#   Hll     64 registers (Flajolet et al. 2007): standard error 13 %
#   Marks   linear counter of 1,024 bits (Whang et al. 1990): good to about 5,000
#   Top     Misra-Gries with 4 counters (1982): a key with more than a fifth of the weight is in it,
#           and its count is a lower bound
#   Mix     64 counts of a hashed key: the share of the most frequent one, from above
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

cdef extern from "math.h":
    double log(double x) noexcept nogil

cdef extern from *:
    """
    static const float sensor_two_to_minus[64] = {
        1.0f, 0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f, 0.0078125f,
        0x1p-8f, 0x1p-9f, 0x1p-10f, 0x1p-11f, 0x1p-12f, 0x1p-13f, 0x1p-14f, 0x1p-15f,
        0x1p-16f, 0x1p-17f, 0x1p-18f, 0x1p-19f, 0x1p-20f, 0x1p-21f, 0x1p-22f, 0x1p-23f,
        0x1p-24f, 0x1p-25f, 0x1p-26f, 0x1p-27f, 0x1p-28f, 0x1p-29f, 0x1p-30f, 0x1p-31f,
        0x1p-32f, 0x1p-33f, 0x1p-34f, 0x1p-35f, 0x1p-36f, 0x1p-37f, 0x1p-38f, 0x1p-39f,
        0x1p-40f, 0x1p-41f, 0x1p-42f, 0x1p-43f, 0x1p-44f, 0x1p-45f, 0x1p-46f, 0x1p-47f,
        0x1p-48f, 0x1p-49f, 0x1p-50f, 0x1p-51f, 0x1p-52f, 0x1p-53f, 0x1p-54f, 0x1p-55f,
        0x1p-56f, 0x1p-57f, 0x1p-58f, 0x1p-59f, 0x1p-60f, 0x1p-61f, 0x1p-62f, 0x1p-63f};
    """
    const float* two_to_minus "sensor_two_to_minus"
    int ctzll "__builtin_ctzll"(unsigned long long x) noexcept nogil
    int popcountll "__builtin_popcountll"(unsigned long long x) noexcept nogil

cdef enum:
    HLL_REGISTERS = 64
    MARK_WORDS = 16
    TOP_KEYS = 4
    MIX_BUCKETS = 64

cdef struct Hll:
    uint8_t rank[HLL_REGISTERS]

cdef struct Marks:
    uint64_t word[MARK_WORDS]
    uint64_t used                # bits set

cdef struct TopKey:
    uint64_t hi                  # host byte order; IPv4 as ::ffff:a.b.c.d
    uint64_t lo
    uint32_t count
    uint16_t port                # 0: several

cdef struct Top:
    TopKey key[TOP_KEYS]
    uint32_t total               # weight of all keys

cdef struct Mix:
    uint16_t count[MIX_BUCKETS]
    uint32_t total


cdef inline void hll_add(Hll* s, uint64_t hash) noexcept nogil:
    cdef uint32_t i = <uint32_t> hash & (HLL_REGISTERS - 1)
    cdef uint8_t rank = <uint8_t> (ctzll((hash >> 6) | (<uint64_t> 1 << 57)) + 1)
    if rank > s.rank[i]:
        s.rank[i] = rank


cdef inline float hll_estimate(const Hll* s) noexcept nogil:
    # With linear counting below 2.5 m, as in the paper.
    cdef double harmonic = 0
    cdef uint32_t empty = 0
    cdef uint32_t i
    cdef double e
    for i in range(<uint32_t> HLL_REGISTERS):
        harmonic += two_to_minus[s.rank[i]]
        if s.rank[i] == 0:
            empty += 1
    if empty == HLL_REGISTERS:
        return 0
    e = 0.709 * HLL_REGISTERS * HLL_REGISTERS / harmonic
    if e <= 2.5 * HLL_REGISTERS and empty:
        e = HLL_REGISTERS * log(<double> HLL_REGISTERS / empty)
    return <float> e


cdef inline bint marks_add(Marks* s, uint64_t hash) noexcept nogil:
    # Whether it was new.
    cdef uint64_t bit = <uint64_t> 1 << (hash & 63)
    cdef uint64_t* word = &s.word[(hash >> 6) & (MARK_WORDS - 1)]
    if word[0] & bit:
        return False
    word[0] |= bit
    s.used += 1
    return True


cdef inline float marks_estimate(const Marks* s) noexcept nogil:
    cdef uint64_t used = s.used
    if used == 0:
        return 0
    if used >= 64 * MARK_WORDS:
        used = 64 * MARK_WORDS - 1                         # full: a lower bound, about 7,000
    return <float> (-64.0 * MARK_WORDS * log(1.0 - used / (64.0 * MARK_WORDS)))


cdef inline void top_add(Top* s, uint64_t hi, uint64_t lo, uint16_t port,
                         uint32_t weight) noexcept nogil:
    cdef uint32_t i
    cdef int free = -1
    cdef uint32_t least = weight
    s.total += weight
    for i in range(<uint32_t> TOP_KEYS):
        if s.key[i].count == 0:
            free = <int> i
        elif s.key[i].lo == lo and s.key[i].hi == hi:
            s.key[i].count += weight
            if s.key[i].port != port:
                s.key[i].port = 0
            return
        elif s.key[i].count < least:
            least = s.key[i].count
    if free >= 0:
        s.key[free].hi = hi
        s.key[free].lo = lo
        s.key[free].port = port
        s.key[free].count = weight
        return
    for i in range(<uint32_t> TOP_KEYS):
        s.key[i].count -= least


cdef inline uint32_t top_first(const Top* s) noexcept nogil:
    cdef uint32_t best = 0
    cdef uint32_t i
    for i in range(<uint32_t> 1, <uint32_t> TOP_KEYS):
        if s.key[i].count > s.key[best].count:
            best = i
    return best


cdef inline void mix_add(Mix* s, uint64_t hash) noexcept nogil:
    cdef uint16_t* count = &s.count[(hash >> 32) & (MIX_BUCKETS - 1)]
    if count[0] < 0xffff:
        count[0] += 1
    s.total += 1


cdef inline float mix_top_share(const Mix* s) noexcept nogil:
    cdef uint32_t most = 0
    cdef uint32_t i
    if s.total == 0:
        return 0
    for i in range(<uint32_t> MIX_BUCKETS):
        if s.count[i] > most:
            most = s.count[i]
    return <float> most / <float> s.total


# ---- two summaries of the same kind and secret as one (Agarwal et al. 2012)

cdef inline void hll_merge(Hll* into, const Hll* other) noexcept nogil:
    # As if all keys of both had been added to one.
    cdef uint32_t i
    for i in range(<uint32_t> HLL_REGISTERS):
        if other.rank[i] > into.rank[i]:
            into.rank[i] = other.rank[i]


cdef inline void marks_merge(Marks* into, const Marks* other) noexcept nogil:
    # Likewise.
    cdef uint32_t i
    into.used = 0
    for i in range(<uint32_t> MARK_WORDS):
        into.word[i] |= other.word[i]
        into.used += <uint64_t> popcountll(into.word[i])


cdef inline void mix_merge(Mix* into, const Mix* other) noexcept nogil:
    # Likewise.
    cdef uint32_t i
    cdef uint32_t sum
    for i in range(<uint32_t> MIX_BUCKETS):
        sum = <uint32_t> into.count[i] + other.count[i]
        into.count[i] = <uint16_t> (sum if sum < 0xffff else 0xffff)
    into.total += other.total


cdef inline void top_merge(Top* into, const Top* other) noexcept nogil:
    # The sums of both, less the largest that has no room: what Misra-Gries promises still holds.
    cdef TopKey both[2 * TOP_KEYS]
    cdef TopKey key
    cdef uint32_t n = 0
    cdef uint32_t i
    cdef uint32_t k
    cdef uint32_t least = 0
    for i in range(<uint32_t> TOP_KEYS):
        if into.key[i].count:
            both[n] = into.key[i]
            n += 1
    for i in range(<uint32_t> TOP_KEYS):
        if other.key[i].count == 0:
            continue
        k = 0
        while k < n and (both[k].lo != other.key[i].lo or both[k].hi != other.key[i].hi):
            k += 1
        if k == n:
            both[n] = other.key[i]
            n += 1
            continue
        both[k].count += other.key[i].count
        if both[k].port != other.key[i].port:
            both[k].port = 0
    for i in range(<uint32_t> 1, n):                       # largest first
        key = both[i]
        k = i
        while k and both[k - 1].count < key.count:
            both[k] = both[k - 1]
            k -= 1
        both[k] = key
    if n > TOP_KEYS:
        least = both[<int> TOP_KEYS].count
    for i in range(<uint32_t> TOP_KEYS):
        if i < n and both[i].count > least:
            into.key[i] = both[i]
            into.key[i].count -= least
        else:
            memset(&into.key[i], 0, sizeof(TopKey))
    into.total += other.total
