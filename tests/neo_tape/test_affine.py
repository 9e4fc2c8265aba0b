"""A custom rule beside PyTorch and JAX: value, gradients, second derivatives and forward mode, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.jax_float64 import jax_in_float64


@nt.function
class Affine(nt.Policy):
    """X @ Y + b, with its gradient by hand."""

    def forward(self, X: Array, Y: Array, b: Array, *, scale: float = 1.0) -> Array:
        self.ctx.save(X, Y)
        return scale * (X @ Y) + b

    def backward(self, grad: Array) -> tuple[Array, Array, Array]:
        X, Y = self.ctx.release
        return grad @ Y.T, X.T @ grad, grad.sum(axis=0)


ARGUMENTS: Final = [np.random.default_rng(0).normal(size=shape) for shape in ((5, 4), (4, 3), (3,))]
DIRECTIONS: Final = [np.random.default_rng(1).normal(size=shape) for shape in ((5, 4), (4, 3), (3,))]


def loss(affine: Callable[..., Any], tanh: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda X, Y, b: (tanh(affine(X, Y, b)) ** 2).sum()


def neo_gradients(dtype: na.DType) -> list[Any]:
    arguments = [na.asarray(a, dtype=dtype) for a in ARGUMENTS]
    value, gradients = nt.value_and_grad(loss(Affine, na.tanh), (0, 1, 2))(*arguments)
    assert all(g.dtype == dtype for g in gradients)
    return [value.numpy(), *(g.numpy() for g in gradients)]


def torch_gradients(dtype: na.DType) -> list[Any]:
    torch = pytest.importorskip("torch")
    arguments = [torch.tensor(a, dtype=getattr(torch, str(dtype)), requires_grad=True) for a in ARGUMENTS]
    value = loss(lambda X, Y, b: X @ Y + b, torch.tanh)(*arguments)
    value.backward()
    return [value.detach().numpy(), *(a.grad.numpy() for a in arguments)]


def jax_gradients(dtype: na.DType) -> list[Any]:
    with jax_in_float64() as jax:
        arguments = [jax.numpy.asarray(a, dtype=dtype) for a in ARGUMENTS]
        f = loss(lambda X, Y, b: X @ Y + b, jax.numpy.tanh)
        value, gradients = jax.value_and_grad(f, (0, 1, 2))(*arguments)
        return [np.asarray(a) for a in (value, *gradients)]


@pytest.mark.parametrize("oracle", [torch_gradients, jax_gradients])
@pytest.mark.parametrize(("dtype", "tolerance"), [(na.float32, 1e-6), (na.float64, 1e-12)], ids=str)
def test_gradients_are_those_of_the_oracle(
    oracle: Callable[[na.DType], list[Any]], dtype: na.DType, tolerance: float, device: str
) -> None:
    for mine, theirs in zip(neo_gradients(dtype), oracle(dtype), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


def test_example_of_the_sum_has_the_closed_form(device: str) -> None:
    X, Y, b = map(na.asarray, ARGUMENTS)
    value, (gX, gY, gb) = nt.value_and_grad(lambda X, Y, b: Affine(X, Y, b).sum(), argnums=(0, 1, 2))(X, Y, b)
    x, y, c = ARGUMENTS
    ones = np.ones((5, 3))
    np.testing.assert_allclose(value.numpy(), (x @ y + c).sum(), rtol=1e-14)
    for mine, expected in ((gX, ones @ y.T), (gY, x.T @ ones), (gb, ones.sum(axis=0))):
        np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-14)


def test_second_derivatives_are_pytorchs(device: str) -> None:
    torch = pytest.importorskip("torch")
    directions = [na.asarray(d) for d in DIRECTIONS]

    def along(X: Array, Y: Array, b: Array) -> Array:
        gradients = nt.grad(loss(Affine, na.tanh), (0, 1, 2))(X, Y, b)
        total = na.zeros((), dtype=na.float64)
        for g, d in zip(gradients, directions, strict=True):
            total = total + (g * d).sum()
        return total

    mine = nt.grad(along, (0, 1, 2))(*map(na.asarray, ARGUMENTS))

    arguments = [torch.tensor(a, requires_grad=True) for a in ARGUMENTS]
    value = loss(lambda X, Y, b: X @ Y + b, torch.tanh)(*arguments)
    gradients = torch.autograd.grad(value, arguments, create_graph=True)
    along_torch = sum((g * torch.tensor(d)).sum() for g, d in zip(gradients, DIRECTIONS, strict=True))
    for m, t in zip(mine, torch.autograd.grad(along_torch, arguments), strict=True):
        np.testing.assert_allclose(m.numpy(), t.numpy(), rtol=1e-11, atol=1e-11)


def test_third_derivative_and_mixed_modes_are_those_without_the_policy(device: str) -> None:
    X, Y, b = map(na.asarray, ARGUMENTS)
    directions = tuple(map(na.asarray, DIRECTIONS))
    arguments = (X, Y, b)

    def third(affine: Callable[..., Array]) -> list[Array]:
        f: Any = loss(affine, na.tanh)
        jvp: Any = nt.jvp
        first: Any = nt.grad(f, (0, 1, 2))
        along = lambda X, Y, b: na.sum(jvp(first, (X, Y, b), directions)[1][1] * directions[1])
        gradient = nt.grad(along, (0, 1, 2))(X, Y, b)
        return [*gradient, jvp(lambda *a: jvp(f, a, directions)[1], arguments, directions)[1]]

    for mine, plain in zip(third(Affine), third(lambda X, Y, b: X @ Y + b), strict=True):
        np.testing.assert_allclose(mine.numpy(), plain.numpy(), rtol=1e-11, atol=1e-11)


def test_derivatives_pass_the_numerical_check(device: str) -> None:
    X, Y, b = map(na.asarray, ARGUMENTS)
    nt.check_grads(Affine, (X, Y, b))
