"""CuPy kernels for reductions."""

from __future__ import annotations

from typing import Any

import cupy


def max(raw: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Take the maximum over axes."""
    return _chosen(raw, axis).max(axis, keepdims=keepdims)


def min(raw: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Take the minimum over axes."""
    return _chosen(raw, axis).min(axis, keepdims=keepdims)


def argmax(raw: Any, *, axis: int | None, keepdims: bool) -> Any:
    """Return the index of the first maximum."""
    return _counted(raw, axis).argmax(axis, keepdims=keepdims)


def argmin(raw: Any, *, axis: int | None, keepdims: bool) -> Any:
    """Return the index of the first minimum."""
    return _counted(raw, axis).argmin(axis, keepdims=keepdims)


def _chosen(raw: Any, axis: tuple[int, ...]) -> Any:
    """Refuse what has no order, and no elements to choose from, which CuPy overlooks where the result is empty."""
    if raw.dtype.kind == "c":
        raise TypeError
    if any(raw.shape[a] == 0 for a in axis):
        raise ValueError
    return raw


def _counted(raw: Any, axis: int | None) -> Any:
    """Return numbers in the same order that CuPy finds the place of."""
    if raw.dtype.kind == "b":
        raise TypeError
    checked = _chosen(raw, tuple(range(raw.ndim)) if axis is None else (axis,))
    return checked.astype(cupy.float32) if raw.dtype.kind == "V" else checked
