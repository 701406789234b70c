# Which event counts where: the tables that detection looks at once a second.
#
# A host protects few services and attackers choose the rest: destinations get rows of their own
# (service: address, port and protocol; host: address), sources get one as long as there is room,
# and answers of amplifying protocols one per receiver and port (reflection). Connections in which
# both sides speak cost nothing here but their first and last packet.
#
# Invariants: every function does bounded work and takes addresses in host byte order; a key without
# room is counted by its table and otherwise ignored; nothing is believed of an ICMP error's quote
# but whom it blames.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from sensor._native.domains cimport Domains, domain_asked
from sensor._native.features cimport (
    F_AUTH_SESSIONS, F_AUTH_SHORT, F_CONN_CLOSED, F_CONN_EMPTY, F_FRAG_BYTES, F_FRAG_LATER,
    F_FRAG_PACKETS, F_ICMP_ECHO, F_ICMP_ECHO_BYTES, F_ICMP_ERROR, F_ICMP_ODD, F_ICMP_OTHER,
    F_ICMP_REPLY_STRAY, F_REFL_ANSWERS, F_REFL_ANSWER_BYTES, F_REFL_BYTES, F_REFL_PACKETS,
    F_REFL_REQUESTS, F_REFL_REQUEST_BYTES, F_STRAY_ACK, F_STRAY_ANSWERED, F_STRAY_FLOWS,
    F_STRAY_ODD, F_STRAY_RST, F_STRAY_SYNACK, F_SYN_BARE, F_SYN_COMPLETE, F_SYN_EVICTED,
    F_SYN_FAILED, F_SYN_NEW, F_UDP_ANSWERED, F_UDP_BYTES, F_UDP_FLOWS, F_UDP_PACKETS,
    F_UDP_UNREACHABLE, G_HALF_OPEN, Feature)
from sensor._native.neighbours cimport Neighbours
from sensor._native.packet cimport (
    TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG, sensor_mum)
from sensor._native.sketch cimport Hll, hll_add, marks_add, mix_add, top_add
from sensor._native.slots cimport (
    ADMIT_A_TICK, SlotRow, Slot, SlotTable, slot_get, slots_age, slots_next_second)

cdef enum Table:
    T_SERVICE = 0
    T_HOST = 1
    T_SOURCE = 2
    T_REFLECTION = 3
    TABLES = 4

cdef enum:
    # TRW (Jung et al. 2004) with success rates .8 (benign) and .2 (scanner): +-ln 4 per outcome;
    # what a long benign past may save up is bounded, so that a host that turns bad is found.
    TRW_STEP_MILLI = 1386
    TRW_FLOOR = -5
    LOGIN_BYTES = 6144
    LOGIN_NS = 10000000000
    ROWS_A_TABLE = 8192
    QUIC_PORT = 443
    TRACEROUTE = 33434

cdef struct Detect:
    SlotTable table[TABLES]
    Neighbours* neighbours
    Domains* domains
    void* rows                   # one table's rows on their way out
    uint64_t start_ns            # of the second being counted
    uint64_t end_ns              # 0: begins with the next packet
    uint64_t last_s              # second handed out last
    uint64_t secret[5]
    uint8_t reflects[8192]       # bit per UDP port: answers from it are larger than their questions
    uint32_t sweep_at            # next flow of the sweep for slow connections (slow.pxd)
    uint64_t sweep_ns            # when the sweep began
    uint32_t dhcp_requests       # of this second, and who sent them
    Hll dhcp_clients
    uint32_t two_way             # handshakes seen from both sides, and from one
    uint32_t one_way

cdef struct Ends:
    uint64_t sh
    uint64_t sl
    uint64_t dh
    uint64_t dl
    uint16_t sport
    uint16_t dport
    uint8_t s_local
    uint8_t d_local


cdef inline Ends ends_of(const uint64_t* key, uint8_t from_b, uint8_t role,
                         bint from_orig) noexcept nogil:
    # Sender and receiver. `role` as in Flow: bit 0 the originator is local, bit 1 the responder.
    cdef Ends e
    cdef int s = 2 if from_b else 0
    e.sh = key[s]
    e.sl = key[s + 1]
    e.dh = key[2 - s]
    e.dl = key[3 - s]
    e.sport = <uint16_t> (key[4] >> (32 if from_b else 48))
    e.dport = <uint16_t> (key[4] >> (48 if from_b else 32))
    e.s_local = role & 1 if from_orig else role >> 1
    e.d_local = role >> 1 if from_orig else role & 1
    return e


