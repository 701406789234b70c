cdef struct DnsTable:
    int x
