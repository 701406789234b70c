# The chain of IPv6 extension headers (RFC 8200): hop-by-hop, routing, destination, fragment, AH,
# mobility, HIP, shim6.
#
# Invariants: at most EXTENSIONS_MAX headers, each consumes >= 8 octets; reads only s.p[0..s.n).
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from sensor._native.span cimport Span, span_be16, span_be32, span_has, span_u8

cdef enum:
    EXTENSIONS_MAX = 16
    EXT_HOP_BY_HOP = 0
    EXT_ROUTING = 43
    EXT_FRAGMENT = 44
    EXT_AH = 51
    EXT_DESTINATION = 60
    EXT_MOBILITY = 135
    EXT_HIP = 139
    EXT_SHIM6 = 140
    OPTION_PAD1 = 0
    OPTION_JUMBO = 0xc2

cdef enum ExtensionStatus:
    EXT_OK = 0
    EXT_TRUNCATED
    EXT_MALFORMED
    EXT_TOO_MANY

cdef struct Extensions:
    uint32_t at                # octets used
    uint32_t jumbo             # jumbo payload length (RFC 2675); 0 = absent
    uint32_t fragment_id
    uint16_t fragment          # offset (octets) | more-fragments bit 0; 0 also for an atomic one
    uint8_t next               # protocol after the chain
    uint8_t fragment_next      # what the fragment header names: the same in every fragment
    uint8_t status             # ExtensionStatus


cdef inline uint32_t ipv6_jumbo(const Span* s, uint32_t at, uint32_t end) noexcept nogil:
    # The jumbo payload length of the hop-by-hop options in s[at..end), else 0.
    cdef uint8_t kind
    while at + 2 <= end:
        kind = span_u8(s, at)
        if kind == OPTION_PAD1:
            at += 1
            continue
        if kind == OPTION_JUMBO and span_u8(s, at + 1) == 4 and at + 6 <= end:
            return span_be32(s, at + 2)
        at += 2 + <uint32_t> span_u8(s, at + 1)
    return 0


cdef inline Extensions ipv6_extensions(const Span* s, uint8_t next, uint32_t wire) noexcept nogil:
    # `s`: what follows the fixed header; `next`: its next-header value; `wire`: octets on the wire.
    # Ends at a fragment that is not the first: what follows it is no header.
    cdef Extensions e
    cdef uint32_t size, need
    cdef uint32_t left = EXTENSIONS_MAX + 1
    e.at = 0
    e.jumbo = 0
    e.fragment_id = 0
    e.fragment = 0
    e.next = next
    e.fragment_next = next
    e.status = EXT_OK
    while (e.next == EXT_HOP_BY_HOP or e.next == EXT_ROUTING or e.next == EXT_DESTINATION
            or e.next == EXT_FRAGMENT or e.next == EXT_AH or e.next == EXT_MOBILITY
            or e.next == EXT_HIP or e.next == EXT_SHIM6):
        left -= 1
        if left == 0:
            e.status = EXT_TOO_MANY
            return e
        need = e.at + 8
        if span_has(s, need):
            size = span_u8(s, e.at + 1)
            if e.next == EXT_FRAGMENT:
                size = 8
            elif e.next == EXT_AH:
                size = (size + 2) * 4
            else:
                size = (size + 1) * 8
            need = e.at + size
        if not span_has(s, need):
            e.status = EXT_TRUNCATED if wire >= need else EXT_MALFORMED
            return e
        if e.next == EXT_FRAGMENT:
            e.fragment = span_be16(s, e.at + 2) & 0xfff9
            e.fragment_id = span_be32(s, e.at + 4)
            e.fragment_next = span_u8(s, e.at)
        elif e.next == EXT_HOP_BY_HOP and e.at == 0:
            e.jumbo = ipv6_jumbo(s, 2, size)
        e.next = span_u8(s, e.at)
        e.at += size
        if e.fragment & 0xfff8:
            return e
    return e
