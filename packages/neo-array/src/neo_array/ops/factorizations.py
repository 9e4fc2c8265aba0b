"""Factors of matrices by elimination and orthogonalisation: Cholesky and QR.

Derivatives: S. F. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with application in
optimum experimental design" (2010), and M. Seeger et al., "Auto-differentiating linear algebra" (2017); the complex
cases follow from the same differentials.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from neo_array._array import Array
from neo_array._batching import batch_leading
from neo_array._bind import need_arrays
from neo_array._described import Sizes, need, square
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.arithmetic import where
from neo_array.ops.casting import astype
from neo_array.ops.complex_parts import conj, real
from neo_array.ops.creation import zeros_like
from neo_array.ops.joining import concat
from neo_array.ops.matrices import (
    adjoint,
    diagonal_mask,
    explain_matrix,
    hermitian_part,
    is_complex,
    lapack,
    same_in_every_basis,
    triangle,
)
from neo_array.ops.solving import solve_triangular


# --- Cholesky ---
@primitive()
def cholesky_lower(x: Array, /) -> Array:
    """Return the lower triangular L with L L^H = (x + x^H) / 2."""
    return bind(cholesky_lower, x)


def _cholesky(x: Any) -> Any:
    return np.linalg.cholesky(0.5 * (x + np.conj(x.swapaxes(-1, -2))))


cholesky_lower.kernel("numpy")(lapack(_cholesky, finite=True))
cholesky_lower.kernel("torch")("neo_array.backends.torch_kernels.linalg:cholesky")
cholesky_lower.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:cholesky")
explain_matrix(
    cholesky_lower,
    "cholesky",
    square=True,
    failure="a matrix is not positive definite; add a multiple of the identity, or use eigh",
)


def _half(x: Array) -> Array:
    """Return the lower triangle, with half the diagonal."""
    return where(diagonal_mask(x), 0.5 * x, triangle(x, -1))


@cholesky_lower.vjp("x")
def _(g: Array, out: Array) -> Array:
    upper = adjoint(out)
    inner = solve_triangular(upper, _half(upper @ conj(g)), lower=False)
    return conj(hermitian_part(adjoint(solve_triangular(upper, adjoint(inner), lower=False))))


@cholesky_lower.jvp
def _(t: Array, out: Array) -> Array:
    inner = solve_triangular(out, hermitian_part(t), lower=True)
    return out @ _half(solve_triangular(out, adjoint(inner), lower=True))


cholesky_lower.batch(batch_leading(cholesky_lower))


def cholesky(x: Array, /, *, upper: bool = False) -> Array:
    """Factor Hermitian positive definite matrices: x = L L^H, or with `upper` x = U^H U.

    x is taken as (x + x^H) / 2, so that its derivative is Hermitian too. Shape: (..., n, n).

    Raises:
        LinAlgError: a matrix is not positive definite, or holds inf or nan.
    """
    need_arrays("cholesky", x)
    lower = cholesky_lower(x)
    return adjoint(lower) if upper else lower


# --- QR ---
class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangular matrix: x = Q R."""

    Q: Array
    R: Array


@primitive(multi=True)
def qr_tall(x: Array, /, *, complete: bool) -> tuple[Array, Array]:
    """Factor matrices with no fewer rows than columns; R has a diagonal of real numbers, none of them negative."""
    return bind(qr_tall, x, complete=complete)


def _qr(x: Any, *, complete: bool) -> tuple[Any, Any]:
    q, r = np.linalg.qr(x, "complete" if complete else "reduced")
    n = x.shape[-1]
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    size = np.abs(diagonal)
    phase = np.where(size == 0, 1, diagonal / np.where(size == 0, 1, size))
    r[..., :n, :] *= np.conj(phase)[..., None]
    q[..., :, :n] *= phase[..., None, :]
    return q, r


qr_tall.kernel("numpy")(lapack(_qr, finite=True))
qr_tall.kernel("torch")("neo_array.backends.torch_kernels.linalg:qr")
qr_tall.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:qr")
explain_matrix(qr_tall, "qr")
qr_tall.batch(batch_leading(qr_tall))


