# What a recogniser may say: counts, latencies, statuses, a name. It never sees flows or tables.
#
# Invariants: the engine makes one AppSink per batch and flushes `n` into the totals and the
# endpoint after every call, guided by `touched`; between calls n[] is all zero.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from sensor._native.counters cimport Counter, C_COUNT
from sensor._native.histogram cimport Hist, hist_record

cpdef enum LatencyKind:
    L_TCP_HANDSHAKE = 0          # SYN to the ACK that completes the handshake
    L_TCP_HANDSHAKE_RESPONDER    # SYN to SYN-ACK: capture point to responder and back
    L_TCP_HANDSHAKE_ORIGINATOR   # SYN-ACK to ACK: capture point to originator and back
    L_TCP_RTT                    # network class only (handshakes, pure ACK of >= 2 segments, TSopt)
    L_TCP_ACK                    # every exact-ACK sample (tshark's ack_rtt)
    L_TLS_HANDSHAKE
    L_HTTP_RESPONSE              # last request byte to first response byte
    L_DNS_RESPONSE
    L_ICMP_ECHO
    L_QUIC_HANDSHAKE
    L_COUNT

cpdef enum NameSource:
    NAME_NONE = 0
    NAME_DNS = 1                 # observed DNS answer for the responder's address
    NAME_HOST = 2                # HTTP Host / :authority
    NAME_SNI = 3                 # TLS or QUIC server name

cdef enum:
    NAME_MAX = 255
    STATUS_MAX = 1000

cdef struct AppSink:
    uint64_t ts_ns               # time of the packet being parsed
    uint64_t touched             # bit c: n[c] != 0
    uint32_t n[C_COUNT]
    Hist* latency                # L_COUNT histograms
    uint32_t* status             # STATUS_MAX counts of HTTP status codes
    uint64_t uri                 # hash of the target of the newest HTTP request, and of its path
    uint64_t path
    bint asked                   # uri and path were set by this call
    uint8_t question_len         # != 0: question[0..question_len) was asked for by this call
    uint16_t question_type
    uint8_t question[NAME_MAX + 1]   # wire format, lower case, with the root's 0
    uint8_t name_source          # != NAME_NONE: name[0..name_len) was set by this call
    uint8_t name_len
    uint8_t name[NAME_MAX + 1]


cdef inline void sink_count(AppSink* s, Counter c, uint32_t by) noexcept nogil:
    s.n[<int> c] += by
    s.touched |= <uint64_t> 1 << <int> c


cdef inline void sink_latency(AppSink* s, LatencyKind kind,
                              uint64_t start_ns, uint64_t end_ns) noexcept nogil:
    # Time may run backwards in a capture: such a pair is no sample.
    if end_ns >= start_ns:
        hist_record(&s.latency[<int> kind], end_ns - start_ns)


cdef inline void sink_status(AppSink* s, uint32_t code) noexcept nogil:
    if code < STATUS_MAX:
        s.status[code] += 1


cdef inline void sink_target(AppSink* s, const uint8_t* p, uint32_t n) noexcept nogil:
    # An HTTP request's target, as far as it is there: to its first blank; its path ends at "?".
    cdef uint64_t h = 0x9e3779b97f4a7c15
    cdef uint32_t i = 0
    cdef bint in_query = False
    while i < n and p[i] > 32:
        if p[i] == 63 and not in_query:
            s.path = h
            in_query = True
        h = (h ^ p[i]) * <uint64_t> 0x100000001b3          # FNV-1a; keyed where it is counted
        i += 1
    s.uri = h
    if not in_query:
        s.path = h
    s.asked = True


cdef inline void sink_question(AppSink* s, const uint8_t* name, uint32_t n,
                               uint16_t qtype) noexcept nogil:
    if 0 < n <= NAME_MAX:
        s.question_len = <uint8_t> n
        s.question_type = qtype
        memcpy(s.question, name, n)


cdef inline void sink_name(AppSink* s, NameSource source,
                           const uint8_t* p, uint32_t n) noexcept nogil:
    # Names are attackers' bytes: cut at 255, lower-cased, kept as they are otherwise;
    # whoever shows them escapes them.
    cdef uint32_t i
    cdef uint8_t c
    if n == 0:
        return
    if n > NAME_MAX:
        n = NAME_MAX
    for i in range(n):
        c = p[i]
        if 65 <= c <= 90:
            c += 32
        s.name[i] = c
    s.name_len = <uint8_t> n
    s.name_source = source
