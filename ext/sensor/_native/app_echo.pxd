# ICMP and ICMPv6 echo: how long until the first reply.
#
# Invariants: a slot with tag 0 is free. A reply must come from the other side of the flow with the
# same identifier and sequence number; only the first one counts. A request repeated before its
# reply keeps its first time, unless that is older than ECHO_TIMEOUT_NS (sequence numbers wrap).
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from sensor._native.counters cimport C_ECHO_REQUESTS, C_ECHO_REPLIES
from sensor._native.packet cimport sensor_mum
from sensor._native.sink cimport AppSink, sink_count, sink_latency, L_ICMP_ECHO

cdef enum:
    ECHO_SETS = 1024               # x 4 ways x 16 B = 64 KiB

cdef extern from *:
    """
    #define ECHO_TIMEOUT_NS 30000000000ULL
    """
    uint64_t ECHO_TIMEOUT_NS

cdef struct EchoSlot:
    uint64_t t_ns
    uint32_t tag                   # of the flow and direction; 0: free
    uint16_t id
    uint16_t seq

cdef struct EchoTable:             # all zero and a secret = fresh
    EchoSlot slots[ECHO_SETS * 4]
    uint64_t secret[2]
    uint64_t evicted               # requests forgotten because their set was full


cdef inline void echo_message(EchoTable* t, AppSink* sink, uint64_t flow_hash, bint from_orig,
                              bint reply, uint16_t id, uint16_t seq) noexcept nogil:
    # An echo request (types 8, 128) or reply (0, 129); `flow_hash` is the same for both directions.
    cdef bint asker = not from_orig if reply else from_orig
    cdef uint64_t key = sensor_mum(
        flow_hash ^ t.secret[0],
        (<uint64_t> id << 17 | <uint64_t> seq << 1 | <uint64_t> (1 if asker else 0)) ^ t.secret[1])
    cdef uint32_t first = <uint32_t> (key & (ECHO_SETS - 1)) * 4
    cdef uint32_t tag = <uint32_t> (key >> 32) | 1
    cdef uint32_t i
    cdef uint32_t to = first
    cdef uint64_t age
    cdef uint64_t oldest = 0
    cdef bint found = False
    cdef EchoSlot* slot
    sink_count(sink, C_ECHO_REPLIES if reply else C_ECHO_REQUESTS, 1)
    for i in range(first, first + 4):
        slot = &t.slots[i]
        if slot.tag == tag and slot.id == id and slot.seq == seq:
            age = sink.ts_ns - slot.t_ns
            if reply:
                if age < ECHO_TIMEOUT_NS:
                    sink_latency(sink, L_ICMP_ECHO, slot.t_ns, sink.ts_ns)
                slot.tag = 0
            elif age >= ECHO_TIMEOUT_NS:
                slot.t_ns = sink.ts_ns
            return
        if not found:
            if slot.tag == 0:
                to = i
                found = True
            else:
                age = sink.ts_ns - slot.t_ns   # a slot from the future is the oldest of all
                if age >= oldest:
                    oldest = age
                    to = i
    if reply:
        return
    slot = &t.slots[to]
    if slot.tag and sink.ts_ns - slot.t_ns < ECHO_TIMEOUT_NS:
        t.evicted += 1
    slot.t_ns = sink.ts_ns
    slot.tag = tag
    slot.id = id
    slot.seq = seq
