"""Norms: as NumPy has them, at the edges of the range of numbers, and their derivatives at 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import linalg
from tests.neo_array.devices import every_device

ORDERS = [2, 1, 0, 3, 2.5, 0.5, -1, -2, -0.5, math.inf, -math.inf]
RNG = np.random.default_rng(0)


def numbers(*shape: int, kind: str = "f8") -> Any:
    x = RNG.normal(size=shape)
    return (x + 1j * RNG.normal(size=shape) if kind[0] == "c" else x).astype(kind)


def close(found: na.Array, expected: Any) -> None:
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5 if expected.dtype.itemsize == 4 else 1e-13)


# --- Values ---
@every_device
@pytest.mark.parametrize("kind", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("ord", ORDERS)
def test_vector_norms_are_numpys(ord: float, kind: str, device: str) -> None:
    x = numbers(2, 3, 5, kind=kind)
    a = na.asarray(x, device=device)
    axes: list[Any] = [None, 1, -1, (0, 2)]
    for axis in axes:
        for keepdims in (False, True):
            out = linalg.vector_norm(a, axis=axis, keepdims=keepdims, ord=ord)
            close(out, np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord))
    close(linalg.vector_norm(a, axis=(), ord=ord), (x != 0).astype(out.dtype) if ord == 0 else abs(x))


@every_device
@pytest.mark.parametrize("ord", ORDERS)
def test_vector_norms_of_vectors_with_zeros(ord: float, device: str) -> None:
    x = np.array([[0.0, 0.0, 0.0], [0.0, -2.0, 3.0]])
    with np.errstate(divide="ignore"):
        expected = np.linalg.vector_norm(x, axis=1, ord=ord)
    close(linalg.vector_norm(na.asarray(x, device=device), axis=1, ord=ord), expected)


@every_device
@pytest.mark.parametrize("ord", [2, 3, 0.5, -1, math.inf])
def test_vector_norms_neither_overflow_nor_vanish(ord: float, device: str) -> None:
    for dtype, scales in [("f4", (1e-38, 1e-25, 1e25, 1e38)), ("f8", (1e-300, 1e-170, 1e170, 1e300))]:
        for scale in scales:
            x = np.array([3, 4], dtype) * np.array(scale / 8, dtype)
            out = linalg.vector_norm(na.asarray(x, device=device), ord=ord)
            expected = float(x[1]) * float(np.linalg.vector_norm(np.array([0.75, 1.0]), ord=ord))
            assert float(out) == pytest.approx(expected, rel=1e-5)
    half = linalg.vector_norm(na.asarray(np.full(4, 3e4, "f2"), device=device), ord=ord)
    assert half.dtype == na.float16


@every_device
@pytest.mark.parametrize("ord", [2, 3, 0.5, 1, math.inf])
def test_vector_norms_of_inf_and_nan(ord: float, device: str) -> None:
    x = na.asarray(np.array([[1.0, np.inf], [1.0, np.nan], [np.inf, np.nan], [-np.inf, np.inf]]), device=device)
    np.testing.assert_array_equal(linalg.vector_norm(x, axis=1, ord=ord).numpy(), [np.inf, np.nan, np.nan, np.inf])


@every_device
def test_norms_without_elements_are_zero(device: str) -> None:
    x = na.zeros((2, 0), device=device)
    for ord in (2, 1, 0, 3, 0.5):
        np.testing.assert_array_equal(linalg.vector_norm(x, axis=1, ord=ord).numpy(), [0, 0])
    assert linalg.matrix_norm(x).item() == 0
    assert linalg.matrix_norm(x, ord="nuc").item() == 0


@every_device
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_norm_of_half_precision_is_summed_in_float32(dtype: str, device: str) -> None:
    x = na.full((64,), 300.0, dtype=dtype, device=device)
    out = linalg.vector_norm(x)
    assert str(out.dtype) == dtype
    assert float(out.astype(na.float32)) == pytest.approx(2400, rel=1e-2)


@every_device
@pytest.mark.parametrize("kind", ["f4", "f8", "c16"])
@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_matrix_norms_are_numpys(ord: Any, kind: str, device: str) -> None:
    x = numbers(2, 3, 5, kind=kind)
    for keepdims in (False, True):
        out = linalg.matrix_norm(na.asarray(x, device=device), ord=ord, keepdims=keepdims)
        close(out, np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims))


@every_device
@pytest.mark.parametrize(
    ("shape", "ord", "axis"),
    [
        ((2, 3, 5), None, None),
        ((), None, None),
        ((3,), 3, None),
        ((3, 5), "nuc", None),
        ((2, 3, 5), None, 1),
        ((2, 3, 5), 1, -1),
        ((2, 3, 5), 1, (2, 0)),
        ((2, 3, 5), 1, (0, 2)),
        ((2, 3, 5), None, (0, 2)),
    ],
)
def test_norm_is_numpys(shape: Any, ord: Any, axis: Any, device: str) -> None:
    x = np.asarray(numbers(*shape))
    for keepdims in (False, True):
        out = linalg.norm(na.asarray(x, device=device), ord=ord, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(out.numpy(), np.linalg.norm(x, ord=ord, axis=axis, keepdims=keepdims), rtol=1e-13)
        assert out.shape == np.linalg.norm(x, ord=ord, axis=axis, keepdims=keepdims).shape


# --- What cannot be ---
def test_norms_that_cannot_be() -> None:
    x = na.ones((2, 3))
    with pytest.raises(na.DTypeError, match=r"vector_norm: needs floating .* got dtype int64; cast with"):
        linalg.vector_norm(na.ones(3, dtype=na.int64))
    with pytest.raises(na.ShapeError, match=r"matrix_norm: needs a matrix or a stack of them, got shape \(3,\)"):
        linalg.matrix_norm(na.ones(3))
    with pytest.raises(ValueError, match=r'matrix_norm: ord must be "fro".*, got 3'):
        linalg.matrix_norm(x, ord=3)
    with pytest.raises(ValueError, match="norm: ord='fro' is a norm of matrices; name two axes"):
        linalg.norm(x, ord="fro", axis=0)
    with pytest.raises(na.ShapeError, match="norm: with ord=2 and no axis, needs a vector or a matrix"):
        linalg.norm(na.ones((2, 3, 5)), ord=2)
    with pytest.raises(na.ShapeError, match=r"norm: axis .* must name one axis for vectors, or two for matrices"):
        linalg.norm(na.ones((2, 3, 5)), axis=(0, 1, 2))
    with pytest.raises(na.ShapeError, match="axis 2 is out of range"):
        linalg.vector_norm(x, axis=2)
    with pytest.raises(na.DTypeError, match="norm: needs an Array, got list"):
        linalg.norm([1.0])  # type: ignore[arg-type]


# --- Derivatives ---
@every_device
@pytest.mark.parametrize("kind", ["f8", "c16"])
@pytest.mark.parametrize("ord", [o for o in ORDERS if o != 0])
def test_derivatives_of_vector_norms(ord: float, kind: str, device: str) -> None:
    x = na.asarray(numbers(2, 3, kind=kind), device=device)
    nt.check_grads(lambda v: linalg.vector_norm(v, axis=1, ord=ord), (x,))


@every_device
@pytest.mark.parametrize("kind", ["f8", "c16"])
@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_derivatives_of_matrix_norms(ord: Any, kind: str, device: str) -> None:
    x = na.asarray(numbers(2, 3, 4, kind=kind), device=device)
    nt.check_grads(lambda v: linalg.matrix_norm(v, ord=ord), (x,))


@every_device
@pytest.mark.parametrize("kind", ["f8", "c16"])
@pytest.mark.parametrize("ord", ORDERS)
def test_derivatives_at_zero_are_zero(ord: float, kind: str, device: str) -> None:
    def f(v: na.Array) -> na.Array:
        return linalg.vector_norm(v, ord=ord)

    x = na.zeros(3, dtype=kind, device=device)
    np.testing.assert_array_equal(nt.grad(f)(x).numpy(), 0)
    np.testing.assert_array_equal(nt.jvp(f, (x,), (na.ones_like(x),))[1].numpy(), 0)
    second = nt.grad(lambda v: na.real(na.sum(nt.grad(f)(v))))(x)
    np.testing.assert_array_equal(second.numpy(), 0)


@every_device
@pytest.mark.parametrize("ord", [2, 3, 1, 0.5])
def test_derivatives_beside_a_zero_are_those_without_it(ord: float, device: str) -> None:
    x = na.asarray(np.array([0.0, 3.0, -4.0]), device=device)
    g = nt.grad(lambda v: linalg.vector_norm(v, ord=ord))(x).numpy()
    assert g[0] == 0
    size = np.sum(np.abs([3.0, 4.0]) ** ord) ** (1 / ord)
    np.testing.assert_allclose(g[1:], [(3 / size) ** (ord - 1), -((4 / size) ** (ord - 1))])


@every_device
def test_matrix_norms_at_zero_have_finite_derivatives(device: str) -> None:
    x = na.zeros((2, 3), dtype=na.float64, device=device)
    np.testing.assert_array_equal(nt.grad(linalg.matrix_norm)(x).numpy(), 0)
    for ord in ("nuc", 2):
        g = nt.grad(lambda v, o=ord: linalg.matrix_norm(v, ord=o))(x).numpy()
        assert np.linalg.matrix_norm(g, ord=2) <= 1 + 1e-12  # a subgradient


@every_device
def test_derivatives_of_a_norm_near_overflow(device: str) -> None:
    x = na.asarray(np.array([3e300, 4e300]), device=device)
    np.testing.assert_allclose(nt.grad(linalg.vector_norm)(x).numpy(), [0.6, 0.8])
    g = nt.grad(lambda v: linalg.vector_norm(v, ord=4))(x).numpy()
    np.testing.assert_allclose(g ** (4 / 3), [81 / 337, 256 / 337])
