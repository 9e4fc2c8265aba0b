"""What creation and manipulation should give: element by element."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.neo_array.oracles.core import Oracle, each

Place = tuple[int, ...]


def rearranged(source: Callable[[Place, Place], Place]) -> Callable[[Any, Place], Any]:
    """Fill an array of a shape, each element from the place in x that its own place and x's shape lead to."""

    def fill(x: Any, shape: Place) -> Any:
        out = np.zeros(shape, x.dtype)
        for place in np.ndindex(shape):
            out[place] = x[source(place, x.shape)]
        return out

    return fill


def reverse(x: Any, *, axes: Place) -> Any:
    return rearranged(lambda p, s: tuple(s[i] - 1 - j if i in axes else j for i, j in enumerate(p)))(x, x.shape)


def rotate(x: Any, *, shifts: Place, axes: Place) -> Any:
    by = dict(zip(axes, shifts, strict=True))
    return rearranged(lambda p, s: tuple((j - by.get(i, 0)) % s[i] for i, j in enumerate(p)))(x, x.shape)


def parts(x: Any, *, sizes: Place, axis: int) -> tuple[Any, ...]:
    ends = list(itertools.accumulate(sizes))
    return tuple(np.take(x, range(end - n, end), axis) for end, n in zip(ends, sizes, strict=True))


# --- Matrices ---
def triangle(keep: Callable[[int, int, int], bool]) -> Oracle:
    def cut(x: Any, *, k: int) -> Any:
        mask = [[float(keep(i, j, k)) for j in range(x.shape[-1])] for i in range(x.shape[-2])]
        return x * np.array(mask)

    return cut


def diagonal(x: Any, *, offset: int) -> Any:
    pairs = [(i, i + offset) for i in range(x.shape[-2]) if 0 <= i + offset < x.shape[-1]]
    return np.stack([x[..., i, j] for i, j in pairs], -1) if pairs else np.zeros((*x.shape[:-2], 0), x.dtype)


def on_diagonal(x: Any, *, offset: int, shape: Place) -> Any:
    out = np.zeros((*x.shape[:-1], *shape), x.dtype)
    for m in range(x.shape[-1]):
        out[..., m - min(offset, 0), m + max(offset, 0)] = x[..., m]
    return out


def cast(x: Any, *, dtype: Any) -> Any:
    numbers: dict[str, Callable[[Any], object]] = {"i": int, "f": lambda v: complex(v).real, "c": complex}
    return each(numbers[dtype.kind], dtype.str)(x)


def axes_of(axes: Place) -> Place:
    """Return the inverse of a permutation: what einsum wants."""
    return tuple(axes.index(i) for i in range(len(axes)))


ORACLES: dict[str, Oracle] = {
    # --- Making, dtypes, places ---
    "cast": cast,
    "to_device": lambda x, *, device: x,
    "fill": lambda *, shape, value, dtype, device: np.array([value] * math.prod(shape), dtype).reshape(shape),
    # --- Shapes ---
    "view": lambda x, *, shape: np.array(list(x.flat)).reshape(shape),
    "transpose": lambda x, *, axes: np.einsum(x, list(axes_of(axes)), list(range(x.ndim))),
    "matrix_transpose": lambda x: np.einsum("...ij->...ji", x),
    "expand": lambda x, *, shape: x + np.zeros(shape),
    "join": lambda *xs, axis: np.moveaxis(np.block([np.moveaxis(x, axis, -1) for x in xs]), -1, axis),
    "reverse": reverse,
    "rotate": rotate,
    "parts": parts,
    "slices": lambda x, *, axis: tuple(np.take(x, i, axis) for i in range(x.shape[axis])),
    "repeated_places": lambda counts: np.array([i for i, n in enumerate(counts.tolist()) for _ in range(n)], np.int64),
    "tril": triangle(lambda i, j, k: j - i <= k),
    "triu": triangle(lambda i, j, k: j - i >= k),
    "diagonal": diagonal,
    "on_diagonal": on_diagonal,
}
