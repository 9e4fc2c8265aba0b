"""Programs under every transform, and traces of transforms, to depth 4: against JAX in float64, and against eager."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.compositions.description import describe, evaluate
from tests.neo_tape.compositions.generator import random_program
from tests.neo_tape.compositions.libraries import Neo
from tests.neo_tape.compositions.operations import OPS
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.test_vmap_nestings import argument, nested

trace: Any = nt.trace
_ALL: Final = [
    kinds
    for depth in (1, 2, 3, 4)
    for kinds in itertools.product(("rev", "fwd", "map", "trace"), repeat=depth)
    if "trace" in kinds
]
NESTINGS: Final = [kinds for kinds in _ALL if len(kinds) < 4] + [k for k in _ALL if len(k) == 4][::7]


@pytest.fixture(scope="module")
def oracle() -> Iterator[Any]:
    with jax_in_float64() as jax:
        yield jax


@pytest.mark.parametrize("kinds", NESTINGS, ids="-".join)
def test_nesting_agrees_with_jax(kinds: tuple[str, ...], oracle: Any) -> None:
    x = argument(kinds)
    got = nested(nt, na, kinds)(na.asarray(x)).numpy()
    expected = np.asarray(nested(oracle, oracle.numpy, kinds)(oracle.numpy.asarray(x)))
    assert got.shape == expected.shape == x.shape
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_program_traced_and_run_on_other_values(first: int) -> None:
    """Derivatives nested in derivatives, with Policies and closures, as one Program; and the gradient of that."""
    neo = Neo()
    for seed in range(first, first + 20):
        program = random_program(seed)

        def f(*arguments: Any, program: Any = program) -> Any:
            return evaluate(program.body, list(arguments), neo, OPS)

        values = [neo.constant(a) for a in program.arguments]
        others = [x * 0.9 + 0.05 for x in values]
        recorded = trace(f)(*values)
        message = f"seed {seed}\n{describe(program.body)}"
        np.testing.assert_array_equal(recorded.eval(*others).numpy(), f(*others).numpy(), err_msg=message)
        if program.forward_mode and program.rules:
            continue  # a third derivative of a rule without jvp may need a backward that is not linear
        expected = nt.grad(f)(*others)
        np.testing.assert_allclose(
            nt.grad(recorded.eval)(*others).numpy(), expected.numpy(), rtol=1e-9, err_msg=message
        )


X, W = na.asarray(np.linspace(0.2, 1.0, 3)), na.asarray(np.linspace(1.0, 2.0, 3))


def test_derivatives_reach_what_a_program_captured() -> None:
    def f(w: Array) -> Any:
        program = trace(lambda x: na.sin(x) * w)(X)
        (captured,) = program.captured
        assert captured is w
        return program.eval(2.0 * X).sum()

    np.testing.assert_allclose(nt.grad(f)(W).numpy(), np.sin(2.0 * X.numpy()))
    np.testing.assert_allclose(nt.jvp(f, (W,), (X,))[1].numpy(), np.sin(2.0 * X.numpy()) @ X.numpy())
    rows = nt.vmap(lambda w: trace(lambda x: x * w)(X).eval(X))(na.stack([W, X]))
    np.testing.assert_allclose(rows.numpy(), np.stack([W.numpy() * X.numpy(), X.numpy() ** 2]))


def test_captured_arrays_are_replaced_by_explicit_operands() -> None:
    program = trace(lambda x: na.sin(x) * W)(X)
    assert program.captured == (W,)

    def f(x: Array, w: Array) -> Any:
        (out,) = program.run([x], [w])
        return out.sum()

    np.testing.assert_allclose(nt.grad(f, 1)(W, X).numpy(), np.sin(W.numpy()))
    np.testing.assert_allclose(f(W, X).item(), (np.sin(W.numpy()) * X.numpy()).sum())


def test_the_same_array_twice_is_two_inputs() -> None:
    program = trace(lambda x, y: x * X - y)(X, X)
    assert len(program.inputs) == 2
    assert program.captured == (X,)
    np.testing.assert_allclose(program.eval(W, 2.0 * W).numpy(), W.numpy() * X.numpy() - 2.0 * W.numpy())
    gradient = nt.grad(lambda x, y: program.eval(x, y).sum(), (0, 1))(X, X)
    np.testing.assert_allclose([g.numpy() for g in gradient], [X.numpy(), -np.ones(3)])


def test_results_may_be_inputs_constants_and_each_other() -> None:
    w = W * 1.0

    def f(x: Array, y: Array) -> list[Array]:
        z = x * y
        return [x, z, z, w, y, na.ones(2)]

    program = trace(f)(X, W)
    for got, expected in zip(program.eval(W, X), f(W, X), strict=True):
        np.testing.assert_array_equal(got.numpy(), expected.numpy())
    assert program.captured == (w,)
    gradient = nt.grad(lambda x: sum((o.sum() for o in program.eval(x, X)), na.asarray(0.0)))(W)
    np.testing.assert_allclose(gradient.numpy(), 1.0 + 2.0 * X.numpy())


def test_program_traced_under_an_open_tape_leaks_nothing_into_it() -> None:
    def f(x: Array) -> Any:
        program = trace(lambda y: y * y * x)(x)
        return program.eval(2.0 * x).sum()  # 4 x**3

    np.testing.assert_allclose(nt.grad(f)(X).numpy(), 12.0 * X.numpy() ** 2)


def test_second_derivative_by_tracing_a_traced_gradient() -> None:
    f: Any = lambda x: (na.sin(x) * x * x).sum()
    once = trace(nt.grad(f))(X)
    twice = trace(lambda x: nt.jvp(once.eval, (x,), (W,))[1])(X)
    np.testing.assert_allclose(twice.eval(W).numpy(), nt.hvp(f, W, W).numpy(), rtol=1e-12)
    assert nt.hessian(trace(f)(X).eval)(W).shape == (3, 3)
