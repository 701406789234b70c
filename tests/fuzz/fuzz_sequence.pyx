# Invariant: whatever packets come in whatever order and at whatever times, a flow in use stands once
# in the index and once in the timer wheel, an attempt once in its index, no App has two owners, every
# call of pump ends, and at the end each octet and each connection was counted exactly once.
#
# Input: operations of {kind (bits 0..2) and connection (bits 3..7), then by kind}
#   0, 1, 2  TCP: flags (bit 7: from the server), seq and ack off by (signed), payload length, payload
#   3        UDP: bit 7 from the server and payload length, payload
#   4        ICMP: type, length, octets
#   5        a frame as it is: length, octets
#   6        time: unit, count (signed)
#   7        flood: how many, flags (bit 7: UDP)
from libc.stdint cimport int8_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcpy, memset
from sensor._native.core cimport NO_APP, STOP_ROWS, STOP_SECOND, STOP_WINDOW, Core
from sensor._native.core_memory cimport core_free, core_new
from sensor._native.detect cimport TABLES
from sensor._native.detect_count cimport detect_next
from sensor._native.domains cimport DomainRow, domain_rows
from sensor._native.flow cimport LEAVES, STATES, Flow
from sensor._native.half_open cimport HO_USED
from sensor._native.neighbours cimport NeighbourRow, neighbour_rows
from sensor._native.packet cimport key_hash
from sensor._native.pump cimport core_finish, core_swap_window, pump
from sensor._native.rows cimport ROWS_MAX, ROWS_RESERVE
from sensor._native.slots cimport SlotRow, SlotTable, slot_row, slot_tells, slots_wake_gauges
from sensor._native.source cimport RawPacket
from sensor._native.tag_index cimport BUCKET_SLOTS, TagIndex
from sensor._native.timer_wheel cimport NIL, WHEEL_SLOTS

cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/prctl.h>
    /* A fresh engine for every input: clearing 2-MiB pages would be all the work. */
    static void small_pages(void) { (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); }
    #else
    static void small_pages(void) {}
    #endif
    """
    void small_pages() noexcept nogil

cdef enum:
    BATCH = 96
    TUPLES = 32
    FRAME = 400
    ROWS_BEFORE = ROWS_MAX - ROWS_RESERVE - 3      # nearly full: feed() stops for rows often

cdef struct Run:
    Core* core
    RawPacket batch[BATCH]
    uint32_t n
    uint64_t ts
    uint32_t next_seq[TUPLES][2]
    uint64_t octets                # fed
    uint64_t leaves                # counted, by leaf
    uint64_t seconds               # counted, by second
    uint64_t rows


cdef void put16(uint8_t* p, uint32_t v) noexcept nogil:
    p[0] = <uint8_t> (v >> 8)
    p[1] = <uint8_t> v


cdef void put32(uint8_t* p, uint32_t v) noexcept nogil:
    put16(p, v >> 16)
    put16(p + 2, v & 0xffff)


cdef void take_window(Run* r) noexcept nogil:
    cdef uint32_t i
    cdef int k
    for i in range(<uint32_t> LEAVES):
        r.leaves += r.core.now.leaf_bytes[i]
    for i in range(r.core.now.n_seconds):
        for k in range(3):
            r.seconds += r.core.now.seconds[i].bytes[k]
    core_swap_window(r.core)


cdef void take_second(Run* r) noexcept nogil:
    # The rows of detection; every slot ever used stands in its index once, and is touched once.
    cdef SlotTable* t
    cdef SlotRow* row = <SlotRow*> r.core.detect.rows
    cdef uint32_t i
    cdef int k
    for k in range(<int> TABLES):
        t = &r.core.detect.table[k]
        slots_wake_gauges(t)
        if t.n_touched > t.high or taken(&t.index) != t.high:
            abort()
        for i in range(t.n_touched):
            if t.slots[t.touched[i]].window != t.window:
                abort()
            if slot_tells(t, &t.slots[t.touched[i]]):
                slot_row(t, t.touched[i], row)
                if not (row.peers >= 0 and row.ports >= 0 and row.uris >= 0 and 0 <= row.uri_top <= 1):
                    abort()
    domain_rows(r.core.detect.domains, <DomainRow*> r.core.detect.rows)
    neighbour_rows(r.core.detect.neighbours, <NeighbourRow*> r.core.detect.rows)
    detect_next(r.core.detect)


cdef void take_rows(Run* r) noexcept nogil:
    r.rows += r.core.rows.n_rows - ROWS_BEFORE
    r.core.rows.n_rows = ROWS_BEFORE
    r.core.rows.n_text = 0


cdef uint32_t standing(const TagIndex* t, uint32_t hash, uint32_t entry) noexcept nogil:
    cdef uint32_t found = 0
    cdef int i
    for i in range(BUCKET_SLOTS):
        if t.buckets[hash & t.mask].tag[i] and t.buckets[hash & t.mask].entry[i] == entry:
            found += 1
    return found


cdef uint32_t taken(const TagIndex* t) noexcept nogil:
    cdef uint32_t found = 0
    cdef uint32_t b
    cdef int i
    for b in range(t.mask + 1):
        for i in range(BUCKET_SLOTS):
            found += t.buckets[b].tag[i] != 0
    return found


cdef void check(Core* c) noexcept nogil:
    cdef uint8_t wheel[64]
    cdef uint8_t apps[64]
    cdef uint32_t open_flows = 0, attempts = 0
    cdef uint32_t i, s, before
    cdef Flow* f
    memset(wheel, 0, sizeof(wheel))
    memset(apps, 0, sizeof(apps))
    for s in range(<uint32_t> WHEEL_SLOTS):
        i = c.wheel.head[s]
        before = NIL
        while i != NIL:
            if i >= c.flow_high or wheel[i] or c.flows[i].wheel_slot != s or c.flows[i].wheel_prev != before:
                abort()
            wheel[i] = 1
            before = i
            i = c.flows[i].wheel_next
    for i in range(c.flow_high):
        f = &c.flows[i]
        if wheel[i] != f.in_use:
            abort()
        if not f.in_use:
            continue
        open_flows += 1
        if standing(&c.index, key_hash(f.key, c.secret), i) != 1:
            abort()
        if f.half[0].bytes >> 60 or f.half[1].bytes >> 60:
            abort()
        if f.app != NO_APP:
            if f.app >= c.app_high or apps[f.app]:
                abort()
            apps[f.app] = 1
    if open_flows != c.flows_open or taken(&c.index) != open_flows or c.sink.touched:
        abort()
    for i in range(c.half_open.capacity):
        if c.half_open.ring[i].flags & HO_USED:
            attempts += 1
            if standing(&c.half_open.index, c.half_open.ring[i].hash, i) != 1:
                abort()
            if ((i - c.half_open.tail) & (c.half_open.capacity - 1)) >= c.half_open.head - c.half_open.tail:
                abort()
    if taken(&c.half_open.index) != attempts:
        abort()
    if c.half_open.head - c.half_open.tail > c.half_open.capacity:
        abort()
    if c.half_open.head - c.half_open.judged > c.half_open.head - c.half_open.tail:
        abort()


cdef void pump_all(Run* r) noexcept nogil:
    cdef uint32_t at = 0, i
    cdef uint32_t turns = 0
    cdef int why
    while True:
        why = pump(r.core, r.batch, r.n, &at)
        if why == 0:
            break
        if why == STOP_WINDOW:
            take_window(r)
        elif why == STOP_ROWS:
            take_rows(r)
        elif why == STOP_SECOND:
            take_second(r)
        else:
            abort()
        turns += 1
        if turns > 4 * BATCH + 512:
            abort()
    if at != r.n:
        abort()
    for i in range(r.n):
        free(<void*> r.batch[i].data)
    r.n = 0
    check(r.core)


cdef void send(Run* r, const uint8_t* frame, uint32_t n) noexcept nogil:
    # On the heap and exactly as long as promised: AddressSanitizer sees one octet more.
    cdef uint8_t* copy = <uint8_t*> malloc(n if n else 1)
    if copy == NULL:
        abort()
    memcpy(copy, frame, n)
    r.batch[r.n].ts_ns = r.ts
    r.batch[r.n].data = copy
    r.batch[r.n].caplen = r.batch[r.n].len = n
    r.batch[r.n].link = 1
    r.batch[r.n].interface = 0
    r.batch[r.n].flags = 0
    r.n += 1
    r.octets += n
    r.ts += 1000000
    if r.n == BATCH:
        pump_all(r)


cdef uint32_t ip(uint8_t* f, uint32_t tuple, bint back, uint8_t proto, uint32_t n) noexcept nogil:
    # Ethernet and IP header for n octets; tuple bit 0: IPv6. Returns their length.
    cdef uint8_t* a
    cdef uint8_t* b
    memset(f, 0, 54)
    if tuple & 1:
        put16(f + 12, 0x86dd)
        f[14] = 0x60
        put16(f + 18, n)
        f[20] = 58 if proto == 1 else proto
        f[21] = 64
        a = f + (38 if back else 22)
        b = f + (22 if back else 38)
        put32(a, 0x20010db8)
        put32(b, 0x20010db8)
        a[15] = <uint8_t> (1 + (tuple >> 1 & 3))
        b[15] = 200
        return 54
    put16(f + 12, 0x0800)
    f[14] = 0x45
    put16(f + 16, 20 + n)
    f[22] = 64
    f[23] = proto
    a = f + (30 if back else 26)
    b = f + (26 if back else 30)
    put32(a, 0x0a000001 + (tuple >> 1 & 3))
    put32(b, 0xc6336402)
    return 34


cdef void ports(uint8_t* p, uint32_t client, uint32_t tuple, bint back) noexcept nogil:
    cdef uint32_t which = tuple >> 3 & 3
    cdef uint32_t server = 80 if which == 0 else (443 if which == 1 else (53 if which == 2 else 9999))
    put16(p, server if back else client)
    put16(p + 2, client if back else server)


cdef void tcp(Run* r, uint32_t tuple, uint32_t client, uint8_t flags, uint32_t seq_off, uint32_t ack_off,
              const uint8_t* data, uint32_t n) noexcept nogil:
    cdef uint8_t f[FRAME]
    cdef bint back = flags >> 7
    cdef uint32_t* mine = &r.next_seq[tuple][back]
    cdef uint32_t seq = mine[0] + seq_off
    cdef uint32_t at = ip(f, tuple, back, 6, 20 + n)
    ports(f + at, client, tuple, back)
    put32(f + at + 4, seq)
    put32(f + at + 8, r.next_seq[tuple][1 - back] + ack_off)
    f[at + 12] = 0x50
    f[at + 13] = flags & 0x3f
    put16(f + at + 14, 0 if flags & 0x40 else 8192)
    put32(f + at + 16, 0)
    memcpy(f + at + 20, data, n)
    mine[0] = seq + n + (flags >> 1 & 1) + (flags & 1)
    send(r, f, at + 20 + n)


cdef void udp(Run* r, uint32_t tuple, uint32_t client, bint back, const uint8_t* data,
              uint32_t n) noexcept nogil:
    cdef uint8_t f[FRAME]
    cdef uint32_t at = ip(f, tuple, back, 17, 8 + n)
    ports(f + at, client, tuple, back)
    put16(f + at + 4, 8 + n)
    put16(f + at + 6, 0)
    memcpy(f + at + 8, data, n)
    send(r, f, at + 8 + n)


cdef void step(Run* r, uint8_t unit, int8_t count) noexcept nogil:
    # Years, hours, 100 s, seconds, 0.1 s or nanoseconds, forwards or backwards, inside [0, 2^62).
    cdef uint64_t by = 1
    cdef uint64_t k = <uint64_t> (-<int> count if count < 0 else <int> count)
    if unit % 6 == 0:
        by = <uint64_t> 31556952 * 1000000000
    elif unit % 6 == 1:
        by = <uint64_t> 3600 * 1000000000
    elif unit % 6 == 2:
        by = <uint64_t> 100 * 1000000000
    elif unit % 6 == 3:
        by = 1000000000
    elif unit % 6 == 4:
        by = 100000000
    if count < 0:
        r.ts -= by * k if by * k < r.ts else r.ts
    elif r.ts + by * k < <uint64_t> 1 << 62:
        r.ts += by * k


cdef size_t operation(Run* r, const unsigned char* d, size_t n) noexcept nogil:
    # Octets used, at least 1.
    cdef uint8_t f[FRAME]
    cdef uint32_t kind = d[0] & 7
    cdef uint32_t tuple = d[0] >> 3
    cdef uint32_t size, at, i
    cdef uint32_t scale
    if kind <= 2:
        if n < 5:
            return n
        size = d[4]
        if size > n - 5:
            size = <uint32_t> (n - 5)
        scale = 1 if kind == 0 else (1 << 10 if kind == 1 else 1 << 24)
        tcp(r, tuple, 40000, d[1], scale * <uint32_t> <int8_t> d[2], scale * <uint32_t> <int8_t> d[3],
            d + 5, size)
        return 5 + size
    if n < 3:
        return n
    if kind == 3 or kind == 4 or kind == 5:
        size = d[2]
        if size > n - 3:
            size = <uint32_t> (n - 3)
        if kind == 3:
            udp(r, tuple, 40000, d[1] >> 7, d + 3, size)
        elif kind == 4:
            at = ip(f, tuple, d[1] & 1 and d[1] != 135, 1, 4 + size)
            put32(f + at, <uint32_t> d[1] << 24)
            memcpy(f + at + 4, d + 3, size)
            send(r, f, at + 4 + size)
        else:
            send(r, d + 3, size)
        return 3 + size
    if kind == 6:
        step(r, d[1], <int8_t> d[2])
        return 3
    for i in range(d[1]):
        if d[2] & 0x80:
            udp(r, tuple, 1000 + i, d[2] & 1, d, 3)
        else:
            tcp(r, tuple, 1000 + i, d[2], 0, 0, d, 0)
    return 3


cdef public int fuzz_sequence(const unsigned char* data, size_t n) noexcept nogil:
    cdef uint64_t secret[5]
    cdef Run run
    cdef Run* r = &run
    cdef size_t at = 0
    cdef uint64_t ended = 0
    cdef Core* c
    cdef int i, _i
    for i in range(5):
        secret[i] = <uint64_t> 0x1e3779b97f4a7c15 * <uint64_t> (i + 1)
    memset(r, 0, sizeof(Run))
    small_pages()
    c = core_new(64, 64, <const uint8_t*> secret, <uint64_t> 10 * 1000000000, True, True, NULL)
    if c == NULL:
        return 0
    c.local[0].net[1] = <uint64_t> 0xffff << 32 | 0x0a000000
    c.local[0].mask[0] = <uint64_t> -1
    c.local[0].mask[1] = <uint64_t> -1 << 24
    c.n_local = 1
    c.likely_server[0][10] = c.likely_server[1][10] = 1           # port 80
    c.likely_server[0][6] = c.likely_server[1][6] = 1 << 5        # port 53
    c.rows.n_rows = ROWS_BEFORE
    r.core = c
    r.ts = <uint64_t> 1700000000 * 1000000000
    while at < n:
        at += operation(r, data + at, n - at)
    pump_all(r)
    # Every connection once, each end with a row or counted as lost.
    for _i in range(1000):
        core_finish(c)
        take_rows(r)
        if c.flows_open == 0 and c.half_open.tail == c.half_open.head:
            break
    check(c)
    take_second(r)
    take_window(r)
    for i in range(<int> STATES):
        ended += c.states[i]
    if ended != c.opened[0] + c.opened[1] + c.opened[2] or ended != r.rows + c.rows.lost:
        abort()
    if c.flows_open or c.half_open.tail != c.half_open.head or taken(&c.half_open.index):
        abort()
    if r.leaves != r.seconds or r.seconds != r.octets:
        abort()
    core_free(c)
    return 0
