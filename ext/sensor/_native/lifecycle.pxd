# How connections begin and end: flows from the pool, rows to the buffer, eviction.
#
# Eviction when the pool or a bucket is full, in this order: closed, one-way, idle for 30 s; never a
# two-way connection that is alive for a new one: then the new one is refused. Both are counted.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from sensor._native.account cimport (
    count_at, is_sent, leaf_of, originator_of, responder_of, role_of, settle_endpoint, sink_flush)
from sensor._native.app cimport APP_DNS, APP_RTP, APP_TLS
from sensor._native.app_rtp cimport rtp_flush
from sensor._native.app_state cimport App
from sensor._native.app_tls cimport tls_end
from sensor._native.clock cimport NONE_NS, NS_PER_SECOND
from sensor._native.core cimport (
    NO_APP, TIMEOUT_CLOSED, TIMEOUT_DNS, TIMEOUT_ICMP, TIMEOUT_TCP, TIMEOUT_UDP, Core)
from sensor._native.counters cimport (
    C_BYTES_RECEIVED, C_BYTES_SENT, C_CONNECTIONS_CLOSED, C_CONNECTIONS_FAILED, C_CONNECTIONS_NEW,
    C_PACKETS_RECEIVED, C_PACKETS_SENT, C_TIMEOUTS)
from sensor._native.flow cimport (
    END_DETECTED, END_FORCED, END_IDLE, END_RESOURCES, FLOW_SHOOK, REJ, RSTO, RSTOS0, RSTR, S0, OTH, SH,
    ConnState, EndReason, Flow, flow_closed, flow_ended_ns, flow_two_way)
from sensor._native.half_open cimport (
    HO_JUDGED, HO_RST_ORIG, HO_RST_RESP, HO_SYNACK, HO_UNREACHABLE, HO_USED, HalfOpen)
from sensor._native.packet cimport key_hash
from sensor._native.rows cimport ROWS_MAX, TEXT_MAX, FlowRow
from sensor._native.sink cimport NAME_NONE
from sensor._native.tag_index cimport (
    BUCKET_SLOTS, Bucket, index_bucket, index_insert, index_remove)
from sensor._native.tcp_state cimport conn_state
from sensor._native.timer_wheel cimport NIL, wheel_insert, wheel_remove

cdef extern from *:
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil


cdef inline uint64_t idle_limit_ns(const Flow* f) noexcept nogil:
    if f.proto == 6:
        return (TIMEOUT_CLOSED if flow_closed(f) else TIMEOUT_TCP) * <uint64_t> NS_PER_SECOND
    if f.proto == 17:
        return (TIMEOUT_DNS if f.app_proto == APP_DNS else TIMEOUT_UDP) * <uint64_t> NS_PER_SECOND
    return TIMEOUT_ICMP * <uint64_t> NS_PER_SECOND


cdef inline FlowRow* row_new(Core* c) noexcept nogil:
    # NULL: nobody wants rows, or there is no room (counted).
    if not c.rows.keep:
        return NULL
    if c.rows.n_rows == ROWS_MAX:
        c.rows.lost += 1
        return NULL
    c.rows.n_rows += 1
    memset(&c.rows.rows[c.rows.n_rows - 1], 0, sizeof(FlowRow))
    return &c.rows.rows[c.rows.n_rows - 1]


cdef inline void row_name(Core* c, FlowRow* r, const uint8_t* name, uint8_t n,
                          uint8_t source) noexcept nogil:
    if n and c.rows.n_text + n <= TEXT_MAX:
        r.name_at = c.rows.n_text
        r.name_len = n
        r.name_source = source
        memcpy(c.rows.text + c.rows.n_text, name, n)
        c.rows.n_text += n


