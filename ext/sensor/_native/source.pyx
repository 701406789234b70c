"""Base class of packet sources (savefile, ring, portable)."""


cdef class PacketSource:
    """A batch of borrowed packet records; subclasses fill it in `next_batch()`."""

    def next_batch(self) -> int:
        """Fill the batch with up to 512 records; 0 at the end of the input."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Records of the current batch that the engine has not taken yet."""
        return self.n - self.at
