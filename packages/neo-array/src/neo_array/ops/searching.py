"""Searching: where elements are, or belong. Positions have no derivative."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._batching import Axes, Batch, filled, to_front
from neo_array._bind import need_arrays
from neo_array._dtypes import result_type
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import ordered
from neo_array.ops.creation import asarray
from neo_array.ops.indexing import take
from neo_array.ops.joining import stack
from neo_array.ops.sorting import comparable

_Side = Literal["left", "right"]


# --- Sorted sequences ---
@primitive(promote=("x1", "x2"), discrete="its result is an index")
def search(x1: Array, x2: Array, /, *, side: _Side) -> Array:
    """Return where x2 belongs in x1, which is sorted along its last axis; x2 has x1's leading axes, then any others."""
    return bind(search, x1, x2, side=side)


@search.kernel("numpy")
@ordered
def _(x1: Any, x2: Any, *, side: _Side) -> Any:
    table, values = comparable(x1), comparable(x2)
    if table.ndim == 1:
        return np.searchsorted(table, values, side)
    out = np.zeros_like(values, dtype=np.int64)
    for row in itertools.product(*map(range, table.shape[:-1])):
        out[row] = np.searchsorted(table[row], values[row], side)
    return out


search.kernel("torch")("neo_array.backends.torch_kernels.searching:search")
search.kernel("cupy")("neo_array.backends.cupy_kernels.sorting:search")


@search.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, side: _Side) -> Batch:
    x1, x2 = args
    if axes[0] is None and x1.ndim == 1:
        return search(x1, to_front(x2, axes[1]), side=side), 0
    return search(filled(x1, axes[0], size), filled(x2, axes[1], size), side=side), 0


def searchsorted(x1: Array, x2: ArrayLike, /, *, side: _Side = "left", sorter: Array | None = None) -> Array:
    """Return the positions at which x2 could be inserted into the sorted vector x1, as int64 in the shape of x2.

    With `side="left"` position i has x1[i - 1] < x2 <= x1[i], with "right" x1[i - 1] <= x2 < x1[i]. nan counts as
    greater than every number. The two are compared in their common dtype. x1 must ascend; that is not checked.

    Args:
        x1: shape (n,).
        x2: any shape.
        side: which end of a run of equal elements.
        sorter: positions that sort x1, as from `argsort`.
    """
    need_arrays("searchsorted", x1)
    if x1.ndim != 1:
        raise ShapeError(f"searchsorted: x1 must have one axis, got shape {x1.shape}; reshape(x1, -1), or use vmap")
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    values = x2 if type(x2) is Array else asarray(x2, dtype=result_type(x1, x2), device=x1.device)
    if sorter is not None:
        need_arrays("searchsorted", sorter)
        if sorter.shape != x1.shape:
            raise ShapeError(f"searchsorted: sorter must have the shape of x1, {x1.shape}, got {sorter.shape}")
        x1 = take(x1, sorter, axis=0)
    return bind(search, x1, values, side=side)


# --- Elements that are not zero ---
@primitive(multi=True, discrete="its results are indices")
def nonzero(x: Array, /) -> tuple[Array, ...]:
    """Return the positions of the elements that are not zero, in row-major order: for each axis one int64 vector.

    nan is not zero. How many there are depends on the values, so this cannot run under vmap.

    Raises:
        ShapeError: for a 0-d array, which has no axes.
    """
    need_arrays("nonzero", x)
    if not x.ndim:
        raise ShapeError("nonzero: needs at least one axis, got shape (); reshape(x, 1) first, or write x != 0")
    return bind(nonzero, x)


nonzero.kernel("numpy")(np.nonzero)
nonzero.kernel("torch")("neo_array.backends.torch_kernels.searching:nonzero")
nonzero.batch(missing="how many elements are not zero differs between examples; use where(x != 0, ..., ...)")


def argwhere(x: Array, /) -> Array:
    """Return the positions of the elements that are not zero, one per row: int64, of shape (count, x.ndim)."""
    return stack(nonzero(x), axis=1)


# --- Shapes ---
search.shape(lambda x1, x2, *, side: x2)
nonzero.shape(missing="as many elements as are not zero have places; use where(condition, x, y), or count_nonzero")


# --- Samples ---
@search.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for side in ("left", "right"):
        yield sample(np.sort(rng.integers(0, 5, size=(7,))), rng.integers(-1, 7, size=(2, 3)), side=side)
        yield sample(np.array([-np.inf, -0.0, 1.0, 1.0, np.nan]), np.array([np.nan, 0.0, 1.0, 9.0, -2.0]), side=side)
    yield sample(np.sort(rng.normal(size=(2, 5)), axis=-1), rng.normal(size=(2, 3, 2)), side="left")
    yield sample(np.sort(rng.normal(size=(5,))), rng.normal(size=()), side="right")
    yield sample(np.zeros((0,)), rng.normal(size=(3,)), side="right")


@nonzero.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.integers(0, 2, size=(3, 5)))
    yield sample(np.array([0.0, -0.0, np.nan, 2.0]))
    yield sample(np.zeros((2, 0, 3)))
