# TLS over TCP (RFC 8446, 5246): records are walked by their length, the handshake is read while it
# is in clear (hellos: app_tls_hello.pxd), alerts in clear are counted, nothing is stored.
#
# Invariants: all-zero = fresh; every loop pass consumes at least one octet; counters depend on the
# octets and their order only, never on how they were cut into segments (a side that lost its place
# is the exception: it takes up again where a segment begins with a record header).
#
# side[1] is the originator's direction, side[0] the responder's.  A side is
#   fresh -> in step -> lost (octets missing; waits for a record at a segment start) -> in step ...
#                    -> dead (not TLS any more: one parse error, the rest is ignored)
# and, apart from that, `opaque` once its handshake messages are encrypted.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from sensor._native.app cimport AppVerdict, APP_NO, APP_MAYBE, APP_YES
from sensor._native.app_tls_hello cimport (
    H_VERSION, HELLO_MAX, MSG_CLIENT_HELLO, MSG_SERVER_HELLO, TLS_13, Tls, TlsSide, hello_data,
    hello_number, tls_client_hello)
from sensor._native.counters cimport (
    C_APP_LOST_SYNC, C_HTTPS_TURNS, C_TLS_ERRORS, C_TLS_FATAL_ALERTS, C_TLS_PARSE_ERRORS)
from sensor._native.sink cimport AppSink, L_TLS_HANDSHAKE, sink_count, sink_latency

cdef enum:
    TLS_CHANGE_CIPHER = 20
    TLS_ALERT = 21
    TLS_HANDSHAKE = 22
    TLS_DATA = 23
    TLS_HEARTBEAT = 24
    TLS_V2_HELLO = 0x80            # SSLv2-framed ClientHello: not a TLS content type
    TLS_RECORD_MAX = 16640         # 2^14 + 256 (RFC 8446 5.2); TLS 1.2's 2^14 + 2048 is not used
    TLS_CONTROL_MAX = 13           # content of an HTTP/2 control frame, or of an alert
    MSG_CERTIFICATE = 11


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
        return APP_YES if n >= 5 and tls_v2_hello_ok(
            <uint32_t> p[0] << 8 | p[1], p[2], <uint32_t> p[3] << 8 | p[4]) else APP_NO
    if p[0] < TLS_CHANGE_CIPHER or p[0] > TLS_HEARTBEAT:
        return APP_NO
    if (n > 1 and p[1] != 3) or (n > 2 and p[2] > 4):
        return APP_NO
    if n < 5:
        return APP_MAYBE if n >= 3 or p[0] == TLS_HANDSHAKE else APP_NO
    length = <uint32_t> p[3] << 8 | p[4]
    if not tls_header_ok(p[0], <uint32_t> p[1] << 8 | p[2], length):
        return APP_NO
    if n >= length + 10 and not tls_header_ok(
            p[length + 5], <uint32_t> p[length + 6] << 8 | p[length + 7],
            <uint32_t> p[length + 8] << 8 | p[length + 9]):
        return APP_NO
    return APP_YES


# ---- handshake messages

cdef inline bint tls_message_known(uint32_t type) noexcept nogil:
    # IANA TLS HandshakeType: 0-6, 8-17, 20-26, 67 next_protocol, 254 message_hash.
    return (type <= 6 or 8 <= type <= 17 or 20 <= type <= 26 or type == 67 or type == 254)


cdef inline void tls_handshake(
        Tls* s, AppSink* sink, TlsSide* d, const uint8_t* p, uint32_t n) noexcept nogil:
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


cdef inline void tls_application(
        Tls* s, AppSink* sink, bint client, uint32_t length) noexcept nogil:
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


cdef inline void tls_alert(
        Tls* s, AppSink* sink, const uint8_t* p, uint32_t n, uint32_t left) noexcept nogil:
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
                tls_lose(sink, d)                        # met in the middle of a record
            return n
    return n


cdef inline void tls_gap(
        Tls* s, AppSink* sink, bint from_orig, uint64_t n) noexcept nogil:
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