cdef inline uint64_t address_hash(const Detect* d, uint64_t hi, uint64_t lo) noexcept nogil:
    # Twice: one multiplication spreads neighbouring addresses evenly, and a sketch wants them random.
    return sensor_mum(sensor_mum(hi ^ d.secret[3], lo ^ d.secret[4]) ^ d.secret[1], d.secret[2])


cdef inline uint64_t port_hash(const Detect* d, uint16_t port) noexcept nogil:
    return sensor_mum(sensor_mum(d.secret[2] ^ port, d.secret[3]) ^ d.secret[1], d.secret[4])


cdef inline Slot* service_of(Detect* d, const Ends* e, uint8_t protocol) noexcept nogil:
    cdef Slot* s = slot_get(&d.table[<int> T_SERVICE], e.dh, e.dl, e.dport, protocol, d.secret)
    if s != NULL:
        s.local = e.d_local
    return s


cdef inline Slot* host_of(Detect* d, const Ends* e) noexcept nogil:
    cdef Slot* s = slot_get(&d.table[<int> T_HOST], e.dh, e.dl, 0, 0, d.secret)
    if s != NULL:
        s.local = e.d_local
    return s


cdef inline Slot* source_of(Detect* d, const Ends* e) noexcept nogil:
    cdef Slot* s = slot_get(&d.table[<int> T_SOURCE], e.sh, e.sl, 0, 0, d.secret)
    if s != NULL:
        s.local = e.s_local
    return s


cdef inline void seen_from(Detect* d, Slot* s, const Ends* e, uint32_t weight) noexcept nogil:
    # A destination was addressed by a source.
    hll_add(&s.peers, address_hash(d, e.sh, e.sl))
    top_add(&s.top, e.sh, e.sl, e.sport, weight)


cdef inline void seen_to(Detect* d, Slot* s, const Ends* e, uint32_t weight) noexcept nogil:
    # A source addressed a destination.
    hll_add(&s.peers, address_hash(d, e.dh, e.dl))
    marks_add(&s.ports, port_hash(d, e.dport))
    top_add(&s.top, e.dh, e.dl, e.dport, weight)


cdef inline void scan_outcome(Detect* d, Slot* s, const Ends* e, bint failed,
                              bint well_known) noexcept nogil:
    # One attempt of a source is over. Only the first contact with a destination's port counts.
    cdef uint64_t there = address_hash(d, e.dh, e.dl)
    if s.x.scan.since == 0:
        s.x.scan.since = s.window
    if not marks_add(&s.x.scan.contacts, address_hash(d, there, e.dport)):
        return
    if not failed:
        s.x.scan.successes += 1
        s.x.scan.score -= <float> (TRW_STEP_MILLI * 0.001)
        if s.x.scan.score < TRW_FLOOR:
            s.x.scan.score = TRW_FLOOR
        return
    s.x.scan.failures += 1
    s.x.scan.score += <float> (TRW_STEP_MILLI * 0.001)
    hll_add(&s.x.scan.hosts, there)
    marks_add(&s.x.scan.ports, port_hash(d, e.dport))
    if well_known:
        marks_add(&s.x.scan.services, port_hash(d, e.dport))


# ---- TCP

cdef inline void detect_syn(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                            bint bare) noexcept nogil:
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, orig_dir, role, True)
    s = service_of(d, &e, 6)
    if s != NULL:
        s.n[<int> F_SYN_NEW] += 1
        s.n[<int> F_SYN_BARE] += bare
        s.gauge[<int> G_HALF_OPEN] += 1
        seen_from(d, s, &e, 1)
    s = host_of(d, &e)
    if s != NULL:
        s.n[<int> F_SYN_NEW] += 1
        s.n[<int> F_SYN_BARE] += bare
        seen_from(d, s, &e, 1)
        marks_add(&s.ports, port_hash(d, e.dport))
    s = source_of(d, &e)
    if s != NULL:
        s.n[<int> F_SYN_NEW] += 1
        s.n[<int> F_SYN_BARE] += bare
        seen_to(d, s, &e, 1)


