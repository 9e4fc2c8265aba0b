"""What element-wise ops give: one Python call per element, in `math`, `cmath`, `fractions` or by our own series."""

from __future__ import annotations

import cmath
import math
import operator
from collections.abc import Callable
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np

from tests.neo_array.oracles.core import Oracle, each

F = Callable[..., object]


def no_change(x: Any) -> Any:
    return x


def numbers(real: F, of_complex: F | None = None) -> Oracle:
    """Apply one function to real and one (default: the same) to complex numbers; the result's kind is theirs."""

    def apply(*args: Any) -> Any:
        if np.result_type(*args).kind == "c":
            return each(of_complex or real, "c16")(*args)
        return each(real)(*args)

    return apply


def keeping_integers(f: F) -> Oracle:
    """Apply a function whose results have the dtype of the arguments."""
    return lambda *args: each(f, "i8" if np.result_type(*args).kind in "iu" else "f8")(*args)


def by_parts(f: Oracle) -> Oracle:
    return lambda x: f(x.real) + 1j * f(x.imag) if x.dtype.kind == "c" else f(x)


# --- Division ---
def floor_divide(a: float, b: float) -> int:
    return math.floor(Fraction(a) / Fraction(b))


def remainder(a: float, b: float) -> Fraction:
    return Fraction(a) - Fraction(b) * floor_divide(a, b)


# --- Special functions ---
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)  # B_2, B_4, ...


def polygamma(x: float, *, n: int) -> float:
    """Return the n-th derivative of digamma: DLMF 5.15.5 up to a large x, 5.15.8 there (5.5.2 and 5.11.2 for n = 0)."""
    sign, factorial = (-1) ** (n + 1), math.factorial(n)
    terms = [sign * factorial / (x + k) ** (n + 1) for k in range(25)]
    z = x + 25
    if n:
        terms += [sign * math.factorial(n - 1) / z**n, sign * factorial / (2 * z ** (n + 1))]
    else:
        terms += [math.log(z), -1 / (2 * z)]
    for k, b in enumerate(BERNOULLI, 1):
        terms.append(sign * b * math.factorial(2 * k + n - 1) / (math.factorial(2 * k) * z ** (2 * k + n)))
    return math.fsum(terms)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def nth_sinc(x: float, *, n: int) -> float:
    """Return the integral of (pi u)**n cos(pi u x + n pi / 2) over u from 0 to 1, by Gauss's rule."""
    u = (NODES + 1) / 2
    return float(np.sum(WEIGHTS / 2 * (math.pi * u) ** n * np.cos(math.pi * u * x + n * math.pi / 2)))


def with_order(f: Callable[..., float]) -> Oracle:
    return lambda x, *, n: each(lambda a: f(a, n=n))(x)


def integers(f: F) -> Oracle:
    return lambda *args: each(f, "i8")(*args).astype(np.result_type(*args))


def either(parts: F) -> Oracle:
    """Apply a test of one real number to both parts."""
    return numbers_to_bool(parts, lambda z: parts(z.real) or parts(z.imag))


def numbers_to_bool(real: F, of_complex: F) -> Oracle:
    return lambda x: each(of_complex if x.dtype.kind == "c" else real, "?")(x)


