# DNS over UDP, and over TCP (RFC 1035 4.2.2, RFC 7766) where each message stands behind its 16-bit
# length.
#
# Invariants: nothing is read at or beyond p[n). A message that spans segments is counted once, from
# its first DNS_TCP_KEEP octets. A side that is `lost` counts nothing until a segment starts with a
# message.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from sensor._native.app cimport AppProto, AppVerdict, APP_UNKNOWN, APP_DNS, APP_MDNS, APP_LLMNR, \
    APP_NO, APP_MAYBE, APP_YES
from sensor._native.counters cimport C_MDNS, C_LLMNR, C_DNS_PARSE_ERRORS, C_APP_LOST_SYNC
from sensor._native.dns_cache cimport DnsCache
from sensor._native.dns_message cimport DNS_HEADER, dns_message, dns_plausible, dns_plausible_header
# The engine knows this room only: its table, and the table's clock, go through it.
from sensor._native.dns_table cimport DnsTable, dns_flush, dns_sweep
from sensor._native.sink cimport AppSink, sink_count
from sensor._native.span cimport sensor_be16

cdef enum:
    DNS_TCP_KEEP = 512             # octets of a message kept when it spans segments

cdef struct DnsTcpSide:
    uint16_t left                  # octets of the current message still to come
    uint16_t kept                  # octets in `head`
    uint16_t length                # of the current message; while have < 2, its first octet
    uint8_t have                   # octets of the length prefix seen
    uint8_t told                   # the current message has been counted already
    uint8_t lost                   # out of sync until a segment starts with a message
    uint8_t head[DNS_TCP_KEEP]

cdef struct DnsTcp:
    DnsTcpSide side[2]             # [0] responder's, [1] originator's octets


cdef inline AppProto dns_datagram(DnsTable* t, DnsCache* cache, AppSink* sink, uint64_t flow_hash,
                                  bint from_orig, uint16_t port, uint16_t other_port,
                                  const uint8_t* p, uint32_t n, uint32_t wire_n) noexcept nogil:
    # A UDP payload, p[0..n) of wire_n octets: APP_DNS, APP_MDNS, APP_LLMNR, or APP_UNKNOWN when it
    # is none of them. On port 53 everything is DNS, as for tshark; elsewhere the content decides,
    # but not on 137: NetBIOS names (RFC 1002) have the same form and are another service.
    if n == 0 or port == 137 or other_port == 137:
        return APP_UNKNOWN
    if port == 53 or other_port == 53:
        dns_message(t, cache, sink, flow_hash, from_orig, p, n, wire_n)
        return APP_DNS
    if port == 5353 or other_port == 5353:
        sink_count(sink, C_MDNS, 1)
        return APP_MDNS
    if port == 5355 or other_port == 5355:
        sink_count(sink, C_LLMNR, 1)
        return APP_LLMNR
    if dns_plausible(p, n, wire_n) != APP_YES:
        return APP_UNKNOWN
    dns_message(t, cache, sink, flow_hash, from_orig, p, n, wire_n)
    return APP_DNS


# ---- TCP

cdef inline AppVerdict dns_tcp_probe(const uint8_t* p, uint32_t n, bint from_orig) noexcept nogil:
    cdef uint32_t length
    if n < 2:
        return APP_MAYBE
    length = sensor_be16(p)
    if length < DNS_HEADER + 5:
        return APP_NO
    if n < 2 + DNS_HEADER + 5:
        if n >= 2 + DNS_HEADER and not dns_plausible_header(p + 2):
            return APP_NO
        return APP_MAYBE
    return dns_plausible(p + 2, n - 2 if n - 2 < length else length, length)


cdef inline void dns_tcp_sync(DnsTcpSide* s) noexcept nogil:
    s.left = 0
    s.kept = 0
    s.have = 0
    s.told = 0


cdef inline uint32_t dns_tcp_data(DnsTcp* c, DnsTable* t, DnsCache* cache, AppSink* sink,
                                  uint64_t flow_hash, bint from_orig, const uint8_t* p,
                                  uint32_t n) noexcept nogil:
    # A message inside one segment is parsed where it is; of one that spans segments the first
    # DNS_TCP_KEEP octets are kept, which hold the header and the question.
    cdef DnsTcpSide* s = &c.side[1 if from_orig else 0]
    cdef uint32_t at = 0
    cdef uint32_t take, keep
    if s.lost:
        if dns_tcp_probe(p, n, from_orig) != APP_YES:
            return n
        s.lost = 0
        dns_tcp_sync(s)
    while at < n:
        if s.have < 2:
            s.length = <uint16_t> (s.length << 8 | p[at]) if s.have else p[at]
            s.have += 1
            at += 1
            if s.have < 2:
                continue
            s.left = s.length
            s.kept = 0
            if s.left == 0:
                s.have = 0
                sink_count(sink, C_DNS_PARSE_ERRORS, 1)
                continue
        if at == n:
            break
        take = n - at if n - at < s.left else s.left
        if take == s.length:
            dns_message(t, cache, sink, flow_hash, from_orig, p + at, take, take)
        elif not s.told:
            keep = <uint32_t> DNS_TCP_KEEP - s.kept
            if keep > take:
                keep = take
            memcpy(s.head + s.kept, p + at, keep)
            s.kept += <uint16_t> keep
            if take == s.left:
                dns_message(t, cache, sink, flow_hash, from_orig, s.head, s.kept, s.length)
        s.left -= <uint16_t> take
        at += take
        if s.left == 0:
            dns_tcp_sync(s)
    return n


cdef inline void dns_tcp_gap(DnsTcp* c, DnsTable* t, DnsCache* cache, AppSink* sink,
                             uint64_t flow_hash, bint from_orig, uint64_t n) noexcept nogil:
    # Inside a message its length tells where the next one starts, and what came before the gap is
    # the message, cut. A gap that reaches further loses sync.
    cdef DnsTcpSide* s = &c.side[1 if from_orig else 0]
    if n == 0 or s.lost:
        return
    if s.kept and not s.told:
        dns_message(t, cache, sink, flow_hash, from_orig, s.head, s.kept, s.length)
    if s.have == 2 and n <= s.left:
        s.told = 1
        s.left -= <uint16_t> n
        if s.left == 0:
            dns_tcp_sync(s)
        return
    dns_tcp_sync(s)
    s.lost = 1
    sink_count(sink, C_APP_LOST_SYNC, 1)
