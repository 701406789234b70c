"""Rule files: strict, bounded, and each on its own."""

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.detect.loader import MAX_OCTETS, load_rules
from sensor.detect.positions import Positions
from sensor.detect.rule import Rise
from tests.unit.detect.tables import EXAMPLE_TABLES, TABLES

HERE = Path(__file__).parent
GOOD = """\
schema = 1
id = "demo"
version = 3
title = "A demo"
event_type = "dos_attack"
family = "ddos"

[scope]
table = "service"
gate = "syn_new > 0"
window = "10s"

[features]
rate = "syn_new / 10"
share = "syn_silent / max(syn_new, 1)"

[baseline.rate]
model = "negbin"

[params]
floor = 20
alpha = 1e-7

[[condition]]
id = "surge"
when = "rate >= floor and p_tail(rate) < alpha"

[[condition]]
id = "burst"
when = "syn_new > 1000"
rise = "1/1"

[trigger]
any_of = ["surge", "burst"]

[severity]
score = "clamp(50 + cond.burst, 0, 100)"
levels = { low = 0, medium = 30, high = 60 }

[confidence]
prior = 0.02
llr = [
  { when = "cond.surge", nats = "2.0" },
  { when = "share > 0.5", nats = "1.5", family = "share" },
]

[lifecycle]
key = ["rule", "dst_ip"]
clear = "rate < floor / 2"
hold = "1m"

[[test]]
name = "a ramp"
series = { syn_new = "0x2 5 0+10x3 -1" }
expect = { opens = 1 }
"""


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        place = tmp_path / f"rules{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        for name, text in files.items():
            (place / f"{name}.toml").write_text(text)
        return place

    return write


def load(*folders, **more):
    return load_rules(*folders, columns=TABLES, **more)


def test_a_good_file(folder):
    found = load(folder(demo=GOOD))
    assert not found.errors
    (rule,) = found.rules
    assert (rule.id, rule.version, rule.attack_class, rule.window_s) == ("demo", 3, "demo", 10)
    assert [c.rise for c in rule.conditions] == [Rise(2, 3), Rise(1, 1)]
    assert [c.method for c in rule.conditions] == ["nb_tail", "threshold"]
    assert (rule.lifecycle.key, rule.lifecycle.hold_s) == (("rule", "address"), 60)
    assert (rule.event.source, rule.event.destination) == ("top", "key")
    assert rule.tests[0].series["syn_new"] == (0, 0, 5, 0, 10, 20, 30, 0)
    assert found.find("demo") is rule
    assert found.find("other") is None


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ('title = "A demo"', 'title = "A demo"\ncolour = 1', 5, "unknown key 'colour'"),
        ('gate = "syn_new > 0"', 'gate = "syn_newest > 0"', 10, "unknown column.*syn_newest"),
        ('gate = "syn_new > 0"', 'gate = "rate > 0"', 10, "unknown column.*rate"),
        ('gate = "syn_new > 0"', "", 8, "'gate' is missing"),
        ('table = "service"', 'table = "services"', 9, "table must be one of"),
        ('window = "10s"', 'window = "10 s"', 11, "duration"),
        ('window = "10s"', "window = 10", 11, "window must be a text"),
        ('window = "10s"', 'window = "0s"', 11, "duration"),
        ('"syn_new / 10"', '"syn_new ** 10"', 14, "not allowed"),
        ('"syn_new / 10"', '"share / 10"', 14, "unknown column or feature share"),
        ('"syn_new / 10"', '"median(syn_new)"', 14, "unknown function median"),
        ('"syn_new / 10"', '"p_tail(share)"', 14, "needs a .baseline.share"),
        ('rate = "syn_new', 'syn_new = "syn_new', 14, "name of something else"),
        ("[baseline.rate]", "[baseline.rates]", 17, "unknown feature rates"),
        ('model = "negbin"', 'model = "gauss"', 18, "model must be one of"),
        ('model = "negbin"', 'model = "binomial"', 18, "needs scale_by"),
        ("floor = 20", 'floor = "20"', 21, "floor must be a number"),
        ("floor = 20", "floor = true", 21, "floor must be a number"),
        ("floor = 20", "floor = inf", 21, "floor must be a number"),
        ("p_tail(rate)", "p_tail(share)", 26, "needs a .baseline.share"),
        ('rise = "1/1"', 'rise = "2/1"', 31, "k of n"),
        ('rise = "1/1"', 'rise = "2/40"', 31, "k of n"),
        ('"surge", "burst"', '"surge", "brust"', 34, "unknown condition brust"),
        ("any_of", "one_of", 33, "any_of or all_of"),
        ("cond.burst, 0", "cond.brust, 0", 37, "unknown.*cond.brust"),
        ("medium = 30", "medium = 70", 38, "ascend"),
        ("prior = 0.02", "prior = 0", 41, "prior must be a number"),
        ('"share > 0.5"', '"shares > 0.5"', 44, "unknown.*shares"),
        ('nats = "1.5"', 'nats = "1.5", weight = 1', 44, "unknown key 'weight'"),
        ('"dst_ip"', '"name"', 48, "no part of this table's key"),
        ('hold = "1m"', 'hold = "1w"', 50, "duration"),
        ("syn_new = ", "syn_old = ", 54, "unknown column syn_old"),
        ("0+10x3", "0+10y3", 54, "neither"),
        ("0+10x3", "0x999999", 54, "longer than"),
        ("opens = 1", "opened = 1", 55, "unknown key 'opened'"),
        ("schema = 1", "schema = 2", 1, "schema must be 1"),
        ('id = "demo"', 'id = "Demo!"', 2, "lower-case word"),
        ('id = "demo"', 'id = "demo', 2, "not TOML"),
        ("[severity]", "[severity", 36, "not TOML"),
    ],
)
def test_says_where_and_why(folder, old, new, line, reason):
    assert old in GOOD
    found = load(folder(bad=GOOD.replace(old, new, 1), good=GOOD.replace("demo", "fine")))
    assert [rule.id for rule in found.rules] == ["fine"]  # the others go on
    (error,) = found.errors
    assert error.file.endswith("bad.toml")
    assert re.search(reason, error.reason), error.reason
    assert error.line == line, error
    assert str(error) == f"{error.file}:{error.line}: {error.reason}"


