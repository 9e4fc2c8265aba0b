"""cond, while_loop and scan inside each other, and beside donation, threads, Policies and exceptions."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, LevelError
from neo_array._payloads import Donated, donate
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.levels import assert_nothing_open
from tests.neo_tape.test_cond import python_if, same
from tests.neo_tape.test_scan import python_loop
from tests.neo_tape.test_while_loop import python_while

F = Callable[..., Any]
grad: Final[Any] = nt.grad
scan: Final[Any] = nt.scan
OURS: Final[Any] = (nt.cond, nt.while_loop, nt.scan)
PLAIN: Final[Any] = (python_if, python_while, python_loop)
STARTS: Final = na.asarray(np.array([0.1, 0.7, 1.9, 3.0, -0.5]))
XS: Final = na.asarray(np.array([0.9, 1.7, 0.4, 1.2, 0.8]))


def function(cond: F, while_loop: F, scan: F) -> F:
    """Return a function whose branches and numbers of steps change on the way; beyond them it is nan."""

    def step(c: Array, x: Array) -> tuple[Array, Array]:
        c = cond(c > 0.2, lambda c: na.sqrt(c - 0.2) * x, lambda c: na.log(1.3 - c) + x, c)
        c = while_loop(lambda v: v > 1.0, lambda v: na.sqrt(v - 1.0) * 0.8, c)
        return c, c * x

    def f(c: Array, xs: Array) -> Any:
        last, ys = scan(step, c, xs)
        return last + na.sum(ys)

    return f


def both(f: F) -> F:
    found: F = grad(f, (0, 1))
    return found


def second(f: F) -> F:
    return both(lambda c, xs: sum(na.sum(na.sin(g)) for g in both(f)(c, xs)))


def forward_over_reverse(f: F) -> F:
    return lambda c, xs: nt.jvp(both(f), (c, xs), (c, xs))[1]


@pytest.mark.parametrize("transform", [lambda f: f, both, second, forward_over_reverse])
def test_nested_control_flow_agrees_with_python(transform: F, device: str) -> None:
    starts, xs = STARTS.to(device), XS.to(device)
    ours, plain = transform(function(*OURS)), transform(function(*PLAIN))
    expected = [na.tree.leaves(plain(c, xs)) for c in starts]
    rows = [np.stack([np.asarray(x) for x in column]) for column in zip(*expected, strict=True)]
    same([na.tree.leaves(ours(c, xs)) for c in starts], expected)
    same(nt.vmap(ours, in_axes=(0, None))(starts, xs), rows)
    program = nt.trace(ours)(starts[0], xs)
    same(nt.vmap(program.eval, in_axes=(0, None))(starts, xs), rows)
    batched: F = lambda cs, xs: na.sum(nt.vmap(function(*OURS), in_axes=(0, None))(cs, xs))
    summed: F = lambda cs, xs: sum(function(*PLAIN)(c, xs) for c in cs)
    same(transform(batched)(starts, xs), transform(summed)(starts, xs))
    assert_nothing_open()


def test_complex_carries_follow_jax() -> None:
    def loss(xp: Any, scan: F) -> F:
        step: F = lambda c, x: (xp.sin(c * x) + c * 1j, c * c)
        return lambda z, xs: xp.real(xp.sum(scan(step, z, xs)[0] + xp.sum(scan(step, z, xs)[1])))

    z, xs = np.array([1 + 2j, 0.5 - 1j]), np.random.default_rng(0).normal(size=(3, 2))
    with jax_in_float64() as jax:
        expected = jax.grad(loss(jax.numpy, jax.lax.scan))(jax.numpy.asarray(z), jax.numpy.asarray(xs))
        same(grad(loss(na, nt.scan))(na.asarray(z), na.asarray(xs)), expected)


def test_a_policy_whose_rules_are_loops() -> None:
    def thrice(x: Array) -> Array:
        found: Array = scan(lambda c, _: (na.sin(c), None), x, None, 3)[0]
        return found

    @nt.function
    class Thrice(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return thrice(x)

        def backward(self, g: Array) -> tuple[Array]:
            (x,) = self.ctx.release
            return (nt.vjp(thrice, x)[1](g)[0],)

    plain: F = lambda x: na.sin(na.sin(na.sin(x)))
    rule: Any = Thrice
    same(nt.vmap(grad(grad(rule)))(XS), nt.vmap(grad(grad(plain)))(XS))
    same(nt.jvp(rule, (XS,), (XS,)), nt.jvp(plain, (XS,), (XS,)))


def test_a_donated_closure_keeps_its_value_for_the_pullback() -> None:
    w = na.asarray(np.array([1.0, 2.0]))
    f: F = lambda w: scan(lambda c, _: (na.sin(c * w), None), w, None, 3)[0]
    g = na.asarray(np.ones(2))
    expected = nt.vjp(f, na.asarray(np.array([1.0, 2.0])))[1](g)
    pullback = nt.vjp(f, w)[1]
    donate(na.add, Donated("a test"), w, 5.0)
    same(pullback(g), expected)


def test_a_body_that_raises_leaves_no_level_open() -> None:
    def fails(c: Array, x: None) -> tuple[Array, None]:
        raise KeyError("stop")

    with pytest.raises(KeyError):
        grad(lambda xs: na.sum(nt.vmap(lambda x: scan(fails, x, None, 2)[0])(xs)))(XS)
    assert_nothing_open(nothing_retained=False)


def test_other_threads() -> None:
    """A closure that is differentiated elsewhere is refused, and followed in a copied context."""
    caught: list[BaseException] = []

    def loop(w: Array) -> Array:
        found: Array = scan(lambda c, _: (c * w, None), na.asarray(1.0), None, 2)[0]
        return found

    def refused(w: Array) -> Array:
        def run() -> None:
            try:
                loop(w)
            except LevelError as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        out: list[Array] = []
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: out.append(loop(w)),))
        thread.start()
        thread.join()
        return out[0]

    same(grad(refused)(na.asarray(3.0)), 6.0)
    assert len(caught) == 1
