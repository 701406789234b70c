# What the lines of HTTP/1 say (RFC 9112), one line at a time, without state.
#
# Invariants: every function reads p[0..n) only; a line comes without its line end.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

cdef extern from *:
    """
    /* Methods that wireshark knows too, each with the space that must follow. */
    static const struct { uint8_t n; char text[18]; } sensor_h1_methods[] = {
        {4, "GET "}, {5, "POST "}, {5, "HEAD "}, {8, "CONNECT "}, {4, "PUT "}, {8, "OPTIONS "},
        {7, "DELETE "}, {6, "PATCH "}, {6, "TRACE "}, {9, "PROPFIND "}, {10, "PROPPATCH "},
        {6, "MKCOL "}, {5, "COPY "}, {5, "MOVE "}, {5, "LOCK "}, {7, "UNLOCK "}, {7, "REPORT "},
        {7, "SEARCH "}, {6, "MERGE "}, {9, "CHECKOUT "}, {8, "CHECKIN "}, {11, "UNCHECKOUT "},
        {11, "MKACTIVITY "}, {12, "MKWORKSPACE "}, {11, "MKCALENDAR "}, {16, "VERSION-CONTROL "},
        {17, "BASELINE-CONTROL "}, {7, "UPDATE "}, {6, "LABEL "}, {6, "BCOPY "}, {6, "BMOVE "},
        {8, "BDELETE "}, {10, "BPROPFIND "}, {11, "BPROPPATCH "}, {5, "POLL "}, {9, "CCM_POST "},
        {10, "SUBSCRIBE "}, {12, "UNSUBSCRIBE "}, {7, "NOTIFY "}, {12, "RPC_IN_DATA "},
        {13, "RPC_OUT_DATA "},
    };
    enum { H1_POST = 1, H1_HEAD = 2, H1_CONNECT = 3, H1_PART = -1, H1_NONE = -2 };
    /* Index of the method that p[0..n) begins with (*len: with its space), H1_PART, or H1_NONE. */
    static inline int sensor_h1_method(const uint8_t *p, uint32_t n, uint32_t *len) {
        int found = H1_NONE;
        for (unsigned i = 0; i < sizeof sensor_h1_methods / sizeof *sensor_h1_methods; i++) {
            uint32_t m = sensor_h1_methods[i].n;
            if (n == 0 || (uint8_t) sensor_h1_methods[i].text[0] != p[0]) continue;
            if (memcmp(p, sensor_h1_methods[i].text, n < m ? n : m) != 0) continue;
            if (n >= m) { *len = m; return (int) i; }
            found = H1_PART;
        }
        return found;
    }
    """
    const int H1_POST, H1_HEAD, H1_CONNECT, H1_PART, H1_NONE
    int sensor_h1_method(const uint8_t* p, uint32_t n, uint32_t* len) noexcept nogil

cdef enum:                       # the fields that framing, naming and upgrades need
    H1_FIELD_OTHER = 0
    H1_FIELD_HOST
    H1_FIELD_LENGTH
    H1_FIELD_CODING
    H1_FIELD_UPGRADE
    H1_FIELD_CACHE_STATUS        # RFC 9211
    H1_FIELD_CACHE_VENDOR        # CF-Cache-Status, X-Cache, X-Cache-Status

cdef enum:                       # what a cache says of its answer
    H1_CACHE_UNSAID = 0
    H1_CACHE_HIT
    H1_CACHE_MISS
    H1_CACHE_BYPASS


cdef inline bint http1_is(const uint8_t* p, const char* lower, uint32_t n) noexcept nogil:
    # p[0..n) without regard to case; `lower` is in lower case.
    cdef uint32_t i
    for i in range(n):
        if (p[i] | 0x20) != <uint8_t> lower[i]:
            return False
    return True


cdef inline int http1_start_line(const uint8_t* p, uint32_t n, bint whole,
                                 uint32_t* at) noexcept nogil:
    # What the first n octets of a start-line (without its CRLF) are: the status code of a response
    # (>= 100), the index of a request's method (*at: its target), or H1_NONE.
    # Of a line that is not whole the end is missing, so its version cannot be asked for.
    cdef int method
    if n >= 12 and memcmp(p, b"HTTP/1.", 7) == 0:
        if (p[8] == 32 and 49 <= p[9] <= 57 and 48 <= p[10] <= 57 and 48 <= p[11] <= 57
                and (n == 12 or p[12] == 32)):
            return (p[9] - 48) * 100 + (p[10] - 48) * 10 + (p[11] - 48)
        return H1_NONE
    method = sensor_h1_method(p, n, at)
    if method < 0 or n == at[0] or p[at[0]] <= 32:
        return H1_NONE
    if whole and (n < at[0] + 10 or memcmp(p + n - 9, b" HTTP/1.", 8) != 0):
        return H1_NONE
    return method


