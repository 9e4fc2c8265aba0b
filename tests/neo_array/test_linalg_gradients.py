"""Derivatives of matrix functions: JAX's to second order, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, linalg
from tests.neo_array.devices import every_device
from tests.neo_tape.jax_float64 import jax_in_float64

every_kind = pytest.mark.parametrize("kind", ["f8", "c16"])


def numbers(*shape: int, kind: str = "f8", seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if kind[0] == "c" else x).astype(kind)


def with_spectrum(values: Any, kind: str = "f8", seed: int = 0) -> Any:
    """Return a Hermitian matrix with these eigenvalues."""
    basis, _ = np.linalg.qr(numbers(len(values), len(values), kind=kind, seed=seed))
    return (basis * np.asarray(values)) @ np.conj(basis.T)


def weigh(np_: Any, x: Any, seed: int = 1) -> Any:
    """Return a real function of an array that treats no two elements alike."""
    w = numbers(*x.shape, kind="c16" if x.dtype.kind == "c" else "f8", seed=seed)
    w = na.asarray(w, device=x.device) if np_ is na else w
    return np_.sum(np_.real(w * x) + 0.3 * np_.real(x * np_.conj(x)) * np_.real(w))


def adjoint(np_: Any, x: Any) -> Any:
    return np_.conj(np_.matrix_transpose(x))


# --- To second order: the same real function of a matrix, written for both libraries ---
# What depends on a sign or a phase that libraries choose differently is written so that it does not.
def of_eigenvectors(np_: Any, x: Any) -> Any:
    values, v = np_.linalg.eigh(x)
    projectors = v[:, None, :] * np_.conj(v)[None, :, :]
    return weigh(np_, projectors) + weigh(np_, values, 2)


def of_singular_vectors(np_: Any, x: Any) -> Any:
    u, s, vh = np_.linalg.svd(x, full_matrices=False)
    pairs = u[:, :, None] * vh[None, :, :]
    return weigh(np_, pairs) + weigh(np_, s, 2)


def of_qr(np_: Any, x: Any) -> Any:
    q, r = np_.linalg.qr(x)
    pairs = q[:, :, None] * r[None, :, :]
    return weigh(np_, pairs)


def of_slogdet(np_: Any, x: Any) -> Any:
    sign, logabsdet = np_.linalg.slogdet(x)
    return np_.real(sign * (2 - 3j)) + logabsdet**2


def of_solve(np_: Any, x: Any) -> Any:
    return weigh(np_, np_.linalg.solve(x, x[:, ::-1] ** 2))


FUNCTIONS: Final[dict[str, tuple[Callable[[Any, Any], Any], tuple[int, int]]]] = {
    "cholesky": (lambda np_, x: weigh(np_, np_.linalg.cholesky(x @ adjoint(np_, x) + x * 0.1)), (4, 4)),
    "det": (lambda np_, x: weigh(np_, np_.linalg.det(x)[None]), (4, 4)),
    "eigh": (of_eigenvectors, (4, 4)),
    "eigvalsh": (lambda np_, x: weigh(np_, np_.linalg.eigvalsh(x)), (4, 4)),
    "inv": (lambda np_, x: weigh(np_, np_.linalg.inv(x)), (4, 4)),
    "pinv tall": (lambda np_, x: weigh(np_, np_.linalg.pinv(x)), (5, 3)),
    "pinv wide": (lambda np_, x: weigh(np_, np_.linalg.pinv(x)), (3, 5)),
    "qr": (of_qr, (4, 4)),
    "qr tall": (of_qr, (5, 3)),
    "slogdet": (of_slogdet, (4, 4)),
    "solve": (of_solve, (4, 4)),
    "svd": (of_singular_vectors, (4, 4)),
    "svd tall": (of_singular_vectors, (5, 3)),
    "svd wide": (of_singular_vectors, (3, 5)),
    "svdvals": (lambda np_, x: weigh(np_, np_.linalg.svdvals(x)), (3, 5)),
    "matrix_power": (lambda np_, x: weigh(np_, np_.linalg.matrix_power(x, -3)), (4, 4)),
    "nuclear norm": (lambda np_, x: np_.linalg.matrix_norm(x, ord="nuc") ** 2, (3, 5)),
    "spectral norm": (lambda np_, x: np_.linalg.matrix_norm(x, ord=2) ** 2, (3, 5)),
    "norm of order 3": (lambda np_, x: np_.linalg.vector_norm(x, ord=3) ** 2, (3, 5)),
    "vecdot": (lambda np_, x: weigh(np_, np_.linalg.vecdot(x, x[::-1])), (4, 3)),
}


@cache
def jaxs(name: str, kind: str) -> tuple[Any, ...]:
    """Return a point, a direction, and JAX's gradient there and its derivative along the direction."""
    f, shape = FUNCTIONS[name]
    x, direction = numbers(*shape, kind=kind, seed=3), numbers(*shape, kind=kind, seed=4)
    if shape[0] == shape[1]:
        x = x + 3 * np.eye(shape[0])
    with jax_in_float64() as jax:
        first, second = jax.jvp(jax.grad(lambda v: f(jax.numpy, v)), (x,), (direction,))
        return x, direction, np.asarray(first), np.asarray(second)


