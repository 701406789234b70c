# The one list of things that are counted per endpoint, per window and over the whole input.
# Add a counter: one line here (below 64: AppSink marks touched counters in one 64-bit word).
cpdef enum Counter:
    C_PACKETS_SENT = 0           # by the agent
    C_PACKETS_RECEIVED
    C_BYTES_SENT                 # octets on the wire
    C_BYTES_RECEIVED
    C_CONNECTIONS_NEW
    C_CONNECTIONS_CLOSED
    C_CONNECTIONS_FAILED
    C_CONNECTIONS_ACTIVE         # distinct connections with a packet in the window
    C_HANDSHAKES                 # SYN, SYN-ACK and the completing ACK all seen
    C_DATA_SEGMENTS
    C_ACKS
    C_RETRANSMISSIONS            # every segment seen again, SYN and FIN too (as tshark)
    C_SPURIOUS                   # of those, already acknowledged when sent again
    C_LOST_UPSTREAM              # lost before the capture point
    C_LOST_DOWNSTREAM            # lost behind it
    C_OUT_OF_ORDER
    C_DUPLICATES                 # of those, too soon to have been sent again: captured twice
    C_ZERO_WINDOWS
    C_CAPTURE_GAPS               # an ACK for bytes never captured
    C_RESETS
    C_TIMEOUTS
    C_HTTP_REQUESTS
    C_HTTP_RESPONSES
    C_HTTP_4XX
    C_HTTP_5XX
    C_HTTPS_TURNS                # client data bursts answered by the server: estimate of requests
    C_WS_CONNECTIONS
    C_WS_FRAMES
    C_HTTP2_REQUESTS
    C_GRPC_CALLS
    C_TLS_CLIENT_HELLOS
    C_TLS_SERVER_HELLOS
    C_TLS_FATAL_ALERTS
    C_TLS_ERRORS                 # fatal alert in clear, or a hello that was never answered
    C_DNS_QUERIES
    C_DNS_RESPONSES
    C_DNS_NXDOMAIN
    C_DNS_SERVFAIL
    C_DNS_ERRORS                 # RCODE neither 0 nor 3, plus unanswered
    C_DNS_UNANSWERED
    C_MDNS
    C_LLMNR
    C_QUIC_CONNECTIONS
    C_RTP_PACKETS
    C_RTP_LOST
    C_ECHO_REQUESTS
    C_ECHO_REPLIES
    C_HTTP_PARSE_ERRORS
    C_TLS_PARSE_ERRORS
    C_DNS_PARSE_ERRORS
    C_APP_LOST_SYNC              # a recogniser lost its place and waits for a message start
    C_HTTP_POSTS
    C_HTTP_401
    C_TLS_DOWNGRADES             # the server's random says so though more was offered (RFC 8446 4.1.3)
    C_TLS_OLD                    # a version below TLS 1.2 was chosen
    C_DNS_ANY                    # queries whose answers are large: ANY, TXT, RRSIG, DNSKEY
    C_AUTH_FAILURES              # log-ins refused in clear
    C_DHCP_REQUESTS              # DISCOVER, REQUEST, INFORM
    C_QUIC_INITIALS_DROPPED      # not read for their names: the queue was full, or the second's share
    C_CACHE_HITS                 # cleartext responses that a cache says it had
    C_CACHE_MISSES               # that it had to ask for
    C_CACHE_BYPASSES             # that it was not asked for, or never keeps
    C_COUNT                      # number of counters
