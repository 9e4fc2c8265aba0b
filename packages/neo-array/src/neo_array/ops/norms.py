"""Norms of vectors and matrices. At 0 every norm has derivative 0, one of its subgradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np

from neo_array._array import Array, Axis
from neo_array._batching import batch_by_axis
from neo_array._described import reduced
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.arithmetic import abs as abs_
from neo_array.ops.arithmetic import stop_gradient, where
from neo_array.ops.casting import astype
from neo_array.ops.comparison import isfinite
from neo_array.ops.complex_parts import conj, real
from neo_array.ops.matrices import need_floating
from neo_array.ops.reductions import keep_axes, normalize_axes, spread
from neo_array.ops.reductions import max as max_
from neo_array.ops.reductions import min as min_
from neo_array.ops.reductions import sum as sum_
from neo_array.ops.shaping import permute_dims, reshape
from neo_array.ops.singular import svdvals

MatrixOrder: TypeAlias = "float | Literal['fro', 'nuc'] | None"


# --- The Euclidean norm: no square of an element may overflow or vanish where the norm does not ---
@primitive()
def reduce_norm(x: Array, /, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Take the square root of the sum of squared moduli over axes."""
    return bind(reduce_norm, x, axis=axis, keepdims=keepdims)


@reduce_norm.kernel("numpy")
@quiet
def _(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.kind not in "fcV":
        raise TypeError
    half = x.dtype.itemsize == 2
    values = x.astype(np.float32) if half else x
    out = _root_of_squares(values, axis, keepdims)
    limits = np.finfo(out.dtype)
    safe = (out > float(limits.tiny) ** 0.5 / limits.eps) & (out < np.inf)
    if 0 not in (x.shape[a] for a in axis) and not safe.all():
        size = np.abs(values)
        scale = size.max(axis, keepdims=True)
        usable = np.isfinite(scale) & (scale > 0)
        scale = np.where(usable, scale, 1)
        scaled = _root_of_squares(size / scale, axis, True) * scale
        out = scaled if keepdims else np.squeeze(scaled, axis)
    return out.astype(x.dtype) if half else out


def _root_of_squares(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    squares = x.real**2 + x.imag**2 if x.dtype.kind == "c" else x * x
    return np.sqrt(squares.sum(axis, keepdims=keepdims))


reduce_norm.kernel("torch")("neo_array.backends.torch_kernels.norms:reduce_norm")


def _direction(x: Array, out: Array, axis: tuple[int, ...]) -> Array:
    """Return conj(x) over its norm, and 0 over a norm of 0, with zero derivative."""
    norm = keep_axes(out, x.shape, axis)
    return conj(x) * where(norm == 0, 0.0, 1 / where(norm == 0, 1.0, norm))


@reduce_norm.vjp("x")
def _(g: Array, x: Array, out: Array, *, axis: tuple[int, ...]) -> Array:
    return spread(g, x.shape, axis) * _direction(x, out, axis)


@reduce_norm.jvp
def _(t: Array, x: Array, out: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    return sum_(real(_direction(x, out, axis) * t), axis=axis, keepdims=keepdims)


reduce_norm.batch(batch_by_axis(reduce_norm, "axis"))


# --- Norms of vectors ---
def vector_norm(x: Array, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Array:
    """Return sum(|x|**ord)**(1 / ord) over axes (all of them by default, as of one vector); real for complex x.

    Args:
        ord: any real number; inf and -inf are the largest and the smallest modulus (ties share the derivative), 0 the
            number of elements that are not 0, and 1 the sum of moduli. No power overflows unless the norm does.

    The derivative is 0 with respect to what is 0: where a vector is 0 as a whole, and for ord up to 1, where the norm
    has a kink, each element that is.

    Raises:
        DTypeError: x holds no floating or complex numbers.
    """
    need_floating("vector_norm", x)
    axes = normalize_axes("vector_norm", x, axis)
    if not axes:
        return astype(x != 0, real(x).dtype) if ord == 0 else abs_(x)
    if ord == 2:
        return reduce_norm(x, axis=axes, keepdims=keepdims)
    if ord == 0:
        return sum_(astype(x != 0, real(x).dtype), axis=axes, keepdims=keepdims)
    size = abs_(x)
    if ord == 1:
        return sum_(size, axis=axes, keepdims=keepdims)
    if math.isinf(ord):
        return (max_ if ord > 0 else min_)(size, axis=axes, keepdims=keepdims)
    return _power_norm(size, axes, keepdims, float(ord))


def _power_norm(size: Array, axes: tuple[int, ...], keepdims: bool, ord: float) -> Array:
    """Return the norm of a general order, computed from the sizes relative to the one that dominates."""
    if 0 in (size.shape[a] for a in axes):
        return sum_(size, axis=axes, keepdims=keepdims)
    zero = size == 0
    fixed = stop_gradient(size)
    if ord > 0:
        largest = max_(fixed, axis=axes, keepdims=True)
    else:
        largest = min_(where(zero, math.inf, fixed), axis=axes, keepdims=True)
    scale = where((largest > 0) & isfinite(largest), largest, 1.0)
    powers = where(zero, 0.0, where(zero, 1.0, size / scale) ** ord)
    total = sum_(powers, axis=axes, keepdims=True)
    vanishes = total == 0
    if ord < 0:  # one element of size 0 takes the norm to 0
        vanishes = sum_(astype(zero, size.dtype), axis=axes, keepdims=True) > 0
    norm = where(vanishes, 0.0, where(vanishes, 1.0, total) ** (1 / ord) * scale)
    if keepdims:
        return norm
    return reshape(norm, tuple(n for i, n in enumerate(size.shape) if i not in axes))


# --- Norms of matrices ---
def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: MatrixOrder = "fro") -> Array:
    """Return a norm of each matrix. Shapes: (..., m, n) -> (...), or (..., 1, 1) with `keepdims`.

    Args:
        ord: "fro" (or None), the root of the sum of squares; "nuc", the sum of singular values; 2 and -2, the largest
            and the smallest of them; 1 and -1, the largest and the smallest sum of moduli in a column; inf and -inf,
            those in a row.
    """
    need_floating("matrix_norm", x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_norm: needs a matrix or a stack of them, got shape {x.shape}")
    axes = (x.ndim - 2, x.ndim - 1)
    if ord is None or ord == "fro":
        return reduce_norm(x, axis=axes, keepdims=keepdims)
    out: Array
    if ord == "nuc":
        out = sum_(svdvals(x), axis=-1)
    elif ord in (2, -2):
        out = (max_ if ord == 2 else min_)(svdvals(x), axis=-1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = sum_(abs_(x), axis=-2 if ord in (1, -1) else -1)
        out = (max_ if ord in (1, math.inf) else min_)(sums, axis=-1)
    else:
        raise ValueError(f'matrix_norm: ord must be "fro", "nuc", 1, -1, 2, -2, inf or -inf, got {ord!r}')
    return reshape(out, (*out.shape, 1, 1)) if keepdims else out


def norm(x: Array, /, *, ord: MatrixOrder = None, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return a norm, as numpy.linalg.norm does: of vectors along one axis, or of matrices in two.

    Without `axis`, it is that of the vector or the matrix that x is; without `ord` too, that of all elements.
    """
    need_floating("norm", x)
    if axis is None:
        if ord is None:
            return reduce_norm(x, axis=tuple(range(x.ndim)), keepdims=keepdims) if x.ndim else abs_(x)
        if x.ndim not in (1, 2):
            raise ShapeError(f"norm: with ord={ord!r} and no axis, needs a vector or a matrix, got shape {x.shape}")
    axes = normalize_axes("norm", x, axis)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ValueError(f"norm: ord={ord!r} is a norm of matrices; name two axes")
        return vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2:
        raise ShapeError(f"norm: axis {axis} must name one axis for vectors, or two for matrices")
    rest = [i for i in range(x.ndim) if i not in axes]
    out = matrix_norm(permute_dims(x, (*rest, *axes)), ord=ord)
    return keep_axes(out, x.shape, axes) if keepdims else out


# --- Shapes ---
reduce_norm.shape(reduced)


# --- Samples ---
@reduce_norm.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for axis, keepdims in [((0,), False), ((1, 2), True), ((0, 1, 2), False)]:
        yield sample(rng.normal(size=(2, 3, 5)), axis=axis, keepdims=keepdims)
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)), axis=(1,), keepdims=False)
    yield sample(rng.normal(size=(3, 0)), axis=(1,), keepdims=False)
