"""Arithmetic, element by element, with broadcasting and promotion."""

from __future__ import annotations

import cmath
import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._bind import need_arrays
from neo_array._errors import DTypeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import numeric, ordered, quiet


# --- Identity ---
@primitive(kind="elementwise")
def alias(x: Array, /) -> Array:
    """Return the same value as a new Array: new identity, same buffer. Transforms pass their inputs through it."""
    return bind(alias, x)


alias.kernel("numpy", "torch", "cupy")(lambda x: x)
alias.vjp(x=lambda g: g)


@primitive(kind="elementwise", discrete="stop_gradient was asked for")
def stop_gradient(x: Array, /) -> Array:
    """Return the same value as a constant: no derivative flows through it, in any mode or order."""
    return bind(stop_gradient, x)


stop_gradient.kernel("numpy", "torch", "cupy")(lambda x: x)


# --- Sums and products ---
@primitive(kind="elementwise")
def add(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Add."""
    return bind(add, x1, x2)


add.kernel("numpy", "torch", "cupy")(operator.add)
add.vjp(x1=lambda g: g, x2=lambda g: g)


@primitive(kind="elementwise")
def subtract(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Subtract x2 from x1."""
    return bind(subtract, x1, x2)


subtract.kernel("numpy", "torch", "cupy")(operator.sub)
subtract.vjp(x1=lambda g: g, x2=lambda g: -g)


@primitive(kind="elementwise")
def multiply(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Multiply."""
    return bind(multiply, x1, x2)


multiply.kernel("numpy", "torch", "cupy")(operator.mul)
multiply.vjp(x1=lambda g, x2: g * x2, x2=lambda g, x1: g * x1)


@primitive(kind="elementwise", floating=True)
def divide(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Divide x1 by x2; integers become the default float dtype first."""
    return bind(divide, x1, x2)


divide.kernel("numpy")(quiet(operator.truediv))
divide.kernel("torch", "cupy")(operator.truediv)
divide.vjp(x1=lambda g, x2: g / x2, x2=lambda g, x2, out: -(g * out / x2))


@primitive(kind="elementwise")
def power(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Raise x1 to the power x2.

    Derivatives: x2 * x1**(x2 - 1), which is 0 where x2 is 0, and out * log(x1), which is 0 where x1 is 0. Complex
    powers are those of the principal logarithm, exp(x2 * log(x1)).
    """
    return bind(power, x1, x2)


@power.kernel("numpy")
@numeric
@quiet
def _(x1: Any, x2: Any) -> Any:
    out = x1**x2
    # NumPy takes the square root where it meets one exponent of 1/2 in a row, with -0.0 at -0.0 and nan at -inf
    if x2.dtype.kind == "f" and (x2.size < out.size or x2.size == 1) and (x2 == 0.5).any():
        return np.where(x2 == 0.5, np.where(x1 == -np.inf, np.inf, out + 0.0), out)
    return out


power.kernel("torch")("neo_array.backends.torch_kernels.arithmetic:power")
power.kernel("cupy")("neo_array.backends.cupy_kernels.arithmetic:power")


@power.explain
def _(x1: ArrayLike, x2: ArrayLike, /) -> None:
    if isinstance(x1, Array) and x1.dtype.kind in "iu":
        raise DTypeError("power: integers to negative powers are no integers; cast the base with .astype(na.float32)")


@power.vjp("x1")
def _(g: Array, x1: ArrayLike, x2: ArrayLike) -> Array:
    if isinstance(x2, Array):
        return g * where(x2 == 0, 0.0, x2 * power(x1, where(x2 == 0, 1.0, x2 - 1)))
    return g * 0.0 if x2 == 0 else g * x2 if x2 == 1 else g * (x2 * power(x1, x2 - 1))


@power.vjp("x2")
def _(g: Array, x1: ArrayLike, out: Array) -> Array:
    from neo_array.ops.exponential import log

    if isinstance(x1, Array):
        return g * out * log(where(x1 == 0, 1.0, x1))
    return g * out * _log_of_number(x1, out) if x1 else g * 0.0


def _log_of_number(x: complex, like: Array) -> complex:
    """Return the logarithm of a Python number; nan for a negative one among real arrays."""
    if like.dtype.kind == "c":
        return cmath.log(x)
    return math.log(x.real) if x.real > 0 else math.nan


pow = power  # the standard's name


@primitive(kind="elementwise")
def square(x: Array, /) -> Array:
    """Multiply by itself."""
    return bind(square, x)


square.kernel("numpy", "torch", "cupy")(lambda x: x * x)
square.vjp(x=lambda g, x: g * (2 * x))


# --- Signs ---
@primitive(kind="elementwise")
def negative(x: Array, /) -> Array:
    """Change the sign."""
    return bind(negative, x)


negative.kernel("numpy", "torch", "cupy")(operator.neg)
negative.vjp(x=lambda g: -g)


def positive(x: Array, /) -> Array:
    """Return x."""
    need_arrays("positive", x)
    return x


@primitive(kind="elementwise", discrete="sign is constant except at 0")
def sign(x: Array, /) -> Array:
    """Return -1, 0 or 1; nan stays nan. Of complex numbers it is x / |x|, 0 at 0, which is not constant."""
    return complex_sign(x) if type(x) is Array and x.dtype.kind == "c" else bind(sign, x)


sign.kernel("numpy")(ordered(np.sign))
sign.kernel("torch")("neo_array.backends.torch_kernels.arithmetic:sign")


@primitive(kind="elementwise")
def abs(x: Array, /) -> Array:
    """Return the absolute value, which is real; its derivative at 0 is 0."""
    return bind(abs, x)


abs.kernel("numpy")(numeric(quiet(operator.abs)))
abs.kernel("torch", "cupy")(operator.abs)
abs.vjp(x=lambda g, x: g * conj(sign(x)))
abs.jvp(lambda t, x: real(t * conj(sign(x))))


# --- Choices: ties share the derivative evenly ---
@primitive(kind="elementwise")
def maximum(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return the larger of two; nan wins; ties share the derivative evenly."""
    return bind(maximum, x1, x2)


maximum.kernel("numpy")(ordered(np.maximum))
maximum.kernel("torch")("torch:maximum")
maximum.vjp(
    x1=lambda g, x1, x2: g * _share(x1, x2, greater),
    x2=lambda g, x1, x2: g * _share(x2, x1, greater),
)


@primitive(kind="elementwise")
def minimum(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Return the smaller of two; nan wins; ties share the derivative evenly."""
    return bind(minimum, x1, x2)


minimum.kernel("numpy")(ordered(np.minimum))
minimum.kernel("torch")("torch:minimum")
minimum.vjp(
    x1=lambda g, x1, x2: g * _share(x1, x2, less),
    x2=lambda g, x1, x2: g * _share(x2, x1, less),
)


def _share(a: Array, b: ArrayLike, beats: object) -> Array:
    """Return the share of the result that is a's: 1 where it wins, 1/2 at a tie, 0 else."""
    assert callable(beats)
    return where(equal(a, b), 0.5, where(beats(a, b), 1.0, where(beats(b, a), 0.0, a * b)))


@primitive(kind="elementwise", promote=("x1", "x2"))
def where(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Choose x1 where the condition holds and x2 elsewhere. The branch not taken gets an exact zero derivative."""
    return bind(where, condition, x1, x2)


@where.kernel("numpy")
def _(condition: Any, x1: Any, x2: Any) -> Any:
    if condition.dtype.kind != "b":
        raise TypeError
    return np.where(condition, x1, x2)


@where.explain
def _(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> None:
    if isinstance(condition, Array) and condition.dtype.kind != "b":
        raise DTypeError(f"where: the condition must be boolean, got dtype {condition.dtype}; write x != 0")


where.kernel("torch")("torch:where")
where.kernel("cupy")("neo_array.backends.cupy_kernels.arithmetic:where")
where.vjp(x1=lambda g, condition: where(condition, g, 0.0), x2=lambda g, condition: where(condition, 0.0, g))


from neo_array.ops.comparison import equal, greater, less  # noqa: E402  (rules above look them up when they run)
from neo_array.ops.complex_parts import complex_sign, conj, real  # noqa: E402


# --- Samples ---
def _complex(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@add.samples
@subtract.samples
@multiply.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _real_pairs(rng)
    yield sample(_complex(rng, 3, 5), _complex(rng, 5))
    yield sample(_complex(rng, 3, 1), rng.normal(size=(5,)))
    yield sample(rng.normal(size=(3,)), 0.5 - 2j)


@maximum.samples
@minimum.samples
def _real_pairs(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=(2, 3, 5)), rng.normal(size=(3, 1)))
    yield sample(rng.normal(size=()), rng.normal(size=(4,)))
    yield sample(rng.normal(size=(3,)), 2.5)
    yield sample(-1.5, rng.normal(size=(3,)))
    yield sample(rng.normal(size=(0, 3)), rng.normal(size=(3,)))


@divide.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.uniform(0.5, 2, size=(3, 5)))
    yield sample(rng.normal(size=(5,)), -rng.uniform(0.5, 2, size=(3, 1)))
    yield sample(1, rng.uniform(0.5, 2, size=(3,)))
    yield sample(rng.normal(size=(3,)), 3)
    yield sample(_complex(rng, 3, 5), 1 + rng.uniform(size=(5,)) * 1j)
    yield sample(rng.normal(size=(3,)), 1 + rng.uniform(size=(3,)) * 1j)


@power.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(0.5, 2, size=(3, 5)), rng.normal(size=(5,)))
    yield sample(rng.normal(size=(3,)), 2)
    yield sample(rng.normal(size=(3,)), 3)
    yield sample(rng.uniform(0.5, 2, size=(3,)), -0.5)
    yield sample(2.0, rng.normal(size=(3,)))
    yield sample(rng.normal(size=(3,)), 0)
    yield sample(rng.uniform(0.5, 2, size=(3, 5)) + 1j * rng.normal(size=(5,)), _complex(rng, 5))
    yield sample(_complex(rng, 3), 3)
    yield sample(-2.0, _complex(rng, 3))
    yield sample(rng.uniform(0.5, 2, size=(3,)), 0.5 + 1j)


@where.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)) > 0, rng.normal(size=(3, 5)), rng.normal(size=(5,)))
    yield sample(rng.normal(size=(3, 1)) > 0, rng.normal(size=(3, 5)), 0.5)
    yield sample(rng.normal(size=(3,)) > 0, _complex(rng, 3), rng.normal(size=(5, 1)))


@alias.samples
@square.samples
@negative.samples
@abs.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _reals(rng)
    yield sample(_complex(rng, 3, 5))
    yield sample(_complex(rng))


@sign.samples
@stop_gradient.samples
def _reals(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=()))
    yield sample(rng.normal(size=(0, 2)))
