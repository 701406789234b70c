"""Detection as one consumer of the meter: features in, changed events out."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sensor._native.faces import Rows
from sensor.detect.columns import Dtype
from sensor.detect.evaluate import Runner
from sensor.detect.lifecycle import Lifecycle
from sensor.detect.own import own_event
from sensor.detect.rule import Allow, Rule, RuleError, RuleSet
from sensor.detect.window import Features, Span, Sums, View
from sensor.model.rows import SecurityEventRow

STATE_VERSION = 1
WHOLE = frozenset({"pair"})  # tables of which whole windows come, not seconds
_Group = tuple[str, int]  # table, window in seconds


class Detector:
    """Runs rules over the features of one agent. Packet time is its only clock."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        agent_id: str,
        boot_id: str,
        allow: Allow | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """`agent_id`: a UUID. `state`: what `state()` gave in a former run."""
        self._agent_id = agent_id
        self._boot_id = boot_id
        self._lives = Lifecycle(agent_id, boot_id, allow or Allow())
        self._kept = dict((state or {}).get("rules", {}))
        self._runners: dict[str, Runner] = {}
        self._groups: dict[_Group, list[Rule]] = {}
        self._sums: dict[_Group, Sums] = {}
        self._sensor: View | None = None
        self._last: dict[str, int] = {}  # rule -> end of its last window
        self._errors: list[RuleError] = []
        self.reload(rules)

    def reload(self, rules: RuleSet) -> None:
        """Other rules from now on. A rule that did not change keeps what it learned and opened."""
        for rule_id, runner in list(self._runners.items()):
            if rules.find(rule_id) != runner.rule:
                self._kept[rule_id] = runner.state()
                del self._runners[rule_id]
        self._groups = {}
        for rule in rules.rules:
            if rule.enabled:
                self._groups.setdefault((rule.table, rule.window_s), []).append(rule)
        self._sums = {
            group: self._sums.get(group) or Sums(group[1])
            for group in self._groups
            if group[1] > 1 and group[0] not in WHOLE
        }
        self._errors.extend(rules.errors)

    @property
    def off(self) -> dict[str, str]:
        """Rules that do not look at present, and why."""
        return {r.rule.id: r.off for r in self._runners.values() if r.off is not None}

    def rule(self, rule_id: str) -> Rule:
        """A rule that is at work; KeyError when there is none of that id."""
        return self._runners[rule_id].rule

    @property
    def tested(self) -> dict[str, int]:
        """Keys times windows that each rule has looked at."""
        return {rule_id: runner.tested for rule_id, runner in self._runners.items()}

    @property
    def events(self) -> list[SecurityEventRow]:
        """All events of this run as they stand, oldest first; the newest 10,000."""
        return self._lives.events()

    def changed(self) -> list[SecurityEventRow]:
        """Events that opened, went on or were resolved since the last call."""
        return self._lives.changed()

    def features(self, features: Features) -> None:
        """One second of packet time; time may jump and step back."""
        start_ns, end_ns = features["start_ns"], features["end_ns"]
        tables = features["tables"]
        self._report_errors(end_ns)
        for group, sums in self._sums.items():
            if group[0] in tables and sums.closes_before(start_ns):
                self._close(group, sums)
        self._lives.tick(start_ns)
        if "sensor" in tables:
            self._sensor = View(tables["sensor"])
        views = {name: View(rows) for name, rows in tables.items()}
        for group, rules in self._groups.items():
            table = group[0]
            if table not in tables or table in WHOLE:
                continue
            if (open_sums := self._sums.get(group)) is not None:
                if open_sums.add(tables[table], start_ns, end_ns):
                    self._close(group, open_sums)
            else:
                self._run(rules, views[table], Span(start_ns, end_ns))
        self._lives.tick(end_ns)

    def whole(self, table: str, rows: Rows, start_ns: int, end_ns: int) -> None:
        """One whole window of a table that does not come by the second (Beacons)."""
        for group, rules in self._groups.items():
            if group[0] == table:
                self._run(rules, View(rows), Span(start_ns, end_ns))

    def finish(self) -> None:
        """End of input: unfinished windows count, and what still went on stays open."""
        for group, sums in self._sums.items():
            self._close(group, sums)
        self._lives.finish(self._last)

    def restore(self, rows: Iterable[SecurityEventRow], now_ns: int) -> None:
        """Close the events that a former run left open: resolved when last seen."""
        rules = {rule.id: rule for group in self._groups.values() for rule in group}
        self._lives.restore(list(rows), rules, now_ns)

    def state(self) -> dict[str, Any]:
        """What was learned, ready for JSON, so that a restart need not learn it again."""
        rules = {**self._kept, **{i: runner.state() for i, runner in self._runners.items()}}
        return {"version": STATE_VERSION, "rules": rules}

    def _close(self, group: _Group, sums: Sums) -> None:
        if (taken := sums.take()) is not None:
            self._run(self._groups[group], View(taken[0]), taken[1])

    def _run(self, rules: list[Rule], view: View, span: Span) -> None:
        for rule in rules:
            runner = self._runner(rule, view.dtype)
            self._last[rule.id] = span.end_ns
            outcome = runner.window(view, span, self._sensor, self._lives.room(rule))
            self._lives.take(runner, outcome)

    def _runner(self, rule: Rule, dtype: Dtype) -> Runner:
        runner = self._runners.get(rule.id)
        if runner is None:
            runner = self._runners[rule.id] = Runner(rule, dtype)
            runner.restore(self._kept.pop(rule.id, {}))
        return runner

    def _report_errors(self, now_ns: int) -> None:
        for error in self._errors:
            self._lives.note(broken_rule(error, self._agent_id, self._boot_id, now_ns))
        self._errors.clear()


def broken_rule(error: RuleError, agent_id: str, boot_id: str, now_ns: int) -> SecurityEventRow:
    """A rule file that cannot be used is an event of the sensor itself."""
    return own_event(
        agent_id,
        boot_id,
        error.rule_id or Path(error.file).stem,
        key=(error.file, error.line),
        severity="low",
        method="rule_loader",
        title="A rule file cannot be used",
        evidence={"file": error.file, "line": error.line, "reason": error.reason},
        mend="Mend the file; `sensor rules check` says whether it is right.",
        started_ns=now_ns,
        ended_ns=now_ns,
    )
