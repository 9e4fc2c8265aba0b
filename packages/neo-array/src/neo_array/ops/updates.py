"""Updates that can reuse their first argument's buffer: what optimizers are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.arithmetic import where
from neo_array.ops.exponential import sqrt


@primitive(kind="elementwise", floating=True)
def add_scaled(x1: Array, x2: Array, /, *, scale: float) -> Array:
    """Return x1 + scale * x2."""
    return bind(add_scaled, x1, x2, scale=scale)


add_scaled.kernel("numpy")(quiet(lambda x1, x2, *, scale: x1 + x2 * x1.dtype.type(scale)))
add_scaled.kernel("torch")(lambda x1, x2, *, scale: x1.add(x2, alpha=scale))
add_scaled.inplace("torch")(lambda x1, x2, *, scale: x1.add_(x2, alpha=scale))
add_scaled.inplace("torch", each=True)("neo_array.backends.torch_kernels.updates:add_scaled_each")
add_scaled.vjp(x1=lambda g: g)


@add_scaled.inplace("numpy")
@quiet
def _(x1: Any, x2: Any, *, scale: float) -> Any:
    x1 += x2 * x1.dtype.type(scale)
    return x1


@add_scaled.vjp("x2")
def _(g: Array, *, scale: float) -> Array:
    return g * scale


@primitive(kind="elementwise", floating=True)
def add_product(x1: Array, x2: Array, x3: Array, /) -> Array:
    """Return x1 + x2 * x3: `add_scaled` by an array."""
    return bind(add_product, x1, x2, x3)


add_product.kernel("numpy")(quiet(lambda x1, x2, x3: x1 + x2 * x3))
add_product.kernel("torch")("torch:addcmul")
add_product.inplace("torch")(lambda x1, x2, x3: x1.addcmul_(x2, x3))
add_product.vjp(x1=lambda g: g, x2=lambda g, x3: g * x3, x3=lambda g, x2: g * x2)


@add_product.inplace("numpy")
@quiet
def _(x1: Any, x2: Any, x3: Any) -> Any:
    x1 += x2 * x3
    return x1


# --- Running moments ---
@primitive(kind="elementwise", floating=True)
def moving_average(x1: Array, x2: Array, /, *, decay: float, weight: float) -> Array:
    """Return decay * x1 + weight * x2: one step of a running average."""
    return bind(moving_average, x1, x2, decay=decay, weight=weight)


@moving_average.kernel("numpy")
@quiet
def _(x1: Any, x2: Any, *, decay: float, weight: float) -> Any:
    number = x1.dtype.type  # a Python float would make float32 of bfloat16
    return x1 * number(decay) + x2 * number(weight)


moving_average.kernel("torch")(lambda x1, x2, *, decay, weight: (x1 * decay).add(x2, alpha=weight))
moving_average.inplace("torch")(lambda x1, x2, *, decay, weight: x1.mul_(decay).add_(x2, alpha=weight))


@moving_average.inplace("numpy")
@quiet
def _(x1: Any, x2: Any, *, decay: float, weight: float) -> Any:
    number = x1.dtype.type
    x1 *= number(decay)
    x1 += x2 * number(weight)
    return x1


@moving_average.vjp("x1")
def _(g: Array, *, decay: float) -> Array:
    return g * decay


@moving_average.vjp("x2")
def _(g: Array, *, weight: float) -> Array:
    return g * weight


@primitive(kind="elementwise", floating=True)
def lerp(x1: Array, x2: Array, /, *, weight: float) -> Array:
    """Return x1 + weight * (x2 - x1): linear interpolation from x1 to x2."""
    return bind(lerp, x1, x2, weight=weight)


lerp.kernel("numpy")(quiet(lambda x1, x2, *, weight: x1 + (x2 - x1) * x1.dtype.type(weight)))
lerp.kernel("torch")(lambda x1, x2, *, weight: x1.lerp(x2, weight))
lerp.inplace("torch")(lambda x1, x2, *, weight: x1.lerp_(x2, weight))


@lerp.inplace("numpy")
@quiet
def _(x1: Any, x2: Any, *, weight: float) -> Any:
    difference = x2 - x1
    difference *= weight
    x1 += difference
    return x1


@lerp.vjp("x1")
def _(g: Array, *, weight: float) -> Array:
    return g * (1 - weight)


@lerp.vjp("x2")
def _(g: Array, *, weight: float) -> Array:
    return g * weight


@primitive(kind="elementwise", floating=True)
def average_square(x1: Array, x2: Array, /, *, decay: float, weight: float) -> Array:
    """Return decay * x1 + weight * x2**2: one step of a running second moment."""
    return bind(average_square, x1, x2, decay=decay, weight=weight)


@average_square.kernel("numpy")
@quiet
def _(x1: Any, x2: Any, *, decay: float, weight: float) -> Any:
    number = x1.dtype.type
    return x1 * number(decay) + x2 * x2 * number(weight)


average_square.kernel("torch")(lambda x1, x2, *, decay, weight: (x1 * decay).addcmul(x2, x2, value=weight))
average_square.inplace("torch")(lambda x1, x2, *, decay, weight: x1.mul_(decay).addcmul_(x2, x2, value=weight))


@average_square.inplace("numpy")
@quiet
def _(x1: Any, x2: Any, *, decay: float, weight: float) -> Any:
    added = x2 * x2
    added *= weight
    x1 *= decay
    x1 += added
    return x1


@average_square.vjp("x1")
def _(g: Array, *, decay: float) -> Array:
    return g * decay


@average_square.vjp("x2")
def _(g: Array, x2: Array, *, weight: float) -> Array:
    return g * (x2 * (2 * weight))


@primitive(kind="elementwise", floating=True)
def divide_by_root(x1: Array, x2: Array, /, *, root: float, offset: float) -> Array:
    """Return x1 / (root * sqrt(x2) + offset): what Adam and its kin step along.

    The derivative of the root at 0, which is infinite, counts as 0. So it is exact for Adam's first step from a
    gradient of 0, where x1 is 0 as well.
    """
    return bind(divide_by_root, x1, x2, root=root, offset=offset)


@divide_by_root.kernel("numpy")
@quiet
def _(x1: Any, x2: Any, *, root: float, offset: float) -> Any:
    denominator = np.sqrt(x2)
    denominator *= root
    denominator += offset
    return x1 / denominator


@divide_by_root.kernel("torch")
def _(x1: Any, x2: Any, *, root: float, offset: float) -> Any:
    # two passes after the root instead of three: (1 / root) * x1 / (sqrt(x2) + offset / root)
    return x2.new_zeros(()).addcdiv(x1, x2.sqrt().add_(offset / root), value=1.0 / root)


def _root(x2: Array) -> tuple[Array, Array]:
    """Return where x2 is 0, and its square root with 1 there, so that no infinite derivative arises."""
    zero = x2 == 0
    return zero, sqrt(where(zero, 1.0, x2))


@divide_by_root.vjp("x1")
def _(g: Array, x2: Array, *, root: float, offset: float) -> Array:
    zero, s = _root(x2)
    return g / where(zero, offset, root * s + offset)


@divide_by_root.vjp("x2")
def _(g: Array, x1: Array, x2: Array, *, root: float, offset: float) -> Array:
    zero, s = _root(x2)
    denominator = root * s + offset
    return where(zero, 0.0, g * (-0.5 * root) * x1 / (s * denominator * denominator))


# --- Samples ---
@add_scaled.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), scale=-0.1)


@add_product.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), rng.normal(size=()))


@moving_average.samples
@average_square.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), decay=0.9, weight=0.1)


@lerp.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), weight=0.1)


@divide_by_root.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.uniform(0.5, 2, size=(3, 5)), root=0.5, offset=0.1)
