"""CuPy kernels for special functions."""

from __future__ import annotations

import math
from typing import Any

import cupy
from cupyx.scipy import special


def polygamma(raw: Any, *, n: int) -> Any:
    """Return the n-th derivative of digamma, by Hurwitz's zeta, half precision in float32."""
    if raw.dtype.kind == "c":
        raise TypeError
    x = raw.astype(cupy.float32) if raw.dtype.itemsize == 2 else raw
    out = (-1.0) ** (n + 1) * math.factorial(n) * special.zeta(n + 1.0, x)
    return out.astype(raw.dtype, copy=False)
