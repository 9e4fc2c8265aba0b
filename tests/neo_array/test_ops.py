"""Every sample of every op: value, shape and dtype against the oracle; derivatives against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import DType, Sample, testing
from tests.neo_array.calls import Op, calls, options_on
from tests.neo_array.oracles import NO_HALF, ORACLES

INDICES = {"reduce_argmax", "reduce_argmin"}
WIDE = {"f": np.float64, "c": np.complex128}
# relative to the largest value: a sum of n terms in float32 is off by some n * 6e-8
TOLERANCE = {"float32": 1e-5, "float64": 1e-13, "complex64": 1e-5, "complex128": 1e-13}
COMPLEX = {"float32": "complex64", "float64": "complex128"}


def expected_dtype(op: Op, s: Sample, values: npt.NDArray[Any], dtype: DType) -> DType:
    """Return the result's dtype: the option's, what the oracle's kind fixes, or else the dtype under test."""
    if "dtype" in s.options:
        chosen: DType = np.dtype(s.options["dtype"])
        return chosen
    if op.__name__ in INDICES:
        return na.int64
    if values.dtype.kind == "c":
        return np.dtype(COMPLEX[dtype.name])
    return dtype if values.dtype.kind == "f" else np.dtype(values.dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@calls()
def test_result_is_the_oracles(op: Op, s: Sample, device: str, dtype: str) -> None:
    args = testing.arguments(s, device=device, dtype=np.dtype(dtype))
    out = op(*args, **options_on(s, device))

    seen = [np.array(a.numpy()) if type(a) is na.Array else a for a in args]
    wide = [a.astype(WIDE.get(a.dtype.kind, a.dtype)) if isinstance(a, np.ndarray) else a for a in seen]
    expected = ORACLES[op.__name__](*wide, **s.options)
    assert op.multi == isinstance(expected, tuple)
    results, values = (out, expected) if op.multi else ((out,), (expected,))
    for result, value in zip(results, map(np.asarray, values), strict=True):
        assert result.shape == value.shape
        assert result.dtype == expected_dtype(op, s, value, np.dtype(dtype))
        inexact = value.dtype.kind in "fc"
        scale = float(np.max(np.abs(value[np.isfinite(value)]), initial=1.0)) if inexact else 1.0
        allowed = TOLERANCE[str(result.dtype)] * scale if inexact else 0
        np.testing.assert_allclose(result.numpy(), value, rtol=0, atol=allowed)


@calls()
def test_result_lives_where_the_arguments_do(op: Op, s: Sample, device: str) -> None:
    out = op(*testing.arguments(s, device=device), **options_on(s, device))
    for result in out if op.multi else (out,):
        assert str(result.device) == str(s.options.get("device", device) if s.args else device)


@calls(testing.differentiated)
def test_derivatives_agree_with_differences_to_second_order(op: Op, s: Sample, device: str) -> None:
    f, inputs = testing.differentiable(op, s, device=device)
    nt.check_grads(f, inputs, order=2, modes=("fwd", "rev"))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@calls(testing.differentiated)
def test_derivatives_have_the_shapes_dtypes_and_devices_of_what_they_belong_to(
    op: Op, s: Sample, device: str, dtype: str
) -> None:
    if dtype == "float16" and (op.__name__ in NO_HALF or any(np.asarray(a).dtype.kind == "c" for a in s.args)):
        pytest.skip("LAPACK and FFTs have no half precision, and there is no complex one")
    f, inputs = testing.differentiable(op, s, device=device, dtype=np.dtype(dtype))
    out, pullback = nt.vjp(f, *inputs)
    for x, g in zip(inputs, pullback(na.tree.tree_map(na.ones_like, out)), strict=True):
        assert (g.shape, g.dtype, g.device) == (x.shape, x.dtype, x.device)
    _, tangent = nt.jvp(f, inputs, tuple(na.ones_like(x) for x in inputs))
    for o, t in zip(na.tree.leaves(out), na.tree.leaves(tangent), strict=True):
        assert (t.shape, t.dtype, t.device) == (o.shape, o.dtype, o.device)


def two_real_inputs(op: Op, s: Sample) -> bool:
    places = testing.differentiated(op, s)
    return len(places) == 2 and all(np.asarray(s.args[i]).dtype.kind == "f" for i in places)


@calls(two_real_inputs)
def test_inputs_of_two_dtypes_each_get_a_gradient_of_their_own(op: Op, s: Sample, device: str) -> None:
    f, (x, y, *_) = testing.differentiable(op, s, device=device)
    for a, b in ((x.astype(na.float32), y), (x, y.astype(na.float32))):
        out, pullback = nt.vjp(f, a, b)
        ga, gb = pullback(na.tree.tree_map(na.ones_like, out))
        first = na.tree.leaves(out)[0]
        assert (first.dtype, ga.dtype, gb.dtype) == (na.float64, a.dtype, b.dtype)
        _, tangent = nt.jvp(f, (a, b), (na.ones_like(a), na.ones_like(b)))
        assert na.tree.leaves(tangent)[0].dtype == na.float64


@calls(lambda op, s: op.discrete and any(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in s.args))
def test_derivative_of_a_discrete_result_is_zero(op: Op, s: Sample, device: str) -> None:
    arrays = testing.arguments(s, device=device)

    def total(*args: Any) -> na.Array:
        outs = na.tree.leaves(op(*args, **s.options))
        return na.sum(na.stack([na.sum(na.astype(o, na.float64)) for o in outs]))

    floating = [i for i, a in enumerate(arrays) if type(a) is na.Array and a.dtype.kind == "f"]
    for g in nt.grad(total, floating)(*arrays):
        assert isinstance(g, na.Array)
        np.testing.assert_array_equal(g.numpy(), 0)


@calls()
def test_arguments_keep_their_values(op: Op, s: Sample, device: str) -> None:
    args = testing.arguments(s, device=device)
    before = [np.array(a.numpy()) if type(a) is na.Array else a for a in args]
    op(*args, **options_on(s, device))
    for a, b in zip(args, before, strict=True):
        if type(a) is na.Array:
            np.testing.assert_array_equal(a.numpy(), b)
