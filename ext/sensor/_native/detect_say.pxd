# What happened, said to detection: one short function per kind of event, called by the hot path.
#
# Invariants: nothing is looked up here; nothing is believed of an ICMP error's quote but whom it
# blames; without a Detect nothing is done.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.detect cimport (
    FLAG, FLAG_EMPTY, FLAG_MORE, FLAG_SESSION, FLAG_SHORT, SAY_ATTEMPT, SAY_CLOSED, SAY_EVENTS,
    SAY_FRAGMENT, SAY_ICMP, SAY_OVER, SAY_REFLECTION, SAY_STRAY, SAY_STRAY_ANSWERED,
    SAY_SYN, SAY_TARGET, SAY_UDP, SAY_UDP_ANSWERED, SAY_UNREACHABLE, SAYINGS, Detect, Ends, Kind,
    Saying, ends_of)
from sensor._native.detect_count cimport address_hash, count_sayings
from sensor._native.domains cimport domain_asked
from sensor._native.features cimport (
    F_REFL_ANSWERS, F_REFL_PACKETS, F_REFL_REQUESTS, F_STRAY_ACK, F_STRAY_ODD, F_STRAY_RST,
    F_STRAY_SYNACK, Feature)
from sensor._native.packet cimport TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG
from sensor._native.sketch cimport hll_add

cdef enum:
    LOGIN_BYTES = 6144
    LOGIN_NS = 10000000000
    QUIC_PORT = 443
    TRACEROUTE = 33434


cdef inline Saying* say(Detect* d, Kind kind, const uint64_t* key, uint8_t from_b, uint8_t role,
                        bint from_orig) noexcept nogil:
    # The next one in the queue: the caller fills in what its kind has.
    cdef Saying* s
    if d.said == SAYINGS:
        count_sayings(d)
    s = &d.saying[d.said]
    d.said += 1
    s.e = ends_of(key, from_b, role, from_orig)
    s.kind = <uint8_t> kind
    s.flags = 0
    return s


# ---- TCP

cdef inline void detect_syn(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                            bint bare) noexcept nogil:
    if d != NULL:
        say(d, SAY_SYN, key, orig_dir, role, True).flags = FLAG if bare else 0


cdef inline void detect_attempt(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                                Feature what, bint well_known) noexcept nogil:
    cdef Saying* s
    if d == NULL:
        return
    s = say(d, SAY_ATTEMPT, key, orig_dir, role, True)
    s.what = <uint8_t> what
    s.flags = FLAG if well_known else 0


cdef inline void detect_attempt_over(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                                     bint evicted) noexcept nogil:
    # `evicted`: it made room for the next ones before it was judged. Its source is one of a flood.
    if d != NULL:
        say(d, SAY_OVER, key, orig_dir, role, True).flags = FLAG if evicted else 0


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
    cdef Saying* s
    if d == NULL:
        return
    s = say(d, SAY_STRAY, key, from_b, role, from_orig)
    s.what = <uint8_t> stray_kind(flags)
    s.flags = FLAG if first else 0


cdef inline void detect_stray_answered(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                                       bint from_orig) noexcept nogil:
    # `from_b` speaks too: what came to it was of a connection that began before the capture.
    if d != NULL:
        say(d, SAY_STRAY_ANSWERED, key, from_b ^ 1, role, not from_orig)


# ---- a connection's ends, and what was said in it

cdef inline void detect_said(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                             uint8_t protocol, Feature what, uint32_t n, bint unit) noexcept nogil:
    # `n` events of a connection, at its service and by its originator. `unit`: each is one
    # act of the originator (a request), so that it counts for who is behind it.
    cdef Saying* s
    if d == NULL:
        return
    s = say(d, SAY_EVENTS, key, orig_dir, role, True)
    s.protocol = protocol
    s.what = <uint8_t> what
    s.n = n
    s.flags = FLAG if unit else 0


