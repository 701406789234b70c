"""The one door of the native floor: feed(batch), take_window(), take_flows(), counters()."""

import os

import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from sensor._native import dtypes
from sensor._native.anomalies import Anomaly, DecodeCount
from sensor._native.flow import ConnState

from sensor._native.announcements cimport Announcement
from sensor._native.app_dispatch cimport flow_named
from sensor._native.core cimport LOCAL_MAX, STOP_NAMES, Core
from sensor._native.core_memory cimport core_free, core_new
from sensor._native.detect cimport Detect
from sensor._native.detect_count cimport detect_next
from sensor._native.detect_rows cimport copy_out, sensor_row, slot_parts, slot_tables
from sensor._native.domains cimport DOMAINS, DomainRow, domain_rows
from sensor._native.decode cimport decode
from sensor._native.flow cimport TE_ESTABLISHED, flow_two_way
from sensor._native.histogram cimport HIST2_LEN, HIST3_LEN
from sensor._native.neighbours cimport NEIGHBOURS, NeighbourRow, neighbour_rows
from sensor._native.packet cimport DECODE_OK, Packet
from sensor._native.pump cimport core_finish, core_swap_window, pump, pump_idle
from sensor._native.rows cimport FlowRow
from sensor._native.sink cimport L_COUNT, NAME_MAX
from sensor._native.sketch cimport Hll
from sensor._native.source cimport PacketSource
from sensor._native.window cimport EndpointRow, PeerRow, SecondRow, Window

# Ports that a server listens on, for turning the direction of what was picked up mid-stream
# (Zeek's likely_server_ports, plus services that came since).
SERVER_TCP = (
    20, 21, 22, 23, 25, 43, 53, 80, 88, 102, 110, 111, 135, 139, 143, 179, 389, 443, 445, 465, 502,
    514, 548, 554, 563, 585, 587, 614, 631, 636, 853, 873, 989, 990, 992, 993, 995, 1080, 1194, 1433,
    1521, 1723, 1883, 2049, 2181, 3000, 3128, 3306, 3389, 5000, 5060, 5061, 5222, 5223, 5269, 5432,
    5555, 5672, 5900, 5985, 6379, 6443, 6514, 6666, 6667, 6668, 6669, 8000, 8008, 8080, 8081, 8088,
    8443, 8883, 8888, 9092, 9200, 9300, 9418, 10250, 11211, 27017, 50051,
)
SERVER_UDP = (
    53, 67, 69, 88, 111, 123, 135, 137, 138, 161, 162, 389, 427, 443, 500, 514, 520, 623, 853, 1194,
    1434, 1701, 1812, 1813, 1900, 2049, 2152, 3478, 3544, 3702, 4500, 4789, 5060, 5351, 5353, 5355,
    5683, 6081, 11211, 27015, 51820,
)

# Ports whose answers are larger than their questions (CISA TA14-017A, and what came since). QUIC's
# 443 is not among them: its answers are bounded (RFC 9000 8.1), its traffic is not.
REFLECTING_UDP = (
    7, 17, 19, 53, 69, 111, 123, 137, 161, 177, 389, 427, 520, 1434, 1900, 3283, 3478, 3702, 5093,
    5353, 5683, 10001, 11211, 27015, 27960, 37810,
)

INITIALS_KEPT = 4        # datagrams a ClientHello may be spread over
FLOWS_WAITING = 256      # QUIC clients whose ClientHello is not complete

_STATE_NAMES = [s.name for s in ConnState if s.name != "STATES"]

for _dtype, _size, _name in (
    (dtypes.ENDPOINT, sizeof(EndpointRow), "ENDPOINT"),
    (dtypes.PEER, sizeof(PeerRow), "PEER"),
    (dtypes.SECOND, sizeof(SecondRow), "SECOND"),
    (dtypes.FLOW, sizeof(FlowRow), "FLOW"),
    (dtypes.DOMAIN, sizeof(DomainRow), "DOMAIN"),
    (dtypes.NEIGHBOUR, sizeof(NeighbourRow), "NEIGHBOUR"),
):
    if _dtype.itemsize != _size:
        raise ImportError(f"dtypes.{_name} is {_dtype.itemsize} octets, C has {_size}")


