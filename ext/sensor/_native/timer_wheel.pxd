# Idle timeouts on packet time: 1,024 slots of 100 ms, each an intrusive list of flow numbers.
#
# Lazy: the packet path only writes Flow.last_ns; when a slot comes round, a flow that is not idle
# yet is put where its deadline is. Invariants: a flow in use stands in exactly one slot; `tick` is
# the next slot to be processed. A jump of years turns the wheel once.
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from sensor._native.clock cimport NS_PER_TICK
from sensor._native.flow cimport Flow

cdef enum:
    WHEEL_SLOTS = 1024

cdef extern from *:
    """
    #define SENSOR_NIL 0xffffffffu
    """
    const uint32_t NIL "SENSOR_NIL"

cdef struct TimerWheel:
    uint32_t head[WHEEL_SLOTS]
    uint64_t tick


cdef inline void wheel_insert(TimerWheel* w, Flow* flows, uint32_t i,
                              uint64_t deadline_ns) noexcept nogil:
    cdef uint64_t tick = deadline_ns // NS_PER_TICK + 1
    cdef uint32_t s
    if tick < w.tick:
        tick = w.tick
    if tick - w.tick >= WHEEL_SLOTS:
        tick = w.tick + WHEEL_SLOTS - 1
    s = <uint32_t> (tick & (WHEEL_SLOTS - 1))
    flows[i].wheel_slot = <uint16_t> s
    flows[i].wheel_prev = NIL
    flows[i].wheel_next = w.head[s]
    if w.head[s] != NIL:
        flows[w.head[s]].wheel_prev = i
    w.head[s] = i


cdef inline void wheel_remove(TimerWheel* w, Flow* flows, uint32_t i) noexcept nogil:
    cdef Flow* f = &flows[i]
    if f.wheel_prev != NIL:
        flows[f.wheel_prev].wheel_next = f.wheel_next
    else:
        w.head[f.wheel_slot] = f.wheel_next
    if f.wheel_next != NIL:
        flows[f.wheel_next].wheel_prev = f.wheel_prev
