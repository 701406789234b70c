# The whole file, whatever its format: what it is, its records, and what its end means.
# See capfile.pxd for the contract of a window. savefile.pyx brings the octets.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from sensor._native.capfile cimport (
    Capfile, FAULT_BYTE_ORDER, FAULT_COMPRESSED, FAULT_CUT_BLOCK, FAULT_CUT_BLOCK_HEADER,
    FAULT_CUT_PACKET, FAULT_CUT_RECORD_HEADER, FAULT_EMPTY, FAULT_MAGIC, FAULT_NG_VERSION,
    FAULT_SHORT_HEADER, FORMAT_PCAP, FORMAT_PCAPNG, STOP_MORE, cap_u16, cap_u32, capfile_fault,
)
from sensor._native.pcap cimport (
    PCAP_FILE_HEADER, PCAP_KUZNETZOV, PCAP_MICRO, PCAP_NANO, pcap_header, pcap_records,
)
from sensor._native.pcapng cimport (
    BLOCK_SECTION, BYTE_ORDER_MAGIC, BYTE_ORDER_SWAPPED, pcapng_records,
)
from sensor._native.source cimport RawPacket

cdef enum:
    SNIFF = 24                   # octets that tell a capture from anything else

cdef enum Compression:           # argument of FAULT_COMPRESSED
    COMPRESSED_GZIP = 0
    COMPRESSED_ZSTD = 1
    COMPRESSED_XZ = 2
    COMPRESSED_BZIP2 = 3
    COMPRESSED_LZ4 = 4


cdef inline int savefile_compression(const uint8_t* p) noexcept nogil:
    # Which compression the first 4 octets announce, -1: none.
    if p[0] == 0x1F and p[1] == 0x8B:
        return COMPRESSED_GZIP
    if p[0] == 0x28 and p[1] == 0xB5 and p[2] == 0x2F and p[3] == 0xFD:
        return COMPRESSED_ZSTD
    if p[0] == 0xFD and p[1] == 0x37 and p[2] == 0x7A and p[3] == 0x58:
        return COMPRESSED_XZ
    if p[0] == 0x42 and p[1] == 0x5A and p[2] == 0x68:
        return COMPRESSED_BZIP2
    if p[0] == 0x04 and p[1] == 0x22 and p[2] == 0x4D and p[3] == 0x18:
        return COMPRESSED_LZ4
    return -1


cdef inline size_t savefile_header(Capfile* f, const uint8_t* p, size_t n) noexcept nogil:
    # The first n octets of the file, SNIFF or more unless the file is shorter. Returns how many are
    # header; on STOP_FAULT the file is not a capture. A pcapng header is the first of its blocks
    # and stays to be read.
    cdef uint32_t magic, swapped, order
    f.stop = STOP_MORE
    if n == 0:
        return capfile_fault(f, FAULT_EMPTY, 0, 0, 0)
    if n < 4:
        return capfile_fault(f, FAULT_SHORT_HEADER, PCAP_FILE_HEADER, n, 0)
    magic = cap_u32(p, False)
    swapped = cap_u32(p, True)
    if (magic == PCAP_MICRO or magic == PCAP_NANO or magic == PCAP_KUZNETZOV
            or swapped == PCAP_MICRO or swapped == PCAP_NANO or swapped == PCAP_KUZNETZOV):
        if n < PCAP_FILE_HEADER:
            return capfile_fault(f, FAULT_SHORT_HEADER, PCAP_FILE_HEADER, n, 0)
        return pcap_header(f, p)
    if magic == BLOCK_SECTION:
        if n < SNIFF:
            return capfile_fault(f, FAULT_SHORT_HEADER, 28, n, 0)
        order = cap_u32(p + 8, False)
        if order != BYTE_ORDER_MAGIC and order != BYTE_ORDER_SWAPPED:
            return capfile_fault(f, FAULT_BYTE_ORDER, order, 0, 0)
        f.format = FORMAT_PCAPNG
        f.swapped = order == BYTE_ORDER_SWAPPED
        if cap_u16(p + 12, f.swapped) != 1 or cap_u16(p + 14, f.swapped) & ~2:
            return capfile_fault(
                f, FAULT_NG_VERSION, cap_u16(p + 12, f.swapped), cap_u16(p + 14, f.swapped), 0
            )
        return 0
    if savefile_compression(p) >= 0:
        return capfile_fault(f, FAULT_COMPRESSED, savefile_compression(p), 0, 0)
    return capfile_fault(f, FAULT_MAGIC, swapped, 0, 0)


cdef inline size_t savefile_records(
    Capfile* f, const uint8_t* p, size_t n, RawPacket* out, uint32_t* filled
) noexcept nogil:
    # Up to BATCH_MAX records of the window. Caller has passed savefile_header() without a fault.
    if f.format == FORMAT_PCAP:
        return pcap_records(f, p, n, out, filled)
    return pcapng_records(f, p, n, out, filled)


cdef inline void savefile_cut(Capfile* f, size_t left) noexcept nogil:
    # The file ends `left` > 0 octets into a record that wants f.need.
    if f.format == FORMAT_PCAPNG:
        capfile_fault(f, FAULT_CUT_BLOCK_HEADER if left < 12 else FAULT_CUT_BLOCK, f.need, left, 0)
    elif left < f.record_header:
        capfile_fault(f, FAULT_CUT_RECORD_HEADER, f.record_header, left, 0)
    else:
        capfile_fault(
            f, FAULT_CUT_PACKET, f.need - f.record_header, left - f.record_header, 0
        )
