# TLS over TCP (RFC 8446, 5246, 6066, 7301): records are walked by their length, the handshake is
# read while it is in clear, nothing is stored but the few fields that are wanted.
#
# Invariants: all-zero = fresh; every loop pass consumes at least one octet; counters depend on the
# octets and their order only, never on how they were cut into segments (a side that lost its place
# is the exception: it takes up again where a segment begins with a record header).
#
# side[1] is the originator's direction, side[0] the responder's.  A side is
#   fresh -> in step -> lost (octets missing; waits for a record at a segment start) -> in step ...
#                    -> dead (not TLS any more: one parse error, the rest is ignored)
# and, apart from that, `opaque` once its handshake messages are encrypted.
#
# A hello is read as "pass over `skip` octets, of which the first `keep` are copied; then read a
# number of `need` octets; then hello_step() says what that number was and what comes next".
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from sensor._native.app cimport AppVerdict, APP_NO, APP_MAYBE, APP_YES
from sensor._native.counters cimport (
    C_APP_LOST_SYNC, C_HTTPS_TURNS, C_TLS_CLIENT_HELLOS, C_TLS_ERRORS, C_TLS_FATAL_ALERTS,
    C_TLS_PARSE_ERRORS, C_TLS_SERVER_HELLOS)
from sensor._native.sink cimport (
    AppSink, L_TLS_HANDSHAKE, NAME_MAX, NAME_SNI, sink_count, sink_latency, sink_name)
from sensor._native.span cimport sensor_be32

cdef enum:
    TLS_CHANGE_CIPHER = 20
    TLS_ALERT = 21
    TLS_HANDSHAKE = 22
    TLS_DATA = 23
    TLS_HEARTBEAT = 24
    TLS_V2_HELLO = 0x80            # SSLv2-framed ClientHello: not a TLS content type
    TLS_RECORD_MAX = 16640         # 2^14 + 256 (RFC 8446 5.2); TLS 1.2's 2^14 + 2048 is not used
    TLS_13 = 0x0304
    TLS_CONTROL_MAX = 13           # content of an HTTP/2 control frame, or of an alert

    MSG_CLIENT_HELLO = 1
    MSG_SERVER_HELLO = 2
    MSG_CERTIFICATE = 11
    HELLO_MAX = 131396             # the largest ClientHello its length fields can express

    EXT_SERVER_NAME = 0
    EXT_ALPN = 16
    EXT_SESSION_TICKET = 35
    EXT_PRE_SHARED_KEY = 41
    EXT_SUPPORTED_VERSIONS = 43
    ALPN_MAX = 16

    OFFERED_SESSION = 1            # a session id (below TLS 1.3)
    OFFERED_TICKET = 2             # a ticket or a pre-shared key

cdef enum TlsHelloState:           # which number of the hello comes next
    H_VERSION
    H_SESSION_LEN
    H_CIPHERS_LEN
    H_CIPHER
    H_COMPRESSION
    H_EXTENSIONS_LEN
    H_EXTENSION
    H_NAME
    H_ALPN_LIST
    H_ALPN_LEN
    H_ALPN_PAIR
    H_VERSIONS_LEN
    H_VERSION_OFFERED
    H_VERSION_CHOSEN
    H_END                          # nothing more is wanted of this message

cdef enum TlsKeep:                 # what the kept octets are
    KEEP_RANDOM
    KEEP_NAME
    KEEP_ALPN


cdef struct TlsSide:
    uint64_t record_ns             # time of the current record's first octet
    uint64_t head                  # record header octets so far
    uint64_t number                # hello: the number being read
    uint32_t record_left           # octets of the record body to come
    uint32_t message_left          # octets of the handshake message to come
    uint32_t message_head          # handshake header octets so far
    uint32_t skip                  # hello: octets to pass over
    uint16_t extension_left        # hello: octets of the extension not yet spoken for
    uint16_t keep                  # hello: of `skip`, the first ones to copy
    uint16_t kept
    uint8_t keep_what              # TlsKeep
    uint8_t need                   # hello: octets of the number to come
    uint8_t state                  # TlsHelloState
    uint8_t hello                  # MSG_CLIENT_HELLO, MSG_SERVER_HELLO or 0
    uint8_t type                   # content type of the current record
    uint8_t head_n
    uint8_t message_n
    uint8_t in_step                # a record header was accepted
    uint8_t lost
    uint8_t dead
    uint8_t opaque


