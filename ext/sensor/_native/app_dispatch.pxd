from libc.stdint cimport uint8_t, uint32_t
from sensor._native.account cimport settle_endpoint, sink_flush
from sensor._native.core cimport Core
from sensor._native.flow cimport Flow
from sensor._native.packet cimport Packet

cdef inline void app_gap(Core* c, Flow* f, uint8_t side, uint32_t n) noexcept nogil:
    pass

cdef inline void app_segment(Core* c, Flow* f, uint8_t side, const Packet* p, uint32_t offset, uint32_t gap) noexcept nogil:
    if f.endpoint == 0:
        settle_endpoint(c, f)

cdef inline void app_datagram(Core* c, Flow* f, uint8_t side, const Packet* p) noexcept nogil:
    if f.endpoint == 0:
        settle_endpoint(c, f)
