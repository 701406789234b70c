# Invariant: every read stays inside the datagram; loss never exceeds what the sequence numbers can
# have skipped, no packet is counted twice, and flushing twice adds nothing.
#
# Input: records of {control, length, octets}; control bit 0: from the originator, bits 1..7: units
# of 20 ms since the one before; the two high bits of the first octet are replaced by version 2
# when length bit 7 is set.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free
from libc.string cimport memset
from sensor._native.app_rtp cimport RTP_MAX_DROPOUT, Rtp, rtp_datagram, rtp_flush, rtp_jitter_ns
from sensor._native.counters cimport C_RTP_LOST, C_RTP_PACKETS
from sensor._native.exact cimport exact_copy
from sensor._native.sink cimport AppSink


cdef public int fuzz_rtp(const unsigned char* data, size_t n) noexcept nogil:
    cdef Rtp rtp
    cdef AppSink sink
    cdef uint8_t* copy
    cdef uint64_t jitter
    cdef size_t at = 0
    cdef uint32_t control, length, lost
    cdef uint64_t datagrams = 0
    memset(&rtp, 0, sizeof(Rtp))
    memset(&sink, 0, sizeof(AppSink))
    while n - at >= 2:
        control = data[at]
        length = data[at + 1] & 127
        at += 2
        if length > n - at:
            length = <uint32_t> (n - at)
        copy = exact_copy(data + at, length)
        if length and data[at - 1] & 128:
            copy[0] = copy[0] & 63 | 128
        sink.ts_ns += <uint64_t> (control >> 1) * 20000000
        rtp_datagram(&rtp, &sink, control & 1, copy, length)
        rtp_jitter_ns(&rtp, control & 1, &jitter)
        free(copy)
        datagrams += 1
        at += length
    rtp_flush(&rtp, &sink)
    lost = sink.n[<int> C_RTP_LOST]
    rtp_flush(&rtp, &sink)
    if sink.n[<int> C_RTP_LOST] != lost or lost > datagrams * RTP_MAX_DROPOUT:
        abort()
    if sink.n[<int> C_RTP_PACKETS] > datagrams:
        abort()
    return 0