cdef struct Tls:
    TlsSide side[2]
    uint64_t hello_ns              # first octet of the first ClientHello
    uint16_t version               # chosen by the server; 0 = unknown
    uint16_t offered               # highest version the client offered; 0 = unknown
    uint16_t cipher                # chosen by the server
    uint8_t swapped                # the responder is the TLS client
    uint8_t hello_seen
    uint8_t server_hello_seen      # a real one: not a HelloRetryRequest
    uint8_t retried                # HelloRetryRequest seen
    uint8_t done                   # handshake finished, application data flows
    uint8_t measured               # L_TLS_HANDSHAKE was said (or cannot be)
    uint8_t resumption_offered     # OFFERED_ bits of the ClientHello
    uint8_t resumed                # PSK accepted; below TLS 1.3: no certificate before the CCS
    uint8_t downgraded             # the server's random ends in DOWNGRD 00 or 01 (RFC 8446 4.1.3)
    uint8_t certificate_seen
    uint8_t fatal_alert            # description + 1 of the last fatal alert in clear
    uint8_t alert_level
    uint8_t turn                   # client application data waits for an answer
    uint8_t finished_passed        # TLS 1.3: the client's encrypted Finished was passed over
    uint8_t named
    uint8_t offers_h2
    uint8_t alpn_len               # the client's first choice; the server's, when that is in clear
    uint8_t sni_len
    uint8_t alpn[ALPN_MAX]
    uint8_t random[32]             # ServerHello.random
    uint8_t sni[NAME_MAX + 1]


cdef extern from *:
    """
    #include <string.h>
    /* SHA-256("HelloRetryRequest"), RFC 8446 4.1.3 */
    static const unsigned char sensor_tls_retry[32] = {
        0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
        0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C};
    static inline int sensor_tls_is_retry(const unsigned char *random) {
        return memcmp(random, sensor_tls_retry, 32) == 0; }
    static inline int sensor_tls_is_downgrade(const unsigned char *random) {
        return memcmp(random + 24, "DOWNGRD", 7) == 0 && random[31] <= 1; }
    """
    bint sensor_tls_is_retry(const uint8_t* random) noexcept nogil
    bint sensor_tls_is_downgrade(const uint8_t* random) noexcept nogil


# ---- the record header

cdef inline bint tls_header_ok(uint32_t type, uint32_t version, uint32_t length) noexcept nogil:
    # Only application data may be empty (RFC 8446 5.1, RFC 5246 6.2.1).
    return (TLS_CHANGE_CIPHER <= type <= TLS_HEARTBEAT and 0x0300 <= version <= TLS_13
            and length <= TLS_RECORD_MAX and (length > 0 or type == TLS_DATA))


cdef inline bint tls_v2_hello_ok(uint32_t length, uint32_t type, uint32_t version) noexcept nogil:
    # RFC 5246 E.2: 15-bit length with the top bit set, client_hello (1), version; the shortest body
    # has lengths (6), one cipher (3) and a challenge of 16.
    return (length & 0x8000 and (length & 0x7FFF) >= 28 and type == MSG_CLIENT_HELLO
            and (version == 0x0002 or 0x0300 <= version <= TLS_13))


cdef inline AppVerdict tls_probe(const uint8_t* p, uint32_t n, bint from_orig) noexcept nogil:
    cdef uint32_t length
    if p[0] & 0x80:
        if n < 5:
            return APP_MAYBE if n < 3 or p[2] == MSG_CLIENT_HELLO else APP_NO
        return APP_YES if tls_v2_hello_ok(<uint32_t> p[0] << 8 | p[1], p[2],
                                          <uint32_t> p[3] << 8 | p[4]) else APP_NO
    if p[0] < TLS_CHANGE_CIPHER or p[0] > TLS_HEARTBEAT or (n > 1 and p[1] != 3) or (n > 2 and p[2] > 4):
        return APP_NO
    if n < 5:
        return APP_MAYBE
    length = <uint32_t> p[3] << 8 | p[4]
    if not tls_header_ok(p[0], <uint32_t> p[1] << 8 | p[2], length):
        return APP_NO
    if n >= length + 10 and not tls_header_ok(
            p[length + 5], <uint32_t> p[length + 6] << 8 | p[length + 7],
            <uint32_t> p[length + 8] << 8 | p[length + 9]):
        return APP_NO
    return APP_YES


