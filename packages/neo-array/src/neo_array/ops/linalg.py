"""Linear algebra."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence

import numpy as np

from neo_array._array import Array
from neo_array._batching import Axes, Batch, aligned, to_front
from neo_array._described import multiplied
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import numeric, quiet
from neo_array.ops.shaping import reshape


@primitive(promote=("x1", "x2"), broadcasts=True)
def matmul(x1: Array, x2: Array, /) -> Array:
    """Multiply matrices: over the last two axes, broadcasting the axes before them.

    A vector counts as a row on the left, as a column on the right. Shapes: (..., n, k) @ (..., k, m) -> (..., n, m).
    """
    if type(x1) is Array and type(x2) is Array:
        if len(x1._raw.shape) == 1:
            _check_inner(x1, x2)
            y = matmul(reshape(x1, (1, x1.shape[0])), x2)
            return reshape(y, (*y.shape[:-2], *y.shape[-1:]) if x2.ndim > 1 else ())
        if len(x2._raw.shape) == 1:
            _check_inner(x1, x2)
            y = matmul(x1, reshape(x2, (x2.shape[0], 1)))
            return reshape(y, y.shape[:-1])
    return bind(matmul, x1, x2)


matmul.kernel("numpy")(numeric(quiet(operator.matmul)))
matmul.kernel("torch")("neo_array.backends.torch_kernels.linalg:matmul")
matmul.vjp(x1=lambda g, x2: g @ x2.mT, x2=lambda g, x1: x1.mT @ g)


@matmul.jvp
def _(t1: Array | None, t2: Array | None, x1: Array, x2: Array) -> Array:
    if t1 is None or t2 is None:
        return x1 @ t2 if t2 is not None else t1 @ x2  # type: ignore[operator]  # one of them is there
    return t1 @ x2 + x1 @ t2


def _check_inner(x1: Array, x2: Array) -> None:
    if type(x1) is not Array or type(x2) is not Array or min(x1.ndim, x2.ndim) == 0:
        raise ShapeError("matmul: both sides need at least one axis, got a number; use * to scale")
    if x1.shape[-1] != x2.shape[-min(x2.ndim, 2)]:
        raise ShapeError(f"matmul: inner sizes differ, got {x1.shape} @ {x2.shape}; transpose one side?")


@matmul.explain
def _(x1: Array, x2: Array, /) -> None:
    _check_inner(x1, x2)
    try:
        np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    except ValueError:
        raise ShapeError(f"matmul: leading axes do not broadcast, got {x1.shape} @ {x2.shape}") from None


@matmul.batch
def _(size: int, args: Sequence[Array], axes: Axes, /) -> Batch:
    x1, x2 = args
    if axes[1] is None and x2.ndim == 2:  # the rows of all examples make one product
        front = to_front(x1, axes[0])
        rows = reshape(front, (math.prod(front.shape[:-1]), front.shape[-1]))
        return reshape(rows @ x2, (*front.shape[:-1], x2.shape[1])), 0
    return matmul(*aligned(args, axes)), 0


# --- Shapes ---
matmul.shape(multiplied)


# --- Samples ---
@matmul.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(5, 2)))
    yield sample(rng.normal(size=(7, 3, 5)), rng.normal(size=(5, 2)))
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(7, 5, 2)))
    yield sample(rng.normal(size=(1, 3, 5)), rng.normal(size=(7, 5, 2)))
    yield sample(rng.normal(size=(5,)), rng.normal(size=(5,)))
    yield sample(rng.normal(size=(5,)), rng.normal(size=(7, 5, 2)))
    yield sample(rng.normal(size=(7, 3, 5)), rng.normal(size=(5,)))
    yield sample(rng.normal(size=(3, 0)), rng.normal(size=(0, 2)))
    yield sample(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)), rng.normal(size=(2, 5, 2)) + 1j)
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(5, 2)) + 1j * rng.normal(size=(5, 2)))
