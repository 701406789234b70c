"""The fleet: the worst first, as the API says it; found, filtered, opened, and sent as a link."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.made import ask, serving
from tests.api.nine import fill
from tests.web.conftest import WEB, Open, Served

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path: Path = tmp_path_factory.mktemp("nine") / "s.db"
    fill(str(path))
    with serving(str(path), web=WEB) as address:
        yield Served(address)


def test_the_fleet_the_worst_first(nine: Served, page: Open) -> None:
    _, asked, _ = ask(nine.address, "/agents?sort=worst")
    shown = page(nine)
    shown.get_by_role("button", name="Fleet").click()
    rows = shown.locator("#fleet tbody tr[data-agent]")
    rows.first.wait_for()
    listed = rows.evaluate_all("all => all.map(one => one.dataset.agent)")
    assert listed == [one["agent_id"] for one in asked]
    for name, of in (("loss_rate", "health"), ("ingress_mbps", "figures"),
                     ("p99_latency_ms", "figures")):  # fmt: skip
        values = shown.locator(f"#fleet data[data-name={name}]").evaluate_all(
            "all => all.map(one => one.value === '' ? null : Number(one.value))"
        )
        assert values == [one[of] and one[of][name] for one in asked], name
    for one, row in zip(asked, rows.all_inner_texts(), strict=True):
        assert (one["status"] or "unknown") in row
        assert one["reason"] in row
        assert one["version"] in row
    shown.locator("#fleet").get_by_role("button", name="silent 1").click()
    shown.wait_for_function("() => document.querySelectorAll('#fleet tbody tr').length === 1")
    assert "dead" in rows.inner_text()
    again = page(nine, shown.url.removeprefix(nine.url))  # the address says what is seen
    again.locator("#fleet tbody tr").get_by_text("dead").wait_for()
    shown.locator("#fleet").get_by_role("button", name="silent 1").click()
    shown.get_by_label("Find agents").fill("leaky")
    shown.locator("#fleet .counts").get_by_text("1 agent").wait_for()
    rows.get_by_role("button", name="leaky").click()
    shown.locator("#health data[data-name=dropped]").wait_for()
    assert shown.locator("#fleet").count() == 0
    assert "leaky" in shown.locator(".picker-button").inner_text()


def test_narrow(nine: Served, page: Open) -> None:
    """Nothing is wider than a telephone."""
    shown = page(nine, "?page=fleet", width=390)
    shown.locator("#fleet tbody tr").first.wait_for()
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
