"""Packets that Python hands over: the source behind libraries that give octets (libpcap)."""
# Invariant: `held` owns the octets that the batch points to, until the next batch.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.source cimport BATCH_MAX, PacketSource, RawPacket


cdef class Copied(PacketSource):
    """A batch made of Python's records; subclasses call `fill()` in `next_batch()`."""

    cdef list held
    cdef readonly uint64_t delivered       # packets handed out
    cdef readonly uint64_t wire_bytes      # of them, octets on the wire

    def fill(self, list records not None, uint16_t link) -> int:
        """The next batch: at most 512 records of (ns since 1970, octets on the wire, what was
        captured of them), all of one LINKTYPE_; how many. ValueError: more."""
        cdef RawPacket* p
        cdef bytes data
        cdef uint32_t n = 0
        if len(records) > BATCH_MAX:
            raise ValueError(f"at most {BATCH_MAX} records")
        self.n = self.at = 0
        self.held = records
        for ts_ns, wire, octets in records:
            data = octets
            p = &self.packets[n]
            p.ts_ns = <uint64_t> <int64_t> ts_ns
            p.data = <const uint8_t*> PyBytes_AS_STRING(data)
            p.caplen = <uint32_t> PyBytes_GET_SIZE(data)
            p.len = wire
            p.link = link
            p.interface = 0
            p.flags = 0
            self.wire_bytes += p.len
            n += 1
        self.n = n
        self.delivered += n
        self.note()
        return n
