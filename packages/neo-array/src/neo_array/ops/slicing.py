"""Slices: reading a part that integers, slices, ... and None select, and writing one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

from neo_array._array import Array
from neo_array._batching import Axes, Batch, filled, to_front
from neo_array._described import first, indexed, same
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import Shape
from neo_array.ops.creation import zeros

Basic: TypeAlias = "tuple[int | slice | EllipsisType | None, ...]"


@primitive(kind="linear")
def cut(x: Array, /, *, index: Basic) -> Array:
    """Read the part of x that integers, slices, ... and None select."""
    return bind(cut, x, index=index)


@primitive(kind="linear")
def paste(x: Array, /, *, index: Basic, shape: tuple[int, ...]) -> Array:
    """Write x into zeros of `shape` at the index: the transpose of `cut`."""
    return bind(paste, x, index=index, shape=shape)


@primitive(kind="linear", promote=("x", "v"))
def replace(x: Array, v: Array, /, *, index: Basic) -> Array:
    """Write v into a copy of x over the part that the index selects; v has that part's shape."""
    return bind(replace, x, v, index=index)


cut.kernel("numpy")(lambda x, *, index: x[index])
cut.kernel("torch")("neo_array.backends.torch_kernels.indexing:cut")
paste.kernel("torch")("neo_array.backends.torch_kernels.indexing:paste")
paste.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:paste")
replace.kernel("torch")("neo_array.backends.torch_kernels.indexing:replace")
replace.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:replace")


@paste.kernel("numpy")
def _(x: Any, *, index: Basic, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    out[index] = x
    return out


@replace.kernel("numpy")
def _(x: Any, v: Any, *, index: Basic) -> Any:
    out = np.array(x)
    out[index] = v
    return out


@cut.vjp("x")
def _(g: Array, x: Shape, *, index: Basic) -> Array:
    return bind(paste, g, index=index, shape=x)


@paste.vjp("x")
def _(g: Array, *, index: Basic) -> Array:
    return bind(cut, g, index=index)


@replace.vjp("x")
def _(g: Array, v: Shape, *, index: Basic) -> Array:
    return bind(replace, g, zeros(v, dtype=g.dtype, device=g.device), index=index)


@replace.vjp("v")
def _(g: Array, *, index: Basic) -> Array:
    return bind(cut, g, index=index)


# --- Batches ---
@cut.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, index: Basic) -> Batch:
    return cut(to_front(args[0], axes[0]), index=(slice(None), *index)), 0


@paste.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, index: Basic, shape: tuple[int, ...]) -> Batch:
    return paste(to_front(args[0], axes[0]), index=(slice(None), *index), shape=(size, *shape)), 0


@replace.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, index: Basic) -> Batch:
    x, v = (filled(a, axis, size) for a, axis in zip(args, axes, strict=True))
    return replace(x, v, index=(slice(None), *index)), 0


# --- Shapes ---
cut.shape(lambda x, *, index: indexed(x, index), dtype=first)
paste.shape(lambda x, *, index, shape: shape, dtype=first)
replace.shape(same, dtype=first)


# --- Samples ---
@cut.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), index=(slice(None, None, 2), 1))
    yield sample(rng.normal(size=(3, 5)), index=(..., slice(4, 0, -2)))
    yield sample(rng.normal(size=(3, 5)), index=(None, 2, ..., None))
    yield sample(rng.normal(size=(3, 5)) + 1j, index=(slice(2, 2),))


@paste.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(2,)), index=(slice(None, None, 2), 1), shape=(3, 5))
    yield sample(rng.normal(size=(3, 2)), index=(..., slice(4, 0, -2)), shape=(3, 5))


@replace.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(2,)), index=(slice(None, None, 2), 1))
    yield sample(rng.normal(size=(5, 3)).T, rng.normal(size=(3, 2)), index=(..., slice(4, 0, -2)))
    yield sample(rng.normal(size=(2, 3)) + 1j, rng.normal(size=(1, 3)) - 2j, index=(None, 1))
    yield sample(rng.normal(size=(3,)), rng.normal(size=()), index=(-1,))
