"""A small rule for the tests of evaluation and life cycle, with parts to replace."""

import tomllib

from sensor.detect.detector import Detector
from sensor.detect.parse import parse_rule
from sensor.detect.reader import Source
from sensor.detect.rule import RuleSet
from tests.unit.detect.tables import AGENT, SLOT, TABLES, rows, second

TEXT = """
schema = 1
id = "demo"
version = 1
title = "A demo"
event_type = "dos_attack"
family = "ddos"
[scope]
table = "service"
gate = "syn_new > 0"
window = "1s"
[features]
x = "syn_new"
[baseline.x]
model = "negbin"
half_life = "600s"
warmup = "120s"
floor_mean = 1.0
[params]
floor = 100
alpha = 1e-7
[[condition]]
id = "surge"
when = "x >= floor"
[trigger]
any_of = ["surge"]
rise = "2/3"
[severity]
score = "x / 10"
levels = { low = 0, medium = 30, high = 60, critical = 85 }
[confidence]
prior = 0.02
llr = [ { when = "cond.surge", nats = "4.0" } ]
[event]
packets = "syn_new"
bytes = "syn_new * 60"
[lifecycle]
key = ["rule", "dst_ip", "dst_port"]
clear = "x < floor / 2"
hold = "30s"
update = "10s"
merge_gap = "120s"
max_open = 8
[mitigation]
summary = "Protect {dst_ip}."
steps = ["{x:.0f} attempts a second, {nothing} more"]
"""
VICTIM = "192.0.2.10"
# The same rule over pairs of hosts that talk like a clock.
OF_PAIRS = (
    ('table = "service"', 'table = "pair"'),
    ('gate = "syn_new > 0"', 'gate = "starts >= 20"'),
    ('window = "1s"', 'window = "1h"'),
    ('x = "syn_new"', 'x = "score * 1000"'),
    ('rise = "2/3"', 'rise = "1/1"'),
    ('packets = "syn_new"\nbytes = "syn_new * 60"', ""),
    ('"rule", "dst_ip", "dst_port"', '"rule", "src_ip", "dst_ip", "dst_port"'),
)


def rule(*changes, text=TEXT, tables=TABLES):
    """The rule with (old, new) replaced in its text."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return parse_rule(Source("demo.toml", text), tomllib.loads(text), tables)


def detector(*rules, **more):
    return Detector(RuleSet(rules), agent_id=AGENT, boot_id="boot", **more)


def busy(at, count, ip=VICTIM, port=80, table="service", **columns):
    """One second in which one key counts."""
    given = {"ip": ip, "port": port, "protocol": 6, "syn_new": count, **columns}
    return second(at, {table: rows(SLOT, given)})


def feed(found, counts, start=0):
    """One window a second; None is a second of which nothing was handed out."""
    for at, count in enumerate(counts, start):
        if count is not None:
            found.features(busy(at, count))
    return found
