"""CuPy kernels for segments."""

from __future__ import annotations

from typing import Any

import cupy

from neo_array.backends.cupy_kernels.folding import fold
from neo_array.backends.cupy_kernels.indexing import add_at


def sum_segments(raw: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
    """Add up slices."""
    shape = (*raw.shape[:axis], size, *raw.shape[axis + 1 :])
    return add_at(shape, (slice(None),) * axis + (segment_ids,), raw)


def max_segments(raw: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
    """Take the maximum of slices."""
    return _extremum(raw, segment_ids, axis, size, cupy.maximum, sign=-1)


def min_segments(raw: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
    """Take the minimum of slices."""
    return _extremum(raw, segment_ids, axis, size, cupy.minimum, sign=1)


def _extremum(raw: Any, segment_ids: Any, axis: int, size: int, combine: Any, *, sign: int) -> Any:
    from neo_array.ops.segments import limit

    if raw.dtype.kind == "c":
        raise TypeError
    rows = cupy.moveaxis(raw, axis, 0)
    out = cupy.full((size, *rows.shape[1:]), limit(raw.dtype, sign), raw.dtype)
    values, places = fold(combine, rows, segment_ids)
    out[places] = values
    return cupy.moveaxis(out, 0, axis)
