# The packet loop: groups of up to 64 records are decoded ahead, their index lines and then their
# flow lines prefetched, and only then looked up (five times faster than one at a time where flows
# do not fit the cache). Time moves between groups only: a group never crosses a 100-ms tick or a
# window's end, so that what a packet does depends on the packets before it and not on batches.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from sensor._native.account cimport (
    bin_turn, count_stray, role_of, second_turn, sink_flush_totals)
from sensor._native.announcements cimport announcement_keep
from sensor._native.app_dns cimport dns_flush, dns_sweep
from sensor._native.attempts cimport attempts_advance, attempts_flush
from sensor._native.clock cimport NS_PER_SECOND, NS_PER_TICK
from sensor._native.core cimport (
    GROUP, REWIND_AFTER, STOP_NAMES, STOP_ROWS, STOP_SECOND, STOP_WINDOW, Core)
from sensor._native.datagram cimport datagram_packet
from sensor._native.decode cimport decode
from sensor._native.detect_count cimport count_sayings, detect_begin, detect_tick
from sensor._native.detect_say cimport detect_fragment
from sensor._native.flow cimport END_FORCED, END_IDLE, LEAF_OTHER, Flow
from sensor._native.half_open cimport HalfOpen, half_open_at
from sensor._native.lifecycle cimport flow_end, idle_limit_ns
from sensor._native.neighbours cimport neighbour_arp
from sensor._native.packet cimport (
    DECODE_ARP, DECODE_CDP, DECODE_FRAGMENT, DECODE_LLDP, DECODE_OK, DecodeResult, Packet,
)
from sensor._native.rows cimport ROWS_MAX, ROWS_RESERVE
from sensor._native.slow cimport slow_sweep
from sensor._native.source cimport RawPacket
from sensor._native.span cimport sensor_prefetch
from sensor._native.tag_index cimport (
    Bucket, ctz, index_bucket, index_prefetch, sensor_bucket_match, tag_of)
from sensor._native.tcp_flow cimport tcp_packet
from sensor._native.timer_wheel cimport NIL, WHEEL_SLOTS, wheel_insert, wheel_remove
from sensor._native.window cimport window_clear

cdef enum:
    HOUR_S = 3600
    STEPS = 64                 # empty windows in a row; after a longer pause time jumps


cdef inline bint rows_full(const Core* c) noexcept nogil:
    return c.rows.keep and c.rows.n_rows + ROWS_RESERVE > ROWS_MAX


cdef inline bint expire_slot(Core* c, uint32_t slot) noexcept nogil:
    # Everything due in one slot of the wheel; the rest is put where its deadline is. False: stopped
    # half way because the rows are full (what is left stays in the slot).
    cdef uint32_t i = c.wheel.head[slot]
    cdef uint32_t following
    cdef uint64_t deadline
    while i != NIL:
        following = c.flows[i].wheel_next
        deadline = c.flows[i].last_ns + idle_limit_ns(&c.flows[i])
        if deadline <= c.clock_ns:
            if rows_full(c):
                return False
            flow_end(c, i, END_IDLE)
        else:
            wheel_remove(c.wheel, c.flows, i)
            wheel_insert(c.wheel, c.flows, i, deadline)
        i = following
    return True


cdef inline void window_open(Core* c, uint64_t ts) noexcept nogil:
    c.now.start_ns = ts // c.window_ns * c.window_ns
    c.window_end_ns = c.now.start_ns + c.window_ns
    c.now.end_ns = c.window_end_ns


cdef inline void window_begin(Core* c, uint64_t ts) noexcept nogil:
    # First packet after a window's end: its own window, however far away.
    window_open(c, ts)
    second_turn(c, ts)


cdef inline void clock_start(Core* c, uint64_t ts) noexcept nogil:
    c.started = True
    c.clock_ns = ts
    c.wheel.tick = ts // NS_PER_TICK
    c.tick_end_ns = (c.wheel.tick + 1) * NS_PER_TICK
    window_begin(c, ts)


