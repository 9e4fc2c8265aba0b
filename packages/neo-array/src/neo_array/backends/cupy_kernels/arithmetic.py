"""CuPy kernels for arithmetic: where CuPy's functions give other values than NumPy's."""

from __future__ import annotations

import math
from typing import Any

import cupy

from neo_array.ops.division import division_by_zero


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """Choose; CuPy makes float32 of bfloat16."""
    if condition.dtype.kind != "b":
        raise TypeError
    return cupy.where(condition, x1, x2).astype(x1.dtype, copy=False)


def power(base: Any, exponent: Any) -> Any:
    """Raise to a power; CuPy has 0 for integers to negative powers, NumPy an error, and nan for powers of complex 0."""
    kind = base.dtype.kind
    if kind == "b":
        raise TypeError
    if kind in "iu" and bool((exponent < 0).any()):
        raise ValueError
    out = cupy.power(base, exponent)
    if kind != "c":
        return out
    zero = (base == 0) & (exponent != 0)
    return cupy.where(zero, cupy.where(exponent.real > 0, 0.0, math.nan), out).astype(base.dtype, copy=False)


def floor_divide(a: Any, b: Any) -> Any:
    """Divide and round down; CuPy rounds the quotient, and so has 10 for 1 // 0.1. An infinite dividend stays so."""
    if a.dtype.kind in "iu":
        _refuse_zeros("floor_divide", b)
        return cupy.floor_divide(a, b)
    whole, _ = _divmod(a, b)
    return where(cupy.isinf(a), a / b, whole)


def remainder(a: Any, b: Any) -> Any:
    """Return what is left over, with the sign of the divisor; CuPy has nan where that is infinite."""
    if a.dtype.kind in "iu":
        _refuse_zeros("remainder", b)
        return cupy.remainder(a, b)
    return _divmod(a, b)[1]


def _refuse_zeros(op: str, divisor: Any) -> None:
    if not bool(divisor.all()):
        raise division_by_zero(op)


def _divmod(a: Any, b: Any) -> tuple[Any, Any]:
    """Return quotient and remainder of floats from the remainder of C, which is exact, as Python does."""
    if a.dtype.kind in "bc":
        raise TypeError
    rest = cupy.fmod(a, b)
    turned = (rest != 0) & ((rest < 0) != (b < 0))
    ratio = (a - rest) / b
    ratio = where(turned, ratio - 1, ratio)
    down = cupy.floor(ratio)
    whole = where(ratio - down > 0.5, down + 1, down)
    whole = where(ratio == 0, cupy.copysign(0 * ratio, a / b), whole)
    whole = where(b == 0, a / b, whole)
    return whole, where(rest == 0, cupy.copysign(rest, b), where(turned, rest + b, rest))
