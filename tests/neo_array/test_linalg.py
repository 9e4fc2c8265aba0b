"""The linalg namespace: results as NumPy has them, and what is said of matrices that have none."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
import scipy.linalg

import neo_array as na
import neo_tape as nt
from neo_array import Array, linalg
from tests.neo_array.devices import every_device

KINDS: Final = ["f4", "f8", "c8", "c16"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def matrices(*shape: int, kind: str = "f8", seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if kind[0] == "c" else x).astype(kind)


def hermitian(n: int, kind: str = "f8") -> Any:
    x = matrices(2, n, n, kind=kind)
    return x + np.conj(x.swapaxes(-1, -2))


def positive(n: int, kind: str = "f8") -> Any:
    x = matrices(2, n, n, kind=kind)
    return x @ np.conj(x.swapaxes(-1, -2)) + np.eye(n, dtype=kind)


def close(found: Array, expected: Any, scale: float = 1.0) -> None:
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    eps = np.finfo(expected.dtype).eps
    np.testing.assert_allclose(
        found.numpy(), expected, rtol=0, atol=scale * 400 * eps * max(1, np.abs(expected).max(initial=0))
    )


# --- Values ---
@every_device
@every_kind
@pytest.mark.parametrize("name", ["inv", "det", "pinv", "svdvals"])
def test_functions_of_one_matrix_are_numpys(name: str, kind: str, device: str) -> None:
    for n in (0, 1, 2, 5):
        x = matrices(2, 3, n, n, kind=kind) + 2 * np.eye(n, dtype=kind)
        close(getattr(linalg, name)(na.asarray(x, device=device)), getattr(np.linalg, name)(x), 20)


@every_device
@every_kind
def test_slogdet_is_numpys(kind: str, device: str) -> None:
    x = matrices(3, 4, 4, kind=kind)
    out = linalg.slogdet(na.asarray(x, device=device))
    expected = np.linalg.slogdet(x)
    close(out.sign, expected.sign)
    close(out.logabsdet, expected.logabsdet)


@every_device
@every_kind
def test_cholesky_factors(kind: str, device: str) -> None:
    x = positive(4, kind)
    lower = linalg.cholesky(na.asarray(x, device=device))
    close(lower, np.linalg.cholesky(x), 10)
    close(
        linalg.cholesky(na.asarray(x, device=device), upper=True), np.conj(np.linalg.cholesky(x)).swapaxes(-1, -2), 10
    )


@every_device
@every_kind
@pytest.mark.parametrize("shape", [(2, 5, 3), (3, 3), (2, 3, 5), (4, 0), (0, 4), (0, 3, 2), (2, 1, 1)])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr_factors(mode: Any, shape: tuple[int, ...], kind: str, device: str) -> None:
    x = matrices(*shape, kind=kind)
    out = linalg.qr(na.asarray(x, device=device), mode=mode)
    expected = np.linalg.qr(x, mode=mode)
    assert (out.Q.shape, out.R.shape) == (expected.Q.shape, expected.R.shape)
    close(out.Q @ out.R, x, 2)
    close(
        na.conj(out.Q).mT @ out.Q,
        np.broadcast_to(np.eye(out.Q.shape[-1], dtype=kind), (*shape[:-2], *out.Q.shape[-1:] * 2)),
    )
    r = out.R.numpy()
    np.testing.assert_array_equal(np.tril(r, -1), 0)
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    np.testing.assert_array_equal(diagonal.imag, 0)
    assert (diagonal.real >= 0).all()
    k = min(shape[-2:])
    np.testing.assert_allclose(
        np.abs(out.Q.numpy()[..., :k]), np.abs(expected.Q[..., :k]), atol=2e-5 if kind in ("f4", "c8") else 1e-12
    )


@every_device
@every_kind
def test_eigh_decomposes(kind: str, device: str) -> None:
    for n in (0, 1, 2, 5):
        x = hermitian(n, kind)
        out = linalg.eigh(na.asarray(x, device=device))
        close(out.eigenvalues, np.linalg.eigvalsh(x), 4)
        close(linalg.eigvalsh(na.asarray(x, device=device)), np.linalg.eigvalsh(x), 4)
        v = out.eigenvectors
        close((v * out.eigenvalues[..., None, :]) @ na.conj(v).mT, x, 4)
        close(na.conj(v).mT @ v, np.broadcast_to(np.eye(n, dtype=kind), (2, n, n)))


@every_device
@every_kind
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("shape", [(2, 5, 3), (3, 3), (2, 3, 5), (4, 0), (0, 4), (0, 3, 2), (2, 1, 1)])
def test_svd_decomposes(shape: tuple[int, ...], full: bool, kind: str, device: str) -> None:
    x = matrices(*shape, kind=kind)
    u, s, vh = linalg.svd(na.asarray(x, device=device), full_matrices=full)
    expected = np.linalg.svd(x, full_matrices=full)
    assert (u.shape, vh.shape) == (expected.U.shape, expected.Vh.shape)
    close(s, expected.S, 4)
    k = s.shape[-1]
    close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x, 4)
    close(na.conj(u).mT @ u, np.broadcast_to(np.eye(u.shape[-1], dtype=kind), (*shape[:-2], *u.shape[-1:] * 2)))
    close(vh @ na.conj(vh).mT, np.broadcast_to(np.eye(vh.shape[-2], dtype=kind), (*shape[:-2], *vh.shape[-2:-1] * 2)))


@every_device
def test_full_matrices_is_the_default_as_in_the_standard(device: str) -> None:
    assert linalg.svd(na.ones((5, 3), device=device)).U.shape == (5, 5)


@every_kind
def test_factors_are_the_same_on_every_backend(kind: str) -> None:
    pytest.importorskip("torch")
    x, h = matrices(3, 5, 4, kind=kind), hermitian(4, kind)
    symmetric = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], kind)  # pairs of components of the same size
    calls: list[tuple[Callable[[Array], Any], Any]] = [
        (linalg.qr, x),
        (linalg.eigh, h),
        (linalg.eigh, symmetric),
        (lambda a: linalg.svd(a, full_matrices=False), x),
        (linalg.svd, h),
    ]
    for f, values in calls:
        for ours, theirs in zip(f(na.asarray(values)), f(na.asarray(values, device="torch:cpu")), strict=True):
            close(theirs, ours.numpy(), 20)


@every_device
def test_eigenvectors_are_anchored_at_their_first_component_that_is_not_small(device: str) -> None:
    v = linalg.eigh(na.asarray(hermitian(6, "c16"), device=device)).eigenvectors.numpy()
    for column in v.reshape(-1, 6, 6).swapaxes(-1, -2).reshape(-1, 6):
        first = next(e for e in column if abs(e) >= 0.55 * abs(column).max())
        assert first.real > 0
        assert abs(first.imag) < 1e-15


@every_device
def test_hermitian_functions_use_the_hermitian_part(device: str) -> None:
    x = positive(3) + np.triu(np.ones((3, 3)), 1) - np.tril(np.ones((3, 3)), -1)
    a, b = na.asarray(x, device=device), na.asarray(positive(3), device=device)
    close(linalg.cholesky(a), linalg.cholesky(b).numpy())
    close(linalg.eigvalsh(a), linalg.eigvalsh(b).numpy())


# --- Systems ---
@every_device
@every_kind
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 3), (3,)),
        ((5, 3, 3), (3,)),
        ((3, 3, 3), (3, 3)),
        ((2, 1, 3, 3), (5, 3, 2)),
        ((3, 3), (4, 3, 1)),
        ((0, 3, 3), (3, 2)),
        ((0, 0), (0, 2)),
        ((3, 3), (3, 0)),
    ],
)
def test_solve_is_numpys(left: tuple[int, ...], right: tuple[int, ...], kind: str, device: str) -> None:
    a, b = matrices(*left, kind=kind) + 3 * np.eye(left[-1], dtype=kind), matrices(*right, kind=kind, seed=1)
    close(linalg.solve(na.asarray(a, device=device), na.asarray(b, device=device)), np.linalg.solve(a, b), 10)


@every_device
@every_kind
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("unit_diagonal", [False, True])
def test_solve_triangular_reads_one_triangle(unit_diagonal: bool, lower: bool, kind: str, device: str) -> None:
    a, b = matrices(2, 3, 3, kind=kind) + 3 * np.eye(3, dtype=kind), matrices(3, 2, kind=kind, seed=1)
    out = linalg.solve_triangular(
        na.asarray(a, device=device), na.asarray(b, device=device), lower=lower, unit_diagonal=unit_diagonal
    )
    expected = np.stack([scipy.linalg.solve_triangular(m, b, lower=lower, unit_diagonal=unit_diagonal) for m in a])
    close(out, expected, 10)
    vector = linalg.solve_triangular(na.asarray(a[0].T.copy().T, device=device), na.asarray(b[:, 0], device=device))
    close(vector, scipy.linalg.solve_triangular(a[0], b[:, 0]), 10)


@every_device
def test_solve_promotes(device: str) -> None:
    a, b = na.eye(3, dtype=na.float64, device=device), na.ones(3, dtype=na.complex64, device=device)
    assert linalg.solve(a, b).dtype == na.complex128
    assert linalg.lstsq(a, b).dtype == na.complex128


@every_device
@every_kind
def test_lstsq_is_numpys(kind: str, device: str) -> None:
    a, b = matrices(5, 3, kind=kind), matrices(5, kind=kind, seed=1)
    expected = np.linalg.lstsq(a, b)[0]
    close(linalg.lstsq(na.asarray(a, device=device), na.asarray(b, device=device)), expected, 10)
    columns = linalg.lstsq(na.asarray(a, device=device), na.asarray(b[:, None], device=device))
    close(columns, expected[:, None], 10)


@every_device
@pytest.mark.parametrize("rtol", [None, 1e-3, 0.4])
def test_rank_and_pseudo_inverse_cut_off_small_singular_values(rtol: float | None, device: str) -> None:
    x = np.diag([4.0, 2.0, 1.0, 1e-5, 0.0])[:, :4]
    a = na.asarray(x, device=device)
    assert linalg.matrix_rank(a, rtol=rtol).item() == {None: 4, 1e-3: 3, 0.4: 2}[rtol]
    assert linalg.matrix_rank(a).dtype == na.int64
    close(linalg.pinv(a, rtol=rtol), np.linalg.pinv(x, rtol=1e-15 if rtol is None else rtol))


@every_device
def test_cutoffs_may_differ_from_matrix_to_matrix(device: str) -> None:
    x = np.diag([4.0, 2.0, 1.0])
    cutoffs = np.array([0.1, 0.3, 0.6])
    a, rtol = na.asarray(x, device=device), na.asarray(cutoffs, device=device)
    np.testing.assert_array_equal(linalg.matrix_rank(a, rtol=rtol).numpy(), [3, 2, 1])
    np.testing.assert_array_equal(linalg.matrix_rank(na.stack([a, a, a]), rtol=rtol).numpy(), [3, 2, 1])
    close(linalg.pinv(a, rtol=rtol), np.linalg.pinv(np.stack([x] * 3), rtol=cutoffs))
    with pytest.raises(na.ShapeError, match=r"pinv: rtol of shape \(3,\) does not broadcast with the stack \(2,\)"):
        linalg.pinv(na.stack([a, a]), rtol=rtol)


@every_device
def test_rank_of_matrices_without_elements_is_zero(device: str) -> None:
    np.testing.assert_array_equal(linalg.matrix_rank(na.zeros((2, 3, 0), device=device)).numpy(), [0, 0])


@every_device
@every_kind
def test_expm_is_scipys(kind: str, device: str) -> None:
    x = matrices(2, 3, 3, kind=kind)
    close(linalg.expm(na.asarray(x, device=device)), scipy.linalg.expm(x), 10)


# --- What cannot be ---
SQUARE: Final = ["cholesky", "det", "eigh", "eigvalsh", "expm", "inv", "slogdet"]
EVERY: Final = [*SQUARE, "pinv", "qr", "svd", "svdvals"]


@every_device
@pytest.mark.parametrize("name", SQUARE)
def test_matrices_that_must_be_square(name: str, device: str) -> None:
    with pytest.raises(na.ShapeError, match=rf"{name}: needs square matrices, got shape \(2, 3\)"):
        getattr(linalg, name)(na.ones((2, 3), device=device))


@every_device
@pytest.mark.parametrize("name", EVERY)
def test_vectors_are_no_matrices(name: str, device: str) -> None:
    with pytest.raises(na.ShapeError, match=rf"{name}: needs a matrix or a stack of them, got shape \(3,\)"):
        getattr(linalg, name)(na.ones((3,), device=device))


@every_device
@pytest.mark.parametrize("dtype", ["int64", "bool", "float16", "bfloat16"])
@pytest.mark.parametrize("name", EVERY)
def test_dtypes_that_factorisations_do_not_take(name: str, dtype: str, device: str) -> None:
    x = na.ones((3, 3), dtype=dtype, device=device)
    with pytest.raises(na.DTypeError, match=rf"{name}: needs floating .*, got dtype {dtype}; cast with"):
        getattr(linalg, name)(x)


@every_device
@pytest.mark.parametrize("name", ["inv", "solve"])
def test_singular_matrices(name: str, device: str) -> None:
    x = na.asarray([[[1.0, 2.0], [2.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]]], device=device)
    args = (x, na.ones(2, device=device)) if name == "solve" else (x,)
    with pytest.raises(na.LinAlgError, match=f"{name}: a matrix is singular"):
        getattr(linalg, name)(*args)
    assert issubclass(na.LinAlgError, ValueError)


@every_device
def test_a_triangle_with_a_zero_on_its_diagonal(device: str) -> None:
    x, b = na.asarray([[1.0, 2.0], [0.0, 0.0]], device=device), na.ones(2, device=device)
    with pytest.raises(na.LinAlgError, match="solve_triangular: a matrix is singular"):
        linalg.solve_triangular(x, b)
    np.testing.assert_array_equal(linalg.solve_triangular(x, b, unit_diagonal=True).numpy(), [-1, 1])


@every_device
def test_matrices_that_are_not_positive_definite(device: str) -> None:
    for x in ([[1.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]):
        with pytest.raises(na.LinAlgError, match="cholesky: a matrix is not positive definite; add a multiple"):
            linalg.cholesky(na.asarray(x, device=device))


@every_device
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["cholesky", "eigh", "eigvalsh", "pinv", "qr", "svd", "svdvals"])
def test_factorisations_refuse_what_is_not_finite(name: str, bad: float, device: str) -> None:
    x = na.asarray([[bad, 1.0], [1.0, 2.0]], device=device)
    with pytest.raises(na.LinAlgError, match=f"{name}: a matrix holds inf or nan"):
        getattr(linalg, name)(x)


@every_device
def test_determinants_of_what_is_not_finite_and_of_singular_matrices(device: str) -> None:
    x = na.asarray([[np.nan, 1.0], [1.0, 2.0]], device=device)
    assert np.isnan([linalg.det(x).item(), *(part.item() for part in linalg.slogdet(x))]).all()
    singular = na.asarray([[1.0, 2.0], [2.0, 4.0]], device=device)
    assert linalg.det(singular).item() == 0
    assert [part.item() for part in linalg.slogdet(singular)] == [0, -np.inf]
    assert linalg.slogdet(200 * na.eye(300, device=device)).logabsdet.item() == pytest.approx(300 * np.log(200))


@every_device
def test_systems_that_do_not_fit(device: str) -> None:
    with pytest.raises(na.ShapeError, match=r"solve: sizes do not fit, got \(3, 3\) on the left and \(2, 1\)"):
        linalg.solve(na.eye(3, device=device), na.ones((2, 1), device=device))
    with pytest.raises(na.ShapeError, match=r"solve: leading axes do not broadcast, got \(2, 3, 3\) and \(5, 3, 1\)"):
        linalg.solve(na.ones((2, 3, 3), device=device), na.ones((5, 3, 1), device=device))
    with pytest.raises(na.ShapeError, match=r"solve_triangular: needs square matrices, got shape \(2, 3\)"):
        linalg.solve_triangular(na.ones((2, 3), device=device), na.ones((2, 1), device=device))
    with pytest.raises(na.DTypeError, match="solve: needs an Array, got list"):
        linalg.solve(na.eye(3, device=device), [1.0])  # type: ignore[arg-type]


def test_qr_has_two_modes() -> None:
    with pytest.raises(ValueError, match='qr: mode must be "reduced" or "complete", got \'raw\''):
        linalg.qr(na.eye(3), mode="raw")  # type: ignore[arg-type]


# --- Forms ---
STANDARD: Final = [
    *("cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power"),
    *("matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot"),
    *("trace", "vecdot", "vector_norm"),
]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("eigh", ("eigenvalues", "eigenvectors")),
        ("qr", ("Q", "R")),
        ("slogdet", ("sign", "logabsdet")),
        ("svd", ("U", "S", "Vh")),
    ],
)
def test_results_of_several_parts_are_named(name: str, fields: tuple[str, ...]) -> None:
    out = getattr(linalg, name)(na.eye(2))
    assert out._fields == fields


def test_arrays_are_positional_and_options_are_not() -> None:
    public = {name: f for name, f in vars(linalg).items() if callable(f) and not isinstance(f, type)}
    assert public.keys() >= set(STANDARD)
    for name, f in public.items():
        for parameter in inspect.signature(f).parameters.values():
            assert parameter.kind in (parameter.POSITIONAL_ONLY, parameter.KEYWORD_ONLY), name


@every_device
def test_under_vmap(device: str) -> None:
    x, b = na.asarray(positive(3), device=device), na.asarray(matrices(2, 3), device=device)
    for f in (
        linalg.cholesky,
        lambda a: linalg.qr(a[:2]).R,
        lambda a: linalg.eigh(a).eigenvectors,
        lambda a: linalg.svd(a).U,
        lambda a: linalg.pinv(a, rtol=1e-3),
        linalg.matrix_rank,
        lambda a: linalg.matrix_power(a, -3),
        lambda a: linalg.matrix_norm(a, ord="nuc"),
        lambda a: linalg.trace(a, offset=1),
    ):
        out = nt.vmap(f)(x)
        for i in range(2):
            np.testing.assert_allclose(out[i].numpy(), f(x[i]).numpy(), rtol=1e-12, atol=1e-12)
    solved = nt.vmap(linalg.solve)(x, b)
    close(solved, np.linalg.solve(positive(3), matrices(2, 3)[..., None])[..., 0], 10)
    with pytest.raises(na.LinAlgError, match="singular"):
        nt.vmap(linalg.inv)(na.zeros((2, 3, 3), device=device))
