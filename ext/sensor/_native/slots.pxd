# One row per key that detection looks at: its counts of this second, and who is behind them.
#
# A SlotTable is a fixed array of Slots and a TagIndex. Four tables use it: services, hosts, sources
# and reflections (see detect.pxd).
#
# Invariants: slots [0, high) stand in the index; the counts of a slot belong to second `window` of
# the table, and are cleared when the slot is first touched in another one; `touched` lists each
# slot once per second. A full table gives up the first of CLOCK_STEPS slots at its hand that had
# nothing to say for IDLE_SECONDS (or said next to nothing), else refuses; new keys are at most
# ADMIT_A_TICK per 100 ms, so that made-up addresses cost little and push out nobody who stays.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from sensor._native.features cimport F_BYTES, F_COUNT, F_TELLING, G_COUNT, G_TELLING
from sensor._native.packet cimport sensor_mum
from sensor._native.sketch cimport (
    Hll, Marks, Mix, Top, hll_estimate, marks_estimate, mix_top_share, top_first)
from sensor._native.span cimport sensor_prefetch
from sensor._native.tag_index cimport (
    Bucket, TagIndex, ctz, index_bucket, index_insert, index_remove, sensor_bucket_match, tag_of)

cdef extern from *:
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil

cdef enum:
    NO_SLOT = 0xffffffff
    ADMIT_A_TICK = 512
    CLOCK_STEPS = 16
    IDLE_SECONDS = 10
    SCAN_SECONDS = 300           # how long a source's failures are remembered
    SLOT_PAD = 32

cdef struct Scan:                # of a source: its attempts that came to nothing, five minutes long
    Hll hosts
    Marks ports
    Marks services               # of these: ports that servers listen on
    Hll echoed                   # hosts it pinged
    Marks contacts               # (destination, port) pairs looked at: only the first counts
    uint32_t since               # second in which it began
    uint32_t failures
    uint32_t successes
    float score                  # TRW: log likelihood ratio in nats, scanner against benign

cdef struct Web:                 # of a service: what is asked for
    Marks uris
    Mix paths

cdef union Extra:
    Scan scan
    Web web

cdef struct Slot:                # what one event touches lies together: four or five lines of it
    # ---- line 0
    uint64_t hi                  # key: address in host byte order, port, protocol
    uint64_t lo
    uint16_t port
    uint8_t protocol
    uint8_t local
    uint32_t hash
    uint32_t generation
    uint32_t window
    uint32_t gauge[G_COUNT]
    # ---- of this second
    Hll peers                    # line 1
    Top top                      # lines 2 and 3
    uint32_t telling             # not 0: a count says something (see slot_count)
    uint32_t n[F_COUNT]
    Marks ports
    # ----
    Extra x                      # scan: lasts; web: of this second
    uint32_t rising[G_COUNT]     # the gauges that the running sweep is counting
    uint8_t pad[SLOT_PAD]        # to whole lines

cdef struct SlotRow:             # what Python gets of a slot (dtypes.SLOT)
    uint32_t slot
    uint32_t generation
    uint64_t address[2]          # network byte order
    uint64_t top_address[4][2]
    uint32_t top_count[4]        # most frequent first
    uint16_t top_port[4]
    uint32_t top_total
    float peers
    float ports
    float uris
    float uri_top
    float scan_hosts
    float scan_ports
    float scan_services
    float scan_echoed
    float scan_score
    uint32_t scan_failures
    uint32_t scan_successes
    uint32_t n[F_COUNT]
    uint32_t gauge[G_COUNT]
    uint16_t port
    uint8_t protocol
    uint8_t local

cdef struct SlotTable:
    Slot* slots
    uint32_t* touched
    TagIndex index
    uint32_t capacity            # power of two
    uint32_t high
    uint32_t hand
    uint32_t last                # slot found last
    uint32_t n_touched
    uint32_t window              # seconds since the start, for `Slot.window`; from 1
    uint32_t admit_left
    bint web                     # Extra holds Web, else Scan
    uint64_t refused
    uint64_t evicted


