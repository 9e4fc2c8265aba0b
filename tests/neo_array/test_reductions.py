"""Sums, products, extrema, positions, truth and counts: dtypes, zeros, nan, no elements, and wrong uses."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device

HALF = ["float16", *(["bfloat16"] if find_spec("ml_dtypes") else [])]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]

AXES: list[Any] = [None, 0, -1, (0, 2), (2, 0), (1,), (), np.int64(1), (np.int32(0), -1)]

PEERS: dict[str, tuple[Callable[..., Array], Callable[..., Any]]] = {
    "sum": (na.sum, np.sum),
    "prod": (na.prod, np.prod),
    "max": (na.max, np.max),
    "min": (na.min, np.min),
    "all": (na.all, np.all),
    "any": (na.any, np.any),
    "count_nonzero": (na.count_nonzero, np.count_nonzero),
    "mean": (na.mean, np.mean),
    "var": (na.var, np.var),
    "std": (na.std, np.std),
}


def values(shape: tuple[int, ...] = (2, 3, 5), seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


# --- Against NumPy ---
@every_device
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", PEERS)
def test_axes_are_numpys(name: str, axis: Any, device: str) -> None:
    mine, theirs = PEERS[name]
    x = values()
    for keepdims in (False, True):
        expected = theirs(x, axis=axis, keepdims=keepdims)
        got = mine(na.asarray(x, device=device), axis=axis, keepdims=keepdims)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-14)


@every_device
@pytest.mark.parametrize("name", PEERS)
def test_strides_do_not_matter(name: str, device: str) -> None:
    mine, theirs = PEERS[name]
    x = values()
    views: list[tuple[Array, npt.NDArray[Any]]] = [
        (na.asarray(x, device=device)[::-1, :, ::2], x[::-1, :, ::2]),
        (na.permute_dims(na.asarray(x, device=device), (2, 0, 1)), x.transpose(2, 0, 1)),
        (na.broadcast_to(na.asarray(x[:, :1], device=device), x.shape), np.broadcast_to(x[:, :1], x.shape)),
    ]
    for view, same in views:
        np.testing.assert_allclose(mine(view, axis=1).numpy(), theirs(same, axis=1), rtol=1e-12, atol=1e-14)


@every_device
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "all", "any", "count_nonzero"])
def test_complex_numbers_are_numpys(name: str, device: str) -> None:
    mine, theirs = PEERS[name]
    z = values() + 1j * values(seed=1)
    got, expected = mine(na.asarray(z, device=device), axis=(0, 2)), theirs(z, axis=(0, 2))
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


@every_device
def test_methods_are_the_functions(device: str) -> None:
    x = na.asarray(values(), device=device)
    for method, function in (
        (x.sum, na.sum),
        (x.prod, na.prod),
        (x.mean, na.mean),
        (x.var, na.var),
        (x.std, na.std),
        (x.max, na.max),
        (x.min, na.min),
        (x.any, na.any),
        (x.all, na.all),
    ):
        np.testing.assert_array_equal(method(axis=(0, 1)).numpy(), function(x, axis=(0, 1)).numpy())
        assert method(axis=-1, keepdims=True).shape == (2, 3, 1)
    for position, same in ((x.argmax, na.argmax), (x.argmin, na.argmin)):
        np.testing.assert_array_equal(position(axis=1).numpy(), same(x, axis=1).numpy())
    np.testing.assert_array_equal(x.std(axis=1, correction=1).numpy(), na.std(x, axis=1, correction=1).numpy())


# --- dtypes ---
@every_device
@pytest.mark.parametrize("reduce", [na.sum, na.prod, na.cumulative_sum, na.cumulative_prod])
def test_integers_accumulate_in_64_bits_of_their_kind(reduce: Callable[..., Array], device: str) -> None:
    for dtype in ("bool", "int8", "int16", "int32", "int64"):
        assert reduce(na.ones(3, dtype=dtype, device=device)).dtype == na.int64
    for dtype in UNSIGNED:
        assert reduce(na.ones(3, dtype=dtype, device=device)).dtype == na.uint64
    assert reduce(na.ones(3, dtype=na.int8, device=device), dtype=na.float32).dtype == na.float32
    assert reduce(na.ones(3, device=device), dtype="float64").dtype == na.float64


@every_device
def test_sums_and_products_of_integers_are_exact(device: str) -> None:
    big = na.asarray(np.array([2**63, 2**63 - 1], np.uint64), device=device)
    assert na.sum(big).item() == 2**64 - 1
    assert na.prod(na.asarray(np.array([3, 2**62], np.uint64), device=device)).item() == 3 * 2**62
    assert na.sum(na.asarray(np.array([200, 100], np.uint8), device=device)).item() == 300
    wrapped = na.sum(na.asarray(np.array([200, 100], np.uint8), device=device), dtype=na.uint8)
    assert (wrapped.dtype, wrapped.item()) == (na.uint8, 44)


@every_device
@pytest.mark.parametrize("dtype", UNSIGNED)
def test_unsigned_integers_have_an_order(dtype: str, device: str) -> None:
    most = np.iinfo(dtype).max
    x = na.asarray(np.array([[3, most, 5], [0, 7, most]], dtype), device=device)
    np.testing.assert_array_equal(na.max(x, axis=1).numpy(), [most, most])
    np.testing.assert_array_equal(na.min(x, axis=1).numpy(), [3, 0])
    np.testing.assert_array_equal(na.argmax(x, axis=1).numpy(), [1, 2])
    np.testing.assert_array_equal(na.argmin(x, axis=1).numpy(), [0, 0])
    np.testing.assert_array_equal(na.count_nonzero(x, axis=1).numpy(), [3, 2])
    assert na.max(x).dtype == np.dtype(dtype)


@every_device
@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_accumulates_in_float32(dtype: str, device: str) -> None:
    ones = na.ones((3000, 2), dtype=dtype, device=device)  # in half precision, 2048 + 1 is 2048, and 256 + 1 is 256
    for out in (na.sum(ones, axis=0), na.cumulative_sum(ones, axis=0)[-1]):
        assert out.dtype == ones.dtype
        np.testing.assert_allclose(out.astype(na.float32).numpy(), 3000, rtol=4e-3)
    nearly = na.full((512,), 1.0078125, dtype=dtype, device=device)
    for out in (na.prod(nearly), na.cumulative_prod(nearly)[-1]):
        assert abs(float(out) / 1.0078125**512 - 1) < 5e-3


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", *HALF, "float32", "float64", "complex64"])
def test_counts_and_truth_of_every_dtype(dtype: str, device: str) -> None:
    x = na.asarray(np.array([[0, 1, 1], [0, 0, 0]]), device=device).astype(dtype)
    for out, expected, kind in (
        (na.count_nonzero(x, axis=1), [2, 0], na.int64),
        (na.any(x, axis=1), [True, False], na.bool),
        (na.all(x, axis=1), [False, False], na.bool),
        (na.count_nonzero(x, axis=()), [[0, 1, 1], [0, 0, 0]], na.int64),
        (na.any(x, axis=()), [[False, True, True], [False] * 3], na.bool),
    ):
        assert out.dtype == kind
        np.testing.assert_array_equal(out.numpy(), expected)


# --- nan, infinities, no elements ---
@every_device
@pytest.mark.parametrize("dtype", [*HALF, "float32", "float64"])
def test_nan_wins_and_counts(dtype: str, device: str) -> None:
    x = na.asarray([[1.0, math.nan, 3.0], [math.inf, -math.inf, 0.0]], device=device).astype(dtype)
    wide = x.astype(na.float64)
    for reduce in (na.sum, na.prod, na.max, na.min, na.mean, na.var, na.std, na.median):
        assert np.isnan(reduce(x, axis=1).astype(na.float64).numpy()[0])
    np.testing.assert_array_equal(na.argmax(x, axis=1).numpy(), [1, 0])
    np.testing.assert_array_equal(na.argmin(x, axis=1).numpy(), [1, 1])
    np.testing.assert_array_equal(na.max(wide, axis=1).numpy(), [math.nan, math.inf])
    np.testing.assert_array_equal(na.count_nonzero(x, axis=1).numpy(), [3, 2])
    assert na.any(x[0, 1]).item() is True


@every_device
def test_over_no_elements(device: str) -> None:
    x = na.zeros((3, 0), device=device)
    assert (na.sum(x).item(), na.prod(x).item(), na.count_nonzero(x).item()) == (0, 1, 0)
    np.testing.assert_array_equal(na.prod(x, axis=1).numpy(), [1, 1, 1])
    assert na.prod(x, axis=0).shape == na.max(x, axis=0).shape == (0,)
    for reduce in (na.mean, na.var, na.std):
        np.testing.assert_array_equal(reduce(x, axis=1).numpy(), [math.nan] * 3)
        assert reduce(x, axis=0).shape == (0,)
    for extremum in (na.max, na.min, na.argmax, na.argmin, na.median, lambda a, **k: na.quantile(a, 0.2, **k)):
        for axis in (None, 1):
            with pytest.raises(na.ShapeError, match="no elements to choose from"):
                extremum(x, axis=axis)


@every_device
def test_overflow_and_degenerate_statistics_make_no_noise(device: str) -> None:
    x = na.asarray([1e38, 1e38, math.inf], device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(all="raise"):
            assert na.prod(x[:2]).item() == math.inf
            assert na.cumulative_prod(x)[1].item() == math.inf
            assert math.isnan(na.var(x))
            assert math.isnan(na.var(x[:1], correction=1))
            assert na.sum(na.full((100,), 6e4, dtype=na.float16, device=device)).item() == math.inf


# --- Products and zeros ---
def product_derivatives(row: list[float]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the gradient and the Hessian of a product, each entry as a product of what remains."""
    n = len(row)
    first = [math.prod(v for j, v in enumerate(row) if j != i) for i in range(n)]
    second = [
        [0.0 if i == k else math.prod(v for j, v in enumerate(row) if j not in (i, k)) for k in range(n)]
        for i in range(n)
    ]
    return np.array(first), np.array(second)


