"""What draws are made of, in torch."""

from __future__ import annotations

import math

import torch

from tests.neo_array.torch_rows.core import Row


def gammaln(a: torch.Tensor) -> torch.Tensor:
    """Write Stirling's series (DLMF 5.11.1) at a + 30: the second derivative of torch.lgamma is right to 9 digits."""
    z = a + 30
    series = 1 / (12 * z) - 1 / (360 * z**3) + 1 / (1260 * z**5) - 1 / (1680 * z**7)
    factors = (a[..., None] + torch.arange(30.0, dtype=a.dtype)).log().sum(-1)
    return (z - 0.5) * z.log() - z + 0.5 * math.log(2 * math.pi) + series - factors


def probability(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Sum the series P(a, x) = x**a exp(-x) sum of x**n / Gamma(a + n + 1): torch's own has no derivative in a."""
    ratios = x[..., None] / (a[..., None] + torch.arange(1.0, 400.0, dtype=a.dtype))
    terms = ratios.log().cumsum(-1).exp()
    return (a * x.log() - x - gammaln(a + 1)).exp() * (1 + terms.sum(-1))


def gamma_quantile(a: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Bisect, then take steps of Newton's method: two of them make the derivatives up to the third right."""
    a, p = a + 0 * p, p + 0 * a
    with torch.no_grad():
        low, high = torch.zeros_like(a), 10 * a + 50
        for _ in range(60):
            x = (low + high) / 2
            below = torch.special.gammainc(a, x) < p
            low, high = torch.where(below, x, low), torch.where(below, high, x)
    for _ in range(2):
        density = ((a - 1) * x.log() - x - gammaln(a)).exp()
        x = x - (probability(a, x) - p) / density
    return x


TORCH: dict[str, Row] = {"gamma_quantile": gamma_quantile}
