# From a flow's payload to its recogniser: probe, feed, switch protocol, settle the endpoint.
#
# A new TCP protocol takes one line in each of stream_probe, stream_data and stream_gap; a datagram
# protocol one in app_datagram. The contract of a recogniser is app.pxd.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from sensor._native.account cimport settle_endpoint, sink_flush
from sensor._native.app cimport (
    APP_DHCP, APP_DNS, APP_FTP, APP_HTTP, APP_HTTP2, APP_GRPC, APP_LLMNR, APP_MAYBE, APP_MDNS,
    APP_NO, APP_OTHER, APP_QUIC, APP_RTP, APP_SMTP, APP_TLS, APP_UNKNOWN, APP_WEBSOCKET, APP_YES,
    AppProto, AppVerdict)
from sensor._native.app_banner cimport banner_tcp, banner_udp
from sensor._native.app_dns cimport dns_datagram, dns_tcp_data, dns_tcp_gap, dns_tcp_probe
from sensor._native.app_http1 cimport http1_data, http1_gap, http1_probe
from sensor._native.app_http2 cimport http2_data, http2_gap, http2_label, http2_probe
from sensor._native.app_quic cimport QuicInitialQueue, quic_datagram
from sensor._native.app_rtp cimport rtp_datagram
from sensor._native.app_state cimport App, AppParser
from sensor._native.app_tls cimport tls_data, tls_gap, tls_probe
from sensor._native.app_websocket cimport ws_data, ws_gap
from sensor._native.core cimport NO_APP, Core
from sensor._native.counters cimport (
    C_AUTH_FAILURES, C_DHCP_REQUESTS, C_DNS_QUERIES, C_HTTPS_TURNS, C_QUIC_INITIALS_DROPPED)
from sensor._native.detect_say cimport detect_dhcp, detect_question, detect_target
from sensor._native.flow cimport Flow
from sensor._native.lifecycle cimport app_acquire, app_release
from sensor._native.packet cimport Packet, key_hash
from sensor._native.sink cimport NAME_SNI, sink_count, sink_name
from sensor._native.span cimport sensor_be16, sensor_be32, sensor_be64

cdef enum:
    DHCP6_PORT = 547
    PROBES = 4                     # payload segments looked at before a stream is APP_OTHER
    NAME_PATIENCE = 8              # segments that a TLS or HTTP flow may wait for its name


cdef inline uint16_t responder_port(const Flow* f) noexcept nogil:
    return <uint16_t> (f.key[4] >> (48 if f.orig_dir else 32))


cdef inline uint8_t stream_probe(const uint8_t* p, uint32_t n, bint from_orig,
                                 uint16_t port) noexcept nogil:
    # APP_MAYBE is taken for a yes: the parser says soon enough when it was none.
    if tls_probe(p, n, from_orig) != APP_NO:
        return APP_TLS
    if http1_probe(p, n, from_orig) != APP_NO:
        return APP_HTTP
    if http2_probe(p, n, from_orig) != APP_NO:
        return APP_HTTP2
    if dns_tcp_probe(p, n, from_orig) == APP_YES or (port == 53
                                                     and dns_tcp_probe(p, n, from_orig) != APP_NO):
        return APP_DNS
    return APP_UNKNOWN


cdef inline uint32_t stream_data(Core* c, Flow* f, App* a, bint from_orig, const uint8_t* p,
                                 uint32_t n,
                                 uint8_t* following) noexcept nogil:
    # Octets consumed; `following`: the protocol that the rest belongs to, or 0.
    cdef uint32_t used = n
    following[0] = 0
    if f.app_proto == APP_TLS:
        used = tls_data(&a.u.tls, &c.sink, from_orig, p, n)
    elif f.app_proto == APP_HTTP:
        used = http1_data(&a.u.http1, &c.sink, from_orig, p, n)
        following[0] = a.u.http1.next_proto
    elif f.app_proto == APP_HTTP2 or f.app_proto == APP_GRPC:
        used = http2_data(&a.u.http2, &c.sink, from_orig, p, n)
        f.app_proto = <uint8_t> http2_label(&a.u.http2)
    elif f.app_proto == APP_WEBSOCKET:
        used = ws_data(&a.u.websocket, &c.sink, from_orig, p, n)
    elif f.app_proto == APP_DNS:
        used = dns_tcp_data(&a.u.dns, c.dns, c.names, &c.sink, key_hash(f.key, c.secret),
                            from_orig, p, n)
    return used


