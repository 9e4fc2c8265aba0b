"""Special functions: their values over wide ranges, their derivatives of high order, their singular points."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device
from tests.neo_array.subprocesses import run_script

INF, NAN = math.inf, math.nan


def on(device: str, values: Any) -> Array:
    return na.asarray(np.array(values, np.float64), device=device)


def slope_of(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return nt.grad(lambda a: f(a).sum())


def derivatives(f: Callable[[Array], Array], x: Array, orders: int) -> list[Any]:
    """Return f and its derivatives, by reverse mode over reverse mode."""
    out = []
    for _ in range(orders + 1):
        out.append(f(x).numpy())
        f = slope_of(f)
    return out


# --- Values over wide ranges, against SciPy ---
@every_device
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_over_wide_ranges_are_scipys(dtype: str, device: str) -> None:
    special = pytest.importorskip("scipy.special")
    wide = np.concatenate([-np.logspace(1, -9, 60), np.logspace(-9, 4, 80)]).astype(dtype)
    positive = np.logspace(-5, 8, 90).astype(dtype)
    within = np.concatenate([-(np.linspace(0, 1, 50) ** 0.2), np.linspace(0, 1, 50) ** 3]).astype(dtype)
    rtol = 1e-4 if dtype == "float32" else 1e-11
    for name, values in {
        "erf": wide,
        "erfc": wide,
        "erfinv": within,
        "gammaln": positive,
        "digamma": positive,
    }.items():
        expected = getattr(special, name)(values.astype(np.float64))
        got = getattr(na, name)(na.asarray(values, device=device)).numpy()
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * 1e-2, err_msg=name)
    for n in (1, 2, 5):
        values = np.linspace(0.1, 30, 50).astype(dtype)
        got = na.polygamma(n, na.asarray(values, device=device)).numpy()
        np.testing.assert_allclose(got, special.polygamma(n, values.astype(np.float64)), rtol=rtol)


@every_device
def test_erfc_keeps_its_digits_where_it_is_tiny(device: str) -> None:
    assert na.erfc(on(device, 10.0)).item() == pytest.approx(2.088487583762545e-45, rel=1e-12)  # DLMF 7.2.2, by series
    x = on(device, [-0.999, -0.3, 0.0, 0.5, 0.9999])
    np.testing.assert_allclose(na.erf(na.erfinv(x)).numpy(), x.numpy(), rtol=1e-14)


@every_device
def test_gamma_at_integers_and_halves(device: str) -> None:
    n = np.arange(1, 12)
    factorials = [math.log(math.factorial(k - 1)) for k in n]
    np.testing.assert_allclose(na.gammaln(on(device, n)).numpy(), factorials, rtol=1e-14, atol=1e-15)
    euler = 0.5772156649015329
    np.testing.assert_allclose(na.digamma(on(device, [1.0, 0.5])).numpy(), [-euler, -euler - 2 * math.log(2)])
    zeta3 = 1.2020569031595942
    np.testing.assert_allclose(na.polygamma(1, on(device, [1.0, 0.5])).numpy(), [math.pi**2 / 6, math.pi**2 / 2])
    np.testing.assert_allclose(na.polygamma(2, on(device, [1.0])).numpy(), [-2 * zeta3])
    np.testing.assert_array_equal(na.polygamma(0, on(device, [2.5])).numpy(), na.digamma(on(device, [2.5])).numpy())


# --- Derivatives of high order ---
@every_device
def test_derivatives_of_gammaln_are_the_polygammas(device: str) -> None:
    x = on(device, [0.7, 1.0, 3.5])
    found = derivatives(na.gammaln, x, 5)
    for n in range(5):
        np.testing.assert_allclose(found[n + 1], na.polygamma(n, x).numpy(), rtol=1e-12)


@every_device
def test_derivatives_of_erf_are_hermite_functions(device: str) -> None:
    x = np.array([-1.5, 0.0, 0.3, 2.0])
    found = derivatives(na.erf, on(device, x), 4)
    bell = 2 / math.sqrt(math.pi) * np.exp(-(x**2))
    for n, hermite in enumerate([1, -2 * x, 4 * x**2 - 2, -(8 * x**3 - 12 * x)], 1):
        np.testing.assert_allclose(found[n], hermite * bell, rtol=1e-12, atol=1e-15)


@every_device
def test_sinc_has_all_its_derivatives_at_zero(device: str) -> None:
    found = derivatives(na.sinc, on(device, [0.0, -0.0]), 6)
    for n, values in enumerate(found):
        expected = 0.0 if n % 2 else (-1) ** (n // 2) * math.pi**n / (n + 1)
        np.testing.assert_allclose(values, expected, rtol=1e-14)


@every_device
def test_sinc_is_numpys_and_its_derivative_is_exact_beside_zero(device: str) -> None:
    x = np.concatenate([np.linspace(-5, 5, 101), [1e-8, -1e-300, 1e3]])
    np.testing.assert_allclose(na.sinc(on(device, x)).numpy(), np.sinc(x), rtol=1e-13, atol=1e-15)
    for near in (1e-10, 1e-5, 1e-3):  # the closed form, (cos(pi x) - sinc(x)) / x, has none to 3 digits there
        slope = nt.grad(na.sinc)(on(device, near)).item()
        series = -(math.pi**2) * near / 3 + math.pi**4 * near**3 / 30
        assert slope == pytest.approx(series, rel=1e-9)
    where_it_switches = [v / math.pi * side for v in (1, 2, 3) for side in (1 - 1e-9, 1 + 1e-9)]
    for values in derivatives(na.sinc, on(device, where_it_switches), 4):
        np.testing.assert_allclose(values[::2], values[1::2], rtol=1e-6)


@every_device
def test_forward_over_reverse_agrees(device: str) -> None:
    x = on(device, [0.3, 0.6])
    for f in (na.erf, na.erfc, na.erfinv, na.gammaln, na.digamma, na.sinc, na.logit):
        nt.check_grads(f, (x,), order=3)


# --- Singular points ---
@every_device
def test_xlogy_has_no_nan_where_x_is_zero(device: str) -> None:
    x1, x2 = on(device, [0.0, 0.0, 0.0, 2.0]), on(device, [0.0, -1.0, 3.0, 0.5])
    g1, g2 = nt.grad(lambda a, b: na.xlogy(a, b).sum(), (0, 1))(x1, x2)
    np.testing.assert_allclose(g1.numpy(), [0, 0, math.log(3), math.log(0.5)])
    np.testing.assert_array_equal(g2.numpy(), [0, 0, 0, 4])
    mixed = nt.grad(lambda b: nt.grad(lambda a: na.xlogy(a, b).sum())(x1).sum())(x2)
    np.testing.assert_allclose(mixed.numpy()[2:], [1 / 3, 2])
    entropy = nt.grad(lambda p: -na.xlogy(p, p).sum())(on(device, [0.25, 1.0]))
    np.testing.assert_allclose(entropy.numpy(), [-math.log(0.25) - 1, -1])


@every_device
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_xlogy_of_a_number_keeps_the_dtype_in_its_derivatives(dtype: str, device: str) -> None:
    x = na.asarray(np.array([0.0, 0.5], dtype), device=device)
    g = nt.grad(lambda a: na.xlogy(a, 0.3).sum())(x)
    assert g.dtype == x.dtype
    np.testing.assert_allclose(g.astype("float64").numpy(), math.log(0.3), rtol=1e-3)


@every_device
def test_ends_of_domains(device: str) -> None:
    slopes = nt.grad(lambda a: na.erfinv(a).sum())(on(device, [1.0, -1.0, 0.0]))
    np.testing.assert_allclose(slopes.numpy(), [INF, INF, math.sqrt(math.pi) / 2])
    slopes = nt.grad(lambda a: na.logit(a).sum())(on(device, [0.0, 1.0, 0.5]))
    np.testing.assert_array_equal(slopes.numpy(), [INF, INF, 4])
    assert nt.grad(na.gammaln)(on(device, 0.0)).item() == -INF


# --- SciPy is loaded when it is needed ---
def test_scipy_is_loaded_by_the_first_special_function() -> None:
    script = """
import sys, neo_array as na
x = na.asarray([0.5])
na.sinc(na.exp(x)), na.logit(x), na.logaddexp(x, x), na.angle(x)
assert "scipy" not in sys.modules
na.erf(x)
assert "scipy.special" in sys.modules
"""
    run_script(script)
