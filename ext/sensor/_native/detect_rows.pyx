"""Detection's rows of a second on their way to Python: read, or raw for another engine's."""

import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from sensor._native import dtypes

from sensor._native.detect cimport Detect, TABLES
from sensor._native.detect_merge cimport slot_goes, slot_leave
from sensor._native.sketch cimport hll_estimate
from sensor._native.slots cimport Slot, SlotRow, SlotTable, slot_row, slot_tells, slots_wake_gauges

TABLE_NAMES = ("service", "host", "source", "reflection")
HANDSHAKES_TO_JUDGE = 20   # before the share of one-way connections says something

if dtypes.SLOT.itemsize != sizeof(SlotRow):
    raise ImportError(f"dtypes.SLOT is {dtypes.SLOT.itemsize} octets, C has {sizeof(SlotRow)}")
if sizeof(Slot) % 64:
    raise ImportError(f"a slot has {sizeof(Slot)} octets: SLOT_PAD has to fill its last line")


cdef object copy_out(const void* p, size_t n, object dtype):
    # A NumPy copy of n octets of native memory.
    cdef const unsigned char[::1] view
    if n == 0:
        return np.empty(0, dtype)
    view = <const unsigned char[:n]> p
    # As octets: a structured copy goes field by field.
    return np.frombuffer(view, np.uint8).copy().view(dtype)


cdef dict slot_tables(Detect* d):
    # Rows of dtypes.SLOT by table: the keys that this second has something to tell of.
    cdef SlotTable* t
    cdef uint32_t i
    cdef uint32_t n
    cdef int k
    tables = {}
    for k in range(<int> TABLES):
        t = &d.table[k]
        slots_wake_gauges(t)
        n = 0
        with nogil:
            for i in range(t.n_touched):
                if slot_tells(t, &t.slots[t.touched[i]]):
                    slot_row(t, t.touched[i], &(<SlotRow*> d.rows)[n])
                    n += 1
        tables[TABLE_NAMES[k]] = copy_out(d.rows, n * sizeof(SlotRow), dtypes.SLOT)
    return tables


cdef list slot_parts(Detect* d):
    # By table, the slots that have to be known elsewhere, raw: arrays of octets for slot_merge().
    cdef SlotTable* t
    cdef uint32_t i
    cdef uint32_t n
    cdef int k
    cdef unsigned char[::1] out
    parts = []
    for k in range(<int> TABLES):
        t = &d.table[k]
        n = 0
        for i in range(t.high):
            n += slot_goes(t, &t.slots[i])
        room = np.empty(n * sizeof(Slot), np.uint8)
        parts.append(room)
        if n == 0:
            continue
        out = room
        n = 0
        with nogil:
            for i in range(t.high):
                if slot_goes(t, &t.slots[i]):
                    slot_leave(t, &t.slots[i], &(<Slot*> &out[0])[n])
                    n += 1
    return parts


cdef object sensor_row(Detect* d, uint64_t packets, uint64_t octets):
    # The one row of the table "sensor".
    row = np.zeros(1, dtypes.SENSOR)
    row["packets"] = packets
    row["bytes"] = octets
    row["dhcp_requests"] = d.dhcp_requests
    row["dhcp_clients"] = hll_estimate(&d.dhcp_clients)
    both = d.two_way + d.one_way
    row["one_way_share"] = d.one_way / both if both >= HANDSHAKES_TO_JUDGE else float("nan")
    return row
