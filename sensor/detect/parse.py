"""A rule file's tables as a Rule: every name checked against the columns that really exist."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from sensor.detect.columns import Tables, key_columns, readable
from sensor.detect.expression import FUNCTIONS, Expression, compile_expression
from sensor.detect.reader import MISSING, NAME, Source, Table, first_line
from sensor.detect.rule import (
    SEVERITIES,
    Allow,
    Baseline,
    Condition,
    Confidence,
    EventParts,
    Evidence,
    Lifecycle,
    Rise,
    Rule,
    RuleTest,
)
from sensor.model.address import Prefix, pack_prefix

SCHEMA = 1
STATUSES = ("stable", "test", "experimental", "deprecated")
FAMILIES = ("ddos", "scan", "intrusion", "spoofing", "exfiltration", "anomaly")
EVENT_TYPES = (
    "dos_attack",
    "port_scan",
    "intrusion_attempt",
    "spoofing",
    "data_exfiltration",
    "protocol_downgrade",
    "backscatter",
    "beaconing",
    "service_overload",
)
MODELS = ("negbin", "poisson", "binomial")
PARTIES = ("key", "top", "none")
# What makes two rows the same event. A table has one address, whichever side it is on, or a pair.
KEY_WORDS = {
    "dst_ip": ("peer", "address"),
    "src_ip": ("address",),
    "dst_port": ("port",),
    "refl_proto": ("port",),
}
# table -> where the parties of an event are found unless [event] says otherwise
_PARTIES = {
    "service": ("top", "key"),
    "host": ("top", "key"),
    "reflection": ("top", "key"),
    "source": ("key", "top"),
    "pair": ("key", "top"),
    "domain": ("top", "none"),
    "neighbour": ("none", "key"),
}
MAX_STEPS = 100_000  # of a test's series
_RISE = re.compile(r"([1-9]\d?)/([1-9]\d?)")
_TOKEN = re.compile(r"(-?\d+(?:\.\d+)?)(?:([+-]\d+(?:\.\d+)?))?(?:x(\d{1,6}))?")
MOST_WINDOWS = 16  # of a rise: as many bits are kept


class _Names:
    """Which names the expressions of a rule may use; it grows in the order of evaluation."""

    def __init__(self, columns: Collection[str], sensor: Collection[str]) -> None:
        self.columns = frozenset(columns) | {f"sensor.{name}" for name in sensor}
        self.baselined: set[str] = set()
        self._known = set(self.columns)

    def add(self, table: Table, key: str, name: str) -> None:
        """One more name, which may not hide another."""
        if not NAME.fullmatch(name.removeprefix("cond.")):
            raise table.error(key, f"{name!r} must be a lower-case word")
        if name in self._known or name in FUNCTIONS or name in ("cond", "sensor"):
            raise table.error(key, f"{name} is the name of something else already")
        self._known.add(name)

    def take(self, table: Table, key: str, default: Any = MISSING) -> Any:
        """The expression at `key`; RuleError for the first name that is not known (yet)."""
        expression = table.expression(key, default)
        if expression is default:
            return expression
        for name in sorted(expression.names - self._known):
            raise table.error(
                key, f"{key}: unknown column or feature {name}", first_line(expression)
            )
        for function, feature in sorted(expression.statistics):
            if feature not in self.baselined:
                reason = f"{key}: {function}({feature}) needs a [baseline.{feature}]"
                raise table.error(key, reason, first_line(expression))
        return expression


def parse_rule(source: Source, values: Mapping[str, object], tables: Tables) -> Rule:
    """The rule; RuleError at the first thing that is wrong."""
    root = Table(source, values)
    rule_id = root.word("id")
    source.rule_id = rule_id
    if root.whole("schema") != SCHEMA:
        raise root.error("schema", f"schema must be {SCHEMA}")
    attack, scope, trigger = root.table("attack", {}), root.table("scope"), root.table("trigger")
    severity, mitigation = root.table("severity"), root.table("mitigation", {})
    table = scope.word("table", tables)
    dtype = tables[table]
    names = _Names(readable(dtype), readable(tables["sensor"]) if "sensor" in tables else ())
    window_s = scope.seconds("window", 1, low=1)
    params = _params(root.table("params", {}), names)
    gate = names.take(scope, "gate")
    features = _features(root.table("features", {}), names)
    baselines = _baselines(root.table("baseline", {}), names, dict(features))
    conditions = _conditions(root.tables("condition"), trigger, names, baselines)
    if not conditions:
        raise root.error("", "a rule needs a [[condition]]")
    any_of, triggers = _trigger(trigger, conditions)
    scope.words("group_by")  # for readers: the table has its key
    scope.word("direction", ("inbound", "outbound", "any"), None)
    rule = Rule(
        id=rule_id,
        version=root.whole("version", low=1),
        title=root.text("title"),
        status=root.word("status", STATUSES, "stable"),
        enabled=root.flag("enabled", True),
        event_type=root.word("event_type", EVENT_TYPES),
        family=root.word("family", FAMILIES),
        description=root.text("description", ""),
        references=root.words("references"),
        attack_class=attack.word("class", None, rule_id),
        mitre=attack.words("mitre"),
        taxonomy=attack.text("taxonomy", ""),
        table=table,
        gate=gate,
        window_s=window_s,
        both_directions=scope.word("needs", ("both_directions",), None) is not None,
        features=features,
        baselines=baselines,
        params=params,
        conditions=conditions,
        any_of=any_of,
        triggers=triggers,
        severity=names.take(severity, "score"),
        levels=_levels(severity.table("levels")),
        confidence=_confidence(root.table("confidence"), names),
        event=_event(root.table("event", {}), names, table),
        lifecycle=_lifecycle(root.table("lifecycle"), names, key_columns(dtype)),
        look_alikes=_texts(root.table("look_alikes", {})),
        allow=_allow(root.table("allow", {})),
        mitigation_summary=mitigation.text("summary", ""),
        mitigation_steps=mitigation.words("steps"),
        tests=_tests(root.tables("test"), window_s, names),
        file=source.file,
    )
    for part in (attack, scope, trigger, severity, mitigation, root):
        part.done()
    return rule


def _params(table: Table, names: _Names) -> dict[str, float]:
    params = {}
    for name in table.rest():
        names.add(table, name, name)
        params[name] = table.number(name)
    return params


def _features(table: Table, names: _Names) -> tuple[tuple[str, Expression], ...]:
    features = []
    for name in table.rest():
        expression = names.take(table, name)
        names.add(table, name, name)
        features.append((name, expression))
    return tuple(features)


def _baselines(
    table: Table, names: _Names, features: Mapping[str, Expression]
) -> tuple[Baseline, ...]:
    baselines = []
    for name in table.rest():
        part = table.table(name)
        if name not in features:
            raise table.error(name, f"[baseline.{name}]: unknown feature {name}")
        scale = part.text("scale_by", "none")
        if scale != "none" and scale not in features:
            raise part.error("scale_by", f"scale_by: unknown feature {scale}")
        model = part.word("model", MODELS)
        if model == "binomial" and scale == "none":
            raise part.error("model", "a binomial baseline needs scale_by: the number of trials")
        part.word("freeze_while", ("open",), None)  # always so: an attack is not learned
        baselines.append(
            Baseline(
                feature=name,
                model=model,
                scale_by=None if scale == "none" else scale,
                half_life_s=part.seconds("half_life", 600, low=1),
                warmup_s=part.seconds("warmup", 120),
                clip_sigma=part.number("clip_sigma", 6.0, low=1.0, high=100.0),
                floor_mean=part.number("floor_mean", 0.3, low=1e-6),
            )
        )
        part.done()
        names.baselined.add(name)
    return tuple(baselines)


def _rise(table: Table, default: Rise) -> Rise:
    text = table.text("rise", None)
    if text is None:
        return default
    match = _RISE.fullmatch(text)
    if match is None or not int(match[1]) <= int(match[2]) <= MOST_WINDOWS:
        reason = f'rise must be "k/n", k of n windows, n at most {MOST_WINDOWS}: {text!r}'
        raise table.error("rise", reason)
    return Rise(int(match[1]), int(match[2]))


def _conditions(
    parts: list[Table], trigger: Table, names: _Names, baselines: tuple[Baseline, ...]
) -> tuple[Condition, ...]:
    default = _rise(trigger, Rise(2, 3))
    models = {baseline.feature: baseline.model for baseline in baselines}
    conditions: list[Condition] = []
    for part in parts:
        condition_id = part.word("id")
        when = names.take(part, "when")
        names.add(part, "id", f"cond.{condition_id}")
        threshold = compile_expression(when.subject[1]) if when.subject else None
        method = part.word("method", None, None) or _method(when, models)
        conditions.append(Condition(condition_id, when, _rise(part, default), method, threshold))
        part.done()
    return tuple(conditions)


def _method(when: Expression, models: Mapping[str, str]) -> str:
    """The field's name for the statistic that decides."""
    for function, feature in sorted(when.statistics):
        if function == "cusum":
            return "cusum"
        if function == "p_tail":
            return "nb_tail" if models[feature] == "negbin" else f"{models[feature]}_tail"
    return "trw" if "scan_score" in when.names else "threshold"