cdef inline void stream_gap(Core* c, Flow* f, App* a, bint from_orig, uint64_t n) noexcept nogil:
    if f.app_proto == APP_TLS:
        tls_gap(&a.u.tls, &c.sink, from_orig, n)
    elif f.app_proto == APP_HTTP:
        http1_gap(&a.u.http1, &c.sink, from_orig, n)
    elif f.app_proto == APP_HTTP2 or f.app_proto == APP_GRPC:
        http2_gap(&a.u.http2, &c.sink, from_orig, n)
    elif f.app_proto == APP_WEBSOCKET:
        ws_gap(&a.u.websocket, &c.sink, from_orig, n)
    elif f.app_proto == APP_DNS:
        dns_tcp_gap(&a.u.dns, c.dns, c.names, &c.sink, key_hash(f.key, c.secret), from_orig, n)


cdef inline void name_take(Core* c, Flow* f, App* a) noexcept nogil:
    # The better name wins; a flow that had its endpoint already gets the new one at its next
    # packet.
    if c.sink.name_source > a.name_source:
        a.name_source = c.sink.name_source
        a.name_len = c.sink.name_len
        memcpy(a.name, c.sink.name, c.sink.name_len)
        if f.endpoint:
            f.endpoint = 0xffff0000
    c.sink.name_source = 0


cdef inline void settle_and_flush(Core* c, Flow* f, bint decided) noexcept nogil:
    if c.sink.name_source and f.app != NO_APP:
        name_take(c, f, &c.apps[f.app])
    if c.sink.asked:
        c.sink.asked = False
        detect_target(c.detect, f.key, f.orig_dir, f.role, c.sink.uri, c.sink.path)
    if c.sink.question_len:
        detect_question(c.detect, f.key, f.orig_dir, c.sink.question, c.sink.question_len,
                        c.sink.question_type, c.sink.ts_ns)
        c.sink.question_len = 0
    if c.sink.n[<int> C_HTTPS_TURNS] and f.app != NO_APP:
        c.apps[f.app].answered = 1
    if f.endpoint >> 16 != c.epoch and (decided or f.endpoint or c.sink.touched):
        settle_endpoint(c, f)
    if c.sink.touched:
        sink_flush(c, f)


cdef inline void app_gap(Core* c, Flow* f, uint8_t side, uint32_t n) noexcept nogil:
    # n octets of one direction that will never come.
    if f.app != NO_APP:
        stream_gap(c, f, &c.apps[f.app], side == 0, n)
        if c.sink.touched:
            sink_flush(c, f)


cdef inline void stream_begin(Core* c, Flow* f, bint from_orig, const uint8_t* p,
                              uint32_t n) noexcept nogil:
    # Which protocol?  Sets app_proto once decided.
    cdef uint8_t proto = stream_probe(p, n, from_orig, responder_port(f))
    if proto != APP_UNKNOWN:
        if app_acquire(c, f):
            f.app_proto = proto
        else:
            f.app_proto = APP_OTHER
        return
    proto = <uint8_t> banner_tcp(p, n, from_orig, responder_port(f))
    if proto != APP_UNKNOWN:
        f.app_proto = proto
        return
    f.probes += 1
    if f.probes >= PROBES:
        f.app_proto = APP_OTHER


cdef inline bint login_refused(uint8_t proto, bint from_orig, const uint8_t* p,
                               uint32_t n) noexcept nogil:
    # A server says in clear that a log-in failed: FTP's 530 (RFC 959), SMTP's 535 (RFC 4954).
    if from_orig or n < 4:
        return False
    if proto == APP_FTP:
        return memcmp(p, b"530", 3) == 0
    return proto == APP_SMTP and memcmp(p, b"535", 3) == 0


