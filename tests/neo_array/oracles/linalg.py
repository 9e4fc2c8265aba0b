"""Linear algebra by other algorithms: elimination and recursion in plain Python, and LAPACK's older drivers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from tests.neo_array.oracles.core import Oracle


def stacked(f: Callable[..., Any], outputs: int = 1) -> Oracle:
    """Apply a function of matrices to each of a stack; `outputs` over 1: it returns a tuple."""

    def apply(*arrays: Any, **options: Any) -> Any:
        batch = np.broadcast_shapes(*(a.shape[:-2] for a in arrays))
        full = [np.broadcast_to(a, (*batch, *a.shape[-2:])) for a in arrays]
        # a stack of none still has to say what its results' shapes are
        empty = 0 in batch
        calls = [[np.eye(*a.shape[-2:]) for a in full]] if empty else [[a[i] for a in full] for i in np.ndindex(batch)]
        found = [f(*arguments, **options) for arguments in calls]
        columns = list(zip(*found, strict=True)) if outputs > 1 else [found]
        shapes = [(*batch, *np.shape(c[0])) for c in columns]
        out = tuple(np.zeros(n) if empty else np.reshape(c, n) for c, n in zip(columns, shapes, strict=True))
        return out if outputs > 1 else out[0]

    return apply


def solve(a: Any, b: Any) -> Any:
    """Eliminate as Gauss and Jordan, with pivots."""
    n = len(a)
    table = np.concatenate([a, b], axis=1, dtype=np.result_type(a, b))
    for i in range(n):
        pivot = i + int(np.argmax(abs(table[i:, i])))
        table[[i, pivot]] = table[[pivot, i]]
        table[i] /= table[i, i]
        for j in range(n):
            if j != i:
                table[j] -= table[j, i] * table[i]
    return table[:, n:]


def solve_triangular(a: Any, b: Any, *, lower: bool, unit_diagonal: bool) -> Any:
    kept = np.tril(a) if lower else np.triu(a)
    return solve(kept - np.diag(np.diag(kept)) + np.eye(len(a)) if unit_diagonal else kept, b)


def det(a: Any) -> Any:
    """Sum over permutations."""
    n, total = len(a), 0
    for order in itertools.permutations(range(n)):
        swaps = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
        total = total + (-1) ** swaps * math.prod(a[i, order[i]] for i in range(n))
    return np.asarray(total, a.dtype)


def cofactors(a: Any) -> Any:
    out = np.empty_like(a)
    for i, j in np.ndindex(a.shape):
        out[i, j] = (-1) ** (i + j) * det(np.delete(np.delete(a, i, 0), j, 1))
    return out


def cofactors_along(a: Any, t: Any) -> Any:
    """Take minors of minors: the determinant's second derivative, element by element."""
    n, out = len(a), np.zeros(a.shape, np.result_type(a, t))
    for i, j in np.ndindex(a.shape):
        rows, columns = [k for k in range(n) if k != i], [k for k in range(n) if k != j]
        inner = cofactors(a[np.ix_(rows, columns)])
        out[i, j] = (-1) ** (i + j) * np.sum(inner * t[np.ix_(rows, columns)])
    return out


def slogdet(a: Any) -> Any:
    value = det(a)
    return value / abs(value), np.log(abs(value))


def cholesky(a: Any) -> Any:
    """Fill row by row."""
    a = (a + np.conj(a.T)) / 2
    out = np.zeros_like(a)
    for i in range(len(a)):
        for j in range(i + 1):
            rest = a[i, j] - sum(out[i, k] * np.conj(out[j, k]) for k in range(j))
            out[i, j] = np.sqrt(rest) if i == j else rest / out[j, j]
    return out


