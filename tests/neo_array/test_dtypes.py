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

# Their dtype is an option, or their input is a key.
FIXED = HOST_ONLY | {"fill", "cast", "to_device"}

# These widen integers before the primitive sees them.
PUBLIC: dict[str, Callable[..., na.Array]] = {"reduce_sum": na.sum}


def floating(a: Any) -> bool:
    return isinstance(a, np.ndarray | np.generic) and np.asarray(a).dtype.kind == "f"


def outcome(op: Op, s: Sample, device: str, dtype: str) -> tuple[str, tuple[int, ...], npt.NDArray[Any]] | None:
    """Return dtype, shape and values of the sample in another dtype (small whole numbers if that is one of integers).

    None if the op refuses it.
    """

    def build(a: Any) -> Any:
        if not floating(a):
            return na.asarray(a, device=device) if isinstance(a, np.ndarray) else a
        values = np.nan_to_num(np.asarray(a), posinf=3, neginf=-3)
        if dtype.startswith(("int", "uint")):
            values = np.clip(np.round(values * 2), 0 if dtype[0] == "u" else -9, 9)
        return na.asarray(values, device=device).astype(dtype)

    call = PUBLIC.get(op.__name__, op)
    try:
        out = call(*map(build, s.args), **s.options)
    except na.DTypeError:
        return None
    return out.dtype.name, out.shape, out.numpy()


CASES = [op for op in OPS if op.__name__ not in FIXED and any(any(map(floating, s.args)) for s in testing.samples(op))]


@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", CASES, ids=lambda op: op.__name__)
def test_the_backends_agree(op: Op, dtype: str) -> None:
    for s in testing.samples(op):
        here, there = outcome(op, s, "numpy", dtype), outcome(op, s, "torch:cpu", dtype)
        if here is None or there is None:
            assert here == there, "one backend refuses this dtype, the other does not"
            continue
        assert here[:2] == there[:2]
        allowed = TOLERANCE.get(here[0], 0)
        first, second = (v.astype(np.complex128) for v in (here[2], there[2]))
        np.testing.assert_allclose(second, first, rtol=allowed, atol=allowed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", CASES, ids=lambda op: op.__name__)
def test_floats_stay_what_they_are_and_integers_become_float32_where_the_result_is_no_integer(
    op: Op, dtype: str
) -> None:
    expected = {
        *([dtype] if not (op.floating and dtype[0] in "biu" and dtype != "bfloat16") else []),
        *(["float32"] if dtype[0] in "biu" and dtype != "bfloat16" else []),
        *(["bool", "int64"] if op.discrete or dtype[0] in "biu" else []),
        *([{"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)] if op.__name__ == "abs" else []),
    }
    for s in testing.samples(op):
        found = outcome(op, s, "numpy", dtype)
        if found is not None and any(map(floating, s.args)):
            assert found[0] in expected


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