cdef inline uint32_t slot_hash(uint64_t hi, uint64_t lo, uint32_t port, uint8_t protocol,
                               const uint64_t* secret) noexcept nogil:
    cdef uint64_t h = sensor_mum(hi ^ secret[0], lo ^ secret[1])
    h = sensor_mum(h ^ port ^ (<uint64_t> protocol << 32), secret[2])
    return <uint32_t> (h ^ (h >> 32))


cdef inline void slot_wake(SlotTable* t, Slot* s, uint32_t i) noexcept nogil:
    # First touch in this second.
    if s.window == t.window:
        return
    s.window = t.window
    s.telling = 0
    memset(s.n, 0, sizeof(s.n))
    memset(&s.peers, 0, sizeof(Hll))
    memset(&s.ports, 0, sizeof(Marks))
    memset(&s.top, 0, sizeof(Top))
    if t.web:
        memset(&s.x.web, 0, sizeof(Web))
    elif s.x.scan.since and t.window - s.x.scan.since > SCAN_SECONDS:
        memset(&s.x.scan, 0, sizeof(Scan))
    t.touched[t.n_touched] = i
    t.n_touched += 1


cdef inline uint32_t slot_room(SlotTable* t) noexcept nogil:
    # A slot for a new key, out of the index; NO_SLOT: none to be had.
    cdef uint32_t i
    cdef uint32_t _k
    cdef uint32_t age
    cdef Slot* s
    if t.admit_left == 0:
        return NO_SLOT
    if t.high < t.capacity:
        t.high += 1
        return t.high - 1
    for _k in range(<uint32_t> CLOCK_STEPS):
        i = t.hand
        t.hand = (t.hand + 1) & (t.capacity - 1)
        s = &t.slots[i]
        age = t.window - s.window
        # One that spoke in this very second stays: its row is still to be handed out.
        if age > IDLE_SECONDS or (age > 0 and s.top.total <= 2):
            index_remove(&t.index, s.hash, i)
            t.evicted += 1
            return i
    return NO_SLOT


cdef inline void slot_prefetch(SlotTable* t, uint32_t hash) noexcept nogil:
    # The lines of the slot that this key most likely has.
    cdef Bucket* b = index_bucket(&t.index, hash)
    cdef uint32_t m = sensor_bucket_match(b, tag_of(hash))
    cdef Slot* s
    if m:
        s = &t.slots[b.entry[ctz(m)]]
        sensor_prefetch(s)
        sensor_prefetch(&s.peers)
        sensor_prefetch(&s.top)
        sensor_prefetch(<char*> &s.top + 64)
        sensor_prefetch(&s.n[<int> F_BYTES])


cdef inline Slot* slot_at(SlotTable* t, uint32_t hash, uint64_t hi, uint64_t lo, uint16_t port,
                          uint8_t protocol) noexcept nogil:
    # The key's slot, t.last then; made when it is new. NULL (counted): no room. `hash`: slot_hash()
    # of the key.
    cdef Slot* s = &t.slots[t.last]
    cdef uint32_t i
    cdef uint32_t m
    cdef uint32_t generation
    cdef Bucket* b
    if s.lo == lo and s.hi == hi and s.port == port and s.protocol == protocol and s.window:
        return s
    b = index_bucket(&t.index, hash)
    m = sensor_bucket_match(b, tag_of(hash))
    while m:
        i = b.entry[ctz(m)]
        s = &t.slots[i]
        if s.lo == lo and s.hi == hi and s.port == port and s.protocol == protocol:
            t.last = i
            return s
        m &= m - 1
    i = NO_SLOT if sensor_bucket_match(b, 0) == 0 else slot_room(t)
    if i == NO_SLOT:
        t.refused += 1
        return NULL
    t.admit_left -= 1
    index_insert(&t.index, hash, i)
    s = &t.slots[i]
    generation = s.generation
    memset(s, 0, sizeof(Slot))
    s.generation = generation + 1
    s.hi = hi
    s.lo = lo
    s.port = port
    s.protocol = protocol
    s.hash = hash
    t.last = i
    slot_wake(t, s, i)
    return s


