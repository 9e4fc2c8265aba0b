"""What the operations on matrices share: Hermitian algebra, the checks of their arguments, and a clear refusal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np

from neo_array import _dtypes, backends
from neo_array._array import Array
from neo_array._batching import Axes, Batch, filled
from neo_array._described import first, same
from neo_array._errors import DTypeError, LinAlgError, ShapeError
from neo_array._info import finfo
from neo_array._primitive import Primitive, Sample, bind, primitive, sample
from neo_array._rules import ZeroDerivative
from neo_array.backends.numpy import quiet
from neo_array.ops.arithmetic import abs as abs_
from neo_array.ops.arithmetic import stop_gradient, where
from neo_array.ops.complex_parts import conj
from neo_array.ops.creation import asarray, eye, zeros
from neo_array.ops.reductions import max as max_
from neo_array.ops.reductions import sum as sum_
from neo_array.ops.shaping import expand_dims


# --- Hermitian algebra: the rules read the same for real and complex matrices ---
def is_complex(x: Array) -> bool:
    """Tell whether the array is complex."""
    return x.dtype.kind == "c"


def adjoint(x: Array) -> Array:
    """Return the conjugate transpose of each matrix."""
    return conj(x).mT


def hermitian_part(x: Array) -> Array:
    """Return (x + x^H) / 2."""
    return 0.5 * (x + adjoint(x))


# --- Parts of matrices ---
def constant(values: Any, like: Array) -> Array:
    """Return NumPy values as an Array where `like` lives."""
    return asarray(values, device=like.device)


def diagonal_mask(x: Array) -> Array:
    """Return the boolean matrix that holds on the diagonal, of x's last two sizes."""
    return constant(np.eye(*x.shape[-2:], dtype=bool), x)


def diagonal_part(x: Array) -> Array:
    """Return the diagonals of square matrices as vectors."""
    return sum_(where(diagonal_mask(x), x, 0.0), axis=-1)


def from_diagonal(v: Array) -> Array:
    """Return diagonal matrices from vectors."""
    n = v.shape[-1]
    return where(constant(np.eye(n, dtype=bool), v), expand_dims(v, axis=-1), 0.0)


def triangle(x: Array, k: int, *, upper: bool = False) -> Array:
    """Return what is on and below the k-th diagonal, or on and above it, and zeros elsewhere."""
    mask = np.tri(x.shape[-2], x.shape[-1], k - upper, dtype=bool)
    return where(constant(~mask if upper else mask, x), x, 0.0)


def identity(n: int, like: Array) -> Array:
    """Return the identity matrix of like's dtype, where `like` lives."""
    return eye(n, dtype=like.dtype, device=like.device)


def rows(v: Array) -> Array:
    """Put an axis before the last one: v as row vectors, so that it scales or compares columns."""
    return expand_dims(v, axis=-2)


def columns(v: Array) -> Array:
    """Put an axis behind the last one: v as column vectors, so that it scales or compares rows."""
    return expand_dims(v, axis=-1)


def rounding(x: Array) -> float:
    """Return the machine precision of x's dtype."""
    return finfo(x.dtype).eps


# --- Kernels: NumPy's, under the same conditions as on every other backend ---
def lapack(f: Callable[..., Any], *, finite: bool = False) -> Callable[..., Any]:
    """Wrap a function of numpy.linalg: single or double precision only, and failures of the numbers told from others.

    With `finite`, inf and nan count as a failure, which LAPACK itself notices in some places only.
    """
    run = quiet(f)

    @wraps(f)
    def kernel(*arrays: Any, **options: Any) -> Any:
        for x in arrays:
            if x.dtype.kind not in "fc" or x.dtype.itemsize < 4:
                raise TypeError
            if finite and not np.isfinite(x).all():
                raise ArithmeticError
        try:
            return run(*arrays, **options)
        except np.linalg.LinAlgError as error:
            raise ArithmeticError from error

    return kernel


