"""Torch kernels for special functions: of real numbers, half precision in float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from neo_array.ops.sinc import derivative


def _wide(f: Callable[..., Any]) -> Callable[..., Any]:
    def call(*raws: Any, **options: Any) -> Any:
        dtype = raws[0].dtype
        if dtype.itemsize != 2:
            return f(*raws, **options)
        return f(*(x.float() for x in raws), **options).to(dtype)

    return call


erf = _wide(torch.erf)
erfc = _wide(torch.erfc)
erfinv = _wide(torch.erfinv)
gammaln = _wide(torch.lgamma)
digamma = _wide(torch.digamma)
xlogy = _wide(torch.xlogy)


@_wide
def polygamma(x: Any, *, n: int) -> Any:
    """Return the n-th derivative of digamma, by Hurwitz's zeta: torch.polygamma(1, x) is right to 10 digits only.

    torch's zeta is not inf at all poles, and nan at inf.
    """
    factor = (-1.0) ** (n + 1) * math.factorial(n)
    out = factor * torch.special.zeta(n + 1.0, x)
    out = torch.where(x == math.inf, math.copysign(0.0, factor), out)
    return torch.where((x <= 0) & (x == x.floor()), math.copysign(math.inf, factor), out)


@_wide
def sinc(x: Any, *, n: int) -> Any:
    """Return the n-th derivative of sin(pi x) / (pi x)."""
    if x.is_complex():
        raise TypeError
    return derivative(torch, x, n)
