# What a decoder remembers between frames (Decoder) and within one (Walk).
#
# Invariants: a Decoder belongs to one thread. Within a frame, w.s.n <= w.wire: `s` is what was
# captured from the next header on, `wire` what the enclosing headers say was on the wire.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from sensor._native.anomalies cimport (
    A_COUNT, A_UNSUPPORTED_TUNNEL_TOO_DEEP, Anomaly, DC_COUNT, DecodeCount,
)
from sensor._native.fragment cimport FragmentTable
from sensor._native.packet cimport (
    DECODE_MALFORMED, DECODE_TRUNCATED, DECODE_UNSUPPORTED, DecodeResult,
)
from sensor._native.span cimport Span, span_from

cdef extern from *:
    """
    #define SENSOR_LIKELY(x) __builtin_expect(!!(x), 1)
    #define SENSOR_RARE(x) __builtin_expect(!!(x), 0)
    """
    bint SENSOR_LIKELY(bint x) noexcept nogil
    bint SENSOR_RARE(bint x) noexcept nogil

cdef enum:
    TUNNELS_MAX = 8              # encapsulations removed from one frame
    STEPS_MAX = 48               # headers of any kind looked at in one frame
    UNKNOWN_LINKS = 8

cdef struct Decoder:
    uint64_t secret[5]           # of this start: keys flow hash and fragment table
    uint64_t counts[DC_COUNT]
    uint64_t anomalies[A_COUNT]
    uint16_t unknown_link[UNKNOWN_LINKS]       # link types not decoded, the first 8 kinds
    uint64_t unknown_link_count[UNKNOWN_LINKS]
    FragmentTable fragments

# What the next header is; `type` of the walk says which in its family.
cdef enum Layer:
    AT_END = 0                   # w.result is the outcome
    AT_LINK                      # type: LINKTYPE_ number
    AT_ETHERNET
    AT_ETHERTYPE                 # type: ethertype
    AT_MPLS
    AT_LLC
    AT_SNAP
    AT_PPP
    AT_PPPOE
    AT_CHDLC
    AT_WIFI
    AT_IP                        # IPv4 or IPv6 by the version
    AT_IPV4
    AT_IPV6
    AT_PROTOCOL                  # type: IP protocol number
    AT_PLAIN_UDP                 # the UDP payload is no tunnel

cdef struct Walk:
    Span s
    uint32_t wire
    uint64_t src[2]              # of the innermost IP header so far
    uint64_t dst[2]
    uint64_t fragment_id[5]      # of a first fragment, as in fragment.pxd
    uint16_t type
    uint16_t flags               # PacketFlag
    uint16_t vlan
    uint8_t ttl
    uint8_t depth
    bint fragment                # inside a first fragment: lengths may reach past it
    bint tagged                  # a VLAN tag was seen (its id may be 0)
    bint counted                 # the outermost network header is in the counts
    DecodeResult result


cdef inline void note(Decoder* d, Anomaly a) noexcept nogil:
    d.anomalies[<int> a] += 1


cdef inline Layer ends(Walk* w, DecodeResult result) noexcept nogil:
    w.result = result
    return AT_END


cdef inline Layer truncated(Decoder* d, Walk* w, Anomaly a) noexcept nogil:
    note(d, a)
    return ends(w, DECODE_TRUNCATED)


cdef inline Layer malformed(Decoder* d, Walk* w, Anomaly a) noexcept nogil:
    note(d, a)
    return ends(w, DECODE_MALFORMED)


cdef inline Layer unsupported(Decoder* d, Walk* w, Anomaly a) noexcept nogil:
    note(d, a)
    return ends(w, DECODE_UNSUPPORTED)


cdef inline Layer short_of(Decoder* d, Walk* w, uint32_t need, Anomaly cut,
                           Anomaly contradiction) noexcept nogil:
    # Fewer than `need` octets were captured: cut by the snaplen, or never there?
    if w.wire >= need:
        return truncated(d, w, cut)
    return malformed(d, w, contradiction)


cdef inline void skip(Walk* w, uint32_t k) noexcept nogil:
    # Caller has proved span_has(&w.s, k).
    w.s = span_from(&w.s, k)
    w.wire -= k


cdef inline void limit(Walk* w, uint32_t n) noexcept nogil:
    # The enclosing header says that only `n` octets follow: the rest is padding.
    if w.wire > n:
        w.wire = n
    if w.s.n > n:
        w.s.n = n


cdef inline void count_outer(Decoder* d, Walk* w, DecodeCount c) noexcept nogil:
    if not w.counted:
        w.counted = True
        d.counts[<int> c] += 1


cdef inline Layer enter_tunnel(Decoder* d, Walk* w, DecodeCount kind, Layer inner) noexcept nogil:
    if w.depth >= TUNNELS_MAX:
        return unsupported(d, w, A_UNSUPPORTED_TUNNEL_TOO_DEEP)
    w.depth += 1
    d.counts[<int> kind] += 1
    return inner


cdef inline void decoder_init(Decoder* d, const uint64_t* secret) noexcept nogil:
    # `secret`: 5 words from the operating system's random source, new at every start.
    cdef uint32_t i
    memset(d, 0, sizeof(Decoder))
    for i in range(5):
        d.secret[i] = secret[i]
