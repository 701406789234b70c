"""What we read of the kernel's addresses and routes, beside what iproute2 reads."""

import json
import sys
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import pytest

from tests.live.namespaces import GATEWAY4, GATEWAY6, HOST4, HOST6, ROOT, run, two_namespaces

pytestmark = pytest.mark.net
OURS = """
import json, os, sys
os.chdir(sys.argv[1])
from sensor.respond.netlink import host_addresses
from sensor.model.address import prefix_text
h = host_addresses()
print(json.dumps({
    k: sorted(map(prefix_text, getattr(h, k)))
    for k in ("own", "peers", "broadcast", "gateways", "networks")
}))
"""


def test_every_address_network_and_gateway_of_every_table() -> None:
    with two_namespaces() as net:
        for words in (
            "addr add 192.0.2.1 peer 192.0.2.9 dev eth0",
            "addr add 10.9.0.77/24 dev eth0",
            "route add 203.0.113.0/24 nexthop via 10.9.0.3 nexthop via 10.9.0.4 weight 5",
            "route add 203.0.114.0/24 via inet6 fe80::99 dev eth0",
            "route add default via 10.9.0.5 table 77",
            "-6 route add 2001:db8:77::/48 nexthop via 2001:db8:9::3 nexthop via 2001:db8:9::4",
            "nexthop add id 5 via 10.9.0.6 dev eth0",
            "route add 203.0.115.0/24 nhid 5",
            "route add local 198.18.0.0/15 dev lo",
            "route add local default dev lo table 99",
        ):
            run("ip", "-n", net.host, *words.split())
        ours = json.loads(run(*net.on_host(sys.executable, "-c", OURS, str(ROOT))))
        links: Any = json.loads(run("ip", "-n", net.host, "-j", "addr"))
        routes: Any = [
            route
            for family in ("-4", "-6")
            for route in json.loads(
                run("ip", "-n", net.host, "-j", family, "route", "show", "table", "all")
            )
        ]
    addresses = [a for link in links for a in link["addr_info"]]
    found = {kind: {ip_network(p, strict=False) for p in ours[kind]} for kind in ours}
    own = networks_of(a["local"] for a in addresses)
    assert own <= found["own"]
    assert networks_of([HOST4, HOST6, "192.0.2.1", "10.9.0.77", "198.18.0.0/15"]) <= found["own"]
    assert found["peers"] == networks_of(a["address"] for a in addresses if "address" in a)
    assert found["peers"] == networks_of(["192.0.2.9"])
    assert found["networks"] == {
        ip_network(f"{a.get('address', a['local'])}/{a['prefixlen']}", strict=False)
        for a in addresses
    }
    hops = [hop for route in routes for hop in (route, *route.get("nexthops", ()))]
    gateways = {hop.get("gateway") or hop.get("via", {}).get("host") for hop in hops} - {None}
    assert found["gateways"] == networks_of(gateways)
    assert gateways >= {GATEWAY4, *(f"10.9.0.{n}" for n in (3, 4, 5, 6)), "fe80::99"}
    assert gateways >= {GATEWAY6, "2001:db8:9::3", "2001:db8:9::4"}
    special = {r["dst"] for r in routes if r.get("type") in ("broadcast", "anycast")}
    assert found["broadcast"] == networks_of(special)
    local = {r["dst"] for r in routes if r.get("type") == "local"} - {"default"}
    assert found["own"] == own | networks_of(local)


def networks_of(texts: Iterable[str]) -> set[Any]:
    return {ip_network(text) for text in texts}
