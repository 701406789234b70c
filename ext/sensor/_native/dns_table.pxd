# The DNS questions that wait for an answer: how long it took, or that none came.
#
# Invariants: bit s of `occupied` is set exactly when set s has a slot in use. What is counted does
# not depend on how often dns_sweep() is called: a question older than DNS_TIMEOUT_NS is unanswered
# wherever it is met (sweep, late answer, repeated question, flush).
#
# A question sent again keeps the time of the first one (as tshark's dns.time), an answer counts
# once, and an answer must come from the other side, with the same id and the same question (or no
# question at all, as some servers send with FORMERR or REFUSED).
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from sensor._native.counters cimport C_DNS_ERRORS, C_DNS_UNANSWERED
from sensor._native.packet cimport sensor_mum
from sensor._native.sink cimport AppSink, sink_count, sink_latency, L_DNS_RESPONSE
from sensor._native.waiting cimport WaitSlot, wait_find, wait_put, wait_room

cdef extern from *:
    int sensor_ctz64 "__builtin_ctzll"(uint64_t v) noexcept nogil

cdef enum:
    DNS_SETS = 16384               # x 4 ways x 16 B = 1 MiB
    DNS_WORDS = 256                # DNS_SETS / 64: bit s of the words says that set s is in use
    DNS_TICK_SHIFT = 22            # 4.19 ms; the sweep turns once in 256 ticks

cdef extern from *:
    """
    #define DNS_TIMEOUT_NS 5000000000ULL
    """
    uint64_t DNS_TIMEOUT_NS

cdef struct DnsTable:              # all zero and a secret = fresh
    WaitSlot slots[DNS_SETS * 4]   # what: hash of name and type, 0 when they could not be read
    uint64_t occupied[DNS_WORDS]
    uint64_t secret[2]
    uint64_t tick                  # the sweep has done everything before this one
    uint64_t evicted               # questions forgotten because their set was full
    uint64_t unsolicited           # answers without a question


cdef inline void dns_free(DnsTable* t, uint32_t at) noexcept nogil:
    cdef uint32_t first = at & ~<uint32_t> 3
    t.slots[at].tag = 0
    if not (t.slots[first].tag | t.slots[first + 1].tag
            | t.slots[first + 2].tag | t.slots[first + 3].tag):
        t.occupied[at >> 8] &= ~(<uint64_t> 1 << ((at >> 2) & 63))


cdef inline bint dns_expired(const WaitSlot* slot, uint64_t now_ns) noexcept nogil:
    return now_ns >= slot.t_ns and now_ns - slot.t_ns >= DNS_TIMEOUT_NS


cdef inline void dns_unanswered(AppSink* sink) noexcept nogil:
    sink_count(sink, C_DNS_UNANSWERED, 1)
    sink_count(sink, C_DNS_ERRORS, 1)


cdef inline uint64_t dns_key(const DnsTable* t, uint64_t flow_hash, bint asker_is_orig,
                             uint16_t id) noexcept nogil:
    return sensor_mum(flow_hash ^ t.secret[0], (<uint64_t> id << 1 | asker_is_orig) ^ t.secret[1])


cdef inline uint32_t dns_set(uint64_t key) noexcept nogil:
    return <uint32_t> (key & (DNS_SETS - 1)) * 4


cdef inline void dns_asked(DnsTable* t, AppSink* sink, uint64_t key,
                           uint32_t qhash) noexcept nogil:
    cdef uint32_t first = dns_set(key)
    cdef WaitSlot* slot = wait_find(&t.slots[first], key, qhash, False)
    if slot == NULL:
        slot = wait_room(&t.slots[first], sink.ts_ns)
        if slot.tag and dns_expired(slot, sink.ts_ns):
            dns_unanswered(sink)
        elif slot.tag:
            t.evicted += 1
    elif dns_expired(slot, sink.ts_ns):
        dns_unanswered(sink)
    else:
        return                     # sent again: the first one counts
    wait_put(slot, key, qhash, sink.ts_ns)
    t.occupied[first >> 8] |= <uint64_t> 1 << ((first >> 2) & 63)


cdef inline bint dns_answered(DnsTable* t, AppSink* sink, uint64_t key,
                              uint32_t qhash) noexcept nogil:
    # Was it asked for? Then it is no longer.
    cdef WaitSlot* slot = wait_find(&t.slots[dns_set(key)], key, qhash, qhash == 0)
    cdef bint late
    if slot == NULL:
        return False
    late = dns_expired(slot, sink.ts_ns)
    if late:
        dns_unanswered(sink)       # too late to be believed
    else:
        sink_latency(sink, L_DNS_RESPONSE, slot.t_ns, sink.ts_ns)
    dns_free(t, <uint32_t> (slot - t.slots))
    return not late


cdef inline void dns_sweep_sets(DnsTable* t, uint32_t word, uint64_t now_ns,
                                AppSink* sink) noexcept nogil:
    cdef uint64_t todo = t.occupied[word]
    cdef uint32_t first, i
    while todo:
        first = (word * 64 + <uint32_t> sensor_ctz64(todo)) * 4
        todo &= todo - 1
        for i in range(first, first + 4):
            if t.slots[i].tag and dns_expired(&t.slots[i], now_ns):
                dns_unanswered(sink)
                dns_free(t, i)


cdef inline void dns_sweep(DnsTable* t, uint64_t now_ns, AppSink* sink) noexcept nogil:
    # Give up on old questions. Cheap enough for every packet or batch: at most one turn of the
    # table per call (256 words and the sets in use), and one turn per 1.07 s of packet time.
    cdef uint64_t tick = now_ns >> DNS_TICK_SHIFT
    if tick < t.tick:              # the capture's clock went back: start again from here
        t.tick = tick
    if tick - t.tick > 256:
        t.tick = tick - 256
    while t.tick < tick:
        dns_sweep_sets(t, <uint32_t> (t.tick & 255), now_ns, sink)
        t.tick += 1


cdef inline void dns_flush(DnsTable* t, uint64_t now_ns, AppSink* sink) noexcept nogil:
    # End of input: old questions are unanswered; about the younger ones nothing is known.
    cdef uint32_t word
    for word in range(<uint32_t> DNS_WORDS):
        dns_sweep_sets(t, word, now_ns, sink)
