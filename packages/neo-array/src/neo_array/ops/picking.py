"""Integer arrays as indices: picking elements and slices, and piling them up again, which is the transpose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._batching import Axes, Batch, batch_by_axis, filled, to_front
from neo_array._described import Sizes, first, picked, resized
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import NoDerivative, Shape
from neo_array.backends.numpy import quiet
from neo_array.ops.casting import astype
from neo_array.ops.creation import arange
from neo_array.ops.joining import concat
from neo_array.ops.shaping import broadcast_to, expand_dims, moveaxis, reshape

INTEGERS = NoDerivative("indices are integers")
_add_at = quiet(np.add.at)


# --- Slices along one axis ---
@primitive(kind="linear")
def pick(x: Array, indices: Array, /, *, axis: int) -> Array:
    """Read the slices of x along an axis at the indices, which may have any shape."""
    return bind(pick, x, indices, axis=axis)


@primitive(kind="linear")
def pile(x: Array, indices: Array, /, *, axis: int, size: int) -> Array:
    """Add slices into zeros along an axis at the indices: the transpose of `pick`."""
    return bind(pile, x, indices, axis=axis, size=size)


pick.kernel("numpy")(lambda x, indices, *, axis: np.take(x, indices, axis=axis))
pick.kernel("torch")("neo_array.backends.torch_kernels.indexing:pick")
pick.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:pick")
pile.kernel("torch")("neo_array.backends.torch_kernels.indexing:pile")
pile.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:pile")


@pile.kernel("numpy")
def _(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    shape = (*x.shape[:axis], size, *x.shape[axis + indices.ndim :])
    out = np.zeros(shape, x.dtype)
    _add_at(out, (slice(None),) * axis + (indices,), x)
    return out


@pick.vjp("x")
def _(g: Array, x: Shape, indices: Array, *, axis: int) -> Array:
    return bind(pile, g, indices, axis=axis, size=x[axis])


@pile.vjp("x")
def _(g: Array, indices: Array, *, axis: int) -> Array:
    return bind(pick, g, indices, axis=axis)


# --- Elements along one axis, all others matched ---
@primitive(kind="linear")
def pick_along(x: Array, indices: Array, /, *, axis: int) -> Array:
    """Read one element per index along an axis; all other axes are matched."""
    return bind(pick_along, x, indices, axis=axis)


@primitive(kind="linear")
def pile_along(x: Array, indices: Array, /, *, axis: int, size: int) -> Array:
    """Add elements into zeros along an axis: the transpose of `pick_along`."""
    return bind(pile_along, x, indices, axis=axis, size=size)


pick_along.kernel("numpy")(lambda x, indices, *, axis: np.take_along_axis(x, indices, axis))
pick_along.kernel("torch")("neo_array.backends.torch_kernels.indexing:pick_along")
pick_along.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:pick_along")
pile_along.kernel("torch")("neo_array.backends.torch_kernels.indexing:pile_along")
pile_along.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:pile_along")


@pile_along.kernel("numpy")
def _(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    out = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    place = list(np.ogrid[tuple(slice(n) for n in x.shape)])
    place[axis] = indices
    _add_at(out, tuple(place), x)
    return out


@pick_along.vjp("x")
def _(g: Array, x: Shape, indices: Array, *, axis: int) -> Array:
    return bind(pile_along, g, indices, axis=axis, size=x[axis])


@pile_along.vjp("x")
def _(g: Array, indices: Array, *, axis: int) -> Array:
    return bind(pick_along, g, indices, axis=axis)


# --- Points: indices[j] indexes axis j, for the first len(indices) axes ---
@primitive(kind="linear")
def pick_at(x: Array, indices: Array, /) -> Array:
    """Read x at points of its first axes: x (n1, ..., nk, *rest), indices (k, *points) give (*points, *rest)."""
    return bind(pick_at, x, indices)


@primitive(kind="linear")
def pile_at(x: Array, indices: Array, /, *, shape: tuple[int, ...]) -> Array:
    """Add x (*points, *rest) into zeros of `shape` at points (k, *points) of its first axes: `pick_at`'s transpose."""
    return bind(pile_at, x, indices, shape=shape)