@every_device
@every_kind
@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_and_second_derivatives_are_jaxs(name: str, kind: str, device: str) -> None:
    f, _ = FUNCTIONS[name]
    x, direction, first, second = jaxs(name, kind)

    def ours(v: Array) -> Array:
        value: Array = f(na, v)
        return value

    way = na.asarray(direction, device=device)

    def our_slope(v: Array) -> Array:
        return na.sum(na.real(nt.grad(ours)(v) * way))

    a = na.asarray(x, device=device)
    found, slope = nt.grad(ours)(a).numpy(), nt.grad(our_slope)(a).numpy()
    forward = nt.jvp(nt.grad(ours), (a,), (way,))[1].numpy()
    _, mixed = nt.jvp(lambda v: nt.jvp(ours, (v,), (way,))[1], (a,), (way,))
    if name in ("eigh", "eigvalsh"):  # JAX's gradients are right along Hermitian directions; ours are Hermitian
        first, second = (0.5 * (m + np.conj(m.T)) for m in (first, second))
    scale = max(1, np.abs(first).max()), max(1, np.abs(second).max())
    np.testing.assert_allclose(found, first, rtol=0, atol=1e-10 * scale[0])
    np.testing.assert_allclose(slope, second, rtol=0, atol=1e-9 * scale[1])
    np.testing.assert_allclose(forward, second, rtol=0, atol=1e-9 * scale[1])
    expected = np.sum(np.real(second * direction))
    np.testing.assert_allclose(mixed.numpy(), expected, rtol=0, atol=1e-9 * max(scale[1], abs(expected)))


@every_device
@every_kind
def test_the_exponential_and_triangular_systems_agree_with_torch_to_second_order(kind: str, device: str) -> None:
    torch = pytest.importorskip("torch")
    x, b = numbers(3, 3, kind=kind), numbers(3, 2, kind=kind, seed=1)
    weights = numbers(3, 3, kind=kind, seed=2)

    def compare(theirs: Callable[[Any], Any], ours: Callable[[Array], Array]) -> None:
        t = torch.tensor(x, requires_grad=True)
        (first,) = torch.autograd.grad(theirs(t), t, create_graph=True)
        (second,) = torch.autograd.grad((first * torch.tensor(weights).conj()).real.sum(), t)
        a, w = na.asarray(x, device=device), na.asarray(weights, device=device)
        np.testing.assert_allclose(nt.grad(ours)(a).numpy(), first.detach().resolve_conj().numpy().conj(), atol=1e-10)
        slope = nt.grad(lambda v: na.sum(na.real(nt.grad(ours)(v) * w)))(a)
        np.testing.assert_allclose(slope.numpy(), second.resolve_conj().numpy().conj(), atol=1e-9)

    fixed, c = na.asarray(b, device=device), na.asarray(weights, device=device)
    compare(
        lambda t: (torch.linalg.matrix_exp(t) * torch.tensor(weights)).real.sum(),
        lambda v: na.sum(na.real(linalg.expm(v) * c)),
    )
    for lower in (False, True):
        for unit in (False, True):
            compare(
                lambda t, lower=lower, unit=unit: torch.linalg.solve_triangular(  # type: ignore[misc]
                    t, torch.tensor(b), upper=not lower, unitriangular=unit
                ).real.sum(),
                lambda v, lower=lower, unit=unit: na.sum(  # type: ignore[misc]
                    na.real(linalg.solve_triangular(v, fixed, lower=lower, unit_diagonal=unit))
                ),
            )


