"""What a capture with a planted site leaves in topology_nodes and topology_links."""

import json
import random
import sqlite3
from pathlib import Path

import pytest

from sensor.analytics.topology import analyse
from sensor.flow.locality import given
from sensor.metrics.announcements import read
from sensor.programs.keep import Keeper
from sensor.programs.replay import Replay
from sensor.store import topology as merging
from sensor.store.opening import open_reading
from sensor.store.reading import Scope
from sensor.store.sqlite import SqliteStore
from tests.traffic.capture import write
from tests.traffic.lan import Lan
from tests.unit.topology import announce

PC, SERVER, GATEWAY = "10.0.10.5", "10.0.20.9", "10.0.10.1"
PC_MAC, GATEWAY_MAC = bytes.fromhex("02000000aa05"), bytes.fromhex("02000000aa01")


def keep(lan: Lan, folder: Path, name: str = "a") -> sqlite3.Connection:
    """Replayed into a store; the database."""
    write(folder / f"{name}.pcap", lan.frames)
    replay = Replay((str(folder / f"{name}.pcap"),), local=given(("10.0.0.0/8",)))
    with SqliteStore(str(folder / "s.db")) as store, Keeper(store, replay, "default") as keeper:
        replay.run((keeper,))
    return sqlite3.connect(folder / "s.db")


def nodes(db: sqlite3.Connection) -> dict[str, dict[str, object]]:
    names = [column[1] for column in db.execute("PRAGMA table_info(topology_nodes)")]
    rows = (
        dict(zip(names, row, strict=True)) for row in db.execute("SELECT * FROM topology_nodes")
    )
    return {str(row["node"]): row | {"evidence": json.loads(str(row["evidence"]))} for row in rows}


def links(db: sqlite3.Connection) -> dict[tuple[str, str], tuple[object, ...]]:
    rows = db.execute(
        "SELECT source, target, kind, bytes, packets, connections, errors, evidence"
        " FROM topology_links"
    )
    return {(source, target): tuple(rest) for source, target, *rest in rows}


def test_a_planted_site(tmp_path: Path) -> None:
    lan = Lan()
    lan.arp(PC, PC_MAC, GATEWAY, GATEWAY_MAC)
    lan.arp(GATEWAY, GATEWAY_MAC, PC, PC_MAC)
    octets = lan.exchange(PC, SERVER, 5432, 500, vlan=10)
    octets += lan.exchange(PC, SERVER, 5432, 700, vlan=10, sport=40001)
    lan.attempt(PC, SERVER, 22, vlan=10)
    lan.time_exceeded("203.0.113.77", PC, "198.51.100.1")
    with keep(lan, tmp_path) as db:
        found, joined = nodes(db), links(db)
    db.close()
    assert set(found) == {PC, SERVER, GATEWAY, "203.0.113.77"}
    assert (found[PC]["mac"], found[GATEWAY]["mac"]) == ("02:00:00:00:aa:05", "02:00:00:00:aa:01")
    assert (found[PC]["vlan"], found[SERVER]["vlan"]) == (10, None)  # behind the router
    assert found[SERVER]["role"] == "service"
    assert "serves:5432/tcp" in found[SERVER]["evidence"]
    assert (found["203.0.113.77"]["role"], found["203.0.113.77"]["evidence"]) == (
        "router",
        ["icmp_time_exceeded"],
    )
    assert joined == {(PC, SERVER): ("service", octets, 16, 3, 1, '["5432/tcp"]')}


def test_windows_add_up(tmp_path: Path) -> None:
    lan = Lan()
    for n in range(3):
        lan.exchange(PC, SERVER, 80 + n, 100, sport=40000 + n)
        lan.pause(70)
    with keep(lan, tmp_path) as db:
        found, joined = nodes(db), links(db)
    db.close()
    (link,) = joined.values()
    assert link[2:5] == (24, 3, 0)
    assert sorted(json.loads(str(link[5]))) == ["80/tcp", "81/tcp", "82/tcp"]
    assert found[PC]["first_seen"] < found[PC]["last_seen"]  # type: ignore[operator]