@qr_tall.vjp("x")
def _(g: tuple[Array | None, Array | None], out: tuple[Array, Array]) -> Array:
    g_q, g_r = (None if c is None else conj(c) for c in g)
    q, r = out
    n = r.shape[-1]
    q1, r1 = q[..., :n], r[..., :n, :]
    inner = outer = None
    if g_q is not None:
        inner, outer = adjoint(q1) @ g_q[..., :n], g_q[..., :n]
        if q.shape[-1] > n:
            rest = same_in_every_basis("qr", g_q[..., n:], q[..., n:])
            outer = outer - q[..., n:] @ (adjoint(rest) @ q1)
    if g_r is not None:
        k = g_r[..., :n, :] @ adjoint(r1)
        inner = -k if inner is None else inner - k
    assert inner is not None, "no cotangent arrived"
    above = triangle(inner, 1, upper=True)
    turned = q1 @ (above + adjoint(above) + _real_diagonal(inner))
    return conj(adjoint(solve_triangular(r1, adjoint(-turned if outer is None else outer - turned), lower=False)))


@qr_tall.jvp
def _(t: Array, out: tuple[Array, Array]) -> tuple[Array, Array]:
    q, r = out
    n = r.shape[-1]
    q1, r1 = q[..., :n], r[..., :n, :]
    t_over_r = adjoint(solve_triangular(adjoint(r1), adjoint(t), lower=True))
    c = adjoint(q1) @ t_over_r
    turn = triangle(c, -1)
    turn = turn - adjoint(turn)
    if is_complex(c):
        turn = turn + (triangle(triangle(c, 0), 0, upper=True) - _real_diagonal(c))
    t_q = t_over_r + q1 @ (turn - c)
    t_r = triangle((c - turn) @ r1, 0, upper=True)
    if q.shape[-1] > n:
        q2 = q[..., n:]
        t_q = concat([t_q, -(q1 @ (adjoint(t_over_r) @ q2))], axis=-1)
        t_r = concat([t_r, zeros_like(r[..., n:, :])], axis=-2)
    return t_q, t_r


def _real_diagonal(x: Array) -> Array:
    """Return the diagonal matrix of the real parts of x's diagonal, in x's dtype."""
    return where(diagonal_mask(x), astype(real(x), x.dtype), 0.0)


def qr(x: Array, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """Factor matrices: x = Q R, the columns of Q orthonormal, R upper triangular.

    The diagonal of R is real and not negative, which makes the factors of a matrix of full rank unique, and the same on
    every backend. Shapes, with k = min(m, n): (..., m, n) -> (..., m, k), (..., k, n); with mode="complete"
    (..., m, m), (..., m, n).

    The derivative needs the first k columns of x to be independent. The columns that "complete" adds are some basis of
    the orthogonal complement: a function of them has a derivative only if it does not depend on which.

    Raises:
        LinAlgError: x holds inf or nan; or, from the derivative, x has dependent columns, or the function depends on
            the choice of the columns that were added.
    """
    need_arrays("qr", x)
    if mode not in ("reduced", "complete"):
        raise ValueError(f'qr: mode must be "reduced" or "complete", got {mode!r}')
    if x.ndim < 2 or x.shape[-2] >= x.shape[-1]:
        return QRResult(*qr_tall(x, complete=mode == "complete"))
    m = x.shape[-2]
    q, r = qr_tall(x[..., :m], complete=False)
    return QRResult(q, concat([r, adjoint(q) @ x[..., m:]], axis=-1))


# --- Shapes ---
cholesky_lower.shape(square)


@qr_tall.shape
def _(x: Sizes, *, complete: bool) -> tuple[Sizes, Sizes]:
    *rest, m, n = x
    need(m >= n)
    k = m if complete else n
    return (*rest, m, k), (*rest, k, n)


# --- Samples ---
def positive_definite(rng: np.random.Generator, *shape: int, complex: bool = False) -> Any:
    """Draw well-conditioned Hermitian positive definite matrices."""
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if complex else 0)
    return x @ np.conj(x.swapaxes(-1, -2)) / shape[-1] + np.eye(shape[-1])


@cholesky_lower.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(positive_definite(rng, 3, 3))
    yield sample(positive_definite(rng, 2, 5, 5))
    yield sample(positive_definite(rng, 3, 3, complex=True))
    yield sample(positive_definite(rng, 2, 2) + np.array([[0.0, 0.3], [-0.3, 0.0]]))  # not symmetric
    yield sample(np.zeros((0, 0)))
    yield sample(np.zeros((0, 3, 3)))


@qr_tall.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 3)), complete=False)
    yield sample(rng.normal(size=(2, 5, 3)), complete=False)
    yield sample(rng.normal(size=(3, 3)), complete=True)
    yield sample(rng.normal(size=(5, 3)) + 1j * rng.normal(size=(5, 3)), complete=False)
    yield sample(rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2)), complete=True)
    yield sample(np.zeros((3, 0)), complete=False)
    yield sample(np.zeros((0, 3, 2)), complete=False)
