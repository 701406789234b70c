# One frame in, one Packet (or a named anomaly) out.
#
# Invariants: never reads past raw.data[0..raw.caplen); at most STEPS_MAX headers and TUNNELS_MAX
# encapsulations a frame; no allocation. After DECODE_OK every field of the Packet is set.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from sensor._native.anomalies cimport (
    A_FRAGMENT_TINY, A_GSO, A_UNSUPPORTED_HEADERS_TOO_MANY, A_UNSUPPORTED_IP_PROTOCOL, DC_6IN4,
    DC_ESP, DC_FRAMES, DC_IGMP, DC_IPIP, DC_IPV4, DC_IPV6, DC_L2TP, DC_OTHER, DC_SCTP, DC_VLAN,
)
from sensor._native.decode_state cimport (
    AT_CHDLC, AT_END, AT_ETHERNET, AT_ETHERTYPE, AT_IP, AT_IPV4, AT_IPV6, AT_LINK, AT_LLC,
    AT_MPLS, AT_PLAIN_UDP, AT_PPP, AT_PPPOE, AT_PROTOCOL, AT_SNAP, count_outer, Decoder, ends,
    enter_tunnel, Layer, note, SENSOR_LIKELY, SENSOR_RARE, STEPS_MAX, unsupported, Walk,
)
from sensor._native.ethernet cimport (
    chdlc_step, ethernet_step, ethertype_step, llc_step, mpls_step, ppp_step, pppoe_step,
    snap_step,
)
from sensor._native.flow_key cimport mapped_ipv4
from sensor._native.icmp cimport icmp_decode
from sensor._native.ip cimport (
    ECN_CE, fragment_remember, ip_step, IPV4_HEADER, ipv4_step, IPV6_HEADER, ipv6_step,
    orphan_fragment,
)
from sensor._native.link cimport LINK_ETHERNET, link_step, wifi_step
from sensor._native.packet cimport (
    DECODE_ARP, DECODE_CDP, DECODE_LLDP, DECODE_NO_FLOW, DECODE_OK, DecodeResult, Packet, PKT_ECN_CE, PKT_GSO,
    PKT_LATER_FRAGMENT, PKT_TUNNELLED, PKT_V6)
from sensor._native.source cimport RAW_GSO_TOLD, RawPacket
from sensor._native.span cimport (
    Span, span_be16, span_be32, span_be64, span_from, span_has, span_of, span_u8,
)
from sensor._native.tcp cimport tcp_decode
from sensor._native.tunnel cimport ah_step, gre_step
from sensor._native.udp cimport udp_decode
from sensor._native.udp_tunnel cimport tunnel_port, udp_tunnel_step

cdef enum:
    GSO_FROM = 1600              # longer frames than Ethernet with tags are offload's (or jumbo)


cdef inline Layer protocol_step(Decoder* d, Walk* w, Packet* out) noexcept nogil:
    # w.type: IP protocol number.
    cdef uint16_t p = w.type
    cdef Layer at
    if w.fragment and w.wire < (20 if p == 6 else 8):
        note(d, A_FRAGMENT_TINY)
        return orphan_fragment(w, out, <uint8_t> p)
    out.flags = w.flags
    if p == 6:
        return ends(w, tcp_decode(d, out, &w.s, w.wire, w.src[0], w.src[1], w.dst[0], w.dst[1]))
    if p == 17:
        at = udp_tunnel_step(d, w)
        if at != AT_PLAIN_UDP:
            return at
        return ends(w, udp_decode(d, out, &w.s, w.wire, w.src[0], w.src[1], w.dst[0], w.dst[1]))
    if p == 1 or p == 58:
        return ends(w, icmp_decode(d, out, &w.s, w.wire, <uint8_t> p,
                                   w.src[0], w.src[1], w.dst[0], w.dst[1]))
    if p == 4:
        return enter_tunnel(d, w, DC_IPIP, AT_IPV4)
    if p == 41:
        return enter_tunnel(d, w, DC_6IN4, AT_IPV6)
    if p == 47:
        return gre_step(d, w)
    if p == 51:
        return ah_step(d, w)
    if p == 2:
        d.counts[<int> DC_IGMP] += 1
    elif p == 50:
        d.counts[<int> DC_ESP] += 1
    elif p == 132:
        d.counts[<int> DC_SCTP] += 1
    elif p == 115:
        d.counts[<int> DC_L2TP] += 1
    elif p not in (46, 59, 88, 89, 103, 112):    # RSVP, none (IPv6), EIGRP, OSPF, PIM, VRRP
        return unsupported(d, w, A_UNSUPPORTED_IP_PROTOCOL)
    return ends(w, DECODE_NO_FLOW)


cdef inline void note_joined(Decoder* d, const RawPacket* raw, Packet* out) noexcept nogil:
    # Is it one frame of several packets? Where nobody tells, its length does.
    if SENSOR_RARE(raw.gso_size or (raw.len > GSO_FROM and not raw.flags & RAW_GSO_TOLD)):
        out.flags |= PKT_GSO
        note(d, A_GSO)


