"""Single findings over small stores: what makes each, and what does not."""

from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sensor.analytics import bottlenecks, ddos, patterns, risk, slo
from sensor.analytics.series import hourly, zone_of
from sensor.model.rows import CaptureHealthRow, SecurityEventRow, WindowRows
from sensor.store.reading import Scope
from sensor.store.sqlite import SqliteStore
from sensor.store.sqlite_reading import SqliteReading
from tests.unit.store.made import AGENT, BOOT, HOUR, T0, US, agent, event, metrics, resolved

MINUTE = 60 * US
OTHER = "6e1f4c1a-9d0e-4a55-8f6a-2b7f1d2c3e44"


def health(at: int, quality: str = "ok", dropped: int = 0, window_s: int = 60) -> CaptureHealthRow:
    return CaptureHealthRow(
        AGENT, BOOT, at, window_s, quality, 1000, dropped, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, "{}"
    )


@contextmanager
def reading(path: Path, *windows: WindowRows) -> Any:
    with SqliteStore(str(path / "s.db")) as store:
        for window in windows:
            store.write_window(window)
    found = SqliteReading(str(path / "s.db"))
    yield found
    found.close()


def window(at: int, rows: Iterable[Any], **more: Any) -> WindowRows:
    return WindowRows(agent(at + 59 * US), list(rows), health=[health(at)], **more)


def causes(store: SqliteReading, scope: Scope, capacity: float | None = None) -> dict[str, Any]:
    found = bottlenecks.analyse(store, scope, hourly(store, scope, zone_of("UTC")), capacity)
    return {f"{one['cause']} {one['endpoint']}": one for one in found["bottlenecks"]}


def test_loss_with_and_without_load(tmp_path: Path) -> None:
    """3 % at any time is a lossy path; 3 % in the busy half is congestion; 3 % of 20 is nothing."""
    windows = []
    for n in range(48):
        busy = n % 2
        octets = 1_000_000 * (1 + 9 * busy)
        shapes = (
            ("lossy:1/tcp", 1000, 30, octets),
            ("full:1/tcp", 1000, 30 * busy, octets),
            ("good:1/tcp", 1000, 5, octets),
            ("little:1/tcp", 20, 1, 2000),
        )
        windows.append(
            window(
                T0 + n * HOUR,
                [
                    metrics(name, T0 + n * HOUR, data_segments=segments, bytes_received=received,
                            packets_retransmitted=again)
                    for name, segments, again, received in shapes
                ],
            )
        )  # fmt: skip
    with reading(tmp_path, *windows) as store:
        found = causes(store, Scope(T0, T0 + 48 * HOUR))
    assert set(found) == {"lossy_path lossy:1/tcp", "loss_congestion full:1/tcp"}
    evidence = found["loss_congestion full:1/tcp"]["evidence"]
    assert evidence["retransmitted_busy"] == pytest.approx(0.03)
    assert evidence["retransmitted_quiet"] == 0


def test_our_own_drops_are_named(tmp_path: Path) -> None:
    """2 of 100 windows were degraded."""
    windows = [
        WindowRows(
            agent(T0 + n * MINUTE),
            [metrics("a:1/tcp", T0 + n * MINUTE)],
            health=[health(T0 + n * MINUTE, "degraded" if n in (7, 8) else "ok", 40 * (n == 7))],
        )
        for n in range(100)
    ]
    with reading(tmp_path, *windows) as store:
        found = causes(store, Scope(T0, T0 + 2 * HOUR), 100)
    assert set(found) == {"sensor None"}
    assert found["sensor None"]["evidence"] == {
        "windows": 100, "degraded": 2, "blind": 0, "dropped": 40,
        "dropped_share": pytest.approx(40 / 100_040),
    }  # fmt: skip


