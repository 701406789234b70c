# The recogniser state of one connection: its parser and the name it told us.
#
# Invariants: `u` holds the struct of Flow.app_proto and is all zero when a recogniser starts;
# name[0..name_len) is what `name_source` said (SNI wins over Host, the first Host stays).
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from sensor._native.app_dns cimport DnsTcp
from sensor._native.app_http1 cimport Http1
from sensor._native.app_http2 cimport Http2
from sensor._native.app_quic cimport Quic
from sensor._native.app_rtp cimport Rtp
from sensor._native.app_tls cimport Tls
from sensor._native.app_websocket cimport WebSocket
from sensor._native.sink cimport NAME_MAX

cdef union AppParser:
    Http1 http1
    Http2 http2
    Tls tls
    WebSocket websocket
    DnsTcp dns
    Quic quic
    Rtp rtp

cdef struct App:
    AppParser u
    uint32_t next_free
    uint64_t slow_ns               # slow.pxd: since when it is in `slow_phase`, and from which octet
    uint64_t slow_octets
    uint8_t slow_phase
    uint8_t answered               # TLS: the server has sent data after the client's
    uint8_t segments               # payload segments given to the parser, up to 255
    uint8_t name_source
    uint8_t name_len
    uint8_t name[NAME_MAX + 1]
