# Invariant: any octets are a sequence of frames that ends, each with one outcome; nothing is read
# beyond the frame, and the payload handed on lies inside it.
#
# Input: records of link (2, big-endian), octets cut off by the snaplen (1), delay in units of 50 ms
# (1), frame length (2), frame.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free

from sensor._native.decode cimport decode
from sensor._native.decode_state cimport Decoder, decoder_init
from sensor._native.exact cimport exact_copy
from sensor._native.packet cimport (
    DECODE_ARP, DECODE_CDP, DECODE_FRAGMENT, DECODE_LLDP, DECODE_OK, DecodeResult, Packet)
from sensor._native.source cimport RawPacket
from sensor._native.span cimport sensor_be16

cdef Decoder decoder
cdef bint ready = False


cdef inline void check(const RawPacket* raw, const Packet* p, DecodeResult r) noexcept nogil:
    if r > DECODE_FRAGMENT:
        abort()
    if r not in (DECODE_OK, DECODE_ARP, DECODE_LLDP, DECODE_CDP):
        return
    if p.payload < raw.data or p.payload + p.captured > raw.data + raw.caplen:
        abort()
    if r == DECODE_OK and (p.captured > p.payload_len or p.dir > 1 or p.depth > 8):
        abort()


cdef public int fuzz_decode(const unsigned char* data, size_t n) noexcept nogil:
    cdef uint64_t secret[5]
    cdef RawPacket raw
    cdef Packet p
    cdef uint8_t* copy
    cdef uint64_t now = 0
    cdef uint32_t size
    cdef int i
    global ready
    if not ready:
        for i in range(5):
            secret[i] = <uint64_t> 0x1e3779b97f4a7c15 * <uint64_t> (i + 1)
        decoder_init(&decoder, secret)
        ready = True
    while n >= 6:
        size = sensor_be16(data + 4)
        if size > n - 6:
            size = <uint32_t> (n - 6)
        copy = exact_copy(data + 6, size)
        now += <uint64_t> data[3] * 50000000
        raw.ts_ns = now
        raw.data = copy
        raw.caplen = size
        raw.len = size + data[2]
        raw.link = sensor_be16(data)
        raw.interface = 0
        raw.flags = 0
        check(&raw, &p, decode(&decoder, &raw, &p))
        free(copy)
        data += 6 + size
        n -= 6 + size
    return 0
