# DNS over UDP and TCP (RFC 1035): counts, response times, and what feeds the passive DNS cache.
#
# Invariants: nothing is read at or beyond p[n). A compression pointer must point before the run of
# labels it ends, so a name ends after finitely many steps; they are bounded to 128 anyway, and the
# name to 255 octets. Work per message: one question, at most DNS_ANSWERS records.
# DnsTable holds the questions that wait for an answer: a slot is free when its tag is 0, and
# bit s of `occupied` is set whenever set s has a slot in use. What is counted does not depend on
# how often dns_sweep() is called: a question older than DNS_TIMEOUT_NS is unanswered wherever it
# is met (sweep, late answer, repeated question, flush).
#
# A question sent again keeps the time of the first one (as tshark's dns.time), an answer counts
# once, and an answer must come from the other side, with the same id and the same question (or no
# question at all, as some servers send with FORMERR or REFUSED).
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from sensor._native.app cimport AppProto, AppVerdict, APP_UNKNOWN, APP_DNS, APP_MDNS, APP_LLMNR, \
    APP_NO, APP_MAYBE, APP_YES
from sensor._native.counters cimport C_DNS_QUERIES, C_DNS_RESPONSES, C_DNS_NXDOMAIN, \
    C_DNS_SERVFAIL, C_DNS_ERRORS, C_DNS_UNANSWERED, C_MDNS, C_LLMNR, C_DNS_PARSE_ERRORS, \
    C_APP_LOST_SYNC
from sensor._native.dns_cache cimport DnsCache, dns_cache_put
from sensor._native.packet cimport sensor_mum
from sensor._native.sink cimport AppSink, sink_count, sink_latency, L_DNS_RESPONSE
from sensor._native.span cimport sensor_be16, sensor_be32, sensor_be64

cdef extern from *:
    """
    /* ASCII upper case to lower, eight octets at once; octets >= 0x80 stay. A DNS label length
       (<= 63) is below 'A', so a whole wire-format name may go through. */
    static inline uint64_t sensor_lower8(uint64_t v) {
        uint64_t low = v & 0x7f7f7f7f7f7f7f7fULL;
        uint64_t ge_a = low + 0x3f3f3f3f3f3f3f3fULL, gt_z = low + 0x2525252525252525ULL;
        return v + (((ge_a & ~gt_z & ~v) & 0x8080808080808080ULL) >> 2);
    }
    """
    uint64_t sensor_lower8(uint64_t v) noexcept nogil
    int sensor_ctz64 "__builtin_ctzll"(uint64_t v) noexcept nogil

cdef enum:
    DNS_HEADER = 12
    DNS_NAME = 255                 # RFC 1035 2.3.4, octets in wire format
    DNS_STEPS = 128                # labels and pointers of one name
    DNS_ANSWERS = 64               # records walked per message
    DNS_SETS = 16384               # x 4 ways x 16 B = 1 MiB
    DNS_WORDS = 256                # DNS_SETS / 64: bit s of the words says that set s is in use
    DNS_TCP_KEEP = 512             # octets of a message kept when it spans segments
    DNS_TICK_SHIFT = 22            # 4.19 ms; the sweep turns once in 256 ticks
    DNS_BAD = 0                    # an offset no name can end at

cdef extern from *:
    """
    #define DNS_TIMEOUT_NS 5000000000ULL
    """
    uint64_t DNS_TIMEOUT_NS

cdef struct DnsSlot:
    uint64_t t_ns                  # of the first question
    uint32_t qhash                 # of the name and type; 0: the question could not be read
    uint16_t id
    uint16_t tag                   # of the flow and direction; 0: free

cdef struct DnsTable:              # all zero and a secret = fresh
    DnsSlot slots[DNS_SETS * 4]
    uint64_t occupied[DNS_WORDS]
    uint64_t secret[2]
    uint64_t tick                  # the sweep has done everything before this one
    uint64_t evicted               # questions forgotten because their set was full
    uint64_t unsolicited           # answers without a question

cdef struct DnsQuestion:
    uint32_t end                   # offset behind the question; DNS_BAD: not readable
    uint32_t qhash
    uint16_t qtype
    uint16_t qclass
    uint32_t name_len              # wire format, lower case, with the root's 0
    uint8_t name[DNS_NAME + 9]     # zero filled to a multiple of 8

