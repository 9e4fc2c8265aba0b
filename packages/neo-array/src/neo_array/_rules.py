"""The rules of a primitive: what fills its slots, and what a rule's parameter names say it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Final

from neo_array._dtypes import DType


class Shape(tuple[int, ...]):
    """Annotate a rule's parameter with this to keep the argument's shape alone: `def _(g, x: Shape): ...`."""

    __slots__ = ()


class NoDerivative:
    """Fill a rule slot with "there is none, and why". It raises when a cotangent arrives, not when the op runs."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"NoDerivative({self.reason!r})"


class ZeroDerivative(NoDerivative):
    """Fill a rule slot with "it is zero, and why": nothing is recorded for that input, and nothing raises."""


@dataclass(frozen=True)
class Parameters:
    """The names of a function's parameters by kind."""

    positional_only: tuple[str, ...]
    positional: tuple[str, ...]  # by keyword as well
    keyword_only: tuple[str, ...]
    rest: tuple[str, ...]  # *args
    extra: tuple[str, ...]  # **kwargs


def parameters_of(f: Callable[..., Any]) -> Parameters:
    """Read a function's parameters off its code: `inspect.signature` takes 20 times as long, and imports show it."""
    if not isinstance(f, FunctionType) or hasattr(f, "__wrapped__"):
        return _inspected(f)
    code: CodeType = f.__code__
    names, first, last = code.co_varnames, code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    starred = bool(code.co_flags & inspect.CO_VARARGS)
    return Parameters(
        names[: code.co_posonlyargcount],
        names[code.co_posonlyargcount : first],
        names[first:last],
        names[last : last + starred],
        names[last + starred : last + starred + 1] if code.co_flags & inspect.CO_VARKEYWORDS else (),
    )


def _inspected(f: Callable[..., Any]) -> Parameters:
    kinds: dict[Any, list[str]] = {kind: [] for kind in inspect._ParameterKind}
    for name, parameter in inspect.signature(f).parameters.items():
        kinds[parameter.kind].append(name)
    return Parameters(*(tuple(kinds[kind]) for kind in (0, 1, 3, 2, 4)))


WHOLE: Final = "array"
_KEEP: Final = {
    Shape: "shape",
    "Shape": "shape",
    "na.Shape": "shape",
    DType: "dtype",
    "DType": "dtype",
    "na.DType": "dtype",
}


@dataclass(frozen=True)
class Residual:
    """Something a rule needs: an argument or `out`, whole, or its shape or dtype alone."""

    name: str
    part: str = WHOLE


@dataclass(frozen=True)
class VjpRule:
    """A reverse rule for one input, or for several that share work (it then returns a tuple)."""

    inputs: tuple[str, ...]
    function: Callable[..., Any]
    residuals: tuple[Residual, ...]
    options: tuple[str, ...]


def parse_vjp(
    op: str, arrays: Sequence[str], options: Sequence[str], inputs: Sequence[str], f: Callable[..., Any]
) -> VjpRule:
    """Read off a rule's parameters what it keeps, and refuse names that the op does not have."""
    for name in inputs:
        if name not in arrays:
            raise TypeError(f"{op}.vjp: no array argument {name!r}, got arguments {list(arrays)}")
    parameters = parameters_of(f)
    named = (*parameters.positional_only, *parameters.positional)[1:]  # the cotangent comes first
    unknown = [n for n in named if n not in (*arrays, "out")]
    unknown += [n for n in parameters.keyword_only if n not in (*options, "wanted")]
    if unknown:
        raise TypeError(
            f"{op}.vjp({', '.join(inputs)}): unknown residuals {unknown}; name `out`, an argument {list(arrays)} "
            f"or, as keyword-only parameters, options {list(options)}"
        )
    return VjpRule(tuple(inputs), f, _residuals(f, named), parameters.keyword_only)


def _residuals(f: Callable[..., Any], names: Sequence[str]) -> tuple[Residual, ...]:
    annotations = getattr(f, "__annotations__", {})
    return tuple([Residual(n, _KEEP.get(annotations.get(n), WHOLE)) for n in names])


def parse_jvp(op: str, arrays: Sequence[str], options: Sequence[str], variadic: bool, f: Callable[..., Any]) -> VjpRule:
    """Read off a forward-mode rule what it needs after its tangents: one per array argument, a tuple for `*arrays`."""
    parameters = parameters_of(f)
    named = (*parameters.positional_only, *parameters.positional)
    tangents = 1 if variadic else len(arrays)
    if len(named) < tangents:
        raise TypeError(f"{op}.jvp: needs {tangents} tangents first, one per array argument {list(arrays)}")
    residuals, wanted = _residuals(f, named[tangents:]), parameters.keyword_only
    unknown = [r.name for r in residuals if r.name not in (*arrays, "out")] + [o for o in wanted if o not in options]
    if unknown:
        raise TypeError(
            f"{op}.jvp: unknown residuals {unknown}; name `out`, an argument {list(arrays)} "
            f"or an option {list(options)}"
        )
    return VjpRule(tuple(arrays), f, residuals, wanted)
