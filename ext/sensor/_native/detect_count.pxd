# Counts what was said (detect_say.pxd) in the rows of its keys: see features.pxd for what.
#
# Invariants: sayings are counted in their order; every function does bounded work; a key without
# room is counted by its table and otherwise ignored. Three passes: hash each key and ask for its
# index line, then for its row's lines, then count.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from sensor._native.detect cimport (
    FLAG, FLAG_EMPTY, FLAG_MORE, FLAG_SESSION, FLAG_SHORT, SAY_ATTEMPT, SAY_CLOSED, SAY_EVENTS,
    SAY_FRAGMENT, SAY_ICMP, SAY_OVER, SAY_REFLECTION, SAY_STRAY, SAY_STRAY_ANSWERED,
    SAY_SYN, SAY_TARGET, SAY_UDP, SAY_UDP_ANSWERED, SAY_UNREACHABLE, T_HOST, T_REFLECTION,
    T_SERVICE, T_SOURCE, TABLES, Detect, Ends, Saying)
from sensor._native.features cimport (
    F_AUTH_SESSIONS, F_AUTH_SHORT, F_CONN_CLOSED, F_CONN_EMPTY, F_FRAG_BYTES, F_FRAG_LATER,
    F_FRAG_PACKETS, F_ICMP_ECHO, F_ICMP_ECHO_BYTES, F_ICMP_ODD, F_REFL_ANSWERS,
    F_REFL_ANSWER_BYTES, F_REFL_BYTES, F_REFL_PACKETS, F_REFL_REQUESTS, F_REFL_REQUEST_BYTES,
    F_STRAY_ANSWERED, F_STRAY_FLOWS, F_SYN_BARE, F_SYN_COMPLETE, F_SYN_EVICTED, F_SYN_FAILED,
    F_SYN_NEW, F_UDP_ANSWERED, F_UDP_BYTES, F_UDP_FLOWS, F_UDP_PACKETS, F_UDP_UNREACHABLE,
    G_HALF_OPEN)
from sensor._native.packet cimport sensor_mum
from sensor._native.sketch cimport Hll, hll_add, marks_add, mix_add, top_add
from sensor._native.slots cimport (
    ADMIT_A_TICK, Slot, slot_count, slot_get, slot_hash, slot_prefetch, slots_age,
    slots_next_second)
from sensor._native.tag_index cimport index_prefetch

cdef enum:
    # TRW (Jung et al. 2004) with success rates .8 (benign) and .2 (scanner): +-ln 4 per outcome;
    # what a long benign past may save up is bounded, so that a host that turns bad is found.
    TRW_STEP_MILLI = 1386
    TRW_FLOOR = -5
    # tables that a saying has a key in
    SERVICE = 1 << T_SERVICE
    HOST = 1 << T_HOST
    SOURCE = 1 << T_SOURCE
    REFLECTION = 1 << T_REFLECTION


cdef inline uint64_t address_hash(const Detect* d, uint64_t hi, uint64_t lo) noexcept nogil:
    # Twice: one multiplication spreads neighbouring addresses evenly, and a sketch wants them random.
    return sensor_mum(sensor_mum(hi ^ d.secret[3], lo ^ d.secret[4]) ^ d.secret[1], d.secret[2])


cdef inline uint64_t port_hash(const Detect* d, uint16_t port) noexcept nogil:
    return sensor_mum(sensor_mum(d.secret[2] ^ port, d.secret[3]) ^ d.secret[1], d.secret[4])


cdef inline uint8_t tables_of(const Saying* s) noexcept nogil:
    if s.kind == SAY_SYN or s.kind == SAY_ATTEMPT or s.kind == SAY_CLOSED:
        return SERVICE | HOST | SOURCE
    if s.kind == SAY_EVENTS:
        return SERVICE | SOURCE
    if s.kind == SAY_OVER:
        return SERVICE | HOST if s.flags & FLAG else SERVICE
    if s.kind == SAY_TARGET:
        return SERVICE
    if s.kind == SAY_REFLECTION:
        return REFLECTION
    if s.kind == SAY_FRAGMENT or (s.kind == SAY_UDP and not s.flags & FLAG):
        return HOST
    return HOST | SOURCE


cdef inline Slot* service_of(Detect* d, const Saying* s) noexcept nogil:
    cdef Slot* row = slot_get(&d.table[<int> T_SERVICE], s.hash[<int> T_SERVICE], s.e.dh, s.e.dl,
                              s.e.dport, s.protocol)
    if row != NULL:
        row.local = s.e.d_local
    return row


