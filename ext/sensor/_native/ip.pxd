# IPv4 (RFC 791) and IPv6 (RFC 8200) headers, and fragments without reassembly.
#
# Invariants: reads only w.s; lengths are those of the IP header, so padding is no payload; a length
# of 0 (segmentation offload, BIG TCP, jumbogram) is taken from the wire. Checksums are not
# verified.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from sensor._native.anomalies cimport (
    A_FRAGMENT_IN_HEADER, A_FRAGMENT_UNATTRIBUTED, A_IP_LENGTH_PAST_FRAME, A_IP_LENGTH_ZERO,
    A_IPV6_JUMBOGRAM, A_MALFORMED_IPV4, A_MALFORMED_IPV4_LENGTH, A_MALFORMED_IPV6,
    A_MALFORMED_IPV6_EXTENSION, A_MALFORMED_LINK, A_SNAPLEN_CUT, A_TRUNCATED_IPV4,
    A_TRUNCATED_IPV6, A_TRUNCATED_IPV6_EXTENSION, A_TRUNCATED_LINK,
    A_UNSUPPORTED_IPV6_EXTENSIONS_TOO_MANY, DC_FRAGMENTS, DC_FRAGMENTS_EVICTED, DC_IPV4,
    DC_IPV6,
)
from sensor._native.decode_state cimport (
    AT_IPV4, AT_IPV6, AT_PROTOCOL, count_outer, Decoder, ends, Layer, limit, malformed, note,
    short_of, skip, truncated, unsupported, Walk,
)
from sensor._native.flow_key cimport key_set, mapped_ipv4
from sensor._native.fragment cimport Fragment, fragment_find, fragment_store
from sensor._native.ipv6_extensions cimport (
    EXT_HOP_BY_HOP, EXT_MALFORMED, EXT_TOO_MANY, EXT_TRUNCATED, Extensions, ipv6_extensions,
)
from sensor._native.packet cimport (
    DECODE_FRAGMENT, DECODE_NO_FLOW, DECODE_OK, Packet, PKT_CUT, PKT_ECN_CE, PKT_FRAGMENT,
    PKT_LATER_FRAGMENT, PKT_V6)
from sensor._native.span cimport span_be16, span_be32, span_be64, span_has, span_u8

cdef enum:
    IPV4_HEADER = 20
    IPV6_HEADER = 40
    IP_TCP = 6
    IP_AH = 51
    ECN_CE = 3


cdef inline Layer ip_step(Decoder* d, Walk* w) noexcept nogil:
    # Raw IP: the version tells.
    cdef uint8_t version
    if not span_has(&w.s, 1):
        return short_of(d, w, 1, A_TRUNCATED_LINK, A_MALFORMED_LINK)
    version = span_u8(&w.s, 0) >> 4
    if version == 4:
        return AT_IPV4
    if version == 6:
        return AT_IPV6
    return malformed(d, w, A_MALFORMED_LINK)


cdef inline void ip_length(Decoder* d, Walk* w, uint32_t length) noexcept nogil:
    # The packet ends `length` octets from here, whatever the frame holds (padding), or held.
    if length > w.wire:
        if w.fragment:
            return                    # the rest is in the later fragments of the carrier
        note(d, A_IP_LENGTH_PAST_FRAME)
        w.wire = length
    limit(w, length)


cdef inline Layer orphan_fragment(Walk* w, Packet* out, uint8_t proto) noexcept nogil:
    # Between whom is all that can be said of it.
    out.dir = key_set(out.key, w.src[0], w.src[1], w.dst[0], w.dst[1], 0, 0, proto)
    return ends(w, DECODE_FRAGMENT)


cdef inline Layer later_fragment(Decoder* d, Walk* w, Packet* out, const uint64_t* id,
                                 uint8_t proto, uint32_t offset) noexcept nogil:
    # No transport header here: the flow of the first fragment, when it was seen.
    cdef const Fragment* f
    if proto == IP_TCP and offset < 20:
        note(d, A_FRAGMENT_IN_HEADER)
    f = fragment_find(&d.fragments, d.secret, id, out.ts_ns)
    if f == NULL:
        note(d, A_FRAGMENT_UNATTRIBUTED)
        return orphan_fragment(w, out, proto)
    memcpy(out.key, f.key, sizeof(out.key))
    out.hash = f.hash
    out.dir = f.dir
    out.proto = f.proto
    out.payload = w.s.p
    out.captured = w.s.n
    out.payload_len = w.wire
    out.seq = 0
    out.ack = 0
    out.tcp_flags = 0
    out.window = 0
    out.mss = 0
    out.wscale = 255
    out.icmp_type = <uint8_t> (f.key[4] >> (32 if f.dir else 48))
    out.icmp_code = 0
    w.flags |= PKT_LATER_FRAGMENT
    if out.captured < out.payload_len:
        w.flags |= PKT_CUT
        note(d, A_SNAPLEN_CUT)
    return ends(w, DECODE_OK)


cdef inline void fragment_name(uint64_t* id, const Walk* w, uint64_t tail) noexcept nogil:
    id[0] = w.src[0]
    id[1] = w.src[1]
    id[2] = w.dst[0]
    id[3] = w.dst[1]
    id[4] = tail


