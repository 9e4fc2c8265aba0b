"""Writing at points into a copy: x (n1, ..., nk, *rest), values (*points, *rest), indices (k, *points).

Several values may go to one place. `replace_at` lets the last one count, the others combine them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._batching import Axes, Batch, filled
from neo_array._described import booleans, first, integers, same
from neo_array._primitive import Primitive, Sample, bind, primitive, sample
from neo_array._rules import Shape
from neo_array.backends.numpy import quiet
from neo_array.ops.arithmetic import multiply, where
from neo_array.ops.casting import astype
from neo_array.ops.comparison import equal, logical_or, not_equal
from neo_array.ops.creation import arange, ones, zeros
from neo_array.ops.joining import concat
from neo_array.ops.picking import INTEGERS, check_points, numbered, pick, pick_at, pile, pile_at, to_back
from neo_array.ops.shaping import expand_dims, reshape
from neo_array.ops.turning import flip


# --- Ops ---
@primitive(kind="linear", promote=("x", "v"))
def replace_at(x: Array, v: Array, indices: Array, /) -> Array:
    """Write v over a copy of x at points of its first axes; the last value for a place counts."""
    return bind(replace_at, x, v, indices)


@primitive(promote=("x", "v"))
def multiply_at(x: Array, v: Array, indices: Array, /) -> Array:
    """Multiply a copy of x at points of its first axes by every value for them."""
    return bind(multiply_at, x, v, indices)


@primitive(promote=("x", "v"))
def minimum_at(x: Array, v: Array, indices: Array, /) -> Array:
    """Limit a copy of x from above at points of its first axes. nan wins; ties share the derivative evenly."""
    return bind(minimum_at, x, v, indices)


@primitive(promote=("x", "v"))
def maximum_at(x: Array, v: Array, indices: Array, /) -> Array:
    """Limit a copy of x from below at points of its first axes. nan wins; ties share the derivative evenly."""
    return bind(maximum_at, x, v, indices)


@primitive(discrete="its result is boolean")
def is_last(indices: Array, /, *, sizes: tuple[int, ...]) -> Array:
    """Tell of each of the points (k, *points) in axes of these sizes whether none after it is at the same place."""
    return bind(is_last, indices, sizes=sizes)


@primitive(discrete="its results are integers", multi=True)
def grouped(indices: Array, /, *, sizes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the order that brings points (k, *points) of one place together, and the sorted places: two vectors."""
    return bind(grouped, indices, sizes=sizes)


# --- Kernels ---
def _places(indices: Any, sizes: tuple[int, ...]) -> Any:
    """Return each point's place in row-major order, as a vector."""
    flat: Any = np.zeros(indices.shape[1:], np.int64)
    for row, n in zip(indices.astype(np.int64), sizes, strict=True):
        if ((row < -n) | (row >= n)).any():
            raise IndexError
        flat = flat * n + np.where(row < 0, row + n, row)
    return flat.reshape(-1)


@is_last.kernel("numpy")
def _(indices: Any, *, sizes: tuple[int, ...]) -> Any:
    flat = _places(indices, sizes)
    number = np.arange(flat.size)
    last = np.zeros(int(np.prod(sizes)), np.int64)
    last[flat] = number
    return (last[flat] == number).reshape(indices.shape[1:])


@grouped.kernel("numpy")
def _(indices: Any, *, sizes: tuple[int, ...]) -> tuple[Any, Any]:
    flat = _places(indices, sizes)
    order = np.argsort(flat, kind="stable")
    return order, flat[order]


def _with(write: Callable[..., None], *, refused: str = "") -> Callable[..., Any]:
    """Make a kernel of NumPy's in-place way to combine at points."""

    def kernel(x: Any, v: Any, indices: Any) -> Any:
        if x.dtype.kind in refused:
            raise TypeError
        out = np.array(x)
        write(out, tuple(indices), v)
        return out

    return kernel


replace_at.kernel("numpy")(_with(np.ndarray.__setitem__))
multiply_at.kernel("numpy")(_with(quiet(np.multiply.at)))
minimum_at.kernel("numpy")(_with(quiet(np.minimum.at), refused="c"))
maximum_at.kernel("numpy")(_with(quiet(np.maximum.at), refused="c"))
for _op in (replace_at, multiply_at, minimum_at, maximum_at, is_last, grouped):
    _op.kernel("torch")(f"neo_array.backends.torch_kernels.indexing:{_op.__name__}")
    _op.kernel("cupy")(f"neo_array.backends.cupy_kernels.indexing:{_op.__name__}")


# --- Replacing ---
@replace_at.vjp("x")
def _(g: Array, v: Shape, indices: Array) -> Array:
    return bind(replace_at, g, zeros(v, dtype=g.dtype, device=g.device), indices)


@replace_at.vjp("v")
def _(g: Array, x: Shape, v: Shape, indices: Array) -> Array:
    counts = is_last(indices, sizes=x[: indices.shape[0]])
    return where(reshape(counts, (*counts.shape, *(1,) * (len(v) - counts.ndim))), pick_at(g, indices), 0)


# --- Multiplying ---
@multiply_at.vjp("x")
def _(g: Array, v: Array, indices: Array) -> Array:
    return bind(multiply_at, g, v, indices)


@multiply_at.vjp("v")
def _(g: Array, x: Array, v: Array, indices: Array) -> Array:
    return pick_at(g, indices) * pick_at(x, indices) * _product_of_others(v, indices, x.shape)


