"""Reductions over axes."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array, Axis
from neo_array._batching import Axes, Batch, batch_by_axis, to_front
from neo_array._bind import need_arrays
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Primitive, Sample, bind, primitive, sample
from neo_array._rules import Shape
from neo_array.backends.numpy import ordered, quiet
from neo_array.ops.casting import astype
from neo_array.ops.comparison import equal
from neo_array.ops.shaping import broadcast_to, reshape

_Axes = tuple[int, ...]


def normalize_axes(op: str, x: Array, axis: Axis) -> _Axes:
    """Return the axes as a tuple of non-negative ints; None means all."""
    if axis is None:
        return tuple(range(x.ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not builtins.all(isinstance(a, int) for a in axes):
        raise DTypeError(f"{op}: axis must be an int or a tuple of ints, got {axis!r}")
    out = tuple(a + x.ndim if a < 0 else a for a in axes)
    if builtins.any(not 0 <= a < x.ndim for a in out):
        raise ShapeError(f"{op}: axis {axis} is out of range for shape {x.shape}; use {-x.ndim} to {x.ndim - 1}")
    if len(set(out)) != len(out):
        raise ShapeError(f"{op}: axis {axis} names an axis twice")
    return out


def keep_axes(g: Array, shape: tuple[int, ...], axis: _Axes) -> Array:
    """Put the reduced axes back as axes of size 1."""
    return reshape(g, tuple(1 if i in axis else n for i, n in enumerate(shape)))


def spread(g: Array, shape: tuple[int, ...], axis: _Axes) -> Array:
    """Repeat a cotangent over the axes that were reduced."""
    return broadcast_to(keep_axes(g, shape, axis), shape)


# --- Sums ---
@primitive(kind="linear")
def reduce_sum(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Sum over axes."""
    return bind(reduce_sum, x, axis=axis, keepdims=keepdims)


reduce_sum.kernel("numpy")(quiet(np.add.reduce))


@reduce_sum.kernel("torch")
def _(x: Any, *, axis: _Axes, keepdims: bool) -> Any:
    return x.sum(axis, keepdim=keepdims) if axis else x.clone()  # torch takes no axes for all of them


@reduce_sum.vjp("x")
def _(g: Array, x: Shape, *, axis: _Axes) -> Array:
    return spread(g, x, axis)


def sum(x: Array, /, *, axis: Axis = None, keepdims: bool = False, dtype: object | None = None) -> Array:
    """Sum over axes (all of them by default). Booleans and integers other than uint64 sum to int64."""
    need_arrays("sum", x)
    if dtype is not None:
        x = astype(x, dtype)
    elif x.dtype.kind in "biu" and x.dtype != _dtypes.uint64:
        x = astype(x, _dtypes.int64)
    axes = normalize_axes("sum", x, axis)
    return bind(reduce_sum, x, axis=axes, keepdims=keepdims) if axes else x


