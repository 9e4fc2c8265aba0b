"""CuPy kernels for linear algebra: most are NumPy's, which dispatch, made to notice when the numbers fail.

CuPy looks at what cuSOLVER reports only if told to, since looking waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import cupy
import cupyx

from neo_array._bind import import_kernel
from neo_array._primitive import REGISTRY
from neo_array.ops.matrices import lapack


def _raising(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Run a kernel with cuSOLVER's errors raised, as NumPy raises LAPACK's."""

    @wraps(kernel)
    def call(*arrays: Any, **options: Any) -> Any:
        with cupyx.errstate(linalg="raise"):
            return kernel(*arrays, **options)

    return call


def _numpys(op: str) -> Callable[..., Any]:
    return _raising(import_kernel(REGISTRY[op].sources["numpy"]))


cholesky = _numpys("cholesky_lower")
qr = _numpys("qr_tall")
eigh = _numpys("eigh_factors")
eigvalsh = _numpys("eigvalsh")
svd = _numpys("svd_factors")
svdvals = _numpys("svdvals")
pinv = _numpys("pseudo_inverse")
cofactors = _numpys("cofactors")
cofactors_along = _numpys("cofactors_along")
inv = _numpys("inv")


def inner_product(a: Any, b: Any) -> Any:
    """Sum conj(a) * b over the last axis, half precision in float32; CuPy has no vecdot."""
    if a.dtype.kind == "b" or a.shape[-1] != b.shape[-1]:
        raise TypeError
    if a.dtype.itemsize == 2 and a.dtype.kind in "fV":
        return (a.astype(cupy.float32) * b.astype(cupy.float32)).sum(-1).astype(a.dtype)
    return (a.conj() * b).sum(-1, dtype=a.dtype)


# --- Systems ---
def _stacks(a: Any, b: Any) -> tuple[Any, Any]:
    """Broadcast the leading axes, which CuPy's functions do not."""
    if a.shape[-2:] != (b.shape[-2],) * 2:
        raise ValueError
    batch = cupy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return cupy.broadcast_to(a, (*batch, *a.shape[-2:])), cupy.broadcast_to(b, (*batch, *b.shape[-2:]))


@_raising
@lapack
def solve(a: Any, b: Any) -> Any:
    """Solve."""
    left, right = _stacks(a, b)
    return cupy.linalg.solve(left, right) if right.size else right.copy()


@lapack
def solve_triangular(a: Any, b: Any, *, lower: bool, unit_diagonal: bool) -> Any:
    """Solve with one triangle; CuPy divides by a 0 on the diagonal."""
    from cupyx.scipy.linalg import solve_triangular

    left, right = _stacks(a, b)
    if not unit_diagonal and bool((cupy.diagonal(a, 0, -2, -1) == 0).any()):
        raise ArithmeticError
    return solve_triangular(left, right, lower=lower, unit_diagonal=unit_diagonal) if right.size else right.copy()


# --- Determinants, exponential ---
@lapack
def slogdet(x: Any) -> Any:
    """Return sign and logarithm; nan where the determinant is."""
    sign, logabsdet = cupy.linalg.slogdet(x)
    return cupy.where(cupy.isnan(logabsdet), cupy.nan, sign).astype(x.dtype, copy=False), logabsdet


@lapack
def expm(x: Any) -> Any:
    """Return the exponentials, one by one."""
    from cupyx.scipy.linalg import expm

    if not x.size:
        return x.copy()
    matrices = x.reshape(-1, *x.shape[-2:])
    return cupy.stack([expm(matrix) for matrix in matrices]).reshape(x.shape)