cdef inline void detect_attempt(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                                Feature what, bint well_known) noexcept nogil:
    # What became of a SYN so far.
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, orig_dir, role, True)
    s = service_of(d, &e, 6)
    if s != NULL:
        s.n[<int> what] += 1
    s = host_of(d, &e)
    if s != NULL:
        s.n[<int> what] += 1
    s = source_of(d, &e)
    if s != NULL:
        s.n[<int> what] += 1
        if what == F_SYN_FAILED or what == F_SYN_COMPLETE:
            scan_outcome(d, s, &e, what == F_SYN_FAILED, well_known)


cdef inline void detect_evicted(Detect* d, const uint64_t* key, uint8_t orig_dir,
                                uint8_t role) noexcept nogil:
    # A SYN given up for the next ones before its time. Its source is one of a flood: not asked for.
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, orig_dir, role, True)
    s = service_of(d, &e, 6)
    if s != NULL:
        s.n[<int> F_SYN_EVICTED] += 1
    s = host_of(d, &e)
    if s != NULL:
        s.n[<int> F_SYN_EVICTED] += 1


cdef inline void detect_attempt_over(Detect* d, const uint64_t* key, uint8_t orig_dir,
                                     uint8_t role) noexcept nogil:
    # It is no longer half open, for whatever reason.
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, orig_dir, role, True)
    s = service_of(d, &e, 6)
    if s != NULL and s.gauge[<int> G_HALF_OPEN]:
        s.gauge[<int> G_HALF_OPEN] -= 1


cdef inline Feature stray_kind(uint8_t flags) noexcept nogil:
    flags &= TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK | TCP_URG
    if flags & TCP_SYN and flags & (TCP_FIN | TCP_RST):
        return F_STRAY_ODD
    if flags & TCP_RST:
        return F_STRAY_RST
    if flags & TCP_SYN:
        return F_STRAY_SYNACK                              # a lone SYN is an attempt, no stray
    if not flags & TCP_ACK or (flags & (TCP_FIN | TCP_PSH | TCP_URG)
                               == (TCP_FIN | TCP_PSH | TCP_URG)):
        return F_STRAY_ODD
    return F_STRAY_ACK


cdef inline void detect_stray(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                              bint from_orig, uint8_t flags, bint first) noexcept nogil:
    # A TCP packet without a connection: nobody who answers was seen on its addresses and ports.
    cdef Ends e
    cdef Slot* s
    cdef Feature kind
    if d == NULL:
        return
    kind = stray_kind(flags)
    e = ends_of(key, from_b, role, from_orig)
    s = host_of(d, &e)
    if s != NULL:
        s.n[<int> kind] += 1
        s.n[<int> F_STRAY_FLOWS] += first
        seen_from(d, s, &e, 1)
        marks_add(&s.ports, port_hash(d, e.dport))
    s = source_of(d, &e)
    if s != NULL:
        s.n[<int> kind] += 1
        s.n[<int> F_STRAY_FLOWS] += first
        seen_to(d, s, &e, 1)


cdef inline void detect_stray_answered(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                                       bint from_orig) noexcept nogil:
    # `from_b` speaks too: what came to it was of a connection that began before the capture.
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, from_b ^ 1, role, not from_orig)
    s = host_of(d, &e)
    if s != NULL:
        s.n[<int> F_STRAY_ANSWERED] += 1
    s = source_of(d, &e)
    if s != NULL:
        s.n[<int> F_STRAY_ANSWERED] += 1


# ---- a connection's ends, and what was said in it

cdef inline void detect_said(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                             uint8_t protocol, Feature what, uint32_t n, bint unit) noexcept nogil:
    # `n` events of a connection, at its service and by its originator. `unit`: each is one
    # act of the originator (a request), so that it counts for who is behind it.
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, orig_dir, role, True)
    s = service_of(d, &e, protocol)
    if s != NULL:
        s.n[<int> what] += n
        if unit:
            seen_from(d, s, &e, n)
    s = source_of(d, &e)
    if s != NULL:
        s.n[<int> what] += n
        if unit:
            seen_to(d, s, &e, n)


