"""Indexing against NumPy: slices, integers, None, ..., integer arrays, lists, masks; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import neo_array as na
import neo_tape as nt
from tests.neo_array.devices import every_device, needs_torch

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
properties = settings(deadline=None, max_examples=200, derandomize=True)


def counted(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


def translate(index: Any, device: str) -> Any:
    """Return an index with its NumPy arrays as Arrays."""
    if isinstance(index, tuple):
        return tuple(translate(i, device) for i in index)
    return na.asarray(index, device=device) if isinstance(index, np.ndarray) else index


def agree(shape: tuple[int, ...], index: Any, device: str) -> None:
    """Check that an index selects what it selects in NumPy, and that the result is no view that could be written to."""
    values = counted(shape)
    expected = values[index]
    got = na.asarray(values, device=device)[translate(index, device)]
    assert got.shape == expected.shape
    assert str(got.device) == device
    np.testing.assert_array_equal(got.numpy(), expected)


# --- Against NumPy ---
@every_device
@properties
@given(data=st.data())
def test_basic_indices_select_what_numpy_selects(device: str, data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    agree(shape, data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True, max_dims=5)), device)


@every_device
@properties
@given(data=st.data())
def test_integer_arrays_select_what_numpy_selects(device: str, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    index = data.draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)))
    agree(shape, index, device)  # hypothesis draws negative ones too


@every_device
@properties
@given(data=st.data())
def test_masks_select_what_numpy_selects(device: str, data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    axes = data.draw(st.integers(1, len(shape)))
    agree(shape, data.draw(hnp.arrays(np.bool_, shape[:axes])), device)


@every_device
@pytest.mark.parametrize(
    "index",
    [
        (np.array([2, 0]), 1),
        (slice(None, None, -1), np.array([0, 3])),
        (np.array([[0], [2]]), np.array([1, 3])),
        (..., np.array([0, 0, 1])),
        (None, np.array([1, 2]), ..., None),
        (np.array([0, 2]), slice(1, 3), np.array([1, 0])),
        (1, np.array([True, False, True, True])),
        (np.array([True, False, True]), np.array([1, 2])),
        np.array(2),
        np.array(-1),
        np.zeros((0,), np.int64),
        np.zeros((2, 0), np.int64),
        np.zeros((3, 4, 2), np.bool_),
        [2, 0, 0],
        [],
        [True, False, True],
        ([0, 2], [1, 3]),
        np.int64(1),
        (np.int32(-1), slice(np.int64(1), None)),
        (),
        ...,
        None,
    ],
    ids=repr,
)
def test_mixed_indices_select_what_numpy_selects(index: Any, device: str) -> None:
    agree((3, 4, 2), index, device)


@every_device
def test_arrays_without_axes_can_be_indexed(device: str) -> None:
    for index in ((), ..., None, (None, ...), (..., None)):
        agree((), index, device)


@every_device
def test_slice_bounds_may_be_integer_arrays_of_one_element(device: str) -> None:
    x = na.arange(6, device=device)
    np.testing.assert_array_equal(x[na.asarray(1) : na.asarray(5) : na.asarray(2)].numpy(), [1, 3])


@every_device
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_indices_of_every_integer_dtype_count_from_the_end(dtype: str, device: str) -> None:
    x = na.arange(300, device=device)
    last = na.asarray([-1, 0] if dtype != "uint8" else [255, 0], dtype=dtype, device=device)
    expected = [299, 0] if dtype != "uint8" else [255, 0]
    np.testing.assert_array_equal(x[last].numpy(), expected)
    np.testing.assert_array_equal(na.take(x, last).numpy(), expected)
    np.testing.assert_array_equal(na.take_along_axis(x, last).numpy(), expected)


# --- take and take_along_axis ---
@every_device
@properties
@given(data=st.data())
def test_take_is_numpys(device: str, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    n = shape[axis]
    indices = data.draw(hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, max_side=3), elements=st.integers(-n, n - 1)))
    values = counted(shape)
    got = na.take(na.asarray(values, device=device), na.asarray(indices, device=device), axis=axis)
    np.testing.assert_array_equal(got.numpy(), np.take(values, indices, axis=axis))


@every_device
@properties
@given(data=st.data())
def test_take_along_axis_is_numpys(device: str, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    n, rows = shape[axis], list(shape)
    rows[axis] = data.draw(st.integers(0, 3))
    indices = data.draw(hnp.arrays(np.int64, tuple(rows), elements=st.integers(-n, n - 1)))
    values = counted(shape)
    got = na.take_along_axis(na.asarray(values, device=device), na.asarray(indices, device=device), axis=axis)
    np.testing.assert_array_equal(got.numpy(), np.take_along_axis(values, indices, axis))


# --- What is refused ---
@every_device
@pytest.mark.parametrize(
    "index",
    [
        5,
        -4,
        (0, 4),
        (0, 0, 0),
        (..., ...),
        [3],
        [0, -4],
        np.array([7]),
        (np.array([0]), np.array([4])),
        np.ones((4,), np.bool_),
        np.ones((3, 4, 1), np.bool_),
    ],
    ids=repr,
)
def test_out_of_range_is_an_index_error(index: Any, device: str) -> None:
    x = na.zeros((3, 4), device=device)
    with pytest.raises(IndexError, match=r"index|take"):
        counted((3, 4))[index]
    with pytest.raises(IndexError, match=r"index|take"):
        x[translate(index, device)]


@every_device
@pytest.mark.parametrize("index", [1.0, "a", 1j, True, (0, False), (0, 1.5), object()], ids=repr)
def test_what_is_no_index_is_a_dtype_error_with_advice(index: Any, device: str) -> None:
    with pytest.raises(na.DTypeError, match="use integers, slices"):
        na.zeros((3, 4), device=device)[index]


@every_device
@pytest.mark.parametrize("values", [[0.0, 1.0], [[0.5]], []])
def test_floating_arrays_are_no_indices(values: list[Any], device: str) -> None:
    index = na.asarray(values, dtype=na.float32, device=device)
    for x in (na.zeros(3, device=device), na.zeros((3, 4), device=device)):
        with pytest.raises(na.DTypeError, match="integer"):
            x[index]
    if values:
        with pytest.raises(na.DTypeError, match="integer"):
            na.zeros(3, device=device)[values]
    with pytest.raises(na.DTypeError, match="integer"):
        na.take(na.zeros(3, device=device), index)


@every_device
def test_a_foreign_array_as_index_is_refused_with_advice(device: str) -> None:
    foreign: Any = np.array([0, 1])
    with pytest.raises(na.DTypeError, match=r"asarray|Array"):
        na.zeros(3, device=device)[foreign]


@needs_torch
def test_a_tensor_as_index_is_refused_with_advice() -> None:
    import torch

    foreign: Any = torch.tensor([0, 1])
    with pytest.raises(na.DTypeError, match=r"asarray|Array"):
        na.zeros(3, device="torch:cpu")[foreign]


@every_device
def test_take_checks_range_dtype_and_axis(device: str) -> None:
    x = na.zeros((3, 4), device=device)
    with pytest.raises(IndexError, match="take: indices from 0 to 4 are out of range for an axis of size 4"):
        na.take(x, na.asarray([0, 4], device=device), axis=1)
    with pytest.raises(na.ShapeError, match="axis 2 is out of range"):
        na.take(x, na.asarray([0], device=device), axis=2)
    with pytest.raises(na.ShapeError, match="needs axis="):
        na.take(x, na.asarray([0], device=device))
    with pytest.raises(na.ShapeError, match="must be equal except along axis 1"):
        na.take_along_axis(x, na.zeros((2, 4), dtype=na.int64, device=device), axis=1)


@needs_torch
@pytest.mark.parametrize("values", [[True, False, True], [0, 2]], ids=["mask", "integers"])
def test_an_index_on_another_device_is_refused(values: list[Any]) -> None:
    x, index = na.zeros((3, 4), device="torch:cpu"), na.asarray(values, device="numpy")
    refused: list[Callable[[], object]] = [
        lambda: x[index],
        lambda: x[index, 0],
        lambda: x.at[index].set(1.0),
        lambda: na.take(x, na.zeros((1,), dtype=na.int64, device="numpy"), axis=0),
    ]
    for attempt in refused:
        with pytest.raises(na.DeviceError, match=r"numpy.*torch:cpu|torch:cpu.*numpy"):
            attempt()


# --- Arrays stay on their device, and may differ by example ---
@every_device
def test_an_example_never_reads_anothers_data(device: str) -> None:
    """Index 4 of an axis of size 4 would be the next example's first element if the examples lay end to end."""
    x = na.asarray(counted((3, 4)), device=device)
    rows = na.zeros((3, 2), dtype=na.int64, device=device)
    outside = na.asarray([[0, 1], [2, 4], [0, 0]], device=device)
    attempts: list[Callable[[], object]] = [
        lambda: nt.vmap(lambda a, i: a[i])(x, outside),
        lambda: nt.vmap(lambda a, i: a[i], in_axes=(None, 0))(x[0], outside),
        lambda: nt.vmap(lambda a, i, j: a[i, j], in_axes=(None, 0, 0))(x, rows, outside),
        lambda: nt.vmap(lambda a, i: a.at[i].set(1.0))(x, outside),
        lambda: nt.vmap(lambda a, i: a.at[i].add(1.0))(x, outside),
        lambda: nt.vmap(lambda a, i: a.at[i].multiply(1.0))(x, -1 - outside),
        lambda: nt.vmap(lambda a, i: na.take_along_axis(a, i, axis=0))(x, outside),
    ]
    for attempt in attempts:
        with pytest.raises(IndexError, match="out of range"):
            attempt()


