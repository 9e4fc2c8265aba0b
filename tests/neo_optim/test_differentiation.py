"""Updates are ops: derivatives flow through an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_optim as optim
import neo_tape as nt
from tests.neo_optim.table import NAMES, ROWS, Opt, Row

CURVATURE = [1.0, 2.0, 3.0]


def loss(params: Any) -> na.Array:
    """A quadratic bowl."""
    curvature = na.asarray(CURVATURE, dtype=na.float64, device=params["w"].device)
    return (na.square(params["w"]) * curvature).sum() + na.sin(params["b"])


def trained(make: Callable[[Any], Opt], rate: Any, device: str, *, donate: bool, steps: int = 3) -> na.Array:
    """Return the loss after some steps with this learning rate."""
    params = {
        "w": na.asarray(np.array([1.0, -2.0, 3.0]), device=device),
        "b": na.asarray(np.array(0.5), device=device),
    }
    opt = make(rate)
    state = opt.init(params)
    for _ in range(steps):
        params, state = optim.step(opt, params, nt.grad(loss)(params), state, donate=donate)
    return loss(params)


def slope(f: Callable[[float], na.Array], at: float) -> float:
    """Return the derivative by central differences."""
    return float(f(at + 1e-6) - f(at - 1e-6)) / 2e-6


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_gradient_of_three_steps_in_the_learning_rate_is_that_of_differences(
    row: Row, device: str, donate: bool
) -> None:
    rate = na.asarray(row.lr, dtype=na.float64, device=device)
    found = nt.grad(lambda rate: trained(row.ours, rate, device, donate=donate))(rate)
    assert found.item() == pytest.approx(
        slope(lambda lr: trained(row.ours, lr, device, donate=donate), row.lr), rel=1e-6
    )


def test_learning_rate_may_live_on_another_device_and_have_another_dtype(device: str) -> None:
    rate = na.asarray(0.125, dtype=na.float32, device="numpy")
    found = nt.grad(lambda rate: trained(lambda lr: optim.sgd(lr, momentum=0.5), rate, device, donate=True))(rate)
    wanted = slope(lambda lr: trained(lambda lr: optim.sgd(lr, momentum=0.5), lr, device, donate=True), 0.125)
    assert (found.dtype, str(found.device)) == (na.float32, "numpy")
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_second_derivative_in_the_learning_rate(device: str) -> None:
    def f(rate: Any) -> na.Array:
        return trained(lambda lr: optim.adam(lr), rate, device, donate=False)

    nt.check_grads(f, (na.asarray(0.05, dtype=na.float64, device=device),), order=2)


def test_derivative_in_a_schedules_parameter(device: str) -> None:
    def make(scale: Any) -> Opt:
        return optim.sgd(lambda step: scale * 0.5 ** int(step), momentum=0.5)

    scale = na.asarray(0.1, dtype=na.float64, device=device)
    found = nt.grad(lambda scale: trained(make, scale, device, donate=False))(scale)
    assert found.item() == pytest.approx(slope(lambda scale: trained(make, scale, device, donate=False), 0.1), rel=1e-6)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_higher_derivatives_through_a_donating_step(row: Row, device: str) -> None:
    def f(rate: Any) -> na.Array:
        return trained(row.ours, rate, device, donate=True)

    def again(rate: Any) -> na.Array:
        return trained(row.ours, rate, device, donate=False)

    rate = na.asarray(row.lr, dtype=na.float64, device=device)
    one = na.ones_like(rate)
    wanted = nt.grad(nt.grad(again))(rate).item()
    found = {
        "reverse over reverse": nt.grad(nt.grad(f))(rate),
        "forward over reverse": nt.jvp(nt.grad(f), (rate,), (one,))[1],
        "reverse over forward": nt.grad(lambda r: nt.jvp(f, (r,), (one,))[1])(rate),
        "forward over forward": nt.jvp(lambda r: nt.jvp(f, (r,), (one,))[1], (rate,), (one,))[1],
    }
    for name, second in found.items():
        assert second.item() == pytest.approx(wanted, rel=1e-9), name


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_derivatives_in_parameters_and_gradients(row: Row, device: str) -> None:
    opt = row.ours(row.lr)

    def two_steps(*args: na.Array) -> na.Array:
        params, gradients = args
        state = opt.init(params)
        updates, state = opt.update(gradients, state, params)
        params = optim.apply_updates(params, updates)
        params, state = optim.step(opt, params, na.square(gradients), state)
        return na.square(params).sum()

    rng = np.random.default_rng(0)
    args = tuple(na.asarray(rng.uniform(0.5, 1.5, size=4), device=device) for _ in range(2))
    nt.check_grads(two_steps, args, order=2)


def test_adam_differentiates_at_a_gradient_of_zero(device: str) -> None:
    opt = optim.adam(1.0, eps=0.5)
    params = na.zeros((2,), dtype=na.float64, device=device)

    def f(gradients: na.Array) -> na.Array:
        return optim.step(opt, params, gradients, opt.init(params))[0].sum()

    found = nt.grad(f)(na.asarray(np.array([0.0, 1.0]), device=device))
    np.testing.assert_allclose(found.numpy(), [-1 / 0.5, -0.5 / 1.5**2])  # of -g / (|g| + eps)
