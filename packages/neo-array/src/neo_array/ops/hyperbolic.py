"""Hyperbolic functions and their inverses. Integers become the default float dtype first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neo_array._array import Array
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.exponential import sqrt
from neo_array.ops.trigonometric import hypot


@primitive(kind="elementwise", floating=True)
def sinh(x: Array, /) -> Array:
    """Return the hyperbolic sine."""
    return bind(sinh, x)


sinh.kernel("numpy")(quiet(np.sinh))
sinh.kernel("torch")("torch:sinh")


@sinh.vjp("x")
def _(g: Array, x: Array) -> Array:
    return g * cosh(x)


@primitive(kind="elementwise", floating=True)
def cosh(x: Array, /) -> Array:
    """Return the hyperbolic cosine."""
    return bind(cosh, x)


cosh.kernel("numpy")(quiet(np.cosh))
cosh.kernel("torch")("torch:cosh")
cosh.vjp(x=lambda g, x: g * sinh(x))


@primitive(kind="elementwise", floating=True)
def tanh(x: Array, /) -> Array:
    """Return the hyperbolic tangent."""
    return bind(tanh, x)


tanh.kernel("numpy")(quiet(np.tanh))
tanh.kernel("torch")("torch:tanh")
tanh.vjp(x=lambda g, out: g * (1 - out * out))


# --- Inverses; of complex numbers, the principal values ---
@primitive(kind="elementwise", floating=True)
def asinh(x: Array, /) -> Array:
    """Return the inverse of sinh."""
    return bind(asinh, x)


asinh.kernel("numpy")(quiet(np.arcsinh))
asinh.kernel("torch")("torch:asinh")


@asinh.vjp("x")
def _(g: Array, x: Array) -> Array:
    # 1 / sqrt(1 + x * x), which does not overflow like this
    return g / (sqrt(1 + 1j * x) * sqrt(1 - 1j * x)) if x.dtype.kind == "c" else g / hypot(x, 1.0)


@primitive(kind="elementwise", floating=True)
def acosh(x: Array, /) -> Array:
    """Return the inverse of cosh that is at least 0; nan below 1. Its derivative at 1 is inf."""
    return bind(acosh, x)


acosh.kernel("numpy")(quiet(np.arccosh))
acosh.kernel("torch")("torch:acosh")
acosh.vjp(x=lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)))


@primitive(kind="elementwise", floating=True)
def atanh(x: Array, /) -> Array:
    """Return the inverse of tanh: inf at 1, -inf at -1, nan beyond."""
    return bind(atanh, x)


atanh.kernel("numpy")(quiet(np.arctanh))
atanh.kernel("torch")("torch:atanh")
atanh.vjp(x=lambda g, x: g / ((1 - x) * (1 + x)))


# --- Samples ---
@sinh.samples
@cosh.samples
@tanh.samples
@asinh.samples
@atanh.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(-0.9, 0.9, size=(3, 5)))
    yield sample(rng.uniform(-0.9, 0.9, size=()))
    yield from _complex(rng)


@acosh.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(1.1, 3, size=(3, 5)))
    yield sample(rng.uniform(1.1, 3, size=()))
    yield from _complex(rng)


def _complex(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(2, 0)))
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)))
