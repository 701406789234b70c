"""Every widget shows the figures that the API gives; filters, links and views work."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.made import ask
from tests.web.conftest import Open, Served

pytestmark = pytest.mark.system
SETTLED_MS = 20_000


def agent_of(served: Served) -> str:
    _, agents, _ = ask(served.address, "/agents?workspace_id=default")
    return str(agents[0]["agent_id"])


def answer(served: Served, path: str) -> dict[str, Any]:
    status, found, _ = ask(served.address, path.format(agent=agent_of(served)))
    assert status == 200, path
    assert isinstance(found, dict)
    return found


def figures(page: Any, card: str) -> list[tuple[str, float | None]]:
    """Names and exact values of a card's figures, once it is loaded."""
    page.locator(f"#{card} data[data-name]").first.wait_for(timeout=SETTLED_MS)
    found = page.locator(f"#{card} data[data-name]").evaluate_all(
        "all => all.map(one => [one.dataset.name, one.value])"
    )
    return [(name, float(value) if value else None) for name, value in found]


def test_latency_bandwidth_and_health(demo: Served, page: Open) -> None:
    asked = answer(demo, "/analytics/network/{agent}/performance?timeframe=1h")
    shown = page(demo)
    latency = dict(figures(shown, "latency"))
    for name in ("p50", "p95", "p99", "avg"):
        assert latency[f"{name}_latency_ms"] == asked["latency_metrics"][f"{name}_latency_ms"]
    assert latency["jitter_ms"] == asked["latency_metrics"]["jitter_ms"]
    bandwidth = dict(figures(shown, "bandwidth"))
    for name in ("ingress_mbps", "egress_mbps", "bandwidth_utilization"):
        assert bandwidth[name] == asked["bandwidth_metrics"][name]
    health = dict(figures(shown, "health"))
    for name in ("received", "windows", "degraded_windows", "blind_windows", "dropped"):
        assert health[name] == asked["health"][name]
    assert health["coverage"] == pytest.approx(asked["coverage"])


def test_series_as_a_table(demo: Served, page: Open) -> None:
    """What the chart draws, step by step: its table has the numbers of the API."""
    series = answer(demo, "/analytics/network/{agent}/performance?timeframe=1h")["series"]
    shown = page(demo)
    shown.get_by_label("Latency: as a table").click()
    rows = figures(shown, "latency")
    for name in ("p50_ms", "p95_ms", "p99_ms", "jitter_ms"):
        steps = [
            value
            for value, median in zip(series[name], series["p50_ms"], strict=True)
            if median is not None
        ]
        assert [value for key, value in rows if key == name] == steps[::-1]


def test_protocols_are_a_partition(demo: Served, page: Open) -> None:
    leaves = answer(demo, "/analytics/network/{agent}/performance?timeframe=1h")["protocol_bytes"]
    found = dict(figures(page(demo), "protocols"))
    octets = {name.removeprefix("bytes."): v for name, v in found.items() if name[:5] == "bytes"}
    assert octets == {name: value for name, value in leaves.items() if value}
    assert sum(v or 0 for name, v in found.items() if name[:5] == "share") == pytest.approx(1)


def test_connections_and_endpoints(demo: Served, page: Open) -> None:
    asked = answer(demo, "/analytics/network/{agent}/connections?timeframe=1h")
    shown = page(demo)
    pool = dict(figures(shown, "connections"))
    for name in ("active", "idle", "failed"):
        assert pool[name] == asked["pool"][name]
    busiest = answer(demo, "/analytics/network/{agent}/performance?timeframe=1h")["endpoints"]
    rows = figures(shown, "endpoints")
    for name in ("bytes", "p50_ms", "p95_ms", "p99_ms", "connections", "errors"):
        listed = [value for key, value in rows if key == name]
        assert listed == [one[name] for one in busiest[: len(listed)]]
        assert len(listed) >= 5


def test_objectives_regions_and_topology(demo: Served, page: Open) -> None:
    shown = page(demo)
    goals = answer(demo, "/analytics/network/slo?workspace_id=default&timeframe=30d")["objectives"]
    assert dict(figures(shown, "slo")) == {f"slo.{one['name']}": one["value"] for one in goals}
    _, regions, _ = ask(demo.address, "/regions?workspace_id=default&timeframe=1h")
    assert len(regions) > 10  # the demo's clients are all over the world
    shown.get_by_label("Latency by region: as a table").click()
    found = figures(shown, "geography")
    for name in ("avg_ms", "p50_ms", "p95_ms", "bytes"):
        listed = sorted((v for key, v in found if key == name), key=lambda v: v or 0)
        assert listed == sorted((one[name] for one in regions), key=lambda v: v or 0)
    _, topology, _ = ask(
        demo.address, "/analytics/network/topology-optimization?workspace_id=default", "POST"
    )
    assert f"{len(topology['nodes'])} nodes" in shown.locator("#topology").inner_text()


def test_threats_by_filter_and_link(demo: Served, page: Open) -> None:
    query = "/analytics/network/security-threats?workspace_id=default&severity_threshold="
    shown = page(demo)
    rows = shown.locator("#threats tbody tr[data-event]")
    rows.first.wait_for()
    for severity in ("critical", "high", "medium"):
        asked = answer(demo, query + severity + "&timeframe=1h")
        shown.get_by_label("Severity").select_option(severity)
        shown.wait_for_function(
            "n => document.querySelectorAll('#threats tr[data-event]').length === n",
            arg=asked["total"],
        )
        shown_ids = rows.evaluate_all("all => all.map(one => one.dataset.event)")
        assert sorted(shown_ids) == sorted(one["id"] for one in asked["threats"])
    rows.first.get_by_role("button").click()
    dialog = shown.get_by_role("dialog")
    assert "SYN flood" in dialog.inner_text()
    assert "198.19." in dialog.inner_text() or "spoofed" in dialog.inner_text()
    link = shown.url
    assert parse_qs(urlsplit(link).query)["event"]
    again = page(demo, link.removeprefix(demo.url))
    again.get_by_role("dialog").get_by_text("SYN flood").first.wait_for()


def test_the_range_is_shared_and_in_the_link(demo: Served, page: Open) -> None:
    shown = page(demo)
    shown.get_by_role("button", name="15m").click()
    asked = answer(demo, "/analytics/network/{agent}/performance?timeframe=15m")
    value = asked["latency_metrics"]["p99_latency_ms"]
    shown.locator(f'#latency data[data-name="p99_latency_ms"][value="{value}"]').wait_for()
    again = page(demo, shown.url.removeprefix(demo.url))
    again.locator(f'#latency data[data-name="p99_latency_ms"][value="{value}"]').wait_for()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(demo: Served, page: Open, width: int) -> None:
    shown = page(demo, width=width)
    shown.locator("#slo data").first.wait_for(timeout=SETTLED_MS)
    assert shown.evaluate("document.scrollingElement.scrollWidth") <= width


def test_by_keyboard_alone(demo: Served, page: Open) -> None:
    """The first stop skips to the figures; the picker opens, and Escape closes a dialog."""
    shown = page(demo)
    shown.locator("#threats tr[data-event]").first.wait_for()
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.textContent").strip() == "Skip to the figures"
    shown.locator("#threats tr[data-event] button").first.focus()
    shown.keyboard.press("Enter")
    shown.get_by_role("dialog").wait_for()
    shown.keyboard.press("Escape")
    shown.get_by_role("dialog").wait_for(state="detached")
