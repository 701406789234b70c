"""Test door of the HTTP/1, WebSocket and HTTP/2 recognisers."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from sensor._native.app cimport APP_HTTP, APP_HTTP2, APP_WEBSOCKET
from sensor._native.app_http1 cimport Http1, http1_data, http1_gap, http1_probe
from sensor._native.app_http2 cimport Http2, http2_data, http2_gap, http2_label, http2_probe
from sensor._native.app_websocket cimport WebSocket, ws_data, ws_gap
from sensor._native.counters cimport C_COUNT
from sensor._native.counters import Counter
from sensor._native.exact cimport exact_copy
from sensor._native.histogram cimport HIST2_LEN, Hist
from sensor._native.sink cimport AppSink, L_HTTP_RESPONSE, STATUS_MAX


cdef class WebStream:
    """One connection read the way the engine reads it, from recogniser to recogniser."""

    cdef Http1 http1
    cdef WebSocket websocket
    cdef Http2 http2
    cdef AppSink sink
    cdef Hist latency[L_HTTP_RESPONSE + 1]
    cdef uint32_t status[STATUS_MAX]
    cdef uint32_t* counts
    cdef readonly int proto
    cdef readonly list names

    def __cinit__(self, int proto=APP_HTTP):
        self.counts = <uint32_t*> calloc(HIST2_LEN, sizeof(uint32_t))
        if self.counts == NULL:
            raise MemoryError
        self.latency[<int> L_HTTP_RESPONSE].counts = self.counts
        self.latency[<int> L_HTTP_RESPONSE].half_bits = 7
        self.latency[<int> L_HTTP_RESPONSE].min_ns = <uint64_t> -1
        self.sink.latency = self.latency
        self.sink.status = self.status
        self.proto = proto
        self.names = []

    def __dealloc__(self):
        free(self.counts)

    cdef uint32_t feed(self, bint from_orig, const uint8_t* p, uint32_t n):
        if self.proto == APP_HTTP:
            return http1_data(&self.http1, &self.sink, from_orig, p, n)
        if self.proto == APP_WEBSOCKET:
            return ws_data(&self.websocket, &self.sink, from_orig, p, n)
        if self.proto == APP_HTTP2:
            return http2_data(&self.http2, &self.sink, from_orig, p, n)
        return n

    cdef gather(self):
        if self.sink.name_source:
            self.names.append(bytes(self.sink.name[:self.sink.name_len]))
            self.sink.name_source = 0

    def data(self, bint from_orig, bytes octets, uint64_t ts_ns=0):
        """The next octets of one direction, copied to their exact size so that ASan sees more."""
        cdef uint32_t n = <uint32_t> len(octets)
        cdef uint32_t at = 0
        cdef uint32_t used
        cdef uint8_t* copy
        self.sink.ts_ns = ts_ns
        while at < n:
            copy = exact_copy(<const uint8_t*> octets + at, n - at)
            used = self.feed(from_orig, copy, n - at)
            free(copy)
            assert used <= n - at
            at += used
            self.gather()
            if self.proto == APP_HTTP and self.http1.next_proto:
                self.proto = self.http1.next_proto
            elif at < n:
                raise AssertionError("a recogniser left octets but did not change the protocol")

    def gap(self, bint from_orig, uint64_t n, uint64_t ts_ns=0):
        """n octets of one direction are missing."""
        self.sink.ts_ns = ts_ns
        if self.proto == APP_HTTP:
            http1_gap(&self.http1, &self.sink, from_orig, n)
        elif self.proto == APP_WEBSOCKET:
            ws_gap(&self.websocket, &self.sink, from_orig, n)
        elif self.proto == APP_HTTP2:
            http2_gap(&self.http2, &self.sink, from_orig, n)
        self.gather()

    def figures(self):
        """Counters by name that are not zero; `touched` must agree with them."""
        cdef int i
        found = {Counter(i).name: self.sink.n[i] for i in range(<int> C_COUNT) if self.sink.n[i]}
        assert self.sink.touched == sum(1 << int(Counter[name]) for name in found)
        return found

    def statuses(self):
        """HTTP status code: responses."""
        cdef int i
        return {i: self.status[i] for i in range(STATUS_MAX) if self.status[i]}

    def response_times(self):
        """(samples, their sum in ns)"""
        cdef Hist* h = &self.latency[<int> L_HTTP_RESPONSE]
        return h.total, h.sum_ns

    def label(self):
        """AppProto of the connection as a whole."""
        if self.proto == APP_HTTP2:
            return <int> http2_label(&self.http2)
        return self.proto


def probe(str which, bytes octets, bint from_orig=True):
    """0 no, 1 maybe, 2 yes."""
    cdef const uint8_t* p = <const uint8_t*> octets
    cdef uint32_t n = <uint32_t> len(octets)
    if which == "http1":
        return <int> http1_probe(p, n, from_orig)
    return <int> http2_probe(p, n, from_orig)


def sizes():
    """Octets of each state."""
    return {"http1": sizeof(Http1), "websocket": sizeof(WebSocket), "http2": sizeof(Http2)}


def time_segment(bytes octets, uint32_t rounds, int proto=APP_HTTP, bytes first=b""):
    """Feed `octets` to one fresh connection `rounds` times, after `first`; its counters."""
    cdef WebStream w = WebStream(proto)
    cdef const uint8_t* p = <const uint8_t*> octets
    cdef uint32_t n = <uint32_t> len(octets)
    cdef uint32_t _round
    w.data(True, first)
    for _round in range(rounds):
        w.feed(True, p, n)
    return w.figures()
