"""What a rule file says, as frozen values. docs of the schema: rules/README.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from sensor.detect.expression import Expression
from sensor.errors import SensorError, one_line
from sensor.model.address import Prefix

Model = Literal["negbin", "poisson", "binomial"]
Party = Literal["key", "top", "none"]

SEVERITIES = ("info", "low", "medium", "high", "critical")  # ascending


class RuleError(SensorError):
    """A rule file that cannot be used: where, and why."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, file: str, line: int, reason: str, rule_id: str | None = None) -> None:
        self.file = file
        self.line = line  # 1-based; 0: the file as a whole
        self.reason = reason
        self.rule_id = rule_id  # as far as it could be read
        super().__init__(one_line(f"{file}:{line}: {reason}"))


@dataclass(frozen=True, slots=True)
class Rise:
    """`hits` of the last `windows` windows of a key."""

    hits: int
    windows: int


@dataclass(frozen=True, slots=True)
class Condition:
    """One way in which a window counts as a hit."""

    id: str
    when: Expression
    rise: Rise
    method: str  # detection_method of an event that it opened
    threshold: Expression | None  # what the first comparison compares its feature with


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is normal for one feature of one key."""

    feature: str
    model: Model
    scale_by: str | None  # feature; the baseline is then the rate per unit of it
    half_life_s: float
    warmup_s: float  # until then the prior's dispersion holds, and CUSUM rests
    clip_sigma: float  # a window counts at most mean + so many standard deviations
    floor_mean: float  # the prior: no key's mean is taken to be lower


@dataclass(frozen=True, slots=True)
class Evidence:
    """A log likelihood ratio, in nats, for the attack and against what looks like it."""

    when: Expression
    nats: Expression
    family: str | None  # of one family only the weightiest counts


@dataclass(frozen=True, slots=True)
class Confidence:
    prior: float
    evidence: tuple[Evidence, ...]
    cap: float
    false_positive_rate: float | None  # per key-window on benign traffic; Wilson upper bound
    benign_windows: int | None  # of that measurement


@dataclass(frozen=True, slots=True)
class EventParts:
    """How the columns of an event are filled."""

    source: Party
    destination: Party
    spoofed: Expression | None
    packets: Expression | None
    bytes: Expression | None
    protocol: str | None  # None: the protocol of the key


@dataclass(frozen=True, slots=True)
class Lifecycle:
    key: tuple[str, ...]
    clear: Expression
    hold_s: float
    update_s: float
    merge_gap_s: float
    max_open: int


@dataclass(frozen=True, slots=True)
class Allow:
    """Whom no event is about. A rule's own list, or the operator's for all rules."""

    sources: tuple[Prefix, ...] = ()
    destinations: tuple[Prefix, ...] = ()
    names: tuple[str, ...] = ()  # DNS domains, with all below
    until: date | None = None  # the last day (UTC, packet time)


@dataclass(frozen=True, slots=True)
class RuleTest:
    """An embedded test: a series of windows, or a capture for whoever can replay one."""

    name: str
    series: Mapping[str, tuple[float, ...]]  # column -> one value per step
    pcap: str | None
    step_s: int
    expect: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    version: int
    title: str
    status: str
    enabled: bool
    event_type: str
    family: str
    description: str
    references: tuple[str, ...]
    attack_class: str
    mitre: tuple[str, ...]
    taxonomy: str
    table: str
    gate: Expression
    window_s: int
    both_directions: bool
    features: tuple[tuple[str, Expression], ...]
    baselines: tuple[Baseline, ...]
    params: Mapping[str, float]
    conditions: tuple[Condition, ...]
    any_of: bool  # else all of them
    triggers: tuple[int, ...]  # indexes of the conditions that trigger
    severity: Expression
    levels: tuple[tuple[str, float], ...]  # ascending
    confidence: Confidence
    event: EventParts
    lifecycle: Lifecycle
    look_alikes: Mapping[str, str]
    allow: Allow
    mitigation_summary: str
    mitigation_steps: tuple[str, ...]
    tests: tuple[RuleTest, ...] = field(default=(), compare=False)
    file: str = field(default="", compare=False)
    overridden_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules that can run, and what is wrong with the others."""

    rules: tuple[Rule, ...]
    errors: tuple[RuleError, ...] = ()

    def find(self, rule_id: str) -> Rule | None:
        """The rule of this id."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)
