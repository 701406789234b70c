# QUIC over UDP (RFC 8999 invariants, RFC 9000 v1, RFC 9369 v2, drafts 22..34 and their relatives):
# long headers are read, packets are walked by their length, nothing is decrypted here.
#
# Invariants: all-zero = fresh; each packet of a datagram takes >= 7 octets; a connection begins
# only at a long header of a version we know (a 32-bit match plus a consistent header), so random
# UDP does not become QUIC; short headers count only inside a known connection.
#
# The client's Initials (they carry the server name, under keys anybody can derive) are offered to
# a bounded queue; sensor/flow/quic_initial.py reads them off the hot path.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from sensor._native.app cimport AppVerdict, APP_NO, APP_YES
from sensor._native.counters cimport C_QUIC_CONNECTIONS
from sensor._native.packet cimport sensor_mum
from sensor._native.sink cimport AppSink, L_QUIC_HANDSHAKE, sink_count, sink_latency
from sensor._native.span cimport sensor_be32

cdef enum:
    QUIC_ID_MAX = 20
    QUIC_DATAGRAM_MIN = 1200       # a client's Initial is padded to it (RFC 9000 14.1)
    QUIC_INITIAL_MAX = 1500        # longer datagrams are not kept for the server name
    QUIC_QUEUE_LEN = 64
    QUIC_OFFERS = 4                # Initials kept per connection: a ClientHello takes 1 to 3
    QUIC_V1 = 0x00000001
    QUIC_V2 = 0x6B3343CF

cdef enum QuicType:                # the packet types of RFC 9000 17.2, as v1 numbers them
    Q_INITIAL = 0
    Q_0RTT = 1
    Q_HANDSHAKE = 2
    Q_RETRY = 3
    Q_NEGOTIATION = 4

cdef enum QuicFamily:
    QF_UNKNOWN = 0
    QF_V1 = 1                      # v1's packet layout and type numbers
    QF_V2 = 2                      # v1's layout, types one up
    QF_GREASED = 3                 # 0x?a?a?a?a: sent to provoke a version negotiation


cdef struct Quic:
    uint64_t initial_ns            # client's first Initial
    uint64_t server_ns             # initial to the server's first long header
    uint64_t handshake_ns          # server's first Handshake packet
    uint64_t first_id              # connection ids (quic_id): the client's first destination,
    uint64_t client_id             #   what the client calls itself,
    uint64_t server_id             #   what the server calls itself,
    uint64_t retry_id              #   what it called itself in a Retry
    uint32_t version
    uint8_t known                  # a connection was counted
    uint8_t initial                # the client's Initial was seen
    uint8_t swapped                # the responder is the QUIC client
    uint8_t answered               # server_ns is set
    uint8_t shook                  # handshake_ns is set
    uint8_t done                   # L_QUIC_HANDSHAKE was said (or cannot be)
    uint8_t offered                # Initials given to the queue


cdef struct QuicInitial:
    uint64_t serial                # of the flow
    uint32_t n
    uint8_t data[QUIC_INITIAL_MAX]

cdef struct QuicInitialQueue:
    uint32_t n                     # the reader empties it by n = 0
    uint64_t overflow              # Initials that found no room
    QuicInitial entry[QUIC_QUEUE_LEN]

cdef struct QuicLong:
    uint32_t version
    uint32_t family
    uint32_t type
    uint32_t size                  # of the whole packet
    uint64_t destination           # quic_id
    uint64_t source
    bint source_empty
    bint cut                       # the packet is longer than what was captured


cdef inline QuicFamily quic_family(uint32_t version) noexcept nogil:
    if version == QUIC_V1:
        return QF_V1
    if version == QUIC_V2:
        return QF_V2
    if version >> 8 == 0xFF0000 and 22 <= version & 0xFF <= 34:   # drafts
        return QF_V1
    if version >> 8 == 0xFACEB0:                         # mvfst
        return QF_V1
    if version == 0x51303530 or version == 0x54303530 or version == 0x54303531:
        return QF_V1                                     # Q050, T050, T051
    if version & 0x0F0F0F0F == 0x0A0A0A0A:
        return QF_GREASED
    return QF_UNKNOWN


cdef inline uint64_t quic_id(const uint8_t* p, uint32_t n) noexcept nogil:
    # A connection id as one number. Who makes two ids collide hides one of his own connections.
    cdef uint64_t h = <uint64_t> 0xA0761D6478BD642F ^ n
    cdef uint32_t i
    for i in range(n):
        h = sensor_mum(h ^ p[i], <uint64_t> 0xE7037ED1A0B428DB)
    return h


cdef inline bint quic_varint(const uint8_t* p, uint32_t n, uint32_t* at, uint64_t* value) noexcept nogil:
    # RFC 9000 16: the two top bits of the first octet say 1, 2, 4 or 8 octets.
    cdef uint32_t size, i
    cdef uint64_t v
    if at[0] >= n:
        return 0
    size = <uint32_t> 1 << (p[at[0]] >> 6)
    if n - at[0] < size:
        return 0
    v = p[at[0]] & 0x3F
    for i in range(1, size):
        v = v << 8 | p[at[0] + i]
    at[0] += size
    value[0] = v
    return 1


