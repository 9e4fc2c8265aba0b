from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neo_array as na
import neo_nn as nn
import neo_tape as nt
from tests.neo_nn.oracle import assert_agrees

rng = np.random.default_rng(0)
SHAPES: list[tuple[int, ...]] = [(3, 5), (1,), (), (0, 2), (2, 3, 4)]
PAIRS: dict[str, tuple[Any, Any]] = {
    "relu": (nn.relu, torch.relu),
    "sigmoid": (nn.sigmoid, torch.sigmoid),
    "tanh": (nn.tanh, torch.tanh),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_activation_agrees_with_torch(name: str, shape: tuple[int, ...], device: str, dtype: str) -> None:
    ours, theirs = PAIRS[name]
    assert_agrees(ours, theirs, [np.asarray(2 * rng.normal(size=shape))], device=device, dtype=dtype)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_agrees_with_torch(name: str, device: str, dtype: str) -> None:
    ours, theirs = getattr(nn, name), getattr(torch, name)
    x = 3 * rng.normal(size=(3, 5))
    assert_agrees(ours, lambda t: theirs(t, -1), [x], device=device, dtype=dtype)


@pytest.mark.parametrize("name", PAIRS)
def test_activation_at_special_values_agrees_with_torch(name: str, device: str, dtype: str) -> None:
    ours, theirs = PAIRS[name]
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 88.0, -88.0, 1e-30], dtype)
    tensor = torch.tensor(x, requires_grad=True)
    expected = theirs(tensor)
    (slope,) = torch.autograd.grad(expected.sum(), tensor)
    value, gradient = nt.value_and_grad(lambda x: ours(x).sum())(na.asarray(x, device=device))
    np.testing.assert_allclose(ours(na.asarray(x, device=device)).numpy(), expected.detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(gradient.numpy(), slope.numpy(), rtol=1e-5, atol=1e-38)
    assert np.isnan(value.item())


def test_relu_has_no_derivative_at_zero_to_any_order(device: str) -> None:
    x = na.asarray([0.0, -0.0, 1.0], device=device)
    first = nt.grad(lambda x: nn.relu(x).sum())
    np.testing.assert_array_equal(first(x).numpy(), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(nt.grad(lambda x: (first(x) * x).sum())(x).numpy(), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(nt.jvp(nn.relu, (x,), (na.ones_like(x),))[1].numpy(), [0.0, 0.0, 1.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_relu_lets_nothing_through_where_it_is_off(bad: float, device: str, dtype: str) -> None:
    x = na.asarray(np.array([-1.0, 0.0, 1.0], dtype), device=device)
    _, pullback = nt.vjp(nn.relu, x)
    np.testing.assert_array_equal(pullback(na.full_like(x, bad))[0].numpy(), [0.0, 0.0, bad])


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_relu_and_its_gradient_keep_half_precision(half: str, device: str) -> None:
    pytest.importorskip("ml_dtypes")
    x = na.asarray([-1.0, 0.0, 2.0], device=device).astype(half)
    assert nn.relu(x).dtype.name == half
    gradient = nt.grad(lambda x: nn.relu(x * 3.0).sum())(x)
    assert gradient.dtype.name == half
    np.testing.assert_array_equal(gradient.astype(na.float32).numpy(), [0.0, 0.0, 3.0])


def test_relu_of_integers(device: str) -> None:
    out = nn.relu(na.asarray([-2, 0, 3], device=device))
    assert out.dtype == na.int64
    np.testing.assert_array_equal(out.numpy(), [0, 0, 3])


def test_relu_of_complex_numbers_is_refused(device: str) -> None:
    with pytest.raises(na.DTypeError, match="relu: needs real numbers, got complex64"):
        nn.relu(na.zeros(2, dtype=na.complex64, device=device))


def test_sigmoid_keeps_relative_precision_far_below_zero(device: str) -> None:
    x = na.asarray(np.array([-700.0, -40.0]), device=device)
    np.testing.assert_allclose(nn.sigmoid(x).numpy(), np.exp([-700.0, -40.0]), rtol=1e-12)
