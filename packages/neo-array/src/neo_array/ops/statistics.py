"""Averages, spreads and quantiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array, Axis
from neo_array._batching import batch_by_axis
from neo_array._bind import need_arrays
from neo_array._described import reduced
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.arithmetic import maximum, minimum, where
from neo_array.ops.casting import astype
from neo_array.ops.comparison import isnan
from neo_array.ops.complex_parts import conj, real
from neo_array.ops.exponential import sqrt
from neo_array.ops.indexing import take
from neo_array.ops.joining import stack
from neo_array.ops.reductions import as_one_axis, keep_axes, normalize_axes, sum
from neo_array.ops.shaping import permute_dims, reshape
from neo_array.ops.sorting import sort

_Axes = tuple[int, ...]


def _floating(x: Array) -> Array:
    """Cast booleans and integers to the default float dtype."""
    return x if _dtypes.is_inexact(x.dtype) else astype(x, _dtypes.float32)


def mean(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Average over axes (all of them by default); nan over no elements."""
    need_arrays("mean", x)
    axes = normalize_axes("mean", x, axis)
    count = math.prod(x.shape[a] for a in axes)
    x = _floating(x)
    if x.dtype.itemsize == 2:  # the sum may overflow where the mean does not
        return astype(sum(astype(x, _dtypes.float32), axis=axes, keepdims=keepdims) / count, x.dtype)
    return sum(x, axis=axes, keepdims=keepdims) / count


# --- Variance ---
@primitive(floating=True)
def reduce_var(x: Array, /, *, axis: _Axes, correction: float, keepdims: bool) -> Array:
    """Average the squared distance from the mean over axes: the sum, divided by the count less `correction`."""
    return bind(reduce_var, x, axis=axis, correction=correction, keepdims=keepdims)


def freedom(shape: tuple[int, ...], axis: _Axes, correction: float) -> float:
    """Return what the squares are divided by: the degrees of freedom, nan if there are none."""
    free = math.prod(shape[a] for a in axis) - correction
    return free if free > 0 else math.nan


@reduce_var.kernel("numpy")
@quiet
def _(x: Any, *, axis: _Axes, correction: float, keepdims: bool) -> Any:
    dtype = x.dtype
    if dtype.itemsize == 2:
        x = x.astype(np.float32)
    count = math.prod(x.shape[a] for a in axis)
    distance = x - x.sum(axis=axis, keepdims=True) / np.float64(count).astype(x.real.dtype)
    squares = distance.real**2 + distance.imag**2 if dtype.kind == "c" else distance * distance
    out = squares.sum(axis=axis, keepdims=keepdims) / freedom(x.shape, axis, correction)
    return out if dtype.kind == "c" else out.astype(dtype, copy=False)


reduce_var.kernel("torch")("neo_array.backends.torch_kernels.reductions:var")


def _slope(x: Array, axis: _Axes, correction: float) -> Array:
    """Return the derivative of the variance with respect to each element."""
    distance = x - mean(x, axis=axis, keepdims=True)
    return conj(distance) * (2 / freedom(x.shape, axis, correction))


@reduce_var.vjp("x")
def _(g: Array, x: Array, *, axis: _Axes, correction: float) -> Array:
    return keep_axes(g, x.shape, axis) * _slope(x, axis, correction)


@reduce_var.jvp
def _(t: Array, x: Array, *, axis: _Axes, correction: float, keepdims: bool) -> Array:
    return real(sum(t * _slope(x, axis, correction), axis=axis, keepdims=keepdims))


reduce_var.batch(batch_by_axis(reduce_var, "axis"))


