"""Continuous distributions that are a standard one, moved and stretched: loc + scale * draw."""

from __future__ import annotations

import math

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._device import DeviceLike
from neo_array._errors import ShapeError
from neo_array.ops.arithmetic import abs, minimum, sign, where
from neo_array.ops.exponential import log, log1p
from neo_array.ops.trigonometric import cos, sin
from neo_array.random._draws import Parameter, Size, shape_for, standard
from neo_array.random._keys import Key


def _moved(drawn: Array, loc: Parameter, scale: Parameter) -> Array:
    """Return loc + scale * drawn; the plain numbers 0 and 1 cost nothing."""
    if isinstance(scale, Array) or scale != 1.0:
        drawn = scale * drawn
    return drawn + loc if isinstance(loc, Array) or loc != 0.0 else drawn


def normal(
    key: Key,
    shape: Size = None,
    /,
    *,
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw from the normal distribution of mean `loc` and standard deviation `scale`.

    Args:
        shape: by default, what the parameters broadcast to: () for numbers.
        loc, scale: numbers or Arrays, to which derivatives flow.
        dtype, device: by default those of the first parameter that is an Array, else float32 on the default device.
    """
    return _moved(
        standard(key, "normal", shape_for("normal", shape, loc, scale), dtype, device, loc, scale), loc, scale
    )


def uniform(
    key: Key,
    shape: Size = None,
    /,
    *,
    minval: Parameter = 0.0,
    maxval: Parameter = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw uniformly from [minval, maxval); see `normal` for the arguments."""
    unit = standard(key, "uniform", shape_for("uniform", shape, minval, maxval), dtype, device, minval, maxval)
    if isinstance(minval, Array) or isinstance(maxval, Array):
        return minval + (maxval - minval) * unit
    if not minval <= maxval:
        raise ShapeError(f"random.uniform: needs minval <= maxval, got {minval} and {maxval}")
    exact = unit.dtype in (_dtypes.float32, _dtypes.float64)
    if (minval, maxval) == (0.0, 1.0) and exact:
        return unit
    scaled = unit * (maxval - minval) + minval
    # rounding may reach maxval: limit it to the number below
    below = np.nextafter(unit.dtype.type(maxval), unit.dtype.type(minval))
    return minimum(scaled, float(below)) if minval < maxval else scaled


def exponential(
    key: Key,
    shape: Size = None,
    /,
    *,
    scale: Parameter = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw waiting times of mean `scale`; see `normal` for the arguments."""
    return _moved(
        standard(key, "exponential", shape_for("exponential", shape, scale), dtype, device, scale), 0.0, scale
    )


def laplace(
    key: Key,
    shape: Size = None,
    /,
    *,
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw from exp(-|x - loc| / scale) / (2 scale), by its inverse distribution; see `normal` for the arguments."""
    size = shape_for("laplace", shape, loc, scale)
    return _moved(standard(key, "uniform", size, dtype, device, loc, scale, by=_laplace), loc, scale)


def _laplace(unit: Array) -> Array:
    centred = where(unit == 0.0, 0.5, unit) - 0.5  # in (-1/2, 1/2)
    return -sign(centred) * log1p(-2.0 * abs(centred))


def cauchy(
    key: Key,
    shape: Size = None,
    /,
    *,
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw from scale / (pi ((x - loc)**2 + scale**2)), by its inverse distribution; see `normal` for the arguments."""
    size = shape_for("cauchy", shape, loc, scale)
    return _moved(standard(key, "uniform", size, dtype, device, loc, scale, by=_cauchy), loc, scale)


def _cauchy(unit: Array) -> Array:
    angle = math.pi * (unit - 0.5)
    return sin(angle) / cos(angle)


def gumbel(
    key: Key,
    shape: Size = None,
    /,
    *,
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw extreme values, of distribution exp(-exp(-(x - loc) / scale)); see `normal` for the arguments."""
    size = shape_for("gumbel", shape, loc, scale)
    return _moved(standard(key, "exponential", size, dtype, device, loc, scale, by=_gumbel), loc, scale)


def _gumbel(waiting: Array) -> Array:
    return -log(where(waiting == 0.0, float(np.finfo(np.float32).tiny), waiting))


def logistic(
    key: Key,
    shape: Size = None,
    /,
    *,
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw from the distribution 1 / (1 + exp(-(x - loc) / scale)); see `normal` for the arguments."""
    size = shape_for("logistic", shape, loc, scale)
    return _moved(standard(key, "uniform", size, dtype, device, loc, scale, by=_logistic), loc, scale)


def _logistic(unit: Array) -> Array:
    inside = where(unit == 0.0, 0.5, unit)
    return log(inside) - log1p(-inside)


def truncated_normal(
    key: Key,
    lower: Parameter,
    upper: Parameter,
    shape: Size = None,
    /,
    *,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw from the standard normal distribution between two bounds, by its inverse distribution.

    sqrt(2) * erfinv(u), where u is uniform between erf(lower / sqrt(2)) and erf(upper / sqrt(2)). In float32 that is
    coarse beyond bounds of about 4, where erf is nearly 1.
    """
    if not isinstance(lower, Array) and not isinstance(upper, Array) and not lower < upper:
        raise ShapeError(f"random.truncated_normal: needs lower < upper, got {lower} and {upper}")
    from neo_array.ops.special import erf, erfinv

    size = shape_for("truncated_normal", shape, lower, upper)
    root = math.sqrt(2.0)
    low = erf(lower / root) if isinstance(lower, Array) else math.erf(lower / root)
    high = erf(upper / root) if isinstance(upper, Array) else math.erf(upper / root)

    def by(unit: Array) -> Array:
        drawn = root * erfinv(low + (high - low) * unit)
        # rounding may pass a bound, and erfinv(-1) is infinite
        return where(drawn < lower, lower, where(drawn > upper, upper, drawn))

    return standard(key, "uniform", size, dtype, device, lower, upper, by=by)
