"""No op of neo-array is left out of the tests of derivatives and of batches, and the two together are right."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, Sample, testing
from tests.neo_array import test_batching, test_ops
from tests.neo_array.calls import HOST_ONLY, OPS, Op, calls
from tests.neo_array.oracles import SCALED


def has_rules(op: Op) -> bool:
    return op.discrete is None and bool(op.vjp_rules or op.jvp_rule)


def is_batched(op: Op) -> bool:
    return op.batch_rule is not None or op.kind == "elementwise"


def run_by(test: Callable[..., None]) -> set[tuple[str, str]]:
    """Return the ops that a test of all samples runs, and on which device."""
    (mark,) = [mark for mark in test.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    return {(case.values[0].__name__, case.values[2]) for case in mark.args[1]}


def expected(choose: Callable[[Op], bool]) -> set[tuple[str, str]]:
    """Return the ops that are chosen, on each device that they run on."""
    return {
        (op.__name__, device)
        for op in OPS
        if choose(op)
        for device in (["numpy"] if op.__name__ in HOST_ONLY else ["numpy", "torch:cpu"])
    }


def test_every_op_with_a_rule_is_compared_with_differences_to_second_order(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_by(test_ops.test_derivatives_agree_with_differences_to_second_order)
    assert found == expected(has_rules)
    without = sorted(op.__name__ for op in OPS if not has_rules(op))
    for name in without:  # nothing to differentiate, each with its reason
        op = next(op for op in OPS if op.__name__ == name)
        assert op.discrete or not op.arrays or all(a in op.missing for a in op.arrays), name
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(found)} pairs of op and device under check_grads; no derivative: {len(without)} ops\n"
        )


def test_every_op_with_a_batching_rule_is_compared_with_a_loop(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_by(test_batching.test_a_batch_is_a_loop)
    takes_arrays = {
        op.__name__ for op in OPS if any(isinstance(a, np.ndarray) for s in testing.samples(op) for a in s.args)
    }
    assert found >= {(name, device) for name, device in expected(is_batched) if name in takes_arrays}
    assert run_by(test_batching.test_gradients_of_a_batch_are_a_loop) == expected(
        lambda op: has_rules(op) and is_batched(op)
    )
    unbatched = sorted(op.__name__ for op in OPS if not is_batched(op))
    assert all(next(op for op in OPS if op.__name__ == name).batch_missing for name in unbatched)
    with capsys.disabled():
        sys.stdout.write(f"\n{len(found)} pairs of op and device under vmap; not batched, with a reason: {unbatched}\n")


def first_samples(op: Op, s: Sample) -> bool:
    """Choose one sample for each set of differentiated arguments and options that an op has."""
    if not (has_rules(op) and is_batched(op) and testing.differentiated(op, s)):
        return False
    alike = [t for t in testing.samples(op) if testing.differentiated(op, t) == testing.differentiated(op, s)]
    return repr(alike[0]) == repr(s)


@calls(first_samples)
def test_derivatives_of_a_batch_agree_with_differences_to_second_order(op: Op, s: Sample, device: str) -> None:
    f, inputs = testing.differentiable(op, s, device=device)
    rng = np.random.default_rng(3)

    def batch(x: Array) -> Array:
        one = x.numpy()
        other = one * 0.9 if op.__name__ in SCALED else rng.permutation(np.array(one).reshape(-1)).reshape(one.shape)
        return na.asarray(np.stack([one, other], axis=-1), device=device)

    check: Any = nt.check_grads
    check(nt.vmap(f, in_axes=-1), tuple(map(batch, inputs)), 2, ("fwd", "rev"))


def test_every_op_that_can_be_is_differentiated_in_batches() -> None:
    assert run_by(test_derivatives_of_a_batch_agree_with_differences_to_second_order) == expected(
        lambda op: has_rules(op) and is_batched(op)
    )
