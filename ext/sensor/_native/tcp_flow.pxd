# One TCP segment: attempt, new connection, mid-stream pickup, or a segment of a known flow.
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.account cimport (
    count_at, count_joined, count_packet, count_sent, count_stray, is_sent, network_sample)
from sensor._native.app cimport APP_OTHER, APP_SSH, APP_TLS, APP_UNKNOWN
from sensor._native.app_dispatch cimport app_gap, app_segment
from sensor._native.attempts cimport (
    attempt_count, attempt_end, attempt_endpoint, attempt_new, attempt_promote, attempt_tell)
from sensor._native.clock cimport NONE_NS, NS_PER_MS, NS_PER_SECOND, NS_PER_US
from sensor._native.core cimport Core, likely_server
from sensor._native.counters cimport (
    C_ACKS, C_CAPTURE_GAPS, C_CONNECTIONS_FAILED, C_CONNECTIONS_NEW, C_DATA_SEGMENTS, C_DUPLICATES,
    C_HANDSHAKES, C_LOST_DOWNSTREAM, C_LOST_UPSTREAM, C_OUT_OF_ORDER, C_RESETS, C_RETRANSMISSIONS,
    C_SPURIOUS, C_ZERO_WINDOWS)
from sensor._native.detect_say cimport (
    detect_attempt_over, detect_closed, detect_said, detect_stray, detect_stray_answered)
from sensor._native.features cimport (
    F_CONN_SPOKE, F_SYN_ABORTED, F_SYN_FAILED, F_SYN_REFUSED, F_SYN_RETRANS)
from sensor._native.flow cimport (
    END_DETECTED, FLOW_FRAGMENTS, FLOW_GSO, FLOW_MIDSTREAM, FLOW_SHOOK, FLOW_TRUNCATED,
    FLOW_TUNNELLED, FLOW_TURNED, LEAF_OTHER_TCP, TE_CLOSED, TE_ESTABLISHED, TE_INACTIVE, TE_RESET,
    TTL_LOOKS, Flow, Half, flow_closed)
from sensor._native.half_open cimport (
    HO_JUDGED, HO_RST_ORIG, HO_RST_RESP, HO_SYNACK, HO_TIMESTAMPS, HO_UNREACHABLE, HalfOpen,
    half_open_find, key_equal)
from sensor._native.histogram cimport hist_record
from sensor._native.lifecycle cimport flow_end, flow_new, idle_limit_ns
from sensor._native.packet cimport (
    PKT_CUT, PKT_FRAGMENT, PKT_GSO, PKT_LATER_FRAGMENT, PKT_TIMESTAMP, PKT_TUNNELLED, TCP_ACK,
    TCP_FIN, TCP_RST, TCP_SYN, Packet, wire_packets)
from sensor._native.seq cimport seq_diff
from sensor._native.sink cimport (
    L_TCP_ACK, L_TCP_HANDSHAKE, L_TCP_HANDSHAKE_ORIGINATOR, L_TCP_HANDSHAKE_RESPONDER)
from sensor._native.tag_index cimport Bucket, ctz, index_bucket, sensor_bucket_match, tag_of
from sensor._native.tcp_state cimport H_SYN, history_add, history_flags, power_of_ten, tcp_advance
from sensor._native.tcp_track cimport (
    SAMPLE_NET, SAMPLE_NONE, SEG_AHEAD, SEG_DUPLICATE, SEG_KEEPALIVE, SEG_LOST_DOWNSTREAM,
    SEG_LOST_UPSTREAM, SEG_NEXT, SEG_OUT_OF_ORDER, SEG_SPURIOUS, Acked, Segment, tick64, track_ack,
    track_data)
from sensor._native.timer_wheel cimport NIL, wheel_insert, wheel_remove

cdef enum:
    TS_ECHO_MAX_S = 10                 # a TSval that was not echoed by then is forgotten (pping)
    CAPTURED_TWICE_MS = 3              # the first retransmission of a SYN waits for 1 s (RFC 6298)


