# Requests that wait for their answer, in sets of four slots; a full set gives up its oldest one.
#
# Invariants: a slot is free when its tag is 0. A request is its `key`, a keyed hash of its flow, its
# direction and what else an answer repeats, and `what`, which is compared to the letter. The low
# bits of the key choose the set, the high ones are the tag.
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    WAIT_WAYS = 4

cdef struct WaitSlot:
    uint64_t t_ns                  # of the first request
    uint32_t tag                   # of the key; 0: free
    uint32_t what


cdef inline uint32_t wait_tag(uint64_t key) noexcept nogil:
    return <uint32_t> (key >> 32) | 1


cdef inline WaitSlot* wait_find(WaitSlot* slots, uint64_t key, uint32_t what,
                                bint any) noexcept nogil:
    # The request in the set that starts at `slots`, or NULL; with `any`, whatever its `what`.
    cdef uint32_t i
    for i in range(<uint32_t> WAIT_WAYS):
        if slots[i].tag == wait_tag(key) and (any or slots[i].what == what):
            return &slots[i]
    return NULL


cdef inline WaitSlot* wait_room(WaitSlot* slots, uint64_t now_ns) noexcept nogil:
    # Where a new request goes: the first free slot, else the oldest, which the caller counts.
    cdef uint32_t i
    cdef uint64_t age
    cdef uint64_t oldest = 0
    cdef WaitSlot* room = slots
    for i in range(<uint32_t> WAIT_WAYS):
        if slots[i].tag == 0:
            return &slots[i]
        age = now_ns - slots[i].t_ns   # a slot from the future is the oldest of all
        if age >= oldest:
            oldest = age
            room = &slots[i]
    return room


cdef inline void wait_put(WaitSlot* slot, uint64_t key, uint32_t what,
                          uint64_t now_ns) noexcept nogil:
    slot.t_ns = now_ns
    slot.tag = wait_tag(key)
    slot.what = what
