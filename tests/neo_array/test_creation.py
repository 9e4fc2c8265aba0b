"""Arrays filled with a value, ranges, and the identity matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
from tests.neo_array.devices import every_device


@every_device
def test_filled_arrays(device: str) -> None:
    assert na.zeros((2, 3), device=device).dtype == na.ones(3, device=device).dtype == na.float32
    assert [na.full((), v, device=device).dtype.name for v in (True, 1, 1.0, 1j)] == [
        *("bool", "int64", "float32", "complex64")
    ]
    np.testing.assert_array_equal(na.full((2, 2), 7, dtype=na.int8, device=device).numpy(), np.full((2, 2), 7))
    like = na.full_like(na.zeros((2, 3), dtype=na.float64, device=device), 2.5)
    assert (like.shape, like.dtype, str(like.device), like[0, 0].item()) == ((2, 3), na.float64, device, 2.5)
    assert na.ones_like(like, dtype=na.int8).dtype == na.int8
    assert na.zeros_like(like).sum().item() == 0
    assert math.copysign(1, na.full((), -0.0, device=device).item()) == -1  # type: ignore[arg-type]  # a float
    number: Any = np.float32(1.5)
    assert na.full((2,), number, device=device).sum().item() == 3


@every_device
@pytest.mark.parametrize(
    "arguments", [(5,), (2, 5), (5, 2), (5, 2, -1), (0, 1, 0.25), (1, 0, -0.3), (0,), (2.5,), (-3,)]
)
def test_arange_is_numpys(arguments: tuple[float, ...], device: str) -> None:
    expected = np.arange(*arguments)
    x = na.arange(*arguments, device=device)
    assert x.dtype == (na.int64 if expected.dtype.kind == "i" else na.float32)
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)


@every_device
def test_linspace_and_eye_are_numpys(device: str) -> None:
    np.testing.assert_allclose(na.linspace(-1, 2, 7, device=device).numpy(), np.linspace(-1, 2, 7), rtol=1e-6)
    assert na.linspace(0, 1, 0, device=device).shape == (0,)
    np.testing.assert_array_equal(na.eye(2, 3, dtype=na.int8, device=device).numpy(), np.eye(2, 3))
    assert na.eye(3, device=device).dtype == na.float32


@every_device
def test_impossible_sizes_are_refused(device: str) -> None:
    with pytest.raises(na.ShapeError, match="negative"):
        na.zeros((2, -1), device=device)
    with pytest.raises(na.ShapeError, match="step"):
        na.arange(0, 3, 0, device=device)


@every_device
@pytest.mark.parametrize(
    ("value", "dtype"),
    [(300, "uint8"), (-1, "uint8"), (2**31, "int32"), (2**70, "int64"), (1j, "float32"), (1j, "int64"), ("a", None)],
)
def test_values_that_do_not_fit_the_dtype_are_refused(value: Any, dtype: str | None, device: str) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: na.full((2,), value, dtype=dtype, device=device),
        lambda: na.asarray(value, dtype=dtype, device=device),
        lambda: na.asarray([value, 1], dtype=dtype, device=device),
    ]
    for attempt in attempts:
        with pytest.raises(na.DTypeError):
            attempt()


@every_device
def test_a_float_that_is_too_large_becomes_infinite(device: str) -> None:
    for x in (na.full((), 1e300, device=device), na.asarray(1e300, device=device), na.asarray([-1e300], device=device)):
        assert x.dtype == na.float32
        assert math.isinf(float(x))


@every_device
def test_sizes_may_be_integers_of_any_kind(device: str) -> None:
    three: Any = np.int64(3)
    assert na.zeros(three, device=device).shape == na.ones((three,), device=device).shape == (3,)
    assert na.zeros((three, 2), device=device).reshape((2, three)).shape == (2, 3)
    assert all(type(n) is int for n in na.zeros((three,), device=device).shape)
