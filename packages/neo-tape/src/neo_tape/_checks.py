"""Numerical checks of derivatives: one random direction, central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from typing_extensions import TypeVarTuple, Unpack

from neo_array import Array, asarray, tree
from neo_array._bind import is_differentiable
from neo_tape._products import jvp, vjp

Ts = TypeVarTuple("Ts")

# relative error allowed, and step relative to the argument's size: the step balances truncation (h^2) against rounding
# (eps / h), which is least near the cube root of the machine precision
_TOLERANCE = {"float16": 0.15, "bfloat16": 0.3, "float32": 2e-2, "complex64": 2e-2, "float64": 1e-6, "complex128": 1e-6}
_STEP = {"float16": 5e-2, "bfloat16": 1e-1, "float32": 5e-3, "complex64": 5e-3, "float64": 6e-6, "complex128": 6e-6}


def check_grads(
    f: Callable[[Unpack[Ts]], object],
    args: tuple[*Ts],
    order: int = 2,
    modes: Sequence[Literal["fwd", "rev"]] = ("fwd", "rev"),
    *,
    seed: int = 0,
    tolerance: float | None = None,
) -> None:
    """Check f's derivatives at `args` against central differences along a random direction, up to `order`.

    Orders above the first check the derivative's own derivatives, in all combinations of the modes. Use float64: in
    float32 the difference quotient itself is right to about two digits.

    Args:
        tolerance: the relative error allowed; the default depends on the dtype (1e-6 for float64).

    Raises:
        AssertionError: if a derivative is wrong; it names the mode, the order, and both values.
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown or not modes or order < 1:
        raise ValueError(f'check_grads: modes must be among "fwd", "rev", and order at least 1, got {modes!r}, {order}')
    _check(f, args, order, tuple(modes), np.random.default_rng(seed), tolerance, "")


def _check(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    order: int,
    modes: tuple[str, ...],
    rng: Any,
    tolerance: Any,
    path: str,
) -> None:
    direction = tree.tree_map(lambda x: _random_like(x, rng), args)
    expected = _difference_quotient(f, args, direction)
    for mode in modes:
        name = f"{mode}{path}"
        if mode == "fwd":
            tangent = jvp(f, args, direction)[1]
            _compare_leaves(tangent, expected, tolerance or _allowed([tangent, args]), name)
            if order > 1:
                _check(lambda *a: jvp(f, a, direction)[1], args, order - 1, modes, rng, tolerance, f" of {name}")
        else:
            out, pullback = vjp(f, *args)
            cotangent = tree.tree_map(lambda x: _random_like(x, rng), out)
            gradient = pullback(cotangent)
            allowed = tolerance or _allowed([gradient, cotangent])
            _compare(_dot(gradient, direction), _dot(cotangent, expected), allowed, name, _scale(gradient, direction))
            if order > 1:
                _check(lambda *a, c=cotangent: vjp(f, *a)[1](c), args, order - 1, modes, rng, tolerance, f" of {name}")


def _random_like(x: Any, rng: Any) -> Any:
    if type(x) is not Array:
        return float(_signed(rng, ())) if isinstance(x, float) else x
    if not is_differentiable(x):
        return x
    values = _signed(rng, x.shape) + (1j * _signed(rng, x.shape) if x.dtype.kind == "c" else 0)
    return asarray(np.asarray(values), dtype=x.dtype, device=x.device)


def _signed(rng: Any, shape: tuple[int, ...]) -> Any:
    """Draw numbers of either sign that are not small, so that no element's error can hide behind the others."""
    return rng.choice([-1.0, 1.0], size=shape) * rng.uniform(0.5, 1.5, size=shape)


def _values(x: Any) -> Any:
    return x.numpy().astype(np.complex128 if x.dtype.kind == "c" else np.float64) if type(x) is Array else x


def _difference_quotient(f: Callable[..., Any], args: tuple[Any, ...], direction: Any) -> Any:
    dtypes = [x.dtype.name for x in tree.leaves(args) if type(x) is Array and is_differentiable(x)]
    step = max((_STEP[name] for name in dtypes), default=_STEP["float64"])

    def moved(sign: int) -> list[Any]:
        def shift(x: Any, d: Any) -> Any:
            if type(x) is Array and is_differentiable(x):
                return asarray(np.asarray(_values(x) + sign * step * _values(d)), dtype=x.dtype, device=x.device)
            return x + sign * step * d if isinstance(x, float) else x

        return tree.leaves(f(*tree.tree_map(shift, args, direction)))

    up, down = moved(1), moved(-1)
    return [
        (_values(u) - _values(d)) / (2 * step) if type(u) is Array and is_differentiable(u) else None
        for u, d in zip(up, down, strict=True)
    ]


def _pairs(a: Any, b: Any) -> list[tuple[Any, Any]]:
    kept = [x for x in tree.leaves(a) if (type(x) is Array and is_differentiable(x)) or isinstance(x, float)]
    other = b if isinstance(b, list) else tree.leaves(b)
    rest = [
        y
        for y in other
        if isinstance(y, np.ndarray | np.inexact | float) or (type(y) is Array and is_differentiable(y))
    ]
    return [(_values(x), _values(y)) for x, y in zip(kept, rest, strict=True)]


def _dot(a: Any, b: Any) -> Any:
    """Pair a cotangent with a tangent: the real part of the sum of products.

    That is all that a function of complex numbers which is not holomorphic keeps; the random cotangent brings the
    imaginary part in.
    """
    return sum((np.sum(x * y).real for x, y in _pairs(a, b)), np.float64(0))


def _scale(a: Any, b: Any) -> float:
    return float(sum(np.sum(np.abs(x * y)) for x, y in _pairs(a, b)))


def _allowed(values: Any) -> float:
    """Return the error allowed for the least exact dtype among the values."""
    names = [x.dtype.name for x in tree.leaves(values) if type(x) is Array and is_differentiable(x)]
    return max((_TOLERANCE[name] for name in names), default=_TOLERANCE["float64"])


def _compare_leaves(got: Any, expected: Any, allowed: float, name: str) -> None:
    for mine, numeric in _pairs(got, expected):
        _compare(mine, numeric, allowed, name)


def _compare(got: Any, numeric: Any, allowed: float, name: str, scale: float = 0.0) -> None:
    size = max(1.0, scale, float(np.max(np.abs(numeric), initial=0.0)))
    error = np.max(np.abs(got - numeric), initial=0.0)
    if not error <= allowed * size:
        raise AssertionError(
            f"check_grads: {name} is wrong: got {np.asarray(got)}, by differences {np.asarray(numeric)} "
            f"(error {float(error):.3g}, allowed {allowed * size:.3g})"
        )