cdef inline Slot* host_of(Detect* d, const Saying* s) noexcept nogil:
    cdef Slot* row = slot_get(&d.table[<int> T_HOST], s.hash[<int> T_HOST], s.e.dh, s.e.dl, 0, 0)
    if row != NULL and s.kind != SAY_UNREACHABLE:
        row.local = s.e.d_local
    return row


cdef inline Slot* source_of(Detect* d, const Saying* s) noexcept nogil:
    cdef Slot* row = slot_get(&d.table[<int> T_SOURCE], s.hash[<int> T_SOURCE], s.e.sh, s.e.sl, 0, 0)
    if row != NULL and s.kind != SAY_UNREACHABLE:
        row.local = s.e.s_local
    return row


cdef inline void seen_from(Detect* d, Slot* row, const Ends* e, uint32_t weight) noexcept nogil:
    # A destination was addressed by a source.
    hll_add(&row.peers, address_hash(d, e.sh, e.sl))
    top_add(&row.top, e.sh, e.sl, e.sport, weight)


cdef inline void seen_to(Detect* d, Slot* row, const Ends* e, uint32_t weight) noexcept nogil:
    # A source addressed a destination.
    hll_add(&row.peers, address_hash(d, e.dh, e.dl))
    marks_add(&row.ports, port_hash(d, e.dport))
    top_add(&row.top, e.dh, e.dl, e.dport, weight)


cdef inline void seen_at(Detect* d, Slot* row, const Ends* e) noexcept nogil:
    # A host was addressed at one of its ports.
    seen_from(d, row, e, 1)
    marks_add(&row.ports, port_hash(d, e.dport))


cdef inline void scan_outcome(Detect* d, Slot* row, const Ends* e, bint failed,
                              bint well_known) noexcept nogil:
    # One attempt of a source is over. Only the first contact with a destination's port counts.
    cdef uint64_t there = address_hash(d, e.dh, e.dl)
    if row.x.scan.since == 0:
        row.x.scan.since = row.window
    if not marks_add(&row.x.scan.contacts, address_hash(d, there, e.dport)):
        return
    if not failed:
        row.x.scan.successes += 1
        row.x.scan.score -= <float> (TRW_STEP_MILLI * 0.001)
        if row.x.scan.score < TRW_FLOOR:
            row.x.scan.score = TRW_FLOOR
        return
    row.x.scan.failures += 1
    row.x.scan.score += <float> (TRW_STEP_MILLI * 0.001)
    hll_add(&row.x.scan.hosts, there)
    marks_add(&row.x.scan.ports, port_hash(d, e.dport))
    if well_known:
        marks_add(&row.x.scan.services, port_hash(d, e.dport))


cdef inline void at_service(Detect* d, const Saying* s, Slot* row) noexcept nogil:
    cdef bint flag = s.flags & FLAG
    if s.kind == SAY_SYN:
        slot_count(row, F_SYN_NEW, 1)
        slot_count(row, F_SYN_BARE, flag)
        row.gauge[<int> G_HALF_OPEN] += 1
        seen_from(d, row, &s.e, 1)
    elif s.kind == SAY_ATTEMPT:
        slot_count(row, s.what, 1)
    elif s.kind == SAY_OVER:
        slot_count(row, F_SYN_EVICTED, flag)
        if row.gauge[<int> G_HALF_OPEN]:
            row.gauge[<int> G_HALF_OPEN] -= 1
    elif s.kind == SAY_EVENTS:
        slot_count(row, s.what, s.n)
        if flag:
            seen_from(d, row, &s.e, s.n)
    elif s.kind == SAY_CLOSED:
        count_closed(s, row)
        if s.flags & FLAG_SHORT:
            seen_from(d, row, &s.e, 1)
    elif s.kind == SAY_TARGET:
        marks_add(&row.x.web.uris, address_hash(d, s.uri, 0))
        mix_add(&row.x.web.paths, address_hash(d, s.path, 0))