cdef inline uint32_t flow_find(Core* c, const Packet* p) noexcept nogil:
    cdef Bucket* b = index_bucket(&c.index, p.hash)
    cdef uint32_t m = sensor_bucket_match(b, tag_of(p.hash))
    cdef uint32_t i
    while m:
        i = b.entry[ctz(m)]
        if key_equal(c.flows[i].key, p.key):
            return i
        m &= m - 1
    return NIL


cdef inline void flow_open_count(Core* c, Flow* f) noexcept nogil:
    # A connection was seen; its endpoint hears of it when it is settled.
    c.opened[0 if f.proto == 6 else (1 if f.proto == 17 else 2)] += 1
    c.now.totals[<int> C_CONNECTIONS_NEW] += 1


cdef inline void syn_new(Core* c, const Packet* p) noexcept nogil:
    cdef HalfOpen* e
    c.opened[0] += 1
    c.now.totals[<int> C_CONNECTIONS_NEW] += 1
    e = attempt_new(c, p)
    count_sent(c, e.role, is_sent(e.role, True), p.wire_len, 1)


cdef inline uint32_t midstream_new(Core* c, const Packet* p) noexcept nogil:
    # First packet is no SYN. The originator is its sender, turned where it proves the other role:
    # a SYN-ACK, or a server's port against a client's (Zeek's rule).
    cdef uint16_t sport = <uint16_t> (p.key[4] >> (32 if p.dir else 48))
    cdef uint16_t dport = <uint16_t> (p.key[4] >> (48 if p.dir else 32))
    cdef bint turn = False
    cdef uint32_t i
    if p.tcp_flags & TCP_SYN and p.tcp_flags & TCP_ACK:
        turn = True
    elif likely_server(c, False, sport) and (not likely_server(c, False, dport) or sport < dport):
        turn = True
    i = flow_new(c, p.key, p.hash, 6, p.dir ^ 1 if turn else p.dir, p.ts_ns)
    if i == NIL:
        return NIL
    c.flows[i].flags = FLOW_MIDSTREAM
    if turn:
        c.flows[i].flags |= FLOW_TURNED
        history_add(&c.flows[i], 0, 94)                    # ^
    flow_open_count(c, &c.flows[i])
    return i


