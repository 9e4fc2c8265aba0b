"""Division that rounds down, what it leaves over, and reciprocals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._errors import DivisionError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import ordered, quiet


def division_by_zero(op: str) -> DivisionError:
    """Return the error for integers, which have no number for x / 0."""
    return DivisionError(
        f"{op}: integer division by zero; write where(x2 == 0, 1, x2), or cast with .astype(na.float32)"
    )


def _refusing_zeros(op: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse what torch refuses: integers divided by zero (NumPy has 0 for them), and booleans."""
    divide = ordered(quiet(f), refused="b")

    def call(x1: Any, x2: Any) -> Any:
        if x2.dtype.kind in "iu" and not x2.all():
            raise division_by_zero(op)
        return divide(x1, x2)

    return call


@primitive(kind="elementwise", discrete="it is constant between its steps")
def floor_divide(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Divide and round down: the largest integer that is at most x1 / x2, in the dtype of the arguments.

    Raises:
        DivisionError: an integer is divided by zero. Floats give infinities and nan, as the array standard says.
    """
    return bind(floor_divide, x1, x2)


def _floor_divide(x1: Any, x2: Any) -> Any:
    out = np.floor_divide(x1, x2)
    # NumPy has nan for infinite x1; the array standard infinity
    return np.where(np.isinf(x1), x1 / x2, out) if x1.dtype.kind in "fV" else out


floor_divide.kernel("numpy")(_refusing_zeros("floor_divide", _floor_divide))
floor_divide.kernel("torch")("neo_array.backends.torch_kernels.arithmetic:floor_divide")
floor_divide.kernel("cupy")("neo_array.backends.cupy_kernels.arithmetic:floor_divide")


@primitive(kind="elementwise")
def remainder(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return x1 - x2 * floor_divide(x1, x2): what is left over, with the sign of x2.

    Its derivatives are 1 and -floor_divide(x1, x2), also where it jumps.

    Raises:
        DivisionError: an integer is divided by zero. The remainder of a float and zero is nan.
    """
    return bind(remainder, x1, x2)


remainder.kernel("numpy")(_refusing_zeros("remainder", np.remainder))
remainder.kernel("torch")("neo_array.backends.torch_kernels.arithmetic:remainder")
remainder.kernel("cupy")("neo_array.backends.cupy_kernels.arithmetic:remainder")
remainder.vjp(x1=lambda g: g, x2=lambda g, x1, x2: -(g * floor_divide(x1, x2)))


@primitive(kind="elementwise", floating=True)
def reciprocal(x: Array, /) -> Array:
    """Return 1 / x; integers become the default float dtype first."""
    return bind(reciprocal, x)


reciprocal.kernel("numpy")(quiet(np.reciprocal))
reciprocal.kernel("torch")(lambda x: 1 / x)  # torch.reciprocal has inf for complex 0
reciprocal.vjp(x=lambda g, out: -(g * out * out))


# --- Samples ---
@floor_divide.samples
@remainder.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    divisor = rng.choice([-1, 1], size=(5,)) * rng.uniform(0.5, 2, size=(5,))
    wholes = rng.integers(-3, 4, size=(3, 5)) + rng.uniform(0.2, 0.8, size=(3, 5))  # away from the jumps
    yield sample(wholes * divisor, divisor)
    yield sample(wholes[0] * -1.5, -1.5)
    yield sample(7.0, np.array([2.0, -3.0, 4.5]))
    yield sample(rng.normal(size=(0, 3)), np.ones((2, 1, 1)))
    yield sample(rng.integers(-9, 9, size=(3, 5)), np.array([-4, -1, 1, 3, 7]))
    yield sample(rng.integers(-9, 9, size=()), 4)


@reciprocal.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(0.5, 2, size=(3, 5)))
    yield sample(-rng.uniform(0.5, 2, size=()))
    yield sample(rng.normal(size=(2, 0)))
    yield sample(1 + rng.normal(size=(3,)) * 1j)
