"""The observed network as a graph: nodes and service links of all agents merged, and the paths
that the traffic must have taken.

A link's ends that share a segment are joined directly (l2): switches do not show themselves. Ends
of different segments are joined by way of the gateways that each side's segment has (l2 to the
gateway, l3 beyond). Where no gateway is known the ends are joined directly (l3): what lies between
is not known, and nothing is claimed about it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import networkx as nx

from sensor.analytics.figures import known
from sensor.analytics.segmentation import EXTERNAL, segment_of
from sensor.store.reading import Columns

FORWARDERS = ("gateway", "router", "switch")
ONLY_WAY_OUT = 0.6  # confidence of a gateway that was inferred
RANKS = ("host", "service", "switch", "router", "gateway")
MOST_NODES = 3000  # drawn and analysed, the busiest


@dataclass(slots=True)
class Node:
    """One machine, or one address whose machine is not known."""

    id: str
    ip: str | None
    mac: str | None
    name: str | None
    role: str
    vlan: int | None
    hops: int | None
    evidence: list[str]
    confidence: float
    bytes: float = 0
    addresses: set[str] = field(default_factory=set)

    @property
    def is_local(self) -> bool:
        """On a segment of the agent's: it has a hardware address there, or is its own."""
        return self.mac is not None or "local" in self.evidence

    @property
    def segment(self) -> str:
        return segment_of(self.ip, self.vlan, is_local=self.is_local)


@dataclass(slots=True)
class Observed:
    """Service links between nodes, and the path graph made of them."""

    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[dict[str, Any]] = field(default_factory=list)
    paths: "nx.Graph[str]" = field(default_factory=nx.Graph)
    gateways: dict[str, list[str]] = field(default_factory=dict)  # segment: nodes
    left_out: int = 0  # nodes beyond MOST_NODES


def records(columns: Columns) -> Iterator[dict[str, Any]]:
    names = list(columns)
    for row in zip(*(columns[name].tolist() for name in names), strict=True):
        yield dict(zip(names, row, strict=True))


def words(text: str | None) -> list[str]:
    """A JSON array of words; whatever else is there counts as none."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return [word for word in found if isinstance(word, str)] if isinstance(found, list) else []


def observe(nodes: Columns, links: Columns) -> Observed:
    """Nodes of one address are one node; so are a router's addresses, by its hardware address."""
    seen = Observed()
    named: dict[str, str] = {}  # (what the store calls it) -> node
    by_mac: dict[str, str] = {}
    for row in sorted(records(nodes), key=lambda row: (-rank(row["role"]), str(row["node"]))):
        evidence = words(row["evidence"])
        # Of an address with traffic of its own the frames may be somebody else's (proxy ARP).
        quiet = "flow" not in evidence or row["role"] in FORWARDERS or link_local(row["ip"])
        name = row["node"]
        if row["mac"] and quiet and "mac_conflict" not in evidence:
            name = by_mac.setdefault(row["mac"], name)
        name = named.setdefault(row["node"], name)
        merge(seen, name, row)
    for row in records(links):
        source, target = named.get(row["source"]), named.get(row["target"])
        if source is None or target is None or source == target or row["kind"] != "service":
            continue
        link: dict[str, Any] = {
            "source": source, "target": target, "bytes": known(row["bytes"]) or 0,
            "connections": known(row["connections"]) or 0, "errors": known(row["errors"]) or 0,
            "latency_us": known(row["latency_avg_us"]), "evidence": words(row["evidence"]),
            "confidence": known(row["confidence"]) or 0, "first_seen": int(row["first_seen"]),
        }  # fmt: skip
        seen.links.append(link)
        for end in (source, target):
            seen.nodes[end].bytes += link["bytes"]
    limit(seen)
    find_gateways(seen)
    join(seen)
    return seen


def rank(role: str | None) -> int:
    return RANKS.index(role) if role in RANKS else 0


def link_local(ip: str | None) -> bool:
    return ip is not None and ip_address(ip).is_link_local


def merge(seen: Observed, name: str, row: dict[str, Any]) -> None:
    vlan, hops, confidence = (known(row[c]) for c in ("vlan", "hops", "confidence"))
    node = seen.nodes.get(name)
    if node is None:
        node = seen.nodes[name] = Node(
            name, row["ip"], row["mac"], row["name"], row["role"] or "host",
            None if vlan is None else int(vlan), None if hops is None else int(hops),
            words(row["evidence"]), confidence or 0,
        )  # fmt: skip
    if row["ip"]:
        node.addresses.add(row["ip"])
        if node.ip is None or link_local(node.ip):
            node.ip = row["ip"]
    node.mac, node.name = node.mac or row["mac"], node.name or row["name"]
    node.vlan = node.vlan if vlan is None or node.vlan is not None else int(vlan)
    if hops is not None:
        node.hops = int(hops) if node.hops is None else min(node.hops, int(hops))
    if rank(row["role"]) > rank(node.role):
        node.role = row["role"]
    node.evidence = list(dict.fromkeys([*node.evidence, *words(row["evidence"])]))
    node.confidence = max(node.confidence, confidence or 0)


