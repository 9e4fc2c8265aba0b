"""Combining many elements where CuPy has no such method of a ufunc: by doubling, in log2(n) calls on whole arrays.

W. D. Hillis and G. L. Steele, "Data parallel algorithms" (1986). The result does not depend on the order in which a
GPU's threads happen to run, and nan wins where the function says so: CUDA's atomic maximum loses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy

from neo_array.backends.cupy_kernels.arithmetic import where


def scan(combine: Callable[[Any, Any], Any], x: Any, axis: int) -> Any:
    """Combine all elements up to each one along an axis."""
    rows, step = cupy.moveaxis(x, axis, 0), 1
    while step < rows.shape[0]:
        rows = cupy.concatenate([rows[:step], combine(rows[:-step], rows[step:])])
        step *= 2
    return cupy.moveaxis(rows, 0, axis)


def fold(combine: Callable[[Any, Any], Any], rows: Any, places: Any) -> tuple[Any, Any]:
    """Combine all rows of one place; return the results and their places, each once."""
    if not places.size:
        return rows, places
    order = cupy.argsort(places)
    rows, places = rows[order], places[order]
    step = 1
    while step < rows.shape[0]:
        same = (places[step:] == places[:-step]).reshape(-1, *(1,) * (rows.ndim - 1))
        if not bool(same.any()):
            break
        rows = cupy.concatenate([rows[:step], where(same, combine(rows[:-step], rows[step:]), rows[step:])])
        step *= 2
    last = cupy.ones(places.shape, cupy.bool_)
    last[:-1] = places[1:] != places[:-1]
    return rows[last], places[last]
