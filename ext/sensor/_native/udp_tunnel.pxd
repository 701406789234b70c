# Encapsulations in UDP: VXLAN, GENEVE, GTP-U, Teredo, L2TP.
#
# A UDP port alone proves nothing (a flood on random ports must stay UDP): the tunnel header and the
# first octets inside have to fit, else the datagram is the flow. Where the capture was cut before
# that can be seen, the outcome is truncated, so that a snaplen never changes whose packet it is.
# Invariants: reads only the Span given; every loop is bounded; enter_tunnel() caps the depth.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor._native.anomalies cimport (
    A_TRUNCATED_TUNNEL, DC_CAPWAP, DC_GENEVE, DC_GTP, DC_L2TP, DC_TEREDO, DC_VXLAN, DecodeCount,
)
from sensor._native.decode_state cimport (
    AT_ETHERNET, AT_IP, AT_IPV6, AT_PLAIN_UDP, AT_PPP, Decoder, enter_tunnel, Layer, truncated,
    Walk,
)
from sensor._native.span cimport Span, span_be16, span_be32, span_from, span_has, span_u8

cdef enum TunnelPort:
    PORT_L2TP = 1701
    PORT_GTP_U = 2152
    PORT_TEREDO = 3544
    PORT_VXLAN = 4789
    PORT_CAPWAP_CONTROL = 5246
    PORT_CAPWAP_DATA = 5247
    PORT_GENEVE = 6081
    PORT_VXLAN_LINUX = 8472

cdef enum:
    UDP_HEAD = 8
    GTP_EXTENSIONS_MAX = 8
    L2TP_FIXED = 0xb4ff          # type, reserved bits and version: 2 for a data message

cdef enum Fit:
    FIT_NO = 0                   # not this tunnel: the datagram is the flow
    FIT_YES = 1
    FIT_CUT = 2                  # captured too little to know

# A tunnel that fits: `head` octets of the UDP payload, then `at`.
cdef struct Inside:
    uint32_t head
    Layer at
    DecodeCount kind


cdef inline bint tunnel_port(uint16_t port) noexcept nogil:
    return port in (PORT_L2TP, PORT_GTP_U, PORT_TEREDO, PORT_VXLAN, PORT_CAPWAP_CONTROL,
                    PORT_CAPWAP_DATA, PORT_GENEVE, PORT_VXLAN_LINUX)


cdef inline Fit holds(const Span* q, uint32_t wire, uint32_t need) noexcept nogil:
    if span_has(q, need):
        return FIT_YES
    return FIT_CUT if wire >= need else FIT_NO


cdef inline Fit fits_ip(const Span* q, uint32_t wire, uint32_t at) noexcept nogil:
    # The shortest IP packet is 20 octets; the first one gives the version and the header length.
    cdef Fit fit = holds(q, wire, at + 1)
    cdef uint8_t first
    if fit != FIT_YES:
        return fit
    first = span_u8(q, at)
    if wire < at + 20 or not (first >> 4 == 6 or (first >> 4 == 4 and first & 15 >= 5)):
        return FIT_NO
    return FIT_YES


cdef inline Fit fits_ethernet(const Span* q, uint32_t wire, uint32_t at) noexcept nogil:
    cdef Fit fit = holds(q, wire, at + 15)
    cdef uint16_t kind
    cdef uint8_t first
    if fit != FIT_YES:
        return fit
    kind = span_be16(q, at + 12)
    first = span_u8(q, at + 14)
    if kind == 0x0800:
        return FIT_YES if first >> 4 == 4 and first & 15 >= 5 else FIT_NO
    if kind == 0x86dd:
        return FIT_YES if first >> 4 == 6 else FIT_NO
    if kind <= 1500:             # LLC: spanning tree or SNAP
        return FIT_YES if first == 0x42 or first == 0xaa else FIT_NO
    return FIT_YES if kind in (0x0806, 0x8100, 0x88a8, 0x8847, 0x88cc, 0x8809) else FIT_NO


