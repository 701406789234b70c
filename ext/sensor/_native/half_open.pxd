# Connection attempts: a SYN never creates a flow, it takes one line pair in this table.
#
# A ring in order of arrival plus a TagIndex. Invariants: entries [tail, head) modulo `capacity` are
# in order of arrival; `used` ones stand in the index. When the ring is full the oldest attempt is
# ended and counted (`evicted`), so a SYN flood costs sequential writes and fixed memory, and cannot
# push out connections. An entry leaves by promotion to a flow (the originator's ACK or data), by
# age (75 s without a packet: an entry still being tried goes to the head again), by eviction, or at
# the end of the input.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.clock cimport NS_PER_SECOND
from sensor._native.packet cimport Packet
from sensor._native.tag_index cimport (Bucket, TagIndex, ctz, index_bucket, sensor_bucket_match,
                                       tag_of)

cdef enum:
    # unanswered for this long counts as failed (Zeek tcp_attempt_delay)
    ATTEMPT_TIMEOUT_S = 5
    HALF_OPEN_AGE_S = 75
    SILENT_AFTER_MS = 1250         # a real stack sends its SYN again after 1 s (RFC 6298)

cdef enum HalfOpenFlag:
    HO_USED = 1
    HO_SYNACK = 2
    HO_RST_ORIG = 4
    HO_RST_RESP = 8
    HO_UNREACHABLE = 16            # an ICMP error quoted the SYN
    HO_TIMESTAMPS = 32
    HO_JUDGED = 64                 # the 5-s cursor has passed
    HO_ACK_FIRST = 128             # originator: side B of the key

cdef struct HalfOpen:
    uint64_t key[5]
    uint64_t t_syn_ns              # first SYN
    uint64_t t_last_syn_ns         # last SYN with the same ISN
    uint64_t t_synack_ns
    uint64_t queued_ns             # its place in the ring: first SYN, or when it was put back
    uint32_t isn_orig
    uint32_t isn_resp
    uint32_t ts_last_syn           # TSval of the last SYN
    uint32_t hash
    uint32_t orig_wire
    uint32_t resp_wire
    uint32_t rst_seq
    uint16_t mss
    uint16_t vlan
    uint16_t window_orig
    uint16_t window_resp
    uint16_t syn_len               # payload of the SYN (TCP Fast Open)
    uint16_t taken_len             # of that, acknowledged by the SYN-ACK
    uint8_t flags
    uint8_t orig_dir
    uint8_t role                   # as Flow.role
    uint8_t syns
    uint8_t synacks
    uint8_t rsts
    uint8_t wscale_orig
    uint8_t wscale_resp
    uint8_t packet_flags           # FlowFlag: tunnelled, fragments
    uint8_t synack_echoes_last     # the SYN-ACK's TSecr names the last SYN: no Karn ambiguity

cdef struct HalfOpenTable:
    HalfOpen* ring
    TagIndex index
    uint32_t capacity              # power of two
    uint32_t head                  # next free, free-running
    uint32_t tail                  # oldest, free-running
    uint32_t judged                # next for the 5-s cursor
    uint32_t silenced              # next for the 1.25-s cursor
    uint64_t evicted               # ended early to make room


cdef inline HalfOpen* half_open_at(HalfOpenTable* t, uint32_t i) noexcept nogil:
    return &t.ring[i & (t.capacity - 1)]


cdef inline bint key_equal(const uint64_t* a, const uint64_t* b) noexcept nogil:
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4])) == 0


cdef inline HalfOpen* half_open_find(HalfOpenTable* t, const uint64_t* key,
                                     uint32_t hash) noexcept nogil:
    cdef Bucket* b = index_bucket(&t.index, hash)
    cdef uint32_t m = sensor_bucket_match(b, tag_of(hash))
    cdef HalfOpen* e
    while m:
        e = &t.ring[b.entry[ctz(m)]]
        if key_equal(e.key, key):
            return e
        m &= m - 1
    return NULL


cdef inline bint half_open_expired(const HalfOpen* e, uint64_t now) noexcept nogil:
    cdef uint64_t last = e.t_synack_ns if e.t_synack_ns > e.t_last_syn_ns else e.t_last_syn_ns
    return now > last and now - last > HALF_OPEN_AGE_S * <uint64_t> NS_PER_SECOND