cdef inline void at_host(Detect* d, const Saying* s, Slot* row) noexcept nogil:
    cdef bint flag = s.flags & FLAG
    if s.kind == SAY_SYN:
        slot_count(row, F_SYN_NEW, 1)
        slot_count(row, F_SYN_BARE, flag)
        seen_at(d, row, &s.e)
    elif s.kind == SAY_ATTEMPT:
        slot_count(row, s.what, 1)
    elif s.kind == SAY_OVER:
        slot_count(row, F_SYN_EVICTED, 1)
    elif s.kind == SAY_STRAY:
        slot_count(row, s.what, 1)
        slot_count(row, F_STRAY_FLOWS, flag)
        seen_at(d, row, &s.e)
    elif s.kind == SAY_STRAY_ANSWERED:
        slot_count(row, F_STRAY_ANSWERED, 1)
    elif s.kind == SAY_CLOSED:
        count_closed(s, row)
        if s.flags & FLAG_SHORT:
            seen_from(d, row, &s.e, 1)
    elif s.kind == SAY_UDP:
        slot_count(row, F_UDP_PACKETS, 1)
        slot_count(row, F_UDP_BYTES, s.n)
        slot_count(row, F_UDP_FLOWS, s.flags != 0)
        seen_at(d, row, &s.e)
    elif s.kind == SAY_UDP_ANSWERED:
        slot_count(row, F_UDP_ANSWERED, 1)
    elif s.kind == SAY_FRAGMENT:
        slot_count(row, F_FRAG_PACKETS, 1)
        slot_count(row, F_FRAG_BYTES, s.n)
        slot_count(row, F_FRAG_LATER, flag)
        seen_from(d, row, &s.e, 1)
    elif s.kind == SAY_ICMP:
        count_icmp(s, row)
        seen_from(d, row, &s.e, 1)
    elif s.kind == SAY_UNREACHABLE:
        slot_count(row, F_UDP_UNREACHABLE, 1)


cdef inline void at_source(Detect* d, const Saying* s, Slot* row) noexcept nogil:
    cdef bint flag = s.flags & FLAG
    if s.kind == SAY_SYN:
        slot_count(row, F_SYN_NEW, 1)
        slot_count(row, F_SYN_BARE, flag)
        seen_to(d, row, &s.e, 1)
    elif s.kind == SAY_ATTEMPT:
        slot_count(row, s.what, 1)
        if s.what == F_SYN_FAILED or s.what == F_SYN_COMPLETE:
            scan_outcome(d, row, &s.e, s.what == F_SYN_FAILED, flag)
    elif s.kind == SAY_STRAY:
        slot_count(row, s.what, 1)
        slot_count(row, F_STRAY_FLOWS, flag)
        seen_to(d, row, &s.e, 1)
    elif s.kind == SAY_STRAY_ANSWERED:
        slot_count(row, F_STRAY_ANSWERED, 1)
    elif s.kind == SAY_EVENTS:
        slot_count(row, s.what, s.n)
        if flag:
            seen_to(d, row, &s.e, s.n)
    elif s.kind == SAY_CLOSED:
        count_closed(s, row)
        if s.flags & FLAG_SHORT:
            seen_to(d, row, &s.e, 1)
    elif s.kind == SAY_UDP:
        slot_count(row, F_UDP_FLOWS, 1)
        seen_to(d, row, &s.e, 1)
    elif s.kind == SAY_UDP_ANSWERED:
        slot_count(row, F_UDP_ANSWERED, 1)
        scan_outcome(d, row, &s.e, False, flag)
    elif s.kind == SAY_ICMP:
        count_icmp(s, row)
        if s.what == F_ICMP_ECHO:
            if row.x.scan.since == 0:
                row.x.scan.since = row.window
            hll_add(&row.x.scan.echoed, address_hash(d, s.e.dh, s.e.dl))
        hll_add(&row.peers, address_hash(d, s.e.dh, s.e.dl))
        top_add(&row.top, s.e.dh, s.e.dl, 0, 1)
    elif s.kind == SAY_UNREACHABLE:
        slot_count(row, F_UDP_UNREACHABLE, 1)
        scan_outcome(d, row, &s.e, True, flag)


cdef inline void count_closed(const Saying* s, Slot* row) noexcept nogil:
    slot_count(row, F_CONN_CLOSED, 1)
    slot_count(row, F_CONN_EMPTY, (s.flags & FLAG_EMPTY) != 0)
    slot_count(row, F_AUTH_SESSIONS, (s.flags & FLAG_SESSION) != 0)
    slot_count(row, F_AUTH_SHORT, (s.flags & FLAG_SHORT) != 0)


cdef inline void count_icmp(const Saying* s, Slot* row) noexcept nogil:
    slot_count(row, s.what, 1)
    slot_count(row, F_ICMP_ODD, s.flags & FLAG)
    if s.what == F_ICMP_ECHO:
        slot_count(row, F_ICMP_ECHO_BYTES, s.n)


cdef inline void at_reflection(Detect* d, const Saying* s) noexcept nogil:
    # Traffic between a receiver of answers and the reflecting port of a peer.
    cdef Slot* row = slot_get(&d.table[<int> T_REFLECTION], s.hash[<int> T_REFLECTION], s.e.dh,
                              s.e.dl, s.e.sport, 17)
    if row == NULL:
        return
    row.local = s.e.d_local
    slot_count(row, s.what, 1)
    if s.what == F_REFL_REQUESTS:
        slot_count(row, F_REFL_REQUEST_BYTES, s.n)
        return
    slot_count(row, F_REFL_ANSWER_BYTES if s.what == F_REFL_ANSWERS else F_REFL_BYTES, s.n)
    hll_add(&row.peers, address_hash(d, s.e.sh, s.e.sl))
    top_add(&row.top, s.e.sh, s.e.sl, s.e.sport, 1)


