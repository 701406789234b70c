"""Whether somebody set the wall clock: it and the clock that nobody can set, side by side."""

from collections.abc import Callable
from time import monotonic_ns, time_ns

LEAST_NS = 250_000_000  # less is slewing, or the time between reading the two


class ClockWatch:
    """Tells by how much the wall clock jumped since it was last asked."""

    def __init__(
        self, wall: Callable[[], int] = time_ns, steady: Callable[[], int] = monotonic_ns
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._apart = wall() - steady()

    def stepped_ms(self) -> int:
        """Milliseconds, negative when it was set back; 0 when it was not set."""
        apart = self._wall() - self._steady()
        step, self._apart = apart - self._apart, apart
        return step // 1_000_000 if abs(step) >= LEAST_NS else 0
