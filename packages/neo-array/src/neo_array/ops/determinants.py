"""Determinants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from neo_array._array import Array
from neo_array._batching import batch_leading
from neo_array._bind import need_arrays
from neo_array._described import square
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.casting import astype
from neo_array.ops.complex_parts import imag, real
from neo_array.ops.creation import zeros_like
from neo_array.ops.matrices import columns, diagonal_part, explain_matrix, is_complex, lapack
from neo_array.ops.reductions import sum as sum_
from neo_array.ops.solving import inv, well_conditioned


# --- Determinant ---
@primitive()
def det(x: Array, /) -> Array:
    """Return the determinants of square matrices. Shapes: (..., n, n) -> (...).

    The first and the second derivative are right for singular matrices too; the third is computed for invertible ones,
    and raises LinAlgError for others.
    """
    return bind(det, x)


@primitive()
def cofactors(x: Array, /) -> Array:
    """Return the derivative of `det`: det(x) times the inverse's transpose, and its limit where x is singular."""
    return bind(cofactors, x)


@primitive(promote=("x", "t"))
def cofactors_along(x: Array, t: Array, /) -> Array:
    """Return the derivative of `cofactors` at x along t; summed with some g it is symmetric in g and t."""
    return bind(cofactors_along, x, t)


# With x = U S Vh and the cofactors of a unitary matrix, det(U) conj(U), those of x are
# det(U) det(Vh) conj(U) c conj(Vh), where c are the cofactors of S: products of all other singular values. Along T,
# the cofactors of S change by the sum over j of p_ij T_jj on the diagonal, and by -p_ij T_ji beside it, where p_ij is
# the product of all singular values but the i-th and the j-th.
def _cofactors(x: Any) -> Any:
    u, s, vh = np.linalg.svd(x)
    return (np.conj(u) * (_sign(u, vh) * _products_of_others(s))[..., None, :]) @ np.conj(vh)


def _cofactors_along(x: Any, t: Any) -> Any:
    u, s, vh = np.linalg.svd(x)
    eye = np.diag(np.ones_like(s, dtype=bool, shape=s.shape[-1:]))
    # the product of all singular values but the i-th and the j-th
    products = np.where(eye, 0, _products_of_others(np.where(eye, 1, s[..., None, :])))
    turned = np.conj(u.swapaxes(-1, -2)) @ t @ np.conj(vh.swapaxes(-1, -2))
    traces = (products @ np.diagonal(turned, axis1=-2, axis2=-1)[..., None]) * eye
    inner = _sign(u, vh)[..., None] * (traces - products * turned.swapaxes(-1, -2))
    return np.conj(u) @ inner @ np.conj(vh)


def _sign(u: Any, vh: Any) -> Any:
    return (np.linalg.det(u) * np.linalg.det(vh))[..., None]


def _products_of_others(s: Any) -> Any:
    """Return for each element along the last axis the product of all others."""
    if not s.size:  # CuPy does not accumulate nothing
        return np.ones_like(s)
    ones = np.ones_like(s, shape=(*s.shape[:-1], 1))
    before = np.cumprod(np.concatenate([ones, s], -1), -1)[..., :-1]
    after = np.cumprod(np.concatenate([ones, s[..., ::-1]], -1), -1)[..., :-1]
    return before * after[..., ::-1]


det.kernel("numpy")(lapack(np.linalg.det))
det.kernel("torch")("neo_array.backends.torch_kernels.linalg:det")
cofactors.kernel("numpy")(lapack(_cofactors, finite=True))
cofactors.kernel("torch")("neo_array.backends.torch_kernels.linalg:cofactors")
cofactors.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:cofactors")
cofactors_along.kernel("numpy")(lapack(_cofactors_along, finite=True))
cofactors_along.kernel("torch")("neo_array.backends.torch_kernels.linalg:cofactors_along")
cofactors_along.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:cofactors_along")
explain_matrix(det, "det", square=True)
for _op in (cofactors, cofactors_along):
    explain_matrix(_op, "det", square=True, failure="LAPACK found no singular values for the derivative")
for _op in (det, cofactors, cofactors_along):
    _op.batch(batch_leading(_op))


@det.vjp("x")
def _(g: Array, x: Array) -> Array:
    return columns(columns(g)) * cofactors(x)


@det.jvp
def _(t: Array, x: Array) -> Array:
    return sum_(cofactors(x) * t, axis=(-2, -1))


cofactors.vjp(x=lambda g, x: cofactors_along(x, g))
cofactors.jvp(lambda t, x: cofactors_along(x, t))


