"""Every op in every dtype: the backends give the same dtype and values, or both refuse it."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import neo_array as na
from neo_array import Sample, testing
from tests.neo_array.calls import HOST_ONLY, OPS, Op
from tests.neo_array.devices import every_device, needs_torch

DTYPES = ["bool", "int8", "int64", "uint8", "float16", "float32", "float64", "complex64", "complex128"]
DTYPES += ["bfloat16"] if find_spec("ml_dtypes") else []

# ulps grow with the terms that are summed, and half precision has few to begin with
TOLERANCE = {
    "float16": 1e-2,
    "bfloat16": 6e-2,
    "float32": 1e-5,
    "float64": 1e-12,
    "complex64": 1e-5,
    "complex128": 1e-12,
}

# The functions around these cast their arguments, or refuse them, before the primitive sees them.
GUARDED: dict[str, Callable[[na.Array], na.Array]] = {
    "arg_top_k": lambda x: na.top_k(x, 1)[0],
    "fourier": na.fft.fft,
    "maximum_at": lambda x: x.at[0].max(x[1]),
    "minimum_at": lambda x: x.at[0].min(x[1]),
    "pseudo_inverse": na.linalg.pinv,
    "search": lambda x: na.searchsorted(x[0], x[1]),
    "spectrum": na.fft.rfft,
}

# Their dtype is an option, or their input is a key.
FIXED = HOST_ONLY | {"fill", "cast", "to_device", *GUARDED}

# Their results are determined up to signs, or to a choice of basis.
AMBIGUOUS = {"eigh_factors", "svd_factors", "qr_tall"}

# Their results beside the values are counts or positions.
MULTI = {"distinct": ["int64"]}

# These widen integers before the primitive sees them.
PUBLIC: dict[str, Callable[..., na.Array]] = {"reduce_sum": na.sum}


def floating(a: Any) -> bool:
    return isinstance(a, np.ndarray | np.generic) and np.asarray(a).dtype.kind == "f"


Result = tuple[str, tuple[int, ...], npt.NDArray[Any]]


def outcome(op: Op, s: Sample, device: str, dtype: str) -> list[Result] | str:
    """Return dtype, shape and values of each result of the sample in another dtype, whole numbers if one of integers.

    If the op refuses it: the name of its error.
    """

    def build(a: Any) -> Any:
        if not floating(a):
            return na.asarray(a, device=device) if isinstance(a, np.ndarray) else a
        values = np.nan_to_num(np.asarray(a), posinf=3, neginf=-3)
        if op.__name__ in ("floor_divide", "remainder"):
            values = np.where(np.abs(values) < 1, 1, values)  # integers divided by zero are an error, on every backend
        if dtype.startswith(("int", "uint")):
            values = np.clip(np.round(values * 2), 0 if dtype[0] == "u" else -9, 9)
        return na.asarray(values, device=device).astype(dtype)

    call: Callable[..., Any] = PUBLIC.get(op.__name__, op)
    try:
        out = call(*map(build, s.args), **s.options)
    except na.NeoError as error:
        return type(error).__name__
    return [(x.dtype.name, x.shape, x.numpy()) for x in (out if isinstance(out, tuple) else (out,))]


CASES = [op for op in OPS if op.__name__ not in FIXED and any(any(map(floating, s.args)) for s in testing.samples(op))]


@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", CASES, ids=lambda op: op.__name__)
def test_the_backends_agree(op: Op, dtype: str) -> None:
    for s in testing.samples(op):
        here, there = outcome(op, s, "numpy", dtype), outcome(op, s, "torch:cpu", dtype)
        if isinstance(here, str) or isinstance(there, str):
            assert here == there, "one backend refuses this, the other does not"
            continue
        for first, second in zip(here, there, strict=True):
            assert first[:2] == second[:2]
            if op.__name__ not in AMBIGUOUS:
                compare(first[2], second[2], TOLERANCE.get(first[0], 0))


@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GUARDED)
def test_the_backends_agree_about_functions_that_look_at_dtypes_themselves(name: str, dtype: str) -> None:
    values = np.array([[1.0, 2.0], [3.0, 5.0]])
    found = []
    for device in ("numpy", "torch:cpu"):
        try:
            found.append(GUARDED[name](na.asarray(values, device=device).astype(dtype)))
        except na.DTypeError:
            found.append(na.zeros(0))
    first, second = found
    assert (first.shape, first.dtype) == (second.shape, second.dtype)
    compare(first.numpy(), second.numpy(), TOLERANCE.get(str(first.dtype), 0))


def compare(first: npt.NDArray[Any], second: npt.NDArray[Any], allowed: float) -> None:
    first, second = first.astype(np.complex128), second.astype(np.complex128)
    largest = np.abs(first[np.isfinite(first)]).max(initial=1)
    np.testing.assert_allclose(second, first, rtol=allowed, atol=allowed * largest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", CASES, ids=lambda op: op.__name__)
def test_precision_never_changes_and_integers_become_float32_where_the_result_is_no_integer(op: Op, dtype: str) -> None:
    whole = dtype in ("bool", "int8", "int64", "uint8")
    expected = {
        *([] if whole and op.floating else [dtype]),
        *(["bool", "int64"] if op.discrete or whole else []),
        *(["uint64"] if dtype == "uint8" else []),
        *{"float64": ["complex128"], "complex128": ["float64"], "complex64": ["float32"]}.get(dtype, ["complex64"]),
        *(["float32"] if whole else []),
    }
    for s in testing.samples(op):
        found = outcome(op, s, "numpy", dtype)
        if any(map(floating, s.args)) and not any(np.iscomplexobj(a) for a in s.args):
            assert isinstance(found, str) or {name for name, _, _ in found} <= expected | set(
                MULTI.get(op.__name__, [])
            )


# --- Half precision: sums are kept in float32 ---
@every_device
def test_averages_of_half_precision_do_not_overflow(device: str) -> None:
    x = na.full((100,), 1000.0, dtype=na.float16, device=device)
    assert x.mean().dtype == na.float16
    assert x.mean().item() == 1000
    assert na.ones((70_000,), dtype=na.float16, device=device).mean().item() == 1


@every_device
def test_softmax_and_logsumexp_of_half_precision_do_not_overflow(device: str) -> None:
    n = 70_000
    x = na.zeros((n,), dtype=na.float16, device=device)
    for out, expected in ((na.logsumexp(x), math.log(n)), (na.log_softmax(x)[0], -math.log(n))):
        assert out.dtype == na.float16
        assert abs(float(out) - expected) < 0.01
    assert na.softmax(x).astype(na.float32).sum().item() == pytest.approx(1, abs=0.01)


# --- One object per dtype ---
@every_device
@pytest.mark.parametrize("code", ["q", "Q", "l", "L", ">i8", ">u8", ">f4", ">c16", ">u2"])
def test_dtypes_that_numpy_has_twice_are_one(code: str, device: str) -> None:
    values = np.array([1, 2], code)
    x = na.asarray(values, device=device)
    assert x.dtype is np.dtype(values.dtype.name)
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    if values.dtype.isnative:
        assert na.asarray(values, device=device, copy=False).numpy().ctypes.data == values.ctypes.data


@pytest.mark.skipif(find_spec("ml_dtypes") is None, reason="ml_dtypes is not installed")
def test_bfloat16_arrays_share_one_dtype_object() -> None:
    x, y = (na.asarray(values, dtype="bfloat16") for values in ([1.0], [2.0]))
    assert x.dtype is y.dtype is (x + y).dtype is na.zeros(1, dtype="bfloat16").dtype
