"""Every sample of every op under vmap: the same as a Python loop over the examples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, Sample, testing
from tests.neo_array.calls import Op, calls
from tests.neo_array.oracles import SCALED

SIZE = 3


def batches(op: Op, s: Sample, device: str) -> Iterator[tuple[list[Any], list[int | None]]]:
    """Go over the ways to batch a call: every argument alone, and all of them, in front and at the back."""
    arrays = testing.arguments(s, device=device)
    places = [i for i, a in enumerate(arrays) if type(a) is Array]
    rng = np.random.default_rng(7)
    chosen = [[i] for i in places] + ([places] if len(places) > 1 else [])
    for which, at_back in itertools.product(chosen, (False, True)):
        args: list[Any] = list(arrays)
        axes: list[int | None] = [None] * len(args)
        for i in which:
            one = np.asarray(s.args[i])
            many = np.stack([one] + [_like(op, one, rng) for _ in range(SIZE - 1)], axis=-1 if at_back else 0)
            args[i] = na.asarray(many, device=device)
            axes[i] = many.ndim - 1 if at_back else 0
        yield args, axes


def _like(op: Op, x: Any, rng: np.random.Generator) -> Any:
    """Return other values that the op takes as well: the same ones in another order, or a multiple of them."""
    if op.__name__ in SCALED:
        return x * rng.uniform(0.5, 2) if x.dtype.kind in "fc" else x
    return rng.permutation(x.reshape(-1)).reshape(x.shape) if x.dtype.kind in "fc" else x


def example(args: list[Any], axes: list[int | None], i: int) -> list[Any]:
    return [
        a if axis is None else na.asarray(np.take(a.numpy(), i, axis=axis), device=a.device)
        for a, axis in zip(args, axes, strict=True)
    ]


@calls(lambda op, s: op.batch_rule is not None or op.kind == "elementwise")
def test_a_batch_is_a_loop(op: Op, s: Sample, device: str) -> None:
    for args, axes in batches(op, s, device):
        out = nt.vmap(lambda *a: op(*a, **s.options), in_axes=tuple(axes))(*args)
        for i in range(SIZE):
            expected = op(*example(args, axes, i), **s.options)
            for got, one in zip(na.tree.leaves(out), na.tree.leaves(expected), strict=True):
                assert (got.shape, got.dtype, got.device) == ((SIZE, *one.shape), one.dtype, one.device)
                np.testing.assert_allclose(got.numpy()[i], one.numpy(), rtol=1e-10, atol=1e-12)


@calls(lambda op, s: testing.differentiated(op, s) and (op.batch_rule is not None or op.kind == "elementwise"))
def test_gradients_of_a_batch_are_a_loop(op: Op, s: Sample, device: str) -> None:
    positions = testing.differentiated(op, s)

    def gradients(*args: Any) -> Any:
        def f(*inputs: Array) -> Any:
            filled = list(args)
            for place, value in zip(positions, inputs, strict=True):
                filled[place] = value
            return op(*filled, **s.options)

        out, pullback = nt.vjp(f, *(args[p] for p in positions))
        return pullback(na.tree.tree_map(na.ones_like, out))

    for args, axes in batches(op, s, device):
        found = nt.vmap(gradients, in_axes=tuple(axes))(*args)
        for i in range(SIZE):
            for got, one in zip(found, gradients(*example(args, axes, i)), strict=True):
                np.testing.assert_allclose(got.numpy()[i], one.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("device", ["numpy"])
def test_an_op_without_a_rule_says_why(device: str) -> None:
    mapped = nt.vmap(_unbatched())
    with pytest.raises(na.DTypeError, match="value of its own"):
        mapped(na.ones(3, device=device))


def _unbatched() -> Any:
    @na.primitive(discrete="for this test")
    def unbatched(x: Array, /) -> Array:
        """Return x."""
        return na.bind(unbatched, x)

    unbatched.kernel("numpy")(lambda x: x)
    unbatched.batch(missing="its result has a value of its own for each example")
    return unbatched
