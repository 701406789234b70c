# One DNS message (RFC 1035 4.1): is it one, what it counts, what it teaches the passive DNS cache.
#
# Invariants: nothing is read at or beyond p[n). Work per message: one question, at most DNS_ANSWERS
# records.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.app cimport AppVerdict, APP_NO, APP_MAYBE, APP_YES
from sensor._native.counters cimport C_DNS_QUERIES, C_DNS_RESPONSES, C_DNS_NXDOMAIN, \
    C_DNS_ANY, C_DNS_SERVFAIL, C_DNS_ERRORS, C_DNS_PARSE_ERRORS
from sensor._native.dns_cache cimport DnsCache, dns_cache_put
from sensor._native.dns_name cimport DNS_BAD, DNS_NAME, DNS_NAME_ROOM, dns_dotted, dns_name, \
    dns_name_hash, dns_same_name, dns_skip_name
from sensor._native.dns_table cimport DnsTable, dns_answered, dns_asked, dns_key
from sensor._native.sink cimport AppSink, sink_count, sink_question
from sensor._native.span cimport sensor_be16, sensor_be32, sensor_be64

cdef enum:
    DNS_HEADER = 12
    DNS_ANSWERS = 64               # records walked per message

cdef struct DnsQuestion:
    uint32_t end                   # offset behind the question; DNS_BAD: not readable
    uint32_t qhash
    uint16_t qtype
    uint16_t qclass
    uint32_t name_len              # wire format, lower case, with the root's 0
    uint8_t name[DNS_NAME_ROOM]    # zero filled to a multiple of 8


cdef inline bint dns_question(const DnsTable* t, const uint8_t* p, uint32_t n,
                              DnsQuestion* q) noexcept nogil:
    # Read the first question of a message of n >= DNS_HEADER octets; False leaves q.qhash == 0.
    cdef uint64_t h
    cdef uint32_t at
    q.qhash = 0
    q.end = DNS_BAD
    q.name_len = 0
    at = dns_name(p, n, DNS_HEADER, q.name, &q.name_len)
    if at == DNS_BAD or n - at < 4:
        return False
    q.qtype = sensor_be16(p + at)
    q.qclass = sensor_be16(p + at + 2)
    q.end = at + 4
    h = dns_name_hash(q.name, q.name_len, t.secret[0] ^ q.qtype, t.secret[1])
    q.qhash = <uint32_t> (h ^ (h >> 32)) | 1
    return True


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
        dotted = dns_dotted(q.name, q.name_len, name)
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
        if readable:
            sink_question(sink, q.name, q.name_len, q.qtype)
            if (q.qtype == 255 or q.qtype == 16 or q.qtype == 46 or q.qtype == 48):
                sink_count(sink, C_DNS_ANY, 1)
        dns_asked(t, sink, dns_key(t, flow_hash, from_orig, id), q.qhash)
        return
    sink_count(sink, C_DNS_RESPONSES, 1)
    rcode = flags & 15
    if rcode == 3:
        sink_count(sink, C_DNS_NXDOMAIN, 1)
    elif rcode:
        sink_count(sink, C_DNS_ERRORS, 1)
        if rcode == 2:
            sink_count(sink, C_DNS_SERVFAIL, 1)
    if not dns_answered(t, sink, dns_key(t, flow_hash, not from_orig, id), q.qhash):
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