def limit(seen: Observed) -> None:
    """Routers and the busiest nodes stay."""
    if len(seen.nodes) <= MOST_NODES:
        return
    ordered = sorted(seen.nodes.values(), key=lambda n: (n.role not in FORWARDERS, -n.bytes, n.id))
    seen.left_out = len(ordered) - MOST_NODES
    seen.nodes = {node.id: node for node in ordered[:MOST_NODES]}
    seen.links = [k for k in seen.links if k["source"] in seen.nodes and k["target"] in seen.nodes]


def find_gateways(seen: Observed) -> None:
    """Who said so; else, of a segment with traffic beyond it, the one neighbour with a hardware
    address that has no such traffic of its own: it must have been the way out."""
    vlans = vlans_by_subnet(seen)
    for node in seen.nodes.values():
        if node.role == "gateway" or (node.role == "router" and node.mac is not None):
            node.role = "gateway"
            for segment in segments_of(seen, node, vlans):
                seen.gateways.setdefault(segment, []).append(node.id)
    leaving = {
        end
        for link in seen.links
        for end, other in (
            (link["source"], link["target"]),
            (link["target"], link["source"]),
        )
        if seen.nodes[end].is_local and seen.nodes[end].segment != seen.nodes[other].segment
    }
    without = {seen.nodes[end].segment for end in leaving} - seen.gateways.keys()
    candidates: dict[str, list[Node]] = {}
    for node in seen.nodes.values():
        if node.mac and node.id not in leaving and "mac_conflict" not in node.evidence:
            for segment in segments_of(seen, node, vlans) & without:
                candidates.setdefault(segment, []).append(node)
    for segment, silent in sorted(candidates.items()):
        if len(silent) != 1:
            continue
        (node,) = silent
        if node.role != "gateway":
            node.role = "gateway"
            node.evidence = [*node.evidence, "only_way_out"]
            node.confidence = min(node.confidence, ONLY_WAY_OUT)
        seen.gateways[segment] = [node.id]


def vlans_by_subnet(seen: Observed) -> dict[str, set[int]]:
    made: dict[str, set[int]] = {}
    for node in seen.nodes.values():
        if node.vlan is not None and node.ip is not None:
            made.setdefault(segment_of(node.ip, None, is_local=True), set()).add(node.vlan)
    return made


def segments_of(seen: Observed, node: Node, vlans: dict[str, set[int]]) -> set[str]:
    """Where a router's addresses are: ARP has no tag here, so the VLAN is that of the subnet's
    hosts. A link-local address is on the one IPv6 network there is, when there is one."""
    made = set()
    for ip in node.addresses:
        subnet = segment_of(ip, None, is_local=True)
        if link_local(ip):
            networks = {
                other.segment
                for other in seen.nodes.values()
                if other.is_local and other.ip and ":" in other.ip and not link_local(other.ip)
            }
            made |= networks if len(networks) == 1 else {subnet}
        elif node.vlan is None and len(tags := vlans.get(subnet, set())) == 1:
            made.add(segment_of(ip, next(iter(tags)), is_local=True))
        else:
            made.add(segment_of(ip, node.vlan, is_local=True))
    return made


def join(seen: Observed) -> None:
    """The path graph; each edge with what went over it."""
    seen.paths.add_nodes_from(seen.nodes)
    for link in seen.links:
        ways = list(ways_of(seen, link["source"], link["target"]))
        for way in ways:
            for a, b, kind in way:
                if a == b:
                    continue
                if not seen.paths.has_edge(a, b):
                    seen.paths.add_edge(a, b, kind=kind, bytes=0.0, connections=0.0, errors=0.0,
                                        ways=0)  # fmt: skip
                edge = seen.paths.edges[a, b]
                for name in ("bytes", "connections", "errors"):
                    edge[name] += link[name] / len(ways)  # which of them is not known: evenly
                edge["ways"] = max(edge["ways"], len(ways))


Way = list[tuple[str, str, str]]


def ways_of(seen: Observed, source: str, target: str) -> Iterator[Way]:
    a, b = seen.nodes[source].segment, seen.nodes[target].segment
    if a == b and a != EXTERNAL:
        yield [(source, target, "l2")]
        return
    here = [g for g in seen.gateways.get(a, []) if same_family(seen, g, source)]
    there = [g for g in seen.gateways.get(b, []) if same_family(seen, g, target)]
    if not here and not there:
        yield [(source, target, "l3")]
        return
    nobody: list[str | None] = [None]
    for first in here or nobody:
        for last in there or nobody:
            hops = [source, *dict.fromkeys(h for h in (first, last) if h), target]
            yield [
                (hops[i], hops[i + 1], edge_kind(i, len(hops), first, last))
                for i in range(len(hops) - 1)
            ]


def edge_kind(at: int, length: int, first: str | None, last: str | None) -> str:
    """The edges from an end to its own segment's gateway are l2, the others l3."""
    is_first, is_last = at == 0, at == length - 2
    return "l2" if (is_first and first) or (is_last and last) else "l3"


def same_family(seen: Observed, gateway: str, node: str) -> bool:
    """Whether the router has an address of the node's family."""
    ip = seen.nodes[node].ip
    return ip is None or any((":" in own) == (":" in ip) for own in seen.nodes[gateway].addresses)
