# What the two capture formats share: the parse state, and the vocabulary of faults and anomalies.
#
# A format is parsed out of a window p[0..n) of the file that the caller owns. A parse function
# delivers whole records only, returns how many octets they took, and says why it stopped in
# f.stop. It reads only p[0..n), keeps no pointer into it but those in `out`, and never blocks.
#
# Invariants: interfaces[0..n_interfaces) are set, n_interfaces <= INTERFACES_MAX;
# on STOP_MORE, f.need octets from the returned offset are more than the window holds, and
# f.need <= RECORD_MAX + 24.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from libc.stdlib cimport free, realloc

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* Readers of file fields. The caller has proved that the octets are there. */
    static inline uint16_t cap_u16(const uint8_t *p, int swapped) {
        uint16_t v; memcpy(&v, p, 2); return swapped ? __builtin_bswap16(v) : v; }
    static inline uint32_t cap_u32(const uint8_t *p, int swapped) {
        uint32_t v; memcpy(&v, p, 4); return swapped ? __builtin_bswap32(v) : v; }
    static inline uint64_t cap_u64(const uint8_t *p, int swapped) {
        uint64_t v; memcpy(&v, p, 8); return swapped ? __builtin_bswap64(v) : v; }
    #define cap_unlikely(x) __builtin_expect(!!(x), 0)
    """
    uint16_t cap_u16(const uint8_t* p, bint swapped) noexcept nogil
    uint32_t cap_u32(const uint8_t* p, bint swapped) noexcept nogil
    uint64_t cap_u64(const uint8_t* p, bint swapped) noexcept nogil
    bint cap_unlikely(bint x) noexcept nogil

cdef enum:
    RECORD_MAX = 16777216        # 16 MiB: a longer record or block is damage (libpcap's bound)
    SNAPLEN_MAX = 262144         # libpcap's MAXIMUM_SNAPLEN: sane whatever the header says
    INTERFACES_MAX = 65535       # per section
    LINK_WORDS = 1024            # 65,536 link types as a bit set

cdef enum Format:
    FORMAT_NONE = 0
    FORMAT_PCAP = 1
    FORMAT_PCAPNG = 2

cdef enum Stop:
    STOP_MORE = 0                # the next record is not all in the window: f.need octets are wanted
    STOP_FULL = 1                # `out` is full
    STOP_FAULT = 2               # f.fault, f.a, f.b say what; the returned offset says where

cdef enum Fault:
    FAULT_NONE = 0
    # not a capture
    FAULT_EMPTY
    FAULT_SHORT_HEADER           # a wanted, b there
    FAULT_MAGIC
    FAULT_COMPRESSED             # a: index of the kind
    FAULT_VERSION                # a.b
    FAULT_NG_VERSION             # a.b
    # damage
    FAULT_CUT_RECORD_HEADER      # a wanted, b there
    FAULT_CUT_PACKET             # a wanted, b there
    FAULT_CUT_BLOCK_HEADER
    FAULT_CUT_BLOCK
    FAULT_CAPLEN                 # a: caplen, b: the most accepted
    FAULT_BLOCK_SHORT            # block of type a: length b below the least of its type
    FAULT_BLOCK_LONG
    FAULT_BLOCK_UNALIGNED
    FAULT_BLOCK_TRAILER          # a: length at the front, b: at the end
    FAULT_BYTE_ORDER             # a: what stands there
    FAULT_SECTION_VERSION        # a.b
    FAULT_NO_INTERFACE           # block of type a before any interface description
    FAULT_INTERFACE              # a: interface, b: how many are described
    FAULT_INTERFACE_LIMIT        # a: interface
    FAULT_BLOCK_CAPLEN           # a: caplen, b: octets of the block left for it
    FAULT_OPTION                 # option a says b octets, more than its block has
    FAULT_OPTION_SIZE            # option a has length b, which is not its type's
    FAULT_TSRESOL                # a: 2 or 10, b: exponent
    FAULT_MEMORY
    FAULT_READ                   # the operating system's or decompressor's words are with the caller

cdef enum:                       # indices of anomalies[]
    A_CAPLEN_OVER_SNAPLEN = 0    # captured length above the declared snaplen
    A_CAPLEN_OVER_LEN            # captured length above the wire length: len := caplen
    A_FRACTION                   # fraction of a second >= 1 s: clamped to the last tick of its second
    A_TIME_CLAMPED               # time outside 1970..2262: clamped
    A_TIME_PAST_2038             # 32-bit seconds above INT32_MAX: before 1970, or after 2038-01-19
    A_TIME_BACKWARDS             # earlier than the record before
    A_TIME_MISSING               # simple packet block: takes the time of the record before
    A_UNKNOWN_BLOCK              # a block type that the standard does not name: skipped
    A_INTERFACES                 # interface descriptions beyond INTERFACES_MAX: not kept
    A_COUNT

cdef struct Interface:
    uint64_t mul                 # ns = (ticks * mul >> shift) / div + offset
    uint64_t div
    int64_t offset_s
    uint32_t snaplen             # RECORD_MAX when the file says "no limit"
    uint16_t link
    uint8_t shift

cdef struct Capfile:
    uint64_t last_ns             # time of the record before
    uint64_t need
    uint64_t a                   # arguments of the fault
    uint64_t b
    Interface* interfaces        # pcap has exactly one
    uint32_t n_interfaces
    uint32_t room
    uint32_t lost_interfaces     # described, but beyond INTERFACES_MAX
    uint32_t record_header       # pcap: 16, or 24 in Kuznetzov's variant
    uint32_t minor               # pcap: below 4, lengths may stand in the other order
    uint8_t format
    uint8_t swapped              # the file's byte order is not this machine's
    uint8_t nano
    uint8_t stop
    uint8_t fault
    uint64_t anomalies[A_COUNT]
    uint64_t links[LINK_WORDS]   # link types declared so far


cdef inline void capfile_init(Capfile* f) noexcept nogil:
    memset(f, 0, sizeof(Capfile))


cdef inline void capfile_free(Capfile* f) noexcept nogil:
    free(f.interfaces)
    f.interfaces = NULL
    f.n_interfaces = f.room = 0


cdef inline size_t capfile_fault(
    Capfile* f, Fault fault, uint64_t a, uint64_t b, size_t at
) noexcept nogil:
    f.stop = STOP_FAULT
    f.fault = fault
    f.a = a
    f.b = b
    return at


cdef inline Interface* capfile_add_interface(Capfile* f) noexcept nogil:
    # NULL: out of memory. Caller has checked n_interfaces < INTERFACES_MAX.
    cdef uint32_t room
    cdef void* grown
    if f.n_interfaces == f.room:
        room = 4 if f.room == 0 else 2 * f.room
        grown = realloc(f.interfaces, room * sizeof(Interface))
        if grown == NULL:
            return NULL
        f.interfaces = <Interface*> grown
        f.room = room
    f.n_interfaces += 1
    return &f.interfaces[f.n_interfaces - 1]


cdef inline void capfile_see_link(Capfile* f, uint16_t link) noexcept nogil:
    f.links[link >> 6] |= <uint64_t> 1 << (link & 63)
