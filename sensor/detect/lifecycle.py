"""The life of events: open, update, resolve, reopen; one per key, on packet time.

candidate   a key has hits, not enough of them yet             (kept in slots.Memory)
open        the trigger rose; detected_at is that window's end
update      handed out every `update`, and whenever the severity rises
resolved    `clear` held for `hold`; resolved_at is the end of the last hit window
reopened    it rose again within `merge_gap`: the same event goes on
A key without a row is clear. Time may jump or step back: nothing is ever negative.
"""

import json
from collections import Counter, OrderedDict
from collections.abc import Mapping

from sensor.detect.allow import allows
from sensor.detect.columns import key_columns
from sensor.detect.evaluate import Runner
from sensor.detect.event import Event, event_id, revived
from sensor.detect.finding import Finding, Outcome
from sensor.detect.rule import Allow, Rule
from sensor.detect.slots import key_of
from sensor.detect.window import NS
from sensor.model.rows import SecurityEventRow

INCIDENT_NS = 60 * NS  # classes of attack on one victim within it are one incident
MOST_RECENT = 4096  # resolved events that may reopen, and victims remembered
MOST_EVENTS = 10_000  # of one run that are kept for `events`
Key = tuple[str | int, ...]


class Lifecycle:
    """All events of one detector."""

    def __init__(self, agent_id: str, boot_id: str, allow: Allow) -> None:
        self._agent_id = agent_id
        self._boot_id = boot_id
        self._allow = allow
        self._open: dict[Key, Event] = {}
        self._count: Counter[str] = Counter()  # open events by rule
        self._recent: OrderedDict[Key, Event] = OrderedDict()
        self._victims: OrderedDict[str, tuple[int, Event]] = OrderedDict()
        self._changed: dict[str, SecurityEventRow] = {}
        self._rows: OrderedDict[str, SecurityEventRow] = OrderedDict()

    def room(self, rule: Rule) -> int:
        """How many more events this rule may open."""
        return max(rule.lifecycle.max_open - self._count[rule.id], 0)

    def take(self, runner: Runner, outcome: Outcome) -> None:
        """The findings of one rule in one window."""
        span = outcome.span
        beyond = []  # of max_open
        for finding in outcome.findings:
            key = self._key(runner.rule, finding)
            if (event := self._open.get(key)) is not None:
                self._go_on(event, runner, finding, span.end_ns)
            elif not finding.risen or self._allowed(runner.rule, finding, span.end_ns):
                continue
            elif not self._rise(key, runner, finding, outcome):
                beyond.append(finding)
        if beyond:
            self._overflow(runner, beyond, outcome)

    def tick(self, now_ns: int) -> None:
        """Resolve what has been clear for long enough at `now_ns`."""
        for key, event in list(self._open.items()):
            if event.active_ns > now_ns:  # the clock was set back
                event.active_ns = now_ns
            rule = event.rule
            if now_ns - event.active_ns >= max(rule.lifecycle.hold_s, rule.window_s) * NS:
                self._resolve(key, event)

    def finish(self, last: dict[str, int]) -> None:
        """End of input. `last`: when each rule's last window ended; what was not clear there
        stays open.
        """
        for key, event in list(self._open.items()):
            if event.active_ns < last.get(event.rule.id, 0):
                self._resolve(key, event)
            else:
                self._emit(event, event.active_ns)

    def note(self, row: SecurityEventRow) -> None:
        """An event that has no life of its own."""
        self._keep(row)

    def changed(self) -> list[SecurityEventRow]:
        """Events that opened, went on or ended since the last call."""
        rows = list(self._changed.values())
        self._changed.clear()
        return rows

    def events(self) -> list[SecurityEventRow]:
        """All events of this run, the newest MOST_EVENTS; open ones as they stand now."""
        now = {event.id: event for event in self._open.values()}
        return [
            now[row.id].row(self._agent_id, self._boot_id) if row.id in now else row
            for row in self._rows.values()
        ]

    def _key(self, rule: Rule, finding: Finding) -> Key:
        parts = key_of(finding.row, [w for w in rule.lifecycle.key if w not in ("rule", "class")])
        own: dict[str, str | int] = {"rule": rule.id, "class": rule.attack_class, **parts}
        return tuple(own[word] for word in rule.lifecycle.key)

    def _rise(self, key: Key, runner: Runner, finding: Finding, outcome: Outcome) -> bool:
        """A new event, or one that goes on after a pause; False when there are too many."""
        event = self._recent.get(key)
        if event is not None and self._goes_on(event, runner.rule, finding):
            del self._recent[key]
            event.status = "open"
            event.reopened += 1
        elif self.room(runner.rule) > 0:
            event = self._event(key, runner, finding, outcome)
        else:
            return False
        end_ns = outcome.span.end_ns
        event.active_ns = end_ns
        self._open[key] = event
        self._count[event.rule.id] += 1
        self._go_on(event, runner, finding, end_ns)
        self._incident(event, end_ns)
        self._emit(event, end_ns)
        return True

    @staticmethod
    def _goes_on(event: Event, rule: Rule, finding: Finding) -> bool:
        pause_ns = abs(finding.started_ns - event.last_hit_ns)
        return event.rule.id == rule.id and pause_ns <= rule.lifecycle.merge_gap_s * NS

    def _event(self, key: Key, runner: Runner, finding: Finding, outcome: Outcome) -> Event:
        end_ns = outcome.span.end_ns
        started_ns = min(finding.started_ns, end_ns)
        return Event(
            id=event_id(self._agent_id, runner.rule.id, key, started_ns),
            rule=runner.rule,
            key=key,
            parts=key_of(finding.row, key_columns(finding.row.dtype)),
            started_ns=started_ns,
            detected_ns=max(end_ns, started_ns),
            last_hit_ns=end_ns,
            active_ns=end_ns,
            emitted_ns=end_ns,
            p_event=finding.p_model,
        )

    def _go_on(self, event: Event, runner: Runner, finding: Finding, end_ns: int) -> None:
        memory = runner.memory
        event.members[id(memory), finding.slot, finding.generation] = memory
        memory.open(finding.slot)
        rose = event.take(finding, end_ns, own=event.rule.id == runner.rule.id)
        if rose or end_ns - event.emitted_ns >= event.rule.lifecycle.update_s * NS:
            self._emit(event, end_ns)

    def _overflow(self, runner: Runner, beyond: list[Finding], outcome: Outcome) -> None:
        """One event for all keys beyond max_open."""
        key: Key = (runner.rule.id, "overflow")
        end_ns = outcome.span.end_ns
        event = self._open.get(key)
        fresh = event is None
        if event is None:
            event = self._event(key, runner, beyond[0], outcome)
            event.detected_ns = end_ns
            self._open[key] = event
            self._count[event.rule.id] += 1
            event.method = beyond[0].method
        event.score = max(event.score, *(f.score for f in beyond))
        event.confidence = max(event.confidence, *(f.confidence for f in beyond))
        event.overflow = max(event.overflow, len(beyond) + outcome.overflow)
        event.last_hit_ns = event.active_ns = max(event.active_ns, end_ns)
        if fresh or end_ns - event.emitted_ns >= event.rule.lifecycle.update_s * NS:
            self._emit(event, end_ns)

    def _resolve(self, key: Key, event: Event) -> None:
        event.status = "resolved"
        del self._open[key]
        self._count[event.rule.id] -= 1
        for (_, slot, generation), memory in event.members.items():
            memory.clear(slot, generation)
        event.members.clear()
        self._recent[key] = event
        while len(self._recent) > MOST_RECENT:
            self._recent.popitem(last=False)
        self._emit(event, event.active_ns)

    def _emit(self, event: Event, now_ns: int) -> None:
        event.emitted_ns = now_ns
        self._keep(event.row(self._agent_id, self._boot_id))

    def _keep(self, row: SecurityEventRow) -> None:
        self._changed[row.id] = row
        self._rows[row.id] = row
        while len(self._rows) > MOST_EVENTS:
            self._rows.popitem(last=False)

    def _incident(self, event: Event, now_ns: int) -> None:
        victim = event.victim()
        if victim is None:
            return
        before = self._victims.pop(victim, None)
        if before is not None and before[1].rule.attack_class != event.rule.attack_class:
            at_ns, other = before
            if abs(now_ns - at_ns) <= INCIDENT_NS or other.status == "open":
                event.incident_id = other.incident_id or other.id
                if other.incident_id is None:
                    other.incident_id = other.id
                    self._emit(other, now_ns)
        self._victims[victim] = now_ns, event
        while len(self._victims) > MOST_RECENT:
            self._victims.popitem(last=False)

    def _allowed(self, rule: Rule, finding: Finding, now_ns: int) -> bool:
        return any(allows(a, rule, finding.row, now_ns) for a in (rule.allow, self._allow))

    def restore(self, rows: list[SecurityEventRow], rules: Mapping[str, Rule], now_ns: int) -> None:
        """Close the events that a former run left open; they may reopen within `merge_gap`."""
        for row in rows:
            last_us = min(row.updated_at or row.detected_at, now_ns // 1000)
            try:
                evidence = json.loads(row.evidence or "{}")
            except ValueError:
                evidence = {}
            evidence["note"] = "sensor restarted"
            resolved = row._replace(
                status="resolved", resolved_at=last_us, evidence=json.dumps(evidence)
            )
            self._keep(resolved)
            rule = rules.get(row.rule_id or "")
            key = evidence.get("key")
            if rule is not None and isinstance(key, list) and key:
                event = revived(row, rule, tuple(key), evidence)
                self._recent[event.key] = event
