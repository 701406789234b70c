"""Test door of DNS, the DNS cache, ICMP echo, RTP and banners: one fresh state per object.

Every payload is read from a copy of its exact size (exact.pxd).
"""

import time

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from sensor._native cimport (
    app_banner, app_dns, app_echo, app_rtp, dns_cache, dns_name, dns_table, waiting,
)
from sensor._native.counters cimport C_COUNT
from sensor._native.counters import Counter
from sensor._native.exact cimport exact_copy
from sensor._native.histogram cimport HIST2_LEN, Hist
from sensor._native.sink cimport L_COUNT, AppSink

cdef void address_of(bytes address, uint64_t* out) except *:
    if len(address) != 16:
        raise ValueError("an address has 16 octets")
    out[0] = int.from_bytes(address[:8], "big")
    out[1] = int.from_bytes(address[8:], "big")


cdef class Door:
    """The recognisers of this part with their tables and one sink."""

    cdef AppSink sink
    cdef Hist hist[L_COUNT]
    cdef dns_table.DnsTable* table
    cdef dns_cache.DnsCache* cache
    cdef app_echo.EchoTable* echo_table
    cdef app_dns.DnsTcp tcp
    cdef app_rtp.Rtp rtp_state

    def __cinit__(self, uint64_t secret=0x9e3779b97f4a7c15):
        cdef int i
        self.table = <dns_table.DnsTable*> calloc(1, sizeof(dns_table.DnsTable))
        self.cache = <dns_cache.DnsCache*> calloc(1, sizeof(dns_cache.DnsCache))
        self.echo_table = <app_echo.EchoTable*> calloc(1, sizeof(app_echo.EchoTable))
        if not (self.table and self.cache and self.echo_table):
            raise MemoryError
        self.table.secret[0] = self.cache.secret[0] = self.echo_table.secret[0] = secret
        self.table.secret[1] = self.cache.secret[1] = self.echo_table.secret[1] = ~secret
        self.sink.latency = self.hist
        for i in range(<int> L_COUNT):
            self.hist[i].half_bits = 7
            self.hist[i].min_ns = ~<uint64_t> 0
            self.hist[i].counts = <uint32_t*> calloc(HIST2_LEN, sizeof(uint32_t))
            if self.hist[i].counts == NULL:
                raise MemoryError

    def __dealloc__(self):
        cdef int i
        free(self.table)
        free(self.cache)
        free(self.echo_table)
        for i in range(<int> L_COUNT):
            free(self.hist[i].counts)

    @property
    def counts(self):
        """Counters that are not zero, by name without the prefix."""
        return {c.name[2:]: self.sink.n[c] for c in Counter if c < C_COUNT and self.sink.n[c]}

    @property
    def health(self):
        """What the bounded tables had to refuse or forget."""
        return {
            "dns_evicted": self.table.evicted,
            "dns_unsolicited": self.table.unsolicited,
            "cache_stored": self.cache.stored,
            "cache_evicted": self.cache.evicted,
            "cache_refused_name": self.cache.refused_name,
            "cache_refused_unsolicited": self.cache.refused_unsolicited,
            "echo_evicted": self.echo_table.evicted,
        }

    def latency(self, int kind):
        """(count, sum, min, max) in ns of one LatencyKind."""
        cdef Hist* h = &self.hist[kind]
        return h.total, h.sum_ns, h.min_ns if h.total else None, h.max_ns if h.total else None

    def dns(self, bytes data, uint64_t now_ns=0, bint from_orig=True, uint64_t flow=1,
            uint16_t port=53, uint16_t other_port=40000, wire=None):
        cdef uint8_t* p = exact_copy(data, len(data))
        cdef uint32_t wire_n = len(data) if wire is None else wire
        self.sink.ts_ns = now_ns
        try:
            return app_dns.dns_datagram(self.table, self.cache, &self.sink, flow, from_orig, port,
                                        other_port, p, len(data), wire_n)
        finally:
            free(p)

    def dns_name(self, bytes data, uint32_t at):
        """(wire-format name, offset behind it), or None."""
        cdef uint8_t* p = exact_copy(data, len(data))
        cdef uint8_t out[dns_name.DNS_NAME_ROOM]
        cdef uint32_t n = 0
        cdef uint32_t end
        try:
            end = dns_name.dns_name(p, len(data), at, out, &n)
            return (out[:n], end) if end else None
        finally:
            free(p)

    def dns_sweep(self, uint64_t now_ns):
        dns_table.dns_sweep(self.table, now_ns, &self.sink)

    def dns_flush(self, uint64_t now_ns):
        dns_table.dns_flush(self.table, now_ns, &self.sink)

    def tcp_probe(self, bytes data):
        cdef uint8_t* p = exact_copy(data, len(data))
        try:
            return app_dns.dns_tcp_probe(p, len(data), True)
        finally:
            free(p)

    def tcp_data(self, bytes data, uint64_t now_ns=0, bint from_orig=True, uint64_t flow=1):
        cdef uint8_t* p = exact_copy(data, len(data))
        self.sink.ts_ns = now_ns
        try:
            return app_dns.dns_tcp_data(&self.tcp, self.table, self.cache, &self.sink, flow,
                                        from_orig, p, len(data))
        finally:
            free(p)

    def tcp_gap(self, uint64_t n, bint from_orig=True, uint64_t flow=1):
        app_dns.dns_tcp_gap(&self.tcp, self.table, self.cache, &self.sink, flow, from_orig, n)

    def cache_put(self, bytes address, bytes name, uint64_t now_ns=0, uint32_t ttl=3600):
        cdef uint64_t a[2]
        address_of(address, a)
        dns_cache.dns_cache_put(self.cache, a, now_ns, ttl, name, len(name))

    def cache_get(self, bytes address, uint64_t now_ns=0):
        cdef uint64_t a[2]
        cdef uint8_t out[dns_cache.DNS_CACHE_NAME]
        cdef uint8_t n = 0
        address_of(address, a)
        return out[:n] if dns_cache.dns_cache_get(self.cache, a, now_ns, out, &n) else None

    def echo(self, bint reply, uint16_t id, uint16_t seq, uint64_t now_ns=0, from_orig=None,
             uint64_t flow=1):
        self.sink.ts_ns = now_ns
        app_echo.echo_message(self.echo_table, &self.sink, flow,
                              not reply if from_orig is None else from_orig, reply, id, seq)

    def rtp(self, bytes data, uint64_t now_ns=0, bint from_orig=True):
        cdef uint8_t* p = exact_copy(data, len(data))
        self.sink.ts_ns = now_ns
        try:
            return app_rtp.rtp_datagram(&self.rtp_state, &self.sink, from_orig, p, len(data))
        finally:
            free(p)

    def rtp_flush(self):
        app_rtp.rtp_flush(&self.rtp_state, &self.sink)

    def rtp_jitter_ns(self, bint from_orig=True):
        cdef uint64_t ns = 0
        return ns if app_rtp.rtp_jitter_ns(&self.rtp_state, from_orig, &ns) else None

    def time_dns(self, bytes query, bytes response, uint32_t pairs):
        """Mean ns of a question and of its answer, both parsed `pairs` times."""
        cdef uint32_t i
        cdef uint64_t asked = 0
        cdef uint64_t answered = 0
        cdef const uint8_t* q = query
        cdef const uint8_t* r = response
        cdef uint32_t qn = len(query)
        cdef uint32_t rn = len(response)
        for i in range(0, pairs, 1000):
            start = time.perf_counter_ns()
            self.burst(i, True, q, qn)
            middle = time.perf_counter_ns()
            self.burst(i, False, r, rn)
            asked += middle - start
            answered += time.perf_counter_ns() - middle
        return asked / pairs, answered / pairs

    cdef void burst(self, uint32_t first, bint ask, const uint8_t* p, uint32_t n) noexcept:
        cdef uint32_t i
        for i in range(first, first + 1000):
            app_dns.dns_datagram(self.table, self.cache, &self.sink, i * 0x9e3779b97f4a7c15u, ask,
                                 53, 40000, p, n, n)


def banner_tcp(bytes data, bint from_orig, uint16_t port):
    cdef uint8_t* p = exact_copy(data, len(data))
    try:
        return app_banner.banner_tcp(p, len(data), from_orig, port)
    finally:
        free(p)


def banner_udp(bytes data, uint16_t port, uint16_t other_port=40000):
    cdef uint8_t* p = exact_copy(data, len(data))
    try:
        return app_banner.banner_udp(p, len(data), True, port, other_port)
    finally:
        free(p)


SIZES = {
    "DnsCacheLine": sizeof(dns_cache.DnsCacheLine),
    "Rtp": sizeof(app_rtp.Rtp),
    "WaitSlot": sizeof(waiting.WaitSlot),
}
