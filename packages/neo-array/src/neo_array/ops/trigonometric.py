"""Trigonometric functions and their inverses, of angles in radians. Integers become the default float dtype first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.exponential import sqrt


@primitive(kind="elementwise", floating=True)
def sin(x: Array, /) -> Array:
    """Return the sine of an angle in radians."""
    return bind(sin, x)


sin.kernel("numpy")(quiet(np.sin))
sin.kernel("torch")("torch:sin")


@sin.vjp("x")
def _(g: Array, x: Array) -> Array:
    return g * cos(x)


@primitive(kind="elementwise", floating=True)
def cos(x: Array, /) -> Array:
    """Return the cosine of an angle in radians."""
    return bind(cos, x)


cos.kernel("numpy")(quiet(np.cos))
cos.kernel("torch")("torch:cos")
cos.vjp(x=lambda g, x: -(g * sin(x)))


@primitive(kind="elementwise", floating=True)
def tan(x: Array, /) -> Array:
    """Return the tangent of an angle in radians."""
    return bind(tan, x)


tan.kernel("numpy")(quiet(np.tan))
tan.kernel("torch")("torch:tan")
tan.vjp(x=lambda g, out: g * (1 + out * out))


# --- Inverses; of complex numbers, the principal values ---
def _one_minus_square_root(x: Array) -> Array:
    return sqrt(1 - x) * sqrt(1 + x)  # sqrt(1 - x * x) overflows, and has lost its digits beside 1


@primitive(kind="elementwise", floating=True)
def asin(x: Array, /) -> Array:
    """Return the angle from -pi/2 to pi/2 whose sine is x; nan beyond 1. Its derivative at 1 and -1 is inf."""
    return bind(asin, x)


asin.kernel("numpy")(quiet(np.arcsin))
asin.kernel("torch")("torch:asin")
asin.vjp(x=lambda g, x: g / _one_minus_square_root(x))


@primitive(kind="elementwise", floating=True)
def acos(x: Array, /) -> Array:
    """Return the angle from 0 to pi whose cosine is x; nan beyond 1. Its derivative at 1 and -1 is -inf."""
    return bind(acos, x)


acos.kernel("numpy")(quiet(np.arccos))
acos.kernel("torch")("torch:acos")
acos.vjp(x=lambda g, x: -(g / _one_minus_square_root(x)))


@primitive(kind="elementwise", floating=True)
def atan(x: Array, /) -> Array:
    """Return the angle from -pi/2 to pi/2 whose tangent is x."""
    return bind(atan, x)


atan.kernel("numpy")(quiet(np.arctan))
atan.kernel("torch")("torch:atan")
atan.vjp(x=lambda g, x: g / (1 + x * x))


# --- Of two numbers ---
@primitive(kind="elementwise", floating=True)
def atan2(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return the angle from -pi to pi of the point with ordinate x1 and abscissa x2.

    Its derivatives x2 / (x1**2 + x2**2) and -x1 / (x1**2 + x2**2) count as 0 at the origin.
    """
    return bind(atan2, x1, x2)


atan2.kernel("numpy")(quiet(np.arctan2))
atan2.kernel("torch")("torch:atan2")


@atan2.vjp("x1")
def _(g: Array, x1: ArrayLike, x2: ArrayLike) -> Array:
    radius = _or_one(hypot(x1, x2))
    return g * (x2 / radius / radius)  # the square of the radius would overflow first


@atan2.vjp("x2")
def _(g: Array, x1: ArrayLike, x2: ArrayLike) -> Array:
    radius = _or_one(hypot(x1, x2))
    return -(g * (x1 / radius / radius))


@primitive(kind="elementwise", floating=True)
def hypot(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return sqrt(x1**2 + x2**2) without overflow; its derivatives at the origin are 0."""
    return bind(hypot, x1, x2)


hypot.kernel("numpy")(quiet(np.hypot))
hypot.kernel("torch")("torch:hypot")
hypot.vjp(x1=lambda g, x1, out: g * (x1 / _or_one(out)), x2=lambda g, x2, out: g * (x2 / _or_one(out)))


def _or_one(radius: Array) -> Array:
    return where(radius == 0, 1.0, radius)


from neo_array.ops.arithmetic import where  # noqa: E402  (rules above look it up when they run)


# --- Samples ---
@sin.samples
@cos.samples
@tan.samples
@asin.samples
@acos.samples
@atan.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(-0.9, 0.9, size=(3, 5)))
    yield sample(rng.uniform(-0.9, 0.9, size=()))
    yield sample(rng.normal(size=(2, 0)))
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)))


@atan2.samples
@hypot.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=(2, 1, 5)), rng.normal(size=(3, 1)))
    yield sample(rng.normal(size=()), rng.normal(size=(4,)))
    yield sample(rng.normal(size=(3,)), -2.5)
    yield sample(1, rng.normal(size=(3,)))
    yield sample(rng.normal(size=(0, 3)), rng.normal(size=(3,)))
