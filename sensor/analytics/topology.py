"""Structure, weak points and paths of the observed network (specification 8.1, definitions 1.9).

Everything is about what was observed from where the sensors stand: an unseen second path is not
known. A single point of failure is therefore a machine that forwards (gateway, router, switch) and
without which observed traffic has no observed way; how much traffic that is, is measured. No risk
reduction is promised.
"""

from collections.abc import Sequence
from typing import Any

import networkx as nx

from sensor.analytics import segmentation
from sensor.analytics.figures import milliseconds, ratio, time_text
from sensor.analytics.graph import FORWARDERS, Node, Observed, observe
from sensor.analytics.segmentation import EXTERNAL
from sensor.store.reading import ReadingStore, Scope

GOALS = ("redundancy", "latency", "cost")
MOST_POINTS = 50  # articulation points and bridges that are weighed
MOST_PATHS = 10
CRITICAL_SHARE = 0.05  # of all octets, from which an edge is critical
SLOW_FACTOR = 2.0  # against the fastest client of the same service
FEWEST = 5  # connections of a link before its latency is compared
NO_HOPS = "hops are not known: no TTL was kept with these nodes"
NO_ROWS = "no nodes or links were observed in this timeframe"


def analyse(store: ReadingStore, scope: Scope, goals: Sequence[str] = GOALS) -> dict[str, Any]:
    """The answer of POST topology-optimization. Counts of a link are those since its
    `first_seen`."""
    seen = observe(store.nodes(scope), store.links(scope))
    spof = points_of_failure(seen)
    critical = critical_paths(seen)
    routing = routing_efficiency(seen)
    flows = segmentation.analyse(
        {name: node.segment for name, node in seen.nodes.items()}, seen.links, scope.until
    )
    redundancy = redundancy_analysis(seen, spof)
    return {
        "topology_structure": structure(seen),
        "redundancy_analysis": redundancy,
        "critical_paths": critical,
        "routing": routing,
        "segmentation_analysis": flows,
        "optimization_opportunities": opportunities(seen, goals, spof, redundancy, routing),
        "nodes": drawn_nodes(seen, {point["node"] for point in spof}),
        "edges": drawn_edges(seen, {(path["source"], path["target"]) for path in critical}),
        "counted_since": time_text(min((k["first_seen"] for k in seen.links), default=None)),
        "nodes_left_out": seen.left_out,
        "reason": None if seen.nodes else NO_ROWS,
    }


def structure(seen: Observed) -> dict[str, Any]:
    roles: dict[str, int] = {}
    for node in seen.nodes.values():
        roles[node.role] = roles.get(node.role, 0) + 1
    graph = seen.paths
    return {
        "nodes": len(seen.nodes),
        "links": len(seen.links),
        "edges": graph.number_of_edges(),
        "by_role": dict(sorted(roles.items())),
        "components": nx.number_connected_components(graph) if len(graph) else 0,
        "gateways": [
            {
                "node": node.id,
                "name": node.name,
                "mac": node.mac,
                "segments": sorted(s for s, ids in seen.gateways.items() if node.id in ids),
                "evidence": node.evidence,
                "confidence": node.confidence,
            }
            for node in sorted(seen.nodes.values(), key=lambda n: n.id)
            if node.role == "gateway"
        ],
        "limits": "switches that send nothing to this host are not seen; addresses of several"
        " agents are taken to be of one network",
    }


# ---- redundancy


def points_of_failure(seen: Observed) -> list[dict[str, Any]]:
    """Forwarding articulation points, the one that cuts most connections first."""
    points = [
        name for name in nx.articulation_points(seen.paths) if seen.nodes[name].role in FORWARDERS
    ]
    points.sort(key=lambda name: (-sum(edge_bytes(seen, name)), name))
    made = []
    for name in points[:MOST_POINTS]:
        rest = seen.paths.copy()
        rest.remove_node(name)
        made.append({**identity(seen.nodes[name]), **cut(seen, rest, name)})
    return sorted(made, key=lambda point: (-point["connections_cut"], point["node"]))


def edge_bytes(seen: Observed, name: str) -> list[float]:
    return [data["bytes"] for _, _, data in seen.paths.edges(name, data=True)]


def cut(seen: Observed, rest: "nx.Graph[str]", without: str | None = None) -> dict[str, Any]:
    """What of the observed traffic has no observed way in `rest`."""
    part = {
        name: number for number, names in enumerate(nx.connected_components(rest)) for name in names
    }
    lost = [
        link
        for link in seen.links
        if without not in (link["source"], link["target"])
        and part[link["source"]] != part[link["target"]]
    ]
    everything = sum(link["connections"] for link in seen.links)
    return {
        "connections_cut": round(sum(link["connections"] for link in lost)),
        "bytes_cut": round(sum(link["bytes"] for link in lost)),
        "share_of_connections": ratio(sum(link["connections"] for link in lost), everything),
        "pairs_cut": len(lost),
    }


