"""Expressions of rules, held against Python's own evaluation of the same text."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.detect.expression import ExpressionError, compile_expression

NAMES = ("a", "b", "share", "cond.x", "sensor.packets")
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3))


def expressions(depth):
    leaf = st.one_of(st.sampled_from(NAMES), st.integers(0, 99).map(str), st.just("0.5"))
    if depth == 0:
        return leaf
    inner = expressions(depth - 1)
    pair = st.tuples(inner, inner)
    return st.one_of(
        leaf,
        st.tuples(st.sampled_from("+-*"), pair).map(lambda t: f"({t[1][0]} {t[0]} {t[1][1]})"),
        st.tuples(st.sampled_from(("<", "<=", ">", ">=", "==", "!=")), pair).map(
            lambda t: f"({t[1][0]} {t[0]} {t[1][1]})"
        ),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} < {t[1]} <= {t[2]})"),
        st.tuples(st.sampled_from(("and", "or")), pair).map(
            lambda t: f"(({t[1][0]} > 0) {t[0]} ({t[1][1]} > 0))"
        ),
        inner.map(lambda text: f"(not {text})"),
        inner.map(lambda text: f"(-{text})"),
        st.tuples(st.sampled_from(("min", "max")), pair).map(
            lambda t: f"{t[0]}({t[1][0]}, {t[1][1]})"
        ),
    )


class Prefixed:
    def __init__(self, **values):
        self.__dict__.update(values)


@given(expressions(3), st.lists(st.tuples(*[NUMBERS] * 3, st.booleans()), min_size=1, max_size=5))
def test_says_what_python_says_for_every_key(text, keys):
    columns = [np.array(column) for column in zip(*keys, strict=True)]
    scope = dict(zip(("a", "b", "share", "cond.x"), columns, strict=True))
    scope["sensor.packets"] = 7.0
    found = compile_expression(text).numbers(scope, len(keys))
    for i, (a, b, share, x) in enumerate(keys):
        names = {"a": a, "b": b, "share": share, "cond": Prefixed(x=x)}
        names |= {"sensor": Prefixed(packets=7.0), "min": min, "max": max}
        assert found[i] == pytest.approx(float(eval(text, names)), rel=1e-9)  # noqa: S307


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a / b", [0.0, 2.0]),  # nothing of nothing is no share
        ("0 / 0", [0.0, 0.0]),
        ("a / b > 1", [0.0, 1.0]),
        ("ln(b)", [math.log(1e-304), math.log(2)]),
        ("log10(b - 2)", [-304.0, -304.0]),
        ("sqrt(0 - a)", [0.0, 0.0]),
        ("clamp(a, 2, 3.5)", [2.0, 3.5]),
        ("20 * (a > 1) + (b > 1)", [0.0, 21.0]),
        ("nan > 0 or nan <= 0 or nan == nan or nan != nan or nan != 1", [0.0, 0.0]),
        ("1 < max(nan, 5)", [0.0, 0.0]),  # unknown stays unknown
        ("min(a, b, 1, 9)", [0.0, 1.0]),
    ],
)
def test_edges(text, value):
    scope = {"a": np.array([1.0, 4.0]), "b": np.array([0.0, 2.0]), "nan": np.full(2, np.nan)}
    assert compile_expression(text).numbers(scope, 2) == pytest.approx(value)


def test_what_it_reads_is_known_before_it_runs():
    found = compile_expression(
        "x >= 2 * floor and p_tail(x) < alpha and cond.a and sensor.bytes > 0"
    )
    assert found.names == {"x", "floor", "alpha", "cond.a", "sensor.bytes"}
    assert found.statistics == {("p_tail", "x")}
    assert found.subject == ("x", "2 * floor")


def test_a_statistic_at_the_end_is_not_computed_for_nothing():
    class Scope(dict):
        def __missing__(self, name):
            raise AssertionError(f"{name} was asked for")

    expression = compile_expression("x >= floor and p_tail(x) < 1e-7")
    assert not expression.truths(Scope(x=np.zeros(3), floor=20.0), 3).any()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a; b",
        "a ** 2",
        "a % 2",
        "a // 2",
        "a & b",
        "~a",
        "'a'",
        "a[0]",
        "a.b",
        "a.__class__",
        "sensor",
        "cond.x.y",
        "sensor.packets.real",
        "(lambda: 1)()",
        "lambda: 1",
        "a if b else a",
        "[a for a in b]",
        "{a}",
        "a in b",
        "a is b",
        "(a := 1)",
        "True",
        "None",
        "1j",
        "1e999",
        "9" * 400,
        "min(a)",
        "min(*a)",
        "clamp(a, b)",
        "ln(a, b)",
        "min(a, key=b)",
        "exec(a)",
        "__import__(a)",
        "p_tail(1)",
        "p_tail(a + b)",
        "p_tail(a, b)",
        "f'{a}'",
        "await a",
        "-" * 50 + "a",
        "not " * 240 + "a",
        "(" * 300 + "a" + ")" * 300,
        "a + " * 300 + "a",
        "a\nb",
    ],
)
def test_refuses_whatever_is_more_than_arithmetic(text):
    with pytest.raises(ExpressionError):
        compile_expression(text)


@given(st.text(max_size=200) | st.text("ab01()<>=+-*/., ndotry", max_size=80))
def test_any_text_is_an_expression_or_refused(text):
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return
    scope = {name: np.ones(2) for name in expression.names}
    scope |= {f"{f}({x})": np.ones(2) for f, x in expression.statistics}
    assert expression.numbers(scope, 2).shape == (2,)
