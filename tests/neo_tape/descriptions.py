"""Comparing what `eval_shape` says with what a call gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import neo_array as na
import neo_tape as nt
from neo_array import Array, Primitive, Sample, testing
from neo_array._primitive import REGISTRY


def described(result: object) -> tuple[list[Any], Any]:
    """Return the leaves of a result, Arrays as what they look like, and its structure."""
    leaves, treedef = na.tree.flatten(result)
    return [nt.ShapeDtype(x.shape, x.dtype, x.device) if type(x) is Array else x for x in leaves], treedef


def assert_described(f: Callable[..., object], *args: object) -> None:
    """Run f and describe it, of its arguments and of descriptions of them; all must agree."""
    expected = described(f(*args))
    without = na.tree.unflatten(na.tree.structure(args), described(args)[0])
    assert na.tree.flatten(nt.eval_shape(f, *args)) == expected
    assert na.tree.flatten(nt.eval_shape(f, *without)) == expected


def ops_of(package: str) -> list[Primitive[..., Any]]:
    """Return a package's ops that have kernels; those without only stand for calls."""
    return [op for op in REGISTRY.values() if op.__module__.startswith(f"{package}.") and op.sources]


def assert_sample_described(op: Primitive[..., Any], s: Sample, device: str, dtype: na.DType) -> None:
    """Compare an op's description with its result, or see that it says why it has none."""
    options = {**s.options, **({} if s.args else {"device": na.zeros((), device=device).device})}
    args = testing.arguments(s, device=device, dtype=dtype)
    if op.shape_missing is None:
        assert_described(lambda *args: op(*args, **options), *args)
        return
    try:
        nt.eval_shape(lambda *args: op(*args, **options), *args)
    except na.ShapeError as error:
        assert op.shape_missing in str(error)  # noqa: PT017  (pytest.raises would escape the message)
    else:
        raise AssertionError(f"{op.__name__} says that its shape depends on values, and has one all the same")