cdef inline void detect_closed(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                               uint64_t asked, uint64_t told, uint64_t took_ns,
                               bint login) noexcept nogil:
    # A connection with a handshake was closed after `asked` octets of its originator and `told` of
    # its responder. A refused log-in is short and small (methods of Zeek's and Bro's detectors; a
    # session that works is neither).
    cdef Ends e
    cdef Slot* s
    cdef bint session = login and asked > 0
    cdef bint short = session and told < LOGIN_BYTES and took_ns < <uint64_t> LOGIN_NS
    cdef int i
    if d == NULL:
        return
    e = ends_of(key, orig_dir, role, True)
    for i in range(3):
        if i == 0:
            s = service_of(d, &e, 6)
        elif i == 1:
            s = host_of(d, &e)
        else:
            s = source_of(d, &e)
        if s == NULL:
            continue
        s.n[<int> F_CONN_CLOSED] += 1
        s.n[<int> F_CONN_EMPTY] += asked == 0
        s.n[<int> F_AUTH_SESSIONS] += session
        s.n[<int> F_AUTH_SHORT] += short
        if short and i < 2:
            seen_from(d, s, &e, 1)
        elif short:
            seen_to(d, s, &e, 1)


cdef inline void detect_dhcp(Detect* d, uint64_t client) noexcept nogil:
    # DHCP: the client is its hardware address, the server may be any.
    if d != NULL:
        d.dhcp_requests += 1
        hll_add(&d.dhcp_clients, address_hash(d, client, 0))


cdef inline void detect_question(Detect* d, const uint64_t* key, uint8_t orig_dir,
                                 const uint8_t* name, uint32_t n, uint16_t qtype,
                                 uint64_t ts_ns) noexcept nogil:
    # What a DNS client asked for.
    cdef Ends e
    if d == NULL:
        return
    e = ends_of(key, orig_dir, 0, True)
    domain_asked(d.domains, name, n, qtype, e.sh, e.sl, ts_ns, d.secret)


cdef inline void detect_target(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                               uint64_t uri, uint64_t path) noexcept nogil:
    # What an HTTP request asks for.
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, orig_dir, role, True)
    s = service_of(d, &e, 6)
    if s != NULL:
        marks_add(&s.x.web.uris, address_hash(d, uri, 0))
        mix_add(&s.x.web.paths, address_hash(d, path, 0))


# ---- datagrams

cdef inline bint is_group(uint64_t hi, uint64_t lo) noexcept nogil:
    # Multicast, or IPv4's broadcast: what is sent to a group was asked for by joining it.
    if hi == 0 and lo >> 32 == 0xffff:
        return (lo >> 28) & 15 == 14 or (lo & <uint64_t> 0xffffffff) == <uint64_t> 0xffffffff
    return hi >> 56 == 0xff


cdef inline bint port_reflects(const Detect* d, uint16_t port) noexcept nogil:
    return (d.reflects[port >> 3] >> (port & 7)) & 1


cdef inline void detect_reflection(Detect* d, uint64_t hi, uint64_t lo, uint8_t local,
                                   uint16_t port, uint64_t ph, uint64_t pl, Feature packets,
                                   Feature octets, uint32_t wire) noexcept nogil:
    # Traffic between a receiver of answers and the reflecting port of a peer.
    cdef Slot* s = slot_get(&d.table[<int> T_REFLECTION], hi, lo, port, 17, d.secret)
    if s == NULL:
        return
    s.local = local
    s.n[<int> packets] += 1
    s.n[<int> octets] += wire
    if packets != F_REFL_REQUESTS:
        hll_add(&s.peers, address_hash(d, ph, pl))
        top_add(&s.top, ph, pl, port, 1)


