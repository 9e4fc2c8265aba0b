"""The pseudo-inverse, the rank and least squares: what depends on which singular values count as 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._batching import batch_leading
from neo_array._bind import need_arrays
from neo_array._errors import ShapeError
from neo_array._info import finfo
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import ZeroDerivative
from neo_array.ops.arithmetic import stop_gradient
from neo_array.ops.casting import astype
from neo_array.ops.complex_parts import conj
from neo_array.ops.creation import full, zeros
from neo_array.ops.matrices import adjoint, columns, identity, lapack, need_floating, refuse_wrong, rounding
from neo_array.ops.reductions import max as max_
from neo_array.ops.reductions import sum as sum_
from neo_array.ops.shaping import broadcast_to, reshape
from neo_array.ops.singular import spread_singular_values, svdvals


# --- Pseudo-inverse ---
@primitive()
def pseudo_inverse(x: Array, rtol: Array, /) -> Array:
    """Invert matrices where they are invertible; `rtol` has one relative cutoff per matrix."""
    return bind(pseudo_inverse, x, rtol)


def _pinv(x: Any, rtol: Any) -> Any:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    largest = s.max(-1, keepdims=True) if s.shape[-1] else s
    kept = s > rtol[..., None] * largest
    inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(s.dtype)
    return np.conj(vh.swapaxes(-1, -2)) @ (inverse[..., None] * np.conj(u.swapaxes(-1, -2)))


@pseudo_inverse.kernel("numpy")
def _(x: Any, rtol: Any) -> Any:
    return _checked_pinv(x, rtol.astype(x.real.dtype, copy=False))


_checked_pinv = lapack(_pinv, finite=True)
pseudo_inverse.kernel("torch")("neo_array.backends.torch_kernels.linalg:pinv")
pseudo_inverse.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:pinv")


# G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
# variables separate" (1973), equation 4.12, for a rank that does not change:
# dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P
@pseudo_inverse.vjp("x")
def _(g: Array, x: Array, out: Array) -> Array:
    p, ph, gh = out, adjoint(out), g.mT
    total = -(ph @ adjoint(gh) @ ph)
    total = total + (identity(x.shape[-2], x) - x @ p) @ gh @ (p @ ph)
    total = total + (ph @ p) @ gh @ (identity(x.shape[-1], x) - p @ x)
    return conj(total)


@pseudo_inverse.jvp
def _(t: Array, _: Array | None, x: Array, out: Array) -> Array:
    p, ph, th = out, adjoint(out), adjoint(t)
    total = -(p @ t @ p) + (p @ ph) @ th @ (identity(x.shape[-2], x) - x @ p)
    return total + (identity(x.shape[-1], x) - p @ x) @ th @ (ph @ p)


pseudo_inverse.vjp(rtol=ZeroDerivative("a cutoff is a step"))
pseudo_inverse.batch(batch_leading(pseudo_inverse))


@pseudo_inverse.explain
def _(x: Array, rtol: Array, /) -> None:
    refuse_wrong("pinv", x, failure="LAPACK found no singular values")


def pinv(x: Array, /, *, rtol: float | Array | None = None) -> Array:
    """Return the Moore-Penrose pseudo-inverse. Shapes: (..., m, n) -> (..., n, m).

    Singular values up to `rtol` times the largest count as 0, in the derivative too, which is that for a rank that does
    not change.

    Args:
        rtol: the cutoff, one number or an array of shape (...); default: max(m, n) times the machine precision.

    Raises:
        LinAlgError: a matrix holds inf or nan.
    """
    need_arrays("pinv", x)
    refuse_wrong("pinv", x)
    cutoff = _cutoff("pinv", x, rtol)
    return pseudo_inverse(broadcast_to(x, (*cutoff.shape, *x.shape[-2:])), cutoff)


def _cutoff(name: str, x: Array, rtol: float | Array | None) -> Array:
    """Return one relative cutoff per matrix."""
    batch = x.shape[:-2]
    if type(rtol) is not Array:
        value = max(x.shape[-2:]) * rounding(x) if rtol is None else float(rtol)
        return full(batch, value, dtype=finfo(x.dtype).dtype, device=x.device)
    try:
        shape = np.broadcast_shapes(batch, rtol.shape)
    except ValueError:
        raise ShapeError(f"{name}: rtol of shape {rtol.shape} does not broadcast with the stack {batch}") from None
    return broadcast_to(rtol, shape)


# --- Rank ---
def matrix_rank(x: Array, /, *, rtol: float | Array | None = None) -> Array:
    """Count the singular values above `rtol` times the largest; the result is of int64, and has no derivative.

    Args:
        rtol: the cutoff, one number or an array of shape (...); default: max(m, n) times the machine precision.
    """
    need_floating("matrix_rank", x)
    values = svdvals(stop_gradient(x))
    cutoff = _cutoff("matrix_rank", x, rtol)
    if not values.shape[-1]:
        return zeros(cutoff.shape, dtype=_dtypes.int64, device=x.device)
    return sum_(values > columns(cutoff) * max_(values, axis=-1, keepdims=True), axis=-1)


# --- Least squares ---
def lstsq(x1: Array, x2: Array, /, *, rtol: float | Array | None = None) -> Array:
    """Return the solution of smallest norm among those that minimise the norm of x1 @ out - x2.

    It is pinv(x1) @ x2. Shapes: x1 (..., m, n); x2 (m,) or (..., m, k).
    """
    need_arrays("lstsq", x1, x2)
    dtype = _dtypes.result_type(x1, x2)
    if x2.ndim != 1:
        return pinv(astype(x1, dtype), rtol=rtol) @ astype(x2, dtype)
    out = pinv(astype(x1, dtype), rtol=rtol) @ astype(reshape(x2, (x2.shape[0], 1)), dtype)
    return reshape(out, out.shape[:-1])


# --- Shapes ---
pseudo_inverse.shape(lambda x, rtol: (*x[:-2], x[-1], x[-2]))


# --- Samples ---
@pseudo_inverse.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(spread_singular_values(rng, 3, 3), np.array(1e-6), wrt=(0,))
    yield sample(spread_singular_values(rng, 2, 5, 3), np.full(2, 1e-6), wrt=(0,))
    yield sample(spread_singular_values(rng, 3, 5), np.array(1e-6), wrt=(0,))
    yield sample(spread_singular_values(rng, 5, 3, complex=True), np.array(1e-6), wrt=(0,))
    yield sample(np.zeros((3, 0)), np.array(1e-6), wrt=(0,))
