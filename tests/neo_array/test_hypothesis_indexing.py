"""Random index expressions, updates and binary ops against NumPy: shapes, dtypes, broadcasting, values."""

from __future__ import annotations

import operator
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
from tests.neo_array.devices import every_device

Shape = tuple[int, ...]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
INTEGERS = [np.dtype(t) for t in ("int8", "int16", "int32", "int64", "uint8")]
properties = settings(deadline=None, max_examples=1000, derandomize=True, database=None)


@st.composite
def indices(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """Draw any index that NumPy takes: integers, slices, ..., None, integer arrays that broadcast, masks."""
    points = draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=3))
    items: list[Any] = []
    axis = 0
    while axis < len(shape) and draw(st.integers(0, 7)):
        n = shape[axis]
        kind = draw(st.sampled_from(["integer", "slice", "slice", "array", "array", "mask", "None", "list"]))
        if kind in ("integer", "array", "list") and n == 0:
            kind = "slice"
        if kind == "None":
            items.append(None)
            continue
        if kind == "mask":
            covered = draw(st.integers(0, len(shape) - axis))
            sizes = [draw(st.sampled_from([n, n, n, 0])) for n in shape[axis : axis + covered]]
            items.append(draw(hnp.arrays(np.bool_, tuple(sizes))))
            axis += covered
            continue
        if kind == "integer":
            items.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            items.append(draw(st.slices(n)))
        else:
            given = draw(st.sampled_from([points, points[1:], (1,) * len(points)]))
            dtype = draw(st.sampled_from(INTEGERS))
            low = 0 if dtype.kind == "u" else -n
            array = draw(hnp.arrays(dtype, given, elements=st.integers(low, n - 1)))
            items.append(array if kind == "array" else array.tolist() if array.size and array.ndim else array)
        axis += 1
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), ...)
        # what follows the dots indexes other axes now, so some of it may not fit any more; then NumPy says so
    return tuple(items)


def translate(index: Any, device: str) -> Any:
    """Return an index with its NumPy arrays as Arrays."""
    if isinstance(index, tuple):
        return tuple(translate(i, device) for i in index)
    return na.asarray(index, device=device) if isinstance(index, np.ndarray) else index


def counted(shape: Shape) -> npt.NDArray[Any]:
    return np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)


def selected(shape: Shape, index: Any) -> npt.NDArray[Any] | None:
    """Return what NumPy selects, or None where it refuses."""
    try:
        return np.asarray(counted(shape)[index])
    except IndexError:
        return None