pick_at.kernel("numpy")(lambda x, indices: x[tuple(indices)])
pick_at.kernel("torch")("neo_array.backends.torch_kernels.indexing:pick_at")
pick_at.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:pick_at")
pile_at.kernel("torch")("neo_array.backends.torch_kernels.indexing:pile_at")
pile_at.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:pile_at")


@pile_at.kernel("numpy")
def _(x: Any, indices: Any, *, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    _add_at(out, tuple(indices), x)
    return out


@pick_at.vjp("x")
def _(g: Array, x: Shape, indices: Array) -> Array:
    return bind(pile_at, g, indices, shape=x)


@pile_at.vjp("x")
def _(g: Array, indices: Array) -> Array:
    return bind(pick_at, g, indices)


for _op in (pick, pile, pick_along, pile_along, pick_at, pile_at):
    _op.vjp(indices=INTEGERS)


# --- Masks ---
@primitive(discrete="its result is an index")
def true_places(mask: Array, /) -> Array:
    """Return where a mask holds, as places in its row-major order: a vector as long as there are true elements."""
    return bind(true_places, mask)


true_places.kernel("numpy")(np.flatnonzero)
true_places.kernel("torch")("neo_array.backends.torch_kernels.indexing:true_places")
true_places.batch(missing="the number of true elements differs by example; use where(mask, x, ...) in its place")


# --- Errors: kernels on the CPU check the range themselves; CUDA asserts it later ---
def check_range(op: str, indices: Array, size: int) -> None:
    """Say which index no kernel could find."""
    if indices.size:
        low, high = indices.min()._raw.item(), indices.max()._raw.item()  # not a read that levels should know of
        if not (-size <= low and high < size):
            raise IndexError(f"{op}: indices from {low} to {high} are out of range for an axis of size {size}")


def check_points(indices: Array, sizes: tuple[int, ...]) -> None:
    """Say which index of points no kernel could find."""
    for j, size in enumerate(sizes[: indices.shape[0]]):
        check_range("index", indices[j], size)


@pick.explain
@pile.explain
@pick_along.explain
@pile_along.explain
def _(x: Array, indices: Array, /, *, axis: int, size: int | None = None) -> None:
    check_range("take", indices, x.shape[axis] if size is None else size)


@pick_at.explain
def _(x: Array, indices: Array, /) -> None:
    check_points(indices, x.shape)


@pile_at.explain
def _(x: Array, indices: Array, /, *, shape: tuple[int, ...]) -> None:
    check_points(indices, shape)


# --- Batches: the number of its example is one more index, so that none can read another's ---
pick_along.batch(batch_by_axis(pick_along, "axis"))
pile_along.batch(batch_by_axis(pile_along, "axis"))


def to_back(x: Array, axis: int | None, size: int) -> Array:
    """Move the batch to the last axis; repeat what has none."""
    return broadcast_to(expand_dims(x, axis=-1), (*x.shape, size)) if axis is None else moveaxis(x, axis, -1)


def numbered(points: Array, axis: int) -> Array:
    """Put the numbers of the examples before points (k, *points) whose batch is at an axis: (k + 1, size, *points)."""
    front = astype(moveaxis(points, axis, 1), _dtypes.int64)
    size = front.shape[1]
    number = reshape(arange(size, device=points.device), (1, size, *(1,) * (front.ndim - 2)))
    return concat([broadcast_to(number, (1, *front.shape[1:])), front])


@pick_at.batch
def _(size: int, args: Sequence[Array], axes: Axes, /) -> Batch:
    x, points = args
    if axes[1] is None:
        out = pick_at(to_back(x, axes[0], size), points)
        return out, out.ndim - 1
    if axes[0] is None:
        return pick_at(x, moveaxis(points, axes[1], 1)), 0
    return pick_at(to_front(x, axes[0]), numbered(points, axes[1])), 0


@pile_at.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, shape: tuple[int, ...]) -> Batch:
    x, points = args
    if axes[1] is None:
        return pile_at(to_back(x, axes[0], size), points, shape=(*shape, size)), len(shape)
    return pile_at(filled(x, axes[0], size), numbered(points, axes[1]), shape=(size, *shape)), 0


@pick.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, axis: int) -> Batch:
    x, indices = args
    if axes[1] is None:
        return pick(to_front(x, axes[0]), indices, axis=axis + 1), 0
    if axes[0] is None:
        return pick(x, to_front(indices, axes[1]), axis=axis), axis
    front = moveaxis(to_front(x, axes[0]), axis + 1, 1)
    out = pick_at(front, numbered(expand_dims(indices), axes[1] + 1))
    return moveaxis(out, _span(1, indices.ndim - 1), _span(axis + 1, indices.ndim - 1)), 0


