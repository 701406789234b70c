# Invariant: whatever the datagrams, every read stays inside them, no more connections are counted
# than packets fit in, the queue keeps whole datagrams of the flow only, nothing refused counts.
#
# Input: chunks of {control, length (2, big-endian), octets}; control bit 0: from the originator.
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport abort, calloc, free
from libc.string cimport memcmp, memset
from sensor._native.app cimport APP_NO, AppVerdict
from sensor._native.app_quic cimport (
    QUIC_OFFERS, QUIC_QUEUE_LEN, Quic, QuicInitialQueue, quic_datagram)
from sensor._native.counters cimport C_QUIC_CONNECTIONS
from sensor._native.exact cimport exact_copy
from sensor._native.histogram cimport HIST2_LEN, Hist
from sensor._native.sink cimport AppSink, L_COUNT


cdef void one(Quic* quic, AppSink* sink, QuicInitialQueue* queue, bint from_orig,
              const unsigned char* data, uint32_t n) noexcept nogil:
    cdef uint8_t* copy = exact_copy(data, n)
    cdef uint32_t before = sink.n[<int> C_QUIC_CONNECTIONS]
    cdef uint32_t kept = queue.n
    cdef bint known = quic.known
    cdef AppVerdict verdict
    verdict = quic_datagram(quic, sink, from_orig, copy, n, queue, 42)
    if verdict == APP_NO and (sink.n[<int> C_QUIC_CONNECTIONS] != before or quic.known != known):
        abort()
    if sink.n[<int> C_QUIC_CONNECTIONS] - before > n // 7 or queue.n > QUIC_QUEUE_LEN:
        abort()
    if queue.n > kept and (queue.n != kept + 1 or queue.entry[kept].n != n
                           or queue.entry[kept].serial != 42
                           or memcmp(queue.entry[kept].data, copy, n) != 0):
        abort()
    if quic.offered > QUIC_OFFERS:
        abort()
    free(copy)


cdef public int fuzz_quic(const unsigned char* data, size_t n) noexcept nogil:
    cdef Quic quic
    cdef AppSink sink
    cdef Hist latency[<int> L_COUNT]
    cdef uint32_t* counts = <uint32_t*> calloc(HIST2_LEN, sizeof(uint32_t))
    cdef QuicInitialQueue* queue = <QuicInitialQueue*> calloc(1, sizeof(QuicInitialQueue))
    cdef size_t at = 0
    cdef uint32_t length, control
    cdef int i
    if counts != NULL and queue != NULL:
        memset(&quic, 0, sizeof(Quic))
        memset(&sink, 0, sizeof(AppSink))
        memset(latency, 0, sizeof(latency))
        for i in range(<int> L_COUNT):
            latency[i].counts = counts
            latency[i].half_bits = 7
        sink.latency = latency
        while n - at >= 3:
            control = data[at]
            length = <uint32_t> data[at + 1] << 8 | data[at + 2]
            at += 3
            if length > n - at:
                length = <uint32_t> (n - at)
            sink.ts_ns = at * 1000
            one(&quic, &sink, queue, control & 1, data + at, length)
            at += length
    free(counts)
    free(queue)
    return 0
