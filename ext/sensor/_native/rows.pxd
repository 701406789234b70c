# The connection row that leaves the native floor (dtypes.FLOW), and the bounded buffer it waits in.
#
# Invariants: rows[0..n_rows) and text[0..n_text) are complete; feed() stops before they overflow,
# and what still finds no room (connections ended by eviction in one batch) is counted in `lost`.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    ROWS_MAX = 65536
    TEXT_MAX = 4194304
    ROWS_RESERVE = 8192            # feed() asks for take_flows() when less room than this is left

cdef struct FlowRow:
    uint64_t started_ns
    uint64_t ended_ns
    uint64_t orig_ip[2]            # network byte order
    uint64_t resp_ip[2]
    uint16_t orig_port
    uint16_t resp_port
    uint8_t protocol
    uint8_t conn_state
    uint8_t app
    uint8_t end_reason
    uint64_t orig_packets
    uint64_t orig_bytes
    uint64_t resp_packets
    uint64_t resp_bytes
    uint64_t orig_wire_bytes
    uint64_t resp_wire_bytes
    uint64_t handshake_ns
    uint64_t handshake_responder_ns
    uint64_t handshake_originator_ns
    uint64_t rtt_min_ns
    uint64_t missed_bytes
    uint32_t retransmissions
    uint32_t lost_upstream
    uint32_t lost_downstream
    uint32_t out_of_order
    uint32_t zero_windows
    uint32_t name_at
    uint16_t vlan
    uint8_t name_len
    uint8_t name_source
    uint8_t local
    uint8_t flags
    uint8_t history_len
    uint8_t ttl                    # of the remote end: the responder, unless only that one is local
    uint8_t history[24]

cdef struct RowBuffer:
    FlowRow* rows
    uint8_t* text
    uint32_t n_rows
    uint32_t n_text
    uint64_t lost                  # connections ended without a row
    bint keep                      # False: nobody wants rows