cdef inline void detect_closed(Detect* d, const uint64_t* key, uint8_t orig_dir, uint8_t role,
                               uint64_t asked, uint64_t told, uint64_t took_ns,
                               bint login) noexcept nogil:
    # A connection with a handshake was closed after `asked` octets of its originator and `told` of
    # its responder. A refused log-in is short and small (methods of Zeek's and Bro's detectors; a
    # session that works is neither).
    cdef Saying* s
    if d == NULL:
        return
    s = say(d, SAY_CLOSED, key, orig_dir, role, True)
    if asked == 0:
        s.flags = FLAG_EMPTY
    elif login:
        s.flags = FLAG_SESSION
        if told < LOGIN_BYTES and took_ns < <uint64_t> LOGIN_NS:
            s.flags = FLAG_SESSION | FLAG_SHORT


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
    cdef Saying* s
    if d == NULL:
        return
    s = say(d, SAY_TARGET, key, orig_dir, role, True)
    s.uri = uri
    s.path = path


# ---- datagrams

cdef inline bint is_group(uint64_t hi, uint64_t lo) noexcept nogil:
    # Multicast, or IPv4's broadcast: what is sent to a group was asked for by joining it.
    if hi == 0 and lo >> 32 == 0xffff:
        return (lo >> 28) & 15 == 14 or (lo & <uint64_t> 0xffffffff) == <uint64_t> 0xffffffff
    return hi >> 56 == 0xff


cdef inline bint port_reflects(const Detect* d, uint16_t port) noexcept nogil:
    return (d.reflects[port >> 3] >> (port & 7)) & 1


cdef inline bint is_traceroute(uint16_t port) noexcept nogil:
    return TRACEROUTE <= port < TRACEROUTE + 100


cdef inline void detect_udp(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                            bint from_orig, uint32_t mine, uint32_t theirs, uint32_t wire,
                            uint32_t payload, bint asks, bint well_known) noexcept nogil:
    # A datagram; `mine`: packets of its direction with it, `theirs` of the other one. `asks`: its
    # payload is a question, whatever its port. Amplification is measured in payload (CISA).
    cdef Ends e
    cdef Saying* s
    if d == NULL:
        return
    e = ends_of(key, from_b, role, from_orig)
    if theirs == 0 and is_group(e.dh, e.dl):
        return                                             # nobody answers for a group
    if theirs and mine == 1:
        # The first answer: whoever asked was right to.
        s = say(d, SAY_UDP_ANSWERED, key, from_b ^ 1, role, not from_orig)
        s.flags = FLAG if well_known else 0
    if (port_reflects(d, e.sport) or (theirs == 0 and e.sport == QUIC_PORT)) and not asks:
        s = say(d, SAY_REFLECTION, key, from_b, role, from_orig)
        s.what = F_REFL_ANSWERS if theirs else F_REFL_PACKETS
        s.n = payload if theirs else wire
    elif port_reflects(d, e.dport):
        s = say(d, SAY_REFLECTION, key, from_b ^ 1, role, not from_orig)
        s.what = F_REFL_REQUESTS
        s.n = payload
    if theirs == 0:
        s = say(d, SAY_UDP, key, from_b, role, from_orig)
        s.n = wire
        if mine == 1:
            s.flags = FLAG_MORE if is_traceroute(e.dport) else FLAG


cdef inline void detect_fragment(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                                 bint from_orig, uint32_t wire, bint later) noexcept nogil:
    cdef Saying* s
    if d == NULL:
        return
    s = say(d, SAY_FRAGMENT, key, from_b, role, from_orig)
    s.n = wire
    s.flags = FLAG if later else 0


cdef inline void detect_icmp(Detect* d, const uint64_t* key, uint8_t from_b, uint8_t role,
                             bint from_orig, Feature what, uint32_t wire, bint odd) noexcept nogil:
    # Ports of an ICMP key are types: they say nothing about services.
    cdef Saying* s
    if d == NULL:
        return
    s = say(d, SAY_ICMP, key, from_b, role, from_orig)
    s.e.sport = s.e.dport = 0
    s.what = <uint8_t> what
    s.n = wire
    s.flags = FLAG if odd else 0


cdef inline void detect_unreachable(Detect* d, const uint64_t* key, uint8_t from_b,
                                    bint well_known) noexcept nogil:
    # An ICMP error quotes a datagram that `from_b` sent: nobody listens there.
    cdef Saying* s
    if d == NULL or <uint8_t> key[4] != 17:
        return
    s = say(d, SAY_UNREACHABLE, key, from_b, 0, True)
    s.flags = FLAG if well_known else 0
    if is_traceroute(s.e.dport):
        d.said -= 1                                        # what a traceroute hopes for