cdef inline uint32_t attempt_packet(Core* c, HalfOpen* e, const Packet* p) noexcept nogil:
    # A segment on a tuple with an attempt. Returns the flow it became, or NIL when it is dealt
    # with.
    cdef bint from_orig = p.dir == e.orig_dir
    cdef uint8_t flags = p.tcp_flags
    cdef uint8_t role = e.role
    cdef uint32_t i
    cdef Flow* f
    cdef uint64_t ns
    cdef uint64_t t_synack = e.t_synack_ns
    cdef uint64_t t_syn = e.t_last_syn_ns
    cdef uint8_t synacks = e.synacks
    cdef bint answered = e.flags & HO_SYNACK
    if flags & TCP_SYN and not flags & (TCP_FIN | TCP_RST):
        if from_orig and not flags & TCP_ACK:
            if p.seq != e.isn_orig:                        # new ISN on an old tuple
                attempt_end(c, e, END_DETECTED, True)
                syn_new(c, p)
                return NIL
            if p.ts_ns >= t_syn and p.ts_ns - t_syn < CAPTURED_TWICE_MS * <uint64_t> NS_PER_MS:
                # No stack sends a SYN again this soon: the same packet captured twice.
                attempt_count(c, attempt_endpoint(c, e, role), C_DUPLICATES, 1)
                attempt_count(c, attempt_endpoint(c, e, role), C_RETRANSMISSIONS, 1)
                count_stray(c, p.wire_len, LEAF_OTHER_TCP)
                return NIL
            e.t_last_syn_ns = p.ts_ns
            e.ts_last_syn = p.ts_val
            if e.syns < 255:
                e.syns += 1
            e.orig_wire += p.wire_len
            attempt_tell(c, e, F_SYN_RETRANS)
            attempt_count(c, attempt_endpoint(c, e, role), C_RETRANSMISSIONS, 1)
            count_sent(c, role, is_sent(role, True), p.wire_len, 1)
            return NIL
        if not from_orig and flags & TCP_ACK and p.ack - e.isn_orig - 1 <= e.syn_len:
            if not answered:
                e.taken_len = <uint16_t> (p.ack - e.isn_orig - 1)
                e.flags |= HO_SYNACK
                e.t_synack_ns = p.ts_ns
                e.isn_resp = p.seq
                e.window_resp = p.window
                e.wscale_resp = p.wscale
                if p.mss and (e.mss == 0 or p.mss < e.mss):
                    e.mss = p.mss
                e.synack_echoes_last = (e.flags & HO_TIMESTAMPS and p.flags & PKT_TIMESTAMP
                                        and p.ts_ecr == e.ts_last_syn)
                if (e.syns == 1 or e.synack_echoes_last) and p.ts_ns >= t_syn:
                    hist_record(&c.now.latency[<int> L_TCP_HANDSHAKE_RESPONDER], p.ts_ns - t_syn)
                    hist_record(&c.now.latency[<int> L_TCP_ACK], p.ts_ns - t_syn)
            elif (p.seq == e.isn_resp and p.ts_ns >= t_synack
                  and p.ts_ns - t_synack < CAPTURED_TWICE_MS * <uint64_t> NS_PER_MS):
                attempt_count(c, attempt_endpoint(c, e, role), C_DUPLICATES, 1)
                attempt_count(c, attempt_endpoint(c, e, role), C_RETRANSMISSIONS, 1)
                count_stray(c, p.wire_len, LEAF_OTHER_TCP)
                return NIL
            else:
                e.isn_resp = p.seq
                attempt_count(c, attempt_endpoint(c, e, role), C_RETRANSMISSIONS, 1)
            if e.synacks < 255:
                e.synacks += 1
            e.resp_wire += p.wire_len
            count_sent(c, role, is_sent(role, False), p.wire_len, 1)
            return NIL
    elif flags & TCP_RST and not flags & TCP_FIN:
        if not e.flags & (HO_RST_ORIG | HO_RST_RESP):
            if not e.flags & HO_UNREACHABLE:
                detect_attempt_over(c.detect, e.key, e.orig_dir, e.role, False)
            e.flags |= HO_RST_ORIG if from_orig else HO_RST_RESP
            e.rst_seq = p.seq
            if from_orig:
                attempt_tell(c, e, F_SYN_ABORTED)
            elif not answered:
                attempt_tell(c, e, F_SYN_REFUSED)
                if not e.flags & HO_JUDGED:
                    attempt_tell(c, e, F_SYN_FAILED)
            if answered:
                attempt_count(c, attempt_endpoint(c, e, role), C_RESETS, 1)
            elif not from_orig:
                attempt_count(c, attempt_endpoint(c, e, role), C_CONNECTIONS_FAILED, 1)
            if not from_orig and not answered and e.syns == 1 and p.ts_ns >= t_syn:
                hist_record(&c.now.latency[<int> L_TCP_ACK], p.ts_ns - t_syn)
        if e.rsts < 255:
            e.rsts += 1
        if from_orig:
            e.orig_wire += p.wire_len
        else:
            e.resp_wire += p.wire_len
        count_sent(c, role, is_sent(role, from_orig), p.wire_len, 1)
        return NIL
    if e.flags & (HO_RST_ORIG | HO_RST_RESP):
        # It goes on as if nothing had been: midstream.
        attempt_end(c, e, END_DETECTED, True)
        i = midstream_new(c, p)
        if i == NIL:
            count_stray(c, p.wire_len, LEAF_OTHER_TCP)
        return i
    i = attempt_promote(c, e)
    if i == NIL:
        count_stray(c, p.wire_len, LEAF_OTHER_TCP)
        return NIL
    f = &c.flows[i]
    if answered and from_orig and flags & TCP_ACK and seq_diff(p.ack, f.half[1].nxt) >= 0:
        count_at(c, f, C_HANDSHAKES, 1)
        if (synacks == 1 and p.ts_ns >= t_synack and p.seq == f.half[0].nxt
            and p.ack == f.half[1].nxt):
            ns = p.ts_ns - t_synack
            f.handshake_originator_ns = ns
            hist_record(&c.now.latency[<int> L_TCP_HANDSHAKE_ORIGINATOR], ns)
            network_sample(c, f, 0, ns)
        if p.ts_ns >= t_syn:
            # From the last SYN, whichever was answered (tshark's initial_rtt): comparable, but no
            # network latency where SYNs were sent again. The halves keep to Karn's rule.
            hist_record(&c.now.latency[<int> L_TCP_HANDSHAKE], p.ts_ns - t_syn)
        if f.handshake_responder_ns != NONE_NS:
            network_sample(c, f, 1, f.handshake_responder_ns)
    return i


