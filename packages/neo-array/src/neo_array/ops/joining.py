"""Joining arrays, and taking them apart again."""

from __future__ import annotations

import builtins
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._batching import Axes, Batch, batch_by_axis, to_front
from neo_array._bind import need_arrays
from neo_array._described import Sizes, first, need, resized
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import Shape
from neo_array.ops.creation import zeros
from neo_array.ops.shaping import expand_dims, normalize_axis, reshape


# --- Joining ---
@primitive(kind="linear", promote=("arrays",))
def join(*arrays: Array, axis: int) -> Array:
    """Join along an axis."""
    return bind(join, *arrays, axis=axis)


join.kernel("numpy")(lambda *arrays, axis: np.concatenate(arrays, axis))
join.kernel("torch")("neo_array.backends.torch_kernels.shaping:join")
join.batch(batch_by_axis(join, "axis"))


@join.vjp("arrays")
def _(g: Array, arrays: Shape, *, axis: int, wanted: tuple[int, ...]) -> tuple[Array | None, ...]:
    sizes: Any = [shape[axis] for shape in arrays]  # type: ignore[index]  # of *arrays: one shape each
    ends = list(itertools.accumulate(sizes))
    before = (slice(None),) * axis
    parts = ((*before, slice(end - size, end)) for size, end in zip(sizes, ends, strict=True))
    return tuple(g[part] if i in wanted else None for i, part in enumerate(parts))


def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
    """Join arrays along an existing axis; with axis=None, flattened. dtypes promote.

    Raises:
        ShapeError: if there are none, or if the other axes differ.
    """
    if not arrays:
        raise ShapeError("concat: needs at least one array")
    need_arrays("concat", *arrays)
    if axis is None:
        arrays, axis = [reshape(a, -1) for a in arrays], 0
    first = arrays[0]
    at = normalize_axis("concat", first, axis)
    for a in arrays:
        if a.ndim != first.ndim or any(
            i != at and n != m for i, (n, m) in enumerate(zip(a.shape, first.shape, strict=True))
        ):
            raise ShapeError(f"concat: shapes {first.shape} and {a.shape} must agree except along axis {axis}")
    return bind(join, *arrays, axis=at)


def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
    """Join arrays of one shape along a new axis, which the result has at `axis`.

    Raises:
        ShapeError: if there are none, or if their shapes differ.
    """
    if not arrays:
        raise ShapeError("stack: needs at least one array")
    need_arrays("stack", *arrays)
    if len({a.shape for a in arrays}) > 1:
        raise ShapeError(f"stack: shapes must be equal, got {sorted({a.shape for a in arrays})}")
    return concat([expand_dims(a, axis=axis) for a in arrays], axis=axis)


# --- Taking apart: one op with many results, so that going back is one op too ---
@primitive(kind="linear", multi=True)
def parts(x: Array, /, *, sizes: tuple[int, ...], axis: int) -> tuple[Array, ...]:
    """Cut an axis into parts of these sizes."""
    return bind(parts, x, sizes=sizes, axis=axis)


@primitive(kind="linear", multi=True)
def slices(x: Array, /, *, axis: int) -> tuple[Array, ...]:
    """Return the slices along an axis, without it."""
    return bind(slices, x, axis=axis)


parts.kernel("numpy")(
    lambda x, *, sizes, axis: tuple(np.split(x, list(itertools.accumulate(sizes[:-1])), axis)) if sizes else ()
)
parts.kernel("torch")(lambda x, *, sizes, axis: x.split(sizes, axis) if sizes else ())
slices.kernel("torch")(lambda x, *, axis: x.unbind(axis))


@slices.kernel("numpy")
def _(x: Any, *, axis: int) -> tuple[Any, ...]:
    before = (slice(None),) * axis
    return tuple(x[(*before, i, ...)] for i in range(x.shape[axis]))


def _like(gs: Sequence[Array | None]) -> Array:
    return next(g for g in gs if g is not None)


@parts.vjp("x")
def _(gs: tuple[Array | None, ...], x: Shape, *, sizes: tuple[int, ...], axis: int) -> Array:
    some = _like(gs)
    shapes = ((*x[:axis], n, *x[axis + 1 :]) for n in sizes)
    return concat(
        [zeros(s, dtype=some.dtype, device=some.device) if g is None else g for g, s in zip(gs, shapes, strict=True)],
        axis=axis,
    )


@slices.vjp("x")
def _(gs: tuple[Array | None, ...], *, axis: int) -> Array:
    some = _like(gs)
    zero = zeros(some.shape, dtype=some.dtype, device=some.device) if None in gs else some
    return stack([zero if g is None else g for g in gs], axis=axis)


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """Return the slices of x along an axis, without that axis: what `stack` joins again."""
    need_arrays("unstack", x)
    at = normalize_axis("unstack", x, axis)
    return bind(slices, x, axis=at) if x.shape[at] else ()


def split(x: Array, sections: int | Sequence[int], /, *, axis: int = 0) -> tuple[Array, ...]:
    """Cut an axis into `sections` equal parts, or into parts of the sizes given.

    Raises:
        ShapeError: if the axis cannot be cut so.
    """
    need_arrays("split", x)
    at = normalize_axis("split", x, axis)
    n = x.shape[at]
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise ShapeError(f"split: axis {axis} of shape {x.shape} has no {sections} equal parts; give their sizes")
        sizes = (n // sections,) * sections
    else:
        sizes = tuple(sections)
        if sum(sizes) != n or any(s < 0 for s in sizes):
            raise ShapeError(f"split: sizes {sizes} must sum to {n}, the size of axis {axis} of shape {x.shape}")
    return bind(parts, x, sizes=sizes, axis=at) if sizes else ()


# --- Batches ---
@parts.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, sizes: tuple[int, ...], axis: int) -> Batch:
    return parts(to_front(args[0], axes[0]), sizes=sizes, axis=axis + 1), (0,) * len(sizes)


@slices.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, axis: int) -> Batch:
    out = slices(to_front(args[0], axes[0]), axis=axis + 1)
    return out, (0,) * len(out)


# --- Shapes ---
parts.shape(lambda x, *, sizes, axis: tuple(resized(x, axis, n) for n in sizes), dtype=first)
slices.shape(lambda x, *, axis: ((*x[:axis], *x[axis + 1 :]),) * x[axis], dtype=first)


@functools.partial(join.shape, dtype=first)
def _(*shapes: Sizes, axis: int) -> Sizes:
    need(len({resized(x, axis, 0) for x in shapes}) == 1)
    return resized(shapes[0], axis, builtins.sum(x[axis] for x in shapes))


# --- Samples ---
@join.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 2)), rng.normal(size=(3, 5)), rng.normal(size=(3, 0)), axis=1)
    yield sample(rng.normal(size=(3,)), axis=0)
    yield sample(rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)), rng.normal(size=(1, 3)) + 0j, axis=0)


@parts.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 7)), sizes=(2, 0, 5), axis=1)
    yield sample(rng.normal(size=(4,))[::-1], sizes=(1, 3), axis=0)


@slices.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), axis=1)
    yield sample(rng.normal(size=(2,)), axis=0)
    yield sample(rng.normal(size=(0, 2)), axis=1)
