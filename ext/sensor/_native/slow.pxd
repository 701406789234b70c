# Which open connections are held rather than used: the gauges of a service.
#
# A connection is slow while the side that is waited for sends (or takes) less than SLOW_RATE for
# SLOW_AFTER at least: a request header, a request body, or a reader behind a closed window. 500
# octets/s is where Apache's mod_reqtimeout gives up; a request that is whole is never slow, however
# long its answer takes (long polls, server-sent events), nor is an upgraded connection.
#
# Invariants: one sweep looks at each flow once, SWEEP_FLOWS at a time, and takes a second at least;
# gauges change only when a sweep is over. `App.slow_*` say since when, and from which octet on, the
# flow is in its phase.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from sensor._native.app cimport APP_HTTP, APP_TLS
from sensor._native.app_http1 cimport (
    H1_BODY, H1_FIELDS, H1_LOST, H1_START, H1_TRAILERS, H1_TUNNEL, Http1, Http1Side)
from sensor._native.app_state cimport App
from sensor._native.clock cimport NS_PER_SECOND
from sensor._native.core cimport NO_APP, Core
from sensor._native.detect cimport Detect, Ends, T_SERVICE, ends_of
from sensor._native.detect_count cimport seen_from
from sensor._native.features cimport (
    G_CONN_ACTIVE, G_CONN_IDLE, G_CONN_SILENT, G_CONN_SLOW_BODY, G_CONN_SLOW_HEADER,
    G_CONN_SLOW_READ, G_CONN_TLS_SILENT, G_COUNT, G_HALF_OPEN)
from sensor._native.flow cimport TE_ESTABLISHED, Flow
from sensor._native.slots cimport Slot, SlotTable, slot_at, slot_hash, slot_wake

cdef enum:
    SWEEP_FLOWS = 4096           # per 100 ms
    SLOW_AFTER_S = 5
    SLOW_RATE = 500              # octets a second
    SILENT_AFTER_S = 10
    SMALL_WINDOW = 2920          # two segments: a reader that takes less holds the sender

cdef enum Phase:
    PHASE_NONE = 0
    PHASE_HEADER
    PHASE_BODY
    PHASE_READ
    PHASE_TLS


cdef inline Phase http1_phase(const Http1* h, const Flow* f) noexcept nogil:
    # What an HTTP/1 client still owes.
    cdef uint32_t client = h.client - 1 if h.client else 1     # side[] is by from_orig
    cdef const Http1Side* side = &h.side[client]
    if side.state == H1_FIELDS or (side.state == H1_START and side.kept):
        return PHASE_HEADER
    if H1_BODY <= side.state <= H1_TRAILERS:
        return PHASE_BODY
    if side.state == H1_LOST and f.half[1 if client else 0].bytes == 0:
        return PHASE_HEADER                                # its beginning was not captured
    return PHASE_NONE


cdef inline Phase flow_phase(const Core* c, const Flow* f) noexcept nogil:
    cdef const App* a
    cdef Phase phase = PHASE_NONE
    if f.app != NO_APP:
        a = &c.apps[f.app]
        if f.app_proto == APP_HTTP:
            phase = http1_phase(&a.u.http1, f)
        elif f.app_proto == APP_TLS and (not a.answered or a.u.tls.turn):
            phase = PHASE_TLS
        if (phase == PHASE_NONE and f.half[1].bytes and f.half[0].seen
                and (<uint32_t> f.half[0].window << (f.half[0].wscale if f.half[0].wscale < 15 else 0))
                < SMALL_WINDOW):
            phase = PHASE_READ
    return phase


cdef inline bint phase_is_slow(App* a, const Flow* f, Phase phase, uint64_t now) noexcept nogil:
    # Measured since the last time it was not: whoever sends enough starts over.
    cdef uint64_t octets = f.half[1].bytes if phase == PHASE_READ else f.half[0].bytes
    cdef uint64_t after = (SILENT_AFTER_S if phase == PHASE_TLS else SLOW_AFTER_S) * <uint64_t> NS_PER_SECOND
    cdef uint64_t took
    if phase != a.slow_phase or now < a.slow_ns:
        a.slow_phase = phase
        a.slow_octets = octets
        a.slow_ns = now
        if f.closed_ns == 0 and phase != PHASE_READ and f.half[0].bytes < SLOW_RATE:
            a.slow_ns = f.started_ns if f.started_ns < now else now     # its first message
            a.slow_octets = 0
    took = now - a.slow_ns
    if took < after:
        return False
    if octets - a.slow_octets >= took // NS_PER_SECOND * SLOW_RATE:
        a.slow_ns = now
        a.slow_octets = octets
        return False
    return True


cdef inline int flow_gauge(Core* c, Flow* f) noexcept nogil:
    cdef Phase phase = flow_phase(c, f)
    if phase == PHASE_NONE:
        if f.app != NO_APP:
            c.apps[f.app].slow_phase = PHASE_NONE
        if (f.half[0].bytes == 0 and f.half[1].bytes == 0 and c.clock_ns > f.started_ns
                and c.clock_ns - f.started_ns > SILENT_AFTER_S * <uint64_t> NS_PER_SECOND):
            return G_CONN_SILENT
        return G_CONN_IDLE
    if not phase_is_slow(&c.apps[f.app], f, phase, c.clock_ns):
        return G_CONN_ACTIVE
    if phase == PHASE_HEADER:
        return G_CONN_SLOW_HEADER
    if phase == PHASE_BODY:
        return G_CONN_SLOW_BODY
    if phase == PHASE_READ:
        return G_CONN_SLOW_READ
    return G_CONN_TLS_SILENT


cdef inline void slow_publish(SlotTable* t) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t k
    for i in range(t.high):
        for k in range(<uint32_t> G_COUNT):
            if k != G_HALF_OPEN:
                t.slots[i].gauge[k] = t.slots[i].rising[k]
        memset(t.slots[i].rising, 0, sizeof(t.slots[i].rising))


cdef inline void slow_sweep(Core* c) noexcept nogil:
    # Called once per 100-ms tick.
    cdef Detect* d = c.detect
    cdef SlotTable* t = &d.table[<int> T_SERVICE]
    cdef uint32_t end = d.sweep_at + SWEEP_FLOWS
    cdef Flow* f
    cdef Slot* s
    cdef Ends e
    cdef int gauge
    if d.sweep_at == 0:
        if c.clock_ns < d.sweep_ns + NS_PER_SECOND and c.clock_ns >= d.sweep_ns:
            return
        d.sweep_ns = c.clock_ns
    if end > c.flow_high:
        end = c.flow_high
    while d.sweep_at < end:
        f = &c.flows[d.sweep_at]
        d.sweep_at += 1
        if (f.proto != 6 or f.half[0].state != TE_ESTABLISHED or f.half[1].state != TE_ESTABLISHED
                or not f.in_use):
            continue
        gauge = flow_gauge(c, f)
        e = ends_of(f.key, f.orig_dir, f.role, True)
        s = slot_at(t, slot_hash(e.dh, e.dl, e.dport, 6, d.secret), e.dh, e.dl, e.dport, 6)
        if s == NULL:
            continue
        s.rising[<int> G_CONN_ACTIVE] += 1
        if gauge != G_CONN_ACTIVE:
            s.rising[gauge] += 1
        if gauge != G_CONN_ACTIVE and gauge != G_CONN_IDLE:
            slot_wake(t, s, t.last)
            s.local = e.d_local
            seen_from(d, s, &e, 1)
    if d.sweep_at >= c.flow_high:
        d.sweep_at = 0
        slow_publish(t)
