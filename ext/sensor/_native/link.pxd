# Link-layer headers: from a LINKTYPE_ number to the network header.
#
# Invariants: each step reads only w.s, and either consumes >= 1 octet or hands on to a later family;
# decode.pxd bounds the number of steps.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor._native.anomalies cimport (
    A_MALFORMED_LINK, A_TRUNCATED_LINK, A_UNSUPPORTED_ETHERTYPE, A_UNSUPPORTED_LINK,
    A_UNSUPPORTED_LINK_TYPE, DC_ARP, DC_VLAN,
)
from sensor._native.decode_state cimport (
    AT_ETHERNET, AT_ETHERTYPE, AT_IP, AT_IPV4, AT_IPV6, AT_LLC, count_outer, Decoder, ends,
    Layer, short_of, skip, UNKNOWN_LINKS, unsupported, Walk,
)
from sensor._native.packet cimport DECODE_NO_FLOW
from sensor._native.span cimport span_be16, span_be32, span_has

cdef enum:
    LINK_NULL = 0
    LINK_ETHERNET = 1
    LINK_PPP = 9
    LINK_FDDI = 10
    LINK_RAW_BSD = 12
    LINK_RAW_OPENBSD = 14
    LINK_PPP_SERIAL = 50
    LINK_PPPOE = 51
    LINK_RAW = 101
    LINK_CHDLC = 104
    LINK_WIFI = 105
    LINK_FRELAY = 107
    LINK_LOOP = 108
    LINK_SLL = 113
    LINK_RADIOTAP = 127
    LINK_PPI = 192
    LINK_IPV4 = 228
    LINK_IPV6 = 229
    LINK_NFLOG = 239
    LINK_SLL2 = 276


cdef inline Layer link_short(Decoder* d, Walk* w, uint32_t need) noexcept nogil:
    return short_of(d, w, need, A_TRUNCATED_LINK, A_MALFORMED_LINK)


cdef inline Layer link_unknown(Decoder* d, Walk* w) noexcept nogil:
    # Named in a small table; kinds beyond it are only counted by the anomaly.
    cdef uint32_t i
    for i in range(<uint32_t> UNKNOWN_LINKS):
        if d.unknown_link_count[i] == 0 or d.unknown_link[i] == w.type:
            d.unknown_link[i] = w.type
            d.unknown_link_count[i] += 1
            break
    return unsupported(d, w, A_UNSUPPORTED_LINK_TYPE)


cdef inline Layer null_step(Decoder* d, Walk* w) noexcept nogil:
    # BSD loopback: the address family in the byte order of the machine that captured.
    cdef uint32_t family
    if not span_has(&w.s, 4):
        return link_short(d, w, 4)
    family = span_be32(&w.s, 0)
    if family > 0xffff:
        family = family >> 24 | (family >> 8 & 0xff00)
    skip(w, 4)
    if family == 2:
        return AT_IPV4
    if family == 10 or family == 24 or family == 28 or family == 30:
        return AT_IPV6               # Linux, NetBSD and OpenBSD, FreeBSD, macOS
    return unsupported(d, w, A_UNSUPPORTED_LINK)


cdef inline Layer sll_step(Decoder* d, Walk* w, uint32_t head, uint32_t at) noexcept nogil:
    # Linux "cooked" capture, versions 1 and 2: the protocol is an ethertype, or 1 or 4 for 802.3.
    if not span_has(&w.s, head):
        return link_short(d, w, head)
    w.type = span_be16(&w.s, at)
    skip(w, head)
    if w.type == 4:
        return AT_LLC
    return AT_ETHERTYPE


cdef inline Layer link_step(Decoder* d, Walk* w) noexcept nogil:
    if w.type == LINK_ETHERNET:
        return AT_ETHERNET
    if w.type == LINK_SLL:
        return sll_step(d, w, 16, 14)
    if w.type == LINK_SLL2:
        return sll_step(d, w, 20, 0)
    if w.type == LINK_RAW or w.type == LINK_RAW_BSD or w.type == LINK_RAW_OPENBSD:
        return AT_IP
    if w.type == LINK_IPV4:
        return AT_IPV4
    if w.type == LINK_IPV6:
        return AT_IPV6
    if w.type == LINK_NULL or w.type == LINK_LOOP:
        return null_step(d, w)
    return link_unknown(d, w)


cdef inline Layer ethernet_step(Decoder* d, Walk* w) noexcept nogil:
    cdef uint16_t kind
    if not span_has(&w.s, 14):
        return link_short(d, w, 14)
    kind = span_be16(&w.s, 12)
    skip(w, 14)
    w.type = kind
    return AT_ETHERTYPE


cdef inline Layer ethertype_step(Decoder* d, Walk* w) noexcept nogil:
    if w.type == 0x0800:
        return AT_IPV4
    if w.type == 0x86dd:
        return AT_IPV6
    if w.type == 0x0806:
        count_outer(d, w, DC_ARP)
        return ends(w, DECODE_NO_FLOW)
    if w.type == 0x8100 or w.type == 0x88a8 or w.type == 0x9100:
        if not span_has(&w.s, 4):
            return link_short(d, w, 4)
        if w.vlan == 0:
            d.counts[<int> DC_VLAN] += 1
            w.vlan = span_be16(&w.s, 0) & 0xfff
        w.type = span_be16(&w.s, 2)
        skip(w, 4)
        return AT_ETHERTYPE
    return unsupported(d, w, A_UNSUPPORTED_ETHERTYPE)
