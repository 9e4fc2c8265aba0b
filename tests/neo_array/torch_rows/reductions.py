"""Reductions and cumulative ops in torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from tests.neo_array.torch_rows.core import Row


def prod(x: torch.Tensor, *, axis: tuple[int, ...], keepdims: bool) -> torch.Tensor:
    """Multiply over one axis after the other, as torch.prod takes one."""
    for i in sorted(axis, reverse=True):
        x = x.prod(i, keepdim=keepdims)
    return x


def var(x: torch.Tensor, *, axis: tuple[int, ...], correction: float, keepdims: bool) -> torch.Tensor:
    """Write the formula out: torch.var warns of results that are empty."""
    distance = x - x.mean(axis, keepdim=True)
    squares = (distance * distance.conj()).real
    return squares.sum(axis, keepdim=keepdims) / (math.prod(x.shape[i] for i in axis) - correction)


def from_either_end(f: Callable[[torch.Tensor, int], torch.Tensor]) -> Row:
    """Give a function that goes along an axis the option to go from the end."""
    return lambda x, *, axis, reverse: f(x.flip(axis), axis).flip(axis) if reverse else f(x, axis)


def linear_recurrence(a: torch.Tensor, b: torch.Tensor, *, axis: int, reverse: bool) -> torch.Tensor:
    """Go step by step."""
    if reverse:
        return linear_recurrence(a.flip(axis), b.flip(axis), axis=axis, reverse=False).flip(axis)
    out: list[torch.Tensor] = []
    for c, d in zip(a.unbind(axis), b.unbind(axis), strict=True):
        out.append(c * out[-1] + d if out else d)
    return torch.stack(out, axis) if out else b.clone()


TORCH: dict[str, Row] = {
    # --- Reductions ---
    "reduce_sum": lambda x, *, axis, keepdims: x.sum(axis, keepdim=keepdims),
    "reduce_prod": prod,
    "reduce_max": lambda x, *, axis, keepdims: x.amax(axis, keepdim=keepdims),
    "reduce_min": lambda x, *, axis, keepdims: x.amin(axis, keepdim=keepdims),
    "reduce_var": var,
    "reduce_logsumexp": lambda x, *, axis, keepdims: x.logsumexp(axis, keepdim=keepdims),
    "normalized_exp": lambda x, *, axis: x.softmax(axis),
    "log_normalized": lambda x, *, axis: x.log_softmax(axis),
    # --- Cumulative ops ---
    "accumulate_sum": from_either_end(torch.cumsum),
    "accumulate_prod": from_either_end(torch.cumprod),
    "accumulate_logsumexp": from_either_end(torch.logcumsumexp),
    "linear_recurrence": linear_recurrence,
}
