# UDP header (RFC 768). Whether a tunnel is inside is tunnel.pxd's question, asked before.
#
# Invariants: reads only s.p[0..s.n).
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from sensor._native.anomalies cimport (
    A_MALFORMED_UDP, A_SNAPLEN_CUT, A_TRUNCATED_UDP, A_UDP_LENGTH_PAST_IP, DC_UDP,
)
from sensor._native.decode_state cimport Decoder, note, SENSOR_RARE
from sensor._native.flow_key cimport key_set
from sensor._native.packet cimport (
    DECODE_MALFORMED, DECODE_OK, DECODE_TRUNCATED, DecodeResult, key_hash, Packet, PKT_CUT,
    PKT_FRAGMENT,
)
from sensor._native.span cimport Span, span_be16, span_from, span_has

cdef enum:
    IPPROTO_UDP = 17
    UDP_HEADER = 8


cdef inline DecodeResult udp_decode(Decoder* d, Packet* out, const Span* s, uint32_t wire,
                                    uint64_t s0, uint64_t s1, uint64_t d0,
                                    uint64_t d1) noexcept nogil:
    # `s`: from the UDP header to the end of the IP packet; `wire`: as long as the IP header says.
    cdef uint32_t length
    cdef Span rest
    if SENSOR_RARE(not span_has(s, UDP_HEADER)):
        if wire >= UDP_HEADER:
            note(d, A_TRUNCATED_UDP)
            return DECODE_TRUNCATED
        note(d, A_MALFORMED_UDP)
        return DECODE_MALFORMED
    length = span_be16(s, 4)
    if SENSOR_RARE(length != wire):
        if length == 0:                  # jumbogram (RFC 2675), or left to the offload
            length = wire
        elif length < UDP_HEADER:
            note(d, A_MALFORMED_UDP)
            return DECODE_MALFORMED
        elif length > wire:
            if not out.flags & PKT_FRAGMENT:
                note(d, A_UDP_LENGTH_PAST_IP)
            length = wire
    rest = span_from(s, UDP_HEADER)
    out.payload_len = length - UDP_HEADER
    if rest.n > out.payload_len:
        rest.n = out.payload_len
    out.payload = rest.p
    out.captured = rest.n
    if SENSOR_RARE(rest.n < out.payload_len):
        out.flags |= PKT_CUT
        note(d, A_SNAPLEN_CUT)
    out.proto = IPPROTO_UDP
    out.dir = key_set(out.key, s0, s1, d0, d1, span_be16(s, 0), span_be16(s, 2), IPPROTO_UDP)
    out.hash = key_hash(out.key, d.secret)
    d.counts[<int> DC_UDP] += 1
    return DECODE_OK
