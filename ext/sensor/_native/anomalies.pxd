# What the decoder counts: the one list of named anomalies, and the protocols.
# Users see the lower-case name without A_ or DC_.
#
# Three classes, kept apart by prefix, each frame in at most one of them:
#   A_TRUNCATED_*    the capture ends before the header does (snaplen): DECODE_TRUNCATED
#   A_MALFORMED_*    the header contradicts itself or its container:   DECODE_MALFORMED
#   A_UNSUPPORTED_*  a format or a nesting that we do not decode:      DECODE_UNSUPPORTED
# The rest are notes: the packet was decoded (or is understood), and something about it is worth a
# count. Add an anomaly: one line here.
cpdef enum Anomaly:
    A_TRUNCATED_LINK = 0         # link, VLAN, MPLS, PPP, LLC or 802.11 header
    A_TRUNCATED_IPV4
    A_TRUNCATED_IPV6
    A_TRUNCATED_IPV6_EXTENSION
    A_TRUNCATED_TCP
    A_TRUNCATED_UDP
    A_TRUNCATED_ICMP
    A_TRUNCATED_TUNNEL           # tunnel header, or too little of the inside to know that it is one
    A_MALFORMED_LINK             # frame shorter than its link header, or nonsense in it
    A_MALFORMED_IPV4             # version, header length < 5, or header past the end of the packet
    A_MALFORMED_IPV4_LENGTH      # total length shorter than the header
    A_MALFORMED_IPV6             # version, or shorter than its fixed header
    A_MALFORMED_IPV6_EXTENSION   # header past the end of the packet
    A_MALFORMED_TCP              # data offset < 5 or past the end of the packet
    A_MALFORMED_UDP              # length < 8, or shorter than its header
    A_MALFORMED_ICMP
    A_MALFORMED_TUNNEL
    A_UNSUPPORTED_LINK_TYPE
    A_UNSUPPORTED_LINK           # known link type, a variant of it that we do not decode
    A_UNSUPPORTED_ETHERTYPE
    A_UNSUPPORTED_IP_PROTOCOL
    A_UNSUPPORTED_TUNNEL         # GRE or PPP with something else inside, or source routing
    A_UNSUPPORTED_IPV6_EXTENSIONS_TOO_MANY
    A_UNSUPPORTED_TUNNEL_TOO_DEEP
    A_UNSUPPORTED_HEADERS_TOO_MANY   # stacked VLAN tags, MPLS labels, ... beyond any sane frame
    A_SNAPLEN_CUT                # payload cut by the snaplen; the headers are whole
    A_SNAPLEN_CUT_TCP_OPTIONS    # so are the TCP options: MSS, scale and timestamp are unknown
    A_GSO                        # super-segment made by offload
    A_IP_LENGTH_PAST_FRAME       # it claims more than was on the wire; kept, as tools cut frames
    A_IP_LENGTH_ZERO             # total length 0 (segmentation offload): taken from the wire
    A_IPV6_JUMBOGRAM
    A_UDP_LENGTH_PAST_IP         # the UDP length claims more than the IP packet has
    A_TCP_OPTION_BAD             # option length 0, 1 or past the end: the rest was ignored
    A_FRAGMENT_UNATTRIBUTED      # later fragment whose first fragment is not known
    A_FRAGMENT_TINY              # first fragment too short for its transport header
    A_FRAGMENT_IN_HEADER         # later fragment that overwrites a TCP header (RFC 3128)
    A_ICMP_QUOTE_BAD             # ICMP error whose quoted packet cannot be read
    A_COUNT                      # number of anomalies

# frames == ipv4 + ipv6 + arp + other (by the OUTERMOST network header). tcp, udp and icmp are the
# innermost decoded transport at any tunnel depth, a fragmented datagram once.
cpdef enum DecodeCount:
    DC_FRAMES = 0
    DC_IPV4
    DC_IPV6
    DC_ARP
    DC_OTHER
    DC_TCP
    DC_UDP
    DC_ICMP
    DC_SCTP
    DC_ESP
    DC_IGMP
    DC_FRAGMENTS                 # fragment frames, first and later
    DC_FRAGMENTS_EVICTED         # live entries pushed out of the fragment table
    DC_VLAN                      # frames with at least one tag
    DC_MPLS
    DC_PPPOE
    DC_IPIP                      # one per encapsulation removed
    DC_6IN4
    DC_GRE
    DC_VXLAN
    DC_GENEVE
    DC_GTP
    DC_TEREDO
    DC_L2TP
    DC_CAPWAP                    # counted only: the carrier is the flow
    DC_COUNT                     # number of counts
