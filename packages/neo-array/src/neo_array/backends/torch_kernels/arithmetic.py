"""Torch kernels for arithmetic."""

from __future__ import annotations

from typing import Any

import torch


def sign(raw: Any) -> Any:
    """Return the sign; nan stays nan, as NumPy has it."""
    if raw.dtype is torch.bool:
        raise TypeError
    signs = torch.sign(raw)
    return torch.where(torch.isnan(raw), raw, signs) if raw.is_floating_point() else signs


def power(base: Any, exponent: Any) -> Any:
    """Raise to a power; torch has 0 for integers to negative powers, NumPy an error."""
    if not (base.is_floating_point() or base.is_complex()) and bool((exponent < 0).any()):
        raise ValueError
    return base**exponent
