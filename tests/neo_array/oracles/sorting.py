"""Oracles of sorting, searching, sets and segments: Python's own sort, and loops over elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.neo_array.oracles.core import Oracle


def ranked(values: list[Any], descending: bool) -> list[int]:
    """Return the positions of the values in order: Python's sort is stable, and nan is put above the numbers."""
    sign = -1 if descending else 1
    return sorted(
        range(len(values)),
        key=lambda i: (sign * math.isnan(values[i]), 0 if math.isnan(values[i]) else sign * values[i]),
    )


def positions(f: Callable[[list[Any]], list[int]], x: Any, axis: int, size: int) -> Any:
    """Apply a function from lists to positions along an axis, whose size becomes `size`."""
    columns = np.moveaxis(x, axis, -1)
    out = np.zeros((*columns.shape[:-1], size), np.int64)
    for place in np.ndindex(columns.shape[:-1]):
        out[place] = f(columns[place].tolist())
    return np.moveaxis(out, -1, axis)


def argsort(x: Any, *, axis: int, descending: bool) -> Any:
    return positions(lambda v: ranked(v, descending), x, axis, x.shape[axis])


def arg_top_k(x: Any, *, axis: int, k: int, largest: bool) -> Any:
    return positions(lambda v: ranked(v, largest)[:k], x, axis, k)


def search(x1: Any, x2: Any, *, side: str) -> Any:
    """Count the elements of a row that come before a value."""

    def before(a: float, b: float) -> bool:
        if math.isnan(a) or math.isnan(b):
            return math.isnan(b) and (side == "right" or not math.isnan(a))
        return a < b or (side == "right" and a == b)

    out = np.zeros(x2.shape, np.int64)
    for place in np.ndindex(x2.shape):
        row = x1[place[: x1.ndim - 1]].tolist()
        out[place] = sum(before(a, float(x2[place])) for a in row)
    return out


def nonzero(x: Any) -> tuple[Any, ...]:
    places = [place for place in np.ndindex(x.shape) if x[place].item() != 0]
    return tuple(np.array([place[i] for place in places], np.int64) for i in range(x.ndim))


def distinct(x: Any) -> tuple[Any, ...]:
    """Go through a vector once, looking each element up among those met before."""
    values = x.tolist()
    firsts = [i for i, v in enumerate(values) if not any(v == w for w in values[:i])]
    if x.dtype.kind == "c":
        firsts.sort(key=lambda i: (values[i].real, values[i].imag))
    else:
        firsts.sort(key=lambda i: (math.isnan(values[i]), 0 if math.isnan(values[i]) else values[i], i))
    inverse = [next(k for k, f in enumerate(firsts) if f == i or values[f] == v) for i, v in enumerate(values)]
    return tuple(np.array(a, np.int64) for a in (firsts, inverse, [inverse.count(k) for k in range(len(firsts))]))


def segments(f: Callable[[Any, Any], Any], empty: float) -> Oracle:
    """Combine the slices of each segment one after the other."""

    def reduce(x: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
        out = np.full((size, *np.moveaxis(x, axis, 0).shape[1:]), empty, x.dtype)
        for row, i in zip(np.moveaxis(x, axis, 0), segment_ids.tolist(), strict=True):
            out[i] = f(out[i], row)
        return np.moveaxis(out, 0, axis)

    return reduce


ORACLES: dict[str, Oracle] = {
    "argsort_along": argsort,
    "arg_top_k": arg_top_k,
    "search": search,
    "nonzero": nonzero,
    "distinct": distinct,
    "segment_index": lambda ids, *, size: np.array([int(i) for i in ids], np.int64),
    "sum_segments": segments(lambda a, b: a + b, 0.0),
    "max_segments": segments(lambda a, b: np.where(a > b, a, b), -math.inf),
    "min_segments": segments(lambda a, b: np.where(a < b, a, b), math.inf),
}
