"""Whether the figures of a window can be trusted (definitions 1.0, methods 7)."""

from collections import Counter as Tally

from sensor._native.counters import Counter
from sensor._native.faces import Window

OK = "ok"
DEGRADED = "degraded"  # something was missed: figures are of what was seen
BLIND = "blind"  # too much was missed for loss and outcomes to mean anything

# Zeek's capture_loss: share of ACKs that are for octets never captured.
GAP_DEGRADED = 0.01
GAP_BLIND = 0.10

# Health counters that say that a connection or a packet went unseen.
LOSSES = (
    "kernel_drops",
    "interface_drops",
    "flows_evicted",
    "flows_refused",
    "half_open_evicted",
    "rows_lost",
    "interface_gaps",
    "gap_ms",
    "windows_lost",
    "batches_lost",
    "clock_step_ms",
)


def gap_ratio(gaps: int, acks: int) -> float | None:
    """ACKs for octets never captured among all ACKs, 0..1; None without ACKs."""
    return gaps / acks if acks else None


def quality(window: Window) -> str:
    """The quality flag of every row of a window."""
    totals = window["totals"]
    ratio = gap_ratio(int(totals[Counter.C_CAPTURE_GAPS]), int(totals[Counter.C_ACKS])) or 0.0
    if ratio > GAP_BLIND:
        return BLIND
    if ratio > GAP_DEGRADED or any(window["health"].get(name) for name in LOSSES):
        return DEGRADED
    return OK


class HealthFigures:
    """Sums the health counters over windows; the worst quality wins."""

    def __init__(self) -> None:
        self.counters: Tally[str] = Tally()
        self.gaps = 0
        self.acks = 0
        self.windows: Tally[str] = Tally()  # by quality

    def add(self, window: Window) -> None:
        self.counters.update(window["health"])
        self.gaps += int(window["totals"][Counter.C_CAPTURE_GAPS])
        self.acks += int(window["totals"][Counter.C_ACKS])
        self.windows[quality(window)] += 1

    @property
    def ack_gap_ratio(self) -> float | None:
        return gap_ratio(self.gaps, self.acks)

    @property
    def quality(self) -> str:
        return next((flag for flag in (BLIND, DEGRADED) if self.windows[flag]), OK)
