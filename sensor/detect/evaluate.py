"""One rule over one window of its table: gate, features, conditions, rise, trigger, findings."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import comb, exp, isfinite
from typing import Any

import numpy as np

from sensor._native.faces import Rows
from sensor.detect.baseline import Learned, Look, Slots
from sensor.detect.columns import Dtype, generations_of, slots_of
from sensor.detect.confidence import posterior
from sensor.detect.expression import Truths, Values
from sensor.detect.rule import Rule
from sensor.detect.slots import MOST_SLOTS, Memory
from sensor.detect.window import NS, Scope, Span, View

LONGEST_SILENCE = 300  # windows; a longer one is no traffic of 0 but a sensor that was off
LEAST_ROOM = 64  # new findings of one window that are looked at when max_open is reached
CUSUM_K, CUSUM_H = 1.0, 12.0  # reference value and decision level without [params]
DAY_S = 86_400


@dataclass(slots=True)
class Finding:
    """One key of one rule in one window: it opens an event, or goes on with one."""

    row: np.void
    slot: int
    generation: int
    hit: bool  # the trigger holds in this window
    risen: bool  # for as many windows as it must
    active: bool  # not clear
    started_ns: int  # of the first hit
    packets: float  # since the last finding of this key
    bytes: float
    score: float  # severity, 0..100
    confidence: float
    spoofed: bool
    p_model: float | None  # bound of the hits' joint tail probability; None: no model was asked
    method: str
    measured: Callable[[], dict[str, Any]]  # the numbers, for the evidence


@dataclass(slots=True)
class Outcome:
    """What a window brought for one rule."""

    span: Span
    findings: list[Finding]
    overflow: int = 0  # keys that rose too and were not looked at


class Runner:
    """A rule at work."""

    def __init__(self, rule: Rule, dtype: Dtype) -> None:
        self.rule = rule
        self.off: str | None = None  # why the rule does not look at present
        self.tested = 0  # key-windows so far
        self._recent: deque[list[int]] = deque(maxlen=25)  # [hour, key-windows]
        self._features = dict(rule.features)
        used = self._statistics()
        cusum = (rule.params.get("cusum_k", CUSUM_K), rule.params.get("cusum_h", CUSUM_H))
        learned = {
            b.feature: Learned(b, rule.window_s, cusum if ("cusum", b.feature) in used else None)
            for b in rule.baselines
        }
        self.memory = Memory(dtype, [c.rise.windows for c in rule.conditions], learned)
        self._tick = 0
        self._last_ns: int | None = None

    def _statistics(self) -> set[tuple[str, str]]:
        rule = self.rule
        expressions = [c.when for c in rule.conditions]
        expressions += [e for part in rule.confidence.evidence for e in (part.when, part.nats)]
        expressions += [rule.severity, rule.lifecycle.clear]
        return {use for expression in expressions for use in expression.statistics}

    def state(self) -> dict[str, Any]:
        """What was learned, ready for JSON."""
        return {"tested": self.tested, "keys": self.memory.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """What `state` gave in a former run."""
        self.tested = int(state.get("tested", 0))
        self.memory.restore(state.get("keys"))

    def tested_today(self) -> int:
        """Key-windows in the last 24 hours of packet time."""
        return sum(count for _, count in self._recent)

    def window(self, view: View, span: Span, sensor: View | None, room: int) -> Outcome:
        """Look at a window. `room`: how many more events may open."""
        self._advance(span, len(view.rows))
        outcome = Outcome(span, [])
        if self._is_off(sensor) or not len(view.rows):
            return outcome
        mask = self.rule.gate.truths(Scope(view, sensor, self.rule.params, {}), len(view.rows))
        slots = slots_of(view.rows)
        mask = (mask | self.memory.watched(slots)) & (slots < MOST_SLOTS)
        if not mask.any():
            return outcome
        rows = view.rows[mask]
        scope = Scope(View(rows), sensor, self.rule.params, self._features)
        return self._rows(rows, scope, outcome, room)

    def _advance(self, span: Span, keys: int) -> None:
        length = self.rule.window_s * NS
        if self._last_ns is None:
            passed = 1
        else:
            passed = min(max((span.start_ns - self._last_ns) // length, 1), LONGEST_SILENCE)
        self._tick += passed
        self._last_ns = span.start_ns
        self.tested += keys
        hour = span.start_ns // (3600 * NS)
        if not self._recent or self._recent[-1][0] != hour:
            self._recent.append([hour, 0])
        self._recent[-1][1] += keys
        while self._recent[0][0] <= hour - 24:
            self._recent.popleft()

    def _is_off(self, sensor: View | None) -> bool:
        self.off = None
        if self.rule.both_directions and sensor is not None and sensor.rows.size:
            try:
                share = float(sensor.column("one_way_share")[0])
            except (KeyError, ValueError):
                return False
            if share > 0.9:
                self.off = f"one-way capture: {share:.0%} of connections in one direction only"
        return self.off is not None

    def _rows(self, rows: Rows, scope: Scope, outcome: Outcome, room: int) -> Outcome:
        rule, memory, size = self.rule, self.memory, len(rows)
        slots = memory.enter(rows, self._tick)
        looks = self._looks(scope, slots)
        hits = np.zeros((len(rule.conditions), size), np.bool_)
        for i, condition in enumerate(rule.conditions):
            hits[i] = condition.when.truths(scope, size)
            scope[f"cond.{condition.id}"] = hits[i]
        triggers = list(rule.triggers)
        join = np.any if rule.any_of else np.all
        hit = join(hits[triggers], axis=0)
        opened = memory.opened[slots]
        for feature, look in looks.items():
            memory.learned[feature].learn(slots, look, ~(hit | opened))
        if not (hit.any() or opened.any()):
            memory.history[:, slots] |= hits
            return outcome
        self._candidates(scope, slots, hits, hit, outcome.span)
        risen = np.zeros_like(hits)
        for i, condition in enumerate(rule.conditions):
            risen[i] = np.bitwise_count(memory.history[i, slots]) >= condition.rise.hits
            scope[f"cond.{condition.id}"] = hits[i] | risen[i]
        up = join(risen[triggers], axis=0) & hit
        self._find(scope, slots, hits, hit, up, opened, outcome, room)
        return outcome

    def _looks(self, scope: Scope, slots: Slots) -> dict[str, Look]:
        looks = {}
        for baseline in self.rule.baselines:
            name = baseline.feature
            scale = np.ones(len(slots))
            if baseline.scale_by is not None:
                scale = np.nan_to_num(scope[baseline.scale_by])
            look = self.memory.learned[name].look(slots, scope[name], scale)
            looks[name] = look
            for function in ("z", "cusum", "mean", "n_seen", "p_tail"):
                scope.later(f"{function}({name})", partial(look.statistic, function))
        scope.looks = looks
        return looks

    def _candidates(
        self, scope: Scope, slots: Slots, hits: Truths, hit: Truths, span: Span
    ) -> None:
        """Add the window to the candidates of its hits."""
        memory, rule = self.memory, self.rule
        pending = (memory.history[:, slots] != 0).any(axis=0)
        memory.history[:, slots] |= hits
        any_hit = hits.any(axis=0)
        new = slots[any_hit & ~pending]
        memory.first_ns[new] = span.start_ns
        memory.packets[new] = memory.bytes[new] = memory.log_p[new] = 0
        hit_slots = slots[any_hit]
        for total, expression in (
            (memory.packets, rule.event.packets),
            (memory.bytes, rule.event.bytes),
        ):
            if expression is not None:
                amount = np.nan_to_num(expression.numbers(scope, scope.size))
                total[hit_slots] += np.maximum(amount, 0)[any_hit]
        memory.log_p[hit_slots] += self._log_p(scope, hits)[any_hit]

    def _log_p(self, scope: Scope, hits: Truths) -> Values:
        """ln p of the window under the hit conditions' models; 0 where none was asked."""
        least = np.zeros(scope.size)
        for i, condition in enumerate(self.rule.conditions):
            for function, feature in condition.when.statistics:
                if function == "p_tail" and hits[i].any():
                    tail = np.where(hits[i], scope.looks[feature].log_tail(), 0.0)
                    least = np.minimum(least, tail)
        return least

    def _find(
        self,
        scope: Scope,
        slots: Slots,
        hits: Truths,
        hit: Truths,
        up: Truths,
        opened: Truths,
        outcome: Outcome,
        room: int,
    ) -> None:
        rule, memory, size = self.rule, self.memory, scope.size
        new = up & ~opened
        if not (new.any() or opened.any()):
            return
        score = np.clip(np.nan_to_num(rule.severity.numbers(scope, size)), 0, 100)
        worst = np.flatnonzero(new)[np.argsort(-score[new], kind="stable")]
        most = max(room, LEAST_ROOM)
        outcome.overflow = max(len(worst) - most, 0)
        active = ~rule.lifecycle.clear.truths(scope, size) | hit
        confidence = posterior(rule.confidence, scope, size)
        spoofed = np.zeros(size, np.bool_)
        if rule.event.spoofed is not None:
            spoofed = rule.event.spoofed.truths(scope, size)
        amounts = [
            None if e is None else np.maximum(np.nan_to_num(e.numbers(scope, size)), 0)
            for e in (rule.event.packets, rule.event.bytes)
        ]
        rows = scope.view.rows
        generations = generations_of(rows)
        for i in [*np.flatnonzero(opened).tolist(), *worst[:most].tolist()]:
            slot = int(slots[i])
            first = not opened[i]
            p_model = self._joint(slot, hits[:, i]) if first else None
            packets, octets = (
                float(total[slot])
                if first
                else (float(a[i]) if a is not None and active[i] else 0.0)
                for total, a in zip((memory.packets, memory.bytes), amounts, strict=True)
            )
            outcome.findings.append(
                Finding(
                    row=rows[i],
                    slot=slot,
                    generation=int(generations[i]),
                    hit=bool(hit[i]),
                    risen=bool(up[i]),
                    active=bool(active[i]),
                    started_ns=int(memory.first_ns[slot]) if first else outcome.span.start_ns,
                    packets=packets,
                    bytes=octets,
                    score=float(score[i]),
                    confidence=float(confidence[i]),
                    spoofed=bool(spoofed[i]),
                    p_model=p_model,
                    method=self._method(hits[:, i]),
                    measured=partial(self._measured, scope, i, hits[:, i], amounts[0]),
                )
            )

    def _joint(self, slot: int, hits: Truths) -> float | None:
        """Product bound of the rise windows' p: C(n, k) times the product of their p."""
        which = next((i for i in self.rule.triggers if hits[i]), self.rule.triggers[0])
        condition = self.rule.conditions[which]
        if not any(function == "p_tail" for function, _ in condition.when.statistics):
            return None
        log_p = float(self.memory.log_p[slot])
        return min(comb(condition.rise.windows, condition.rise.hits) * exp(max(log_p, -700.0)), 1.0)

    def _method(self, hits: Truths) -> str:
        methods = [c.method for c, hit in zip(self.rule.conditions, hits, strict=True) if hit]
        return "+".join(dict.fromkeys(methods)) or self.rule.conditions[0].method

    def _measured(
        self, scope: Scope, i: int, hits: Truths, packets: Values | None
    ) -> dict[str, Any]:
        """The numbers of one key in one window; evaluated only when an event wants them."""
        rule = self.rule
        which = next((t for t in rule.triggers if hits[t]), rule.triggers[0])
        condition = rule.conditions[which]
        feature = self._subject(which)
        found: dict[str, Any] = {
            "feature": feature,
            "value": None if feature is None else _number(scope[feature], i),
            "threshold": None,
            "window_s": rule.window_s,
        }
        if condition.threshold is not None:
            found["threshold"] = _number(condition.threshold.numbers(scope, scope.size), i)
        found["conditions"] = [
            {"id": c.id, "when": c.when.text, "hit": bool(hit)}
            for c, hit in zip(rule.conditions, hits, strict=True)
        ]
        found["features"] = {name: _number(scope[name], i) for name in self._features}
        found["baseline"] = None
        if look := scope.looks.get(feature or ""):
            found["baseline"] = {
                "mean": _number(look.mean, i),
                "dispersion": _number(look.dispersion, i),
                "n_seen": int(look.seen[i]),
                "p_model": _number(look.statistic("p_tail"), i),
            }
        names = scope.view.rows.dtype.names or ()
        for name in ("peers", "ports"):
            if name in names:
                found[name] = _number(scope[name], i)
        found["pps_peak"] = None if packets is None else float(packets[i]) / rule.window_s
        return found

    def _subject(self, which: int) -> str | None:
        """The feature or column that a condition is about."""
        when = self.rule.conditions[which].when
        if when.subject is not None:
            return when.subject[0]
        names = sorted(when.names - self.rule.params.keys())
        return next((n for n in names if not n.startswith(("cond.", "sensor."))), None)


def _number(values: Any, i: int) -> float | None:
    array = np.asarray(values)
    value = float(array if array.ndim == 0 else array[i])
    return value if isfinite(value) else None
