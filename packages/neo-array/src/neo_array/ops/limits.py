"""Keeping values within bounds, and replacing those that are no numbers."""

from __future__ import annotations

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._bind import need_arrays
from neo_array.ops.arithmetic import maximum, minimum, where
from neo_array.ops.comparison import isnan
from neo_array.ops.complex_parts import imag, real


def clip(x: Array, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Array:
    """Return x, raised to `min` where it is less and lowered to `max` where it is more.

    The bounds are numbers or Arrays, which broadcast with x and have derivatives as x has; None: no bound. It is
    `minimum(maximum(x, min), max)`: nan stays nan, where min > max the result is max, and an element that equals its
    bound shares the derivative with it evenly.
    """
    need_arrays("clip", x)
    raised = x if min is None else maximum(x, min)
    return raised if max is None else minimum(raised, max)


def nan_to_num(x: Array, /, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Array:
    """Replace nan, inf and -inf by numbers; complex numbers part by part. The derivative there is 0.

    Args:
        x: an Array; one of integers or booleans is returned as it is.
        nan: what replaces nan.
        posinf: what replaces inf; default: the largest number of the dtype.
        neginf: what replaces -inf; default: the smallest number of the dtype.
    """
    need_arrays("nan_to_num", x)
    from neo_array._info import finfo

    if x.dtype.kind in "biu":
        return x
    if x.dtype.kind == "c":
        parts = (nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf) for part in (real(x), imag(x)))
        return next(parts) + 1j * next(parts)
    largest = finfo(x.dtype).max
    finite = where(x == np.inf, largest if posinf is None else posinf, x)
    finite = where(x == -np.inf, -largest if neginf is None else neginf, finite)
    return where(isnan(x), nan, finite)
