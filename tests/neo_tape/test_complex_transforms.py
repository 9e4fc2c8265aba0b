"""Complex numbers in every transform, against JAX: gradients are not conjugated, tangents are linear over the reals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.transforms import F

RNG: Final = np.random.default_rng(0)
Z: Final = RNG.normal(size=3) + 1j * RNG.normal(size=3)
W: Final = RNG.normal(size=3) + 1j * RNG.normal(size=3)
X: Final = RNG.normal(size=3)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Any]:
    with jax_in_float64() as jax:
        yield jax


def to_complex(xp: Any, z: Any) -> Any:
    """Use z, its conjugate, its parts and its size: not holomorphic."""
    return xp.exp(0.3 * z) * xp.conj(z) + xp.abs(z) * 1j - xp.real(z) * xp.imag(z) + z**2


def to_real(xp: Any, z: Any) -> Any:
    w = to_complex(xp, z)
    return xp.sum(xp.real(w) ** 2 + xp.real(w) * xp.imag(w)) + xp.sum(xp.real(z * xp.conj(z)))


# each transform of a function of z, written once for both libraries; `lib` is neo_tape or jax
TRANSFORMS: Final[dict[str, Callable[[Any, Any, Any, Any], Any]]] = {
    "grad": lambda lib, xp, z, w: lib.grad(lambda z: to_real(xp, z))(z),
    "grad of both": lambda lib, xp, z, w: lib.grad(lambda z, w: to_real(xp, z * w), (0, 1))(z, w),
    "vjp": lambda lib, xp, z, w: lib.vjp(lambda z: to_complex(xp, z), z)[1](w),
    "vjp of a real function": lambda lib, xp, z, w: lib.vjp(lambda z: xp.abs(z), z)[1](xp.real(w)),
    "jvp": lambda lib, xp, z, w: lib.jvp(lambda z: to_complex(xp, z), (z,), (w,)),
    "linearize": lambda lib, xp, z, w: lib.linearize(lambda z: to_complex(xp, z), z)[1](w),
    "vmap": lambda lib, xp, z, w: lib.vmap(lambda z, w: to_complex(xp, z * w))(z, w),
    "vmap of grad": lambda lib, xp, z, w: lib.vmap(lib.grad(lambda z: to_real(xp, z)))(xp.stack([z, w])),
    "grad of vmap": lambda lib, xp, z, w: lib.grad(
        lambda z: xp.real(xp.sum(lib.vmap(lambda a: to_complex(xp, a) * a)(z)))
    )(z),
    "checkpoint": lambda lib, xp, z, w: lib.grad(lib.checkpoint(lambda z: to_real(xp, z)))(z),
    "jvp of grad": lambda lib, xp, z, w: lib.jvp(lib.grad(lambda z: to_real(xp, z)), (z,), (w,))[1],
    "grad of grad": lambda lib, xp, z, w: lib.grad(
        lambda z: xp.sum(xp.real(lib.grad(lambda y: to_real(xp, y))(z) * w))
    )(z),
    "grad of jvp": lambda lib, xp, z, w: lib.grad(
        lambda z: xp.sum(xp.imag(lib.jvp(lambda y: to_complex(xp, y), (z,), (w,))[1]))
    )(z),
    "real to complex": lambda lib, xp, z, w: lib.vjp(lambda x: to_complex(xp, x * w), xp.real(z))[1](w),
    "real to complex, forward": lambda lib, xp, z, w: lib.jvp(
        lambda x: to_complex(xp, x * w), (xp.real(z),), (xp.imag(z),)
    )[1],
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transform_is_jaxs(transform: F, oracle: Any, device: str) -> None:
    got = na.tree.leaves(transform(nt, na, na.asarray(Z), na.asarray(W)))
    jnp = oracle.numpy
    expected = oracle.tree.leaves(transform(oracle, jnp, jnp.asarray(Z), jnp.asarray(W)))
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        assert g.dtype == np.asarray(e).dtype
        np.testing.assert_allclose(g.numpy(), np.asarray(e), rtol=1e-11, atol=1e-12)


def test_hvp_is_forward_over_reverse_of_jax(oracle: Any) -> None:
    jax_f: F = lambda z: to_real(oracle.numpy, z)
    expected = oracle.jvp(oracle.grad(jax_f), (oracle.numpy.asarray(Z),), (oracle.numpy.asarray(W),))[1]
    got = nt.hvp(lambda z: to_real(na, z), na.asarray(Z), na.asarray(W))
    np.testing.assert_allclose(got.numpy(), np.asarray(expected), rtol=1e-11)


def test_holomorphic_derivatives_agree_in_all_ways() -> None:
    """d/dz of z**3 + exp(z) is 3 z**2 + exp(z), and its derivative 6 z + exp(z)."""
    f: F = lambda z: z**3 + na.exp(z)
    z, first, second = na.asarray(Z), 3 * Z**2 + np.exp(Z), 6 * Z + np.exp(Z)
    one = na.ones_like(z)
    close: F = lambda got, expected: np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-14)
    close(nt.vjp(f, z)[1](one)[0], first)
    close(nt.jvp(f, (z,), (one,))[1], first)
    close(nt.jvp(lambda z: nt.jvp(f, (z,), (one,))[1], (z,), (one,))[1], second)
    jacobians: list[Any] = [nt.jacrev, nt.jacfwd]
    for jac in jacobians:
        close(jac(f, holomorphic=True)(z), np.diag(first))
        close(jac(jac(f, holomorphic=True), holomorphic=True)(z).sum(axis=(1, 2)), second)
    close(nt.hessian(f, holomorphic=True)(z).sum(axis=(1, 2)), second)
    close(nt.vmap(lambda z: nt.vjp(f, z)[1](na.ones_like(z))[0])(z), first)


@pytest.mark.parametrize("transform", ["grad", "value_and_grad", "hvp"])
def test_complex_scalar_is_refused_where_a_real_one_is_needed(transform: str) -> None:
    z = na.asarray(Z)
    f: F = lambda z: na.sum(z * z)
    calls: dict[str, F] = {"grad": nt.grad(f), "value_and_grad": nt.value_and_grad(f), "hvp": lambda z: nt.hvp(f, z, z)}
    with pytest.raises(DTypeError, match=r"real floating scalar, got dtype complex128; use vjp"):
        calls[transform](z)


def test_complex_python_numbers_are_arrays_and_real_arguments_have_real_gradients() -> None:
    f: F = lambda p: na.real(p["z"] * p["x"].astype(na.complex128)).sum()
    gradient: Any = nt.grad(f)
    found = gradient({"z": 2.0 + 1.0j, "x": na.asarray(X)})
    assert (found["z"].dtype, found["x"].dtype) == (na.complex64, na.float64)
    np.testing.assert_allclose(found["x"].numpy(), np.full(3, 2.0))
    np.testing.assert_allclose(found["z"].numpy(), X.sum(), rtol=1e-6)


def test_transpose_of_a_complex_linear_function_is_not_conjugated() -> None:
    matrix = RNG.normal(size=(2, 3)) + 1j * RNG.normal(size=(2, 3))
    a = na.asarray(matrix)
    f: F = lambda z: a @ z
    transposed: Any = nt.linear_transpose(f, na.asarray(Z))
    g = np.array([1.0 + 2.0j, -1.0j])
    np.testing.assert_allclose(transposed(na.asarray(g))[0].numpy(), matrix.T @ g, rtol=1e-14)


def test_policy_of_complex_arrays_in_all_modes() -> None:
    @nt.function
    class Square(nt.Policy):
        def forward(self, z: Array) -> Array:
            self.ctx.save(z)
            return z * z

        def backward(self, grad: Array) -> tuple[Array]:
            return (2.0 * grad * self.ctx.release[0],)

    z, w = na.asarray(Z), na.asarray(W)
    for f in (Square, nt.checkpoint(Square), nt.vmap(Square)):
        np.testing.assert_allclose(nt.vjp(f, z)[1](w)[0].numpy(), 2 * W * Z, rtol=1e-14)
        np.testing.assert_allclose(nt.jvp(f, (z,), (w,))[1].numpy(), 2 * W * Z, rtol=1e-14)
        np.testing.assert_allclose(nt.jacrev(f, holomorphic=True)(z).numpy(), np.diag(2 * Z), rtol=1e-14)
