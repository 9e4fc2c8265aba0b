"""Element-wise ops in torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from tests.neo_array.torch_rows.core import Row


def doubles(f: Callable[..., torch.Tensor]) -> Row:
    """Let a function of tensors take numbers."""
    return lambda *args: f(*(a if isinstance(a, torch.Tensor) else torch.tensor(float(a)).double() for a in args))


def logaddexp(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Reduce both: the second derivative of torch.logaddexp is nan where one is much larger."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    return torch.stack([a.expand(shape), b.expand(shape)]).logsumexp(0)


NODES, WEIGHTS = map(torch.tensor, np.polynomial.legendre.leggauss(40))


def nth_sinc(x: torch.Tensor, *, n: int) -> torch.Tensor:
    """Write the n-th derivative of sinc as an integral of cosines over 0 to 1."""
    u = (NODES + 1) / 2 * torch.pi
    terms: torch.Tensor = WEIGHTS / 2 * u**n * torch.cos(u * x[..., None] + n * torch.pi / 2)
    return terms.sum(-1)


TORCH: dict[str, Row] = {
    # --- Arithmetic ---
    "alias": lambda x: x.clone(),
    "add": torch.add,
    "subtract": lambda a, b: a - b,
    "multiply": torch.mul,
    "divide": lambda a, b: a / b,
    "remainder": doubles(torch.remainder),
    "reciprocal": torch.reciprocal,
    "power": lambda a, b: a**b,
    "square": torch.square,
    "negative": torch.neg,
    "abs": torch.abs,
    "maximum": doubles(torch.maximum),
    "minimum": doubles(torch.minimum),
    "where": lambda c, a, b: torch.where(c, a + 0 * b, b + 0 * a),
    # --- Parts of numbers ---
    "conj": torch.conj,
    "real": torch.real,
    "imag": torch.imag,
    "complex_sign": torch.sgn,
    "copysign": doubles(torch.copysign),
    # --- Exponentials and logarithms ---
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "logaddexp": doubles(logaddexp),
    "sqrt": torch.sqrt,
    # --- Trigonometric and hyperbolic functions ---
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "atan2": doubles(torch.atan2),
    "hypot": doubles(torch.hypot),
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    # --- Special functions ---
    "erf": torch.erf,
    "erfc": torch.erfc,
    "erfinv": torch.erfinv,
    "gammaln": torch.lgamma,
    "digamma": torch.digamma,
    "nth_polygamma": lambda x, *, n: torch.polygamma(n, x),
    "nth_sinc": nth_sinc,
    "xlogy": torch.xlogy,
}
