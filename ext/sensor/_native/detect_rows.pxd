# See detect_rows.pyx.
from libc.stdint cimport uint64_t
from sensor._native.detect cimport Detect

cdef object copy_out(const void* p, size_t n, object dtype)
cdef dict slot_tables(Detect* d)
cdef list slot_parts(Detect* d)
cdef object sensor_row(Detect* d, uint64_t packets, uint64_t octets)
