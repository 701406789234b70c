"""Regions against planted traffic of two agents."""

from pathlib import Path

import numpy as np
import pytest

from sensor.analytics.geography import countries, regions
from sensor.model.rows import RegionalRow, WindowRows
from sensor.store.opening import open_reading
from sensor.store.reading import Scope
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import AGENT, BOOT, T0, US, agent, metrics

FAR = "5f0d2c9e-58c5-4ac5-a8a5-d2ad3e1c7d11"
MINUTE = 60 * US


def region(who: str, at: int, name: str, octets: int, made: int, failed: int) -> RegionalRow:
    return RegionalRow(who, BOOT, at, 60, name, octets, 9, made, failed, None, 0)


def test_countries_are_whole() -> None:
    table = countries()
    assert len(table) == 250
    assert all(-90 <= c.lat <= 90 and -180 <= c.lon <= 180 and c.name for c in table.values())
    assert (table["CH"].name, table["CH"].region) == ("Switzerland", "Western Europe")
    # Known places within their countries: Lucerne, Alice Springs, Brasilia.
    for code, lat, lon, degrees in (
        ("CH", 47, 8.3, 1),
        ("AU", -23.7, 133.9, 4),
        ("BR", -15.8, -48, 8),
    ):
        assert np.hypot(table[code].lat - lat, table[code].lon - lon) < degrees


def test_regions_of_two_agents(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    near_ms, far_ms = [10_000] * 30, [80_000] * 30
    with SqliteStore(path) as store:
        for who, samples in ((AGENT, near_ms), (FAR, far_ms)):
            few = [1_000] * 5 if who == FAR else []  # too few to be called the nearest
            rows = [metrics("a:443/tcp", T0, samples, region="CH", agent_id=who)]
            if few:
                rows.append(metrics("b:443/tcp", T0, few, region="JP", agent_id=who))
            store.write_window(
                WindowRows(
                    agent(T0 + MINUTE)._replace(agent_id=who),
                    rows,
                    regions=[
                        region(who, T0, "CH", 1000, 8, 2),
                        region(who, T0, "private", 5000, 0, 0),
                    ],
                )
            )
    reading = open_reading(path)
    found = regions(reading, Scope(T0, T0 + 15 * MINUTE))
    reading.close()
    assert [row["region"] for row in found] == ["private", "CH", "JP"]
    private, swiss, japan = found
    assert (private["bytes"], private["lat"], private["error_rate"]) == (10_000, None, None)
    assert (swiss["bytes"], swiss["error_rate"], swiss["best_agent_id"]) == (2000, 0.25, AGENT)
    assert (swiss["p50_ms"], swiss["p95_ms"]) == pytest.approx((10, 80), rel=0.01)
    assert swiss["sample_count"] == 60
    assert (japan["bytes"], japan["best_agent_id"]) == (None, None)
    assert japan["p50_ms"] == pytest.approx(1, rel=0.01)
