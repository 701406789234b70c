"""What the engines of one agent saw of a second, each of its share of the packets, as one."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy as np

from sensor._native.clock cimport NS_PER_SECOND
from sensor._native.detect cimport Detect, T_SERVICE, TABLES
from sensor._native.detect_count cimport detect_begin, detect_next
from sensor._native.detect_memory cimport detect_free, detect_new
from sensor._native.detect_merge cimport gauges_clear, slot_merge, slot_stands
from sensor._native.detect_rows cimport sensor_row, slot_tables
from sensor._native.sketch cimport Hll, hll_merge
from sensor._native.slots cimport Slot


cdef object quiet(uint8_t[::1] raw):
    # The slots of a part of which anything stands, as in a second in which nothing happened.
    cdef uint32_t n = <uint32_t> (raw.shape[0] // sizeof(Slot))
    cdef uint32_t i
    cdef uint32_t kept = 0
    cdef uint8_t[::1] out
    cdef Slot* slots
    room = np.array(raw)
    if n == 0:
        return room
    out = room
    slots = <Slot*> &out[0]
    for i in range(n):
        if slot_stands(&slots[i]):
            slots[kept] = slots[i]
            slots[kept].window = 0
            kept += 1
    return room[:kept * sizeof(Slot)].copy()


cdef class Merger:
    """Features of several engines' parts (Engine.take_part()).

    secret: the engines' 40 octets. A key keeps its row number over the seconds, as in an engine.
    Counts, octets, peers and scans are as one engine would have them; who is most frequent may differ
    where a second has more than four candidates.
    """

    cdef Detect* d
    cdef dict standing           # by share: its services, as they stood after its last second
    cdef dict handshakes         # by share: seen from both sides and from one, after its last second

    def __cinit__(self, bytes secret):
        cdef uint64_t words[5]
        if len(secret) != 40:
            raise ValueError("secret must have 40 octets")
        memcpy(words, <char*> secret, 40)
        self.d = detect_new(words)
        if self.d == NULL:
            raise MemoryError("no memory for the tables of detection")
        self.standing = {}
        self.handshakes = {}

    def __dealloc__(self):
        detect_free(self.d)

    cdef add(self, int k, const uint8_t[::1] raw):
        cdef uint32_t n = <uint32_t> (raw.shape[0] // sizeof(Slot))
        cdef uint32_t i
        cdef const Slot* slots
        if n == 0:
            return
        slots = <const Slot*> &raw[0]
        with nogil:
            for i in range(n):
                slot_merge(&self.d.table[k], &slots[i])

    def merge(self, list parts) -> dict:
        """faces.Features of parts of one second, at least one."""
        cdef Detect* d = self.d
        cdef const uint8_t[::1] clients
        cdef int k
        start_ns = min(part["start_ns"] for part in parts)
        detect_begin(d, start_ns, NS_PER_SECOND)
        for k in range(<int> TABLES):
            d.table[k].admit_left = d.table[k].capacity    # they were admitted where they came from
            gauges_clear(&d.table[k])
        for part in parts:
            for k in range(<int> TABLES):
                self.add(k, part["slots"][k])
            self.standing.pop(part["share"], None)
            clients = part["dhcp_clients"]
            hll_merge(&d.dhcp_clients, <const Hll*> &clients[0])
            d.dhcp_requests += <uint32_t> part["dhcp_requests"]
            self.handshakes[part["share"]] = (part["two_way"], part["one_way"])
        d.two_way = sum(both for both, _ in self.handshakes.values())
        d.one_way = sum(one for _, one in self.handshakes.values())
        for slots in self.standing.values():
            self.add(<int> T_SERVICE, slots)
        for part in parts:
            self.standing[part["share"]] = quiet(part["slots"][<int> T_SERVICE])
        tables = slot_tables(d)
        for name in ("domain", "neighbour", "announcement"):
            tables[name] = np.concatenate([part["tables"][name] for part in parts])
        tables["sensor"] = sensor_row(
            d, sum(part["packets"] for part in parts), sum(part["bytes"] for part in parts))
        detect_next(d)
        return {
            "start_ns": start_ns, "end_ns": max(part["end_ns"] for part in parts), "tables": tables}
