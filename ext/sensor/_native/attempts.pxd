# Connection attempts through the half-open table: SYN, SYN-ACK, RST; promotion; expiry.
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from sensor._native.account cimport count_sent, is_sent, role_of
from sensor._native.clock cimport NONE_NS, NS_PER_MS, NS_PER_SECOND
from sensor._native.core cimport Core, likely_server
from sensor._native.counters cimport (
    C_BYTES_RECEIVED, C_BYTES_SENT, C_CONNECTIONS_CLOSED, C_CONNECTIONS_FAILED, C_CONNECTIONS_NEW,
    C_PACKETS_RECEIVED, C_PACKETS_SENT, C_RESETS, C_RETRANSMISSIONS, C_TIMEOUTS, Counter)
from sensor._native.detect_say cimport (
    detect_attempt, detect_attempt_over, detect_syn)
from sensor._native.dns_cache cimport dns_cache_get
from sensor._native.features cimport (
    F_SYN_COMPLETE, F_SYN_FAILED, F_SYN_SILENT, Feature)
from sensor._native.flow cimport (
    END_DETECTED, END_FORCED, END_IDLE, END_RESOURCES, FLOW_FRAGMENTS, FLOW_TUNNELLED,
    LEAF_OTHER_TCP, REJ, RSTO, RSTOS0, RSTR, S0, S1, OTH, TE_ESTABLISHED, TE_INACTIVE, TE_SYN_SENT,
    ConnState, EndReason, Flow)
from sensor._native.half_open cimport (
    ATTEMPT_TIMEOUT_S, HO_JUDGED, HO_RST_ORIG, HO_RST_RESP, HO_SYNACK, HO_TIMESTAMPS,
    HALF_OPEN_AGE_S, HO_UNREACHABLE, HO_USED, SILENT_AFTER_MS, HalfOpen, HalfOpenTable,
    half_open_at, half_open_expired)
from sensor._native.histogram cimport hist_record
from sensor._native.lifecycle cimport flow_new, row_name, row_new
from sensor._native.packet cimport (
    PKT_FRAGMENT, PKT_TIMESTAMP, PKT_TUNNELLED, TCP_ACK, TCP_RST, TCP_SYN, Packet)
from sensor._native.rows cimport FlowRow
from sensor._native.sink cimport L_TCP_ACK, NAME_DNS, NAME_MAX
from sensor._native.span cimport sensor_prefetch
from sensor._native.tag_index cimport (
    BUCKET_SLOTS, Bucket, index_bucket, index_insert, index_prefetch, index_remove)
from sensor._native.tcp_state cimport H_ACK, H_RST, H_SYN, history_add
from sensor._native.timer_wheel cimport NIL
from sensor._native.window cimport ENDPOINTS, endpoint_slot, peer_slot
from sensor._native.account cimport ROOM_FOR_ATTEMPTS

cdef extern from *:
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil


cdef inline uint32_t attempt_endpoint(Core* c, const HalfOpen* e, uint8_t role) noexcept nogil:
    # Slot of the responder. A flood asks for the same one again and again: remembered.
    cdef int side = 0 if e.orig_dir else 2
    cdef uint16_t port = <uint16_t> (e.key[4] >> (48 if e.orig_dir else 32))
    cdef uint32_t key = <uint32_t> port << 8 | role
    cdef uint64_t address[2]
    cdef uint8_t name[NAME_MAX + 1]
    cdef uint8_t name_len = 0
    if (c.attempt_epoch == c.epoch and c.attempt_key == key and c.attempt_address[0] == e.key[side]
            and c.attempt_address[1] == e.key[side + 1]):
        return c.attempt_slot
    address[0] = __builtin_bswap64(e.key[side])
    address[1] = __builtin_bswap64(e.key[side + 1])
    if role != 2:
        dns_cache_get(c.names, &e.key[side], c.clock_ns, name, &name_len)
    c.attempt_slot = endpoint_slot(c.now, address, port, 6, role, 0, NAME_DNS, name, name_len,
                                   c.secret,
                                   ROOM_FOR_ATTEMPTS)
    c.attempt_epoch = c.epoch
    c.attempt_key = key
    c.attempt_address[0] = e.key[side]
    c.attempt_address[1] = e.key[side + 1]
    return c.attempt_slot


