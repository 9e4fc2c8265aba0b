"""Wrong uses of ops: what was attempted, what was given, what to write instead, on every backend alike."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
from neo_array import Array
from tests.neo_array.devices import every_device


def zeros(*shape: int, device: str) -> Any:
    return na.zeros(shape, device=device)


WRONG: dict[str, tuple[type[Exception], str, Callable[[str], object]]] = {
    "broadcasting": (
        na.ShapeError,
        r"add: shapes \(2,\) and \(3,\) do not broadcast",
        lambda d: zeros(2, device=d) + zeros(3, device=d),
    ),
    "broadcasting of three": (
        na.ShapeError,
        r"where: shapes .*\(2,\).*\(3,\).* do not broadcast",
        lambda d: na.where(zeros(2, device=d) > 0, zeros(3, device=d), 0.0),
    ),
    "matmul, inner": (
        na.ShapeError,
        r"matmul: inner sizes differ, got \(3, 4\) @ \(5, 2\); transpose one side\?",
        lambda d: zeros(3, 4, device=d) @ zeros(5, 2, device=d),
    ),
    "matmul, vector": (
        na.ShapeError,
        r"matmul: inner sizes differ, got \(3,\) @ \(4,\)",
        lambda d: zeros(3, device=d) @ zeros(4, device=d),
    ),
    "matmul, stacks": (
        na.ShapeError,
        "matmul: leading axes do not broadcast",
        lambda d: zeros(2, 3, 4, device=d) @ zeros(5, 4, 3, device=d),
    ),
    "matmul, no axes": (na.ShapeError, "use [*] to scale", lambda d: zeros(3, 4, device=d) @ zeros(device=d)),
    "matmul, number": (na.ShapeError, "use [*] to scale", lambda d: zeros(3, 4, device=d) @ 2.0),
    "reshape": (na.ShapeError, r"reshape: 6 elements of shape", lambda d: zeros(2, 3, device=d).reshape((4, 2))),
    "reshape, -1": (na.ShapeError, "reshape: 6 elements", lambda d: zeros(2, 3, device=d).reshape((4, -1))),
    "reshape, -1 twice": (na.ShapeError, "reshape", lambda d: zeros(2, 3, device=d).reshape((-1, -1))),
    "sum, axis": (na.ShapeError, "sum: axis 2 is out of range", lambda d: zeros(2, 3, device=d).sum(axis=2)),
    "sum, twice": (na.ShapeError, "names an axis twice", lambda d: zeros(2, 3, device=d).sum(axis=(0, -2))),
    "mean, axis": (na.ShapeError, "mean: axis -3", lambda d: zeros(2, 3, device=d).mean(axis=-3)),
    "max of nothing": (na.ShapeError, "no elements to choose from", lambda d: zeros(2, 0, device=d).max(axis=1)),
    "argmax of nothing": (na.ShapeError, "no elements to choose from", lambda d: na.argmax(zeros(0, device=d))),
    "argmin, axis": (na.ShapeError, "arg.*: axis 1", lambda d: na.argmin(zeros(3, device=d), axis=1)),
    "softmax, axis": (na.ShapeError, "softmax: axis 1", lambda d: na.softmax(zeros(3, device=d), axis=1)),
    "softmax of no axes": (na.ShapeError, "softmax: axis -1", lambda d: na.softmax(zeros(device=d))),
    "permute_dims": (
        na.ShapeError,
        "must be a permutation",
        lambda d: na.permute_dims(zeros(2, 3, device=d), (0, 0)),
    ),
    "moveaxis": (na.ShapeError, "moveaxis: axis 5 is", lambda d: na.moveaxis(zeros(2, 3, device=d), 5, 0)),
    "moveaxis, to": (na.ShapeError, "moveaxis: axis -3 is", lambda d: na.moveaxis(zeros(2, 3, device=d), 0, -3)),
    "squeeze": (na.ShapeError, "axes of size 1", lambda d: na.squeeze(zeros(2, 3, device=d), 0)),
    "expand_dims": (na.ShapeError, "expand_dims: axis 3", lambda d: na.expand_dims(zeros(2, device=d), axis=3)),
    "broadcast_to": (na.ShapeError, "broadcast_to", lambda d: na.broadcast_to(zeros(2, device=d), (2, 3))),
    "concat of nothing": (na.ShapeError, "at least one array", lambda d: na.concat([])),
    "stack of nothing": (na.ShapeError, "at least one array", lambda d: na.stack([])),
    "concat, shapes": (
        na.ShapeError,
        r"\(2, 3\) and \(2, 4\) must agree",
        lambda d: na.concat([zeros(2, 3, device=d), zeros(2, 4, device=d)]),
    ),
    "stack, shapes": (
        na.ShapeError,
        "shapes must be equal",
        lambda d: na.stack([zeros(2, device=d), zeros(3, device=d)]),
    ),
    "None": (na.DTypeError, "add: argument x2 must be", lambda d: zeros(2, device=d) + None),
    "text": (na.DTypeError, "multiply: argument x2 .* got str", lambda d: zeros(2, device=d) * "a"),
    "list": (na.DTypeError, r"got list; wrap it in na\.asarray", lambda d: zeros(2, device=d) * [1, 2]),
    "list to exp": (na.DTypeError, r"exp: .*got list; wrap it", lambda d: na.exp(anything([1.0]))),
    "number too large": (na.DTypeError, "300 does not fit dtype uint8", lambda d: byte(d) + 300),
    "negative number": (na.DTypeError, "-1 does not fit dtype uint8", lambda d: byte(d) * -1),
    "number for int32": (
        na.DTypeError,
        "does not fit dtype int32",
        lambda d: na.zeros(2, dtype=na.int32, device=d) < 2**40,
    ),
    "huge number": (na.DTypeError, "does not fit dtype int64", lambda d: na.zeros(2, dtype=na.int64, device=d) + 2**70),
    "axis, list": (na.NeoError, "sum: axis", lambda d: zeros(2, device=d).sum(axis=[0])),
    "axis, float": (na.NeoError, "sum: axis", lambda d: zeros(2, device=d).sum(axis=0.0)),
    "size, float": (na.NeoError, "size|shape", lambda d: na.zeros(anything((2.5,)), device=d)),
    "reshape, float": (na.NeoError, "reshape", lambda d: zeros(2, device=d).reshape((2.0,))),
    "dtype": (na.DTypeError, "use one of bool", lambda d: zeros(2, device=d).astype("float31")),
    "no dtype": (na.DTypeError, "dtype", lambda d: zeros(2, device=d).astype(None)),
}


def anything(x: object) -> Any:
    """Forget the type, for what the type checker refuses as well."""
    return x


def byte(device: str) -> Array:
    return na.ones(2, dtype=na.uint8, device=device)


@every_device
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_explained(case: str, device: str) -> None:
    error, message, attempt = WRONG[case]
    with pytest.raises(error, match=message):
        attempt(device)


FUNCTIONS: dict[str, Callable[[Any], object]] = {
    "sum": na.sum,
    "mean": na.mean,
    "max": na.max,
    "min": na.min,
    "argmax": na.argmax,
    "argmin": na.argmin,
    "all": na.all,
    "any": na.any,
    "logsumexp": na.logsumexp,
    "softmax": na.softmax,
    "log_softmax": na.log_softmax,
    "reshape": lambda a: na.reshape(a, (2,)),
    "expand_dims": lambda a: na.expand_dims(a, axis=0),
    "squeeze": lambda a: na.squeeze(a, 0),
    "permute_dims": lambda a: na.permute_dims(a, (0,)),
    "moveaxis": lambda a: na.moveaxis(a, 0, 0),
    "broadcast_to": lambda a: na.broadcast_to(a, (2,)),
    "matrix_transpose": na.matrix_transpose,
    "concat": lambda a: na.concat([na.ones(2), a]),
    "stack": lambda a: na.stack([a, na.ones(2)]),
    "take": lambda a: na.take(a, na.zeros(1, dtype=na.int64)),
    "take_along_axis": lambda a: na.take_along_axis(a, na.zeros(1, dtype=na.int64)),
    "astype": lambda a: na.astype(a, na.float32),
    "zeros_like": na.zeros_like,
    "full_like": lambda a: na.full_like(a, 1.0),
    "positive": na.positive,
    "matmul": lambda a: na.matmul(a, na.ones(2)),
    "where": lambda a: na.where(a, 1.0, 2.0),
    "exp": na.exp,
    "add_scaled": lambda a: na.add_scaled(a, na.ones(2), scale=1.0),
}


@pytest.mark.parametrize("value", [[1.0, 2.0], np.ones(2), None, "a"], ids=["list", "ndarray", "None", "str"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_refuses_what_is_no_array(name: str, value: Any) -> None:
    """None raises an AttributeError from its middle, and none hands a foreign array back."""
    with pytest.raises(na.DTypeError, match=rf"{type(value).__name__}"):
        FUNCTIONS[name](value)


@every_device
def test_errors_are_pythons_as_well(device: str) -> None:
    x = zeros(2, device=device)
    with pytest.raises(ValueError, match="broadcast"):
        x + zeros(3, device=device)
    with pytest.raises(TypeError, match="str"):
        x + "a"
    assert issubclass(na.ShapeError, na.NeoError)
    assert issubclass(na.DeviceError, ValueError)
    for error in (na.DonatedError, na.LevelError):
        assert issubclass(error, RuntimeError)


@every_device
def test_errors_have_no_internal_cause(device: str) -> None:
    """What NumPy or torch said first would only distract."""
    with pytest.raises(na.ShapeError) as caught:
        zeros(2, device=device) + zeros(3, device=device)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@every_device
def test_a_failed_op_leaves_its_arguments_usable(device: str) -> None:
    x, y = na.ones(2, device=device), na.ones(3, device=device)
    with pytest.raises(na.ShapeError):
        x + y
    np.testing.assert_array_equal((x + x).numpy(), [2, 2])


# --- inf, nan and no elements are values ---
@every_device
def test_inf_and_nan_are_values_without_warnings(device: str) -> None:
    """pytest turns warnings into errors here."""
    inf, nan = float("inf"), float("nan")
    x = na.asarray([inf, -inf, nan, 0.0, 1e38, -1e38], device=device)
    np.testing.assert_array_equal((x - x).numpy()[:4], [nan, nan, nan, 0])
    np.testing.assert_array_equal((x * 10).numpy(), np.array([inf, -inf, nan, 0, inf, -inf], np.float32))
    np.testing.assert_array_equal((x + 1e300).numpy(), [inf, nan, nan, inf, inf, inf])
    np.testing.assert_array_equal((x / 0).numpy(), [inf, -inf, nan, nan, inf, -inf])
    np.testing.assert_array_equal(na.square(x).numpy()[-2:], [inf, inf])
    np.testing.assert_array_equal((x * 0).numpy(), [nan, nan, nan, 0, 0, 0])
    np.testing.assert_array_equal(na.log(x).numpy()[:4], [inf, nan, nan, -inf])
    np.testing.assert_array_equal(na.sqrt(x).numpy()[:4], [inf, nan, nan, 0])
    np.testing.assert_array_equal(na.exp(x).numpy(), [inf, 0, nan, 1, inf, 0])
    np.testing.assert_array_equal(na.sin(x).numpy()[:3], [nan, nan, nan])
    np.testing.assert_array_equal((x**2).numpy()[-2:], [inf, inf])
    np.testing.assert_array_equal(na.maximum(x, 0.0).numpy()[:3], [inf, 0, nan])
    np.testing.assert_array_equal((x > 0).numpy()[:4], [True, False, False, False])
    assert np.isnan(x.sum().item())
    assert np.isnan(x.mean().item())
    assert np.isnan(x.max().item())
    assert np.isnan(x.min().item())
    assert (x[:2].reshape((1, 2)) @ na.zeros((2, 1), device=device)).shape == (1, 1)
    assert x.astype(na.float16).dtype == na.float16
    assert x.astype(na.int64).dtype == na.int64
    assert np.isnan(na.softmax(x).numpy()).all()
    assert na.add_scaled(x, x, scale=10.0).shape == x.shape


@every_device
def test_inf_and_nan_in_sums_and_products_are_no_errors(device: str) -> None:
    x = na.asarray([math.inf, -math.inf, math.nan, 0.0, 3e38], device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns here; being told to raise, it must not change the result
        difference, product = x - x, x * 10.0
    np.testing.assert_array_equal(difference.numpy(), [math.nan, math.nan, math.nan, 0.0, 0.0])
    np.testing.assert_array_equal(product.numpy(), [math.inf, -math.inf, math.nan, 0.0, math.inf])


@every_device
def test_inf_and_nan_print_no_warnings(device: str) -> None:
    x = na.asarray([math.inf, -math.inf, math.nan, 0.0, 3e38], device=device)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        uses: list[Callable[[], Array]] = [
            lambda: x.sum(),
            lambda: x.mean(),
            lambda: x @ x,
            lambda: x / 0,
            lambda: na.exp(x),
            lambda: na.tanh(x),
            lambda: na.softmax(x),
            lambda: x.astype(na.float16),
            lambda: x.astype(na.int64),
            lambda: na.maximum(x, 0.0) > x,
            lambda: na.add_scaled(x, x, scale=10.0),
        ]
        for use in uses:
            use()
    assert [str(w.message) for w in seen] == []


@every_device
def test_the_users_own_numpy_settings_do_not_matter_and_stay(device: str) -> None:
    x = na.asarray([math.inf, 3e38], device=device)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal((x * 10.0 - x).numpy(), [math.nan, math.inf])
        np.testing.assert_array_equal(na.exp(x).numpy(), [math.inf, math.inf])
        assert np.geterr()["over"] == "raise"


@every_device
def test_operations_on_no_elements(device: str) -> None:
    x = na.zeros((0, 3), device=device)
    assert (x + 1).shape == (x * x).shape == na.exp(x).shape == (0, 3)
    assert (x + na.ones((1, 3), device=device)).shape == (0, 3)
    assert x.sum().item() == 0
    np.testing.assert_array_equal(x.sum(axis=0).numpy(), [0, 0, 0])
    assert np.isnan(x.mean().item())
    assert (x.T @ x).shape == (3, 3)
    np.testing.assert_array_equal((x.T @ x).numpy(), np.zeros((3, 3)))
    assert na.concat([x, na.ones((2, 3), device=device)]).shape == (2, 3)
    assert na.logsumexp(x).item() == -np.inf
    assert na.softmax(x, axis=1).shape == (0, 3)
    assert na.all(x).item() is True
    assert na.any(x).item() is False
    assert x.reshape((3, 0)).shape == x.T.shape == (3, 0)
    assert list(x) == []
