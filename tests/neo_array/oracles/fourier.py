"""What Fourier transforms should be: products with the matrix of the roots of unity."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.neo_array.oracles.core import Oracle

NO_HALF = {"fourier", "spectrum", "synthesis"}


def matrix(rows: int, columns: int, n: int, inverse: bool, norm: str) -> Any:
    """Return f w**(j k), the exponent reduced first, so that its sine and cosine are exact to the last digit."""
    exponent = np.outer(np.arange(rows), np.arange(columns)) % n
    factor = {"backward": n**-1.0 if inverse else 1.0, "ortho": n**-0.5, "forward": 1.0 if inverse else n**-1.0}[norm]
    return factor * np.exp((2j if inverse else -2j) * np.pi * exponent / n)


def along(x: Any, m: Any, axis: int) -> Any:
    return np.moveaxis(np.tensordot(m, x, axes=(1, axis)), 0, axis)


def fourier(x: Any, *, axes: tuple[int, ...], inverse: bool, norm: str) -> Any:
    out = x + 0j
    for axis in axes:
        n = x.shape[axis]
        out = along(out, matrix(n, n, n, inverse, norm), axis)
    return out


def spectrum(x: Any, *, axis: int, inverse: bool, norm: str) -> Any:
    n = x.shape[axis]
    return along(x + 0j, matrix(n // 2 + 1, n, n, inverse, norm), axis)


def synthesis(x: Any, *, axis: int, n: int, inverse: bool, norm: str) -> Any:
    """Write the whole spectrum out: the terms that are missing are conjugates of those that are there."""
    terms = [np.take(x, k if 2 * k <= n else n - k, axis) for k in range(n)]
    whole = [np.conj(t) if 2 * k > n else t.real + 0j if 2 * k in (0, n) else t for k, t in enumerate(terms)]
    out = along(np.stack(whole, axis), matrix(n, n, n, inverse, norm), axis)
    assert np.max(np.abs(out.imag), initial=0.0) < 1e-13 * max(1.0, np.max(np.abs(out.real), initial=0.0))
    return out.real


ORACLES: dict[str, Oracle] = {"fourier": fourier, "spectrum": spectrum, "synthesis": synthesis}
