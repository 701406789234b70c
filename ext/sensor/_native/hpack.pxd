# Just enough HPACK (RFC 7541) to see, in one client's header blocks, gRPC calls and :authority.
#
# Invariants: octets are taken as they come, split anywhere; of a string only its first HPACK_TEXT
# decoded octets are kept, and only of names and of the two values that are of interest; the others
# are skipped by count. The dynamic table is not stored: an index names "the k-th newest entry", so
# counting insertions gives every entry a number, and only the numbers of entries that say
# `content-type: application/grpc` are remembered. Sizes and evictions need no model: an encoder can
# never name an entry that is gone, and one too large to go in empties the table, so that it shifts
# only numbers that nobody can name any more.
#
# After an error, or missing octets, the table is unknown for good: `blind`.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from sensor._native.sink cimport AppSink, NAME_HOST, sink_name

cdef extern from *:
    """
    /* Symbols in the order of their Huffman codes (RFC 7541 appendix B). The code is canonical:
       a code of `bits` bits stands for symbol[first symbol + code - first code]. */
    static const uint8_t sensor_huffman_symbol[256] = {
        48,49,50,97,99,101,105,111,115,116,32,37,45,46,47,51,52,53,54,55,56,57,61,65,95,98,100,
        102,103,104,108,109,110,112,114,117,58,66,67,68,69,70,71,72,73,74,75,76,77,78,79,80,81,82,
        83,84,85,86,87,89,106,107,113,118,119,120,121,122,38,42,44,59,88,90,33,34,40,41,63,39,43,
        124,35,62,0,36,64,91,93,126,94,125,60,96,123,92,195,208,128,130,131,162,184,194,224,226,
        153,161,167,172,176,177,179,209,216,217,227,229,230,129,132,133,134,136,146,154,156,160,
        163,164,169,170,173,178,181,185,186,187,189,190,196,198,228,232,233,1,135,137,138,139,140,
        141,143,147,149,150,151,152,155,157,158,165,166,168,174,175,180,182,183,188,191,197,231,
        239,9,142,144,145,148,159,171,206,215,225,236,237,199,207,234,235,192,193,200,201,202,205,
        210,213,218,219,238,240,242,243,255,203,204,211,212,214,221,222,223,241,244,245,246,247,
        248,250,251,252,253,254,2,3,4,5,6,7,8,11,12,14,15,16,17,18,19,20,21,23,24,25,26,27,28,29,
        30,31,127,220,249,10,13,22,
    };
    static const struct { uint8_t bits, at; uint32_t first; uint64_t end; } sensor_huffman_row[] = {
        {5, 0, 0x0, 0x50000000}, {6, 10, 0x14, 0xb8000000},
        {7, 36, 0x5c, 0xf8000000}, {8, 68, 0xf8, 0xfe000000},
        {10, 74, 0x3f8, 0xff400000}, {11, 79, 0x7fa, 0xffa00000},
        {12, 82, 0xffa, 0xffc00000}, {13, 84, 0x1ff8, 0xfff00000},
        {14, 90, 0x3ffc, 0xfff80000}, {15, 92, 0x7ffc, 0xfffe0000},
        {19, 95, 0x7fff0, 0xfffe6000}, {20, 98, 0xfffe6, 0xfffee000},
        {21, 106, 0x1fffdc, 0xffff4800}, {22, 119, 0x3fffd2, 0xffffb000},
        {23, 145, 0x7fffd8, 0xffffea00}, {24, 174, 0xffffea, 0xfffff600},
        {25, 186, 0x1ffffec, 0xfffff800}, {26, 190, 0x3ffffe0, 0xfffffbc0},
        {27, 205, 0x7ffffde, 0xfffffe20}, {28, 224, 0xfffffe2, 0xfffffff0},
        {30, 253, 0x3ffffffc, 0xfffffffc},
    };
    /* The symbol at the head of the top n bits of acc: its length in bits, 0 when more bits are
       needed, -1 when there is none (EOS is an error inside a string). */
    static inline int sensor_huffman(uint64_t acc, uint32_t n, uint8_t *symbol) {
        uint32_t top = (uint32_t) (acc << (64 - n) >> 32);
        for (unsigned i = 0; i < sizeof sensor_huffman_row / sizeof *sensor_huffman_row; i++) {
            uint32_t bits = sensor_huffman_row[i].bits;
            if (top >= sensor_huffman_row[i].end) continue;
            if (bits > n) return 0;
            *symbol = sensor_huffman_symbol[sensor_huffman_row[i].at
                                            + (top >> (32 - bits)) - sensor_huffman_row[i].first];
            return (int) bits;
        }
        return n < 30 ? 0 : -1;
    }
    """
    int sensor_huffman(uint64_t acc, uint32_t n, uint8_t* symbol) noexcept nogil

