from enum import IntEnum

class ConnState(IntEnum):
    S0 = 0
    S1 = 1
    SF = 2
    REJ = 3
    S2 = 4
    S3 = 5
    RSTO = 6
    RSTR = 7
    RSTOS0 = 8
    RSTRH = 9
    SH = 10
    SHR = 11
    OTH = 12
    STATES = 13

class EndReason(IntEnum):
    END_IDLE = 1
    END_ACTIVE = 2
    END_DETECTED = 3
    END_FORCED = 4
    END_RESOURCES = 5

class Leaf(IntEnum):
    LEAF_HTTP = 0
    LEAF_HTTPS = 1
    LEAF_WEBSOCKET = 2
    LEAF_GRPC = 3
    LEAF_QUIC = 4
    LEAF_DNS = 5
    LEAF_OTHER_TCP = 6
    LEAF_OTHER_UDP = 7
    LEAF_ICMP = 8
    LEAF_OTHER = 9
    LEAVES = 10