cdef struct DnsTcpSide:
    uint16_t left                  # octets of the current message still to come
    uint16_t kept                  # octets in `head`
    uint16_t length                # of the current message; while have < 2, its first octet
    uint8_t have                   # octets of the length prefix seen
    uint8_t told                   # the current message has been counted already
    uint8_t lost                   # out of sync until a segment starts with a message
    uint8_t head[DNS_TCP_KEEP]

cdef struct DnsTcp:
    DnsTcpSide side[2]             # [0] responder's, [1] originator's octets


# ---- names

cdef inline uint32_t dns_name(const uint8_t* p, uint32_t n, uint32_t at,
                              uint8_t* out, uint32_t* out_len) noexcept nogil:
    # Expand the name at `at` into out[0..*out_len) (wire format, DNS_NAME + 9 octets of room).
    # Returns the offset behind the name, or DNS_BAD.
    cdef uint32_t end = 0
    cdef uint32_t size = 0
    cdef uint32_t run = at
    cdef uint32_t _step, label, to
    for _step in range(<uint32_t> DNS_STEPS):
        if at >= n:
            return DNS_BAD
        label = p[at]
        if label < 64:
            if label + 1 > n - at or size + label + 1 > DNS_NAME:
                return DNS_BAD
            memcpy(out + size, p + at, label + 1)
            size += label + 1
            at += label + 1
            if label == 0:
                out_len[0] = size
                return end if end else at
        elif label >= 192:
            if n - at < 2:
                return DNS_BAD
            to = (label & 63) << 8 | p[at + 1]
            if not end:
                end = at + 2
            if to >= run:
                return DNS_BAD
            at = run = to
        else:
            return DNS_BAD
    return DNS_BAD


cdef inline uint32_t dns_skip_name(const uint8_t* p, uint32_t n, uint32_t at) noexcept nogil:
    # The offset behind the name at `at`, pointers not followed; DNS_BAD when it is no name.
    cdef uint32_t _step, label
    for _step in range(<uint32_t> DNS_STEPS):
        if at >= n:
            return DNS_BAD
        label = p[at]
        if label == 0:
            return at + 1
        if label >= 192:
            return at + 2 if n - at >= 2 else DNS_BAD
        if label >= 64 or label + 1 > n - at:
            return DNS_BAD
        at += label + 1
    return DNS_BAD


cdef inline bint dns_same_name(const uint8_t* p, uint32_t n, uint32_t a, uint32_t b) noexcept nogil:
    cdef uint8_t name_a[DNS_NAME + 9]
    cdef uint8_t name_b[DNS_NAME + 9]
    cdef uint32_t len_a = 0
    cdef uint32_t len_b = 0
    cdef uint32_t i
    cdef uint8_t x, y
    if n - a >= 2 and p[a] >= 192 and ((p[a] & 63) << 8 | p[a + 1]) == b:
        return True                # the usual pointer to where the name stands
    if dns_name(p, n, a, name_a, &len_a) == DNS_BAD or dns_name(p, n, b, name_b, &len_b) == DNS_BAD:
        return False
    if len_a != len_b:
        return False
    for i in range(len_a):
        x = name_a[i]
        y = name_b[i]
        if x != y and not ((x ^ y) == 32 and 97 <= (x | 32) <= 122):
            return False
    return True


cdef inline bint dns_question(const DnsTable* t, const uint8_t* p, uint32_t n,
                              DnsQuestion* q) noexcept nogil:
    # Read the first question of a message of n >= DNS_HEADER octets; False leaves q.qhash == 0.
    cdef uint64_t h, w
    cdef uint32_t at, i
    q.qhash = 0
    q.end = DNS_BAD
    q.name_len = 0
    at = dns_name(p, n, DNS_HEADER, q.name, &q.name_len)
    if at == DNS_BAD or n - at < 4:
        return False
    memset(q.name + q.name_len, 0, 8)
    q.qtype = sensor_be16(p + at)
    q.qclass = sensor_be16(p + at + 2)
    q.end = at + 4
    h = t.secret[0] ^ q.qtype
    i = 0
    while i < q.name_len:
        memcpy(&w, q.name + i, 8)
        w = sensor_lower8(w)
        memcpy(q.name + i, &w, 8)
        h = sensor_mum(h ^ w, t.secret[1])
        i += 8
    q.qhash = <uint32_t> (h ^ (h >> 32)) | 1
    return True


