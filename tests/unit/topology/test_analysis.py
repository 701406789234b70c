"""Structure and weak points against planted networks."""

import json
from pathlib import Path
from typing import Any

import pytest

from sensor.analytics import topology
from sensor.model.rows import TopologyLinkRow, TopologyNodeRow, WindowRows
from sensor.store.opening import open_reading
from sensor.store.reading import Scope
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import AGENT, T0, US, agent

DAY = 86_400 * US
NOW = T0 + 10 * DAY


def node(ip: str, *evidence: str, mac: str | None = None, **more: Any) -> TopologyNodeRow:
    row = TopologyNodeRow(AGENT, ip, ip, mac, None, "host", None, None,
                          json.dumps(evidence or ["flow", "local"]), 0.9, T0, NOW)  # fmt: skip
    return row._replace(**more)


def link(source: str, target: str, n: int = 10, **more: Any) -> TopologyLinkRow:
    row = TopologyLinkRow(AGENT, source, target, "service", 1000 * n, 10 * n, n, 0, None,
                          '["443/tcp"]', 0.95, T0, NOW)  # fmt: skip
    return row._replace(**more)


def analysed(
    folder: Path, nodes: list[TopologyNodeRow], links: list[TopologyLinkRow],
    goals: tuple[str, ...] = topology.GOALS,
) -> dict[str, Any]:  # fmt: skip
    path = str(folder / "s.db")
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(NOW), nodes=nodes, links=links))
    reading = open_reading(path)
    try:
        return topology.analyse(reading, Scope(NOW - DAY, NOW + US, workspace_id="default"), goals)
    finally:
        reading.close()


HOSTS = [f"10.0.10.{n}" for n in range(10, 14)]
FAR = [f"198.51.100.{n}" for n in range(1, 4)]
GATEWAY = node("10.0.10.1", "arp", mac="02:00:00:00:00:01")


def office(vlan: int | None = 10) -> tuple[list[TopologyNodeRow], list[TopologyLinkRow]]:
    """Four hosts that talk to three services elsewhere."""
    nodes = [node(ip, vlan=vlan, mac=f"02:00:00:00:01:{n:02x}") for n, ip in enumerate(HOSTS)]
    nodes += [node(ip, "flow", "serves:443/tcp", role="service") for ip in FAR]
    return nodes, [link(a, b) for a in HOSTS for b in FAR]


def test_the_only_way_out_is_a_single_point_of_failure(tmp_path: Path) -> None:
    nodes, links = office()
    links.append(link(HOSTS[0], HOSTS[1], 8))  # stays when the gateway is gone
    found = analysed(tmp_path, [*nodes, GATEWAY], links)
    (spof,) = found["redundancy_analysis"]["single_points_of_failure"]
    assert (spof["node"], spof["role"]) == ("10.0.10.1", "gateway")
    assert "only_way_out" in spof["evidence"]
    assert spof["confidence"] <= 0.6
    assert (spof["connections_cut"], spof["pairs_cut"]) == (120, 12)
    assert spof["share_of_connections"] == pytest.approx(120 / 128)
    assert found["redundancy_analysis"]["single_gateway"] == {"vlan 10": "10.0.10.1"}
    (todo,) = [o for o in found["optimization_opportunities"] if o["goal"] == "redundancy"]
    assert (todo["type"], todo["critical_nodes"]) == ("eliminate_spof", ["10.0.10.1"])
    assert todo["risk_reduction"] is None
    assert [n["id"] for n in found["nodes"] if n["is_spof"]] == ["10.0.10.1"]
    # All that leaves crosses the gateway; each host carries a quarter, each service a third.
    top = found["critical_paths"][0]
    assert {top["kind"], top["target"]} <= {"l3", *FAR}
    assert top["bytes"] == 40_000
    assert top["share_of_bytes"] == pytest.approx(40 / 128)


def test_two_gateways_are_no_single_point(tmp_path: Path) -> None:
    nodes, links = office()
    routers = [
        node(f"10.0.10.{n}", "arp", "icmp_redirect", mac=f"02:00:00:00:00:0{n}", role="gateway")
        for n in (1, 2)
    ]
    found = analysed(tmp_path, [*nodes, *routers], links)
    assert found["redundancy_analysis"]["single_points_of_failure"] == []
    assert found["redundancy_analysis"]["redundant_gateways"] == {
        "vlan 10": ["10.0.10.1", "10.0.10.2"]
    }
    halves = [e for e in found["edges"] if e["kind"] == "l3"]
    assert {e["bytes"] for e in halves} == {20_000}  # split evenly, and says so
    assert all("split_evenly" in e["evidence"] for e in halves)


def test_without_a_known_gateway_nothing_is_claimed(tmp_path: Path) -> None:
    nodes, links = office()
    bare = [row._replace(mac=None) for row in nodes]
    found = analysed(tmp_path, bare, links)
    assert found["redundancy_analysis"]["single_points_of_failure"] == []
    assert found["redundancy_analysis"]["reason"] is not None
    assert found["redundancy_analysis"]["segments_without_known_gateway"] == ["vlan 10"]


