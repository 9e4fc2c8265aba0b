"""Searching: positions in sorted vectors, and of elements that are not zero."""

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
from tests.neo_array.devices import every_device
from tests.neo_array.test_sorting import EVERY, SPECIAL, limits, widened

properties = settings(deadline=None, max_examples=60, derandomize=True)
special = st.sampled_from(SPECIAL)


# --- searchsorted ---
@every_device
@pytest.mark.parametrize("side", ["left", "right"])
@properties
@given(
    table=hnp.arrays(np.float64, st.integers(0, 9), elements=special),
    values=hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0), elements=special),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
)
def test_searchsorted_is_numpys(
    table: npt.NDArray[Any], values: npt.NDArray[Any], dtype: str, side: Any, device: str
) -> None:
    table, values = np.sort(table.astype(dtype)), values.astype(dtype)
    got = na.searchsorted(na.asarray(table, device=device), na.asarray(values, device=device), side=side)
    assert got.dtype == na.int64
    np.testing.assert_array_equal(got.numpy(), np.searchsorted(table, values, side))


@every_device
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", EVERY)
def test_searchsorted_of_every_dtype(dtype: str, side: Any, device: str) -> None:
    values = limits(dtype)
    wide = widened(values)
    order = np.argsort(wide, kind="stable")
    got = na.searchsorted(na.asarray(values[order], device=device), na.asarray(values, device=device), side=side)
    np.testing.assert_array_equal(got.numpy(), np.searchsorted(wide[order], wide, side))


@every_device
def test_searchsorted_promotes_and_takes_numbers(device: str) -> None:
    table = na.asarray(np.array([1, 2, 2, 5]), device=device)
    for value, expected in [(2, 1), (2.5, 3), (9, 4)]:
        got = na.searchsorted(table, value)
        assert (got.shape, got.item()) == ((), expected)
    got = na.searchsorted(table, na.asarray(np.array([1.5, 5.5], np.float32), device=device))
    np.testing.assert_array_equal(got.numpy(), [1, 4])


@every_device
def test_searchsorted_with_a_sorter(device: str) -> None:
    values = np.array([3.0, 1.0, 2.0])
    x = na.asarray(values, device=device)
    got = na.searchsorted(x, na.asarray(np.array([0.5, 1.0, 2.5]), device=device), sorter=na.argsort(x), side="right")
    np.testing.assert_array_equal(got.numpy(), [0, 1, 2])
    with pytest.raises(na.ShapeError, match=r"sorter must have the shape of x1, \(3,\), got \(2,\)"):
        na.searchsorted(x, 1.0, sorter=na.asarray(np.array([0, 1]), device=device))


@every_device
def test_searchsorted_under_vmap_searches_a_table_per_example(device: str) -> None:
    rng = np.random.default_rng(0)
    tables, values = np.sort(rng.integers(0, 6, size=(3, 7)), axis=1), rng.integers(-1, 7, size=(3, 2, 2))
    a, b = na.asarray(tables, device=device), na.asarray(values, device=device)
    expected = np.array([np.searchsorted(t, v) for t, v in zip(tables, values, strict=True)])
    np.testing.assert_array_equal(nt.vmap(na.searchsorted)(a, b).numpy(), expected)
    got = nt.vmap(na.searchsorted, in_axes=(0, None))(a, b)
    np.testing.assert_array_equal(got.numpy(), np.array([np.searchsorted(t, values) for t in tables]))
    twice = nt.vmap(nt.vmap(na.searchsorted, in_axes=(None, 0)))(a, b)
    np.testing.assert_array_equal(twice.numpy(), expected)
    crossed = nt.vmap(nt.vmap(na.searchsorted, in_axes=(0, None)), in_axes=(None, 0))(a, b)
    everything = np.array([[np.searchsorted(t, v) for t in tables] for v in values])
    np.testing.assert_array_equal(crossed.numpy(), everything)


@every_device
def test_searchsorted_refuses_what_is_no_sorted_vector(device: str) -> None:
    with pytest.raises(na.ShapeError, match=r"x1 must have one axis, got shape \(2, 2\)"):
        na.searchsorted(na.ones((2, 2), device=device), 1.0)
    with pytest.raises(ValueError, match="side must be 'left' or 'right', got 'middle'"):
        na.searchsorted(na.ones(2, device=device), 1.0, side="middle")  # type: ignore[arg-type]
    with pytest.raises(na.DTypeError, match="does not compute this for complex64"):
        na.searchsorted(na.ones(2, dtype=na.complex64, device=device), na.ones(2, dtype=na.complex64, device=device))


# --- nonzero ---
@every_device
@properties
@given(
    values=hnp.arrays(np.float32, hnp.array_shapes(min_side=0, max_side=4), elements=st.sampled_from([0, 1, np.nan]))
)
def test_nonzero_is_numpys(values: npt.NDArray[Any], device: str) -> None:
    x = na.asarray(values, device=device)
    found = na.nonzero(x)
    assert isinstance(found, tuple)
    for got, expected in zip(found, np.nonzero(values), strict=True):
        assert got.dtype == na.int64
        np.testing.assert_array_equal(got.numpy(), expected)
    np.testing.assert_array_equal(na.argwhere(x).numpy(), np.argwhere(values))


@every_device
@pytest.mark.parametrize("dtype", [*EVERY, "complex64"])
def test_nonzero_of_every_dtype(dtype: str, device: str) -> None:
    x = na.asarray(np.array([0, 1, 0, 3]), device="numpy").astype(dtype).to(device)
    np.testing.assert_array_equal(na.nonzero(x)[0].numpy(), [1, 3])


@every_device
def test_nonzero_refuses_scalars_and_batches(device: str) -> None:
    with pytest.raises(na.ShapeError, match="nonzero: needs at least one axis"):
        na.nonzero(na.asarray(1.0, device=device))
    with pytest.raises(na.DTypeError, match="nonzero: cannot run under vmap: how many elements are not zero differs"):
        nt.vmap(lambda v: na.nonzero(v)[0])(na.ones((2, 3), device=device))


@every_device
def test_elements_read_at_nonzero_positions_are_differentiable(device: str) -> None:
    x = na.asarray(np.array([0.0, 2.0, 0.0, 3.0]), device=device)
    got = nt.grad(lambda v: na.sum(na.take(v, na.nonzero(v)[0], axis=0) ** 2))(x)
    np.testing.assert_array_equal(got.numpy(), [0.0, 4.0, 0.0, 6.0])
