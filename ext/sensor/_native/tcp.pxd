# TCP header and options (RFC 9293, RFC 7323). Checksums are not verified: offload leaves them open.
#
# Invariants: reads only s.p[0..s.n); the option loop consumes >= 1 octet a turn, <= 40 in all.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from sensor._native.anomalies cimport (
    A_MALFORMED_TCP, A_SNAPLEN_CUT, A_SNAPLEN_CUT_TCP_OPTIONS, A_TCP_OPTION_BAD,
    A_TRUNCATED_TCP, DC_TCP,
)
from sensor._native.decode_state cimport Decoder, note, SENSOR_LIKELY, SENSOR_RARE
from sensor._native.flow_key cimport key_set
from sensor._native.packet cimport (
    DECODE_MALFORMED, DECODE_OK, DECODE_TRUNCATED, DecodeResult, key_hash, Packet, PKT_CUT,
    PKT_TIMESTAMP, TCP_SYN,
)
from sensor._native.span cimport Span, span_be16, span_be32, span_from, span_has, span_u8

cdef enum:
    IPPROTO_TCP = 6
    TCP_HEADER = 20
    OPT_END = 0
    OPT_NOP = 1
    OPT_MSS = 2
    OPT_WSCALE = 3
    OPT_TIMESTAMP = 8
    NOP_NOP_TIMESTAMP = 0x0101080a   # the 12 octets that nearly every segment carries


cdef inline void tcp_options(Decoder* d, Packet* out, Span o) noexcept nogil:
    # `o`: the option octets that were captured.
    cdef uint8_t kind, size
    while span_has(&o, 1):
        kind = span_u8(&o, 0)
        if kind == OPT_END:
            return
        if kind == OPT_NOP:
            o = span_from(&o, 1)
            continue
        if not span_has(&o, 2) or span_u8(&o, 1) < 2 or not span_has(&o, span_u8(&o, 1)):
            if not out.flags & PKT_CUT:
                note(d, A_TCP_OPTION_BAD)
            return
        size = span_u8(&o, 1)
        if kind == OPT_TIMESTAMP and size == 10:
            out.ts_val = span_be32(&o, 2)
            out.ts_ecr = span_be32(&o, 6)
            out.flags |= PKT_TIMESTAMP
        elif kind == OPT_MSS and size == 4 and out.tcp_flags & TCP_SYN:
            out.mss = span_be16(&o, 2)
        elif kind == OPT_WSCALE and size == 3 and out.tcp_flags & TCP_SYN:
            out.wscale = span_u8(&o, 2)
        o = span_from(&o, size)


cdef inline DecodeResult tcp_decode(Decoder* d, Packet* out, const Span* s, uint32_t wire,
                                    uint64_t s0, uint64_t s1, uint64_t d0,
                                    uint64_t d1) noexcept nogil:
    # `s`: from the TCP header to the end of the IP packet; `wire`: as long as the IP header says.
    cdef uint32_t head
    cdef Span rest
    if SENSOR_RARE(not span_has(s, TCP_HEADER)):
        if wire >= TCP_HEADER:
            note(d, A_TRUNCATED_TCP)
            return DECODE_TRUNCATED
        note(d, A_MALFORMED_TCP)
        return DECODE_MALFORMED
    head = <uint32_t> (span_u8(s, 12) >> 4) * 4
    if SENSOR_RARE(head < TCP_HEADER or head > wire):
        note(d, A_MALFORMED_TCP)
        return DECODE_MALFORMED
    rest = span_from(s, head)
    out.payload = rest.p
    out.captured = rest.n
    out.payload_len = wire - head
    if SENSOR_RARE(rest.n < out.payload_len or s.n < head):
        out.flags |= PKT_CUT
        note(d, A_SNAPLEN_CUT if s.n >= head else A_SNAPLEN_CUT_TCP_OPTIONS)
    out.proto = IPPROTO_TCP
    out.seq = span_be32(s, 4)
    out.ack = span_be32(s, 8)
    out.tcp_flags = span_u8(s, 13)
    out.window = span_be16(s, 14)
    out.mss = 0
    out.wscale = 255
    if head != TCP_HEADER:
        if SENSOR_LIKELY(head == 32 and span_has(s, 32)) and span_be32(s, 20) == NOP_NOP_TIMESTAMP:
            out.ts_val = span_be32(s, 24)
            out.ts_ecr = span_be32(s, 28)
            out.flags |= PKT_TIMESTAMP
        else:
            rest = span_from(s, TCP_HEADER)
            if rest.n > head - TCP_HEADER:
                rest.n = head - TCP_HEADER
            tcp_options(d, out, rest)
    out.dir = key_set(out.key, s0, s1, d0, d1, span_be16(s, 0), span_be16(s, 2), IPPROTO_TCP)
    out.hash = key_hash(out.key, d.secret)
    d.counts[<int> DC_TCP] += 1
    return DECODE_OK
