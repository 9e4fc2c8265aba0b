"""Torch kernels for indexing."""

from __future__ import annotations

from typing import Any

import torch


def _forward_slices(raw_shape: tuple[int, ...], index: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int]]:
    """Rewrite slices with negative steps, which torch has not, as forward slices and the result's axes to flip."""
    skipped = len(raw_shape) - sum(i is not None and i is not ... for i in index)
    full = [j for i in index for j in ([slice(None)] * skipped if i is ... else [i])]
    out: list[Any] = []
    flips: list[int] = []
    axis = result_axis = 0
    for item in full:
        if isinstance(item, slice):
            steps = range(*item.indices(raw_shape[axis]))
            if steps.step < 0:
                item = slice(steps[-1], steps[0] + 1, -steps.step) if steps else slice(0, 0)
                flips.append(result_axis)
        axis += item is not None
        result_axis += not isinstance(item, int)
        out.append(item)
    return tuple(out), flips


def cut(raw: Any, *, index: tuple[Any, ...]) -> Any:
    """Index with integers, slices, ... and None."""
    if all(type(item) is not slice or item.step is None or item.step > 0 for item in index):
        return raw[index]
    forward, flips = _forward_slices(tuple(raw.shape), index)
    return raw[forward].flip(flips) if flips else raw[forward]


def paste(raw: Any, *, index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Write into zeros at an index."""
    forward, flips = _forward_slices(shape, index)
    out = raw.new_zeros(shape)
    out[forward] = raw.flip(flips) if flips else raw
    return out


def _wrapped(indices: Any, size: int) -> Any:
    whole = indices.to(torch.int64)  # first: -1 + size may not fit a small dtype
    return torch.where(whole < 0, whole + size, whole)


def pick(raw: Any, indices: Any, *, axis: int) -> Any:
    """Index one axis by an integer tensor of any shape."""
    if raw.is_cuda or indices.dtype not in (torch.int64, torch.int32):
        flat = raw.index_select(axis, _wrapped(indices, raw.shape[axis]).reshape(-1))
    else:
        try:
            flat = raw.index_select(axis, indices if indices.ndim == 1 else indices.reshape(-1))
        except (IndexError, RuntimeError):  # counted from the end, or out of range
            flat = raw.index_select(axis, _wrapped(indices, raw.shape[axis]).reshape(-1))
    return flat if indices.ndim == 1 else flat.reshape(raw.shape[:axis] + indices.shape + raw.shape[axis + 1 :])


def pile(raw: Any, indices: Any, *, axis: int, size: int) -> Any:
    """Add slices into zeros along an axis; repeated indices add up."""
    tail = raw.shape[axis + indices.ndim :]
    out = raw.new_zeros((*raw.shape[:axis], size, *tail))
    flat = raw.reshape((*raw.shape[:axis], indices.numel(), *tail))
    return out.index_add_(axis, _wrapped(indices, size).reshape(-1), flat)


def pick_along(raw: Any, indices: Any, *, axis: int) -> Any:
    """Read one element per index along an axis."""
    return raw.gather(axis, _wrapped(indices, raw.shape[axis]))


def pile_along(raw: Any, indices: Any, *, axis: int, size: int) -> Any:
    """Add elements into zeros along an axis; repeated indices add up."""
    out = raw.new_zeros((*raw.shape[:axis], size, *raw.shape[axis + 1 :]))
    return out.scatter_add_(axis, _wrapped(indices, size), raw)