cdef inline int advance(Core* c, uint64_t ts) noexcept nogil:
    # Packet time reaches `ts`, which lies at or past the end of the current tick. Returns 0, or the
    # reason to stop first; calling again goes on where it stopped.
    cdef uint64_t target = ts if ts < c.window_end_ns else c.window_end_ns
    cdef uint64_t last = target // NS_PER_TICK
    if target > c.clock_ns:
        c.clock_ns = target
    if last > c.wheel.tick + WHEEL_SLOTS:
        c.wheel.tick = last - WHEEL_SLOTS          # a jump: one turn of the wheel sees every flow
    while c.wheel.tick < last:
        # The slot is left behind before it is emptied, so that what is put back goes to a later
        # one.
        c.wheel.tick += 1
        if not expire_slot(c, <uint32_t> ((c.wheel.tick - 1) % WHEEL_SLOTS)):
            c.wheel.tick -= 1
            return STOP_ROWS
    if rows_full(c):
        return STOP_ROWS
    attempts_advance(c)
    dns_sweep(c.dns, c.clock_ns, &c.sink)
    sink_flush_totals(c)
    if c.detect != NULL:
        count_sayings(c.detect)
        detect_tick(c.detect)
        slow_sweep(c)
        if c.detect.end_ns and ts >= c.detect.end_ns:
            return STOP_SECOND
    if ts >= c.window_end_ns:
        return STOP_WINDOW
    c.tick_end_ns = (c.wheel.tick + 1) * NS_PER_TICK
    if c.now.n_seconds:
        bin_turn(c)
    return 0


cdef inline void core_swap_window(Core* c) noexcept nogil:
    # The other window, cleared already, takes over; the caller has copied what it wants of the old.
    c.epoch = c.epoch + 1 if c.epoch < 0xfffe else 1
    window_clear(c.now, 0)
    c.now = c.windows[1] if c.now == c.windows[0] else c.windows[0]
    c.now.epoch = c.epoch
    c.sink.latency = c.now.latency
    c.sink.status = c.now.status
    c.now.start_ns = c.window_end_ns
    c.now.end_ns = c.window_end_ns + c.window_ns
    if c.in_step:
        c.window_end_ns = c.now.end_ns


cdef inline void core_rewind(Core* c, uint64_t ts) noexcept nogil:
    # The capture goes on in the past (files merged out of order): the clock follows. Flows and
    # attempts are kept, as of now.
    cdef uint32_t i
    cdef HalfOpen* e
    c.health.rewinds += 1
    c.clock_ns = ts
    c.wheel.tick = ts // NS_PER_TICK
    c.tick_end_ns = (c.wheel.tick + 1) * NS_PER_TICK
    for i in range(WHEEL_SLOTS):
        c.wheel.head[i] = NIL
    for i in range(c.flow_high):
        if c.flows[i].in_use:
            if c.flows[i].last_ns > ts:
                c.flows[i].last_ns = ts
            wheel_insert(c.wheel, c.flows, i, c.flows[i].last_ns + idle_limit_ns(&c.flows[i]))
    i = c.half_open.tail
    while i != c.half_open.head:
        e = half_open_at(&c.half_open, i)
        if e.t_syn_ns > ts:
            e.t_syn_ns = e.t_last_syn_ns = e.queued_ns = ts
        i += 1
    c.window_end_ns = ts // c.window_ns * c.window_ns + c.window_ns
    if c.detect != NULL and c.detect.end_ns:
        c.detect.end_ns = ts                               # its second ends with the next tick
    second_turn(c, ts)


cdef inline void packet(Core* c, DecodeResult result, const Packet* p) noexcept nogil:
    if p.ts_ns > c.clock_ns:
        c.clock_ns = p.ts_ns
    elif p.ts_ns < c.clock_ns:
        c.health.time_went_back += 1
    if result != DECODE_OK:
        c.health.no_flow += 1
        count_stray(c, p.wire_len, LEAF_OTHER)
        if c.detect != NULL:
            if result == DECODE_ARP:
                neighbour_arp(c.detect.neighbours, p.payload, p.captured, p.ts_ns, c.secret)
            elif result == DECODE_LLDP or result == DECODE_CDP:
                announcement_keep(&c.detect.announced, result == DECODE_CDP, p.payload, p.captured)
            elif result == DECODE_FRAGMENT:
                detect_fragment(c.detect, p.key, p.dir,
                                role_of(c, p.key[0], p.key[1], p.key[2], p.key[3]), p.dir == 0,
                                p.wire_len, True)
    elif p.proto == 6:
        tcp_packet(c, p)
    else:
        datagram_packet(c, p)