def test_two_sites_joined_by_one_link(tmp_path: Path) -> None:
    nodes, links = [], []
    for site in (10, 20):
        nodes.append(node(f"10.0.{site}.1", "arp", mac=f"02:00:00:00:00:{site}", role="gateway"))
        nodes += [node(f"10.0.{site}.{n}", vlan=site) for n in (5, 6)]
    for a in (5, 6):
        links += [link(f"10.0.10.{a}", f"10.0.20.{b}", 5) for b in (5, 6)]
    found = analysed(tmp_path, nodes, links)
    (bridge,) = found["redundancy_analysis"]["bridges"]
    assert (bridge["source"], bridge["target"]) == ("10.0.10.1", "10.0.20.1")
    assert bridge["connections_cut"] == 20
    spof = found["redundancy_analysis"]["single_points_of_failure"]
    assert [p["node"] for p in spof] == ["10.0.10.1", "10.0.20.1"]
    assert found["critical_paths"][0]["bytes"] == 20_000
    cells = found["segmentation_analysis"]["flow_matrix"]
    assert [(c["from"], c["to"], c["connections"]) for c in cells] == [("vlan 10", "vlan 20", 20)]
    assert found["segmentation_analysis"]["cross_segment_share"] == 1


def test_one_router_between_its_vlans_is_one_machine(tmp_path: Path) -> None:
    """Its addresses share a hardware address; nothing else said that it routes."""
    mac = "02:00:00:00:00:fe"
    nodes = [node("10.0.10.1", "arp", mac=mac), node("10.0.20.1", "arp", mac=mac)]
    nodes += [node(f"10.0.{site}.{n}", vlan=site) for site in (10, 20) for n in (5, 6)]
    found = analysed(
        tmp_path, nodes, [link("10.0.10.5", "10.0.20.5"), link("10.0.10.6", "10.0.20.6")]
    )
    (gateway,) = found["topology_structure"]["gateways"]
    assert gateway["segments"] == ["vlan 10", "vlan 20"]
    (spof,) = found["redundancy_analysis"]["single_points_of_failure"]
    assert spof["connections_cut"] == 20


def test_pairs_of_segments_that_are_new(tmp_path: Path) -> None:
    nodes = [node(f"10.0.{site}.5", vlan=site) for site in (10, 20, 30)]
    links = [
        link("10.0.10.5", "10.0.20.5"),
        link("10.0.10.5", "10.0.30.5", first_seen=NOW - 3600 * US),
    ]
    found = analysed(tmp_path, nodes, links)["segmentation_analysis"]
    assert [(c["from"], c["to"]) for c in found["unexpected_pairs"]] == [("vlan 10", "vlan 30")]
    young = [row._replace(first_seen=NOW - DAY) for row in links]
    (tmp_path / "young").mkdir()
    found = analysed(tmp_path / "young", nodes, young)["segmentation_analysis"]
    assert found["unexpected_pairs"] is None
    assert "4 days" in found["reason"]


def test_hops_and_slow_clients(tmp_path: Path) -> None:
    nodes, links = office()
    found = analysed(tmp_path, nodes, links)
    assert found["routing"]["avg_hops"] is None
    assert found["routing"]["reason"]
    nodes[4:] = [row._replace(hops=h) for row, h in zip(nodes[4:], (3, 5, 7), strict=True)]
    links = [
        row._replace(latency_avg_us=20_000 if row.source == HOSTS[3] else 5_000)
        if row.target == FAR[0] else row
        for row in links
    ]  # fmt: skip
    (tmp_path / "more").mkdir()
    found = analysed(tmp_path / "more", nodes, links, ("latency",))
    assert (found["routing"]["avg_hops"], found["routing"]["optimal_hops"]) == (5, 3)
    assert found["routing"]["improvement_percentage"] is None
    todo = found["optimization_opportunities"]
    assert [o["type"] for o in todo] == ["optimize_routing", "slow_path"]
    assert (todo[1]["source"], todo[1]["improvement_ms"]) == (HOSTS[3], 15)


def test_nothing_observed_is_said(tmp_path: Path) -> None:
    found = analysed(tmp_path, [], [])
    assert found["reason"]
    assert (found["nodes"], found["edges"], found["critical_paths"]) == ([], [], [])


def test_hostile_rows_are_data(tmp_path: Path) -> None:
    """Names are attackers' words; they come out as they are, and nothing else happens."""
    name = "\x1b]0;x\x07\u202e<img src=x onerror=alert(1)>"
    nodes, links = office()
    nodes[4] = nodes[4]._replace(name=name, evidence='{"not": "a list"}')
    found = analysed(tmp_path, nodes, links)
    assert json.loads(json.dumps(found)) == found
    assert name in {n["name"] for n in found["nodes"]}


def test_a_large_network_is_done_in_time(tmp_path: Path) -> None:
    nodes = [node(f"10.{n >> 8}.{n & 255}.9", vlan=n % 40 + 1) for n in range(3200)]
    links = [link(nodes[n].node, nodes[(n * 7 + 1) % 3200].node) for n in range(3200)]
    links += [link(nodes[n].node, nodes[(n * 13 + 5) % 3200].node) for n in range(3200)]
    links = [row for row in links if row.source != row.target]
    found = analysed(tmp_path, nodes, links)
    assert len(found["nodes"]) == 3000
    assert found["nodes_left_out"] == 200
