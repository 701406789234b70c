# One frame in, one Packet (or a named anomaly) out.
#
# Invariants: never reads past raw.data[0..raw.caplen); at most STEPS_MAX headers and TUNNELS_MAX
# encapsulations a frame; no allocation. After DECODE_OK every field of the Packet is set.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from sensor._native.anomalies cimport (
    A_GSO, A_UNSUPPORTED_HEADERS_TOO_MANY, A_UNSUPPORTED_IP_PROTOCOL, DC_FRAMES, DC_OTHER,
)
from sensor._native.decode_state cimport (
    AT_END, AT_ETHERNET, AT_ETHERTYPE, AT_IP, AT_IPV4, AT_IPV6, AT_LINK, count_outer, Decoder,
    ends, Layer, note, STEPS_MAX, unsupported, Walk,
)
from sensor._native.icmp cimport icmp_decode
from sensor._native.ip cimport fragment_remember, ip_step, ipv4_step, ipv6_step
from sensor._native.link cimport ethernet_step, ethertype_step, link_step
from sensor._native.packet cimport (
    DECODE_OK, DecodeResult, Packet, PKT_GSO, PKT_LATER_FRAGMENT, PKT_TUNNELLED,
)
from sensor._native.source cimport RawPacket
from sensor._native.span cimport span_of
from sensor._native.tcp cimport tcp_decode
from sensor._native.udp cimport udp_decode

cdef enum:
    GSO_FROM = 1600              # longer frames than Ethernet with tags are offload's (or jumbo)


cdef inline Layer protocol_step(Decoder* d, Walk* w, Packet* out) noexcept nogil:
    # w.type: the IP protocol.
    cdef uint16_t p = w.type
    out.flags = w.flags
    if p == 6:
        return ends(w, tcp_decode(d, out, &w.s, w.wire, w.src[0], w.src[1], w.dst[0], w.dst[1]))
    if p == 17:
        return ends(w, udp_decode(d, out, &w.s, w.wire, w.src[0], w.src[1], w.dst[0], w.dst[1]))
    if p == 1 or p == 58:
        return ends(w, icmp_decode(d, out, &w.s, w.wire, <uint8_t> p,
                                   w.src[0], w.src[1], w.dst[0], w.dst[1]))
    return unsupported(d, w, A_UNSUPPORTED_IP_PROTOCOL)


cdef inline DecodeResult decode_walk(Decoder* d, const RawPacket* raw, Packet* out) noexcept nogil:
    # Header by header: everything that the straight line of decode() does not take.
    cdef Walk w
    cdef Layer at = AT_LINK
    cdef uint32_t steps = STEPS_MAX
    memset(&w, 0, sizeof(w))
    w.s = span_of(raw.data, raw.caplen)
    w.wire = raw.len if raw.len >= raw.caplen else raw.caplen
    w.type = raw.link
    out.tcp_flags = 0
    while at != AT_END:
        if steps == 0:
            at = unsupported(d, &w, A_UNSUPPORTED_HEADERS_TOO_MANY)
            break
        steps -= 1
        if at == AT_LINK:
            at = link_step(d, &w)
        elif at == AT_ETHERNET:
            at = ethernet_step(d, &w)
        elif at == AT_ETHERTYPE:
            at = ethertype_step(d, &w)
        elif at == AT_IP:
            at = ip_step(d, &w)
        elif at == AT_IPV4:
            at = ipv4_step(d, &w, out)
        elif at == AT_IPV6:
            at = ipv6_step(d, &w, out)
        else:
            at = protocol_step(d, &w, out)
    count_outer(d, &w, DC_OTHER)
    if w.result != DECODE_OK:
        return w.result
    if w.flags & PKT_LATER_FRAGMENT:
        out.flags = w.flags
    elif w.fragment:
        fragment_remember(d, &w, out)
    if w.depth:
        out.flags |= PKT_TUNNELLED
    if out.wire_len > GSO_FROM:
        out.flags |= PKT_GSO
        note(d, A_GSO)
    out.ttl = w.ttl
    out.vlan = w.vlan
    out.depth = w.depth
    return w.result


cdef inline DecodeResult decode(Decoder* d, const RawPacket* raw, Packet* out) noexcept nogil:
    out.ts_ns = raw.ts_ns
    out.wire_len = raw.len
    d.counts[<int> DC_FRAMES] += 1
    return decode_walk(d, raw, out)
