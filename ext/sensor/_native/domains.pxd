# What is asked below each registered DNS domain: the names of a tunnel are many, long and never the
# same (Born, Gustafson 2010; Ozery et al. 2023 count the octets of distinct names).
#
# Invariants: at most DOMAINS domains, in sets of DOMAIN_WAYS; a new one takes the place of the set's
# longest silent (counted). A domain's memory is FIVE_MINUTES long, then it begins anew.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from sensor._native.packet cimport sensor_mum
from sensor._native.sketch cimport Marks, Top, log, marks_add, marks_estimate, top_add, top_first

cdef extern from *:
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil

cdef enum:
    DOMAINS = 1024
    DOMAIN_WAYS = 8
    DOMAIN_NAME = 64
    CHARS = 38                     # a-z, 0-9, hyphen, all others
    FIVE_MINUTES_NS = 300000000000

cdef struct Domain:
    uint64_t hash
    uint64_t heard_ns
    uint64_t since_ns
    uint32_t second
    uint32_t generation
    uint32_t queries               # of this second
    uint32_t txt
    uint32_t name_bytes            # five minutes: octets of the distinct names below the domain
    uint32_t longest
    uint32_t asked
    uint32_t chars[CHARS]
    Marks names
    Top clients
    uint8_t name_len
    uint8_t name[DOMAIN_NAME]

cdef struct DomainRow:             # dtypes.DOMAIN
    uint32_t slot
    uint32_t generation
    uint64_t top_address[2]
    uint32_t top_count
    uint32_t top_total
    uint32_t queries
    uint32_t txt
    uint32_t name_bytes
    uint32_t longest
    uint32_t asked
    float names
    float entropy
    uint32_t reserved
    uint8_t name[DOMAIN_NAME]

cdef struct Domains:
    Domain entry[DOMAINS]
    uint32_t second
    uint64_t evicted


cdef inline bint tld_like(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t i
    if n >= 4 and p[0] == 120 and p[1] == 110 and p[2] == 45 and p[3] == 45:   # xn--
        return True
    for i in range(n):
        if 48 <= p[i] <= 57:
            return False
    return True


cdef inline uint32_t domain_start(const uint8_t* name, uint32_t n) noexcept nogil:
    # Where the registered domain begins in a wire-format name of n octets with the root's 0: its
    # last two labels, or three where the last but one is as short as those under which countries
    # register ("co.uk"). A last label with a digit is no top-level domain: the whole name is below
    # the root, as with tunnels that talk to their server directly.
    cdef uint32_t start[4]
    cdef uint32_t labels = 0
    cdef uint32_t at = 0
    while at < n and name[at]:
        start[labels & 3] = at
        labels += 1
        at += 1 + <uint32_t> name[at]
    if labels == 0:
        return 0
    at = start[(labels - 1) & 3]
    if not tld_like(name + at + 1, name[at]):
        return n - 1
    if labels <= 2:
        return 0
    at = start[(labels - 2) & 3]
    if name[at] <= 3 and name[start[(labels - 1) & 3]] == 2:
        return start[(labels - 3) & 3]
    return at


cdef inline uint32_t char_class(uint8_t c) noexcept nogil:
    if 97 <= c <= 122:
        return c - 97
    if 48 <= c <= 57:
        return 26 + c - 48
    return 36 if c == 45 else 37


cdef inline void domain_asked(Domains* t, const uint8_t* name, uint32_t n, uint16_t qtype,
                              uint64_t hi, uint64_t lo, uint64_t ts_ns,
                              const uint64_t* secret) noexcept nogil:
    # A question for a name (lower case, wire format) by a client.
    cdef uint32_t start = domain_start(name, n)
    cdef uint64_t h = secret[2]
    cdef uint64_t below = secret[3]
    cdef Domain* set
    cdef Domain* e
    cdef uint32_t i
    if n < 2 or start == 0:
        return                                             # nothing below a registered domain
    for i in range(start, n):
        h = sensor_mum(h ^ name[i], secret[0] | 1)
    for i in range(start):
        below = sensor_mum(below ^ name[i], secret[1] | 1)
    set = &t.entry[(h ^ (h >> 32)) & (DOMAINS - DOMAIN_WAYS)]
    e = set
    for i in range(<uint32_t> DOMAIN_WAYS):
        if set[i].hash == h:
            e = &set[i]
            break
        if set[i].heard_ns < e.heard_ns:
            e = &set[i]
    if e.hash != h or ts_ns < e.since_ns or ts_ns - e.since_ns > <uint64_t> FIVE_MINUTES_NS:
        if e.hash != h:
            t.evicted += e.hash != 0
            e.generation += 1
        i = e.generation
        memset(e, 0, sizeof(Domain))
        e.generation = i
        e.hash = h
        e.since_ns = ts_ns
        while start < n and name[start] and e.name_len + name[start] + 1 < DOMAIN_NAME:
            if e.name_len:
                e.name[e.name_len] = 46
                e.name_len += 1
            memcpy(e.name + e.name_len, name + start + 1, name[start])
            e.name_len += name[start]
            start += 1 + <uint32_t> name[start]
        start = domain_start(name, n)
    if e.second != t.second:
        e.second = t.second
        e.queries = e.txt = 0
    e.heard_ns = ts_ns
    e.queries += 1
    e.asked += 1
    e.txt += qtype == 16 or qtype == 10 or qtype == 255 or qtype == 65399 or qtype == 65305
    top_add(&e.clients, hi, lo, 0, 1)
    if start > e.longest:
        e.longest = start
    if marks_add(&e.names, below):
        e.name_bytes += start
        i = 0
        while i < start:
            n = name[i]
            i += 1
            while n and i < start:
                e.chars[char_class(name[i])] += 1
                i += 1
                n -= 1


cdef inline float domain_entropy(const Domain* e) noexcept nogil:
    # Bits per character of the distinct names below it; from 64 characters on.
    cdef double total = 0
    cdef double h = 0
    cdef uint32_t i
    for i in range(<uint32_t> CHARS):
        total += e.chars[i]
    if total < 64:
        return 0
    for i in range(<uint32_t> CHARS):
        if e.chars[i]:
            h -= e.chars[i] / total * log(e.chars[i] / total)
    return <float> (h * 1.4426950408889634)


cdef inline uint32_t domain_rows(const Domains* t, DomainRow* out) noexcept nogil:
    cdef uint32_t n = 0
    cdef uint32_t i
    cdef uint32_t k
    cdef const Domain* e
    for i in range(<uint32_t> DOMAINS):
        e = &t.entry[i]
        if e.second != t.second or e.asked < 8:
            continue
        k = top_first(&e.clients)
        memset(&out[n], 0, sizeof(DomainRow))
        out[n].slot = i
        out[n].generation = e.generation
        out[n].top_address[0] = __builtin_bswap64(e.clients.key[k].hi)
        out[n].top_address[1] = __builtin_bswap64(e.clients.key[k].lo)
        out[n].top_count = e.clients.key[k].count
        out[n].top_total = e.clients.total
        out[n].queries = e.queries
        out[n].txt = e.txt
        out[n].name_bytes = e.name_bytes
        out[n].longest = e.longest
        out[n].asked = e.asked
        out[n].names = marks_estimate(&e.names)
        out[n].entropy = domain_entropy(e)
        memcpy(out[n].name, e.name, e.name_len)
        n += 1
    return n
