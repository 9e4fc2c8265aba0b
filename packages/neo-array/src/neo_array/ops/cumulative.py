"""Cumulative ops: what has come together up to each place of an axis, and the differences that undo it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array, ArrayLike
from neo_array._batching import batch_by_axis
from neo_array._bind import need_arrays
from neo_array._described import same
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import ordered, quiet
from neo_array.ops.arithmetic import where
from neo_array.ops.casting import astype
from neo_array.ops.conversion import asarray
from neo_array.ops.creation import full
from neo_array.ops.exponential import exp
from neo_array.ops.indexing import take_along_axis
from neo_array.ops.joining import concat
from neo_array.ops.reductions import as_accumulator, sum
from neo_array.ops.scanning import linear_recurrence, part, preceding
from neo_array.ops.shaping import broadcast_to, normalize_axis, reshape


def _accumulating(ufunc: np.ufunc) -> Callable[..., Any]:
    """Make a kernel of a ufunc that keeps the dtype; half precision is kept in float32 on the way."""

    def kernel(x: Any, *, axis: int, reverse: bool) -> Any:
        if not x.size:  # CuPy would start no threads, which CUDA refuses
            return x.copy()
        dtype = x.dtype
        wide = np.float32 if dtype.itemsize == 2 and dtype.kind in "fV" else dtype
        out = ufunc.accumulate(np.flip(x, axis) if reverse else x, axis, wide).astype(dtype, copy=False)
        return np.flip(out, axis) if reverse else out

    return quiet(kernel)


def _axis(op: str, x: Array, axis: int | None) -> int:
    """Return the axis to go along; an array of one axis needs none to be named."""
    need_arrays(op, x)
    if not x.ndim:
        raise ShapeError(f"{op}: needs at least one axis, got shape (); write reshape(x, (1,))")
    if axis is None and x.ndim > 1:
        raise ShapeError(f"{op}: needs axis= for shape {x.shape}; for the flattened array, write reshape(x, -1)")
    return 0 if axis is None else normalize_axis(op, x, axis)


def _after_initial(x: Array, axis: int, value: int) -> Array:
    """Put the result over no elements in front."""
    first = full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), value, dtype=x.dtype, device=x.device)
    return concat([first, x], axis=axis)


# --- Sums ---
@primitive(kind="linear")
def accumulate_sum(x: Array, /, *, axis: int, reverse: bool) -> Array:
    """Sum all elements up to each one along an axis; `reverse` goes from the end."""
    return bind(accumulate_sum, x, axis=axis, reverse=reverse)


accumulate_sum.kernel("numpy")(_accumulating(np.add))
accumulate_sum.kernel("torch")("neo_array.backends.torch_kernels.cumulative:accumulate_sum")


@accumulate_sum.vjp("x")
def _(g: Array, *, axis: int, reverse: bool) -> Array:
    return bind(accumulate_sum, g, axis=axis, reverse=not reverse)


def cumulative_sum(
    x: Array, /, *, axis: int | None = None, dtype: object | None = None, include_initial: bool = False
) -> Array:
    """Sum all elements up to each one along an axis, which may be left out for an array of one axis.

    dtypes are those of `sum`. With `include_initial`, a 0 comes first, and the result is longer by one.
    """
    at = _axis("cumulative_sum", x, axis)
    out = bind(accumulate_sum, as_accumulator(x, dtype), axis=at, reverse=False)
    return _after_initial(out, at, 0) if include_initial else out


# --- Products ---
@primitive()
def accumulate_prod(x: Array, /, *, axis: int, reverse: bool) -> Array:
    """Multiply all elements up to each one along an axis; `reverse` goes from the end."""
    return bind(accumulate_prod, x, axis=axis, reverse=reverse)


accumulate_prod.kernel("numpy")(_accumulating(np.multiply))
accumulate_prod.kernel("torch")("neo_array.backends.torch_kernels.cumulative:accumulate_prod")


def products_before(x: Array, /, *, axis: int, reverse: bool) -> Array:
    """Return the product of all elements before each one, itself not included; 1 for the first."""
    return preceding(bind(accumulate_prod, x, axis=axis, reverse=reverse), axis, reverse=reverse, first=1.0)


@accumulate_prod.vjp("x")
def _(g: Array, x: Array, out: Array, *, axis: int, reverse: bool) -> Array:
    # x[i] occurs in out[k] for k >= i, times what is before it, times x[i + 1] ... x[k]: those sums, each weighted by
    # g[k], are s[i] = g[i] + x[i + 1] * s[i + 1]
    following = preceding(x, axis, reverse=not reverse, first=0.0)
    sums = bind(linear_recurrence, following, g, axis=axis, reverse=not reverse)
    return sums * preceding(out, axis, reverse=reverse, first=1.0)


@accumulate_prod.jvp
def _(t: Array, x: Array, out: Array, *, axis: int, reverse: bool) -> Array:
    changes = t * preceding(out, axis, reverse=reverse, first=1.0)
    return bind(linear_recurrence, x, changes, axis=axis, reverse=reverse)


def cumulative_prod(
    x: Array, /, *, axis: int | None = None, dtype: object | None = None, include_initial: bool = False
) -> Array:
    """Multiply all elements up to each one along an axis, which may be left out for an array of one axis.

    dtypes are those of `sum`. With `include_initial`, a 1 comes first, and the result is longer by one. Derivatives of
    every order are exact at zeros too.
    """
    at = _axis("cumulative_prod", x, axis)
    out = bind(accumulate_prod, as_accumulator(x, dtype), axis=at, reverse=False)
    return _after_initial(out, at, 1) if include_initial else out


# --- Logarithms of sums of exponentials ---
@primitive(floating=True)
def accumulate_logsumexp(x: Array, /, *, axis: int, reverse: bool) -> Array:
    """Return log(sum(exp(x))) of all elements up to each one along an axis; `reverse` goes from the end."""
    return bind(accumulate_logsumexp, x, axis=axis, reverse=reverse)


accumulate_logsumexp.kernel("numpy")(ordered(_accumulating(np.logaddexp)))
accumulate_logsumexp.kernel("torch")("neo_array.backends.torch_kernels.cumulative:accumulate_logsumexp")
accumulate_logsumexp.kernel("cupy")("neo_array.backends.cupy_kernels.cumulative:accumulate_logsumexp")


def _fraction(share: Array, whole: Array) -> Array:
    """Return exp(share - whole), and 0 for a share of -inf, also of a whole of -inf."""
    nothing = share == -np.inf
    return where(nothing, 0.0, exp(where(nothing, 0.0, share - whole)))


@accumulate_logsumexp.vjp("x")
def _(g: Array, x: Array, out: Array, *, axis: int, reverse: bool) -> Array:
    # x[i] has the fraction exp(x[i] - out[k]) of out[k] for k >= i, which is made of fractions of at most 1
    following = preceding(out, axis, reverse=not reverse, first=np.inf)
    sums = bind(linear_recurrence, _fraction(out, following), g, axis=axis, reverse=not reverse)
    return _fraction(x, out) * sums


@accumulate_logsumexp.jvp
def _(t: Array, x: Array, out: Array, *, axis: int, reverse: bool) -> Array:
    before = preceding(out, axis, reverse=reverse, first=-np.inf)
    return bind(linear_recurrence, _fraction(before, out), _fraction(x, out) * t, axis=axis, reverse=reverse)


def cumlogsumexp(x: Array, /, *, axis: int | None = None) -> Array:
    """Return log(sum(exp(x))) of all elements up to each one along an axis, without overflow.

    The axis may be left out for an array of one axis. Derivatives with respect to elements of -inf are 0.
    """
    return bind(accumulate_logsumexp, x, axis=_axis("cumlogsumexp", x, axis), reverse=False)


# --- Extrema ---
@primitive(discrete="its result is an index")
def arg_accumulate(x: Array, /, *, axis: int, largest: bool) -> Array:
    """Return the index of the maximum (or minimum) of all elements up to each one: the first of equal ones."""
    return bind(arg_accumulate, x, axis=axis, largest=largest)


@arg_accumulate.kernel("numpy")
@ordered
def _(x: Any, *, axis: int, largest: bool) -> Any:
    rows = np.moveaxis((np.maximum if largest else np.minimum).accumulate(x, axis), axis, -1)
    places = np.zeros(rows.shape, np.int64)
    nan = rows != rows
    moves = (rows[..., 1:] != rows[..., :-1]) & ~(nan[..., 1:] & nan[..., :-1])
    places[..., 1:] = moves * np.arange(1, max(rows.shape[-1], 1))
    return np.moveaxis(np.maximum.accumulate(places, -1), -1, axis)


arg_accumulate.kernel("torch")("neo_array.backends.torch_kernels.cumulative:arg_accumulate")
arg_accumulate.kernel("cupy")("neo_array.backends.cupy_kernels.cumulative:arg_accumulate")


def cumulative_max(x: Array, /, *, axis: int | None = None) -> Array:
    """Take the maximum of all elements up to each one along an axis, which may be left out if there is only one.

    nan wins; where several elements reach the maximum, the first has the derivative.
    """
    at = _axis("cumulative_max", x, axis)
    return take_along_axis(x, bind(arg_accumulate, x, axis=at, largest=True), axis=at)


def cumulative_min(x: Array, /, *, axis: int | None = None) -> Array:
    """Take the minimum of all elements up to each one along an axis, which may be left out if there is only one.

    nan wins; where several elements reach the minimum, the first has the derivative.
    """
    at = _axis("cumulative_min", x, axis)
    return take_along_axis(x, bind(arg_accumulate, x, axis=at, largest=False), axis=at)


# --- Differences and integrals ---
def diff(
    x: Array, /, *, axis: int = -1, n: int = 1, prepend: ArrayLike | None = None, append: ArrayLike | None = None
) -> Array:
    """Subtract from each element the one before it along an axis, n times over.

    `prepend` and `append` are joined to x first: Arrays that fit along the other axes, or numbers and 0-d Arrays, which
    stand for one element everywhere. The result is shorter by n than what was joined; for n = 0 it is x alone.

    Raises:
        ShapeError: if n is negative, or what is to be joined does not fit.
    """
    need_arrays("diff", x)
    at = normalize_axis("diff", x, axis)
    if n < 0:
        raise ShapeError(f"diff: n must not be negative, got {n}; cumulative_sum goes the other way")
    if n == 0:
        return x

    def fitting(end: ArrayLike) -> Array:
        if isinstance(end, bool | int | float | complex | np.generic):
            end = asarray(end, dtype=_dtypes.result_type(x.dtype, end), device=x.device)
        need_arrays("diff", end)
        return end if end.ndim else broadcast_to(end, (*x.shape[:at], 1, *x.shape[at + 1 :]))

    before, behind = ([] if end is None else [fitting(end)] for end in (prepend, append))
    out = concat([*before, x, *behind], axis=at) if before or behind else x
    for _ in range(n):
        out = part(out, at, 1, None) - part(out, at, 0, -1)
    return out


def trapezoid(y: Array, /, x: Array | None = None, *, dx: ArrayLike = 1.0, axis: int = -1) -> Array:
    """Integrate along an axis by the trapezoidal rule: sum((y[1:] + y[:-1]) / 2 * (x[1:] - x[:-1])).

    x holds the points: one for each element of the axis, or an Array that broadcasts with y. Without it they are `dx`
    apart. The integral over fewer than two points is 0.

    Raises:
        ShapeError: if x and y have different numbers of points.
    """
    need_arrays("trapezoid", y)
    at = normalize_axis("trapezoid", y, axis) - y.ndim  # counted from the end, as x may have more axes
    y = y if _dtypes.is_inexact(y.dtype) else astype(y, _dtypes.float32)
    pairs = part(y, at + y.ndim, 1, None) + part(y, at + y.ndim, 0, -1)
    if x is None:
        return sum(pairs, axis=at) * (dx / 2)
    need_arrays("trapezoid", x)
    if x.ndim == 1:
        x = reshape(x, (x.shape[0], *(1,) * (-at - 1)))
    if x.ndim < -at or x.shape[at] != y.shape[at]:
        raise ShapeError(f"trapezoid: x needs {y.shape[at]} points along axis {axis} of y, got shape {x.shape}")
    return sum(pairs * diff(x, axis=at), axis=at) / 2


# --- Batches ---
for _op in (accumulate_sum, accumulate_prod, accumulate_logsumexp, arg_accumulate):
    _op.batch(batch_by_axis(_op, "axis"))


# --- Shapes ---
for _op in (accumulate_sum, accumulate_prod, accumulate_logsumexp, arg_accumulate):
    _op.shape(same)


# --- Samples ---
def _real_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for n in (1, 2, 7):
        yield sample(rng.normal(size=(2, n, 3)), axis=1, reverse=False)
    yield sample(rng.normal(size=(5, 2)), axis=0, reverse=True)
    yield sample(rng.normal(size=(5,)), axis=0, reverse=False)
    yield sample(rng.normal(size=(0, 3)), axis=0, reverse=False)
    yield sample(rng.normal(size=(0, 3)), axis=1, reverse=True)


@accumulate_sum.samples
@accumulate_prod.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _real_samples(rng)
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)), axis=1, reverse=True)
    zeros = np.array([[2.0, 0.0, 3.0, 5.0], [2.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 5.0]])
    yield sample(zeros, axis=1, reverse=False)


@accumulate_logsumexp.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _real_samples(rng)
    yield sample(np.array([1e4, 1e4 - 1, -1e4, 1e4 + 1]), axis=0, reverse=False)


@arg_accumulate.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(2, 7, 3)), axis=1, largest=True)
    yield sample(rng.integers(0, 9, size=(2, 7, 3)), axis=1, largest=False)
    yield sample(np.array([1.0, 3.0, 3.0, 2.0, 4.0]), axis=0, largest=True)
    yield sample(rng.normal(size=(0, 3)), axis=0, largest=True)
    yield sample(rng.normal(size=(0, 3)), axis=1, largest=False)
