"""Updated copies: `x.at[index].set(v)` and its kin, composed of differentiable ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from neo_array import _dtypes
from neo_array._array import Array, ArrayLike, Index
from neo_array._bind import need_arrays
from neo_array._errors import DTypeError
from neo_array._primitive import Primitive
from neo_array.ops.arithmetic import divide, maximum, minimum, multiply, power, where
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray, ones
from neo_array.ops.picking import pick_at, pile_at
from neo_array.ops.selecting import Selection, as_basic, select
from neo_array.ops.shaping import broadcast_to, normalize_axis, reshape
from neo_array.ops.slicing import Basic, cut, paste, replace
from neo_array.ops.writing import maximum_at, minimum_at, multiply_at, replace_at

_Combine: TypeAlias = Callable[[Array, Array], Array]
_Mode: TypeAlias = Literal["set", "add", "subtract", "multiply", "divide", "power", "min", "max"]


class At:
    """What `x.at` is: choose a part with `[index]`, then say how to update it."""

    __slots__ = ("_array",)

    def __init__(self, array: Array) -> None:
        self._array = array

    def __getitem__(self, index: Index, /) -> Part:
        return Part(self._array, index)


class Part:
    """A part of an array, to be updated in a copy. x stays as it is, and so do its shape and dtype.

    The index is what `x[index]` takes; values broadcast to the shape of `x[index]` and are cast to x's dtype. Where an
    index occurs twice, `set` lets the last value count, as NumPy does, and only that value has a derivative; every
    other way applies all the values. A mask may differ by example under vmap where one value goes to all it selects.
    """

    __slots__ = ("_array", "_index", "_mask", "_selection")

    def __init__(self, array: Array, index: Index) -> None:
        items: tuple[Any, ...] = index if isinstance(index, tuple) else (index,)
        self._array = array
        self._mask = _as_mask(array, items)
        self._index: Basic | None = None
        self._selection: Selection | tuple[Any, ...] = items
        if not any(isinstance(item, Array | list) for item in items):
            self._index = as_basic(array, items)
        elif self._mask is None:
            self._selection = select(array, items)

    def get(self) -> Array:
        """Return the part."""
        return self._array[self._index] if self._index is not None else self._selected.read(self._array)

    def set(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part replaced. Where an index occurs twice, the last value counts, as in NumPy."""
        return self._update(value, 0, lambda old, new: new, replace_at)

    def add(self, value: ArrayLike, /) -> Array:
        """Return a copy with values added to the part. Where an index occurs twice, both count."""
        v = self._values(value)
        if (spread := self._spread(v, 0)) is not None:
            return self._array + spread
        return self._array + self._added(v)

    def subtract(self, value: ArrayLike, /) -> Array:
        """Return a copy with values subtracted from the part. Where an index occurs twice, both count."""
        v = self._values(value)
        if (spread := self._spread(v, 0)) is not None:
            return self._array - spread
        return self._array - self._added(v)

    def multiply(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part multiplied by values. Where an index occurs twice, both count."""
        return self._update(value, 1, multiply, multiply_at)

    def mul(self, value: ArrayLike, /) -> Array:
        """Do as `multiply`."""
        return self.multiply(value)

    def divide(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part divided by values. Where an index occurs twice, both count."""
        if not _dtypes.is_inexact(self._array.dtype):
            raise DTypeError(
                f"at: divide gives no integers, got dtype {self._array.dtype}; cast with .astype(...) first"
            )
        return self._update(value, 1, divide, None)

    def power(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part raised to powers. Where an index occurs twice, the powers multiply."""
        return self._update(value, 1, power, None)

    def min(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part limited from above by values. Ties share the derivative evenly."""
        return self._update(value, None, minimum, minimum_at)

    def max(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part limited from below by values. Ties share the derivative evenly."""
        return self._update(value, None, maximum, maximum_at)

    # --- How ---
    @property
    def _selected(self) -> Selection:
        if not isinstance(self._selection, Selection):
            self._selection = select(self._array, self._selection)
        return self._selection

    def _update(
        self, value: ArrayLike, neutral: int | None, combine: _Combine, at: Primitive[..., Array] | None
    ) -> Array:
        """Combine the part with values; `at` does so at points, and without it their product goes in."""
        x, v = self._array, self._values(value)
        if self._index is not None:
            old = cut(x, index=self._index)
            return replace(x, combine(old, broadcast_to(v, old.shape)), index=self._index)
        mask = self._mask_over(v)
        if mask is not None:
            if neutral == 1:
                return combine(x, where(mask, v, 1))  # 1 outside: a derivative there must not divide by v
            return where(mask, combine(x, v), x)
        chosen = self._selected
        part, points = chosen.to_front(chosen.lift(x)), chosen.indices()
        v = chosen.values(broadcast_to(v, chosen.result))
        if at is None:
            product = multiply_at(ones(part.shape, dtype=x.dtype, device=x.device), v, points)
            v = combine(pick_at(part, points), pick_at(product, points))
        return chosen.lower(chosen.to_place((at or replace_at)(part, v, points)), x)

    def _added(self, v: Array) -> Array:
        """Return zeros of x's shape with values added at the part."""
        x = self._array
        if self._index is not None:
            return paste(broadcast_to(v, cut(x, index=self._index).shape), index=self._index, shape=x.shape)
        chosen = self._selected
        shape = tuple(chosen.merged[i] for i in chosen.order)
        v = chosen.values(broadcast_to(v, chosen.result))
        return chosen.spread(chosen.to_place(pile_at(v, chosen.indices(), shape=shape)))

    def _spread(self, v: Array, neutral: int) -> Array | None:
        """Return one value wherever a mask holds, and a neutral one elsewhere; None if this is no such update."""
        mask = self._mask_over(v)
        return None if mask is None else where(mask, v, neutral)

    def _mask_over(self, v: Array) -> Array | None:
        """Return the mask with x's axes, if the index is a mask, and v has one value for all that it selects."""
        mask, x = self._mask, self._array
        if mask is None or v.ndim > x.ndim - mask.ndim:
            return None
        return reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim)))

    def _values(self, value: ArrayLike) -> Array:
        """Return the value as an Array of x's dtype."""
        x = self._array
        v = value if isinstance(value, Array) else asarray(value, device=x.device)
        if v.dtype.kind == "c" and x.dtype.kind != "c":
            raise DTypeError(f"at: complex values do not fit an array of {x.dtype}; cast it with .astype(...) first")
        return astype(v, x.dtype)


