# The families that share ethertypes: Ethernet, VLAN, LLC and SNAP, MPLS, PPP and PPPoE, Cisco HDLC.
#
# Invariants: each step reads only w.s, and consumes >= 1 octet or hands on to another family;
# decode.pxd bounds the number of steps.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor._native.anomalies cimport (
    A_MALFORMED_LINK, A_TRUNCATED_LINK, A_UNSUPPORTED_ETHERTYPE, A_UNSUPPORTED_TUNNEL, DC_ARP,
    DC_MPLS, DC_PPPOE, DC_VLAN,
)
from sensor._native.decode_state cimport (
    AT_ETHERNET, AT_ETHERTYPE, AT_IPV4, AT_IPV6, AT_LLC, AT_MPLS, AT_PPP, AT_PPPOE, AT_SNAP,
    count_outer, Decoder, ends, Layer, limit, malformed, short_of, skip, unsupported, Walk,
)
from sensor._native.packet cimport DECODE_ARP, DECODE_CDP, DECODE_LLDP, DECODE_NO_FLOW
from sensor._native.span cimport span_be16, span_be32, span_has, span_u8


cdef inline Layer link_short(Decoder* d, Walk* w, uint32_t need) noexcept nogil:
    return short_of(d, w, need, A_TRUNCATED_LINK, A_MALFORMED_LINK)


cdef inline Layer ethernet_step(Decoder* d, Walk* w) noexcept nogil:
    if not span_has(&w.s, 14):
        return link_short(d, w, 14)
    w.type = span_be16(&w.s, 12)
    skip(w, 14)
    if w.type > 1500:
        return AT_ETHERTYPE
    limit(w, w.type)                             # IEEE 802.3: a length
    return AT_LLC


cdef inline Layer ethertype_step(Decoder* d, Walk* w) noexcept nogil:
    cdef uint16_t kind = w.type
    if kind == 0x0800:
        return AT_IPV4
    if kind == 0x86dd:
        return AT_IPV6
    if kind == 0x8100 or kind == 0x88a8 or kind == 0x9100 or kind == 0x9200:
        if not span_has(&w.s, 4):
            return link_short(d, w, 4)
        if not w.tagged:
            w.tagged = True
            w.vlan = span_be16(&w.s, 0) & 0xfff
            d.counts[<int> DC_VLAN] += 1
        w.type = span_be16(&w.s, 2)
        skip(w, 4)
        if w.type > 1500:
            return AT_ETHERTYPE
        limit(w, w.type)
        return AT_LLC
    if kind == 0x0806:
        count_outer(d, w, DC_ARP)
        return ends(w, DECODE_ARP)
    if kind == 0x88cc:
        return ends(w, DECODE_LLDP)
    if kind == 0x8847 or kind == 0x8848:
        return AT_MPLS
    if kind == 0x8864:
        return AT_PPPOE
    if kind == 0x880b:
        return AT_PPP
    if kind == 0x6558:
        return AT_ETHERNET
    if kind == 0x8870:                           # LLC in a frame longer than 1500
        return AT_LLC
    # Understood, and no flow: 802.3 in a cooked capture, Cisco's own, RARP (and SLARP), IPX, flow
    # control and LACP, PPPoE discovery, HomePlug, 802.1X, Realtek, PTP, CFM, loopback, IS-IS.
    if kind in (0x0001, 0x2000, 0x8035, 0x8137, 0x8808, 0x8809, 0x8863, 0x887b, 0x888e, 0x8899,
                0x88f7, 0x8902, 0x9000, 0xfefe):
        return ends(w, DECODE_NO_FLOW)
    return unsupported(d, w, A_UNSUPPORTED_ETHERTYPE)


