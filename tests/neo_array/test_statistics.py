"""Variance, standard deviation, median and quantiles: special points, ties, nan, and what they accept."""

from __future__ import annotations

import math
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from tests.neo_array.devices import every_device

HALF = ["float16", *(["bfloat16"] if find_spec("ml_dtypes") else [])]


# --- Variance ---
@every_device
@pytest.mark.parametrize("correction", [0, 1, 0.5, 2.5])
def test_the_correction_is_taken_off_the_count(correction: float, device: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5))
    a = na.asarray(x, device=device)
    for mine, theirs in ((na.var, np.var), (na.std, np.std)):
        got = mine(a, axis=1, correction=correction).numpy()
        np.testing.assert_allclose(got, theirs(x, axis=1, ddof=correction), rtol=1e-13)
        nt.check_grads(partial(mine, axis=(0, 1), correction=correction), (a,))


@every_device
@pytest.mark.parametrize("correction", [3, 4])
def test_without_degrees_of_freedom_the_variance_is_nan(correction: float, device: str) -> None:
    for x in (na.asarray([1.0, 2.0, 4.0], device=device), na.asarray([1j, 2.0, 4.0], device=device)):
        assert math.isnan(na.var(x, correction=correction).item().real)
        assert math.isnan(na.std(x, correction=correction).item().real)
    assert na.var(na.ones((2, 3), device=device), axis=(), correction=1).shape == (2, 3)


@every_device
def test_the_variance_of_complex_numbers_is_real(device: str) -> None:
    z = na.asarray(np.array([1 + 2j, 3 - 1j, -2.5j]), device=device)
    center = complex(na.mean(z))
    expected = sum(abs(complex(v) - center) ** 2 for v in z) / 3
    assert na.var(z).dtype == na.float64
    assert na.var(z).item() == pytest.approx(expected, rel=1e-14)
    gradient = nt.grad(na.var)(z)
    np.testing.assert_allclose(gradient.numpy(), 2 / 3 * np.conj(z.numpy() - center), rtol=1e-13)
    nt.check_grads(na.std, (z,))


@every_device
def test_a_large_mean_does_not_drown_the_variance(device: str) -> None:
    x = na.asarray(np.array([1e8, 1e8 + 1, 1e8 + 2]), device=device)
    assert na.var(x).item() == pytest.approx(2 / 3, rel=1e-12)


@every_device
def test_derivatives_of_std_at_zero_are_zero(device: str) -> None:
    x = na.asarray(np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]]), device=device)
    gradient = nt.grad(lambda a: na.std(a, axis=1).sum())
    np.testing.assert_allclose(gradient(x).numpy(), np.array([[0, 0, 0], [-1, 0, 1]]) / math.sqrt(6), atol=1e-15)
    _, tangent = nt.jvp(lambda a: na.std(a, axis=1), (x,), (na.asarray(np.eye(2, 3), device=device),))
    assert tangent[0].item() == 0
    curvature = nt.grad(lambda a: (gradient(a) * na.asarray([1.0, 0, 0], device=device)).sum())(x)
    np.testing.assert_array_equal(curvature.numpy()[0], [0, 0, 0])


@every_device
@pytest.mark.parametrize("dtype", HALF)
def test_statistics_of_half_precision_are_computed_in_float32(dtype: str, device: str) -> None:
    x = na.asarray([300.0, -300.0, 300.0, -300.0], device=device).astype(dtype)
    assert na.std(x[:2] / 2).dtype == x.dtype
    assert float(na.std(x[:2] / 2)) == pytest.approx(150, rel=5e-3)
    big = na.concat([x] * 1000)
    assert float(na.mean(big)) == 0
    assert float(na.median(big)) == 0


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64"])
def test_statistics_of_integers_are_float32(dtype: str, device: str) -> None:
    x = na.asarray([0, 1, 1], device=device).astype(dtype)
    for out, expected in ((na.mean(x), 2 / 3), (na.var(x), 2 / 9), (na.median(x), 1), (na.quantile(x, 0.25), 0.5)):
        assert out.dtype == na.float32
        assert out.item() == pytest.approx(expected, rel=1e-6)


