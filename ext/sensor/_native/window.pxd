# Everything that one window accumulates. There are two: at a window's end what was used of the one
# is copied out and cleared, both in proportion to what was used (with the fixed parts: hashes,
# counts by kind); going over to the other is a pointer.
#
# Invariants: endpoint slot 0 is `__other__` (what found no room); slots [0, n_endpoints) are used;
# hash slots hold endpoint numbers (0 = free). A slot number held by a flow is valid only while the
# flow's epoch equals `epoch`. `seconds` holds [0, n_seconds) finished seconds, then the current
# one.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from sensor._native.clock cimport NS_PER_SECOND, NS_PER_TICK, NS_PER_US
from sensor._native.counters cimport C_COUNT
from sensor._native.flow cimport LEAVES
from sensor._native.histogram cimport HIST2_LEN, HIST3_LEN, HIST_HIGHEST_US, Hist, hist_index
from sensor._native.packet cimport sensor_mum
from sensor._native.sink cimport L_COUNT, NAME_MAX, STATUS_MAX

cdef extern from *:
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil

cdef enum:
    ENDPOINTS = 1024
    ENDPOINT_HASH = 4096
    PEERS = 2048
    PEER_HASH = 8192
    SECONDS = 4096

cdef enum Side:
    SIDE_IN = 0
    SIDE_OUT = 1
    SIDE_OTHER = 2

cdef struct EndpointRow:
    uint64_t address[2]            # network byte order
    uint16_t port
    uint8_t protocol
    uint8_t role
    uint8_t name_source
    uint8_t name_len
    uint8_t app
    uint8_t reserved
    uint64_t n[C_COUNT]
    uint64_t latency_count
    uint64_t latency_sum_ns
    uint64_t latency_min_ns
    uint64_t latency_max_ns
    uint64_t jitter_count
    uint64_t jitter_sum_ns
    uint64_t one_way
    uint8_t name[NAME_MAX + 1]

cdef struct PeerRow:
    uint64_t prefix[2]
    uint64_t bytes
    uint64_t packets
    uint64_t connections
    uint64_t errors
    uint64_t latency_count
    uint64_t latency_sum_ns

cdef struct SecondRow:
    int64_t second
    uint64_t bytes[3]              # by Side
    uint64_t packets[3]
    uint32_t bins[3][10]

cdef struct Window:
    uint64_t start_ns
    uint64_t end_ns
    uint32_t epoch
    uint32_t n_endpoints
    uint32_t n_peers
    uint32_t n_seconds
    uint64_t seconds_lost
    uint64_t endpoints_folded      # connections counted under __other__ for want of room
    uint64_t peers_folded
    uint64_t totals[C_COUNT]
    uint64_t leaf_bytes[LEAVES]
    uint64_t leaf_packets[LEAVES]
    uint64_t leaf_connections[LEAVES]
    uint32_t status[STATUS_MAX]
    Hist latency[L_COUNT]
    uint16_t endpoint_hash[ENDPOINT_HASH]
    uint16_t peer_hash[PEER_HASH]
    EndpointRow endpoints[ENDPOINTS]
    PeerRow peers[PEERS]
    SecondRow seconds[SECONDS]
    uint32_t kind_counts[L_COUNT][HIST3_LEN]
    uint32_t endpoint_counts[ENDPOINTS][HIST2_LEN]


cdef inline void window_clear(Window* w, uint32_t epoch) noexcept nogil:
    # Only what was used is touched: an idle window costs next to nothing.
    cdef uint32_t i
    for i in range(w.n_endpoints):
        if w.endpoints[i].latency_count:
            memset(w.endpoint_counts[i], 0, sizeof(w.endpoint_counts[i]))
    memset(w.endpoints, 0, w.n_endpoints * sizeof(EndpointRow))
    memset(w.peers, 0, w.n_peers * sizeof(PeerRow))
    memset(w.endpoint_hash, 0, sizeof(w.endpoint_hash))
    memset(w.peer_hash, 0, sizeof(w.peer_hash))
    for i in range(L_COUNT):
        if w.latency[i].total:
            memset(w.kind_counts[i], 0, sizeof(w.kind_counts[i]))
        w.latency[i].counts = w.kind_counts[i]
        w.latency[i].half_bits = 10
        w.latency[i].clamped = 0
        w.latency[i].total = 0
        w.latency[i].sum_ns = 0
        w.latency[i].min_ns = <uint64_t> -1
        w.latency[i].max_ns = 0
    memset(w.totals, 0, sizeof(w.totals))
    memset(w.leaf_bytes, 0, sizeof(w.leaf_bytes))
    memset(w.leaf_packets, 0, sizeof(w.leaf_packets))
    memset(w.leaf_connections, 0, sizeof(w.leaf_connections))
    memset(w.status, 0, sizeof(w.status))
    w.n_endpoints = w.n_peers = 1
    w.n_seconds = 0
    w.seconds_lost = w.endpoints_folded = w.peers_folded = 0
    w.endpoints[0].latency_min_ns = <uint64_t> -1
    w.start_ns = w.end_ns = 0
    w.epoch = epoch


