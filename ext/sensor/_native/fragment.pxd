# Fragments without reassembly: which flow the fragments without a transport header belong to.
#
# Invariants: FRAGMENT_SETS x FRAGMENT_WAYS entries, never more; an entry counts only within
# FRAGMENT_LIFETIME_NS of packet time (both ways: captures run backwards); the set is chosen by a
# keyed hash, so that nobody outside can aim at one; pushing out a live entry is counted.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from sensor._native.packet cimport key_hash

cdef enum:
    FRAGMENT_SETS = 1024
    FRAGMENT_WAYS = 4
cdef enum:
    FRAGMENT_LIFETIME_NS = 2000000000

cdef struct Fragment:
    uint64_t id[5]             # source, destination, identification << 8 | protocol
    uint64_t key[5]            # the flow
    uint64_t ts_ns             # of the first fragment
    uint32_t hash
    uint8_t dir
    uint8_t proto
    uint8_t live

cdef struct FragmentTable:
    Fragment entry[FRAGMENT_SETS * FRAGMENT_WAYS]


cdef inline bint fragment_fresh(const Fragment* f, uint64_t now) noexcept nogil:
    cdef uint64_t age = now - f.ts_ns if now >= f.ts_ns else f.ts_ns - now
    return f.live and age <= FRAGMENT_LIFETIME_NS


cdef inline Fragment* fragment_find(FragmentTable* t, const uint64_t* secret, const uint64_t* id,
                                    uint64_t now) noexcept nogil:
    cdef Fragment* f = &t.entry[(key_hash(id, secret) & (FRAGMENT_SETS - 1)) * FRAGMENT_WAYS]
    cdef uint32_t i
    for i in range(<uint32_t> FRAGMENT_WAYS):
        if fragment_fresh(&f[i], now) and memcmp(f[i].id, id, 40) == 0:
            return &f[i]
    return NULL


cdef inline bint fragment_store(FragmentTable* t, const uint64_t* secret, const uint64_t* id,
                                uint64_t now, const uint64_t* key, uint32_t hash, uint8_t dir,
                                uint8_t proto) noexcept nogil:
    # True when a live entry had to go for it: the oldest of the set.
    cdef Fragment* f = &t.entry[(key_hash(id, secret) & (FRAGMENT_SETS - 1)) * FRAGMENT_WAYS]
    cdef Fragment* into = f
    cdef uint32_t i
    cdef bint evicted
    for i in range(<uint32_t> FRAGMENT_WAYS):
        if f[i].live and memcmp(f[i].id, id, 40) == 0:
            into = &f[i]
            break
        if not fragment_fresh(&f[i], now):
            if fragment_fresh(into, now):
                into = &f[i]
        elif fragment_fresh(into, now) and f[i].ts_ns < into.ts_ns:
            into = &f[i]
    evicted = fragment_fresh(into, now) and memcmp(into.id, id, 40) != 0
    memcpy(into.id, id, 40)
    memcpy(into.key, key, 40)
    into.ts_ns = now
    into.hash = hash
    into.dir = dir
    into.proto = proto
    into.live = 1
    return evicted
