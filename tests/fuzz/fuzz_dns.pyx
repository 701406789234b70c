# Invariant: whatever the octets and however they are cut, every read stays inside them; a stream
# counts the same whole and split; every question of the table is answered, unanswered, evicted or
# still waiting, never two of these; no name in the cache is longer than its room.
#
# Input: chunks of {control, length (2, big-endian), octets}; control bit 0: from the originator,
# bit 1: a gap of a TCP stream, bit 2: a datagram, bit 3: its port is 53, bits 4..7: the size of the
# pieces of the split feeding, and seconds to wait before a datagram.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, calloc, free
from sensor._native.app_dns cimport (
    DnsTcp, dns_datagram, dns_tcp_data, dns_tcp_gap, dns_tcp_probe)
from sensor._native.counters cimport (
    C_APP_LOST_SYNC, C_DNS_QUERIES, C_DNS_RESPONSES, C_DNS_UNANSWERED)
from sensor._native.dns_cache cimport DNS_CACHE_NAME, DNS_CACHE_SETS, DnsCache
from sensor._native.dns_table cimport DnsTable, dns_flush, dns_sweep
from sensor._native.exact cimport exact_copy
from sensor._native.histogram cimport HIST2_LEN, Hist
from sensor._native.sink cimport AppSink, L_COUNT, L_DNS_RESPONSE

cdef struct Side:
    DnsTcp tcp
    AppSink sink
    Hist latency[<int> L_COUNT]
    uint32_t bins[HIST2_LEN]
    DnsTable table
    DnsCache cache


cdef Side* prepare() noexcept nogil:
    cdef Side* s = <Side*> calloc(1, sizeof(Side))
    if s == NULL:
        abort()
    s.latency[<int> L_DNS_RESPONSE].counts = s.bins
    s.latency[<int> L_DNS_RESPONSE].half_bits = 7
    s.sink.latency = s.latency
    s.table.secret[0] = s.cache.secret[0] = 0x1e3779b97f4a7c15
    s.table.secret[1] = s.cache.secret[1] = 0x2545f4914f6cdd1d
    return s


cdef void feed(Side* s, bint from_orig, const uint8_t* p, uint32_t n,
               uint32_t piece) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t k
    cdef uint8_t* copy
    while at < n:
        k = piece if piece and piece < n - at else n - at
        copy = exact_copy(p + at, k)
        dns_tcp_probe(copy, k, from_orig)
        if dns_tcp_data(&s.tcp, &s.table, &s.cache, &s.sink, 7, from_orig, copy, k) != k:
            abort()
        free(copy)
        at += k


cdef void datagram(Side* s, uint32_t control, const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint8_t* copy = exact_copy(p, n)
    s.sink.ts_ns += <uint64_t> (control >> 4) * 1000000000
    dns_sweep(&s.table, s.sink.ts_ns, &s.sink)
    dns_datagram(&s.table, &s.cache, &s.sink, 9, control & 1, 53 if control & 8 else 4000, 40000,
                 copy, n, n + (control >> 6))
    free(copy)


cdef void check(const Side* s) noexcept nogil:
    cdef uint32_t i
    cdef uint64_t waiting = 0
    for i in range(<uint32_t> sizeof(s.table.slots) // <uint32_t> sizeof(s.table.slots[0])):
        if s.table.slots[i].tag:
            waiting += 1
            if not s.table.occupied[i >> 8] >> ((i >> 2) & 63) & 1:
                abort()
    if (waiting + s.sink.n[<int> C_DNS_UNANSWERED] + s.table.evicted
            + s.latency[<int> L_DNS_RESPONSE].total > s.sink.n[<int> C_DNS_QUERIES]):
        abort()
    if s.table.unsolicited > s.sink.n[<int> C_DNS_RESPONSES]:
        abort()
    if s.cache.stored == 0:
        return
    for i in range(<uint32_t> DNS_CACHE_SETS * 4):
        if s.cache.lines[i].name_len > DNS_CACHE_NAME:
            abort()


cdef public int fuzz_dns(const unsigned char* data, size_t n) noexcept nogil:
    cdef Side* whole = prepare()
    cdef Side* split = prepare()
    cdef size_t at = 0
    cdef uint32_t length, control
    while n - at >= 3:
        control = data[at]
        length = <uint32_t> data[at + 1] << 8 | data[at + 2]
        at += 3
        if control & 2 and not control & 4:
            dns_tcp_gap(&whole.tcp, &whole.table, &whole.cache, &whole.sink, 7, control & 1, length)
            dns_tcp_gap(&split.tcp, &split.table, &split.cache, &split.sink, 7, control & 1, length)
            continue
        if length > n - at:
            length = <uint32_t> (n - at)
        if control & 4:
            datagram(whole, control, data + at, length)
            datagram(split, control, data + at, length)
        else:
            feed(whole, control & 1, data + at, length, 0)
            feed(split, control & 1, data + at, length, 1 + (control >> 4))
        at += length
    check(whole)
    check(split)
    dns_flush(&whole.table, whole.sink.ts_ns, &whole.sink)
    dns_flush(&split.table, split.sink.ts_ns, &split.sink)
    if (whole.sink.n[<int> C_APP_LOST_SYNC] == 0
            and (whole.sink.n[<int> C_DNS_QUERIES] != split.sink.n[<int> C_DNS_QUERIES]
                 or whole.sink.n[<int> C_DNS_RESPONSES] != split.sink.n[<int> C_DNS_RESPONSES])):
        abort()
    free(whole)
    free(split)
    return 0
