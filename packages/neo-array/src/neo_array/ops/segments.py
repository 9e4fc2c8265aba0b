"""Segments: reductions over groups of slices, each slice named by the number of its group."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._batching import Axes, Batch, filled, to_front
from neo_array._bind import need_arrays
from neo_array._described import first, resized
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Primitive, Sample, bind, primitive, sample
from neo_array._rules import NoDerivative
from neo_array.backends.numpy import ordered, quiet
from neo_array.ops.casting import astype
from neo_array.ops.comparison import equal
from neo_array.ops.creation import arange, ones
from neo_array.ops.indexing import take
from neo_array.ops.shaping import expand_dims, moveaxis, reshape
from neo_array.ops.sorting import one_axis

_INTEGER = NoDerivative("segment ids are integers")


# --- Ids ---
@primitive(kind="elementwise", discrete="its result is an index")
def segment_index(segment_ids: Array, /, *, size: int) -> Array:
    """Return segment ids as int64; raise if one is out of range. On CUDA this waits for the device."""
    return bind(segment_index, segment_ids, size=size)


@segment_index.kernel("numpy")
def _(segment_ids: Any, *, size: int) -> Any:
    whole = segment_ids.astype(np.int64, copy=False)
    if whole.size and not (whole.min() >= 0 and whole.max() < size):
        raise IndexError
    return whole


segment_index.kernel("torch")("neo_array.backends.torch_kernels.segments:segment_index")


@segment_index.explain
def _(segment_ids: Array, /, *, size: int) -> None:
    low, high = segment_ids.min()._raw.item(), segment_ids.max()._raw.item()
    raise IndexError(
        f"segment_ids: must be at least 0 and less than num_segments={size}, got ids from {low} to {high}; "
        "give unwanted elements a segment of their own and cut it off"
    )


# --- Reductions ---
@primitive(kind="linear")
def sum_segments(x: Array, segment_ids: Array, /, *, axis: int, size: int) -> Array:
    """Add up the slices of x along an axis that have the same id."""
    return bind(sum_segments, x, segment_ids, axis=axis, size=size)


@primitive()
def max_segments(x: Array, segment_ids: Array, /, *, axis: int, size: int) -> Array:
    """Take the maximum of the slices of x along an axis that have the same id."""
    return bind(max_segments, x, segment_ids, axis=axis, size=size)


@primitive()
def min_segments(x: Array, segment_ids: Array, /, *, axis: int, size: int) -> Array:
    """Take the minimum of the slices of x along an axis that have the same id."""
    return bind(min_segments, x, segment_ids, axis=axis, size=size)


def _grouped(f: Any, empty: Callable[[Any], Any]) -> Callable[..., Any]:
    """Make a NumPy kernel: bring the slices of a segment together, then reduce each run.

    `f.at` is fast for vectors; for the rows of a matrix it takes three to ten times as long as this.
    """

    def kernel(x: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
        out = np.full_like(x, empty(x.dtype), shape=(*x.shape[:axis], size, *x.shape[axis + 1 :]), order="C")
        if x.ndim == 1:
            f.at(out, segment_ids, x)
            return out
        order = np.argsort(segment_ids, kind="stable")
        ids = segment_ids[order]
        starts = np.flatnonzero(np.diff(ids, prepend=-1))
        out[(slice(None),) * axis + (ids[starts],)] = f.reduceat(np.take(x, order, axis), starts, axis)
        return out

    return kernel


def limit(dtype: Any, sign: int) -> Any:
    """Return the dtype's greatest or lowest value."""
    if dtype.kind == "b":
        return sign > 0
    return (np.iinfo(dtype).max if sign > 0 else np.iinfo(dtype).min) if dtype.kind in "iu" else sign * np.inf


