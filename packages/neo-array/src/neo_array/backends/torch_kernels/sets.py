"""Torch kernels for sets."""

from __future__ import annotations

from typing import Any

import torch

from neo_array.backends.torch_kernels.sorting import sortable


def _order(raw: Any) -> Any:
    """Return the positions in stable order; complex numbers by real, then by imaginary part."""
    if not raw.is_complex():
        return torch.sort(sortable(raw), stable=True)[1]
    by_imaginary = torch.sort(raw.imag, stable=True)[1]
    return by_imaginary[torch.sort(raw.real[by_imaginary], stable=True)[1]]


def distinct(raw: Any) -> tuple[Any, Any, Any]:
    """Return the first positions of a vector's distinct elements, which of them each element is, and their counts."""
    order = _order(raw)
    ascending = (raw if raw.is_complex() else sortable(raw))[order]
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = ascending[1:] != ascending[:-1]
    starts = first.nonzero()[:, 0]
    inverse = torch.zeros_like(order)
    inverse[order] = first.cumsum(0) - 1
    return order[starts], inverse, torch.diff(starts, append=starts.new_tensor([raw.numel()]))
