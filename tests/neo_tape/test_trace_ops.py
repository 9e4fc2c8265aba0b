"""Every op of neo_array in a trace: running the Program gives what the op gives, and so do derivatives of either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

import neo_array as na
import neo_tape as nt
from neo_array import Array, Sample, testing
from tests.neo_array.calls import Op, calls, options_on

trace: Final[Any] = nt.trace
F = Callable[..., Any]


def same(got: Any, expected: Any) -> None:
    pairs = zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True)
    for x, y in pairs:
        assert (x.shape, x.dtype, x.device) == (y.shape, y.dtype, y.device)
        np.testing.assert_array_equal(x.numpy(), y.numpy())


def like(x: Any) -> Any:
    if x.dtype.kind not in "fc":
        return x
    return na.asarray(np.asarray(np.random.default_rng(0).normal(size=x.shape)), dtype=x.dtype, device=x.device)


def other(op: Op, s: Sample) -> Sample:
    """Return the same call with other numbers, if there is one: what a trace had kept would show."""
    number = list(map(repr, testing.samples(op))).index(repr(s))
    found = testing.samples(op, seed=1)[number]
    return found if looks(found) == looks(s) else s


def looks(s: Sample) -> str:
    return repr(([(x.shape, x.dtype) if isinstance(x, np.ndarray) else x for x in s.args], s.options))


@calls()
def test_program_gives_what_the_op_gives(op: Op, s: Sample, device: str) -> None:
    arguments = testing.arguments(s, device=device)
    options = options_on(s, device)
    f: F = lambda *args: op(*args, **options)
    program = trace(f)(*arguments)
    assert program.captured == ()
    arguments = testing.arguments(other(op, s), device=device)
    expected = f(*arguments)
    try:
        same(program.eval(*arguments), expected)
    except nt.GuardError:
        assert op.sized_by_values
    assert op.__name__ in [e.op.__name__ for e in program.equations] or op in (na.alias,)


@calls(lambda op, s: testing.differentiated(op, s))
def test_gradient_of_a_program_and_program_of_a_gradient(op: Op, s: Sample, device: str) -> None:
    f, inputs = testing.differentiable(op, s, device=device)
    cotangent = na.tree.tree_map(like, f(*inputs))
    backward: F = lambda *args: nt.vjp(f, *args)[1](cotangent)
    programs = trace(f)(*inputs), trace(backward)(*inputs)
    _, inputs = testing.differentiable(op, other(op, s), device=device)
    expected = backward(*inputs)
    same(nt.vjp(programs[0].eval, *inputs)[1](cotangent), expected)
    same(programs[1].eval(*inputs), expected)


@calls(lambda op, s: testing.differentiated(op, s))
def test_tangent_of_a_program_and_program_of_a_tangent(op: Op, s: Sample, device: str) -> None:
    f, inputs = testing.differentiable(op, s, device=device)
    tangents = tuple(map(like, inputs))
    forward: F = lambda args, tangents: nt.jvp(f, args, tangents)[1]
    programs = trace(f)(*inputs), trace(forward)(inputs, tangents)
    _, inputs = testing.differentiable(op, other(op, s), device=device)
    expected = forward(inputs, tangents)
    same(nt.jvp(programs[0].eval, inputs, tangents)[1], expected)
    same(programs[1].eval(inputs, tangents), expected)


def batched(s: Sample, device: str) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]:
    one = testing.arguments(s, device=device)
    many = tuple(na.stack([x, x]) if type(x) is Array else x for x in one)
    return one, many, tuple(0 if type(x) is Array else None for x in one)


@calls(lambda op, s: s.args and not (op.batch_rule is None and op.kind != "elementwise"))
def test_batch_of_a_program_and_program_of_a_batch(op: Op, s: Sample, device: str) -> None:
    f: F = lambda *args: op(*args, **s.options)
    one, many, axes = batched(s, device)
    mapped: F = nt.vmap(f, in_axes=axes)
    programs = trace(f)(*one), trace(mapped)(*many)
    _, many, _ = batched(other(op, s), device)
    expected = mapped(*many)
    same(nt.vmap(programs[0].eval, in_axes=axes)(*many), expected)
    same(programs[1].eval(*many), expected)
