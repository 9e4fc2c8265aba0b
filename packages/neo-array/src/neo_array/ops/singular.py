"""Singular values and vectors.

Derivatives: J. Townsend, "Differentiating the singular value decomposition" (2016), written so that differences and
sums of singular values stand apart. With P = U^H dA V, and skew-Hermitian X = U^H dU, Y = V^H dV:

    dS = real(diag(P)),   X + Y = (P + P^H) / (s_j - s_i) off the diagonal,   X - Y = (P - P^H) / (s_j + s_i).

The imaginary diagonal of X + Y is the turning of the phases, which follows from how they are chosen. What the vectors
lie outside the columns of U has (1 - U U^H) dU = (1 - U U^H) dA V / s; V likewise with dA^H.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from neo_array._array import Array
from neo_array._batching import batch_leading
from neo_array._bind import need_arrays
from neo_array._described import Sizes
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.arithmetic import where
from neo_array.ops.complex_parts import conj, imag, real
from neo_array.ops.creation import zeros_like
from neo_array.ops.degeneracy import (
    coinciding,
    needs_phase,
    negligible,
    pairs,
    phases,
    reciprocal,
    touched,
    turning,
    unturned,
)
from neo_array.ops.joining import concat
from neo_array.ops.matrices import (
    adjoint,
    columns,
    diagonal_mask,
    diagonal_part,
    explain_matrix,
    from_diagonal,
    is_complex,
    lapack,
    refuse,
    rows,
    same_in_every_basis,
)
from neo_array.ops.reductions import any as any_

_REPEATED: Final = (
    "svd: the derivative of singular vectors whose singular values repeat, or are 0, does not exist: they are any "
    "basis of a space; use the singular values alone (svdvals), or add something that tells them apart"
)
Cotangents = tuple[Array | None, Array | None, Array | None]
Factors = tuple[Array, Array, Array]


class SVDResult(NamedTuple):
    """Left singular vectors as columns, singular values in descending order, right ones as conjugated rows."""

    U: Array
    S: Array
    Vh: Array


@primitive(multi=True)
def svd_factors(x: Array, /, *, full_matrices: bool) -> Factors:
    """Return the singular vectors and values."""
    return bind(svd_factors, x, full_matrices=full_matrices)


@primitive()
def svdvals(x: Array, /) -> Array:
    """Return the singular values of matrices, in descending order. Shapes: (..., m, n) -> (..., min(m, n)).

    Where they repeat, only functions that treat them alike, as their sum does, have a derivative, and get the right
    one; that of a singular value 0 is one of its subgradients.

    Raises:
        LinAlgError: a matrix holds inf or nan.
    """
    return bind(svdvals, x)


def _svd(x: Any, *, full_matrices: bool) -> tuple[Any, Any, Any]:
    u, s, vh = np.linalg.svd(x, full_matrices)
    k = s.shape[-1]
    turned = phases(u[..., :k])
    u[..., :k] *= np.conj(turned)
    vh[..., :k, :] *= turned.swapaxes(-1, -2)
    return u, s, vh


svd_factors.kernel("numpy")(lapack(_svd, finite=True))
svdvals.kernel("numpy")(lapack(lambda x: np.linalg.svd(x, compute_uv=False), finite=True))
svd_factors.kernel("torch")("neo_array.backends.torch_kernels.linalg:svd")
svd_factors.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:svd")
svdvals.kernel("torch")("neo_array.backends.torch_kernels.linalg:svdvals")
svdvals.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:svdvals")
explain_matrix(svd_factors, "svd", failure="LAPACK found no singular values")
explain_matrix(svdvals, "svdvals", failure="LAPACK found no singular values")
svd_factors.batch(batch_leading(svd_factors))
svdvals.batch(batch_leading(svdvals))


@svdvals.vjp("x")
def _(g: Array, x: Array) -> Array:
    u, _, vh = svd_factors(x, full_matrices=False)
    return conj((u * rows(g)) @ vh)


@svdvals.jvp
def _(t: Array, x: Array) -> Array:
    u, _, vh = svd_factors(x, full_matrices=False)
    return real(diagonal_part(adjoint(u) @ t @ adjoint(vh)))


@svd_factors.vjp("x")
def _(g: Cotangents, out: Factors) -> Array:
    (g_u, g_s, g_vh), (u, s, vh) = g, out
    k = s.shape[-1]
    u1, v1 = u[..., :k], adjoint(vh[..., :k, :])
    if g_u is None and g_vh is None:
        assert g_s is not None, "no cotangent arrived"
        return conj((u1 * rows(g_s)) @ adjoint(v1))
    g_u, g_v = zeros_like(u) if g_u is None else conj(g_u), zeros_like(vh.mT) if g_vh is None else g_vh.mT
    g_u1, g_v1 = g_u[..., :k], g_v[..., :k]
    if needs_phase(u1):
        turned = imag(diagonal_part(adjoint(u1) @ g_u1 + adjoint(v1) @ g_v1))
        g_u1 = unturned(g_u1, u1, turned)

    same, none = _degenerate(u, s, vh)
    moved = touched(g_u1) | touched(g_v1)
    wrong = pairs(same, moved)
    rest_u, rest_v = _beyond(u, u1, g_u), _beyond(adjoint(vh), v1, g_v)
    square = u1.shape[-2] == v1.shape[-2]
    if is_complex(u) or not square:
        wrong = wrong | any_(none & moved, axis=-1)
    for rest in (rest_u, rest_v):
        if rest is not None:
            wrong = wrong | (any_(none, axis=-1) & any_(rest != 0, axis=(-2, -1)))
    g_u1 = refuse(g_u1, wrong, message=_REPEATED)

    # the transposes of the lines in jvp
    k_u, k_v = adjoint(u1) @ g_u1, adjoint(v1) @ g_v1
    both, between = 0.5 * (k_u + k_v), 0.5 * (k_u - k_v)
    gaps, sums = _weights(s, same, none)
    inner = gaps * (both - adjoint(both)) + sums * (between - adjoint(between))
    if g_s is not None:
        inner = inner + from_diagonal(g_s)
    total = u1 @ inner @ adjoint(v1)
    over = rows(reciprocal(s, none))
    if u1.shape[-2] > k:
        left = g_u1 - u1 @ k_u
        total = total + ((left if rest_u is None else left - rest_u) * over) @ adjoint(v1)
    if v1.shape[-2] > k:
        right = g_v1 - v1 @ k_v
        total = total + (u1 * over) @ adjoint(right if rest_v is None else right - rest_v)
    return conj(total)


def _beyond(basis: Array, first: Array, g: Array) -> Array | None:
    """Return what the cotangent of the columns beyond the first k adds to theirs, or None if there are no more."""
    k = first.shape[-1]
    if basis.shape[-1] == k:
        return None
    return basis[..., k:] @ adjoint(adjoint(first) @ same_in_every_basis("svd", g[..., k:], basis[..., k:]))


def _degenerate(u: Array, s: Array, vh: Array) -> tuple[Array, Array]:
    """Return which pairs of singular values are the same, and which values are 0, but for rounding."""
    size = max(u.shape[-2], vh.shape[-1])
    return coinciding(s, size), s <= negligible(s, size)


def _weights(s: Array, same: Array, none: Array) -> tuple[Array, Array]:
    """Return 1 / (s_j - s_i) off the diagonal, and 1 / (s_j + s_i); 0 where there is no such number."""
    diagonal = diagonal_mask(same)
    return (
        reciprocal(rows(s) - columns(s), same | diagonal),
        reciprocal(rows(s) + columns(s), rows(none) & columns(none)),
    )


@svd_factors.jvp
def _(t: Array, out: Factors) -> Factors:
    u, s, vh = out
    k = s.shape[-1]
    v = adjoint(vh)
    u1, v1 = u[..., :k], v[..., :k]
    same, none = _degenerate(u, s, vh)
    gaps, sums = _weights(s, same, none)
    p = adjoint(u1) @ t @ v1
    nan = float("nan")
    both = where(same, nan, gaps) * (p + adjoint(p))
    between = where(same & rows(none) & columns(none), nan, sums) * (p - adjoint(p))
    t_u, t_v = u1 @ (0.5 * (both + between)), v1 @ (0.5 * (both - between))
    over = rows(where(none, nan, reciprocal(s, none)))
    if u1.shape[-2] > k:
        t_u = t_u + (t @ v1 - u1 @ p) * over
    if v1.shape[-2] > k:
        t_v = t_v + (adjoint(t) @ u1 - v1 @ adjoint(p)) * over
    if needs_phase(u1):
        angle = rows(turning(t_u, u1))
        t_u, t_v = t_u + 1j * u1 * angle, t_v + 1j * v1 * angle
    if u.shape[-1] > k:
        u2 = u[..., k:]
        t_u = concat([t_u, -((u1 * over) @ (adjoint(v1) @ adjoint(t) @ u2))], axis=-1)
    if v.shape[-1] > k:
        v2 = v[..., k:]
        t_v = concat([t_v, -((v1 * over) @ (adjoint(u1) @ t @ v2))], axis=-1)
    return t_u, real(diagonal_part(p)), adjoint(t_v)


def svd(x: Array, /, *, full_matrices: bool = True) -> SVDResult:
    """Return the singular value decomposition: x = U diag(S) Vh, with orthonormal columns of U and rows of Vh.

    The singular values descend. In each of the first min(m, n) columns of U the first component of at least 0.55 times
    the largest modulus is real and positive, so that they, and Vh's rows, are the same on every backend. Shapes, with
    k = min(m, n): (..., m, n) -> (..., m, k), (..., k), (..., k, n); with `full_matrices` (..., m, m), (..., k),
    (..., n, n). What is added then is some basis of the orthogonal complement.

    Where singular values repeat (but for rounding), or are 0, their vectors have no derivative: reverse mode raises if
    one is asked for, in forward mode it is nan. So does a function that depends on which basis of the complement was
    chosen. Functions of other vectors, or of the singular values alone, are not touched.

    Raises:
        LinAlgError: a matrix holds inf or nan; or a derivative does not exist.
    """
    need_arrays("svd", x)
    return SVDResult(*svd_factors(x, full_matrices=full_matrices))


# --- Shapes ---
svdvals.shape(lambda x: (*x[:-2], min(x[-2:])))


@svd_factors.shape
def _(x: Sizes, *, full_matrices: bool) -> tuple[Sizes, Sizes, Sizes]:
    *rest, m, n = x
    k = min(m, n)
    rows, columns = (m, n) if full_matrices else (k, k)
    return (*rest, m, rows), (*rest, k), (*rest, columns, n)


# --- Samples ---
def spread_singular_values(rng: np.random.Generator, *shape: int, complex: bool = False) -> Any:
    """Draw matrices whose singular values are well apart and not small."""
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if complex else 0)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return (u * np.linspace(3, 1, s.shape[-1])) @ vh


@svd_factors.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(spread_singular_values(rng, 3, 3), full_matrices=True)
    yield sample(spread_singular_values(rng, 2, 5, 3), full_matrices=False)
    yield sample(spread_singular_values(rng, 3, 5), full_matrices=False)
    yield sample(spread_singular_values(rng, 3, 3, complex=True), full_matrices=True)
    yield sample(spread_singular_values(rng, 5, 2, complex=True), full_matrices=False)
    yield sample(spread_singular_values(rng, 2, 3, complex=True), full_matrices=False)
    yield sample(np.zeros((3, 0)), full_matrices=False)
    yield sample(np.zeros((0, 2, 3)), full_matrices=False)


@svdvals.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(spread_singular_values(rng, 3, 3))
    yield sample(spread_singular_values(rng, 2, 5, 3))
    yield sample(spread_singular_values(rng, 3, 5, complex=True))
    yield sample(np.zeros((3, 0)))
