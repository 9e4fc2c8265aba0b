"""The rules of a primitive: what fills its slots, and what a rule's parameter names say it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    residuals, wanted, unknown = [], [], []
    for parameter in list(inspect.signature(f).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY:
            wanted.append(parameter.name)
            unknown += [parameter.name] if parameter.name not in (*options, "wanted") else []
        else:
            residuals.append(Residual(parameter.name, _KEEP.get(parameter.annotation, WHOLE)))
            unknown += [parameter.name] if parameter.name not in (*arrays, "out") else []
    if unknown:
        raise TypeError(
            f"{op}.vjp({', '.join(inputs)}): unknown residuals {unknown}; name `out`, an argument {list(arrays)} "
            f"or, as keyword-only parameters, options {list(options)}"
        )
    return VjpRule(tuple(inputs), f, tuple(residuals), tuple(wanted))


def parse_jvp(op: str, arrays: Sequence[str], options: Sequence[str], variadic: bool, f: Callable[..., Any]) -> VjpRule:
    """Read off a forward-mode rule what it needs after its tangents: one per array argument, a tuple for `*arrays`."""
    parameters = list(inspect.signature(f).parameters.values())
    tangents = 1 if variadic else len(arrays)
    if len(parameters) < tangents or any(p.kind is p.KEYWORD_ONLY for p in parameters[:tangents]):
        raise TypeError(f"{op}.jvp: needs {tangents} tangents first, one per array argument {list(arrays)}")
    residuals = tuple(
        Residual(p.name, _KEEP.get(p.annotation, WHOLE)) for p in parameters[tangents:] if p.kind is not p.KEYWORD_ONLY
    )
    wanted = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    unknown = [r.name for r in residuals if r.name not in (*arrays, "out")] + [o for o in wanted if o not in options]
    if unknown:
        raise TypeError(
            f"{op}.jvp: unknown residuals {unknown}; name `out`, an argument {list(arrays)} "
            f"or an option {list(options)}"
        )
    return VjpRule(tuple(arrays), f, residuals, wanted)
