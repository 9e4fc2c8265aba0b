"""Comparisons and logic: boolean results, hence no derivatives."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import ordered

_WHY = "its result is boolean"


@primitive(kind="elementwise", discrete=_WHY)
def equal(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where x1 == x2."""
    return bind(equal, x1, x2)


equal.kernel("numpy", "torch", "cupy")(operator.eq)


@primitive(kind="elementwise", discrete=_WHY)
def not_equal(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where x1 != x2."""
    return bind(not_equal, x1, x2)


not_equal.kernel("numpy", "torch", "cupy")(operator.ne)


@primitive(kind="elementwise", discrete=_WHY)
def less(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where x1 < x2."""
    return bind(less, x1, x2)


less.kernel("numpy")(ordered(operator.lt))
less.kernel("torch", "cupy")(operator.lt)


@primitive(kind="elementwise", discrete=_WHY)
def less_equal(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where x1 <= x2."""
    return bind(less_equal, x1, x2)


less_equal.kernel("numpy")(ordered(operator.le))
less_equal.kernel("torch", "cupy")(operator.le)


@primitive(kind="elementwise", discrete=_WHY)
def greater(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where x1 > x2."""
    return bind(greater, x1, x2)


greater.kernel("numpy")(ordered(operator.gt))
greater.kernel("torch", "cupy")(operator.gt)


@primitive(kind="elementwise", discrete=_WHY)
def greater_equal(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where x1 >= x2."""
    return bind(greater_equal, x1, x2)


greater_equal.kernel("numpy")(ordered(operator.ge))
greater_equal.kernel("torch", "cupy")(operator.ge)


# --- Logic ---
@primitive(kind="elementwise", discrete=_WHY)
def logical_and(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where both hold."""
    return bind(logical_and, x1, x2)


logical_and.kernel("numpy")(np.logical_and)
logical_and.kernel("torch")("torch:logical_and")


@primitive(kind="elementwise", discrete=_WHY)
def logical_or(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where one or both hold."""
    return bind(logical_or, x1, x2)


logical_or.kernel("numpy")(np.logical_or)
logical_or.kernel("torch")("torch:logical_or")


@primitive(kind="elementwise", discrete=_WHY)
def logical_xor(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Tell where exactly one holds."""
    return bind(logical_xor, x1, x2)


logical_xor.kernel("numpy")(np.logical_xor)
logical_xor.kernel("torch")("torch:logical_xor")


@primitive(kind="elementwise", discrete=_WHY)
def logical_not(x: Array, /) -> Array:
    """Tell where it does not hold."""
    return bind(logical_not, x)


logical_not.kernel("numpy")(np.logical_not)
logical_not.kernel("torch")("torch:logical_not")


# --- Special values ---
@primitive(kind="elementwise", discrete=_WHY)
def isnan(x: Array, /) -> Array:
    """Tell where the value is nan."""
    return bind(isnan, x)


isnan.kernel("numpy")(np.isnan)
isnan.kernel("torch")("torch:isnan")


@primitive(kind="elementwise", discrete=_WHY)
def isinf(x: Array, /) -> Array:
    """Tell where the value is infinite."""
    return bind(isinf, x)


isinf.kernel("numpy")(np.isinf)
isinf.kernel("torch")("torch:isinf")


@primitive(kind="elementwise", discrete=_WHY)
def isfinite(x: Array, /) -> Array:
    """Tell where the value is neither infinite nor nan."""
    return bind(isfinite, x)


isfinite.kernel("numpy")(np.isfinite)
isfinite.kernel("torch")("torch:isfinite")


# --- Samples ---
@equal.samples
@not_equal.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _pairs(rng)
    yield sample(np.array([1 + 2j, 1 - 2j, 3j]), np.array([1 + 2j, 1 + 2j, 3j]))


@less.samples
@less_equal.samples
@greater.samples
@greater_equal.samples
def _pairs(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.integers(0, 3, size=(3, 5)), rng.integers(0, 3, size=(5,)))
    yield sample(rng.normal(size=(3, 5)), 0.0)
    yield sample(np.array([np.nan, 1.0, np.inf]), np.array([np.nan, 1.0, np.inf]))
    yield sample(rng.integers(0, 3, size=(3,)), 1)


@logical_and.samples
@logical_or.samples
@logical_xor.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)) > 0, rng.normal(size=(5,)) > 0)


@logical_not.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)) > 0)


@isnan.samples
@isinf.samples
@isfinite.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(np.array([np.nan, 1.0, np.inf, -np.inf]))
    yield sample(np.array([complex(1, np.nan), 1j, complex(-np.inf, 0), complex(np.nan, np.inf)]))
