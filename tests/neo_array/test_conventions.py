"""Derivatives where the limit is not enough: ties, zeros, singular points, the branch not taken."""

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

INF, NAN = math.inf, math.nan


def gradient(f: Callable[[Array], Array], at: Any, device: str, *, finite: bool = True) -> Any:
    """Return the gradient of the sum of f, in reverse mode; where it is finite, checked against forward mode."""
    x = na.asarray(np.array(at, np.float64), device=device)
    reverse = nt.grad(lambda a: f(a).sum())(x).numpy()
    if not finite:
        return reverse  # forward mode meets 0 * inf, along directions that leave the singular element alone
    basis = np.eye(x.size).reshape(x.size, *x.shape)
    forward = [nt.jvp(lambda a: f(a).sum(), (x,), (na.asarray(b, device=device),))[1].item() for b in basis]
    np.testing.assert_array_equal(reverse.reshape(-1), forward)
    return reverse


# --- Ties share evenly ---
@every_device
def test_maximum_and_minimum_share_ties_evenly(device: str) -> None:
    other = na.asarray(np.array([1.0, 1.0, 1.0]), device=device)
    np.testing.assert_array_equal(gradient(lambda a: na.maximum(a, other), [0.0, 1.0, 2.0], device), [0, 0.5, 1])
    np.testing.assert_array_equal(gradient(lambda a: na.minimum(a, 1.0), [0.0, 1.0, 2.0], device), [1, 0.5, 0])
    np.testing.assert_array_equal(gradient(lambda a: na.maximum(a, a), [3.0], device), [1])


@every_device
def test_max_and_min_share_ties_evenly(device: str) -> None:
    x = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    np.testing.assert_allclose(gradient(lambda a: na.max(a, axis=1), x, device), [[0, 0.5, 0.5], [1 / 3] * 3])
    np.testing.assert_allclose(gradient(na.min, [1.0, 5.0, 1.0], device), [0.5, 0, 0.5])


@every_device
def test_infinite_extrema_have_finite_derivatives(device: str) -> None:
    np.testing.assert_array_equal(gradient(na.max, [INF, 1.0], device), [1, 0])
    np.testing.assert_array_equal(gradient(na.max, [-INF, -INF], device), [0.5, 0.5])
    np.testing.assert_array_equal(gradient(lambda a: na.maximum(a, 0.0), [-INF, INF], device), [0, 1])


# --- Zeros ---
@every_device
def test_abs_and_sign_at_zero(device: str) -> None:
    np.testing.assert_array_equal(gradient(na.abs, [-2.0, 0.0, 3.0], device), [-1, 0, 1])
    np.testing.assert_array_equal(gradient(lambda a: na.sign(a) * a, [-2.0, 0.0, 3.0], device), [-1, 0, 1])


@every_device
def test_sqrt_and_log_at_zero_have_their_limits(device: str) -> None:
    np.testing.assert_array_equal(gradient(na.sqrt, [0.0, 4.0], device, finite=False), [INF, 0.25])
    np.testing.assert_array_equal(gradient(na.log, [0.0, 4.0], device, finite=False), [INF, 0.25])


@every_device
def test_powers_at_zero(device: str) -> None:
    np.testing.assert_array_equal(gradient(lambda a: a**2, [0.0, -3.0], device), [0, -6])
    np.testing.assert_array_equal(gradient(lambda a: a**1, [0.0, -3.0], device), [1, 1])
    np.testing.assert_array_equal(gradient(lambda a: a**0, [0.0, -3.0], device), [0, 0])
    np.testing.assert_array_equal(gradient(lambda a: a**3, [0.0, -2.0], device), [0, 12])
    np.testing.assert_array_equal(gradient(lambda a: a**0.5, [0.0], device, finite=False), [INF])
    exponents = na.asarray(np.array([0.0, 1.0, 2.0, 3.0]), device=device)
    np.testing.assert_array_equal(gradient(lambda a: a**exponents, [0.0] * 4, device), [0, 1, 0, 0])
    np.testing.assert_array_equal(gradient(lambda a: na.power(0.0, a), [1.0, 2.0], device), [0, 0])
    base = na.asarray(np.array([0.0, 2.0]), device=device)
    np.testing.assert_allclose(gradient(lambda a: base**a, [2.0, 3.0], device), [0, 8 * math.log(2)])