def identity(node: Node) -> dict[str, Any]:
    return {
        "node": node.id, "name": node.name, "role": node.role, "confidence": node.confidence,
        "evidence": node.evidence,
    }  # fmt: skip


def redundancy_analysis(seen: Observed, spof: list[dict[str, Any]]) -> dict[str, Any]:
    graph = seen.paths
    weak = []
    for a, b in nx.bridges(graph):
        if not {seen.nodes[a].role, seen.nodes[b].role} <= set(FORWARDERS):
            continue  # a host's own access is a bridge always
        rest = graph.copy()
        rest.remove_edge(a, b)
        weak.append({"source": min(a, b), "target": max(a, b), **cut(seen, rest)})
        if len(weak) == MOST_POINTS:
            break
    used = {node.segment for node in seen.nodes.values()} - {EXTERNAL}
    return {
        "single_points_of_failure": spof,
        "bridges": sorted(weak, key=lambda b: (-b["connections_cut"], b["source"], b["target"])),
        "single_gateway": {
            name: seen.gateways[name][0]
            for name in sorted(used)
            if len(seen.gateways.get(name, ())) == 1
        },
        "redundant_gateways": {
            name: sorted(ids) for name, ids in sorted(seen.gateways.items()) if len(ids) > 1
        },
        "segments_without_known_gateway": sorted(used - seen.gateways.keys()),
        "endpoint_articulation_points": sum(
            seen.nodes[name].role not in FORWARDERS for name in nx.articulation_points(graph)
        ),
        "reason": None if seen.gateways else "no machine that forwards was recognised",
    }


# ---- paths


def critical_paths(seen: Observed) -> list[dict[str, Any]]:
    """Edges of the path graph that carry most octets (betweenness weighted by observed octets),
    with the errors of the connections that went over them."""
    total = sum(link["bytes"] for link in seen.links)
    edges = [
        (a, b, data)
        for a, b, data in seen.paths.edges(data=True)
        if total and data["bytes"] >= CRITICAL_SHARE * total
    ]
    made = [
        {
            "source": min(a, b),
            "target": max(a, b),
            "kind": data["kind"],
            "bytes": round(data["bytes"]),
            "share_of_bytes": ratio(data["bytes"], total),
            "connections": round(data["connections"]),
            "errors": round(data["errors"]),
            "error_rate": ratio(data["errors"], data["connections"]),
            "is_estimate": data["ways"] > 1,
        }
        for a, b, data in edges
    ]
    made.sort(key=lambda p: (-p["bytes"] * (1 + (p["error_rate"] or 0)), p["source"], p["target"]))
    return made[:MOST_PATHS]


def routing_efficiency(seen: Observed) -> dict[str, Any]:
    """Hops by TTL, where they were kept: mean over connections, and the least to the same network.

    `improvement_percentage` needs the latency of both paths; hops alone say nothing about it.
    """
    known: dict[str, list[tuple[int, float]]] = {}
    for link in seen.links:
        for end in (link["source"], link["target"]):
            node = seen.nodes[end]
            if node.hops is not None and not node.is_local and node.ip is not None:
                network = segmentation.segment_of(node.ip, None, is_local=True)
                known.setdefault(network, []).append((node.hops, link["connections"]))
    weights = sum(n for hops in known.values() for _, n in hops)
    if not weights:
        return {
            "avg_hops": None, "optimal_hops": None, "improvement_percentage": None,
            "reason": NO_HOPS,
        }  # fmt: skip
    least = sum(min(h for h, _ in hops) * sum(n for _, n in hops) for hops in known.values())
    return {
        "avg_hops": ratio(sum(h * n for hops in known.values() for h, n in hops), weights, 3),
        "optimal_hops": ratio(least, weights, 3),
        "improvement_percentage": None,
        "reason": "hops are no latency: no second path to the same network was timed",
    }


# ---- what to do


