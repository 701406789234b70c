# Durations of packet time, nanoseconds. Nothing here knows the wall clock.
from libc.stdint cimport uint64_t

cdef enum:
    NS_PER_US = 1000
    NS_PER_MS = 1000000
    NS_PER_SECOND = 1000000000
    NS_PER_TICK = 100000000            # timer wheel and byte bins: 100 ms

cdef extern from *:
    """
    #define SENSOR_NONE_NS UINT64_MAX
    """
    const uint64_t NONE_NS "SENSOR_NONE_NS"    # a time or duration that is not known


cdef inline uint64_t ns_since(uint64_t start, uint64_t now) noexcept nogil:
    # 0 when time ran backwards.
    return now - start if now > start else 0
