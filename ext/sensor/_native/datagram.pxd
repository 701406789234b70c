# UDP and ICMP: connections by flow semantics (Zeek).
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.account cimport (
    count_at, count_joined, count_packet, count_stray, leaf_of, settle_endpoint, sink_flush)
from sensor._native.app cimport APP_ICMP
from sensor._native.app_dispatch cimport app_datagram
from sensor._native.app_echo cimport echo_message
from sensor._native.attempts cimport attempt_count, attempt_endpoint, attempt_tell
from sensor._native.core cimport Core, likely_server
from sensor._native.counters cimport C_CONNECTIONS_FAILED
from sensor._native.detect_say cimport (
    detect_attempt_over, detect_fragment, detect_icmp, detect_udp, detect_unreachable)
from sensor._native.features cimport (
    F_ICMP_ECHO, F_ICMP_ERROR, F_ICMP_OTHER, F_ICMP_REPLY_STRAY, F_SYN_FAILED, F_SYN_REFUSED,
    Feature)
from sensor._native.flow cimport (
    FLOW_FRAGMENTS, FLOW_GSO, FLOW_TRUNCATED, FLOW_TUNNELLED, FLOW_TURNED, TTL_LOOKS, Flow, Half)
from sensor._native.half_open cimport (
    HO_JUDGED, HO_RST_ORIG, HO_RST_RESP, HO_SYNACK, HO_UNREACHABLE, HalfOpen, half_open_find)
from sensor._native.lifecycle cimport flow_new
from sensor._native.neighbours cimport neighbour_icmp6
from sensor._native.packet cimport (
    PKT_CUT, PKT_FRAGMENT, PKT_LATER_FRAGMENT, PKT_QUOTE, PKT_TUNNELLED, Packet)
from sensor._native.tcp_flow cimport flow_find, flow_open_count
from sensor._native.tcp_state cimport H_DATA, history_add, history_once
from sensor._native.timer_wheel cimport NIL


cdef inline void quoted_attempt(Core* c, const Packet* p) noexcept nogil:
    # An ICMP error about a SYN: that attempt has failed. Never believed for connections.
    cdef HalfOpen* e = half_open_find(&c.half_open, p.quoted_key, p.quoted_hash)
    if e != NULL and p.quoted_dir == e.orig_dir and not e.flags & (HO_UNREACHABLE
                                                                   | HO_SYNACK | HO_JUDGED):
        if not e.flags & (HO_RST_ORIG | HO_RST_RESP):
            detect_attempt_over(c.detect, e.key, e.orig_dir, e.role, False)
        e.flags |= HO_UNREACHABLE | HO_JUDGED
        attempt_tell(c, e, F_SYN_REFUSED)
        attempt_tell(c, e, F_SYN_FAILED)
        attempt_count(c, attempt_endpoint(c, e, e.role), C_CONNECTIONS_FAILED, 1)


cdef inline bint datagram_asks(const Packet* p) noexcept nogil:
    # A question by its own words, where both sides may use the same port: DNS and NTP.
    cdef uint16_t sport = <uint16_t> (p.key[4] >> (32 if p.dir else 48))
    if p.flags & PKT_LATER_FRAGMENT or p.captured < 3:
        return False
    if sport == 53:
        return not p.payload[2] & 0x80                     # QR
    if sport != 123:
        return False
    if p.payload[0] & 7 == 6:
        return not p.payload[1] & 0x80                     # control message: R
    if p.payload[0] & 7 == 7:
        return not p.payload[0] & 0x80                     # private (monlist): R
    return p.payload[0] & 7 == 1 or p.payload[0] & 7 == 3  # symmetric active, client