def test_floods_and_scans_draw_no_network(tmp_path: Path) -> None:
    lan = Lan()
    for n in range(300):
        forged = f"198.51.{n // 250}.{n % 250 + 1}"
        lan.attempt(forged, PC, 80, refused=n % 2 == 0)  # spoofed sources
        lan.attempt(PC, f"10.9.{n // 250}.{n % 250 + 1}", 445, refused=False)  # a scan
    with keep(lan, tmp_path) as db:
        assert (nodes(db), links(db)) == ({}, {})
    db.close()


def test_names_of_attackers_are_text(tmp_path: Path) -> None:
    lan = Lan()
    name = b"\x1b[31m<script>'; DROP TABLE topology_nodes;--"
    request = b"GET / HTTP/1.1\r\nHost: " + name.replace(b"\x1b", b"") + b"\r\n\r\n"
    lan.exchange(PC, "198.51.100.7", 80, 100, request=request)
    with keep(lan, tmp_path) as db:
        found = nodes(db)
    db.close()
    shown = found["198.51.100.7"]["name"]
    assert shown is None or "\x1b" not in str(shown)
    assert set(found) == {PC, "198.51.100.7"}


def test_two_machines_of_one_address(tmp_path: Path) -> None:
    lan = Lan()
    for mac in (GATEWAY_MAC, bytes.fromhex("02000000bad1"), GATEWAY_MAC):
        lan.arp(PC, PC_MAC, GATEWAY, mac)
        lan.pause(1.5)
    with keep(lan, tmp_path) as db:
        assert "mac_conflict" in nodes(db)[GATEWAY]["evidence"]  # type: ignore[operator]
    db.close()


def test_more_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.metrics.topology.MOST_LINKS", 20)
    monkeypatch.setattr(merging, "MOST_NODES", 15)
    lan = Lan()
    for n in range(60):
        lan.exchange(PC, f"198.51.100.{n + 1}", 443, 10 * n, sport=41000 + n)
    with keep(lan, tmp_path) as db:
        kept = links(db)
        held = nodes(db)
        (evicted,) = db.execute(
            "SELECT value FROM store_counters WHERE name = 'topology_evicted'"
        ).fetchone()
    db.close()
    assert set(kept) == {(PC, f"198.51.100.{n + 1}") for n in range(40, 60)}  # the busiest
    assert len(held) == 15
    assert evicted == 40 + 21 - 15


def test_from_packets_to_the_single_point_of_failure(tmp_path: Path) -> None:
    """Two VLANs behind one router, and the world: nothing but ARP says where the router is."""
    lan = Lan()
    hosts = {n: (f"10.0.10.{n}", bytes.fromhex(f"02000000aa{n:02x}")) for n in (5, 6)}
    for n, (ip, mac) in hosts.items():
        lan.arp(ip, mac, GATEWAY, GATEWAY_MAC)
        lan.arp(GATEWAY, GATEWAY_MAC, ip, mac)
        for port in range(3):
            lan.exchange(ip, "198.51.100.9", 443, 900, vlan=10, sport=40000 + 10 * n + port)
        lan.exchange(ip, SERVER, 5432, 100, vlan=10, sport=45000 + n)
    lan.exchange(hosts[5][0], hosts[6][0], 22, 100, vlan=10)
    with keep(lan, tmp_path) as db:
        ((since, until),) = db.execute("SELECT min(first_packet), max(last_packet) FROM agents")
    db.close()
    reading = open_reading(str(tmp_path / "s.db"))
    found = analyse(reading, Scope(since, until + 1, workspace_id="default"))
    reading.close()
    (spof,) = found["redundancy_analysis"]["single_points_of_failure"]
    assert (spof["node"], spof["evidence"]) == (GATEWAY, ["arp", "only_way_out"])
    assert (spof["connections_cut"], spof["pairs_cut"]) == (8, 4)
    drawn = {
        (e["source"], e["target"], e["kind"]) for e in found["edges"] if e["kind"] != "service"
    }
    assert drawn == {
        (GATEWAY, "10.0.10.5", "l2"), (GATEWAY, "10.0.10.6", "l2"), (GATEWAY, "198.51.100.9", "l3"),
        (GATEWAY, SERVER, "l3"), ("10.0.10.5", "10.0.10.6", "l2"),
    }  # fmt: skip
    assert found["redundancy_analysis"]["single_gateway"]["vlan 10"] == GATEWAY


