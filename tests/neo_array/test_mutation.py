"""Each derivative rule in turn, made wrong by 0.05 %: check_grads over the op's samples must notice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import testing
from neo_array._rules import VjpRule
from tests.neo_array.calls import OPS, Op

FACTOR = 1.0005

# Rules that may be scaled without any test turning red, with the reason. There are none.
SURVIVORS: dict[str, str] = {}


def scaled(result: Any) -> Any:
    """Multiply a rule's result, an Array or a tuple of Arrays and Nones, by the factor."""
    if isinstance(result, tuple):
        return tuple(scaled(r) for r in result)
    return None if result is None else result * FACTOR


def mutant(rule: VjpRule) -> VjpRule:
    """Return the rule with its result scaled."""
    right: Callable[..., Any] = rule.function
    return dataclasses.replace(rule, function=lambda *args, **options: scaled(right(*args, **options)))


@contextmanager
def mutated(op: Op, number: int | None) -> Iterator[None]:
    """Replace one reverse rule by its mutant, or (None) the forward-mode rule; put everything back afterwards."""
    rules, jvp_rule = list(op.vjp_rules), op.jvp_rule
    try:
        if number is None:
            assert jvp_rule is not None
            op.jvp_rule = mutant(jvp_rule)
        else:
            op.vjp_rules[number] = mutant(rules[number])
        op.records.clear()  # generated code holds the rules that it was generated for
        yield
    finally:
        op.vjp_rules[:] = rules
        op.jvp_rule = jvp_rule
        op.records.clear()


def holds(op: Op, mode: Literal["fwd", "rev"]) -> bool:
    """Tell whether check_grads accepts the op at all its samples."""
    try:
        for s in testing.samples(op):
            if testing.differentiated(op, s):
                f, inputs = testing.differentiable(op, s)
                nt.check_grads(f, inputs, order=1, modes=(mode,))
    except AssertionError:
        return False
    return True


MUTANTS = [
    *(
        pytest.param(op, number, "rev", id=f"{op.__name__}.vjp({', '.join(rule.inputs)})")
        for op in OPS
        for number, rule in enumerate(op.vjp_rules)
    ),
    *(
        # kind="elementwise": the reverse rules are the forward-mode rules too
        pytest.param(op, number, "fwd", id=f"{op.__name__}.vjp({', '.join(rule.inputs)}), forward")
        for op in OPS
        if op.kind == "elementwise" and op.jvp_rule is None
        for number, rule in enumerate(op.vjp_rules)
    ),
    *(pytest.param(op, None, "fwd", id=f"{op.__name__}.jvp") for op in OPS if op.jvp_rule is not None),
]


@pytest.mark.parametrize(("op", "number", "mode"), MUTANTS)
def test_a_rule_that_is_slightly_wrong_is_noticed(
    op: Op, number: int | None, mode: Literal["fwd", "rev"], request: pytest.FixtureRequest
) -> None:
    assert holds(op, mode)
    with mutated(op, number):
        noticed = not holds(op, mode)
    assert noticed != (request.node.callspec.id in SURVIVORS)


def test_mutants_are_put_back() -> None:
    before = [(list(op.vjp_rules), op.jvp_rule) for op in OPS]
    (case,) = (c for c in MUTANTS if c.id == "sin.vjp(x)")
    op, number, _ = case.values
    assert isinstance(op, na.Primitive)
    assert isinstance(number, int)
    x = na.asarray(np.array([0.5, 1.0]))
    right = nt.grad(lambda v: op(v).sum())(x).numpy()
    with mutated(op, number):
        wrong = nt.grad(lambda v: op(v).sum())(x).numpy()
    np.testing.assert_allclose(wrong, np.cos([0.5, 1.0]) * FACTOR, rtol=1e-12)
    np.testing.assert_array_equal(nt.grad(lambda v: op(v).sum())(x).numpy(), right)
    assert [(list(op.vjp_rules), op.jvp_rule) for op in OPS] == before


def test_every_rule_has_a_mutant() -> None:
    mutants = {(case.values[0].__name__, case.values[1]) for case in MUTANTS}  # type: ignore[union-attr]
    rules = {(op.__name__, i) for op in OPS for i in range(len(op.vjp_rules))}
    forward = {(op.__name__, None) for op in OPS if op.jvp_rule is not None}
    assert mutants == rules | forward