cdef inline void attempt_count(Core* c, uint32_t slot, Counter counter, uint64_t by) noexcept nogil:
    c.now.totals[<int> counter] += by
    c.now.endpoints[slot].n[<int> counter] += by


cdef inline void attempt_tell(Core* c, const HalfOpen* e, Feature what) noexcept nogil:
    # For detection: what became of it so far.
    cdef uint16_t port = <uint16_t> (e.key[4] >> (48 if e.orig_dir else 32))
    detect_attempt(c.detect, e.key, e.orig_dir, e.role, what,
                   port < 1024 or likely_server(c, False, port))


cdef inline ConnState attempt_state(const HalfOpen* e) noexcept nogil:
    if e.flags & HO_RST_RESP:
        return RSTR if e.flags & HO_SYNACK else REJ
    if e.flags & HO_RST_ORIG:
        return RSTO if e.flags & HO_SYNACK else RSTOS0
    return S1 if e.flags & HO_SYNACK else S0


cdef inline bint is_unjudged(const HalfOpenTable* t, uint32_t at) noexcept nogil:
    # The 1.25-s cursor has not reached it.
    return ((at - t.silenced) & (t.capacity - 1)) < t.head - t.silenced


cdef inline void attempt_end(Core* c, HalfOpen* e, EndReason reason, bint with_row) noexcept nogil:
    # It stays an attempt: count it under its endpoint, write its row. Packets and octets were
    # counted in the totals as they came; here they go to the endpoint and the peer. Without a row:
    # it makes room for another.
    cdef uint32_t at = <uint32_t> (e - c.half_open.ring)
    cdef ConnState state = attempt_state(e)
    cdef uint8_t role = e.role
    cdef uint32_t slot = attempt_endpoint(c, e, role)
    cdef uint16_t peer
    cdef FlowRow* r
    cdef int o = 2 if e.orig_dir else 0
    cdef bint sent = is_sent(role, True)
    cdef int side = (2 - o) if role != 2 else o
    cdef uint8_t* h
    cdef uint8_t n
    cdef uint64_t* to = c.now.endpoints[slot].n
    to[<int> C_CONNECTIONS_NEW] += 1
    to[<int> (C_PACKETS_SENT if sent else C_PACKETS_RECEIVED)] += e.syns
    to[<int> (C_BYTES_SENT if sent else C_BYTES_RECEIVED)] += e.orig_wire
    to[<int> (C_PACKETS_RECEIVED if sent else C_PACKETS_SENT)] += e.synacks + e.rsts
    to[<int> (C_BYTES_RECEIVED if sent else C_BYTES_SENT)] += e.resp_wire
    attempt_count(c, slot, C_CONNECTIONS_CLOSED, 1)
    if not e.flags & (HO_SYNACK | HO_RST_ORIG | HO_RST_RESP):
        c.now.endpoints[slot].one_way += 1
    # Under a flood the sources are made up: no rows, and no places, for them.
    peer = <uint16_t> peer_slot(c.now, e.key[side], e.key[side + 1], c.secret) if with_row else 0
    c.now.peers[peer].connections += 1
    c.now.peers[peer].packets += e.syns + e.synacks + e.rsts
    c.now.peers[peer].bytes += e.orig_wire + e.resp_wire
    if state != S1:
        c.now.peers[peer].errors += 1
    c.now.leaf_connections[<int> LEAF_OTHER_TCP] += 1
    c.now.leaf_packets[<int> LEAF_OTHER_TCP] += e.syns + e.synacks + e.rsts
    c.now.leaf_bytes[<int> LEAF_OTHER_TCP] += e.orig_wire + e.resp_wire
    c.states[<int> state] += 1
    if not e.flags & (HO_RST_ORIG | HO_RST_RESP | HO_UNREACHABLE):
        detect_attempt_over(c.detect, e.key, e.orig_dir, e.role,
                            not with_row and e.syns == 1 and is_unjudged(&c.half_open, at))
    index_remove(&c.half_open.index, e.hash, at)
    e.flags = 0
    if not with_row:
        c.rows.lost += 1 if c.rows.keep else 0
        return
    r = row_new(c)
    if r == NULL:
        return
    r.started_ns = e.t_syn_ns
    r.ended_ns = e.t_synack_ns if e.t_synack_ns > e.t_last_syn_ns else e.t_last_syn_ns
    r.orig_ip[0] = __builtin_bswap64(e.key[o])
    r.orig_ip[1] = __builtin_bswap64(e.key[o + 1])
    r.resp_ip[0] = __builtin_bswap64(e.key[2 - o])
    r.resp_ip[1] = __builtin_bswap64(e.key[3 - o])
    r.orig_port = <uint16_t> (e.key[4] >> (32 if e.orig_dir else 48))
    r.resp_port = <uint16_t> (e.key[4] >> (48 if e.orig_dir else 32))
    r.protocol = 6
    r.conn_state = state
    r.end_reason = reason
    r.orig_packets = e.syns
    r.resp_packets = e.synacks + e.rsts
    if state == RSTOS0 or state == RSTO:
        r.orig_packets += e.rsts
        r.resp_packets -= e.rsts
    r.orig_wire_bytes = e.orig_wire
    r.resp_wire_bytes = e.resp_wire
    r.handshake_ns = r.handshake_originator_ns = r.rtt_min_ns = NONE_NS
    r.handshake_responder_ns = NONE_NS
    if state == S1 and e.syns == 1 and e.t_synack_ns >= e.t_syn_ns:
        r.handshake_responder_ns = e.t_synack_ns - e.t_syn_ns
    r.retransmissions = (e.syns - 1) + (e.synacks - 1 if e.synacks else 0)
    r.vlan = e.vlan
    r.local = role
    r.flags = e.packet_flags
    h = r.history
    n = 0
    h[n] = 83                                          # S
    n += 1
    if state == S1 or state == RSTR or state == RSTO:
        h[n] = 104                                     # h
        n += 1
    if state == REJ or state == RSTR:
        h[n] = 114                                     # r
        n += 1
    elif state == RSTOS0 or state == RSTO:
        h[n] = 82                                      # R
        n += 1
    r.history_len = n
    if c.now.endpoints[slot].name_len:
        row_name(c, r, c.now.endpoints[slot].name, c.now.endpoints[slot].name_len,
                 c.now.endpoints[slot].name_source)