@pile.batch
def _(batch: int, args: Sequence[Array], axes: Axes, /, *, axis: int, size: int) -> Batch:
    x, indices = args
    front = filled(x, axes[0], batch)
    if axes[1] is None:
        return pile(front, indices, axis=axis + 1, size=size), 0
    count = indices.ndim - 1
    rest = front.shape[1 : axis + 1] + front.shape[axis + 1 + count :]
    points = numbered(expand_dims(indices), axes[1] + 1)
    moved = moveaxis(front, _span(axis + 1, count), _span(1, count))
    return moveaxis(pile_at(moved, points, shape=(batch, size, *rest)), 1, axis + 1), 0


def _span(start: int, count: int) -> tuple[int, ...]:
    return tuple(range(start, start + count))


# --- Shapes ---
pick.shape(lambda x, indices, *, axis: picked(x[:axis], x[axis : axis + 1], indices, x[axis + 1 :]), dtype=first)
pile.shape(lambda x, indices, *, axis, size: (*x[:axis], size, *x[axis + len(indices) :]), dtype=first)
pick_at.shape(lambda x, indices: picked((), x[: indices[0]], indices[1:], x[indices[0] :]), dtype=first)
pile_at.shape(lambda x, indices, *, shape: shape, dtype=first)
pile_along.shape(lambda x, indices, *, axis, size: resized(x, axis, size), dtype=first)
true_places.shape(missing="as many elements are selected as the mask says; use where(mask, x, y) in its place")


def _along(x: Sizes, indices: Sizes, *, axis: int) -> Sizes:
    others = np.broadcast_shapes(resized(x, axis, 1), resized(indices, axis, 1))
    return picked(others[:axis], x[axis : axis + 1], indices[axis : axis + 1], others[axis + 1 :])


pick_along.shape(_along, dtype=first)


# --- Samples ---
@pick.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), np.array([0, 2, 2, -1]), axis=0)
    yield sample(rng.normal(size=(3, 5)), np.array([[4, 1], [0, -5]]), axis=1)
    yield sample(rng.normal(size=(3, 5)), np.zeros((0,), np.int64), axis=0)
    yield sample(rng.normal(size=(2, 3, 5)) + 1j, np.array(1, np.int8), axis=1)


@pile.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(4, 5)), np.array([0, 2, 2, -1]), axis=0, size=3)
    yield sample(rng.normal(size=(3, 2, 2)), np.array([[4, 1], [0, -5]]), axis=1, size=5)
    yield sample(rng.normal(size=(2, 3)) + 1j, np.array(1), axis=1, size=2)


@pick_along.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), np.array([[0, 0], [4, -1], [2, 2]]), axis=1)
    yield sample(rng.normal(size=(3,)) + 1j, np.array([-1, 0]), axis=0)


@pile_along.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 2)), np.array([[0, 0], [4, -1], [2, 2]]), axis=1, size=5)
    yield sample(rng.normal(size=(2,)) + 1j, np.array([-1, 2]), axis=0, size=3)


@pick_at.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), np.array([[0, 2, 2, -1], [4, -2, 3, 0]]))
    yield sample(rng.normal(size=(3, 2, 5)) + 1j, np.array([[[0, 0], [2, -1]], [[1, 1], [0, -2]]]))
    yield sample(rng.normal(size=(3, 2)), np.array([[1, 1]], np.uint8))
    yield sample(rng.normal(size=(3, 2, 5)), np.zeros((3, 0), np.int32))


@pile_at.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(4,)), np.array([[0, 2, 2, -1], [4, 3, 3, 0]]), shape=(3, 5))
    yield sample(rng.normal(size=(2, 2, 5)) + 1j, np.array([[[0, 0], [2, -1]], [[1, 1], [0, -2]]]), shape=(3, 2, 5))
    yield sample(rng.normal(size=(2, 3)), np.array([[1, -1]], np.int8), shape=(2, 3))


@true_places.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(np.array([[True, False, True], [False, False, True]]))
    yield sample(np.zeros((2, 0), np.bool_))
    yield sample(np.array(True))
