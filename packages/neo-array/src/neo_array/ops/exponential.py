"""Exponentials, logarithms, roots and trigonometric functions. Integers become the default float dtype first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neo_array._array import Array
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet


@primitive(kind="elementwise", floating=True)
def exp(x: Array, /) -> Array:
    """Return e**x."""
    return bind(exp, x)


exp.kernel("numpy")(quiet(np.exp))
exp.kernel("torch")("torch:exp")
exp.vjp(x=lambda g, out: g * out)


@primitive(kind="elementwise", floating=True)
def expm1(x: Array, /) -> Array:
    """Return e**x - 1, exactly also near 0."""
    return bind(expm1, x)


expm1.kernel("numpy")(quiet(np.expm1))
expm1.kernel("torch")("torch:expm1")
expm1.vjp(x=lambda g, out: g * (out + 1))


@primitive(kind="elementwise", floating=True)
def log(x: Array, /) -> Array:
    """Return the natural logarithm: -inf at 0, nan below."""
    return bind(log, x)


log.kernel("numpy")(quiet(np.log))
log.kernel("torch")("torch:log")
log.vjp(x=lambda g, x: g / x)


@primitive(kind="elementwise", floating=True)
def log1p(x: Array, /) -> Array:
    """Return log(1 + x), exactly also near 0."""
    return bind(log1p, x)


log1p.kernel("numpy")(quiet(np.log1p))
log1p.kernel("torch")("torch:log1p")
log1p.vjp(x=lambda g, x: g / (1 + x))


@primitive(kind="elementwise", floating=True)
def sqrt(x: Array, /) -> Array:
    """Return the square root. Its derivative at 0 is inf, as the limit is."""
    return bind(sqrt, x)


sqrt.kernel("numpy")(quiet(np.sqrt))
sqrt.kernel("torch")("torch:sqrt")
sqrt.vjp(x=lambda g, out: g / (2 * out))


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
def tanh(x: Array, /) -> Array:
    """Return the hyperbolic tangent."""
    return bind(tanh, x)


tanh.kernel("numpy")(np.tanh)
tanh.kernel("torch")("torch:tanh")
tanh.vjp(x=lambda g, out: g * (1 - out * out))


# --- Samples ---
@exp.samples
@expm1.samples
@sin.samples
@cos.samples
@tanh.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=()))
    yield sample(rng.normal(size=(2, 0)))


@log.samples
@log1p.samples
@sqrt.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(0.3, 3, size=(3, 5)))
    yield sample(rng.uniform(0.3, 3, size=()))