cdef inline uint32_t dns_dotted(const DnsQuestion* q, uint8_t* out) noexcept nogil:
    # Wire format to "a.b.c"; 0 when it is the root or a label has a dot inside.
    cdef uint32_t at = 0
    cdef uint32_t i, label
    while at < q.name_len and q.name[at] != 0:
        label = q.name[at]
        for i in range(at + 1, at + 1 + label):
            if q.name[i] == 46:
                return 0
            out[i - 1] = q.name[i]
        at += label + 1
        out[at - 1] = 46
    return at - 1 if at else 0


# ---- the table of waiting questions

cdef inline void dns_free(DnsTable* t, uint32_t at) noexcept nogil:
    cdef uint32_t first = at & ~<uint32_t> 3
    t.slots[at].tag = 0
    if not (t.slots[first].tag | t.slots[first + 1].tag
            | t.slots[first + 2].tag | t.slots[first + 3].tag):
        t.occupied[at >> 8] &= ~(<uint64_t> 1 << ((at >> 2) & 63))


cdef inline bint dns_expired(const DnsSlot* slot, uint64_t now_ns) noexcept nogil:
    return now_ns >= slot.t_ns and now_ns - slot.t_ns >= DNS_TIMEOUT_NS


cdef inline void dns_unanswered(AppSink* sink) noexcept nogil:
    sink_count(sink, C_DNS_UNANSWERED, 1)
    sink_count(sink, C_DNS_ERRORS, 1)


cdef inline uint64_t dns_key(const DnsTable* t, uint64_t flow_hash, bint asker_is_orig,
                             uint16_t id) noexcept nogil:
    return sensor_mum(flow_hash ^ t.secret[0], (<uint64_t> id << 1 | asker_is_orig) ^ t.secret[1])


cdef inline void dns_asked(DnsTable* t, AppSink* sink, uint64_t key, uint16_t id,
                           uint32_t qhash) noexcept nogil:
    cdef uint32_t first = <uint32_t> (key & (DNS_SETS - 1)) * 4
    cdef uint16_t tag = <uint16_t> (key >> 48) | 1
    cdef uint32_t i
    cdef uint32_t to = first
    cdef uint64_t age
    cdef uint64_t oldest = 0
    cdef bint found = False
    cdef DnsSlot* slot
    for i in range(first, first + 4):
        slot = &t.slots[i]
        if slot.tag == tag and slot.id == id and slot.qhash == qhash:
            if not dns_expired(slot, sink.ts_ns):
                return             # sent again: the first one counts
            dns_unanswered(sink)
            slot.t_ns = sink.ts_ns
            return
        if not found:
            if slot.tag == 0:
                to = i
                found = True
            else:
                age = sink.ts_ns - slot.t_ns   # a slot from the future is the oldest of all
                if age >= oldest:
                    oldest = age
                    to = i
    slot = &t.slots[to]
    if slot.tag:
        if dns_expired(slot, sink.ts_ns):
            dns_unanswered(sink)
        else:
            t.evicted += 1
    slot.t_ns = sink.ts_ns
    slot.qhash = qhash
    slot.id = id
    slot.tag = tag
    t.occupied[to >> 8] |= <uint64_t> 1 << ((to >> 2) & 63)


cdef inline bint dns_answered(DnsTable* t, AppSink* sink, uint64_t key, uint16_t id,
                              uint32_t qhash) noexcept nogil:
    # Was it asked for? Then it is no longer.
    cdef uint32_t first = <uint32_t> (key & (DNS_SETS - 1)) * 4
    cdef uint16_t tag = <uint16_t> (key >> 48) | 1
    cdef uint32_t i
    cdef DnsSlot* slot
    for i in range(first, first + 4):
        slot = &t.slots[i]
        if slot.tag == tag and slot.id == id and (slot.qhash == qhash or not qhash):
            if dns_expired(slot, sink.ts_ns):
                dns_unanswered(sink)
                dns_free(t, i)
                return False       # too late to be believed
            sink_latency(sink, L_DNS_RESPONSE, slot.t_ns, sink.ts_ns)
            dns_free(t, i)
            return True
    return False