# --- Some outputs only ---
@every_device
@every_kind
def test_each_part_of_a_result_has_a_derivative_without_the_others(kind: str, device: str) -> None:
    square, tall = (
        na.asarray(numbers(3, 3, kind=kind), device=device),
        na.asarray(numbers(4, 3, kind=kind), device=device),
    )
    for f, x, parts in (
        (linalg.eigh, square, 2),
        (linalg.qr, tall, 2),
        (linalg.slogdet, square, 2),
        (lambda v: linalg.svd(v, full_matrices=False), tall, 3),
        (lambda v: linalg.qr(v, mode="complete"), square, 2),
    ):
        for i in range(parts):
            nt.check_grads(lambda v, f=f, i=i: f(v)[i][None], (x,))  # type: ignore[misc]


@every_device
@every_kind
def test_wide_matrices_have_derivatives_of_qr_too(kind: str, device: str) -> None:
    x = na.asarray(numbers(2, 3, 5, kind=kind), device=device)
    nt.check_grads(linalg.qr, (x,))


@every_device
@every_kind
def test_least_squares_and_cholesky_of_systems(kind: str, device: str) -> None:
    a, b = na.asarray(numbers(5, 3, kind=kind), device=device), na.asarray(numbers(5, kind=kind), device=device)
    nt.check_grads(linalg.lstsq, (a, b))
    nt.check_grads(lambda v: linalg.cholesky(na.conj(v).mT @ v, upper=True), (a,))


# --- Values that repeat ---
REPEATED: Final = [1.0, 2.0, 2.0, 5.0]


@every_device
@every_kind
def test_sums_over_repeated_eigenvalues_have_the_right_derivative(kind: str, device: str) -> None:
    x = with_spectrum(REPEATED, kind)
    a = na.asarray(x, device=device)
    direction = na.asarray(with_spectrum([0.3, -1, 2, 1], kind, seed=5), device=device)
    for values in (linalg.eigvalsh, lambda v: linalg.eigh(v).eigenvalues):
        g = nt.grad(lambda v, values=values: na.sum(values(v) ** 3))(a)
        np.testing.assert_allclose(g.numpy(), np.conj(3 * x @ x), atol=1e-12)  # the trace of x^3
        _, t = nt.jvp(lambda v, values=values: na.sum(values(v) ** 3), (a,), (direction,))  # type: ignore[misc]
        np.testing.assert_allclose(t.numpy(), np.sum(np.conj(3 * x @ x) * direction.numpy()).real, rtol=1e-12)
    eye = na.eye(3, dtype=kind, device=device)
    np.testing.assert_array_equal(nt.grad(lambda v: na.sum(linalg.svd(v).S))(eye).numpy(), np.eye(3))
    np.testing.assert_array_equal(nt.grad(lambda v: na.sum(linalg.svdvals(v)))(eye).numpy(), np.eye(3))


@every_device
@every_kind
def test_repeated_values_have_no_derivative_of_their_vectors(kind: str, device: str) -> None:
    a = na.asarray(with_spectrum(REPEATED, kind), device=device)
    with pytest.raises(na.LinAlgError, match="eigh: the derivative of eigenvectors whose eigenvalues repeat"):
        nt.grad(lambda v: weigh(na, linalg.eigh(v).eigenvectors))(a)
    with pytest.raises(na.LinAlgError, match="svd: the derivative of singular vectors whose singular values repeat"):
        nt.grad(lambda v: weigh(na, linalg.svd(v).U))(a)
    stack = na.stack([a, a])
    with pytest.raises(na.LinAlgError, match="repeat"):
        nt.vmap(nt.grad(lambda v: weigh(na, linalg.eigh(v).eigenvectors)))(stack)
    with pytest.raises(na.LinAlgError, match="repeat, or are 0"):
        nt.grad(lambda v: weigh(na, linalg.svd(v, full_matrices=False).Vh))(na.zeros((3, 1), dtype=kind, device=device))


@every_device
@every_kind
def test_other_vectors_keep_theirs(kind: str, device: str) -> None:
    a = na.asarray(with_spectrum(REPEATED, kind), device=device)
    t = na.asarray(numbers(4, 4, kind=kind, seed=6), device=device)
    for vectors in (lambda v: linalg.eigh(v).eigenvectors[:, 3], lambda v: linalg.svd(v).U[:, 0]):
        nt.check_grads(vectors, (a,), order=1, modes=("rev",))
    _, (values, tangent) = nt.jvp(lambda v: tuple(linalg.eigh(v)), (a,), (t,))
    assert np.isfinite(values.numpy()).all()
    np.testing.assert_array_equal(np.isnan(tangent.numpy()).any(axis=0), [False, True, True, False])


