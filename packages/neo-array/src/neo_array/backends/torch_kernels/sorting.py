"""Torch kernels for sorting, and what it takes to order the dtypes that torch does not."""

from __future__ import annotations

from typing import Any

import torch

_SIGN = -(2**63)
_WIDER = {torch.bool: torch.uint8, torch.uint16: torch.int32, torch.uint32: torch.int64}


def sortable(raw: Any) -> Any:
    """Return keys in the elements' order, of a dtype that torch can order."""
    if raw.is_complex():
        raise TypeError
    if raw.dtype is torch.uint64:
        return raw.view(torch.int64) ^ _SIGN
    return raw.to(_WIDER.get(raw.dtype, raw.dtype))


def restored(keys: Any, dtype: Any) -> Any:
    """Return the elements that belong to `sortable` keys; the keys' own limits become those of the dtype."""
    return (keys ^ _SIGN).view(dtype) if dtype is torch.uint64 else keys.to(dtype)


def argsort(raw: Any, *, axis: int, descending: bool) -> Any:
    """Return the positions in stable order; torch, too, has nan greatest."""
    return torch.sort(sortable(raw), dim=axis, descending=descending, stable=True)[1]


def arg_top_k(raw: Any, *, axis: int, k: int, largest: bool) -> Any:
    """Return the positions of the k largest; torch's own topk picks any among equal elements."""
    if not k:
        return raw.new_zeros((*raw.shape[:axis], 0, *raw.shape[axis + 1 :]), dtype=torch.int64)
    rows = sortable(raw).movedim(axis, -1)
    limit = rows.topk(k, -1, largest=largest).values[..., -1:]
    nan, limit_is_nan = rows != rows, limit != limit
    better = (rows > limit) | (nan & ~limit_is_nan) if largest else (rows < limit) | (~nan & limit_is_nan)
    level = (rows == limit) | (nan & limit_is_nan)
    room = k - better.sum(-1, keepdim=True)
    chosen = (better | (level & (level.cumsum(-1) <= room))).nonzero()[:, -1].reshape(*rows.shape[:-1], k)
    best_first = torch.sort(rows.gather(-1, chosen), dim=-1, descending=largest, stable=True)[1]
    return chosen.gather(-1, best_first).movedim(-1, axis)
