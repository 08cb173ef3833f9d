"""Constraints between parameters, as one writes them down: ``hidden_size * critic_iterations <= 4096``."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from study.sections import Value

MAX_CHARACTERS = 300

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Pow: math.pow,  # in floats: a tower of integer powers would fill the memory
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max}
_GRAMMAR = "numbers, text, parameters, + - * / // % **, min(a, b), max(a, b), < <= > >= == !=, and, or, not"


class BadConstraint(ValueError):
    """The text is no constraint; the message says what must hold."""


class Constraint:
    """A condition on the values of a configuration.

    Args:
        text: comparisons of arithmetic over the names of parameters, joined by ``and``, ``or`` and ``not``. Python's
            syntax and precedence; nothing but the words of the grammar is ever evaluated.

    Attributes:
        names: the parameters that it is about.

    Raises:
        BadConstraint: the text is something else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_CHARACTERS:
            raise BadConstraint(f"must have {MAX_CHARACTERS} characters or less, found {len(text)}")
        try:
            self._condition = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise BadConstraint(f"must be a comparison, as in `hidden_size * layers <= 4096`, found {text!r}") from None
        names: dict[str, None] = {}
        _check_condition(self._condition, names)
        self.names = tuple(names)
        if not names:
            raise BadConstraint(f"must be about a parameter, found {text!r}")

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether ``values`` satisfy the constraint; where it has no value they do not.

        It has none in a division by zero, a power of a negative number, or an order between text and numbers.
        """
        try:
            return bool(_evaluate(self._condition, values))
        except (ArithmeticError, TypeError, ValueError):
            return False


@lru_cache(maxsize=1024)
def parse_constraint(text: str) -> Constraint:
    """The constraint of a text, read once."""
    return Constraint(text)


def _is_constraint(text: str) -> str:
    try:
        parse_constraint(text)
    except BadConstraint as error:
        raise PydanticCustomError("study", "{text}", {"text": str(error)}) from None
    return text


ConstraintText = Annotated[str, AfterValidator(_is_constraint)]


def _check_condition(node: ast.expr, names: dict[str, None]) -> None:
    match node:
        case ast.BoolOp(values=parts):
            for part in parts:
                _check_condition(part, names)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            _check_condition(part, names)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
            for part in (left, *others):
                _check_term(part, names)
        case _:
            raise BadConstraint(f"must compare, as in `hidden_size <= 128`, found {ast.unparse(node)!r}")


def _check_term(node: ast.expr, names: dict[str, None]) -> None:
    match node:
        case ast.Name(id=name):
            names[name] = None
        case ast.Constant(value=bool() | int() | float() | str()):
            pass
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=part):
            _check_term(part, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            _check_term(left, names)
            _check_term(right, names)
        # Of one argument min and max expect a list.
        case ast.Call(func=ast.Name(id="min" | "max"), args=[_, _, *_] as parts, keywords=[]):
            for part in parts:
                _check_term(part, names)
        case _:
            raise BadConstraint(f"{ast.unparse(node)!r} is not supported (known: {_GRAMMAR})")


def _evaluate(node: ast.expr, values: Mapping[str, Value]) -> Any:
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=value):
            return value
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_evaluate(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_evaluate(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _evaluate(part, values)
        case ast.UnaryOp(op=op, operand=part):
            value = _number(_evaluate(part, values))
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_number(_evaluate(left, values)), _number(_evaluate(right, values)))
        case ast.Call(func=ast.Name(id=function), args=parts):
            return _FUNCTIONS[function](*(_evaluate(part, values) for part in parts))
        case ast.Compare(left=left, ops=ops, comparators=others):
            terms = [_evaluate(part, values) for part in (left, *others)]
            return all(_COMPARISONS[type(op)](*pair) for op, pair in zip(ops, pairwise(terms), strict=True))
    raise AssertionError(node)  # what is read is checked


def _number(value: Any) -> Any:
    """Python would repeat and format text."""
    if isinstance(value, str):
        raise TypeError(value)
    return value
