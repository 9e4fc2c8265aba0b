"""Inverses and linear systems.

Derivatives: M. B. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), sections 2.2.3 and 2.3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._batching import Axes, Batch, aligned, batch_leading
from neo_array._bind import need_arrays
from neo_array._described import Sizes, need, square
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.matrices import explain_matrix, lapack, refuse_wrong, triangle
from neo_array.ops.shaping import reshape


# --- Inverse ---
@primitive()
def inv(x: Array, /) -> Array:
    """Invert square matrices. Shape: (..., n, n). To solve a system, `solve` is faster and more accurate.

    Raises:
        LinAlgError: a matrix is singular.
    """
    return bind(inv, x)


inv.kernel("numpy")(lapack(np.linalg.inv))
inv.kernel("torch")("neo_array.backends.torch_kernels.linalg:inv")
inv.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:inv")
inv.vjp(x=lambda g, out: -(out.mT @ g @ out.mT))
inv.jvp(lambda t, out: -(out @ t @ out))
inv.batch(batch_leading(inv))
explain_matrix(inv, "inv", square=True, failure="a matrix is singular; pinv gives the pseudo-inverse")


# --- Systems ---
@primitive(promote=("x1", "x2"), broadcasts=True)
def solve_matrix(x1: Array, x2: Array, /) -> Array:
    """Solve x1 @ out = x2 for stacks of matrices, whose leading axes broadcast."""
    return bind(solve_matrix, x1, x2)


solve_matrix.kernel("numpy")(lapack(np.linalg.solve))
solve_matrix.kernel("torch")("neo_array.backends.torch_kernels.linalg:solve")
solve_matrix.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:solve")


@solve_matrix.vjp("x1", "x2")
def _(g: Array, x1: Array, out: Array) -> tuple[Array, Array]:
    g2 = solve_matrix(x1.mT, g)
    return -(g2 @ out.mT), g2


@solve_matrix.jvp
def _(t1: Array | None, t2: Array | None, x1: Array, out: Array) -> Array:
    rest = t2 if t1 is None else -(t1 @ out) if t2 is None else t2 - t1 @ out
    assert rest is not None, "no tangent arrived"
    return solve_matrix(x1, rest)


@solve_matrix.explain
def _(x1: Array, x2: Array, /) -> None:
    _explain("solve", x1, x2)


def _explain(name: str, x1: Array, x2: Array) -> None:
    failure = "a matrix is singular; lstsq gives the solution of least squares"
    for x in (x1, x2):
        refuse_wrong(name, x, square=x is x1, failure=failure)
    if x1.shape[-1] != x2.shape[-2]:
        raise ShapeError(f"{name}: sizes do not fit, got {x1.shape} on the left and {x2.shape} on the right")
    try:
        np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    except ValueError:
        raise ShapeError(f"{name}: leading axes do not broadcast, got {x1.shape} and {x2.shape}") from None


@solve_matrix.batch
def _(size: int, args: Sequence[Array], axes: Axes, /) -> Batch:
    return solve_matrix(*aligned(args, axes)), 0


def solve(x1: Array, x2: Array, /) -> Array:
    """Solve x1 @ out = x2.

    Shapes: x1 (..., n, n); x2 (n,), one vector for all matrices, or (..., n, k), whose leading axes broadcast with
    those of x1. A stack of vectors is (..., n, 1).

    Raises:
        LinAlgError: a matrix is singular.
    """
    return _with_vector("solve", solve_matrix, x1, x2)


def _with_vector(name: str, op: Callable[[Array, Array], Array], x1: Array, x2: Array) -> Array:
    """Call a solver with a vector on the right as a matrix of one column."""
    need_arrays(name, x1, x2)
    if x2.ndim != 1:
        return op(x1, x2)
    return reshape(out := op(x1, reshape(x2, (x2.shape[0], 1))), out.shape[:-1])


# --- Triangular systems ---
@primitive(promote=("x1", "x2"), broadcasts=True)
def solve_triangular_matrix(x1: Array, x2: Array, /, *, lower: bool, unit_diagonal: bool) -> Array:
    """Solve x1 @ out = x2, reading one triangle of x1 only; leading axes broadcast."""
    return bind(solve_triangular_matrix, x1, x2, lower=lower, unit_diagonal=unit_diagonal)


def _trtrs(x1: Any, x2: Any, *, lower: bool, unit_diagonal: bool) -> Any:
    """Call LAPACK's trtrs for each matrix; what is in C order is the transpose of what LAPACK sees."""
    from scipy.linalg import get_lapack_funcs

    n, k = x2.shape[-2:]
    if x1.shape[-2:] != (n, n):
        raise ValueError
    batch = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    out = np.empty((*batch, n, k), x1.dtype)
    left, right = np.broadcast_to(x1, (*batch, n, n)), np.broadcast_to(x2, out.shape)
    (trtrs,) = get_lapack_funcs(("trtrs",), (x1,))
    if out.size == 0:
        return out
    for i in np.ndindex(batch):
        a, b = left[i], right[i]
        out[i], info = trtrs(a.T, b, lower=not lower, trans=1, unitdiag=unit_diagonal)
        if info:
            raise ArithmeticError
    return out


