# TCP connection states and history, after Zeek (TCPSessionAdapter, scripts/base/protocols/conn).
#
# Each side has its own state; conn_state() reads both at the end. History letters: upper case for
# the originator, lower for the responder; a, d, i, q once per side; s, h, f, r again when their
# sequence number differs; t, w, g at the 1st, 10th, 100th ... time; ^ when the direction was
# turned.
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from sensor._native.flow cimport (
    FLOW_TURNED, HISTORY_MAX, OTH, REJ, RSTO, RSTOS0, RSTR, RSTRH, S0, S1, S2, S3, SF, SH, SHR,
    TE_CLOSED, TE_ESTABLISHED, TE_INACTIVE, TE_PARTIAL, TE_RESET, TE_SYN_ACK_SENT, TE_SYN_SENT,
    ConnState, Flow, Half)
from sensor._native.packet cimport TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN

cdef enum HistoryBit:
    H_SYN = 1
    H_FIN = 2
    H_RST = 4
    H_DATA = 8
    H_ACK = 16
    H_FIN_RST = 32
    H_MULTI = 64


cdef inline void history_add(Flow* f, uint8_t side, uint8_t letter) noexcept nogil:
    if f.history_len < HISTORY_MAX:
        f.history[f.history_len] = letter + (32 if side == 1 and letter != 94 else 0)
        f.history_len += 1


cdef inline bint history_once(Flow* f, uint8_t side, uint16_t bit, uint8_t letter) noexcept nogil:
    # True when the letter stood there already.
    if f.half[side].history & bit:
        return True
    f.half[side].history |= bit
    history_add(f, side, letter)
    return False


cdef inline bint power_of_ten(uint32_t n) noexcept nogil:
    return (n == 1 or n == 10 or n == 100 or n == 1000 or n == 10000 or n == 100000
            or n == 1000000)


cdef inline void history_flags(Flow* f, uint8_t side, uint8_t flags, uint32_t seq,
                               uint32_t len) noexcept nogil:
    cdef uint8_t fsr = flags & (TCP_SYN | TCP_FIN | TCP_RST)
    cdef uint32_t end
    if fsr == 0:
        if len:
            if not f.half[side].history & H_DATA:
                history_once(f, side, H_DATA, 68)                    # D
        elif flags & TCP_ACK and not f.half[side].history & H_ACK:
            history_once(f, side, H_ACK, 65)                         # A
    elif fsr == TCP_SYN:
        if history_once(f, side, H_SYN,
                        72 if flags & TCP_ACK else 83) and seq != f.half[side].start:
            history_add(f, side, 72 if flags & TCP_ACK else 83)      # H, S
    elif fsr == TCP_FIN:
        end = seq + len + 1
        if history_once(f, side, H_FIN, 70) and end != f.fin_seq[side]:
            history_add(f, side, 70)                                 # F
        f.fin_seq[side] = end
    elif fsr == TCP_RST:
        if history_once(f, side, H_RST, 82) and seq != f.rst_seq[side]:
            history_add(f, side, 82)                                 # R
        f.rst_seq[side] = seq
    elif flags & TCP_FIN and flags & TCP_RST:
        history_once(f, side, H_FIN_RST, 73)                         # I
    else:
        history_once(f, side, H_MULTI, 81)                           # Q


cdef inline void set_state(Half* h, uint8_t state) noexcept nogil:
    h.before = h.state
    h.state = state