cdef inline void app_segment(Core* c, Flow* f, uint8_t side, const Packet* p, uint32_t offset,
                             uint32_t gap) noexcept nogil:
    # New octets of a TCP stream: the payload from `offset` on, after `gap` octets never captured.
    cdef bint from_orig = side == 0
    cdef const uint8_t* data = p.payload + offset
    cdef uint32_t n = p.captured - offset if p.captured > offset else 0
    cdef uint32_t cut = p.payload_len - (offset if offset > p.captured else p.captured)
    cdef uint32_t used
    cdef uint8_t following
    cdef App* a
    if f.app == NO_APP:
        if f.app_proto == APP_UNKNOWN and n:
            stream_begin(c, f, from_orig, data, n)
        if f.app == NO_APP:
            if n and login_refused(f.app_proto, from_orig, data, n):
                sink_count(&c.sink, C_AUTH_FAILURES, 1)
            if f.endpoint >> 16 != c.epoch:
                settle_endpoint(c, f)
            if c.sink.touched:
                sink_flush(c, f)
            return
        gap = 0                                            # before its first octet there is no gap
    a = &c.apps[f.app]
    c.sink.ts_ns = p.ts_ns
    if a.segments < 255:
        a.segments += 1
    if gap:
        stream_gap(c, f, a, from_orig, gap)
    while n:
        used = stream_data(c, f, a, from_orig, data, n, &following)
        if not following:
            break
        settle_and_flush(c, f, True)
        memset(&a.u, 0, sizeof(AppParser))
        f.app_proto = following
        f.endpoint = 0xffff0000                            # another protocol: another leaf
        data += used
        n -= used
    if cut:
        stream_gap(c, f, a, from_orig, cut)
    settle_and_flush(c, f, a.segments >= NAME_PATIENCE
                     or (f.app_proto != APP_TLS and f.app_proto != APP_HTTP))


cdef inline AppVerdict quic_feed(Core* c, Flow* f, bint from_orig, const Packet* p) noexcept nogil:
    # The flow's ticket in the queue is its serial and its place, so that a name finds it again.
    cdef QuicInitialQueue* queue = c.initials if c.initials_left else NULL
    cdef uint32_t before = c.initials.n
    cdef AppVerdict verdict
    if queue == NULL and p.captured and p.payload[0] & 0xf0 == 0xc0:
        sink_count(&c.sink, C_QUIC_INITIALS_DROPPED, 1)
    verdict = quic_datagram(
        &c.apps[f.app].u.quic, &c.sink, from_orig, p.payload, p.captured, queue,
        f.serial << 32 | <uint32_t> (f - c.flows))
    c.initials_left -= c.initials.n - before
    return verdict


cdef inline bint datagram_begin(Core* c, Flow* f, bint from_orig, const Packet* p) noexcept nogil:
    # First payloads of a UDP flow whose ports say nothing. True: dealt with.
    if p.payload[0] & 0x80:
        # QUIC's long header, or RTP's version 2.
        if f.app == NO_APP and not app_acquire(c, f):
            f.app_proto = APP_OTHER
            return True
        if p.payload[0] & 0x40:
            # Nothing is known of QUIC yet; RTP may have used the place.
            memset(&c.apps[f.app].u, 0, sizeof(AppParser))
        if p.payload[0] & 0x40 and quic_feed(c, f, from_orig, p) == APP_YES:
            f.app_proto = APP_QUIC
            return True
        if not p.payload[0] & 0x40:
            if f.probes == 0:
                memset(&c.apps[f.app].u, 0, sizeof(AppParser))
            if rtp_datagram(&c.apps[f.app].u.rtp, &c.sink, from_orig, p.payload,
                            p.captured) == APP_YES:
                f.app_proto = APP_RTP
                return True
    f.probes += 1
    if f.probes >= 2 * PROBES:
        f.app_proto = APP_OTHER
        app_release(c, f)
    return False