@every_device
def test_a_zero_singular_value_of_a_square_matrix_leaves_real_vectors_their_derivative(device: str) -> None:
    u, _, vh = np.linalg.svd(numbers(3, 3))
    a = na.asarray((u * [3, 1, 0]) @ vh, device=device)
    g = nt.grad(lambda v: weigh(na, linalg.svd(v).U[:, :2]))(a).numpy()
    direction, h = numbers(3, 3, seed=8), 1e-6
    up, down = (
        weigh(na, linalg.svd(na.asarray(a.numpy() + step * direction, device=device)).U[:, :2]).item()
        for step in (h, -h)
    )
    slope = (up - down) / (2 * h)
    np.testing.assert_allclose(np.sum(g * direction), slope, rtol=1e-6)


# --- Bases of the orthogonal complement ---
@every_device
@every_kind
@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_what_is_the_same_for_every_basis_of_the_complement_has_a_derivative(
    shape: tuple[int, int], kind: str, device: str
) -> None:
    k = min(shape)
    x = na.asarray(numbers(*shape, kind=kind), device=device)

    def projectors(v: Array) -> tuple[Array, ...]:
        u, s, vh = linalg.svd(v)
        q = linalg.qr(v, mode="complete").Q[:, k:]
        beyond, other = u[:, k:], vh[k:]
        return beyond @ na.conj(beyond).mT, na.conj(other).mT @ other, q @ na.conj(q).mT, u[:, :k], s, vh[:k]

    nt.check_grads(projectors, (x,))


@every_device
@every_kind
def test_what_depends_on_the_basis_has_none(kind: str, device: str) -> None:
    x = na.asarray(numbers(5, 3, kind=kind), device=device)
    for f, name in (
        (lambda v: linalg.svd(v).U, "svd"),
        (lambda v: na.conj(linalg.svd(na.conj(v).mT).Vh), "svd"),
        (lambda v: linalg.qr(v, mode="complete").Q, "qr"),
    ):
        with pytest.raises(na.LinAlgError, match=f"{name}: the function depends on which basis of the orthogonal"):
            nt.grad(lambda v, f=f: weigh(na, f(v)))(x)
        nt.grad(lambda v, f=f: weigh(na, f(v)[:3, :3]))(x)


# --- Where matrices are singular ---
@every_device
@every_kind
def test_two_derivatives_of_a_determinant_are_right_for_singular_matrices(kind: str, device: str) -> None:
    for rank in (0, 1, 2, 3):
        x = numbers(4, 4, kind=kind)
        u, s, vh = np.linalg.svd(x)
        x = (u[:, :rank] * s[:rank]) @ vh[:rank]
        a = na.asarray(x, device=device)
        minors = [
            [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(4)] for i in range(4)
        ]
        g = nt.grad(lambda v: na.real(linalg.det(v)))(a)
        np.testing.assert_allclose(g.numpy(), minors, atol=1e-12)
        nt.check_grads(linalg.det, (a[None],))
    with pytest.raises(na.LinAlgError, match="singular"):
        nt.check_grads(linalg.det, (na.zeros((2, 2), dtype=kind, device=device)[None],), order=3)
    with pytest.raises(na.LinAlgError, match="singular"):
        nt.grad(lambda v: linalg.slogdet(v).logabsdet)(na.zeros((2, 2), dtype=kind, device=device))


@every_device
@every_kind
def test_the_derivative_of_a_pseudo_inverse_is_that_for_a_rank_that_does_not_change(kind: str, device: str) -> None:
    left, right = (na.asarray(numbers(4, 2, kind=kind, seed=i), device=device) for i in (1, 2))
    nt.check_grads(lambda a, b: linalg.pinv(a @ b.mT, rtol=1e-9), (left, right))


@every_device
def test_the_derivative_of_qr_needs_independent_columns(device: str) -> None:
    x = na.asarray([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], device=device)
    with pytest.raises(na.LinAlgError, match="solve_triangular: a matrix is singular"):
        nt.grad(lambda v: na.sum(linalg.qr(v).Q))(x)


@every_device
@every_kind
def test_gradients_of_hermitian_functions_are_hermitian(kind: str, device: str) -> None:
    a = na.asarray(with_spectrum([1.0, 2.0, 4.0], kind), device=device)
    for f in (linalg.cholesky, linalg.eigvalsh, lambda v: linalg.eigh(v).eigenvectors):
        g = nt.grad(lambda v, f=f: weigh(na, f(v)))(a).numpy()
        np.testing.assert_allclose(g, np.conj(g.T), atol=1e-13)
