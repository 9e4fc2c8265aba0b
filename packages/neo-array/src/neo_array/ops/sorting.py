"""Sorting. The order is the same on every backend, and always stable: equal elements keep their order.

Ascending, nan comes last; descending, nan comes first, since it counts as greater than every number. All nans are equal
in this, and so are -0.0 and 0.0. Complex numbers have no order.

Values are read at the sorted positions, so their derivative is that reading's: a cotangent goes back to the position
that its value came from. Where elements are equal, the stable order says which position that is.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from neo_array._array import Array
from neo_array._batching import batch_by_axis
from neo_array._bind import need_arrays
from neo_array._described import integers, resized, same
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import ordered
from neo_array.ops.indexing import take_along_axis


def comparable(x: Any) -> Any:
    """Return a NumPy array that NumPy's own functions can order: bfloat16 as float32."""
    return x.astype(np.float32) if x.dtype.kind == "V" else x


def one_axis(op: str, x: Array, axis: int) -> int:
    """Return the axis as a non-negative int."""
    try:
        at = operator.index(axis)
    except TypeError:
        raise DTypeError(f"{op}: axis must be an int, got {axis!r}; for all elements, reshape(x, -1) first") from None
    if not x.ndim:
        raise ShapeError(f"{op}: needs an axis to go along, got shape (); reshape(x, 1) first")
    if not -x.ndim <= at < x.ndim:
        raise ShapeError(f"{op}: axis {axis} is out of range for shape {x.shape}; use {-x.ndim} to {x.ndim - 1}")
    return at % x.ndim


# --- Sorting ---
@primitive(discrete="its result is an index")
def argsort_along(x: Array, /, *, axis: int, descending: bool) -> Array:
    """Return the positions that sort x along an axis, in stable order."""
    return bind(argsort_along, x, axis=axis, descending=descending)


@ordered
def stable_order(x: Any, *, axis: int, descending: bool) -> Any:
    """Return the positions that sort a NumPy array; flipped twice, equal elements keep their order descending too."""
    if not x.size:
        return np.zeros_like(x, dtype=np.int64)
    keys = comparable(x)
    if not descending:
        return np.argsort(keys, axis=axis, kind="stable")
    from_behind = np.argsort(np.flip(keys, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(from_behind, axis)


argsort_along.kernel("numpy")(stable_order)
argsort_along.kernel("torch")("neo_array.backends.torch_kernels.sorting:argsort")


def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """Return the positions that sort x along an axis, as int64. They have no derivative.

    The order is stable whether asked for or not. nan comes last; with `descending`, first.
    """
    need_arrays("argsort", x)
    return bind(argsort_along, x, axis=one_axis("argsort", x, axis), descending=bool(descending))


def sort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """Sort along an axis. nan comes last; with `descending`, first.

    The derivative goes to the elements in their sorted order; equal ones keep theirs, whether `stable` is asked for or
    not.
    """
    need_arrays("sort", x)
    at = one_axis("sort", x, axis)
    return take_along_axis(x, bind(argsort_along, x, axis=at, descending=bool(descending)), axis=at)


# --- The k largest ---
class TopK(NamedTuple):
    """What `top_k` returns."""

    values: Array
    indices: Array


@primitive(discrete="its result is an index")
def arg_top_k(x: Array, /, *, axis: int, k: int, largest: bool) -> Array:
    """Return the positions of the k largest (or smallest) elements along an axis, best first."""
    return bind(arg_top_k, x, axis=axis, k=k, largest=largest)


@arg_top_k.kernel("numpy")
@ordered
def _(x: Any, *, axis: int, k: int, largest: bool) -> Any:
    rows = np.moveaxis(comparable(x), axis, -1)
    if not k:
        return np.zeros_like(x, dtype=np.int64, shape=(*x.shape[:axis], 0, *x.shape[axis + 1 :]))
    at = rows.shape[-1] - k if largest else k - 1
    limit = np.partition(rows, at, axis=-1)[..., at : at + 1]
    nan, limit_is_nan = rows != rows, limit != limit
    better = (rows > limit) | (nan & ~limit_is_nan) if largest else (rows < limit) | (~nan & limit_is_nan)
    level = (rows == limit) | (nan & limit_is_nan)
    room = k - better.sum(-1, keepdims=True)
    chosen = np.nonzero(better | (level & (level.cumsum(-1) <= room)))[-1].reshape(*rows.shape[:-1], k)
    best_first = stable_order(np.take_along_axis(rows, chosen, -1), axis=-1, descending=largest)
    return np.moveaxis(np.take_along_axis(chosen, best_first, -1), -1, axis)


arg_top_k.kernel("torch")("neo_array.backends.torch_kernels.sorting:arg_top_k")
arg_top_k.kernel("cupy")("neo_array.backends.cupy_kernels.sorting:arg_top_k")


def top_k(x: Array, k: int, /, *, axis: int = -1, largest: bool = True) -> TopK:
    """Return the k largest (or smallest) elements along an axis, best first, and their positions as int64.

    Among equal elements the first ones are picked, and come first. nan counts as the largest. The values' derivative
    goes to the elements that were picked.

    Raises:
        ShapeError: if the axis has fewer than k elements.
    """
    need_arrays("top_k", x)
    at = one_axis("top_k", x, axis)
    try:
        count = operator.index(k)
    except TypeError:
        raise DTypeError(f"top_k: k must be an int, got {k!r}") from None
    if not 0 <= count <= x.shape[at]:
        raise ShapeError(f"top_k: k must be from 0 to {x.shape[at]} for axis {axis} of shape {x.shape}, got {k}")
    indices = bind(arg_top_k, x, axis=at, k=count, largest=bool(largest))
    return TopK(take_along_axis(x, indices, axis=at), indices)


for _op in (argsort_along, arg_top_k):
    _op.batch(batch_by_axis(_op, "axis"))


# --- Shapes ---
argsort_along.shape(same)
arg_top_k.shape(lambda x, *, axis, k, largest: resized(x, axis, k), dtype=integers)


# --- Samples ---
@argsort_along.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), axis=1, descending=False)
    yield sample(rng.normal(size=(3, 5))[::-1, ::2], axis=0, descending=True)
    yield sample(np.array([2.0, np.nan, -0.0, 1.0, 0.0, np.nan, 2.0, -np.inf, 0.0]), axis=0, descending=False)
    yield sample(np.array([2.0, np.nan, -0.0, 1.0, 0.0, np.nan, 2.0, -np.inf, 0.0]), axis=0, descending=True)
    yield sample(rng.integers(0, 3, size=(2, 7, 3)), axis=1, descending=True)
    yield sample(rng.normal(size=(3, 0)), axis=1, descending=True)


@arg_top_k.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), axis=1, k=2, largest=True)
    yield sample(rng.normal(size=(7, 3))[:, ::-1], axis=0, k=5, largest=False)
    yield sample(np.array([2.0, np.nan, -0.0, 1.0, 0.0, np.nan, 2.0]), axis=0, k=3, largest=True)
    yield sample(np.array([2.0, np.nan, -0.0, 1.0, 0.0, np.nan, 2.0]), axis=0, k=6, largest=False)
    yield sample(rng.integers(0, 3, size=(2, 11, 3)), axis=1, k=4, largest=True)
    yield sample(rng.normal(size=(3, 5)), axis=1, k=0, largest=True)
