# ICMP and ICMPv6 (RFC 792, RFC 4443) as flows, and the packet that an error quotes.
#
# "Ports" are Zeek's: the sender's is its type; the other side's is the type that answers it
# (echo 8 <-> 0), or the code where nothing answers, so a request and its reply share a key.
# Invariants: reads only s.p[0..s.n); a quote is read, never decoded further: no recursion.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from sensor._native.anomalies cimport (
    A_ICMP_QUOTE_BAD, A_MALFORMED_ICMP, A_SNAPLEN_CUT, A_TRUNCATED_ICMP, DC_ICMP,
)
from sensor._native.decode_state cimport Decoder, note
from sensor._native.flow_key cimport key_set, mapped_ipv4
from sensor._native.ipv6_extensions cimport EXT_OK, Extensions, ipv6_extensions
from sensor._native.packet cimport (
    DECODE_MALFORMED, DECODE_OK, DECODE_TRUNCATED, DecodeResult, key_hash, Packet, PKT_CUT,
    PKT_QUOTE,
)
from sensor._native.span cimport Span, span_be16, span_be32, span_be64, span_from, span_has, span_u8

cdef enum:
    IPPROTO_ICMP = 1
    IPPROTO_ICMPV6 = 58
    ICMP_HEADER = 8
    QUOTED_TCP = 6
    QUOTED_UDP = 17

cdef enum Quote:
    QUOTE_NAMED = 0              # quoted_key is set
    QUOTE_OTHER = 1              # a later fragment, or a protocol without ports: nothing to name
    QUOTE_BAD = 2                # cannot be read


cdef inline uint16_t icmp_answer(uint8_t proto, uint8_t kind, uint8_t code) noexcept nogil:
    # The type that answers `kind` (Zeek's ICMP4/6_counterpart), or `code` for one-way types.
    if proto == IPPROTO_ICMP:
        if kind == 8:
            return 0
        if kind == 0:
            return 8
        if kind == 9 or kind == 10:                  # router advertisement, solicitation
            return 19 - kind
        if 13 <= kind <= 18:                         # timestamp, information, address mask
            return kind + 1 if kind & 1 else kind - 1
        return code
    if kind == 128 or kind == 129:                   # echo
        return 257 - kind
    if kind == 130 or kind == 131:                   # multicast listener query, report
        return 261 - kind
    if kind == 133 or kind == 134:                   # router solicitation, advertisement
        return 267 - kind
    if kind == 135 or kind == 136:                   # neighbour solicitation, advertisement
        return 271 - kind
    if kind == 139 or kind == 140:                   # node information (RFC 4620)
        return 279 - kind
    if kind == 144 or kind == 145:                   # home agent discovery
        return 289 - kind
    return code


cdef inline bint icmp_is_error(uint8_t proto, uint8_t kind) noexcept nogil:
    if proto == IPPROTO_ICMP:
        return kind == 3 or kind == 4 or kind == 5 or kind == 11 or kind == 12
    return 1 <= kind <= 4


cdef inline Quote icmp_quote(Decoder* d, Packet* out, Span q) noexcept nogil:
    # `q`: the quoted packet, from its IP header.
    cdef uint64_t s0 = 0, s1, d0 = 0, d1
    cdef uint8_t proto, kind
    cdef uint16_t sport, dport
    cdef uint32_t head
    cdef Extensions e
    if not span_has(&q, 20):
        return QUOTE_BAD
    if span_u8(&q, 0) >> 4 == 4:
        head = <uint32_t> (span_u8(&q, 0) & 15) * 4
        if head < 20:
            return QUOTE_BAD
        if span_be16(&q, 6) & 0x1fff:
            return QUOTE_OTHER
        proto = span_u8(&q, 9)
        s1 = mapped_ipv4(span_be32(&q, 12))
        d1 = mapped_ipv4(span_be32(&q, 16))
    elif span_u8(&q, 0) >> 4 == 6 and span_has(&q, 40):
        s0 = span_be64(&q, 8)
        s1 = span_be64(&q, 16)
        d0 = span_be64(&q, 24)
        d1 = span_be64(&q, 32)
        proto = span_u8(&q, 6)
        q = span_from(&q, 40)
        e = ipv6_extensions(&q, proto, q.n)
        if e.status != EXT_OK:
            return QUOTE_BAD
        if e.fragment & 0xfff8:
            return QUOTE_OTHER
        proto = e.next
        head = e.at
    else:
        return QUOTE_BAD
    q = span_from(&q, head)
    if not span_has(&q, 4):
        return QUOTE_BAD
    if proto == QUOTED_TCP or proto == QUOTED_UDP:
        sport = span_be16(&q, 0)
        dport = span_be16(&q, 2)
    elif proto == IPPROTO_ICMP or proto == IPPROTO_ICMPV6:
        kind = span_u8(&q, 0)
        sport = kind
        dport = icmp_answer(proto, kind, span_u8(&q, 1))
    else:
        return QUOTE_OTHER
    out.quoted_dir = key_set(out.quoted_key, s0, s1, d0, d1, sport, dport, proto)
    out.quoted_hash = key_hash(out.quoted_key, d.secret)
    return QUOTE_NAMED


cdef inline DecodeResult icmp_decode(Decoder* d, Packet* out, const Span* s, uint32_t wire,
                                     uint8_t proto, uint64_t s0, uint64_t s1, uint64_t d0,
                                     uint64_t d1) noexcept nogil:
    cdef Span rest
    cdef uint8_t kind, code
    cdef Quote quote
    if not span_has(s, ICMP_HEADER):
        if wire >= ICMP_HEADER:
            note(d, A_TRUNCATED_ICMP)
            return DECODE_TRUNCATED
        note(d, A_MALFORMED_ICMP)
        return DECODE_MALFORMED
    kind = span_u8(s, 0)
    code = span_u8(s, 1)
    rest = span_from(s, ICMP_HEADER)
    out.seq = span_be32(s, 4)                  # echo: identifier and sequence number
    out.payload = rest.p
    out.captured = rest.n
    out.payload_len = wire - ICMP_HEADER
    if rest.n < out.payload_len:
        out.flags |= PKT_CUT
        note(d, A_SNAPLEN_CUT)
    out.proto = proto
    out.icmp_type = kind
    out.icmp_code = code
    if icmp_is_error(proto, kind):
        quote = icmp_quote(d, out, rest)
        if quote == QUOTE_NAMED:
            out.flags |= PKT_QUOTE
        elif quote == QUOTE_BAD and not out.flags & PKT_CUT:
            note(d, A_ICMP_QUOTE_BAD)
    out.dir = key_set(out.key, s0, s1, d0, d1, kind, icmp_answer(proto, kind, code), proto)
    out.hash = key_hash(out.key, d.secret)
    d.counts[<int> DC_ICMP] += 1
    return DECODE_OK
