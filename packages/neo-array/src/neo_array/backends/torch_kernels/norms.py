"""Torch kernels for norms."""

from __future__ import annotations

from typing import Any

import torch

_WIDE = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}


def reduce_norm(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Take the Euclidean norm; in a wider dtype, where a square cannot overflow, or else of scaled numbers."""
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError
    if x.dtype in _WIDE and x.dtype is not torch.bfloat16:
        out = torch.linalg.vector_norm(x, dim=axis, keepdim=keepdims, dtype=_WIDE[x.dtype])
        return out.to(x.dtype.to_real())
    size = x.float().abs() if x.dtype is torch.bfloat16 else x.abs()
    if any(x.shape[a] == 0 for a in axis):
        return torch.linalg.vector_norm(size, dim=axis, keepdim=keepdims).to(x.dtype.to_real())
    scale = size.amax(axis, keepdim=True)
    scale = torch.where(torch.isfinite(scale) & (scale > 0), scale, torch.ones_like(scale))
    out = torch.linalg.vector_norm(size / scale, dim=axis, keepdim=True) * scale
    return (out if keepdims else out.squeeze(axis)).to(x.dtype.to_real())