cdef inline void row_write(Core* c, Flow* f, ConnState state, EndReason reason) noexcept nogil:
    cdef FlowRow* r = row_new(c)
    cdef uint64_t hi
    cdef uint64_t lo
    if r == NULL:
        return
    r.started_ns = f.started_ns
    r.ended_ns = flow_ended_ns(f)
    originator_of(f, &hi, &lo, &r.orig_port)
    r.orig_ip[0] = __builtin_bswap64(hi)
    r.orig_ip[1] = __builtin_bswap64(lo)
    responder_of(f, &hi, &lo, &r.resp_port)
    r.resp_ip[0] = __builtin_bswap64(hi)
    r.resp_ip[1] = __builtin_bswap64(lo)
    r.protocol = f.proto
    r.conn_state = state
    r.app = f.app_proto
    r.end_reason = reason
    r.orig_packets = f.half[0].packets
    r.orig_bytes = f.half[0].bytes
    r.resp_packets = f.half[1].packets
    r.resp_bytes = f.half[1].bytes
    r.orig_wire_bytes = f.half[0].wire
    r.resp_wire_bytes = f.half[1].wire
    r.handshake_responder_ns = f.handshake_responder_ns
    r.handshake_originator_ns = f.handshake_originator_ns
    r.handshake_ns = NONE_NS
    if f.handshake_responder_ns != NONE_NS and f.handshake_originator_ns != NONE_NS:
        r.handshake_ns = f.handshake_responder_ns + f.handshake_originator_ns
    r.rtt_min_ns = f.rtt_min_ns
    r.missed_bytes = f.gap_bytes
    r.retransmissions = f.retransmissions
    r.lost_upstream = f.lost_upstream
    r.lost_downstream = f.lost_downstream
    r.out_of_order = f.out_of_order
    r.zero_windows = f.zero_windows
    r.vlan = f.vlan
    r.local = f.role
    r.ttl = f.ttl[0] if f.role == 2 else f.ttl[1]
    r.flags = f.flags & ~<uint8_t> FLOW_SHOOK
    r.history_len = f.history_len
    memcpy(r.history, f.history, f.history_len)
    if f.app != NO_APP and c.apps[f.app].name_len:
        row_name(c, r, c.apps[f.app].name, c.apps[f.app].name_len, c.apps[f.app].name_source)
    elif f.endpoint >> 16 == c.epoch:
        # The name that observed DNS gave its endpoint.
        row_name(c, r, c.now.endpoints[f.endpoint & 0xffff].name,
                 c.now.endpoints[f.endpoint & 0xffff].name_len,
                 c.now.endpoints[f.endpoint & 0xffff].name_source)


cdef inline void app_release(Core* c, Flow* f) noexcept nogil:
    if f.app != NO_APP:
        c.apps[f.app].next_free = c.app_free
        c.app_free = f.app
        f.app = NO_APP


cdef inline bint app_acquire(Core* c, Flow* f) noexcept nogil:
    # A fresh App for the flow; False (counted) when all are taken.
    cdef uint32_t i
    if c.app_free != NIL:
        i = c.app_free
        c.app_free = c.apps[i].next_free
    elif c.app_high < c.app_capacity:
        i = c.app_high
        c.app_high += 1
    else:
        c.health.apps_refused += 1
        return False
    memset(&c.apps[i], 0, sizeof(App))
    f.app = <uint16_t> i
    return True


cdef inline void flow_end(Core* c, uint32_t i, EndReason reason) noexcept nogil:
    # Count it, write its row, give its places back.
    cdef Flow* f = &c.flows[i]
    cdef ConnState state = conn_state(f)
    if f.proto == 6 and flow_closed(f) and reason != END_RESOURCES:
        reason = END_DETECTED
    c.sink.ts_ns = f.last_ns
    if f.app != NO_APP and f.app_proto == APP_TLS and flow_two_way(f):
        tls_end(&c.apps[f.app].u.tls, &c.sink)     # a one-way capture proves no silence
    elif f.app != NO_APP and f.app_proto == APP_RTP:
        rtp_flush(&c.apps[f.app].u.rtp, &c.sink)
    if f.endpoint >> 16 != c.epoch:
        settle_endpoint(c, f)
    if c.sink.touched:
        sink_flush(c, f)
    c.states[<int> state] += 1
    count_at(c, f, C_CONNECTIONS_CLOSED, 1)
    if f.proto == 6 and (state == REJ or state == RSTOS0 or state == SH):
        count_at(c, f, C_CONNECTIONS_FAILED, 1)
        c.now.peers[f.peer].errors += 1
    if f.proto == 6 and not flow_two_way(f):
        c.now.endpoints[f.endpoint & 0xffff].one_way += 1
    row_write(c, f, state, reason)
    app_release(c, f)
    wheel_remove(c.wheel, c.flows, i)
    index_remove(&c.index, key_hash(f.key, c.secret), i)
    f.in_use = 0
    f.wheel_next = c.flow_free
    c.flow_free = i
    c.flows_open -= 1


