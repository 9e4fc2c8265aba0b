"""What indexing and updating should give: element by element, in plain Python where that is possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.neo_array.oracles.core import Oracle

Place = tuple[int, ...]


# --- Indexing: element by element ---
def paste(x: Any, *, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape)
    where = np.arange(math.prod(shape)).reshape(shape)[index]
    for position, value in zip(where.reshape(-1), x.reshape(-1), strict=True):
        out.reshape(-1)[position] = value
    return out


def pick(x: Any, indices: Any, *, axis: int) -> Any:
    out = np.empty((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    for place in np.ndindex(indices.shape):
        out[(slice(None),) * axis + place] = x[(slice(None),) * axis + (int(indices[place]),)]
    return out


def pile(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    out = np.zeros((*x.shape[:axis], size, *x.shape[axis + indices.ndim :]), x.dtype)
    for place in np.ndindex(indices.shape):
        out[(slice(None),) * axis + (int(indices[place]),)] += x[(slice(None),) * axis + place]
    return out


def pick_along(x: Any, indices: Any, *, axis: int) -> Any:
    out = np.empty(indices.shape, x.dtype)
    for place in np.ndindex(indices.shape):
        out[place] = x[(*place[:axis], int(indices[place]), *place[axis + 1 :])]
    return out


def pile_along(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    out = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    for place in np.ndindex(indices.shape):
        out[(*place[:axis], int(indices[place]), *place[axis + 1 :])] += x[place]
    return out


def replace(x: Any, v: Any, *, index: Any) -> Any:
    places = np.arange(x.size).reshape(x.shape)[index]
    out = x.reshape(-1).tolist()
    for place, value in zip(places.reshape(-1), v.reshape(-1).tolist(), strict=True):
        out[place] = value
    return np.array(out, np.result_type(x, v)).reshape(x.shape)


# --- Points of the first axes: (points, *rest) against (sizes, *rest) ---
def points(indices: Any, sizes: Place) -> Iterator[tuple[Place, Place]]:
    """Go over the points: where each stands among the points, and where it points to."""
    for place in np.ndindex(indices.shape[1:]):
        yield place, tuple(int(i) % n for i, n in zip(indices[(slice(None), *place)], sizes, strict=False))


def pick_at(x: Any, indices: Any) -> Any:
    out = np.zeros((*indices.shape[1:], *x.shape[len(indices) :]), x.dtype)
    for place, target in points(indices, x.shape):
        out[place] = x[target]
    return out


def combined(f: Callable[[Any, Any], Any]) -> Oracle:
    def write(x: Any, v: Any, indices: Any) -> Any:
        out = np.array(x)
        for place, target in points(indices, x.shape):
            out[target] = f(out[target], v[place])
        return out

    return write


def pile_at(x: Any, indices: Any, *, shape: Place) -> Any:
    return combined(lambda old, new: old + new)(np.zeros(shape, x.dtype), x, indices)


def targets(indices: Any, sizes: Place) -> list[int]:
    """Return the number of each point's place in row-major order."""
    return [sum(j * math.prod(sizes[i + 1 :]) for i, j in enumerate(t)) for _, t in points(indices, sizes)]


def is_last(indices: Any, *, sizes: Place) -> Any:
    found = targets(indices, sizes)
    return np.array([t not in found[i + 1 :] for i, t in enumerate(found)], bool).reshape(indices.shape[1:])


def grouped(indices: Any, *, sizes: Place) -> tuple[Any, Any]:
    found = targets(indices, sizes)
    order = sorted(range(len(found)), key=found.__getitem__)
    return np.array(order, np.int64), np.array([found[i] for i in order], np.int64)


ORACLES: dict[str, Oracle] = {
    "cut": lambda x, *, index: x[index],
    "paste": paste,
    "pick": pick,
    "pile": pile,
    "pick_along": pick_along,
    "pile_along": pile_along,
    "replace": replace,
    "pick_at": pick_at,
    "pile_at": pile_at,
    "replace_at": combined(lambda old, new: new),
    "multiply_at": combined(lambda old, new: old * new),
    "minimum_at": combined(lambda old, new: np.where(old < new, old, new)),
    "maximum_at": combined(lambda old, new: np.where(old > new, old, new)),
    "is_last": is_last,
    "grouped": grouped,
    "true_places": lambda mask: np.array([i for i, m in enumerate(mask.reshape(-1).tolist()) if m], np.int64),
}
