# What each link type (LINKTYPE_ number of libpcap) puts in front; ethernet.pxd knows the rest.
#
# Invariants: each step reads only w.s, and consumes >= 1 octet or hands on to another family;
# decode.pxd bounds the number of steps. Add a link type: one constant, one line in link_step().
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor._native.anomalies cimport A_MALFORMED_LINK, A_UNSUPPORTED_LINK, A_UNSUPPORTED_LINK_TYPE
from sensor._native.decode_state cimport (
    AT_CHDLC, AT_ETHERNET, AT_ETHERTYPE, AT_IP, AT_IPV4, AT_IPV6, AT_LINK, AT_LLC, AT_PPP,
    AT_PPPOE, AT_SNAP, AT_WIFI, Decoder, ends, Layer, limit, malformed, skip, UNKNOWN_LINKS,
    unsupported, Walk,
)
from sensor._native.ethernet cimport link_short
from sensor._native.packet cimport DECODE_NO_FLOW
from sensor._native.span cimport span_be16, span_be32, span_has, span_u8

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

cdef enum:
    ARPHRD_NETLINK = 824
    NFLOG_ATTRIBUTES_MAX = 32


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


cdef inline Layer sll_step(Decoder* d, Walk* w, uint32_t head, uint32_t hardware,
                           uint32_t protocol) noexcept nogil:
    # Linux "cooked" capture, version 1 or 2: where the ARPHRD_ type and the ethertype are.
    if not span_has(&w.s, head):
        return link_short(d, w, head)
    if span_be16(&w.s, hardware) == ARPHRD_NETLINK:
        return unsupported(d, w, A_UNSUPPORTED_LINK)
    w.type = span_be16(&w.s, protocol)
    skip(w, head)
    if w.type == 4:
        return AT_LLC
    return AT_ETHERTYPE


cdef inline Layer fddi_step(Decoder* d, Walk* w) noexcept nogil:
    cdef uint8_t control
    if not span_has(&w.s, 13):
        return link_short(d, w, 13)
    control = span_u8(&w.s, 0)
    skip(w, 13)
    if control & 0xf0 == 0x50:
        return AT_LLC
    return ends(w, DECODE_NO_FLOW)               # token, MAC, station management


cdef inline Layer frelay_step(Decoder* d, Walk* w) noexcept nogil:
    # Q.922 address, then RFC 2427 (control 3, NLPID) or Cisco's bare ethertype.
    cdef uint32_t at = 0
    cdef uint8_t nlpid
    while span_has(&w.s, at + 1) and span_u8(&w.s, at) & 1 == 0 and at < 4:
        at += 1
    at += 1
    if not span_has(&w.s, at + 2):
        return link_short(d, w, at + 2)
    if span_u8(&w.s, at) != 3:
        w.type = span_be16(&w.s, at)
        skip(w, at + 2)
        return AT_ETHERTYPE
    at += 1
    if span_u8(&w.s, at) == 0:                   # pad
        at += 1
        if not span_has(&w.s, at + 1):
            return link_short(d, w, at + 1)
    nlpid = span_u8(&w.s, at)
    skip(w, at + 1)
    if nlpid == 0xcc:
        return AT_IPV4
    if nlpid == 0x8e:
        return AT_IPV6
    if nlpid == 0xcf:
        return AT_PPP
    if nlpid == 0x80:
        return AT_SNAP
    return ends(w, DECODE_NO_FLOW)               # LMI, IS-IS, fragmentation


cdef inline Layer serial_step(Decoder* d, Walk* w) noexcept nogil:
    # PPP, or Cisco HDLC under PPP's link type: unicast 0x0f or multicast 0x8f, then 0.
    if span_has(&w.s, 2) and span_be16(&w.s, 0) & 0x7fff == 0x0f00:
        return AT_CHDLC
    return AT_PPP


cdef inline Layer radio_step(Decoder* d, Walk* w) noexcept nogil:
    # Radiotap and PPI: a length in little-endian at 2; PPI names the link type at 4.
    cdef uint32_t head
    if not span_has(&w.s, 8):
        return link_short(d, w, 8)
    head = span_u8(&w.s, 2) | <uint32_t> span_u8(&w.s, 3) << 8
    if head < 8:
        return malformed(d, w, A_MALFORMED_LINK)
    if not span_has(&w.s, head):
        return link_short(d, w, head)
    if w.type == LINK_RADIOTAP:
        skip(w, head)
        return AT_WIFI
    w.type = span_u8(&w.s, 4) | <uint16_t> span_u8(&w.s, 5) << 8
    skip(w, head)
    return AT_LINK


