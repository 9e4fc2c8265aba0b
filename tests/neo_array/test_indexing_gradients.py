"""Derivatives of indexing and of updated copies: repeated indices add up, what was overwritten gets nothing."""

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
from neo_array import Array
from tests.neo_array.devices import every_device
from tests.neo_array.test_indexing import counted, translate

properties = settings(deadline=None, max_examples=60, derandomize=True)


def scattered(shape: tuple[int, ...], index: Any, cotangent: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the cotangent of x for x[index], in NumPy: every element adds to where it came from."""
    out = np.zeros(shape)
    np.add.at(out, index, cotangent)
    return out


def check_pullback(shape: tuple[int, ...], index: Any, device: str) -> None:
    values = counted(shape)
    cotangent = 1.0 + counted(values[index].shape)
    x = na.asarray(values, device=device)
    _, pullback = nt.vjp(lambda a: a[translate(index, device)], x)
    (got,) = pullback(na.asarray(cotangent, device=device))
    np.testing.assert_array_equal(got.numpy(), scattered(shape, index, cotangent))


@every_device
@properties
@given(data=st.data())
def test_pullback_of_a_basic_index(device: str, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    check_pullback(shape, data.draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=5)), device)


@every_device
@properties
@given(data=st.data())
def test_pullback_of_integer_arrays_adds_up_repetitions(device: str, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
    check_pullback(shape, data.draw(hnp.integer_array_indices(shape)), device)


@every_device
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_pullback_of_take_adds_up_repetitions(axis: int, device: str) -> None:
    values, indices = counted((3, 4)), np.array([[0, 2], [2, -1]])
    x, i = na.asarray(values, device=device), na.asarray(indices, device=device)
    out, pullback = nt.vjp(lambda a: na.take(a, i, axis=axis), x)
    (got,) = pullback(na.ones_like(out))
    counts = np.bincount(indices.reshape(-1) % values.shape[axis], minlength=values.shape[axis])
    np.testing.assert_array_equal(got.numpy(), np.broadcast_to(counts[:, None] if axis == 0 else counts, (3, 4)))


@every_device
def test_indexing_is_right_to_second_order(device: str) -> None:
    x = na.asarray(np.random.default_rng(0).normal(size=(3, 4)), device=device)
    i = na.asarray([0, 2, 2], device=device)
    mask = na.asarray(np.arange(12).reshape(3, 4) % 3 == 0, device=device)
    nt.check_grads(lambda a: (a[i] * a[::-1, ::2][:, :1], a[mask] ** 2, a[..., -1] * a[1, 2]), (x,))
    nt.check_grads(lambda a: na.take_along_axis(a * a, na.asarray([[0, 0, 3]] * 3, device=device), axis=1), (x,))


# --- x.at[index]: updated copies ---
INDICES = [1, (slice(None), 0), (slice(None, None, -2), slice(1, 3)), np.array([2, 0]), np.eye(3, 4) > 0]
every_index = pytest.mark.parametrize("index", INDICES, ids=repr)


@every_device
@every_index
def test_updated_copies_are_what_numpy_writes_in_place(index: Any, device: str) -> None:
    values = counted((3, 4)) - 5.0
    x = na.asarray(values, device=device)
    part = x.at[translate(index, device)]
    given = np.full(values[index].shape, 2.0)
    written: dict[str, Callable[[Any], Any]] = {
        "set": lambda old: given,
        "add": lambda old: old + given,
        "mul": lambda old: old * given,
        "min": lambda old: np.minimum(old, given),
        "max": lambda old: np.maximum(old, given),
    }
    for name, write in written.items():
        expected = values.copy()
        expected[index] = write(values[index])
        for value in (2.0, na.asarray(given, device=device)):
            got = getattr(part, name)(value)
            assert got.dtype == x.dtype
            np.testing.assert_array_equal(got.numpy(), expected)
    np.testing.assert_array_equal(x.numpy(), values)


@every_device
@every_index
def test_derivatives_of_updated_copies(index: Any, device: str) -> None:
    rng = np.random.default_rng(1)
    x = na.asarray(rng.normal(size=(3, 4)), device=device)
    v = na.asarray(rng.normal(size=counted((3, 4))[index].shape), device=device)
    at = translate(index, device)
    nt.check_grads(
        lambda a, b: (a.at[at].set(b) ** 2, a.at[at].add(b) ** 2, a.at[at].mul(b), a.at[at].max(b), a.at[at].min(b)),
        (x, v),
    )


@every_device
def test_a_repeated_index_sets_the_last_value_and_adds_every_value(device: str) -> None:
    x = na.zeros(3, dtype=na.float64, device=device)
    i = na.asarray([1, 1, 0], device=device)
    v = na.asarray([10.0, 20.0, 30.0], dtype=na.float64, device=device)
    np.testing.assert_array_equal(x.at[i].set(v).numpy(), [30, 20, 0])
    np.testing.assert_array_equal(x.at[i].add(v).numpy(), [30, 30, 0])
    weights = na.asarray([1.0, 2.0, 4.0], dtype=na.float64, device=device)

    def total(name: str) -> npt.NDArray[Any]:
        def f(b: Array) -> Array:
            updated: Array = getattr(x.at[i], name)(b)
            return (updated * weights).sum()

        gradient: Array = nt.grad(f)(v)
        return gradient.numpy()

    np.testing.assert_array_equal(total("set"), [0, 2, 1])  # the first value was overwritten
    np.testing.assert_array_equal(total("add"), [2, 2, 1])


@every_device
def test_updates_check_index_and_value(device: str) -> None:
    x = na.zeros((2, 3), device=device)
    with pytest.raises(IndexError, match=r"5|out of"):
        x.at[5].set(1.0)
    with pytest.raises(na.ShapeError, match=r"\(2,\)"):
        x.at[0].set(na.ones(2, device=device))
    assert x.at[0:0].set(7.0).shape == (2, 3)