cdef inline void dns_sweep_sets(DnsTable* t, uint32_t word, uint64_t now_ns,
                                AppSink* sink) noexcept nogil:
    cdef uint64_t todo = t.occupied[word]
    cdef uint32_t first, i
    while todo:
        first = (word * 64 + <uint32_t> sensor_ctz64(todo)) * 4
        todo &= todo - 1
        for i in range(first, first + 4):
            if t.slots[i].tag and dns_expired(&t.slots[i], now_ns):
                dns_unanswered(sink)
                dns_free(t, i)


cdef inline void dns_sweep(DnsTable* t, uint64_t now_ns, AppSink* sink) noexcept nogil:
    # Give up on old questions. Cheap enough for every packet or batch: at most one turn of the
    # table per call (256 words and the sets in use), and one turn per 1.07 s of packet time.
    cdef uint64_t tick = now_ns >> DNS_TICK_SHIFT
    if tick < t.tick:              # the capture's clock went back: start again from here
        t.tick = tick
    if tick - t.tick > 256:
        t.tick = tick - 256
    while t.tick < tick:
        dns_sweep_sets(t, <uint32_t> (t.tick & 255), now_ns, sink)
        t.tick += 1


cdef inline void dns_flush(DnsTable* t, uint64_t now_ns, AppSink* sink) noexcept nogil:
    # End of input: old questions are unanswered; about the younger ones nothing is known.
    cdef uint32_t word
    for word in range(<uint32_t> DNS_WORDS):
        dns_sweep_sets(t, word, now_ns, sink)


# ---- messages

cdef inline void dns_learn(DnsCache* cache, uint64_t now_ns, const uint8_t* p, uint32_t n,
                           const DnsQuestion* q) noexcept nogil:
    # Put the addresses of a solicited answer into the cache under the name asked for, following
    # the CNAME chain in the order of the records; the TTL is the chain's smallest.
    cdef uint32_t left = sensor_be16(p + 6)
    cdef uint32_t at = q.end
    cdef uint32_t wanted = DNS_HEADER
    cdef uint32_t owner, rtype, ttl, rdlen
    cdef uint32_t chain_ttl = ~<uint32_t> 0
    cdef uint32_t dotted = 0
    cdef uint64_t address[2]
    cdef uint8_t name[DNS_NAME + 1]
    if q.qclass != 1 or (q.qtype != 1 and q.qtype != 28):
        return
    if left > DNS_ANSWERS:
        left = DNS_ANSWERS
    if left:
        dotted = dns_dotted(q, name)
    while left:
        left -= 1
        owner = at
        at = dns_skip_name(p, n, at)
        if at == DNS_BAD or n - at < 10:
            return
        rtype = sensor_be16(p + at)
        ttl = sensor_be32(p + at + 4)
        rdlen = sensor_be16(p + at + 8)
        if sensor_be16(p + at + 2) != 1:
            rtype = 0              # not the Internet's
        at += 10
        if rdlen > n - at:
            return
        if ttl >> 31:              # RFC 2181 8: such a TTL is 0
            ttl = 0
        if rtype == 5 or (rtype == 1 and rdlen == 4) or (rtype == 28 and rdlen == 16):
            if dns_same_name(p, n, owner, wanted):
                if rtype == 5:
                    wanted = at
                    if ttl < chain_ttl:
                        chain_ttl = ttl
                else:
                    if rtype == 1:
                        address[0] = 0
                        address[1] = <uint64_t> 0xffff << 32 | sensor_be32(p + at)
                    else:
                        address[0] = sensor_be64(p + at)
                        address[1] = sensor_be64(p + at + 8)
                    dns_cache_put(cache, address, now_ns, ttl if ttl < chain_ttl else chain_ttl,
                                  name, dotted)
        at += rdlen


