"""Savefile reader: pcap and pcapng through one reused buffer, in batches, without a copy per packet."""

import os

from libc.errno cimport EINTR, errno
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from sensor._native.savefile_core cimport (
    BLOCK_MAX, FORMAT_PCAP, FORMAT_PCAPNG, FORMAT_UNKNOWN, O_CAPLEN_OVER_LEN, O_CAPLEN_OVER_SNAPLEN,
    O_TIMESTAMP, O_UNKNOWN_BLOCK, PCAP_HEADER, Reader, SE_BLOCK_CONTENT, SE_BLOCK_LONG,
    SE_BLOCK_SHORT, SE_BLOCK_TRAILER, SE_BLOCK_UNALIGNED, SE_BYTE_ORDER, SE_CAPLEN, SE_COMPRESSED,
    SE_INTERFACES, SE_MEMORY, SE_NONE, SE_NOT_A_CAPTURE, SE_NO_INTERFACE, SE_OPTION, SE_TSRESOL,
    SE_VERSION, scan)
from sensor._native.source cimport PacketSource
from sensor.errors import DamagedCapture, NotACapture

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void* buf, size_t n)

cdef enum:
    READ_SIZE = 1048576            # octets a read()
    SLACK = 65536

_TEXT = {
    SE_VERSION: "unsupported savefile version {a}.{b}",
    SE_CAPLEN: "invalid packet capture length {a}, bigger than snaplen of {b}",
    SE_BLOCK_SHORT: "pcapng block length {a} < {b}",
    SE_BLOCK_LONG: "pcapng block length {a} is larger than the maximum {b}",
    SE_BLOCK_UNALIGNED: "pcapng block length {a} is not a multiple of 4",
    SE_BLOCK_TRAILER: "pcapng block lengths differ: {b} at its start, {a} at its end",
    SE_BYTE_ORDER: "unknown byte order magic 0x{a:08x} in pcapng section header",
    SE_NO_INTERFACE: "packet of interface {a}, but only {b} described so far",
    SE_BLOCK_CONTENT: "pcapng block of type {a} with {b} octets is too short for what it holds",
    SE_OPTION: "option {a} of {b} octets runs past the end of its pcapng block",
    SE_TSRESOL: "invalid time stamp resolution 0x{a:02x} ({b} octets)",
    SE_INTERFACES: "more than {a} interfaces in one pcapng section",
    SE_MEMORY: "no memory for another interface description",
}


