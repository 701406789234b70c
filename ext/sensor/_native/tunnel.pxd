# Encapsulations with an IP protocol number of their own: GRE (with PPTP, ERSPAN, WCCP) and AH.
#
# Invariants: reads only w.s; enter_tunnel() caps the depth. IPIP and 6in4 have no header to read.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor._native.anomalies cimport (
    A_MALFORMED_TUNNEL, A_TRUNCATED_TUNNEL, A_UNSUPPORTED_TUNNEL, DC_GRE,
)
from sensor._native.decode_state cimport (
    AT_END, AT_ETHERNET, AT_ETHERTYPE, AT_IP, AT_PROTOCOL, Decoder, ends, enter_tunnel, Layer,
    short_of, skip, unsupported, Walk,
)
from sensor._native.packet cimport DECODE_NO_FLOW
from sensor._native.span cimport span_be16, span_has, span_u8


cdef inline Layer erspan_step(Decoder* d, Walk* w, uint32_t head) noexcept nogil:
    # ERSPAN type II (8 octets) or III (12, and 8 more with flag O): a mirrored Ethernet frame.
    if head == 12 and span_has(&w.s, 12) and span_u8(&w.s, 11) & 1:
        head = 20
    if not span_has(&w.s, head):
        return short_of(d, w, head, A_TRUNCATED_TUNNEL, A_MALFORMED_TUNNEL)
    skip(w, head)
    return AT_ETHERNET


cdef inline Layer gre_step(Decoder* d, Walk* w) noexcept nogil:
    # RFC 2784 and 2890 (version 0), RFC 2637 (version 1, PPTP). Inside: an ethertype.
    cdef uint16_t flags, kind
    cdef uint32_t head = 4
    cdef Layer inner
    if not span_has(&w.s, 4):
        return short_of(d, w, 4, A_TRUNCATED_TUNNEL, A_MALFORMED_TUNNEL)
    flags = span_be16(&w.s, 0)
    kind = span_be16(&w.s, 2)
    if flags & 0x4007 > 1 or (flags & 7 == 1 and kind != 0x880b):
        return unsupported(d, w, A_UNSUPPORTED_TUNNEL)       # source routing, or another version
    if flags & 0x8000:
        head += 4                # checksum
    if flags & 0x2000:
        head += 4                # key
    if flags & 0x1000:
        head += 4                # sequence number
    if flags & 7 == 1 and flags & 0x0080:
        head += 4                # acknowledgment number
    if not span_has(&w.s, head):
        return short_of(d, w, head, A_TRUNCATED_TUNNEL, A_MALFORMED_TUNNEL)
    skip(w, head)
    inner = enter_tunnel(d, w, DC_GRE, AT_ETHERTYPE)
    if inner == AT_END:
        return AT_END
    if w.wire == 0:
        return ends(w, DECODE_NO_FLOW)                       # keepalive, bare acknowledgment
    w.type = kind
    if kind == 0x88be:                                       # type I: no sequence, no header
        return erspan_step(d, w, 8) if flags & 0x1000 else AT_ETHERNET
    if kind == 0x22eb:
        return erspan_step(d, w, 12)
    if kind == 0x883e:                                       # WCCP: version 2 adds a header
        if not span_has(&w.s, 4):
            return short_of(d, w, 4, A_TRUNCATED_TUNNEL, A_MALFORMED_TUNNEL)
        if span_u8(&w.s, 0) >> 4 != 4:
            skip(w, 4)
        return AT_IP
    return inner


cdef inline Layer ah_step(Decoder* d, Walk* w) noexcept nogil:
    # RFC 4302 over IPv4 (over IPv6 it is one of the extension headers): authenticated, in clear.
    cdef uint32_t head = 8
    if span_has(&w.s, 8):
        head = (<uint32_t> span_u8(&w.s, 1) + 2) * 4
    if not span_has(&w.s, head):
        return short_of(d, w, head, A_TRUNCATED_TUNNEL, A_MALFORMED_TUNNEL)
    w.type = span_u8(&w.s, 0)
    skip(w, head)
    return AT_PROTOCOL
