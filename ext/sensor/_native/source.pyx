"""Base class of packet sources (savefile, ring, portable)."""

from libc.stdint cimport uint32_t
from libc.string cimport memset


cdef class PacketSource:
    """A batch of borrowed packet records; subclasses fill it in `next_batch()`."""

    def next_batch(self) -> int:
        """Fill the batch with up to 512 records; 0 at the end of the input."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Records of the current batch that the engine has not taken yet."""
        return self.n - self.at

    cdef uint32_t more(self) noexcept nogil:
        # The next batch, where that needs neither Python nor waiting: 0 says nothing about the end.
        return 0

    cdef void note(self) noexcept nogil:
        # A batch was filled: every subclass says so.
        cdef uint32_t i
        cdef Totals t = self.totals
        for i in range(self.n):
            t.wire += self.packets[i].len
            t.captured += self.packets[i].caplen
            t.first_ns = min(t.first_ns, self.packets[i].ts_ns) if t.packets else self.packets[i].ts_ns
            t.last_ns = max(t.last_ns, self.packets[i].ts_ns)
            t.packets += 1
        self.totals = t

    def take_totals(self) -> tuple[int, int, int, int, int]:
        """Of the batches since it was last asked, taken or not: packets, octets on the wire, octets
        captured, earliest and latest time in ns (0 without packets)."""
        cdef Totals t = self.totals
        memset(&self.totals, 0, sizeof(Totals))
        return t.packets, t.wire, t.captured, t.first_ns, t.last_ns
