"""Torch kernels for shapes."""

from __future__ import annotations

from typing import Any

import torch

from neo_array.backends.torch_kernels.unsigned import on_bits


def join(*raws: Any, axis: int) -> Any:
    """Concatenate."""
    return torch.cat(raws, axis)


def on_diagonal(raw: Any, *, offset: int, shape: tuple[int, int]) -> Any:
    """Write the last axis onto a diagonal of zero matrices."""
    out = raw.new_zeros((*raw.shape[:-1], *shape))
    out.diagonal(offset, -2, -1).copy_(raw)
    return out


@on_bits
def reverse(raw: Any, *, axes: tuple[int, ...]) -> Any:
    """Reverse the order along axes."""
    return raw.flip(axes)


@on_bits
def rotate(raw: Any, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """Shift along axes."""
    return raw.roll(shifts, axes)


@on_bits
def tril(raw: Any, *, k: int) -> Any:
    """Keep the lower triangle."""
    return raw.tril(k)


@on_bits
def triu(raw: Any, *, k: int) -> Any:
    """Keep the upper triangle."""
    return raw.triu(k)