cdef inline Fit fits_vxlan(const Span* q, uint32_t wire, Inside* found) noexcept nogil:
    # RFC 7348: flag I, the reserved bits 0. Allowed are G with a group id (group policy draft) and
    # P with a next protocol (generic protocol extension): IPv4, IPv6 or Ethernet.
    cdef Fit fit = holds(q, wire, 8)
    cdef uint8_t flags
    if fit != FIT_YES:
        return fit
    flags = span_u8(q, 0)
    if flags & 0x7b != 0x08 or span_u8(q, 7) != 0:
        return FIT_NO
    found.head = 8
    found.at = AT_ETHERNET
    found.kind = DC_VXLAN
    if flags & 0x04 and span_u8(q, 3) != 3:
        found.at = AT_IP
        return fits_ip(q, wire, 8) if 1 <= span_u8(q, 3) <= 2 else FIT_NO
    return fits_ethernet(q, wire, 8)


cdef inline Fit fits_geneve(const Span* q, uint32_t wire, Inside* found) noexcept nogil:
    # RFC 8926: version 0, reserved bits 0, options counted in words.
    cdef Fit fit = holds(q, wire, 8)
    cdef uint16_t kind
    if fit != FIT_YES:
        return fit
    if span_u8(q, 0) >> 6 or span_u8(q, 1) & 0x3f or span_u8(q, 7) != 0:
        return FIT_NO
    found.head = 8 + <uint32_t> (span_u8(q, 0) & 0x3f) * 4
    found.kind = DC_GENEVE
    kind = span_be16(q, 2)
    if kind == 0x6558:
        found.at = AT_ETHERNET
        return fits_ethernet(q, wire, found.head)
    if kind == 0x0800 or kind == 0x86dd:
        found.at = AT_IP
        return fits_ip(q, wire, found.head)
    return FIT_NO


cdef inline Fit fits_gtp(const Span* q, uint32_t wire, uint32_t claimed,
                         Inside* found) noexcept nogil:
    # 3GPP TS 29.281: version 1, protocol type GTP, a G-PDU whose length is the datagram's.
    cdef Fit fit = holds(q, wire, 8)
    cdef uint32_t at = 8
    cdef uint32_t left = GTP_EXTENSIONS_MAX
    cdef uint8_t more
    if fit != FIT_YES:
        return fit
    if (span_u8(q, 0) & 0xf8 != 0x30 or span_u8(q, 1) != 255
            or <uint32_t> span_be16(q, 2) + 8 != claimed):
        return FIT_NO
    if span_u8(q, 0) & 7:        # sequence number, N-PDU number, next extension: all or none
        fit = holds(q, wire, 12)
        if fit != FIT_YES:
            return fit
        at = 12
        more = span_u8(q, 11) if span_u8(q, 0) & 4 else 0
        while more:
            left -= 1
            fit = holds(q, wire, at + 4)
            if fit != FIT_YES:
                return fit
            if left == 0 or span_u8(q, at) == 0:
                return FIT_NO
            at += <uint32_t> span_u8(q, at) * 4
            fit = holds(q, wire, at)
            if fit != FIT_YES:
                return fit
            more = span_u8(q, at - 1)
    found.head = at
    found.at = AT_IP
    found.kind = DC_GTP
    return fits_ip(q, wire, at)


cdef inline Fit fits_teredo(const Span* q, uint32_t wire, uint32_t claimed,
                            Inside* found) noexcept nogil:
    # RFC 4380: optional authentication and origin, then an IPv6 packet of Teredo's prefix 2001::/32
    # (or of link-local addresses, while it gets one), exactly as long as the datagram.
    cdef Fit fit = holds(q, wire, 4)
    cdef uint32_t at = 0
    if fit != FIT_YES:
        return fit
    if span_be16(q, 0) == 1:
        at = 13 + <uint32_t> span_u8(q, 2) + span_u8(q, 3)
        fit = holds(q, wire, at + 2)
        if fit != FIT_YES:
            return fit
    if span_be16(q, at) == 0:
        at += 8
    fit = holds(q, wire, at + 40)
    if fit != FIT_YES:
        return fit
    if span_u8(q, at) >> 4 != 6 or span_be16(q, at + 4) + at + 40 > claimed:
        return FIT_NO
    if (span_be32(q, at + 8) != 0x20010000 and span_be32(q, at + 24) != 0x20010000
            and span_be16(q, at + 8) != 0xfe80):
        return FIT_NO
    found.head = at
    found.at = AT_IPV6
    found.kind = DC_TEREDO
    return FIT_YES