@every_device
@pytest.mark.parametrize("row", [[2.0, 3, 5], [2.0, 0, 5], [0.0, 0, 5], [0.0, 0, 0], [0.0, 7, 0, 2], [0.0], [4.0]])
def test_derivatives_of_a_product_are_exact_at_any_number_of_zeros(row: list[float], device: str) -> None:
    x = na.asarray(np.array(row), device=device)
    first, second = product_derivatives(row)
    np.testing.assert_array_equal(nt.grad(na.prod)(x).numpy(), first)
    hessian = np.stack([nt.grad(lambda a, i=i: nt.grad(na.prod)(a)[i])(x).numpy() for i in range(len(row))])
    np.testing.assert_array_equal(hessian, second)
    basis = [na.asarray(e, device=device) for e in np.eye(len(row))]
    np.testing.assert_array_equal([nt.jvp(na.prod, (x,), (e,))[1].item() for e in basis], first)
    last = nt.grad(lambda a: na.cumulative_prod(a)[-1])
    np.testing.assert_array_equal(last(x).numpy(), first)
    hessian = np.stack([nt.grad(lambda a, i=i: last(a)[i])(x).numpy() for i in range(len(row))])
    np.testing.assert_array_equal(hessian, second)


@every_device
def test_derivative_of_a_product_over_several_axes(device: str) -> None:
    x = values()
    x[0, 1, 2] = x[1, 1, 0] = 0
    got = nt.grad(lambda a: na.prod(a, axis=(2, 0))[1])(na.asarray(x, device=device)).numpy()
    expected = np.zeros_like(x)
    expected[:, 1] = product_derivatives(x[:, 1].reshape(-1).tolist())[0].reshape(2, 5)
    np.testing.assert_allclose(got, expected, rtol=1e-13)