solve_triangular_matrix.kernel("numpy")(lapack(_trtrs))
solve_triangular_matrix.kernel("torch")("neo_array.backends.torch_kernels.linalg:solve_triangular")
solve_triangular_matrix.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:solve_triangular")


@solve_triangular_matrix.vjp("x1", "x2")
def _(g: Array, x1: Array, out: Array, *, lower: bool, unit_diagonal: bool) -> tuple[Array, Array]:
    g2 = solve_triangular_matrix(x1.mT, g, lower=not lower, unit_diagonal=unit_diagonal)
    return -_part(g2 @ out.mT, lower, unit_diagonal), g2


@solve_triangular_matrix.jvp
def _(t1: Array | None, t2: Array | None, x1: Array, out: Array, *, lower: bool, unit_diagonal: bool) -> Array:
    moved = None if t1 is None else _part(t1, lower, unit_diagonal) @ out
    rest = t2 if moved is None else -moved if t2 is None else t2 - moved
    assert rest is not None, "no tangent arrived"
    return solve_triangular_matrix(x1, rest, lower=lower, unit_diagonal=unit_diagonal)


def _part(x: Array, lower: bool, unit_diagonal: bool) -> Array:
    """Return the part of a matrix that is read."""
    return triangle(x, -int(unit_diagonal) if lower else int(unit_diagonal), upper=not lower)


@solve_triangular_matrix.explain
def _(x1: Array, x2: Array, /, *, lower: bool, unit_diagonal: bool) -> None:
    _explain("solve_triangular", x1, x2)


@solve_triangular_matrix.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, lower: bool, unit_diagonal: bool) -> Batch:
    return solve_triangular_matrix(*aligned(args, axes), lower=lower, unit_diagonal=unit_diagonal), 0


def solve_triangular(x1: Array, x2: Array, /, *, lower: bool = False, unit_diagonal: bool = False) -> Array:
    """Solve x1 @ out = x2 for triangular x1; shapes as for `solve`. The other triangle is not read.

    Args:
        lower: read the lower triangle instead of the upper one.
        unit_diagonal: take the diagonal to be 1, and do not read it.

    Raises:
        LinAlgError: there is a 0 on the diagonal.
    """

    def op(a: Array, b: Array) -> Array:
        return solve_triangular_matrix(a, b, lower=lower, unit_diagonal=unit_diagonal)

    return _with_vector("solve_triangular", op, x1, x2)


# --- Shapes ---
inv.shape(square)


@solve_matrix.shape
@solve_triangular_matrix.shape
def _(x1: Sizes, x2: Sizes, **options: bool) -> Sizes:
    need(square(x1)[-1] == x2[-2])
    return (*np.broadcast_shapes(x1[:-2], x2[:-2]), *x2[-2:])


# --- Samples ---
def well_conditioned(rng: np.random.Generator, *shape: int, complex: bool = False) -> Any:
    """Draw matrices with a heavy diagonal, whose condition is good."""
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if complex else 0)
    return x + 3 * np.eye(shape[-1])


@inv.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(well_conditioned(rng, 3, 3))
    yield sample(well_conditioned(rng, 2, 5, 5))
    yield sample(well_conditioned(rng, 3, 3, complex=True))
    yield sample(np.zeros((0, 0)))
    yield sample(np.zeros((0, 3, 3)))


def _systems(rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    yield well_conditioned(rng, 3, 3), rng.normal(size=(3, 2))
    yield well_conditioned(rng, 5, 3, 3), rng.normal(size=(3, 2))
    yield well_conditioned(rng, 3, 3), rng.normal(size=(5, 3, 1))
    yield well_conditioned(rng, 2, 1, 3, 3), rng.normal(size=(5, 3, 3))
    yield well_conditioned(rng, 3, 3, complex=True), rng.normal(size=(3, 2)) + 1j * rng.normal(size=(3, 2))
    yield well_conditioned(rng, 3, 3), rng.normal(size=(3, 0))


@solve_matrix.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for a, b in _systems(rng):
        yield sample(a, b)


@solve_triangular_matrix.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for i, (a, b) in enumerate(_systems(rng)):
        yield sample(a, b, lower=i % 2 == 0, unit_diagonal=i % 3 == 1)
