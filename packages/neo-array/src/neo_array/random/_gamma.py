"""The gamma distribution and what is made of it, with derivatives in the parameters.

A draw is the quantile of a uniform number, so its derivative in the shape parameter a is that at a fixed probability
P(a, x) of a smaller draw: dx/da = -(dP/da) / (dP/dx).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._bind import need_arrays
from neo_array._device import DeviceLike, as_device
from neo_array._dtypes import as_dtype
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.arithmetic import minimum, stop_gradient, where
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray
from neo_array.ops.exponential import exp, log, sqrt
from neo_array.ops.reductions import sum
from neo_array.ops.shaping import broadcast_to, expand_dims
from neo_array.ops.softmax import softmax
from neo_array.ops.special import digamma, from_scipy, gammaln
from neo_array.random._draws import Parameter, Size, shape_for, sizes
from neo_array.random._keys import Key, split
from neo_array.random._location_scale import uniform


@functools.cache
def _quadrature() -> tuple[Any, Any]:
    """Return the nodes and weights of Gauss and Legendre's quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(96)
    return 0.5 * (nodes + 1.0), 0.5 * weights


# --- Quantiles ---
@primitive(kind="elementwise")
def gamma_quantile(a: Array, p: Array, /) -> Array:
    """Return the x below which a draw from x**(a - 1) * exp(-x) / Gamma(a) lies with probability p; a >= 1.

    The derivative in p is one over the density at x.
    """
    return bind(gamma_quantile, a, p)


gamma_quantile.kernel("numpy")(from_scipy("gammaincinv"))
gamma_quantile.vjp(a=lambda g, a, out: g * _slope(a, out))


@gamma_quantile.vjp("p")
def _(g: Array, a: Array, out: Array) -> Array:
    return g * exp(out + gammaln(a) - (a - 1.0) * log(out))


def _slope(a: Array, x: Array) -> Array:
    """Return dx/da at a fixed P(a, x), for a >= 1, by Gauss-Legendre quadrature.

    dP/da is the integral of p(t) * (log(t) - digamma(a)) from 0 to x, or minus that from x on, since the whole is 0.
    The side that does not cross the mode is taken, as far as p(t) / p(x) = (t / x)**(a - 1) * exp(x - t) counts. Fourth
    powers of the nodes smooth the logarithm at 0.
    """
    a, x = (expand_dims(v, axis=-1) for v in (a, x))
    at, by = (asarray(v, dtype=a.dtype, device=a.device) for v in _quadrature())
    below = stop_gradient(x) <= stop_gradient(a)
    far = stop_gradient(9.0 * sqrt(a))  # beyond, the integrand is negligible: no derivative comes from there
    reach = where(below, minimum(x, far), far + 40.0)
    s = where(below, at**4, at)
    t = where(below, x - reach + reach * s, x + reach * s)
    step = where(below, 4.0 * at**3, 1.0) * reach * by
    ratio = exp((a - 1.0) * (log(t) - log(x)) - (t - x))
    area = sum(step * ratio * (log(t) - digamma(a)), axis=-1)
    return where(below[..., 0], -area, area)


def gamma(
    key: Key,
    a: Parameter,
    shape: Size = None,
    /,
    *,
    scale: Parameter = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw from the gamma distribution of shape parameter a, times `scale`; its mean is a * scale.

    Derivatives flow to both parameters. For a < 1 a draw is one for a + 1, times u**(1 / a) (Marsaglia and Tsang,
    "A simple method for generating gamma variables", 2000).

    Args:
        a: a positive number or Array.
        shape: by default, what the parameters broadcast to.
        dtype, device: by default those of the first parameter that is an Array, else float32 on the default device.
    """
    size = shape_for("gamma", shape, a, scale)
    drawn = exp(_log_gamma("gamma", key, a, size, dtype, device))
    return drawn if not isinstance(scale, Array) and scale == 1.0 else drawn * scale


def _log_gamma(
    name: str, key: Key, a: Parameter, shape: tuple[int, ...], dtype: object | None, device: DeviceLike | None
) -> Array:
    """Return the logarithm of gamma draws: it is still a number where a is so small that the draw would be 0."""
    if isinstance(a, Array):
        dtype = a.dtype if dtype is None and _dtypes.is_inexact(a.dtype) else dtype
        device = a.device if device is None else device
    chosen = _dtypes.float32 if dtype is None else as_dtype(dtype)
    if chosen.kind not in "fV":
        raise DTypeError(f"random.{name}: dtype must be floating, got {chosen}")
    if not isinstance(a, Array) and not a > 0:
        raise ShapeError(f"random.{name}: parameters must be positive, got {a}")
    place = as_device(device)
    parameter = a if isinstance(a, Array) else asarray(float(a), dtype=chosen, device=place)
    # on the host, like all draws; moving is differentiable
    parameter = broadcast_to(astype(parameter, _dtypes.float64).to("numpy"), shape)
    for_draw, for_power = split(key)
    small = parameter < 1.0
    p = uniform(for_draw, shape, minval=2.0**-54, dtype=_dtypes.float64, device="numpy")
    drawn = log(gamma_quantile(where(small, parameter + 1.0, parameter), p))
    power = 1.0 - uniform(for_power, shape, dtype=_dtypes.float64, device="numpy")
    logarithm = drawn + where(small, log(power) / where(small, parameter, 1.0), 0.0)
    return astype(logarithm, chosen).to(place)


def beta(
    key: Key,
    a: Parameter,
    b: Parameter,
    shape: Size = None,
    /,
    *,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw from x**(a - 1) * (1 - x)**(b - 1) / B(a, b): the part that one gamma draw has in the sum of two.

    Derivatives flow to both parameters; see `gamma` for the arguments.
    """
    size = shape_for("beta", shape, a, b)
    like = next((p for p in (a, b) if isinstance(p, Array)), None)
    if like is not None:
        dtype, device = (like.dtype if dtype is None else dtype), (like.device if device is None else device)
    first, second = split(key)
    x = _log_gamma("beta", first, a, size, dtype, device)
    y = _log_gamma("beta", second, b, size, dtype, device)
    return 1.0 / (1.0 + exp(y - x))


def dirichlet(key: Key, alpha: Array, shape: Size = None, /, *, dtype: object | None = None) -> Array:
    """Draw probability vectors: gamma draws over their sum.

    Args:
        alpha: (..., classes), positive. Derivatives flow to it.
        shape: of the result, without its last axis; by default, the leading axes of alpha.
    """
    need_arrays("random.dirichlet", alpha)
    if alpha.ndim == 0:
        raise ShapeError("random.dirichlet: alpha must be (..., classes), got shape ()")
    whole = None if shape is None else (*sizes(shape), alpha.shape[-1])
    size = shape_for("dirichlet", whole, alpha)
    return softmax(_log_gamma("dirichlet", key, alpha, size, dtype, None), axis=-1)


# --- Samples ---
@gamma_quantile.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(1.0, 3.0, size=(3, 5)), rng.uniform(0.05, 0.95, size=(3, 5)))
    yield sample(rng.uniform(3.0, 30.0, size=(3, 1)), rng.uniform(0.05, 0.95, size=(5,)))
