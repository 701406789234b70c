"""Test door: the records of a packet source as Python values."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t
from sensor._native.source cimport PacketSource


def batch(PacketSource source):
    """The records of the current batch: (ts_ns, caplen, len, link, interface, octets)."""
    cdef uint32_t i
    found = []
    for i in range(source.at, source.n):
        found.append((
            source.packets[i].ts_ns,
            source.packets[i].caplen,
            source.packets[i].len,
            source.packets[i].link,
            source.packets[i].interface,
            PyBytes_FromStringAndSize(<const char*> source.packets[i].data,
                                      source.packets[i].caplen),
        ))
    return found


def records(PacketSource source):
    """Every record of a source: (ts_ns, caplen, len, link, octets), as an iterator."""
    while source.next_batch():
        for ts_ns, caplen, length, link, _, octets in batch(source):
            yield ts_ns, caplen, length, link, octets


def totals(PacketSource source):
    """(packets, octets on the wire, captured octets) of the rest of a source."""
    cdef uint32_t i
    cdef unsigned long long packets = 0, wire = 0, captured = 0
    while source.next_batch():
        for i in range(source.n):
            wire += source.packets[i].len
            captured += source.packets[i].caplen
        packets += source.n
    return packets, wire, captured
