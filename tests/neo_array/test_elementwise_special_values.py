"""inf, nan, -0.0 and the ends of domains: the array standard's special cases, on both backends."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import neo_array as na
from tests.neo_array.devices import every_device

INF, NAN = math.inf, math.nan
PI = math.pi
VALUES = [0.0, -0.0, 0.25, -0.25, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -3.0, 4.0, INF, -INF, NAN]

every_precision = pytest.mark.parametrize("dtype", ["float32", "float64"])


def assert_same(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    """Compare with the signs of zeros; finite numbers up to rounding."""
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=8 * np.finfo(got.dtype).eps, atol=0)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


# --- Against NumPy, which conforms in these ---
UNARY = {
    **{name: name for name in ("abs", "negative", "square", "sign", "reciprocal", "sqrt")},
    **{name: name for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p")},
    **{name: name for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: name.replace("a", "arc", 1) for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
    **{name: name for name in ("ceil", "floor", "trunc", "round")},
}
BINARY = {
    **{name: name for name in ("add", "subtract", "multiply", "divide", "remainder", "power")},
    **{name: name for name in ("maximum", "minimum", "copysign", "nextafter", "hypot", "logaddexp")},
    "atan2": "arctan2",
}
PREDICATES = ("isnan", "isinf", "isfinite", "signbit")
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


@every_device
@every_precision
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number_are_numpys(name: str, dtype: str, device: str) -> None:
    x = np.array(VALUES, dtype)
    with np.errstate(all="ignore"):
        expected = getattr(np, UNARY[name])(x)
    assert_same(getattr(na, name)(na.asarray(x, device=device)).numpy(), expected)


@every_device
@every_precision
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers_are_numpys(name: str, dtype: str, device: str) -> None:
    x1, x2 = np.array(list(itertools.product(VALUES, repeat=2)), dtype).T.copy()
    with np.errstate(all="ignore"):
        expected = getattr(np, BINARY[name])(x1, x2)
    got = getattr(na, name)(na.asarray(x1, device=device), na.asarray(x2, device=device)).numpy()
    assert_same(got, expected)


@every_device
@every_precision
def test_predicates_and_comparisons_are_numpys(dtype: str, device: str) -> None:
    x1, x2 = np.array(list(itertools.product(VALUES, repeat=2)), dtype).T.copy()
    a, b = na.asarray(x1, device=device), na.asarray(x2, device=device)
    for name in PREDICATES:
        np.testing.assert_array_equal(getattr(na, name)(a).numpy(), getattr(np, name)(x1), err_msg=name)
    for name in COMPARISONS:
        np.testing.assert_array_equal(getattr(na, name)(a, b).numpy(), getattr(np, name)(x1, x2), err_msg=name)


# --- Complex numbers: every pair of parts; NumPy follows Annex G of C99, as the standard does ---
COMPLEX = [name for name in UNARY if name not in ("sign", "reciprocal", "square", "ceil", "floor", "trunc", "exp2")]


@every_device
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", COMPLEX)
def test_functions_of_a_complex_number_are_numpys(name: str, dtype: str, device: str) -> None:
    x = np.empty(len(VALUES) ** 2, dtype)
    x.real, x.imag = np.array(list(itertools.product(VALUES, repeat=2))).T
    with np.errstate(all="ignore"):
        expected = getattr(np, UNARY[name])(x)
    got = getattr(na, name)(na.asarray(x, device=device)).numpy()
    assert got.dtype == expected.dtype
    eps = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got.real, expected.real, rtol=64 * eps, atol=8 * eps)
    np.testing.assert_allclose(got.imag, expected.imag, rtol=64 * eps, atol=8 * eps)


# --- The standard's own words, row by row ---
STANDARD: dict[str, list[tuple[tuple[float, ...], float]]] = {
    "floor_divide": [
        ((NAN, 1.0), NAN),
        ((INF, -INF), NAN),
        ((0.0, -0.0), NAN),
        ((0.0, 2.0), 0.0),
        ((-0.0, 2.0), -0.0),
        ((0.0, -2.0), -0.0),
        ((-0.0, -2.0), 0.0),
        ((3.0, 0.0), INF),
        ((3.0, -0.0), -INF),
        ((-3.0, 0.0), -INF),
        ((-3.0, -0.0), INF),
        ((INF, 2.0), INF),
        ((INF, -2.0), -INF),
        ((-INF, 2.0), -INF),
        ((-INF, -2.0), INF),
        ((3.0, INF), 0.0),
        ((3.0, -INF), -1.0),
        ((-3.0, INF), -1.0),
        ((-3.0, -INF), 0.0),
        ((7.0, 2.0), 3.0),
        ((-7.0, 2.0), -4.0),
        ((7.0, -2.0), -4.0),
    ],
    "remainder": [
        ((INF, 2.0), NAN),
        ((0.0, 2.0), 0.0),
        ((-0.0, 2.0), 0.0),
        ((0.0, -2.0), -0.0),
        ((-0.0, -2.0), -0.0),
        ((3.0, 0.0), NAN),
        ((3.0, INF), 3.0),
        ((3.0, -INF), -INF),
        ((-3.0, INF), INF),
        ((-3.0, -INF), -3.0),
        ((-7.0, 2.0), 1.0),
        ((7.0, -2.0), -1.0),
    ],
    "power": [
        ((NAN, 0.0), 1.0),
        ((1.0, NAN), 1.0),
        ((-1.0, INF), 1.0),
        ((0.5, -INF), INF),
        ((2.0, -INF), 0.0),
        ((-INF, 3.0), -INF),
        ((-INF, 2.0), INF),
        ((-INF, -3.0), -0.0),
        ((0.0, -2.0), INF),
        ((-0.0, 3.0), -0.0),
        ((-0.0, -3.0), -INF),
        ((-2.0, 0.5), NAN),
    ],
    "atan2": [
        ((0.0, 0.0), 0.0),
        ((0.0, -0.0), PI),
        ((-0.0, 0.0), -0.0),
        ((-0.0, -0.0), -PI),
        ((1.0, 0.0), PI / 2),
        ((1.0, INF), 0.0),
        ((1.0, -INF), PI),
        ((-1.0, -INF), -PI),
        ((INF, 1.0), PI / 2),
        ((INF, INF), PI / 4),
        ((-INF, -INF), -3 * PI / 4),
    ],
    "hypot": [((INF, NAN), INF), ((NAN, -INF), INF), ((NAN, 1.0), NAN), ((-3.0, -0.0), 3.0)],
    "logaddexp": [((NAN, INF), NAN), ((INF, -INF), INF), ((-INF, -INF), -INF), ((-INF, 2.0), 2.0)],
    "copysign": [((1.0, -0.0), -1.0), ((-INF, 0.0), INF), ((0.0, -1.0), -0.0)],
    "nextafter": [((0.0, -0.0), -0.0), ((INF, INF), INF), ((NAN, 1.0), NAN)],
    "maximum": [((NAN, 1.0), NAN), ((1.0, NAN), NAN), ((-INF, 1.0), 1.0)],
    "minimum": [((NAN, 1.0), NAN), ((INF, NAN), NAN), ((INF, 1.0), 1.0)],
    "round": [((0.5,), 0.0), ((1.5,), 2.0), ((2.5,), 2.0), ((-0.5,), -0.0), ((-1.5,), -2.0), ((-INF,), -INF)],
    "ceil": [((-0.5,), -0.0), ((-0.0,), -0.0), ((0.5,), 1.0)],
    "floor": [((-0.5,), -1.0), ((-0.0,), -0.0), ((INF,), INF)],
    "trunc": [((-0.5,), -0.0), ((-1.5,), -1.0), ((NAN,), NAN)],
    "sqrt": [((-0.0,), -0.0), ((-1.0,), NAN), ((INF,), INF)],
    "log1p": [((-0.0,), -0.0), ((-1.0,), -INF), ((-2.0,), NAN)],
    "expm1": [((-0.0,), -0.0), ((-INF,), -1.0)],
    "exp": [((-INF,), 0.0), ((0.0,), 1.0)],
    "log": [((-0.0,), -INF), ((1.0,), 0.0)],
    "acos": [((1.0,), 0.0), ((2.0,), NAN)],
    "acosh": [((1.0,), 0.0), ((0.5,), NAN), ((INF,), INF)],
    "asinh": [((-0.0,), -0.0), ((-INF,), -INF)],
    "atan": [((INF,), PI / 2), ((-0.0,), -0.0)],
    "atanh": [((1.0,), INF), ((-1.0,), -INF), ((2.0,), NAN)],
    "tanh": [((INF,), 1.0), ((-0.0,), -0.0)],
    "cosh": [((-INF,), INF)],
    "sinh": [((-INF,), -INF), ((-0.0,), -0.0)],
    "sign": [((-0.0,), 0.0), ((NAN,), NAN), ((-INF,), -1.0)],
    "reciprocal": [((-0.0,), -INF), ((-INF,), -0.0)],
    # --- Not in the standard: as SciPy and C have them ---
    "erf": [((INF,), 1.0), ((-INF,), -1.0), ((-0.0,), -0.0), ((NAN,), NAN)],
    "erfc": [((INF,), 0.0), ((-INF,), 2.0), ((0.0,), 1.0), ((NAN,), NAN)],
    "erfinv": [((1.0,), INF), ((-1.0,), -INF), ((2.0,), NAN), ((-0.0,), -0.0)],
    "gammaln": [((0.0,), INF), ((-1.0,), INF), ((INF,), INF), ((-INF,), INF), ((NAN,), NAN), ((1.0,), 0.0)],
    "digamma": [((0.0,), -INF), ((-0.0,), INF), ((-1.0,), NAN), ((INF,), INF), ((-INF,), NAN), ((NAN,), NAN)],
    "xlogy": [((0.0, 0.0), 0.0), ((0.0, -1.0), 0.0), ((0.0, INF), 0.0), ((0.0, NAN), NAN), ((1.0, 0.0), -INF)],
    "logit": [((0.0,), -INF), ((1.0,), INF), ((2.0,), NAN), ((0.5,), 0.0)],
    "sinc": [((0.0,), 1.0), ((-0.0,), 1.0), ((NAN,), NAN)],
}


@every_device
@every_precision
@pytest.mark.parametrize("name", STANDARD)
def test_special_cases_are_as_the_standard_words_them(name: str, dtype: str, device: str) -> None:
    rows = STANDARD[name]
    columns = [np.array(column, dtype) for column in zip(*(args for args, _ in rows), strict=True)]
    got = getattr(na, name)(*(na.asarray(column, device=device) for column in columns)).numpy()
    expected = np.array([value for _, value in rows], dtype)
    if name == "sign":
        got, expected = got + 0.0, expected + 0.0  # the standard has 0 for both zeros, and no sign for it
    assert_same(got, expected)


@every_device
@pytest.mark.parametrize("n", [1, 2, 3])
def test_polygamma_at_its_poles_and_at_infinity(n: int, device: str) -> None:
    x = na.asarray(np.array([0.0, -0.0, -1.0, -7.0, INF, NAN]), device=device)
    pole = INF if n % 2 else -INF
    np.testing.assert_array_equal(na.polygamma(n, x).numpy(), [pole, pole, pole, pole, 0.0, NAN])


@every_device
@every_precision
def test_a_power_of_one_half_is_no_square_root_however_it_is_broadcast(dtype: str, device: str) -> None:
    x = na.asarray(np.array([-0.0, -INF, 4.0], dtype), device=device)
    row = np.array([0.0, INF, 2.0], dtype)
    for half in (0.5, na.asarray(np.array(0.5, dtype), device=device), na.full(3, 0.5, dtype=dtype, device=device)):
        assert_same((x**half).numpy(), row)
    column = na.asarray(np.array([[0.5], [2.0]], dtype), device=device)
    assert_same((x**column).numpy(), np.array([row, [0.0, INF, 16.0]], dtype))
    assert_same((x[0] ** 0.5).numpy(), row[0])


# --- Complex sign ---
@every_device
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_sign_of_infinities_zeros_and_nan(dtype: str, device: str) -> None:
    cases = {
        0j: 0j,
        complex(-0.0, 0.0): 0j,
        3 - 4j: 0.6 - 0.8j,
        complex(INF, 1): 1 + 0j,
        complex(-INF, 0): -1 + 0j,
        complex(2, -INF): -1j,
        complex(INF, INF): complex(NAN, NAN),
        complex(NAN, 1): complex(NAN, NAN),
        complex(INF, NAN): complex(NAN, NAN),
    }
    got = na.sign(na.asarray(np.array(list(cases), dtype), device=device)).numpy()
    assert got.dtype == dtype
    expected = np.array(list(cases.values()), dtype)
    np.testing.assert_allclose(got.real, expected.real, rtol=1e-6)
    np.testing.assert_allclose(got.imag, expected.imag, rtol=1e-6)


@every_device
def test_complex_zero_to_a_power(device: str) -> None:
    exponents = na.asarray(np.array([0, 1, 2, 2 + 1j, -1, 1j]), device=device)
    got = na.power(na.zeros(6, dtype=na.complex128, device=device), exponents).numpy()
    np.testing.assert_array_equal(got[:4], [1, 0, 0, 0])
    assert np.isnan(got[4:]).all()


# --- Complex nan and inf are found in either part ---
@every_device
def test_predicates_look_at_both_parts(device: str) -> None:
    x = na.asarray(np.array([complex(1, NAN), complex(INF, 0), complex(NAN, INF), 1j]), device=device)
    np.testing.assert_array_equal(na.isnan(x).numpy(), [True, False, True, False])
    np.testing.assert_array_equal(na.isinf(x).numpy(), [False, True, True, False])
    np.testing.assert_array_equal(na.isfinite(x).numpy(), [False, False, False, True])
