"""Capture files as batches of packets, straight out of one reused read buffer.

The formats are in pcap.pxd and pcapng.pxd; this file brings the octets and tells what went wrong.
"""
# Invariants: buffer[start..end) is what was read and not yet consumed, end <= room; buffer[0] is at
# `base` in the file. The packets of a batch point into buffer[0..start): only refill(), called by
# the next next_batch(), moves or overwrites octets.

from cpython.buffer cimport PyBUF_WRITE
from cpython.exc cimport PyErr_CheckSignals
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memmove, strerror
from posix.unistd cimport close, read
from sensor._native cimport capfile as c
from sensor._native.capfile cimport (
    A_COUNT, Capfile, FORMAT_PCAPNG, LINK_WORDS, STOP_FAULT, capfile_free, capfile_init,
)
from sensor._native.savefile cimport (
    SNIFF, savefile_cut, savefile_header, savefile_records,
)
from sensor._native.source cimport PacketSource

from sensor.errors import DamagedCapture, InputMissing, NotACapture

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN
    int poll(pollfd* fds, unsigned long n, int timeout)

cdef enum:
    READ_SIZE = 1048576          # one read(), and the size of the buffer until a record is longer
    READS_AHEAD = 15             # of a file, before Python is asked again

ANOMALY_NAMES = {
    c.A_CAPLEN_OVER_SNAPLEN: "capture_length_over_snaplen",
    c.A_CAPLEN_OVER_LEN: "capture_length_over_length",
    c.A_LENGTH: "length_clamped",
    c.A_FRACTION: "timestamp_fraction",
    c.A_TIME_CLAMPED: "timestamp_clamped",
    c.A_TIME_PAST_2038: "timestamp_past_2038",
    c.A_TIME_BACKWARDS: "timestamp_backwards",
    c.A_TIME_MISSING: "timestamp_missing",
    c.A_UNKNOWN_BLOCK: "unknown_block",
    c.A_INTERFACES: "interfaces_over_limit",
}

NOT_A_CAPTURE = {
    c.FAULT_EMPTY: "not a capture: the file is empty",
    c.FAULT_SHORT_HEADER: "not a capture: a file header has {a} octets, this file only {b}",
    c.FAULT_MAGIC: "not a capture: unknown file format (first octets {a:08x})",
    c.FAULT_VERSION: "unsupported pcap version {a}.{b}",
    c.FAULT_NG_VERSION: "unsupported pcapng version {a}.{b}",
    c.FAULT_BYTE_ORDER: "not a capture: pcapng section with byte-order magic {a:08x}",
}

COMPRESSED = [
    "compressed capture: name it .gz or decompress first",
    "compressed capture: name it .zst or decompress first",
    "compressed capture (xz): decompress first",
    "compressed capture (bzip2): decompress first",
    "compressed capture (lz4): decompress first",
]

DAMAGE = {
    c.FAULT_CUT_RECORD_HEADER: "truncated: {a} octets of record header wanted, only {b} there",
    c.FAULT_CUT_PACKET: "truncated: {a} captured octets wanted, only {b} there",
    c.FAULT_CUT_BLOCK_HEADER: "truncated: {a} octets of block header wanted, only {b} there",
    c.FAULT_CUT_BLOCK: "truncated: block of {a} octets, only {b} there",
    c.FAULT_CAPLEN: "invalid captured length {a}, more than the maximum {b}",
    c.FAULT_BLOCK_SHORT: "block of type {a} has length {b}, too short for its type",
    c.FAULT_BLOCK_LONG: "block of type {a} has length {b}, more than the maximum 16777216",
    c.FAULT_BLOCK_UNALIGNED: "block of type {a} has length {b}, not a multiple of 4",
    c.FAULT_BLOCK_TRAILER: "block length {a} is {b} at the block's end",
    c.FAULT_BYTE_ORDER: "section with byte-order magic {a:08x}",
    c.FAULT_SECTION_VERSION: "section with unsupported pcapng version {a}.{b}",
    c.FAULT_NO_INTERFACE: "packet block of type {a} before any interface description",
    c.FAULT_INTERFACE: "packet of interface {a}, but the section describes only {b}",
    c.FAULT_INTERFACE_LIMIT: "packet of interface {a}: only 65535 a section are supported",
    c.FAULT_BLOCK_CAPLEN: "captured length {a}, but its block has room for {b}",
    c.FAULT_OPTION: "interface option {a} of {b} octets overruns its block",
    c.FAULT_OPTION_SIZE: "interface option {a} has invalid length {b}",
    c.FAULT_TSRESOL: "interface time resolution {a}^-{b} is too fine",
    c.FAULT_MEMORY: "out of memory",
}