def opportunities(
    seen: Observed,
    goals: Sequence[str],
    spof: list[dict[str, Any]],
    redundancy: dict[str, Any],
    routing: dict[str, Any],
) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if "redundancy" in goals and spof:
        made.append({
            "type": "eliminate_spof",
            "goal": "redundancy",
            "critical_nodes": [point["node"] for point in spof],
            "recommendation": "Add a second path: without these, the connections counted in"
            " connections_cut have no other observed way",
            "connections_cut": sum(point["connections_cut"] for point in spof),
            "risk_reduction": None,
            "reason": "how likely these fail is not known from packets",
        })  # fmt: skip
    if "redundancy" in goals and redundancy["bridges"]:
        made.append({
            "type": "eliminate_bridge",
            "goal": "redundancy",
            "critical_edges": [[b["source"], b["target"]] for b in redundancy["bridges"]],
            "recommendation": "Add a second link between these routers",
            "risk_reduction": None,
            "reason": "how likely these fail is not known from packets",
        })  # fmt: skip
    if "latency" in goals:
        if routing["avg_hops"] is not None and routing["avg_hops"] > routing["optimal_hops"]:
            made.append({
                "type": "optimize_routing",
                "goal": "latency",
                "current_hop_count": routing["avg_hops"],
                "optimal_hop_count": routing["optimal_hops"],
                "improvement": None,
                "reason": routing["reason"],
            })  # fmt: skip
        made += slow_clients(seen)
    if "cost" in goals:
        made.append({
            "type": "external_traffic",
            "goal": "cost",
            "bytes": round(sum(external(seen))),
            "share_of_bytes": ratio(sum(external(seen)), sum(k["bytes"] for k in seen.links)),
            "cost": None,
            "reason": "prices of links are not known; GET bandwidth has the cost of the whole",
        })  # fmt: skip
    return made


def external(seen: Observed) -> list[float]:
    return [
        link["bytes"]
        for link in seen.links
        if EXTERNAL in (seen.nodes[link["source"]].segment, seen.nodes[link["target"]].segment)
    ]


def slow_clients(seen: Observed) -> list[dict[str, Any]]:
    """Clients whose round trip to a service is a multiple of another client's to the same one."""
    by_target: dict[str, list[dict[str, Any]]] = {}
    for link in seen.links:
        if link["latency_us"] is not None and link["connections"] >= FEWEST:
            by_target.setdefault(link["target"], []).append(link)
    made = []
    for target, links in by_target.items():
        best = min(link["latency_us"] for link in links)
        for link in links:
            if best > 0 and link["latency_us"] >= SLOW_FACTOR * best:
                made.append({
                    "type": "slow_path",
                    "goal": "latency",
                    "source": link["source"],
                    "target": target,
                    "latency_ms": milliseconds(link["latency_us"]),
                    "best_latency_ms": milliseconds(best),
                    "improvement_ms": milliseconds(link["latency_us"] - best),
                    "recommendation": "Compare this client's way with the fastest client's",
                    "reason": None,
                })  # fmt: skip
    made.sort(key=lambda o: (-o["improvement_ms"], o["source"], o["target"]))
    return made[:MOST_PATHS]


# ---- for drawing


def drawn_nodes(seen: Observed, spof: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": node.id, "name": node.name or node.ip or node.id, "role": node.role,
            "ip": node.ip, "mac": node.mac, "vlan": node.vlan, "hops": node.hops,
            "segment": node.segment, "bytes": round(node.bytes), "evidence": node.evidence,
            "confidence": node.confidence, "is_spof": node.id in spof,
        }
        for node in sorted(seen.nodes.values(), key=lambda n: (-n.bytes, n.id))
    ]  # fmt: skip


def drawn_edges(seen: Observed, critical: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Edges of paths (l2, l3), and the service links that went over them."""
    made = [
        {
            "source": min(a, b), "target": max(a, b), "kind": data["kind"],
            "bytes": round(data["bytes"]), "connections": round(data["connections"]),
            "errors": round(data["errors"]), "latency_avg_ms": None,
            "evidence": ["flow"] if data["ways"] == 1 else ["flow", "split_evenly"],
            "confidence": min(seen.nodes[a].confidence, seen.nodes[b].confidence),
            "is_critical": (min(a, b), max(a, b)) in critical,
        }
        for a, b, data in seen.paths.edges(data=True)
    ] + [
        {
            "source": link["source"], "target": link["target"], "kind": "service",
            "bytes": round(link["bytes"]), "connections": round(link["connections"]),
            "errors": round(link["errors"]), "latency_avg_ms": milliseconds(link["latency_us"]),
            "evidence": link["evidence"], "confidence": link["confidence"], "is_critical": False,
        }
        for link in seen.links
    ]  # fmt: skip
    return sorted(made, key=lambda edge: (-edge["bytes"], edge["source"], edge["target"],
                                          edge["kind"]))  # fmt: skip
