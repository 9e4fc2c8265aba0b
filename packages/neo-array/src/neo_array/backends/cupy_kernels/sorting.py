"""CuPy kernels for sorting, searching and sets."""

from __future__ import annotations

import itertools
from typing import Any

import cupy

from neo_array.ops.sorting import comparable, stable_order


def arg_top_k(raw: Any, *, axis: int, k: int, largest: bool) -> Any:
    """Return the positions of the k largest, from a whole sort: CuPy's partition says nothing of nan."""
    order = stable_order(raw, axis=axis, descending=largest)
    return order[(slice(None),) * axis + (slice(k),)]


def search(raw: Any, values: Any, *, side: str) -> Any:
    """Search the rows of an array that is sorted along its last axis; CuPy searches one at a time."""
    if raw.dtype.kind == "c":
        raise TypeError
    table, keys = comparable(raw), comparable(values)
    if table.ndim == 1:
        return cupy.searchsorted(table, keys, side)
    out = cupy.zeros(keys.shape, cupy.int64)
    for row in itertools.product(*map(range, table.shape[:-1])):
        out[row] = cupy.searchsorted(table[row], keys[row], side)
    return out


def distinct(raw: Any) -> tuple[Any, Any, Any]:
    """Return the first positions of a vector's distinct elements, which of them each element is, and their counts."""
    if not raw.size:
        return tuple(cupy.zeros(0, cupy.int64) for _ in range(3))
    order = _order(raw)
    ascending = raw[order]
    first = cupy.ones(raw.shape, cupy.bool_)
    first[1:] = ascending[1:] != ascending[:-1]
    starts = cupy.flatnonzero(first)
    inverse = cupy.zeros(raw.shape, cupy.int64)
    inverse[order] = first.cumsum() - 1
    ends = cupy.concatenate([starts[1:], cupy.full(1, raw.size, starts.dtype)])
    return order[starts], inverse, ends - starts


def _order(raw: Any) -> Any:
    """Return the positions in stable order; complex numbers by real, then by imaginary part."""
    if raw.dtype.kind == "c":
        by_imaginary = cupy.argsort(raw.imag)
        return by_imaginary[cupy.argsort(raw.real[by_imaginary])]
    return stable_order(raw, axis=0, descending=False)