cdef inline void attempt_judge(Core* c, HalfOpen* e) noexcept nogil:
    # 5 s after the SYN: unanswered or reset attempts have failed.
    cdef uint32_t slot
    if e.flags & HO_JUDGED or e.flags & HO_RST_RESP:
        return
    e.flags |= HO_JUDGED
    if not e.flags & HO_SYNACK:
        slot = attempt_endpoint(c, e, e.role)
        attempt_count(c, slot, C_CONNECTIONS_FAILED, 1)
        if not e.flags & (HO_RST_ORIG | HO_UNREACHABLE):
            attempt_count(c, slot, C_TIMEOUTS, 1)
            attempt_tell(c, e, F_SYN_FAILED)


cdef inline bint half_open_age_due(const HalfOpen* e, uint64_t now) noexcept nogil:
    # Cheap test in ring order: it has stood there for 75 s.
    return now > e.queued_ns and now - e.queued_ns > HALF_OPEN_AGE_S * <uint64_t> NS_PER_SECOND


cdef inline void attempt_requeue(HalfOpenTable* t, HalfOpen* e, uint64_t now) noexcept nogil:
    # Still being tried (SYNs sent again): it goes on at the head of the ring.
    cdef uint32_t to = t.head & (t.capacity - 1)
    index_remove(&t.index, e.hash, <uint32_t> (e - t.ring))
    t.ring[to] = e[0]
    t.ring[to].queued_ns = now
    e.flags = 0
    index_insert(&t.index, t.ring[to].hash, to)
    t.head += 1


cdef inline void attempts_catch_up(HalfOpenTable* t) noexcept nogil:
    # The cursors are never behind the tail.
    if <int32_t> (t.judged - t.tail) < 0:
        t.judged = t.tail
    if <int32_t> (t.silenced - t.tail) < 0:
        t.silenced = t.tail


