"""Reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array, Axis
from neo_array._batching import Axes, Batch, batch_by_axis, to_front
from neo_array._bind import need_arrays
from neo_array._described import reduced
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Primitive, Sample, bind, primitive, sample
from neo_array._rules import Shape
from neo_array.backends.numpy import ordered, quiet
from neo_array.ops import shaping
from neo_array.ops.casting import astype
from neo_array.ops.comparison import equal
from neo_array.ops.shaping import broadcast_to, normalize_axis, permute_dims, reshape

_Axes = tuple[int, ...]


def normalize_axes(op: str, x: Array, axis: Axis) -> _Axes:
    """Return the axes as a tuple of non-negative ints; None means all."""
    if axis is None:
        return tuple(range(x.ndim))
    given: object = axis
    if isinstance(given, list):
        raise DTypeError(f"{op}: axis must be an int or a tuple of ints, got {axis!r}")
    return shaping.normalize_axes(op, x, axis)


def keep_axes(g: Array, shape: tuple[int, ...], axis: _Axes) -> Array:
    """Put the reduced axes back as axes of size 1."""
    return reshape(g, tuple(1 if i in axis else n for i, n in enumerate(shape)))


def spread(g: Array, shape: tuple[int, ...], axis: _Axes) -> Array:
    """Repeat a cotangent over the axes that were reduced."""
    return broadcast_to(keep_axes(g, shape, axis), shape)


def as_one_axis(x: Array, axis: _Axes) -> Array:
    """Move axes to the end and make one of them; what works along one axis then reduces several."""
    rest = tuple(i for i in range(x.ndim) if i not in axis)
    moved = permute_dims(x, rest + axis)
    return reshape(moved, (*moved.shape[: len(rest)], math.prod(moved.shape[len(rest) :])))


def along_axes(f: Callable[[Array, int], Array], x: Array, axis: _Axes) -> Array:
    """Apply a function of an array and one axis, which keeps the shape, over several axes as if they were one."""
    if len(axis) == 1:
        return f(x, axis[0])
    order = (*(i for i in range(x.ndim) if i not in axis), *axis)
    out = f(as_one_axis(x, axis), x.ndim - len(axis))
    out = reshape(out, tuple(x.shape[i] for i in order))
    return permute_dims(out, tuple(sorted(range(x.ndim), key=order.__getitem__)))


def as_accumulator(x: Array, dtype: object | None) -> Array:
    """Cast to what sums and products are kept in: `dtype`, or 64 bits for booleans and integers."""
    if dtype is not None:
        return astype(x, dtype)
    kind = x.dtype.kind
    return astype(x, _dtypes.uint64 if kind == "u" else _dtypes.int64) if kind in "biu" else x


# --- Sums and products ---
def _reducing(ufunc: np.ufunc) -> Callable[..., Any]:
    """Make a kernel of a ufunc that keeps the dtype; half precision is kept in float32 on the way."""
    reduce: Callable[..., Any] = ufunc.reduce

    def kernel(x: Any, *, axis: _Axes, keepdims: bool) -> Any:
        dtype = x.dtype
        if dtype.kind in "biu":  # NumPy would widen them
            return reduce(x, axis=axis, dtype=dtype, keepdims=keepdims)
        if dtype.itemsize == 2:
            return reduce(x, axis=axis, dtype=np.float32, keepdims=keepdims).astype(dtype)
        return reduce(x, axis=axis, keepdims=keepdims)

    return quiet(kernel)


@primitive(kind="linear")
def reduce_sum(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Sum over axes."""
    return bind(reduce_sum, x, axis=axis, keepdims=keepdims)


reduce_sum.kernel("numpy")(_reducing(np.add))
reduce_sum.kernel("torch")("neo_array.backends.torch_kernels.reductions:sum")


@reduce_sum.vjp("x")
def _(g: Array, x: Shape, *, axis: _Axes) -> Array:
    return spread(g, x, axis)


def sum(x: Array, /, *, axis: Axis = None, dtype: object | None = None, keepdims: bool = False) -> Array:
    """Sum over axes (all of them by default); 0 over no elements.

    The result has `dtype`; without one, that of x, but int64 for booleans and signed integers, and uint64 for
    unsigned ones. Half precision is summed in float32. A cast to the result's dtype comes first, and takes memory.
    """
    need_arrays("sum", x)
    x = as_accumulator(x, dtype)
    axes = normalize_axes("sum", x, axis)
    return bind(reduce_sum, x, axis=axes, keepdims=keepdims) if axes else x


