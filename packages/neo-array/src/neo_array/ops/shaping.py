"""Shapes: the same elements, arranged otherwise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._batching import Axes, Batch, batch_by_axis, batch_leading, to_front
from neo_array._bind import as_sizes, need_arrays, undo_broadcast
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import Shape


# --- Reshaping ---
@primitive(kind="linear")
def view(x: Array, /, *, shape: tuple[int, ...]) -> Array:
    """Give the elements another shape."""
    return bind(view, x, shape=shape)


view.kernel("numpy", "torch", "cupy")(lambda x, *, shape: x.reshape(shape))


@view.vjp("x")
def _(g: Array, x: Shape) -> Array:
    return bind(view, g, shape=x)


def reshape(x: Array, /, shape: int | tuple[int, ...]) -> Array:
    """Return the elements in another shape, in row-major order; one size may be -1."""
    need_arrays("reshape", x)
    sizes = as_sizes("reshape", shape)
    if sizes == x.shape:
        return x
    if sizes.count(-1) == 1:
        rest = -math.prod(sizes)
        sizes = tuple((x.size // rest if rest else 0) if n == -1 else n for n in sizes)
    if any(n < 0 for n in sizes) or math.prod(sizes) != x.size:
        raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fit {shape}")
    return bind(view, x, shape=sizes)


def expand_dims(x: Array, /, *, axis: int = 0) -> Array:
    """Insert an axis of size 1."""
    need_arrays("expand_dims", x)
    n = x.ndim + 1
    if not -n <= axis < n:
        raise ShapeError(f"expand_dims: axis {axis} is out of range for shape {x.shape}; use {-n} to {n - 1}")
    at = axis % n
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def squeeze(x: Array, /, axis: int | tuple[int, ...]) -> Array:
    """Remove axes of size 1."""
    need_arrays("squeeze", x)
    axes = {a % x.ndim if -x.ndim <= a < x.ndim else -1 for a in (axis if isinstance(axis, tuple) else (axis,))}
    if any(a < 0 or x.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze: axis {axis} must name axes of size 1, got shape {x.shape}")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


# --- Permuting ---
@primitive(kind="linear")
def transpose(x: Array, /, *, axes: tuple[int, ...]) -> Array:
    """Permute the axes."""
    return bind(transpose, x, axes=axes)


transpose.kernel("numpy", "cupy")(lambda x, *, axes: x.transpose(axes))
transpose.kernel("torch")(lambda x, *, axes: x.permute(axes))


@transpose.vjp("x")
def _(g: Array, *, axes: tuple[int, ...]) -> Array:
    return bind(transpose, g, axes=tuple(sorted(range(len(axes)), key=axes.__getitem__)))


def permute_dims(x: Array, /, axes: tuple[int, ...]) -> Array:
    """Permute the axes: axis i of the result is axis `axes[i]` of x."""
    need_arrays("permute_dims", x)
    order = tuple(a + x.ndim if a < 0 else a for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"permute_dims: axes {axes} must be a permutation of the axes of shape {x.shape}")
    return bind(transpose, x, axes=order)


def moveaxis(x: Array, source: int, destination: int, /) -> Array:
    """Move one axis to another place."""
    need_arrays("moveaxis", x)
    if not (-x.ndim <= source < x.ndim and -x.ndim <= destination < x.ndim):
        raise ShapeError(f"moveaxis: axes {source} and {destination} must be axes of shape {x.shape}")
    order = [i for i in range(x.ndim) if i != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return permute_dims(x, tuple(order))


@primitive(kind="linear")
def matrix_transpose(x: Array, /) -> Array:
    """Swap the last two axes."""
    return bind(matrix_transpose, x)


matrix_transpose.kernel("numpy", "cupy")(lambda x: x.swapaxes(-1, -2))
matrix_transpose.kernel("torch")(lambda x: x.transpose(-1, -2))
matrix_transpose.vjp(x=lambda g: g.mT)


@matrix_transpose.explain
def _(x: Array, /) -> None:
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: needs at least two axes, got shape {x.shape}")


# --- Repeating ---
@primitive(kind="linear")
def expand(x: Array, /, *, shape: tuple[int, ...]) -> Array:
    """Repeat along axes of size 1 and new leading axes, without a copy."""
    return bind(expand, x, shape=shape)


expand.kernel("numpy")(lambda x, *, shape: np.broadcast_to(x, shape))
expand.kernel("torch")(lambda x, *, shape: x.expand(shape))


@expand.vjp("x")
def _(g: Array, x: Shape) -> Array:
    return undo_broadcast(g, x)


def broadcast_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    """Repeat along axes of size 1 and new leading axes."""
    need_arrays("broadcast_to", x)
    if x.shape == tuple(shape):
        return x
    extra = len(shape) - x.ndim
    if extra < 0 or any(n not in (1, m) for n, m in zip(x.shape, shape[extra:], strict=True)):
        raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {tuple(shape)}")
    return bind(expand, x, shape=tuple(shape))


# --- Joining ---
@primitive(kind="linear", promote=("arrays",))
def join(*arrays: Array, axis: int) -> Array:
    """Join along an axis."""
    return bind(join, *arrays, axis=axis)


join.kernel("numpy")(lambda *arrays, axis: np.concatenate(arrays, axis))
join.kernel("torch")("neo_array.backends.torch_kernels.shaping:join")


@join.vjp("arrays")
def _(g: Array, arrays: Shape, *, axis: int, wanted: tuple[int, ...]) -> tuple[Array | None, ...]:
    sizes: Any = [shape[axis] for shape in arrays]  # type: ignore[index]  # of *arrays: one shape each
    ends = list(itertools.accumulate(sizes))
    before = (slice(None),) * axis
    parts = ((*before, slice(end - size, end)) for size, end in zip(sizes, ends, strict=True))
    return tuple(g[part] if i in wanted else None for i, part in enumerate(parts))


def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
    """Join arrays along an existing axis; with axis=None, flattened."""
    if not arrays:
        raise ShapeError("concat: needs at least one array")
    need_arrays("concat", *arrays)
    if axis is None:
        arrays, axis = [reshape(a, -1) for a in arrays], 0
    first = arrays[0]
    at = axis + first.ndim if axis < 0 else axis
    if not 0 <= at < first.ndim:
        raise ShapeError(f"concat: axis {axis} is out of range for shape {first.shape}")
    for a in arrays:
        if a.ndim != first.ndim or any(
            i != at and n != m for i, (n, m) in enumerate(zip(a.shape, first.shape, strict=True))
        ):
            raise ShapeError(f"concat: shapes {first.shape} and {a.shape} must agree except along axis {axis}")
    return bind(join, *arrays, axis=at)


def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
    """Join arrays of one shape along a new axis."""
    need_arrays("stack", *arrays)
    if len({a.shape for a in arrays}) > 1:
        raise ShapeError(f"stack: shapes must be equal, got {sorted({a.shape for a in arrays})}")
    return concat([expand_dims(a, axis=axis) for a in arrays], axis=axis)


# --- Batches ---
matrix_transpose.batch(batch_leading(matrix_transpose))
join.batch(batch_by_axis(join, "axis"))


@view.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, shape: tuple[int, ...]) -> Batch:
    return reshape(to_front(args[0], axes[0]), (size, *shape)), 0


@transpose.batch
def _(size: int, args: Sequence[Array], places: Axes, /, *, axes: tuple[int, ...]) -> Batch:
    return permute_dims(to_front(args[0], places[0]), (0, *(a + 1 for a in axes))), 0


@expand.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, shape: tuple[int, ...]) -> Batch:
    x = to_front(args[0], axes[0])
    new = len(shape) - (x.ndim - 1)
    return broadcast_to(reshape(x, (size, *(1,) * new, *x.shape[1:])), (size, *shape)), 0


# --- Samples ---
@view.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(2, 3, 5)), shape=(6, 5))
    yield sample(rng.normal(size=(1,)), shape=())
    yield sample(rng.normal(size=(0, 3)), shape=(3, 0))


@transpose.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(2, 3, 5)), axes=(2, 0, 1))


@matrix_transpose.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=(2, 3, 5)))


@expand.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 1)), shape=(2, 3, 5))
    yield sample(rng.normal(size=()), shape=(4,))


@join.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 2)), rng.normal(size=(3, 5)), rng.normal(size=(3, 0)), axis=1)
    yield sample(rng.normal(size=(3,)), axis=0)
