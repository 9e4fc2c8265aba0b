"""No op has an empty slot."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from neo_array import Primitive, testing
from neo_array._primitive import REGISTRY
from tests.neo_array.calls import HOST_ONLY, OPS
from tests.neo_array.devices import HAS_TORCH
from tests.neo_array.oracles import ORACLES

every_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)


@every_op
def test_op_is_registered_under_its_name(op: Primitive[..., Any]) -> None:
    assert REGISTRY[op.__name__] is op


@every_op
def test_op_says_what_it_does(op: Primitive[..., Any]) -> None:
    assert op.__doc__
    first = op.__doc__.splitlines()[0]
    assert first[0].isupper()
    assert first.endswith((".", ":"))


@every_op
def test_op_has_a_kernel_for_every_backend(op: Primitive[..., Any]) -> None:
    wanted = {"numpy"} if op.__name__ in HOST_ONLY else {"numpy", "torch"}
    assert wanted <= op.sources.keys()


@every_op
def test_kernels_that_are_named_can_be_imported(op: Primitive[..., Any]) -> None:
    from neo_array._bind import import_kernel

    for backend in op.sources.keys() & ({"numpy", "torch"} if HAS_TORCH else {"numpy"}):
        assert callable(import_kernel(op.sources[backend]))


@every_op
def test_every_input_has_a_reverse_rule_or_a_reason_for_none(op: Primitive[..., Any]) -> None:
    if op.discrete is not None:
        assert op.discrete.strip()
        assert not op.vjp_rules
        return
    ruled = Counter(name for rule in op.vjp_rules for name in rule.inputs)
    for name in op.arrays:
        if name in op.missing:
            assert op.missing[name].reason.strip()
            assert name not in ruled
        elif name == "condition":  # a boolean: nothing to differentiate, and where() accepts no other
            assert op.__name__ == "where"
        else:
            assert ruled[name] == 1, f"{op.__name__}: {name} has {ruled[name]} reverse rules"


@every_op
def test_forward_mode_has_a_rule_or_follows_from_the_kind(op: Primitive[..., Any]) -> None:
    assert op.discrete or op.jvp_rule is not None or op.kind in ("elementwise", "linear")


@every_op
def test_batching_has_a_rule_or_follows_from_the_kind_or_says_what_is_missing(op: Primitive[..., Any]) -> None:
    assert op.batch_rule is not None or op.kind == "elementwise" or (op.batch_missing or "").strip()


@every_op
def test_shape_has_a_rule_or_follows_from_the_kind_or_says_why_it_depends_on_values(op: Primitive[..., Any]) -> None:
    assert op.shape_rule is not None or op.kind == "elementwise" or (op.shape_missing or "").strip()


@every_op
def test_op_has_samples_and_an_oracle(op: Primitive[..., Any]) -> None:
    assert testing.samples(op)
    assert op.__name__ in ORACLES


@every_op
def test_some_sample_differentiates_each_input_that_has_a_rule(op: Primitive[..., Any]) -> None:
    reached = {i for s in testing.samples(op) for i in testing.differentiated(op, s)}
    ruled = {name for rule in op.vjp_rules for name in rule.inputs}
    if op.variadic:
        assert bool(reached) == bool(ruled)
    else:
        assert {op.arrays[i] for i in reached} >= ruled


def test_every_oracle_belongs_to_an_op() -> None:
    assert ORACLES.keys() == {op.__name__ for op in OPS}


def test_samples_are_the_same_at_every_call() -> None:
    for op in OPS:
        if op.sample_source is not None:
            first, second = testing.samples(op), testing.samples(op)
            assert repr(first) == repr(second)


def test_counts(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = Counter("discrete" if op.discrete else op.kind for op in OPS)
    rules = sum(len(op.vjp_rules) + (op.jvp_rule is not None) for op in OPS)
    sampled = sum(len(testing.samples(op)) for op in OPS if op.sample_source)
    backends = sorted({name for op in OPS for name in op.sources})
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(OPS)} ops ({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}), {rules} rules, "
            f"{sampled} samples, kernels for {', '.join(backends)}\n"
        )
    assert len(OPS) >= 60
    assert sampled >= 2 * len(OPS)
