"""Discrete Fourier transforms in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.neo_array.torch_rows.core import Row


def also_empty(f: Callable[..., torch.Tensor]) -> Row:
    """Transform something in place of nothing, which torch refuses (pytorch#174984), and return nothing of it."""

    def transform(x: torch.Tensor, **options: Any) -> torch.Tensor:
        if x.numel():
            return f(x, **options)
        out = f(torch.ones([max(n, 1) for n in x.shape], dtype=x.dtype), **options)
        return out[tuple(slice(None if n else 0) for n in x.shape)]

    return transform


@also_empty
def fourier(x: torch.Tensor, *, axes: tuple[int, ...], inverse: bool, norm: str) -> torch.Tensor:
    out: torch.Tensor = (torch.fft.ifftn if inverse else torch.fft.fftn)(x, dim=axes, norm=norm)
    return out


@also_empty
def spectrum(x: torch.Tensor, *, axis: int, inverse: bool, norm: str) -> torch.Tensor:
    out: torch.Tensor = (torch.fft.ihfft if inverse else torch.fft.rfft)(x, dim=axis, norm=norm)
    return out


@also_empty
def synthesis(x: torch.Tensor, *, axis: int, n: int, inverse: bool, norm: str) -> torch.Tensor:
    out: torch.Tensor = (torch.fft.irfft if inverse else torch.fft.hfft)(x, n, dim=axis, norm=norm)
    return out


TORCH: dict[str, Row] = {"fourier": fourier, "spectrum": spectrum, "synthesis": synthesis}