cdef inline Layer nflog_step(Decoder* d, Walk* w) noexcept nogil:
    # Attributes in the byte order of the machine that captured; number 9 is the packet.
    cdef uint8_t family
    cdef uint16_t size, kind
    cdef uint32_t left = NFLOG_ATTRIBUTES_MAX
    if not span_has(&w.s, 8):
        return link_short(d, w, 8)
    family = span_u8(&w.s, 0)
    skip(w, 4)
    while left:
        left -= 1
        if not span_has(&w.s, 4):
            return link_short(d, w, 4)
        size = span_be16(&w.s, 0)
        kind = span_be16(&w.s, 2)
        if kind & 0xff00:                        # no attribute is above 255: little-endian
            size = size >> 8 | <uint16_t> (size << 8)
            kind >>= 8
        if size < 4:
            return malformed(d, w, A_MALFORMED_LINK)
        if kind == 9:
            limit(w, size)
            skip(w, 4)
            if family == 2:
                return AT_IPV4
            if family == 10:
                return AT_IPV6
            return unsupported(d, w, A_UNSUPPORTED_LINK)
        size = (size + 3) & ~<uint16_t> 3
        if not span_has(&w.s, size):
            return link_short(d, w, size)
        skip(w, size)
    return unsupported(d, w, A_UNSUPPORTED_LINK)


cdef inline Layer link_step(Decoder* d, Walk* w) noexcept nogil:
    # w.type: LINKTYPE_ number.
    if w.type == LINK_ETHERNET:
        return AT_ETHERNET
    if w.type == LINK_SLL:
        return sll_step(d, w, 16, 2, 14)
    if w.type == LINK_SLL2:
        return sll_step(d, w, 20, 8, 0)
    if w.type == LINK_RAW or w.type == LINK_RAW_BSD or w.type == LINK_RAW_OPENBSD:
        return AT_IP
    if w.type == LINK_IPV4:
        return AT_IPV4
    if w.type == LINK_IPV6:
        return AT_IPV6
    if w.type == LINK_NULL or w.type == LINK_LOOP:
        return null_step(d, w)
    if w.type == LINK_PPP or w.type == LINK_PPP_SERIAL:
        return serial_step(d, w)
    if w.type == LINK_PPPOE:
        return AT_PPPOE
    if w.type == LINK_CHDLC:
        return AT_CHDLC
    if w.type == LINK_NFLOG:
        return nflog_step(d, w)
    if w.type == LINK_FRELAY:
        return frelay_step(d, w)
    if w.type == LINK_FDDI:
        return fddi_step(d, w)
    if w.type == LINK_RADIOTAP or w.type == LINK_PPI:
        return radio_step(d, w)
    if w.type == LINK_WIFI:
        return AT_WIFI
    return link_unknown(d, w)


cdef inline Layer wifi_step(Decoder* d, Walk* w) noexcept nogil:
    # IEEE 802.11 data frames in clear, whole, not aggregated; everything else is no flow.
    cdef uint32_t head = 24
    cdef uint8_t control, flags
    if not span_has(&w.s, 2):
        return link_short(d, w, 2)
    control = span_u8(&w.s, 0)
    flags = span_u8(&w.s, 1)
    if control & 0x4f != 0x08 or flags & 0x40:   # not data with a body, or encrypted
        return ends(w, DECODE_NO_FLOW)
    if flags & 3 == 3:
        head += 6                                # between access points: a fourth address
    if control & 0x80:
        head += 2                                # QoS
        if flags & 0x80:
            head += 4                            # high throughput control
    if not span_has(&w.s, head):
        return link_short(d, w, head)
    if span_u8(&w.s, 22) & 15:
        return ends(w, DECODE_NO_FLOW)           # a later 802.11 fragment
    if control & 0x80 and span_u8(&w.s, 30 if flags & 3 == 3 else 24) & 0x80:
        return unsupported(d, w, A_UNSUPPORTED_LINK)         # A-MSDU
    skip(w, head)
    return AT_LLC
