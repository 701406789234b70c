"""For no event whatsoever may a protected address be blocked.

What is protected is worked out here with the standard library's `ipaddress`, from documents that
the responder's own lists name.
"""

import json
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.model.address import pack_address, pack_prefix
from sensor.respond import judge as judging
from sensor.respond.judge import Verdict, judge
from sensor.respond.netlink import HostAddresses
from sensor.respond.policy import Facts, objection, wanted
from sensor.respond.protected import Protected, parsed, protected, resolvers
from sensor.respond.settings import CONFIRMABLE
from sensor.store.queries import open_reader
from tests.unit.respond import made
from tests.unit.respond.made import ATTACKER, NOW, US, VICTIM, done, flood, with_evidence

OWN = ("203.0.113.4", "2001:db8:1::4")
GATEWAYS = ("203.0.113.1", "2001:db8:1::1")
NETWORKS = ("203.0.113.0/24", "2001:db8:1::/64")
RESOLVERS = ("192.0.2.53", "2001:db8:53::53")
ALLOWED = ("198.51.100.128/25", "2001:db8:a::/48")
SENSOR_LOCAL = "198.18.0.0/15"
HOST = HostAddresses(
    own={pack_prefix(a) for a in OWN},
    broadcast={pack_prefix("203.0.113.255")},
    gateways={pack_prefix(a) for a in GATEWAYS},
    peers={pack_prefix("192.0.2.9")},
    networks={pack_prefix(n) for n in NETWORKS},
)
ALWAYS = [
    ip_network(n)
    for n in (
        *OWN, *GATEWAYS, *RESOLVERS, *ALLOWED, "203.0.113.255", "192.0.2.9",
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::/128", "::1", "fe80::/10", "ff00::/8",
    )
]  # fmt: skip
LOCAL = [
    ip_network(n)
    for n in (
        *NETWORKS, SENSOR_LOCAL,
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7",
    )
]  # fmt: skip


