"""Torch kernels for searching."""

from __future__ import annotations

from typing import Any

import torch

from neo_array.backends.torch_kernels.sorting import sortable

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _ordinal(raw: Any) -> Any:
    """Return integers in the elements' order, nan last: torch's search compares, and nan compares false."""
    if not raw.is_floating_point():
        return sortable(raw)
    bits = (raw + 0.0).view(_BITS[raw.itemsize])  # -0.0 + 0.0 is 0.0
    largest = torch.iinfo(bits.dtype).max
    return torch.where(raw.isnan(), largest, torch.where(bits < 0, bits ^ largest, bits))


def search(raw: Any, values: Any, *, side: str) -> Any:
    """Search the rows of a tensor that is sorted along its last axis."""
    if not (raw.numel() and values.numel()):
        return values.new_zeros(values.shape, dtype=torch.int64)
    table = _ordinal(raw).reshape(-1, raw.shape[-1]).contiguous()
    keys = _ordinal(values).reshape(table.shape[0], -1).contiguous()
    return torch.searchsorted(table, keys, side=side).reshape(values.shape)


def nonzero(raw: Any) -> tuple[Any, ...]:
    """Return the positions, one tensor for each axis."""
    bits = raw.view(_BITS[raw.itemsize]) if raw.dtype in (torch.uint16, torch.uint32, torch.uint64) else raw
    return tuple(bits.nonzero(as_tuple=True))
