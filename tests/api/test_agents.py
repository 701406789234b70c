"""GET /agents: each agent's status and why, the order, the pages; over one store of nine agents
whose troubles are known."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from sensor.api.schemas import FleetAgent, FleetSummary
from tests.api.made import ask, serving
from tests.api.nine import EXPECTED, NAMES, fill
from tests.fleet.made import agent_id

Address = tuple[str, int]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    path = str(tmp_path_factory.mktemp("agents") / "s.db")
    fill(path)
    with serving(path) as listening:
        yield listening


def listed(address: Address, query: str = "") -> list[dict[str, Any]]:
    status, found, _ = ask(address, f"/agents?{query}")
    assert status == 200, found
    return found  # type: ignore[return-value]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [one["hostname"] for one in found]


def test_each_agent_is_judged_by_what_it_has(address: Address) -> None:
    found = {one["hostname"]: one for one in listed(address)}
    assert {name: one["status"] for name, one in found.items()} == EXPECTED
    for one in found.values():
        FleetAgent.model_validate(one, strict=True)
        assert one["first_packet"] == "1970-01-01T00:00:00.000001000Z"  # of its older run
        assert one["version"] != "0.0.9"
    attacked, losing, dead = (found[name] for name in ("attacked", "losing", "dead"))
    assert attacked["reason"].startswith("1 critical open: syn_flood since ")
    assert attacked["open_events"] == {
        "total": 2, "highest": "critical", "by_severity": {"critical": 1, "medium": 1},
    }  # fmt: skip
    assert losing["health"]["loss_rate"] == pytest.approx(150 / 1150)
    assert losing["health"]["windows"] == losing["health"]["degraded_windows"] == 15
    assert losing["reason"].startswith("13.04% unseen")
    assert dead["reason"].startswith("no packet since ")
    assert (dead["live"], found["Fine"]["live"]) == (False, True)
    assert found["capture"]["health"]["loss_rate"] is None
    assert "capture file" in found["capture"]["reasons"]["health.loss_rate"]
    assert found["empty"]["health"] is found["empty"]["figures"] is None
    assert found["empty"]["reason"] == "no window of it is kept"


def test_figures_are_those_of_the_newest_minute(address: Address) -> None:
    """Two endpoints of one window, and not of the ten seconds that begin with it."""
    (one,) = listed(address, "search=fine")
    assert one["figures"]["window_s"] == 60
    assert one["figures"]["ingress_mbps"] == pytest.approx(2 * 3000 * 8 / 60 / 1e6, abs=1e-6)
    assert one["figures"]["egress_mbps"] == pytest.approx(2 * 1000 * 8 / 60 / 1e6, abs=1e-6)
    assert one["figures"]["active_connections"] == 2
    assert one["figures"]["packet_loss_rate"] == 0
    assert (one["figures"]["p50_latency_ms"], one["figures"]["p99_latency_ms"]) == (2, 40)


def test_orders(address: Address) -> None:
    worst = ["attacked", "bothered", "losing", "leaky", "dead"]
    found = names(listed(address, "sort=worst"))
    assert found == [*worst, "capture", "empty", "Fine", "noted"]
    by_name = sorted(NAMES, key=str.lower)
    assert names(listed(address, "sort=name")) == by_name
    assert names(listed(address, "sort=-name")) == by_name[::-1]
    newest_last = listed(address)
    assert [one["last_packet"] for one in newest_last] == sorted(
        one["last_packet"] for one in newest_last
    )
    assert listed(address, "sort=-last_packet") == newest_last[::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("live=false", {"dead", "capture", "empty"}),
        ("live=true&workspace_id=w1", {"bothered", "leaky", "Fine"}),
        ("status=silent&status=critical", {"attacked", "losing", "dead"}),
        ("status=degraded&workspace_id=w0", set()),
        ("search=EA", {"leaky", "dead"}),
        ("search=" + agent_id(2)[-4:], {"losing"}),
        ("search=0.2.0", {"losing", "Fine", "empty"}),
        ("search=" + quote("%"), set()),
    ],
)
def test_filters(address: Address, query: str, expected: set[str]) -> None:
    assert set(names(listed(address, query))) == expected
    assert set(names(listed(address, f"{query}&sort=worst"))) == expected


def test_pages_have_every_agent_once(address: Address) -> None:
    path = "/agents?sort=worst&limit=4"
    seen, sizes = [], []
    while path:
        status, found, headers = ask(address, path)
        assert status == 200
        assert headers["x-total-count"] == "9"
        seen += names(found)  # type: ignore[arg-type]
        sizes.append(len(found))  # type: ignore[arg-type]
        path = headers.get("link", "").partition(">")[0].lstrip("<")
    assert sizes == [4, 4, 1]
    assert seen == names(listed(address, "sort=worst"))


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "sort=best", "status=ill", "live=x",
                                   "offset=-1", "search=" + "x" * 256])  # fmt: skip
def test_what_is_no_parameter_is_refused(address: Address, query: str) -> None:
    assert ask(address, f"/agents?{query}")[0] == 422


def test_without_health_it_is_what_it_was(address: Address) -> None:
    whole = listed(address)
    fields = ("agent_id", "workspace_id", "hostname", "network_id", "region", "version", "source",
              "first_packet", "last_packet", "live")  # fmt: skip
    assert listed(address, "include_health=false") == [
        {name: one[name] for name in fields} for one in whole
    ]


def test_summary(address: Address) -> None:
    status, found, _ = ask(address, "/agents/summary")
    assert status == 200
    FleetSummary.model_validate(found, strict=True)
    assert found == {
        "total": 9,
        "live": 6,
        "by_status": {"critical": 2, "degraded": 2, "silent": 1, "healthy": 3, "unknown": 1},
        "by_version": {"0.0.0": 3, "0.1.0": 3, "0.2.0": 3},
        "open_events": {"info": 0, "low": 1, "medium": 2, "high": 0, "critical": 1},
    }
    assert ask(address, "/agents/summary?workspace_id=nobody")[1]["total"] == 0  # type: ignore[index]
