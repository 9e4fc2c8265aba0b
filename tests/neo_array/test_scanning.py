"""Scans with any associative function: lengths, order, direction, trees, derivatives."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from neo_array.ops.scanning import linear_recurrence
from tests.neo_array.devices import every_device


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


@every_device
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8, 13, 16, 17])
def test_matrices_are_multiplied_in_order(n: int, reverse: bool, device: str) -> None:
    """Matrix products do not commute."""
    x = values(n, 2, 2)
    got = na.associative_scan(na.matmul, na.asarray(x, device=device), reverse=reverse).numpy()
    step = -1 if reverse else 1
    expected = np.array(list(itertools.accumulate(x[::step], np.matmul))).reshape(n, 2, 2)[::step]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


@every_device
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_axes(axis: int, device: str) -> None:
    x = values(3, 5, 7)
    for reverse in (False, True):
        got = na.associative_scan(na.add, na.asarray(x, device=device), axis=axis, reverse=reverse)
        expected = np.flip(np.flip(x, axis).cumsum(axis), axis) if reverse else x.cumsum(axis)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


class Line(NamedTuple):
    """y -> slope * y + offset."""

    slope: Array
    offset: Array


def after(first: Line, then: Line) -> Line:
    return Line(then.slope * first.slope, then.slope * first.offset + then.offset)


@every_device
@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_trees_keep_their_structure_and_agree_with_the_recurrence(n: int, device: str) -> None:
    lines = Line(*(na.asarray(values(2, n, seed=s), device=device) for s in (0, 1)))
    out = na.associative_scan(after, lines, axis=1)
    assert type(out) is Line
    same = na.bind(linear_recurrence, *lines, axis=1, reverse=False)
    np.testing.assert_allclose(out.offset.numpy(), same.numpy(), rtol=1e-12, atol=1e-13)


@every_device
def test_leaves_may_differ_in_dtype_and_in_their_other_axes(device: str) -> None:
    elems = {"count": na.ones(5, dtype=na.int64, device=device), "sum": na.asarray(values(5, 2, 3), device=device)}
    out = na.associative_scan(lambda a, b: {k: a[k] + b[k] for k in a}, elems)
    assert out["count"].dtype == na.int64
    np.testing.assert_array_equal(out["count"].numpy(), [1, 2, 3, 4, 5])
    np.testing.assert_allclose(out["sum"].numpy(), elems["sum"].numpy().cumsum(0))
    flags = na.associative_scan(na.logical_or, na.asarray([False, True, False], device=device))
    np.testing.assert_array_equal(flags.numpy(), [False, True, True])
    nothing: tuple[Array, ...] = ()
    assert na.associative_scan(lambda a, b: a, nothing) == ()


@every_device
@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_scans_are_differentiable_to_second_order(n: int, device: str) -> None:
    x = na.asarray(values(n, 2, 2), device=device)
    nt.check_grads(lambda a: na.associative_scan(na.matmul, a), (x,))
    a, b = (na.asarray(values(n, seed=s), device=device) for s in (0, 1))
    nt.check_grads(lambda p, q: na.associative_scan(after, Line(p, q), reverse=True).offset, (a, b))


@every_device
def test_scans_of_a_batch(device: str) -> None:
    x = na.asarray(values(3, 6, 2, 2), device=device)
    got = nt.vmap(lambda a: na.associative_scan(na.matmul, a))(x)
    same = na.associative_scan(na.matmul, x, axis=1)
    np.testing.assert_allclose(got.numpy(), same.numpy(), rtol=1e-13)


def test_a_scan_calls_its_function_few_times() -> None:
    calls = 0

    def add(a: Array, b: Array) -> Array:
        nonlocal calls
        calls += 1
        return a + b

    na.associative_scan(add, na.ones(1000))
    assert calls <= 20


@every_device
def test_a_wrong_use_is_explained(device: str) -> None:
    x = na.ones((4, 3), device=device)
    with pytest.raises(na.ShapeError, match=r"associative_scan: lengths along axis 0 differ, got \[3, 4\]"):
        na.associative_scan(lambda a, b: a, (x, x[:3]))
    with pytest.raises(na.ShapeError, match="associative_scan: axis 2"):
        na.associative_scan(na.add, x, axis=2)
    with pytest.raises(na.ShapeError, match="associative_scan: axis 0"):
        na.associative_scan(na.add, x[0, 0])
    with pytest.raises(na.DTypeError, match="associative_scan: needs Arrays, got float"):
        na.associative_scan(lambda a, b: a, [1.0, 2.0])
    with pytest.raises(na.TreeError, match="associative_scan"):
        na.associative_scan(lambda a, b: (a, b), x)  # type: ignore[arg-type, return-value]
    with pytest.raises(na.ShapeError, match=r"associative_scan: f made shape \(\)"):
        na.associative_scan(lambda a, b: na.sum(a + b), x)
    with pytest.raises(na.ShapeError, match="linear_recurrence: shapes must be equal"):
        na.bind(linear_recurrence, x, x[:2], axis=0, reverse=False)


@every_device
def test_a_recurrence_is_a_loop(device: str) -> None:
    for n in range(20):
        a, b = values(n, 2), values(n, 2, seed=1)
        y, expected = np.zeros(2), []
        for c, d in zip(a, b, strict=True):
            y = c * y + d
            expected.append(y)
        got = na.bind(
            linear_recurrence, na.asarray(a, device=device), na.asarray(b, device=device), axis=0, reverse=False
        )
        np.testing.assert_allclose(got.numpy(), np.array(expected).reshape(n, 2), rtol=1e-12, atol=1e-13)