cdef inline void dns_message(DnsTable* t, DnsCache* cache, AppSink* sink, uint64_t flow_hash,
                             bint from_orig, const uint8_t* p, uint32_t n,
                             uint32_t wire_n) noexcept nogil:
    # One message known to be DNS, p[0..n) of its wire_n octets. `flow_hash` is the same for both
    # directions of a flow; sink.ts_ns is the time.
    cdef DnsQuestion q
    cdef uint16_t flags, id
    cdef uint32_t rcode
    cdef bint readable
    cdef bint cut = n < wire_n
    cdef uint64_t key
    if n < DNS_HEADER:
        if not cut:
            sink_count(sink, C_DNS_PARSE_ERRORS, 1)
        return
    id = sensor_be16(p)
    flags = sensor_be16(p + 2)
    readable = sensor_be16(p + 4) != 0
    if not readable:
        q.qhash = 0
    elif not dns_question(t, p, n, &q):
        readable = False
        if not cut:
            sink_count(sink, C_DNS_PARSE_ERRORS, 1)
    if not flags & 0x8000:
        sink_count(sink, C_DNS_QUERIES, 1)
        key = dns_key(t, flow_hash, from_orig, id)
        dns_asked(t, sink, key, id, q.qhash)
        return
    sink_count(sink, C_DNS_RESPONSES, 1)
    rcode = flags & 15
    if rcode == 3:
        sink_count(sink, C_DNS_NXDOMAIN, 1)
    elif rcode:
        sink_count(sink, C_DNS_ERRORS, 1)
        if rcode == 2:
            sink_count(sink, C_DNS_SERVFAIL, 1)
    key = dns_key(t, flow_hash, not from_orig, id)
    if not dns_answered(t, sink, key, id, q.qhash):
        t.unsolicited += 1
        if rcode == 0 and sensor_be16(p + 6):
            cache.refused_unsolicited += 1
    elif readable and rcode == 0:
        dns_learn(cache, sink.ts_ns, p, n, &q)


cdef inline bint dns_plausible_header(const uint8_t* p) noexcept nogil:
    # The 12 octets of a standard query or its answer: nothing set that must be zero.
    cdef uint16_t flags = sensor_be16(p + 2)
    cdef uint32_t an = sensor_be16(p + 6)
    cdef uint32_t ns = sensor_be16(p + 8)
    cdef uint32_t ar = sensor_be16(p + 10)
    if flags & 0x7840 or sensor_be16(p + 4) != 1:
        return False               # opcode 0, Z 0, one question
    if flags & 0x8000:
        return an <= 4096 and ns <= 64 and ar <= 256
    return not flags & 0x048f and an == 0 and ns <= 1 and ar <= 2   # AA, RA, RCODE are an answer's


cdef inline AppVerdict dns_plausible(const uint8_t* p, uint32_t n, uint32_t wire_n) noexcept nogil:
    # Is this a DNS message, whatever its port? Strict: printable labels, a known class and type,
    # and records that end where the message does. APP_MAYBE: fine as far as it goes, but cut.
    cdef uint32_t at, i, label, records, qtype, qclass
    if n < DNS_HEADER + 5:
        return APP_NO
    if not dns_plausible_header(p):
        return APP_NO
    at = DNS_HEADER
    while True:                    # a question's name has no pointer: nothing stands before it
        if at >= n:
            return APP_MAYBE if n < wire_n else APP_NO
        label = p[at]
        at += 1
        if label == 0:
            break
        if label > 63 or at + label - DNS_HEADER > DNS_NAME - 1:
            return APP_NO
        for i in range(at, at + label if at + label < n else n):
            if not 33 <= p[i] <= 126:
                return APP_NO
        at += label
    if at > n or n - at < 4:
        return APP_MAYBE if n < wire_n else APP_NO
    qtype = sensor_be16(p + at)
    qclass = sensor_be16(p + at + 2)
    if not (1 <= qtype <= 262 or qtype == 32768 or qtype == 32769):
        return APP_NO
    if not (qclass == 1 or qclass == 3 or qclass == 4 or qclass == 254 or qclass == 255):
        return APP_NO
    at += 4
    records = <uint32_t> sensor_be16(p + 6) + sensor_be16(p + 8) + sensor_be16(p + 10)
    while records:
        if n < wire_n and at >= n:
            return APP_YES
        at = dns_skip_name(p, n, at)
        if at == DNS_BAD or n - at < 10:
            return APP_YES if n < wire_n else APP_NO
        i = sensor_be16(p + at + 8)
        at += 10
        if i > n - at:
            return APP_YES if n < wire_n else APP_NO
        at += i
        records -= 1
    return APP_YES if at == wire_n else APP_NO


