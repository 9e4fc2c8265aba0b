"""The stand-in's linear algebra: as CuPy, it says nothing of a matrix that it cannot decompose, unless told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tests.neo_array.cupy_stand_in import arrays

LinAlgError = np.linalg.LinAlgError
_raises = [False]


@contextmanager
def errstate(*, linalg: str | None = None, **others: Any) -> Iterator[None]:
    """Choose whether errors of cuSOLVER are raised; by default they are not even looked at."""
    before = _raises[0]
    _raises[0] = linalg == "raise"
    try:
        yield
    finally:
        _raises[0] = before


def decompositions(functions: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return those of cupy.linalg's functions that decompose, made careless."""
    names = ("cholesky", "inv", "solve", "qr", "svd", "eigh", "eigvalsh", "eig", "eigvals", "det", "slogdet", "pinv")
    return {name: _careless(functions[name]) for name in names}


def _careless(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        for a in args:
            if isinstance(a, arrays.ndarray) and (a.dtype == np.float16 or a.dtype.kind == "V"):
                raise TypeError(f"{a.dtype} is unsupported in linalg")
        if function.__name__ == "solve":
            _check_solve(*args)
        try:
            return function(*args, **options)
        except LinAlgError as error:
            if _raises[0] or "square" in str(error) or "dimension" in str(error):
                raise
            shape = args[-1].shape
            return arrays.fresh(np.full(shape, np.nan, args[0].dtype))

    return call


def solve_triangular(
    a: Any, b: Any, trans: int = 0, lower: bool = False, unit_diagonal: bool = False, **options: bool
) -> Any:
    """Do as cupyx.scipy.linalg's, for stacks as well; a 0 on the diagonal is divided by."""
    if not a.size or a.shape[:-2] != b.shape[: a.ndim - 2] or a.shape[-2] != b.shape[a.ndim - 2]:
        raise ValueError("incompatible dimensions")
    part = np.tril(a._host) if lower else np.triu(a._host)
    if unit_diagonal:
        part = np.where(np.eye(a.shape[-1], dtype=bool), 1, part).astype(a.dtype)
    return arrays.fresh(np.linalg.solve(part, b._host))


def expm(a: Any) -> Any:
    """Do as cupyx.scipy.linalg's, which takes one matrix."""
    import scipy.linalg

    if a.ndim != 2 or not a.size:
        raise ValueError("expected one square matrix")
    return arrays.fresh(scipy.linalg.expm(a._host).astype(a.dtype))


def _check_solve(a: Any, b: Any) -> None:
    """Refuse what NumPy would broadcast."""
    if b.ndim == 1:
        if a.shape[-1] != b.size:
            raise ValueError("a must have (..., M, M) shape and b must have (M,) for one-dimensional b")
    elif a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
