"""Every sample of every op on CuPy's backend, run on the stand-in: as on NumPy, and as the oracles have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Sample, testing
from tests.neo_array import test_batching, test_ops
from tests.neo_array.calls import HOST_ONLY, OPS, Op, options_on
from tests.neo_array.cupy_stand_in import installed
from tests.neo_array.oracles import NO_HALF

DEVICE = "cupy:0"
# relative to the largest value
TOLERANCE = {
    "float16": 2e-3,
    "bfloat16": 2e-2,
    "float32": 1e-5,
    "complex64": 1e-5,
    "float64": 1e-13,
    "complex128": 1e-13,
}

needs_bfloat16 = pytest.mark.skipif(find_spec("ml_dtypes") is None, reason="ml_dtypes is not installed")


@pytest.fixture(scope="module", autouse=True)
def _stand_in() -> Iterator[None]:
    with installed():
        yield


def calls(choose: Callable[[Op, Sample], object] = lambda op, s: True) -> pytest.MarkDecorator:
    cases = [
        pytest.param(op, s, id=f"{op.__name__}-{i}")
        for op in OPS
        if op.sample_source is not None and op.__name__ not in HOST_ONLY
        for i, s in enumerate(testing.samples(op))
        if choose(op, s)
    ]
    return pytest.mark.parametrize(("op", "s"), cases)


def outcome(op: Op, s: Sample, device: str, dtype: str) -> Any:
    """Return the results, or the class of the error."""
    try:
        args = testing.arguments(s, device=device, dtype=na.finfo(dtype).dtype)
        out = op(*args, **options_on(s, device))
    except na.NeoError as error:
        return type(error)
    return out if op.multi else (out,)


@pytest.mark.parametrize("dtype", ["float16", pytest.param("bfloat16", marks=needs_bfloat16), "float32", "float64"])
@calls()
def test_result_is_numpys(op: Op, s: Sample, dtype: str) -> None:
    here, there = outcome(op, s, "numpy", dtype), outcome(op, s, DEVICE, dtype)
    if isinstance(here, type) or isinstance(there, type):
        assert here == there
        return
    for a, b in zip(here, there, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert str(b.device) == str(s.options.get("device", DEVICE) if s.args else DEVICE)
        if a.dtype.kind in "biu":
            np.testing.assert_array_equal(b.numpy(), a.numpy())
        else:
            wide = np.complex128 if a.dtype.kind == "c" else np.float64
            x, y = a.numpy().astype(wide), b.numpy().astype(wide)
            scale = float(np.max(np.abs(x[np.isfinite(x)]), initial=1.0))
            np.testing.assert_allclose(y, x, rtol=0, atol=TOLERANCE[a.dtype.name] * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@calls()
def test_result_is_the_oracles(op: Op, s: Sample, dtype: str) -> None:
    test_ops.test_result_is_the_oracles(op, s, DEVICE, dtype)


@calls()
def test_arguments_keep_their_values(op: Op, s: Sample) -> None:
    test_ops.test_arguments_keep_their_values(op, s, DEVICE)


@calls(testing.differentiated)
def test_derivatives_agree_with_differences(op: Op, s: Sample) -> None:
    f, inputs = testing.differentiable(op, s, device=DEVICE)
    nt.check_grads(f, inputs, order=1, modes=("fwd", "rev"))


@calls(
    lambda op, s: (
        testing.differentiated(op, s)
        and op.__name__ not in NO_HALF
        and not any(np.asarray(a).dtype.kind == "c" for a in s.args)
    )
)
def test_derivatives_of_half_precision_are_of_half_precision(op: Op, s: Sample) -> None:
    test_ops.test_derivatives_have_the_shapes_dtypes_and_devices_of_what_they_belong_to(op, s, DEVICE, "float16")


@calls(lambda op, s: op.batch_rule is not None or op.kind == "elementwise")
def test_a_batch_is_a_loop(op: Op, s: Sample) -> None:
    test_batching.test_a_batch_is_a_loop(op, s, DEVICE)
    if testing.differentiated(op, s):
        test_batching.test_gradients_of_a_batch_are_a_loop(op, s, DEVICE)
