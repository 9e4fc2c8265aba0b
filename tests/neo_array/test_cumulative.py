"""Cumulative ops, differences and integrals: options, special values, ties, and wrong uses."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device

INF, NAN = math.inf, math.nan


def values(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape)


# --- Sums and products ---
@every_device
@pytest.mark.parametrize("axis", [0, 1, -1, np.int64(2)])
@pytest.mark.parametrize("complex_numbers", [False, True])
def test_cumulative_sums_and_products_are_numpys(complex_numbers: bool, axis: int, device: str) -> None:
    x = values(2, 3, 5) * (1 + 2j if complex_numbers else 1)
    a = na.asarray(x, device=device)
    for mine, theirs in ((na.cumulative_sum, np.cumulative_sum), (na.cumulative_prod, np.cumulative_prod)):
        for initial in (False, True):
            expected = theirs(x, axis=int(axis), include_initial=initial)
            np.testing.assert_allclose(mine(a, axis=axis, include_initial=initial).numpy(), expected, rtol=1e-12)


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "uint64", "float16", "float32", "complex64"])
def test_the_initial_value_has_the_results_dtype(dtype: str, device: str) -> None:
    x = na.ones(3, dtype=dtype, device=device)
    for f, expected in ((na.cumulative_sum, [0, 1, 2, 3]), (na.cumulative_prod, [1, 1, 1, 1])):
        out = f(x, include_initial=True)
        assert out.dtype == f(x).dtype
        np.testing.assert_array_equal(out.numpy(), expected)
        assert f(x[:0]).shape == (0,)
        np.testing.assert_array_equal(f(x[:0], include_initial=True).numpy(), expected[:1])


@every_device
def test_derivatives_with_an_initial_value(device: str) -> None:
    x = na.asarray(values(2, 4), device=device)
    for f in (na.cumulative_sum, na.cumulative_prod):
        nt.check_grads(partial(f, axis=1, include_initial=True), (x,))
    np.testing.assert_array_equal(nt.grad(lambda a: na.cumulative_sum(a, axis=1).sum())(x).numpy(), [[4, 3, 2, 1]] * 2)


@every_device
def test_derivatives_of_cumulative_products_at_zeros(device: str) -> None:
    x = na.asarray(np.array([3.0, 0.0, 2.0, 0.0, 5.0]), device=device)
    first, total = x.numpy(), nt.grad(lambda a: na.cumulative_prod(a).sum())(x).numpy()
    expected = [
        sum(np.prod([v for j, v in enumerate(first[: k + 1]) if j != i]) for k in range(i, 5)) for i in range(5)
    ]
    np.testing.assert_array_equal(total, expected)
    nt.check_grads(na.cumulative_prod, (x,), order=3)


# --- logsumexp ---
@every_device
def test_cumlogsumexp_does_not_overflow(device: str) -> None:
    x = na.asarray(np.array([1000.0, 1000.0, -1000.0, 1001.0]), device=device)
    expected = 1000 + np.log([1, 2, 2, 2 + math.e])
    np.testing.assert_allclose(na.cumlogsumexp(x).numpy(), expected, rtol=1e-15)
    gradient = nt.grad(lambda a: na.cumlogsumexp(a)[-1])(x).numpy()
    np.testing.assert_allclose(gradient, np.array([1, 1, 0, math.e]) / (2 + math.e), rtol=1e-12)
    assert na.cumlogsumexp(na.ones(2, dtype=na.int64, device=device)).dtype == na.float32


@every_device
def test_cumlogsumexp_of_infinities(device: str) -> None:
    x = na.asarray(np.array([-INF, -INF, 1.0, -INF, 2.0]), device=device)
    total = 2 + math.log1p(math.exp(-1))
    np.testing.assert_allclose(na.cumlogsumexp(x).numpy(), [-INF, -INF, 1, 1, total], rtol=1e-15)
    p = 1 / (1 + math.e)
    gradient = nt.grad(lambda a: na.cumlogsumexp(a)[2:].sum())
    np.testing.assert_allclose(gradient(x).numpy(), [0, 0, 2 + p, 0, 1 - p], rtol=1e-14)
    np.testing.assert_allclose(nt.grad(lambda a: na.cumlogsumexp(a).sum())(x).numpy(), [0, 0, 2 + p, 0, 1 - p])
    _, tangent = nt.jvp(na.cumlogsumexp, (x,), (na.ones_like(x),))
    np.testing.assert_allclose(tangent.numpy(), [0, 0, 1, 1, 1])
    second = nt.grad(lambda a: gradient(a)[4])(x).numpy()
    np.testing.assert_allclose(second, [0, 0, -p * (1 - p), 0, p * (1 - p)], atol=1e-15)
    up = na.cumlogsumexp(na.asarray([0.0, INF, 1.0, NAN], device=device))
    np.testing.assert_array_equal(up.numpy(), [0, INF, INF, NAN])


# --- Extrema ---
@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "uint64", "float16", "float32", "float64"])
def test_cumulative_extrema_are_numpys(dtype: str, device: str) -> None:
    x = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 9, size=(3, 7)).astype(dtype)
    a = na.asarray(x, device=device)
    for mine, theirs in ((na.cumulative_max, np.maximum), (na.cumulative_min, np.minimum)):
        for axis in (0, 1):
            out = mine(a, axis=axis)
            assert out.dtype == x.dtype
            np.testing.assert_array_equal(out.numpy(), theirs.accumulate(x, axis=axis))


@every_device
def test_the_first_of_equal_extrema_has_the_derivative(device: str) -> None:
    x = na.asarray([1.0, 3.0, 3.0, 2.0, 4.0], device=device)
    np.testing.assert_array_equal(nt.grad(lambda a: na.cumulative_max(a).sum())(x).numpy(), [1, 3, 0, 0, 1])
    np.testing.assert_array_equal(nt.grad(lambda a: na.cumulative_min(a).sum())(x).numpy(), [5, 0, 0, 0, 0])
    nt.check_grads(lambda a: na.cumulative_max(a * a, axis=1), (na.asarray(values(3, 5), device=device),))


@every_device
def test_nan_wins_from_where_it_stands(device: str) -> None:
    x = na.asarray([1.0, NAN, 5.0, NAN, INF], device=device)
    np.testing.assert_array_equal(na.cumulative_max(x).numpy(), [1, NAN, NAN, NAN, NAN])
    np.testing.assert_array_equal(na.cumulative_min(x).numpy(), [1, NAN, NAN, NAN, NAN])
    np.testing.assert_array_equal(nt.grad(lambda a: na.cumulative_max(a).sum())(x).numpy(), [1, 4, 0, 0, 0])


# --- Differences ---
@every_device
@pytest.mark.parametrize("n", [0, 1, 2, 4, 7])
def test_differences_are_numpys(n: int, device: str) -> None:
    x = values(3, 4)
    a = na.asarray(x, device=device)
    options: list[dict[str, Any]] = [{}, {"prepend": 0.5}, {"append": x[:, :2]}, {"prepend": x[:, :1], "append": 2}]
    for axis in (-1, 1):
        for given in options:
            mine = {k: na.asarray(v, device=device) if isinstance(v, np.ndarray) else v for k, v in given.items()}
            np.testing.assert_allclose(na.diff(a, axis=axis, n=n, **mine).numpy(), np.diff(x, n, axis, **given))
    assert na.diff(na.zeros((2, 0), device=device)).shape == (2, 0)
    end = na.asarray(1.5, dtype=na.float64, device=device)
    np.testing.assert_allclose(na.diff(a, axis=0, prepend=end).numpy(), np.diff(x, axis=0, prepend=1.5))


@every_device
def test_differences_are_differentiable_in_what_is_joined(device: str) -> None:
    x, before, behind = (na.asarray(v, device=device) for v in (values(3, 4), values(3, 2), values(3, 1)))
    nt.check_grads(lambda a, p, q: na.square(na.diff(a, n=2, prepend=p, append=q)), (x, before, behind))
    nt.check_grads(lambda z: na.diff(z * (1 + 1j), axis=0) * 2j, (x,))
    last = nt.grad(lambda q: na.diff(x, append=q).sum())(behind)
    np.testing.assert_array_equal(last.numpy(), np.ones((3, 1)))


@every_device
def test_differences_keep_or_promote_the_dtype(device: str) -> None:
    x = na.asarray([1, 4, 9], device=device)
    assert na.diff(x).dtype == na.int64
    assert na.diff(x, prepend=0).dtype == na.int64
    assert na.diff(x, prepend=0.5).dtype == na.float32
    np.testing.assert_array_equal(na.diff(x.astype(na.float16), append=9.5).numpy(), [3, 5, 0.5])


# --- Integrals ---
@every_device
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_integrals_are_numpys(axis: int, device: str) -> None:
    y, points = values(4, 5), np.sort(values(7))[: (4, 5)[axis]]
    a, x = na.asarray(y, device=device), na.asarray(points, device=device)
    whole = np.sort(values(4, 5), axis=axis)
    np.testing.assert_allclose(na.trapezoid(a, x, axis=axis).numpy(), np.trapezoid(y, points, axis=axis))
    np.testing.assert_allclose(na.trapezoid(a, dx=0.3, axis=axis).numpy(), np.trapezoid(y, dx=0.3, axis=axis))
    got = na.trapezoid(a, x=na.asarray(whole, device=device), axis=axis)
    np.testing.assert_allclose(got.numpy(), np.trapezoid(y, whole, axis=axis))
    nt.check_grads(lambda v, p: na.trapezoid(v, p, axis=axis), (a, x))
    nt.check_grads(lambda v, p: na.trapezoid(v * 1j, p, axis=axis), (a, x))
    step = na.asarray(0.3, dtype=na.float64, device=device)
    nt.check_grads(lambda v, h: na.trapezoid(v, dx=h, axis=axis), (a, step))


@every_device
def test_integrals_over_few_points_and_of_integers(device: str) -> None:
    assert na.trapezoid(na.ones(1, device=device)).item() == na.trapezoid(na.ones(0, device=device)).item() == 0
    out = na.trapezoid(na.asarray([1, 2, 4], device=device))
    assert (out.dtype, out.item()) == (na.float32, 4.5)
    rows = na.ones((2, 3), device=device)  # more axes in x than in y
    np.testing.assert_array_equal(na.trapezoid(na.asarray([1.0, 2, 3], device=device), rows * 0).numpy(), [0, 0])


# --- Wrong uses ---
WRONG: dict[str, tuple[type[Exception], str, Callable[[Array], object]]] = {
    "no axis": (na.ShapeError, r"cumulative_sum: needs axis= for shape \(2, 3\)", na.cumulative_sum),
    "no axis, exponentials": (na.ShapeError, "cumlogsumexp: needs axis=", na.cumlogsumexp),
    "0-d": (na.ShapeError, r"cumulative_prod: needs at least one axis", lambda x: na.cumulative_prod(x[0, 0])),
    "axis beyond": (na.ShapeError, "cumulative_max: axis 2", lambda x: na.cumulative_max(x, axis=2)),
    "axes": (na.DTypeError, "cumulative_min: axis", lambda x: na.cumulative_min(x, axis=(0, 1))),  # type: ignore[arg-type]
    "complex exponentials": (na.DTypeError, "complex", lambda x: na.cumlogsumexp(x * 1j, axis=0)),
    "complex extremum": (na.DTypeError, "complex", lambda x: na.cumulative_max(x * 1j, axis=0)),
    "diff, n": (na.ShapeError, "diff: n must not be negative, got -1", lambda x: na.diff(x, n=-1)),
    "diff, 0-d": (na.ShapeError, "diff: axis -1", lambda x: na.diff(x[0, 0])),
    "diff, shapes": (na.ShapeError, r"shapes .*\(3, 1\)", lambda x: na.diff(x, prepend=x.T[:, :1])),
    "diff, list": (na.NeoError, "list", lambda x: na.diff(x, prepend=[0.0])),  # type: ignore[arg-type]
    "trapezoid, points": (na.ShapeError, "trapezoid: x needs 3 points", lambda x: na.trapezoid(x, x[0, :2])),
    "trapezoid, axes": (na.ShapeError, "trapezoid: x needs 3 points", lambda x: na.trapezoid(x, x[0, 0])),
}


@every_device
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_explained(case: str, device: str) -> None:
    error, message, attempt = WRONG[case]
    with pytest.raises(error, match=message):
        attempt(na.ones((2, 3), device=device))


@pytest.mark.parametrize(
    "f", [na.cumulative_sum, na.cumulative_prod, na.cumulative_max, na.cumlogsumexp, na.diff, na.trapezoid]
)
def test_every_function_refuses_what_is_no_array(f: Callable[..., Array]) -> None:
    with pytest.raises(na.DTypeError, match=rf"{f.__name__}: .*asarray"):
        f([1.0, 2.0])
