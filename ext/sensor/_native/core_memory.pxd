# Taking and giving back the arenas of a Core.
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from sensor._native.app_dns cimport DnsTable
from sensor._native.app_echo cimport EchoTable
from sensor._native.app_quic cimport QuicInitialQueue
from sensor._native.app_state cimport App
from sensor._native.core cimport Core
from sensor._native.decode_state cimport Decoder, decoder_init
from sensor._native.detect_memory cimport detect_free, detect_new
from sensor._native.dns_cache cimport DnsCache
from sensor._native.flow cimport Flow
from sensor._native.half_open cimport HalfOpen
from sensor._native.memory cimport arena_free, arena_new
from sensor._native.rows cimport ROWS_MAX, TEXT_MAX, FlowRow
from sensor._native.tag_index cimport BUCKET_SLOTS, Bucket
from sensor._native.timer_wheel cimport NIL, WHEEL_SLOTS, TimerWheel
from sensor._native.window cimport Window, window_clear

cdef enum:
    APPS = 65535                   # an App number has 16 bits; NO_APP is none


cdef inline uint32_t power_of_two(uint32_t n) noexcept nogil:
    cdef uint32_t p = 64
    while p < n and p < <uint32_t> 1 << 30:
        p <<= 1
    return p


cdef inline void core_free(Core* c) noexcept nogil:
    cdef int i
    if c == NULL:
        return
    arena_free(c.flows, c.flow_capacity * sizeof(Flow))
    arena_free(c.index.buckets, (<size_t> c.index.mask + 1) * sizeof(Bucket))
    arena_free(c.half_open.ring, c.half_open.capacity * sizeof(HalfOpen))
    arena_free(c.half_open.index.buckets, (<size_t> c.half_open.index.mask + 1) * sizeof(Bucket))
    arena_free(c.apps, c.app_capacity * sizeof(App))
    arena_free(c.wheel, sizeof(TimerWheel))
    arena_free(c.dns, sizeof(DnsTable))
    if not c.names_shared:
        arena_free(c.names, sizeof(DnsCache))
    arena_free(c.echoes, sizeof(EchoTable))
    arena_free(c.initials, sizeof(QuicInitialQueue))
    arena_free(c.decoder, sizeof(Decoder))
    detect_free(c.detect)
    arena_free(c.rows.rows, ROWS_MAX * sizeof(FlowRow))
    arena_free(c.rows.text, TEXT_MAX)
    for i in range(2):
        arena_free(c.windows[i], sizeof(Window))
    arena_free(c, sizeof(Core))


cdef inline Core* core_new(uint32_t flows, uint32_t half_open, const uint8_t* secret,
                           uint64_t window_ns, bint keep_rows, bint features,
                           DnsCache* names) noexcept nogil:
    # NULL without memory. `secret`: 40 octets. `names`: another Core's, which outlives this one.
    cdef Core* c = <Core*> arena_new(sizeof(Core))
    cdef int i
    if c == NULL:
        return NULL
    memcpy(c.secret, secret, 40)
    c.window_ns = window_ns
    c.flow_capacity = power_of_two(flows)
    # 8 slots a bucket, a quarter full: overflow is rare
    c.index.mask = c.flow_capacity // 2 - 1
    c.half_open.capacity = power_of_two(half_open)
    c.half_open.index.mask = c.half_open.capacity // 2 - 1    # a quarter full: overflow is rare
    c.app_capacity = APPS if c.flow_capacity > APPS else c.flow_capacity
    c.flow_free = c.app_free = NIL
    c.rows.keep = keep_rows
    c.flows = <Flow*> arena_new(c.flow_capacity * sizeof(Flow))
    c.index.buckets = <Bucket*> arena_new((<size_t> c.index.mask + 1) * sizeof(Bucket))
    c.half_open.ring = <HalfOpen*> arena_new(c.half_open.capacity * sizeof(HalfOpen))
    c.half_open.index.buckets = <Bucket*> arena_new((<size_t> c.half_open.index.mask + 1) * sizeof(Bucket))
    c.apps = <App*> arena_new(c.app_capacity * sizeof(App))
    c.wheel = <TimerWheel*> arena_new(sizeof(TimerWheel))
    c.dns = <DnsTable*> arena_new(sizeof(DnsTable))
    c.names_shared = names != NULL
    c.names = names if c.names_shared else <DnsCache*> arena_new(sizeof(DnsCache))
    c.echoes = <EchoTable*> arena_new(sizeof(EchoTable))
    c.initials = <QuicInitialQueue*> arena_new(sizeof(QuicInitialQueue))
    c.decoder = <Decoder*> arena_new(sizeof(Decoder))
    c.rows.rows = <FlowRow*> arena_new(ROWS_MAX * sizeof(FlowRow))
    c.rows.text = <uint8_t*> arena_new(TEXT_MAX)
    c.detect = detect_new(c.secret) if features else NULL
    for i in range(2):
        c.windows[i] = <Window*> arena_new(sizeof(Window))
    if (c.flows == NULL or c.index.buckets == NULL or c.half_open.ring == NULL
            or c.half_open.index.buckets == NULL or c.apps == NULL or c.wheel == NULL or c.dns == NULL
            or c.names == NULL or c.echoes == NULL or c.initials == NULL or c.decoder == NULL
            or c.rows.rows == NULL or c.rows.text == NULL or c.windows[0] == NULL
            or c.windows[1] == NULL or (features and c.detect == NULL)):
        core_free(c)
        return NULL
    decoder_init(c.decoder, c.secret)
    memcpy(c.dns.secret, c.secret, 16)
    if not c.names_shared:
        memcpy(c.names.secret, &c.secret[1], 16)
    memcpy(c.echoes.secret, &c.secret[2], 16)
    memset(c.wheel.head, 0xff, sizeof(c.wheel.head))   # NIL
    c.epoch = 1
    window_clear(c.windows[0], 1)
    window_clear(c.windows[1], 2)
    c.now = c.windows[0]
    c.sink.latency = c.now.latency
    c.sink.status = c.now.status
    return c