cdef class Savefile(PacketSource):
    """A pcap or pcapng file, read in batches.

    `source` is a file descriptor (owned from here on: `close()` closes it) or an object with
    `readinto(buffer) -> int` that raises OSError when it cannot go on; its attribute `position`,
    if it has one, counts the octets of input it has used. `size` is the input's size in octets,
    None when it has no end that is known.

    Raises NotACapture (exit 66) or InputMissing (exit 66) here, DamagedCapture (exit 65) from
    `next_batch()` once every packet before the damage has been delivered.
    """

    cdef Capfile f
    cdef uint8_t* buffer
    cdef size_t room
    cdef size_t start
    cdef size_t end
    cdef uint64_t base
    cdef uint64_t delivered
    cdef int fd
    cdef uint32_t reads_left
    cdef bint eof
    cdef bint opened
    cdef object stream
    cdef object read_error
    cdef readonly str path
    cdef readonly object size

    def __cinit__(self):
        capfile_init(&self.f)
        self.fd = -1
        self.buffer = <uint8_t*> malloc(READ_SIZE)
        if self.buffer == NULL:
            raise MemoryError
        self.room = READ_SIZE

    def __init__(self, source: object, path: str, size: int | None = None):
        if self.opened:
            raise RuntimeError("a Savefile is opened once")
        self.opened = True
        self.path = path
        self.size = size
        if isinstance(source, int):
            self.fd = source
        else:
            self.stream = source
        while self.end < SNIFF and not self.eof:
            self.refill()
        if self.read_error is not None and self.end < SNIFF:
            self.close()
            raise InputMissing(self.path, self.read_error)
        self.start = savefile_header(&self.f, self.buffer, self.end)
        if self.f.stop == STOP_FAULT:
            error = self.error(NOT_A_CAPTURE, NotACapture)
            self.close()
            raise error

    def __dealloc__(self):
        capfile_free(&self.f)
        free(self.buffer)
        if self.fd >= 0:
            close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End here: the current batch is gone, and the descriptor or stream is closed."""
        self.n = self.at = 0
        self.start = self.end = 0
        self.eof = True
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1
        if self.stream is not None and hasattr(self.stream, "close"):
            self.stream.close()

    def next_batch(self) -> int:
        """Fill the batch with the next records, at most 512; 0 at the end of the file."""
        cdef size_t used
        self.n = self.at = 0
        self.reads_left = READS_AHEAD
        while True:
            if self.f.stop == STOP_FAULT:
                raise self.error(DAMAGE, DamagedCapture)
            with nogil:
                used = savefile_records(
                    &self.f, self.buffer + self.start, self.end - self.start,
                    self.packets, &self.n,
                )
            self.start += used
            if self.n:
                self.delivered += self.n
                self.note()
                return self.n
            if self.f.stop == STOP_FAULT:
                continue
            if not self.eof:
                self.refill()
            elif self.read_error is not None:
                self.f.stop = STOP_FAULT
                self.f.fault = c.FAULT_READ
            elif self.start < self.end:
                savefile_cut(&self.f, self.end - self.start)
            else:
                return 0

    cdef uint32_t more(self) noexcept nogil:
        # (In-place operators would need the GIL in the checked builds.)
        cdef size_t used
        cdef ssize_t got
        self.n = self.at = 0
        while self.f.stop != STOP_FAULT and not self.by_batch:
            used = savefile_records(&self.f, self.buffer + self.start, self.end - self.start,
                                    self.packets, &self.n)
            self.start = self.start + used
            if self.n:
                self.delivered = self.delivered + self.n
                self.note()
                return self.n
            if self.fd < 0 or self.reads_left == 0 or self.f.need > self.room:
                return 0
            self.to_front()
            got = read(self.fd, self.buffer + self.end, self.room - self.end)
            if got <= 0:
                return 0                 # next_batch() will see why
            self.end = self.end + <size_t> got
            self.reads_left = self.reads_left - 1
        return 0

    cdef void to_front(self) noexcept nogil:
        cdef size_t left = self.end - self.start
        if self.start:
            memmove(self.buffer, self.buffer + self.start, left)
            self.base = self.base + self.start
            self.start = 0
            self.end = left

    cdef int refill(self) except -1:
        # Move what is left to the front, make room for the record that is wanted, read once.
        cdef void* grown
        self.to_front()
        if self.f.need > self.room:
            grown = realloc(self.buffer, self.f.need)
            if grown == NULL:
                raise MemoryError
            self.buffer = <uint8_t*> grown
            self.room = self.f.need
        if self.stream is not None:
            self.refill_from_stream()
        else:
            self.refill_from_fd()
        return 0

    cdef int refill_from_fd(self) except -1:
        cdef ssize_t got
        cdef int err
        cdef pollfd wanted
        while True:
            with nogil:
                got = read(self.fd, self.buffer + self.end, self.room - self.end)
                err = errno
            if got > 0:
                self.end += <size_t> got
                return 0
            if got == 0:
                self.eof = True
                return 0
            if err == EAGAIN:            # somebody made our standard input non-blocking
                wanted.fd = self.fd
                wanted.events = POLLIN
                with nogil:
                    poll(&wanted, 1, -1)
            elif err != EINTR:
                self.eof = True
                self.read_error = strerror(err).decode()
                return 0
            PyErr_CheckSignals()

    cdef int refill_from_stream(self) except -1:
        cdef size_t free_octets = self.room - self.end
        view = PyMemoryView_FromMemory(
            <char*> (self.buffer + self.end), <Py_ssize_t> free_octets, PyBUF_WRITE
        )
        try:
            got = self.stream.readinto(view)
        except OSError as e:
            self.eof = True
            self.read_error = e.strerror or str(e)
            return 0
        finally:
            view.release()
        if not 0 <= got <= free_octets:
            raise ValueError(f"readinto() returned {got} for a buffer of {free_octets}")
        self.end += <size_t> got
        self.eof = got == 0
        return 0

    cdef object error(self, dict reasons, object kind):
        # The fault as an exception of `kind`, at the record that is next.
        if self.f.fault == c.FAULT_READ:
            reason = f"cannot read on: {self.read_error}"
        elif self.f.fault == c.FAULT_COMPRESSED:
            reason = COMPRESSED[self.f.a]
        else:
            reason = reasons[self.f.fault].format(a=self.f.a, b=self.f.b)
        return kind(self.path, self.position, reason)

    @property
    def position(self) -> int:
        """Octets consumed of the capture (of its decompressed form)."""
        return self.base + self.start

    @property
    def input_position(self) -> int:
        """Octets consumed of the input, to set against `size` in a progress bar."""
        if self.stream is not None:
            return getattr(self.stream, "position", self.position)
        return self.position

    @property
    def packets_read(self) -> int:
        """Packets delivered so far."""
        return self.delivered

    @property
    def anomalies(self) -> dict[str, int]:
        """What was odd but readable, by name; only what happened."""
        return {
            ANOMALY_NAMES[i]: self.f.anomalies[i] for i in range(A_COUNT) if self.f.anomalies[i]
        }

    @property
    def link_types(self) -> list[int]:
        """LINKTYPE_ numbers declared so far, ascending."""
        return [
            64 * w + b
            for w in range(LINK_WORDS) if self.f.links[w]
            for b in range(64) if (self.f.links[w] >> b) & 1
        ]

    @property
    def format(self) -> str:
        """"pcap" or "pcapng"."""
        return "pcapng" if self.f.format == FORMAT_PCAPNG else "pcap"

    @property
    def nanosecond(self) -> bool:
        """Whether times are finer than microseconds (on any interface so far)."""
        return self.f.nano != 0