def mean(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Average over axes (all of them by default); nan over no elements."""
    need_arrays("mean", x)
    axes = normalize_axes("mean", x, axis)
    count = 1
    for a in axes:
        count *= x.shape[a]
    x = x if _dtypes.is_inexact(x.dtype) else astype(x, _dtypes.float32)
    if x.dtype.itemsize == 2:  # the sum may overflow where the mean does not
        return astype(sum(astype(x, _dtypes.float32), axis=axes, keepdims=keepdims) / count, x.dtype)
    return sum(x, axis=axes, keepdims=keepdims) / count


# --- Extrema: ties share the derivative evenly ---
@primitive()
def reduce_max(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Take the maximum over axes."""
    return bind(reduce_max, x, axis=axis, keepdims=keepdims)


@primitive()
def reduce_min(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Take the minimum over axes."""
    return bind(reduce_min, x, axis=axis, keepdims=keepdims)


reduce_max.kernel("numpy")(ordered(np.maximum.reduce))
reduce_min.kernel("numpy")(ordered(np.minimum.reduce))
reduce_max.kernel("torch")(lambda x, *, axis, keepdims: x.amax(axis, keepdim=keepdims))
reduce_min.kernel("torch")(lambda x, *, axis, keepdims: x.amin(axis, keepdim=keepdims))


def _shares(x: Array, out: Array, axis: _Axes) -> Array:
    """Return each element's share of the extremum: 1 over the number of elements that reach it, 0 elsewhere."""
    reaches = astype(equal(x, keep_axes(out, x.shape, axis)), x.dtype)
    return reaches / sum(reaches, axis=axis, keepdims=True)


@reduce_max.vjp("x")
@reduce_min.vjp("x")
def _(g: Array, x: Array, out: Array, *, axis: _Axes) -> Array:
    return keep_axes(g, x.shape, axis) * _shares(x, out, axis)


@reduce_max.jvp
@reduce_min.jvp
def _(t: Array, x: Array, out: Array, *, axis: _Axes, keepdims: bool) -> Array:
    return sum(t * _shares(x, out, axis), axis=axis, keepdims=keepdims)


@reduce_max.explain
@reduce_min.explain
def _(x: Array, /, *, axis: _Axes, keepdims: bool) -> None:
    if 0 in (x.shape[a] for a in axis):
        raise ShapeError(f"max/min: no elements to choose from, got shape {x.shape} over axes {axis}")


def max(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Take the maximum over axes (all by default). nan wins; ties share the derivative evenly."""
    need_arrays("max", x)
    axes = normalize_axes("max", x, axis)
    return bind(reduce_max, x, axis=axes, keepdims=keepdims) if axes else x


def min(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Take the minimum over axes (all by default). nan wins; ties share the derivative evenly."""
    need_arrays("min", x)
    axes = normalize_axes("min", x, axis)
    return bind(reduce_min, x, axis=axes, keepdims=keepdims) if axes else x


# --- Positions: integers, no derivative ---
@primitive(discrete="its result is an index")
def reduce_argmax(x: Array, /, *, axis: int | None, keepdims: bool) -> Array:
    """Return the index of the first maximum."""
    return bind(reduce_argmax, x, axis=axis, keepdims=keepdims)


@primitive(discrete="its result is an index")
def reduce_argmin(x: Array, /, *, axis: int | None, keepdims: bool) -> Array:
    """Return the index of the first minimum."""
    return bind(reduce_argmin, x, axis=axis, keepdims=keepdims)


reduce_argmax.kernel("numpy")(ordered(np.argmax, refused="bc"))
reduce_argmin.kernel("numpy")(ordered(np.argmin, refused="bc"))
reduce_argmax.kernel("torch")(lambda x, *, axis, keepdims: x.argmax(axis, keepdim=keepdims))
reduce_argmin.kernel("torch")(lambda x, *, axis, keepdims: x.argmin(axis, keepdim=keepdims))


@reduce_argmax.explain
@reduce_argmin.explain
def _(x: Array, /, *, axis: int | None, keepdims: bool) -> None:
    if 0 in x.shape:
        raise ShapeError(f"argmax/argmin: no elements to choose from, got shape {x.shape}")


def argmax(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the index of the first maximum along an axis, or in the flattened array."""
    return _position(reduce_argmax, x, axis, keepdims)


def argmin(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the index of the first minimum along an axis, or in the flattened array."""
    return _position(reduce_argmin, x, axis, keepdims)


def _position(op: Primitive[..., Array], x: Array, axis: int | None, keepdims: bool) -> Array:
    need_arrays(op.__name__, x)
    at = None if axis is None else normalize_axes(op.__name__, x, axis)[0]
    return bind(op, astype(x, _dtypes.uint8) if x.dtype.kind == "b" else x, axis=at, keepdims=keepdims)


# --- Truth ---
@primitive(discrete="its result is boolean")
def reduce_all(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Tell whether all elements hold."""
    return bind(reduce_all, x, axis=axis, keepdims=keepdims)


@primitive(discrete="its result is boolean")
def reduce_any(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Tell whether any element holds."""
    return bind(reduce_any, x, axis=axis, keepdims=keepdims)


reduce_all.kernel("numpy")(np.all)
reduce_any.kernel("numpy")(np.any)
reduce_all.kernel("torch")(lambda x, *, axis, keepdims: (x != 0).all(axis, keepdim=keepdims))
reduce_any.kernel("torch")(lambda x, *, axis, keepdims: (x != 0).any(axis, keepdim=keepdims))


def all(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Tell whether all elements along the axes are true (nonzero)."""
    need_arrays("all", x)
    axes = normalize_axes("all", x, axis)
    return bind(reduce_all, x, axis=axes, keepdims=keepdims) if axes else x != 0


def any(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Tell whether any element along the axes is true (nonzero)."""
    need_arrays("any", x)
    axes = normalize_axes("any", x, axis)
    return bind(reduce_any, x, axis=axes, keepdims=keepdims) if axes else x != 0


# --- Batches ---
for _op in (reduce_sum, reduce_max, reduce_min, reduce_all, reduce_any):
    _op.batch(batch_by_axis(_op, "axis"))


def _batch_position(op: Primitive[..., Array]) -> None:
    def rule(size: int, args: Sequence[Array], axes: Axes, /, *, axis: int | None, keepdims: bool) -> Batch:
        x = to_front(args[0], axes[0])
        if axis is not None:
            return bind(op, x, axis=axis + 1, keepdims=keepdims), 0
        found = bind(op, reshape(x, (size, -1 if x.size else 0)), axis=1, keepdims=False)
        return reshape(found, (size, *(1,) * (x.ndim - 1))) if keepdims else found, 0

    op.batch(rule)


_batch_position(reduce_argmax)
_batch_position(reduce_argmin)


# --- Samples ---
@reduce_sum.samples
@reduce_max.samples
@reduce_min.samples
@reduce_all.samples
@reduce_any.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for axis, keepdims in [((0,), False), ((1, 2), True), ((0, 1, 2), False)]:
        yield sample(rng.normal(size=(2, 3, 5)), axis=axis, keepdims=keepdims)


@reduce_argmax.samples
@reduce_argmin.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), axis=1, keepdims=False)
    yield sample(rng.normal(size=(3, 5)), axis=None, keepdims=False)
    yield sample(np.array([[1.0, 3.0, 3.0]]), axis=1, keepdims=True)
