"""Draws that take parameters: element by element from NumPy's generator, and quantiles by bisection."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.neo_array.oracles.core import Oracle, each, generator


def poisson(key: Any, rate: Any) -> Any:
    rng = generator(key)
    return np.array([rng.poisson(r) for r in np.asarray(rate).reshape(-1)], np.int64).reshape(np.shape(rate))


def gamma_quantile(a: float, p: float) -> float:
    """Bisect the series P(a, x) = x**a exp(-x) sum of x**n / Gamma(a + n + 1)."""

    def probability(x: float) -> float:
        term = math.exp(a * math.log(x) - x - math.lgamma(a + 1))
        terms, n = [term], 0
        while term > 1e-18 * terms[0] or n < x:
            n += 1
            term *= x / (a + n)
            terms.append(term)
        return math.fsum(terms)

    low, high = 1e-12, 10 * a + 50
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if probability(middle) < p else (low, middle)
    return (low + high) / 2


ORACLES: dict[str, Oracle] = {"draw_poisson": poisson, "gamma_quantile": each(gamma_quantile)}
