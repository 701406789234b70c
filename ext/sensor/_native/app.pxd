# Which application protocol a connection speaks, and the contract of a recogniser.
#
# A TCP recogniser `x` is one file app_x.pxd with a struct X (both directions of one connection,
# plain data, all-zero = fresh, no pointers) and three functions:
#
#   AppVerdict x_probe(const uint8_t* p, uint32_t n, bint from_orig)
#       may the stream that starts with these n > 0 octets be x?  Looks at the first bytes of either
#       direction only; APP_MAYBE asks for the next segment (the engine gives up after 4).
#   uint32_t x_data(X* s, AppSink* sink, bint from_orig, const uint8_t* p, uint32_t n)
#       the next n octets of one direction, in order, a TCP segment (or the captured part of one) at
#       a time. Returns how many were consumed: all of them, except when the connection changes its
#       protocol (s.next_proto set: websocket, h2c), where the rest belongs to the next recogniser.
#   void x_gap(X* s, AppSink* sink, bint from_orig, uint64_t n)
#       n octets of one direction were not captured (lost, or cut by the snaplen). A parser that is
#       inside a counted body goes on; any other loses sync and waits for a segment that begins with
#       a message start.
#
# A datagram recogniser has x_datagram(...) instead. Each function does at most O(n) work, allocates
# nothing and reads only p[0..n).
from libc.stdint cimport uint8_t

cpdef enum AppProto:
    APP_UNKNOWN = 0
    APP_HTTP = 1
    APP_TLS = 2
    APP_HTTP2 = 3
    APP_GRPC = 4
    APP_WEBSOCKET = 5
    APP_DNS = 6
    APP_QUIC = 7
    APP_RTP = 8
    APP_SSH = 9
    APP_FTP = 10
    APP_SMTP = 11
    APP_NTP = 12
    APP_DHCP = 13
    APP_SNMP = 14
    APP_SIP = 15
    APP_MDNS = 16
    APP_LLMNR = 17
    APP_SSDP = 18
    APP_ICMP = 19
    APP_OTHER = 20               # looked at, and none of the above

cdef enum AppVerdict:
    APP_NO = 0
    APP_MAYBE = 1
    APP_YES = 2
