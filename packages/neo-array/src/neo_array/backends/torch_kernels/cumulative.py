"""Torch kernels for cumulative ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from neo_array.backends.torch_kernels.reductions import calculable, is_half, rank, restored


def _accumulate(f: Callable[[Any], Any], raw: Any, axis: int, reverse: bool) -> Any:
    """Run a cumulative function from either end, half precision in float32."""
    values = raw.float() if is_half(raw) else calculable(raw)
    if values.dtype is torch.bool:
        values = values.to(torch.int64)
    out = f(values.flip(axis)).flip(axis) if reverse else f(values)
    return restored(out, raw)


def accumulate_sum(raw: Any, *, axis: int, reverse: bool) -> Any:
    """Sum all up to each element, in the dtype given."""
    return _accumulate(lambda v: v.cumsum(axis, dtype=v.dtype), raw, axis, reverse)


def accumulate_prod(raw: Any, *, axis: int, reverse: bool) -> Any:
    """Multiply all up to each element, in the dtype given."""
    return _accumulate(lambda v: v.cumprod(axis, dtype=v.dtype), raw, axis, reverse)


def accumulate_logsumexp(raw: Any, *, axis: int, reverse: bool) -> Any:
    """Return log(sum(exp)) of all up to each element."""
    if raw.is_complex():
        raise TypeError
    return _accumulate(lambda v: v.logcumsumexp(axis), raw, axis, reverse)


def arg_accumulate(raw: Any, *, axis: int, largest: bool) -> Any:
    """Return the index of the extremum of all up to each element; of equal ones torch takes the last."""
    values = rank(raw)
    best = (values.cummax(axis) if largest else values.cummin(axis)).values.movedim(axis, -1)
    places = torch.zeros(best.shape, dtype=torch.int64, device=raw.device)
    nan = best != best
    moves = (best[..., 1:] != best[..., :-1]) & ~(nan[..., 1:] & nan[..., :-1])
    places[..., 1:] = moves * torch.arange(1, max(best.shape[-1], 1), device=raw.device)
    return places.cummax(-1).values.movedim(-1, axis)


def linear_recurrence(a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
    """Return y with y[i] = a[i] * y[i - 1] + b[i], half precision in float32."""
    from neo_array.ops.scanning import recur

    if a.shape != b.shape:
        raise ValueError
    coefficients, out = (x.float() if is_half(x) else x.clone() for x in (a, b))
    if reverse:  # torch has no negative strides
        coefficients, out = coefficients.flip(axis), out.flip(axis)
    recur(coefficients.movedim(axis, 0), out.movedim(axis, 0))
    return (out.flip(axis) if reverse else out).to(b.dtype)
