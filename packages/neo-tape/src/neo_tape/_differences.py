"""Derivatives by central differences along a direction: what they say, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from neo_array import Array, asarray, tree
from neo_array._bind import is_differentiable

Values: TypeAlias = npt.NDArray[Any]
Function: TypeAlias = Callable[..., Any]

# relative error allowed, and step relative to the argument's size: the step balances truncation (h^2) against rounding
# (eps / h), which is least near the cube root of the machine precision
TOLERANCE: Final = {
    "float16": 0.15,
    "bfloat16": 0.3,
    "float32": 2e-2,
    "complex64": 2e-2,
    "float64": 1e-6,
    "complex128": 1e-6,
}
_STEP: Final = {
    "float16": 5e-2,
    "bfloat16": 1e-1,
    "float32": 5e-3,
    "complex64": 5e-3,
    "float64": 6e-6,
    "complex128": 6e-6,
}
_EPSILON: Final = {
    "float16": 1e-3,
    "bfloat16": 8e-3,
    "float32": 1.2e-7,
    "complex64": 1.2e-7,
    "float64": 2.3e-16,
    "complex128": 2.3e-16,
}


def varies(leaf: object) -> bool:
    """Tell whether a leaf takes part in derivatives: floating and complex Arrays and numbers do."""
    return is_differentiable(leaf) if type(leaf) is Array else isinstance(leaf, float | complex | np.inexact)


def values(leaf: Any) -> Values:
    """Return a leaf's numbers in double precision."""
    found = leaf.numpy() if type(leaf) is Array else np.asarray(leaf)
    return np.asarray(found.astype(np.complex128 if found.dtype.kind == "c" else np.float64))


def numbers(whole: object) -> list[Values]:
    """Return the numbers of each leaf that takes part in derivatives."""
    return [values(x) for x in tree.leaves(whole) if varies(x)]


def coarsest(*trees: object) -> str:
    """Return the name of the least exact dtype among the leaves."""
    names = [x.dtype.name for x in tree.leaves(trees) if type(x) is Array and is_differentiable(x)]
    return max(names, key=lambda name: _EPSILON[name], default="float64")


def opened(args: Any) -> Any:
    """Return the arguments with 0-d Arrays for Python numbers, as exact as the Arrays beside them.

    Transforms would open them in the default dtype, in which a step along a direction is lost.
    """
    arrays = [x for x in tree.leaves(args) if type(x) is Array]
    device = arrays[0].device if arrays else None
    name = coarsest(args)
    real = np.finfo(np.float32 if name == "bfloat16" else name).dtype

    def open_number(x: Any) -> Any:
        if type(x) is Array or not varies(x):
            return x
        dtype = np.result_type(real, np.complex64) if isinstance(x, complex | np.complexfloating) else real
        return asarray(x, dtype=dtype, device=device)

    return tree.tree_map(open_number, args)


def direction_like(x: Any, rng: np.random.Generator) -> Any:
    """Draw a direction that is longer for large values: beside those, a step along it would be lost in rounding."""
    size = float(np.max(np.abs(values(x)) / 100, initial=1.0)) if varies(x) else 1.0
    return random_like(x, rng, size if np.isfinite(size) else 1.0)


def random_like(x: Any, rng: np.random.Generator, size: float = 1.0) -> Any:
    """Draw a tangent or cotangent of a leaf; what has no derivative is returned."""
    if not varies(x):
        return x
    if type(x) is not Array:
        drawn = _signed(rng, ()) + (1j * _signed(rng, ()) if isinstance(x, complex | np.complexfloating) else 0)
        return (size * drawn).item()
    drawn = _signed(rng, x.shape) + (1j * _signed(rng, x.shape) if x.dtype.kind == "c" else 0)
    return asarray(np.asarray(size * drawn), dtype=x.dtype, device=x.device)