def is_within(text: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def inside(network: IPv4Network | IPv6Network) -> st.SearchStrategy[str]:
    """Addresses of a network, its first and last among them; IPv4 also as an IPv6 address."""
    last = network.num_addresses - 1
    plain = st.sampled_from([0, last]) | st.integers(0, last)
    texts = plain.map(lambda n: str(network[n]))
    if network.version == 4:
        return texts | texts.map(lambda text: f"::ffff:{text}") | texts.map(written_out)
    return (
        texts | texts.map(lambda text: ip_address(text).exploded.upper()) | texts.map("{}%1".format)
    )


def written_out(text: str) -> str:
    """The same IPv4 address in the hexadecimal form of an IPv6 address."""
    return f"0:0:0:0:0:FFFF:{int(ip_address(text)) >> 16:X}:{int(ip_address(text)) & 0xFFFF:X}"


PROTECTED = st.sampled_from(ALWAYS + LOCAL).flatmap(inside)
ADDRESS = (
    PROTECTED
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
    | st.sampled_from([ATTACKER, VICTIM, "2001:db8:51::7"])
)
SOURCE = ADDRESS | st.none() | st.text(max_size=40)
SPOOFED = st.sampled_from([False, False, False, True, None, 0, "false", []])
EVIDENCE = (
    st.fixed_dictionaries({"spoofed": SPOOFED, "value": st.just(200)}).map(json.dumps)
    | st.sampled_from(["{}", "[]", "null", '{"spoofed": "no"}', None])
)  # fmt: skip
ANY_EVENT = st.fixed_dictionaries(
    {
        "source_ip": SOURCE,
        "destination_ip": ADDRESS | st.none(),
        "attack_class": st.sampled_from([*CONFIRMABLE, "syn_flood", "port_scan", None]),
        "severity": st.sampled_from(["critical", "high", "low", "worst", None]),
        "confidence_score": st.sampled_from([0.99, 1.0, 0.5, None]),
        "false_positive_probability": st.sampled_from([1e-6, 0.5, None]),
        "evidence": EVIDENCE,
        "detected_at": st.sampled_from([NOW, NOW, NOW - 86400 * US, NOW + 86400 * US, 0]),
        "updated_at": st.none(),
    }
)


def guard(given_settings: Any) -> Protected:
    found = {pack_address(a) for a in RESOLVERS}
    return protected(given_settings, HOST, found, {pack_prefix(SENSOR_LOCAL)})


@pytest.mark.parametrize("private", [False, True])
@settings(max_examples=1500)
@given(values=ANY_EVENT, victims=st.frozensets(ADDRESS, max_size=3), live=st.booleans())
def test_no_event_gets_a_protected_address_past_the_guards(
    private: bool, values: dict[str, Any], victims: frozenset[str], live: bool
) -> None:
    given_settings = made.settings(allow=list(ALLOWED), allow_private_targets=private)
    event = flood(**values)  # type: ignore[arg-type]
    packed = frozenset(filter(None, map(parsed, victims)))
    facts = Facts(NOW, live, guard(given_settings), packed)
    if wanted(event, given_settings) or objection(event, given_settings, facts):
        return
    assert live
    assert json.loads(event.evidence)["spoofed"] is False
    assert abs(event.detected_at - NOW) <= 300 * US
    assert event.attack_class in CONFIRMABLE
    assert event.severity in ("high", "critical")
    assert event.confidence_score >= 0.95
    assert event.false_positive_probability <= 1e-3
    assert not is_within(event.source_ip, ALWAYS + ([] if private else LOCAL))
    same = [a for a in (event.destination_ip, *victims) if a is not None]
    assert not is_within(
        event.source_ip,
        [
            ip_network(str(ip_address(a.split("%")[0])))
            for a in same
            if "." not in a or ":" not in a
        ],
    )


@given(source=PROTECTED)
def test_protected_addresses_have_a_reason(source: str) -> None:
    address = parsed(source)
    assert address is not None
    assert guard(made.settings(allow=list(ALLOWED))).why(address)


def test_a_plain_attacker_is_let_through_the_guards() -> None:
    """The test above would pass if everything were refused."""
    for source in (ATTACKER, "2001:db8:51::7", "8.8.8.8"):
        facts = Facts(NOW, True, guard(made.settings(allow=list(ALLOWED))), frozenset())
        event = flood(source=source)
        assert wanted(event, made.settings()) is None
        assert objection(event, made.settings(), facts) is None


def judged(path: Path, *events: Any) -> list[Verdict]:
    with open_reader(str(path)) as reader:
        return judge(reader.db, events, made.settings(allow=list(ALLOWED)), NOW)


@pytest.fixture
def this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host of this module instead of the one that runs the tests."""
    monkeypatch.setattr(judging, "host_addresses", lambda: HOST)
    monkeypatch.setattr(judging, "resolvers", lambda: {pack_address(a) for a in RESOLVERS})


@settings(max_examples=20)
@given(rows=st.lists(ANY_EVENT, min_size=1, max_size=30))
def test_nor_out_of_a_store_where_everybody_is_confirmed(rows: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "host_addresses", lambda: HOST)
        patch.setattr(judging, "resolvers", lambda: {pack_address(a) for a in RESOLVERS})
        path = Path(folder) / "s.db"
        events = [flood(n, **values) for n, values in enumerate(rows)]  # type: ignore[arg-type]
        own = [
            done(source=e.source_ip, resp_ip=e.destination_ip or VICTIM)
            for e in events
            if e.source_ip is not None
        ]
        made.write(path, *events, connections=own * 2)  # type: ignore[arg-type]
        victims = [
            e.destination_ip for e in events if e.destination_ip and e.detected_at >= NOW - 300 * US
        ]
        for verdict in judged(path, *events):
            if verdict.wish == "block":
                source = verdict.event.source_ip
                assert not is_within(source, ALWAYS + LOCAL[2:])
                assert parsed(source) not in {parsed(v) for v in victims}
                assert json.loads(verdict.event.evidence)["spoofed"] is False


@pytest.mark.usefixtures("this_host")
@pytest.mark.parametrize(
    ("more", "live", "reason"),
    [
        ({}, True, None),
        ({}, False, "not seen live"),
        ({"source_ip": None}, True, "no single source"),
        ({"source_ip": "nobody"}, True, "no address"),
        ({"source_ip": VICTIM}, True, "itself under attack"),
        ({"source_ip": GATEWAYS[0]}, True, "protected: a gateway"),
        ({"source_ip": OWN[1]}, True, "protected: an address of this host"),
        ({"source_ip": RESOLVERS[0]}, True, "protected: a DNS resolver"),
        ({"source_ip": "198.51.100.200"}, True, "protected: on the allow list"),
        ({"source_ip": "203.0.113.77"}, True, "protected: in a network of this host"),
        ({"source_ip": "10.1.1.1"}, True, "protected: a private address"),
        ({"evidence": "{}"}, True, "may be forged"),
        ({"evidence": None}, True, "may be forged"),
        ({"detected_at": NOW - 301 * US, "updated_at": None}, True, "too old"),
        ({"detected_at": NOW + 301 * US, "updated_at": None}, True, "clocks differ"),
    ],
)  # fmt: skip
def test_each_guard_says_why(
    tmp_path: Path, more: dict[str, Any], live: bool, reason: str | None
) -> None:
    event = flood(**more)  # type: ignore[arg-type]
    made.write(tmp_path / "s.db", event, connections=(done(), done()), live=live)
    [verdict] = judged(tmp_path / "s.db", event)
    assert verdict.wish == ("block" if reason is None else "refused")
    assert reason is None or reason in verdict.reason


@pytest.mark.usefixtures("this_host")
def test_the_victim_of_another_event_and_the_sensors_own_networks(tmp_path: Path) -> None:
    attack = flood(1)
    other = flood(2, source="8.8.8.8", destination_ip=ATTACKER)
    made.write(tmp_path / "s.db", attack, other, connections=(done(), done()))
    first, _ = judged(tmp_path / "s.db", attack, other)
    assert (first.wish, first.reason) == ("refused", "it is itself under attack")
    own = flood(3, source="10.0.0.9")  # the agent of these rows says 10.0.0.0/8
    made.write(tmp_path / "s.db", own, connections=(done(source="10.0.0.9"),) * 2)
    with open_reader(str(tmp_path / "s.db")) as reader:
        assert judging.local_prefixes(reader.db) == {pack_prefix("10.0.0.0/8")}


def test_a_forged_event_stays_forged_whatever_else_is_true() -> None:
    facts = Facts(NOW, True, Protected(()), frozenset())
    for value in (True, None, 0, 1, "", "false", {}):
        event = with_evidence(flood(), spoofed=value)
        assert objection(event, made.settings(), facts) == "the source may be forged"


def test_name_servers_of_resolv_conf(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_bytes(
        b"# nameserver 192.0.2.1\nnameserver 192.0.2.2\n  nameserver\t2001:db8::53%eth0 # x\n"
        b"nameserver nonsense\nsearch nameserver 192.0.2.3\noptions rotate\xff\nnameserver\n"
    )
    found = resolvers([str(conf), str(tmp_path / "missing")])
    assert found == {pack_address("192.0.2.2"), pack_address("2001:db8::53")}
