"""Test door of the decoder: frames in, dicts out, so that pytest can hold it against oracles."""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc

from sensor._native.anomalies cimport A_COUNT, DC_COUNT
from sensor._native.decode cimport decode
from sensor._native.decode_state cimport Decoder, decoder_init, UNKNOWN_LINKS
from sensor._native.exact cimport exact_copy
from sensor._native.packet cimport (
    DECODE_OK, DecodeResult, Packet, PKT_LATER_FRAGMENT, PKT_QUOTE, PKT_TIMESTAMP,
)
from sensor._native.source cimport RawPacket

from sensor._native import anomalies as names

# A fixed draw, so that tests repeat; a sensor takes its own from the operating system.
DOOR_SECRET = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93,
               0xA0761D6478BD642F)
RESULTS = (
    "ok", "no_flow", "truncated", "malformed", "unsupported", "arp", "lldp", "cdp", "fragment",
)


cdef class Decoding:
    """A decoder and its state: decode frames in order, then read the counts."""

    cdef Decoder* d

    def __cinit__(self, secret=DOOR_SECRET):
        cdef uint64_t words[5]
        for i in range(5):
            words[i] = secret[i]
        self.d = <Decoder*> malloc(sizeof(Decoder))
        if self.d == NULL:
            raise MemoryError
        decoder_init(self.d, words)

    def __dealloc__(self):
        free(self.d)

    def frame(self, int link, bytes data, wire_len=None, ts_ns=0):
        """Decode one frame out of an exact-size heap copy (so that a sanitizer sees over-reads)."""
        cdef RawPacket raw
        cdef Packet p
        cdef DecodeResult r
        cdef size_t n = len(data)
        cdef uint8_t* copy = exact_copy(data, n)
        raw.ts_ns = ts_ns
        raw.data = copy
        raw.caplen = n
        raw.len = n if wire_len is None else wire_len
        raw.link = link
        raw.interface = 0
        raw.flags = 0
        raw.gso_size = 0
        with nogil:
            r = decode(self.d, &raw, &p)
        copied = p.payload[:p.captured] if r == DECODE_OK else b""
        free(copy)
        out = {"result": RESULTS[r], "wire_len": p.wire_len}
        if r != DECODE_OK:
            return out
        out.update(
            key=[p.key[i] for i in range(5)],
            hash=p.hash,
            payload=copied,
            captured=p.captured,
            payload_len=p.payload_len,
            proto=p.proto,
            dir=p.dir,
            ttl=p.ttl,
            vlan=p.vlan,
            depth=p.depth,
            flags=p.flags,
        )
        if p.flags & PKT_LATER_FRAGMENT:
            return out
        if p.proto == 6:
            out.update(seq=p.seq, ack=p.ack, tcp_flags=p.tcp_flags, window=p.window,
                       mss=p.mss, wscale=p.wscale)
            if p.flags & PKT_TIMESTAMP:
                out.update(ts_val=p.ts_val, ts_ecr=p.ts_ecr)
        elif p.proto != 17:
            out.update(icmp_type=p.icmp_type, icmp_code=p.icmp_code)
            if p.flags & PKT_QUOTE:
                out.update(quoted_key=[p.quoted_key[i] for i in range(5)],
                           quoted_hash=p.quoted_hash, quoted_dir=p.quoted_dir)
        return out

    @property
    def counts(self) -> dict:
        """Protocol counts that are not zero, by lower-case name."""
        return {c.name[3:].lower(): self.d.counts[c.value]
                for c in names.DecodeCount if c.value < DC_COUNT and self.d.counts[c.value]}

    @property
    def anomalies(self) -> dict:
        """Anomaly counts that are not zero, by the name that users see."""
        return {a.name[2:].lower(): self.d.anomalies[a.value]
                for a in names.Anomaly if a.value < A_COUNT and self.d.anomalies[a.value]}

    @property
    def unknown_links(self) -> dict:
        """Frames per link type that is not decoded (the first 8 kinds)."""
        return {self.d.unknown_link[i]: self.d.unknown_link_count[i]
                for i in range(UNKNOWN_LINKS) if self.d.unknown_link_count[i]}


def decode_frame(int link, bytes data, wire_len=None) -> dict:
    """Decode one frame with a fresh decoder; adds its anomalies."""
    d = Decoding()
    out = d.frame(link, data, wire_len)
    out["anomalies"] = d.anomalies
    return out
