"""Counting: how often integers occur, and how many values fall into bins."""

from __future__ import annotations

import builtins
import operator
from typing import NamedTuple

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._bind import need_arrays
from neo_array._errors import DTypeError, ShapeError
from neo_array.ops.arithmetic import stop_gradient, where
from neo_array.ops.casting import astype
from neo_array.ops.creation import arange, asarray, ones
from neo_array.ops.joining import concat
from neo_array.ops.reductions import max, min, sum
from neo_array.ops.searching import searchsorted
from neo_array.ops.segments import segment_sum
from neo_array.ops.shaping import reshape


class Histogram(NamedTuple):
    """What `histogram` returns."""

    counts: Array
    edges: Array


def bincount(x: Array, /, weights: Array | None = None, minlength: int = 0) -> Array:
    """Count how often each of the integers 0, 1, 2, … occurs in a vector; with weights, add up those instead.

    The result has max(x) + 1 elements, or `minlength` if that is more. Under vmap that would differ between examples:
    write `segment_sum(weights, x, length)` there. Weights are differentiable.

    Raises:
        IndexError: if x has negative elements.
    """
    need_arrays("bincount", x, *(() if weights is None else (weights,)))
    if x.ndim != 1 or x.dtype.kind not in "iu":
        raise DTypeError(f"bincount: needs a vector of integers, got shape {x.shape} of {x.dtype}")
    if weights is None:
        weights = ones(x.shape, dtype=_dtypes.int64, device=x.device)
    elif weights.shape != x.shape:
        raise ShapeError(f"bincount: weights must have the shape of x, {x.shape}, got {weights.shape}")
    longest = int(max(x)) + 1 if x.size else 0
    return segment_sum(weights, x, builtins.max(longest, minlength))


def histogram(
    x: Array,
    /,
    bins: int | Array = 10,
    range: tuple[float, float] | None = None,
    *,
    weights: Array | None = None,
    density: bool = False,
) -> Histogram:
    """Count how many elements of x fall into each bin; return the counts and the bins' edges.

    A bin holds its left edge, the last one also its right. What lies outside, and nan, is not counted. x and the edges
    are compared in their common dtype.

    Counts are piecewise constant in x: they have no derivative in it, nor have edges that are made from it. They are
    differentiable in the weights.

    Args:
        x: any shape.
        bins: how many bins of equal width, or their edges: an ascending vector.
        range: the first and the last edge for a number of bins; default: the least and the greatest element.
        weights: in the shape of x: what each element counts for; default: 1, as int64.
        density: divide by the total and by the bins' widths, so that the integral is 1.

    Raises:
        ShapeError: if the edges are no vector of two or more, if there is no bin, or if the weights' shape differs.
    """
    need_arrays("histogram", x, *(() if weights is None else (weights,)))
    flat = stop_gradient(reshape(x, -1))
    edges = bins if isinstance(bins, Array) else _equal_bins(flat, bins, range)
    if edges.ndim != 1 or edges.shape[0] < 2:
        raise ShapeError(f"histogram: edges must be a vector of two or more, got shape {edges.shape}")
    if weights is None:
        weights = ones(flat.shape, dtype=_dtypes.int64, device=x.device)
    elif weights.shape != x.shape:
        raise ShapeError(f"histogram: weights must have the shape of x, {x.shape}, got {weights.shape}")
    count = edges.shape[0] - 1
    after = searchsorted(edges, flat, side="right")
    place = where(flat == edges[-1], count, after)
    # segments 0 and count + 1 are for what lies before and behind
    totals = segment_sum(reshape(weights, -1), place, count + 2)[1:-1]
    if density:
        totals = totals / (edges[1:] - edges[:-1]) / sum(totals)
    return Histogram(totals, edges)


def _equal_bins(x: Array, bins: int, limits: tuple[float, float] | None) -> Array:
    """Return the edges of bins of equal width, in the dtype of x, or in the default one if that is no floating one."""
    try:
        count = operator.index(bins)
    except TypeError:
        raise DTypeError(f"histogram: bins must be an int or an Array of edges, got {type(bins).__name__}") from None
    if count < 1:
        raise ShapeError(f"histogram: needs at least one bin, got bins={bins}")
    if limits is None and not x.size:
        limits = (0.0, 1.0)
    dtype = x.dtype if _dtypes.is_inexact(x.dtype) else _dtypes.float32
    if limits is None:
        low, high = astype(min(x), dtype), astype(max(x), dtype)
    else:
        first, last = map(float, limits)
        if not first <= last:
            raise ValueError(f"histogram: range must be (low, high) with low <= high, got {limits}")
        low, high = asarray(first, dtype=dtype, device=x.device), asarray(last, dtype=dtype, device=x.device)
    low, high = where(low == high, low - 0.5, low), where(low == high, high + 0.5, high)
    steps = astype(arange(count, device=x.device), dtype)
    return concat((steps * ((high - low) / count) + low, reshape(high, 1)))
