"""Eigenvalues and eigenvectors of Hermitian matrices.

Derivatives: M. B. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), section 3.1, for Hermitian matrices. With S = V^H dA V:

    d(values)_i = S_ii,        V^H dV = F * S,  F_ij = 1 / (values_j - values_i) for i != j, and 0 for i = j.

The diagonal of V^H dV is imaginary: the turning of the phases, which follows from how they are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from neo_array._array import Array
from neo_array._batching import batch_leading
from neo_array._bind import need_arrays
from neo_array._described import square
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.arithmetic import where
from neo_array.ops.complex_parts import conj, imag, real
from neo_array.ops.degeneracy import (
    coinciding,
    needs_phase,
    pairs,
    phases,
    reciprocal,
    touched,
    turning,
    unturned,
)
from neo_array.ops.matrices import (
    adjoint,
    columns,
    diagonal_mask,
    diagonal_part,
    explain_matrix,
    from_diagonal,
    hermitian_part,
    lapack,
    refuse,
    rows,
)

_REPEATED: Final = (
    "eigh: the derivative of eigenvectors whose eigenvalues repeat does not exist: they are any basis of a space; use "
    "the eigenvalues alone (eigvalsh), or add a small diagonal that tells them apart"
)


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors as columns."""

    eigenvalues: Array
    eigenvectors: Array


@primitive(multi=True)
def eigh_factors(x: Array, /) -> tuple[Array, Array]:
    """Return the eigenvalues and the eigenvectors of (x + x^H) / 2."""
    return bind(eigh_factors, x)


@primitive()
def eigvalsh(x: Array, /) -> Array:
    """Return the eigenvalues of Hermitian matrices, in ascending order. Shapes: (..., n, n) -> (..., n).

    x is taken as (x + x^H) / 2. Where eigenvalues repeat, only functions that treat them alike, as their sum does, have
    a derivative, and get the right one.

    Raises:
        LinAlgError: a matrix holds inf or nan.
    """
    return bind(eigvalsh, x)


def _hermitian(x: Any) -> Any:
    return 0.5 * (x + np.conj(x.swapaxes(-1, -2)))


def _eigh(x: Any) -> tuple[Any, Any]:
    values, vectors = np.linalg.eigh(_hermitian(x))
    return values, vectors * np.conj(phases(vectors))


eigh_factors.kernel("numpy")(lapack(_eigh, finite=True))
eigvalsh.kernel("numpy")(lapack(lambda x: np.linalg.eigvalsh(_hermitian(x)), finite=True))
eigh_factors.kernel("torch")("neo_array.backends.torch_kernels.linalg:eigh")
eigh_factors.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:eigh")
eigvalsh.kernel("torch")("neo_array.backends.torch_kernels.linalg:eigvalsh")
eigvalsh.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:eigvalsh")
explain_matrix(eigh_factors, "eigh", square=True, failure="LAPACK found no eigenvalues")
explain_matrix(eigvalsh, "eigvalsh", square=True, failure="LAPACK found no eigenvalues")
eigh_factors.batch(batch_leading(eigh_factors))
eigvalsh.batch(batch_leading(eigvalsh))


def _of_values(g: Array, vectors: Array) -> Array:
    return conj((vectors * rows(g)) @ adjoint(vectors))


@eigvalsh.vjp("x")
def _(g: Array, x: Array) -> Array:
    return _of_values(g, eigh_factors(x)[1])


@eigvalsh.jvp
def _(t: Array, x: Array) -> Array:
    vectors = eigh_factors(x)[1]
    return real(diagonal_part(adjoint(vectors) @ t @ vectors))


@eigh_factors.vjp("x")
def _(g: tuple[Array | None, Array | None], out: tuple[Array, Array]) -> Array:
    (g_values, g_vectors), (values, vectors) = g, out
    if g_vectors is None:
        assert g_values is not None, "no cotangent arrived"
        return _of_values(g_values, vectors)
    g_vectors = conj(g_vectors)
    if needs_phase(vectors):
        g_vectors = unturned(g_vectors, vectors, imag(diagonal_part(adjoint(vectors) @ g_vectors)))
    same = coinciding(values, values.shape[-1])
    g_vectors = refuse(g_vectors, pairs(same, touched(g_vectors)), message=_REPEATED)
    gaps = reciprocal(rows(values) - columns(values), same | diagonal_mask(vectors))
    inner = hermitian_part(gaps * (adjoint(vectors) @ g_vectors))
    if g_values is not None:
        inner = inner + from_diagonal(g_values)
    return conj(vectors @ inner @ adjoint(vectors))


@eigh_factors.jvp
def _(t: Array, out: tuple[Array, Array]) -> tuple[Array, Array]:
    values, vectors = out
    moved = adjoint(vectors) @ hermitian_part(t) @ vectors
    same = coinciding(values, values.shape[-1])
    gaps = reciprocal(rows(values) - columns(values), same | diagonal_mask(vectors))
    t_vectors = vectors @ (where(same, float("nan"), gaps) * moved)
    if needs_phase(vectors):
        t_vectors = t_vectors + 1j * vectors * rows(turning(t_vectors, vectors))
    return real(diagonal_part(moved)), t_vectors


def eigh(x: Array, /) -> EighResult:
    """Return the eigenvalues and eigenvectors of Hermitian matrices: x V = V diag(values), V^H V = 1.

    x is taken as (x + x^H) / 2. The eigenvalues ascend; the eigenvectors are the columns of V, and in each the first
    component of at least 0.55 times its largest modulus is real and positive, so that they are the same on every
    backend. Shapes: (..., n, n) -> (..., n), (..., n, n).

    Where eigenvalues repeat (but for rounding), their eigenvectors have no derivative. Reverse mode raises if one is
    asked for; in forward mode it is nan. Functions of other vectors, or of the eigenvalues alone, are not touched.

    Raises:
        LinAlgError: a matrix holds inf or nan; or a derivative does not exist.
    """
    need_arrays("eigh", x)
    return EighResult(*eigh_factors(x))


# --- Shapes ---
eigh_factors.shape(lambda x: (square(x)[:-1], x))
eigvalsh.shape(lambda x: square(x)[:-1])


# --- Samples ---
def _spread_spectrum(rng: np.random.Generator, *shape: int, complex: bool = False) -> Any:
    """Draw Hermitian matrices whose eigenvalues are well apart."""
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if complex else 0)
    basis, _ = np.linalg.qr(x)
    values = np.linspace(-2, 3, shape[-1]) + rng.uniform(0, 0.5, size=shape[:-1])
    return (basis * values[..., None, :]) @ np.conj(basis.swapaxes(-1, -2))


@eigh_factors.samples
@eigvalsh.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(_spread_spectrum(rng, 3, 3))
    yield sample(_spread_spectrum(rng, 2, 5, 5))
    yield sample(_spread_spectrum(rng, 3, 3, complex=True))
    yield sample(_spread_spectrum(rng, 2, 2) + np.array([[0.0, 0.3], [-0.3, 0.0]]))  # not symmetric
    yield sample(np.zeros((0, 0)))
    yield sample(np.zeros((0, 3, 3)))
