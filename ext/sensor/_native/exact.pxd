# A copy on the heap, exactly as long as promised, so that AddressSanitizer sees one octet more.
#
# For test doors and fuzz targets, which free it; nothing that handles packets comes here.
from libc.stdint cimport uint8_t
from libc.stdlib cimport abort, malloc
from libc.string cimport memcpy


cdef inline uint8_t* exact_copy(const uint8_t* p, size_t n) noexcept nogil:
    cdef uint8_t* copy = <uint8_t*> malloc(n if n else 1)
    if copy == NULL:
        abort()
    memcpy(copy, p, n)
    return copy