cdef inline bint quic_long(QuicLong* h, const uint8_t* p, uint32_t n) noexcept nogil:
    # The long-header packet that starts at p[0] (top bit set): 0 when it is none that we know.
    cdef uint32_t at, id_len
    cdef uint64_t length
    if n < 7:
        return 0
    h.version = sensor_be32(p + 1)
    h.family = quic_family(h.version)
    h.cut = 0
    if h.version != 0 and (h.family == QF_UNKNOWN or not p[0] & 0x40):
        return 0
    id_len = p[5]
    if id_len > QUIC_ID_MAX or n < 7 + id_len:
        return 0
    h.destination = quic_id(p + 6, id_len)
    at = 6 + id_len
    id_len = p[at]
    at += 1
    if id_len > QUIC_ID_MAX or n - at < id_len:
        return 0
    h.source = quic_id(p + at, id_len)
    h.source_empty = id_len == 0
    at += id_len
    h.size = n
    if h.version == 0:
        h.type = Q_NEGOTIATION
        return n > at and (n - at) % 4 == 0
    h.type = (p[0] >> 4) & 3
    if h.family == QF_V2:
        h.type = (h.type + 3) & 3
    if h.type == Q_RETRY:
        return n - at > 16                               # token, then a 16-octet integrity tag
    if h.type == Q_INITIAL:
        if not quic_varint(p, n, &at, &length):
            return 0
        if length > n - at:
            return 0
        at += <uint32_t> length
    if not quic_varint(p, n, &at, &length):
        return 0
    if length < 20:                                      # packet number, sample and tag
        return 0
    h.cut = length > n - at
    if not h.cut:
        h.size = at + <uint32_t> length
    return 1


cdef inline bint quic_starts(const QuicLong* h, const uint8_t* p, uint32_t n) noexcept nogil:
    # May this packet, the first of its datagram, begin a connection? A greased version matches one
    # number in 65536 by chance, so it has to look like a client's Initial in every other way:
    # full-sized, and nothing but zeros behind it.
    cdef uint32_t at
    if h.type == Q_RETRY or h.type == Q_NEGOTIATION:
        return 0
    if h.family != QF_GREASED:
        return 1
    if h.type != Q_INITIAL or h.cut or n < QUIC_DATAGRAM_MIN or p[5] < 8:
        return 0
    for at in range(h.size, n):
        if p[at] != 0:
            return 0
    return 1


cdef inline void quic_offer(
        Quic* s, const uint8_t* p, uint32_t n, QuicInitialQueue* queue, uint64_t serial) noexcept nogil:
    if s.offered >= QUIC_OFFERS or n > QUIC_INITIAL_MAX:
        return
    s.offered += 1
    if queue.n >= QUIC_QUEUE_LEN:
        queue.overflow += 1
        return
    queue.entry[queue.n].serial = serial
    queue.entry[queue.n].n = n
    memcpy(queue.entry[queue.n].data, p, n)
    queue.n += 1


cdef inline bint quic_same(const Quic* s, const QuicLong* h) noexcept nogil:
    # Is a client's Initial one more of the connection we know?
    return (h.destination == s.first_id or h.destination == s.server_id
            or h.destination == s.retry_id
            or (h.source == s.client_id and not h.source_empty))


cdef inline void quic_packet(Quic* s, AppSink* sink, bint from_orig, const QuicLong* h) noexcept nogil:
    # L_QUIC_HANDSHAKE is the sum of two halves, so that a server's pause between its first answer
    # and its Handshake packets (or a Retry round) is not in it:
    #   client's first Initial -> server's first long header   (capture point to server and back)
    #   server's first Handshake -> client's first Handshake   (capture point to client and back)
    # Bias: the server half holds the server's time to make its first answer; the client half the
    # client's time to check the certificate.
    cdef bint client
    if not s.known or (h.type == Q_INITIAL and s.initial and from_orig != s.swapped
                       and not quic_same(s, h)):
        memset(s, 0, sizeof(Quic))
        s.known = 1
        s.swapped = not from_orig
        s.version = h.version
        sink_count(sink, C_QUIC_CONNECTIONS, 1)
    client = from_orig != s.swapped
    if client:
        if h.type == Q_INITIAL and not s.initial:
            s.initial = 1
            s.first_id = s.server_id = s.retry_id = h.destination
            s.client_id = h.source
            s.initial_ns = sink.ts_ns
            s.done = s.answered                          # picked up in the middle: no latency
        if h.type == Q_HANDSHAKE and s.shook and not s.done:
            s.done = 1
            if sink.ts_ns >= s.handshake_ns:
                sink_latency(sink, L_QUIC_HANDSHAKE, 0, s.server_ns + (sink.ts_ns - s.handshake_ns))
        return
    if h.type == Q_NEGOTIATION:
        return
    s.version = h.version
    if h.type == Q_RETRY:
        s.retry_id = h.source
    else:
        s.server_id = h.source
    if not s.answered:
        s.answered = 1
        if not s.initial or sink.ts_ns < s.initial_ns:
            s.done = 1                                   # or time ran backwards: no sample
        else:
            s.server_ns = sink.ts_ns - s.initial_ns
    if h.type == Q_HANDSHAKE and not s.shook:
        s.shook = 1
        s.handshake_ns = sink.ts_ns


cdef inline AppVerdict quic_datagram(
        Quic* s, AppSink* sink, bint from_orig, const uint8_t* p, uint32_t n,
        QuicInitialQueue* queue, uint64_t serial) noexcept nogil:
    # One UDP payload. APP_YES: it belongs to QUIC; APP_NO: it does not (a known connection stays
    # known). `queue` may be NULL; `serial` is the flow's name in it.
    cdef QuicLong h
    cdef uint32_t at = 0
    if n == 0:
        return APP_NO
    if not p[0] & 0x80:
        return APP_YES if s.known and p[0] & 0x40 else APP_NO
    while at < n and p[at] & 0x80 and quic_long(&h, p + at, n - at):
        if not s.known and not quic_starts(&h, p, n):
            break
        quic_packet(s, sink, from_orig, &h)
        if (at == 0 and queue != NULL and h.type == Q_INITIAL and not h.cut and not s.shook
                and from_orig != s.swapped):
            quic_offer(s, p, n, queue, serial)
        at += h.size
    return APP_YES if at > 0 else APP_NO
