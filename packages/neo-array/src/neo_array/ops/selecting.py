"""What an index with arrays selects, taken apart into slices and points, as NumPy reads it.

    x[1, :, mask, None, [0, 2]]

selects in four steps: slices and integers cut a part out of x; the axes under a mask of several axes merge into one;
the indexed axes come first; and the arrays pick points of them. The points' axes then go where NumPy has them: in
place of the indexed axes if these stand side by side in the index, or else in front.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from neo_array import _dtypes, backends
from neo_array._array import Array
from neo_array._errors import DeviceError, DTypeError, LevelError
from neo_array._payloads import Batched
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray
from neo_array.ops.joining import concat
from neo_array.ops.picking import pick, pick_at, true_places
from neo_array.ops.shaping import broadcast_to, expand_dims, moveaxis, permute_dims, reshape
from neo_array.ops.slicing import Basic, cut, paste, replace

_Entry: TypeAlias = "int | slice | EllipsisType | Array | None"


@dataclass(frozen=True, slots=True)
class Selection:
    """An index with arrays, taken apart."""

    shape: tuple[int, ...]  # of x
    index: Basic  # the slices and integers
    part: tuple[int, ...]  # the shape that they cut out
    merged: tuple[int, ...]  # and once more, with each mask's axes merged into one
    axes: tuple[int, ...]  # of `merged`: the indexed ones
    arrays: tuple[Array, ...]  # integers, one array for each of them
    points: tuple[int, ...]  # the shape that the arrays broadcast to
    place: int  # where the result has the axes of the points

    def read(self, x: Array) -> Array:
        """Return what the index selects."""
        part = self.lift(x)
        if len(self.arrays) == 1:
            out = pick(part, self.arrays[0], axis=self.axes[0])
            return self._move(out, self.axes[0], self.place)
        return self._move(pick_at(self.to_front(part), self.indices()), 0, self.place)

    @property
    def result(self) -> tuple[int, ...]:
        """The shape of what the index selects."""
        rest = [n for i, n in enumerate(self.merged) if i not in self.axes]
        return (*rest[: self.place], *self.points, *rest[self.place :])

    def lift(self, x: Array) -> Array:
        """Return the part that slices and integers cut out, merged."""
        return reshape(x if self._is_whole else cut(x, index=self.index), self.merged)

    def lower(self, part: Array, x: Array) -> Array:
        """Return a copy of x with the part, merged, put back: the inverse of `lift`."""
        part = reshape(part, self.part)
        return part if self._is_whole else replace(x, part, index=self.index)

    def spread(self, part: Array) -> Array:
        """Return zeros of x's shape with the part, merged, put in: the transpose of `lift`."""
        part = reshape(part, self.part)
        return part if self._is_whole else paste(part, index=self.index, shape=self.shape)

    def to_front(self, part: Array) -> Array:
        """Move the indexed axes of the merged part to the front."""
        return permute_dims(part, self.order)

    def to_place(self, front: Array) -> Array:
        """Move the indexed axes from the front back to their places."""
        return permute_dims(front, tuple(sorted(range(front.ndim), key=self.order.__getitem__)))

    def values(self, selected: Array) -> Array:
        """Move the axes of the points from where the result has them to the front."""
        return self._move(selected, self.place, 0)

    def indices(self) -> Array:
        """Return the arrays as one, of shape (how many, *points)."""
        rows = [expand_dims(astype(broadcast_to(a, self.points), _dtypes.int64)) for a in self.arrays]
        return rows[0] if len(rows) == 1 else concat(rows)

    @property
    def _is_whole(self) -> bool:
        return self.part == self.shape and all(item == slice(None) for item in self.index)

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of `merged`, the indexed ones first."""
        return (*self.axes, *(i for i in range(len(self.merged)) if i not in self.axes))

    def _move(self, out: Array, source: int, to: int) -> Array:
        count = len(self.points)
        return moveaxis(out, tuple(range(source, source + count)), tuple(range(to, to + count)))


def select(x: Array, items: tuple[Any, ...]) -> Selection:
    """Take an index apart that holds at least one array.

    Raises:
        IndexError: where an index is out of range, or does not fit x's shape; of the arrays' elements, that is found
            out when they are used.
        DTypeError: for what is no index.
    """
    entries = [_entry(x, item) for item in items]
    used = sum(map(_consumed, entries))
    skipped = x.ndim - used
    if skipped < 0 or sum(e is ... for e in entries) > 1:
        raise IndexError(
            f"index: {used} indices for shape {x.shape}, which has {x.ndim} axes; at most one ... is allowed"
        )
    index: list[Any] = []
    part: list[int] = []
    merged: list[int] = []
    axes: list[int] = []
    arrays: list[Array] = []
    axis = 0
    for entry in entries if any(e is ... for e in entries) else [*entries, ...]:
        for piece in [slice(None)] * skipped if entry is ... else [entry]:
            if isinstance(piece, Array):
                axes.append(len(merged))
                covered = x.shape[axis : axis + _consumed(piece)]
                if piece.dtype.kind == "b":
                    piece = _places(piece, covered, x.shape)
                arrays.append(piece)
                index += [slice(None)] * len(covered) or [None]
                part += covered or [1]
                merged.append(math.prod(covered))
                axis += len(covered)
            elif piece is None:
                index.append(None)
                part.append(1)
                merged.append(1)
            else:
                index.append(piece)
                kept = _kept(piece, x.shape, axis)
                part += kept
                merged += kept
                axis += 1
    try:
        points = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError:
        shapes = " and ".join(str(a.shape) for a in arrays)
        raise IndexError(f"index: the arrays' shapes {shapes} do not broadcast") from None
    return Selection(
        x.shape,
        tuple(index),
        tuple(part),
        tuple(merged),
        tuple(axes),
        tuple(arrays),
        points,
        _place(entries, skipped),
    )


def _place(entries: list[_Entry], skipped: int) -> int:
    """Return where the result has the axes of the points; an integer beside an array counts as one."""
    advanced = [i for i, e in enumerate(entries) if isinstance(e, int | Array)]
    if advanced[-1] - advanced[0] >= len(advanced):
        return 0
    return sum(skipped if e is ... else 1 for e in entries[: advanced[0]])


def _entry(x: Array, item: Any) -> _Entry:
    if isinstance(item, list):
        item = asarray(item, dtype=None if item else _dtypes.int64, device=x.device)
    if not isinstance(item, Array):
        return item if item is None or item is ... or isinstance(item, slice) else as_int(item)
    if item.dtype.kind not in "biu":
        raise DTypeError(f"index: arrays must be integer or boolean, got {item.dtype}; use .astype(na.int64)")
    if item.device != x.device:
        raise DeviceError(f'index: an index on {item.device} for an array on {x.device}; move it, .to("{x.device}")')
    return item


def _consumed(entry: _Entry) -> int:
    """Return how many axes of x an entry uses up."""
    if isinstance(entry, Array):
        return entry.ndim if entry.dtype.kind == "b" else 1
    return 0 if entry is None or entry is ... else 1


def _places(mask: Array, covered: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    if type(mask._raw) is Batched:
        raise LevelError(
            "index: under vmap a mask selects another number of elements for each example; write where(mask, x, ...), "
            "or x.at[mask].set(value) with one value for all"
        )
    if any(m not in (0, n) for m, n in zip(mask.shape, covered, strict=True)):  # without elements, it selects none
        raise IndexError(f"index: a mask of shape {mask.shape} is no mask for axes of sizes {covered} of shape {shape}")
    return true_places(mask)


def _kept(piece: int | slice, shape: tuple[int, ...], axis: int) -> list[int]:
    """Return the size of what a slice leaves of an axis; an integer leaves nothing."""
    n = shape[axis]
    if isinstance(piece, slice):
        check_slice(piece, n)
        return [len(range(*piece.indices(n)))]
    if not -n <= piece < n:
        raise IndexError(f"index: {piece} is out of range for axis {axis} of shape {shape}")
    return []


def as_int(item: SupportsIndex) -> int:
    """Return one index as an int."""
    if backends.is_raw(item):
        raise DTypeError(f"index: got a {type(item).__module__}.{type(item).__name__}; wrap it in na.asarray(...)")
    if isinstance(item, bool | np.bool_) or not hasattr(item, "__index__"):
        raise DTypeError(
            f"index: got {item!r} ({type(item).__name__}); use integers, slices, ..., None, "
            "or an Array of integers or booleans"
        )
    return int(item)


def check_slice(item: slice, size: int) -> None:
    """Refuse a slice of other things than integers, or of step 0."""
    try:
        item.indices(size)
    except TypeError:
        raise DTypeError(f"index: a slice needs integers, got {item}") from None
    except ValueError:
        raise IndexError(f"index: a slice's step must not be 0, got {item}") from None


def as_basic(x: Array, items: tuple[Any, ...]) -> Basic:
    """Check an index without arrays."""
    basic = [item if item is None or item is ... or isinstance(item, slice) else as_int(item) for item in items]
    used = sum(map(_consumed, basic))
    if used > x.ndim or sum(i is ... for i in basic) > 1:
        raise IndexError(
            f"index: {used} indices for shape {x.shape}, which has {x.ndim} axes; at most one ... is allowed"
        )
    axis = 0
    for item in basic:
        if item is ...:
            axis = x.ndim - sum(map(_consumed, basic[basic.index(...) + 1 :]))
        elif item is not None:
            _kept(item, x.shape, axis)
            axis += 1
    return tuple(basic)