cdef enum:
    HPACK_TEXT = 104             # decoded octets kept of a string
    HPACK_GRPC = 4               # gRPC entries remembered; a fifth takes the place of the oldest
    HPACK_STATIC = 61            # entries of the static table
    HPACK_INTEGER_BITS = 28      # larger integers are an error

cdef enum:                       # Hpack.step: what the next octet is
    HPACK_FIELD = 0              # the first of a field, or of a table size update
    HPACK_LENGTH                 # the first of a string
    HPACK_INTEGER                # a further one of an integer
    HPACK_STRING

cdef enum:                       # Hpack.goal: what the integer is
    HPACK_INDEXED = 0
    HPACK_LITERAL
    HPACK_RESIZE
    HPACK_STRING_LENGTH

cdef enum:                       # Hpack.name: of the field being read
    HPACK_OTHER = 0
    HPACK_AUTHORITY = 1          # these two are also their indexes in the static table
    HPACK_CONTENT_TYPE = 31
    HPACK_UNNAMED = 255          # the next string is the name

cdef struct Hpack:
    uint64_t bits                # the last n_bits of it are no whole Huffman code yet
    uint32_t integer
    uint32_t left                # octets of the string still to come
    uint32_t text_len            # decoded length of the string so far
    uint32_t inserted            # entries put into the dynamic table so far
    uint32_t grpc_at[HPACK_GRPC] # 1 + the number of such an entry; 0: free
    uint8_t grpc_next
    uint8_t step
    uint8_t goal
    uint8_t shift
    uint8_t n_bits
    uint8_t huffman
    uint8_t incremental          # the field goes into the dynamic table
    uint8_t name
    uint8_t grpc                 # this header block says application/grpc
    uint8_t blind
    uint8_t text[HPACK_TEXT]


cdef inline bint hpack_says_grpc(const Hpack* h) noexcept nogil:
    # Also with a suffix such as +proto; application/grpc-web is another protocol.
    return (h.text_len >= 16 and memcmp(h.text, b"application/grpc", 16) == 0
            and (h.text_len == 16 or h.text[16] == 43 or h.text[16] == 59))


cdef inline bint hpack_remembers(const Hpack* h, uint32_t index) noexcept nogil:
    # index: 62 is the newest dynamic entry, whose number is `inserted - 1`.
    cdef uint32_t mark = h.inserted - (index - HPACK_STATIC) + 1
    cdef int i
    for i in range(HPACK_GRPC):
        if h.grpc_at[i] == mark:
            return True
    return False


cdef inline void hpack_authority(Hpack* h, AppSink* sink) noexcept nogil:
    # The host without its port.
    cdef uint32_t n = h.text_len
    while n > 0 and 48 <= h.text[n - 1] <= 57:
        n -= 1
    sink_name(sink, NAME_HOST, h.text, n - 1 if n > 0 and h.text[n - 1] == 58 else h.text_len)


cdef inline void hpack_string_end(Hpack* h, AppSink* sink) noexcept nogil:
    cdef bint grpc
    if h.huffman and (h.n_bits > 7 or ~h.bits & ((<uint64_t> 1 << h.n_bits) - 1)):
        h.blind = 1                                        # padding is less than an octet of ones
        return
    if h.name == HPACK_UNNAMED:
        h.name = HPACK_OTHER
        if h.text_len == 12 and memcmp(h.text, b"content-type", 12) == 0:
            h.name = HPACK_CONTENT_TYPE
        elif h.text_len == 10 and memcmp(h.text, b":authority", 10) == 0:
            h.name = HPACK_AUTHORITY
        h.step = HPACK_LENGTH
        return
    grpc = h.name == HPACK_CONTENT_TYPE and hpack_says_grpc(h)
    if grpc:
        h.grpc = 1
    elif h.name == HPACK_AUTHORITY and h.text_len <= HPACK_TEXT:
        hpack_authority(h, sink)
    if h.incremental:
        h.inserted += 1
        if grpc:
            h.grpc_at[h.grpc_next % HPACK_GRPC] = h.inserted
            h.grpc_next = (h.grpc_next + 1) % HPACK_GRPC
    h.step = HPACK_FIELD


