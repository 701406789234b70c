# The classic capture format: a 24-octet file header, then records (pcap-savefile(5),
# draft-ietf-opsawg-pcap). Invariants: see capfile.pxd; every record consumes >= 16 octets.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from sensor._native.capfile cimport (
    A_CAPLEN_OVER_LEN, A_CAPLEN_OVER_SNAPLEN, A_FRACTION, A_TIME_BACKWARDS, A_TIME_PAST_2038,
    Capfile, Interface, FAULT_CAPLEN, FAULT_MEMORY, FAULT_VERSION, FORMAT_PCAP, RECORD_MAX,
    SNAPLEN_MAX, STOP_FULL, STOP_MORE, cap_u16, cap_u32, cap_unlikely, capfile_add_interface,
    capfile_fault, capfile_see_link,
)
from sensor._native.source cimport BATCH_MAX, RawPacket
from sensor._native.span cimport sensor_prefetch

cdef enum:
    PCAP_FILE_HEADER = 24
    PCAP_MICRO = 0xA1B2C3D4
    PCAP_NANO = 0xA1B23C4D
    PCAP_KUZNETZOV = 0xA1B2CD34    # Alexey Kuznetzov's ss990xxx patches: 8 octets more a record

cdef enum Lengths:
    LENGTHS_NEW = 0                # captured, wire
    LENGTHS_OLD = 1                # before version 2.3: wire, captured
    LENGTHS_MIXED = 2              # version 2.3 came with both: the smaller one is the captured


cdef inline size_t pcap_header(Capfile* f, const uint8_t* p) noexcept nogil:
    # The file header; caller has proved 24 octets and a magic number of ours. The 4 octets at 8 are
    # "reserved" (once a time zone nobody set), the 4 at 12 likewise.
    cdef uint32_t magic = cap_u32(p, False)
    cdef uint32_t link
    cdef Interface* interface
    f.format = FORMAT_PCAP
    f.swapped = magic != PCAP_MICRO and magic != PCAP_NANO and magic != PCAP_KUZNETZOV
    magic = cap_u32(p, f.swapped)
    f.nano = magic == PCAP_NANO
    f.record_header = 24 if magic == PCAP_KUZNETZOV else 16
    f.minor = cap_u16(p + 6, f.swapped)
    if cap_u16(p + 4, f.swapped) != 2 or f.minor > 4:
        return capfile_fault(f, FAULT_VERSION, cap_u16(p + 4, f.swapped), f.minor, 0)
    interface = capfile_add_interface(f)
    if interface == NULL:
        return capfile_fault(f, FAULT_MEMORY, 0, 0, 0)
    # The upper 16 bits hold the FCS length and a class, which no decoder of ours needs.
    link = cap_u32(p + 20, f.swapped)
    interface.link = <uint16_t> (link & 0xFFFF)
    interface.snaplen = cap_u32(p + 16, f.swapped)
    if interface.snaplen == 0 or interface.snaplen > RECORD_MAX:
        interface.snaplen = RECORD_MAX
    capfile_see_link(f, interface.link)
    return PCAP_FILE_HEADER


cdef inline size_t pcap_loop(
    Capfile* f, const uint8_t* p, size_t n, RawPacket* out, uint32_t* filled,
    bint swapped, bint nano, uint32_t header, Lengths lengths,
) noexcept nogil:
    # One loop for every variant: called with constants, so that each variant is its own code.
    cdef uint32_t snaplen = f.interfaces[0].snaplen
    cdef uint16_t link = f.interfaces[0].link
    cdef uint32_t most = snaplen if snaplen > SNAPLEN_MAX else SNAPLEN_MAX
    cdef uint64_t last = f.last_ns
    cdef size_t at = 0
    cdef uint32_t k = 0
    cdef uint32_t sec, fraction, caplen, length, swap
    cdef uint32_t second = 1000000000 if nano else 1000000
    cdef uint64_t ts
    cdef const uint8_t* q

    f.stop = STOP_FULL
    while k < BATCH_MAX:
        if n - at < header:
            f.stop = STOP_MORE
            f.need = header
            break
        q = p + at
        caplen = cap_u32(q + 8, swapped)
        length = cap_u32(q + 12, swapped)
        if lengths == LENGTHS_OLD or (lengths == LENGTHS_MIXED and caplen > length):
            swap = caplen
            caplen = length
            length = swap
        if cap_unlikely(caplen > n - at - header):
            if caplen > most:
                at = capfile_fault(f, FAULT_CAPLEN, caplen, most, at)
            else:
                f.stop = STOP_MORE
                f.need = <uint64_t> header + caplen
            break
        sensor_prefetch(q + header + caplen)
        sec = cap_u32(q, swapped)
        fraction = cap_u32(q + 4, swapped)
        ts = <uint64_t> sec * 1000000000 + (fraction if nano else <uint64_t> fraction * 1000)
        if cap_unlikely(
            (caplen > snaplen) | (caplen > length) | (fraction >= second) | (sec >> 31)
            | (ts < last)
        ):
            if caplen > most:
                at = capfile_fault(f, FAULT_CAPLEN, caplen, most, at)
                break
            if caplen > snaplen:
                f.anomalies[A_CAPLEN_OVER_SNAPLEN] += 1
            if caplen > length:
                f.anomalies[A_CAPLEN_OVER_LEN] += 1
                length = caplen
            if fraction >= second:
                f.anomalies[A_FRACTION] += 1
                ts = <uint64_t> sec * 1000000000 + (999999999 if nano else 999999000)
            if sec >> 31:
                f.anomalies[A_TIME_PAST_2038] += 1
            if ts < last:
                f.anomalies[A_TIME_BACKWARDS] += 1
        last = ts
        out[k].ts_ns = ts
        out[k].data = q + header
        out[k].caplen = caplen
        out[k].len = length
        out[k].link = link
        out[k].interface = 0
        out[k].flags = 0
        k += 1
        at += header + <size_t> caplen
    f.last_ns = last
    filled[0] = k
    return at


cdef inline size_t pcap_records(
    Capfile* f, const uint8_t* p, size_t n, RawPacket* out, uint32_t* filled
) noexcept nogil:
    # Up to BATCH_MAX records out of p[0..n).
    cdef Lengths lengths
    if not f.swapped and f.record_header == 16 and f.minor == 4:
        if f.nano:
            return pcap_loop(f, p, n, out, filled, False, True, 16, LENGTHS_NEW)
        return pcap_loop(f, p, n, out, filled, False, False, 16, LENGTHS_NEW)
    lengths = LENGTHS_NEW if f.minor == 4 else LENGTHS_MIXED if f.minor == 3 else LENGTHS_OLD
    return pcap_loop(f, p, n, out, filled, f.swapped, f.nano, f.record_header, lengths)