def _as_mask(x: Array, items: tuple[Any, ...]) -> Array | None:
    """Return the mask, if that is all of the index, and it fits."""
    mask = items[0] if len(items) == 1 else None
    if isinstance(mask, list) and mask:
        mask = asarray(mask, device=x.device)
    if not isinstance(mask, Array) or mask.dtype.kind != "b" or mask.ndim == 0:
        return None
    return mask if mask.shape == x.shape[: mask.ndim] and mask.device == x.device else None


def scatter(x: Array, indices: Array, updates: ArrayLike, /, *, axis: int = 0, mode: _Mode = "set") -> Array:
    """Return a copy of x with its slices along an axis updated at integer indices: the counterpart of `take`.

    Args:
        x: any array with at least one axis.
        indices: integers of any shape; where one occurs twice, see `x.at`.
        updates: shape `x.shape[:axis] + indices.shape + x.shape[axis + 1:]`, or what broadcasts to it.
        axis: which axis the indices index.
        mode: one of the ways that `x.at[...]` offers.

    Raises:
        IndexError: if an index is out of range.
    """
    need_arrays("scatter", x, indices)
    if mode not in ("set", "add", "subtract", "multiply", "divide", "power", "min", "max"):
        raise ValueError(f"scatter: mode must be set, add, subtract, multiply, divide, power, min or max, got {mode!r}")
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"scatter: indices must be integers, got {indices.dtype}; use .astype(na.int64)")
    at = normalize_axis("scatter", x, axis)
    update: Callable[[ArrayLike], Array] = getattr(Part(x, ((slice(None),) * at + (indices,))), mode)
    return update(updates)
