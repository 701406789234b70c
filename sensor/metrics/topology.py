"""Who is there and who talks to whom, from what packets say (definitions 1.9).

Nodes are addresses that are proved by an exchange (an established TCP connection, an answered
datagram), by ARP or neighbour discovery, by LLDP or CDP, or by what only a router sends: ICMP time
exceeded, redirects, router advertisements. An address that was only written as a source, or was
only asked, is no node: floods and scans would draw a network that is not there.

Invariants: at most MOST_LINKS links and MOST_NODES nodes a window, the busiest; `dropped` counts
the rest. Everything here is a function of the window's finished connections and neighbour rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sensor._native.faces import Features, Rows
from sensor.metrics.announcements import read
from sensor.model.address import MAPPED, address_text, is_host
from sensor.model.connection import ConnState
from sensor.model.endpoint import protocol_name
from sensor.model.rows import TopologyLinkRow, TopologyNodeRow
from sensor.model.text import decode_name

MOST_LINKS = 1000  # of a window
MOST_NODES = 2000
MOST_EVIDENCE = 8  # services named on one node or link
MOST_KINDS = 16  # ports, VLANs and names of one pair that are looked at, per batch
INITIAL_TTLS = (64, 128, 255)  # what systems send with; some 32, which looks like 32 hops of 64
MOST_HOPS = 30  # the Internet has no longer paths to speak of: it was another initial TTL
MIX = tuple(map(np.uint64, (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                            0xD6E8FEB86659FD93)))  # fmt: skip
NONE_NS = np.uint64((1 << 64) - 1)
TCP, ICMP, ICMP6 = 6, 1, 58  # IP protocol numbers
ESTABLISHED = [ConnState.S1, ConnState.SF, ConnState.S2, ConnState.S3, ConnState.RSTO,
               ConnState.RSTR]  # fmt: skip
FAILED = [ConnState.S0, ConnState.REJ, ConnState.RSTOS0, ConnState.SH]
ROUTERS = {  # what only routers send: (protocol, ICMP type): role, evidence, confidence (spoofable)
    (ICMP, 11): ("router", "icmp_time_exceeded", 0.7),
    (ICMP6, 3): ("router", "icmp_time_exceeded", 0.7),
    (ICMP, 5): ("gateway", "icmp_redirect", 0.7),
    (ICMP6, 137): ("gateway", "icmp_redirect", 0.7),
    (ICMP6, 134): ("gateway", "router_advertisement", 0.8),
}
RANKS = ("host", "service", "switch", "router", "gateway")  # the later one says more
RESPONDER_LOCAL = 2  # FLOW.local: only the responder is
BY_TCP, BY_DATAGRAM, BY_ARP, BY_CONFLICT, BY_ROUTE, BY_ITSELF = 0.95, 0.8, 0.9, 0.3, 0.95, 0.8


@dataclass(slots=True)
class Node:
    """Evidence about one address in one window."""

    mac: str | None = None
    name: str | None = None
    role: str = "host"
    vlan: int | None = None
    tag: int | None = None  # of connections: its own VLAN if it is a neighbour
    hops: int | None = None  # least number of routers between, by TTL
    confidence: float = 0.0
    evidence: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    first_us: int = 1 << 62
    last_us: int = 0

    def add(self, evidence: str, confidence: float, role: str = "host") -> None:
        if len(self.evidence) < MOST_EVIDENCE:
            self.evidence[evidence] = None
        self.confidence = max(self.confidence, confidence)
        if RANKS.index(role) > RANKS.index(self.role):
            self.role = role

    def seen(self, first_us: int, last_us: int) -> None:
        self.first_us = min(self.first_us, first_us)
        self.last_us = max(self.last_us, last_us)


@dataclass(slots=True)
class Link:
    """What one address asked of another in one window; times in us."""

    bytes: int = 0
    packets: int = 0
    connections: int = 0
    errors: int = 0
    rtt_sum: int = 0
    rtt_count: int = 0
    confidence: float = 0.0
    evidence: dict[str, None] = field(default_factory=dict)
    first_us: int = 1 << 62
    last_us: int = 0


Pair = tuple[bytes, bytes]  # originator, responder


class Topology:
    """Gathers until `take()`; a consumer of flows and a watcher of features."""

    def __init__(self, gateways: Iterable[bytes] = ()) -> None:
        """`gateways`: those of the host's own routing table."""
        self._gateways = tuple(gateways)
        self._nodes: dict[bytes, Node] = {}
        self._links: dict[Pair, Link] = {}
        self.dropped = 0  # nodes and links that found no room, ever

    # ---- evidence

    def features(self, features: Features) -> None:
        """One second's claims of addresses, then what neighbours announced."""
        self._claimed(features)
        self._announced(features)

    def _claimed(self, features: Features) -> None:
        """ARP and neighbour discovery (dtypes.NEIGHBOUR)."""
        rows = features["tables"].get("neighbour")
        if rows is None or not len(rows):
            return
        columns = [rows[name].tolist() for name in ("address", "mac", "flips")]
        for address, mac, flips in zip(*columns, strict=True):
            packed, hardware = bytes(address), bytes(mac)
            if not any(hardware) or hardware[0] & 1 or not is_host(packed):
                continue
            node = self._node(packed)
            if node is None:
                continue
            node.mac = hardware.hex(":")
            if flips:  # two machines claim it: which of them it is, is not known
                node.add("mac_conflict", BY_CONFLICT)
            else:
                node.add("arp" if packed[:12] == MAPPED else "nd", BY_ARP)
            node.seen(features["start_ns"] // 1000, features["end_ns"] // 1000)

    def _announced(self, features: Features) -> None:
        """LLDP and CDP: by the addresses where the sender can be managed, or that of its MAC."""
        rows = features["tables"].get("announcement")
        if rows is None:
            return
        for is_cdp, length, octets in rows.tolist():
            told = read(bool(is_cdp), bytes(octets)[:length])
            addresses = [address for address in told.addresses if is_host(address)]
            mac = told.mac.hex(":") if told.mac else None
            if not addresses:
                addresses = [ip for ip, node in self._nodes.items() if mac and node.mac == mac]
            for address in addresses:
                node = self._node(address)
                if node is None:
                    continue
                node.mac = node.mac or mac
                node.name = node.name or told.name
                node.add("cdp" if is_cdp else "lldp", BY_ITSELF, told.role)
                node.seen(features["start_ns"] // 1000, features["end_ns"] // 1000)

    def flows(self, rows: Rows, names: bytes) -> None:
        """Finished connections (dtypes.FLOW) and the text of their names."""
        icmp = np.isin(rows["protocol"], (ICMP, ICMP6))
        self._routers(rows[icmp])
        is_tcp = rows["protocol"] == TCP
        answered = (rows["orig_packets"] > 0) & (rows["resp_packets"] > 0)
        established = is_tcp & np.isin(rows["conn_state"], ESTABLISHED)
        failed = is_tcp & np.isin(rows["conn_state"], FAILED)
        proved = answered & (established | ~is_tcp) & ~icmp
        if proved.any():
            self._pairs(rows[proved], names)
        if failed.any():
            self._failures(rows[failed])
        self._trim()

    def _routers(self, rows: Rows) -> None:
        columns = [rows[c].tolist() for c in ("protocol", "orig_port", "orig_ip", "started_ns",
                                              "ended_ns")]  # fmt: skip
        for protocol, kind, address, started, ended in zip(*columns, strict=True):
            told = ROUTERS.get((protocol, kind))
            if told is None or not is_host(bytes(address)):
                continue
            node = self._node(bytes(address))
            if node is not None:
                role, evidence, confidence = told
                node.add(evidence, confidence, role)
                node.seen(started // 1000, ended // 1000)

    def _pairs(self, rows: Rows, names: bytes) -> None:
        """Exchanges, folded by the two addresses."""
        unique, group = paired(rows)
        n = len(unique)
        octets = summed(group, rows["orig_wire_bytes"] + rows["resp_wire_bytes"], n)
        packets = summed(group, rows["orig_packets"] + rows["resp_packets"], n)
        known_rtt = rows["rtt_min_ns"] != NONE_NS
        rtt = summed(group[known_rtt], rows["rtt_min_ns"][known_rtt] // np.uint64(1000), n)
        timed = np.bincount(group[known_rtt], minlength=n)
        counts = np.bincount(group, minlength=n)
        tcp = np.bincount(group[rows["protocol"] == TCP], minlength=n)
        first = np.full(n, np.iinfo(np.int64).max)
        last = np.zeros(n, np.int64)
        np.minimum.at(first, group, (rows["started_ns"] // np.uint64(1000)).astype(np.int64))
        np.maximum.at(last, group, (rows["ended_ns"] // np.uint64(1000)).astype(np.int64))
        busiest = np.argsort(-octets, kind="stable")
        self.dropped += max(0, n - MOST_LINKS)
        chosen = set(busiest[:MOST_LINKS].tolist())
        for at in chosen:
            pair = unique[at]
            if not is_host(pair[0]) or not is_host(pair[1]) or pair[0] == pair[1]:
                continue
            link = self._links.setdefault(pair, Link())
            link.bytes += int(octets[at])
            link.packets += int(packets[at])
            link.connections += int(counts[at])
            link.rtt_sum += int(rtt[at])
            link.rtt_count += int(timed[at])
            link.confidence = max(link.confidence, BY_TCP if tcp[at] else BY_DATAGRAM)
            link.first_us = min(link.first_us, int(first[at]))
            link.last_us = max(link.last_us, int(last[at]))
        self._details(rows, names, unique, group, chosen)

    def _details(
        self, rows: Rows, names: bytes, unique: list[Pair], group: NDArray[np.intp],
        chosen: set[int],
    ) -> None:  # fmt: skip
        """Services, names and VLANs: of one connection of each pair and service."""
        picked = np.flatnonzero(np.isin(group, np.fromiter(chosen, np.int64, len(chosen))))
        kinds = (
            group[picked].astype(np.uint64) << np.uint64(36)
            | rows["resp_port"][picked].astype(np.uint64) << np.uint64(20)
            | rows["protocol"][picked].astype(np.uint64) << np.uint64(12)
            | (rows["vlan"][picked] & 0x7FF).astype(np.uint64) << np.uint64(1)
            | (rows["name_len"][picked] > 0).astype(np.uint64)
        )
        found, firsts = np.unique(kinds, return_index=True)
        # At most so many of one pair, however many ports it has.
        pair = found >> np.uint64(36)
        rank = np.arange(len(pair)) - np.searchsorted(pair, pair)
        for i in picked[firsts[rank < MOST_KINDS]].tolist():
            at = int(group[i])
            link = self._links.get(unique[at])
            if link is None:
                continue
            row = rows[i]
            service = f"{int(row['resp_port'])}/{protocol_name(int(row['protocol']))}"
            if len(link.evidence) < MOST_EVIDENCE:
                link.evidence[service] = None
            sure = BY_TCP if row["protocol"] == TCP else BY_DATAGRAM
            remote = 0 if int(row["local"]) == RESPONDER_LOCAL else 1
            hops = hops_of(int(row["ttl"]))
            ends = [self._node(address) for address in unique[at]]
            for end, node in enumerate(ends):
                if node is None:
                    continue
                node.add("flow", sure)
                if end == remote:
                    node.hops = least(node.hops, hops)
                if int(row["local"]) >> end & 1:
                    node.add("local", sure)
                    node.tag = int(row["vlan"]) or node.tag
                    if is_seen_at_home(unique[at], end, int(row["local"])):
                        node.vlan = node.tag
                node.seen(link.first_us, link.last_us)
            if (answered := ends[1]) is not None:
                answered.add(f"serves:{service}", sure, "service")
                begin, length = int(row["name_at"]), int(row["name_len"])
                if length and answered.name is None:
                    answered.name = decode_name(names[begin : begin + length])

    def _failures(self, rows: Rows) -> None:
        """Attempts that failed count on links that are proved otherwise."""
        if not self._links:
            return
        known = np.zeros(len(self._links), [("orig_ip", "V16"), ("resp_ip", "V16")])
        known["orig_ip"] = np.frombuffer(b"".join(pair[0] for pair in self._links), "V16")
        known["resp_ip"] = np.frombuffer(b"".join(pair[1] for pair in self._links), "V16")
        rows = rows[np.isin(pair_keys(rows), pair_keys(known))]
        unique, group = paired(rows)
        for pair, failed in zip(unique, np.bincount(group, minlength=len(unique)), strict=True):
            link = self._links.get(pair)
            if link is not None:
                link.errors += int(failed)
                link.connections += int(failed)

    def _routed(self) -> None:
        """A gateway of the host's is one whether or not it is heard; not without any traffic."""
        if not self._links:
            return
        first = min(link.first_us for link in self._links.values())
        last = max(link.last_us for link in self._links.values())
        for address in self._gateways:
            node = self._node(address)
            if node is not None:
                node.add("default_route", BY_ROUTE, "gateway")
                node.seen(first, last)

    # ---- bounds

    def _node(self, address: bytes) -> Node | None:
        node = self._nodes.get(address)
        if node is None:
            if len(self._nodes) >= MOST_NODES:
                self.dropped += 1
                return None
            node = self._nodes[address] = Node()
        return node

    def _trim(self) -> None:
        if len(self._links) > 2 * MOST_LINKS:
            ordered = sorted(self._links.items(), key=lambda item: (-item[1].bytes, item[0]))
            self.dropped += len(ordered) - MOST_LINKS
            self._links = dict(ordered[:MOST_LINKS])

    # ---- rows

    def take(self, agent_id: str) -> tuple[list[TopologyNodeRow], list[TopologyLinkRow]]:
        """Rows of what was seen since the last call; a link only with both its nodes."""
        self._routed()
        ordered = sorted(self._links.items(), key=lambda item: (-item[1].bytes, item[0]))
        kept = [item for item in ordered[:MOST_LINKS] if all(end in self._nodes for end in item[0])]
        self.dropped += len(ordered) - len(kept)
        links = [link_row(agent_id, pair, link) for pair, link in kept]
        joined = set(chain.from_iterable(pair for pair, _ in kept))
        nodes = [
            node_row(agent_id, address, node)
            for address, node in sorted(self._nodes.items())
            if address in joined or node.evidence.keys() - {"flow", "local"}
        ]
        self._nodes.clear()
        self._links.clear()
        return nodes, links


def paired(rows: Rows) -> tuple[list[Pair], NDArray[np.intp]]:
    """Distinct (originator, responder), and which of them each row is."""
    keys = pair_keys(rows)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    ends = [rows[name][first].tolist() for name in ("orig_ip", "resp_ip")]
    pairs = [(bytes(a), bytes(b)) for a, b in zip(*ends, strict=True)]
    return pairs, group.reshape(-1)


def pair_keys(rows: Rows) -> NDArray[np.uint64]:
    """A number for each pair of addresses: sorting these is ten times faster than sorting octets.

    Who finds two pairs of one number has their traffic added up as one link: nothing else.
    """
    orig, resp = (
        np.ascontiguousarray(rows[name]).view(np.uint64).reshape(-1, 2)
        for name in ("orig_ip", "resp_ip")
    )
    a, b, c, d = MIX
    made: NDArray[np.uint64] = orig[:, 0] * a + orig[:, 1] * b + resp[:, 0] * c + resp[:, 1] * d
    return made ^ made >> np.uint64(32)


def is_seen_at_home(pair: Pair, end: int, local: int) -> bool:
    """Whether the tag of a connection is that of this end's own VLAN.

    It is where the other end is in the same network, or not ours. Of two ends of ours in different
    networks one is behind a router, and which one is not known.
    """
    if not local >> (1 - end) & 1:
        return True
    length = 15 if pair[end][:12] == MAPPED else 8
    return pair[end][:length] == pair[1 - end][:length]


def hops_of(ttl: int) -> int | None:
    """Routers that a packet passed: how far its TTL is below what it was probably sent with."""
    if not ttl:
        return None
    hops = next(initial for initial in INITIAL_TTLS if initial >= ttl) - ttl
    return hops if hops <= MOST_HOPS else None


def least(a: int | None, b: int | None) -> int | None:
    return min((n for n in (a, b) if n is not None), default=None)


def summed(group: NDArray[np.intp], values: NDArray[np.uint64], n: int) -> NDArray[np.float64]:
    """Sums by group; exact to 2^53."""
    return np.bincount(group, values.astype(np.float64), n).astype(np.float64)


def node_row(agent_id: str, address: bytes, node: Node) -> TopologyNodeRow:
    text = address_text(address)
    vlan = node.vlan or (node.tag if node.mac else None)
    return TopologyNodeRow(
        agent_id, text, text, node.mac, node.name, node.role, vlan, node.hops,
        listed(node.evidence), node.confidence, node.first_us, node.last_us,
    )  # fmt: skip


def link_row(agent_id: str, pair: Pair, link: Link) -> TopologyLinkRow:
    return TopologyLinkRow(
        agent_id,
        address_text(pair[0]),
        address_text(pair[1]),
        "service",
        link.bytes,
        link.packets,
        link.connections,
        link.errors,
        round(link.rtt_sum / link.rtt_count) if link.rtt_count else None,
        listed(link.evidence),
        link.confidence,
        link.first_us,
        link.last_us,
    )


def listed(evidence: dict[str, None]) -> str:
    """A JSON array; the words are ours: none needs an escape."""
    return "[" + ",".join(f'"{word}"' for word in evidence) + "]"