cdef inline uint32_t http1_field_name(const uint8_t* p, uint32_t n, uint32_t* at) noexcept nogil:
    # Which field the line (n > 0) is, and where its value begins. A folded line (obs-fold: it
    # begins with a blank) is none.
    cdef uint8_t first = p[0] | 0x20
    if first == 104 and n > 5 and p[4] == 58 and http1_is(p, b"host", 4):
        at[0] = 5
        return H1_FIELD_HOST
    if first == 99 and n > 15 and p[14] == 58 and http1_is(p, b"content-length", 14):
        at[0] = 15
        return H1_FIELD_LENGTH
    if first == 116 and n > 18 and p[17] == 58 and http1_is(p, b"transfer-encoding", 17):
        at[0] = 18
        return H1_FIELD_CODING
    if first == 117 and n > 8 and p[7] == 58 and http1_is(p, b"upgrade", 7):
        at[0] = 8
        return H1_FIELD_UPGRADE
    if first == 99 and n > 13 and p[12] == 58 and http1_is(p, b"cache-status", 12):
        at[0] = 13
        return H1_FIELD_CACHE_STATUS
    if first == 99 and n > 16 and p[15] == 58 and http1_is(p, b"cf-cache-status", 15):
        at[0] = 16
        return H1_FIELD_CACHE_VENDOR
    if first == 120 and n > 8 and p[7] == 58 and http1_is(p, b"x-cache", 7):
        at[0] = 8
        return H1_FIELD_CACHE_VENDOR
    if first == 120 and n > 15 and p[14] == 58 and http1_is(p, b"x-cache-status", 14):
        at[0] = 15
        return H1_FIELD_CACHE_VENDOR
    return H1_FIELD_OTHER


cdef inline uint32_t http1_nearest(const uint8_t* p, uint32_t n) noexcept nogil:
    # Where the last member of a list begins: the cache nearest to who asked (RFC 9211 section 2;
    # Fastly's and Varnish's X-Cache are in that order too). A comma in a quoted text parts nothing.
    cdef uint32_t k = 0
    cdef uint32_t begin = 0
    cdef bint quoted = False
    while k < n:
        if p[k] == 34:
            quoted = not quoted
        elif quoted and p[k] == 92:
            k += 1
        elif p[k] == 44 and not quoted:
            begin = k + 1
        k += 1
    while begin < n and (p[begin] == 32 or p[begin] == 9):
        begin += 1
    return begin


cdef inline uint32_t http1_cache_status(const uint8_t* p, uint32_t n) noexcept nogil:
    # RFC 9211 section 2 of a Cache-Status value: "; hit", or "; fwd=reason" (section 2.2: with
    # bypass and method the cache was not looked into).
    cdef uint32_t k = http1_nearest(p, n)
    cdef uint32_t m
    while k < n:
        if p[k] != 59:
            k += 1
            continue
        k += 1
        while k < n and (p[k] == 32 or p[k] == 9):
            k += 1
        m = 0
        while k + m < n and p[k + m] > 32 and p[k + m] != 59:
            m += 1
        if m == 3 and memcmp(p + k, b"hit", 3) == 0:
            return H1_CACHE_HIT
        if m > 4 and memcmp(p + k, b"fwd=", 4) == 0:
            if m == 10 and (memcmp(p + k + 4, b"bypass", 6) == 0
                            or memcmp(p + k + 4, b"method", 6) == 0):
                return H1_CACHE_BYPASS
            return H1_CACHE_MISS
        k += m
    return H1_CACHE_UNSAID


cdef inline uint32_t http1_cache_vendor(const uint8_t* p, uint32_t n) noexcept nogil:
    # The first word of the nearest member: Cloudflare's CF-Cache-Status, CloudFront's and Fastly's
    # X-Cache ("RefreshHit from cloudfront"), nginx's $upstream_cache_status, squid's
    # ("TCP_MEM_HIT from proxy"). What was kept but stale, or asked about again, is a hit.
    cdef uint32_t k = http1_nearest(p, n)
    cdef uint32_t m = 0
    p += k
    n -= k
    while m < n and p[m] > 32:
        m += 1
    if m >= 3 and http1_is(p + m - 3, b"hit", 3):
        return H1_CACHE_HIT
    if (m == 5 and http1_is(p, b"stale", 5)) or (m == 8 and http1_is(p, b"updating", 8)) or (
            m == 11 and http1_is(p, b"revalidated", 11)):
        return H1_CACHE_HIT
    if (m >= 4 and http1_is(p + m - 4, b"miss", 4)) or (m == 7 and http1_is(p, b"expired", 7)):
        return H1_CACHE_MISS
    if (m == 4 and http1_is(p, b"pass", 4)) or (m == 6 and http1_is(p, b"bypass", 6)) or (
            m == 7 and http1_is(p, b"dynamic", 7)):
        return H1_CACHE_BYPASS
    return H1_CACHE_UNSAID


cdef inline uint32_t http1_host_len(const uint8_t* p, uint32_t n) noexcept nogil:
    # Octets of "host[:port]" without the port; an IPv6 literal keeps its brackets.
    cdef uint32_t k = n
    while k > 0 and 48 <= p[k - 1] <= 57:
        k -= 1
    return k - 1 if k > 0 and p[k - 1] == 58 else n


cdef inline bint http1_decimal(const uint8_t* p, uint32_t n, uint64_t* value) noexcept nogil:
    # At most 18 digits, which cannot overflow.
    cdef uint32_t i
    cdef uint64_t v = 0
    if n == 0 or n > 18:
        return False
    for i in range(n):
        if p[i] < 48 or p[i] > 57:
            return False
        v = v * 10 + (p[i] - 48)
    value[0] = v
    return True


cdef inline bint http1_chunk_size(const uint8_t* p, uint32_t n, uint64_t* value) noexcept nogil:
    # chunk-size [; extensions], of at most 15 digits.
    cdef uint32_t i = 0
    cdef uint64_t v = 0
    cdef uint8_t c
    while i < n and i < 16:
        c = p[i]
        if 48 <= c <= 57:
            c -= 48
        else:
            c |= 0x20
            if c < 97 or c > 102:
                break
            c -= 87
        v = (v << 4) | c
        i += 1
    value[0] = v
    return 0 < i < 16 and (i == n or p[i] == 59 or p[i] == 32 or p[i] == 9)
