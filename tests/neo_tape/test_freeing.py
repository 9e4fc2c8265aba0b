"""What a derivative holds on to, and when it lets go: residuals are freed while the walk goes back."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array


def start() -> Array:
    return na.asarray(np.array([0.3, 0.5, 0.7, 0.9]))


class Watch:
    """Weak references to intermediates, and which of them were dead when an early op's backward ran."""

    def __init__(self) -> None:
        self.refs: list[weakref.ref[Any]] = []
        self.dead: list[bool] = []

    def follow(self, x: Array) -> Array:
        self.refs += [weakref.ref(x), weakref.ref(x._raw)]
        return x

    def probe(self) -> Callable[[Array], Array]:
        @nt.function
        class Probe(nt.Policy):
            def forward(self, x: Array) -> Array:
                return x * 1.0

            def backward(policy, grad: Array) -> tuple[Array]:
                self.dead = [ref() is None for ref in self.refs]
                return (grad,)

        return Probe


@nt.function
class Sine(nt.Policy):
    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return na.sin(x)

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad * na.cos(self.ctx.release[0]),)


@pytest.mark.parametrize("sine", [na.sin, Sine], ids=["op", "Policy"])
def test_residuals_are_freed_before_earlier_rules_run(sine: Callable[[Array], Array]) -> None:
    watch = Watch()

    def f(x: Array) -> Array:
        x = watch.probe()(x)
        for _ in range(5):
            x = sine(watch.follow(x * 2.0))
        alive.extend(ref() is not None for ref in watch.refs)
        return x.sum()

    alive: list[bool] = []
    nt.grad(f)(start())
    assert alive == [True] * 10  # sin keeps its argument
    assert watch.dead == [True] * 10


def test_values_that_no_rule_names_die_during_the_forward() -> None:
    watch = Watch()

    def f(x: Array) -> Array:
        for _ in range(5):
            x = watch.follow(x + 1.0) - 2.0
        assert all(ref() is None for ref in watch.refs)
        return x.sum()

    nt.grad(f)(start())
    assert watch.refs


def test_pullback_keeps_its_residuals_and_frees_them_when_dropped() -> None:
    watch = Watch()
    _, pullback = nt.vjp(lambda x: na.sin(watch.follow(watch.probe()(x) * 2.0)), start())
    for _ in range(2):
        (gradient,) = pullback(na.ones_like(start()))
        np.testing.assert_allclose(gradient.numpy(), 2 * np.cos(2 * start().numpy()), rtol=1e-15)
        assert watch.dead == [False, False]
    del pullback
    gc.collect()
    assert [ref() for ref in watch.refs] == [None, None]


@pytest.mark.parametrize("made", ["Policy", "custom_vjp"])
def test_rule_that_is_defined_where_it_is_used_dies_with_what_it_closes_over(made: str) -> None:
    def use(watch: Watch) -> None:
        constant = watch.follow(start() * 2.0)

        @nt.function
        class Scaled(nt.Policy):
            def forward(self, x: Array) -> Array:
                return x * constant

            def backward(self, grad: Array) -> tuple[Array]:
                return (grad * constant,)

        scaled: Any = Scaled
        if made == "custom_vjp":
            f: Any = lambda x: x * constant
            forward: Any = lambda x: (x * constant, ())
            backward: Any = lambda saved, g: (g * constant,)
            scaled = nt.custom_vjp(f, forward, backward)
        np.testing.assert_array_equal(nt.grad(lambda x: scaled(x).sum())(start()).numpy(), 2 * start().numpy())
        nt.jvp(scaled, (start(),), (start(),))

    watch = Watch()
    use(watch)
    gc.collect()
    assert [ref() for ref in watch.refs] == [None, None]


def test_result_of_grad_holds_nothing_of_the_computation() -> None:
    watch = Watch()
    gc.disable()  # reference counts alone must do it
    try:
        gradient = nt.grad(lambda x: na.sin(watch.follow(x * 2.0)).sum())(start())
        assert [ref() for ref in watch.refs] == [None, None]
        _, tangent = nt.jvp(lambda x: na.sin(watch.follow(x * 2.0)).sum(), (start(),), (start(),))
        assert [ref() for ref in watch.refs] == [None] * 4
    finally:
        gc.enable()
    assert math.isfinite(gradient.sum().item() + tangent.item())
