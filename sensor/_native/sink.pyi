from enum import IntEnum

class LatencyKind(IntEnum):
    L_TCP_HANDSHAKE = 0
    L_TCP_HANDSHAKE_RESPONDER = 1
    L_TCP_HANDSHAKE_ORIGINATOR = 2
    L_TCP_RTT = 3
    L_TCP_ACK = 4
    L_TLS_HANDSHAKE = 5
    L_HTTP_RESPONSE = 6
    L_DNS_RESPONSE = 7
    L_ICMP_ECHO = 8
    L_QUIC_HANDSHAKE = 9
    L_COUNT = 10

class NameSource(IntEnum):
    NAME_NONE = 0
    NAME_DNS = 1
    NAME_HOST = 2
    NAME_SNI = 3
