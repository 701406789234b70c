# Passive DNS cache: which name did the agent ask for to get this address?
#
# Invariants: a line with name_len == 0 is free. Every line of a set has another address. `lru[set]`
# is a permutation of the four ways, two bits each, most recently used lowest. A line is valid
# until `expires` (seconds, 32 bit, compared as a signed difference so that 2106 is no cliff).
# Names come from outside: the set is chosen by a keyed hash, and only letters, digits, '-', '_'
# and '.' are kept.
#
# Engines of one agent share a cache, each in its thread: a name is asked for in one connection and
# used by another. `version[set]` is odd while a set is written (a sequence lock that nobody waits
# for): who meets a writer goes without the name, which is counted.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from sensor._native.packet cimport sensor_mum

cdef extern from *:
    """
    static inline int sensor_write_begin(uint32_t *version) {
        uint32_t v = __atomic_load_n(version, __ATOMIC_RELAXED);
        return !(v & 1) && __atomic_compare_exchange_n(version, &v, v + 1, 0, __ATOMIC_ACQUIRE,
                                                       __ATOMIC_RELAXED);
    }
    static inline void sensor_write_end(uint32_t *version) {
        __atomic_fetch_add(version, 1, __ATOMIC_RELEASE);
    }
    static inline uint32_t sensor_read_begin(const uint32_t *version) {
        return __atomic_load_n(version, __ATOMIC_ACQUIRE);
    }
    static inline int sensor_read_ok(const uint32_t *version, uint32_t began) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        return !(began & 1) && __atomic_load_n(version, __ATOMIC_RELAXED) == began;
    }
    """
    bint sensor_write_begin(uint32_t* version) noexcept nogil
    void sensor_write_end(uint32_t* version) noexcept nogil
    uint32_t sensor_read_begin(const uint32_t* version) noexcept nogil
    bint sensor_read_ok(const uint32_t* version, uint32_t began) noexcept nogil

cdef enum:
    DNS_CACHE_SETS = 4096          # x 4 ways x 128 B = 2 MiB
    DNS_CACHE_NAME = 107           # longest name kept
    DNS_TTL_MIN = 60               # s
    DNS_TTL_MAX = 86400
    DNS_LRU_FRESH = 0xe4           # ways 0, 1, 2, 3

cdef struct DnsCacheLine:
    uint64_t address[2]            # as in Packet.key: IPv4 is ::ffff:a.b.c.d
    uint32_t expires
    uint8_t name_len
    uint8_t name[DNS_CACHE_NAME]

cdef struct DnsCache:              # all zero and a secret = fresh
    DnsCacheLine lines[DNS_CACHE_SETS * 4]
    uint8_t lru[DNS_CACHE_SETS]    # xor DNS_LRU_FRESH, so that zero is a permutation
    uint32_t version[DNS_CACHE_SETS]
    uint64_t secret[2]
    uint64_t stored
    uint64_t evicted               # a valid line made room
    uint64_t refused_name          # too long, or not a host name
    uint64_t refused_unsolicited   # answers that nobody was seen to ask for
    uint64_t busy                  # names not kept, or not found, while their set was written


cdef inline uint32_t dns_cache_set(const DnsCache* c, const uint64_t* address) noexcept nogil:
    cdef uint64_t h = sensor_mum(address[0] ^ c.secret[0], address[1] ^ c.secret[1])
    return <uint32_t> (sensor_mum(h ^ c.secret[0], c.secret[1]) & (DNS_CACHE_SETS - 1))


cdef inline void dns_cache_touch(DnsCache* c, uint32_t s, uint32_t way) noexcept nogil:
    # Move `way` to the front of the permutation.
    cdef uint32_t order = c.lru[s] ^ DNS_LRU_FRESH
    cdef uint32_t at = 0
    cdef uint32_t below
    while at < 6 and ((order >> at) & 3) != way:
        at += 2
    below = order & ((<uint32_t> 1 << at) - 1)
    order = (order & ~((<uint32_t> 4 << at) - 1)) | (below << 2) | way
    c.lru[s] = <uint8_t> (order ^ DNS_LRU_FRESH)


cdef inline bint dns_cache_valid(const DnsCacheLine* line, uint32_t now_s) noexcept nogil:
    return line.name_len != 0 and <int32_t> (line.expires - now_s) > 0


cdef inline bint dns_hostname_octet(uint8_t c) noexcept nogil:
    return 97 <= c <= 122 or 48 <= c <= 57 or c == 45 or c == 46 or c == 95 or 65 <= c <= 90


cdef inline void dns_cache_put(DnsCache* c, const uint64_t* address, uint64_t now_ns, uint32_t ttl,
                               const uint8_t* name, uint32_t n) noexcept nogil:
    # `address` was given as an answer to a question for name[0..n) (dotted, no final dot).
    cdef uint32_t s, i, way
    cdef uint32_t now_s = <uint32_t> (now_ns // 1000000000)
    cdef DnsCacheLine* line
    if n == 0 or n > DNS_CACHE_NAME:
        c.refused_name += 1
        return
    for i in range(n):
        if not dns_hostname_octet(name[i]):
            c.refused_name += 1
            return
    if ttl < DNS_TTL_MIN:
        ttl = DNS_TTL_MIN
    elif ttl > DNS_TTL_MAX:
        ttl = DNS_TTL_MAX
    s = dns_cache_set(c, address)
    if not sensor_write_begin(&c.version[s]):
        c.busy += 1
        return
    way = 4
    for i in range(4):
        line = &c.lines[s * 4 + i]
        if line.name_len and line.address[0] == address[0] and line.address[1] == address[1]:
            way = i                # the newest question wins
            break
    if way == 4:
        for i in range(4):
            if not dns_cache_valid(&c.lines[s * 4 + i], now_s):
                way = i
                break
    if way == 4:
        way = ((c.lru[s] ^ <uint32_t> DNS_LRU_FRESH) >> 6) & 3
        c.evicted += 1
    line = &c.lines[s * 4 + way]
    line.address[0] = address[0]
    line.address[1] = address[1]
    line.expires = now_s + ttl
    line.name_len = <uint8_t> n
    memcpy(line.name, name, n)
    dns_cache_touch(c, s, way)
    c.stored += 1
    sensor_write_end(&c.version[s])


cdef inline bint dns_cache_get(DnsCache* c, const uint64_t* address, uint64_t now_ns,
                               uint8_t* out, uint8_t* n) noexcept nogil:
    # The name last asked for `address`, into out[0..*n); `out` holds DNS_CACHE_NAME octets.
    cdef uint32_t i
    cdef uint32_t s = dns_cache_set(c, address)
    cdef uint32_t began = sensor_read_begin(&c.version[s])
    cdef const DnsCacheLine* line
    for i in range(4):
        line = &c.lines[s * 4 + i]
        if line.address[0] == address[0] and line.address[1] == address[1] \
                and dns_cache_valid(line, <uint32_t> (now_ns // 1000000000)):
            n[0] = line.name_len if line.name_len < DNS_CACHE_NAME else DNS_CACHE_NAME
            memcpy(out, line.name, DNS_CACHE_NAME)
            if not sensor_read_ok(&c.version[s], began):
                n[0] = 0
                c.busy += 1
                return False
            dns_cache_touch(c, s, i)
            return True
    return False
