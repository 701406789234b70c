"""What traffic costs, by the prices of the configuration."""

from pathlib import Path

import pytest

from sensor.analytics.cost import Billing
from sensor.api.settings import Prices
from sensor.config import convert
from sensor.programs.serve import prices_of
from tests.api.made import AGENT, WINDOWS, ask, fill, serving

# Each window has two endpoints with 1,000 octets out and 3,000 in; all lie in one month.
GB = WINDOWS * 2 * 4000 / 1e9


def cost_of(path: str, prices: Prices) -> dict[str, object]:
    with serving(path, prices=prices) as address:
        status, found, _ = ask(address, f"/analytics/network/{AGENT}/bandwidth?timeframe=24h")
    assert status == 200
    assert isinstance(found, dict)
    return found["cost_analysis"] | {"reason": found["reasons"].get("cost_analysis")}


def test_by_volume(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    fill(path)
    by_volume = Billing("gb_transfer", 1000.0, "CHF", direction="sum")
    cost = cost_of(path, Prices(by_volume))
    assert cost["current_bandwidth_cost"] == pytest.approx(1000 * GB, abs=1e-6)
    assert (cost["currency"], cost["charged_unit"], cost["reason"]) == ("CHF", "GB", None)
    assert cost["savings_potential"] is None  # what compression would save is not known
    committed = Billing("gb_transfer", 1000.0, "CHF", commit=2.0)
    assert cost_of(path, Prices(committed))["current_bandwidth_cost"] == 2000
    none = cost_of(path, Prices())
    assert none["current_bandwidth_cost"] is None
    assert none["reason"] == "no price is configured (billing)"


def test_the_objective_has_its_baseline(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    fill(path)
    prices = Prices(Billing("flat", 60.0, "CHF"), baseline=100.0)
    with serving(path, prices=prices) as address:
        _, found, _ = ask(address, "/analytics/network/slo?workspace_id=default")
    (cost,) = (one for one in found["objectives"] if one["name"] == "bandwidth_cost_reduction")
    assert cost["value"] == pytest.approx(0.4)


def test_as_configured() -> None:
    table = convert({"billing": {"model": "p95", "rate": 2.5, "commit": 10.0, "currency": "CHF"}})
    assert prices_of(table.billing) == Prices(Billing("p95", 2.5, "CHF", 10.0))
    assert prices_of(convert({}).billing) == Prices()
    known = convert({"billing": {"cdn_price_per_gb": 0.02, "baseline_cost": 90.0}}).billing
    assert prices_of(known) == Prices(baseline=90.0, cdn_per_gb=0.02)
