"""Torch kernels for indexing."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch

from neo_array.backends.torch_kernels.unsigned import on_bits


def _forward_slices(raw_shape: tuple[int, ...], index: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int]]:
    """Rewrite slices with negative steps, which torch has not, as forward slices and the result's axes to flip."""
    skipped = len(raw_shape) - sum(i is not None and i is not ... for i in index)
    full = [j for i in index for j in ([slice(None)] * skipped if i is ... else [i])]
    out: list[Any] = []
    flips: list[int] = []
    axis = result_axis = 0
    for item in full:
        if isinstance(item, slice):
            size = raw_shape[axis]
            steps = range(*item.indices(size))
            width = min(abs(steps.step), max(size, 1))  # torch cannot count past the largest int64
            if steps.step < 0:
                item = slice(steps[-1], steps[0] + 1, width) if steps else slice(0, 0)
                flips.append(result_axis)
            else:
                item = slice(steps.start, steps.stop, width)
        axis += item is not None
        result_axis += not isinstance(item, int)
        out.append(item)
    return tuple(out), flips


def cut(raw: Any, *, index: tuple[Any, ...]) -> Any:
    """Index with integers, slices, ... and None."""
    if all(type(item) is not slice or item.step is None or item.step > 0 for item in index):
        return raw[index]
    return _cut_backwards(raw, index=index)


@on_bits
def _cut_backwards(raw: Any, *, index: tuple[Any, ...]) -> Any:
    forward, flips = _forward_slices(tuple(raw.shape), index)
    return raw[forward].flip(flips) if flips else raw[forward]


@on_bits
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
        flat = _pick_wrapped(raw, indices, axis=axis)
    else:
        try:
            flat = raw.index_select(axis, indices if indices.ndim == 1 else indices.reshape(-1))
        except (IndexError, RuntimeError):  # counted from the end, or out of range, or a dtype torch does not index
            flat = _pick_wrapped(raw, indices, axis=axis)
    return flat if indices.ndim == 1 else flat.reshape(raw.shape[:axis] + indices.shape + raw.shape[axis + 1 :])


@on_bits
def _pick_wrapped(raw: Any, indices: Any, *, axis: int) -> Any:
    return raw.index_select(axis, _wrapped(indices, raw.shape[axis]).reshape(-1))


@on_bits
def pile(raw: Any, indices: Any, *, axis: int, size: int) -> Any:
    """Add slices into zeros along an axis; repeated indices add up."""
    tail = raw.shape[axis + indices.ndim :]
    out = raw.new_zeros((*raw.shape[:axis], size, *tail))
    flat = raw.reshape((*raw.shape[:axis], indices.numel(), *tail))
    return out.index_add_(axis, _wrapped(indices, size).reshape(-1), flat)


@on_bits
def pick_along(raw: Any, indices: Any, *, axis: int) -> Any:
    """Read one element per index along an axis."""
    return raw.gather(axis, _wrapped(indices, raw.shape[axis]))


@on_bits
def pile_along(raw: Any, indices: Any, *, axis: int, size: int) -> Any:
    """Add elements into zeros along an axis; repeated indices add up."""
    out = raw.new_zeros((*raw.shape[:axis], size, *raw.shape[axis + 1 :]))
    return out.scatter_add_(axis, _wrapped(indices, size), raw)


@functools.partial(on_bits, values=2)
def replace(raw: Any, values: Any, *, index: tuple[Any, ...]) -> Any:
    """Write values into a copy at an index."""
    forward, flips = _forward_slices(tuple(raw.shape), index)
    out = raw.clone(memory_format=torch.contiguous_format)
    out[forward] = values.flip(flips) if flips else values
    return out


# --- Points of the first axes ---
def _points(indices: Any) -> Any:
    return indices.to(torch.int64).unbind(0)  # not uint8: torch takes it for a mask


@on_bits
def pick_at(raw: Any, indices: Any) -> Any:
    """Read at points."""
    return raw[_points(indices)]


@on_bits
def pile_at(raw: Any, indices: Any, *, shape: tuple[int, ...]) -> Any:
    """Add into zeros at points."""
    return raw.new_zeros(shape).index_put_(_points(indices), raw, accumulate=True)


def _places(indices: Any, sizes: tuple[int, ...]) -> Any:
    """Return each point's place in row-major order, as a vector; CUDA asserts their range when they are used."""
    flat = torch.zeros(indices.shape[1:], dtype=torch.int64, device=indices.device)
    bad = torch.zeros_like(flat, dtype=torch.bool)
    for row, n in zip(_points(indices), sizes, strict=True):
        bad |= (row < -n) | (row >= n)
        flat = flat * n + torch.where(row < 0, row + n, row)
    if not indices.is_cuda and bool(bad.any()):
        raise IndexError
    return torch.where(bad, math.prod(sizes), flat).reshape(-1)


def _last(flat: Any, size: int) -> Any:
    """Return for each place in a vector the number of its last occurrence there."""
    number = torch.arange(flat.numel(), device=flat.device)
    return number.new_zeros(size).scatter_reduce_(0, flat, number, "amax")[flat]


def is_last(indices: Any, *, sizes: tuple[int, ...]) -> Any:
    """Tell whether a point is the last at its place."""
    flat = _places(indices, sizes)
    last = _last(flat, math.prod(sizes)) == torch.arange(flat.numel(), device=flat.device)
    return last.reshape(indices.shape[1:])


def grouped(indices: Any, *, sizes: tuple[int, ...]) -> tuple[Any, Any]:
    """Sort points by their places."""
    places, order = _places(indices, sizes).sort(stable=True)
    return order, places


def _at(raw: Any, values: Any, indices: Any) -> tuple[Any, Any, Any]:
    """Return a copy of the array and the values, one row for each place, and the places."""
    sizes = tuple(raw.shape[: indices.shape[0]])
    flat = _places(indices, sizes)
    rest = math.prod(raw.shape[len(sizes) :])
    copy = raw.clone(memory_format=torch.contiguous_format).view(math.prod(sizes), rest)
    return copy, values.reshape(flat.numel(), rest), flat


@functools.partial(on_bits, values=2)
def replace_at(raw: Any, values: Any, indices: Any) -> Any:
    """Write at points; torch does not say which of several values for a place counts: here all of them are the last."""
    out, rows, flat = _at(raw, values, indices)
    if flat.numel() > 1:
        rows = rows[_last(flat, out.shape[0])]
    out[flat] = rows
    return out.view(raw.shape)


def _reduced(raw: Any, values: Any, indices: Any, how: str) -> Any:
    out, rows, flat = _at(raw, values, indices)
    return out.scatter_reduce_(0, flat[:, None].expand(rows.shape), rows, how).view(raw.shape)


@functools.partial(on_bits, values=2)
def multiply_at(raw: Any, values: Any, indices: Any) -> Any:
    """Multiply at points."""
    return _reduced(raw, values, indices, "prod")


def minimum_at(raw: Any, values: Any, indices: Any) -> Any:
    """Take the minimum at points."""
    return _reduced(raw, values, indices, "amin")


def maximum_at(raw: Any, values: Any, indices: Any) -> Any:
    """Take the maximum at points."""
    return _reduced(raw, values, indices, "amax")


# --- Masks ---
def true_places(mask: Any) -> Any:
    """Return where the flattened mask holds."""
    return mask.reshape(-1).nonzero().squeeze(1)


def repeated_places(counts: Any) -> Any:
    """Return each place as often as its count says."""
    return torch.repeat_interleave(counts.to(torch.int64))