def _trigger(table: Table, conditions: tuple[Condition, ...]) -> tuple[bool, tuple[int, ...]]:
    key = next((k for k in ("any_of", "all_of") if k in table), None)
    if key is None:
        raise table.error("", "[trigger] needs any_of or all_of")
    ids = [condition.id for condition in conditions]
    wanted = table.words(key)
    for word in wanted:
        if word not in ids:
            raise table.error(key, f"{key}: unknown condition {word}")
    if not wanted:
        raise table.error(key, f"{key} is empty")
    return key == "any_of", tuple(ids.index(word) for word in wanted)


def _levels(table: Table) -> tuple[tuple[str, float], ...]:
    levels = tuple((word, table.number(word)) for word in SEVERITIES if word in table)
    if not levels or [score for _, score in levels] != sorted(score for _, score in levels):
        raise table.error("", f"levels must ascend: {', '.join(SEVERITIES)}")
    table.done()
    return levels


def _confidence(table: Table, names: _Names) -> Confidence:
    evidence = []
    for part in table.tables("llr"):
        when, nats = names.take(part, "when"), names.take(part, "nats")
        evidence.append(Evidence(when, nats, part.word("family", None, None)))
        part.done()
    confidence = Confidence(
        prior=table.number("prior", low=1e-9, high=1 - 1e-9),
        evidence=tuple(evidence),
        cap=table.number("cap", 1.0, low=0.0, high=1.0),
        false_positive_rate=table.number("false_positive_rate", None, low=0.0, high=1.0),
        benign_windows=table.whole("benign_windows", None),
    )
    table.done()
    return confidence


