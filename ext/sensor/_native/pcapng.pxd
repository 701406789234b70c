# The block format (draft-ietf-opsawg-pcapng): sections of blocks, each with its length at both ends.
#
# Invariants: see capfile.pxd; every block consumes its checked length >= 12. A fault is reported at
# the offset of its block.
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.capfile cimport (
    A_CAPLEN_OVER_LEN, A_CAPLEN_OVER_SNAPLEN, A_INTERFACES, A_TIME_BACKWARDS, A_TIME_CLAMPED,
    A_TIME_MISSING, A_UNKNOWN_BLOCK, Capfile, FAULT_BLOCK_CAPLEN, FAULT_BLOCK_LONG,
    FAULT_BLOCK_SHORT, FAULT_BLOCK_TRAILER, FAULT_BLOCK_UNALIGNED, FAULT_BYTE_ORDER,
    FAULT_INTERFACE, FAULT_INTERFACE_LIMIT, FAULT_MEMORY, FAULT_NO_INTERFACE, FAULT_OPTION,
    FAULT_OPTION_SIZE, FAULT_SECTION_VERSION, FAULT_TSRESOL, INTERFACES_MAX, Interface, RECORD_MAX,
    STOP_FAULT, STOP_FULL, STOP_MORE, cap_u16, cap_u32, cap_u64, cap_unlikely,
    capfile_add_interface, capfile_fault, capfile_see_link,
)
from sensor._native.source cimport BATCH_MAX, RawPacket
from sensor._native.span cimport sensor_prefetch

cdef extern from *:
    """
    /* Exact ticks -> ns for any resolution; *clamped when the time is outside 1970..2262. */
    static inline uint64_t pcapng_ns(uint64_t ticks, uint64_t mul, unsigned shift, uint64_t div,
                                     int64_t offset_s, int *clamped) {
        unsigned __int128 x = (unsigned __int128)ticks * mul;    /* < 2^94 */
        __int128 ns;
        x >>= shift;
        if (div != 1) x /= div;
        ns = (__int128)x + (__int128)offset_s * 1000000000;
        *clamped = ns < 0 || ns > INT64_MAX;
        return ns < 0 ? 0 : ns > INT64_MAX ? (uint64_t)INT64_MAX : (uint64_t)ns;
    }
    """
    uint64_t pcapng_ns(
        uint64_t ticks, uint64_t mul, unsigned int shift, uint64_t div, int64_t offset_s,
        int* clamped,
    ) noexcept nogil

cdef enum:
    BYTE_ORDER_MAGIC = 0x1A2B3C4D
    BYTE_ORDER_SWAPPED = 0x4D3C2B1A
    BLOCK_SECTION = 0x0A0D0D0A     # the same in both byte orders
    BLOCK_INTERFACE = 1
    BLOCK_OLD_PACKET = 2
    BLOCK_SIMPLE = 3
    BLOCK_ENHANCED = 6
    OPT_END = 0
    OPT_TSRESOL = 9
    OPT_TSOFFSET = 14


cdef inline bint pcapng_named(uint32_t kind) noexcept nogil:
    # Blocks of the standard that carry no packet: names, statistics, journal, secrets, custom.
    return kind == 4 or kind == 5 or kind == 9 or kind == 10 or (kind & 0x7FFFFFFF) == 0xBAD \
        or kind == 0x40000BAD


cdef inline uint32_t pcapng_least(uint32_t kind) noexcept nogil:
    # The shortest block of a type, octets, both lengths included.
    if kind == BLOCK_ENHANCED or kind == BLOCK_OLD_PACKET:
        return 32
    if kind == BLOCK_SECTION:
        return 28
    if kind == BLOCK_INTERFACE:
        return 20
    return 16 if kind == BLOCK_SIMPLE else 12


cdef inline bint pcapng_resolution(Interface* interface, uint8_t tsresol) noexcept nogil:
    # if_tsresol: 10^-v, or 2^-v with the upper bit set. False where a second has >= 2^64 ticks.
    cdef uint8_t v = tsresol & 0x7F
    cdef uint8_t i
    interface.mul = 1
    interface.div = 1
    interface.shift = 0
    if tsresol & 0x80:
        interface.mul = 1000000000
        interface.shift = v
        return v <= 63
    if v > 19:
        return False
    for i in range(v, 9):
        interface.mul *= 10
    for i in range(9, v):
        interface.div *= 10
    return True


