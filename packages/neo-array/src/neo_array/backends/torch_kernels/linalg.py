"""Torch kernels for linear algebra.

A failure of the numbers is an ArithmeticError, as on every backend; the op's `explain` says which.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from neo_array.ops.degeneracy import ANCHOR


def matmul(a: Any, b: Any) -> Any:
    """Multiply matrices; torch takes booleans where nothing is to be summed."""
    if a.dtype is torch.bool:
        raise TypeError
    return a @ b


def inner_product(a: Any, b: Any) -> Any:
    """Sum conj(a) * b over the last axis; half precision in float32, as a product of matrices would."""
    if a.dtype is torch.bool or a.shape[-1] != b.shape[-1]:
        raise TypeError
    if a.dtype in (torch.float16, torch.bfloat16):
        return torch.linalg.vecdot(a.float(), b.float()).to(a.dtype)
    if not (a.is_floating_point() or a.is_complex()):
        return (a * b).sum(-1, dtype=a.dtype)
    return torch.linalg.vecdot(a, b)


def _lapack(*, finite: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Accept single and double precision only, and tell failures of the numbers from others."""

    def wrap(f: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(f)
        def kernel(*arrays: Any, **options: Any) -> Any:
            for x in arrays:
                if x.itemsize < 4 or not (x.is_floating_point() or x.is_complex()):
                    raise TypeError
                if finite and not torch.isfinite(x).all():
                    raise ArithmeticError
            try:
                return f(*arrays, **options)
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # documented, but not declared
                raise ArithmeticError from error

        return kernel

    return wrap


# --- Factors ---
@_lapack(finite=True)
def cholesky(x: Any) -> Any:
    """Factor the Hermitian part."""
    return torch.linalg.cholesky(_hermitian(x))


@_lapack(finite=True)
def qr(x: Any, *, complete: bool) -> Any:
    """Factor, with a diagonal of R that is not negative."""
    q, r = torch.linalg.qr(x, "complete" if complete else "reduced")
    n = x.shape[-1]
    phase = _phase(r.diagonal(dim1=-2, dim2=-1))
    r[..., :n, :] *= phase.conj()[..., None]
    q[..., :, :n] *= phase[..., None, :]
    return q, r


@_lapack(finite=True)
def eigh(x: Any) -> Any:
    """Return eigenvalues and anchored eigenvectors of the Hermitian part."""
    values, vectors = torch.linalg.eigh(_hermitian(x))
    return values, vectors * _phases(vectors).conj_physical()


@_lapack(finite=True)
def eigvalsh(x: Any) -> Any:
    """Return the eigenvalues of the Hermitian part."""
    return torch.linalg.eigvalsh(_hermitian(x))


@_lapack(finite=True)
def svd(x: Any, *, full_matrices: bool) -> Any:
    """Return singular values and anchored singular vectors."""
    u, s, vh = torch.linalg.svd(x, full_matrices)
    k = s.shape[-1]
    turned = _phases(u[..., :k])
    u[..., :k] *= turned.conj()
    vh[..., :k, :] *= turned.mT
    return u, s, vh


@_lapack(finite=True)
def svdvals(x: Any) -> Any:
    """Return the singular values."""
    return torch.linalg.svdvals(x)


def _hermitian(x: Any) -> Any:
    return 0.5 * (x + x.mH)


def _phase(x: Any) -> Any:
    size = x.abs()
    return torch.where(size == 0, 1, x / torch.where(size == 0, 1, size))


def _phases(vectors: Any) -> Any:
    """Return the phases of the anchors of column vectors, as a row."""
    if not vectors.numel():
        return vectors.new_ones((*vectors.shape[:-2], 1, vectors.shape[-1]))
    size = vectors.abs()
    place = (size >= ANCHOR * size.amax(-2, keepdim=True)).to(torch.uint8).argmax(-2, keepdim=True)
    return _phase(vectors.gather(-2, place))


# --- Systems ---
@_lapack()
def inv(x: Any) -> Any:
    """Invert."""
    return torch.linalg.inv(x)


@_lapack()
def solve(a: Any, b: Any) -> Any:
    """Solve; where b has fewer axes, torch might take it for a stack of vectors."""
    return torch.linalg.solve(a, b.reshape((1,) * (a.ndim - b.ndim) + b.shape))


@_lapack()
def solve_triangular(a: Any, b: Any, *, lower: bool, unit_diagonal: bool) -> Any:
    """Solve with one triangle; torch divides by a 0 on the diagonal."""
    if not unit_diagonal and a.shape[-1] == a.shape[-2] and (a.diagonal(dim1=-2, dim2=-1) == 0).any():
        raise ArithmeticError
    return torch.linalg.solve_triangular(a, b, upper=not lower, unitriangular=unit_diagonal)


@_lapack(finite=True)
def pinv(x: Any, rtol: Any) -> Any:
    """Invert what is invertible."""
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    largest = s.amax(-1, keepdim=True) if s.shape[-1] else s
    kept = s > rtol.to(s.dtype)[..., None] * largest
    inverse = torch.where(kept, 1 / torch.where(kept, s, 1), 0)
    return vh.mH @ (inverse[..., None] * u.mH)


# --- Determinants, exponential ---
@_lapack()
def det(x: Any) -> Any:
    """Return the determinants."""
    return torch.linalg.det(x)


# `ops.determinants` says why these are what they are
@_lapack(finite=True)
def cofactors(x: Any) -> Any:
    """Return the cofactors, from the singular value decomposition."""
    u, s, vh = torch.linalg.svd(x)
    return ((u.conj() * (_sign(u, vh) * _products_of_others(s))[..., None, :]) @ vh.conj()).resolve_conj()


@_lapack(finite=True)
def cofactors_along(x: Any, t: Any) -> Any:
    """Return the derivative of the cofactors along t."""
    u, s, vh = torch.linalg.svd(x)
    eye = torch.eye(s.shape[-1], dtype=torch.bool, device=s.device)
    products = torch.where(eye, 0, _products_of_others(torch.where(eye, 1, s[..., None, :]))).to(x.dtype)
    turned = u.mH @ t @ vh.mH
    traces = (products @ turned.diagonal(dim1=-2, dim2=-1)[..., None]) * eye
    inner = _sign(u, vh)[..., None] * (traces - products * turned.mT)
    return (u.conj() @ inner @ vh.conj()).resolve_conj()


def _sign(u: Any, vh: Any) -> Any:
    return (torch.linalg.det(u) * torch.linalg.det(vh))[..., None]


def _products_of_others(s: Any) -> Any:
    ones = s.new_ones((*s.shape[:-1], 1))
    before = torch.cat([ones, s], -1).cumprod(-1)[..., :-1]
    return before * torch.cat([ones, s.flip(-1)], -1).cumprod(-1)[..., :-1].flip(-1)


@_lapack()
def slogdet(x: Any) -> Any:
    """Return sign and logarithm; nan where the determinant is."""
    sign, logabsdet = torch.linalg.slogdet(x)
    return torch.where(torch.isnan(logabsdet), torch.nan, sign).to(x.dtype), logabsdet


@_lapack()
def expm(x: Any) -> Any:
    """Return the exponentials."""
    return torch.linalg.matrix_exp(x.contiguous())  # it views stacks as one axis