def test_hops_by_ttl(tmp_path: Path) -> None:
    """Of the far end, whoever asked; the least; none where its TTL tells nothing."""
    lan = Lan()
    lan.hops = {"198.51.100.9": 7, "203.0.113.5": 3, "198.51.100.33": 60}
    lan.exchange(PC, "198.51.100.9", 443, 900)
    lan.hops["198.51.100.9"] = 5
    lan.exchange(PC, "198.51.100.9", 8443, 900, sport=40001)
    lan.exchange("203.0.113.5", PC, 80, 900)
    lan.question(PC, "203.0.113.53", b"?", b"!")
    lan.exchange(PC, "198.51.100.33", 443, 900)
    with keep(lan, tmp_path) as db:
        found = {ip: node["hops"] for ip, node in nodes(db).items()}
    db.close()
    assert found == {
        PC: None, "198.51.100.9": 5, "203.0.113.5": 3, "203.0.113.53": 0, "198.51.100.33": None,
    }  # fmt: skip


def test_what_neighbours_announce(tmp_path: Path) -> None:
    """Messages made by scapy; the switch is known by its address, the router by its MAC."""
    lan = Lan()
    lan.arp(PC, PC_MAC, GATEWAY, GATEWAY_MAC)
    lan.send(bytes(announce.lldp_switch("sw-1\x1b[2J", "10.0.10.250")))
    lan.send(bytes(announce.lldp_by_mac(GATEWAY_MAC, "edge")))
    lan.send(bytes(announce.cdp("core.example", "10.0.10.251")))
    lan.exchange(PC, SERVER, 80, 100)
    with keep(lan, tmp_path) as db:
        found = nodes(db)
    db.close()
    assert set(found) == {PC, SERVER, GATEWAY, "10.0.10.250", "10.0.10.251"}
    switch, core, edge = found["10.0.10.250"], found["10.0.10.251"], found[GATEWAY]
    assert (switch["role"], switch["evidence"]) == ("switch", ["lldp"])
    assert switch["name"] == "sw-1\x1b[2J"  # as it was sent: who shows it escapes it
    assert (core["role"], core["name"], core["evidence"]) == ("router", "core.example", ["cdp"])
    assert (edge["role"], edge["name"]) == ("router", "edge")
    assert edge["evidence"] == ["arp", "lldp"]


@pytest.mark.parametrize("is_cdp", [False, True])
def test_announcements_that_are_cut_or_made_up(is_cdp: bool) -> None:
    made = announce.cdp if is_cdp else announce.lldp_switch
    whole = bytes(made("c", "10.0.0.1"))
    message = whole[22:] if is_cdp else whole[14:]
    assert read(is_cdp, message).addresses == (bytes(10) + b"\xff\xff\x0a\x00\x00\x01",)
    for n in range(len(message)):
        assert len(read(is_cdp, message[:n]).addresses) <= 1
    rng = random.Random(7)
    for _ in range(5000):
        assert len(read(is_cdp, rng.randbytes(rng.randrange(508))).addresses) <= 8
        mixed = bytearray(message)
        mixed[rng.randrange(len(mixed))] = rng.randrange(256)
        read(is_cdp, bytes(mixed))