def test_an_override_changes_numbers_and_nothing_else(folder):
    own = folder(
        mine="""
id = "demo"
enabled = false
[params]
floor = 50
[allow]
sources = ["10.0.0.0/8", "2001:db8::1"]
names = ["Example.com."]
until = 2030-01-31
[severity.levels]
high = 90
"""
    )
    found = load(folder(demo=GOOD), own)
    assert not found.errors
    (rule,) = found.rules
    assert not rule.enabled
    assert rule.params == {"floor": 50, "alpha": 1e-7}
    assert dict(rule.levels) == {"low": 0, "medium": 30, "high": 90}
    assert len(rule.allow.sources) == 2
    assert (rule.allow.names, rule.allow.until) == (("example.com",), date(2030, 1, 31))
    assert rule.title == "A demo"
    assert [Path(file).name for file in rule.overridden_by] == ["mine.toml"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('id = "demo"\ntitle = "mine"', 2, "'title': only"),
        ('id = "demo"\n[params]\nfloors = 1', 3, "'floors' is not in the rule"),
        ('id = "demo"\n[params]\nfloor = "1"', 3, "must be a number"),
        ('id = "demo"\n[severity]\nscore = "1"', 3, "unknown key 'score'"),
        ('id = "demo"\n[severity.levels]\nlow = 99', 2, "ascend"),
        ('id = "demo"\n[allow]\nsources = ["10.0.0.300"]', 2, "no address"),
        ('id = "demo"\n[allow]\nuntil = "tomorrow"', 2, "until must be a date"),
    ],
)
def test_a_bad_override_leaves_the_rule_as_it_was(folder, text, line, reason):
    found = load(folder(demo=GOOD), folder(mine=text))
    assert found.rules[0].params["floor"] == 20
    (error,) = found.errors
    assert (error.line, error.rule_id) == (line, "demo")
    assert reason in error.reason


def test_a_new_id_in_the_second_folder_is_a_rule_of_its_own(folder):
    found = load(folder(demo=GOOD), folder(mine=GOOD.replace('"demo"', '"mine"')))
    assert [rule.id for rule in found.rules] == ["demo", "mine"]
    assert not found.errors


def test_one_id_twice_in_a_folder_is_an_error(folder):
    found = load(folder(a=GOOD, b=GOOD))
    assert len(found.rules) == 1
    assert found.errors[0].file.endswith("b.toml")
    assert "a.toml already" in found.errors[0].reason


def test_a_file_that_breaks_keeps_its_version_of_before(folder):
    place = folder(demo=GOOD, other=GOOD.replace('"demo"', '"other"'))
    before = load(place)
    (place / "demo.toml").write_text(GOOD.replace("floor = 20", "floor = nothing"))
    (place / "other.toml").write_text(GOOD.replace('"demo"', '"other"').replace("= 20", "= 30"))
    after = load(place, previous=before)
    assert len(after.errors) == 1
    assert after.find("demo") == before.find("demo")
    assert after.find("other").params["floor"] == 30
    assert load(place).find("demo") is None


def test_files_are_bounded_and_must_be_text(folder):
    place = folder(huge=GOOD + "#" * MAX_OCTETS, deep="a = " + "[" * 50_000)
    (place / "binary.toml").write_bytes(b"\xff\xfe\x00")
    found = load(place)
    assert not found.rules
    assert len(found.errors) == 3


def test_the_examples_of_the_design_load():
    found = load_rules(HERE / "rules", columns=EXAMPLE_TABLES)
    assert not found.errors
    assert {rule.id for rule in found.rules} == {"syn_flood", "slowloris", "dns_amplification"}


def test_lines_of_keys():
    text = '[a]\nx = """\n[b]\ny = 1\n"""\n[[c]]\nz = 1\n[[c]]\nz = [\n { w = 2 },\n]\n'
    at = Positions(text)
    assert at.line(("a", "x")) == 2
    assert at.line(("c", 0, "z")) == 7
    assert at.line(("c", 1, "z")) == 9
    assert at.line(("c", 1, "z", 0, "w")) == 10


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_mutilated_file_is_an_error_or_a_rule_but_no_crash(tmp_path_factory, data):
    place = tmp_path_factory.mktemp("rules")
    at = data.draw(st.integers(0, len(GOOD) - 1))
    length = data.draw(st.integers(0, 30))
    patch = data.draw(st.text('"[]{}=.,\n x1-_', max_size=8))
    (place / "demo.toml").write_text(GOOD[:at] + patch + GOOD[at + length :])
    found = load(place)
    assert len(found.rules) + len(found.errors) == 1