cdef inline void detect_udp(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                            bint from_orig, uint32_t mine, uint32_t theirs, uint32_t wire,
                            uint32_t payload, bint asks, bint well_known) noexcept nogil:
    # A datagram; `mine`: packets of its direction with it, `theirs` of the other one. `asks`: its
    # payload is a question, whatever its port. Amplification is measured in payload (CISA).
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, from_b, role, from_orig)
    if theirs == 0:
        if is_group(e.dh, e.dl):
            return                                         # nobody answers for a group
        if (port_reflects(d, e.sport) or e.sport == QUIC_PORT) and not asks:
            detect_reflection(d, e.dh, e.dl, e.d_local, e.sport, e.sh, e.sl, F_REFL_PACKETS,
                              F_REFL_BYTES, wire)
        elif port_reflects(d, e.dport):
            detect_reflection(d, e.sh, e.sl, e.s_local, e.dport, e.dh, e.dl, F_REFL_REQUESTS,
                              F_REFL_REQUEST_BYTES, payload)
        s = host_of(d, &e)
        if s != NULL:
            s.n[<int> F_UDP_PACKETS] += 1
            s.n[<int> F_UDP_BYTES] += wire
            s.n[<int> F_UDP_FLOWS] += mine == 1
            seen_from(d, s, &e, 1)
            marks_add(&s.ports, port_hash(d, e.dport))
        if mine == 1 and not TRACEROUTE <= e.dport < TRACEROUTE + 100:
            s = source_of(d, &e)
            if s != NULL:
                s.n[<int> F_UDP_FLOWS] += 1
                seen_to(d, s, &e, 1)
        return
    if mine == 1:
        # The first answer: whoever asked was right to.
        e = ends_of(key, from_b ^ 1, role, not from_orig)
        s = host_of(d, &e)
        if s != NULL:
            s.n[<int> F_UDP_ANSWERED] += 1
        s = source_of(d, &e)
        if s != NULL:
            s.n[<int> F_UDP_ANSWERED] += 1
            scan_outcome(d, s, &e, False, well_known)
        e = ends_of(key, from_b, role, from_orig)
    if port_reflects(d, e.sport) and not asks:
        detect_reflection(d, e.dh, e.dl, e.d_local, e.sport, e.sh, e.sl, F_REFL_ANSWERS,
                          F_REFL_ANSWER_BYTES, payload)
    elif port_reflects(d, e.dport):
        detect_reflection(d, e.sh, e.sl, e.s_local, e.dport, e.dh, e.dl, F_REFL_REQUESTS,
                          F_REFL_REQUEST_BYTES, payload)


cdef inline void detect_fragment(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                                 bint from_orig, uint32_t wire, bint later) noexcept nogil:
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, from_b, role, from_orig)
    s = host_of(d, &e)
    if s != NULL:
        s.n[<int> F_FRAG_PACKETS] += 1
        s.n[<int> F_FRAG_BYTES] += wire
        s.n[<int> F_FRAG_LATER] += later
        seen_from(d, s, &e, 1)


cdef inline void detect_icmp(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                             bint from_orig, Feature what, uint32_t wire, bint odd) noexcept nogil:
    # Ports of an ICMP key are types: they say nothing about services.
    cdef Ends e
    cdef Slot* s
    if d == NULL:
        return
    e = ends_of(key, from_b, role, from_orig)
    e.sport = e.dport = 0
    s = host_of(d, &e)
    if s != NULL:
        s.n[<int> what] += 1
        s.n[<int> F_ICMP_ODD] += odd
        if what == F_ICMP_ECHO:
            s.n[<int> F_ICMP_ECHO_BYTES] += wire
        seen_from(d, s, &e, 1)
    s = source_of(d, &e)
    if s != NULL:
        s.n[<int> what] += 1
        s.n[<int> F_ICMP_ODD] += odd
        if what == F_ICMP_ECHO:
            s.n[<int> F_ICMP_ECHO_BYTES] += wire
            if s.x.scan.since == 0:
                s.x.scan.since = s.window
            hll_add(&s.x.scan.echoed, address_hash(d, e.dh, e.dl))
        hll_add(&s.peers, address_hash(d, e.dh, e.dl))
        top_add(&s.top, e.dh, e.dl, 0, 1)


cdef inline void detect_unreachable(Detect* d, const uint64_t* key, uint8_t from_b,
                                    bint well_known) noexcept nogil:
    # An ICMP error quotes a datagram that `from_b` sent: nobody listens there.
    cdef Ends e
    cdef Slot* s
    if d == NULL or <uint8_t> key[4] != 17:
        return
    e = ends_of(key, from_b, 0, True)
    if TRACEROUTE <= e.dport < TRACEROUTE + 100:
        return                                             # what a traceroute hopes for
    s = slot_get(&d.table[<int> T_HOST], e.dh, e.dl, 0, 0, d.secret)
    if s != NULL:
        s.n[<int> F_UDP_UNREACHABLE] += 1
    s = slot_get(&d.table[<int> T_SOURCE], e.sh, e.sl, 0, 0, d.secret)
    if s != NULL:
        s.n[<int> F_UDP_UNREACHABLE] += 1
        scan_outcome(d, s, &e, True, well_known)


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
    d.domains.second += 1
    d.two_way -= d.two_way >> 6
    d.one_way -= d.one_way >> 6
    d.end_ns = 0
