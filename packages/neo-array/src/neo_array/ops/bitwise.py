"""Bits of integers; on booleans, and, or, xor and not are the same as logic."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._errors import DTypeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import ordered

_BITS = "its result is boolean or integer"


@primitive(kind="elementwise", discrete=_BITS)
def bitwise_and(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Keep the bits that both have."""
    return bind(bitwise_and, x1, x2)


bitwise_and.kernel("numpy", "torch", "cupy")(operator.and_)


@primitive(kind="elementwise", discrete=_BITS)
def bitwise_or(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Keep the bits that one or both have."""
    return bind(bitwise_or, x1, x2)


bitwise_or.kernel("numpy", "torch", "cupy")(operator.or_)


@primitive(kind="elementwise", discrete=_BITS)
def bitwise_xor(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Keep the bits that exactly one has."""
    return bind(bitwise_xor, x1, x2)


bitwise_xor.kernel("numpy", "torch", "cupy")(operator.xor)


@primitive(kind="elementwise", discrete=_BITS)
def bitwise_invert(x: Array, /) -> Array:
    """Flip every bit."""
    return bind(bitwise_invert, x)


bitwise_invert.kernel("numpy", "torch", "cupy")(operator.invert)


# --- Shifts ---
@primitive(kind="elementwise", discrete=_BITS)
def bitwise_left_shift(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Move the bits of integers x1 up by x2 places, filling up with zeros."""
    return bind(bitwise_left_shift, x1, x2)


bitwise_left_shift.kernel("numpy")(ordered(operator.lshift, refused="b"))
bitwise_left_shift.kernel("torch")(operator.lshift)


@primitive(kind="elementwise", discrete=_BITS)
def bitwise_right_shift(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Move the bits of integers x1 down by x2 places, filling up with the sign: x1 // 2**x2."""
    return bind(bitwise_right_shift, x1, x2)


bitwise_right_shift.kernel("numpy")(ordered(operator.rshift, refused="b"))
bitwise_right_shift.kernel("torch")(operator.rshift)


def _need(accepted: str, what: str) -> Callable[..., None]:
    def explain(*arrays: ArrayLike) -> None:
        for x in arrays:
            if type(x) is Array and x.dtype.kind not in accepted:
                raise DTypeError(
                    f"bitwise op: needs {what}, got dtype {x.dtype}; compare first, as in x > 0, or cast with .astype"
                )

    return explain


for _each in (bitwise_and, bitwise_or, bitwise_xor, bitwise_invert):
    _each.explain(_need("biu", "integers or booleans"))
for _each in (bitwise_left_shift, bitwise_right_shift):
    _each.explain(_need("iu", "integers"))


# --- Samples ---
@bitwise_and.samples
@bitwise_or.samples
@bitwise_xor.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)) > 0, rng.normal(size=(5,)) > 0)
    yield sample(rng.integers(0, 99, size=(3, 5)), rng.integers(0, 99, size=(5,)))


@bitwise_invert.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.integers(0, 99, size=(3, 5)))


@bitwise_left_shift.samples
@bitwise_right_shift.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.integers(-99, 99, size=(3, 5)), rng.integers(0, 9, size=(5,)))
    yield sample(rng.integers(-99, 99, size=(3,)), 2)
    yield sample(3, rng.integers(0, 9, size=()))
