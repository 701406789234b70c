cdef struct QuicInitialQueue:
    int x
