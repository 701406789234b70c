# Taking and giving back the arenas of detection.
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy
from sensor._native.detect cimport (
    ROWS_A_TABLE, T_HOST, T_REFLECTION, T_SERVICE, T_SOURCE, TABLES, Detect)
from sensor._native.domains cimport Domains
from sensor._native.memory cimport arena_free, arena_new
from sensor._native.neighbours cimport Neighbours
from sensor._native.slots cimport ADMIT_A_TICK, Slot, SlotRow, SlotTable
from sensor._native.tag_index cimport Bucket


cdef inline uint32_t slots_of(int table) noexcept nogil:
    # A host has few services; sources are whoever comes.
    if table == T_SOURCE:
        return ROWS_A_TABLE
    if table == T_SERVICE:
        return 4096
    return 2048


cdef inline void detect_free(Detect* d) noexcept nogil:
    cdef SlotTable* t
    cdef int i
    if d == NULL:
        return
    for i in range(TABLES):
        t = &d.table[i]
        arena_free(t.slots, t.capacity * sizeof(Slot))
        arena_free(t.touched, t.capacity * sizeof(uint32_t))
        arena_free(t.index.buckets, (<size_t> t.index.mask + 1) * sizeof(Bucket))
    arena_free(d.neighbours, sizeof(Neighbours))
    arena_free(d.domains, sizeof(Domains))
    arena_free(d.rows, ROWS_A_TABLE * sizeof(SlotRow))
    arena_free(d, sizeof(Detect))


cdef inline Detect* detect_new(const uint64_t* secret) noexcept nogil:
    # NULL without memory.
    cdef Detect* d = <Detect*> arena_new(sizeof(Detect))
    cdef SlotTable* t
    cdef bint whole = True
    cdef int i
    if d == NULL:
        return NULL
    memcpy(d.secret, secret, sizeof(d.secret))
    for i in range(TABLES):
        t = &d.table[i]
        t.capacity = slots_of(i)
        t.index.mask = t.capacity // 2 - 1                 # 8 places a bucket: a quarter full
        t.window = 1
        t.admit_left = ADMIT_A_TICK
        t.web = i == T_SERVICE
        t.slots = <Slot*> arena_new(t.capacity * sizeof(Slot))
        t.touched = <uint32_t*> arena_new(t.capacity * sizeof(uint32_t))
        t.index.buckets = <Bucket*> arena_new((<size_t> t.index.mask + 1) * sizeof(Bucket))
        whole = whole and t.slots != NULL and t.touched != NULL and t.index.buckets != NULL
    d.rows = arena_new(ROWS_A_TABLE * sizeof(SlotRow))
    d.neighbours = <Neighbours*> arena_new(sizeof(Neighbours))
    d.domains = <Domains*> arena_new(sizeof(Domains))
    if not whole or d.rows == NULL or d.neighbours == NULL or d.domains == NULL:
        detect_free(d)
        return NULL
    d.neighbours.second = d.domains.second = 1
    return d