# With B = x^-1 and Y = det(x) B^T, this op is tr(B t) Y - Y t^T B^T; what follows is the derivative of that.
@cofactors_along.vjp("x")
def _(g: Array, x: Array, t: Array) -> Array:
    b, y = inv(x), cofactors(x)
    weight = columns(columns(sum_(g * y, axis=(-2, -1))))
    trace = columns(columns(diagonal_sum(b @ t)))
    inverses = b @ t @ y.mT @ g @ b - weight * (b @ t @ b)
    return inverses.mT + cofactors_along(x, trace * g - g @ b @ t)


@cofactors_along.vjp("t")
def _(g: Array, x: Array) -> Array:
    return cofactors_along(x, g)


@cofactors_along.jvp
def _(t_x: Array | None, t_t: Array | None, x: Array, t: Array) -> Array:
    along = None if t_t is None else cofactors_along(x, t_t)
    if t_x is None:
        assert along is not None, "no tangent arrived"
        return along
    b, y = inv(x), cofactors(x)
    moved = b @ t_x
    change = cofactors_along(x, t_x)
    out = columns(columns(diagonal_sum(b @ t))) * change - columns(columns(diagonal_sum(moved @ b @ t))) * y
    out = out - change @ t.mT @ b.mT + y @ t.mT @ (moved @ b).mT
    return out if along is None else out + along


def diagonal_sum(x: Array) -> Array:
    """Return the sums of the diagonals."""
    return sum_(diagonal_part(x), axis=-1)


# --- Sign and logarithm ---
class SlogdetResult(NamedTuple):
    """The determinant's sign (or phase), and the logarithm of its modulus."""

    sign: Array
    logabsdet: Array


@primitive(multi=True)
def slogdet_parts(x: Array, /) -> tuple[Array, Array]:
    """Return the determinants' signs and the logarithms of their moduli."""
    return bind(slogdet_parts, x)


@lapack
def _slogdet(x: Any) -> tuple[Any, Any]:
    sign, logabsdet = np.linalg.slogdet(x)
    return np.asarray(np.where(np.isnan(logabsdet), np.nan, sign).astype(x.dtype)), np.asarray(logabsdet)


slogdet_parts.kernel("numpy")(_slogdet)
slogdet_parts.kernel("torch")("neo_array.backends.torch_kernels.linalg:slogdet")
slogdet_parts.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:slogdet")
explain_matrix(slogdet_parts, "slogdet", square=True)
slogdet_parts.batch(batch_leading(slogdet_parts))


# With w = tr(x^-1 dx): d(logabsdet) = real(w), d(sign) = i sign imag(w).
@slogdet_parts.vjp("x")
def _(g: tuple[Array | None, Array | None], x: Array, out: tuple[Array, Array]) -> Array:
    (g_sign, g_log), sign = g, out[0]
    weight = zeros_like(sign) if g_log is None else astype(g_log, x.dtype)
    if g_sign is not None and is_complex(x):
        weight = weight + 1j * imag(g_sign * sign)
    return columns(columns(weight)) * inv(x).mT


@slogdet_parts.jvp
def _(t: Array, x: Array, out: tuple[Array, Array]) -> tuple[Array, Array]:
    w = diagonal_sum(inv(x) @ t)
    return 1j * out[0] * imag(w) if is_complex(x) else zeros_like(w), real(w)


def slogdet(x: Array, /) -> SlogdetResult:
    """Return the determinants' signs and the logarithms of their moduli, which overflow much later than `det`.

    A singular matrix has sign 0 and logarithm -inf; its derivative raises LinAlgError. Shapes: (..., n, n) -> (...).
    """
    need_arrays("slogdet", x)
    return SlogdetResult(*slogdet_parts(x))


# --- Shapes ---
det.shape(lambda x: square(x)[:-2])
cofactors.shape(square)
cofactors_along.shape(square)
slogdet_parts.shape(lambda x: (square(x)[:-2], x[:-2]))


# --- Samples ---
@det.samples
@cofactors.samples
@slogdet_parts.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(well_conditioned(rng, 3, 3))
    yield sample(-well_conditioned(rng, 2, 3, 3))
    yield sample(well_conditioned(rng, 2, 4, 4, complex=True))
    yield sample(well_conditioned(rng, 1, 1))
    yield sample(np.zeros((0, 0)))
    yield sample(np.zeros((0, 3, 3)))


@cofactors_along.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(well_conditioned(rng, 3, 3), rng.normal(size=(3, 3)))
    yield sample(well_conditioned(rng, 2, 2, 2, complex=True), rng.normal(size=(2, 2, 2)) + 0.5j)
    yield sample(well_conditioned(rng, 1, 1), rng.normal(size=(1, 1)))
