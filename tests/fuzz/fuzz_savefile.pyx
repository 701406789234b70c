# Invariant: every record lies inside the input and behind the record before it; whatever the
# pieces it is read in, the same records, anomalies and fault come out; each pass makes progress.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcmp, memcpy
from sensor._native.capfile cimport (
    A_COUNT, Capfile, FAULT_NONE, RECORD_MAX, STOP_FAULT, STOP_FULL, STOP_MORE, capfile_free,
    capfile_init,
)
from sensor._native.savefile cimport SNIFF, savefile_cut, savefile_header, savefile_records
from sensor._native.source cimport BATCH_MAX, RawPacket

cdef struct Digest:
    uint64_t packets
    uint64_t sum
    uint64_t at
    uint64_t fault
    uint64_t anomalies[A_COUNT]


cdef void mix(Digest* d, uint64_t value) noexcept nogil:
    d.sum = (d.sum ^ value) * <uint64_t> 0x9E3779B97F4A7C15
    d.sum ^= d.sum >> 29


cdef void walk(Digest* d, const uint8_t* data, size_t n, size_t piece) noexcept nogil:
    # Reads data[0..n) as savefile.pyx does, `piece` octets more at a time, each window in a heap
    # block of its exact size: the sanitizer sees one octet too many.
    cdef Capfile f
    cdef RawPacket packets[BATCH_MAX]
    cdef const uint8_t* behind
    cdef uint8_t* window
    cdef uint32_t filled, i
    cdef size_t at = 0, end, used, room
    d.packets = d.sum = 0
    capfile_init(&f)
    end = n if n < SNIFF else SNIFF
    at = savefile_header(&f, data, end)
    while f.stop != STOP_FAULT:
        room = end - at
        window = <uint8_t*> malloc(room if room else 1)
        if window == NULL:
            break
        memcpy(window, data + at, room)
        filled = 0
        used = savefile_records(&f, window, room, packets, &filled)
        behind = window
        if used > room or filled > BATCH_MAX or (f.stop == STOP_FULL and filled != BATCH_MAX):
            abort()
        for i in range(filled):
            if packets[i].data < behind or packets[i].caplen > packets[i].len:
                abort()
            if packets[i].ts_ns >> 63 or packets[i].caplen > RECORD_MAX:
                abort()
            behind = packets[i].data + packets[i].caplen
            if behind > window + used:
                abort()
            mix(d, packets[i].ts_ns)
            mix(d, <uint64_t> packets[i].len << 32 | packets[i].caplen)
            mix(d, <uint64_t> packets[i].link << 16 | packets[i].interface)
            if packets[i].caplen:
                mix(d, packets[i].data[0])
                mix(d, packets[i].data[packets[i].caplen - 1])
        d.packets += filled
        free(window)
        at += used
        if f.stop == STOP_MORE:
            if f.need <= room - used or f.need > RECORD_MAX + 24:
                abort()
            if end == n:
                if at == n:
                    break
                savefile_cut(&f, n - at)
            else:
                end = n if n - end < piece else end + piece
        elif f.stop == STOP_FULL and used == 0:
            abort()
    d.at = at
    d.fault = f.fault
    if (f.stop == STOP_FAULT) != (f.fault != FAULT_NONE):
        abort()
    memcpy(d.anomalies, f.anomalies, sizeof(f.anomalies))
    capfile_free(&f)


cdef public int fuzz_savefile(const uint8_t* data, size_t n) noexcept nogil:
    cdef Digest whole, pieces
    walk(&whole, data, n, n if n else 1)
    walk(&pieces, data, n, 1 + (data[n - 1] if n else 0))
    if memcmp(&whole, &pieces, sizeof(Digest)):
        abort()
    return 0