cdef inline size_t pcapng_interface(
    Capfile* f, const uint8_t* q, uint32_t length, size_t at
) noexcept nogil:
    # Interface description block of `length` octets at q; `at` is only passed on to faults.
    cdef uint32_t o = 16
    cdef uint32_t end = length - 4
    cdef uint32_t code, size
    cdef Interface* interface
    if f.n_interfaces == INTERFACES_MAX:
        f.anomalies[A_INTERFACES] += 1
        if f.lost_interfaces < 0x7FFFFFFF:
            f.lost_interfaces += 1
        return at
    interface = capfile_add_interface(f)
    if interface == NULL:
        return capfile_fault(f, FAULT_MEMORY, 0, 0, at)
    interface.link = cap_u16(q + 8, f.swapped)
    interface.snaplen = cap_u32(q + 12, f.swapped)
    if interface.snaplen == 0 or interface.snaplen > RECORD_MAX:
        interface.snaplen = RECORD_MAX
    interface.offset_s = 0
    pcapng_resolution(interface, 6)
    capfile_see_link(f, interface.link)
    while end - o >= 4:
        code = cap_u16(q + o, f.swapped)
        size = cap_u16(q + o + 2, f.swapped)
        if code == OPT_END:
            break
        o += 4
        if ((size + 3) & ~<uint32_t> 3) > end - o:
            return capfile_fault(f, FAULT_OPTION, code, size, at)
        if code == OPT_TSRESOL:
            if size != 1:
                return capfile_fault(f, FAULT_OPTION_SIZE, code, size, at)
            if not pcapng_resolution(interface, q[o]):
                return capfile_fault(f, FAULT_TSRESOL, 2 if q[o] & 0x80 else 10, q[o] & 0x7F, at)
            f.nano |= interface.shift > 19 or (interface.shift == 0 and interface.mul < 1000)
        elif code == OPT_TSOFFSET:
            if size != 8:
                return capfile_fault(f, FAULT_OPTION_SIZE, code, size, at)
            interface.offset_s = <int64_t> cap_u64(q + o, f.swapped)
        o += (size + 3) & ~<uint32_t> 3
    return at


cdef inline size_t pcapng_packet(
    Capfile* f, const uint8_t* q, uint32_t kind, uint32_t length, RawPacket* out, size_t at
) noexcept nogil:
    # Enhanced, simple or old packet block at q into *out.
    cdef bint swapped = f.swapped
    cdef uint32_t number = 0
    cdef uint32_t caplen
    cdef uint32_t wire
    cdef uint32_t head = 28        # octets before the packet
    cdef uint64_t ts = f.last_ns
    cdef int clamped = 0
    cdef const Interface* interface
    if kind == BLOCK_ENHANCED:
        number = cap_u32(q + 8, swapped)
    elif kind == BLOCK_OLD_PACKET:
        number = cap_u16(q + 8, swapped)
    if cap_unlikely(number >= f.n_interfaces):
        if f.n_interfaces == 0:
            return capfile_fault(f, FAULT_NO_INTERFACE, kind, 0, at)
        if number - f.n_interfaces < f.lost_interfaces:
            return capfile_fault(f, FAULT_INTERFACE_LIMIT, number, 0, at)
        return capfile_fault(f, FAULT_INTERFACE, number, f.n_interfaces, at)
    interface = &f.interfaces[number]
    if kind == BLOCK_SIMPLE:
        head = 12
        wire = cap_u32(q + 8, swapped)
        caplen = wire if wire < interface.snaplen else interface.snaplen
        f.anomalies[A_TIME_MISSING] += 1
    else:
        caplen = cap_u32(q + 20, swapped)
        wire = cap_u32(q + 24, swapped)
        ts = pcapng_ns(
            <uint64_t> cap_u32(q + 12, swapped) << 32 | cap_u32(q + 16, swapped),
            interface.mul, interface.shift, interface.div, interface.offset_s, &clamped,
        )
    if cap_unlikely(caplen > length - head - 4):
        return capfile_fault(f, FAULT_BLOCK_CAPLEN, caplen, length - head - 4, at)
    if cap_unlikely((caplen > interface.snaplen) | (caplen > wire) | clamped | (ts < f.last_ns)):
        f.anomalies[A_CAPLEN_OVER_SNAPLEN] += caplen > interface.snaplen
        f.anomalies[A_CAPLEN_OVER_LEN] += caplen > wire
        f.anomalies[A_TIME_CLAMPED] += clamped != 0
        f.anomalies[A_TIME_BACKWARDS] += ts < f.last_ns
        if caplen > wire:
            wire = caplen
    f.last_ns = ts
    out.ts_ns = ts
    out.data = q + head
    out.caplen = caplen
    out.len = wire
    out.link = interface.link
    out.interface = <uint16_t> number
    out.flags = 0
    return at