cdef inline void look_ahead(Detect* d) noexcept nogil:
    # Index lines, then rows: each pass has the memory that the one before asked for. What comes
    # for one key over and over, as in a flood, is hashed and asked for once.
    cdef uint32_t i
    cdef uint32_t k
    cdef Saying* s
    cdef Saying* host = NULL                               # last one with a key in that table
    cdef Saying* service = NULL
    for i in range(d.said):
        s = &d.saying[i]
        s.tables = s.ahead = tables_of(s)
        if s.kind != SAY_EVENTS:
            s.protocol = 6                                 # of a service
        if s.tables & SERVICE:
            if (service != NULL and s.e.dl == service.e.dl and s.e.dh == service.e.dh
                    and s.e.dport == service.e.dport and s.protocol == service.protocol):
                s.hash[<int> T_SERVICE] = service.hash[<int> T_SERVICE]
                s.ahead ^= SERVICE
            else:
                s.hash[<int> T_SERVICE] = slot_hash(s.e.dh, s.e.dl, s.e.dport, s.protocol, d.secret)
            service = s
        if s.tables & HOST:
            if host != NULL and s.e.dl == host.e.dl and s.e.dh == host.e.dh:
                s.hash[<int> T_HOST] = host.hash[<int> T_HOST]
                s.ahead ^= HOST
            else:
                s.hash[<int> T_HOST] = slot_hash(s.e.dh, s.e.dl, 0, 0, d.secret)
            host = s
        if s.tables & SOURCE:
            s.hash[<int> T_SOURCE] = slot_hash(s.e.sh, s.e.sl, 0, 0, d.secret)
        if s.tables & REFLECTION:
            s.hash[<int> T_REFLECTION] = slot_hash(s.e.dh, s.e.dl, s.e.sport, 17, d.secret)
        for k in range(<uint32_t> TABLES):
            if s.ahead >> k & 1:
                index_prefetch(&d.table[k].index, s.hash[k])
    for i in range(d.said):
        s = &d.saying[i]
        for k in range(<uint32_t> TABLES):
            if s.ahead >> k & 1:
                slot_prefetch(&d.table[k], s.hash[k])


cdef inline void count_sayings(Detect* d) noexcept nogil:
    cdef uint32_t i
    cdef Saying* s
    cdef Slot* row
    if d.said == 0:
        return
    look_ahead(d)
    for i in range(d.said):
        s = &d.saying[i]
        if s.tables & SERVICE:
            row = service_of(d, s)
            if row != NULL:
                at_service(d, s, row)
        if s.tables & HOST:
            row = host_of(d, s)
            if row != NULL:
                at_host(d, s, row)
        if s.tables & SOURCE:
            row = source_of(d, s)
            if row != NULL:
                at_source(d, s, row)
        if s.tables & REFLECTION:
            at_reflection(d, s)
    d.said = 0


# ---- time

cdef inline void detect_begin(Detect* d, uint64_t ts, uint64_t second_ns) noexcept nogil:
    # The second of the next packet; tables age by packet time, and not at all while it stands.
    cdef uint64_t s = ts // second_ns
    cdef uint64_t gone = s - d.last_s if s > d.last_s else 1
    cdef int i
    d.start_ns = s * second_ns
    d.end_ns = d.start_ns + second_ns
    if d.last_s and gone > 1:
        for i in range(TABLES):
            slots_age(&d.table[i], <uint32_t> (gone - 1 if gone < 1000000 else 1000000))
    d.last_s = s


cdef inline void detect_tick(Detect* d) noexcept nogil:
    # Every 100 ms: new keys may come again.
    cdef int i
    for i in range(TABLES):
        d.table[i].admit_left = ADMIT_A_TICK


cdef inline void detect_next(Detect* d) noexcept nogil:
    # The rows were taken.
    cdef int i
    for i in range(TABLES):
        slots_next_second(&d.table[i])
    d.dhcp_requests = 0
    memset(&d.dhcp_clients, 0, sizeof(Hll))
    d.neighbours.second += 1
    d.announced.n = 0
    d.domains.second += 1
    d.two_way -= d.two_way >> 6
    d.one_way -= d.one_way >> 6
    d.end_ns = 0