cdef inline int eviction_class(const Core* c, const Flow* f) noexcept nogil:
    # Lower goes first; 3: not for a new connection.
    if f.proto == 6 and flow_closed(f):
        return 0
    if not flow_two_way(f):
        return 1
    if c.clock_ns > f.last_ns and c.clock_ns - f.last_ns > 30 * <uint64_t> NS_PER_SECOND:
        return 2
    return 3


cdef inline bint evict_for(Core* c, uint32_t hash) noexcept nogil:
    # Free one place in the bucket of `hash` (and with it one flow). False: all are alive.
    cdef Bucket* b = index_bucket(&c.index, hash)
    cdef uint32_t best = NIL
    cdef int best_class = 3
    cdef int cls
    cdef int i
    for i in range(BUCKET_SLOTS):
        if b.tag[i] == 0:
            continue
        cls = eviction_class(c, &c.flows[b.entry[i]])
        if cls < best_class or (cls == best_class and cls < 3 and best != NIL
                                and c.flows[b.entry[i]].last_ns < c.flows[best].last_ns):
            best = b.entry[i]
            best_class = cls
    if best == NIL:
        return False
    c.health.flows_evicted += 1
    flow_end(c, best, END_RESOURCES)
    return True


cdef inline uint32_t flow_new(Core* c, const uint64_t* key, uint32_t hash, uint8_t proto,
                              uint8_t orig_dir,
                              uint64_t started_ns) noexcept nogil:
    # NIL when refused.
    cdef uint32_t i
    cdef uint32_t near
    cdef Flow* f
    cdef uint64_t oh
    cdef uint64_t ol
    cdef uint64_t rh
    cdef uint64_t rl
    cdef uint16_t port
    if c.flow_free == NIL and c.flow_high == c.flow_capacity:
        # Pool empty: look in this bucket and its neighbours (bounded) for one to give up.
        near = 0
        while near < 8 and not evict_for(c, hash + near):
            near += 1
        if near == 8:
            c.health.flows_refused += 1
            return NIL
    if c.flow_free != NIL:
        i = c.flow_free
        c.flow_free = c.flows[i].wheel_next
    else:
        i = c.flow_high
        c.flow_high += 1
    f = &c.flows[i]
    if not index_insert(&c.index, hash, i):
        if not evict_for(c, hash):
            c.health.flows_refused += 1
            f.wheel_next = c.flow_free
            c.flow_free = i
            return NIL
        index_insert(&c.index, hash, i)
    memset(f, 0, sizeof(Flow))
    memcpy(f.key, key, 40)
    f.proto = proto
    f.orig_dir = orig_dir
    c.serial += 1
    f.serial = c.serial
    f.app = NO_APP
    f.in_use = 1
    f.started_ns = f.last_ns = started_ns
    f.handshake_responder_ns = f.handshake_originator_ns = f.rtt_min_ns = NONE_NS
    f.last_rtt_ns[0] = f.last_rtt_ns[1] = NONE_NS
    f.half[0].wscale = f.half[1].wscale = 255
    f.half[0].mss = f.half[1].mss = 1460
    originator_of(f, &oh, &ol, &port)
    responder_of(f, &rh, &rl, &port)
    f.role = role_of(c, oh, ol, rh, rl)
    c.flows_open += 1
    wheel_insert(c.wheel, c.flows, i, c.clock_ns + idle_limit_ns(f))
    return i
