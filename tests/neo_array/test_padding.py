"""Padding against np.pad, its derivatives, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from tests.neo_array.devices import every_device

MODES = ["constant", "edge", "reflect", "symmetric", "wrap"]
X = np.random.default_rng(0).normal(size=(3, 4))
WIDTHS: list[Any] = [0, 2, (1, 2), ((1, 0), (2, 3)), ((5, 9), (0, 0)), [(2, 1)]]


@every_device
@pytest.mark.parametrize("width", WIDTHS, ids=repr)
@pytest.mark.parametrize("mode", MODES)
def test_result_is_numpys(mode: Any, width: Any, device: str) -> None:
    expected = np.pad(X, width, mode)
    got = na.pad(na.asarray(X, device=device), width, mode=mode)
    assert (got.shape, got.dtype, str(got.device)) == (expected.shape, na.float64, device)
    np.testing.assert_array_equal(got.numpy(), expected)


@every_device
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", [(1, 2), ((5, 9), (0, 1))], ids=repr)
def test_derivatives_to_second_order(mode: Any, width: Any, device: str) -> None:
    nt.check_grads(lambda x: na.pad(x * x, width, mode=mode), (na.asarray(X, device=device),))


@every_device
@pytest.mark.parametrize("mode", MODES)
def test_a_batch_is_a_loop(mode: Any, device: str) -> None:
    many = na.asarray(np.stack([X, 2 * X], axis=-1), device=device)
    got = nt.vmap(lambda x: na.pad(x, ((1, 2), (3, 0)), mode=mode), in_axes=2)(many)
    np.testing.assert_array_equal(got.numpy()[1], np.pad(2 * X, ((1, 2), (3, 0)), mode))


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "bfloat16", "complex64"])
@pytest.mark.parametrize("mode", MODES)
def test_dtypes_are_kept(mode: Any, dtype: str, device: str) -> None:
    x = na.asarray(np.ones((2, 2)), device=device).astype(dtype)
    assert na.pad(x, 1, mode=mode).dtype == x.dtype
    if mode == "constant" and dtype != "bool":
        np.testing.assert_array_equal(na.pad(x, (1, 0), constant_value=7).astype(na.float32).numpy()[0], [7, 7, 7])


@every_device
def test_the_constant_may_be_an_array_with_a_derivative(device: str) -> None:
    x, c = na.asarray(X, device=device), na.asarray(2.5, device=device)
    np.testing.assert_array_equal(
        na.pad(x, ((1, 0), (0, 2)), constant_value=c).numpy(),
        np.pad(X, ((1, 0), (0, 2)), constant_values=2.5),
    )
    _, g = nt.grad(lambda a, b: na.pad(a, ((1, 0), (0, 2)), constant_value=b).sum(), (0, 1))(x, c)
    assert (g.shape, g.dtype, g.item()) == ((), na.float32, 4 * 6 - 12)
    nt.check_grads(lambda a, b: na.pad(a, 1, constant_value=b * b) ** 2, (x, c.astype(na.float64)))
    rows = nt.vmap(lambda b: na.pad(x, 1, constant_value=b))(na.asarray([1.0, 2.0], device=device))
    np.testing.assert_array_equal(rows.numpy()[1], np.pad(X, 1, constant_values=2))


@every_device
def test_arrays_without_axes_or_elements(device: str) -> None:
    assert na.pad(na.asarray(1.0, device=device), 3).shape == ()
    assert na.pad(na.zeros((0, 2), device=device), 1).shape == (2, 4)
    assert na.pad(na.zeros((0, 2), device=device), ((0, 0), (1, 1)), mode="edge").shape == (0, 4)
    with pytest.raises(na.ShapeError, match="no element to take"):
        na.pad(na.zeros((0, 2), device=device), 1, mode="wrap")


def test_wrong_widths_modes_and_values_are_refused() -> None:
    x: Any = na.asarray(X)
    wrong: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (na.ShapeError, "none of them negative", lambda: na.pad(x, -1)),
        (na.ShapeError, "2 such pairs", lambda: na.pad(x, ((1, 1), (1, 1), (1, 1)))),
        (na.ShapeError, "2 such pairs", lambda: na.pad(x, ((1, 1, 1), (1, 1)))),  # type: ignore[arg-type]
        (na.DTypeError, "widths must be integers", lambda: na.pad(x, 1.5)),  # type: ignore[arg-type]
        (ValueError, "mode must be", lambda: na.pad(x, 1, mode="linear_ramp")),  # type: ignore[arg-type]
        (na.ShapeError, "no axes", lambda: na.pad(x, 1, constant_value=na.zeros((2,)))),
        (na.DTypeError, "do not fit", lambda: na.pad(x.astype(na.uint8), 1, constant_value=-1)),
        (na.DTypeError, "needs an Array", lambda: na.pad([1.0], 1)),  # type: ignore[arg-type]
    ]
    for error, message, attempt in wrong:
        with pytest.raises(error, match=message):
            attempt()
