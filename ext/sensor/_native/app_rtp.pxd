# RTP (RFC 3550): packets, loss and interarrival jitter of up to two sources per direction.
#
# Invariants: a stream with run == 0 is free; it is believed after RTP_PROBATION packets in a row
# (RFC 3550 A.1). `window` bit k says that sequence number seq - k arrived. A number counts as lost
# when it leaves the window without having arrived, so that reordering within 63 packets is no
# loss and the loss counter never has to be taken back; rtp_flush() counts what is still open.
# Jitter (A.8) is in units of 1/16 timestamp tick; it means time only when the payload type is one
# of the static ones, whose clock rate RFC 3551 fixes.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from sensor._native.app cimport AppVerdict, APP_NO, APP_MAYBE, APP_YES
from sensor._native.counters cimport C_RTP_PACKETS, C_RTP_LOST
from sensor._native.sink cimport AppSink, sink_count
from sensor._native.span cimport sensor_be16, sensor_be32

cdef extern from *:
    """
    /* RFC 3551 tables 4 and 5: ticks per second of the static payload types; 0: none. */
    static const uint32_t rtp_static_clock[35] = {
        8000, 0, 0, 8000, 8000, 8000, 16000, 8000, 8000, 8000, 44100, 44100, 8000, 8000, 90000,
        8000, 11025, 22050, 8000, 0, 0, 0, 0, 0, 0, 90000, 90000, 0, 90000, 0, 0, 90000, 90000,
        90000, 90000 };
    """
    const uint32_t[35] rtp_static_clock
    int sensor_popcount64 "__builtin_popcountll"(uint64_t v) noexcept nogil

cdef enum:
    RTP_PROBATION = 3
    RTP_MAX_DROPOUT = 3000         # a longer jump is a restarted source, not loss (A.1)
    RTP_ASSUMED_CLOCK = 90000      # for jitter arithmetic only, when the true rate is unknown

cdef extern from *:
    """
    #define RTP_STALE_NS 2000000000ULL
    #define RTP_PAUSE_NS 10000000000LL
    """
    uint64_t RTP_STALE_NS          # silence after which a new source may take the slot
    int64_t RTP_PAUSE_NS           # spacing beyond which jitter means nothing

cdef struct RtpStream:
    uint64_t window
    uint64_t last_ns               # arrival of the last packet
    uint32_t last_ts               # and its timestamp
    uint32_t ssrc
    uint32_t jitter                # ticks / 16
    uint16_t seq                   # highest so far
    uint8_t payload_type
    uint8_t run                    # packets in a row, up to RTP_PROBATION

cdef struct Rtp:                   # all zero = fresh; 64 B per direction
    RtpStream stream[2][2]         # [from_orig][slot]


cdef inline uint32_t rtp_clock(uint8_t payload_type) noexcept nogil:
    return rtp_static_clock[payload_type] if payload_type < 35 else 0


