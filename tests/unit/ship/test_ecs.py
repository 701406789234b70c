"""Events in ECS, held against Elastic's own list of fields."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from sensor.model.rows import ConnectionRow
from sensor.programs.detection import shipped_rules
from sensor.ship.ecs import connection_document, ecs_document
from tests.unit.store.made import T0, US, connection, event, resolved

FIELDS = {
    name: (kind, bool(array))
    for name, kind, *array in (
        line.split()
        for line in (Path(__file__).parent / "ecs_fields.txt").read_text().splitlines()
        if not line.startswith("#")
    )
}
# Elastic's types: what a value of them is in JSON.
KINDS: dict[str, tuple[type, ...]] = {
    "keyword": (str,), "match_only_text": (str,), "date": (str,), "ip": (str,), "long": (int,),
    "float": (int, float),
}  # fmt: skip
# https://www.elastic.co/docs/reference/ecs/ecs-allowed-values-event-category
ALLOWED_TYPES = {
    "intrusion_detection": {"allowed", "denied", "info"},
    "network": {
        "access", "allowed", "connection", "denied", "end", "info", "protocol", "start",
    },
}  # fmt: skip


def flat(document: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        else:
            yield path + key, value


def valid(document: dict[str, Any]) -> None:
    for name, value in flat(document):
        assert value is not None, name
        if name.startswith("sensor."):
            continue
        kind, array = FIELDS[name]
        assert isinstance(value, list) == array, name
        for one in value if array else [value]:
            assert isinstance(one, KINDS[kind]), (name, one)
            if kind == "ip":
                ip_address(one)
            if kind == "date":
                assert datetime.fromisoformat(one).tzinfo is not None
    assert document["event"]["kind"] in ("alert", "event")
    for category in document["event"]["category"]:
        assert set(document["event"]["type"]) <= ALLOWED_TYPES[category]
    json.dumps(document, allow_nan=False)


def test_a_resolved_event() -> None:
    row = resolved(
        event(
            source_ip="2001:db8::7", source_port=4444, destination_ip="2001:db8::1",
            protocol="icmp6", mitigation="do this\n- then that\n",
            evidence='{"severity_score": 72, "top_sources": [{"ip": "fe80::1"}]}',
        ),
        T0 + 30 * US,
    )  # fmt: skip
    rule = shipped_rules().find("syn_flood")
    assert rule is not None
    made = ecs_document(row, 17, replace(rule, mitre=("T1499.001", "T1498")))
    valid(made)
    assert made["@timestamp"] == "2023-11-14T22:00:00.000000000Z"
    assert made["event"]["start"] == "2023-11-14T21:59:58.000000000Z"
    assert made["event"]["end"] == "2023-11-14T22:00:30.000000000Z"
    assert made["event"]["duration"] == 2 * 10**9  # nanoseconds
    assert (made["event"]["severity"], made["event"]["risk_score"]) == (72, 64.8)
    assert made["event"]["sequence"] == 17
    assert made["source"] == {"ip": "2001:db8::7", "address": "2001:db8::7", "port": 4444}
    assert made["network"] == {
        "type": "ipv6", "transport": "ipv6-icmp", "packets": 1000, "bytes": 60000,
    }  # fmt: skip
    assert made["related"]["ip"] == ["2001:db8::7", "2001:db8::1", "fe80::1"]
    assert made["threat"] == {
        "framework": "MITRE ATT&CK",
        "tactic": {"id": ["TA0040"], "name": ["Impact"]},
        "technique": {
            "id": ["T1499", "T1498"],
            "name": ["Endpoint Denial of Service", "Network Denial of Service"],
            "reference": [
                "https://attack.mitre.org/techniques/T1499/",
                "https://attack.mitre.org/techniques/T1498/",
            ],
            "subtechnique": {
                "id": ["T1499.001"],
                "name": ["OS Exhaustion Flood"],
                "reference": ["https://attack.mitre.org/techniques/T1499/001/"],
            },
        },
    }
    assert made["rule"]["version"] == str(rule.version)
    assert made["rule"]["name"] == rule.title
    assert made["sensor"]["mitigation"] == ["do this", "then that"]
    assert made["sensor"]["confidence_score"] == 0.9


def test_what_is_unknown_is_left_out() -> None:
    nothing = dict.fromkeys(
        (
            "event_type", "severity", "destination_ip", "destination_port", "protocol",
            "packets_count", "bytes_transferred", "duration_ms", "detection_method",
            "confidence_score", "action_taken", "blocked", "attack_class", "rule_id", "title",
            "status", "started_at", "updated_at", "evidence",
        )
    )  # fmt: skip
    made = ecs_document(event(**nothing))
    valid(made)
    assert not {"message", "source", "destination", "network", "threat", "related"} & set(made)


def test_an_open_event_of_many_sources_and_a_blocked_one() -> None:
    made = ecs_document(event())
    valid(made)
    assert "end" not in made["event"]
    assert "source" not in made
    assert made["message"] == "SYN flood: several sources -> 10.0.0.1:80/tcp"
    assert 60 <= made["event"]["severity"] < 85  # high, no score measured
    blocked = ecs_document(event(blocked=1, protocol="arp"))
    valid(blocked)
    assert blocked["event"]["type"] == ["denied"]
    assert blocked["network"]["type"] == "arp"
    assert "transport" not in blocked["network"]


def test_a_connection() -> None:
    row = ConnectionRow._make(
        connection(T0, resp_ip="2001:db8::80", vlan=7, server_name="a.example", local_orig=1,
                   local_resp=0)
    )  # fmt: skip
    made = connection_document(row, 9)
    valid(made)
    assert made["network"]["community_id"] == row.community_id
    assert made["network"]["direction"] == "outbound"
    assert made["network"]["bytes"] == row.orig_wire_bytes + row.resp_wire_bytes
    assert made["source"]["packets"] == row.orig_packets
    assert made["event"]["duration"] == row.duration_us * 1000
    assert made["event"]["id"] == connection_document(row, 9)["event"]["id"]
    assert made["event"]["id"] != connection_document(row, 10)["event"]["id"]
    assert made["sensor"]["conn_state"] == "SF"


def test_a_connection_of_which_little_is_known() -> None:
    row = ConnectionRow._make(
        connection(T0, state="S0", protocol="ip89", service=None, handshake_us=None,
                   handshake_responder_us=None, handshake_originator_us=None, local_orig=None,
                   local_resp=None)
    )  # fmt: skip
    made = connection_document(row, 1)
    valid(made)
    assert made["event"]["outcome"] == "failure"
    assert "direction" not in made["network"]
    assert "transport" not in made["network"]