ORACLES: dict[str, Oracle] = {
    # --- Arithmetic ---
    "alias": no_change,
    "stop_gradient": no_change,
    "add": numbers(lambda a, b: math.fsum((a, b)), operator.add),
    "subtract": numbers(lambda a, b: math.fsum((a, -b)), operator.sub),
    "multiply": numbers(operator.mul),
    "divide": numbers(operator.truediv),
    "floor_divide": keeping_integers(floor_divide),
    "remainder": keeping_integers(remainder),
    "reciprocal": numbers(lambda a: 1 / a),
    "power": numbers(math.pow, pow),
    "square": numbers(lambda a: a * a),
    "negative": numbers(lambda a: 0 - a),
    "abs": each(abs),
    "sign": each(lambda a: (a > 0) - (a < 0)),
    "maximum": each(lambda a, b: a if a > b else b),
    "minimum": each(lambda a, b: a if a < b else b),
    "where": lambda c, a, b: each(lambda p, q, r: q if p else r, np.result_type(a, b, 1.0).str)(c, a, b),
    # --- Parts of numbers ---
    "conj": each(lambda z: complex(z.real, -z.imag), "c16"),
    "real": each(lambda z: z.real),
    "imag": each(lambda z: z.imag),
    "complex_sign": each(lambda z: cmath.rect(1, cmath.phase(z)), "c16"),
    "copysign": each(lambda a, b: abs(a) * (-1 if str(float(b)).startswith("-") else 1)),
    "signbit": each(lambda a: str(a).startswith("-"), "?"),
    "nextafter": each(math.nextafter),
    # --- Rounding ---
    "ceil": keeping_integers(math.ceil),
    "floor": keeping_integers(math.floor),
    "trunc": keeping_integers(math.trunc),
    "round": by_parts(keeping_integers(round)),
    # --- Exponentials and logarithms ---
    "exp": numbers(math.exp, cmath.exp),
    "exp2": numbers(lambda a: 2.0**a),
    "expm1": numbers(math.expm1, lambda z: cmath.exp(z) - 1),
    "log": numbers(math.log, cmath.log),
    "log2": numbers(math.log2, lambda z: cmath.log(z) / math.log(2)),
    "log10": numbers(math.log10, cmath.log10),
    "log1p": numbers(math.log1p, lambda z: cmath.log(1 + z)),
    "logaddexp": each(lambda a, b: max(a, b) + math.log1p(math.exp(-abs(a - b)))),
    "sqrt": numbers(math.sqrt, cmath.sqrt),
    # --- Trigonometric and hyperbolic functions ---
    "sin": numbers(math.sin, cmath.sin),
    "cos": numbers(math.cos, cmath.cos),
    "tan": numbers(math.tan, cmath.tan),
    "asin": numbers(math.asin, cmath.asin),
    "acos": numbers(math.acos, cmath.acos),
    "atan": numbers(math.atan, cmath.atan),
    "atan2": each(lambda a, b: cmath.phase(complex(b, a))),
    "hypot": each(lambda a, b: abs(complex(a, b))),
    "sinh": numbers(math.sinh, cmath.sinh),
    "cosh": numbers(math.cosh, cmath.cosh),
    "tanh": numbers(math.tanh, cmath.tanh),
    "asinh": numbers(math.asinh, cmath.asinh),
    "acosh": numbers(math.acosh, cmath.acosh),
    "atanh": numbers(math.atanh, cmath.atanh),
    # --- Comparison and logic ---
    "equal": each(lambda a, b: a == b, "?"),
    "not_equal": each(lambda a, b: a != b, "?"),
    "less": each(lambda a, b: a < b, "?"),
    "less_equal": each(lambda a, b: a <= b, "?"),
    "greater": each(lambda a, b: a > b, "?"),
    "greater_equal": each(lambda a, b: a >= b, "?"),
    "logical_and": each(lambda a, b: bool(a) and bool(b), "?"),
    "logical_or": each(lambda a, b: bool(a) or bool(b), "?"),
    "logical_xor": each(lambda a, b: bool(a) != bool(b), "?"),
    "logical_not": each(lambda a: not a, "?"),
    "isnan": either(math.isnan),
    "isinf": either(math.isinf),
    "isfinite": numbers_to_bool(math.isfinite, cmath.isfinite),
    # --- Bits ---
    "bitwise_and": integers(lambda a, b: int(a) & int(b)),
    "bitwise_or": integers(lambda a, b: int(a) | int(b)),
    "bitwise_xor": integers(lambda a, b: int(a) ^ int(b)),
    "bitwise_invert": lambda a: ~a if a.dtype.kind == "b" else -1 - a,
    "bitwise_left_shift": integers(lambda a, b: a * 2**b),
    "bitwise_right_shift": integers(lambda a, b: a // 2**b),
    # --- Special functions ---
    "erf": each(math.erf),
    "erfc": each(math.erfc),
    "erfinv": each(lambda a: NormalDist().inv_cdf((1 + a) / 2) / math.sqrt(2)),
    "gammaln": each(math.lgamma),
    "digamma": each(lambda a: polygamma(a, n=0)),
    "nth_polygamma": with_order(polygamma),
    "xlogy": each(lambda a, b: a * math.log(b) if a else 0.0),
    "nth_sinc": with_order(nth_sinc),
}