def qr(a: Any, *, complete: bool) -> Any:
    """Orthogonalise as Gram and Schmidt, twice."""
    m, n = a.shape
    assert m == n or not complete, "the added columns are not unique"
    q, r = np.zeros_like(a), np.zeros((n, n), a.dtype)
    for j in range(n):
        v = a[:, j].copy()
        for _ in range(2):
            for i in range(j):
                share = np.vdot(q[:, i], v)
                r[i, j] += share
                v -= share * q[:, i]
        r[j, j] = np.sqrt(np.vdot(v, v).real)
        q[:, j] = v / r[j, j]
    return q, r


def phase(vector: Any) -> Any:
    """Return the phase of a vector's first component that is at least 0.55 times as large as its largest one."""
    most = max(abs(e) for e in vector)
    first = next(e for e in vector if abs(e) >= 0.55 * most)
    return first / abs(first)


def eigh(a: Any) -> Any:
    if not a.size:
        return np.zeros(len(a)), a
    values, vectors = scipy.linalg.eigh((a + np.conj(a.T)) / 2, driver="ev")
    return values, np.stack([v / phase(v) for v in vectors.T], axis=1)


def svd(a: Any, *, full_matrices: bool) -> Any:
    m, n = a.shape
    assert m == n or not full_matrices, "the added columns are not unique"
    if not a.size:
        k = min(m, n)
        return np.zeros((m, k)), np.zeros(k), np.zeros((k, n))
    u, s, vh = scipy.linalg.svd(a, full_matrices=False, lapack_driver="gesvd")
    turned = np.array([phase(v) for v in u.T])
    return u / turned, s, vh * turned[:, None]


def pseudo_inverse(a: Any, rtol: Any) -> Any:
    """Solve the normal equations of the smaller side: the samples have full rank."""
    ah = np.conj(a.T)
    if a.shape[0] >= a.shape[1]:
        return solve(ah @ a, ah)
    return np.conj(solve(a @ ah, a).T)


def expm(a: Any) -> Any:
    """Sum the series of a / 2^10 in extended precision, and square ten times."""
    wide = a.astype(np.clongdouble if a.dtype.kind == "c" else np.longdouble) / 2**10
    total = term = np.eye(len(a), dtype=wide.dtype)
    for k in range(1, 25):
        term = term @ wide / k
        total = total + term
    for _ in range(10):
        total = total @ total
    return total.astype(a.dtype)


def euclidean_norm(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    kept = [i for i in range(x.ndim) if i not in axis]
    shape = [x.shape[i] for i in kept]
    table = x.transpose(kept + list(axis)).reshape(math.prod(shape), math.prod(x.shape[i] for i in axis))
    out = np.array([math.hypot(*abs(row).tolist()) for row in table]).reshape(shape)
    return np.expand_dims(out, axis) if keepdims else out


ORACLES: dict[str, Oracle] = {
    "refuse": lambda x, condition, *, message: x,
    "inner_product": lambda a, b: np.einsum("...i,...i->...", np.conj(a), b),
    "reduce_norm": euclidean_norm,
    # --- Systems and determinants ---
    "inv": stacked(lambda a: solve(a, np.eye(len(a)))),
    "solve_matrix": stacked(solve),
    "solve_triangular_matrix": stacked(solve_triangular),
    "det": stacked(det),
    "cofactors": stacked(cofactors),
    "cofactors_along": stacked(cofactors_along),
    "slogdet_parts": stacked(slogdet, 2),
    # --- Factors ---
    "cholesky_lower": stacked(cholesky),
    "qr_tall": stacked(qr, 2),
    "eigh_factors": stacked(eigh, 2),
    "eigvalsh": stacked(lambda a: eigh(a)[0]),
    "svd_factors": stacked(svd, 3),
    "svdvals": stacked(lambda a: svd(a, full_matrices=False)[1]),
    "pseudo_inverse": lambda a, rtol: stacked(pseudo_inverse)(a, rtol.reshape((*rtol.shape, 1, 1))),
    "expm": stacked(expm),
}
NO_HALF = ORACLES.keys() - {"refuse", "inner_product", "reduce_norm"}
# Other examples for a batch are these matrices times a number: shuffled, they would lose what makes them regular.
SCALED = set(NO_HALF)
