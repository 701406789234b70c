"""How a connection stood and why it ended: the numbers that the native floor writes."""

from enum import IntEnum


class ConnState(IntEnum):
    """Zeek's conn_state (scripts/base/protocols/conn/main.zeek)."""

    S0 = 0  # attempt seen, no reply
    S1 = 1  # established, not ended
    SF = 2  # established and ended by both sides
    REJ = 3  # attempt rejected
    S2 = 4  # established, the originator has closed, no reply to that
    S3 = 5  # established, the responder has closed, no reply to that
    RSTO = 6  # established, the originator aborted
    RSTR = 7  # the responder aborted
    RSTOS0 = 8  # the originator sent a SYN and then a RST; no SYN-ACK was seen
    RSTRH = 9  # the responder sent a SYN-ACK and then a RST; no SYN was seen
    SH = 10  # the originator sent a SYN and then a FIN; no SYN-ACK was seen
    SHR = 11  # the responder sent a SYN-ACK and then a FIN; no SYN was seen
    OTH = 12  # no SYN: picked up midstream


class EndReason(IntEnum):
    """IPFIX flowEndReason (IANA information element 136)."""

    IDLE_TIMEOUT = 1
    ACTIVE_TIMEOUT = 2
    END_DETECTED = 3  # FIN both ways, or RST
    FORCED_END = 4  # end of the input or of the process
    LACK_OF_RESOURCES = 5  # evicted: no room


def conn_state_names() -> tuple[str, ...]:
    """Names by number."""
    return tuple(state.name for state in ConnState)


def end_reason_names() -> tuple[str | None, ...]:
    """Names by number, as IPFIX writes them; there is no number 0."""
    return (None, *(reason.name.lower() for reason in EndReason))
