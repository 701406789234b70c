# All state of one engine: fixed tables, two windows, counters. One thread owns a Core.
#
# Invariants: `clock_ns` is the newest packet time and never goes back, except at a `rewind` (a
# capture whose later part is older); every table has a fixed size and a counter for what it refused
# or evicted; flows[i].in_use says whether i stands in the index and in the timer wheel.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.app_state cimport App
from sensor._native.app_dns cimport DnsTable
from sensor._native.dns_cache cimport DnsCache
from sensor._native.app_echo cimport EchoTable
from sensor._native.app_quic cimport QuicInitialQueue
from sensor._native.decode_state cimport Decoder
from sensor._native.detect cimport Detect
from sensor._native.flow cimport STATES, Flow
from sensor._native.half_open cimport HalfOpenTable
from sensor._native.packet cimport DecodeResult, Packet
from sensor._native.rows cimport RowBuffer
from sensor._native.sink cimport AppSink
from sensor._native.tag_index cimport TagIndex
from sensor._native.timer_wheel cimport TimerWheel
from sensor._native.window cimport Window

cdef enum:
    LOCAL_MAX = 64
    NO_APP = 0xffff
    GROUP = 64                     # packets decoded ahead of the look-ups
    INITIALS_A_SECOND = 1000       # of packet time; each costs a decryption off the hot path
    # packets an hour or more in the past before the clock is set back
    REWIND_AFTER = 64

cdef enum Stop:                    # why feed() returned before the batch was used up
    STOP_WINDOW = 1
    STOP_ROWS = 2
    STOP_NAMES = 4                 # a QUIC Initial waits to be read for its server name
    STOP_SECOND = 8                # a second of packet time is over: its features can be taken

cdef enum Timeout:                 # seconds
    TIMEOUT_TCP = 600
    TIMEOUT_CLOSED = 5
    TIMEOUT_UDP = 60
    TIMEOUT_DNS = 10
    TIMEOUT_ICMP = 30

cdef struct Prefix:
    uint64_t net[2]
    uint64_t mask[2]

cdef struct Health:                # what the tables refused or gave up
    uint64_t flows_evicted
    uint64_t flows_refused
    uint64_t apps_refused
    uint64_t rewinds
    uint64_t time_went_back
    uint64_t no_flow               # packets without a connection (ARP, IGMP, ..., decode failures)

cdef struct Core:
    # ---- hot
    uint64_t clock_ns
    uint64_t window_end_ns
    uint64_t bin_end_ns            # end of the current 100-ms bin
    uint64_t second_end_ns
    uint64_t tick_end_ns
    Window* now                    # the window being filled
    Detect* detect                 # NULL: nobody asks for features
    Flow* flows
    TagIndex index
    HalfOpenTable half_open
    AppSink sink
    uint32_t bin
    uint32_t epoch
    bint started
    bint in_step                   # windows follow each other, those without packets too
    uint32_t group_n               # packets decoded ahead, and how many of them were looked up
    uint32_t group_at
    uint32_t initials_left         # Initials that may still be read in this second
    Packet group[GROUP]
    DecodeResult result[GROUP]
    # ---- tables
    uint32_t flow_capacity
    uint32_t flow_high             # flows ever used: [0, flow_high) have been touched
    uint32_t flow_free             # head of the free list (wheel_next), or NIL
    uint32_t flows_open
    uint64_t serial                # flows made so far
    App* apps
    uint32_t app_capacity
    uint32_t app_high
    uint32_t app_free
    TimerWheel* wheel
    DnsTable* dns
    DnsCache* names
    bint names_shared              # another Core's
    EchoTable* echoes
    QuicInitialQueue* initials
    Decoder* decoder
    RowBuffer rows
    # ---- rare
    Window* windows[2]
    uint64_t window_ns
    uint32_t backwards             # packets in a row that lie an hour in the past
    uint32_t n_local
    bint know_local
    Prefix local[LOCAL_MAX]
    uint8_t likely_server[2][8192] # bit per port: TCP, UDP
    uint64_t states[STATES]
    uint64_t opened[3]             # TCP, UDP, ICMP connections seen
    Health health
    uint64_t secret[5]
    # ---- the endpoint of the last connection attempt
    uint64_t attempt_address[2]
    uint32_t attempt_key           # port << 8 | role
    uint32_t attempt_epoch
    uint32_t attempt_slot


cdef inline bint likely_server(const Core* c, bint udp, uint16_t port) noexcept nogil:
    return (c.likely_server[1 if udp else 0][port >> 3] >> (port & 7)) & 1


cdef inline bint is_local(const Core* c, uint64_t hi, uint64_t lo) noexcept nogil:
    cdef uint32_t i
    for i in range(c.n_local):
        if (((hi & c.local[i].mask[0]) ^ c.local[i].net[0])
                | ((lo & c.local[i].mask[1]) ^ c.local[i].net[1])) == 0:
            return True
    return False
