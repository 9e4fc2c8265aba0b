"""Shapes: the same elements, arranged otherwise."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from neo_array import backends
from neo_array._array import Array
from neo_array._batching import Axes, Batch, batch_leading, to_front
from neo_array._bind import as_sizes, need_arrays, undo_broadcast
from neo_array._described import first, fits
from neo_array._errors import AxisError, DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import Shape

Places: TypeAlias = "int | tuple[int, ...]"


def normalize_axis(op: str, x: Array, axis: int, *, new: int = 0) -> int:
    """Return an axis of x, which is getting `new` more, as a number from 0."""
    n = x.ndim + new
    try:
        at = operator.index(axis)
    except TypeError:
        raise DTypeError(f"{op}: axis must be an int, got {axis!r}") from None
    if not -n <= at < n:
        can = f"use {-n} to {n - 1}" if n else "it has no axes"
        raise AxisError(f"{op}: axis {axis} is out of range for shape {x.shape}; {can}")
    return at % n


def normalize_axes(op: str, x: Array, axis: Places, *, new: int = 0) -> tuple[int, ...]:
    """Return one axis or several as numbers from 0, each of them once."""
    axes = tuple(normalize_axis(op, x, a, new=new) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{op}: axis {axis} names an axis twice")
    return axes


# --- Reshaping ---
@primitive(kind="linear")
def view(x: Array, /, *, shape: tuple[int, ...]) -> Array:
    """Give the elements another shape."""
    return bind(view, x, shape=shape)


view.kernel("numpy", "torch", "cupy")(lambda x, *, shape: x.reshape(shape))


@view.vjp("x")
def _(g: Array, x: Shape) -> Array:
    return bind(view, g, shape=x)


def reshape(x: Array, /, shape: int | tuple[int, ...], *, copy: bool | None = None) -> Array:
    """Return the elements in another shape, in row-major order; one size may be -1.

    Args:
        x: any array.
        shape: as many elements as x has.
        copy: False asks for a view on x's memory. Values are never written to, so otherwise it makes no difference.

    Raises:
        ShapeError: if the elements do not fit.
        ValueError: for copy=False where x's strides allow no view.
    """
    need_arrays("reshape", x)
    sizes = as_sizes("reshape", shape)
    if sizes == x.shape:
        return x
    if sizes.count(-1) == 1:
        rest = -math.prod(sizes)
        sizes = tuple((x.size // rest if rest else 0) if n == -1 else n for n in sizes)
    if any(n < 0 for n in sizes) or math.prod(sizes) != x.size:
        raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fit {shape}")
    out = bind(view, x, shape=sizes)
    if copy is False and x.size and backends.is_raw(x._raw) and _address(x._raw) != _address(out._raw):
        raise ValueError(f"reshape: copy=False, but the strides of x allow no view of shape {sizes}; drop copy=False")
    return out


def _address(raw: Any) -> object:
    """Return where the first element is; a reshaped view has it where the array has."""
    if hasattr(raw, "data_ptr"):
        return raw.data_ptr()
    interface: Any = getattr(raw, "__cuda_array_interface__", None) or raw.__array_interface__
    return interface["data"][0]


def ravel(x: Array, /) -> Array:
    """Return the elements as a vector, in row-major order."""
    return reshape(x, (-1,))


def expand_dims(x: Array, /, *, axis: Places = 0) -> Array:
    """Insert axes of size 1, which the result has at `axis`."""
    need_arrays("expand_dims", x)
    count = len(axis) if isinstance(axis, tuple) else 1
    new = normalize_axes("expand_dims", x, axis, new=count)
    old = iter(x.shape)
    return reshape(x, tuple(1 if i in new else next(old) for i in range(x.ndim + count)))


def squeeze(x: Array, /, axis: Places) -> Array:
    """Remove axes of size 1.

    Raises:
        ShapeError: for an axis of another size.
    """
    need_arrays("squeeze", x)
    axes = normalize_axes("squeeze", x, axis)
    if any(x.shape[a] != 1 for a in axes):
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


def moveaxis(x: Array, source: Places, destination: Places, /) -> Array:
    """Move axes to other places; those that are not named keep their order."""
    need_arrays("moveaxis", x)
    sources, places = normalize_axes("moveaxis", x, source), normalize_axes("moveaxis", x, destination)
    if len(sources) != len(places):
        raise ShapeError(f"moveaxis: {source} and {destination} must name as many axes")
    order = [i for i in range(x.ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return bind(transpose, x, axes=tuple(order)) if order != sorted(order) else x


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


# --- Broadcasting ---
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
    if x.shape == shape:
        return x
    sizes = as_sizes("broadcast_to", shape)
    if x.shape == sizes:
        return x
    extra = len(sizes) - x.ndim
    if extra < 0 or any(n not in (1, m) for n, m in zip(x.shape, sizes[extra:], strict=True)):
        raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {sizes}")
    return bind(expand, x, shape=sizes)


def broadcast_arrays(*arrays: Array) -> list[Array]:
    """Return the arrays in the shape that all of them broadcast to."""
    need_arrays("broadcast_arrays", *arrays)
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError:
        shapes = " and ".join(str(a.shape) for a in arrays)
        raise ShapeError(
            f"broadcast_arrays: shapes {shapes} do not broadcast; sizes must be equal or 1, aligned at the last axis"
        ) from None
    return [broadcast_to(a, shape) for a in arrays]


# --- Batches ---
matrix_transpose.batch(batch_leading(matrix_transpose))


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


# --- Shapes ---
view.shape(lambda x, *, shape: fits(x, shape), dtype=first)
transpose.shape(lambda x, *, axes: tuple(x[a] for a in axes), dtype=first)
matrix_transpose.shape(lambda x: (*x[:-2], x[-1], x[-2]), dtype=first)
expand.shape(lambda x, *, shape: np.broadcast_shapes(x, shape), dtype=first)


# --- Samples ---
@view.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(2, 3, 5)), shape=(6, 5))
    yield sample(rng.normal(size=(1,)), shape=())
    yield sample(rng.normal(size=(0, 3)), shape=(3, 0))
    yield sample((rng.normal(size=(3, 2)) + 1j * rng.normal(size=(3, 2))).T, shape=(6,))


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
