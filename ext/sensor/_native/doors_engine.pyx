"""Test door: a packet source over frames held in Python."""

from libc.stdint cimport uint8_t

from sensor._native.source cimport BATCH_MAX, PacketSource


cdef class Frames(PacketSource):
    """Batches out of a list of (ts_ns, frame bytes, length on the wire, link type)."""

    cdef list frames
    cdef int position

    def __init__(self, frames):
        self.frames = list(frames)
        self.position = 0

    def next_batch(self) -> int:
        cdef int n = 0
        cdef bytes frame
        while n < BATCH_MAX and self.position < len(self.frames):
            ts_ns, frame, length, link = self.frames[self.position]
            self.packets[n].ts_ns = ts_ns
            self.packets[n].data = <const uint8_t*> <char*> frame
            self.packets[n].caplen = len(frame)
            self.packets[n].len = length
            self.packets[n].link = link
            self.packets[n].interface = 0
            self.packets[n].flags = 0
            n += 1
            self.position += 1
        self.n = n
        self.at = 0
        return n