# ---- hellos

cdef inline void hello_number(TlsSide* d, TlsHelloState state, uint8_t need) noexcept nogil:
    d.state = state
    d.need = need
    d.number = 0


cdef inline void hello_skip_extension(TlsSide* d) noexcept nogil:
    d.skip = d.extension_left
    hello_number(d, H_EXTENSION, 4)


cdef inline void hello_inside(TlsSide* d, TlsHelloState state, uint8_t need) noexcept nogil:
    # A number inside the extension; when the extension ends before it, the next extension.
    if d.extension_left < need:
        hello_skip_extension(d)
    else:
        d.extension_left -= need
        hello_number(d, state, need)


cdef inline void hello_keep(TlsSide* d, TlsKeep what, uint32_t n) noexcept nogil:
    d.keep_what = what
    d.keep = <uint16_t> n
    d.kept = 0


cdef inline uint16_t tls_known_version(uint32_t v) noexcept nogil:
    # 0 for GREASE and the unknown; TLS 1.3 drafts (7f xx) are TLS 1.3.
    if 0x0300 <= v <= TLS_13:
        return <uint16_t> v
    return TLS_13 if v >> 8 == 0x7F else 0


cdef inline void hello_step(Tls* s, AppSink* sink, TlsSide* d) noexcept nogil:
    # The number of state d.state is complete.
    cdef uint64_t v = d.number
    cdef bint client = d.hello == MSG_CLIENT_HELLO
    cdef uint32_t length
    cdef uint16_t version
    if d.state == H_VERSION:
        version = tls_known_version(<uint32_t> v)
        if version == 0:
            d.state = H_END
            return
        if client:
            tls_client_hello(s, sink, d)
            s.offered = version
        else:
            # A retry request is a ServerHello too, for us as for tshark.
            sink_count(sink, C_TLS_SERVER_HELLOS, 1)
            s.version = version
            hello_keep(d, KEEP_RANDOM, 32)
        d.skip = 32
        hello_number(d, H_SESSION_LEN, 1)
    elif d.state == H_SESSION_LEN:
        if not client:
            tls_server_random(s, d)
        elif v > 0:
            s.resumption_offered |= OFFERED_SESSION
        d.skip = <uint32_t> v
        hello_number(d, H_CIPHERS_LEN if client else H_CIPHER, 2)
    elif d.state == H_CIPHERS_LEN:
        d.skip = <uint32_t> v
        hello_number(d, H_COMPRESSION, 1)
    elif d.state == H_CIPHER:
        s.cipher = <uint16_t> v
        hello_number(d, H_COMPRESSION, 1)
    elif d.state == H_COMPRESSION:
        d.skip = <uint32_t> v if client else 0
        hello_number(d, H_EXTENSIONS_LEN, 2)
    elif d.state == H_EXTENSIONS_LEN:
        hello_number(d, H_EXTENSION, 4)
    elif d.state == H_EXTENSION:
        d.extension_left = <uint16_t> (v & 0xFFFF)
        v >>= 16
        if v == EXT_SERVER_NAME and client:
            hello_inside(d, H_NAME, 5)
        elif v == EXT_ALPN:
            hello_inside(d, H_ALPN_LIST, 3)
        elif v == EXT_SUPPORTED_VERSIONS:
            if client:
                hello_inside(d, H_VERSIONS_LEN, 1)
            else:
                hello_inside(d, H_VERSION_CHOSEN, 2)
        else:
            if v == EXT_PRE_SHARED_KEY or (v == EXT_SESSION_TICKET and d.extension_left > 0):
                if client:
                    s.resumption_offered |= OFFERED_TICKET
                elif v == EXT_PRE_SHARED_KEY:
                    s.resumed = 1
            hello_skip_extension(d)
    elif d.state == H_NAME:
        # list length, name type, name length: only the first entry can be a host_name (RFC 6066 3).
        length = <uint32_t> (v & 0xFFFF)
        if (v >> 16) & 0xFF == 0 and 0 < length <= d.extension_left and not s.named:
            s.sni_len = 0
            hello_keep(d, KEEP_NAME, length if length < NAME_MAX else NAME_MAX)
        hello_skip_extension(d)
    elif d.state == H_ALPN_LIST:
        s.alpn_len = 0
        hello_protocol(d, <uint32_t> (v & 0xFF), 1)
    elif d.state == H_ALPN_LEN:
        hello_protocol(d, <uint32_t> v, 0)
    elif d.state == H_ALPN_PAIR:
        if v == 0x6832:                                  # "h2"
            s.offers_h2 = 1
        if s.alpn_len == 0:
            s.alpn[0] = <uint8_t> (v >> 8)
            s.alpn[1] = <uint8_t> v
            s.alpn_len = 2
        hello_inside(d, H_ALPN_LEN, 1)
    elif d.state == H_VERSIONS_LEN:
        s.resumption_offered &= OFFERED_TICKET           # TLS 1.3's session id is only for show
        hello_inside(d, H_VERSION_OFFERED, 2)
    elif d.state == H_VERSION_OFFERED:
        version = tls_known_version(<uint32_t> v)
        if version > s.offered:
            s.offered = version
        hello_inside(d, H_VERSION_OFFERED, 2)
    elif d.state == H_VERSION_CHOSEN:
        version = tls_known_version(<uint32_t> v)
        if version:
            s.version = version
        hello_skip_extension(d)


