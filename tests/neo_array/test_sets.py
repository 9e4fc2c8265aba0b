"""Sets: distinct elements and membership."""

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
from tests.neo_array.test_sorting import EVERY, SPECIAL, limits, same, widened

properties = settings(deadline=None, max_examples=60, derandomize=True)
COMPLEX = [complex(a, b) for a in (-1.0, 0.0, -0.0, 2.0, np.nan) for b in (1.0, -0.0, 0.0, np.nan)]


# --- Distinct elements ---
@every_device
@properties
@given(
    values=hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0), elements=st.sampled_from(SPECIAL)
    )
)
def test_unique_is_numpys_with_every_nan_on_its_own(values: npt.NDArray[Any], device: str) -> None:
    x = na.asarray(values, device=device)
    found, expected = na.unique_all(x), np.unique_all(values)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    np.testing.assert_array_equal(found.values.numpy(), expected.values)
    np.testing.assert_array_equal(found.counts.numpy(), expected.counts)
    assert [a.dtype for a in found[1:]] == [na.int64] * 3
    assert found.inverse_indices.shape == values.shape
    flat, indices, inverse = values.reshape(-1), found.indices.numpy(), found.inverse_indices.numpy()
    same(found.values, flat[indices])  # with the signs of zeros
    np.testing.assert_array_equal(found.values.numpy()[inverse], values)
    for i, value in zip(indices, found.values.numpy(), strict=True):
        assert np.isnan(value) or i == list(flat).index(value)
    same(na.unique_values(x), found.values.numpy())
    for short, names in (
        (na.unique_counts(x), ("values", "counts")),
        (na.unique_inverse(x), ("values", "inverse_indices")),
    ):
        assert short._fields == names
        for name in names:
            same(getattr(short, name), getattr(found, name).numpy())


@every_device
@properties
@given(values=hnp.arrays(np.complex128, st.integers(0, 12), elements=st.sampled_from(COMPLEX)))
def test_unique_of_complex_numbers(values: npt.NDArray[Any], device: str) -> None:
    found = na.unique_all(na.asarray(values, device=device))
    finite = found.values.numpy()[~np.isnan(found.values.numpy())]
    np.testing.assert_array_equal(finite, np.unique(values[~np.isnan(values)]))
    assert found.values.size - finite.size == np.isnan(values).sum()
    np.testing.assert_array_equal(found.values.numpy()[found.inverse_indices.numpy()], values)
    assert found.counts.numpy().sum() == values.size


@every_device
@pytest.mark.parametrize("dtype", EVERY)
def test_unique_of_every_dtype(dtype: str, device: str) -> None:
    values = np.concatenate([limits(dtype), limits(dtype)])
    found = na.unique_counts(na.asarray(values, device=device))
    wide = widened(values)
    expected, counts = np.unique(wide, return_counts=True, equal_nan=False)
    assert found.values.dtype == values.dtype
    np.testing.assert_array_equal(found.values.numpy().astype(wide.dtype), expected)
    np.testing.assert_array_equal(found.counts.numpy(), counts)


@every_device
def test_derivative_of_distinct_values_goes_to_the_first_of_equal_elements(device: str) -> None:
    x = na.asarray(np.array([[2.0, 1.0], [2.0, 3.0]]), device=device)
    weights = na.asarray(np.array([10.0, 20.0, 30.0]), device=device)
    got = nt.grad(lambda v: na.sum(weights * na.unique_values(v)))(x)
    np.testing.assert_array_equal(got.numpy(), [[20.0, 10.0], [0.0, 30.0]])
    nt.check_grads(lambda v: na.unique_values(v) ** 3, (x + na.asarray([[0, 0], [0.5, 0]], device=device),), order=2)


@every_device
@pytest.mark.parametrize("f", [na.unique_all, na.unique_counts, na.unique_inverse, na.unique_values])
def test_distinct_elements_under_vmap_raise(f: Any, device: str) -> None:
    with pytest.raises(na.DTypeError, match="cannot run under vmap: how many elements are distinct differs"):
        nt.vmap(f)(na.ones((2, 3), device=device))
    with pytest.raises(na.DTypeError, match=f"{f.__name__}: needs an Array, got list"):
        f([1, 2])


# --- Membership ---
@every_device
@properties
@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0), elements=st.sampled_from(SPECIAL)),
    test=hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0), elements=st.sampled_from(SPECIAL)
    ),
    invert=st.booleans(),
)
def test_isin_is_numpys(x: npt.NDArray[Any], test: npt.NDArray[Any], invert: bool, device: str) -> None:
    got = na.isin(na.asarray(x, device=device), na.asarray(test, device=device), invert=invert)
    same(got, np.asarray(np.isin(x, test, invert=invert)))


@every_device
@pytest.mark.parametrize("dtype", [*EVERY, "complex64"])
def test_isin_of_every_dtype(dtype: str, device: str) -> None:
    x = na.asarray(np.array([0, 1, 1, 0])).astype(dtype).to(device)
    same(na.isin(x, na.asarray(np.array([1, 1])).astype(dtype).to(device)), np.array([False, True, True, False]))


@every_device
def test_isin_takes_numbers(device: str) -> None:
    x = na.asarray(np.array([1, 2, 3]), device=device)
    same(na.isin(x, 2), np.array([False, True, False]))
    same(na.isin(x, 2.5), np.array([False, False, False]))
    same(na.isin(3, x), np.array(True))


@every_device
def test_isin_under_vmap(device: str) -> None:
    rng = np.random.default_rng(0)
    xs, tests = rng.integers(0, 5, size=(3, 4)), rng.integers(0, 5, size=(3, 2))
    got = nt.vmap(na.isin)(na.asarray(xs, device=device), na.asarray(tests, device=device))
    same(got, np.array([np.isin(x, test) for x, test in zip(xs, tests, strict=True)]))