cdef inline Layer fragment_step(Decoder* d, Walk* w, Packet* out, uint64_t number, uint8_t proto,
                                uint32_t offset) noexcept nogil:
    cdef uint64_t id[5]
    d.counts[<int> DC_FRAGMENTS] += 1
    w.flags |= PKT_FRAGMENT
    fragment_name(id, w, number << 8 | proto)
    if offset:
        return later_fragment(d, w, out, id, proto, offset)
    w.fragment = True
    memcpy(w.fragment_id, id, sizeof(id))
    return AT_PROTOCOL


cdef inline void fragment_remember(Decoder* d, const Walk* w, const Packet* out) noexcept nogil:
    # The first fragment of a datagram was decoded: the later ones belong to its flow.
    if fragment_store(&d.fragments, d.secret, w.fragment_id, out.ts_ns, out.key, out.hash, out.dir,
                      out.proto):
        d.counts[<int> DC_FRAGMENTS_EVICTED] += 1


cdef inline Layer ipv4_step(Decoder* d, Walk* w, Packet* out) noexcept nogil:
    cdef uint32_t head, total, offset
    cdef uint16_t fragment, number
    if not span_has(&w.s, IPV4_HEADER):
        return short_of(d, w, IPV4_HEADER, A_TRUNCATED_IPV4, A_MALFORMED_IPV4)
    head = <uint32_t> (span_u8(&w.s, 0) & 15) * 4
    if span_u8(&w.s, 0) >> 4 != 4 or head < IPV4_HEADER:
        return malformed(d, w, A_MALFORMED_IPV4)
    count_outer(d, w, DC_IPV4)
    total = span_be16(&w.s, 2)
    if total == 0:
        note(d, A_IP_LENGTH_ZERO)
        total = w.wire
    elif total < head:
        return malformed(d, w, A_MALFORMED_IPV4_LENGTH)
    ip_length(d, w, total)
    if not span_has(&w.s, head):
        return short_of(d, w, head, A_TRUNCATED_IPV4, A_MALFORMED_IPV4)
    w.flags &= ~<uint16_t> (PKT_V6 | PKT_ECN_CE)
    if span_u8(&w.s, 1) & 3 == ECN_CE:
        w.flags |= PKT_ECN_CE
    w.ttl = span_u8(&w.s, 8)
    w.type = span_u8(&w.s, 9)
    w.src[0] = 0
    w.src[1] = mapped_ipv4(span_be32(&w.s, 12))
    w.dst[0] = 0
    w.dst[1] = mapped_ipv4(span_be32(&w.s, 16))
    number = span_be16(&w.s, 4)
    fragment = span_be16(&w.s, 6) & 0x3fff
    skip(w, head)
    if fragment == 0:
        return AT_PROTOCOL
    offset = <uint32_t> (fragment & 0x1fff) * 8
    return fragment_step(d, w, out, number, <uint8_t> w.type, offset)


cdef inline Layer ipv6_step(Decoder* d, Walk* w, Packet* out) noexcept nogil:
    cdef uint32_t length
    cdef uint8_t next
    cdef Extensions e
    if not span_has(&w.s, IPV6_HEADER):
        return short_of(d, w, IPV6_HEADER, A_TRUNCATED_IPV6, A_MALFORMED_IPV6)
    if span_u8(&w.s, 0) >> 4 != 6:
        return malformed(d, w, A_MALFORMED_IPV6)
    count_outer(d, w, DC_IPV6)
    length = span_be16(&w.s, 4)
    next = span_u8(&w.s, 6)
    w.flags = (w.flags | PKT_V6) & ~<uint16_t> PKT_ECN_CE
    if span_u8(&w.s, 1) >> 4 & 3 == ECN_CE:
        w.flags |= PKT_ECN_CE
    w.ttl = span_u8(&w.s, 7)
    w.src[0] = span_be64(&w.s, 8)
    w.src[1] = span_be64(&w.s, 16)
    w.dst[0] = span_be64(&w.s, 24)
    w.dst[1] = span_be64(&w.s, 32)
    skip(w, IPV6_HEADER)
    if length == 0 and (next == EXT_HOP_BY_HOP or w.wire > 0xffff):
        length = w.wire               # jumbogram, or BIG TCP without its option
    ip_length(d, w, length)
    e = ipv6_extensions(&w.s, next, w.wire)
    if e.status == EXT_TRUNCATED:
        return truncated(d, w, A_TRUNCATED_IPV6_EXTENSION)
    if e.status == EXT_MALFORMED:
        return malformed(d, w, A_MALFORMED_IPV6_EXTENSION)
    if e.status == EXT_TOO_MANY:
        return unsupported(d, w, A_UNSUPPORTED_IPV6_EXTENSIONS_TOO_MANY)
    if e.jumbo:
        note(d, A_IPV6_JUMBOGRAM)
        if e.jumbo > w.wire:          # 4 GiB are easily claimed: believe the wire
            note(d, A_IP_LENGTH_PAST_FRAME)
        elif e.jumbo >= e.at:
            limit(w, e.jumbo)
    skip(w, e.at)
    w.type = e.next
    if e.fragment:
        return fragment_step(d, w, out, e.fragment_id, e.fragment_next, e.fragment & 0xfff8)
    return AT_PROTOCOL
