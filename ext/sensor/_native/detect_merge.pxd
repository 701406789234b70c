# What several engines of one agent saw of the same second, as one: rows of the same key are added
# up. The engines have the same secret, so that their sketches are of the same hashes.
#
# Invariants: a slot on its way (`window`: 1 was touched in this second, 0 only stands) is a copy; a
# source's failures move out of their engine with it, so that each is added once. What an engine
# keeps of them is which contacts it has looked at.
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from sensor._native.detect_count cimport TRW_FLOOR
from sensor._native.features cimport F_COUNT, G_COUNT
from sensor._native.sketch cimport Hll, Marks, hll_merge, marks_merge, mix_merge, top_merge
from sensor._native.slots cimport (
    Scan, Slot, SlotTable, slot_at, slot_count, slot_wake)


cdef inline bint slot_stands(const Slot* s) noexcept nogil:
    # Whether anything is so without being told again: connections that are open.
    cdef uint32_t i
    cdef uint32_t any = 0
    for i in range(<uint32_t> G_COUNT):
        any |= s.gauge[i]
    return any != 0


cdef inline bint slot_goes(const SlotTable* t, const Slot* s) noexcept nogil:
    # Whether it has to be known elsewhere.
    return s.window == t.window or slot_stands(s)


cdef inline void slot_leave(const SlotTable* t, Slot* s, Slot* out) noexcept nogil:
    out[0] = s[0]
    out.window = s.window == t.window
    if not t.web:
        memset(&s.x.scan.hosts, 0, sizeof(Hll))
        memset(&s.x.scan.ports, 0, sizeof(Marks))
        memset(&s.x.scan.services, 0, sizeof(Marks))
        memset(&s.x.scan.echoed, 0, sizeof(Hll))
        s.x.scan.failures = s.x.scan.successes = 0
        s.x.scan.score = 0


cdef inline void scan_merge(Scan* into, const Scan* other, uint32_t window) noexcept nogil:
    # Only the first contact with a destination's port counts, whoever saw it: of what another engine
    # looked at already, the part is left out.
    cdef uint64_t known = into.contacts.used
    cdef uint32_t looked = other.failures + other.successes
    cdef uint32_t first
    cdef float share = 1
    if other.since and not into.since:
        into.since = window
    marks_merge(&into.contacts, &other.contacts)
    first = <uint32_t> (into.contacts.used - known)
    if first < looked:
        share = <float> first / <float> looked
    hll_merge(&into.hosts, &other.hosts)
    marks_merge(&into.ports, &other.ports)
    marks_merge(&into.services, &other.services)
    hll_merge(&into.echoed, &other.echoed)
    into.failures += <uint32_t> (share * other.failures + 0.5)
    into.successes += <uint32_t> (share * other.successes + 0.5)
    into.score += share * other.score
    if into.score < TRW_FLOOR:
        into.score = TRW_FLOOR


cdef inline void slot_merge(SlotTable* t, const Slot* other) noexcept nogil:
    # Into the key's slot, made when it is new; without room it is counted by the table.
    cdef Slot* s = slot_at(t, other.hash, other.hi, other.lo, other.port, other.protocol)
    cdef uint32_t i
    if s == NULL:
        return
    for i in range(<uint32_t> G_COUNT):
        s.gauge[i] += other.gauge[i]
    if other.window == 0:
        return
    slot_wake(t, s, t.last)
    s.local = other.local
    for i in range(<uint32_t> F_COUNT):
        slot_count(s, i, other.n[i])
    hll_merge(&s.peers, &other.peers)
    marks_merge(&s.ports, &other.ports)
    top_merge(&s.top, &other.top)
    if t.web:
        marks_merge(&s.x.web.uris, &other.x.web.uris)
        mix_merge(&s.x.web.paths, &other.x.web.paths)
    else:
        scan_merge(&s.x.scan, &other.x.scan, t.window)


cdef inline void gauges_clear(SlotTable* t) noexcept nogil:
    cdef uint32_t i
    for i in range(t.high):
        memset(t.slots[i].gauge, 0, sizeof(t.slots[i].gauge))
