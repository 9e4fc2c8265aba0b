"""Updated copies: `x.at[index].set(v)` and its kin, composed of differentiable ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neo_array._array import Array, ArrayLike, Index
from neo_array._errors import ShapeError
from neo_array.ops.arithmetic import maximum, minimum, multiply, where
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray
from neo_array.ops.indexing import pile, positions, take
from neo_array.ops.shaping import broadcast_to, reshape


class At:
    """What `x.at` is: choose a part with `[index]`, then say how to update it."""

    __slots__ = ("_array",)

    def __init__(self, array: Array) -> None:
        self._array = array

    def __getitem__(self, index: Index, /) -> Part:
        return Part(self._array, index)


class Part:
    """A part of an array, to be updated in a copy. x stays as it is."""

    __slots__ = ("_array", "_index", "_positions")

    def __init__(self, array: Array, index: Index) -> None:
        self._array = array
        self._index = index
        self._positions = positions(array, index if isinstance(index, tuple) else (index,))

    def set(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part replaced. Where an index occurs twice, the last value counts, as in NumPy."""
        values = self._values(value)
        _, last = np.unique(self._positions.reshape(-1)[::-1], return_index=True)
        last = self._positions.size - 1 - last
        x = self._array
        chosen = asarray(self._positions.reshape(-1)[last], device=x.device)
        placed = pile.bind(take(values, asarray(last, device=x.device), axis=0), chosen, axis=0, size=x.size)
        mask = np.zeros(x.size, np.bool_)
        mask[self._positions.reshape(-1)] = True
        return where(asarray(mask.reshape(x.shape), device=x.device), reshape(placed, x.shape), x)

    def add(self, value: ArrayLike, /) -> Array:
        """Return a copy with values added to the part. Where an index occurs twice, both count."""
        x = self._array
        chosen = asarray(self._positions.reshape(-1), device=x.device)
        return x + reshape(pile.bind(self._values(value), chosen, axis=0, size=x.size), x.shape)

    def mul(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part multiplied by values."""
        return self._combine(multiply, value)

    def min(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part limited from above by values."""
        return self._combine(minimum, value)

    def max(self, value: ArrayLike, /) -> Array:
        """Return a copy with the part limited from below by values."""
        return self._combine(maximum, value)

    def _combine(self, op: Callable[[ArrayLike, ArrayLike], Array], value: ArrayLike) -> Array:
        if len(np.unique(self._positions)) != self._positions.size:
            raise ShapeError(
                "at: an index occurs twice, and only set and add say what that means; make the indices unique"
            )
        return self.set(
            op(self._array[self._index], astype(asarray(value, device=self._array.device), self._array.dtype))
        )

    def _values(self, value: ArrayLike) -> Array:
        """Return the value with the part's shape, flattened, in the array's dtype."""
        x = self._array
        values: Any = astype(value if isinstance(value, Array) else asarray(value, device=x.device), x.dtype)
        return reshape(broadcast_to(values, self._positions.shape), -1)