cdef inline void tcp_advance(Flow* f, uint8_t side, uint8_t flags, uint32_t seq,
                             uint32_t len) noexcept nogil:
    # One segment of `side` moves the state machine (TCPSessionAdapter::UpdateStateMachine).
    cdef Half* me = &f.half[side]
    cdef Half* peer = &f.half[1 - side]
    cdef bint is_orig = side == 0
    if me.state == TE_ESTABLISHED or me.state == TE_PARTIAL:
        if flags & (TCP_SYN | TCP_FIN | TCP_RST) == 0:
            return
        if (flags & TCP_SYN and not flags & TCP_ACK and me.state == TE_PARTIAL
            and peer.state == TE_INACTIVE):
            set_state(me, TE_SYN_SENT)
        if flags & TCP_FIN and not flags & TCP_RST:
            set_state(me, TE_CLOSED)
            if peer.state == TE_RESET and peer.before == TE_CLOSED:
                # FIN then RST by the peer, now our FIN: a normal end
                set_state(peer, TE_CLOSED)
        if flags & TCP_RST:
            set_state(me, TE_RESET)
    elif me.state == TE_INACTIVE:
        if flags & TCP_SYN:
            if is_orig:
                set_state(me, TE_SYN_ACK_SENT if flags & TCP_ACK else TE_SYN_SENT)
            else:
                if peer.state == TE_SYN_SENT:
                    set_state(peer, TE_ESTABLISHED)
                set_state(me, TE_ESTABLISHED)
        if flags & TCP_FIN:
            set_state(me, TE_CLOSED)
        if flags & TCP_RST:
            set_state(me, TE_RESET)
        if me.state == TE_INACTIVE:
            if not is_orig and len == 0 and peer.state == TE_SYN_SENT:
                pass                              # some stacks ACK a SYN before they answer it
            elif flags & TCP_ACK and peer.state == TE_ESTABLISHED:
                set_state(me, TE_ESTABLISHED)     # SYN missed, SYN-ACK and this ACK seen
            else:
                set_state(me, TE_PARTIAL)
    elif me.state == TE_SYN_SENT or me.state == TE_SYN_ACK_SENT:
        if flags & TCP_FIN:
            set_state(me, TE_CLOSED)
        if flags & TCP_RST:
            set_state(me, TE_RESET)
    elif me.state == TE_CLOSED:
        if flags & TCP_RST and peer.state != TE_CLOSED:
            set_state(me, TE_RESET)


cdef inline ConnState tcp_conn_state(const Flow* f) noexcept nogil:
    cdef uint8_t o = f.half[0].state
    cdef uint8_t r = f.half[1].state
    cdef bint o_inactive = o == TE_INACTIVE or o == TE_PARTIAL
    cdef bint r_inactive = r == TE_INACTIVE or r == TE_PARTIAL
    cdef uint8_t i
    cdef uint8_t c
    if r == TE_RESET:
        if (o == TE_SYN_SENT or o == TE_SYN_ACK_SENT
                or (o == TE_RESET and f.half[0].bytes == 0 and f.half[1].bytes == 0)):
            return REJ
        return RSTRH if o_inactive else RSTR
    if o == TE_RESET:
        if not r_inactive:
            return RSTO
        # RSTOS0: history is ^?S, then none of HAFGIQ, then R.
        i = 1 if f.history_len and f.history[0] == 94 else 0
        if i < f.history_len and f.history[i] == 83:
            i += 1
            while i < f.history_len:
                c = f.history[i]
                if c == 82:
                    return RSTOS0
                if c == 72 or c == 65 or c == 70 or c == 71 or c == 73 or c == 81:
                    break
                i += 1
        return OTH
    if r == TE_CLOSED and o == TE_CLOSED:
        return SF
    if o == TE_CLOSED:
        return SH if r_inactive else S2
    if r == TE_CLOSED:
        return SHR if o_inactive else S3
    if o == TE_SYN_SENT and r == TE_INACTIVE:
        return S0
    if o == TE_ESTABLISHED and r == TE_ESTABLISHED:
        return S1
    return OTH


cdef inline ConnState conn_state(const Flow* f) noexcept nogil:
    if f.proto == 6:
        return tcp_conn_state(f)
    if f.proto == 17:
        if f.half[0].packets:
            return SF if f.half[1].packets else S0
        return SHR if f.half[1].packets else OTH
    return OTH
