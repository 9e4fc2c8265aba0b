"""Segments: reductions over groups of slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device
from tests.neo_array.test_sorting import same

properties = settings(deadline=None, max_examples=60, derandomize=True)
BY_NAME: dict[str, tuple[Callable[..., Array], Callable[..., Any], float]] = {
    "sum": (na.segment_sum, np.sum, 0.0),
    "mean": (na.segment_mean, np.mean, np.nan),
    "max": (na.segment_max, np.max, -np.inf),
    "min": (na.segment_min, np.min, np.inf),
}
every_reduction = pytest.mark.parametrize("name", BY_NAME)


def by_mask(
    f: Callable[..., Any], empty: float, x: npt.NDArray[Any], ids: npt.NDArray[Any], size: int, axis: int
) -> npt.NDArray[Any]:
    """Reduce what a mask selects, segment by segment."""
    rows = np.moveaxis(x, axis, 0)
    parts = [f(rows[ids == i], axis=0) if (ids == i).any() else np.full(rows.shape[1:], empty) for i in range(size)]
    return np.moveaxis(np.array(parts).reshape(size, *rows.shape[1:]), 0, axis)


@every_device
@every_reduction
@properties
@given(data=st.data())
def test_segments_are_what_masks_select(name: str, device: str, data: st.DataObject) -> None:
    op, f, empty = BY_NAME[name]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = tuple(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=3)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = data.draw(st.integers(1, 6))
    values, ids = rng.normal(size=shape), rng.integers(0, size, shape[axis])
    got = op(na.asarray(values, device=device), na.asarray(ids, device=device), size, axis=axis)
    np.testing.assert_allclose(got.numpy(), by_mask(f, empty, values, ids, size, axis), rtol=1e-12, atol=1e-12)


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_segments_of_integers(dtype: str, device: str) -> None:
    kind = np.dtype(dtype)
    low, high = (False, True) if dtype == "bool" else (np.iinfo(kind).min, np.iinfo(kind).max)
    values = np.array([0, 1, low, high, 1], kind)
    ids = na.asarray(np.array([0, 0, 2, 2, 3]), device=device)
    for shape in ((5,), (5, 1)):
        x = na.asarray(values.reshape(shape), device=device)
        column = (5, *shape[1:])
        same(na.segment_max(x, ids, 5), np.array([1, low, high, 1, low], kind).reshape(column))
        same(na.segment_min(x, ids, 5), np.array([0, high, low, 1, high], kind).reshape(column))
        total = np.array([1, 0, low + high, 1, 0], np.uint64 if dtype == "uint64" else np.int64)
        same(na.segment_sum(x, ids, 5), total.reshape(column))
        mean = na.segment_mean(x, ids, 5)
        assert mean.dtype == na.float32
        np.testing.assert_array_equal(mean.numpy().reshape(-1)[[0, 1, 3]], np.array([0.5, np.nan, 1], np.float32))


@every_device
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_segments_in_half_precision_do_not_lose_small_terms(dtype: str, device: str) -> None:
    for shape in ((4096,), (4096, 1)):
        x = na.ones(shape, device=device).astype(dtype)
        ids = na.zeros((4096,), dtype=na.int64, device=device)
        total = na.segment_sum(x, ids, 1)
        assert (total.dtype, total.item()) == (x.dtype, 4096)
        assert na.segment_mean(x * 60000.0, ids, 1).item() == (x * 60000.0)[0].item()
        assert na.segment_max(x, ids, 1).item() == na.segment_min(x, ids, 1).item() == 1
        assert na.segment_max(x, ids, 2).numpy().reshape(-1)[1] == -np.inf


@every_device
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "uint64"])
def test_ids_of_every_integer_dtype(dtype: str, device: str) -> None:
    ids = na.asarray(np.array([2, 0, 2], dtype), device=device)
    same(na.segment_sum(na.asarray(np.array([1.0, 2.0, 4.0]), device=device), ids, 3), np.array([2.0, 0.0, 5.0]))


@every_device
def test_nan_wins_in_its_segment_alone(device: str) -> None:
    ids = na.asarray(np.array([0, 0, 1, 1]), device=device)
    for shape in ((4,), (4, 1)):
        x = na.asarray(np.array([np.nan, 1.0, 2.0, 3.0]).reshape(shape), device=device)
        np.testing.assert_array_equal(na.segment_max(x, ids, 2).numpy().reshape(-1), [np.nan, 3.0])
        np.testing.assert_array_equal(na.segment_min(x, ids, 2).numpy().reshape(-1), [np.nan, 2.0])
        np.testing.assert_array_equal(na.segment_sum(x, ids, 2).numpy().reshape(-1), [np.nan, 5.0])


@every_device
@every_reduction
def test_ids_out_of_range_raise(name: str, device: str) -> None:
    op, x = BY_NAME[name][0], na.ones((3, 2), device=device)
    for ids in ([0, 1, 2], [0, -1, 1]):
        message = rf"less than num_segments=2, got ids from {min(ids)} to {max(ids)}"
        with pytest.raises(IndexError, match=message):
            op(x, na.asarray(np.array(ids), device=device), 2)
        with pytest.raises(IndexError, match=message):
            nt.vmap(lambda i: op(x, i, 2))(na.asarray(np.array([[0, 1, 1], ids]), device=device))


@every_device
@every_reduction
def test_what_is_no_segmentation(name: str, device: str) -> None:
    op, x = BY_NAME[name][0], na.ones((3, 2), device=device)
    ids = na.zeros((3,), dtype=na.int64, device=device)
    label = f"segment_{name}"
    with pytest.raises(na.ShapeError, match=rf"{label}: segment_ids .* shape \(2,\) for axis 1 .* got \(3,\)"):
        op(x, ids, 2, axis=1)
    with pytest.raises(na.ShapeError, match=f"{label}: axis 2 is out of range"):
        op(x, ids, 2, axis=2)
    with pytest.raises(na.DTypeError, match=f"{label}: segment_ids must be integers, got float32"):
        op(x, na.zeros(3, device=device), 2)
    with pytest.raises(na.DTypeError, match=f"{label}: num_segments must be an int"):
        op(x, ids, 2.5)
    with pytest.raises(na.ShapeError, match=f"{label}: num_segments must not be negative"):
        op(x, ids, -1)


@every_device
def test_complex_numbers_have_sums_and_no_order(device: str) -> None:
    x = na.asarray(np.array([1 + 1j, 2 - 1j, 1j]), device=device)
    ids = na.asarray(np.array([1, 1, 0]), device=device)
    same(na.segment_sum(x, ids, 2), np.array([1j, 3]))
    same(na.segment_mean(x, ids, 2), np.array([1j, 1.5]))
    for op in (na.segment_max, na.segment_min):
        with pytest.raises(na.DTypeError, match="does not compute this for complex128"):
            op(x, ids, 2)


# --- Derivatives ---
@every_device
def test_ties_share_the_derivative_of_an_extremum(device: str) -> None:
    x = na.asarray(np.array([2.0, 1.0, 2.0, 0.0, 0.0, 5.0]), device=device)
    ids = na.asarray(np.array([0, 0, 0, 2, 2, 2]), device=device)
    weights = na.asarray(np.array([12.0, 100.0, 6.0]), device=device)
    for op, expected in (
        (na.segment_max, [6.0, 0.0, 6.0, 0.0, 0.0, 6.0]),
        (na.segment_min, [0.0, 12.0, 0.0, 3.0, 3.0, 0.0]),
    ):

        def f(v: Array, op: Callable[..., Array] = op) -> Array:
            return op(v, ids, 3)

        _, pullback = nt.vjp(f, x)
        np.testing.assert_array_equal(pullback(weights)[0].numpy(), expected)
        _, tangent = nt.jvp(f, (x,), (x + 1,))
        share = np.array(expected) / np.array([12.0, 12, 12, 6, 6, 6])
        moved = share * (x.numpy() + 1)
        np.testing.assert_allclose(tangent.numpy(), [moved[:3].sum(), 0.0, moved[3:].sum()])  # 0 for the empty one


@every_device
@every_reduction
def test_segments_to_second_order(name: str, device: str) -> None:
    rng = np.random.default_rng(0)
    x = na.asarray(rng.permutation(24).reshape(4, 3, 2) / 4 - 3, device=device)
    ids = na.asarray(np.array([1, 0, 1]), device=device)
    nt.check_grads(lambda v: BY_NAME[name][0](v, ids, 2, axis=1) ** 3, (x,), order=2)


@every_device
@every_reduction
def test_ids_of_their_own_for_each_example(name: str, device: str) -> None:
    op, f, empty = BY_NAME[name]
    rng = np.random.default_rng(0)
    values, ids = rng.normal(size=(3, 4, 5, 2)), rng.integers(0, 6, size=(3, 5))
    x, places = na.asarray(values, device=device), na.asarray(ids, device=device)
    got = nt.vmap(lambda v, i: op(v, i, 6, axis=1))(x, places)
    one_x = nt.vmap(lambda i: op(x[0], i, 6, axis=1))(places)
    for i in range(3):
        np.testing.assert_allclose(got.numpy()[i], by_mask(f, empty, values[i], ids[i], 6, 1), rtol=1e-12)
        np.testing.assert_allclose(one_x.numpy()[i], by_mask(f, empty, values[0], ids[i], 6, 1), rtol=1e-12)

    def loss(v: Array, i: Array) -> Array:
        return na.sum(na.take(op(v, i, 6, axis=1), i, axis=1) ** 2)

    grads = nt.vmap(nt.grad(loss))(x, places)
    for i in range(3):
        np.testing.assert_allclose(grads.numpy()[i], nt.grad(loss)(x[i], places[i]).numpy(), rtol=1e-12)
    nested = nt.vmap(nt.vmap(lambda v, i: op(v, i, 6), in_axes=(0, None)))(x, places)
    np.testing.assert_allclose(nested.numpy(), nt.vmap(lambda v, i: op(v, i, 6, axis=1))(x, places).numpy())
