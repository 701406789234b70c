# What detection is told, and what it keeps.
#
# The hot path says what happened (detect_say.pxd) into a queue of sayings: an attempt, a connection,
# a datagram. They are counted some dozens at a time (detect_count.pxd), because their keys are
# wherever attackers put them: memory is asked for ahead, and waited for once instead of for each.
#
# A host protects few services and attackers choose the rest: destinations get rows of their own
# (service: address, port and protocol; host: address), sources get one as long as there is room,
# and answers of amplifying protocols one per receiver and port (reflection). Connections in which
# both sides speak cost nothing here but their first and last packet.
#
# Invariants: `said` of SAYINGS wait, in the order of their packets; they are counted before packet
# time moves, before rows are taken, and when the queue is full. Addresses are in host byte order.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.announcements cimport Announcements
from sensor._native.domains cimport Domains
from sensor._native.neighbours cimport Neighbours
from sensor._native.sketch cimport Hll
from sensor._native.slots cimport SlotTable

cdef enum Table:
    T_SERVICE = 0
    T_HOST = 1
    T_SOURCE = 2
    T_REFLECTION = 3
    TABLES = 4

cdef enum:
    SAYINGS = 96                   # more than most groups of packets say
    ROWS_A_TABLE = 8192

cdef enum Kind:
    SAY_SYN = 0                    # an attempt begins; FLAG: a SYN without options
    SAY_ATTEMPT                    # `what` became of it so far; FLAG: a well-known port
    SAY_OVER                       # it is no longer half open; FLAG: it made room before its time
    SAY_STRAY                      # a packet without a connection: `what`; FLAG: first of its flow
    SAY_STRAY_ANSWERED             # the other side speaks too
    SAY_EVENTS                     # `n` times `what` in a connection; FLAG: acts of its originator
    SAY_CLOSED                     # FLAG_EMPTY, FLAG_SESSION, FLAG_SHORT
    SAY_TARGET                     # hashes of what an HTTP request asks for
    SAY_UDP                        # `n` octets to who did not speak; FLAG: first of a flow, FLAG_MORE:
    # of a traceroute's
    SAY_UDP_ANSWERED               # FLAG: a well-known port
    SAY_REFLECTION                 # `n` octets for a receiver by a reflecting port: `what`
    SAY_FRAGMENT                   # of `n` octets; FLAG: not the first of its datagram
    SAY_ICMP                       # `what`, `n` octets; FLAG: odd
    SAY_UNREACHABLE                # for a datagram; FLAG: a well-known port

cdef enum SayingFlag:
    FLAG = 1
    FLAG_MORE = 2                  # with UDP: first of its flow, a traceroute's
    FLAG_EMPTY = 1                 # nothing was said by the originator
    FLAG_SESSION = 2               # of a service that people log in to
    FLAG_SHORT = 4                 # as a refused log-in

cdef struct Ends:                  # sender and receiver
    uint64_t sh
    uint64_t sl
    uint64_t dh
    uint64_t dl
    uint16_t sport
    uint16_t dport
    uint8_t s_local
    uint8_t d_local

cdef struct Saying:
    Ends e
    uint8_t kind                   # Kind
    uint8_t protocol
    uint8_t flags
    uint8_t what                   # Feature
    uint8_t tables                 # bit per Table that has a row for it
    uint8_t ahead                  # of these: whose memory is asked for
    uint32_t n
    uint64_t uri
    uint64_t path
    uint32_t hash[TABLES]          # of its keys, where it has one in that table

cdef struct Detect:
    SlotTable table[TABLES]
    Neighbours* neighbours
    Announcements announced
    Domains* domains
    void* rows                   # one table's rows on their way out
    uint64_t start_ns            # of the second being counted
    uint64_t end_ns              # 0: begins with the next packet
    uint64_t last_s              # second handed out last
    uint64_t secret[5]
    uint8_t reflects[8192]       # bit per UDP port: answers from it are larger than their questions
    uint32_t sweep_at            # next flow of the sweep for slow connections (slow.pxd)
    uint64_t sweep_ns            # when the sweep began
    uint32_t dhcp_requests       # of this second, and who sent them
    Hll dhcp_clients
    uint32_t two_way             # handshakes seen from both sides, and from one
    uint32_t one_way
    uint32_t said
    Saying saying[SAYINGS]


cdef inline Ends ends_of(const uint64_t* key, uint8_t from_b, uint8_t role,
                         bint from_orig) noexcept nogil:
    # `role` as in Flow: bit 0 the originator is local, bit 1 the responder.
    cdef Ends e
    cdef int s = 2 if from_b else 0
    e.sh = key[s]
    e.sl = key[s + 1]
    e.dh = key[2 - s]
    e.dl = key[3 - s]
    e.sport = <uint16_t> (key[4] >> (32 if from_b else 48))
    e.dport = <uint16_t> (key[4] >> (48 if from_b else 32))
    e.s_local = role & 1 if from_orig else role >> 1
    e.d_local = role >> 1 if from_orig else role & 1
    return e
