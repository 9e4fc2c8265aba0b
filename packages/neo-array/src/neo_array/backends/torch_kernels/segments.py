"""Torch kernels for segments."""

from __future__ import annotations

from typing import Any

import torch

from neo_array.backends.torch_kernels.sorting import restored, sortable


def segment_index(raw: Any, *, size: int) -> Any:
    """Return the ids as int64; raise if one is out of range."""
    whole = raw.to(torch.int64)
    if whole.numel():
        low, high = torch.aminmax(whole)
        if int(low) < 0 or int(high) >= size:
            raise IndexError
    return whole


def sum_segments(raw: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
    """Add up slices; half precision in float32, and uint64 as int64, which wraps around alike."""
    half = raw.itemsize == 2 and raw.is_floating_point()
    wide = raw.float() if half else raw.view(torch.int64) if raw.dtype is torch.uint64 else raw
    out = wide.new_zeros((*raw.shape[:axis], size, *raw.shape[axis + 1 :])).index_add_(axis, segment_ids, wide)
    return out.view(raw.dtype) if raw.dtype is torch.uint64 else out.to(raw.dtype)


def max_segments(raw: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
    """Take the maximum of slices."""
    return _extremum(raw, segment_ids, axis, size, "amax")


def min_segments(raw: Any, segment_ids: Any, *, axis: int, size: int) -> Any:
    """Take the minimum of slices."""
    return _extremum(raw, segment_ids, axis, size, "amin")


def _extremum(raw: Any, segment_ids: Any, axis: int, size: int, reduce: str) -> Any:
    keys = sortable(raw)
    if keys.is_floating_point():
        low, high = -torch.inf, torch.inf
    else:
        low, high = torch.iinfo(keys.dtype).min, torch.iinfo(keys.dtype).max
    shape = (*raw.shape[:axis], size, *raw.shape[axis + 1 :])
    out = torch.full(shape, low if reduce == "amax" else high, dtype=keys.dtype, device=raw.device)
    column = segment_ids.reshape(-1, *(1,) * (raw.ndim - axis - 1)).expand(raw.shape)
    return restored(out.scatter_reduce_(axis, column, keys, reduce), raw.dtype)
