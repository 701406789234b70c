"""Steps of the wall clock, with clocks that the test sets."""

import pytest

from sensor.flow.clock import ClockWatch

HOUR = 3600 * 10**9


@pytest.mark.parametrize("step_ns", [HOUR, -HOUR, 300_000_000, -50 * 365 * 24 * HOUR])
def test_a_step_is_told_once(step_ns: int) -> None:
    now = {"wall": 1_800_000_000 * 10**9, "steady": 5 * 10**9}
    watch = ClockWatch(lambda: now["wall"], lambda: now["steady"])
    now["wall"] += 60 * 10**9 + step_ns
    now["steady"] += 60 * 10**9
    assert watch.stepped_ms() == step_ns // 10**6
    assert watch.stepped_ms() == 0


def test_slewing_is_no_step() -> None:
    now = {"wall": 0, "steady": 0}
    watch = ClockWatch(lambda: now["wall"], lambda: now["steady"])
    for _ in range(100):
        now["wall"] += 10 * 10**9 + 5_000_000  # 500 ppm, the most that the kernel slews
        now["steady"] += 10 * 10**9
        assert watch.stepped_ms() == 0
