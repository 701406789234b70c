# Sequence tracking of one direction: loss, reordering and RTT samples (design: passive, Karn-safe).
#
# Per direction X (data) / Y (acks). A sample is kept for up to SAMPLES outstanding segments and is
# taken only by an ACK that matches its end exactly; a retransmission, a hole or a duplicate ACK
# forgets them (Karn's rule; the range collapse of Dart, SIGCOMM '22).
# Classes: PIGGY (ACK rides on data: server think time in it), NET (pure ACK of at least two
# segments: not delayed), PURE1 (pure ACK of one segment: may be delayed by up to 40-200 ms).
# Bias: a tail loss of a lone segment before the capture point is invisible; an ACK lost before the
# capture point can make a spurious retransmission look like a loss.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from sensor._native.clock cimport NS_PER_MS, NS_PER_SECOND, NS_PER_US
from sensor._native.flow cimport HOLES, SAMPLES, Flow, Half, Hole, Sample
from sensor._native.packet cimport PKT_TIMESTAMP, TCP_FIN, TCP_SYN, Packet
from sensor._native.seq cimport seq_diff

cdef enum Segment:             # what a segment that carries sequence space turned out to be
    SEG_NEXT = 0               # the next in order
    SEG_AHEAD = 1              # beyond a hole
    SEG_KEEPALIVE = 2
    SEG_SPURIOUS = 3           # sent again though acknowledged
    SEG_LOST_DOWNSTREAM = 4    # sent again, seen here before: lost behind us
    SEG_LOST_UPSTREAM = 5      # fills a hole, resent: lost before us
    SEG_OUT_OF_ORDER = 6       # fills a hole, merely late
    SEG_DUPLICATE = 7          # same segment captured twice

cdef enum SampleClass:
    SAMPLE_NONE = 0
    SAMPLE_PIGGY = 1
    SAMPLE_NET = 2
    SAMPLE_PURE1 = 3

cdef enum:
    SAMPLE_MAX_S = 60          # older samples might have wrapped their ticks

cdef struct Acked:
    uint64_t rtt_ns            # valid when cls != SAMPLE_NONE
    SampleClass cls
    uint32_t unseen            # octets acknowledged that were never captured


cdef inline uint32_t tick64(uint64_t ns) noexcept nogil:
    return <uint32_t> (ns >> 6)


cdef inline void store_sample(Flow* f, uint8_t d, uint32_t end, uint64_t now) noexcept nogil:
    cdef Half* h = &f.half[d]
    cdef Sample* last
    cdef uint64_t spacing
    if h.samples < SAMPLES:
        last = &f.sample[d][h.samples]
        h.samples += 1
    else:
        # Full: the newest moves on when it is older than a quarter RTT, so that samples stay
        # spread.
        last = &f.sample[d][SAMPLES - 1]
        spacing = <uint64_t> f.srtt_us * NS_PER_US // 4
        if spacing < NS_PER_MS:
            spacing = NS_PER_MS
        if (<uint64_t> (tick64(now) - last.tick) << 6) < spacing:
            return
    last.end_seq = end
    last.tick = tick64(now)


cdef inline bint fill_hole(Flow* f, uint8_t d, uint32_t seq, uint32_t end) noexcept nogil:
    # Does [seq, end) lie in a hole?  Then it is cut out of it.
    cdef int i
    cdef Hole* o
    for i in range(HOLES):
        o = &f.hole[d][i]
        if o.left == o.right:
            continue
        if seq_diff(seq, o.left) >= 0 and seq_diff(end, o.right) <= 0:
            if seq == o.left:
                o.left = end
            elif end == o.right:
                o.right = seq
            elif seq_diff(seq, o.left) >= seq_diff(o.right, end):
                o.right = seq                  # keep the larger remainder: two slots only
            else:
                o.left = end
            return True
    return False


cdef inline void open_hole(Flow* f, uint8_t d, uint32_t left, uint32_t right) noexcept nogil:
    cdef int i = 0
    if f.hole[d][0].left != f.hole[d][0].right:
        i = 1
        if f.hole[d][1].left != f.hole[d][1].right:
            f.hole[d][0] = f.hole[d][1]        # forget the oldest
    f.hole[d][i].left = left
    f.hole[d][i].right = right
    f.waiting |= <uint8_t> (4 << d)


cdef inline void close_holes(Flow* f, uint8_t d, uint32_t ack) noexcept nogil:
    # What is acknowledged need not be waited for.
    cdef int i
    cdef bint left = False
    for i in range(HOLES):
        if f.hole[d][i].left != f.hole[d][i].right and seq_diff(f.hole[d][i].right, ack) <= 0:
            f.hole[d][i].left = f.hole[d][i].right
        left = left or f.hole[d][i].left != f.hole[d][i].right
    if not left:
        f.waiting &= <uint8_t> ~(4 << d)


