"""Torch kernels for reductions."""

from __future__ import annotations

import math
from typing import Any

import torch

_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)  # torch stores these, and calculates with hardly any


def is_half(raw: Any) -> bool:
    """Tell whether sums and products are to be kept in float32."""
    return raw.dtype is torch.float16 or raw.dtype is torch.bfloat16


def calculable(raw: Any) -> Any:
    """Return what torch calculates with in a tensor's place: int64 for unsigned integers, equal modulo 2**64."""
    if raw.dtype is torch.uint64:
        return raw.view(torch.int64)
    return raw.to(torch.int64) if raw.dtype in _UNSIGNED else raw


def restored(result: Any, raw: Any) -> Any:
    """Return a result of `calculable(raw)` in raw's own dtype."""
    return result.view(raw.dtype) if raw.dtype is torch.uint64 else result.to(raw.dtype)


def rank(raw: Any) -> Any:
    """Return what torch can put in order in a tensor's place, in the same order."""
    if raw.is_complex():
        raise TypeError
    return calculable(raw) ^ _FLIP if raw.dtype is torch.uint64 else calculable(raw)


def unrank(result: Any, raw: Any) -> Any:
    """Return a result of `rank(raw)` in raw's own dtype."""
    return restored(result ^ _FLIP, raw) if raw.dtype is torch.uint64 else restored(result, raw)


_FLIP = -(2**63)  # changes the sign bit: 0 becomes the smallest int64, 2**64 - 1 the largest


def sum(raw: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Sum over axes, in the dtype given."""
    if not axis:  # torch takes no axes for all of them
        return raw.clone()
    if raw.is_floating_point() or raw.is_complex():
        return raw.sum(axis, keepdim=keepdims)
    values = calculable(raw)
    return restored(values.sum(axis, keepdim=keepdims, dtype=values.dtype), raw)


def prod(raw: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Multiply over axes, in the dtype given; torch does one axis at a time. Half precision is kept in float32."""
    values = raw.float() if is_half(raw) else calculable(raw)
    for a in sorted(axis, reverse=True):
        values = values.prod(a, keepdim=keepdims, dtype=values.dtype)
    return restored(values, raw) if axis else raw.clone()


def max(raw: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Take the maximum over axes."""
    values = rank(raw)
    return unrank(values.amax(axis, keepdim=keepdims), raw) if axis else raw.clone()


def min(raw: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Take the minimum over axes."""
    values = rank(raw)
    return unrank(values.amin(axis, keepdim=keepdims), raw) if axis else raw.clone()


def argmax(raw: Any, *, axis: int | None, keepdims: bool) -> Any:
    """Return the index of the first maximum."""
    return rank(raw).argmax(axis, keepdim=keepdims)


def argmin(raw: Any, *, axis: int | None, keepdims: bool) -> Any:
    """Return the index of the first minimum."""
    return rank(raw).argmin(axis, keepdim=keepdims)


def count(raw: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Count what is not zero."""
    there = raw != 0
    return there.sum(axis, keepdim=keepdims) if axis else there.to(torch.int64)


def var(raw: Any, *, axis: tuple[int, ...], correction: float, keepdims: bool) -> Any:
    """Return the variance; torch's own warns where there are no degrees of freedom."""
    free = math.prod(raw.shape[a] for a in axis) - correction
    if axis and free > 0 and raw.numel():
        return raw.var(axis, correction=correction, keepdim=keepdims)
    out = raw.sum(axis, keepdim=keepdims) if axis else raw
    out = out.real if raw.is_complex() else out
    return out - out if free > 0 else torch.full_like(out, math.nan)
