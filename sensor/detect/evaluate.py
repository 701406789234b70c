"""One rule over one window of its table: gate, features, conditions, rise, trigger, findings."""

from collections.abc import Mapping
from functools import partial
from math import comb, exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.detect.baseline import Learned, Look, Slots
from sensor.detect.columns import Dtype
from sensor.detect.confidence import posterior
from sensor.detect.expression import Expression, Truths, Values
from sensor.detect.finding import Finding, Outcome, deciding, measured, method_of
from sensor.detect.rule import Rule
from sensor.detect.slots import MOST_SLOTS, Memory
from sensor.detect.window import NS, Part, Scope, Span, View

LONGEST_SILENCE = 300  # windows; a longer one is no traffic of 0 but a sensor that was off
LEAST_ROOM = 64  # new findings of one window that are looked at when max_open is reached
CUSUM_K, CUSUM_H = 1.0, 12.0  # reference value and decision level without [params]


class Runner:
    """A rule at work."""

    def __init__(self, rule: Rule, dtype: Dtype) -> None:
        self.rule = rule
        self.off: str | None = None  # why the rule does not look at present
        self.tested = 0  # key-windows so far
        self._features = dict(rule.features)
        self._triggers = list(rule.triggers)
        self._scales = {b.feature: b.scale_by for b in rule.baselines}
        used = self._statistics()
        cusum = (rule.params.get("cusum_k", CUSUM_K), rule.params.get("cusum_h", CUSUM_H))
        learned = {
            b.feature: Learned(b, rule.window_s, cusum if ("cusum", b.feature) in used else None)
            for b in rule.baselines
        }
        self._drifting = [b.feature for b in rule.baselines if ("cusum", b.feature) in used]
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

    def window(self, view: View, span: Span, sensor: View | None, room: int) -> Outcome:
        """Look at a window. `room`: how many more events may open."""
        self._advance(span, view.size)
        outcome = Outcome(span, [])
        if self._is_off(sensor) or not view.size:
            return outcome
        mask = self.rule.gate.truths(Scope(view, sensor, self.rule.params, {}), view.size)
        watched = self.memory.watched(view.slots)
        if watched is not None:
            mask = mask | watched
        if view.top >= MOST_SLOTS:
            mask = mask & (view.slots < MOST_SLOTS)
        index = np.flatnonzero(mask)
        if index.size:
            part = view if index.size == view.size else Part(view, index)
            scope = Scope(part, sensor, self.rule.params, self._features, self._look)
            self._rows(scope, outcome, room)
        return outcome

    def _advance(self, span: Span, keys: int) -> None:
        length = self.rule.window_s * NS
        if self._last_ns is None:
            passed = 1
        else:
            passed = min(max((span.start_ns - self._last_ns) // length, 1), LONGEST_SILENCE)
        self._tick += passed
        self.memory.advance(self._tick)
        self._last_ns = span.start_ns
        self.tested += keys

    def _is_off(self, sensor: View | None) -> bool:
        self.off = None
        if self.rule.both_directions and sensor is not None and sensor.size:
            try:
                share = float(sensor.column("one_way_share")[0])
            except (KeyError, ValueError):
                return False
            if share > 0.9:
                self.off = f"one-way capture: {share:.0%} of connections in one direction only"
        return self.off is not None

    def _rows(self, scope: Scope, outcome: Outcome, room: int) -> None:
        rule, memory, size, slots = self.rule, self.memory, scope.size, scope.view.slots
        memory.enter(scope.view)
        for feature in self._drifting:
            memory.learned[feature].step(
                slots, scope[feature], self._scale(scope, feature), self._tick
            )
        hits = np.zeros((len(rule.conditions), size), np.bool_)
        for i, condition in enumerate(rule.conditions):
            hits[i] = condition.when.truths(scope, size)
            scope[f"cond.{condition.id}"] = hits[i]
        opened = memory.opened[slots]
        if not (hits[self._triggers].any() or opened.any()):
            self._learn(scope, None)
            return
        for feature in memory.learned:
            scope.look(feature)  # before this window is part of what is normal
        join = np.any if rule.any_of else np.all
        hit = join(hits[self._triggers], axis=0)
        self._learn(scope, ~(hit | opened))
        history = self._candidates(scope, slots, hits, outcome.span)
        risen = np.zeros_like(hits)
        for i in self._triggers:
            condition = rule.conditions[i]
            risen[i] = np.bitwise_count(history[i]) >= condition.rise.hits
            scope[f"cond.{condition.id}"] = hits[i] | risen[i]
        up = join(risen[self._triggers], axis=0) & hit
        self._find(scope, slots, hits, hit, up, opened, outcome, room)

    def _scale(self, scope: Scope, feature: str) -> Values:
        """The trials of a feature: 1 where its baseline has no scale, 0 where they are unknown."""
        name = self._scales[feature]
        if name is None:
            return np.ones(scope.size)
        scale = scope[name]
        return np.where(np.isfinite(scale), scale, 0.0)

    def _look(self, scope: Scope, feature: str) -> Look:
        """Asked for by an expression: only then are the keys' baselines brought up to date."""
        if not scope.looks:
            self.memory.ready(scope.view.slots)
        learned = self.memory.learned[feature]
        return learned.look(scope.view.slots, scope[feature], self._scale(scope, feature))

    def _learn(self, scope: Scope, mask: Truths | None) -> None:
        slots = self.memory.passed(scope.view.slots, mask)
        for feature, learned in self.memory.learned.items():
            value, scale = scope[feature], self._scale(scope, feature)
            if mask is not None:
                value, scale = value[mask], scale[mask]
            learned.add(slots, value, scale)

    def _candidates(
        self, scope: Scope, slots: Slots, hits: Truths, span: Span
    ) -> NDArray[np.uint16]:
        """Add the window to the candidates of its hits; the history with it."""
        memory, rule = self.memory, self.rule
        pending = (memory.history(slots) != 0).any(axis=0)
        for i in self._triggers:
            memory.hit(i, slots[hits[i]])
        any_hit = hits[self._triggers].any(axis=0)
        new = slots[any_hit & ~pending]
        memory.first_ns[new] = span.start_ns
        memory.packets[new] = memory.bytes[new] = memory.log_p[new] = memory.hits[new] = 0
        hit_slots = slots[any_hit]
        for total, expression in (
            (memory.packets, rule.event.packets),
            (memory.bytes, rule.event.bytes),
        ):
            if expression is not None:
                total[hit_slots] += _amount(expression, scope)[any_hit]
        memory.hits[hit_slots] += 1
        memory.log_p[hit_slots] += self._log_p(scope, hits)[any_hit]
        return memory.history(slots)

    def _log_p(self, scope: Scope, hits: Truths) -> Values:
        """ln p of the window under the hit conditions' models; 0 where none was asked."""
        least = np.zeros(scope.size)
        for i, condition in enumerate(self.rule.conditions):
            for function, feature in condition.when.statistics:
                if function == "p_tail" and hits[i].any():
                    tail = np.where(hits[i], scope.look(feature).log_tail(), 0.0)
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
        packets, octets = (
            np.zeros(size) if e is None else np.where(active, _amount(e, scope), 0.0)
            for e in (rule.event.packets, rule.event.bytes)
        )
        rows, generations = scope.view.rows, scope.view.generations
        for i in [*np.flatnonzero(opened).tolist(), *worst[:most].tolist()]:
            slot = int(slots[i])
            first = not opened[i]
            outcome.findings.append(
                Finding(
                    row=rows[i],
                    slot=slot,
                    generation=int(generations[i]),
                    hit=bool(hit[i]),
                    risen=bool(up[i]),
                    active=bool(active[i]),
                    started_ns=int(memory.first_ns[slot]) if first else outcome.span.start_ns,
                    packets=float(memory.packets[slot] if first else packets[i]),
                    bytes=float(memory.bytes[slot] if first else octets[i]),
                    score=float(score[i]),
                    confidence=float(confidence[i]),
                    spoofed=bool(spoofed[i]),
                    p_model=self._joint(slot, hits[:, i]) if first else None,
                    method=method_of(rule, hits[:, i]),
                    measured=partial(measured, rule, scope, i, hits[:, i]),
                )
            )

    def _joint(self, slot: int, hits: Truths) -> float | None:
        """Bound of the rise windows' joint p: C(n, k) times the product of their p."""
        condition = deciding(self.rule, hits)
        if not any(function == "p_tail" for function, _ in condition.when.statistics):
            return None
        rise = condition.rise
        log_p = float(self.memory.log_p[slot]) * rise.hits / max(int(self.memory.hits[slot]), 1)
        return min(comb(rise.windows, rise.hits) * exp(max(log_p, -700.0)), 1.0)


def _amount(expression: Expression, scope: Scope) -> Values:
    """Packets or octets of every key; unknown is none."""
    value = expression.numbers(scope, scope.size)
    return np.where(value > 0, value, 0.0)
