"""Torch kernels for Fourier transforms. MKL refuses arrays without elements."""

from __future__ import annotations

from typing import Any

import torch


def fourier(raw: Any, *, axes: tuple[int, ...], inverse: bool, norm: str) -> Any:
    """Transform along axes."""
    if not raw.numel():
        return raw.to(raw.dtype.to_complex())
    return (torch.fft.ifftn if inverse else torch.fft.fftn)(raw, dim=axes, norm=norm)


def spectrum(raw: Any, *, axis: int, inverse: bool, norm: str) -> Any:
    """Transform real values to half a spectrum."""
    if not raw.numel():
        return raw.new_empty(_with_size(raw, axis, raw.shape[axis] // 2 + 1), dtype=raw.dtype.to_complex())
    return (torch.fft.ihfft if inverse else torch.fft.rfft)(raw, dim=axis, norm=norm)


def synthesis(raw: Any, *, axis: int, n: int, inverse: bool, norm: str) -> Any:
    """Transform half a spectrum to n real values."""
    if not raw.numel():
        return raw.new_empty(_with_size(raw, axis, n), dtype=raw.dtype.to_real())
    return (torch.fft.irfft if inverse else torch.fft.hfft)(raw, n, dim=axis, norm=norm)


def _with_size(raw: Any, axis: int, n: int) -> tuple[int, ...]:
    return (*raw.shape[:axis], n, *raw.shape[axis + 1 :])
