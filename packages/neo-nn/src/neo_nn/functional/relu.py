"""Rectified linear unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from neo_array import Array, DTypeError, Sample, ZeroDerivative, bind, primitive, sample

_SAME_SIZE: Final = {2: np.int16, 4: np.int32, 8: np.int64}


@primitive(kind="elementwise")
def relu(x: Array, /) -> Array:
    """Return max(x, 0). The derivative at 0 is 0; nan stays nan."""
    return bind(relu, x)


@primitive(kind="elementwise")
def relu_grad(cotangent: Array, y: Array, /) -> Array:
    """Return the cotangent where relu's output y is positive, and an exact zero elsewhere, whatever it is there."""
    return bind(relu_grad, cotangent, y)


relu.kernel("torch")("torch:relu")
relu_grad.kernel("torch")("neo_nn._torch.activations:relu_grad")
relu_grad.vjp(y=ZeroDerivative("where relu's output is positive changes in steps only"))


@relu.vjp("x")
def _(g: Array, out: Array) -> Array:
    return bind(relu_grad, g, out)


@relu_grad.vjp("cotangent")
def _(g: Array, y: Array) -> Array:
    return bind(relu_grad, g, y)


@relu.kernel("numpy")
def _(x: Any) -> Any:
    if x.dtype.kind == "c":  # NumPy orders complex numbers, by their real parts first
        raise TypeError
    return np.maximum(x, np.zeros((), x.dtype))  # a 0-d array combines faster than a Python number


@relu_grad.kernel("numpy")
def _(g: Any, y: Any) -> Any:
    # All bits of g or none: three times as fast as np.where, and unlike g * (y > 0) it lets no nan or inf through.
    # The mask is made in the result's memory: the backward of a large network is where memory peaks.
    integer = _SAME_SIZE[g.dtype.itemsize]
    mask = np.less_equal(y, 0, out=np.empty(y.shape, integer), casting="unsafe")
    mask -= integer(1)  # all ones where g is kept
    return np.bitwise_and(mask, g.view(integer), out=mask if mask.shape == g.shape else None).view(g.dtype)


@relu.explain
def _(x: Array, /) -> None:
    if x.dtype.kind == "c":
        raise DTypeError(f"relu: needs real numbers, got {x.dtype}; take a part or the absolute value first")


# --- Samples ---
@relu.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=()))
    yield sample(rng.normal(size=(0, 2)))


@relu_grad.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), wrt=(0,))
    yield sample(rng.normal(size=()), rng.normal(size=()), wrt=(0,))
    yield sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)), wrt=(0,))
