"""Torch kernels for softmax and its kin."""

from __future__ import annotations

from typing import Any


def logsumexp(raw: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return log(sum(exp)); half precision in float32, whose sum does not overflow."""
    if raw.is_complex():
        raise TypeError
    if not axis:  # torch takes no axes for all of them
        return raw.clone()
    wide = raw.float() if raw.itemsize == 2 else raw
    return wide.logsumexp(axis, keepdim=keepdims).to(raw.dtype)


def softmax(raw: Any, *, axis: int) -> Any:
    """Return exp / sum(exp)."""
    if raw.is_complex():  # torch refuses them too, unless there are no elements
        raise TypeError
    return raw.softmax(axis)


def log_softmax(raw: Any, *, axis: int) -> Any:
    """Return the logarithm of softmax; half precision in float32."""
    if raw.is_complex():
        raise TypeError
    return raw.float().log_softmax(axis).to(raw.dtype) if raw.itemsize == 2 else raw.log_softmax(axis)
