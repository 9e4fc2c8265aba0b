"""CuPy kernels for cumulative ops."""

from __future__ import annotations

from typing import Any

import cupy

from neo_array.backends.cupy_kernels.folding import scan


def accumulate_logsumexp(raw: Any, *, axis: int, reverse: bool) -> Any:
    """Return log(sum(exp)) of all up to each element, half precision in float32."""
    if raw.dtype.kind == "c":
        raise TypeError
    values = raw.astype(cupy.float32) if raw.dtype.itemsize == 2 else raw
    out = scan(cupy.logaddexp, cupy.flip(values, axis) if reverse else values, axis)
    return (cupy.flip(out, axis) if reverse else out).astype(raw.dtype, copy=False)


def arg_accumulate(raw: Any, *, axis: int, largest: bool) -> Any:
    """Return the index of the extremum of all up to each element: the first of equal ones."""
    if raw.dtype.kind == "c":
        raise TypeError
    rows = cupy.moveaxis(scan(cupy.maximum if largest else cupy.minimum, raw, axis), axis, -1)
    places = cupy.zeros(rows.shape, cupy.int64)
    nan = rows != rows
    moves = (rows[..., 1:] != rows[..., :-1]) & ~(nan[..., 1:] & nan[..., :-1])
    places[..., 1:] = moves * cupy.arange(1, max(rows.shape[-1], 1))
    return cupy.moveaxis(scan(cupy.maximum, places, rows.ndim - 1), -1, axis)
