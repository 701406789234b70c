# Who gets the octets: seconds and bins, totals, the endpoint, the peer's prefix, the protocol leaf.
#
# A flow is counted under an endpoint from the moment its name can be known: until its first payload
# was looked at (`endpoint` == 0) its counts wait in its own halves and are settled all at once.
# Slots belong to one window: at a window's end the epoch moves on and each flow looks its slot up
# again at its next packet.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from sensor._native.app cimport (
    APP_DNS, APP_GRPC, APP_HTTP, APP_HTTP2, APP_LLMNR, APP_MDNS, APP_QUIC, APP_TLS, APP_WEBSOCKET)
from sensor._native.clock cimport NONE_NS, NS_PER_SECOND, NS_PER_TICK
from sensor._native.core cimport INITIALS_A_SECOND, NO_APP, Core, is_local
from sensor._native.counters cimport (
    C_ACKS, C_AUTH_FAILURES, C_BYTES_RECEIVED, C_BYTES_SENT, C_CONNECTIONS_ACTIVE,
    C_CONNECTIONS_NEW, C_DATA_SEGMENTS, C_DHCP_REQUESTS, C_DNS_ANY, C_DNS_NXDOMAIN, C_DNS_QUERIES,
    C_DNS_SERVFAIL, C_HANDSHAKES, C_HTTP2_REQUESTS, C_HTTPS_TURNS, C_HTTP_401, C_HTTP_4XX,
    C_HTTP_5XX, C_HTTP_POSTS, C_HTTP_REQUESTS, C_PACKETS_RECEIVED, C_PACKETS_SENT,
    C_QUIC_CONNECTIONS, C_RETRANSMISSIONS, C_TLS_CLIENT_HELLOS, C_TLS_DOWNGRADES, C_TLS_ERRORS,
    C_TLS_OLD, Counter)
from sensor._native.detect_say cimport detect_said
from sensor._native.dns_cache cimport dns_cache_get
from sensor._native.features cimport (
    F_AUTH_FAILURES, F_COUNT, F_DHCP_REQUESTS, F_DNS_ANY, F_DNS_NXDOMAIN, F_DNS_QUERIES,
    F_DNS_SERVFAIL, F_HTTP_401, F_HTTP_4XX, F_HTTP_5XX, F_HTTP_POSTS, F_HTTP_REQUESTS,
    F_QUIC_INITIALS, F_TLS_DOWNGRADES, F_TLS_FAILED, F_TLS_HELLOS, F_TLS_OLD, F_TLS_TURNS, Feature)
from sensor._native.flow cimport (
    LEAF_DNS, LEAF_GRPC, LEAF_HTTP, LEAF_HTTPS, LEAF_ICMP, LEAF_OTHER, LEAF_OTHER_TCP,
    LEAF_OTHER_UDP, LEAF_QUIC, LEAF_WEBSOCKET, Flow)
from sensor._native.histogram cimport hist_record
from sensor._native.packet cimport Packet, wire_packets
from sensor._native.sink cimport L_TCP_RTT, NAME_DNS, NAME_MAX, AppSink
from sensor._native.window cimport (
    ENDPOINTS, SECONDS, SIDE_IN, SIDE_OTHER, SIDE_OUT, EndpointRow, SecondRow, Window,
    endpoint_latency, endpoint_slot, peer_slot)

cdef extern from *:
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil
    int __builtin_ctzll(unsigned long long x) noexcept nogil

cdef enum:
    ROOM_FOR_ATTEMPTS = 512        # endpoints that unanswered attempts alone may make


cdef inline uint8_t role_of(const Core* c, uint64_t oh, uint64_t ol, uint64_t rh,
                            uint64_t rl) noexcept nogil:
    cdef uint8_t o = is_local(c, oh, ol)
    cdef uint8_t r = is_local(c, rh, rl)
    return o | (r << 1)


cdef inline bint is_sent(uint8_t role, bint from_orig) noexcept nogil:
    # Did the agent send it?  Where neither or both sides are local, the originator stands for it.
    return not from_orig if role == 2 else from_orig