cdef inline int look_up(Core* c) noexcept nogil:
    # The rest of the decoded group. Stops behind a packet that holds a name to be read, so that it
    # takes effect at the same packet however the input is cut into batches.
    while c.group_at < c.group_n:
        packet(c, c.result[c.group_at], &c.group[c.group_at])
        c.group_at += 1
        if c.initials.n:
            return STOP_NAMES
    if c.detect != NULL:
        count_sayings(c.detect)
    return 0


cdef inline void decode_ahead(Core* c, const RawPacket* raw, uint32_t n) noexcept nogil:
    # The next group: decode, ask for the index lines, then for the flow lines.
    cdef uint32_t i
    cdef uint32_t k = 0
    cdef uint32_t m
    cdef Bucket* b
    cdef char* line
    c.group_at = 0
    while k < GROUP and k < n and raw[k].ts_ns < c.tick_end_ns and c.backwards < REWIND_AFTER:
        if raw[k].ts_ns + HOUR_S * <uint64_t> NS_PER_SECOND < c.clock_ns:
            c.backwards += 1
        else:
            c.backwards = 0
        c.result[k] = decode(c.decoder, &raw[k], &c.group[k])
        if c.result[k] == DECODE_OK:
            index_prefetch(&c.index, c.group[k].hash)
            index_prefetch(&c.half_open.index, c.group[k].hash)
        k += 1
    c.group_n = k
    for i in range(k):
        if c.result[i] == DECODE_OK:
            b = index_bucket(&c.index, c.group[i].hash)
            m = sensor_bucket_match(b, tag_of(c.group[i].hash))
            if m:
                line = <char*> &c.flows[b.entry[ctz(m)]]
                sensor_prefetch(line)
                sensor_prefetch(line + 64)
                sensor_prefetch(line + 128)
                sensor_prefetch(line + 192)


cdef inline bint next_in_step(const Core* c, uint64_t ts) noexcept nogil:
    # Does the window without packets end before `ts`, and others before that?
    return c.in_step and c.window_end_ns <= ts < c.window_end_ns + STEPS * c.window_ns


cdef inline int pump(Core* c, const RawPacket* raw, uint32_t n, uint32_t* at) noexcept nogil:
    cdef uint64_t ts
    cdef uint32_t before
    cdef int why
    while True:
        before = c.group_at
        why = look_up(c)
        at[0] += c.group_at - before
        if why:
            return why
        if at[0] == n:
            return 0
        ts = raw[at[0]].ts_ns
        if not c.started:
            clock_start(c, ts)
        if rows_full(c):
            return STOP_ROWS
        if c.backwards >= REWIND_AFTER:
            c.backwards = 0
            if ts + HOUR_S * <uint64_t> NS_PER_SECOND < c.clock_ns:
                core_rewind(c, ts)
        if c.now.n_seconds == 0 and not next_in_step(c, ts):
            window_begin(c, ts if ts > c.clock_ns else c.clock_ns)
        if ts >= c.tick_end_ns:
            why = advance(c, ts)
            if why:
                return why
        if c.detect != NULL and c.detect.end_ns == 0:
            detect_begin(c.detect, ts if ts > c.clock_ns else c.clock_ns, NS_PER_SECOND)
        decode_ahead(c, raw + at[0], n - at[0])


cdef inline int pump_idle(Core* c, uint64_t ts) noexcept nogil:
    # No packet came up to `ts`: the window that has some ends in its time. As advance(). An empty
    # one waits for its first packet, as in a replay, so that both give the same windows.
    if not c.started or ts < c.tick_end_ns:
        return 0
    if c.now.n_seconds == 0:
        if not c.in_step:
            return 0
        if ts >= c.window_end_ns and not next_in_step(c, ts):
            window_open(c, ts)
    return advance(c, ts)


cdef inline void core_finish(Core* c) noexcept nogil:
    # Ends attempts and flows in table order; stops when the rows are full and goes on when called
    # again after they were taken.
    cdef uint32_t i
    if not c.started:
        return
    dns_flush(c.dns, c.clock_ns, &c.sink)
    sink_flush_totals(c)
    attempts_flush(c)
    for i in range(c.flow_high):
        if rows_full(c):
            return
        if c.flows[i].in_use:
            flow_end(c, i, END_FORCED)
    if c.detect != NULL:
        count_sayings(c.detect)
