"""Products of vectors, matrices and tensors, and the diagonal."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._batching import Axes, Batch, aligned
from neo_array._bind import need_arrays
from neo_array._described import Sizes, need
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.complex_parts import conj
from neo_array.ops.creation import eye
from neo_array.ops.joining import concat
from neo_array.ops.linalg import matmul
from neo_array.ops.matrices import columns, rows
from neo_array.ops.reductions import sum as sum_
from neo_array.ops.shaping import broadcast_to, moveaxis, permute_dims, reshape
from neo_array.ops.solving import inv


# --- Inner products ---
@primitive(promote=("x1", "x2"), broadcasts=True)
def inner_product(x1: Array, x2: Array, /) -> Array:
    """Sum conj(x1) * x2 over the last axis, of one size in both; the axes before it broadcast."""
    return bind(inner_product, x1, x2)


@inner_product.kernel("numpy")
@quiet
def _(x1: Any, x2: Any) -> Any:
    if x1.dtype.kind == "b" or x1.shape[-1] != x2.shape[-1]:
        raise TypeError
    if x1.dtype.itemsize == 2 and x1.dtype.kind in "fV":
        return np.vecdot(x1.astype(np.float32), x2.astype(np.float32)).astype(x1.dtype)
    return np.vecdot(x1, x2)


inner_product.kernel("torch")("neo_array.backends.torch_kernels.linalg:inner_product")
inner_product.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:inner_product")
inner_product.vjp(x1=lambda g, x2: conj(columns(g) * x2), x2=lambda g, x1: columns(g) * conj(x1))


@inner_product.jvp
def _(t1: Array | None, t2: Array | None, x1: Array, x2: Array) -> Array:
    first = None if t1 is None else inner_product(t1, x2)
    second = None if t2 is None else inner_product(x1, t2)
    out = second if first is None else first if second is None else first + second
    assert out is not None, "no tangent arrived"
    return out


@inner_product.explain
def _(x1: Array, x2: Array, /) -> None:
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"vecdot: sizes differ along the axis, got shapes {x1.shape} and {x2.shape}")
    try:
        np.broadcast_shapes(x1.shape, x2.shape)
    except ValueError:
        raise ShapeError(f"vecdot: the other axes do not broadcast, got shapes {x1.shape} and {x2.shape}") from None


@inner_product.batch
def _(size: int, args: Sequence[Array], axes: Axes, /) -> Batch:
    return inner_product(*aligned(args, axes)), 0


def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """Sum conj(x1) * x2 over an axis, of one size in both; the other axes broadcast.

    `axis` counts from the end (-1 is the last), so that it means the same in both.
    """
    need_arrays("vecdot", x1, x2)
    ndim = min(x1.ndim, x2.ndim)
    at = axis - ndim if axis >= 0 and x1.ndim == x2.ndim else axis
    if not -ndim <= at < 0:
        raise ShapeError(f"vecdot: axis {axis} must count from the end of both, got shapes {x1.shape} and {x2.shape}")
    return inner_product(moveaxis(x1, at, -1), moveaxis(x2, at, -1))


def tensordot(x1: Array, x2: Array, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Array:
    """Multiply and sum over pairs of axes; what remains of x1 comes first.

    Args:
        axes: how many of x1's last axes to pair with as many of x2's first ones; or two sequences of axes to pair.
    """
    need_arrays("tensordot", x1, x2)
    first, second = _paired(x1, x2, axes)
    rest1 = [i for i in range(x1.ndim) if i not in first]
    rest2 = [i for i in range(x2.ndim) if i not in second]
    shape1, shape2 = [x1.shape[i] for i in rest1], [x2.shape[i] for i in rest2]
    count = math.prod(x1.shape[i] for i in first)
    left = reshape(permute_dims(x1, (*rest1, *first)), (math.prod(shape1), count))
    right = reshape(permute_dims(x2, (*second, *rest2)), (count, math.prod(shape2)))
    return reshape(matmul(left, right), (*shape1, *shape2))


def _paired(x1: Array, x2: Array, axes: int | tuple[Sequence[int], Sequence[int]]) -> tuple[list[int], list[int]]:
    if isinstance(axes, int):
        pair: Sequence[Sequence[int]] = (range(x1.ndim - axes, x1.ndim), range(axes))
    else:
        pair = axes
    if len(pair) != 2 or len(pair[0]) != len(pair[1]):
        raise ShapeError(f"tensordot: axes must be a number or two sequences of one length, got {axes}")
    found: list[list[int]] = []
    for x, each in zip((x1, x2), pair, strict=True):
        places = [a + x.ndim if a < 0 else a for a in each]
        if any(not 0 <= a < x.ndim for a in places) or len(set(places)) != len(places):
            raise ShapeError(f"tensordot: axes {axes} do not fit shapes {x1.shape} and {x2.shape}")
        found.append(places)
    for i, j in zip(*found, strict=True):
        if x1.shape[i] != x2.shape[j]:
            raise ShapeError(
                f"tensordot: sizes {x1.shape[i]} and {x2.shape[j]} of axes {i} and {j} differ, got shapes {x1.shape} "
                f"and {x2.shape}"
            )
    return found[0], found[1]


# --- Outer and cross products ---
def outer(x1: Array, x2: Array, /) -> Array:
    """Return all products of the elements of two vectors. Shapes: (n,), (m,) -> (n, m)."""
    need_arrays("outer", x1, x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ShapeError(f"outer: needs two vectors, got shapes {x1.shape} and {x2.shape}; write x1[:, None] * x2")
    return columns(x1) * rows(x2)


def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """Return the cross product of vectors of three elements along an axis; the other axes broadcast.

    `axis` counts from the end (-1 is the last), so that it means the same in both.
    """
    need_arrays("cross", x1, x2)
    ndim = min(x1.ndim, x2.ndim)
    at = axis - ndim if axis >= 0 and x1.ndim == x2.ndim else axis
    if not -ndim <= at < 0:
        raise ShapeError(f"cross: axis {axis} must count from the end of both, got shapes {x1.shape} and {x2.shape}")
    if x1.shape[at] != 3 or x2.shape[at] != 3:
        raise ShapeError(f"cross: needs three elements along axis {axis}, got shapes {x1.shape} and {x2.shape}")
    if _dtypes.bool_ in (x1.dtype, x2.dtype):
        raise DTypeError("cross: needs numbers, got booleans; cast with .astype(na.int64) first")
    after = (slice(None),) * (-at - 1)
    a, b = ([x[(..., slice(i, i + 1), *after)] for i in range(3)] for x in (x1, x2))
    return concat([a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)], axis=at)


# --- Diagonals ---
def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    """Return the diagonals of matrices; `offset` counts to the right, and below 0 downwards."""
    need_arrays("diagonal", x)
    if x.ndim < 2:
        raise ShapeError(f"diagonal: needs a matrix or a stack of them, got shape {x.shape}")
    n, m = x.shape[-2:]
    start, count = (offset, min(n, m - offset)) if offset >= 0 else (-offset * m, min(n + offset, m))
    count = max(count, 0)
    flat = reshape(x, (*x.shape[:-2], n * m))
    return flat[..., start : start + (count - 1) * (m + 1) + 1 : m + 1] if count else flat[..., :0]


def trace(x: Array, /, *, offset: int = 0, dtype: object | None = None) -> Array:
    """Sum the diagonals of matrices; dtypes are those of `sum`."""
    return sum_(diagonal(x, offset=offset), axis=-1, dtype=dtype)


# --- Powers ---
def matrix_power(x: Array, n: int, /) -> Array:
    """Multiply square matrices n times with themselves; below 0 their inverses, and for 0 return the identity."""
    need_arrays("matrix_power", x)
    try:
        left = operator.index(n)
    except TypeError:
        raise DTypeError(f"matrix_power: the power must be an integer, got {n!r}") from None
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_power: needs square matrices, got shape {x.shape}")
    if left == 0:
        return broadcast_to(eye(x.shape[-1], dtype=x.dtype, device=x.device), x.shape)
    base, left = (inv(x), -left) if left < 0 else (x, left)
    out: Array | None = None
    while left:
        if left & 1:
            out = base if out is None else matmul(out, base)
        left >>= 1
        base = matmul(base, base) if left else base
    assert out is not None
    return out


# --- Shapes ---


@inner_product.shape
def _(x1: Sizes, x2: Sizes) -> Sizes:
    need(x1[-1] == x2[-1])
    return np.broadcast_shapes(x1[:-1], x2[:-1])


# --- Samples ---
@inner_product.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(5,)), rng.normal(size=(5,)))
    yield sample(rng.normal(size=(2, 3, 5)), rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=(3, 1, 5)), rng.normal(size=(2, 5)))
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)), rng.normal(size=(5,)) + 1j)
    yield sample(rng.normal(size=(3, 0)), rng.normal(size=(0,)))
