"""Indexing: reading parts of an array, and building updated copies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from neo_array import backends
from neo_array._array import Array, Index
from neo_array._batching import Axes, Batch, batch_by_axis, filled, to_front
from neo_array._bind import need_arrays
from neo_array._errors import DeviceError, DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import NoDerivative, Shape
from neo_array.ops.creation import asarray
from neo_array.ops.shaping import broadcast_to, reshape

_Basic: TypeAlias = "tuple[int | slice | EllipsisType | None, ...]"
_INTEGER = NoDerivative("indices are integers")


# --- Slices ---
@primitive(kind="linear")
def cut(x: Array, /, *, index: _Basic) -> Array:
    """Read the part of x that integers, slices, ... and None select."""
    return bind(cut, x, index=index)


@primitive(kind="linear")
def paste(x: Array, /, *, index: _Basic, shape: tuple[int, ...]) -> Array:
    """Write x into zeros of `shape` at the index: the transpose of `cut`."""
    return bind(paste, x, index=index, shape=shape)


cut.kernel("numpy")(lambda x, *, index: x[index])
cut.kernel("torch")("neo_array.backends.torch_kernels.indexing:cut")
paste.kernel("torch")("neo_array.backends.torch_kernels.indexing:paste")


@paste.kernel("numpy")
def _(x: Any, *, index: _Basic, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    out[index] = x
    return out


@cut.vjp("x")
def _(g: Array, x: Shape, *, index: _Basic) -> Array:
    return bind(paste, g, index=index, shape=x)


@paste.vjp("x")
def _(g: Array, *, index: _Basic) -> Array:
    return bind(cut, g, index=index)


# --- Picking by integer arrays ---
@primitive(kind="linear")
def pick(x: Array, indices: Array, /, *, axis: int) -> Array:
    """Read the slices of x along an axis at the indices, which may have any shape."""
    return bind(pick, x, indices, axis=axis)


@primitive(kind="linear")
def pile(x: Array, indices: Array, /, *, axis: int, size: int) -> Array:
    """Add slices into zeros along an axis at the indices: the transpose of `pick`."""
    return bind(pile, x, indices, axis=axis, size=size)


pick.kernel("numpy")(lambda x, indices, *, axis: np.take(x, indices, axis=axis))
pick.kernel("torch")("neo_array.backends.torch_kernels.indexing:pick")
pile.kernel("torch")("neo_array.backends.torch_kernels.indexing:pile")


@pile.kernel("numpy")
def _(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    shape = (*x.shape[:axis], size, *x.shape[axis + indices.ndim :])
    out = np.zeros(shape, x.dtype)
    np.add.at(out, (slice(None),) * axis + (indices,), x)
    return out


@pick.vjp("x")
def _(g: Array, x: Shape, indices: Array, *, axis: int) -> Array:
    return bind(pile, g, indices, axis=axis, size=x[axis])


@pile.vjp("x")
def _(g: Array, indices: Array, *, axis: int) -> Array:
    return bind(pick, g, indices, axis=axis)


def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    """Read slices along an axis at integer indices; negative ones count from the end.

    Raises:
        IndexError: if an index is out of range.
    """
    need_arrays("take", x)
    if axis is None:
        if x.ndim != 1:
            raise ShapeError(f"take: needs axis= for shape {x.shape}")
        axis = 0
    at = _axis("take", x, axis)
    _check_dtype("take", indices)
    return bind(pick, x, indices, axis=at)


# --- Picking along an axis ---
@primitive(kind="linear")
def pick_along(x: Array, indices: Array, /, *, axis: int) -> Array:
    """Read one element per index along an axis; all other axes are matched."""
    return bind(pick_along, x, indices, axis=axis)


@primitive(kind="linear")
def pile_along(x: Array, indices: Array, /, *, axis: int, size: int) -> Array:
    """Add elements into zeros along an axis: the transpose of `pick_along`."""
    return bind(pile_along, x, indices, axis=axis, size=size)


pick_along.kernel("numpy")(lambda x, indices, *, axis: np.take_along_axis(x, indices, axis))
pick_along.kernel("torch")("neo_array.backends.torch_kernels.indexing:pick_along")
pile_along.kernel("torch")("neo_array.backends.torch_kernels.indexing:pile_along")


@pile_along.kernel("numpy")
def _(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    out = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    place = list(np.ogrid[tuple(slice(n) for n in x.shape)])
    place[axis] = indices
    np.add.at(out, tuple(place), x)
    return out


@pick_along.vjp("x")
def _(g: Array, x: Shape, indices: Array, *, axis: int) -> Array:
    return bind(pile_along, g, indices, axis=axis, size=x[axis])


@pile_along.vjp("x")
def _(g: Array, indices: Array, *, axis: int) -> Array:
    return bind(pick_along, g, indices, axis=axis)


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """Read one element per index along an axis; the other axes of x and indices are equal."""
    need_arrays("take_along_axis", x)
    at = _axis("take_along_axis", x, axis)
    _check_dtype("take_along_axis", indices)
    if indices.ndim != x.ndim or any(
        i != at and n != m for i, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True))
    ):
        raise ShapeError(
            f"take_along_axis: shapes {x.shape} and {indices.shape} must be equal except along axis {axis}"
        )
    return bind(pick_along, x, indices, axis=at)


for _op in (pick, pile, pick_along, pile_along):
    _op.vjp(indices=_INTEGER)


# --- x[...] ---
def getitem(x: Array, index: Index, /) -> Array:
    """Read a part of x: integers, slices, ..., None, integer arrays or lists, boolean masks."""
    part: Array
    if type(index) is slice and x._raw.shape:  # the two kinds that a training loop takes its batches by
        _check_slice(index, x._raw.shape[0])
        part = cut.bind(x, index=(index,))
        return part
    if type(index) is Array and x._raw.shape and index.dtype.kind in "iu":
        part = pick.bind(x, index, axis=0)
        return part
    items = index if isinstance(index, tuple) else (index,)
    basic: list[Any] = []
    for item in items:
        if isinstance(item, Array | list):
            return _getitem_arrays(x, items)
        basic.append(item if item is None or item is ... or isinstance(item, slice) else _as_int(item))
    _check_basic(x, basic)
    return bind(cut, x, index=tuple(basic))


def _getitem_arrays(x: Array, items: tuple[Any, ...]) -> Array:
    first = items[0]
    if len(items) == 1 and isinstance(first, Array) and first.dtype.kind in "iu" and x.ndim:  # as in x[i,]
        return take(x, first, axis=0)
    return take(reshape(x, -1), asarray(positions(x, items), device=x.device), axis=0)


def positions(x: Array, items: tuple[Any, ...]) -> Any:
    """Return the flat positions that an index selects, as NumPy computes them."""
    for item in items:
        if isinstance(item, Array) and item.device != x.device:
            raise DeviceError(
                f'index: an index on {item.device} for an array on {x.device}; move it, .to("{x.device}")'
            )
    lowered = tuple(map(_lowered, items))
    try:
        return np.arange(x.size).reshape(x.shape)[lowered]
    except IndexError as error:
        raise IndexError(f"index: {error}; got shape {x.shape}") from None


def _lowered(item: Any) -> Any:
    """Return one index as NumPy takes it."""
    if isinstance(item, Array | list):
        values = item.numpy() if isinstance(item, Array) else np.array(item, np.int64 if not item else None)
        if values.dtype.kind not in "biu":
            raise DTypeError(f"index: arrays must be integer or boolean, got {values.dtype}; use .astype(na.int64)")
        return values
    return item if item is None or item is ... or isinstance(item, slice) else _as_int(item)


def _as_int(item: SupportsIndex) -> int:
    if backends.is_raw(item):
        raise DTypeError(f"index: got a {type(item).__module__}.{type(item).__name__}; wrap it in na.asarray(...)")
    if isinstance(item, bool | np.bool_) or not hasattr(item, "__index__"):
        raise DTypeError(
            f"index: got {item!r} ({type(item).__name__}); use integers, slices, ..., None, "
            "or an Array of integers or booleans"
        )
    return int(item)


def _check_basic(x: Array, basic: list[Any]) -> None:
    consuming = [i for i in basic if i is not None and i is not ...]
    if len(consuming) > x.ndim or sum(i is ... for i in basic) > 1:
        raise IndexError(
            f"index: {len(consuming)} indices for shape {x.shape}, which has {x.ndim} axes; at most one ... is allowed"
        )
    axis = 0
    for item in basic:
        if item is ...:
            axis = x.ndim - sum(1 for i in basic[basic.index(...) + 1 :] if i is not None)
        elif item is not None:
            n = x.shape[axis]
            if isinstance(item, slice):
                _check_slice(item, n)
            if isinstance(item, int) and not -n <= item < n:
                raise IndexError(f"index: {item} is out of range for axis {axis} of shape {x.shape}")
            axis += 1


def _check_slice(item: slice, size: int) -> None:
    try:
        item.indices(size)
    except TypeError:
        raise DTypeError(f"index: a slice needs integers, got {item}") from None
    except ValueError:
        raise IndexError(f"index: a slice's step must not be 0, got {item}") from None


def _axis(op: str, x: Array, axis: int) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{op}: axis {axis} is out of range for shape {x.shape}")
    return axis % x.ndim


def _check_dtype(op: str, indices: Array) -> None:
    if type(indices) is not Array or indices.dtype.kind not in "iu":
        got = indices.dtype if type(indices) is Array else type(indices).__name__
        raise DTypeError(f"{op}: indices must be an integer Array, got {got}; use na.asarray(..., dtype=na.int64)")


def _out_of_range(x: Array, indices: Array, /, *, axis: int, size: int | None = None) -> None:
    """Say which index no kernel could find: kernels on the CPU check the range themselves; CUDA asserts it later."""
    length = x.shape[axis] if size is None else size
    if indices.size:
        low, high = indices.min().item(), indices.max().item()
        if not (-length <= low and high < length):  # type: ignore[operator]  # integers
            raise IndexError(f"take: indices from {low} to {high} are out of range for an axis of size {length}")


for _indexed in (pick, pile, pick_along, pile_along):
    _indexed.explain(_out_of_range)


# --- Batches ---
pick_along.batch(batch_by_axis(pick_along, "axis"))
pile_along.batch(batch_by_axis(pile_along, "axis"))


@cut.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, index: _Basic) -> Batch:
    return cut(to_front(args[0], axes[0]), index=(slice(None), *index)), 0


@paste.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, index: _Basic, shape: tuple[int, ...]) -> Batch:
    return paste(to_front(args[0], axes[0]), index=(slice(None), *index), shape=(size, *shape)), 0


@pick.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, axis: int) -> Batch:
    x, indices = args
    if axes[1] is None:
        return pick(to_front(x, axes[0]), indices, axis=axis + 1), 0
    places = to_front(indices, axes[1])
    if axes[0] is None:
        return pick(x, places, axis=axis), axis
    # An offset per example into one long axis would be faster, but an index that is out of range would then read
    # another example.
    front = to_front(x, axes[0])
    before, after = front.shape[1 : axis + 1], front.shape[axis + 2 :]
    out = pick_along(front, _spread_indices(places, before, after), axis=axis + 1)
    return reshape(out, (size, *before, *places.shape[1:], *after)), 0


@pile.batch
def _(batch: int, args: Sequence[Array], axes: Axes, /, *, axis: int, size: int) -> Batch:
    x, indices = args
    front = filled(x, axes[0], batch)
    if axes[1] is None:
        return pile(front, indices, axis=axis + 1, size=size), 0
    places = to_front(indices, axes[1])
    before, after = front.shape[1 : axis + 1], front.shape[axis + places.ndim :]
    flat = reshape(front, (batch, *before, math.prod(places.shape[1:]), *after))
    return pile_along(flat, _spread_indices(places, before, after), axis=axis + 1, size=size), 0


def _spread_indices(indices: Array, before: tuple[int, ...], after: tuple[int, ...]) -> Array:
    """Repeat each example's indices over the axes before and after the one that they index."""
    size, count = indices.shape[0], math.prod(indices.shape[1:])
    column = reshape(indices, (size, *(1,) * len(before), count, *(1,) * len(after)))
    return broadcast_to(column, (size, *before, count, *after))


# --- Samples ---
@cut.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), index=(slice(None, None, 2), 1))
    yield sample(rng.normal(size=(3, 5)), index=(..., slice(4, 0, -2)))
    yield sample(rng.normal(size=(3, 5)), index=(None, 2, ..., None))
    yield sample(rng.normal(size=(3, 5)), index=(slice(2, 2),))


@paste.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(2,)), index=(slice(None, None, 2), 1), shape=(3, 5))
    yield sample(rng.normal(size=(3, 2)), index=(..., slice(4, 0, -2)), shape=(3, 5))


@pick.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), np.array([0, 2, 2, -1]), axis=0)
    yield sample(rng.normal(size=(3, 5)), np.array([[4, 1], [0, -5]]), axis=1)
    yield sample(rng.normal(size=(3, 5)), np.zeros((0,), np.int64), axis=0)


@pile.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(4, 5)), np.array([0, 2, 2, -1]), axis=0, size=3)
    yield sample(rng.normal(size=(3, 2, 2)), np.array([[4, 1], [0, -5]]), axis=1, size=5)


@pick_along.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), np.array([[0, 0], [4, -1], [2, 2]]), axis=1)


@pile_along.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 2)), np.array([[0, 0], [4, -1], [2, 2]]), axis=1, size=5)