cdef class Engine:
    """Decodes packets into connections and windows of figures, on packet time.

    local: (16-octet address, prefix length in 128 bits) pairs that are the agent's own.
    window_ns: length of a window. flows, half_open: table sizes (rounded up to powers of two).
    secret: 40 octets that key every hash; drawn anew when not given.
    keep_rows: whether take_flows() will be called for connection rows.
    features: whether take_features() will be called, each second, for detection.
    server_name: called with the datagrams of one QUIC client so far (list of bytes, oldest first,
    at most 4), gives the server name or None; without it QUIC has no names.
    names_of: an engine in another thread that gets another share of the same packets, with the same
    secret: what either learns from DNS, both know.
    in_step: windows follow each other, those without packets too, so that those of engines which share
    packets fit together.
    """

    cdef Core* c
    cdef Engine names_of
    cdef bint finishing
    cdef object server_name
    cdef dict initials
    cdef dict health_before

    def __cinit__(self, *, local=(), uint64_t window_ns=60_000_000_000, uint32_t flows=262144,
                  uint32_t half_open=131072, bytes secret=None, bint keep_rows=True, bint features=False,
                  server_name=None, Engine names_of=None, bint in_step=False):
        if secret is None:
            secret = os.urandom(40)
        if len(secret) != 40:
            raise ValueError("secret must have 40 octets")
        if window_ns == 0:
            raise ValueError("window_ns must be positive")
        if len(local) > LOCAL_MAX:
            raise ValueError(f"at most {LOCAL_MAX} local prefixes")
        self.names_of = names_of
        self.c = core_new(flows, half_open, secret, window_ns, keep_rows, features,
                          NULL if names_of is None else names_of.c.names)
        if self.c == NULL:
            raise MemoryError("no memory for the flow tables")
        self.c.in_step = in_step
        self.server_name = server_name
        self.initials = {}
        self.health_before = {}
        for address, length in local:
            self.add_local(address, length)
        for port in SERVER_TCP:
            self.c.likely_server[0][port >> 3] |= 1 << (port & 7)
        for port in SERVER_UDP:
            self.c.likely_server[1][port >> 3] |= 1 << (port & 7)
        if features:
            for port in REFLECTING_UDP:
                self.c.detect.reflects[port >> 3] |= 1 << (port & 7)

    def __dealloc__(self):
        core_free(self.c)

    cdef add_local(self, bytes address, object length):
        # `length` is Python's: C's 1 << 64 is not a number.
        if len(address) != 16 or not 0 <= length <= 128:
            raise ValueError("a local prefix is (16 octets, 0..128)")
        mask = ((1 << 128) - 1) ^ ((1 << (128 - length)) - 1)
        net = int.from_bytes(address, "big") & mask
        i = self.c.n_local
        self.c.local[i].net[0] = net >> 64
        self.c.local[i].net[1] = net & 0xFFFFFFFFFFFFFFFF
        self.c.local[i].mask[0] = mask >> 64
        self.c.local[i].mask[1] = mask & 0xFFFFFFFFFFFFFFFF
        self.c.n_local += 1

    def feed(self, PacketSource source not None) -> int:
        """Take records of the source's current batch, and of those that it has without Python.

        Returns 0 when they are used up; else a bit mask: 1 = a window ended (call
        take_window()), 2 = the connection rows are nearly full (call take_flows()), 8 = a second ended
        (call take_features()); then call again.
        """
        cdef int why
        while True:
            with nogil:
                why = pump(self.c, source.packets, source.n, &source.at)
                while why == 0 and source.more():
                    why = pump(self.c, source.packets, source.n, &source.at)
            if why != STOP_NAMES:
                return why
            self.read_names()

    def idle(self, uint64_t now_ns) -> int:
        """No packet is to come from before `now_ns`: the second and the window end in their time.

        For live capture; returns what feed() does; call again until 0.
        """
        cdef int why
        with nogil:
            why = pump_idle(self.c, now_ns)
        return why

    cdef read_names(self):
        # The Initials that wait; their flows take the names at their next packet.
        cdef uint32_t i
        cdef uint64_t ticket
        for i in range(self.c.initials.n):
            ticket = self.c.initials.entry[i].serial
            if self.server_name is None:
                continue
            parts = self.initials.pop(ticket, [])
            parts.append(bytes(self.c.initials.entry[i].data[:self.c.initials.entry[i].n]))
            name = self.server_name(parts)
            if name:
                told = name.encode("utf-8", "surrogateescape")[:NAME_MAX]
                flow_named(self.c, ticket, told, <uint32_t> len(told))
            elif len(parts) < INITIALS_KEPT:
                if len(self.initials) >= FLOWS_WAITING:
                    del self.initials[next(iter(self.initials))]
                self.initials[ticket] = parts
        self.c.initials.n = 0

    def finish(self) -> None:
        """End of the input: every connection ends. Then take_flows() until empty, take_window()."""
        self.finishing = True
        with nogil:
            core_finish(self.c)

    def take_flows(self):
        """Connections ended since the last call: (array of dtypes.FLOW, text arena)."""
        rows = copy_out(self.c.rows.rows, self.c.rows.n_rows * sizeof(FlowRow), dtypes.FLOW)
        text = bytes(self.c.rows.text[:self.c.rows.n_text])
        self.c.rows.n_rows = self.c.rows.n_text = 0
        if self.finishing:
            with nogil:
                core_finish(self.c)
        return rows, text

    def take_window(self) -> dict:
        """The window that ended, and begin the next; see dtypes for the arrays."""
        cdef Window* w = self.c.now
        cdef uint32_t i
        cdef uint64_t established = 0
        cdef uint64_t opened = self.c.flows_open
        stats = np.empty((L_COUNT, 5), np.uint64)
        for i in range(L_COUNT):
            stats[i] = (w.latency[i].total, w.latency[i].sum_ns, w.latency[i].min_ns,
                        w.latency[i].max_ns, w.latency[i].clamped)
        for i in range(self.c.flow_high):
            if self.c.flows[i].in_use and flow_two_way(&self.c.flows[i]):
                if self.c.flows[i].proto != 6 or (self.c.flows[i].half[0].state == TE_ESTABLISHED
                                                  and self.c.flows[i].half[1].state == TE_ESTABLISHED):
                    established += 1
        out = {
            "start_ns": w.start_ns,
            "end_ns": w.end_ns,
            "endpoints": copy_out(w.endpoints, w.n_endpoints * sizeof(EndpointRow), dtypes.ENDPOINT),
            "latency_counts": copy_out(
                w.endpoint_counts, w.n_endpoints * sizeof(w.endpoint_counts[0]), np.uint32
            ).reshape(-1, HIST2_LEN),
            "kinds": copy_out(w.kind_counts, sizeof(w.kind_counts), np.uint32).reshape(L_COUNT, HIST3_LEN),
            "kind_stats": stats,
            "peers": copy_out(w.peers, w.n_peers * sizeof(PeerRow), dtypes.PEER),
            "seconds": copy_out(w.seconds, w.n_seconds * sizeof(SecondRow), dtypes.SECOND),
            "leaf_bytes": copy_out(w.leaf_bytes, sizeof(w.leaf_bytes), np.uint64),
            "leaf_packets": copy_out(w.leaf_packets, sizeof(w.leaf_packets), np.uint64),
            "leaf_connections": copy_out(w.leaf_connections, sizeof(w.leaf_connections), np.uint64),
            "totals": copy_out(w.totals, sizeof(w.totals), np.uint64),
            "status": copy_out(w.status, sizeof(w.status), np.uint32),
            "health": {
                "endpoints_folded": w.endpoints_folded,
                "peers_folded": w.peers_folded,
                "seconds_lost": w.seconds_lost,
                **self.health_since(),
            },
            "counters": self.counters(),
            "anomalies": self.anomalies(),
            "connections_open": opened,
            "established_open": established,
        }
        with nogil:
            core_swap_window(self.c)
        return out

    def take_features(self):
        """What detection looks at in the second that ended (see faces.Features), and begin the next.

        None when there is nothing to take: no packet since the last time.
        """
        cdef Detect* d = self.c.detect
        if d == NULL or d.end_ns == 0:
            return None
        tables = slot_tables(d) | self.other_tables(0)
        packets, octets = self.last_second()
        tables["sensor"] = sensor_row(d, packets, octets)
        out = {"start_ns": d.start_ns, "end_ns": self.features_end(), "tables": tables}
        detect_next(d)
        return out

    def take_part(self, uint32_t share):
        """The same of an engine that gets a share of the packets only, for a Merger.

        share: its number among the others; rows of domains and neighbours stay its own.
        """
        cdef Detect* d = self.c.detect
        if d == NULL or d.end_ns == 0:
            return None
        packets, octets = self.last_second()
        out = {
            "share": share,
            "start_ns": d.start_ns,
            "end_ns": self.features_end(),
            "slots": slot_parts(d),
            "tables": self.other_tables(share),
            "packets": packets,
            "bytes": octets,
            "dhcp_requests": d.dhcp_requests,
            "dhcp_clients": copy_out(&d.dhcp_clients, sizeof(Hll), np.uint8),
            "two_way": d.two_way,
            "one_way": d.one_way,
        }
        detect_next(d)
        return out

    cdef dict other_tables(self, uint32_t share):
        cdef Detect* d = self.c.detect
        cdef uint32_t n
        n = domain_rows(d.domains, <DomainRow*> d.rows)
        domains = copy_out(d.rows, n * sizeof(DomainRow), dtypes.DOMAIN)
        domains["slot"] += share * <uint32_t> DOMAINS
        n = neighbour_rows(d.neighbours, <NeighbourRow*> d.rows)
        neighbours = copy_out(d.rows, n * sizeof(NeighbourRow), dtypes.NEIGHBOUR)
        neighbours["slot"] += share * <uint32_t> NEIGHBOURS
        announcements = copy_out(
            d.announced.said, d.announced.n * sizeof(Announcement), dtypes.ANNOUNCEMENT)
        return {"domain": domains, "neighbour": neighbours, "announcement": announcements}

    cdef tuple last_second(self):
        # Packets and octets of the window's newest second.
        cdef Window* w = self.c.now
        cdef uint64_t packets = 0
        cdef uint64_t octets = 0
        cdef int k
        if w.n_seconds:
            for k in range(3):
                packets += w.seconds[w.n_seconds - 1].packets[k]
                octets += w.seconds[w.n_seconds - 1].bytes[k]
        return packets, octets

    cdef uint64_t features_end(self):
        # Of the second, or the newest packet of the input's last one.
        cdef Detect* d = self.c.detect
        return max(d.start_ns, min(d.end_ns, self.c.clock_ns))

    cdef dict health_since(self):
        # What the tables gave up since the last window.
        now = {
            "flows_evicted": self.c.health.flows_evicted,
            "flows_refused": self.c.health.flows_refused,
            "apps_refused": self.c.health.apps_refused,
            "half_open_evicted": self.c.half_open.evicted,
            "rows_lost": self.c.rows.lost,
        }
        since = {name: count - self.health_before.get(name, 0) for name, count in now.items()}
        self.health_before = now
        return since

    def counters(self) -> dict:
        """Cumulative counts: frames by protocol, evictions, refusals."""
        cdef Core* c = self.c
        out = {d.name[3:].lower(): c.decoder.counts[int(d)] for d in DecodeCount if d.name != "DC_COUNT"}
        out |= {
            "no_flow": c.health.no_flow,
            "flows_evicted": c.health.flows_evicted,
            "flows_refused": c.health.flows_refused,
            "apps_refused": c.health.apps_refused,
            "half_open_evicted": c.half_open.evicted,
            "rows_lost": c.rows.lost,
            "rewinds": c.health.rewinds,
            "time_went_back": c.health.time_went_back,
        }
        return out

    def anomalies(self) -> dict:
        """Named decode anomalies that occurred, with their counts; unknown link types by number."""
        cdef Core* c = self.c
        out = {a.name[2:].lower(): c.decoder.anomalies[int(a)] for a in Anomaly
               if a.name != "A_COUNT" and c.decoder.anomalies[int(a)]}
        for i in range(8):
            if c.decoder.unknown_link_count[i]:
                out[f"unsupported_link_type_{c.decoder.unknown_link[i]}"] = c.decoder.unknown_link_count[i]
        return out

    def states(self) -> dict:
        """conn_state -> connections that ended in it (exact, also where no row was kept)."""
        return {name: self.c.states[i] for i, name in enumerate(_STATE_NAMES) if self.c.states[i]}

    def connections(self) -> dict:
        """Connections seen by transport."""
        return {"tcp": self.c.opened[0], "udp": self.c.opened[1], "icmp": self.c.opened[2]}

    def top_addresses(self, PacketSource source not None) -> list:
        """Addresses of the source's current batch with their packet counts, most frequent first.

        A look ahead to learn the local side; nothing is counted or consumed.
        """
        cdef Packet p
        cdef uint32_t i
        cdef Core* c = core_new(64, 64, bytes(40), 1, False, False, NULL)
        if c == NULL:
            raise MemoryError("no memory to look ahead")
        seen = {}
        try:
            for i in range(source.at, source.n):
                if decode(c.decoder, &source.packets[i], &p) == DECODE_OK:
                    for hi, lo in ((p.key[0], p.key[1]), (p.key[2], p.key[3])):
                        address = int(hi).to_bytes(8, "big") + int(lo).to_bytes(8, "big")
                        seen[address] = seen.get(address, 0) + 1
        finally:
            core_free(c)
        return sorted(seen.items(), key=lambda item: (-item[1], item[0]))