@every_device
def test_a_mask_that_differs_by_example_is_refused_with_advice(device: str) -> None:
    x = na.asarray(counted((3, 4)), device=device)
    with pytest.raises(na.LevelError, match=r"where\(mask"):
        nt.vmap(lambda a: a[a > 5])(x)
    with pytest.raises(na.LevelError, match=r"where\(mask"):
        nt.vmap(lambda a: a.at[a > 5].set(na.ones(3, device=device)))(x)
    mask = na.asarray([True, False, True, True], device=device)
    got = nt.vmap(lambda a: a[mask])(x)
    np.testing.assert_array_equal(got.numpy(), counted((3, 4))[:, [0, 2, 3]])


@every_device
def test_scalar_indices_that_differ_by_example(device: str) -> None:
    x, i = na.asarray(counted((3, 4)), device=device), na.asarray([1, 0, -1], device=device)
    np.testing.assert_array_equal(nt.vmap(lambda a, j: a[j])(x, i).numpy(), [1, 4, 11])
    np.testing.assert_array_equal(nt.vmap(lambda j: x[j, 2])(i).numpy(), [6, 2, 10])
    np.testing.assert_array_equal(nt.vmap(lambda j, k: x[j, k])(i, i).numpy(), [5, 0, 11])
    twice = nt.vmap(nt.vmap(lambda a, j: a[j], in_axes=(None, 0)), in_axes=(0, None))(x, i)
    np.testing.assert_array_equal(twice.numpy(), counted((3, 4))[:, [1, 0, -1]])


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "uint16", "uint64", "float16", "bfloat16", "complex64"])
def test_arrays_of_every_dtype_can_be_indexed(dtype: str, device: str) -> None:
    x = na.asarray(counted((3, 4)), device=device).astype(na.int8).astype(dtype)
    values = np.array(x.numpy())
    i, j = np.array([2, -1, 0]), np.array([0, 3, 3])
    for index in (i, (i, j), (slice(None, None, -1), j), values[:, 0] != 0):
        got = x[translate(index, device)]
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got.numpy(), values[index])


@every_device
def test_mask_shapes_must_be_the_arrays(device: str) -> None:
    x = na.asarray(counted((3, 1)), device=device)
    with pytest.raises(IndexError, match=r"mask of shape \(3, 4\)"):
        x[na.ones((3, 4), dtype=na.bool, device=device)]
    with pytest.raises(IndexError, match="do not broadcast"):
        x[na.asarray([0, 1], device=device), na.asarray([0, 0, 0], device=device)]


@every_device
def test_take_along_axis_broadcasts_the_other_axes(device: str) -> None:
    values, indices = counted((1, 3, 4)), np.array([[[0, -1]], [[2, 2]]])
    x, i = na.asarray(values, device=device), na.asarray(indices, device=device)
    expected = np.take_along_axis(values, indices, -1)
    np.testing.assert_array_equal(na.take_along_axis(x, i).numpy(), expected)
    nt.check_grads(lambda a: na.take_along_axis(a * a, i), (x,))
    with pytest.raises(na.ShapeError, match="except along axis"):
        na.take_along_axis(x, na.zeros((2, 2, 1), dtype=na.int64, device=device), axis=2)