cdef inline void hello_protocol(TlsSide* d, uint32_t length, bint first) noexcept nogil:
    # One ALPN protocol name of `length` octets comes next.
    if length == 2:
        hello_inside(d, H_ALPN_PAIR, 2)
        return
    if length == 0 or length > d.extension_left:
        hello_skip_extension(d)
        return
    if first:
        hello_keep(d, KEEP_ALPN, length if length < ALPN_MAX else ALPN_MAX)
    d.skip = length
    d.extension_left -= <uint16_t> length
    if d.extension_left > 0:
        d.extension_left -= 1
        hello_number(d, H_ALPN_LEN, 1)
    else:
        hello_number(d, H_EXTENSION, 4)


cdef inline void tls_client_hello(Tls* s, AppSink* sink, TlsSide* d) noexcept nogil:
    sink_count(sink, C_TLS_CLIENT_HELLOS, 1)
    if s.hello_seen:
        return
    s.hello_seen = 1
    s.hello_ns = d.record_ns
    s.swapped = d == &s.side[0]


cdef inline void tls_server_random(Tls* s, TlsSide* d) noexcept nogil:
    if sensor_tls_is_retry(s.random):
        s.retried = 1
        return
    s.server_hello_seen = 1
    s.downgraded = sensor_tls_is_downgrade(s.random)
    if not s.hello_seen:                                 # picked up in the middle
        s.swapped = d == &s.side[1]


cdef inline void hello_keep_some(Tls* s, AppSink* sink, TlsSide* d, const uint8_t* p, uint32_t n) noexcept nogil:
    # n <= d.keep octets of what is kept. Both sides may claim to send a ClientHello, so the room
    # that is left is proved here and not taken from the side's own count.
    cdef uint32_t room
    if d.keep_what == KEEP_RANDOM:
        room = 32 - d.kept if d.kept < 32 else 0
        memcpy(s.random + (32 - room), p, n if n < room else room)
    elif d.keep_what == KEEP_ALPN:
        room = ALPN_MAX - s.alpn_len
        if room > n:
            room = n
        memcpy(s.alpn + s.alpn_len, p, room)
        s.alpn_len += <uint8_t> room
    else:
        room = NAME_MAX - s.sni_len
        if room > n:
            room = n
        memcpy(s.sni + s.sni_len, p, room)
        s.sni_len += <uint8_t> room
        if n == d.keep and not s.named:
            s.named = 1
            sink_name(sink, NAME_SNI, s.sni, s.sni_len)
    d.keep -= <uint16_t> n
    d.kept += <uint16_t> n


