"""Rounding to integers, which keep the dtype of the argument: constant between its steps, hence no derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import numeric, ordered

_WHY = "it is constant between integers"


def _floats(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return integers as they are: NumPy before 2.1 makes floats of them."""
    return lambda x: x if x.dtype.kind in "iu" else f(x)


@primitive(kind="elementwise", discrete=_WHY)
def ceil(x: Array, /) -> Array:
    """Round up: the smallest integer that is at least x."""
    return bind(ceil, x)


ceil.kernel("numpy")(ordered(_floats(np.ceil), refused="bc"))
ceil.kernel("torch")("torch:ceil")


@primitive(kind="elementwise", discrete=_WHY)
def floor(x: Array, /) -> Array:
    """Round down: the largest integer that is at most x."""
    return bind(floor, x)


floor.kernel("numpy")(ordered(_floats(np.floor), refused="bc"))
floor.kernel("torch")("torch:floor")


@primitive(kind="elementwise", discrete=_WHY)
def trunc(x: Array, /) -> Array:
    """Round towards zero: drop what is behind the point."""
    return bind(trunc, x)


trunc.kernel("numpy")(ordered(_floats(np.trunc), refused="bc"))
trunc.kernel("torch")("torch:trunc")


@primitive(kind="elementwise", discrete=_WHY)
def round(x: Array, /) -> Array:
    """Round to the nearest integer, and from halfway to the even one; complex numbers by their parts."""
    return bind(round, x)


round.kernel("numpy")(numeric(_floats(np.rint)))
round.kernel("torch")("neo_array.backends.torch_kernels.arithmetic:round")


# --- Samples ---
@round.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _reals(rng)
    yield sample(3 * rng.normal(size=(5,)) + 1j * np.array([0.5, 1.5, -0.5, -2.5, 0.4]))


@ceil.samples
@floor.samples
@trunc.samples
def _reals(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(3 * rng.normal(size=(3, 5)))
    yield sample(3 * rng.normal(size=()))
    yield sample(np.array([-2.5, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, 3.0]))
    yield sample(rng.normal(size=(0, 2)))
    yield sample(rng.integers(-9, 9, size=(3,)))