cdef inline void endpoint_latency(Window* w, uint32_t slot, uint64_t ns) noexcept nogil:
    cdef EndpointRow* e = &w.endpoints[slot]
    cdef uint64_t us = (ns + NS_PER_US // 2) // NS_PER_US
    if us > HIST_HIGHEST_US:
        us = HIST_HIGHEST_US
    w.endpoint_counts[slot][hist_index(7, us)] += 1
    e.latency_count += 1
    e.latency_sum_ns += ns
    if ns < e.latency_min_ns:
        e.latency_min_ns = ns
    if ns > e.latency_max_ns:
        e.latency_max_ns = ns


cdef inline uint32_t endpoint_slot(Window* w, const uint64_t* address, uint16_t port,
                                   uint8_t protocol,
                                   uint8_t role, uint8_t app, uint8_t name_source,
                                   const uint8_t* name, uint8_t name_len,
                                   const uint64_t* secret, uint32_t room) noexcept nogil:
    # A named endpoint is its name, port, protocol and role; an unnamed one its address.
    # `room`: make a new one only while fewer than this many are used.
    cdef uint64_t h = secret[0] ^ port ^ (<uint64_t> protocol << 16) ^ (<uint64_t> role << 24)
    cdef uint64_t word
    cdef uint32_t i
    cdef uint32_t slot
    cdef EndpointRow* e
    if name_len:
        i = 0
        while i < name_len:
            word = 0
            memcpy(&word, name + i, 8 if name_len - i >= 8 else name_len - i)
            h = sensor_mum(h ^ word, secret[1] + i)
            i += 8
    else:
        h = sensor_mum(h ^ address[0], secret[2]) ^ sensor_mum(address[1] ^ secret[3],
                                                               h ^ secret[4])
    i = <uint32_t> (h ^ (h >> 32)) & (ENDPOINT_HASH - 1)
    while True:
        slot = w.endpoint_hash[i]
        if slot == 0:
            break
        e = &w.endpoints[slot]
        if (e.port == port and e.protocol == protocol and e.role == role and e.name_len == name_len
                and ((name_len and memcmp(e.name, name, name_len) == 0)
                     or (not name_len and e.address[0] == address[0]
                         and e.address[1] == address[1]))):
            return slot
        i = (i + 1) & (ENDPOINT_HASH - 1)
    if w.n_endpoints >= room:
        w.endpoints_folded += 1
        return 0
    slot = w.n_endpoints
    w.n_endpoints += 1
    w.endpoint_hash[i] = <uint16_t> slot
    e = &w.endpoints[slot]
    e.address[0] = address[0]
    e.address[1] = address[1]
    e.port = port
    e.protocol = protocol
    e.role = role
    e.app = app
    e.name_source = name_source if name_len else 0
    e.name_len = name_len
    e.latency_min_ns = <uint64_t> -1
    if name_len:
        memcpy(e.name, name, name_len)
    return slot


cdef inline uint32_t peer_slot(Window* w, uint64_t hi, uint64_t lo,
                               const uint64_t* secret) noexcept nogil:
    # /24 of an IPv4 address, /48 of an IPv6 one (host byte order in); slot 0 when there is no room.
    cdef uint64_t h
    cdef uint32_t i
    cdef uint32_t slot
    if hi == 0 and lo >> 32 == 0xffff:
        lo &= <uint64_t> 0xffffffffffffff00
    else:
        hi &= <uint64_t> 0xffffffffffff0000
        lo = 0
    h = sensor_mum(hi ^ secret[1], lo ^ secret[2])
    i = <uint32_t> (h ^ (h >> 32)) & (PEER_HASH - 1)
    while True:
        slot = w.peer_hash[i]
        if slot == 0:
            break
        if (w.peers[slot].prefix[0] == __builtin_bswap64(hi)
            and w.peers[slot].prefix[1] == __builtin_bswap64(lo)):
            return slot
        i = (i + 1) & (PEER_HASH - 1)
    if w.n_peers == PEERS:
        w.peers_folded += 1
        return 0
    slot = w.n_peers
    w.n_peers += 1
    w.peer_hash[i] = <uint16_t> slot
    w.peers[slot].prefix[0] = __builtin_bswap64(hi)
    w.peers[slot].prefix[1] = __builtin_bswap64(lo)
    return slot
