"""The affine map of the last axis, and the two products that its derivatives are made of.

Forward, input gradient and weight gradient are three products, `x @ W.T`, `g @ W` and `g.T @ x`. Each is one op in the
layout that it is needed in, over all leading axes at once, and the derivatives of each are made of the other two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neo_array import Array, Sample, ShapeError, bind, matmul, primitive, sample
from neo_array._batching import Axes, Batch, filled, to_front
from neo_array._described import Sizes, need
from neo_array.ops.reductions import reduce_sum  # `sum` would check and complete what is known here


def linear(x: Array, weight: Array, bias: Array | None = None, /) -> Array:
    """Return x @ weight.T + bias, over any number of leading axes.

    Shapes: x (..., n), weight (m, n), bias (m,) -> (..., m). This is PyTorch's layout.

    Raises:
        ShapeError: if the sizes do not fit.
    """
    out: Array = project.bind(x, weight) if bias is None else affine.bind(x, weight, bias)
    return out


# --- Helpers: products on raw arrays, sums of tangents ---
def _product(x: Any, weight: Any) -> Any:
    """Return x @ weight.T on raw arrays; rows of all leading axes make one product, which is faster than a stack."""
    if x.ndim == 2:
        return _matmul(x, weight.T)
    return _matmul(_rows(x), weight.T).reshape(x.shape[:-1] + weight.shape[:1])


def _matmul(a: Any, b: Any) -> Any:
    """Return a @ b in their own dtype: NumPy multiplies matrices of bfloat16 as float32."""
    y = a @ b
    return y if y.dtype == a.dtype else y.astype(a.dtype)


def _rows(x: Any) -> Any:
    """Return a raw array as a matrix whose rows are its last axis."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _total(*terms: Array | None) -> Array:
    """Add what there is: at least one input has a tangent."""
    first, *rest = (t for t in terms if t is not None)
    for t in rest:
        first = first + t
    return first


# --- x @ W.T + b ---
@primitive(promote=("x", "weight", "bias"))
def affine(x: Array, weight: Array, bias: Array, /) -> Array:
    """Return x @ weight.T + bias: (..., n), (m, n), (m,) -> (..., m)."""
    return bind(affine, x, weight, bias)


affine.kernel("torch")("neo_nn._torch.linear:affine")
affine.vjp(bias=lambda g: reduce_sum.bind(g, axis=tuple(range(g.ndim - 1)), keepdims=False) if g.ndim > 1 else g)


@affine.kernel("numpy", "cupy")
def _(x: Any, weight: Any, bias: Any) -> Any:
    if bias.shape != weight.shape[:1]:
        raise ValueError
    y = _product(x, weight)
    y += bias
    return y


@affine.jvp
def _(tx: Array | None, tw: Array | None, tb: Array | None, x: Array, weight: Array) -> Array:
    return _total(tb, None if tx is None else project(tx, weight), None if tw is None else project(x, tw))


# --- x @ W.T ---
@primitive(promote=("x", "weight"))
def project(x: Array, weight: Array, /) -> Array:
    """Return x @ weight.T: (..., n), (m, n) -> (..., m)."""
    return bind(project, x, weight)


project.kernel("torch")("torch.nn.functional:linear")
project.kernel("numpy", "cupy")(_product)


@affine.vjp("x")
@project.vjp("x")
def _times(g: Array, weight: Array) -> Array:
    """Return g @ weight: (..., m), (m, n) -> (..., n)."""
    out: Array = matmul.bind(g, weight) if g.ndim == 2 else project.bind(g, weight.T)
    return out


@affine.vjp("weight")
@project.vjp("weight")
def _(g: Array, x: Array) -> Array:
    out: Array = outer_sum.bind(g, x)
    return out


@project.jvp
def _(tx: Array | None, tw: Array | None, x: Array, weight: Array) -> Array:
    return _total(None if tx is None else project(tx, weight), None if tw is None else project(x, tw))


# --- g.T @ x ---
@primitive(promote=("a", "b"))
def outer_sum(a: Array, b: Array, /) -> Array:
    """Sum the outer products of the last axes over all leading axes: (..., m), (..., n) -> (m, n)."""
    return bind(outer_sum, a, b)


