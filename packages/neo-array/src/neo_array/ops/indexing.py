"""Indexing: reading parts of an array."""

from __future__ import annotations

from typing import Any

from neo_array._array import Array, Index
from neo_array._bind import need_arrays
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import bind
from neo_array.ops.picking import pick, pick_along
from neo_array.ops.selecting import as_basic, check_slice, select
from neo_array.ops.shaping import broadcast_to, normalize_axis
from neo_array.ops.slicing import cut


def getitem(x: Array, index: Index, /) -> Array:
    """Read a part of x: integers, slices, ..., None, integer arrays or lists, boolean masks, as NumPy reads them.

    Arrays stay on their device, and may differ by example under vmap; masks may not, since the shape of what they
    select depends on their values.

    Raises:
        IndexError: if an index is out of range. On CUDA an array's elements are not looked at: there the device
            asserts, and no value of another element or example is ever read.
        DTypeError: for what is no index.
        LevelError: for a mask that differs by example.
    """
    part: Array
    if type(index) is slice and x._raw.shape:  # the two kinds that a training loop takes its batches by
        check_slice(index, x._raw.shape[0])
        part = cut.bind(x, index=(index,))
        return part
    if type(index) is Array and x._raw.shape and index.dtype.kind in "iu":
        part = pick.bind(x, index, axis=0)
        return part
    items: tuple[Any, ...] = index if isinstance(index, tuple) else (index,)
    if any(isinstance(item, Array | list) for item in items):
        return select(x, items).read(x)
    return bind(cut, x, index=as_basic(x, items))


def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    """Read slices along an axis at integer indices of any shape; negative ones count from the end.

    Raises:
        IndexError: if an index is out of range.
        ShapeError: without an axis, unless x is a vector.
    """
    need_arrays("take", x)
    if axis is None and x.ndim != 1:
        raise ShapeError(f"take: needs axis= for shape {x.shape}")
    at = normalize_axis("take", x, 0 if axis is None else axis)
    _check_dtype("take", indices)
    return bind(pick, x, indices, axis=at)


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """Read one element per index along an axis; the other axes of x and indices broadcast.

    Raises:
        IndexError: if an index is out of range.
    """
    need_arrays("take_along_axis", x)
    at = normalize_axis("take_along_axis", x, axis)
    _check_dtype("take_along_axis", indices)
    others = [_without(at, x.shape), _without(at, indices.shape)]
    if x.ndim != indices.ndim or any(n != m and 1 not in (n, m) for n, m in zip(*others, strict=True)):
        raise ShapeError(
            f"take_along_axis: shapes {x.shape} and {indices.shape} must be equal except along axis {axis}"
        )
    rest = [m if n == 1 else n for n, m in zip(*others, strict=True)]
    x, indices = (broadcast_to(a, (*rest[:at], a.shape[at], *rest[at:])) for a in (x, indices))
    return bind(pick_along, x, indices, axis=at)


def _without(axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _check_dtype(op: str, indices: Array) -> None:
    if type(indices) is not Array or indices.dtype.kind not in "iu":
        got = indices.dtype if type(indices) is Array else type(indices).__name__
        raise DTypeError(f"{op}: indices must be an integer Array, got {got}; use na.asarray(..., dtype=na.int64)")
