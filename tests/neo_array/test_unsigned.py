"""Unsigned integers of every size compute on torch's CPU as on NumPy, though torch itself has few kernels for them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from tests.neo_array.devices import needs_torch

DTYPES = ["uint8", "uint16", "uint32", "uint64"]
CALLS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (na.add, np.add),
    "subtract": (na.subtract, np.subtract),
    "multiply": (na.multiply, np.multiply),
    "floor_divide": (na.floor_divide, np.floor_divide),
    "remainder": (na.remainder, np.remainder),
    "maximum": (na.maximum, np.maximum),
    "minimum": (na.minimum, np.minimum),
    "less": (na.less, np.less),
    "greater_equal": (na.greater_equal, np.greater_equal),
    "equal": (na.equal, np.equal),
    "bitwise_and": (na.bitwise_and, np.bitwise_and),
    "bitwise_invert": (lambda a, b: ~a, lambda a, b: ~a),
    "bitwise_right_shift": (na.bitwise_right_shift, np.right_shift),
    "logical_and": (na.logical_and, np.logical_and),
    "logical_not": (lambda a, b: na.logical_not(a), lambda a, b: np.logical_not(a)),
    "negative": (lambda a, b: -a, lambda a, b: -a),
    "abs": (lambda a, b: abs(a), lambda a, b: abs(a)),
    "where": (lambda a, b: na.where(a < b, a, b), lambda a, b: np.where(a < b, a, b)),
    "matmul": (operator.matmul, operator.matmul),
    "plus a number": (lambda a, b: a + 1, lambda a, b: a + np.ones((), a.dtype)),
    "sort": (lambda a, b: na.sort(a), lambda a, b: np.sort(a)),
}


@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CALLS)
def test_the_result_is_numpys(name: str, dtype: str) -> None:
    ours, numpys = CALLS[name]
    top = np.iinfo(dtype).max
    a = np.array([[3, 5], [top, top - 1]], dtype)
    b = np.array([[2, 7], [1, 3]], dtype)
    out = ours(na.asarray(a, device="torch:cpu"), na.asarray(b, device="torch:cpu"))
    expected = numpys(a, b)
    assert (str(out.device), out.dtype) == ("torch:cpu", expected.dtype)
    np.testing.assert_array_equal(out.numpy(), expected)


@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
def test_they_compute_under_vmap_and_beside_a_gradient(dtype: str) -> None:
    counts = na.asarray(np.array([1, 2, 200], dtype), device="torch:cpu")
    np.testing.assert_array_equal(
        nt.vmap(lambda n: n + n)(counts).numpy(), np.array([1, 2, 200], dtype) * np.array(2, dtype)
    )

    def loss(x: na.Array) -> na.Array:
        return (x * (counts + 1).astype(na.float64)).sum()

    gradient = nt.grad(loss)(na.ones(3, dtype=na.float64, device="torch:cpu"))
    np.testing.assert_array_equal(gradient.numpy(), [2, 3, 201])


@needs_torch
@pytest.mark.parametrize("dtype", ["uint16", "uint64"])
def test_what_does_not_fit_is_still_explained(dtype: str) -> None:
    x = na.asarray(np.array([1, 2, 3], dtype), device="torch:cpu")
    y = na.asarray(np.array([1, 2], dtype), device="torch:cpu")
    with pytest.raises(na.ShapeError, match="do not broadcast"):
        x + y
