# What every packet source hands to the engine: a batch of borrowed records.
#
# Invariants: `packets[0..n)` and the bytes they point to stay valid until the source's next
# `next_batch()`; ts_ns never exceeds INT64_MAX (a source clamps and counts what does).
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    BATCH_MAX = 512            # records a batch: 20 KiB, stays in L1

cdef enum RawFlags:
    RAW_OUTGOING = 1           # the host sent it (known for live capture only)
    RAW_GSO_TOLD = 2           # `gso_size` is known


cdef struct RawPacket:
    uint64_t ts_ns             # packet time, nanoseconds since 1970 UTC
    const uint8_t* data
    uint32_t caplen            # octets at `data`
    uint32_t len               # octets on the wire
    uint16_t link              # LINKTYPE_ number
    uint16_t interface         # index of the capture interface
    uint16_t flags
    uint16_t gso_size          # payload octets of each packet that offload joined; 0: it is one


cdef struct Totals:            # of the batches since somebody asked
    uint64_t packets
    uint64_t wire              # octets
    uint64_t captured
    uint64_t first_ns          # earliest and latest
    uint64_t last_ns


cdef class PacketSource:
    cdef RawPacket packets[BATCH_MAX]
    cdef uint32_t n            # records in the current batch
    cdef uint32_t at           # the engine's position in it
    cdef Totals totals
    cdef public bint by_batch  # the engine gets no batch but those of next_batch()
    cdef uint32_t more(self) noexcept nogil
    cdef void note(self) noexcept nogil