cdef inline void attempts_advance(Core* c) noexcept nogil:
    # Called once per 100-ms tick: the cursors move over what has come of age.
    cdef HalfOpenTable* t = &c.half_open
    cdef HalfOpen* e
    while t.silenced != t.head:
        e = half_open_at(t, t.silenced)
        if e.flags & HO_USED:
            if (c.clock_ns < e.t_syn_ns
                    or c.clock_ns - e.t_syn_ns < SILENT_AFTER_MS * <uint64_t> NS_PER_MS):
                break
            if e.syns == 1 and not e.flags & (HO_RST_ORIG | HO_RST_RESP | HO_UNREACHABLE):
                attempt_tell(c, e, F_SYN_SILENT)
        t.silenced += 1
    while t.judged != t.head:
        e = half_open_at(t, t.judged)
        if e.flags & HO_USED:
            if (c.clock_ns < e.t_syn_ns
                or c.clock_ns - e.t_syn_ns < ATTEMPT_TIMEOUT_S * <uint64_t> NS_PER_SECOND):
                break
            attempt_judge(c, e)
        t.judged += 1
    while t.tail != t.head:
        e = half_open_at(t, t.tail)
        if e.flags & HO_USED:
            if not half_open_age_due(e, c.clock_ns):
                break
            if half_open_expired(e, c.clock_ns):
                attempt_end(c, e, END_IDLE, True)
            elif t.head - t.tail < t.capacity:
                attempt_requeue(t, e, c.clock_ns)
            else:
                break
        t.tail += 1
        attempts_catch_up(t)


cdef inline void attempts_drop_oldest(Core* c) noexcept nogil:
    cdef HalfOpenTable* t = &c.half_open
    cdef HalfOpen* e = half_open_at(t, t.tail)
    if e.flags & HO_USED:
        t.evicted += 1
        attempt_end(c, e, END_RESOURCES, False)
    t.tail += 1
    attempts_catch_up(t)


cdef inline void attempts_drop_in_bucket(Core* c, uint32_t hash) noexcept nogil:
    # Eight attempts share the bucket (rare with a keyed hash): the oldest makes room.
    cdef HalfOpenTable* t = &c.half_open
    cdef Bucket* b = index_bucket(&t.index, hash)
    cdef uint32_t oldest = 0
    cdef uint32_t age
    cdef uint32_t i
    cdef uint32_t at = 0
    for i in range(BUCKET_SLOTS):
        age = (t.head - b.entry[i]) & (t.capacity - 1)
        if age == 0:
            age = t.capacity
        if age > oldest:
            oldest = age
            at = b.entry[i]
    t.evicted += 1
    attempt_end(c, &t.ring[at], END_RESOURCES, False)


cdef inline HalfOpen* attempt_new(Core* c, const Packet* p) noexcept nogil:
    # A SYN on a tuple that is neither a flow nor an attempt.
    cdef HalfOpenTable* t = &c.half_open
    cdef HalfOpen* e
    cdef uint32_t at
    if t.head - t.tail == t.capacity:
        attempts_drop_oldest(c)
    at = t.head & (t.capacity - 1)
    if not index_insert(&t.index, p.hash, at):
        attempts_drop_in_bucket(c, p.hash)
        index_insert(&t.index, p.hash, at)
    e = &t.ring[at]
    memcpy(e.key, p.key, 40)
    e.t_syn_ns = e.t_last_syn_ns = e.queued_ns = p.ts_ns
    e.t_synack_ns = 0
    e.isn_orig = p.seq
    e.isn_resp = 0
    e.ts_last_syn = p.ts_val
    e.hash = p.hash
    e.orig_wire = p.wire_len
    e.resp_wire = 0
    e.rst_seq = 0
    e.syn_len = <uint16_t> p.payload_len
    e.taken_len = 0
    e.mss = p.mss
    e.vlan = p.vlan
    e.window_orig = p.window
    e.window_resp = 0
    e.flags = HO_USED | (HO_TIMESTAMPS if p.flags & PKT_TIMESTAMP else 0)
    e.orig_dir = p.dir
    if p.dir:
        e.role = role_of(c, p.key[2], p.key[3], p.key[0], p.key[1])
    else:
        e.role = role_of(c, p.key[0], p.key[1], p.key[2], p.key[3])
    e.syns = 1
    e.synacks = e.rsts = 0
    e.wscale_orig = p.wscale
    e.wscale_resp = 255
    e.packet_flags = ((FLOW_TUNNELLED if p.flags & PKT_TUNNELLED else 0)
                      | (FLOW_FRAGMENTS if p.flags & PKT_FRAGMENT else 0))
    e.synack_echoes_last = 0
    t.head += 1
    detect_syn(c.detect, e.key, e.orig_dir, e.role,
               p.mss == 0 and p.wscale == 255 and not p.flags & PKT_TIMESTAMP)
    # A flood evicts in ring order: have the lines ready when their turn comes.
    sensor_prefetch(half_open_at(t, t.tail + 24))
    sensor_prefetch(<char*> half_open_at(t, t.tail + 24) + 64)
    index_prefetch(&t.index, half_open_at(t, t.tail + 8).hash)
    return e


