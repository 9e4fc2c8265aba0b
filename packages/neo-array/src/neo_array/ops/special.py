"""Special functions: error functions, the gamma function's logarithm and its derivatives, x log y.

Half precision is computed in float32. On NumPy they are SciPy's, which is imported when one first runs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._bind import import_kernel, need_arrays
from neo_array._errors import DTypeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import ordered, quiet
from neo_array.ops.arithmetic import square, where
from neo_array.ops.conversion import asarray
from neo_array.ops.exponential import exp, log, log1p


@functools.cache
def from_scipy(name: str, *first: Any) -> Callable[..., Any]:
    """Make a kernel of a SciPy function of real numbers."""
    find = functools.cache(functools.partial(import_kernel, f"scipy.special:{name}"))

    def call(*raws: Any) -> Any:
        dtype = raws[0].dtype
        wide = [x.astype(np.float32) for x in raws] if dtype.itemsize == 2 else raws
        return find()(*first, *wide).astype(dtype, copy=False)

    return ordered(quiet(call))


# --- Error functions ---
@primitive(kind="elementwise", floating=True)
def erf(x: Array, /) -> Array:
    """Return the error function, 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x."""
    return bind(erf, x)


erf.kernel("numpy")(from_scipy("erf"))
erf.kernel("torch")("neo_array.backends.torch_kernels.special:erf")
erf.vjp(x=lambda g, x: g * (2 / math.sqrt(math.pi) * exp(-square(x))))


@primitive(kind="elementwise", floating=True)
def erfc(x: Array, /) -> Array:
    """Return 1 - erf(x), exactly also where that is tiny."""
    return bind(erfc, x)


erfc.kernel("numpy")(from_scipy("erfc"))
erfc.kernel("torch")("neo_array.backends.torch_kernels.special:erfc")
erfc.vjp(x=lambda g, x: g * (-2 / math.sqrt(math.pi) * exp(-square(x))))


@primitive(kind="elementwise", floating=True)
def erfinv(x: Array, /) -> Array:
    """Return the inverse of erf: inf at 1, -inf at -1, where its derivative is inf, and nan beyond."""
    return bind(erfinv, x)


@erfinv.kernel("numpy")
def _(x: Any) -> Any:
    return np.copysign(_erfinv(x), x)  # SciPy drops the sign of -0.0


_erfinv = from_scipy("erfinv")
erfinv.kernel("torch")("neo_array.backends.torch_kernels.special:erfinv")
erfinv.vjp(x=lambda g, out: g * (math.sqrt(math.pi) / 2 * exp(square(out))))


# --- The gamma function ---
@primitive(kind="elementwise", floating=True)
def gammaln(x: Array, /) -> Array:
    """Return the logarithm of the gamma function's absolute value: inf at 0, -1, -2, ... and at both infinities."""
    return bind(gammaln, x)


@gammaln.kernel("numpy")
def _(x: Any) -> Any:
    return np.where(np.isinf(x), np.abs(x), _gammaln(x)).astype(x.dtype, copy=False)  # SciPy has -inf at -inf


_gammaln = from_scipy("gammaln")
gammaln.kernel("torch")("neo_array.backends.torch_kernels.special:gammaln")


@gammaln.vjp("x")
def _(g: Array, x: Array) -> Array:
    return g * digamma(x)


@primitive(kind="elementwise", floating=True)
def digamma(x: Array, /) -> Array:
    """Return the derivative of gammaln: -inf at 0, inf at -0.0, and nan at the other poles -1, -2, ..."""
    return bind(digamma, x)


digamma.kernel("numpy")(from_scipy("digamma"))
digamma.kernel("torch")("neo_array.backends.torch_kernels.special:digamma")
digamma.vjp(x=lambda g, x: g * polygamma(1, x))


def polygamma(n: int, x: Array, /) -> Array:
    """Return the n-th derivative of digamma, which is n derivatives more than digamma itself.

    At the poles 0, -1, -2, ... it is inf for odd n, and for even n, where the sides differ, -inf as from the right.

    Args:
        n: the order, at least 0; 0 is digamma.
        x: an Array.

    Raises:
        DTypeError: the order is no such integer.
    """
    need_arrays("polygamma", x)
    if type(n) is not int or n < 0:
        raise DTypeError(f"polygamma: the order must be an integer of at least 0, got {n!r}; write polygamma(n, x)")
    return bind(nth_polygamma, x, n=n) if n else digamma(x)


@primitive(kind="elementwise", floating=True)
def nth_polygamma(x: Array, /, *, n: int) -> Array:
    """Return the n-th derivative of digamma, for n of at least 1."""
    return bind(nth_polygamma, x, n=n)


nth_polygamma.kernel("numpy")(lambda x, *, n: from_scipy("polygamma", n)(x))
nth_polygamma.kernel("torch")("neo_array.backends.torch_kernels.special:polygamma")
nth_polygamma.kernel("cupy")("neo_array.backends.cupy_kernels.special:polygamma")
nth_polygamma.vjp("x")(lambda g, x, *, n: g * polygamma(n + 1, x))


# --- x log y ---
@primitive(kind="elementwise", floating=True)
def xlogy(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return x1 * log(x2), 0 where x1 is 0 and x2 is not nan.

    Its derivatives are log(x2), which counts as 0 where x1 is 0 and x2 at most 0, and x1 / x2, which counts as 0 where
    both are 0.
    """
    return bind(xlogy, x1, x2)


xlogy.kernel("numpy")(from_scipy("xlogy"))
xlogy.kernel("torch")("neo_array.backends.torch_kernels.special:xlogy")


@xlogy.vjp("x1")
def _(g: Array, x1: Array, x2: ArrayLike) -> Array:
    other = x2 if isinstance(x2, Array) else asarray(x2, dtype=x1.dtype, device=x1.device)
    return g * log(where((x1 == 0) & (other <= 0), 1.0, other))


@xlogy.vjp("x2")
def _(g: Array, x1: ArrayLike, x2: Array) -> Array:
    return g * (x1 / where((x2 == 0) & (x1 == 0), 1.0, x2))


def logit(x: Array, /) -> Array:
    """Return log(x / (1 - x)), the inverse of the sigmoid: -inf at 0, inf at 1, nan beyond."""
    need_arrays("logit", x)
    return log(x) - log1p(-x)


# --- Samples ---
@erf.samples
@erfc.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=()))
    yield sample(rng.normal(size=(2, 0)))


@erfinv.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(-0.9, 0.9, size=(3, 5)))
    yield sample(rng.uniform(-0.9, 0.9, size=()))


@gammaln.samples
@digamma.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(0.5, 4, size=(3, 5)))
    yield sample(-rng.uniform(0.2, 0.8, size=(3,)) - np.arange(3))
    yield sample(rng.uniform(0.5, 4, size=()))


@nth_polygamma.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for n in (1, 2, 3):
        yield sample(rng.uniform(0.8, 4, size=(3, 5)), n=n)
    yield sample(-rng.uniform(0.4, 0.6, size=(3,)) - np.arange(3), n=1)
    yield sample(rng.uniform(0.8, 4, size=()), n=1)


@xlogy.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.uniform(0.5, 2, size=(5,)))
    yield sample(rng.normal(size=(2, 3, 5)), rng.uniform(0.5, 2, size=(3, 1)))
    yield sample(np.array([0.0, 1.0]), np.array([0.0, 2.0]), wrt=())
    yield sample(np.array([0.0, 1.0]), np.array([3.0, 2.0]))
    yield sample(rng.normal(size=(3,)), 2.5)
    yield sample(0.5, rng.uniform(0.5, 2, size=()))
