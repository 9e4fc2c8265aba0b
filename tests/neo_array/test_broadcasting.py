"""Shapes that broadcast, drawn at random: values as in NumPy, gradients summed back to the inputs' shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import neo_array as na
import neo_tape as nt
from tests.neo_array.devices import every_device

Values = npt.NDArray[Any]
properties = settings(deadline=None, max_examples=100, derandomize=True)
SHAPES = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3)
MATRICES = hnp.mutually_broadcastable_shapes(signature="(n?,k),(k,m?)->(n?,m?)", max_dims=3, max_side=3)


def summed(values: Values, shape: tuple[int, ...]) -> Values:
    """Sum over the axes along which an array of this shape was broadcast."""
    extra = values.ndim - len(shape)
    axes = (*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1))
    total: Values = values.sum(axis=axes)
    return total.reshape(shape)


def numbers(shape: tuple[int, ...], start: float) -> Values:
    return start + np.arange(np.prod(shape), dtype=np.float64).reshape(shape) / 7


OPS: dict[str, tuple[Callable[..., Values], Callable[[Values, Values], tuple[Values, Values]]]] = {
    "add": (np.add, lambda a, b: (np.ones_like(a), np.ones_like(b))),
    "subtract": (np.subtract, lambda a, b: (np.ones_like(a), -np.ones_like(b))),
    "multiply": (np.multiply, lambda a, b: (b, a)),
    "divide": (np.divide, lambda a, b: (1 / b, -a / b**2)),
    "power": (np.power, lambda a, b: (b * a ** (b - 1), a**b * np.log(a))),
    "maximum": (np.maximum, lambda a, b: ((a > b) + 0.5 * (a == b), (b > a) + 0.5 * (a == b))),
}


@every_device
@pytest.mark.parametrize("name", OPS)
@properties
@given(shapes=SHAPES)
def test_values_and_gradients(name: str, device: str, shapes: hnp.BroadcastableShapes) -> None:
    value, slopes = OPS[name]
    left, right = numbers(shapes.input_shapes[0], 1), numbers(shapes.input_shapes[1], 0.5)
    x, y = na.asarray(left, device=device), na.asarray(right, device=device)
    out, pullback = nt.vjp(getattr(na, name), x, y)
    assert out.shape == shapes.result_shape
    np.testing.assert_allclose(out.numpy(), value(left, right), rtol=1e-13)
    cotangent = numbers(shapes.result_shape, -1)
    for got, slope, given_ in zip(
        pullback(na.asarray(cotangent, device=device)),
        slopes(*np.broadcast_arrays(left, right)),
        (left, right),
        strict=True,
    ):
        assert got.shape == given_.shape
        np.testing.assert_allclose(got.numpy(), summed(cotangent * slope, given_.shape), rtol=1e-10, atol=1e-12)


@every_device
@properties
@given(data=st.data())
def test_stacks_of_matrices(device: str, data: st.DataObject) -> None:
    shapes = data.draw(MATRICES)
    left, right = numbers(shapes.input_shapes[0], 1), numbers(shapes.input_shapes[1], 0.5)
    expected = np.matmul(left, right)
    out, pullback = nt.vjp(na.matmul, na.asarray(left, device=device), na.asarray(right, device=device))
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    cotangent = numbers(out.shape, -1)
    a = left[None] if left.ndim == 1 else left
    b = right[:, None] if right.ndim == 1 else right
    g = cotangent.reshape((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]))
    first, second = pullback(na.asarray(cotangent, device=device))
    wanted = summed(np.einsum("...ij,...kj->...ik", g, b), a.shape).reshape(left.shape)
    np.testing.assert_allclose(first.numpy(), wanted, rtol=1e-10, atol=1e-12)
    wanted = summed(np.einsum("...ki,...kj->...ij", a, g), b.shape).reshape(right.shape)
    np.testing.assert_allclose(second.numpy(), wanted, rtol=1e-10, atol=1e-12)


@every_device
@properties
@given(data=st.data())
def test_reductions_over_any_axes(device: str, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=3))
    axis = data.draw(st.none() | hnp.valid_tuple_axes(len(shape)))
    keepdims = data.draw(st.booleans())
    values = np.random.default_rng(0).normal(size=shape)
    x = na.asarray(values, device=device)
    for ours, theirs in ((na.sum, np.sum), (na.mean, np.mean), (na.max, np.max), (na.min, np.min)):
        out: Any = ours(x, axis=axis, keepdims=keepdims)
        expected: Any = theirs(values, axis=axis, keepdims=keepdims)
        assert out.shape == np.shape(expected)
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    total = np.sum(values, axis=axis, keepdims=True)
    (got,) = nt.vjp(lambda a: na.sum(a, axis=axis, keepdims=keepdims), x)[1](na.sum(x, axis=axis, keepdims=keepdims))
    np.testing.assert_allclose(got.numpy(), np.broadcast_to(total, shape), rtol=1e-12)
