"""Numerical checks of derivatives: one random direction, central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from typing_extensions import TypeVarTuple, Unpack

from neo_array import tree
from neo_tape._differences import (
    TOLERANCE,
    Slope,
    coarsest,
    direction_like,
    dot,
    numbers,
    opened,
    random_like,
    size_of,
    varies,
)
from neo_tape._products import jvp, vjp

Ts = TypeVarTuple("Ts")


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

    Orders above the first check the derivative's own derivatives, with respect to the arguments and to the tangent or
    cotangent, in all combinations of the modes. Use float64: in float32 the difference quotient itself is right to
    about two digits. f must be smooth at `args` and give the same values at each call; integers, booleans and random
    keys are constants.

    Args:
        f: any function of pytrees to a pytree.
        args: a tuple, one entry per argument of f.
        order: how many times f is differentiated.
        modes: by which of forward and reverse mode.
        seed: of the random directions.
        tolerance: the relative error allowed; the default depends on the dtype (1e-6 for float64).

    Raises:
        AssertionError: if a derivative is wrong; it names the mode, the order, and both values.
        ValueError: if there is nothing to differentiate: no argument, or no output, is floating or complex.

    Example:
        >>> from neo_array import asarray, float64, sin
        >>> check_grads(lambda x: sin(x) * x, (asarray([0.3, 0.7], dtype=float64),))
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown or not modes or order < 1:
        raise ValueError(f'check_grads: modes must be among "fwd", "rev", and order at least 1, got {modes!r}, {order}')
    if not any(map(varies, tree.leaves(args))):
        raise ValueError("check_grads: no argument is floating or complex, so there is nothing to differentiate")
    _check(f, args, order, tuple(modes), np.random.default_rng(seed), tolerance, "")


def _check(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    order: int,
    modes: tuple[str, ...],
    rng: np.random.Generator,
    tolerance: float | None,
    path: str,
) -> None:
    args = opened(args)
    direction = tree.tree_map(lambda x: direction_like(x, rng), args)
    slope = Slope(f, args, direction)
    if not slope.middle:
        raise ValueError("check_grads: f returns nothing floating or complex, so there is nothing to differentiate")
    for mode in modes:
        name = f"{mode}{path}"
        if mode == "fwd":
            tangent = jvp(f, args, direction)[1]
            allowed = TOLERANCE[coarsest(tangent, args)] if tolerance is None else tolerance
            for i, (got, middle) in enumerate(zip(numbers(tangent), slope.middle, strict=True)):
                _raise(name, slope.mistake(got, lambda n, i=i: slope.leaves(n)[i], middle, allowed))  # type: ignore[misc]
            if order > 1:
                _check(lambda a, d: jvp(f, a, d)[1], (args, direction), order - 1, modes, rng, tolerance, f" of {name}")
        else:
            out, pullback = vjp(f, *args)
            cotangent = tree.tree_map(lambda x: random_like(x, rng), out)
            gradient = pullback(cotangent)
            allowed = TOLERANCE[coarsest(gradient, cotangent)] if tolerance is None else tolerance
            given, found, way = numbers(cotangent), numbers(gradient), numbers(direction)
            size = size_of(found, way)
            of = np.asarray(size_of(given, slope.middle))
            _raise(name, slope.mistake(dot(found, way), lambda n, g=given: slope.along(g, n), of, allowed, size))  # type: ignore[misc]
            if order > 1:
                _check(
                    lambda a, g: vjp(f, *a)[1](g), (args, cotangent), order - 1, modes, rng, tolerance, f" of {name}"
                )


def _raise(name: str, mistake: str | None) -> None:
    if mistake is not None:
        raise AssertionError(f"check_grads: {name} is wrong: {mistake}")