cdef inline void datagram_tell(Core* c, Flow* f, uint8_t side, const Packet* p) noexcept nogil:
    # For detection; the packet is counted in its half already.
    cdef uint32_t mine = f.half[side].packets
    cdef uint32_t theirs = f.half[1 - side].packets
    cdef uint16_t port = <uint16_t> (f.key[4] >> (48 if f.orig_dir else 32))
    cdef uint16_t quoted
    cdef Feature what = F_ICMP_OTHER
    cdef bint odd = False
    if p.flags & PKT_FRAGMENT:
        detect_fragment(c.detect, p.key, p.dir, f.role, side == 0, p.wire_len,
                        p.flags & PKT_LATER_FRAGMENT != 0)
    if p.proto == 17:
        if f.key[4] >> 32:                                 # fragments without ports are no datagrams
            detect_udp(c.detect, p.key, p.dir, f.role, side == 0, mine, theirs, p.wire_len,
                       p.payload_len, datagram_asks(p), port < 1024 or likely_server(c, True, port))
        return
    if p.flags & PKT_LATER_FRAGMENT or (p.proto != 1 and p.proto != 58):
        return
    if p.icmp_type == 8 or p.icmp_type == 128:
        what = F_ICMP_ECHO
    elif p.icmp_type == 0 or p.icmp_type == 129:
        if theirs:
            odd = f.half[1 - side].window != p.payload_len
            if not odd:
                return                                     # an answer like its question
            what = F_ICMP_OTHER
        else:
            what = F_ICMP_REPLY_STRAY
    elif p.proto == 58 and (p.icmp_type == 135 or p.icmp_type == 136):
        neighbour_icmp6(c.detect.neighbours, p.icmp_type, p.payload, p.captured, p.seq, p.ts_ns,
                        c.secret)
    elif p.flags & PKT_QUOTE:
        what = F_ICMP_ERROR
        if (p.icmp_type == 3 and p.icmp_code == 3 if p.proto == 1
                else p.icmp_type == 1 and p.icmp_code == 4):
            quoted = <uint16_t> (p.quoted_key[4] >> (48 if p.quoted_dir else 32))
            detect_unreachable(c.detect, p.quoted_key, p.quoted_dir,
                               quoted < 1024 or likely_server(c, True, quoted))
    if what == F_ICMP_ECHO:
        odd = mine > 1 and f.half[side].window != p.payload_len
        f.half[side].window = p.payload_len                # an ICMP half has no other use for it
    detect_icmp(c.detect, p.key, p.dir, f.role, side == 0, what, p.wire_len, odd)


cdef inline void datagram_packet(Core* c, const Packet* p) noexcept nogil:
    cdef uint32_t i = flow_find(c, p)
    cdef uint16_t sport
    cdef uint16_t dport
    cdef bint turn = False
    cdef bint udp = p.proto == 17
    cdef Flow* f
    cdef Half* me
    cdef uint8_t side
    if i == NIL:
        if udp:
            sport = <uint16_t> (p.key[4] >> (32 if p.dir else 48))
            dport = <uint16_t> (p.key[4] >> (48 if p.dir else 32))
            turn = likely_server(c, True, sport) and not likely_server(c, True, dport)
        i = flow_new(c, p.key, p.hash, p.proto, p.dir ^ 1 if turn else p.dir, p.ts_ns)
        if i == NIL:
            count_stray(c, p.wire_len, leaf_of(p.proto, 0))
            return
        f = &c.flows[i]
        f.vlan = p.vlan
        if turn:
            f.flags |= FLOW_TURNED
            history_add(f, 0, 94)                          # ^
        if not udp:
            f.app_proto = APP_ICMP
        flow_open_count(c, f)
    f = &c.flows[i]
    side = p.dir ^ f.orig_dir
    me = &f.half[side]
    me.packets += 1
    if me.packets <= TTL_LOOKS:
        f.ttl[side] = p.ttl
    me.wire += p.wire_len
    if p.ts_ns > f.last_ns:
        f.last_ns = p.ts_ns
    me.bytes += p.payload_len
    if p.flags & (PKT_CUT | PKT_TUNNELLED | PKT_FRAGMENT):
        f.flags |= ((FLOW_TRUNCATED if p.flags & PKT_CUT else 0)
                    | (FLOW_TUNNELLED if p.flags & PKT_TUNNELLED else 0)
                    | (FLOW_FRAGMENTS if p.flags & PKT_FRAGMENT else 0))
    count_packet(c, f, side == 0, p.wire_len, 1)
    if p.gso_size:
        f.flags |= FLOW_GSO
        count_joined(c, f, side, p)
    if c.detect != NULL:
        datagram_tell(c, f, side, p)
    if p.flags & PKT_LATER_FRAGMENT:
        if f.endpoint == 0:
            settle_endpoint(c, f)
        return
    if udp:
        if p.payload_len:
            history_once(f, side, H_DATA, 68)              # D
        app_datagram(c, f, side, p)
        return
    c.sink.ts_ns = p.ts_ns
    if p.flags & PKT_QUOTE:
        quoted_attempt(c, p)
    elif p.icmp_type == 8 or p.icmp_type == 128:
        echo_message(c.echoes, &c.sink, p.hash, side == 0, False, <uint16_t> (p.seq >> 16),
                     <uint16_t> p.seq)
    elif p.icmp_type == 0 or p.icmp_type == 129:
        echo_message(c.echoes, &c.sink, p.hash, side == 0, True, <uint16_t> (p.seq >> 16),
                     <uint16_t> p.seq)
    if f.endpoint == 0:
        settle_endpoint(c, f)
    if c.sink.touched:
        sink_flush(c, f)
