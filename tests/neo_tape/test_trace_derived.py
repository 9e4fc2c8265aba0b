"""Derivatives and batches of Programs as Programs over flat lists, with the captured Arrays as operands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from neo_tape._program.derived import batch, pullback, pushforward, run_flat
from tests.neo_tape.levels import assert_nothing_open

trace: Any = nt.trace
W = na.asarray(np.linspace(1.0, 2.0, 3))
X = na.asarray(np.linspace(0.2, 1.0, 3))
N = na.asarray([1, 2, 0])


def f(x: Array, n: Array) -> list[Array]:
    """Return a sine times what is captured, integers, and the sum of what is traced and of a constant."""
    h = na.sin(x) * W
    return [h, n + 1, (h * h).sum() + na.ones(()).astype(x.dtype) * x[0]]


def numbers(x: Any) -> list[Any]:
    return [a.numpy() for a in x]


def close(x: Any, y: Any) -> None:
    for a, b in zip(numbers(x), numbers(y), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.fixture
def program() -> nt.Program:
    program: nt.Program = trace(f)(X, N)
    assert program.captured == (W,)
    return program


def operands(x: Array = X, w: Array = W) -> list[Array]:
    return [w, x, N]


def outputs(w: Array, x: Array) -> list[Array]:
    h = na.sin(x) * w
    return [h, (h * h).sum() + x[0]]


OTHER = operands(W * 0.5, X + 1.0)


def test_pushforward(program: nt.Program) -> None:
    pushed = pushforward(program, [0, 1], operands())
    assert pushed.active_outputs == (0, 2)
    found, tangents = pushed.run(OTHER, [X, W])
    close(found, run_flat(program, OTHER))
    close(tangents, nt.jvp(outputs, (OTHER[0], OTHER[1]), (X, W))[1])
    _, tangents = pushforward(program, [1], operands()).run(OTHER, [W])
    close(tangents, nt.jvp(outputs, (OTHER[0], OTHER[1]), (na.zeros_like(X), W))[1])


@pytest.mark.parametrize("active", [(0, 1), (1, 0), (1,), (0,)])
def test_pullback(program: nt.Program, active: tuple[int, ...]) -> None:
    back = pullback(program, active, operands())
    found, residuals = back.run(OTHER)
    close(found, run_flat(program, OTHER))
    cotangents = [X, na.asarray(np.float64(3.0))]
    expected = nt.vjp(outputs, OTHER[0], OTHER[1])[1](cotangents)
    close(back.pull(OTHER, residuals, cotangents), [expected[i] for i in active])


def test_pullback_computes_no_more_than_eager_does(program: nt.Program) -> None:
    back = pullback(program, [0, 1], operands())
    assert [e.op for e in back.forward.equations] == [e.op for e in program.equations]
    assert {e.op.__name__ for e in back.backward.equations if e.scope != "backward"} == {"fill", "cast"}  # constants
    kept = {*back.backward.inputs} - {v for e in back.backward.equations for v in e.used}
    assert len(kept) <= 1  # nothing is handed on that is not used, but a cotangent may be
    rest = set(range(3)) - set(back.kept_operands)
    held: list[Any] = [None if i in rest else x for i, x in enumerate(OTHER)]
    _, residuals = back.run(OTHER)
    back.pull(held, residuals, [X, na.asarray(np.float64(1.0))])
    assert len(residuals) == 2  # sin(x), and the product: cos(x) is computed from x


def test_operands_are_no_residuals() -> None:
    program = trace(lambda x, w: x @ w)(na.ones((2, 3)), na.ones((3, 4)))
    back = pullback(program, [0, 1], [na.ones((2, 3)), na.ones((3, 4))])
    assert back.kept_operands == (0, 1)
    assert back.run([na.ones((2, 3)), na.ones((3, 4))])[1] == []


def test_batch(program: nt.Program) -> None:
    many = na.stack([X, W, X + W])
    mapped = batch(program, 3, [None, 0, None], [W, many, N])
    assert mapped.output_axes == (0, None, 0)
    found = mapped.run([X, many * 2.0, N])
    for row, x in enumerate(many * 2.0):
        one = run_flat(program, [X, x, N])
        close([found[0][row], found[1], found[2][row]], one)
    assert batch(program, 3, [0, 1, None], [many, many.T, N]).output_axes == (0, None, 0)


def test_each_is_made_once(program: nt.Program) -> None:
    assert pullback(program, [0], operands()) is pullback(program, [0], OTHER)
    assert pullback(program, [0], operands()) is not pullback(program, [1], operands())
    assert pushforward(program, [0], operands()) is pushforward(program, [0], OTHER)
    assert batch(program, 2, [None, 0, 0], [W, na.stack([X, X]), na.stack([N, N])]) is batch(
        program, 2, [None, 0, 0], [W, na.stack([X, X]), na.stack([N, N])]
    )


def test_derived_of_derived_run_under_transforms(program: nt.Program) -> None:
    back = pullback(program, [0, 1], operands())
    second = pullback(back.forward, [0], operands())
    found, _ = second.run(OTHER)
    close(found[:3], run_flat(program, OTHER))

    def gradient(w: Array, x: Array) -> list[Array]:
        _, residuals = back.run([w, x, N])
        return back.pull([w, x, N], residuals, [X, na.asarray(np.float64(3.0))])

    eager: Any = lambda w, x: list(nt.vjp(outputs, w, x)[1]([X, na.asarray(np.float64(3.0))]))
    point, along = (OTHER[0], OTHER[1]), (X, W)
    close(nt.jvp(gradient, point, along)[1], nt.jvp(eager, point, along)[1])


def test_making_one_is_hidden_from_the_levels_around() -> None:
    """Under a tape, an outer trace and a vmap: nothing of it is recorded there, and no guard is left."""

    def inner(x: Array) -> Array:
        return na.sin(x) * 2.0 if (x.sum() < 1e9) else x

    program = trace(inner)(X)

    def derivative(x: Array) -> Array:
        back = pullback(program, [0], [x])
        found, residuals = back.run([x])
        (gradient,) = back.pull([x], residuals, [na.ones_like(x)])
        return (found[0] * gradient).sum()  # 4 sin(x) cos(x), whose derivative is 4 cos(2 x)

    np.testing.assert_allclose(nt.grad(derivative)(W).numpy(), 4.0 * np.cos(2.0 * W.numpy()))
    program = trace(inner)(X)  # nothing is derived from this one yet
    outer = trace(derivative)(X)
    assert [e.op.__name__ for e in outer.equations].count("sin") == 1
    assert [e.op.__name__ for e in outer.equations].count("guard") == 1
    assert_nothing_open()


def test_one_is_made_under_vmap_of_values_that_differ() -> None:
    program = trace(lambda x: na.sin(x) * W)(X)
    rows = na.stack([X, W])

    def gradient(x: Array) -> Array:
        back = pullback(program, [1], [W, x])
        _, residuals = back.run([W, x])
        return back.pull([W, x], residuals, [na.ones_like(W)])[0]

    np.testing.assert_allclose(nt.vmap(gradient)(rows).numpy(), np.cos(rows.numpy()) * W.numpy())
    np.testing.assert_allclose(nt.vmap(gradient)(rows * 2.0).numpy(), np.cos(2.0 * rows.numpy()) * W.numpy())
    np.testing.assert_allclose(gradient(X).numpy(), np.cos(X.numpy()) * W.numpy())


def test_checkpoints_policies_and_guards_inside() -> None:
    @nt.function
    class Triple(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 1.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (3.0 * grad,)

    def g(x: Array) -> Array:
        return nt.checkpoint(lambda x: na.sin(Triple(x)))(x) * (2.0 if x.sum() > 0 else 1.0)

    program = trace(g)(X)
    back = pullback(program, [0], [X])
    _, residuals = back.run([W])
    assert residuals == []
    close(back.pull([W], residuals, [X]), [6.0 * X * na.cos(W)])
    with pytest.raises(nt.GuardError):
        back.run([-W])
    mapped = batch(trace(nt.checkpoint(lambda x: na.sin(Triple(x))))(X), 2, [0], [na.stack([X, W])])
    close(mapped.run([na.stack([W, X])]), [na.sin(na.stack([W, X]))])
    close(pullback(mapped.program, [0], [na.stack([X, W])]).run([na.stack([W, X])])[0], [na.sin(na.stack([W, X]))])
