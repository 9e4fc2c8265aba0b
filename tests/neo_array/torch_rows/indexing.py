"""Reading and writing parts of arrays in torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tests.neo_array.torch_rows.core import Row

Tensor = torch.Tensor


# --- Slices ---
def places(shape: tuple[int, ...], index: Any) -> Tensor:
    """Return the positions, in row-major order, that NumPy finds at an index; torch has no negative steps."""
    return torch.tensor(np.arange(math.prod(shape)).reshape(shape)[index].copy())


def cut(x: Tensor, *, index: Any) -> Tensor:
    """Choose by position."""
    return x.reshape(-1)[places(tuple(x.shape), index)]


def paste(x: Tensor, *, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Multiply with the positions."""
    return pile(x.reshape(-1), places(shape, index).reshape(-1), axis=0, size=math.prod(shape)).reshape(shape)


def replace(x: Tensor, v: Tensor, *, index: Any) -> Tensor:
    """Choose by position from both arrays, laid end to end."""
    sources = torch.arange(x.numel())
    sources[places(tuple(x.shape), index)] = x.numel() + torch.arange(v.numel()).reshape(v.shape)
    return torch.cat([x.reshape(-1), v.reshape(-1)])[sources].reshape(x.shape)


# --- Along one axis ---
def pick(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """Index the first axis."""
    axes = range(indices.ndim)
    return x.movedim(axis, 0)[indices.long()].movedim(tuple(axes), tuple(axis + i for i in axes))


def pile(x: Tensor, indices: Tensor, *, axis: int, size: int) -> Tensor:
    """Multiply with a matrix of zeros and ones."""
    ones = torch.nn.functional.one_hot(indices.long().reshape(-1) % size, size).to(x.dtype)
    flat = x.flatten(axis, axis + indices.ndim - 1) if indices.ndim else x.unsqueeze(axis)
    product: Tensor = torch.tensordot(flat, ones, dims=([axis], [0]))
    return product.movedim(-1, axis)


def pile_along(x: Tensor, indices: Tensor, *, axis: int, size: int) -> Tensor:
    """Add up rows of zeros and one element."""
    ones = torch.nn.functional.one_hot(indices % size, size).to(x.dtype)
    summed: Tensor = (x.unsqueeze(-1) * ones).sum(axis)
    return summed.movedim(-1, axis)


# --- At points of the first axes ---
def combined(f: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Write one value after the other into a list of what is at the places."""

    def write(x: Tensor, v: Tensor, indices: Tensor) -> Tensor:
        sizes, rest = x.shape[: len(indices)], x.shape[len(indices) :]
        rows = list(x.reshape(-1, *rest).unbind())
        points = indices.reshape(len(indices), -1).T.tolist()
        for point, value in zip(points, v.reshape(-1, *rest), strict=True):
            place = 0
            for i, n in zip(point, sizes, strict=True):
                place = place * n + i % n
            rows[place] = f(rows[place], value)
        return torch.stack(rows).reshape(x.shape)

    return write


def pile_at(x: Tensor, indices: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    """Add up at places."""
    return combined(torch.add)(torch.zeros(shape, dtype=x.dtype), x, indices)


TORCH: dict[str, Row] = {
    "cut": cut,
    "paste": paste,
    "replace": replace,
    "pick": pick,
    "pile": pile,
    "pick_along": lambda x, indices, *, axis: torch.take_along_dim(x, indices % x.shape[axis], axis),
    "pile_along": pile_along,
    "pick_at": lambda x, indices: x[tuple(indices.long())],
    "pile_at": pile_at,
    "replace_at": combined(lambda old, new: new),
    "multiply_at": combined(torch.mul),
    "minimum_at": combined(torch.minimum),
    "maximum_at": combined(torch.maximum),
}