@primitive()
def reduce_prod(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Multiply over axes."""
    return bind(reduce_prod, x, axis=axis, keepdims=keepdims)


reduce_prod.kernel("numpy")(_reducing(np.multiply))
reduce_prod.kernel("torch")("neo_array.backends.torch_kernels.reductions:prod")


def _products_of_others(x: Array, axis: int) -> Array:
    """Return for each element the product of all others along an axis: of those before it and of those behind it.

    Dividing the product by the element would be undefined at 0, and its derivative wrong near it.
    """
    from neo_array.ops.cumulative import products_before

    return products_before(x, axis=axis, reverse=False) * products_before(x, axis=axis, reverse=True)


@reduce_prod.vjp("x")
def _(g: Array, x: Array, *, axis: _Axes) -> Array:
    return keep_axes(g, x.shape, axis) * along_axes(_products_of_others, x, axis)


@reduce_prod.jvp
def _(t: Array, x: Array, *, axis: _Axes, keepdims: bool) -> Array:
    return sum(t * along_axes(_products_of_others, x, axis), axis=axis, keepdims=keepdims)


def prod(x: Array, /, *, axis: Axis = None, dtype: object | None = None, keepdims: bool = False) -> Array:
    """Multiply over axes (all of them by default); 1 over no elements.

    dtypes are those of `sum`. Derivatives of every order are exact at zeros too, however many there are.
    """
    need_arrays("prod", x)
    x = as_accumulator(x, dtype)
    axes = normalize_axes("prod", x, axis)
    return bind(reduce_prod, x, axis=axes, keepdims=keepdims) if axes else x


# --- Extrema: ties share the derivative evenly ---
@primitive()
def reduce_max(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Take the maximum over axes."""
    return bind(reduce_max, x, axis=axis, keepdims=keepdims)


@primitive()
def reduce_min(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Take the minimum over axes."""
    return bind(reduce_min, x, axis=axis, keepdims=keepdims)


reduce_max.kernel("numpy")(ordered(np.maximum.reduce))
reduce_min.kernel("numpy")(ordered(np.minimum.reduce))
reduce_max.kernel("torch")("neo_array.backends.torch_kernels.reductions:max")
reduce_max.kernel("cupy")("neo_array.backends.cupy_kernels.reductions:max")
reduce_min.kernel("torch")("neo_array.backends.torch_kernels.reductions:min")
reduce_min.kernel("cupy")("neo_array.backends.cupy_kernels.reductions:min")


def _shares(x: Array, out: Array, axis: _Axes) -> Array:
    """Return each element's share of the extremum: 1 over the number of elements that reach it, 0 elsewhere."""
    reaches = astype(equal(x, keep_axes(out, x.shape, axis)), x.dtype)
    return reaches / sum(reaches, axis=axis, keepdims=True)


@reduce_max.vjp("x")
@reduce_min.vjp("x")
def _(g: Array, x: Array, out: Array, *, axis: _Axes) -> Array:
    return keep_axes(g, x.shape, axis) * _shares(x, out, axis)


@reduce_max.jvp
@reduce_min.jvp
def _(t: Array, x: Array, out: Array, *, axis: _Axes, keepdims: bool) -> Array:
    return sum(t * _shares(x, out, axis), axis=axis, keepdims=keepdims)


@reduce_max.explain
@reduce_min.explain
def _(x: Array, /, *, axis: _Axes, keepdims: bool) -> None:
    if 0 in (x.shape[a] for a in axis):
        raise ShapeError(f"max/min: no elements to choose from, got shape {x.shape} over axes {axis}")


def max(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Take the maximum over axes (all by default). nan wins; ties share the derivative evenly.

    Raises:
        ShapeError: over no elements.
    """
    need_arrays("max", x)
    return bind(reduce_max, x, axis=normalize_axes("max", x, axis), keepdims=keepdims)


def min(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Take the minimum over axes (all by default). nan wins; ties share the derivative evenly.

    Raises:
        ShapeError: over no elements.
    """
    need_arrays("min", x)
    return bind(reduce_min, x, axis=normalize_axes("min", x, axis), keepdims=keepdims)


# --- Positions: integers, no derivative ---
@primitive(discrete="its result is an index")
def reduce_argmax(x: Array, /, *, axis: int | None, keepdims: bool) -> Array:
    """Return the index of the first maximum."""
    return bind(reduce_argmax, x, axis=axis, keepdims=keepdims)


@primitive(discrete="its result is an index")
def reduce_argmin(x: Array, /, *, axis: int | None, keepdims: bool) -> Array:
    """Return the index of the first minimum."""
    return bind(reduce_argmin, x, axis=axis, keepdims=keepdims)


reduce_argmax.kernel("numpy")(ordered(np.argmax, refused="bc"))
reduce_argmin.kernel("numpy")(ordered(np.argmin, refused="bc"))
reduce_argmax.kernel("torch")("neo_array.backends.torch_kernels.reductions:argmax")
reduce_argmax.kernel("cupy")("neo_array.backends.cupy_kernels.reductions:argmax")
reduce_argmin.kernel("torch")("neo_array.backends.torch_kernels.reductions:argmin")
reduce_argmin.kernel("cupy")("neo_array.backends.cupy_kernels.reductions:argmin")


@reduce_argmax.explain
@reduce_argmin.explain
def _(x: Array, /, *, axis: int | None, keepdims: bool) -> None:
    if 0 in x.shape:
        raise ShapeError(f"argmax/argmin: no elements to choose from, got shape {x.shape}")


def argmax(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the index of the first maximum (of the first nan, if there is one) along an axis.

    Without an axis, the index in the flattened array.
    """
    return _position("argmax", reduce_argmax, x, axis, keepdims)


def argmin(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the index of the first minimum (of the first nan, if there is one) along an axis.

    Without an axis, the index in the flattened array.
    """
    return _position("argmin", reduce_argmin, x, axis, keepdims)


def _position(name: str, op: Primitive[..., Array], x: Array, axis: int | None, keepdims: bool) -> Array:
    need_arrays(name, x)
    at = None if axis is None else normalize_axis(name, x, axis)
    return bind(op, astype(x, _dtypes.uint8) if x.dtype.kind == "b" else x, axis=at, keepdims=keepdims)


# --- Truth and counts ---
@primitive(discrete="its result is boolean")
def reduce_all(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Tell whether all elements hold."""
    return bind(reduce_all, x, axis=axis, keepdims=keepdims)


@primitive(discrete="its result is boolean")
def reduce_any(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Tell whether any element holds."""
    return bind(reduce_any, x, axis=axis, keepdims=keepdims)


@primitive(discrete="its result is an integer")
def reduce_count(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Count the elements that are not zero."""
    return bind(reduce_count, x, axis=axis, keepdims=keepdims)


reduce_all.kernel("numpy")(np.all)
reduce_any.kernel("numpy")(np.any)
reduce_count.kernel("numpy")(
    lambda x, *, axis, keepdims: np.add.reduce(x != 0, axis=axis, dtype=np.int64, keepdims=keepdims)
)
reduce_all.kernel("torch")(lambda x, *, axis, keepdims: (x != 0).all(axis, keepdim=keepdims))
reduce_any.kernel("torch")(lambda x, *, axis, keepdims: (x != 0).any(axis, keepdim=keepdims))
reduce_count.kernel("torch")("neo_array.backends.torch_kernels.reductions:count")


def all(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Tell whether all elements along the axes are true (nonzero)."""
    need_arrays("all", x)
    axes = normalize_axes("all", x, axis)
    return bind(reduce_all, x, axis=axes, keepdims=keepdims) if axes else x != 0


def any(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Tell whether any element along the axes is true (nonzero)."""
    need_arrays("any", x)
    axes = normalize_axes("any", x, axis)
    return bind(reduce_any, x, axis=axes, keepdims=keepdims) if axes else x != 0


def count_nonzero(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Count the elements that are not zero along the axes (all of them by default), as int64; nan counts."""
    need_arrays("count_nonzero", x)
    return bind(reduce_count, x, axis=normalize_axes("count_nonzero", x, axis), keepdims=keepdims)


# --- Batches ---
for _op in (reduce_sum, reduce_prod, reduce_max, reduce_min, reduce_all, reduce_any, reduce_count):
    _op.batch(batch_by_axis(_op, "axis"))


def _batch_position(op: Primitive[..., Array]) -> None:
    def rule(size: int, args: Sequence[Array], axes: Axes, /, *, axis: int | None, keepdims: bool) -> Batch:
        x = to_front(args[0], axes[0])
        if axis is not None:
            return bind(op, x, axis=axis + 1, keepdims=keepdims), 0
        found = bind(op, reshape(x, (size, -1 if x.size else 0)), axis=1, keepdims=False)
        return reshape(found, (size, *(1,) * (x.ndim - 1))) if keepdims else found, 0

    op.batch(rule)


_batch_position(reduce_argmax)
_batch_position(reduce_argmin)


# --- Shapes ---
for _op in (reduce_sum, reduce_prod, reduce_max, reduce_min, reduce_all, reduce_any, reduce_count):
    _op.shape(reduced)
reduce_argmax.shape(reduced)
reduce_argmin.shape(reduced)


# --- Samples ---
def _axes_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for axis, keepdims in [((0,), False), ((1, 2), True), ((0, 2), False), ((0, 1, 2), False)]:
        yield sample(rng.normal(size=(2, 3, 5)), axis=axis, keepdims=keepdims)
    yield sample(rng.normal(size=()), axis=(), keepdims=False)
    yield sample(rng.normal(size=(0, 3)), axis=(1,), keepdims=False)


reduce_max.samples(_axes_samples)
reduce_min.samples(_axes_samples)


@reduce_sum.samples
@reduce_prod.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _axes_samples(rng)
    yield sample(rng.normal(size=(3, 0)), axis=(1,), keepdims=False)
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)), axis=(1,), keepdims=True)
    zeros = np.array([[2.0, 0.0, 3.0, 5.0], [2.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 5.0]])
    yield sample(zeros, axis=(1,), keepdims=False)


@reduce_all.samples
@reduce_any.samples
@reduce_count.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _axes_samples(rng)
    yield sample(rng.integers(0, 2, size=(2, 3, 5)), axis=(0, 2), keepdims=False)
    yield sample(np.zeros((3, 0)), axis=(1,), keepdims=False)


@reduce_argmax.samples
@reduce_argmin.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), axis=1, keepdims=False)
    yield sample(rng.normal(size=(3, 5)), axis=None, keepdims=False)
    yield sample(rng.normal(size=(3, 5)), axis=None, keepdims=True)
    yield sample(np.array([[1.0, 3.0, 3.0]]), axis=1, keepdims=True)
    yield sample(rng.normal(size=()), axis=None, keepdims=False)