@every_device
@properties
@given(data=st.data())
def test_any_index_selects_what_numpy_selects(device: str, data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    index = data.draw(indices(shape))
    expected = selected(shape, index)
    x = na.asarray(counted(shape), device=device)
    if expected is None:
        with pytest.raises(IndexError, match=r"index|take"):
            x[translate(index, device)]
        return
    got = x[translate(index, device)]
    assert (got.shape, got.dtype, str(got.device)) == (expected.shape, na.float64, device)
    np.testing.assert_array_equal(got.numpy(), expected)


@every_device
@properties
@given(data=st.data())
def test_any_index_can_be_differentiated_and_updated(device: str, data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    index = data.draw(indices(shape))
    expected = selected(shape, index)
    if expected is None:
        return
    x, at = na.asarray(counted(shape), device=device), translate(index, device)
    values = -counted(expected.shape)
    v = na.asarray(values, device=device)

    _, pullback = nt.vjp(lambda a: a[at], x)
    piled = np.zeros(shape)
    np.add.at(piled, index, values)
    np.testing.assert_array_equal(pullback(v)[0].numpy(), piled)

    replaced = counted(shape)
    replaced[index] = values
    np.testing.assert_array_equal(x.at[at].set(v).numpy(), replaced)
    np.testing.assert_array_equal(x.at[at].add(v).numpy(), counted(shape) + piled)
    for name, ufunc in [("multiply", np.multiply), ("min", np.minimum), ("max", np.maximum)]:
        updated = counted(shape)
        ufunc.at(updated, index, values)
        np.testing.assert_array_equal(getattr(x.at[at], name)(v).numpy(), updated)


@every_device
@properties
@given(data=st.data())
def test_indices_that_differ_by_example_are_a_loop(device: str, data: st.DataObject) -> None:
    """Under vmap, with the array, the index arrays, or both mapped; out of range is out of range in every example."""
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    size = data.draw(st.integers(1, 3))
    index = data.draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)))
    keep = data.draw(st.integers(1, len(index)))
    head = (*index[:keep], *data.draw(st.sampled_from([(), (slice(None, None, -1),), (None, ...), (0,)])))
    if len([i for i in head if i is not None and i is not ...]) > len(shape):
        head = index
    many = [np.stack([np.roll(i, k) for k in range(size)]) if isinstance(i, np.ndarray) else i for i in head]
    arrays = [na.asarray(i, device=device) for i in many if isinstance(i, np.ndarray)]
    x = na.asarray(np.stack([counted(shape) * 10**k for k in range(size)]), device=device)

    def read(a: na.Array, *rows: na.Array) -> na.Array:
        row = iter(rows)
        return a[tuple(next(row) if isinstance(i, np.ndarray) else i for i in head)]

    for axis in (0, None):
        got = nt.vmap(read, in_axes=(axis, *(0 for _ in arrays)))(x if axis == 0 else x[0], *arrays)
        for k in range(size):
            expected = x.numpy()[0 if axis is None else k][
                tuple(i[k] if isinstance(i, np.ndarray) else i for i in many)
            ]
            np.testing.assert_array_equal(got.numpy()[k], expected)


OPS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "add": (na.add, np.add),
    "subtract": (na.subtract, np.subtract),
    "multiply": (na.multiply, np.multiply),
    "maximum": (na.maximum, np.maximum),
    "less": (na.less, np.less),
    "equal": (na.equal, np.equal),
    "where": (lambda a, b: na.where(a == b, a, b), lambda a, b: np.where(a == b, a, b)),
    "-": (operator.sub, operator.sub),
}
NUMBERS = [na.bool, na.int8, na.int64, na.uint8, na.float32, na.float64]


@every_device
@properties
@given(data=st.data())
def test_binary_ops_broadcast_and_promote(device: str, data: st.DataObject) -> None:
    """NumPy's shapes and values; the dtype is the operands' result type, in which NumPy computes here."""
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3))
    one, two = shapes.input_shapes
    a, b = (
        data.draw(hnp.arrays(data.draw(st.sampled_from(NUMBERS)), s, elements=st.integers(0, 1))) for s in (one, two)
    )
    name = data.draw(st.sampled_from(sorted(OPS)))
    common = na.result_type(a.dtype, b.dtype)
    if common == na.bool and name in ("subtract", "-"):
        return
    ours, numpys = OPS[name]
    got = ours(na.asarray(a, device=device), na.asarray(b, device=device))
    expected = numpys(a.astype(common), b.astype(common))
    assert (got.shape, got.dtype, str(got.device)) == (shapes.result_shape, expected.dtype, device)
    np.testing.assert_array_equal(got.numpy(), expected)


@every_device
@properties
@given(data=st.data())
def test_shapes_that_do_not_broadcast_are_refused(device: str, data: st.DataObject) -> None:
    one, two = data.draw(SHAPES), data.draw(SHAPES)
    x, y = na.zeros(one, device=device), na.zeros(two, device=device)
    try:
        expected = np.broadcast_shapes(one, two)
    except ValueError:
        with pytest.raises(na.ShapeError, match="do not broadcast"):
            x + y
        with pytest.raises(na.ShapeError, match="do not broadcast"):
            na.broadcast_arrays(x, y)
        return
    assert (x + y).shape == expected
    assert [a.shape for a in na.broadcast_arrays(x, y)] == [expected, expected]