cdef inline void hello_data(Tls* s, AppSink* sink, TlsSide* d, const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t k
    while at < n and d.state != H_END:
        if d.skip:
            k = d.skip if d.skip < n - at else n - at
            if d.keep:
                hello_keep_some(s, sink, d, p + at, k if k < d.keep else d.keep)
            d.skip -= k
            at += k
            continue
        if d.state == H_EXTENSION and d.need == 4 and n - at >= 4:
            d.number = sensor_be32(p + at)
            at += 4
            hello_step(s, sink, d)
            continue
        d.number = d.number << 8 | p[at]
        at += 1
        d.need -= 1
        if d.need == 0:
            hello_step(s, sink, d)


# ---- handshake messages

cdef inline bint tls_message_known(uint32_t type) noexcept nogil:
    # IANA TLS HandshakeType: 0-6, 8-17, 20-26, 67 next_protocol, 254 message_hash.
    return (type <= 6 or 8 <= type <= 17 or 20 <= type <= 26 or type == 67 or type == 254)


cdef inline void tls_handshake(Tls* s, AppSink* sink, TlsSide* d, const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t k, type
    while at < n and not d.opaque:
        if d.message_left:
            k = d.message_left if d.message_left < n - at else n - at
            if d.hello:
                hello_data(s, sink, d, p + at, k)
            d.message_left -= k
            at += k
            continue
        d.message_head = d.message_head << 8 | p[at]
        at += 1
        d.message_n += 1
        if d.message_n < 4:
            continue
        type = d.message_head >> 24
        d.message_left = d.message_head & 0xFFFFFF
        d.message_head = d.message_n = 0
        d.hello = 0
        if type == MSG_CLIENT_HELLO or type == MSG_SERVER_HELLO:
            if d.message_left > HELLO_MAX:
                d.opaque = 1
                return
            d.hello = <uint8_t> type
            d.skip = d.keep = 0
            hello_number(d, H_VERSION, 2)
        elif type == MSG_CERTIFICATE:
            s.certificate_seen = 1
        elif not tls_message_known(type):
            d.opaque = 1                                 # encrypted, though we saw no CCS


# ---- records

cdef inline void tls_lose(AppSink* sink, TlsSide* d) noexcept nogil:
    sink_count(sink, C_APP_LOST_SYNC, 1)
    d.lost = 1
    d.record_left = d.message_left = d.message_head = 0
    d.head = d.head_n = d.message_n = d.hello = 0


cdef inline uint32_t tls_overhead(const Tls* s) noexcept nogil:
    # Octets by which an application-data record is longer than its content, for the AEAD suites
    # (block ciphers have more: their records are never taken for small ones).
    if s.version == TLS_13 or s.version == 0:
        return 17                                        # content type, tag
    return 16 if s.cipher >> 4 == 0xCCA else 24          # ChaCha20-Poly1305; explicit nonce, tag


cdef inline void tls_application(Tls* s, AppSink* sink, bint client, uint32_t length) noexcept nogil:
    # C_HTTPS_TURNS estimates requests: one when server data follows client data. Not taken for
    # either: records with no more than TLS_CONTROL_MAX octets (HTTP/2's SETTINGS ACK,
    # WINDOW_UPDATE and RST_STREAM; TLS 1.3's alerts), and TLS 1.3's first encrypted client record
    # (its Finished). Bias: one too many for some HTTP/2 prefaces, for a client certificate or
    # end-of-early-data in records of their own, for larger control frames and for a request body
    # that waits for an answer; too few with multiplexing and pipelining.
    if s.version != TLS_13:
        s.done = 1
    elif client and s.server_hello_seen and not s.finished_passed:
        s.finished_passed = 1
        s.done = 1
        return
    if length <= tls_overhead(s) + TLS_CONTROL_MAX:
        return
    if client:
        s.turn = 1
    elif s.turn:
        s.turn = 0
        sink_count(sink, C_HTTPS_TURNS, 1)


cdef inline bint tls_record(Tls* s, AppSink* sink, TlsSide* d) noexcept nogil:
    # The five octets of a record header are complete: 0 when they are not one.
    cdef uint32_t type = <uint32_t> (d.head >> 32) & 0xFF
    cdef uint32_t version = <uint32_t> (d.head >> 16) & 0xFFFF
    cdef uint32_t length = <uint32_t> (d.head & 0xFFFF)
    cdef uint32_t v2_length = <uint32_t> (d.head >> 24)
    cdef bint client = (d == &s.side[1]) != s.swapped
    d.head = d.head_n = 0
    if not tls_header_ok(type, version, length):
        if d.in_step or not tls_v2_hello_ok(v2_length, version & 0xFF, length):
            return 0
        d.record_left = (v2_length & 0x7FFF) - 3
        d.type = TLS_V2_HELLO
        d.in_step = 1
        tls_client_hello(s, sink, d)
        return 1
    d.in_step = 1
    d.type = <uint8_t> type
    d.record_left = length
    if client and s.server_hello_seen and not s.measured:
        s.measured = 1
        if s.hello_seen and type != TLS_ALERT:
            sink_latency(sink, L_TLS_HANDSHAKE, s.hello_ns, d.record_ns)
    if type == TLS_DATA:
        tls_application(s, sink, client, length)
    elif type == TLS_CHANGE_CIPHER and s.server_hello_seen:
        # Before the ServerHello it is TLS 1.3's compatibility CCS (0-RTT, retry): hellos follow it.
        d.opaque = 1
        if not client and s.version < TLS_13 and not s.certificate_seen:
            s.resumed = 1
    elif type == TLS_ALERT:
        s.alert_level = 0
        if length != 2:
            d.type = TLS_HEARTBEAT                       # encrypted: passed over
    return 1


cdef inline void tls_alert(Tls* s, AppSink* sink, const uint8_t* p, uint32_t n, uint32_t left) noexcept nogil:
    # The 2-octet body of an alert in clear; `left` octets of it were to come.
    if left == 2:
        s.alert_level = p[0]
        if n < 2:
            return
        p += 1
    if s.alert_level == 2:
        s.fatal_alert = p[0] if p[0] == 255 else p[0] + 1
        sink_count(sink, C_TLS_FATAL_ALERTS, 1)
        sink_count(sink, C_TLS_ERRORS, 1)


cdef inline uint32_t tls_data(
        Tls* s, AppSink* sink, bint from_orig, const uint8_t* p, uint32_t n) noexcept nogil:
    cdef TlsSide* d = &s.side[1 if from_orig else 0]
    cdef uint32_t at = 0
    cdef uint32_t k
    if d.dead:
        return n
    if d.lost:
        if n < 5 or p[0] & 0x80 or tls_probe(p, n, from_orig) != APP_YES:
            return n
        d.lost = 0
    while at < n:
        if d.record_left:
            k = d.record_left if d.record_left < n - at else n - at
            if not d.opaque:
                if d.type == TLS_HANDSHAKE:
                    tls_handshake(s, sink, d, p + at, k)
                elif d.type == TLS_ALERT:
                    tls_alert(s, sink, p + at, k, d.record_left)
            d.record_left -= k
            at += k
            continue
        if d.head_n == 0:
            d.record_ns = sink.ts_ns
        d.head = d.head << 8 | p[at]
        at += 1
        d.head_n += 1
        if d.head_n == 5 and not tls_record(s, sink, d):
            if d.in_step:
                d.dead = 1
                sink_count(sink, C_TLS_PARSE_ERRORS, 1)
            else:
                tls_lose(sink, d)                        # this side was met in the middle of a record
            return n
    return n


cdef inline void tls_gap(Tls* s, AppSink* sink, bint from_orig, uint64_t n) noexcept nogil:
    cdef TlsSide* d = &s.side[1 if from_orig else 0]
    if d.dead or d.lost or n == 0:
        return
    if n > d.record_left:                                # a record header is (or may be) among them
        tls_lose(sink, d)
        return
    if d.type == TLS_HANDSHAKE and not d.opaque:
        d.hello = 0                                      # the rest of a hello is passed over
        if n <= d.message_left:
            d.message_left -= <uint32_t> n
        else:
            d.opaque = 1                                 # message boundaries are lost for good
    elif d.type == TLS_ALERT:
        d.type = TLS_HEARTBEAT                           # an alert we did not see is passed over
    d.record_left -= <uint32_t> n


cdef inline void tls_end(Tls* s, AppSink* sink) noexcept nogil:
    # The connection is over: a hello that nobody answered, neither by ServerHello nor by alert.
    # Not said when octets of the server are missing (unknown, not an error). That packets of both
    # directions were captured at all is for the caller to know.
    cdef TlsSide* server = &s.side[1 if s.swapped else 0]
    if s.hello_seen and not (s.server_hello_seen or s.retried or s.fatal_alert
                             or server.lost or server.dead or server.opaque):
        sink_count(sink, C_TLS_ERRORS, 1)
