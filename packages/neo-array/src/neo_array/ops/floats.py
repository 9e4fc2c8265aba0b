"""What floating-point numbers are made of: their signs, zeros included, and their neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import ZeroDerivative
from neo_array.backends.numpy import ordered, quiet
from neo_array.ops.arithmetic import sign


@primitive(kind="elementwise", floating=True)
def copysign(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return the magnitude of x1 with the sign of x2, also where that is -0.0 or nan.

    As that of abs, its derivative is 0 where x1 is 0.
    """
    return bind(copysign, x1, x2)


copysign.kernel("numpy")(np.copysign)
copysign.kernel("torch")("torch:copysign")
copysign.vjp(
    x1=lambda g, x1, out: g * (sign(out) * sign(x1)),
    x2=ZeroDerivative("only its sign matters, which is constant except at 0"),
)


@primitive(kind="elementwise", discrete="its result is boolean")
def signbit(x: Array, /) -> Array:
    """Tell where the sign is minus, also that of -0.0 and of nan."""
    return bind(signbit, x)


signbit.kernel("numpy")(ordered(np.signbit, refused="bc"))
signbit.kernel("torch")("neo_array.backends.torch_kernels.arithmetic:signbit")


@primitive(kind="elementwise", floating=True, discrete="it steps from one number of the dtype to the next")
def nextafter(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return the number of the dtype that comes after x1 on the way to x2, which is x2 where they are equal."""
    return bind(nextafter, x1, x2)


nextafter.kernel("numpy")(quiet(np.nextafter))
nextafter.kernel("torch")("torch:nextafter")


# --- Samples ---
@copysign.samples
@nextafter.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=(2, 1, 5)), rng.normal(size=(3, 1)))
    yield sample(rng.normal(size=()), -2.5)
    yield sample(1, rng.normal(size=(3,)))
    yield sample(rng.normal(size=(0, 3)), rng.normal(size=(3,)))


@signbit.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)))
    yield sample(np.array([0.0, -0.0, np.inf, -np.inf]))
    yield sample(rng.integers(-2, 2, size=(5,)))
