"""Triangles and diagonals of matrices: of the last two axes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._batching import batch_leading
from neo_array._bind import need_arrays
from neo_array._described import first, same
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import Shape


def _need_matrix(op: str, x: Array) -> None:
    need_arrays(op, x)
    if x.ndim < 2:
        raise ShapeError(f"{op}: needs at least two axes, got shape {x.shape}; reshape x to (n, 1) or (1, n)")


# --- Triangles ---
@primitive(kind="linear")
def tril(x: Array, /, *, k: int = 0) -> Array:
    """Keep the elements on and below diagonal k; zeros above it. k > 0 lies above the main diagonal, k < 0 below."""
    _need_matrix("tril", x)
    return bind(tril, x, k=k)


@primitive(kind="linear")
def triu(x: Array, /, *, k: int = 0) -> Array:
    """Keep the elements on and above diagonal k; zeros below it. k > 0 lies above the main diagonal, k < 0 below."""
    _need_matrix("triu", x)
    return bind(triu, x, k=k)


tril.kernel("numpy")(lambda x, *, k: np.tril(x, k))
tril.kernel("torch")("neo_array.backends.torch_kernels.shaping:tril")
tril.kernel("cupy")(lambda x, *, k: np.tril(x, k).astype(x.dtype, copy=False))  # not float32 for bfloat16
triu.kernel("numpy")(lambda x, *, k: np.triu(x, k))
triu.kernel("torch")("neo_array.backends.torch_kernels.shaping:triu")
triu.kernel("cupy")(lambda x, *, k: np.triu(x, k).astype(x.dtype, copy=False))  # not float32 for bfloat16


@tril.vjp("x")
def _(g: Array, *, k: int) -> Array:
    return bind(tril, g, k=k)


@triu.vjp("x")
def _(g: Array, *, k: int) -> Array:
    return bind(triu, g, k=k)


# --- Diagonals ---
@primitive(kind="linear")
def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    """Return a diagonal, as the last axis; offset > 0 counts to the right of the main one, offset < 0 to below it."""
    _need_matrix("diagonal", x)
    return bind(diagonal, x, offset=offset)


@primitive(kind="linear")
def on_diagonal(x: Array, /, *, offset: int, shape: tuple[int, int]) -> Array:
    """Write the last axis onto a diagonal of zero matrices of this shape: the transpose of `diagonal`."""
    return bind(on_diagonal, x, offset=offset, shape=shape)


diagonal.kernel("numpy")(lambda x, *, offset: np.diagonal(x, offset, -2, -1))
diagonal.kernel("torch")(lambda x, *, offset: x.diagonal(offset, -2, -1))
on_diagonal.kernel("torch")("neo_array.backends.torch_kernels.shaping:on_diagonal")


@on_diagonal.kernel("numpy")
def _(x: Any, *, offset: int, shape: tuple[int, int]) -> Any:
    out = np.zeros_like(x, shape=(*x.shape[:-1], math.prod(shape)))  # dispatches on CuPy's arrays
    first, step = max(-offset, 0) * shape[1] + max(offset, 0), shape[1] + 1
    out[..., first : first + x.shape[-1] * step : step] = x
    return out.reshape((*x.shape[:-1], *shape))


@diagonal.vjp("x")
def _(g: Array, x: Shape, *, offset: int) -> Array:
    return bind(on_diagonal, g, offset=offset, shape=(x[-2], x[-1]))


@on_diagonal.vjp("x")
def _(g: Array, *, offset: int) -> Array:
    return bind(diagonal, g, offset=offset)


def diag(x: Array, /, *, k: int = 0) -> Array:
    """Return diagonal k of a matrix, or the matrix of zeros that has a vector as its diagonal k."""
    need_arrays("diag", x)
    if x.ndim == 1:
        n = x.shape[0] + abs(k)
        return bind(on_diagonal, x, offset=k, shape=(n, n))
    if x.ndim != 2:
        raise ShapeError(f"diag: needs a vector or a matrix, got shape {x.shape}; diagonal(x) takes stacks of matrices")
    return diagonal(x, offset=k)


for _op in (tril, triu, diagonal, on_diagonal):
    _op.batch(batch_leading(_op))


# --- Shapes ---
tril.shape(same, dtype=first)
triu.shape(same, dtype=first)
diagonal.shape(lambda x, *, offset: np.diagonal(np.broadcast_to(np.zeros(()), x), offset, -2, -1).shape, dtype=first)
on_diagonal.shape(lambda x, *, offset, shape: (*x[:-1], *shape), dtype=first)


# --- Samples ---
@tril.samples
@triu.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), k=0)
    yield sample(rng.normal(size=(5, 3)), k=1)
    yield sample(rng.normal(size=(2, 3, 5)) + 1j, k=-1)


@diagonal.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), offset=0)
    yield sample(rng.normal(size=(2, 5, 3)) + 1j, offset=-2)
    yield sample(rng.normal(size=(3, 5)), offset=7)


@on_diagonal.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3,)), offset=0, shape=(3, 5))
    yield sample(rng.normal(size=(2, 3)) + 1j, offset=-2, shape=(5, 3))
    yield sample(rng.normal(size=(2,)), offset=1, shape=(3, 3))
