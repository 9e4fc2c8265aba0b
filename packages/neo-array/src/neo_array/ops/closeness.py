"""Equality up to a tolerance."""

from __future__ import annotations

from neo_array import _dtypes
from neo_array._array import Array, ArrayLike
from neo_array.ops.arithmetic import abs
from neo_array.ops.casting import astype
from neo_array.ops.comparison import isfinite, isnan
from neo_array.ops.conversion import asarray
from neo_array.ops.reductions import all


def isclose(
    x1: ArrayLike, x2: ArrayLike, /, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """Tell where |x1 - x2| <= atol + rtol * |x2|; an infinity is close to itself alone.

    Args:
        x1: an Array or a number.
        x2: what it is compared with, whose size the relative tolerance refers to.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        equal_nan: whether nan is close to nan.
    """
    dtype = _dtypes.result_type(x1, x2)
    if not _dtypes.is_inexact(dtype):
        dtype = _dtypes.float64  # the difference of unsigned integers would wrap around
    device = next((x.device for x in (x1, x2) if isinstance(x, Array)), None)
    a, b = (astype(x, dtype) if isinstance(x, Array) else asarray(x, dtype=dtype, device=device) for x in (x1, x2))
    near = isfinite(b) & (abs(a - b) <= atol + rtol * abs(b))
    close = (a == b) | near
    return close | (isnan(a) & isnan(b)) if equal_nan else close


def allclose(
    x1: ArrayLike, x2: ArrayLike, /, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """Tell whether all elements are close, see `isclose`: a boolean Array without axes."""
    return all(isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan))