cdef inline Segment track_data(Flow* f, uint8_t d, const Packet* p, uint32_t seq, uint32_t len,
                               uint64_t now) noexcept nogil:
    # `len` octets of sequence space (payload, plus 1 for SYN and FIN) at `seq`; the caller has set
    # up `nxt`. Returns what it was; the caller counts.
    cdef Half* h = &f.half[d]
    cdef uint32_t end = seq + len
    cdef int32_t gap = seq_diff(seq, h.nxt)
    cdef bint stamped = p.flags & PKT_TIMESTAMP
    cdef bint late
    cdef uint64_t limit
    if gap == 0:
        h.nxt = end
        h.advanced_ns = now
        if stamped:
            h.ts_at_max = p.ts_val
        store_sample(f, d, end, now)
        return SEG_NEXT
    if gap > 0:
        open_hole(f, d, h.nxt, seq)
        h.left = end
        h.samples = 0
        h.nxt = end
        h.advanced_ns = now
        if stamped:
            h.ts_at_max = p.ts_val
        return SEG_AHEAD
    if len <= 1 and gap == -1 and not p.tcp_flags & (TCP_SYN | TCP_FIN):
        return SEG_KEEPALIVE
    h.samples = 0
    h.left = h.nxt
    if seq_diff(end, h.una) <= 0:
        return SEG_SPURIOUS
    # Late, or sent again?  An older TSval proves the one, a newer the other. Without timestamps, or
    # within one tick of them, being quicker than any retransmission could be means late.
    if stamped and p.ts_val != h.ts_at_max:
        late = seq_diff(p.ts_val, h.ts_at_max) < 0
    else:
        limit = <uint64_t> f.srtt_us * NS_PER_US // 2
        if limit == 0 or limit > 3 * NS_PER_MS:
            limit = 3 * NS_PER_MS
        late = now >= h.advanced_ns and now - h.advanced_ns < limit and h.dup_acks < 3
    if fill_hole(f, d, seq, end):
        return SEG_OUT_OF_ORDER if late else SEG_LOST_UPSTREAM
    if seq_diff(end, h.nxt) > 0:               # partly new: goes on from there
        h.nxt = end
        h.advanced_ns = now
        if stamped:
            h.ts_at_max = p.ts_val
    return SEG_DUPLICATE if late else SEG_LOST_DOWNSTREAM


cdef inline Acked track_ack(Flow* f, uint8_t d, uint32_t ack, uint32_t len, bint control,
                            uint32_t window, uint64_t now) noexcept nogil:
    # The peer of direction d acknowledged `ack`; its segment carried `len` octets and `control` if
    # SYN, FIN or RST. `window` is what it advertised.
    cdef Half* h = &f.half[d]
    cdef Acked out
    cdef int32_t advance
    cdef int32_t past = seq_diff(ack, h.nxt)
    cdef int i
    cdef int kept
    cdef uint32_t covered
    out.cls = SAMPLE_NONE
    out.rtt_ns = 0
    out.unseen = 0
    if past > 0:
        out.unseen = <uint32_t> past
        h.nxt = h.left = h.una = ack
        h.samples = 0
        return out
    advance = seq_diff(ack, h.una)
    if advance > 0:
        covered = <uint32_t> advance
        kept = 0
        if h.samples:
            for i in range(h.samples):
                if f.sample[d][i].end_seq == ack:
                    if (seq_diff(ack, h.left) > 0 and now >= h.advanced_ns
                            and now - h.advanced_ns < SAMPLE_MAX_S * <uint64_t> NS_PER_SECOND):
                        out.rtt_ns = <uint64_t> (tick64(now) - f.sample[d][i].tick) << 6
                        if len or control:
                            out.cls = SAMPLE_PIGGY
                        elif covered + 100 >= 2 * <uint32_t> h.mss:
                            out.cls = SAMPLE_NET
                        else:
                            out.cls = SAMPLE_PURE1
                elif seq_diff(f.sample[d][i].end_seq, ack) > 0:
                    f.sample[d][kept] = f.sample[d][i]
                    kept += 1
            h.samples = <uint8_t> kept
        h.una = ack
        h.dup_acks = 0
        if f.waiting & (4 << d):
            close_holes(f, d, ack)
    elif (advance == 0 and len == 0 and not control and window == f.half[1 - d].window
          and h.una != h.nxt):
        if h.dup_acks < 255:
            h.dup_acks += 1
        h.left = h.nxt
        h.samples = 0
    return out
