"""What events say of themselves, held against what the traffic was."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sensor.detect.statistics import wilson_upper
from sensor.programs.replay import Replay

SAID = {"service_overload"}  # of benign traffic, too, this may be true
LOUD = {"medium", "high", "critical"}
BINS = 10
Judged = list[tuple[float, bool]]  # confidence, whether the class was right


@dataclass
class Measured:
    """Sums over all traffic."""

    windows: Counter[str] = field(default_factory=Counter)  # rule -> benign key-windows
    wrong: Counter[str] = field(default_factory=Counter)  # rule -> events in them
    seconds: int = 0  # of benign traffic, those in which there was any
    judged: Judged = field(default_factory=list)  # confidence, right

    def add(self, replay: Replay, document: dict[str, Any], classes: Iterable[str]) -> None:
        """One capture; `classes` that are right, none for benign traffic."""
        right = {*classes}
        for event in document["events"]:
            named = event["attack_class"]
            # A capped rule says on purpose less than such a corpus would tell.
            is_capped = replay.detector.rule(event["rule_id"]).confidence.cap < 1
            if not is_capped and (right or named not in SAID):
                self.judged.append((event["confidence_score"], named in right))
            if not right and named not in SAID and event["severity"] in LOUD:
                self.wrong[event["rule_id"]] += 1
        if not right:
            tested = replay.detector.tested
            self.windows.update(tested)
            # The table of the sensor itself has one key: a window for each second with traffic.
            self.seconds += max(
                n for rule, n in tested.items() if replay.detector.rule(rule).table == "sensor"
            )

    def rate(self, rule: str) -> float:
        """Upper end of the interval, to two digits."""
        return float(f"{wilson_upper(self.wrong[rule], self.windows[rule]):.1e}")


def reliability(judged: Judged) -> list[tuple[float, float, int]]:
    """(mean confidence, share that was right, events) of each tenth in which there are any."""
    bins: dict[int, Judged] = {}
    for confidence, right in judged:
        bins.setdefault(min(int(confidence * BINS), BINS - 1), []).append((confidence, right))
    return [
        (sum(c for c, _ in some) / len(some), sum(r for _, r in some) / len(some), len(some))
        for _, some in sorted(bins.items())
    ]


def calibration_error(judged: Judged) -> float:
    """Expected calibration error: mean distance of confidence and share, weighted by events."""
    return sum(abs(c - share) * n for c, share, n in reliability(judged)) / len(judged)


def brier(judged: Judged) -> float:
    return sum((c - right) ** 2 for c, right in judged) / len(judged)