@every_device
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_all_derivatives_of_small_powers_exist_at_zero(n: int, device: str) -> None:
    f: Callable[[Array], Array] = lambda a: a**n
    for order in range(1, 5):
        f = nt.grad(f)
        expected = math.factorial(n) if order == n else 0.0
        assert f(na.asarray(0.0, device=device)).item() == expected, f"order {order}"


@every_device
def test_adams_root_at_zero_counts_as_constant(device: str) -> None:
    zero = na.zeros((2,), dtype=na.float64, device=device)
    np.testing.assert_array_equal(
        gradient(lambda a: na.divide_by_root(zero, a, root=1.0, offset=1e-8), [0.0, 4.0], device), [0, 0]
    )
    np.testing.assert_allclose(
        gradient(lambda a: na.divide_by_root(a, zero, root=1.0, offset=0.5), [0.0, 3.0], device), [2, 2]
    )


# --- The branch not taken ---
@every_device
def test_where_keeps_nan_and_inf_of_the_branch_not_taken_out(device: str) -> None:
    x = [-1.0, 0.0, 4.0]
    np.testing.assert_array_equal(gradient(lambda a: na.where(a > 0, a, 0.0), x, device), [0, 0, 1])
    safe: Callable[[Array], Array] = lambda a: na.where(a > 0, na.sqrt(na.where(a > 0, a, 1.0)), 0.0)
    np.testing.assert_array_equal(gradient(safe, x, device), [0, 0, 0.25])
    nan = na.asarray(np.array([NAN, NAN, NAN]), device=device)
    np.testing.assert_array_equal(gradient(lambda a: na.where(a > 0, a * 2, nan), [1.0, 2.0, 3.0], device), [2, 2, 2])


@every_device
def test_nan_reaches_the_derivative_of_what_it_touches_alone(device: str) -> None:
    got = gradient(lambda a: a * a, [NAN, 1.0], device, finite=False)
    np.testing.assert_array_equal(got, [NAN, 2])
    np.testing.assert_array_equal(gradient(lambda a: na.maximum(a, 0.0), [NAN, 1.0], device, finite=False), [NAN, 1])


# --- Large inputs ---
@every_device
def test_softmax_and_its_kin_are_stable_at_a_large_scale(device: str) -> None:
    x = [1e4, 1e4 - 1, -1e4]
    e = math.exp(-1)
    p = np.array([1 / (1 + e), e / (1 + e), 0])
    np.testing.assert_allclose(gradient(na.logsumexp, x, device), p, atol=1e-12)
    np.testing.assert_allclose(
        gradient(lambda a: na.log_softmax(a)[0], x, device), np.array([1.0, 0, 0]) - p, atol=1e-12
    )
    at = na.asarray(x, dtype=na.float32, device=device)
    np.testing.assert_allclose(na.log_softmax(at).numpy(), np.log(p[0]) - np.array([0, 1, 2e4]), rtol=1e-6)
    np.testing.assert_allclose(na.softmax(at).numpy(), p, rtol=1e-6)


@every_device
def test_rows_without_any_chance_stay_values(device: str) -> None:
    x = na.asarray([[0.0, -INF], [-INF, -INF]], device=device)
    np.testing.assert_array_equal(na.logsumexp(x, axis=1).numpy(), [0, -INF])
    np.testing.assert_array_equal(na.softmax(x, axis=1).numpy()[0], [1, 0])
    np.testing.assert_array_equal(na.log_softmax(x, axis=1).numpy()[0], [0, -INF])
    assert na.logsumexp(na.asarray([INF, 0.0], device=device)).item() == INF


@every_device
def test_tanh_saturates_with_a_derivative_of_zero(device: str) -> None:
    np.testing.assert_array_equal(gradient(na.tanh, [-1e3, 1e3], device), [0, 0])


# --- Broadcasting ---
@every_device
def test_the_gradient_has_the_inputs_shape_however_it_was_broadcast(device: str) -> None:
    big = na.ones((4, 3, 5), dtype=na.float64, device=device)
    for shape in ((), (1,), (5,), (3, 1), (1, 5), (4, 1, 1), (1, 1, 1), (4, 3, 5), (1, 4, 3, 5)):
        got = gradient(lambda a: a * big, np.ones(shape), device)
        assert got.shape == shape
        assert got.sum() == 60
    scalar = na.asarray(2.0, device=device)
    assert nt.grad(lambda a: (a * 3.0) ** 2 + 5 - a)(scalar).item() == 35