cdef inline Layer llc_step(Decoder* d, Walk* w) noexcept nogil:
    # IEEE 802.2: SNAP or IP; spanning tree, NetBEUI, IPX, IS-IS are no flows.
    cdef uint16_t saps
    if not span_has(&w.s, 3):
        return link_short(d, w, 3)
    saps = span_be16(&w.s, 0)
    skip(w, 3)
    if saps == 0xaaaa:
        return AT_SNAP
    if saps == 0x0606:
        return AT_IPV4
    return ends(w, DECODE_NO_FLOW)


cdef inline Layer snap_step(Decoder* d, Walk* w) noexcept nogil:
    cdef uint32_t oui
    if not span_has(&w.s, 5):
        return link_short(d, w, 5)
    oui = span_be32(&w.s, 0) >> 8
    w.type = span_be16(&w.s, 3)
    skip(w, 5)
    if oui == 0 or oui == 0x0000f8:
        return AT_ETHERTYPE
    if oui == 0x0080c2 and (w.type == 1 or w.type == 7):     # RFC 2427: bridged Ethernet
        return AT_ETHERNET
    if oui == 0x00000c and w.type == 0x2000:
        return ends(w, DECODE_CDP)
    return ends(w, DECODE_NO_FLOW)               # vendors' own: VTP, ...


cdef inline Layer mpls_step(Decoder* d, Walk* w) noexcept nogil:
    # One label (RFC 3032); below the last one nothing says what follows: look (RFC 4928).
    cdef bint bottom
    cdef uint8_t first
    if not span_has(&w.s, 4):
        return link_short(d, w, 4)
    bottom = span_u8(&w.s, 2) & 1
    skip(w, 4)
    if not bottom:
        return AT_MPLS
    d.counts[<int> DC_MPLS] += 1
    if not span_has(&w.s, 4):
        return link_short(d, w, 4)
    first = span_u8(&w.s, 0) >> 4
    if first == 4:
        return AT_IPV4
    if first == 6:
        return AT_IPV6
    if first == 1:
        return ends(w, DECODE_NO_FLOW)           # associated channel: OAM
    if first == 0:
        skip(w, 4)                               # pseudowire control word
    return AT_ETHERNET


cdef inline Layer pppoe_step(Decoder* d, Walk* w) noexcept nogil:
    cdef uint32_t length
    if not span_has(&w.s, 6):
        return link_short(d, w, 6)
    if span_u8(&w.s, 0) != 0x11:
        return malformed(d, w, A_MALFORMED_LINK)
    if span_u8(&w.s, 1) != 0:
        return ends(w, DECODE_NO_FLOW)           # discovery
    d.counts[<int> DC_PPPOE] += 1
    length = span_be16(&w.s, 4)
    skip(w, 6)
    limit(w, length)
    return AT_PPP


cdef inline Layer ppp_step(Decoder* d, Walk* w) noexcept nogil:
    # RFC 1661 and 1662: address and control may be left out, and a 0 in front of the protocol.
    if span_has(&w.s, 2) and span_be16(&w.s, 0) == 0xff03:
        skip(w, 2)
    if not span_has(&w.s, 2):
        return link_short(d, w, 2)
    if span_u8(&w.s, 0) & 1:
        w.type = span_u8(&w.s, 0)
        skip(w, 1)
    else:
        w.type = span_be16(&w.s, 0)
        skip(w, 2)
    if w.type == 0x0021:
        return AT_IPV4
    if w.type == 0x0057:
        return AT_IPV6
    if w.type == 0x0281 or w.type == 0x0283:
        return AT_MPLS
    if w.type >= 0x8000 or w.type == 0x00fd:
        return ends(w, DECODE_NO_FLOW)           # control protocols; encrypted or compressed
    return unsupported(d, w, A_UNSUPPORTED_TUNNEL)


cdef inline Layer chdlc_step(Decoder* d, Walk* w) noexcept nogil:
    if not span_has(&w.s, 4):
        return link_short(d, w, 4)
    w.type = span_be16(&w.s, 2)
    skip(w, 4)
    return AT_ETHERTYPE