def _signed(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Draw numbers of either sign that are not small, so that no element's error can hide behind the others."""
    return np.asarray(rng.choice([-1.0, 1.0], size=shape) * rng.uniform(0.5, 1.5, size=shape))


def moved(args: Any, direction: Any, step: float) -> Any:
    """Return the arguments a step further along the direction."""

    def move(x: Any, d: Any) -> Any:
        return asarray(values(x) + step * values(d), dtype=x.dtype, device=x.device) if varies(x) else x

    return tree.tree_map(move, args, direction)


class Slope:
    """The derivative of f along a direction at `args`, by differences."""

    def __init__(self, f: Function, args: tuple[Any, ...], direction: tuple[Any, ...]) -> None:
        self._f, self._args, self._direction = f, args, direction
        out = f(*args)
        self.middle = numbers(out)
        dtype = coarsest(args, out)
        self._step = _STEP[dtype]
        self._epsilon = 8 * _EPSILON[dtype]
        self._ends: dict[int, tuple[list[Values], list[Values]]] = {}

    def ends(self, factor: int = 1) -> tuple[list[Values], list[Values]]:
        """Return f's outputs some steps further and back."""
        if factor not in self._ends:
            step = factor * self._step
            self._ends[factor] = (
                numbers(self._f(*moved(self._args, self._direction, step))),
                numbers(self._f(*moved(self._args, self._direction, -step))),
            )
        return self._ends[factor]

    def leaves(self, factor: int = 1) -> list[Values]:
        """Return the derivative of each output leaf."""
        up, down = self.ends(factor)
        with np.errstate(invalid="ignore"):
            return [(u - d) / (2 * factor * self._step) for u, d in zip(up, down, strict=True)]

    def along(self, cotangent: list[Values], factor: int = 1) -> Values:
        """Return the derivative paired with a cotangent of the output."""
        return dot(cotangent, self.leaves(factor))

    def mistake(
        self, got: Values, derivative: Callable[[int], Values], of: Values, allowed: float, size: float = 0.0
    ) -> str | None:
        """Compare a derivative with that by differences; say what is wrong, if anything is.

        Args:
            derivative: the derivative by differences, with steps so many times as long.
            of: f's values that it is the derivative of: their rounding, divided by the step, is an error.
            allowed: the relative error allowed.
            size: the size of what was added up on the way.
        """
        expected = derivative(1)
        with np.errstate(invalid="ignore"):
            error = float(np.max(np.abs(got - expected), initial=0.0))
        scale = max(size, float(np.max(np.abs(expected), initial=0.0)))
        rounding = self._epsilon * (8 + float(np.max(np.abs(of), initial=0.0)) / self._step)
        near = allowed * scale + rounding
        if not error <= near and error <= allowed * max(1.0, scale):
            # beside 1 this is nothing, but the derivative may be small itself: see what differences can tell here
            near = max(near, *(10 * float(np.max(np.abs(derivative(n) - expected), initial=0.0)) for n in (2, 3)))
        if error <= near < np.inf:
            return None
        return f"got {got}, by differences {expected} (error {error:.3g}, allowed {near:.3g}){self._suspicion()}"

    def _suspicion(self) -> str:
        """Say what else than the derivative may be the reason that it disagrees with the differences."""
        again = numbers(self._f(*self._args))
        if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(again, self.middle, strict=True)):
            return "; the function returns other values at each call: give it what it draws, or a key, as an argument"
        up, down = self.ends()
        if not all(np.all(np.isfinite(x)) for x in (*self.middle, *up, *down)):
            return "; the function is nan or infinite at these arguments or beside them: choose others"
        for u, x, d in zip(up, self.middle, down, strict=True):
            right, left = (u - x) / self._step, (x - d) / self._step
            gap = float(np.max(np.abs(right - left), initial=0.0))
            if gap > 0.05 * float(np.max(np.abs([right, left]), initial=0.0)):
                return "; the differences to the two sides disagree: is there a kink or a jump at these arguments?"
        return ""


def dot(a: list[Values], b: list[Values]) -> Values:
    """Pair a cotangent with a tangent: the real part of the sum of products.

    That is all that a function of complex numbers which is not holomorphic keeps; the random cotangent brings the
    imaginary part in.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(sum((np.sum(x * y).real for x, y in zip(a, b, strict=True)), np.float64(0)))


def size_of(a: list[Values], b: list[Values]) -> float:
    """Return the size of what `dot` adds up."""
    total = float(sum((np.sum(np.abs(x * y)) for x, y in zip(a, b, strict=True)), np.float64(0)))
    return total if np.isfinite(total) else 0.0