# --- Quantiles ---
@every_device
@pytest.mark.parametrize("axis", [None, 0, (0, 2), (2, 1), ()], ids=str)
@pytest.mark.parametrize("q", [0, 0.3, 1.0, [0.0, 0.5, 0.77], [[0.1, 0.9]]], ids=str)
def test_quantiles_are_numpys(q: Any, axis: Any, device: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 5))
    a = na.asarray(x, device=device)
    for keepdims in (False, True):
        expected = np.quantile(x, q, axis=axis, keepdims=keepdims)
        forms = [na.asarray(np.array(q, np.float64), device=device)]
        for form in forms if isinstance(q, list) and isinstance(q[0], list) else [*forms, q]:
            got = na.quantile(a, form, axis=axis, keepdims=keepdims)
            assert got.shape == expected.shape
            np.testing.assert_allclose(got.numpy(), expected, rtol=1e-13, atol=1e-15)
        got = na.median(a, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(got.numpy(), np.median(x, axis=axis, keepdims=keepdims), rtol=1e-14)


@every_device
def test_quantiles_of_infinities_and_nan(device: str) -> None:
    inf, nan = math.inf, math.nan
    x = na.asarray([[1.0, inf, inf], [-inf, 2.0, inf], [nan, 1.0, 2.0], [inf, inf, inf]], device=device)
    np.testing.assert_array_equal(na.median(x, axis=1).numpy(), [inf, 2, nan, inf])
    for q in (0.5, na.asarray(0.5, device=device)):
        np.testing.assert_array_equal(na.quantile(x, q, axis=1).numpy(), [inf, 2, nan, inf])
    np.testing.assert_array_equal(na.quantile(x, 0.75, axis=1).numpy(), [inf, inf, nan, inf])


@every_device
def test_derivatives_of_quantiles_go_to_the_elements_beside(device: str) -> None:
    x = na.asarray(np.array([5.0, 1.0, 3.0, 2.0]), device=device)
    np.testing.assert_array_equal(nt.grad(na.median)(x).numpy(), [0, 0, 0.5, 0.5])
    np.testing.assert_array_equal(nt.grad(na.median)(x[:3]).numpy(), [0, 0, 1])
    np.testing.assert_allclose(nt.grad(lambda a: na.quantile(a, 0.1))(x).numpy(), [0, 0.7, 0, 0.3], atol=1e-15)
    np.testing.assert_array_equal(nt.grad(na.median)(na.ones(3, device=device)).numpy(), [0, 1, 0])  # a tie: in order
    np.testing.assert_array_equal(nt.grad(lambda a: na.quantile(a, 1.0))(x).numpy(), [1, 0, 0, 0])
    q = na.asarray(np.array([0.1, 0.5, 0.9]), device=device)
    slopes = nt.grad(lambda p: na.quantile(x, p).sum())(q)
    np.testing.assert_allclose(slopes.numpy(), [3, 3, 6])  # 3 steps to go through 1, 2, 3, 5
    nt.check_grads(lambda a, p: na.quantile(na.reshape(a, (2, 2)), p, axis=1), (x, q))


@every_device
def test_a_quantile_must_be_between_0_and_1(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    for q in (-0.1, 50, math.nan, [0.5, 1.5]):
        with pytest.raises(ValueError, match=r"quantile: q must be from 0 to 1, got .*100"):
            na.quantile(x, q)
    outside = na.quantile(x, na.asarray([-0.1, 0.5, 1.5, math.nan], device=device))
    np.testing.assert_array_equal(outside.numpy(), [math.nan, 1.5, math.nan, math.nan])
    for f in (na.median, lambda a: na.quantile(a, 0.5)):
        with pytest.raises(na.DTypeError, match="complex"):
            f(x * 1j)


@every_device
def test_quantiles_of_a_batch(device: str) -> None:
    x = na.asarray(np.random.default_rng(0).normal(size=(3, 4, 5)), device=device)
    q = na.asarray(np.array([0.1, 0.6, 1.0]), device=device)
    got = nt.vmap(lambda a, p: na.quantile(a, p, axis=0))(x, q)
    expected = [np.quantile(x.numpy()[i], q.numpy()[i], axis=0) for i in range(3)]
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-13)