cdef inline AppProto dns_datagram(DnsTable* t, DnsCache* cache, AppSink* sink, uint64_t flow_hash,
                                  bint from_orig, uint16_t port, uint16_t other_port,
                                  const uint8_t* p, uint32_t n, uint32_t wire_n) noexcept nogil:
    # A UDP payload, p[0..n) of wire_n octets: APP_DNS, APP_MDNS, APP_LLMNR, or APP_UNKNOWN when it
    # is none of them. On port 53 everything is DNS, as for tshark; elsewhere the content decides,
    # but not on 137: NetBIOS names (RFC 1002) have the same form and are another service.
    if n == 0 or port == 137 or other_port == 137:
        return APP_UNKNOWN
    if port == 53 or other_port == 53:
        dns_message(t, cache, sink, flow_hash, from_orig, p, n, wire_n)
        return APP_DNS
    if port == 5353 or other_port == 5353:
        sink_count(sink, C_MDNS, 1)
        return APP_MDNS
    if port == 5355 or other_port == 5355:
        sink_count(sink, C_LLMNR, 1)
        return APP_LLMNR
    if dns_plausible(p, n, wire_n) != APP_YES:
        return APP_UNKNOWN
    dns_message(t, cache, sink, flow_hash, from_orig, p, n, wire_n)
    return APP_DNS


# ---- TCP (RFC 1035 4.2.2, RFC 7766): each message behind its 16-bit length

cdef inline AppVerdict dns_tcp_probe(const uint8_t* p, uint32_t n, bint from_orig) noexcept nogil:
    cdef uint32_t length
    if n < 2:
        return APP_MAYBE
    length = sensor_be16(p)
    if length < DNS_HEADER + 5:
        return APP_NO
    if n < 2 + DNS_HEADER + 5:
        if n >= 2 + DNS_HEADER and not dns_plausible_header(p + 2):
            return APP_NO
        return APP_MAYBE
    return dns_plausible(p + 2, n - 2 if n - 2 < length else length, length)


cdef inline void dns_tcp_sync(DnsTcpSide* s) noexcept nogil:
    s.left = 0
    s.kept = 0
    s.have = 0
    s.told = 0


cdef inline uint32_t dns_tcp_data(DnsTcp* c, DnsTable* t, DnsCache* cache, AppSink* sink,
                                  uint64_t flow_hash, bint from_orig, const uint8_t* p,
                                  uint32_t n) noexcept nogil:
    # A message inside one segment is parsed where it is; of one that spans segments the first
    # DNS_TCP_KEEP octets are kept, which hold the header and the question.
    cdef DnsTcpSide* s = &c.side[1 if from_orig else 0]
    cdef uint32_t at = 0
    cdef uint32_t take, keep
    if s.lost:
        if dns_tcp_probe(p, n, from_orig) != APP_YES:
            return n
        s.lost = 0
        dns_tcp_sync(s)
    while at < n:
        if s.have < 2:
            s.length = <uint16_t> (s.length << 8 | p[at]) if s.have else p[at]
            s.have += 1
            at += 1
            if s.have < 2:
                continue
            s.left = s.length
            s.kept = 0
            if s.left == 0:
                s.have = 0
                sink_count(sink, C_DNS_PARSE_ERRORS, 1)
                continue
        if at == n:
            break
        take = n - at if n - at < s.left else s.left
        if take == s.length:
            dns_message(t, cache, sink, flow_hash, from_orig, p + at, take, take)
        elif not s.told:
            keep = <uint32_t> DNS_TCP_KEEP - s.kept
            if keep > take:
                keep = take
            memcpy(s.head + s.kept, p + at, keep)
            s.kept += <uint16_t> keep
            if take == s.left:
                dns_message(t, cache, sink, flow_hash, from_orig, s.head, s.kept, s.length)
        s.left -= <uint16_t> take
        at += take
        if s.left == 0:
            dns_tcp_sync(s)
    return n


cdef inline void dns_tcp_gap(DnsTcp* c, DnsTable* t, DnsCache* cache, AppSink* sink,
                             uint64_t flow_hash, bint from_orig, uint64_t n) noexcept nogil:
    # Inside a message its length tells where the next one starts, and what came before the gap is
    # the message, cut. A gap that reaches further loses sync.
    cdef DnsTcpSide* s = &c.side[1 if from_orig else 0]
    if n == 0 or s.lost:
        return
    if s.kept and not s.told:
        dns_message(t, cache, sink, flow_hash, from_orig, s.head, s.kept, s.length)
    if s.have == 2 and n <= s.left:
        s.told = 1
        s.left -= <uint16_t> n
        if s.left == 0:
            dns_tcp_sync(s)
        return
    dns_tcp_sync(s)
    s.lost = 1
    sink_count(sink, C_APP_LOST_SYNC, 1)