cdef inline bint rtp_header(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 12
    cdef uint8_t pt
    if n < 12 or p[0] >> 6 != 2:
        return False
    pt = p[1] & 127
    if rtp_clock(pt) == 0 and pt < 96:
        return False               # unassigned, reserved, or RTCP (72-76)
    at += (p[0] & 15) * <uint32_t> 4
    if p[0] & 16:
        if n < at + 4:
            return False
        at += 4 + sensor_be16(p + at + 2) * <uint32_t> 4
    return at <= n


cdef inline void rtp_flush_stream(RtpStream* s, AppSink* sink) noexcept nogil:
    # Everything still missing in the window is lost.
    cdef uint32_t holes
    if s.run == RTP_PROBATION:
        holes = 64 - <uint32_t> sensor_popcount64(s.window)
        if holes:
            sink_count(sink, C_RTP_LOST, holes)
        s.window = ~<uint64_t> 0


cdef inline void rtp_flush(Rtp* r, AppSink* sink) noexcept nogil:
    # When the flow ends.
    cdef uint32_t i
    for i in range(4):
        rtp_flush_stream(&r.stream[i >> 1][i & 1], sink)


cdef inline void rtp_start(RtpStream* s, AppSink* sink, uint32_t ssrc, uint16_t seq, uint32_t ts,
                           uint8_t pt) noexcept nogil:
    rtp_flush_stream(s, sink)
    s.window = ~<uint64_t> 0       # nothing before the first packet can be missing
    s.last_ns = sink.ts_ns
    s.last_ts = ts
    s.ssrc = ssrc
    s.jitter = 0
    s.seq = seq
    s.payload_type = pt
    s.run = 1


cdef inline void rtp_jitter_add(RtpStream* s, uint64_t now_ns, uint32_t ts,
                                uint8_t pt) noexcept nogil:
    # A.8: J += (|D| - J) / 16, D = difference of the arrival spacing and the timestamp spacing.
    cdef uint32_t clock = rtp_clock(pt)
    cdef int64_t arrival = <int64_t> (now_ns - s.last_ns)
    cdef int64_t d
    if pt == s.payload_type and -RTP_PAUSE_NS < arrival < RTP_PAUSE_NS:
        if clock == 0:
            clock = RTP_ASSUMED_CLOCK
        d = arrival * clock // 1000000000 - <int32_t> (ts - s.last_ts)
        if d < 0:
            d = -d
        if d < clock * <int64_t> 10:           # a timestamp that jumps is a new talk, not jitter
            s.jitter = <uint32_t> (<int64_t> s.jitter + d - ((<int64_t> s.jitter + 8) >> 4))
    s.payload_type = pt
    s.last_ns = now_ns
    s.last_ts = ts


cdef inline AppVerdict rtp_stream_packet(RtpStream* s, AppSink* sink, uint16_t seq, uint32_t ts,
                                         uint8_t pt) noexcept nogil:
    cdef uint32_t ahead = <uint16_t> (seq - s.seq)
    cdef uint32_t behind = <uint16_t> (s.seq - seq)
    cdef uint32_t holes
    if s.run < RTP_PROBATION:
        if ahead == 0:
            return APP_MAYBE       # the same packet captured twice
        if ahead != 1 or (pt != s.payload_type):
            rtp_start(s, sink, s.ssrc, seq, ts, pt)
            return APP_MAYBE
        s.run += 1
        s.seq = seq
        rtp_jitter_add(s, sink.ts_ns, ts, pt)
        if s.run < RTP_PROBATION:
            return APP_MAYBE
        sink_count(sink, C_RTP_PACKETS, RTP_PROBATION)
        return APP_YES
    if behind < 64:                # again, or late
        if s.window >> behind & 1:
            return APP_YES
        s.window |= <uint64_t> 1 << behind
    elif ahead <= RTP_MAX_DROPOUT:
        # `ahead` numbers leave the window; of those beyond 64 none arrived.
        if ahead < 64:
            holes = ahead - <uint32_t> sensor_popcount64(s.window >> (64 - ahead))
            s.window = s.window << ahead | 1
        else:
            holes = ahead - <uint32_t> sensor_popcount64(s.window)
            s.window = 1
        if holes:
            sink_count(sink, C_RTP_LOST, holes)
        s.seq = seq
    elif behind <= RTP_MAX_DROPOUT:
        sink_count(sink, C_RTP_PACKETS, 1)     # too late: it has been counted as lost
        return APP_YES
    else:
        rtp_start(s, sink, s.ssrc, seq, ts, pt)
        return APP_YES
    sink_count(sink, C_RTP_PACKETS, 1)
    rtp_jitter_add(s, sink.ts_ns, ts, pt)
    return APP_YES


cdef inline AppVerdict rtp_datagram(Rtp* r, AppSink* sink, bint from_orig, const uint8_t* p,
                                    uint32_t n) noexcept nogil:
    # APP_YES from the third packet in a row of one source on; APP_NO says this datagram is not RTP
    # (STUN and RTCP share the port: it does not speak against the flow). Of more than two
    # simultaneous sources per direction, the two that came first are measured.
    cdef uint32_t side = 1 if from_orig else 0
    cdef uint32_t ssrc, ts, i
    cdef uint16_t seq
    cdef uint8_t pt
    cdef RtpStream* s
    cdef RtpStream* to = NULL
    if not rtp_header(p, n):
        return APP_NO
    pt = p[1] & 127
    seq = sensor_be16(p + 2)
    ts = sensor_be32(p + 4)
    ssrc = sensor_be32(p + 8)
    for i in range(2):
        s = &r.stream[side][i]
        if s.run and s.ssrc == ssrc:
            return rtp_stream_packet(s, sink, seq, ts, pt)
    for i in range(2):
        s = &r.stream[side][i]
        if s.run < RTP_PROBATION or sink.ts_ns - s.last_ns > RTP_STALE_NS:
            if to == NULL or s.run == 0 or (to.run and s.last_ns < to.last_ns):
                to = s
    if to == NULL:
        return APP_MAYBE
    rtp_start(to, sink, ssrc, seq, ts, pt)
    return APP_MAYBE


cdef inline bint rtp_jitter_ns(const Rtp* r, bint from_orig, uint64_t* out) noexcept nogil:
    # Interarrival jitter (ns) of the first believed source of a direction; False when unknown.
    cdef uint32_t i, clock
    cdef const RtpStream* s
    for i in range(2):
        s = &r.stream[1 if from_orig else 0][i]
        clock = rtp_clock(s.payload_type)
        if s.run == RTP_PROBATION and clock:
            out[0] = <uint64_t> (s.jitter >> 4) * 1000000000 // clock
            return True
    return False
