"""Policies, checkpoints and names in a trace: one equation each, made anew when the Program runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array

trace: Any = nt.trace
X, W = na.asarray(np.linspace(0.2, 1.0, 3)), na.asarray(np.linspace(1.0, 2.0, 3))
Y = X + 0.5


@nt.function
class Wrong(nt.Policy[Array, Array]):
    """A sine whose derivative is deliberately not its own: 10 w exp(x), where exp(x) is made on the way."""

    def forward(self, x: Array, w: Array) -> Array:
        e = na.exp(x)
        self.ctx.save(e, w)
        return na.sin(x) * w

    def backward(self, grad: Array) -> tuple[Array, Array]:
        e, w = self.ctx.release
        return 10.0 * grad * w * e, grad * e


@nt.function
class Noisy(nt.Policy[Array]):
    runs: ClassVar[int] = 0

    def forward(self, x: Array, *, key: Array, scale: float = 1.0) -> Array:
        Noisy.runs += 1
        noise = na.random.normal(key, x.shape, dtype=x.dtype) * scale
        self.ctx.save(noise)
        return x * noise

    def backward(self, grad: Array) -> tuple[Array]:
        (noise,) = self.ctx.release
        return (grad * noise,)


def ops(program: nt.Program) -> list[str]:
    return [e.op.__name__ for e in program.equations]


def equal(x: Any, y: Any) -> None:
    for a, b in zip(na.tree.leaves(x), na.tree.leaves(y), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_policy_is_one_equation_and_its_rule_is_used() -> None:
    program = trace(lambda x, w: Wrong(x, w).sum())(X, W)
    assert ops(program) == ["policy_call", "reduce_sum"]
    equal(program.eval(Y, W), na.sum(na.sin(Y) * W))
    gradient = nt.grad(program.eval, (0, 1))(Y, W)
    equal(gradient, (10.0 * W * na.exp(Y), na.exp(Y)))


def test_policy_in_a_traced_gradient_uses_its_rule_on_new_values() -> None:
    program = trace(nt.grad(lambda x, w: (Wrong(x, w) * Wrong(w, x)).sum(), (0, 1)))(X, W)
    expected: Any = nt.grad(lambda x, w: (Wrong(x, w) * Wrong(w, x)).sum(), (0, 1))(Y, W)
    equal(program.eval(Y, W), expected)
    second: Any = lambda f: nt.jvp(f, (Y, W), (W, Y))
    equal(second(program.eval), second(nt.grad(lambda x, w: (Wrong(x, w) * Wrong(w, x)).sum(), (0, 1))))


def test_policy_in_a_batch() -> None:
    xs, ys = na.stack([X, W]), na.stack([Y, X])
    f: Any = nt.vmap(Wrong, in_axes=(0, None))
    program = trace(f)(xs, W)
    equal(program.eval(ys, Y), f(ys, Y))
    loss: Any = lambda f: nt.grad(lambda x, w: f(x, w).sum(), (0, 1))
    equal(loss(program.eval)(ys, Y), loss(f)(ys, Y))
    equal(trace(loss(f))(xs, W).eval(ys, Y), loss(f)(ys, Y))
    equal(nt.vmap(trace(Wrong)(X, W).eval, in_axes=(0, None))(ys, Y), f(ys, Y))


@pytest.mark.parametrize("wrap", [lambda f: f, nt.checkpoint], ids=["plain", "checkpoint"])
@pytest.mark.parametrize("split", [False, True])
def test_option_that_is_traced_is_not_baked_in(split: bool, wrap: Callable[..., Any]) -> None:
    keys = na.random.key(0), na.random.key(1)

    def f(x: Array, key: Array) -> Array:
        key = na.random.split(key)[1] if split else key
        return Noisy(x, key=key, scale=2.0).sum()

    f = wrap(f)
    program = trace(f)(X, keys[0])
    equal(program.eval(Y, keys[1]), f(Y, keys[1]))
    equal(nt.grad(program.eval)(Y, keys[1]), nt.grad(f)(Y, keys[1]))
    equal(trace(nt.grad(f))(X, keys[0]).eval(Y, keys[1]), nt.grad(f)(Y, keys[1]))


def test_option_that_is_traced_under_vmap() -> None:
    keys = na.random.split(na.random.key(0), 4)
    noisy: Any = lambda x, key: Noisy(x, key=key)
    f: Any = nt.vmap(noisy, in_axes=(None, 0))
    equal(trace(f)(X, keys[:2]).eval(Y, keys[2:]), f(Y, keys[2:]))


def test_policy_that_takes_a_traced_array_from_elsewhere_is_refused() -> None:
    @nt.function
    class Closing(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * outer[0]

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad,)

    outer = [W]
    equal(trace(Closing)(X).eval(Y), Y * W)  # a constant from outside

    def f(x: Array, w: Array) -> Array:
        outer[0] = w * 2.0
        return Closing(x)

    with pytest.raises(na.PolicyError, match=r"Closing.forward.*being traced.*argument or an option"):
        trace(f)(X, W)
    outer[0] = W
    with pytest.raises(na.PolicyError, match=r"being traced"):
        trace(nt.checkpoint(f))(X, W)


def test_needs_grad_is_asked_anew_by_eval() -> None:
    seen: list[tuple[bool, ...]] = []

    @nt.function
    class Asking(nt.Policy):
        def forward(self, x: Array, y: Array) -> Array:
            seen.append(self.needs_grad)
            self.ctx.save(x, y)
            return x * y

        def backward(self, grad: Array) -> tuple[Array, Array]:
            x, y = self.ctx.release
            return grad * y, grad * x

    program = trace(lambda x, y: Asking(x, y).sum())(X, W)
    nt.grad(program.eval, 1)(X, W)
    assert seen == [(False, False), (False, True)]


def test_checkpoint_is_one_equation_and_computes_again() -> None:
    def f(x: Array, w: Array) -> Array:
        return nt.checkpoint(lambda x: na.tanh(x * w) * na.exp(w))(x).sum()

    program = trace(f)(X, W)
    assert ops(program) == ["checkpoint_call", "reduce_sum"]
    assert len(program.equations[0].used) == 2  # what it closes over belongs to it
    equal(program.eval(Y, W), f(Y, W))
    for argnum in (0, 1):
        gradient: Any = nt.grad(f, argnum)
        of_eval: Any = nt.grad(program.eval, argnum)
        equal(of_eval(Y, W), gradient(Y, W))
        again = trace(gradient)(X, W)
        assert "checkpoint_call" in ops(again)
        assert "tanh" not in ops(again)
        equal(again.eval(Y, W), gradient(Y, W))
        equal(nt.jvp(again.eval, (Y, W), (W, Y)), nt.jvp(gradient, (Y, W), (W, Y)))


def test_captured_array_of_a_checkpoint_can_be_replaced() -> None:
    w = W * 1.0
    program = trace(nt.checkpoint(lambda x: x * w))(X)
    assert program.captured == (w,)
    equal(program.run([X], [Y]), [X * Y])


def test_gradient_of_a_program_with_a_checkpoint_keeps_no_values_inside() -> None:
    inside: list[int] = []

    @nt.function
    class Counting(nt.Policy):
        def forward(self, x: Array) -> Array:
            inside.append(1)
            self.ctx.save(x)
            return x * x

        def backward(self, grad: Array) -> tuple[Array]:
            return (2.0 * grad * self.ctx.release[0],)

    program = trace(lambda x: nt.checkpoint(lambda x: na.sin(Counting(x)))(x).sum())(X)
    inside.clear()
    equal(nt.grad(program.eval)(Y), 2.0 * Y * na.cos(Y * Y))
    assert len(inside) == 2  # forward, and again


def test_guards_inside_a_checkpoint_hold() -> None:
    def f(x: Array) -> Any:
        return nt.checkpoint(lambda x: x * 2.0 if (x > 0).all() else x * 3.0)(x).sum()

    for transformed in (f, nt.grad(f)):
        program = trace(transformed)(X)
        equal(program.eval(Y), transformed(Y))
        with pytest.raises(nt.GuardError, match="True when"):
            program.eval(-Y)
    unused = trace(lambda x: (f(x), x)[1])(X)  # its result is not used, its guard is kept
    with pytest.raises(nt.GuardError, match="True when"):
        unused.eval(-Y)
    with pytest.raises(na.LevelError, match=r"float\(x\)"):
        trace(nt.checkpoint(lambda x: x * float(x.sum() + 1.0)))(X)
    with pytest.raises(nt.GuardError, match="shape"):
        trace(nt.checkpoint(lambda x: x[x > 0.3]))(X).eval(Y)


def test_nested_checkpoints_with_guards() -> None:
    def f(x: Array) -> Array:
        inner = nt.checkpoint(lambda x: na.sin(x) if (x.sum() > 0) else -x)
        return nt.checkpoint(lambda x: inner(inner(x)))(x).sum()

    for transformed in (f, nt.grad(f), nt.grad(trace(f)(X).eval)):
        program = trace(transformed)(X)
        equal(program.eval(Y), transformed(Y))
        with pytest.raises(nt.GuardError):
            program.eval(-Y)


def test_checkpoint_sequence_and_kept_values() -> None:
    layers: list[Any] = [na.sin, lambda x: nt.name(na.exp(x), "e"), na.tanh] * 3
    f: Any = lambda x: nt.checkpoint_sequence(layers, x).sum()
    g: Any = lambda x: nt.checkpoint(lambda x: nt.name(na.exp(x), "e") * x, save=["e"], budget_bytes=10**6)(x).sum()
    for each in (f, g):
        equal(nt.grad(trace(each)(X).eval)(Y), nt.grad(each)(Y))
        equal(trace(nt.grad(each))(X).eval(Y), nt.grad(each)(Y))


def test_names_stay_and_are_found_by_checkpoint() -> None:
    program = trace(lambda x: nt.name(na.exp(x), "e") * 2.0)(X)
    assert ops(program) == ["exp", "named", "multiply"]
    assert program.equations[1].params == {"label": "e"}
    f: Any = nt.checkpoint(program.eval, save=["e"])
    equal(nt.grad(lambda x: f(x).sum())(Y), 2.0 * na.exp(Y))


def test_linearize_inside_and_around() -> None:
    def f(x: Array) -> Array:
        out, push = nt.linearize(lambda x: na.sin(x) * x, x)
        return push(out)

    equal(trace(f)(X).eval(Y), f(Y))
    program = trace(lambda x: na.sin(x) * x)(X)
    out, push = nt.linearize(program.eval, Y)
    equal((out, push(W)), nt.jvp(lambda x: na.sin(x) * x, (Y,), (W,)))
    turned = trace(lambda x: nt.linear_transpose(lambda y: y * W, x)(x)[0])(X)
    equal(turned.eval(Y), Y * W)
    equal(nt.linear_transpose(trace(lambda y: y * W)(X).eval, X)(Y)[0], Y * W)


@pytest.mark.parametrize("wrap", [lambda f: f, nt.checkpoint], ids=["plain", "checkpoint"])
def test_implicit_function_takes_what_it_closes_over_as_an_operand(wrap: Callable[[Any], Any]) -> None:
    w, other = W * 0.3, Y * 0.3

    def f(x: Array, w: Array) -> Any:
        return nt.fixed_point(lambda y: na.cos(y * w) * x, na.zeros(3, dtype=na.float64))

    program = trace(wrap(lambda x: f(x, w)))(X)
    assert program.captured == (w,)
    of_program: Any = lambda x, w: program.run([x], [w])[0].sum()
    total: Any = lambda x, w: f(x, w).sum()
    equal(of_program(X * 0.5, other), total(X * 0.5, other))
    gradients = [nt.grad(each, (0, 1))(X * 0.5, other) for each in (of_program, total)]
    equal(*gradients)
    equal(trace(nt.grad(total, (0, 1)))(X, w).eval(X * 0.5, other), gradients[1])
