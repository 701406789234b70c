"""Base class of packet sources (savefile, ring, portable)."""

from libc.stdint cimport uint32_t, uint64_t


cdef class PacketSource:
    """A batch of borrowed packet records; subclasses fill it in `next_batch()`."""

    def next_batch(self) -> int:
        """Fill the batch with up to 512 records; 0 at the end of the input."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Records of the current batch that the engine has not taken yet."""
        return self.n - self.at

    def batch_totals(self) -> tuple[int, int, int, int]:
        """Of the current batch, taken or not: octets on the wire, octets captured, earliest and
        latest time in ns. ValueError without a batch."""
        cdef uint64_t wire = 0
        cdef uint64_t captured = 0
        cdef uint64_t first = <uint64_t> -1
        cdef uint64_t last = 0
        cdef uint32_t i
        if self.n == 0:
            raise ValueError("no batch")
        for i in range(self.n):
            wire += self.packets[i].len
            captured += self.packets[i].caplen
            first = min(first, self.packets[i].ts_ns)
            last = max(last, self.packets[i].ts_ns)
        return wire, captured, first, last