cdef inline bint login_service(const Flow* f) noexcept nogil:
    # Do people log in there, and does a short session mean that they could not?  By what was said,
    # or else by the responder's port. FTP says its refusals aloud, and short sessions are its habit.
    cdef uint16_t port = <uint16_t> (f.key[4] >> (48 if f.orig_dir else 32))
    if f.app_proto == APP_SSH:
        return True
    if f.app_proto == APP_TLS:
        return port == 3389
    return (f.app_proto == APP_UNKNOWN or f.app_proto == APP_OTHER) and (
        port == 22 or port == 23 or port == 3389 or port == 5900 or port == 110 or port == 143
        or port == 445 or port == 1433 or port == 3306 or port == 5432)


cdef inline void segment_count(Core* c, Flow* f, uint8_t side, Segment seg,
                               uint32_t len, uint32_t segments) noexcept nogil:
    if len:
        count_at(c, f, C_DATA_SEGMENTS, segments)
    if seg == SEG_NEXT or seg == SEG_AHEAD or seg == SEG_KEEPALIVE:
        return
    if seg == SEG_OUT_OF_ORDER:
        f.out_of_order += 1
        count_at(c, f, C_OUT_OF_ORDER, 1)
        return
    if seg == SEG_DUPLICATE:
        # Seen twice, though too soon for the sender to have sent it twice; tshark counts it so too.
        count_at(c, f, C_DUPLICATES, segments)
        count_at(c, f, C_RETRANSMISSIONS, segments)
        return
    f.retransmissions += segments
    count_at(c, f, C_RETRANSMISSIONS, segments)
    if len:
        f.rxmit[side] += 1
        if power_of_ten(f.rxmit[side]):
            history_add(f, side, 84)                       # T
    if seg == SEG_SPURIOUS:
        count_at(c, f, C_SPURIOUS, segments)
    elif len and seg == SEG_LOST_UPSTREAM:
        f.lost_upstream += segments
        count_at(c, f, C_LOST_UPSTREAM, segments)
    elif len:
        f.lost_downstream += segments
        count_at(c, f, C_LOST_DOWNSTREAM, segments)


cdef inline void ts_echo(Core* c, Flow* f, uint8_t side, const Packet* p,
                         bint exact) noexcept nogil:
    # `side` echoes the TSval of the other direction: an RTT sample that survives SACK and loss.
    # Only pure ACKs, and only near the known RTT: a delayed ACK must not pass for the network.
    cdef uint8_t d = 1 - side
    cdef uint64_t ns
    if not f.waiting & (1 << d) or seq_diff(p.ts_ecr, f.ts_out[d]) < 0:
        return
    f.waiting &= ~(1 << d)
    if p.ts_ecr != f.ts_out[d] or exact or p.payload_len or p.ts_ns < f.half[d].advanced_ns:
        return
    ns = <uint64_t> (tick64(p.ts_ns) - f.ts_tick[d]) << 6
    if ns > TS_ECHO_MAX_S * <uint64_t> NS_PER_SECOND:
        return
    if f.srtt_us == 0 or ns <= <uint64_t> f.srtt_us * 1500:
        network_sample(c, f, side, ns)


