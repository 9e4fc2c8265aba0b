"""Sorting: one stable order on every backend, and derivatives that follow it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device
from tests.neo_array.oracles.sorting import positions, ranked

properties = settings(deadline=None, max_examples=60, derandomize=True)
SPECIAL = [2.0, np.nan, -0.0, 1.0, 0.0, np.nan, 2.0, -np.inf, 0.0, np.inf, -0.0, -2.0]
NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64"]
EVERY = ["bool", *NUMBERS, "uint16", "uint32", "uint64", "bfloat16"]


def same(got: Array, expected: npt.NDArray[Any]) -> None:
    """Compare values, the sign of zeros, and the dtype."""
    values = got.numpy()
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(values, expected)
    if values.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(values) & (values == 0), np.signbit(expected) & (expected == 0))


def widened(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return bfloat16 as float32, which NumPy can compare."""
    return values.astype(np.float32) if values.dtype.kind == "V" else values


def limits(dtype: str) -> npt.NDArray[Any]:
    """Return values of a dtype with its extremes and repetitions."""
    if dtype == "bool":
        return np.array([True, False, True, True, False])
    kind: np.dtype[Any] = na.asarray(0, dtype=dtype).dtype
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return np.array([3, info.max, 0, info.min, 3, info.max - 1, info.max // 2 + 1, 1], kind)
    return np.array([*SPECIAL[:6], 2.0, -1.5, 0.0], kind)


# --- The order ---
@every_device
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", EVERY)
def test_order_of_every_dtype(dtype: str, descending: bool, device: str) -> None:
    values = limits(dtype)
    order = ranked(values.tolist(), descending)
    x = na.asarray(values, device=device)
    same(na.argsort(x, descending=descending), np.array(order))
    got = na.sort(x, descending=descending)
    assert got.dtype == x.dtype
    same(na.asarray(widened(got.numpy())), widened(values[order]))


@every_device
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_is_last_ascending_and_first_descending(dtype: str, device: str) -> None:
    x = na.asarray(np.array([2, np.nan, np.inf, -np.nan, 1], dtype), device=device)
    same(na.sort(x), np.array([1, 2, np.inf, np.nan, np.nan], dtype))
    same(na.argsort(x), np.array([4, 0, 2, 1, 3]))
    same(na.sort(x, descending=True), np.array([np.nan, np.nan, np.inf, 2, 1], dtype))
    same(na.argsort(x, descending=True), np.array([1, 3, 2, 0, 4]))


@every_device
@pytest.mark.parametrize("descending", [False, True])
def test_negative_zero_is_equal_to_zero(descending: bool, device: str) -> None:
    values = np.array([0.0, -0.0, 0.0, -0.0] * 20)
    same(na.sort(na.asarray(values, device=device), descending=descending), values)


@every_device
@properties
@given(
    values=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=7),
        elements=st.sampled_from(SPECIAL),
    ),
    descending=st.booleans(),
    data=st.data(),
)
def test_sort_is_stable_along_any_axis(
    values: npt.NDArray[Any], descending: bool, device: str, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(-values.ndim, values.ndim - 1))
    x = na.asarray(values, device=device)
    at = axis % values.ndim
    order = positions(lambda v: ranked(v, descending), values, at, values.shape[at])
    same(na.argsort(x, axis=axis, descending=descending), order)
    same(na.sort(x, axis=axis, descending=descending), np.take_along_axis(values, order, axis))
    same(na.sort(x, axis=axis, descending=descending, stable=False), np.take_along_axis(values, order, axis))


@every_device
@pytest.mark.parametrize("n", [0, 1, 5, 2000])
def test_sort_of_any_length(n: int, device: str) -> None:
    values = np.random.default_rng(0).integers(0, 50, n).astype(np.float32)
    x = na.asarray(values, device=device)
    same(na.sort(x), np.sort(values))
    same(na.argsort(x), np.argsort(values, kind="stable"))
    same(na.argsort(x, descending=True), np.argsort(-values, kind="stable"))


@every_device
def test_what_cannot_be_sorted(device: str) -> None:
    for op in (na.sort, na.argsort):
        with pytest.raises(na.ShapeError, match=rf"{op.__name__}: needs an axis to go along, got shape \(\)"):
            op(na.asarray(1.0, device=device))
        with pytest.raises(na.ShapeError, match=rf"{op.__name__}: axis 2 is out of range for shape \(2, 3\)"):
            op(na.ones((2, 3), device=device), axis=2)
        with pytest.raises(na.DTypeError, match=rf"{op.__name__}: axis must be an int, got None; for all elements"):
            op(na.ones((2, 3), device=device), axis=None)  # type: ignore[arg-type]
        with pytest.raises(na.DTypeError, match="does not compute this for complex64"):
            op(na.ones((2,), dtype=na.complex64, device=device))
    with pytest.raises(na.DTypeError, match="sort: needs an Array, got list"):
        na.sort([2, 1])  # type: ignore[arg-type]


# --- The k largest ---
@every_device
@properties
@given(
    values=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9),
        elements=st.sampled_from(SPECIAL),
    ),
    largest=st.booleans(),
    data=st.data(),
)
def test_top_k_is_the_beginning_of_the_order(
    values: npt.NDArray[Any], largest: bool, device: str, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(-values.ndim, values.ndim - 1))
    k = data.draw(st.integers(0, values.shape[axis]))
    found = na.top_k(na.asarray(values, device=device), k, axis=axis, largest=largest)
    order = positions(lambda v: ranked(v, largest)[:k], values, axis % values.ndim, k)
    same(found.indices, order)
    same(found.values, np.take_along_axis(values, order, axis))