cdef inline size_t pcapng_records(
    Capfile* f, const uint8_t* p, size_t n, RawPacket* out, uint32_t* filled
) noexcept nogil:
    # Up to BATCH_MAX packets out of p[0..n), with the blocks between them.
    cdef size_t at = 0
    cdef uint32_t k = 0
    cdef uint32_t kind, length, order
    cdef const uint8_t* q

    f.stop = STOP_FULL
    while k < BATCH_MAX:
        if n - at < 12:
            f.stop = STOP_MORE
            f.need = 12
            break
        q = p + at
        kind = cap_u32(q, f.swapped)
        if kind == BLOCK_SECTION:
            order = cap_u32(q + 8, False)
            if order != BYTE_ORDER_MAGIC and order != BYTE_ORDER_SWAPPED:
                capfile_fault(f, FAULT_BYTE_ORDER, order, 0, at)
                break
            f.swapped = order == BYTE_ORDER_SWAPPED
        length = cap_u32(q + 4, f.swapped)
        if cap_unlikely(length > n - at or length < 32 or length & 3):
            # Only the odd block comes here: the least length of a packet block has been proved.
            if length < pcapng_least(kind):
                capfile_fault(f, FAULT_BLOCK_SHORT, kind, length, at)
                break
            if length > RECORD_MAX:
                capfile_fault(f, FAULT_BLOCK_LONG, kind, length, at)
                break
            if length & 3:
                capfile_fault(f, FAULT_BLOCK_UNALIGNED, kind, length, at)
                break
            if length > n - at:
                f.stop = STOP_MORE
                f.need = length
                break
        if cap_unlikely(length > RECORD_MAX):
            capfile_fault(f, FAULT_BLOCK_LONG, kind, length, at)
            break
        if cap_unlikely(cap_u32(q + length - 4, f.swapped) != length):
            capfile_fault(f, FAULT_BLOCK_TRAILER, length, cap_u32(q + length - 4, f.swapped), at)
            break
        if kind == BLOCK_ENHANCED or kind == BLOCK_SIMPLE or kind == BLOCK_OLD_PACKET:
            if length <= n - at - 4:
                sensor_prefetch(q + length)
            pcapng_packet(f, q, kind, length, &out[k], at)
            if f.stop == STOP_FAULT:
                break
            k += 1
        elif kind == BLOCK_INTERFACE:
            pcapng_interface(f, q, length, at)
            if f.stop == STOP_FAULT:
                break
        elif kind == BLOCK_SECTION:
            if cap_u16(q + 12, f.swapped) != 1 or cap_u16(q + 14, f.swapped) & ~2:
                capfile_fault(f, FAULT_SECTION_VERSION, cap_u16(q + 12, f.swapped),
                              cap_u16(q + 14, f.swapped), at)
                break
            f.n_interfaces = 0     # interface numbers start again in every section
            f.lost_interfaces = 0
        elif not pcapng_named(kind):
            f.anomalies[A_UNKNOWN_BLOCK] += 1
        at += length
    filled[0] = k
    return at