cdef inline Fit fits_l2tp(const Span* q, uint32_t wire, uint32_t claimed,
                          Inside* found) noexcept nogil:
    # RFC 2661: a version 2 data message with PPP and an IP packet inside. Control messages and the
    # rest of PPP stay what they are for the network: a UDP flow.
    cdef Fit fit = holds(q, wire, 2)
    cdef uint32_t at = 2
    cdef uint16_t flags, ppp
    if fit != FIT_YES:
        return fit
    flags = span_be16(q, 0)
    if flags & L2TP_FIXED != 0x0002:
        return FIT_NO
    if flags & 0x4000:
        fit = holds(q, wire, 4)
        if fit != FIT_YES:
            return fit
        if span_be16(q, 2) != claimed:
            return FIT_NO
        at = 4
    at += 4                      # tunnel, session
    if flags & 0x0800:
        at += 4                  # sequence numbers
    if flags & 0x0200:
        fit = holds(q, wire, at + 2)
        if fit != FIT_YES:
            return fit
        at += 2 + <uint32_t> span_be16(q, at)
    fit = holds(q, wire, at + 4)
    if fit != FIT_YES:
        return fit
    found.head = at
    found.at = AT_PPP
    found.kind = DC_L2TP
    if span_be16(q, at) == 0xff03:
        at += 2
    ppp = span_be16(q, at)
    if ppp == 0x0021 or ppp == 0x0057:
        return fits_ip(q, wire, at + 2)
    return FIT_NO


cdef inline Layer udp_tunnel_step(Decoder* d, Walk* w) noexcept nogil:
    # w.s: from the UDP header. AT_PLAIN_UDP (and nothing moved) when the datagram is the flow.
    cdef Inside found
    cdef Fit fit = FIT_NO
    cdef Span q
    cdef uint32_t wire, claimed
    cdef uint16_t port
    if not span_has(&w.s, UDP_HEAD):
        return AT_PLAIN_UDP
    port = span_be16(&w.s, 2)
    if not tunnel_port(port):
        port = span_be16(&w.s, 0)
        if not tunnel_port(port):
            return AT_PLAIN_UDP
    claimed = span_be16(&w.s, 4)
    if claimed == 0:
        claimed = w.wire
    if claimed < UDP_HEAD:
        return AT_PLAIN_UDP
    wire = (claimed if claimed < w.wire else w.wire) - UDP_HEAD
    claimed -= UDP_HEAD
    q = span_from(&w.s, UDP_HEAD)
    if q.n > wire:
        q.n = wire
    if port == PORT_VXLAN or port == PORT_VXLAN_LINUX:
        fit = fits_vxlan(&q, wire, &found)
    elif port == PORT_GENEVE:
        fit = fits_geneve(&q, wire, &found)
    elif port == PORT_GTP_U:
        fit = fits_gtp(&q, wire, claimed, &found)
    elif port == PORT_TEREDO:
        fit = fits_teredo(&q, wire, claimed, &found)
    elif port == PORT_L2TP:
        fit = fits_l2tp(&q, wire, claimed, &found)
    else:
        d.counts[<int> DC_CAPWAP] += 1
    if fit == FIT_NO:
        return AT_PLAIN_UDP
    if fit == FIT_CUT:
        return truncated(d, w, A_TRUNCATED_TUNNEL)
    w.s = span_from(&q, found.head)
    w.wire = wire - found.head
    return enter_tunnel(d, w, found.kind, found.at)
