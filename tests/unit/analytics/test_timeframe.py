import pytest

from sensor.analytics.timeframe import BadTimeframe, observed, period_of, seconds_of
from tests.unit.store.made import HOUR, T0, US, agent


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15m", 900), ("900s", 900), ("1h", 3600), ("90d", 7_776_000), ("12w", 7_257_600)],
)
def test_timeframes(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "1", "1.5h", " 1h", "1h ", "1H", "-1h", "14m", "91d", "13w", "1y", "٣h",
             "999999999h", "9999999999h", "1h\n", "0d"]
)  # fmt: skip
def test_what_is_no_timeframe(text: str) -> None:
    with pytest.raises(BadTimeframe, match="from 15m to 90d"):
        seconds_of(text)


def test_an_old_captures_period_ends_with_it() -> None:
    now = T0 + 100 * HOUR
    assert period_of("1h", T0, now).until == T0 + 1
    assert period_of("1h", now - 2 * US, now).until == now
    assert period_of("1h", None, now).until == now
    assert period_of("90d", T0, now).until == now


@pytest.mark.parametrize(
    ("text", "step"), [("6h", 60), ("24h", 300), ("30d", 3600), ("90d", 21600)]
)
def test_series_have_at_most_720_steps(text: str, step: int) -> None:
    period = period_of(text, None, T0)
    assert period.step_s == step
    assert period.seconds / step <= 720


def test_observed_joins_runs_that_overlap() -> None:
    runs = [
        agent(T0 + last * US)._replace(first_packet=T0 + first * US)
        for first, last in ((0, 10), (5, 20), (30, 40), (90, 99))
    ] + [agent()._replace(first_packet=None, last_packet=None)]
    found = observed(runs, T0 + 2 * US, T0 + 35 * US)
    assert [((a - T0) // US, (b - T0) // US) for a, b in found] == [(2, 20), (30, 35)]
