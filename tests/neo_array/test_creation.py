"""Arrays filled with a value, ranges, and the identity matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
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


@every_device
def test_the_standards_parameter_names(device: str) -> None:
    assert na.full(shape=(2,), fill_value=7, device=device).sum().item() == 14
    assert na.full_like(na.zeros(shape=(2,), device=device), fill_value=7).sum().item() == 14
    assert na.ones(shape=3, device=device).shape == na.empty(shape=(3,), device=device).shape == (3,)
    like = na.empty_like(na.ones((2, 3), dtype=na.int8, device=device))
    assert (like.shape, like.dtype, str(like.device)) == ((2, 3), na.int8, device)
    assert na.empty_like(like, dtype=na.float64).dtype == na.float64


@every_device
@pytest.mark.parametrize("arguments", [(3,), (3, 5), (5, 3), (0, 2)])
@pytest.mark.parametrize("k", [0, 1, -2, 9])
def test_eye_is_numpys(arguments: tuple[int, ...], k: int, device: str) -> None:
    got = na.eye(*arguments, k=k, dtype=na.int8, device=device)
    assert (got.dtype, str(got.device)) == (na.int8, device)
    np.testing.assert_array_equal(got.numpy(), np.eye(arguments[0], arguments[-1], k))


@every_device
def test_linspace_in_every_way(device: str) -> None:
    cases: list[tuple[Any, Any, int]] = [(0, 1, 5), (1, -1, 4), (2, 2, 3), (0, 1, 1), (0, 1, 0), (-3, 7, 6)]
    for start, stop, num in cases:
        for endpoint in (True, False):
            got = na.linspace(start, stop, num, dtype=na.float64, device=device, endpoint=endpoint)
            np.testing.assert_array_equal(got.numpy(), np.linspace(start, stop, num, endpoint=endpoint))
            whole = na.linspace(start, stop, num, dtype=na.int64, device=device, endpoint=endpoint)
            np.testing.assert_array_equal(whole.numpy(), np.linspace(start, stop, num, endpoint=endpoint, dtype=int))
    assert na.linspace(0, 1, 3, device=device).dtype == na.float32
    z = na.linspace(0, 1 + 2j, 3, device=device)
    assert z.dtype == na.complex64
    np.testing.assert_allclose(z.numpy(), np.linspace(0, 1 + 2j, 3))
    assert na.linspace(0, 1, 3, dtype=na.bfloat16, device=device).dtype == na.bfloat16


@every_device
@pytest.mark.parametrize(
    "arguments", [(2**62, 2**62 + 3), (-(2**63), -(2**63) + 2), (2**53 + 1, 2**53 + 4), (5, 0, -2), (0, -1), (True, 3)]
)
def test_integer_ranges_are_exact(arguments: tuple[int, ...], device: str) -> None:
    got = na.arange(*arguments, device=device)
    assert got.dtype == na.int64
    assert got.numpy().tolist() == list(range(*arguments))


def test_large_unsigned_ranges() -> None:
    assert na.arange(2**64 - 2, 2**64 - 1, dtype=na.uint64).numpy().tolist() == [2**64 - 2]


@every_device
def test_ranges_that_cannot_be_are_refused(device: str) -> None:
    wrong: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (na.DTypeError, "do not fit", lambda: na.arange(300, dtype=na.uint8, device=device)),
        (na.DTypeError, "do not fit", lambda: na.arange(2**63, 2**63 + 2, device=device)),
        (na.DTypeError, "finite real numbers", lambda: na.arange(math.nan, device=device)),
        (na.DTypeError, "finite real numbers", lambda: na.arange(0, math.inf, device=device)),
        (na.DTypeError, "finite real numbers", lambda: na.arange(1j, device=device)),  # type: ignore[arg-type]
        (na.ShapeError, "num must not be negative", lambda: na.linspace(0, 1, -1, device=device)),
        (na.DTypeError, "linspace: a shape is", lambda: na.linspace(0, 1, 2.5, device=device)),  # type: ignore[arg-type]
        (na.DTypeError, "do not fit", lambda: na.linspace(0, 1j, 2, dtype=na.float32, device=device)),
        (na.ShapeError, "eye: sizes must not be negative", lambda: na.eye(-1, device=device)),
        (na.DTypeError, "must be a number", lambda: na.full((2,), [1], device=device)),  # type: ignore[arg-type]
    ]
    for error, message, attempt in wrong:
        with pytest.raises(error, match=message):
            attempt()


@every_device
@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sizes", [(), (3,), (3, 2), (3, 2, 4), (2, 0)])
def test_meshgrid_is_numpys(sizes: tuple[int, ...], indexing: str, device: str) -> None:
    vectors = [np.arange(n) + 10.0 * i for i, n in enumerate(sizes)]
    found = na.meshgrid(*(na.asarray(v, device=device) for v in vectors), indexing=indexing)
    expected = np.meshgrid(*vectors, indexing=indexing)  # type: ignore[call-overload]
    assert isinstance(found, list)
    assert len(found) == len(expected)
    for got, one in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got.numpy(), one)


def test_meshgrid_checks_and_differentiates() -> None:
    x = na.asarray(np.array([1.0, 2.0, 3.0]))
    nt.check_grads(lambda a: na.meshgrid(a * a, a[:2]), (x,))
    with pytest.raises(ValueError, match="indexing must be"):
        na.meshgrid(x, indexing="yx")
    with pytest.raises(na.DTypeError, match="one dtype"):
        na.meshgrid(x, na.arange(3))
    with pytest.raises(na.ShapeError, match="needs vectors"):
        na.meshgrid(na.zeros((2, 2)))


@every_device
@pytest.mark.parametrize("axis", [-1, 0, 1, -2])
def test_one_hot_puts_the_classes_along_an_axis(axis: int, device: str) -> None:
    labels = np.array([[0, 2, 1], [-1, 3, 2]])  # -1 and 3 are no class
    expected = np.moveaxis((labels[..., None] == np.arange(3)).astype(np.float32), -1, axis)
    for dtype in (na.int8, na.int64):
        got = na.one_hot(na.asarray(labels, dtype=dtype, device=device), 3, axis=axis)
        assert (got.dtype, str(got.device)) == (na.float32, device)
        np.testing.assert_array_equal(got.numpy(), expected)
    mapped = nt.vmap(lambda y: na.one_hot(y, 3))(na.asarray(labels, device=device))
    np.testing.assert_array_equal(mapped.numpy(), np.moveaxis(expected, axis, -1))


@every_device
def test_one_hot_dtypes_and_errors(device: str) -> None:
    y = na.asarray(1, device=device)
    assert na.one_hot(y, 2, dtype=na.bool).numpy().tolist() == [False, True]
    assert na.one_hot(y.astype(na.uint8), 300).shape == (300,)
    assert na.one_hot(y, 0).shape == (0,)
    with pytest.raises(na.DTypeError, match="classes must be integers"):
        na.one_hot(na.asarray(1.0, device=device), 2)
    with pytest.raises(na.ShapeError, match="axis 2 is out of range"):
        na.one_hot(y, 2, axis=2)
