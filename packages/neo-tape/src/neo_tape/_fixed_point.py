"""`fixed_point`: where an iteration ends, differentiated at its end and not through its steps."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import TypeVar

from typing_extensions import TypeVarTuple, Unpack

import neo_array as na
from neo_array import Array, DTypeError, ShapeError
from neo_array._payloads import Batched
from neo_tape._custom_root import root_of
from neo_tape._implicit import Arrays
from neo_tape._linear_systems import Linear, every
from neo_tape._unknowns import ConvergenceError, Unknowns

X = TypeVar("X")
Ts = TypeVarTuple("Ts")


def fixed_point(
    f: Callable[[X, Unpack[Ts]], X], x0: X, *args: *Ts, tol: float | None = None, max_steps: int = 1000
) -> X:
    """Return the x with x = f(x, *args), found by applying f again and again.

    It is differentiable by args and by all that f closes over, in both modes and to any order: by the equation, as
    `custom_root` is, so that memory does not grow with the steps. Under vmap the iteration goes on until all examples
    have converged; those that have keep their values.

    Args:
        f: a function from the unknowns, a pytree of real floating Arrays, and args; its result looks like the unknowns.
        x0: where to start. The result does not depend on it as far as derivatives go.
        args: further arguments of f, pytrees.
        tol: the iteration ends when no element moves by more than `tol * (1 + abs(x))`. Default: `eps**0.75` of the
            coarsest dtype, 1.8e-12 for float64 and 6.4e-6 for float32.
        max_steps: after how many steps to give up.

    Raises:
        ConvergenceError: it has not converged after max_steps, or became infinite or nan.
        DTypeError: the unknowns are not real floating Arrays, or f returns something that looks different.
        TreeError: f returns another structure.

    Example:
        >>> from neo_array import asarray, cos
        >>> from neo_tape import grad
        >>> x, a = asarray(1.0), asarray(1.0)
        >>> round(fixed_point(lambda x, a: cos(a * x), x, a).item(), 3)
        0.739
        >>> round(grad(lambda a: fixed_point(lambda x: cos(a * x), x))(a).item(), 3)
        -0.297
    """
    if not callable(f):
        raise DTypeError(f"fixed_point: f must be a function, got {type(f).__name__}")
    if type(max_steps) is not int or max_steps < 1:
        raise ShapeError(f"fixed_point: max_steps must be a positive int, got {max_steps!r}")
    unknowns = Unknowns(x0, "fixed_point")
    if tol is None:
        tol = max((float(na.finfo(x.dtype).eps) ** 0.75 for x in unknowns.metas), default=0.0)
    bound = tol

    def excess(x: Arrays) -> Arrays:
        step = unknowns.checked(f(unknowns.structured(x), *args), "f must return")
        return [y - each for y, each in zip(step, x, strict=True)]

    root: X = root_of(excess, unknowns, lambda g, guess: _iterate(g, guess, bound, max_steps), None)
    return root


def _iterate(excess: Linear, x: Arrays, tol: float, max_steps: int) -> Arrays:
    """Add the excess until there is none. Converged examples stay as they are."""
    if not x:
        return x
    done: Array | None = None
    for step in range(max_steps):
        moves = excess(x)
        new = [each + move for each, move in zip(x, moves, strict=True)]
        close = _everywhere([na.abs(move) <= tol * (1.0 + na.abs(y)) for move, y in zip(moves, new, strict=True)])
        finite = _everywhere(list(map(na.isfinite, new)))
        close = close & finite  # inf - 1 is within any tolerance of inf
        if done is None:
            x, done = new, close
        else:
            x = [na.where(done, each, y) for each, y in zip(x, new, strict=True)]
            done, finite = done | close, finite | done
        if every(done):
            return x
        if not every(finite):
            raise ConvergenceError(
                f"fixed_point: x became infinite or nan after {step + 1} steps: the iteration diverges from this x0, "
                "or f is not defined there; start closer, or damp it: (1 - c) * x + c * f(x) for f(x)"
            )
    raise ConvergenceError(
        f"fixed_point: not converged after {max_steps} steps: the last moved x by up to {_largest(moves):.3g}, and "
        f"tol is {tol:.3g}; pass a larger max_steps or tol, or damp it: (1 - c) * x + c * f(x) for f(x)"
    )


def _everywhere(conditions: list[Array]) -> Array:
    return functools.reduce(operator.and_, map(na.all, conditions))


def _largest(moves: Arrays) -> float:
    """Return the largest absolute value, of all examples."""
    largest = 0.0
    for move in map(na.abs, moves):
        while type(move._raw) is Batched:
            move = move._raw.inner
        largest = max(largest, float(move._raw.max()) if move.size else 0.0)
    return largest
