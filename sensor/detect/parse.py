"""A rule file's tables as a Rule: every name checked against the columns that really exist."""

import re
from collections.abc import Mapping

from sensor.detect.columns import Tables, key_columns, readable
from sensor.detect.expression import Expression, compile_expression
from sensor.detect.names import Names
from sensor.detect.parse_event import parse_allow, parse_confidence, parse_event, parse_lifecycle
from sensor.detect.parse_tests import parse_tests
from sensor.detect.reader import Source, Table
from sensor.detect.rule import SEVERITIES, Baseline, Condition, Rise, Rule

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
_RISE = re.compile(r"([1-9]\d?)/([1-9]\d?)")
MOST_WINDOWS = 16  # of a rise: as many bits are kept


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
    names = Names(readable(dtype), readable(tables["sensor"]) if "sensor" in tables else ())
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
        confidence=parse_confidence(root.table("confidence"), names),
        event=parse_event(root.table("event", {}), names, table),
        lifecycle=parse_lifecycle(root.table("lifecycle"), names, key_columns(dtype)),
        look_alikes=_texts(root.table("look_alikes", {})),
        allow=parse_allow(root.table("allow", {})),
        mitigation_summary=mitigation.text("summary", ""),
        mitigation_steps=mitigation.words("steps"),
        tests=parse_tests(root.tables("test"), window_s, names),
        file=source.file,
    )
    for part in (attack, scope, trigger, severity, mitigation, root):
        part.done()
    return rule


def _params(table: Table, names: Names) -> dict[str, float]:
    params = {}
    for name in table.rest():
        names.add(table, name, name)
        params[name] = table.number(name)
    return params


def _features(table: Table, names: Names) -> tuple[tuple[str, Expression], ...]:
    features = []
    for name in table.rest():
        expression = names.take(table, name)
        names.add(table, name, name)
        features.append((name, expression))
    return tuple(features)


def _baselines(
    table: Table, names: Names, features: Mapping[str, Expression]
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
    parts: list[Table], trigger: Table, names: Names, baselines: tuple[Baseline, ...]
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


def _texts(table: Table) -> dict[str, str]:
    return {name: table.text(name) for name in table.rest()}
