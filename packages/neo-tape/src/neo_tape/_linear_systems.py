"""Solving a linear system that is given as a function, with no level open but the vmaps.

Under vmap there is one system for each example, and the iteration goes on until all of them are solved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

import neo_array as na
from neo_array import Array, LinAlgError
from neo_array._described import is_described
from neo_array._payloads import Batched
from neo_tape._vmap import vmap

Linear: TypeAlias = Callable[[list[Array]], list[Array]]
DENSE: Final = 256  # up to so many unknowns, the matrix is made, and factored
_KRYLOV: Final = 24  # dimension of the space in which GMRES looks for a better solution, before it starts anew
_CYCLES: Final = 500


def every(condition: Array) -> bool:
    """Tell whether a condition holds everywhere, in all examples of all batches. No level is asked.

    Where nothing runs it does: an iteration ends after its first step, which shows what a solution looks like.
    """
    while type(condition._raw) is Batched:
        condition = condition._raw.inner
    return is_described(condition) or bool(condition._raw.all())


class _Vectors:
    """Lists of arrays as vectors. Half precision becomes float32: no library factors matrices of less."""

    def __init__(self, like: Sequence[Array]) -> None:
        self.dtype = na.result_type(na.float32, *(x.dtype for x in like))
        self.size = sum(x.size for x in like)
        self._like = [(x.shape, x.dtype) for x in like]
        self._spans = [slice(*pair) for pair in pairwise(accumulate((x.size for x in like), initial=0))]

    def ravel(self, arrays: Sequence[Array]) -> Array:
        return na.concat([na.reshape(x, (-1,)).astype(self.dtype) for x in arrays])

    def unravel(self, vector: Array) -> list[Array]:
        return [
            na.reshape(vector[span], shape).astype(dtype)
            for (shape, dtype), span in zip(self._like, self._spans, strict=True)
        ]


def solve_system(linear: Linear, b: list[Array], who: str) -> list[Array]:
    """Return the x with linear(x) = b: from the matrix if it is small, else by GMRES, which only applies the function.

    Raises:
        LinAlgError: it is singular, or GMRES finds no solution.
    """
    vectors = _Vectors(b)
    if not vectors.size:
        return b

    def apply(vector: Array) -> Array:
        return vectors.ravel(linear(vectors.unravel(vector)))

    right = vectors.ravel(b)
    return vectors.unravel(_dense(apply, right, who) if vectors.size <= DENSE else _gmres(apply, right, who))


def _norm(x: Array) -> Array:
    return na.sqrt((x * x).sum())


def _unsolved(residual: Array, b: Array, tolerance: float) -> Array:
    """Tell where a residual is too large; nothing is to be solved where b is not finite."""
    size = _norm(b)
    return ~(residual <= tolerance * size) & na.isfinite(size)


def _dense(apply: Callable[[Array], Array], b: Array, who: str) -> Array:
    columns = vmap(apply)(na.eye(b.size, dtype=b.dtype, device=b.device))
    try:
        x = na.linalg.solve(columns.mT, b)
    except LinAlgError:
        raise _singular(who) from None
    # A pivot that should be zero may be as small as rounding makes it: then x is so large that it solves nothing.
    if not every(~_unsolved(_norm(x @ columns - b), b, float(na.finfo(b.dtype).eps) ** 0.25)):
        raise _singular(who)
    return x


def _singular(who: str) -> LinAlgError:
    return LinAlgError(
        f"{who}: the Jacobian of f at the solution is singular, so the solution has no derivative; check that it is "
        "isolated, or choose one of many by tangent_solve=..."
    )


def _gmres(apply: Callable[[Array], Array], b: Array, who: str) -> Array:
    """Solve by GMRES with restarts. An example that is solved keeps its x."""
    eps = float(na.finfo(b.dtype).eps)
    x, residual = na.zeros_like(b), b
    last = _norm(b) * 2.0
    for _ in range(_CYCLES):
        size = _norm(residual)
        going = _unsolved(size, b, 16.0 * eps) & (size < 0.9 * last)  # as good as it gets, if it does not get better
        if every(~going):
            break
        x = na.where(going, x + _correction(apply, residual, size, eps), x)
        last = na.where(going, size, 0.0)
        residual = b - apply(x)
    if not every(~_unsolved(_norm(residual), b, eps**0.6)):
        raise LinAlgError(
            f"{who}: GMRES found no solution of the linear system with the Jacobian of f ({b.size} unknowns): it is "
            "singular or ill-conditioned; pass tangent_solve=..., a solver that knows its structure"
        )
    return na.where(na.isfinite(_norm(b)), x, float("nan"))


def _correction(apply: Callable[[Array], Array], residual: Array, size: Array, eps: float) -> Array:
    """Return what makes the residual smallest among the combinations of residual, A residual, A A residual, ..."""
    basis = [residual / na.where(size > 0, size, 1.0)]
    columns = []
    most = min(_KRYLOV, residual.size)
    for j in range(most):
        w = apply(basis[j])
        before = _norm(w)
        known = na.stack(basis)
        first = known @ w
        w = w - first @ known
        second = known @ w  # orthogonal to working precision only after the second time
        w = w - second @ known
        rest = _norm(w)
        new = rest > 16.0 * eps * before  # else the space is complete: the solution lies in it
        rest = na.where(new, rest, 0.0)
        basis.append(na.where(new, w, 0.0) / na.where(new, rest, 1.0))
        below = na.zeros(most - 1 - j, dtype=w.dtype, device=w.device)
        columns.append(na.concat([first + second, na.reshape(rest, (1,)), below]))
        if every(~new):
            columns += [na.zeros_like(columns[0])] * (most - 1 - j)
            basis += [na.zeros_like(w)] * (most - 1 - j)
            break
    # the combination that A takes closest to the residual, which is the first of the basis
    weights = na.linalg.pinv(na.stack(columns, axis=1))[:, 0] * size
    return weights @ na.stack(basis[:most])