def _event(table: Table, names: _Names, rows: str) -> EventParts:
    source, destination = _PARTIES.get(rows, ("none", "none"))
    event = EventParts(
        source=table.word("source", PARTIES, source),
        destination=table.word("destination", PARTIES, destination),
        spoofed=names.take(table, "spoofed", None),
        packets=names.take(table, "packets", None),
        bytes=names.take(table, "bytes", None),
        protocol=table.text("protocol", None),
    )
    table.done()
    return event


def _lifecycle(table: Table, names: _Names, keys: tuple[str, ...]) -> Lifecycle:
    key = table.words("key") or ("rule", *keys)
    parts = []
    for word in key:
        known = [part for part in KEY_WORDS.get(word, (word,)) if part in (*keys, "rule", "class")]
        if not known:
            raise table.error("key", f"key: {word!r} names no part of this table's key", word)
        parts.append(known[0])
    lifecycle = Lifecycle(
        key=tuple(parts),
        clear=names.take(table, "clear"),
        hold_s=table.seconds("hold", 30),
        update_s=table.seconds("update", 10),
        merge_gap_s=table.seconds("merge_gap", 120),
        max_open=table.whole("max_open", 1024, low=1, high=65536),
    )
    table.done()
    return lifecycle


def _texts(table: Table) -> dict[str, str]:
    return {name: table.text(name) for name in table.rest()}


def _allow(table: Table) -> Allow:
    allow = Allow(
        sources=_prefixes(table, "sources"),
        destinations=_prefixes(table, "destinations"),
        names=tuple(name.lower().strip(".") for name in table.words("names")),
        until=table.day("until"),
    )
    table.done()
    return allow


def _prefixes(table: Table, key: str) -> tuple[Prefix, ...]:
    prefixes = []
    for text in table.words(key):
        try:
            prefixes.append(pack_prefix(text))
        except ValueError:
            raise table.error(key, f"{key}: {text!r} is no address or CIDR", text) from None
    return tuple(prefixes)


def _tests(parts: list[Table], window_s: int, names: _Names) -> tuple[RuleTest, ...]:
    tests = []
    for part in parts:
        pcap = part.text("pcap", None)
        series_part = part.table("series", {})
        series = {name: _series(series_part, name, names) for name in series_part.rest()}
        if (pcap is None) == (not series):
            raise part.error("", "a test has either a series or a pcap")
        tests.append(
            RuleTest(
                name=part.text("name"),
                series=series,
                pcap=pcap,
                step_s=part.seconds("step", window_s, low=1),
                expect=_expect(part.table("expect")),
            )
        )
        part.done()
    return tuple(tests)


def _series(table: Table, name: str, names: _Names) -> tuple[float, ...]:
    if name not in names.columns:
        raise table.error(name, f"series: unknown column {name}")
    text = table.text(name)
    values: list[float] = []
    for token in text.split():
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise table.error(name, f'series: {token!r} is neither "5", "5x20" nor "0+10x20"')
        first, step, times = float(match[1]), match[2], match[3]
        # As Prometheus has it: "a+bxN" is a and N more; "axN" here is N values, not one more.
        repeat = int(times or 0) + 1 if step else int(times or 1)
        if len(values) + repeat > MAX_STEPS:
            raise table.error(name, f"series: longer than {MAX_STEPS}")
        values.extend(max(first + float(step or 0) * i, 0.0) for i in range(repeat))
    return tuple(values)


def _expect(table: Table) -> dict[str, str | int | float]:
    expect: dict[str, str | int | float] = {}
    for key in table.rest():
        match key:
            case "opens" | "open_by" | "clear_by":
                expect[key] = table.whole(key)
            case "min_confidence":
                expect[key] = table.number(key, low=0.0, high=1.0)
            case "min_severity" | "max_severity":
                expect[key] = table.word(key, SEVERITIES)
            case "event_type" | "attack_class":
                expect[key] = table.word(key)
            case "max_detect_delay":
                expect[key] = table.seconds(key)
            case _:
                pass  # done() says it
    table.done()
    if "opens" not in expect:
        raise table.error("", "expect needs opens")
    return expect