cdef inline void dhcp_message(Core* c, Flow* f, const Packet* p) noexcept nogil:
    # DHCPDISCOVER, REQUEST or INFORM (RFC 2131): a BOOTREQUEST whose first option is that message
    # type; the client is its hardware address and the address it has, whatever the frame says.
    if (p.captured >= 243 and p.payload[0] == 1 and p.payload[240] == 53 and p.payload[241] == 1
            and (p.payload[242] == 1 or p.payload[242] == 3 or p.payload[242] == 8)):
        sink_count(&c.sink, C_DHCP_REQUESTS, 1)
        detect_dhcp(c.detect, sensor_be64(p.payload + 28) ^ sensor_be32(p.payload + 12))


cdef inline void dhcp6_message(Core* c, const Packet* p) noexcept nogil:
    # SOLICIT, REQUEST, CONFIRM, RENEW, REBIND or INFORMATION-REQUEST (RFC 8415) of the client that
    # its first option names.
    if p.captured < 16 or sensor_be16(p.payload + 4) != 1:
        return
    if (p.payload[0] == 1 or 3 <= p.payload[0] <= 6 or p.payload[0] == 11):
        sink_count(&c.sink, C_DHCP_REQUESTS, 1)
        detect_dhcp(c.detect, sensor_be64(p.payload + 8) ^ (sensor_be64(p.payload + 14)
                                                            if p.captured >= 22 else 0))


cdef inline void app_datagram(Core* c, Flow* f, uint8_t side, const Packet* p) noexcept nogil:
    cdef bint from_orig = side == 0
    cdef uint16_t port = <uint16_t> (f.key[4] >> 48)
    cdef uint16_t other = <uint16_t> (f.key[4] >> 32)
    cdef uint8_t proto
    c.sink.ts_ns = p.ts_ns
    if port == DHCP6_PORT or other == DHCP6_PORT:
        dhcp6_message(c, p)
    if p.captured == 0 or f.app_proto == APP_OTHER:
        pass
    elif f.app_proto == APP_QUIC:
        quic_feed(c, f, from_orig, p)
    elif f.app_proto == APP_RTP:
        rtp_datagram(&c.apps[f.app].u.rtp, &c.sink, from_orig, p.payload, p.captured)
    elif f.app_proto == APP_DHCP:
        dhcp_message(c, f, p)
    elif (f.app_proto == APP_UNKNOWN or f.app_proto == APP_DNS or f.app_proto == APP_MDNS
          or f.app_proto == APP_LLMNR):
        proto = APP_UNKNOWN
        if (other == 53 or port == 53 or f.app_proto != APP_UNKNOWN or not from_orig
            or f.half[1].packets):
            # On any other port only an answered question is DNS: probes and scans look like it too.
            proto = <uint8_t> dns_datagram(c.dns, c.names, &c.sink, key_hash(f.key, c.secret),
                                           from_orig, port, other, p.payload,
                                           p.captured, p.payload_len)
            if proto == APP_DNS and f.app_proto == APP_UNKNOWN and port != 53 and other != 53:
                sink_count(&c.sink, C_DNS_QUERIES, 1)
        if proto != APP_UNKNOWN:
            f.app_proto = proto
        elif f.app_proto == APP_UNKNOWN:
            proto = <uint8_t> banner_udp(p.payload, p.captured, from_orig, port, other)
            if proto != APP_UNKNOWN:
                f.app_proto = proto
                if proto == APP_DHCP:
                    dhcp_message(c, f, p)
            else:
                datagram_begin(c, f, from_orig, p)
    settle_and_flush(c, f, True)


cdef inline void flow_named(Core* c, uint64_t ticket, const uint8_t* name,
                            uint32_t n) noexcept nogil:
    # The answer to a QUIC Initial; the flow may have gone meanwhile.
    cdef uint32_t i = <uint32_t> ticket
    cdef Flow* f = &c.flows[i]
    if i >= c.flow_high or not f.in_use or f.serial << 32 != ticket - i or f.app == NO_APP:
        return
    sink_name(&c.sink, NAME_SNI, name, n)
    settle_and_flush(c, f, True)
