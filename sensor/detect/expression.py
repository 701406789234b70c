"""Rule expressions: a small, safe part of Python's, compiled once and evaluated over whole columns.

Allowed are numbers, names, `cond.<id>` and `sensor.<column>`, + - * /, comparisons (chained too),
and/or/not, and calls of the functions below. A statistic such as `p_tail(silent)` takes the name
of one feature. Everything else is refused, so an expression can neither loop nor reach an object.

Values are float64 arrays over the keys of a table (or scalars). Division by zero gives 0 (a share
of nothing), logarithms of what is not positive are those of 1e-304, NaN (unknown) makes every
comparison false. `and` stops early when no key is left, so costly statistics belong at its end.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Truths = NDArray[np.bool_]

MAX_LENGTH = 1000  # characters; the longest shipped one has about 150
MAX_DEPTH = 32
TINY = 1e-304  # its natural logarithm is about -700: far below any tail we report

STATISTICS = frozenset({"p_tail", "z", "cusum", "mean", "n_seen"})
_ARITY = {
    "min": (2, 8),
    "max": (2, 8),
    "clamp": (3, 3),
    "log10": (1, 1),
    "ln": (1, 1),
    "sqrt": (1, 1),
}
FUNCTIONS = frozenset(_ARITY) | STATISTICS
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_PREFIXES = ("cond", "sensor")


class ExpressionError(ValueError):
    """Why an expression is refused."""


def _divide(a: Any, b: Any) -> Any:
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)


def _differ(a: Any, b: Any) -> Any:
    a, b = np.asarray(a), np.asarray(b)
    return (a != b) & (a == a) & (b == b)


def _every(*parts: Callable[[], Any]) -> Any:
    truth = np.asarray(parts[0]())
    for part in parts[1:]:
        if not truth.any():
            break
        truth = truth & part()
    return truth


def _either(*parts: Callable[[], Any]) -> Any:
    truth = np.asarray(parts[0]())
    for part in parts[1:]:
        if truth.all():
            break
        truth = truth | part()
    return truth


def _least(first: Any, *rest: Any) -> Any:
    for value in rest:
        first = np.minimum(first, value)
    return first


def _most(first: Any, *rest: Any) -> Any:
    for value in rest:
        first = np.maximum(first, value)
    return first


_GLOBALS: dict[str, Any] = {
    "__builtins__": {},
    "min": _least,
    "max": _most,
    "clamp": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "log10": lambda x: np.log10(np.maximum(x, TINY)),
    "ln": lambda x: np.log(np.maximum(x, TINY)),
    "sqrt": lambda x: np.sqrt(np.maximum(x, 0.0)),
    "divide": _divide,
    "differ": _differ,
    "every": _every,
    "either": _either,
    "negate": np.logical_not,
    "number": lambda x: np.asarray(x, np.float64),
    "truth": lambda x: _differ(x, 0.0),
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. `names` has every name it reads, spelled as in `cond.surge`.

    `subject` is the first comparison of a name with something: the name and the expression it is
    compared with, for the evidence of an event; None where there is none.
    """

    text: str
    names: frozenset[str]
    statistics: frozenset[tuple[str, str]]  # (function, feature)
    logical: bool  # its value is a truth, not a number
    subject: tuple[str, str] | None = field(default=None, compare=False)
    _run: Callable[[Mapping[str, Any]], Any] = field(
        default=lambda s: None, compare=False, repr=False
    )

    def numbers(self, scope: Mapping[str, Any], size: int) -> Values:
        """The values over `size` keys."""
        value = np.asarray(self._run(scope), np.float64)
        return value if value.shape == (size,) else np.broadcast_to(value, (size,)).copy()

    def truths(self, scope: Mapping[str, Any], size: int) -> Truths:
        """Where it holds over `size` keys; a number holds when it is neither 0 nor unknown."""
        value = np.asarray(self._run(scope))
        if value.dtype != np.bool_:
            value = _differ(value, 0.0)
        return value if value.shape == (size,) else np.broadcast_to(value, (size,)).copy()


