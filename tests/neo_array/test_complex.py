"""Complex numbers: derivatives in JAX's convention (no conjugation), real inputs, what is not holomorphic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device, needs_torch
from tests.neo_tape.jax_float64 import jax_in_float64

RNG = np.random.default_rng(11)
Z = RNG.normal(size=7) + 1j * RNG.normal(size=7)
W = RNG.normal(size=7) + 1j * RNG.normal(size=7)

# without acosh, whose derivative has the wrong sign in the left half plane there, and sign, which has none there
UNARY = (
    *("abs", "angle", "conj", "real", "imag", "square", "negative", "reciprocal", "sqrt"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "atanh"),
)
BINARY = ("add", "subtract", "multiply", "divide", "power")


@every_device
@pytest.mark.parametrize("name", UNARY)
def test_derivatives_of_functions_of_a_complex_number_are_jaxs(name: str, device: str) -> None:
    mine: Callable[[Array], Array] = getattr(na, name)
    with jax_in_float64() as jax:
        theirs = getattr(jax.numpy, name)
        expected, pull = jax.vjp(theirs, Z)
        cotangent = W if expected.dtype.kind == "c" else W.real
        (gradient,) = pull(jax.numpy.asarray(cotangent))
        _, tangent = jax.jvp(theirs, (Z,), (W,))
    out, pullback = nt.vjp(mine, na.asarray(Z, device=device))
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    (got,) = pullback(na.asarray(cotangent, device=device))
    assert got.dtype == na.complex128
    np.testing.assert_allclose(got.numpy(), gradient, rtol=1e-10, atol=1e-14)
    pushed = nt.jvp(mine, (na.asarray(Z, device=device),), (na.asarray(W, device=device),))[1]
    np.testing.assert_allclose(pushed.numpy(), tangent, rtol=1e-10, atol=1e-14)


@every_device
@pytest.mark.parametrize("real", [None, 0, 1], ids=["complex", "x1 real", "x2 real"])
@pytest.mark.parametrize("name", BINARY)
def test_derivatives_of_arithmetic_are_jaxs_and_real_inputs_have_real_gradients(
    name: str, real: int | None, device: str
) -> None:
    mine: Callable[..., Array] = getattr(na, name)
    inputs: list[Any] = [Z, W[::-1].copy()]
    if real is not None:
        inputs[real] = np.abs(inputs[real])
    with jax_in_float64() as jax:
        expected, pull = jax.vjp(getattr(jax.numpy, name), *inputs)
        gradients = pull(jax.numpy.asarray(W))
    arrays = [na.asarray(x, device=device) for x in inputs]
    out, pullback = nt.vjp(mine, *arrays)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    for got, x, wanted in zip(pullback(na.asarray(W, device=device)), arrays, gradients, strict=True):
        assert got.dtype == x.dtype
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-10)


@needs_torch
def test_torchs_gradients_are_the_conjugates() -> None:
    import torch

    z = torch.tensor(Z, requires_grad=True)
    (z.exp() * z.abs()).real.sum().backward()  # type: ignore[no-untyped-call]
    mine = nt.grad(lambda a: na.real(na.exp(a) * na.abs(a)).sum())(na.asarray(Z))
    assert z.grad is not None
    np.testing.assert_allclose(mine.numpy(), z.grad.numpy().conj(), rtol=1e-12)


@every_device
def test_the_gradient_is_the_partial_derivatives_along_both_axes(device: str) -> None:
    """d f = Re(gradient * dz): the real part is df/dx, the imaginary part -df/dy."""
    x, y = na.asarray(Z.real.copy(), device=device), na.asarray(Z.imag.copy(), device=device)

    def f(z: Array) -> Array:
        return (na.abs(z) * na.angle(z) + na.real(na.sin(z) * na.conj(z))).sum()

    whole = nt.grad(f)(x + 1j * y)
    gx, gy = nt.grad(lambda a, b: f(a + 1j * b), (0, 1))(x, y)
    assert gx.dtype == gy.dtype == na.float64
    np.testing.assert_allclose(whole.numpy(), gx.numpy() - 1j * gy.numpy(), rtol=1e-12)


@every_device
def test_parts_of_real_arrays(device: str) -> None:
    x = na.asarray([-2.0, 3.0], device=device)
    assert na.real(x) is x
    assert na.conj(x) is x
    np.testing.assert_array_equal(na.imag(x).numpy(), [0, 0])
    np.testing.assert_allclose(na.angle(x).numpy(), [np.pi, 0])
    assert na.imag(x).dtype == na.angle(x).dtype == na.float32
    np.testing.assert_array_equal(nt.grad(lambda a: (na.real(a) * na.conj(a)).sum())(x).numpy(), [-4, 6])
    integers = na.asarray([-2, 3], device=device)
    assert na.conj(integers) is integers
    assert na.angle(integers).dtype == na.float32


@every_device
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_parts_have_the_real_dtype_of_the_same_precision(dtype: str, device: str) -> None:
    z = na.asarray(Z, dtype=dtype, device=device)
    wanted = {"complex64": "float32", "complex128": "float64"}[dtype]
    for f in (na.real, na.imag, na.abs, na.angle):
        assert f(z).dtype == wanted
        assert nt.grad(lambda a, f=f: f(a).sum())(z).dtype == dtype
    for g in (na.conj, na.sign):
        assert g(z).dtype == dtype


@every_device
def test_conj_is_no_view_that_others_misread(device: str) -> None:
    raw = na.conj(na.asarray(Z, device=device)).raw
    assert not (hasattr(raw, "is_conj") and raw.is_conj())


@every_device
def test_abs_and_sign_at_complex_zero_have_derivative_zero(device: str) -> None:
    zeros = na.zeros(2, dtype=na.complex128, device=device)
    for f in (na.abs, lambda a: na.real(na.sign(a))):
        np.testing.assert_array_equal(nt.grad(lambda a, f=f: f(a).sum())(zeros).numpy(), [0, 0])


@every_device
def test_complex_functions_to_third_order(device: str) -> None:
    z = na.asarray(Z[:3], device=device)
    for f in (na.abs, na.sign, na.angle, na.sqrt, na.asinh, na.acosh, lambda a: a ** (2 + 1j), lambda a: (1 - 2j) ** a):
        nt.check_grads(f, (z,), order=3, tolerance=1e-5)


@every_device
def test_powers_of_numbers_that_are_no_positive_reals(device: str) -> None:
    z = na.asarray(Z, device=device)
    np.testing.assert_allclose(((-2.0) ** z).numpy(), (-2.0 + 0j) ** Z, rtol=1e-12)
    np.testing.assert_array_equal((0.0 ** na.asarray(np.array([2.0 + 1j]), device=device)).numpy(), [0])
    x = na.asarray(np.array([2.0, 3.0]), device=device)
    g = nt.grad(lambda a: ((-2.0) ** a).sum())(x)  # real and negative: it exists at integers alone
    assert np.isnan(g.numpy()).all()