def var(x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """Return the variance over axes (all by default): sum(|x - mean|**2) / (count - correction).

    `correction=1` makes it an unbiased estimate from a sample. It is nan where the count does not exceed the
    correction. The variance of complex numbers is real.
    """
    need_arrays("var", x)
    return bind(reduce_var, x, axis=normalize_axes("var", x, axis), correction=float(correction), keepdims=keepdims)


def std(x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """Return the standard deviation over axes (all by default), the square root of `var`.

    Where it is 0, so are its derivatives, one subgradient of many: for equal elements, no direction is preferred.
    """
    need_arrays("std", x)
    axes = normalize_axes("std", x, axis)
    variance = bind(reduce_var, x, axis=axes, correction=float(correction), keepdims=keepdims)
    return where(variance == 0, 0.0, sqrt(where(variance == 0, 1.0, variance)))


# --- Quantiles ---
def median(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the middle element in sorted order over axes (all by default), or the average of the middle two.

    Where there is a nan, it is nan. The derivative goes to those elements; of equal ones, to those that a stable sort
    puts there.

    Raises:
        ShapeError: over no elements.
    """
    return _quantile("median", x, 0.5, axis, keepdims)


def quantile(x: Array, q: float | Sequence[float] | Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return quantiles over axes (all by default): at 0 the minimum, at 1 the maximum, between elements linear in q.

    The quantile of n elements is at place q * (n - 1) of their sorted order (method 7 of Hyndman and Fan, "Sample
    quantiles in statistical packages", 1996). The axes of q come first in the result. Where there is a nan, it is nan.
    The derivative goes to the two elements next to that place; of equal ones, to those that a stable sort puts there.

    Args:
        q: a number from 0 to 1, several, or an Array of them, which may be differentiated too.

    Raises:
        ShapeError: over no elements.
        ValueError: if a number is not between 0 and 1; for such an element of an Array, the result is nan.
    """
    if not isinstance(q, Array):
        found = [_quantile("quantile", x, p, axis, keepdims) for p in (q if isinstance(q, Sequence) else [q])]
        return stack(found) if isinstance(q, Sequence) else found[0]
    rows = _sorted_rows("quantile", x, axis)
    n = rows.shape[-1]
    place = q * (n - 1)
    low = minimum(maximum(astype(place, _dtypes.int64), 0), n - 1)
    t = place - astype(low, place.dtype)
    behind = tuple(range(rows.ndim - 1, q.ndim + rows.ndim - 1))
    to_front = (*behind, *range(rows.ndim - 1))

    def at(index: Array) -> Array:
        found = take(rows, reshape(index, -1), axis=rows.ndim - 1)
        return permute_dims(reshape(found, (*rows.shape[:-1], *q.shape)), to_front)

    t = reshape(t, (*q.shape, *(1,) * (rows.ndim - 1)))
    exact, between = at(low), at(minimum(low + 1, n - 1))
    out = where(t == 0, exact, exact * (1 - t) + between * t)
    outside = reshape((q < 0) | (q > 1) | isnan(q), t.shape)
    return _finished(where(outside, math.nan, out), rows, x, axis, keepdims, q.shape)


def _quantile(name: str, x: Array, q: float, axis: Axis, keepdims: bool) -> Array:
    rows = _sorted_rows(name, x, axis)
    if not 0 <= q <= 1:
        raise ValueError(f"{name}: q must be from 0 to 1, got {q}; for percents, write q / 100")
    place = q * (rows.shape[-1] - 1)
    low = int(place)
    t = place - low
    out = rows[..., low] * (1 - t) + rows[..., low + 1] * t if t else rows[..., low]
    return _finished(out, rows, x, axis, keepdims, ())


def _sorted_rows(name: str, x: Array, axis: Axis) -> Array:
    """Return x with the axes as one at the end, sorted along it."""
    need_arrays(name, x)
    axes = normalize_axes(name, x, axis)
    if 0 in (x.shape[a] for a in axes):
        raise ShapeError(f"{name}: no elements to choose from, got shape {x.shape} over axes {axes}")
    return sort(as_one_axis(_floating(x), axes))


def _finished(out: Array, rows: Array, x: Array, axis: Axis, keepdims: bool, front: tuple[int, ...]) -> Array:
    """Put nan where there is one among the elements, and the axes where they belong."""
    out = where(isnan(rows[..., -1]), math.nan, out)
    if not keepdims:
        return out
    axes = normalize_axes("quantile", x, axis)
    return reshape(out, front + tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


# --- Shapes ---
reduce_var.shape(reduced)


# --- Samples ---
@reduce_var.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for axis, keepdims, correction in [((0,), False, 0.0), ((1, 2), True, 1.0), ((0, 2), False, 0.5)]:
        yield sample(rng.normal(size=(2, 3, 5)), axis=axis, correction=correction, keepdims=keepdims)
    yield sample(1e3 + rng.normal(size=(7,)), axis=(0,), correction=0.0, keepdims=False)
    yield sample(rng.normal(size=()), axis=(), correction=0.0, keepdims=False)
    yield sample(rng.normal(size=(0, 3)), axis=(1,), correction=0.0, keepdims=False)
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)), axis=(1,), correction=1.0, keepdims=True)