@multiply_at.jvp
def _(tx: Array | None, tv: Array | None, _: None, x: Array, v: Array, indices: Array) -> Array:
    own = zeros(x.shape, dtype=x.dtype, device=x.device) if tx is None else bind(multiply_at, tx, v, indices)
    if tv is None:
        return own
    return own + pile_at(tv * pick_at(x, indices) * _product_of_others(v, indices, x.shape), indices, shape=x.shape)


def _product_of_others(v: Array, indices: Array, shape: tuple[int, ...]) -> Array:
    """Return for each value the product of the others for its place: right to every order, zeros among them or not."""
    count = indices.ndim - 1
    order, places = grouped(indices, sizes=shape[: indices.shape[0]])
    n = order.shape[0]
    if n < 2:
        return ones(v.shape, dtype=v.dtype, device=v.device)
    rows = pick(reshape(v, (n, *v.shape[count:])), order, axis=0)
    before = _product_before(rows, places)
    after = flip(_product_before(flip(rows, axis=0), flip(places)), axis=0)
    return reshape(pile(before * after, order, axis=0, size=n), v.shape)


def _product_before(rows: Array, places: Array) -> Array:
    """Return the product of the rows before each row that have its place: a scan by doubling, W. D. Hillis (1986)."""
    n = places.shape[0]
    column = reshape(places, (n, *(1,) * (rows.ndim - 1)))

    def earlier(x: Array, by: int) -> Array:
        return where(column[by:] == column[:-by], x[:-by], 1)

    products = rows
    step = 1
    while step < n:
        products = concat([products[:step], multiply(products[step:], earlier(products, step))])
        step *= 2
    return concat([ones((1, *rows.shape[1:]), dtype=rows.dtype, device=rows.device), earlier(products, 1)])


# --- Extrema ---
@minimum_at.vjp("x", "v")
@maximum_at.vjp("x", "v")
def _(g: Array, x: Array, v: Array, indices: Array, out: Array) -> tuple[Array, Array]:
    mine, theirs, count = _shares(x, v, indices, out)
    share = g / count
    return share * mine, pick_at(share, indices) * theirs


@minimum_at.jvp
@maximum_at.jvp
def _(tx: Array | None, tv: Array | None, _: None, x: Array, v: Array, indices: Array, out: Array) -> Array:
    mine, theirs, count = _shares(x, v, indices, out)
    total = zeros(x.shape, dtype=x.dtype, device=x.device) if tx is None else tx * mine
    return (total if tv is None else total + pile_at(tv * theirs, indices, shape=x.shape)) / count


def _shares(x: Array, v: Array, indices: Array, out: Array) -> tuple[Array, Array, Array]:
    """Return whether x, and whether v, reaches the extremum (1 or 0), and by how many it is reached at each place."""

    def reaches(a: Array, extremum: Array) -> Array:
        return astype(logical_or(equal(a, extremum), not_equal(a, a)), out.dtype)  # nan is reached by every nan

    mine, theirs = reaches(x, out), reaches(v, pick_at(out, indices))
    return mine, theirs, mine + pile_at(theirs, indices, shape=x.shape)


# --- Batches and errors ---
def _batch_at(op: Primitive[..., Array]) -> None:
    def rule(size: int, args: Sequence[Array], axes: Axes, /) -> Batch:
        x, v, indices = args
        if axes[2] is None:
            return bind(op, to_back(x, axes[0], size), to_back(v, axes[1], size), indices), x.ndim - (
                axes[0] is not None
            )
        return bind(op, filled(x, axes[0], size), filled(v, axes[1], size), numbered(indices, axes[2])), 0

    op.batch(rule)


for _at in (replace_at, multiply_at, minimum_at, maximum_at):
    _batch_at(_at)
    _at.vjp(indices=INTEGERS)
    _at.explain(lambda x, v, indices: check_points(indices, x.shape))
for _found in (is_last, grouped):
    _found.explain(lambda indices, *, sizes: check_points(indices, sizes))


@is_last.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, sizes: tuple[int, ...]) -> Batch:
    (axis,) = axes
    assert axis is not None
    return is_last(numbered(args[0], axis), sizes=(size, *sizes)), 0


@grouped.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, sizes: tuple[int, ...]) -> Batch:
    (axis,) = axes
    assert axis is not None
    order, places = (reshape(a, (size, -1)) for a in grouped(numbered(args[0], axis), sizes=(size, *sizes)))
    first = expand_dims(arange(size, device=order.device), axis=1)
    return (order - first * order.shape[1], places - first * int(np.prod(sizes))), (0, 0)


# --- Shapes ---
for _op in (replace_at, multiply_at, minimum_at, maximum_at):
    _op.shape(same, dtype=first)
is_last.shape(lambda indices, *, sizes: indices[1:], dtype=booleans)
grouped.shape(lambda indices, *, sizes: ((math.prod(indices[1:]),),) * 2, dtype=integers)


# --- Samples ---
_POINTS = np.array([[0, 2, 2, -1], [4, 3, 3, 0]])  # with a place that occurs twice


@replace_at.samples
@multiply_at.samples
@minimum_at.samples
@maximum_at.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(4,)), _POINTS)
    yield sample(rng.normal(size=(5, 2)), rng.normal(size=(2, 3, 2)), np.array([[[1, 1, 1], [-4, 3, 0]]], np.int8))
    yield sample(rng.normal(size=(2, 3)), rng.normal(size=()), np.array([1, -1]))
    yield sample(rng.normal(size=(2, 3)), np.zeros((0, 3)), np.zeros((1, 0), np.int64))


@is_last.samples
@grouped.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(_POINTS, sizes=(3, 5))
    yield sample(np.array([[[1, 1, 1], [-4, 3, 0]]], np.int8), sizes=(5,))
    yield sample(np.zeros((2, 0), np.int64), sizes=(3, 5))
