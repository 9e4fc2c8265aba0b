"""Padding: more elements at the ends of axes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._bind import need_arrays
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import bind
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray, full
from neo_array.ops.picking import pick
from neo_array.ops.shaping import broadcast_to
from neo_array.ops.slicing import paste, replace

_Mode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
_Width: TypeAlias = "int | tuple[int, int] | Sequence[tuple[int, int]]"


def pad(x: Array, pad_width: _Width, /, *, mode: _Mode = "constant", constant_value: ArrayLike = 0) -> Array:
    """Put elements before and after those of x, along each axis.

    Args:
        x: any array.
        pad_width: how many: one number for both ends of all axes, a pair (before, after) for all axes, or such a pair
            for each axis.
        mode: what to put there. "constant": one value. "edge": the element at the end. "reflect": the elements
            mirrored at the one at the end, "symmetric": mirrored behind it. "wrap": what follows when x is repeated.
        constant_value: a number or an Array without axes, for mode="constant"; its derivative is the sum over what it
            fills.

    Raises:
        ShapeError: for widths that are negative or too many, and where an axis has no element to take from.
    """
    need_arrays("pad", x)
    widths = _pairs(pad_width, x)
    shape = tuple(before + n + after for (before, after), n in zip(widths, x.shape, strict=True))
    if mode == "constant":
        index = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))
        if type(constant_value) in (bool, int, float) and constant_value == 0:
            return bind(paste, x, index=index, shape=shape)
        return bind(replace, _filled(x, shape, constant_value), x, index=index)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad: mode must be constant, edge, reflect, symmetric or wrap, got {mode!r}")
    for axis, (width, n) in enumerate(zip(widths, x.shape, strict=True)):
        if width == (0, 0):
            continue
        if n == 0:
            raise ShapeError(f"pad: axis {axis} of shape {x.shape} has no element to take for mode {mode!r}")
        places: Any = np.pad(np.arange(n), width, mode)
        x = bind(pick, x, asarray(places, device=x.device), axis=axis)
    return x


def _filled(x: Array, shape: tuple[int, ...], value: ArrayLike) -> Array:
    if not isinstance(value, Array):
        return full(shape, value, dtype=x.dtype, device=x.device)
    if value.ndim:
        raise ShapeError(f"pad: constant_value must have no axes, got shape {value.shape}")
    return broadcast_to(astype(value, x.dtype), shape)


def _pairs(width: Any, x: Array) -> list[tuple[int, int]]:
    """Return (before, after) for each axis."""
    try:
        given = [list(map(operator.index, w if isinstance(w, tuple | list) else [w])) for w in _rows(width)]
    except TypeError:
        raise DTypeError(f"pad: widths must be integers, got {width!r}") from None
    pairs = given * x.ndim if len(given) == 1 else given
    if len(pairs) != x.ndim or any(len(p) not in (1, 2) or min(p) < 0 for p in given):
        raise ShapeError(
            f"pad: widths {width!r} for shape {x.shape}; give a number, a pair (before, after) or {x.ndim} such pairs, "
            "none of them negative: slice to make an array smaller"
        )
    return [(p[0], p[-1]) for p in pairs]


def _rows(width: Any) -> Any:
    """Return a list of rows: of the one number or pair for all axes, or of what there is for each."""
    nested = isinstance(width, tuple | list) and any(isinstance(w, tuple | list) for w in width)
    return width if nested else [width]
