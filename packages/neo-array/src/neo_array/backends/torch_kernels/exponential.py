"""Torch kernels for exponentials and logarithms."""

from __future__ import annotations

from typing import Any

import torch


def log1p(raw: Any) -> Any:
    """Return log(1 + x); torch has nan where one part of a complex number is infinite and the other nan."""
    out = torch.log1p(raw)
    return torch.where(torch.isinf(raw), torch.log(raw), out) if raw.is_complex() else out


def logaddexp(a: Any, b: Any) -> Any:
    """Return log(exp(a) + exp(b)); torch takes complex numbers, too."""
    if a.is_complex():
        raise TypeError
    return torch.logaddexp(a, b)