@every_device
@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("dtype", EVERY)
def test_top_k_of_every_dtype(dtype: str, largest: bool, device: str) -> None:
    values = limits(dtype)
    order = ranked(values.tolist(), largest)[:3]
    found = na.top_k(na.asarray(values, device=device), 3, largest=largest)
    same(found.indices, np.array(order))
    same(na.asarray(widened(found.values.numpy())), widened(values[order]))


@every_device
def test_top_k_picks_the_first_of_equal_elements(device: str) -> None:
    values, indices = na.top_k(na.asarray(np.array([1.0, 3.0, 2.0, 3.0, 2.0, 2.0]), device=device), 4)
    same(values, np.array([3.0, 3.0, 2.0, 2.0]))
    same(indices, np.array([1, 3, 2, 4]))


@every_device
def test_top_k_refuses_what_is_no_count(device: str) -> None:
    x = na.ones((2, 3), device=device)
    for k in (-1, 4):
        with pytest.raises(na.ShapeError, match=rf"k must be from 0 to 3 for axis -1 of shape \(2, 3\), got {k}"):
            na.top_k(x, k)
    with pytest.raises(na.DTypeError, match=r"k must be an int, got 1\.5"):
        na.top_k(x, 1.5)  # type: ignore[arg-type]
    with pytest.raises(na.ShapeError, match="needs an axis"):
        na.top_k(na.ones((), device=device), 1)


# --- Derivatives ---
@every_device
@pytest.mark.parametrize(
    ("descending", "expected"), [(False, [30.0, 10.0, 40.0, 20.0]), (True, [10.0, 30.0, 20.0, 40.0])]
)
def test_derivative_of_sort_goes_to_equal_elements_in_stable_order(
    descending: bool, expected: list[float], device: str
) -> None:
    x = na.asarray(np.array([2.0, 1.0, 2.0, 1.0]), device=device)
    weights = na.asarray(np.array([10.0, 20.0, 30.0, 40.0]), device=device)
    got = nt.grad(lambda v: na.sum(weights * na.sort(v, descending=descending)))(x)
    np.testing.assert_array_equal(got.numpy(), expected)
    _, tangent = nt.jvp(lambda v: na.sort(v, descending=descending), (x,), (weights,))
    order = [0, 2, 1, 3] if descending else [1, 3, 0, 2]
    np.testing.assert_array_equal(tangent.numpy(), weights.numpy()[order])


@every_device
def test_derivative_of_sort_at_nan_is_one_too(device: str) -> None:
    x = na.asarray(np.array([np.nan, 1.0, -0.0, 0.0]), device=device)
    weights = na.asarray(np.array([1.0, 2.0, 3.0, 4.0]), device=device)
    got = nt.grad(lambda v: na.sum(weights * na.sort(v)))(x)
    np.testing.assert_array_equal(got.numpy(), [4.0, 3.0, 1.0, 2.0])


@every_device
def test_derivative_of_top_k_goes_to_what_was_picked(device: str) -> None:
    x = na.asarray(np.array([1.0, 3.0, 2.0, 3.0, 2.0]), device=device)
    weights = na.asarray(np.array([1.0, 2.0, 4.0]), device=device)
    got = nt.grad(lambda v: na.sum(weights * na.top_k(v, 3).values))(x)
    np.testing.assert_array_equal(got.numpy(), [0.0, 1.0, 4.0, 2.0, 0.0])
    got = nt.grad(lambda v: na.sum(weights * na.top_k(v, 3, largest=False).values))(x)
    np.testing.assert_array_equal(got.numpy(), [1.0, 0.0, 2.0, 0.0, 4.0])


@every_device
@pytest.mark.parametrize("descending", [False, True])
def test_sort_and_top_k_to_second_order(descending: bool, device: str) -> None:
    x = na.asarray(np.random.default_rng(0).permutation(12).reshape(3, 4) * 0.25 - 1, device=device)
    for axis in (0, 1):

        def ordered(v: Array, axis: int = axis) -> Array:
            return na.sort(v, axis=axis, descending=descending) ** 3

        def best(v: Array, axis: int = axis) -> Array:
            return na.top_k(v, 2, axis=axis, largest=descending).values ** 3

        nt.check_grads(ordered, (x,), order=2)
        nt.check_grads(best, (x,), order=2)


@every_device
def test_sort_and_top_k_under_vmap(device: str) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    x = na.asarray(values, device=device)

    def loss(v: Array) -> Array:
        best = na.top_k(v, 2, axis=0)
        return na.sum(na.sort(v, axis=-1) ** 3) + na.sum(best.values**2) + na.sum(best.indices)

    for axis in range(3):
        for f in (loss, nt.grad(loss), lambda v: nt.jvp(loss, (v,), (v,))[1]):
            got = nt.vmap(f, in_axes=axis)(x)
            for i in range(values.shape[axis]):
                one = f(na.asarray(np.take(values, i, axis=axis), device=device))
                np.testing.assert_allclose(got.numpy()[i], one.numpy(), rtol=1e-12)


@every_device
def test_gradient_of_a_top_k_in_half_precision(device: str) -> None:
    for dtype in ("float16", "bfloat16"):
        x = na.asarray(np.array([1.0, 3.0, 2.0]), device=device).astype(dtype)
        got = nt.grad(lambda v: na.sum(na.top_k(v, 2).values))(x)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got.numpy().astype(np.float32), [0, 1, 1])