cdef inline uint32_t attempt_promote(Core* c, HalfOpen* e) noexcept nogil:
    # The attempt becomes a flow, as if every packet so far had gone through it. NIL: refused, and
    # the attempt ends here.
    cdef uint32_t i = flow_new(c, e.key, e.hash, 6, e.orig_dir, e.t_syn_ns)
    cdef Flow* f
    if i == NIL:
        attempt_end(c, e, END_RESOURCES, True)
        return NIL
    if c.detect != NULL:
        attempt_tell(c, e, F_SYN_COMPLETE)
        if not e.flags & (HO_RST_ORIG | HO_RST_RESP | HO_UNREACHABLE):
            detect_attempt_over(c.detect, e.key, e.orig_dir, e.role, False)
        if e.flags & HO_SYNACK:
            c.detect.two_way += 1
        else:
            c.detect.one_way += 1
    index_remove(&c.half_open.index, e.hash, <uint32_t> (e - c.half_open.ring))
    f = &c.flows[i]
    f.last_ns = e.t_synack_ns if e.t_synack_ns > e.t_last_syn_ns else e.t_last_syn_ns
    f.vlan = e.vlan
    f.flags = e.packet_flags
    if e.mss:
        f.half[0].mss = f.half[1].mss = e.mss
    f.half[0].seen = 1
    f.half[0].packets = e.syns
    f.half[0].wire = e.orig_wire
    f.half[0].start = e.isn_orig
    f.half[0].nxt = f.half[0].left = e.isn_orig + 1 + e.taken_len
    f.half[0].bytes = e.taken_len
    f.half[0].una = e.isn_orig
    f.half[0].window = e.window_orig
    f.half[0].wscale = e.wscale_orig
    f.half[0].state = TE_SYN_SENT
    f.half[0].advanced_ns = e.t_last_syn_ns
    f.half[0].history = H_SYN
    f.retransmissions = e.syns - 1
    history_add(f, 0, 83)
    if e.flags & HO_SYNACK:
        f.half[0].state = TE_ESTABLISHED
        f.half[0].before = TE_SYN_SENT
        f.half[0].una = e.isn_orig + 1 + e.taken_len
        f.half[1].seen = 1
        f.half[1].packets = e.synacks
        f.half[1].wire = e.resp_wire
        f.half[1].start = e.isn_resp
        f.half[1].nxt = f.half[1].left = e.isn_resp + 1
        f.half[1].una = e.isn_resp
        f.half[1].window = e.window_resp
        f.half[1].wscale = e.wscale_resp
        f.half[1].state = TE_ESTABLISHED
        f.half[1].advanced_ns = e.t_synack_ns
        f.half[1].history = H_SYN
        f.retransmissions += e.synacks - 1
        history_add(f, 1, 72)
        if (e.syns == 1 or e.synack_echoes_last) and e.t_synack_ns >= e.t_last_syn_ns:
            f.handshake_responder_ns = e.t_synack_ns - e.t_last_syn_ns
    e.flags = 0
    return i


cdef inline void attempts_flush(Core* c) noexcept nogil:
    # End of the input: what was not answered in 5 s has failed, the rest is merely unfinished.
    cdef HalfOpenTable* t = &c.half_open
    cdef HalfOpen* e
    while t.tail != t.head:
        e = half_open_at(t, t.tail)
        if e.flags & HO_USED:
            if c.rows.keep and c.rows.n_rows >= 65536 - 1:
                return                     # the caller takes the rows and calls again
            if not e.flags & (HO_JUDGED | HO_SYNACK | HO_RST_ORIG | HO_RST_RESP | HO_UNREACHABLE):
                attempt_tell(c, e, F_SYN_FAILED)
            attempt_end(c, e, END_FORCED, True)
        t.tail += 1
    t.judged = t.silenced = t.tail