def refuse_wrong(name: str, *arrays: Array, square: bool = False, failure: str = "") -> None:
    """Raise the error that says why a kernel did not take these matrices; from `explain`, while its own is handled."""
    for x in arrays:
        if x.ndim < 2:
            raise ShapeError(f"{name}: needs a matrix or a stack of them, got shape {x.shape}")
        if x.dtype.kind not in "fc" or x.dtype.itemsize < 4:
            raise DTypeError(
                f"{name}: needs floating or complex numbers of 32 bits or more, got dtype {x.dtype}; "
                "cast with .astype(na.float32) first"
            )
    if square and arrays[0].shape[-1] != arrays[0].shape[-2]:
        raise ShapeError(f"{name}: needs square matrices, got shape {arrays[0].shape}")
    if isinstance(sys.exception(), ArithmeticError):
        if not all(np.isfinite(backends.of(x._raw).to_numpy(x._raw)).all() for x in arrays):
            raise LinAlgError(f"{name}: a matrix holds inf or nan; look for where it comes from with na.isfinite")
        raise LinAlgError(f"{name}: {failure}")


def explain_matrix(op: Primitive[..., Any], name: str, *, square: bool = False, failure: str = "") -> None:
    """Fill an op's `explain` slot: shapes and dtypes first, then what the numbers did wrong."""

    @op.explain
    def _(*arrays: Array, **options: object) -> None:
        refuse_wrong(name, *arrays, square=square, failure=failure)


def need_floating(name: str, *arrays: object) -> None:
    """Refuse what is no Array of floating or complex numbers."""
    for x in arrays:
        if type(x) is not Array:
            raise DTypeError(f"{name}: needs an Array, got {type(x).__name__}; wrap it in na.asarray(...)")
        if not _dtypes.is_inexact(x.dtype):
            raise DTypeError(
                f"{name}: needs floating or complex numbers, got dtype {x.dtype}; cast with .astype(na.float32) first"
            )


# --- A condition on values, for derivatives that do not exist everywhere ---
@primitive()
def refuse(x: Array, condition: Array, /, *, message: str) -> Array:
    """Return x, or raise LinAlgError(message) if the condition holds anywhere.

    As an op it looks at the values below every transform: of all examples of a batch, too.
    """
    return bind(refuse, x, condition, message=message)


@refuse.kernel("numpy", "torch", "cupy")
def _(x: Any, condition: Any, *, message: str) -> Any:
    if condition.any():
        raise ArithmeticError
    return x


@refuse.explain
def _(x: Array, condition: Array, /, *, message: str) -> None:
    raise LinAlgError(message)


refuse.vjp(x=lambda g: g, condition=ZeroDerivative("it is boolean"))


@refuse.jvp
def _(t: Array, _: Array | None) -> Array:
    return t


@refuse.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, message: str) -> Batch:
    x, condition = args
    return refuse(filled(x, axes[0], size), condition, message=message), 0


def same_in_every_basis(name: str, g: Array, basis: Array) -> Array:
    """Return the cotangent of a basis of some space, or raise if the function depends on more than the space.

    Turning the basis, basis -> basis @ unitary, changes the function in first order by the skew part of basis^H g.
    """
    inner = adjoint(basis) @ stop_gradient(g)
    turned, size = abs_(inner - adjoint(inner)), abs_(stop_gradient(g))
    worst = max_(turned, axis=(-2, -1)) if turned.size else zeros((), device=g.device)
    condition = worst > rounding(g) ** 0.5 * (max_(size, axis=(-2, -1)) if size.size else 0.0)
    return refuse(
        g,
        condition,
        message=f"{name}: the function depends on which basis of the orthogonal complement was chosen, and has no "
        "derivative; use only what is the same for all of them, as basis @ basis^H is, or ask for reduced factors",
    )


# --- Shapes ---
refuse.shape(same, dtype=first)


# --- Samples ---
@refuse.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), np.zeros((), bool), message="never")
    yield sample(rng.normal(size=(2,)), np.zeros((2, 3), bool), message="never")
