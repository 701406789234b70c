# The two hellos of a TLS handshake (RFC 8446 4.1, RFC 6066 3, RFC 7301), read octet by octet:
# nothing is stored but the few fields that are wanted.
#
# Invariants: the caller feeds no more octets than the message has; every loop pass consumes at
# least one; whatever the lengths inside claim, only the room of the struct is written.
#
# A hello is read as "pass over `skip` octets, of which the first `keep` are copied; then read a
# number of `need` octets; then hello_step() says what that number was and what comes next".
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from sensor._native.counters cimport (
    C_TLS_CLIENT_HELLOS, C_TLS_DOWNGRADES, C_TLS_OLD, C_TLS_SERVER_HELLOS)
from sensor._native.sink cimport AppSink, NAME_MAX, NAME_SNI, sink_count, sink_name
from sensor._native.span cimport sensor_be32

cdef enum:
    TLS_12 = 0x0303
    TLS_13 = 0x0304

    MSG_CLIENT_HELLO = 1
    MSG_SERVER_HELLO = 2
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
        0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11,
        0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
        0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E,
        0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C};
    static inline int sensor_tls_is_retry(const unsigned char *random) {
        return memcmp(random, sensor_tls_retry, 32) == 0; }
    static inline int sensor_tls_is_downgrade(const unsigned char *random) {
        return memcmp(random + 24, "DOWNGRD", 7) == 0 && random[31] <= 1; }
    """
    bint sensor_tls_is_retry(const uint8_t* random) noexcept nogil
    bint sensor_tls_is_downgrade(const uint8_t* random) noexcept nogil


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
    # 0 for GREASE and the unknown; drafts of TLS 1.3 (7f xx, Facebook's fb xx) are TLS 1.3.
    if 0x0300 <= v <= TLS_13:
        return <uint16_t> v
    return TLS_13 if v >> 8 == 0x7F or v >> 8 == 0xFB else 0


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
            if version < TLS_12:
                sink_count(sink, C_TLS_OLD, 1)
            s.version = version
            hello_keep(d, KEEP_RANDOM, 32)
        d.skip = 32
        hello_number(d, H_SESSION_LEN, 1)
    elif d.state == H_SESSION_LEN:
        if not client:
            tls_server_random(s, sink, d)
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


cdef inline void tls_server_random(Tls* s, AppSink* sink, TlsSide* d) noexcept nogil:
    if sensor_tls_is_retry(s.random):
        s.retried = 1
        return
    s.server_hello_seen = 1
    s.downgraded = sensor_tls_is_downgrade(s.random)
    if s.downgraded and (s.offered == TLS_13 if s.random[31] else s.offered >= TLS_12):
        sink_count(sink, C_TLS_DOWNGRADES, 1)
    if not s.hello_seen:                                 # picked up in the middle
        s.swapped = d == &s.side[1]


cdef inline void hello_keep_some(
        Tls* s, AppSink* sink, TlsSide* d, const uint8_t* p, uint32_t n) noexcept nogil:
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


cdef inline void hello_data(
        Tls* s, AppSink* sink, TlsSide* d, const uint8_t* p, uint32_t n) noexcept nogil:
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