cdef inline void hpack_integer_end(Hpack* h, AppSink* sink) noexcept nogil:
    cdef uint32_t v = h.integer
    if h.goal == HPACK_STRING_LENGTH:
        h.left = v
        h.text_len = 0
        h.n_bits = 0
        h.step = HPACK_STRING
        if v == 0:
            hpack_string_end(h, sink)
        return
    h.step = HPACK_FIELD
    if h.goal == HPACK_RESIZE:
        return
    if v > HPACK_STATIC and v - HPACK_STATIC > h.inserted:
        h.blind = 1                                        # no such entry
    elif h.goal == HPACK_LITERAL:
        h.step = HPACK_LENGTH
        if v == 0:
            h.name = HPACK_UNNAMED
        elif v > HPACK_STATIC:
            h.name = HPACK_CONTENT_TYPE if hpack_remembers(h, v) else HPACK_OTHER
        else:
            h.name = <uint8_t> v if v == HPACK_AUTHORITY or v == HPACK_CONTENT_TYPE else HPACK_OTHER
    elif v == 0:
        h.blind = 1
    elif v > HPACK_STATIC and hpack_remembers(h, v):
        h.grpc = 1


cdef inline void hpack_integer(Hpack* h, AppSink* sink, uint8_t goal, uint8_t prefix, uint8_t octet) noexcept nogil:
    # RFC 7541 section 5.1; `prefix` is the mask of the low bits that belong to the integer.
    h.goal = goal
    h.integer = octet & prefix
    h.shift = 0
    h.step = HPACK_INTEGER
    if h.integer != prefix:
        hpack_integer_end(h, sink)


cdef inline void hpack_first(Hpack* h, AppSink* sink, uint8_t octet) noexcept nogil:
    # The first octet of a field (RFC 7541 section 6).
    h.incremental = 0
    if octet & 0x80:
        hpack_integer(h, sink, HPACK_INDEXED, 0x7f, octet)
    elif octet & 0x40:
        h.incremental = 1
        hpack_integer(h, sink, HPACK_LITERAL, 0x3f, octet)
    elif octet & 0x20:
        hpack_integer(h, sink, HPACK_RESIZE, 0x1f, octet)
    else:
        hpack_integer(h, sink, HPACK_LITERAL, 0x0f, octet)


cdef inline void hpack_text(Hpack* h, const uint8_t* p, uint32_t n) noexcept nogil:
    # n more octets of a string.
    cdef uint32_t i
    cdef uint8_t symbol = 0
    cdef int used
    if h.name == HPACK_OTHER:
        h.huffman = 0
        return
    if not h.huffman:
        if h.text_len < HPACK_TEXT:
            i = HPACK_TEXT - h.text_len
            memcpy(h.text + h.text_len, p, n if n < i else i)
        h.text_len += n
        return
    for i in range(n):
        h.bits = (h.bits << 8) | p[i]
        h.n_bits += 8
        while h.n_bits:
            used = sensor_huffman(h.bits, h.n_bits, &symbol)
            if used < 0:
                h.blind = 1
                return
            if used == 0:
                break
            h.n_bits -= <uint8_t> used
            if h.text_len < HPACK_TEXT:
                h.text[h.text_len] = symbol
            h.text_len += 1


cdef inline void hpack_data(Hpack* h, AppSink* sink, const uint8_t* p, uint32_t n) noexcept nogil:
    # The next n octets of a header block.
    cdef uint32_t at = 0
    cdef uint32_t take
    while at < n and not h.blind:
        if h.step == HPACK_STRING:
            take = n - at if n - at < h.left else h.left
            hpack_text(h, p + at, take)
            h.left -= take
            at += take
            if h.left == 0 and not h.blind:
                hpack_string_end(h, sink)
            continue
        if h.step == HPACK_FIELD:
            hpack_first(h, sink, p[at])
        elif h.step == HPACK_LENGTH:
            h.huffman = p[at] >> 7
            hpack_integer(h, sink, HPACK_STRING_LENGTH, 0x7f, p[at])
        elif h.shift >= HPACK_INTEGER_BITS:
            h.blind = 1
        else:
            h.integer += <uint32_t> (p[at] & 0x7f) << h.shift
            h.shift += 7
            if p[at] < 0x80:
                hpack_integer_end(h, sink)
        at += 1