cdef inline DecodeResult decode_walk(Decoder* d, const RawPacket* raw, Packet* out) noexcept nogil:
    # Header by header: everything that the straight line of decode() does not take.
    cdef Walk w
    cdef Layer at = AT_LINK
    cdef uint32_t steps = STEPS_MAX
    memset(&w, 0, sizeof(w))
    w.s = span_of(raw.data, raw.caplen)
    w.wire = raw.len if raw.len >= raw.caplen else raw.caplen
    w.type = raw.link
    while at != AT_END:
        if steps == 0:
            at = unsupported(d, &w, A_UNSUPPORTED_HEADERS_TOO_MANY)
            break
        steps -= 1
        if at == AT_IPV4:
            at = ipv4_step(d, &w, out)
        elif at == AT_IPV6:
            at = ipv6_step(d, &w, out)
        elif at == AT_PROTOCOL:
            at = protocol_step(d, &w, out)
        elif at == AT_ETHERTYPE:
            at = ethertype_step(d, &w)
        elif at == AT_ETHERNET:
            at = ethernet_step(d, &w)
        elif at == AT_LINK:
            at = link_step(d, &w)
        elif at == AT_IP:
            at = ip_step(d, &w)
        elif at == AT_MPLS:
            at = mpls_step(d, &w)
        elif at == AT_PPP:
            at = ppp_step(d, &w)
        elif at == AT_PPPOE:
            at = pppoe_step(d, &w)
        elif at == AT_CHDLC:
            at = chdlc_step(d, &w)
        elif at == AT_LLC:
            at = llc_step(d, &w)
        elif at == AT_SNAP:
            at = snap_step(d, &w)
        else:
            at = wifi_step(d, &w)
    if w.result == DECODE_ARP or w.result == DECODE_LLDP or w.result == DECODE_CDP:
        out.payload = w.s.p
        out.captured = w.s.n
    count_outer(d, &w, DC_OTHER)
    if w.result != DECODE_OK:
        return w.result
    if w.flags & PKT_LATER_FRAGMENT:
        out.flags = w.flags
    elif w.fragment:
        fragment_remember(d, &w, out)
    if w.depth:
        out.flags |= PKT_TUNNELLED
    note_joined(d, raw, out)
    out.ttl = w.ttl
    out.vlan = w.vlan
    out.depth = w.depth
    return w.result


cdef inline bint straight(const Span* s, uint32_t head, uint8_t proto) noexcept nogil:
    # `s`: from the IP header. TCP, or UDP with no port that could mean a tunnel?
    if proto == 6:
        return True
    return (proto == 17 and span_has(s, head + 4) and not tunnel_port(span_be16(s, head))
            and not tunnel_port(span_be16(s, head + 2)))


cdef inline DecodeResult straight_on(Decoder* d, const RawPacket* raw, Packet* out, const Span* s,
                                     uint32_t head, uint32_t total, uint8_t proto, uint64_t s0, uint64_t s1,
                                     uint64_t d0, uint64_t d1) noexcept nogil:
    # `s`: from the IP header, `head` octets of it captured; `total`: octets of the IP packet.
    cdef Span body = span_from(s, head)
    total -= head
    if body.n > total:
        body.n = total
    note_joined(d, raw, out)
    out.depth = 0
    if proto == 6:
        return tcp_decode(d, out, &body, total, s0, s1, d0, d1)
    return udp_decode(d, out, &body, total, s0, s1, d0, d1)


cdef inline DecodeResult decode(Decoder* d, const RawPacket* raw, Packet* out) noexcept nogil:
    # The straight line: Ethernet, at most one VLAN tag, IPv4 without options or IPv6 without
    # extensions, whole, TCP or UDP that is no tunnel. Anything else walks.
    cdef Span s = span_of(raw.data, raw.caplen)
    cdef uint32_t at = 14
    cdef uint32_t wire, total
    cdef uint16_t kind
    out.ts_ns = raw.ts_ns
    out.wire_len = raw.len
    out.gso_size = raw.gso_size
    d.counts[<int> DC_FRAMES] += 1
    if SENSOR_RARE(raw.link != LINK_ETHERNET or not span_has(&s, 54) or raw.len < raw.caplen):
        return decode_walk(d, raw, out)
    kind = span_be16(&s, 12)
    out.vlan = 0
    if kind == 0x8100:
        out.vlan = span_be16(&s, 14) & 0xfff
        kind = span_be16(&s, 16)
        at = 18
    wire = raw.len - at
    s = span_from(&s, at)
    if SENSOR_LIKELY(kind == 0x0800):
        total = span_be16(&s, 2)
        if SENSOR_LIKELY(span_u8(&s, 0) == 0x45 and span_be16(&s, 6) & 0x3fff == 0
                         and IPV4_HEADER <= total <= wire
                         and straight(&s, IPV4_HEADER, span_u8(&s, 9))):
            d.counts[<int> DC_IPV4] += 1
            d.counts[<int> DC_VLAN] += at != 14
            out.flags = PKT_ECN_CE if span_u8(&s, 1) & 3 == ECN_CE else 0
            out.ttl = span_u8(&s, 8)
            return straight_on(d, raw, out, &s, IPV4_HEADER, total, span_u8(&s, 9),
                               0, mapped_ipv4(span_be32(&s, 12)), 0, mapped_ipv4(span_be32(&s, 16)))
    elif kind == 0x86dd and span_has(&s, IPV6_HEADER):
        total = span_be16(&s, 4) + IPV6_HEADER
        if SENSOR_LIKELY(span_u8(&s, 0) >> 4 == 6 and IPV6_HEADER < total <= wire
                         and straight(&s, IPV6_HEADER, span_u8(&s, 6))):
            d.counts[<int> DC_IPV6] += 1
            d.counts[<int> DC_VLAN] += at != 14
            out.flags = PKT_V6 | (PKT_ECN_CE if span_u8(&s, 1) >> 4 & 3 == ECN_CE else 0)
            out.ttl = span_u8(&s, 7)
            return straight_on(d, raw, out, &s, IPV6_HEADER, total, span_u8(&s, 6),
                               span_be64(&s, 8), span_be64(&s, 16), span_be64(&s, 24),
                               span_be64(&s, 32))
    return decode_walk(d, raw, out)
