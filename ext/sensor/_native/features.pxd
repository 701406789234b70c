# The one list of what is counted for detection, per key and second: see detect.pxd for who counts
# what. Add a feature: one line here, one in sensor/_native/dtypes.py is made from it.
#
# For a service, host or reflection row the count is of what came towards the key; for a source row
# of what the key sent. Packets of connections where both sides speak are not counted here at all.
cpdef enum Feature:
    F_UDP_BYTES = 0
    F_ICMP_ECHO_BYTES
    F_FRAG_BYTES
    F_REFL_BYTES
    F_REFL_REQUEST_BYTES
    F_REFL_ANSWER_BYTES
    # From here on, three are worth a row (slots.pxd).
    F_SYN_NEW                    # first SYN of an attempt
    F_SYN_RETRANS
    F_SYN_SILENT                 # 1.25 s after its SYN: no end, no second SYN
    F_SYN_REFUSED                # RST by the responder, or an ICMP error
    F_SYN_ABORTED                # RST by the originator
    F_SYN_COMPLETE               # became a connection
    F_SYN_FAILED                 # refused, or unanswered for 5 s or until the end of the input
    F_SYN_BARE                   # SYN without a TCP option
    F_STRAY_SYNACK               # TCP packets that belong to no connection
    F_STRAY_RST
    F_STRAY_ACK
    F_STRAY_ODD                  # null, FIN, Xmas, SYN+FIN, ...
    F_STRAY_FLOWS                # of these, the first of its addresses and ports
    F_STRAY_ANSWERED             # such flows that turned out to be connections: the other side spoke
    F_CONN_SPOKE                 # a connection's originator sent its first payload
    F_CONN_CLOSED
    F_UDP_PACKETS                # datagrams while the other side has not spoken
    F_UDP_FLOWS
    F_UDP_ANSWERED               # first answer of the other side
    F_UDP_UNREACHABLE            # an ICMP error came back for it
    F_ICMP_ECHO
    F_ICMP_ERROR
    F_ICMP_OTHER
    F_FRAG_PACKETS
    F_REFL_REQUESTS              # where the question was seen
    F_REFL_ANSWERS
    F_HTTP_REQUESTS
    F_HTTP_POSTS
    F_HTTP_4XX
    F_HTTP_5XX
    F_TLS_HELLOS
    F_TLS_FAILED
    F_TLS_TURNS
    F_QUIC_INITIALS              # connections begun
    F_DNS_QUERIES
    F_DNS_NXDOMAIN
    F_DNS_SERVFAIL
    F_DNS_ANY                    # ANY, TXT, RRSIG, DNSKEY: what amplifies
    # From here on, a single one is.
    F_ICMP_ODD                   # echo whose length differs from the one before it (not a ping's)
    F_ICMP_REPLY_STRAY           # echo reply without a request
    F_FRAG_LATER                 # not the first of its datagram
    F_REFL_PACKETS               # answers nobody asked for, from a reflecting port
    F_HTTP_401
    F_TLS_DOWNGRADES
    F_TLS_OLD                    # a version below TLS 1.2 was chosen
    F_AUTH_FAILURES              # said in clear: FTP 530, HTTP 401, ...
    F_AUTH_SESSIONS              # log-in sessions that ended
    F_AUTH_SHORT                 # of these, as small and short as a failed log-in
    F_DHCP_REQUESTS
    F_CONN_EMPTY                 # closed after a handshake, nothing said by its originator
    F_SYN_EVICTED                # given up to make room
    F_COUNT

cpdef enum Gauge:                # how things stand, at the last sweep
    G_HALF_OPEN = 0
    G_CONN_ACTIVE                # established
    G_CONN_IDLE                  # of these: neither side owes anything
    # From here on, a single one is worth a row.
    G_CONN_SLOW_HEADER
    G_CONN_SLOW_BODY
    G_CONN_SLOW_READ
    G_CONN_TLS_SILENT
    G_CONN_SILENT
    G_COUNT

cdef enum:
    F_BYTES = F_SYN_NEW            # below: octets
    F_TELLING = F_ICMP_ODD
    G_TELLING = G_CONN_SLOW_HEADER
