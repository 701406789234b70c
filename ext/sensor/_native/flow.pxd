# One connection: what both directions have in common, then one Half per direction.
#
# Invariants: half[0] is the originator's, half[1] the responder's; `orig_dir` says which side of
# the canonical key (0: A, 1: B) is the originator. Line 0 is all that a look-up touches.
# Sequence state of a Half is meaningful once `seen` is set (its first segment was captured, or a
# SYN-ACK/ACK told where it starts).
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    HISTORY_MAX = 23
    SAMPLES = 4                # outstanding RTT samples per direction
    HOLES = 2
    TTL_LOOKS = 4              # packets of a half whose TTL is taken: one is behind the handshake

# TCP endpoint states, as Zeek's TCP_ENDPOINT_*.
cdef enum EndpointState:
    TE_INACTIVE = 0
    TE_SYN_SENT = 1
    TE_SYN_ACK_SENT = 2
    TE_PARTIAL = 3
    TE_ESTABLISHED = 4
    TE_CLOSED = 5
    TE_RESET = 6

cdef enum FlowFlag:
    FLOW_MIDSTREAM = 1
    FLOW_TURNED = 2
    FLOW_GSO = 4
    FLOW_TRUNCATED = 8
    FLOW_TUNNELLED = 16
    FLOW_FRAGMENTS = 32
    FLOW_SHOOK = 64            # handshake counted though its first packet was no SYN

cpdef enum EndReason:              # IPFIX flowEndReason (information element 136)
    END_IDLE = 1
    END_ACTIVE = 2
    END_DETECTED = 3
    END_FORCED = 4
    END_RESOURCES = 5

cpdef enum ConnState:              # Zeek's conn_state
    S0 = 0
    S1 = 1
    SF = 2
    REJ = 3
    S2 = 4
    S3 = 5
    RSTO = 6
    RSTR = 7
    RSTOS0 = 8
    RSTRH = 9
    SH = 10
    SHR = 11
    OTH = 12
    STATES = 13

cpdef enum Leaf:                   # partition of all traffic; sums to the whole
    LEAF_HTTP = 0
    LEAF_HTTPS
    LEAF_WEBSOCKET
    LEAF_GRPC
    LEAF_QUIC
    LEAF_DNS
    LEAF_OTHER_TCP
    LEAF_OTHER_UDP
    LEAF_ICMP
    LEAF_OTHER
    LEAVES

cdef struct Hole:                  # [left, right) was skipped; empty when left == right
    uint32_t left
    uint32_t right

cdef struct Sample:                # a segment that ends at end_seq left at tick
    uint32_t end_seq
    uint32_t tick                  # packet time in 64-ns ticks, modulo 2^32 (275 s)

cdef struct Half:
    uint64_t bytes                 # payload by sequence numbers (holes included, as Zeek has it)
    uint64_t wire                  # octets of the frames
    uint64_t advanced_ns           # when `nxt` last moved
    uint32_t packets
    uint32_t nxt                   # one past the highest sequence number sent
    uint32_t una                   # highest acknowledgement the peer sent for it
    uint32_t left                  # RTT samples only for data above this (Karn / Dart)
    uint32_t ts_at_max             # TSval of the segment that ended at `nxt`
    uint32_t window                # last receive window advertised, unscaled
    uint32_t start                 # initial sequence number (or the guess of mid-stream pickup)
    uint8_t state                  # EndpointState
    uint8_t before                 # the state before that
    uint8_t wscale
    uint8_t dup_acks               # duplicate ACKs the peer sent for our data
    uint16_t history               # bit per letter already written
    uint8_t seen
    uint8_t samples                # used slots of Flow.sample[d]
    uint16_t mss                   # the smaller of both sides' (1460 where no SYN told)

cdef struct Flow:                  # a packet in the common case touches its first four lines
    # ---- line 0: look-up and accounting
    uint64_t key[5]
    uint64_t last_ns               # newest packet time
    uint32_t endpoint              # window epoch << 16 | endpoint slot; 0 = not resolved yet
    uint16_t app                   # App entry, or NO_APP
    uint16_t peer                  # peer-prefix slot of the same epoch
    uint8_t proto
    uint8_t orig_dir
    uint8_t role                   # 0 external, 1 agent originates, 2 agent responds, 3 internal
    uint8_t leaf
    uint8_t flags                  # FlowFlag
    uint8_t app_proto              # AppProto once decided
    uint8_t probes                 # payloads looked at in vain for an application protocol
    uint8_t waiting                # bit d: ts_out[d] waits for its echo; bit 2 + d: hole[d] is open
    # ---- lines 1 and 2: the directions
    Half half[2]
    # ---- line 3: RTT samples
    Sample sample[2][SAMPLES]
    # ---- line 4: latency
    uint64_t rtt_min_ns
    uint64_t last_rtt_ns[2]        # previous network sample of each side, for jitter
    uint32_t ts_out[2]             # TSval waiting for its echo
    uint32_t ts_tick[2]
    uint32_t srtt_us               # smoothed network RTT (RFC 6298 gain 1/8); 0 = none yet
    uint16_t vlan
    uint16_t wheel_slot
    uint64_t closed_ns             # packet that closed it; 0 = open
    # ---- cold
    uint8_t in_use
    uint8_t history_len
    uint8_t history[HISTORY_MAX]
    uint8_t gap_count[2]
    uint8_t ttl[2]                 # of one of the first TTL_LOOKS packets of each half; 0: none yet
    uint64_t started_ns
    uint64_t handshake_responder_ns    # SYN to SYN-ACK; NONE_NS
    uint64_t handshake_originator_ns   # SYN-ACK to ACK; NONE_NS
    uint64_t serial                # number of the flow since the start
    uint32_t wheel_next
    uint32_t wheel_prev
    Hole hole[2][HOLES]
    uint32_t retransmissions
    uint32_t lost_upstream
    uint32_t lost_downstream
    uint32_t out_of_order
    uint32_t zero_windows
    uint32_t capture_gaps
    uint32_t gap_bytes
    uint32_t fin_seq[2]
    uint32_t rst_seq[2]
    uint16_t early[4]              # handshakes, data, ACKs, retransmissions before the endpoint was known
    uint32_t rxmit[2]              # segments sent again, for the history's logarithmic letters
    uint32_t zero_win[2]


cdef inline uint64_t flow_ended_ns(const Flow* f) noexcept nogil:
    # Trailing packets of a closed connection do not make it longer (Zeek).
    return f.closed_ns if f.closed_ns else f.last_ns


cdef inline bint flow_two_way(const Flow* f) noexcept nogil:
    return f.half[0].packets != 0 and f.half[1].packets != 0


cdef inline bint flow_closed(const Flow* f) noexcept nogil:
    # TCP: both sides closed, or a reset, or closed by one side while the other never spoke.
    cdef uint8_t o = f.half[0].state
    cdef uint8_t r = f.half[1].state
    if o == TE_RESET or r == TE_RESET:
        return True
    if o == TE_CLOSED:
        return r == TE_CLOSED or r == TE_INACTIVE
    return r == TE_CLOSED and o == TE_INACTIVE