cdef inline void tcp_segment(Core* c, uint32_t i, const Packet* p) noexcept nogil:
    # A segment of a known flow.
    cdef Flow* f = &c.flows[i]
    cdef uint8_t side = p.dir ^ f.orig_dir
    cdef Half* me = &f.half[side]
    cdef Half* peer = &f.half[1 - side]
    cdef uint8_t flags = p.tcp_flags
    cdef uint32_t len = p.payload_len
    cdef uint32_t space
    cdef uint32_t seq = p.seq
    cdef uint32_t old = 0
    cdef uint32_t end
    cdef uint32_t fresh_ts
    cdef Segment seg = SEG_KEEPALIVE
    cdef Acked acked
    cdef bint was_closed = flow_closed(f)
    cdef bint exact = False
    me.packets += 1
    if me.packets <= TTL_LOOKS:
        f.ttl[side] = p.ttl
    me.wire += p.wire_len
    if p.ts_ns > f.last_ns:
        f.last_ns = p.ts_ns
    if was_closed and me.state != TE_CLOSED:
        f.closed_ns = f.last_ns
    count_packet(c, f, side == 0, p.wire_len, 1)
    if p.flags & (PKT_GSO | PKT_CUT | PKT_TUNNELLED | PKT_FRAGMENT):
        if p.flags & PKT_GSO:
            f.flags |= FLOW_GSO
        if p.flags & PKT_CUT:
            f.flags |= FLOW_TRUNCATED
        if p.flags & PKT_TUNNELLED:
            f.flags |= FLOW_TUNNELLED
        if p.flags & PKT_FRAGMENT:
            f.flags |= FLOW_FRAGMENTS
            if p.flags & PKT_LATER_FRAGMENT:
                return
    if flags & TCP_RST:
        len = 0                                            # RST payload is no part of the stream
    if flags & TCP_SYN:
        if not me.seen:
            me.start = seq
        if p.wscale != 255:
            me.wscale = p.wscale
        if p.mss and p.mss < me.mss:
            me.mss = peer.mss = p.mss
    if not me.seen and not flags & TCP_RST:
        me.seen = 1
        if not flags & TCP_SYN:
            me.start = seq - 1
        me.nxt = me.left = me.una = seq
        me.advanced_ns = p.ts_ns
        me.ts_at_max = p.ts_val - 1
    history_flags(f, side, flags, seq, len)
    if p.window == 0 and not flags & (TCP_RST | TCP_SYN | TCP_FIN):
        f.zero_windows += 1
        count_at(c, f, C_ZERO_WINDOWS, 1)
        if peer.state != TE_CLOSED and me.state != TE_RESET:
            f.zero_win[side] += 1
            if power_of_ten(f.zero_win[side]):
                history_add(f, side, 87)                   # W
    # ---- its own sequence space
    space = len
    if flags & TCP_SYN:
        space += 1
    if flags & TCP_FIN:
        space += 1
    if space and me.seen:
        old = me.nxt
        fresh_ts = me.ts_at_max
        seg = track_data(f, side, p, seq, space, p.ts_ns)
        end = seq + space
        if seq_diff(end, old) > 0 and seg != SEG_KEEPALIVE:
            # Payload by sequence numbers, holes included; SYN and FIN take a number, not an octet.
            me.bytes += <uint32_t> seq_diff(end, old)
            if flags & TCP_SYN and seq_diff(seq, old) >= 0:    # below `old` it was counted already
                me.bytes -= 1
            if flags & TCP_FIN:
                me.bytes -= 1
        if (p.flags & PKT_TIMESTAMP and seg == SEG_NEXT and len and p.ts_val != fresh_ts
            and not f.waiting & (1 << side)):
            f.ts_out[side] = p.ts_val
            f.ts_tick[side] = tick64(p.ts_ns)
            f.waiting |= 1 << side
    # ---- who talks to nobody
    if f.flags & FLOW_MIDSTREAM:
        if peer.packets == 0 or (peer.state == TE_RESET and side == 0):
            if not len or seg != SEG_NEXT or me.packets == 1:
                detect_stray(c.detect, p.key, p.dir, f.role, side == 0, flags, me.packets == 1)
        elif me.packets == 1 and not flags & TCP_RST:
            detect_stray_answered(c.detect, p.key, p.dir, f.role, side == 0)
    # ---- what it acknowledges
    if flags & TCP_ACK and not flags & TCP_RST:
        count_at(c, f, C_ACKS, 1)
        if f.flags & (FLOW_MIDSTREAM
                      | FLOW_SHOOK) == FLOW_MIDSTREAM and side == 0 and not flags & TCP_SYN:
            # SYN-ACK captured before its SYN: still a handshake, but of no known duration.
            if me.history & H_SYN and peer.history & H_SYN:
                f.flags |= FLOW_SHOOK
                count_at(c, f, C_HANDSHAKES, 1)
        if flags & TCP_SYN and not peer.seen:
            peer.start = p.ack - 1                         # the SYN it answers may still come
        if peer.seen:
            acked = track_ack(f, 1 - side, p.ack, len, flags & (TCP_SYN | TCP_FIN) != 0, p.window,
                              p.ts_ns)
            if acked.unseen:
                f.capture_gaps += 1
                f.gap_bytes += acked.unseen
                peer.bytes += acked.unseen
                count_at(c, f, C_CAPTURE_GAPS, 1)
                f.gap_count[1 - side] += 1 if f.gap_count[1 - side] < 255 else 0
                if power_of_ten(f.gap_count[1 - side]):
                    history_add(f, 1 - side, 71)           # G
                app_gap(c, f, 1 - side, acked.unseen)
            if acked.cls != SAMPLE_NONE:
                exact = True
                hist_record(&c.now.latency[<int> L_TCP_ACK], acked.rtt_ns)
                if acked.cls == SAMPLE_NET:
                    network_sample(c, f, side, acked.rtt_ns)
            if p.flags & PKT_TIMESTAMP and f.waiting & 3:
                ts_echo(c, f, side, p, exact)
    me.window = p.window
    # ---- its payload
    if len:
        if seg == SEG_NEXT:
            app_segment(c, f, side, p, 0, 0)
        elif seg == SEG_AHEAD:
            app_segment(c, f, side, p, 0, <uint32_t> seq_diff(seq, old))
        elif seg != SEG_KEEPALIVE and seq_diff(seq + len, old) > 0 and seq_diff(seq, old) < 0:
            app_segment(c, f, side, p, <uint32_t> seq_diff(old, seq), 0)
    if len and side == 0 and me.bytes == len and c.detect != NULL and seg == SEG_NEXT:
        detect_said(c.detect, f.key, f.orig_dir, f.role, 6, F_CONN_SPOKE, 1, False)
    if space:
        segment_count(c, f, side, seg, len, wire_packets(p))
    if p.gso_size:
        count_joined(c, f, side, p)
    if (flags & TCP_RST and me.state != TE_RESET and me.state != TE_CLOSED
        and peer.state != TE_CLOSED and peer.state != TE_RESET):
        if me.seen and peer.seen:
            count_at(c, f, C_RESETS, 1)
    tcp_advance(f, side, flags, seq, len)
    if not was_closed and flow_closed(f):
        f.closed_ns = f.last_ns
        if not f.flags & FLOW_MIDSTREAM:
            detect_closed(c.detect, f.key, f.orig_dir, f.role, f.half[0].bytes, f.half[1].bytes,
                          f.last_ns - f.started_ns if f.last_ns > f.started_ns else 0,
                          login_service(f))
        wheel_remove(c.wheel, c.flows, i)
        wheel_insert(c.wheel, c.flows, i, f.last_ns + idle_limit_ns(f))


cdef inline void tcp_packet(Core* c, const Packet* p) noexcept nogil:
    cdef uint32_t i = flow_find(c, p)
    cdef HalfOpen* e
    cdef Flow* f
    cdef bint syn = p.tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN) == TCP_SYN
    if i == NIL:
        e = half_open_find(&c.half_open, p.key, p.hash)
        if e != NULL and not p.flags & PKT_LATER_FRAGMENT:
            i = attempt_packet(c, e, p)
            if i == NIL:
                return
        elif syn:
            syn_new(c, p)
            return
        else:
            i = midstream_new(c, p)
            if i == NIL:
                count_stray(c, p.wire_len, LEAF_OTHER_TCP)
                return
    elif syn and not p.flags & PKT_LATER_FRAGMENT:
        f = &c.flows[i]
        if p.dir != f.orig_dir or p.seq != f.half[0].start:
            flow_end(c, i, END_DETECTED)                   # new ISN on an old tuple
            syn_new(c, p)
            return
    tcp_segment(c, i, p)