outer_sum.kernel("torch")("neo_nn._torch.linear:outer_sum")
outer_sum.vjp(a=lambda g, b: project.bind(b, g), b=lambda g, a: _times(a, g))


@outer_sum.kernel("numpy", "cupy")
def _(a: Any, b: Any) -> Any:
    if a.ndim == b.ndim == 2:
        return _matmul(a.T, b)
    if a.shape[:-1] != b.shape[:-1]:
        raise ValueError
    return _matmul(_rows(a).T, _rows(b))


@outer_sum.jvp
def _(ta: Array | None, tb: Array | None, a: Array, b: Array) -> Array:
    return _total(None if ta is None else outer_sum(ta, b), None if tb is None else outer_sum(a, tb))


# --- Errors ---
@affine.explain
@project.explain
def _(x: Array, weight: Array, bias: Array | None = None, /) -> None:
    if x.ndim == 0 or weight.ndim != 2:
        raise ShapeError(
            f"linear: x needs an axis of features and weight two axes (out, in), got {x.shape} and {weight.shape}"
        )
    if x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: x of shape {x.shape} has {x.shape[-1]} features, but weight of shape {weight.shape} takes "
            f"{weight.shape[1]}; weight's layout is (out, in): reshape x, or transpose weight"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: bias must have shape {weight.shape[:1]} for weight {weight.shape}, got {bias.shape}")


@outer_sum.explain
def _(a: Array, b: Array, /) -> None:
    if a.ndim == 0 or a.shape[:-1] != b.shape[:-1]:
        raise ShapeError(f"outer_sum: all axes but the last must be equal, got {a.shape} and {b.shape}")


# --- Batches: one more leading axis of x, or a weight for each example ---
@affine.batch
def _(size: int, args: Sequence[Array], axes: Axes, /) -> Batch:
    (x, weight, bias), (at_x, at_weight, at_bias) = args, axes
    if at_weight is None and at_bias is None:
        return affine(to_front(x, at_x), weight, bias), 0
    products, biases = _project_batch(size, x, weight, at_x, at_weight), filled(bias, at_bias, size)
    return products + biases.reshape((size, *(1,) * (products.ndim - 2), biases.shape[1])), 0


@project.batch
def _(size: int, args: Sequence[Array], axes: Axes, /) -> Batch:
    return _project_batch(size, args[0], args[1], axes[0], axes[1]), 0


def _project_batch(size: int, x: Array, weight: Array, at_x: int | None, at_weight: int | None) -> Array:
    if at_weight is None:
        return project(filled(x, at_x, size), weight)
    x, weights = filled(x, at_x, size), to_front(weight, at_weight)
    rows = x.reshape((size, math.prod(x.shape[1:-1]), x.shape[-1]))
    products: Array = matmul.bind(rows, weights.mT)
    return products.reshape((*x.shape[:-1], weights.shape[1]))


@outer_sum.batch
def _(size: int, args: Sequence[Array], axes: Axes, /) -> Batch:
    a, b = (filled(x, axis, size) for x, axis in zip(args, axes, strict=True))
    a, b = (x.reshape((size, math.prod(x.shape[1:-1]), x.shape[-1])) for x in (a, b))
    return a.mT @ b, 0


# --- Shapes ---


@affine.shape
@project.shape
def _(x: Sizes, weight: Sizes, bias: Sizes | None = None) -> Sizes:
    m, n = weight
    need(x[-1] == n and bias in (None, (m,)))
    return (*x[:-1], m)


@outer_sum.shape
def _(a: Sizes, b: Sizes) -> Sizes:
    need(a[:-1] == b[:-1])
    return a[-1], b[-1]


# --- Samples ---
@affine.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for leading in [(3,), (), (2, 3), (0,)]:
        yield sample(rng.normal(size=(*leading, 5)), rng.normal(size=(4, 5)), rng.normal(size=(4,)))


@project.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for leading in [(3,), (), (2, 3), (0,)]:
        yield sample(rng.normal(size=(*leading, 5)), rng.normal(size=(4, 5)))


@outer_sum.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for leading in [(3,), (), (2, 3), (0,)]:
        yield sample(rng.normal(size=(*leading, 5)), rng.normal(size=(*leading, 4)))
