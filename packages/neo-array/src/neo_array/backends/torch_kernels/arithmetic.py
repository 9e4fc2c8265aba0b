"""Torch kernels for arithmetic."""

from __future__ import annotations

from typing import Any

import torch

from neo_array.ops.division import division_by_zero


def sign(raw: Any) -> Any:
    """Return the sign; nan stays nan, as NumPy has it."""
    if raw.dtype is torch.bool:
        raise TypeError
    signs = torch.sign(raw)
    return torch.where(torch.isnan(raw), raw, signs) if raw.is_floating_point() else signs


def complex_sign(raw: Any) -> Any:
    """Return x / |x|; one infinite part outweighs the other, where torch has nan."""
    parts = torch.view_as_real(raw)
    units = torch.copysign(torch.isinf(parts).to(parts.dtype), parts)
    decided = torch.isinf(parts).sum(-1) == 1
    out = torch.where(decided, torch.view_as_complex(units), torch.sgn(raw))
    return torch.where(torch.isnan(out) | torch.isnan(raw), complex(torch.nan, torch.nan), out)


def power(base: Any, exponent: Any) -> Any:
    """Raise to a power; torch has 0 for integers to negative powers, NumPy an error."""
    if base.is_complex():
        out = torch.where(exponent == 0, 1, base**exponent)  # torch has nan for complex 0**0
        pole = (base == 0) & (exponent != 0) & ~(exponent.real > 0)
        return torch.where(pole, complex(torch.nan, torch.nan), out)
    if not base.is_floating_point() and bool((exponent < 0).any()):
        raise ValueError
    return base**exponent


def _refuse_zeros(op: str, divisor: Any) -> None:
    if not (divisor.is_floating_point() or divisor.is_complex() or divisor.all()):
        raise division_by_zero(op)


def floor_divide(a: Any, b: Any) -> Any:
    """Divide and round down; an infinite dividend gives nan in torch, and infinity by the array standard."""
    _refuse_zeros("floor_divide", b)
    out = torch.floor_divide(a, b)
    return torch.where(torch.isinf(a), a / b, out) if a.is_floating_point() else out


def remainder(a: Any, b: Any) -> Any:
    """Return what is left over, with the sign of the divisor, which torch does not give to zeros."""
    _refuse_zeros("remainder", b)
    out = torch.remainder(a, b)
    return torch.where(out == 0, torch.copysign(torch.zeros_like(out), b), out) if a.is_floating_point() else out


def signbit(raw: Any) -> Any:
    """Tell where the sign is minus; torch takes booleans, too."""
    if raw.dtype is torch.bool:
        raise TypeError
    return torch.signbit(raw)


def round(raw: Any) -> Any:
    """Round to the nearest integer, half to even; complex numbers by their parts, which torch does not."""
    if raw.is_complex():
        return torch.view_as_complex(torch.view_as_real(raw).round())
    return raw.round()
