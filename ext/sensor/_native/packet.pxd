# One decoded packet: what decode() fills in and the flow engine reads.
#
# Invariants: after DECODE_OK every field below is meaningful for its `proto`; after anything else
# only ts_ns and wire_len are. `payload` borrows from the batch. Host byte order throughout.
#
# The flow key is canonical: side A is the smaller (address, port), compared as unsigned big-endian
# numbers, so both directions of a connection have the same key. IPv4 is ::ffff:a.b.c.d.
#   key[0..1] address A, key[2..3] address B, key[4] = port A << 48 | port B << 32 | proto
# ICMP "ports" are Zeek's: the type, and the counterpart's type (or the code, for one-way types);
# see icmp.pxd. VLAN and tunnel are not part of the key (as in Zeek): one direction may be untagged.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum DecodeResult:
    DECODE_OK = 0              # a transport (or ICMP) header was decoded: key is set
    DECODE_NO_FLOW = 1         # understood, but not a flow packet (IGMP, ESP, OSPF, LACP, ...)
    DECODE_TRUNCATED = 2       # the capture ends before the header does
    DECODE_MALFORMED = 3       # the header contradicts itself
    DECODE_UNSUPPORTED = 4     # a format we do not know
    DECODE_ARP = 5             # as NO_FLOW; the message is payload[0..captured)
    DECODE_LLDP = 6            # likewise
    DECODE_CDP = 7             # likewise
    DECODE_FRAGMENT = 8        # as NO_FLOW; a fragment without ports: key and dir are of its addresses

cdef enum TcpFlag:
    TCP_FIN = 1
    TCP_SYN = 2
    TCP_RST = 4
    TCP_PSH = 8
    TCP_ACK = 16
    TCP_URG = 32
    TCP_ECE = 64
    TCP_CWR = 128

cdef enum PacketFlag:
    PKT_V6 = 1                 # innermost IP is IPv6
    PKT_FRAGMENT = 2           # part of a fragmented datagram (first or later)
    PKT_LATER_FRAGMENT = 4     # no transport header here; ports from the fragment table, or 0
    PKT_TUNNELLED = 8          # at least one encapsulation was removed
    PKT_CUT = 16               # the snaplen cut the payload: captured < payload_len
    PKT_GSO = 32               # super-segment made by offload: the kernel says so, or its length
    PKT_TIMESTAMP = 64         # ts_val and ts_ecr are set
    PKT_QUOTE = 128            # ICMP error: `quoted_key` names the packet it complains about
    PKT_ECN_CE = 256           # congestion experienced


cdef struct Packet:
    uint64_t key[5]
    uint64_t ts_ns
    const uint8_t* payload
    uint32_t hash              # keyed hash of `key`
    uint32_t wire_len          # whole frame, octets on the wire
    # ---- second cache line
    uint32_t captured          # payload octets at `payload`
    uint32_t payload_len       # payload octets on the wire, by the IP length
    uint32_t seq               # ICMP: the second header word (echo: identifier << 16 | sequence)
    uint32_t ack
    uint32_t ts_val
    uint32_t ts_ecr
    uint16_t window            # unscaled
    uint16_t mss               # SYN only; 0 = absent
    uint16_t vlan              # outermost VLAN id; 0 = none
    uint16_t flags             # PacketFlag
    uint8_t proto              # IP protocol number
    uint8_t dir                # 0: the sender is side A, 1: side B
    uint8_t tcp_flags
    uint8_t wscale             # SYN only; 255 = absent
    uint8_t ttl                # or hop limit, innermost
    uint8_t icmp_type
    uint8_t icmp_code
    uint8_t depth              # encapsulations removed
    uint16_t gso_size          # payload octets of each packet on the wire; 0: unknown, or it is one
    uint64_t quoted_key[5]     # PKT_QUOTE only, same form as `key`
    uint32_t quoted_hash
    uint8_t quoted_dir


cdef inline uint32_t wire_packets(const Packet* p) noexcept nogil:
    # How many packets of the wire it is.
    if p.gso_size == 0 or p.payload_len <= p.gso_size:
        return 1
    return (p.payload_len + p.gso_size - 1) // p.gso_size


cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t sensor_mum(uint64_t a, uint64_t b) {
        unsigned __int128 r = (unsigned __int128)a * b; return (uint64_t)r ^ (uint64_t)(r >> 64); }
    """
    uint64_t sensor_mum(uint64_t a, uint64_t b) noexcept nogil


cdef inline uint32_t key_hash(const uint64_t* key, const uint64_t* secret) noexcept nogil:
    # Folded 64x64 multiply (wyhash's mixer) keyed with 5 secret words drawn at every start, so that
    # nobody outside can choose colliding connections.
    cdef uint64_t h = sensor_mum(key[0] ^ secret[0], key[1] ^ secret[1])
    h ^= sensor_mum(key[2] ^ secret[2], key[3] ^ secret[3])
    h = sensor_mum(h ^ key[4], secret[4])
    return <uint32_t> (h ^ (h >> 32))
