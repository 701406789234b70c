# Savefile records out of a buffer: pcap (libpcap's format, all magics) and pcapng (RFC draft
# draft-ietf-opsawg-pcapng), strict as libpcap is.
#
# Invariants: buf[pos..have) is not parsed yet; scan() takes whole records only and never reads past
# `have`. `need` is how many octets from `pos` the next record takes (0: not known yet: more of its
# header is needed). Once `error` is set nothing more is read; records before it were handed out.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy
from sensor._native.source cimport BATCH_MAX, RawPacket
from sensor._native.span cimport sensor_prefetch

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint32_t sensor_load32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
    static inline uint16_t sensor_load16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
    static inline uint64_t sensor_load64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }
    /* ticks * mul >> shift / div in 128 bits; UINT64_MAX when it does not fit. */
    static inline uint64_t sensor_scale(uint64_t ticks, uint64_t mul, unsigned shift, uint64_t div) {
        unsigned __int128 v = ((unsigned __int128)ticks * mul >> shift) / div;
        return v > (unsigned __int128)INT64_MAX ? UINT64_MAX : (uint64_t)v; }
    """
    uint32_t sensor_load32(const uint8_t* p) noexcept nogil
    uint16_t sensor_load16(const uint8_t* p) noexcept nogil
    uint64_t sensor_load64(const uint8_t* p) noexcept nogil
    uint64_t sensor_scale(uint64_t ticks, uint64_t mul, unsigned int shift, uint64_t div) noexcept nogil
    uint32_t __builtin_bswap32(uint32_t x) noexcept nogil
    uint16_t __builtin_bswap16(uint16_t x) noexcept nogil
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil
    bint SENSOR_UNLIKELY "__builtin_expect"(bint x, int y) noexcept nogil

cdef enum:
    BLOCK_MAX = 16777216           # libpcap's bound on a pcapng block
    CAPLEN_MAX = 262144            # libpcap's MAXIMUM_SNAPLEN
    INTERFACES_MAX = 65535

    MAGIC_USEC = 0xa1b2c3d4
    MAGIC_NSEC = 0xa1b23c4d
    MAGIC_MODIFIED = 0xa1b2cd34    # Kuznetzov's Linux patch: longer record headers
    PCAP_HEADER = 24
    PCAP_RECORD = 16
    MODIFIED_RECORD = 24

    BT_SHB = 0x0a0d0d0a
    BT_IDB = 1
    BT_PB = 2
    BT_SPB = 3
    BT_EPB = 6
    BYTE_ORDER_MAGIC = 0x1a2b3c4d
    OPT_TSRESOL = 9
    OPT_TSOFFSET = 14

cdef enum Format:
    FORMAT_UNKNOWN = 0
    FORMAT_PCAP = 1
    FORMAT_PCAPNG = 2

cdef enum SavefileError:           # texts: savefile.pyx
    SE_NONE = 0
    SE_NOT_A_CAPTURE
    SE_COMPRESSED
    SE_VERSION
    SE_CAPLEN
    SE_BLOCK_SHORT
    SE_BLOCK_LONG
    SE_BLOCK_UNALIGNED
    SE_BLOCK_TRAILER
    SE_BYTE_ORDER
    SE_NO_INTERFACE
    SE_BLOCK_CONTENT
    SE_OPTION
    SE_TSRESOL
    SE_INTERFACES
    SE_MEMORY

cdef enum Oddity:
    O_CAPLEN_OVER_SNAPLEN = 0
    O_CAPLEN_OVER_LEN
    O_TIMESTAMP
    O_UNKNOWN_BLOCK
    ODDITIES

cdef struct Interface:
    uint64_t mul                   # ns = ((ticks * mul) >> shift) / div + offset_ns
    uint64_t div
    int64_t offset_s
    uint32_t snaplen
    uint16_t link
    uint8_t shift

cdef struct Reader:
    uint8_t* buf
    size_t capacity
    size_t have
    size_t pos
    uint64_t base                  # file offset of buf[0]
    size_t need
    uint64_t packets
    uint64_t odd[ODDITIES]
    uint64_t error_at
    uint64_t error_a
    uint64_t error_b
    Interface* interfaces
    uint32_t n_interfaces
    uint32_t interface_room
    uint32_t snaplen
    uint32_t caplen_max
    uint32_t record_header
    uint32_t frac_mul              # pcap: 1000 or 1
    uint16_t link
    uint8_t format
    uint8_t swapped
    uint8_t nanosecond
    SavefileError error


cdef inline uint32_t get32(const Reader* r, const uint8_t* p) noexcept nogil:
    return __builtin_bswap32(sensor_load32(p)) if r.swapped else sensor_load32(p)


cdef inline uint16_t get16(const Reader* r, const uint8_t* p) noexcept nogil:
    return __builtin_bswap16(sensor_load16(p)) if r.swapped else sensor_load16(p)


cdef inline uint64_t get64(const Reader* r, const uint8_t* p) noexcept nogil:
    return __builtin_bswap64(sensor_load64(p)) if r.swapped else sensor_load64(p)


cdef inline uint32_t fail(Reader* r, SavefileError e, size_t at, uint64_t a, uint64_t b) noexcept nogil:
    r.error = e
    r.error_at = r.base + at
    r.error_a = a
    r.error_b = b
    return 0


cdef inline bint recognise(Reader* r) noexcept nogil:
    # The first octets: which format?  False: more is needed, or `error` is set.
    cdef const uint8_t* p = r.buf + r.pos
    cdef uint32_t magic
    cdef uint32_t network
    if r.have - r.pos < 4:
        r.need = 4
        return False
    magic = sensor_load32(p)
    if magic == BT_SHB:
        r.format = FORMAT_PCAPNG
        return True
    if (magic & 0xffff) == <uint32_t> 0x8b1f or magic == <uint32_t> 0xfd2fb528:
        fail(r, SE_COMPRESSED, r.pos, 0, 0)
        return False
    r.swapped = 0
    if magic != MAGIC_USEC and magic != MAGIC_NSEC and magic != MAGIC_MODIFIED:
        magic = __builtin_bswap32(magic)
        r.swapped = 1
        if magic != MAGIC_USEC and magic != MAGIC_NSEC and magic != MAGIC_MODIFIED:
            fail(r, SE_NOT_A_CAPTURE, r.pos, 0, 0)
            return False
    if r.have - r.pos < PCAP_HEADER:
        r.need = PCAP_HEADER
        return False
    if get16(r, p + 4) != 2:
        fail(r, SE_VERSION, r.pos + 4, get16(r, p + 4), get16(r, p + 6))
        return False
    r.format = FORMAT_PCAP
    r.nanosecond = magic == MAGIC_NSEC
    r.frac_mul = 1 if magic == MAGIC_NSEC else 1000
    r.record_header = MODIFIED_RECORD if magic == MAGIC_MODIFIED else PCAP_RECORD
    r.snaplen = get32(r, p + 16)
    if r.snaplen == 0 or r.snaplen > 0x7fffffff:
        r.snaplen = CAPLEN_MAX
    r.caplen_max = r.snaplen if CAPLEN_MAX < r.snaplen <= BLOCK_MAX else CAPLEN_MAX
    network = get32(r, p + 20)
    r.link = <uint16_t> network                    # the upper half holds FCS length and class bits
    r.pos += PCAP_HEADER
    return True


cdef inline uint32_t scan_pcap(Reader* r, RawPacket* out, bint swapped) noexcept nogil:
    # `swapped` is a constant at each call: two loops after inlining.
    cdef uint32_t n = 0
    cdef const uint8_t* p = r.buf + r.pos
    cdef const uint8_t* end = r.buf + r.have
    cdef uint32_t head = r.record_header
    cdef uint32_t frac_mul = r.frac_mul
    cdef uint32_t snaplen = r.snaplen
    cdef uint32_t frac_max = 999999999 // frac_mul
    cdef uint16_t link = r.link
    cdef uint32_t sec
    cdef uint32_t frac
    cdef uint32_t cap
    cdef uint32_t length
    while n < BATCH_MAX:
        if <size_t> (end - p) < head:
            r.need = head if end > p else 0
            break
        if swapped:
            sec = __builtin_bswap32(sensor_load32(p))
            frac = __builtin_bswap32(sensor_load32(p + 4))
            cap = __builtin_bswap32(sensor_load32(p + 8))
            length = __builtin_bswap32(sensor_load32(p + 12))
        else:
            sec = sensor_load32(p)
            frac = sensor_load32(p + 4)
            cap = sensor_load32(p + 8)
            length = sensor_load32(p + 12)
        if SENSOR_UNLIKELY(cap > r.caplen_max, 0):
            r.pos = p - r.buf
            fail(r, SE_CAPLEN, r.pos, cap, snaplen)
            break
        if <size_t> (end - p) - head < cap:
            r.need = head + cap
            break
        sensor_prefetch(p + head + cap + 256)
        if SENSOR_UNLIKELY(frac > frac_max, 0):
            r.odd[<int> O_TIMESTAMP] += 1
            frac = frac_max
        if SENSOR_UNLIKELY(cap > snaplen, 0):
            r.odd[<int> O_CAPLEN_OVER_SNAPLEN] += 1
        if SENSOR_UNLIKELY(cap > length, 0):
            r.odd[<int> O_CAPLEN_OVER_LEN] += 1
            length = cap
        out[n].ts_ns = <uint64_t> sec * 1000000000 + <uint64_t> frac * frac_mul
        out[n].data = p + head
        out[n].caplen = cap
        out[n].len = length
        out[n].link = link
        out[n].interface = 0
        out[n].flags = 0
        n += 1
        p += head + cap
    r.pos = p - r.buf
    return n


cdef inline bint set_resolution(Interface* i, uint8_t resol) noexcept nogil:
    # if_tsresol: 10^-k, or 2^-k with the top bit set. False: finer than 64 bits can say.
    cdef uint8_t k = resol & 127
    cdef int j
    i.mul = 1
    i.div = 1
    i.shift = 0
    if resol & 128:
        if k > 63:
            return False
        i.mul = 1000000000
        i.shift = k
        return True
    if k > 19:
        return False
    for j in range(k, 9):
        i.mul *= 10
    for j in range(9, k):
        i.div *= 10
    return True


cdef inline bint interface_options(Reader* r, Interface* i, const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef uint16_t code
    cdef uint16_t length
    cdef size_t padded
    while end - p >= 4:
        code = get16(r, p)
        length = get16(r, p + 2)
        padded = (<size_t> length + 3) & ~<size_t> 3
        if code == 0:
            return True
        if <size_t> (end - p) - 4 < padded:
            fail(r, SE_OPTION, p - r.buf, code, length)
            return False
        if code == OPT_TSRESOL:
            if length != 1 or not set_resolution(i, p[4]):
                fail(r, SE_TSRESOL, p - r.buf, p[4] if length else 0, length)
                return False
        elif code == OPT_TSOFFSET and length == 8:
            i.offset_s = <int64_t> get64(r, p + 4)
        p += 4 + padded
    return True


cdef inline bint interface_new(Reader* r, const uint8_t* body, uint32_t n) noexcept nogil:
    cdef Interface* more
    cdef Interface* i
    cdef uint32_t room
    if n < 8:
        fail(r, SE_BLOCK_CONTENT, body - r.buf, BT_IDB, n)
        return False
    if r.n_interfaces == INTERFACES_MAX:
        fail(r, SE_INTERFACES, body - r.buf, INTERFACES_MAX, 0)
        return False
    if r.n_interfaces == r.interface_room:
        room = r.interface_room * 2 if r.interface_room else 8
        more = <Interface*> realloc(r.interfaces, room * sizeof(Interface))
        if more == NULL:
            fail(r, SE_MEMORY, body - r.buf, 0, 0)
            return False
        r.interfaces = more
        r.interface_room = room
    i = &r.interfaces[r.n_interfaces]
    i.link = get16(r, body)
    i.snaplen = get32(r, body + 4)
    i.offset_s = 0
    set_resolution(i, 6)
    if not interface_options(r, i, body + 8, body + n):
        return False
    r.n_interfaces += 1
    return True


cdef inline uint64_t block_time(Reader* r, const Interface* i, uint32_t high, uint32_t low) noexcept nogil:
    cdef uint64_t ns = sensor_scale(<uint64_t> high << 32 | low, i.mul, i.shift, i.div)
    cdef uint64_t offset
    if i.offset_s and ns != <uint64_t> -1:
        if i.offset_s > 0:
            offset = sensor_scale(<uint64_t> i.offset_s, 1000000000, 0, 1)
            ns = ns + offset if offset != <uint64_t> -1 else offset
        else:
            offset = sensor_scale(<uint64_t> (-(i.offset_s + 1)) + 1, 1000000000, 0, 1)
            if ns < offset:
                r.odd[<int> O_TIMESTAMP] += 1
                return 0
            ns -= offset
    if ns > <uint64_t> 0x7fffffffffffffff:
        r.odd[<int> O_TIMESTAMP] += 1
        ns = <uint64_t> 0x7fffffffffffffff
    return ns


cdef inline uint32_t packet_block(Reader* r, RawPacket* out, uint32_t type, const uint8_t* body,
                                  uint32_t n) noexcept nogil:
    # EPB, SPB or the obsolete PB. Returns 1, or 0 with `error` set.
    cdef uint32_t interface = 0
    cdef uint32_t cap
    cdef uint32_t length
    cdef uint32_t fixed = 4 if type == BT_SPB else 20
    cdef Interface* i
    if n < fixed:
        return fail(r, SE_BLOCK_CONTENT, body - r.buf, type, n)
    if type == BT_EPB:
        interface = get32(r, body)
    elif type == BT_PB:
        interface = get16(r, body)
    if interface >= r.n_interfaces:
        return fail(r, SE_NO_INTERFACE, body - r.buf, interface, r.n_interfaces)
    i = &r.interfaces[interface]
    if type == BT_SPB:
        length = get32(r, body)
        cap = length
        if i.snaplen and cap > i.snaplen:
            cap = i.snaplen
        if cap > n - fixed:
            if length > n - fixed and i.snaplen == 0:
                cap = n - fixed                    # no snaplen told: the block says what there is
            else:
                return fail(r, SE_BLOCK_CONTENT, body - r.buf, type, n)
        out.ts_ns = 0                              # a simple packet block carries no time
    else:
        cap = get32(r, body + 12)
        length = get32(r, body + 16)
        if cap > n - fixed:
            return fail(r, SE_BLOCK_CONTENT, body - r.buf, type, n)
        out.ts_ns = block_time(r, i, get32(r, body + 4), get32(r, body + 8))
    if i.snaplen and cap > i.snaplen:
        r.odd[<int> O_CAPLEN_OVER_SNAPLEN] += 1
    if cap > length:
        r.odd[<int> O_CAPLEN_OVER_LEN] += 1
        length = cap
    out.data = body + fixed
    out.caplen = cap
    out.len = length
    out.link = i.link
    out.interface = <uint16_t> interface
    out.flags = 0
    return 1


cdef inline uint32_t scan_pcapng(Reader* r, RawPacket* out) noexcept nogil:
    cdef uint32_t n = 0
    cdef uint32_t type
    cdef uint32_t total
    cdef const uint8_t* p
    cdef size_t left
    while n < BATCH_MAX:
        p = r.buf + r.pos
        left = r.have - r.pos
        if left < 12:
            r.need = 12 if left else 0
            break
        type = sensor_load32(p)                    # an SHB's type reads the same in both orders
        if type == BT_SHB:
            if sensor_load32(p + 8) == BYTE_ORDER_MAGIC:
                r.swapped = 0
            elif __builtin_bswap32(sensor_load32(p + 8)) == BYTE_ORDER_MAGIC:
                r.swapped = 1
            else:
                fail(r, SE_BYTE_ORDER, r.pos + 8, sensor_load32(p + 8), 0)
                break
        elif r.swapped:
            type = __builtin_bswap32(type)
        total = get32(r, p + 4)
        if total < 12 or (type == BT_SHB and total < 28):
            fail(r, SE_BLOCK_SHORT, r.pos, total, 28 if type == BT_SHB else 12)
            break
        if total > BLOCK_MAX:
            fail(r, SE_BLOCK_LONG, r.pos, total, BLOCK_MAX)
            break
        if total & 3:
            fail(r, SE_BLOCK_UNALIGNED, r.pos, total, 0)
            break
        if left < total:
            r.need = total
            break
        if get32(r, p + total - 4) != total:
            fail(r, SE_BLOCK_TRAILER, r.pos, get32(r, p + total - 4), total)
            break
        if type == BT_EPB or type == BT_SPB or type == BT_PB:
            if packet_block(r, &out[n], type, p + 8, total - 12) == 0:
                break
            n += 1
        elif type == BT_IDB:
            if not interface_new(r, p + 8, total - 12):
                break
        elif type == BT_SHB:
            if get16(r, p + 12) != 1:
                fail(r, SE_VERSION, r.pos + 12, get16(r, p + 12), get16(r, p + 14))
                break
            r.n_interfaces = 0                     # interfaces belong to their section
        else:
            r.odd[<int> O_UNKNOWN_BLOCK] += 1
        r.pos += total
    return n


cdef inline uint32_t scan(Reader* r, RawPacket* out) noexcept nogil:
    # The next whole records of the buffer, at most BATCH_MAX. 0: refill (see `need`) or `error`.
    cdef uint32_t n
    r.need = 0
    if r.error != SE_NONE:
        return 0
    if r.format == FORMAT_UNKNOWN and not recognise(r):
        return 0
    if r.format == FORMAT_PCAPNG:
        n = scan_pcapng(r, out)
    elif r.swapped:
        n = scan_pcap(r, out, True)
    else:
        n = scan_pcap(r, out, False)
    r.packets += n
    return n