cdef inline Slot* slot_get(SlotTable* t, uint32_t hash, uint64_t hi, uint64_t lo, uint16_t port,
                           uint8_t protocol) noexcept nogil:
    # The same, awake: to be counted in.
    cdef Slot* s = slot_at(t, hash, hi, lo, port, protocol)
    if s != NULL:
        slot_wake(t, s, t.last)
    return s


cdef inline void slots_next_second(SlotTable* t) noexcept nogil:
    t.n_touched = 0
    t.window += 1


cdef inline void slots_age(SlotTable* t, uint32_t seconds) noexcept nogil:
    # Seconds in which nothing happened; what was counted since the last one belongs to the next.
    cdef uint32_t i
    t.window += seconds
    for i in range(t.n_touched):
        t.slots[t.touched[i]].window = t.window


cdef inline void slots_wake_gauges(SlotTable* t) noexcept nogil:
    # Before the rows are taken: a key whose gauges say something has a row though it was quiet.
    cdef uint32_t i
    cdef uint32_t k
    cdef uint32_t any
    for i in range(t.high):
        any = 0
        for k in range(<uint32_t> G_TELLING, <uint32_t> G_COUNT):
            any |= t.slots[i].gauge[k]
        if any:
            slot_wake(t, &t.slots[i], i)


cdef inline void slot_count(Slot* s, int what, uint32_t by) noexcept nogil:
    # `what`: a Feature. Once or twice is nothing, but for what counts singly; octets never say
    # anything by themselves.
    s.n[what] += by
    if what >= F_TELLING:
        s.telling |= by
    elif what >= F_BYTES and s.n[what] > 2:
        s.telling = 1


cdef inline bint slot_tells(const SlotTable* t, const Slot* s) noexcept nogil:
    # Whether its row is worth handing out.
    cdef uint32_t i
    if s.telling or s.top.total > 2 or (not t.web and s.x.scan.failures):
        return True
    for i in range(<uint32_t> G_TELLING, <uint32_t> G_COUNT):
        if s.gauge[i]:
            return True
    return False


cdef inline void slot_row(const SlotTable* t, uint32_t i, SlotRow* r) noexcept nogil:
    cdef Slot* s = &t.slots[i]
    cdef Top top = s.top
    cdef uint32_t k
    cdef uint32_t best
    r.slot = i
    r.generation = s.generation
    r.address[0] = __builtin_bswap64(s.hi)
    r.address[1] = __builtin_bswap64(s.lo)
    r.port = s.port
    r.protocol = s.protocol
    r.local = s.local
    for k in range(<uint32_t> F_COUNT):
        r.n[k] = s.n[k]
    for k in range(<uint32_t> G_COUNT):
        r.gauge[k] = s.gauge[k]
    r.peers = hll_estimate(&s.peers)
    r.ports = marks_estimate(&s.ports)
    r.top_total = top.total
    for k in range(4):
        best = top_first(&top)
        r.top_count[k] = top.key[best].count
        r.top_port[k] = top.key[best].port if top.key[best].count else 0
        r.top_address[k][0] = __builtin_bswap64(top.key[best].hi) if top.key[best].count else 0
        r.top_address[k][1] = __builtin_bswap64(top.key[best].lo) if top.key[best].count else 0
        top.key[best].count = 0
    r.uris = r.uri_top = 0
    r.scan_hosts = r.scan_ports = r.scan_services = r.scan_echoed = r.scan_score = 0
    r.scan_failures = r.scan_successes = 0
    if t.web:
        r.uris = marks_estimate(&s.x.web.uris)
        r.uri_top = mix_top_share(&s.x.web.paths)
    else:
        r.scan_hosts = hll_estimate(&s.x.scan.hosts)
        r.scan_ports = marks_estimate(&s.x.scan.ports)
        r.scan_services = marks_estimate(&s.x.scan.services)
        r.scan_echoed = hll_estimate(&s.x.scan.echoed)
        r.scan_score = s.x.scan.score
        r.scan_failures = s.x.scan.failures
        r.scan_successes = s.x.scan.successes