cdef inline void second_turn(Core* c, uint64_t ts) noexcept nogil:
    # A new second (or the first one): open its row; the row of the old one stays as it is.
    cdef Window* w = c.now
    cdef int64_t second = <int64_t> (ts // NS_PER_SECOND)
    c.initials_left = INITIALS_A_SECOND
    if w.n_seconds == SECONDS:
        # longer windows than 4,096 busy seconds: the last row takes it all
        w.seconds_lost += 1
    else:
        w.n_seconds += 1
        memset(&w.seconds[w.n_seconds - 1], 0, sizeof(SecondRow))
        w.seconds[w.n_seconds - 1].second = second
    c.second_end_ns = (<uint64_t> second + 1) * NS_PER_SECOND
    c.bin = <uint32_t> ((ts - <uint64_t> second * NS_PER_SECOND) // NS_PER_TICK)
    c.bin_end_ns = <uint64_t> second * NS_PER_SECOND + (c.bin + 1) * <uint64_t> NS_PER_TICK


cdef inline void bin_turn(Core* c) noexcept nogil:
    # clock_ns has passed bin_end_ns.
    if c.clock_ns >= c.second_end_ns:
        second_turn(c, c.clock_ns)
    else:
        c.bin = <uint32_t> ((c.clock_ns - (c.second_end_ns - NS_PER_SECOND)) // NS_PER_TICK)
        c.bin_end_ns = c.second_end_ns - NS_PER_SECOND + (c.bin + 1) * <uint64_t> NS_PER_TICK


cdef inline void count_side(Core* c, int side, uint32_t octets,
                            uint32_t packets) noexcept nogil:
    cdef SecondRow* s = &c.now.seconds[c.now.n_seconds - 1]
    s.bytes[side] += octets
    s.packets[side] += packets
    s.bins[side][c.bin] += octets


cdef inline void count_sent(Core* c, uint8_t role, bint sent, uint32_t octets,
                            uint32_t packets) noexcept nogil:
    count_side(c, SIDE_OTHER if role == 0 or role == 3 else (SIDE_OUT if sent else SIDE_IN), octets,
               packets)
    if sent:
        c.now.totals[<int> C_PACKETS_SENT] += packets
        c.now.totals[<int> C_BYTES_SENT] += octets
    else:
        c.now.totals[<int> C_PACKETS_RECEIVED] += packets
        c.now.totals[<int> C_BYTES_RECEIVED] += octets


cdef inline uint8_t leaf_of(uint8_t proto, uint8_t app) noexcept nogil:
    if proto == 6:
        if app == APP_TLS:
            return LEAF_HTTPS
        if app == APP_HTTP or app == APP_HTTP2:
            return LEAF_HTTP
        if app == APP_WEBSOCKET:
            return LEAF_WEBSOCKET
        if app == APP_GRPC:
            return LEAF_GRPC
        if app == APP_DNS:
            return LEAF_DNS
        return LEAF_OTHER_TCP
    if proto == 17:
        if app == APP_QUIC:
            return LEAF_QUIC
        if app == APP_DNS or app == APP_MDNS or app == APP_LLMNR:
            return LEAF_DNS
        return LEAF_OTHER_UDP
    if proto == 1 or proto == 58:
        return LEAF_ICMP
    return LEAF_OTHER


cdef inline void responder_of(const Flow* f, uint64_t* hi, uint64_t* lo,
                              uint16_t* port) noexcept nogil:
    cdef int side = 0 if f.orig_dir else 2
    hi[0] = f.key[side]
    lo[0] = f.key[side + 1]
    port[0] = <uint16_t> (f.key[4] >> (48 if f.orig_dir else 32))


cdef inline void originator_of(const Flow* f, uint64_t* hi, uint64_t* lo,
                               uint16_t* port) noexcept nogil:
    cdef int side = 2 if f.orig_dir else 0
    hi[0] = f.key[side]
    lo[0] = f.key[side + 1]
    port[0] = <uint16_t> (f.key[4] >> (32 if f.orig_dir else 48))


cdef inline void count_at(Core* c, Flow* f, Counter counter, uint64_t by) noexcept nogil:
    # Totals, and the endpoint; what is common before that is known waits in `early`.
    c.now.totals[<int> counter] += by
    if f.endpoint >> 16 == c.epoch:
        c.now.endpoints[f.endpoint & 0xffff].n[<int> counter] += by
    elif counter == C_HANDSHAKES:
        f.early[0] += <uint16_t> by
    elif counter == C_DATA_SEGMENTS:
        f.early[1] += <uint16_t> by
    elif counter == C_ACKS:
        f.early[2] += <uint16_t> by
    elif counter == C_RETRANSMISSIONS:
        f.early[3] += <uint16_t> by


cdef inline void settle_endpoint(Core* c, Flow* f) noexcept nogil:
    # Give the flow its endpoint in this window. First time: its counts so far come with it.
    cdef Window* w = c.now
    cdef uint8_t name[NAME_MAX + 1]
    cdef uint8_t name_len = 0
    cdef uint8_t source = 0
    cdef uint64_t rh
    cdef uint64_t rl
    cdef uint64_t oh
    cdef uint64_t ol
    cdef uint16_t port
    cdef uint16_t oport
    cdef uint64_t address[2]
    cdef uint64_t ns
    cdef uint32_t slot
    cdef EndpointRow* e
    cdef bint first = f.endpoint == 0
    cdef int d
    cdef bint sent
    responder_of(f, &rh, &rl, &port)
    address[0] = __builtin_bswap64(rh)
    address[1] = __builtin_bswap64(rl)
    if f.app != NO_APP and c.apps[f.app].name_len:
        slot = endpoint_slot(w, address, port, f.proto, f.role, f.app_proto,
                             c.apps[f.app].name_source,
                             c.apps[f.app].name, c.apps[f.app].name_len, c.secret, ENDPOINTS)
    else:
        if f.role != 2 and dns_cache_get(c.names, &f.key[0 if f.orig_dir else 2], c.clock_ns, name,
                                         &name_len):
            source = NAME_DNS
        slot = endpoint_slot(w, address, port, f.proto, f.role, f.app_proto, source, name, name_len,
                             c.secret, ENDPOINTS if f.half[1].packets else ROOM_FOR_ATTEMPTS)
    f.endpoint = c.epoch << 16 | slot
    f.leaf = leaf_of(f.proto, f.app_proto)
    e = &w.endpoints[slot]
    if e.app == 0:
        e.app = f.app_proto
    e.n[<int> C_CONNECTIONS_ACTIVE] += 1
    w.totals[<int> C_CONNECTIONS_ACTIVE] += 1
    originator_of(f, &oh, &ol, &oport)
    if f.role == 2:
        f.peer = <uint16_t> peer_slot(w, oh, ol, c.secret)
    else:
        f.peer = <uint16_t> peer_slot(w, rh, rl, c.secret)
    w.peers[f.peer].connections += 1
    if not first:
        return
    e.n[<int> C_CONNECTIONS_NEW] += 1
    e.n[<int> C_HANDSHAKES] += f.early[0]
    e.n[<int> C_DATA_SEGMENTS] += f.early[1]
    e.n[<int> C_ACKS] += f.early[2]
    e.n[<int> C_RETRANSMISSIONS] += f.early[3]
    w.leaf_connections[f.leaf] += 1
    for d in range(2):
        sent = is_sent(f.role, d == 0)
        e.n[<int> (C_PACKETS_SENT if sent else C_PACKETS_RECEIVED)] += f.half[d].packets
        e.n[<int> (C_BYTES_SENT if sent else C_BYTES_RECEIVED)] += f.half[d].wire
        w.leaf_packets[f.leaf] += f.half[d].packets
        w.leaf_bytes[f.leaf] += f.half[d].wire
        w.peers[f.peer].packets += f.half[d].packets
        w.peers[f.peer].bytes += f.half[d].wire
    if f.last_rtt_ns[0] != NONE_NS or f.last_rtt_ns[1] != NONE_NS:
        # At most the handshake was measured before the endpoint was known.
        ns = f.last_rtt_ns[0] if f.role == 2 else f.last_rtt_ns[1]
        endpoint_latency(w, slot, ns)
        w.peers[f.peer].latency_count += 1
        w.peers[f.peer].latency_sum_ns += ns


cdef inline void network_sample(Core* c, Flow* f, int acker, uint64_t ns) noexcept nogil:
    # `acker`: side whose distance was measured (0 originator, 1 responder). Only the remote side's
    # counts as network latency; where both or neither are local, the responder's does.
    cdef Window* w = c.now
    cdef uint32_t slot
    cdef uint64_t before
    if (f.role == 2) != (acker == 0):
        return
    if ns < f.rtt_min_ns:
        f.rtt_min_ns = ns
    if f.srtt_us == 0:
        f.srtt_us = <uint32_t> (ns // 1000) | 1
    else:
        f.srtt_us = <uint32_t> ((7 * <uint64_t> f.srtt_us + ns // 1000) >> 3) | 1
    hist_record(&w.latency[<int> L_TCP_RTT], ns)
    before = f.last_rtt_ns[acker]
    if f.endpoint == 0 and before != NONE_NS:
        settle_endpoint(c, f)          # only one sample can wait
    f.last_rtt_ns[acker] = ns
    if f.endpoint >> 16 == c.epoch:
        slot = f.endpoint & 0xffff
        endpoint_latency(w, slot, ns)
        if before != NONE_NS:
            w.endpoints[slot].jitter_count += 1
            w.endpoints[slot].jitter_sum_ns += ns - before if ns > before else before - ns
        w.peers[f.peer].latency_count += 1
        w.peers[f.peer].latency_sum_ns += ns


cdef inline void count_packet(Core* c, Flow* f, bint from_orig, uint32_t octets,
                              uint32_t packets) noexcept nogil:
    # Every packet of a flow passes here once; the caller has added it to its Half already or not
    # at all: an unsettled flow is counted by its halves.
    cdef bint sent = is_sent(f.role, from_orig)
    cdef EndpointRow* e
    cdef Window* w = c.now
    count_sent(c, f.role, sent, octets, packets)
    if f.endpoint >> 16 != c.epoch:
        if f.endpoint == 0:
            return
        settle_endpoint(c, f)
    e = &w.endpoints[f.endpoint & 0xffff]
    if sent:
        e.n[<int> C_PACKETS_SENT] += packets
        e.n[<int> C_BYTES_SENT] += octets
    else:
        e.n[<int> C_PACKETS_RECEIVED] += packets
        e.n[<int> C_BYTES_RECEIVED] += octets
    w.leaf_bytes[f.leaf] += octets
    w.leaf_packets[f.leaf] += packets
    w.peers[f.peer].bytes += octets
    w.peers[f.peer].packets += packets


cdef inline void count_joined(Core* c, Flow* f, uint8_t side, const Packet* p) noexcept nogil:
    # A frame that offload made was counted as one packet; the wire carries the others too, each
    # with the headers of this one.
    cdef uint32_t more = wire_packets(p) - 1
    cdef uint32_t octets = more * (p.wire_len - p.payload_len) if p.wire_len > p.payload_len else 0
    if more:
        f.half[side].packets += more
        f.half[side].wire += octets
        count_packet(c, f, side == 0, octets, more)


cdef inline void count_stray(Core* c, uint32_t octets, uint8_t leaf) noexcept nogil:
    # A packet without a flow: it belongs to nobody, but the line carried it.
    count_side(c, SIDE_OTHER, octets, 1)
    c.now.leaf_bytes[leaf] += octets
    c.now.leaf_packets[leaf] += 1


cdef inline void sink_flush_totals(Core* c) noexcept nogil:
    # The same for what belongs to no connection any more (questions never answered).
    cdef AppSink* s = &c.sink
    cdef int i
    while s.touched:
        i = __builtin_ctzll(s.touched)
        c.now.totals[i] += s.n[i]
        s.n[i] = 0
        s.touched &= s.touched - 1


cdef inline Feature feature_of(int counter) noexcept nogil:
    # What detection wants to hear of the recognisers; F_COUNT: nothing.
    if counter == C_HTTP_REQUESTS or counter == C_HTTP2_REQUESTS:
        return F_HTTP_REQUESTS
    if counter == C_HTTP_POSTS:
        return F_HTTP_POSTS
    if counter == C_HTTP_4XX:
        return F_HTTP_4XX
    if counter == C_HTTP_5XX:
        return F_HTTP_5XX
    if counter == C_HTTP_401:
        return F_HTTP_401
    if counter == C_TLS_CLIENT_HELLOS:
        return F_TLS_HELLOS
    if counter == C_TLS_ERRORS:
        return F_TLS_FAILED
    if counter == C_HTTPS_TURNS:
        return F_TLS_TURNS
    if counter == C_TLS_DOWNGRADES:
        return F_TLS_DOWNGRADES
    if counter == C_TLS_OLD:
        return F_TLS_OLD
    if counter == C_DNS_QUERIES:
        return F_DNS_QUERIES
    if counter == C_DNS_NXDOMAIN:
        return F_DNS_NXDOMAIN
    if counter == C_DNS_SERVFAIL:
        return F_DNS_SERVFAIL
    if counter == C_DNS_ANY:
        return F_DNS_ANY
    if counter == C_AUTH_FAILURES:
        return F_AUTH_FAILURES
    if counter == C_DHCP_REQUESTS:
        return F_DHCP_REQUESTS
    if counter == C_QUIC_CONNECTIONS:
        return F_QUIC_INITIALS
    return F_COUNT


cdef inline bint is_unit(Feature what) noexcept nogil:
    # One act of the client each.
    return (what == F_HTTP_REQUESTS or what == F_TLS_HELLOS or what == F_TLS_TURNS or what == F_QUIC_INITIALS
            or what == F_DNS_QUERIES or what == F_AUTH_FAILURES)


cdef inline void sink_flush(Core* c, Flow* f) noexcept nogil:
    # What a recogniser said during one call goes to the totals and the flow's endpoint.
    cdef AppSink* s = &c.sink
    cdef uint64_t touched = s.touched
    cdef int i
    cdef Feature what
    s.touched = 0
    while touched:
        i = __builtin_ctzll(touched)
        count_at(c, f, <Counter> i, s.n[i])
        what = feature_of(i)
        if what != F_COUNT:
            detect_said(c.detect, f.key, f.orig_dir, f.role, f.proto, what, s.n[i], is_unit(what))
        s.n[i] = 0
        touched &= touched - 1