_total = quiet(_grouped(np.add, lambda dtype: 0))
max_segments.kernel("numpy")(ordered(_grouped(np.maximum, lambda dtype: limit(dtype, -1))))
min_segments.kernel("numpy")(ordered(_grouped(np.minimum, lambda dtype: limit(dtype, 1))))
sum_segments.kernel("torch")("neo_array.backends.torch_kernels.segments:sum_segments")
sum_segments.kernel("cupy")("neo_array.backends.cupy_kernels.segments:sum_segments")
max_segments.kernel("torch")("neo_array.backends.torch_kernels.segments:max_segments")
max_segments.kernel("cupy")("neo_array.backends.cupy_kernels.segments:max_segments")
min_segments.kernel("torch")("neo_array.backends.torch_kernels.segments:min_segments")
min_segments.kernel("cupy")("neo_array.backends.cupy_kernels.segments:min_segments")


@sum_segments.kernel("numpy")
def _(x: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        return _total(x.astype(np.float32), segment_ids, axis=axis, size=size).astype(x.dtype)
    return _total(x, segment_ids, axis=axis, size=size)


@sum_segments.vjp("x")
def _(g: Array, segment_ids: Array, *, axis: int) -> Array:
    return take(g, segment_ids, axis=axis)


def _shares(x: Array, segment_ids: Array, out: Array, axis: int, size: int) -> Array:
    """Return each element's share of its segment's extremum: 1 over the number of elements that reach it, else 0."""
    reaches = astype(equal(x, take(out, segment_ids, axis=axis)), x.dtype)
    count = sum_segments(reaches, segment_ids, axis=axis, size=size)
    return reaches / take(count, segment_ids, axis=axis)


@max_segments.vjp("x")
@min_segments.vjp("x")
def _(g: Array, x: Array, segment_ids: Array, out: Array, *, axis: int, size: int) -> Array:
    return take(g, segment_ids, axis=axis) * _shares(x, segment_ids, out, axis, size)


@max_segments.jvp
@min_segments.jvp
def _(t: Array, t_ids: Array | None, x: Array, segment_ids: Array, out: Array, *, axis: int, size: int) -> Array:
    return sum_segments(t * _shares(x, segment_ids, out, axis, size), segment_ids, axis=axis, size=size)


# --- Batches ---
def _batch_segments(op: Primitive[..., Array]) -> None:
    def rule(count: int, args: Sequence[Array], axes: Axes, /, *, axis: int, size: int) -> Batch:
        front = filled(args[0], axes[0], count)
        if axes[1] is None:
            return bind(op, front, args[1], axis=axis + 1, size=size), 0
        # each example gets segments of its own; no id reaches another example's, for `segment_index` has checked them
        ids = to_front(args[1], axes[1]) + expand_dims(arange(count, device=front.device), axis=1) * size
        rows = moveaxis(front, axis + 1, 1)
        flat = reshape(rows, (count * rows.shape[1], *rows.shape[2:]))
        out = bind(op, flat, reshape(ids, -1), axis=0, size=count * size)
        return moveaxis(reshape(out, (count, size, *rows.shape[2:])), 1, axis + 1), 0

    op.batch(rule)


for _op in (sum_segments, max_segments, min_segments):
    _op.vjp(segment_ids=_INTEGER)
    _batch_segments(_op)


# --- What users call ---
def _checked(op: str, x: Array, segment_ids: Array, num_segments: int, axis: int) -> tuple[Array, int, int]:
    """Return the ids as int64, the axis and the number of segments."""
    need_arrays(op, x, segment_ids)
    at = one_axis(op, x, axis)
    if segment_ids.dtype.kind not in "iu":
        raise DTypeError(f"{op}: segment_ids must be integers, got {segment_ids.dtype}; use .astype(na.int64)")
    if segment_ids.shape != (x.shape[at],):
        raise ShapeError(
            f"{op}: segment_ids must have one id per slice, shape ({x.shape[at]},) for axis {axis} of shape {x.shape}, "
            f"got {segment_ids.shape}"
        )
    try:
        size = operator.index(num_segments)
    except TypeError:
        raise DTypeError(f"{op}: num_segments must be an int, got {num_segments!r}") from None
    if size < 0:
        raise ShapeError(f"{op}: num_segments must not be negative, got {size}")
    return bind(segment_index, segment_ids, size=size), at, size


def segment_sum(x: Array, segment_ids: Array, num_segments: int, /, *, axis: int = 0) -> Array:
    """Add up the slices of x along an axis that have the same id: row k of the result is the sum where the id is k.

    An empty segment sums to 0. Booleans and integers other than uint64 sum to int64, as in `sum`.

    Args:
        x: shape (..., n, ...).
        segment_ids: integers from 0 to num_segments - 1 in any order, shape (n,).
        num_segments: the size of the axis in the result.
        axis: the axis of x that the ids belong to.

    Raises:
        IndexError: if an id is out of range.
    """
    ids, at, size = _checked("segment_sum", x, segment_ids, num_segments, axis)
    if x.dtype.kind in "biu" and x.dtype != _dtypes.uint64:
        x = astype(x, _dtypes.int64)
    return bind(sum_segments, x, ids, axis=at, size=size)


def segment_mean(x: Array, segment_ids: Array, num_segments: int, /, *, axis: int = 0) -> Array:
    """Average the slices of x along an axis that have the same id; nan for an empty segment. See `segment_sum`."""
    ids, at, size = _checked("segment_mean", x, segment_ids, num_segments, axis)
    x = x if _dtypes.is_inexact(x.dtype) else astype(x, _dtypes.float32)
    wide = astype(x, _dtypes.float32) if x.dtype.itemsize == 2 else x  # the sum may overflow where the mean does not
    sums = bind(sum_segments, wide, ids, axis=at, size=size)
    one_each = ones(ids.shape, dtype=_dtypes.int64, device=x.device)
    counts = bind(sum_segments, one_each, ids, axis=0, size=size)
    column = reshape(counts, (size, *(1,) * (x.ndim - at - 1)))
    return astype(sums / column, x.dtype)


def segment_max(x: Array, segment_ids: Array, num_segments: int, /, *, axis: int = 0) -> Array:
    """Take the maximum of the slices of x along an axis that have the same id. See `segment_sum`.

    nan wins; ties share the derivative evenly. An empty segment gives the dtype's lowest value: -inf, the smallest
    integer, or False.
    """
    ids, at, size = _checked("segment_max", x, segment_ids, num_segments, axis)
    return bind(max_segments, x, ids, axis=at, size=size)


def segment_min(x: Array, segment_ids: Array, num_segments: int, /, *, axis: int = 0) -> Array:
    """Take the minimum of the slices of x along an axis that have the same id. See `segment_sum`.

    nan wins; ties share the derivative evenly. An empty segment gives the dtype's greatest value: inf, the largest
    integer, or True.
    """
    ids, at, size = _checked("segment_min", x, segment_ids, num_segments, axis)
    return bind(min_segments, x, ids, axis=at, size=size)


# --- Shapes ---
for _op in (sum_segments, max_segments, min_segments):
    _op.shape(lambda x, ids, *, axis, size: resized(x, axis, size), dtype=first)


# --- Samples ---
@segment_index.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(np.array([2, 0, 2], np.int32), size=3)
    yield sample(np.zeros((0,), np.int64), size=0)


def _reductions(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(7, 3)), np.array([2, 0, 3, 2, 2, 0, 1]), axis=0, size=4)
    yield sample(rng.normal(size=(2, 5, 3))[:, ::-1], np.array([1, 1, 0, 1, 0]), axis=1, size=2)
    yield sample(rng.normal(size=(7,)), np.zeros((7,), np.int64), axis=0, size=1)
    yield sample(rng.normal(size=(2, 0)), np.zeros((0,), np.int64), axis=1, size=0)


# no empty segments: differences of the infinities there are nan
max_segments.samples(_reductions)
min_segments.samples(_reductions)


@sum_segments.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _reductions(rng)
    yield sample(rng.normal(size=(5, 3)) + 1j * rng.normal(size=(5, 3)), np.array([1, 0, 1, 5, 0]), axis=0, size=7)
    yield sample(rng.normal(size=(0, 3)), np.zeros((0,), np.int64), axis=0, size=2)
