"""Every op of neo_array inside a checkpoint and a linearization: what its rules need is there when they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

import neo_array as na
import neo_tape as nt
from neo_array import Array, Sample, testing
from tests.neo_array.calls import Op, calls

F = Callable[..., Any]
checkpoint: Final[Any] = nt.checkpoint
linearize: Final[Any] = nt.linearize


def like(x: Any, seed: int = 0) -> Any:
    if not isinstance(x, Array) or x.dtype.kind not in "fc":
        return x
    return na.asarray(np.asarray(np.random.default_rng(seed).normal(size=x.shape)), dtype=x.dtype, device=x.device)


def same(got: Any, expected: Any) -> None:
    for x, y in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-9, atol=1e-12)


@calls(lambda op, s: testing.differentiated(op, s))
def test_checkpointed_op_has_the_same_gradients(op: Op, s: Sample, device: str) -> None:
    f, inputs = testing.differentiable(op, s, device=device)
    out, pullback = nt.vjp(f, *inputs)
    cotangent = na.tree.tree_map(like, out)
    expected = pullback(cotangent)
    moved: F = lambda *args: f(*[1.0 * x for x in args])  # its arguments are made inside, and so is its result
    squared: F = lambda *args: na.tree.tree_map(lambda y: 1.0 * y if y.dtype.kind in "fc" else y, moved(*args))
    for each in (f, moved, squared):
        for options in ({}, {"budget_bytes": 10**6}):
            same(nt.vjp(checkpoint(each, **options), *inputs)[1](cotangent), expected)
    for i, x in enumerate(inputs):  # by one argument alone, the others being constants
        part: F = lambda a, i=i: checkpoint(lambda: f(*inputs[:i], 1.0 * a, *inputs[i + 1 :]))()
        same(nt.vjp(part, x)[1](cotangent)[0], expected[i])


@calls(lambda op, s: testing.differentiated(op, s))
def test_linearized_and_checkpointed_op_has_the_same_tangents(op: Op, s: Sample, device: str) -> None:
    f, inputs = testing.differentiable(op, s, device=device)
    tangents = tuple(na.tree.tree_map(like, inputs))
    expected = nt.jvp(f, inputs, tangents)[1]
    same(linearize(f, *inputs)[1](*tangents), expected)
    inside: F = lambda *args: nt.jvp(checkpoint(f), args, tangents)[1]
    same(nt.vjp(inside, *inputs)[0], expected)  # under a tape, forward mode runs the recording