def compile_expression(text: str) -> Expression:
    """`text` as an Expression; ExpressionError says what is not allowed."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too deep"
        raise ExpressionError(f"no expression: {reason}") from None
    writer = _Writer()
    body, logical = writer.write(tree, 0)
    code = ast.Expression(
        ast.Lambda(
            args=ast.arguments(
                posonlyargs=[], args=[ast.arg("s")], kwonlyargs=[], kw_defaults=[], defaults=[]
            ),
            body=body,
        )
    )
    return Expression(
        text,
        frozenset(writer.names),
        frozenset(writer.statistics),
        logical,
        _subject(tree),
        _Code(code),
    )


class _Code:
    """Compiled when it is first asked: of the shipped rules' expressions few are in a minute."""

    def __init__(self, code: ast.Expression) -> None:
        self._code = code
        self._run: Callable[[Mapping[str, Any]], Any] | None = None

    def __call__(self, scope: Mapping[str, Any]) -> Any:
        if self._run is None:
            whole = compile(ast.fix_missing_locations(self._code), "<rule>", "eval")
            self._run = eval(whole, dict(_GLOBALS))  # noqa: S307 - every node is _Writer's
        return self._run(scope)


def _subject(tree: ast.expr) -> tuple[str, str] | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name):
            return node.left.id, ast.unparse(node.comparators[0])
    return None


def _call(name: str, *args: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _later(body: ast.expr) -> ast.expr:
    none = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(args=none, body=body)


class _Writer:
    """Rewrites the tree of an expression into one over arrays; refuses what is not allowed."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.statistics: set[tuple[str, str]] = set()

    def write(self, node: ast.expr, depth: int) -> tuple[ast.expr, bool]:
        """The rewritten node, and whether its value is a truth."""
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH}")
        depth += 1
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self._constant(value), False
            case ast.Name(id=name):
                if name in _PREFIXES:
                    raise ExpressionError(f"{name} needs a part: {name}.<name>")
                return self._read(name), False
            case ast.Attribute(value=ast.Name(id=prefix), attr=name) if prefix in _PREFIXES:
                return self._read(f"{prefix}.{name}"), prefix == "cond"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _call("negate", self._truth(operand, depth)), True
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                return ast.UnaryOp(sign, self._number(operand, depth)), False
            case ast.BinOp(left=left, op=operator, right=right) if isinstance(operator, _OPERATORS):
                a, b = self._number(left, depth), self._number(right, depth)
                if isinstance(operator, ast.Div):
                    return _call("divide", a, b), False
                return ast.BinOp(a, operator, b), False
            case ast.BoolOp(op=operator, values=values):
                parts = [_later(self._truth(value, depth)) for value in values]
                return _call("every" if isinstance(operator, ast.And) else "either", *parts), True
            case ast.Compare():
                return self._compare(node, depth), True
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._function(name, args, depth), False
        raise ExpressionError(f"not allowed: {ast.unparse(node)[:60]}")

    def _constant(self, value: float) -> ast.expr:
        try:
            number = float(value)
        except OverflowError:
            number = np.inf
        if not np.isfinite(number):
            raise ExpressionError("a number without bounds")
        return ast.Constant(number)

    def _read(self, name: str) -> ast.expr:
        self.names.add(name)
        return self._item(name)

    @staticmethod
    def _item(name: str) -> ast.expr:
        return ast.Subscript(ast.Name("s", ast.Load()), ast.Constant(name), ast.Load())

    def _number(self, node: ast.expr, depth: int) -> ast.expr:
        written, logical = self.write(node, depth)
        return _call("number", written) if logical else written

    def _truth(self, node: ast.expr, depth: int) -> ast.expr:
        written, logical = self.write(node, depth)
        return written if logical else _call("truth", written)

    def _compare(self, node: ast.Compare, depth: int) -> ast.expr:
        terms = [self._number(term, depth) for term in (node.left, *node.comparators)]
        pairs: list[ast.expr] = []
        for operator, a, b in zip(node.ops, terms, terms[1:], strict=False):
            if not isinstance(operator, _COMPARISONS):
                raise ExpressionError(f"not allowed: {ast.unparse(node)[:60]}")
            if isinstance(operator, ast.NotEq):
                pairs.append(_call("differ", a, b))
            else:
                pairs.append(ast.Compare(a, [operator], [b]))
        return pairs[0] if len(pairs) == 1 else _call("every", *map(_later, pairs))

    def _function(self, name: str, args: list[ast.expr], depth: int) -> ast.expr:
        if name in STATISTICS:
            if len(args) != 1 or not isinstance(args[0], ast.Name):
                raise ExpressionError(f"{name} takes the name of one feature")
            self.statistics.add((name, args[0].id))
            return self._item(f"{name}({args[0].id})")
        if name not in _ARITY:
            raise ExpressionError(f"unknown function {name}")
        low, high = _ARITY[name]
        if not low <= len(args) <= high:
            raise ExpressionError(f"{name} takes {low}" + (f" to {high}" if high > low else ""))
        return _call(name, *(self._number(arg, depth) for arg in args))
