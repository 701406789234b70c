# ICMP and ICMPv6 echo: how long until the first reply.
#
# Invariants: a reply must come from the other side of the flow with the same identifier and sequence
# number; only the first one counts. A request repeated before its reply keeps its first time, unless
# that is older than ECHO_TIMEOUT_NS (sequence numbers wrap).
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from sensor._native.counters cimport C_ECHO_REQUESTS, C_ECHO_REPLIES
from sensor._native.packet cimport sensor_mum
from sensor._native.sink cimport AppSink, sink_count, sink_latency, L_ICMP_ECHO
from sensor._native.waiting cimport WaitSlot, wait_find, wait_put, wait_room

cdef enum:
    ECHO_SETS = 1024               # x 4 ways x 16 B = 64 KiB

cdef extern from *:
    """
    #define ECHO_TIMEOUT_NS 30000000000ULL
    """
    uint64_t ECHO_TIMEOUT_NS

cdef struct EchoTable:             # all zero and a secret = fresh
    WaitSlot slots[ECHO_SETS * 4]
    uint64_t secret[2]
    uint64_t evicted               # requests forgotten because their set was full


cdef inline void echo_message(EchoTable* t, AppSink* sink, uint64_t flow_hash, bint from_orig,
                              bint reply, uint16_t id, uint16_t seq) noexcept nogil:
    # An echo request (types 8, 128) or reply (0, 129); `flow_hash` is the same for both directions.
    cdef bint asker = not from_orig if reply else from_orig
    cdef uint32_t what = <uint32_t> id << 16 | seq
    cdef uint64_t key = sensor_mum(
        flow_hash ^ t.secret[0],
        (<uint64_t> what << 1 | <uint64_t> (1 if asker else 0)) ^ t.secret[1])
    cdef WaitSlot* first = &t.slots[(key & (ECHO_SETS - 1)) * 4]
    cdef WaitSlot* slot = wait_find(first, key, what, False)
    cdef bint fresh = slot != NULL and sink.ts_ns - slot.t_ns < ECHO_TIMEOUT_NS
    sink_count(sink, C_ECHO_REPLIES if reply else C_ECHO_REQUESTS, 1)
    if reply:
        if fresh:
            sink_latency(sink, L_ICMP_ECHO, slot.t_ns, sink.ts_ns)
        if slot != NULL:
            slot.tag = 0
        return
    if fresh:
        return
    if slot == NULL:
        slot = wait_room(first, sink.ts_ns)
        if slot.tag and sink.ts_ns - slot.t_ns < ECHO_TIMEOUT_NS:
            t.evicted += 1
    wait_put(slot, key, what, sink.ts_ns)