cdef class Savefile(PacketSource):
    """Packets of one capture file, pipe or stream.

    source: a file descriptor, or a binary stream with readinto() (decompressors).
    name: what messages call it. size: octets in all, None where unknown.
    Raises NotACapture or DamagedCapture from next_batch(), after everything before the damage.
    """

    cdef Reader r
    cdef int fd
    cdef object stream
    cdef readonly str name
    cdef readonly object size
    cdef bint ended
    cdef set links

    def __cinit__(self, source, str name, size=None):
        self.fd = source if isinstance(source, int) else -1
        self.stream = None if isinstance(source, int) else source
        self.name = name
        self.size = size
        self.links = set()
        if not self.grow(READ_SIZE + SLACK):
            raise MemoryError("no memory for the read buffer")

    def __dealloc__(self):
        free(self.r.buf)
        free(self.r.interfaces)

    cdef bint grow(self, size_t capacity):
        cdef uint8_t* more = <uint8_t*> realloc(self.r.buf, capacity)
        if more == NULL:
            return False
        self.r.buf = more
        self.r.capacity = capacity
        return True

    cdef ssize_t refill(self) except -1:
        # Move what is left to the front and read more behind it. 0 at the end of the input.
        cdef size_t left = self.r.have - self.r.pos
        cdef ssize_t got
        if self.r.pos:
            memmove(self.r.buf, self.r.buf + self.r.pos, left)
            self.r.base += self.r.pos
            self.r.have = left
            self.r.pos = 0
        if self.r.need > self.r.capacity - SLACK and not self.grow(self.r.need + READ_SIZE + SLACK):
            raise MemoryError("no memory for the read buffer")
        if self.stream is not None:
            got = self.read_stream()
        else:
            with nogil:
                got = read(self.fd, self.r.buf + left, self.r.capacity - left)
                while got < 0 and errno == EINTR:
                    with gil:
                        PyErr_CheckSignals()
                    got = read(self.fd, self.r.buf + left, self.r.capacity - left)
            if got < 0:
                raise DamagedCapture(self.name, self.r.base + left, f"read error: {os.strerror(errno)}")
        self.r.have += got
        return got

    cdef ssize_t read_stream(self) except -1:
        cdef size_t left = self.r.have
        cdef uint8_t[::1] room = <uint8_t[:self.r.capacity - left]> (self.r.buf + left)
        try:
            return self.stream.readinto(room)
        except Exception as error:  # noqa: BLE001 - every codec has errors of its own
            raise DamagedCapture(
                self.name, self.r.base + left, f"compressed data damaged: {error}"
            ) from None

    cdef raise_error(self):
        if self.r.error == SE_NOT_A_CAPTURE:
            raise NotACapture(self.name, 0, "unknown file format")
        if self.r.error == SE_COMPRESSED:
            raise NotACapture(
                self.name, 0, "compressed capture: name it .gz or .zst, or decompress it first"
            )
        text = _TEXT[self.r.error].format(a=self.r.error_a, b=self.r.error_b)
        if self.r.error == SE_VERSION and self.r.packets == 0:
            raise NotACapture(self.name, self.r.error_at, text)
        raise DamagedCapture(self.name, self.r.error_at, text)

    cdef raise_truncated(self):
        # The input ended inside a record.
        cdef size_t left = self.r.have - self.r.pos
        cdef uint64_t at = self.r.base + self.r.pos
        if self.r.format == FORMAT_UNKNOWN or (self.r.format == FORMAT_PCAPNG and at == 0):
            want = PCAP_HEADER if self.r.format == FORMAT_UNKNOWN and left >= 4 else max(4, self.r.need)
            raise NotACapture(
                self.name, 0,
                f"truncated dump file; tried to read {want} file header bytes, only got {left}",
            )
        if self.r.format == FORMAT_PCAPNG:
            what = "block header" if left < 12 else "block"
            raise DamagedCapture(
                self.name, at,
                f"truncated dump file; tried to read {self.r.need} bytes of a {what}, only got {left}",
            )
        if left < self.r.record_header:
            raise DamagedCapture(
                self.name, at,
                f"truncated dump file; tried to read {self.r.record_header} header bytes, only got {left}",
            )
        raise DamagedCapture(
            self.name, at,
            f"truncated dump file; tried to read {self.r.need - self.r.record_header} captured bytes, "
            f"only got {left - self.r.record_header}",
        )

    def next_batch(self) -> int:
        """Fill the batch with the next whole records; 0 at the end."""
        cdef uint32_t n
        cdef uint32_t i
        cdef uint16_t link = 0xffff
        while True:
            with nogil:
                n = scan(&self.r, self.packets)
            if n:
                break
            if self.r.error != SE_NONE:
                self.raise_error()
            if self.ended or self.refill() == 0:
                self.ended = True
                if self.r.have > self.r.pos or self.r.format == FORMAT_UNKNOWN:
                    self.raise_truncated()
                break
        self.n = n
        self.at = 0
        for i in range(n):
            if self.packets[i].link != link:
                link = self.packets[i].link
                self.links.add(link)
        return n

    @property
    def position(self) -> int:
        """Octets of the (decompressed) input handed out so far."""
        return self.r.base + self.r.pos

    @property
    def packets_read(self) -> int:
        """Records handed out so far."""
        return self.r.packets

    @property
    def format(self):
        """'pcap' or 'pcapng'; None before the first batch."""
        return {FORMAT_PCAP: "pcap", FORMAT_PCAPNG: "pcapng"}.get(self.r.format)

    @property
    def link_types(self) -> set:
        """LINKTYPE_ numbers of the records handed out so far."""
        return set(self.links)

    @property
    def anomalies(self) -> dict:
        """Oddities that are accepted, by name; only those that occurred."""
        named = {
            "caplen_over_snaplen": self.r.odd[<int> O_CAPLEN_OVER_SNAPLEN],
            "caplen_over_len": self.r.odd[<int> O_CAPLEN_OVER_LEN],
            "timestamp_out_of_range": self.r.odd[<int> O_TIMESTAMP],
            "pcapng_unknown_blocks": self.r.odd[<int> O_UNKNOWN_BLOCK],
        }
        return {name: count for name, count in named.items() if count}


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1