# --- Wrong uses ---
WRONG: dict[str, tuple[type[Exception], str, Callable[[Array], object]]] = {
    "axis beyond": (na.ShapeError, r"prod: axis 3 is out of range for shape \(2, 3\)", lambda x: na.prod(x, axis=3)),
    "axis twice": (na.ShapeError, "count_nonzero: .*twice", lambda x: na.count_nonzero(x, axis=(0, -2))),
    "axis, float": (na.DTypeError, "var: axis", lambda x: na.var(x, axis=1.0)),  # type: ignore[arg-type]
    "several positions": (na.DTypeError, "argmax: axis", lambda x: na.argmax(x, axis=(0, 1))),  # type: ignore[arg-type]
    "position beyond": (na.ShapeError, "argmin: axis 2", lambda x: na.argmin(x, axis=2)),
    "0-d has no axis": (na.ShapeError, "max: axis 0 .*no axes", lambda x: na.max(x[0, 0], axis=0)),
    "complex extremum": (na.DTypeError, "complex", lambda x: na.max(x * 1j)),
    "complex extremum of a number": (na.DTypeError, "complex", lambda x: na.min((x * 1j)[0, 0])),
    "complex position": (na.DTypeError, "complex", lambda x: na.argmax(x * 1j)),
    "complex softmax": (na.DTypeError, "complex", lambda x: na.softmax(x * 1j)),
    "complex log_softmax": (na.DTypeError, "complex", lambda x: na.log_softmax(x * 1j)),
    "complex logsumexp": (na.DTypeError, "complex", lambda x: na.logsumexp((x * 1j)[0, 0])),
    "softmax over two axes": (na.DTypeError, "softmax: axis", lambda x: na.softmax(x, axis=(0, 1))),  # type: ignore[arg-type]
    "softmax without axis": (na.DTypeError, "softmax: axis", lambda x: na.softmax(x, axis=None)),  # type: ignore[arg-type]
}


@every_device
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_explained(case: str, device: str) -> None:
    error, message, attempt = WRONG[case]
    with pytest.raises(error, match=message):
        attempt(na.ones((2, 3), device=device))


@pytest.mark.parametrize("name", PEERS)
def test_every_reduction_refuses_what_is_no_array(name: str) -> None:
    with pytest.raises(na.DTypeError, match=rf"{name}: .*asarray"):
        PEERS[name][0]([1.0, 2.0])


# --- Logarithms of sums of exponentials ---
@every_device
def test_logsumexp_of_infinities(device: str) -> None:
    inf = math.inf
    x = na.asarray([[-inf, -inf], [inf, 1.0], [-inf, 2.0], [math.nan, 0.0]], device=device)
    np.testing.assert_array_equal(na.logsumexp(x, axis=1).numpy(), [-inf, inf, 2, math.nan])
    np.testing.assert_array_equal(nt.grad(lambda a: na.logsumexp(a[2]))(x).numpy()[2], [0, 1])
    assert na.logsumexp(na.ones((2, 3), dtype=na.int64, device=device), axis=()).dtype == na.float32


@every_device
def test_softmax_of_no_elements(device: str) -> None:
    for f in (na.softmax, na.log_softmax):
        assert f(na.zeros((2, 0), device=device)).shape == (2, 0)
        assert nt.grad(lambda a, f=f: f(a).sum())(na.zeros((2, 0), device=device)).shape == (2, 0)
