# Domain names in DNS messages (RFC 1035 4.1.4): reading, skipping, comparing, hashing them.
#
# Invariants: nothing is read at or beyond p[n). A compression pointer must point before the run of
# labels it ends, so a name ends after finitely many steps; they are bounded to 128 anyway, and the
# name to 255 octets.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from sensor._native.packet cimport sensor_mum

cdef extern from *:
    """
    /* ASCII upper case to lower, eight octets at once; octets >= 0x80 stay. A DNS label length
       (<= 63) is below 'A', so a whole wire-format name may go through. */
    static inline uint64_t sensor_lower8(uint64_t v) {
        uint64_t low = v & 0x7f7f7f7f7f7f7f7fULL;
        uint64_t ge_a = low + 0x3f3f3f3f3f3f3f3fULL, gt_z = low + 0x2525252525252525ULL;
        return v + (((ge_a & ~gt_z & ~v) & 0x8080808080808080ULL) >> 2);
    }
    """
    uint64_t sensor_lower8(uint64_t v) noexcept nogil

cdef enum:
    DNS_NAME = 255                 # RFC 1035 2.3.4, octets in wire format
    DNS_NAME_ROOM = 264            # for an expanded name: its hash fills up to a multiple of 8
    DNS_STEPS = 128                # labels and pointers of one name
    DNS_BAD = 0                    # an offset no name can end at


cdef inline uint32_t dns_name(const uint8_t* p, uint32_t n, uint32_t at,
                              uint8_t* out, uint32_t* out_len) noexcept nogil:
    # Expand the name at `at` into out[0..*out_len) (wire format, DNS_NAME_ROOM octets).
    # Returns the offset behind the name, or DNS_BAD.
    cdef uint32_t end = 0
    cdef uint32_t size = 0
    cdef uint32_t run = at
    cdef uint32_t _step, label, to
    for _step in range(<uint32_t> DNS_STEPS):
        if at >= n:
            return DNS_BAD
        label = p[at]
        if label < 64:
            if label + 1 > n - at or size + label + 1 > DNS_NAME:
                return DNS_BAD
            memcpy(out + size, p + at, label + 1)
            size += label + 1
            at += label + 1
            if label == 0:
                out_len[0] = size
                return end if end else at
        elif label >= 192:
            if n - at < 2:
                return DNS_BAD
            to = (label & 63) << 8 | p[at + 1]
            if not end:
                end = at + 2
            if to >= run:
                return DNS_BAD
            at = run = to
        else:
            return DNS_BAD
    return DNS_BAD


cdef inline uint32_t dns_skip_name(const uint8_t* p, uint32_t n, uint32_t at) noexcept nogil:
    # The offset behind the name at `at`, pointers not followed; DNS_BAD when it is no name.
    cdef uint32_t _step, label
    for _step in range(<uint32_t> DNS_STEPS):
        if at >= n:
            return DNS_BAD
        label = p[at]
        if label == 0:
            return at + 1
        if label >= 192:
            return at + 2 if n - at >= 2 else DNS_BAD
        if label >= 64 or label + 1 > n - at:
            return DNS_BAD
        at += label + 1
    return DNS_BAD


cdef inline bint dns_same_name(const uint8_t* p, uint32_t n, uint32_t a, uint32_t b) noexcept nogil:
    cdef uint8_t name_a[DNS_NAME_ROOM]
    cdef uint8_t name_b[DNS_NAME_ROOM]
    cdef uint32_t len_a = 0
    cdef uint32_t len_b = 0
    cdef uint32_t i
    cdef uint8_t x, y
    if n - a >= 2 and p[a] >= 192 and ((p[a] & 63) << 8 | p[a + 1]) == b:
        return True                # the usual pointer to where the name stands
    if dns_name(p, n, a, name_a, &len_a) == DNS_BAD or dns_name(p, n, b, name_b, &len_b) == DNS_BAD:
        return False
    if len_a != len_b:
        return False
    for i in range(len_a):
        x = name_a[i]
        y = name_b[i]
        if x != y and not ((x ^ y) == 32 and 97 <= (x | 32) <= 122):
            return False
    return True


cdef inline uint64_t dns_name_hash(uint8_t* name, uint32_t n, uint64_t h,
                                   uint64_t secret) noexcept nogil:
    # Goes on from `h`. Turns the n octets to lower case; zeros behind them up to a multiple of 8.
    cdef uint64_t w
    cdef uint32_t i = 0
    memset(name + n, 0, 8)
    while i < n:
        memcpy(&w, name + i, 8)
        w = sensor_lower8(w)
        memcpy(name + i, &w, 8)
        h = sensor_mum(h ^ w, secret)
        i += 8
    return h


cdef inline uint32_t dns_dotted(const uint8_t* name, uint32_t n, uint8_t* out) noexcept nogil:
    # Wire format to "a.b.c"; 0 when it is the root or a label has a dot inside.
    cdef uint32_t at = 0
    cdef uint32_t i, label
    while at < n and name[at] != 0:
        label = name[at]
        for i in range(at + 1, at + 1 + label):
            if name[i] == 46:
                return 0
            out[i - 1] = name[i]
        at += label + 1
        out[at - 1] = 46
    return at - 1 if at else 0
