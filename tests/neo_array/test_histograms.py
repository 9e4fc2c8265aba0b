"""Counting integers and values in bins."""

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
from tests.neo_array.test_sorting import same

properties = settings(deadline=None, max_examples=60, derandomize=True)
finite = st.sampled_from([-2.0, -0.0, 0.0, 0.5, 1.0, 1.5, 3.0, 7.0])


# --- histogram ---
@every_device
@properties
@given(
    values=hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0), elements=finite),
    bins=st.one_of(st.integers(1, 8), st.lists(finite, min_size=2, max_size=6).map(sorted)),
    limits=st.sampled_from([None, (0.0, 2.0), (1.0, 1.0)]),
    weighted=st.booleans(),
    density=st.booleans(),
)
def test_histogram_is_numpys(
    values: npt.NDArray[Any], bins: Any, limits: Any, weighted: bool, density: bool, device: str
) -> None:
    weights = np.arange(1.0, values.size + 1).reshape(values.shape) if weighted else None
    with np.errstate(all="ignore"):
        counts, edges = np.histogram(values, bins, limits, weights=weights, density=density)
    found = na.histogram(
        na.asarray(values, device=device),
        bins if isinstance(bins, int) else na.asarray(np.array(bins), device=device),
        limits,
        weights=None if weights is None else na.asarray(weights, device=device),
        density=density,
    )
    assert found._fields == ("counts", "edges")
    np.testing.assert_array_equal(found.edges.numpy(), edges)
    if density:
        np.testing.assert_allclose(found.counts.numpy(), counts, rtol=1e-6)
    else:
        same(found.counts, counts)


@every_device
def test_histogram_counts_neither_nan_nor_what_lies_outside(device: str) -> None:
    x = na.asarray(np.array([np.nan, -np.inf, -1.0, 0.0, 1.0, 2.0, 9.0, np.inf]), device=device)
    found = na.histogram(x, 2, (0.0, 2.0))
    same(found.counts, np.array([1, 2]))


@every_device
def test_histogram_of_integers_has_edges_of_the_default_dtype(device: str) -> None:
    found = na.histogram(na.asarray(np.array([1, 2, 2, 5]), device=device), 4)
    same(found.edges, np.array([1, 2, 3, 4, 5], np.float32))
    same(found.counts, np.array([1, 2, 0, 1]))


@every_device
def test_histogram_is_differentiable_in_the_weights_alone(device: str) -> None:
    x = na.asarray(np.array([0.0, 1.0, 1.5, 4.0, 9.0]), device=device)
    weights = na.asarray(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), device=device)

    def f(v: na.Array, w: na.Array) -> na.Array:
        return na.histogram(v, 2, (0.0, 4.0), weights=w).counts

    scale = na.asarray(np.array([10.0, 100.0]), device=device)
    gx, gw = nt.grad(lambda v, w: na.sum(scale * f(v, w)), argnums=(0, 1))(x, weights)
    np.testing.assert_array_equal(gx.numpy(), np.zeros(5))
    np.testing.assert_array_equal(gw.numpy(), [10, 10, 10, 100, 0])
    nt.check_grads(lambda w: na.histogram(x, 2, weights=w, density=True).counts, (weights,), order=2)


@every_device
def test_histogram_under_vmap(device: str) -> None:
    values = np.random.default_rng(0).normal(size=(3, 20))
    found = nt.vmap(lambda v: na.histogram(v, 5))(na.asarray(values, device=device))
    for i in range(3):
        counts, edges = np.histogram(values[i], 5)
        np.testing.assert_array_equal(found.counts.numpy()[i], counts)
        np.testing.assert_allclose(found.edges.numpy()[i], edges)


@every_device
def test_what_makes_no_histogram(device: str) -> None:
    x = na.ones(3, device=device)
    with pytest.raises(na.ShapeError, match="needs at least one bin, got bins=0"):
        na.histogram(x, 0)
    with pytest.raises(na.DTypeError, match="bins must be an int or an Array of edges, got list"):
        na.histogram(x, [1, 2])  # type: ignore[arg-type]
    with pytest.raises(na.ShapeError, match=r"edges must be a vector of two or more, got shape \(1,\)"):
        na.histogram(x, na.ones(1, device=device))
    with pytest.raises(ValueError, match=r"range must be \(low, high\) with low <= high, got \(2, 1\)"):
        na.histogram(x, 3, (2, 1))
    with pytest.raises(na.ShapeError, match=r"weights must have the shape of x, \(3,\), got \(2,\)"):
        na.histogram(x, 3, weights=na.ones(2, device=device))


# --- bincount ---
@every_device
@properties
@given(
    values=hnp.arrays(np.int64, st.integers(0, 9), elements=st.integers(0, 6)),
    weighted=st.booleans(),
    minlength=st.integers(0, 9),
)
def test_bincount_is_numpys(values: npt.NDArray[Any], weighted: bool, minlength: int, device: str) -> None:
    weights = np.arange(1.0, values.size + 1) if weighted else None
    got = na.bincount(
        na.asarray(values, device=device),
        None if weights is None else na.asarray(weights, device=device),
        minlength,
    )
    expected = np.bincount(values, weights, minlength)
    same(got, expected.astype(np.float64) if weighted else expected)  # NumPy forgets the weights of an empty vector


@every_device
def test_bincount_is_differentiable_in_the_weights(device: str) -> None:
    x = na.asarray(np.array([2, 0, 2]), device=device)
    w = na.asarray(np.array([1.0, 2.0, 3.0]), device=device)
    got = nt.grad(lambda v: na.sum(na.bincount(x, v) ** 2))(w)
    np.testing.assert_array_equal(got.numpy(), [8.0, 4.0, 8.0])


@every_device
def test_what_cannot_be_counted(device: str) -> None:
    with pytest.raises(IndexError, match="got ids from -1 to 2"):
        na.bincount(na.asarray(np.array([2, -1]), device=device))
    with pytest.raises(na.DTypeError, match="needs a vector of integers"):
        na.bincount(na.ones(3, device=device))
    with pytest.raises(na.ShapeError, match="weights must have the shape of x"):
        na.bincount(na.asarray(np.array([1, 2]), device=device), na.ones(3, device=device))
    with pytest.raises(na.LevelError, match="one value per example"):
        nt.vmap(na.bincount)(na.asarray(np.array([[1, 2], [0, 1]]), device=device))
