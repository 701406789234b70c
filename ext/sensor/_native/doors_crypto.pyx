"""Test door of the TLS and QUIC recognisers: feed octets, read what they said."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from sensor._native.app_quic cimport Quic, QuicInitialQueue, quic_datagram
from sensor._native.app_tls cimport Tls, tls_data, tls_end, tls_gap, tls_probe
from sensor._native.counters cimport C_COUNT
from sensor._native.exact cimport exact_copy
from sensor._native.histogram cimport HIST3_LEN, Hist
from sensor._native.sink cimport L_COUNT, L_QUIC_HANDSHAKE, L_TLS_HANDSHAKE, STATUS_MAX, AppSink

from sensor._native.counters import Counter

TLS_SIZE = sizeof(Tls)
QUIC_SIZE = sizeof(Quic)


cdef class _Sink:
    cdef AppSink sink
    cdef Hist latency[L_COUNT]
    cdef uint32_t* counts
    cdef uint32_t status[STATUS_MAX]

    def __cinit__(self):
        cdef int i
        self.counts = <uint32_t*> calloc(L_COUNT * HIST3_LEN, sizeof(uint32_t))
        if self.counts == NULL:
            raise MemoryError
        memset(&self.sink, 0, sizeof(AppSink))
        memset(self.latency, 0, sizeof(self.latency))
        for i in range(<int> L_COUNT):
            self.latency[i].counts = self.counts + i * HIST3_LEN
            self.latency[i].half_bits = 10
            self.latency[i].min_ns = <uint64_t> -1
        self.sink.latency = self.latency
        self.sink.status = self.status

    def __dealloc__(self):
        free(self.counts)

    @property
    def counters(self):
        """Counters that are not 0, by name without the C_."""
        cdef int c
        return {Counter(c).name[2:]: self.sink.n[c] for c in range(<int> C_COUNT) if self.sink.n[c]}

    @property
    def name(self):
        """The name the recogniser gave, or None."""
        if not self.sink.name_source:
            return None
        return bytes(self.sink.name[:self.sink.name_len])

    cdef tuple samples(self, int kind):
        return self.latency[kind].total, self.latency[kind].sum_ns


cdef class TlsDoor(_Sink):
    """One TCP connection seen by the TLS recogniser."""
    cdef Tls tls

    def __cinit__(self):
        memset(&self.tls, 0, sizeof(Tls))

    def data(self, bint from_orig, bytes octets, uint64_t ts_ns=0):
        """The next octets of one direction, from an exact-size copy (sanitizers see over-reads)."""
        cdef uint32_t n = <uint32_t> len(octets)
        cdef uint8_t* copy = exact_copy(octets, n)
        cdef uint32_t used
        self.sink.ts_ns = ts_ns
        used = tls_data(&self.tls, &self.sink, from_orig, copy, n)
        free(copy)
        return used

    def gap(self, bint from_orig, uint64_t n):
        """n octets of one direction are missing."""
        tls_gap(&self.tls, &self.sink, from_orig, n)

    def end(self):
        """The connection is over."""
        tls_end(&self.tls, &self.sink)

    @property
    def handshakes(self):
        """(samples, sum in ns) of L_TLS_HANDSHAKE."""
        return self.samples(L_TLS_HANDSHAKE)

    @property
    def state(self):
        """The fields that outlive the handshake."""
        t = &self.tls
        return {
            "version": t.version, "offered": t.offered, "cipher": t.cipher, "swapped": t.swapped,
            "hello_seen": t.hello_seen, "server_hello_seen": t.server_hello_seen,
            "retried": t.retried, "done": t.done, "resumption_offered": t.resumption_offered,
            "resumed": t.resumed, "downgraded": t.downgraded, "fatal_alert": t.fatal_alert,
            "offers_h2": t.offers_h2, "alpn": bytes(t.alpn[:t.alpn_len]),
        }


def probe(bytes octets, bint from_orig=True):
    """AppVerdict (0 no, 1 maybe, 2 yes) of the first octets of a stream."""
    return tls_probe(octets, <uint32_t> len(octets), from_orig)


cdef class QuicDoor(_Sink):
    """One UDP 5-tuple seen by the QUIC recogniser; with the queue of Initials."""
    cdef Quic quic
    cdef QuicInitialQueue* queue

    def __cinit__(self):
        memset(&self.quic, 0, sizeof(Quic))
        self.queue = <QuicInitialQueue*> calloc(1, sizeof(QuicInitialQueue))
        if self.queue == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.queue)

    def datagram(self, bint from_orig, bytes octets, uint64_t ts_ns=0, uint64_t serial=0):
        """AppVerdict of one UDP payload."""
        cdef uint32_t n = <uint32_t> len(octets)
        cdef uint8_t* copy = exact_copy(octets, n)
        cdef int verdict
        self.sink.ts_ns = ts_ns
        verdict = quic_datagram(&self.quic, &self.sink, from_orig, copy, n, self.queue, serial)
        free(copy)
        return verdict

    def take(self):
        """[(serial, datagram)] of the queue, which is emptied, and the overflow so far."""
        cdef uint32_t i
        out = []
        for i in range(self.queue.n):
            out.append((self.queue.entry[i].serial,
                        bytes(self.queue.entry[i].data[:self.queue.entry[i].n])))
        self.queue.n = 0
        return out, self.queue.overflow

    def forget(self):
        """Start over with a fresh flow; counters and queue stay."""
        memset(&self.quic, 0, sizeof(Quic))

    @property
    def handshakes(self):
        """(samples, sum in ns) of L_QUIC_HANDSHAKE."""
        return self.samples(L_QUIC_HANDSHAKE)

    @property
    def version(self):
        """Version of the last packet, 0 while unknown."""
        return self.quic.version