def test_two_agents_have_two_links(tmp_path: Path) -> None:
    """The traffic of a workspace is their sum; who was not there adds nothing."""
    day = 86_400 * US
    hours = [T0 + n * HOUR for n in range(20 * 24)]
    last = agent(hours[-1] + 3599 * US)
    steady = [metrics("a:1/tcp", at, bytes_received=450_000_000, window_s=3600) for at in hours]
    growing = [
        metrics("b:1/tcp", at, bytes_received=(900 + 30 * (n // 24)) * 1_000_000, window_s=3600)
        for n, at in enumerate(hours)
    ][24:]
    windows = (
        WindowRows(last, steady, health=[health(at, window_s=3600) for at in hours]),
        WindowRows(
            last._replace(agent_id=OTHER, first_packet=hours[24]),
            [row._replace(agent_id=OTHER) for row in growing],
            health=[health(at, window_s=3600)._replace(agent_id=OTHER) for at in hours[24:]],
        ),
    )
    with reading(tmp_path, *windows) as store:
        scope = Scope(T0, T0 + 20 * day, (), "default")
        answer = patterns.analyse(store, scope, capacity_mbps=4.0)
        total = hourly(store, scope, zone_of("UTC")).total.values
    # 450 MB an hour are 1 Mbps; sent are 1000 octets.
    assert total[0] == pytest.approx(1, rel=1e-3)
    assert total[30] == pytest.approx(1 + 930 / 450, rel=1e-3)
    plans = {plan["agent_id"]: plan for plan in answer["capacity_planning"]["agents"]}
    assert plans[AGENT]["status"] == "no_growth"
    assert answer["capacity_planning"]["agent_id"] == OTHER
    # 1470 MB/h of 1440 (80 % of 4 Mbps) on day 19: already there.
    assert plans[OTHER]["status"] == "full"


def attack(n: int, name: str, ended: int | None, **more: Any) -> SecurityEventRow:
    row = event(n, T0, attack_class=name, evidence='{"severity_score": 50}', **more)
    return row if ended is None else resolved(row, ended)


def test_risk_is_half_after_a_quarter_of_an_hour(tmp_path: Path) -> None:
    until = T0 + HOUR
    rows = [
        attack(1, "syn_flood", None, confidence_score=0.5),
        attack(2, "udp_flood", until - 30 * MINUTE, confidence_score=0.8),
        attack(3, "sensor_overload", None, event_type="sensor"),
    ]
    with reading(tmp_path, window(T0, [], events=rows)) as store:
        found = risk.analyse(store, Scope(0, until), (AGENT,))
        later = risk.analyse(store, Scope(0, until + 15 * MINUTE), (AGENT,))
        worst = risk.score_of([attack(n, "x", None) for n in range(9)], until)
    assert found["risk_score"] == pytest.approx(50 * 0.5 + 50 * 0.8 / 4)
    assert later["risk_score"] == pytest.approx(50 * 0.5 + 50 * 0.8 / 8)
    assert [one["weight"] for one in found["contributors"]] == [1, 0.25]
    assert worst == 100


def test_indicators_of_a_day(tmp_path: Path) -> None:
    """Slow POST is slowloris's kind; a DNS flood is no indicator of the specification."""
    rows = [
        attack(1, "slow_post", T0 + MINUTE, confidence_score=0.7),
        attack(2, "slowloris", T0 + 5 * MINUTE, confidence_score=0.6, destination_ip="10.0.0.9"),
        attack(3, "dns_flood", None),
        attack(4, "port_scan", None, event_type="port_scan"),
    ]
    with reading(tmp_path, window(T0, [], events=rows)) as store:
        found = ddos.analyse(store, Scope(T0 - HOUR, T0 + HOUR), (AGENT,))
        before = ddos.analyse(store, Scope(T0 - 2 * HOUR, T0 - HOUR), (AGENT,))
    slow = found["indicators"]["slowloris"]
    assert (slow["events"], slow["confidence"], slow["status"]) == (2, 0.7, "resolved")
    assert sorted(slow["targets"]) == ["10.0.0.1", "10.0.0.9"]
    assert [one["type"] for one in found["detected_attacks"]] == ["dns_flood", "slowloris"]
    assert set(found["other_indicators"]) == {"dns_flood"}
    assert found["events"] == 3
    assert before["detected_attacks"] == []
    assert before["risk_score"] == 0


def test_down_is_when_nothing_works(tmp_path: Path) -> None:
    """Of 100 minutes: two in which all failed, to two endpoints; not one dead server, not a SYN
    too few, not a minute in which something worked."""
    shapes = {
        10: (("a:1/tcp", 2, 2, 0), ("b:1/tcp", 2, 2, 0)),  # down
        11: (("a:1/tcp", 2, 2, 0), ("b:1/tcp", 1, 1, 0)),  # down
        20: (("a:1/tcp", 9, 9, 0),),
        30: (("a:1/tcp", 1, 1, 0), ("b:1/tcp", 1, 1, 0)),
        40: (("a:1/tcp", 5, 5, 0), ("b:1/tcp", 5, 4, 1)),
    }
    windows = [
        window(
            T0 + n * MINUTE,
            [
                metrics(name, T0 + n * MINUTE, connections_new=new, connections_failed=failed,
                        handshakes=done)
                for name, new, failed, done in shapes.get(n, (("a:1/tcp", 4, 0, 4),))
            ],
        )
        for n in range(100)
    ]  # fmt: skip
    with reading(tmp_path, *windows) as store:
        found = slo.availability(store, Scope(T0, T0 + 2 * HOUR))
    assert found["value"] == pytest.approx(0.98)
    assert found["met"] is False
    assert found["observed_minutes"] == 100
    assert found["error_budget"]["spent"] == 2
    assert found["error_budget"]["consumed"] == pytest.approx(2 / 0.01)


def test_objectives_without_data(tmp_path: Path) -> None:
    with reading(tmp_path, window(T0, [])) as store:
        found = slo.analyse(store, Scope(T0 - 9 * HOUR, T0 - 8 * HOUR))
    assert [(one["value"], one["met"]) for one in found["objectives"]] == [(None, None)] * 5
    assert all(one["reason"] for one in found["objectives"])
