"""Exponentials, logarithms and roots. Integers become the default float dtype first."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from neo_array._array import Array, ArrayLike
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
def exp2(x: Array, /) -> Array:
    """Return 2**x."""
    return bind(exp2, x)


exp2.kernel("numpy")(quiet(np.exp2))
exp2.kernel("torch")("torch:exp2")
exp2.vjp(x=lambda g, out: g * (out * math.log(2)))


@primitive(kind="elementwise", floating=True)
def expm1(x: Array, /) -> Array:
    """Return e**x - 1, exactly also near 0."""
    return bind(expm1, x)


expm1.kernel("numpy")(quiet(np.expm1))
expm1.kernel("torch")("torch:expm1")
expm1.vjp(x=lambda g, out: g * (out + 1))


@primitive(kind="elementwise", floating=True)
def log(x: Array, /) -> Array:
    """Return the natural logarithm: -inf at 0, nan below; of complex numbers, the principal value."""
    return bind(log, x)


log.kernel("numpy")(quiet(np.log))
log.kernel("torch")("torch:log")
log.vjp(x=lambda g, x: g / x)


@primitive(kind="elementwise", floating=True)
def log2(x: Array, /) -> Array:
    """Return the logarithm to base 2: -inf at 0, nan below."""
    return bind(log2, x)


log2.kernel("numpy")(quiet(np.log2))
log2.kernel("torch")("torch:log2")
log2.vjp(x=lambda g, x: g / (x * math.log(2)))


@primitive(kind="elementwise", floating=True)
def log10(x: Array, /) -> Array:
    """Return the logarithm to base 10: -inf at 0, nan below."""
    return bind(log10, x)


log10.kernel("numpy")(quiet(np.log10))
log10.kernel("torch")("torch:log10")
log10.vjp(x=lambda g, x: g / (x * math.log(10)))


@primitive(kind="elementwise", floating=True)
def log1p(x: Array, /) -> Array:
    """Return log(1 + x), exactly also near 0."""
    return bind(log1p, x)


log1p.kernel("numpy")(quiet(np.log1p))
log1p.kernel("torch")("neo_array.backends.torch_kernels.exponential:log1p")
log1p.vjp(x=lambda g, x: g / (1 + x))


@primitive(kind="elementwise", floating=True)
def logaddexp(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return log(exp(x1) + exp(x2)) without overflow.

    Its derivatives are 1 / (1 + exp(x2 - x1)) and 1 / (1 + exp(x1 - x2)): 1/2 each where both are the same infinity.
    """
    return bind(logaddexp, x1, x2)


logaddexp.kernel("numpy")(quiet(np.logaddexp))
logaddexp.kernel("torch")("neo_array.backends.torch_kernels.exponential:logaddexp")
logaddexp.vjp(
    x1=lambda g, x1, x2, out: g * _weight(x1, x2, out),
    x2=lambda g, x1, x2, out: g * _weight(x2, x1, out),
)


def _weight(a: Array, b: ArrayLike, out: Array) -> Array:
    # exp(a - out) would lose digits where a is large; 1 / (1 + exp(b - a)) has no second derivative where exp overflows
    difference = where(isinf(out) & equal(a, b), 0.0, b - a)
    return exp(-logaddexp(difference, 0.0))


@primitive(kind="elementwise", floating=True)
def sqrt(x: Array, /) -> Array:
    """Return the square root; of complex numbers, the principal one. Its derivative at 0 is inf, as the limit is."""
    return bind(sqrt, x)


sqrt.kernel("numpy")(quiet(np.sqrt))
sqrt.kernel("torch")("torch:sqrt")
sqrt.vjp(x=lambda g, out: g / (2 * out))


from neo_array.ops.arithmetic import where  # noqa: E402  (rules above look them up when they run)
from neo_array.ops.comparison import equal, isinf  # noqa: E402


# --- Samples ---
@exp.samples
@exp2.samples
@expm1.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=()))
    yield sample(rng.normal(size=(2, 0)))
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)))


@log.samples
@log2.samples
@log10.samples
@log1p.samples
@sqrt.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(0.3, 3, size=(3, 5)))
    yield sample(rng.uniform(0.3, 3, size=()))
    yield sample(rng.uniform(0.3, 3, size=(3, 5)) * np.exp(1j * rng.uniform(-3, 3, size=(3, 5))))


@logaddexp.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(5,)))
    yield sample(rng.normal(size=()), rng.normal(size=(4,)))
    yield sample(rng.normal(size=(3,)), 0)
    yield sample(0.5, rng.normal(size=(2, 3)))
    yield sample(np.array([1e3, -1e3, 1e3]), np.array([1e3 - 1, 2e3, -1e3]))
    yield sample(np.array([-np.inf, 1.0]), np.array([1.0, 2.0]), wrt=(1,))
