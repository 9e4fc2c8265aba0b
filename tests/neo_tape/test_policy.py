"""Policies: the rule is what counts, in every transform. Backwards are often wrong here on purpose, to be seen."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.gradients import ones

X: Final = na.asarray(np.array([1.0, 2.0, 3.0]))
W: Final = na.asarray(np.array([4.0, 5.0, 6.0]))


@nt.function
class Tripled(nt.Policy):
    """x, whose gradient is tripled."""

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, grad: Array) -> tuple[Array]:
        return (3.0 * grad,)


@nt.function
class WrongSquare(nt.Policy):
    """x**2, whose derivative claims to be 10 x."""

    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return x * x

    def backward(self, grad: Array) -> tuple[Array]:
        (x,) = self.ctx.release
        return (10.0 * grad * x,)


# --- The rule is what counts, in every transform ---
def test_backward_replaces_the_derivative() -> None:
    assert WrongSquare(X).numpy().tolist() == [1.0, 4.0, 9.0]
    assert ones(WrongSquare, X) == [[10.0, 20.0, 30.0]]
    assert nt.vjp(WrongSquare, X)[1](W)[0].numpy().tolist() == [40.0, 100.0, 180.0]
    assert nt.jvp(WrongSquare, (X,), (W,))[1].numpy().tolist() == [40.0, 100.0, 180.0]


def test_backward_is_differentiated_for_higher_orders() -> None:
    first = nt.grad(lambda x: WrongSquare(x).sum())
    second = nt.grad(lambda x: first(x).sum())
    assert second(X).numpy().tolist() == [10.0] * 3  # of 10 x
    product = nt.grad(lambda x: nt.grad(lambda y: (WrongSquare(y) * y).sum())(x).sum())
    # d/dy = 10 y * y + y**2 (by the rule), whose derivative is 20 y + 10 y (the rule again)
    assert product(X).numpy().tolist() == [30.0, 60.0, 90.0]


@pytest.mark.parametrize("outer", ["grad", "jvp"])
@pytest.mark.parametrize("inner", ["grad", "jvp"])
def test_rule_holds_in_every_mix_of_modes(outer: str, inner: str) -> None:
    def derivative(mode: str, f: Any) -> Any:
        return lambda x: nt.grad(lambda y: f(y).sum())(x) if mode == "grad" else nt.jvp(f, (x,), (na.ones_like(x),))[1]

    found = derivative(outer, derivative(inner, lambda y: WrongSquare(y) * y))(X)
    assert found.numpy().tolist() == [30.0, 60.0, 90.0]


def test_policy_in_an_inner_transform_over_an_outer_variable() -> None:
    def f(x: Array) -> Array:
        inner = nt.grad(lambda y: (WrongSquare(y) * WrongSquare(x)).sum())(x)  # 10 y x**2 at y = x
        return na.sum(inner)  # by the rules: 10 x**2 + 10 x * 10 x

    assert nt.grad(f)(X).numpy().tolist() == [110.0, 440.0, 990.0]


# --- Identity ---
def test_policy_that_returns_its_argument_has_an_output_of_its_own() -> None:
    assert Tripled(X) is not X
    assert ones(Tripled, X) == [[3.0] * 3]
    assert ones(lambda x: Tripled(x) + x, X) == [[4.0] * 3]
    assert ones(lambda x: Tripled(Tripled(x)), X) == [[9.0] * 3]
    assert nt.jvp(Tripled, (X,), (X,))[1].numpy().tolist() == [3.0, 6.0, 9.0]


def test_straight_through_step() -> None:
    @nt.function
    class Step(nt.Policy):
        def forward(self, x: Array) -> Array:
            return na.where(x > 1.5, 1.0, 0.0)

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad.astype(na.float64),)

    assert Step(X).numpy().tolist() == [0.0, 1.0, 1.0]
    assert ones(lambda x: Step(x).astype(na.float64) * x, X) == [[1.0, 3.0, 4.0]]


def test_saved_argument_that_is_also_returned_is_the_argument() -> None:
    """As with jax.custom_vjp, whose residual is the input: the second derivative of backward's `grad * x` is 1."""

    @nt.function
    class Through(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return x

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * self.ctx.release[0],)

    assert ones(Through, X) == [[1.0, 2.0, 3.0]]
    assert nt.grad(lambda x: nt.grad(lambda y: Through(y).sum())(x).sum())(X).numpy().tolist() == [1.0] * 3


def test_saved_output_carries_the_rule() -> None:
    """The output that was saved is the Policy's: its own derivative follows the rule too."""

    @nt.function
    class Halved(nt.Policy):
        def forward(self, x: Array) -> Array:
            y = 0.5 * x
            self.ctx.save(y)
            return y

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * self.ctx.release[0],)

    # backward: y = x / 2; its derivative by the rule: y again
    assert nt.grad(lambda x: nt.grad(lambda y: Halved(y).sum())(x).sum())(X).numpy().tolist() == [0.5, 1.0, 1.5]


def test_saved_intermediate_is_differentiated_as_it_was_computed() -> None:
    @nt.function
    class Scaled(nt.Policy):
        def forward(self, x: Array) -> Array:
            square = x * x
            self.ctx.save(square)
            return square * x

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * self.ctx.release[0],)  # x**2 where 3 x**2 would be right

    assert ones(Scaled, X) == [[1.0, 4.0, 9.0]]
    assert nt.grad(lambda x: nt.grad(lambda y: Scaled(y).sum())(x).sum())(X).numpy().tolist() == [2.0, 4.0, 6.0]


def test_forward_may_differentiate_inside() -> None:
    @nt.function
    class Slope(nt.Policy):
        def forward(self, x: Array, w: Array) -> Array:
            slope: Array = nt.grad(lambda z: (z * z * w).sum())(x)  # 2 x w
            self.ctx.save(slope, w)
            return slope * x

        def backward(self, grad: Array) -> tuple[Array, Array]:
            slope, w = self.ctx.release
            return grad * slope, grad * w

    found = nt.grad(lambda x: nt.grad(lambda y: Slope(y, x).sum())(x).sum())(X)  # of 2 y x, both sides vary
    assert found.numpy().tolist() == [4.0, 8.0, 12.0]


# --- Policies inside Policies ---
def test_policy_inside_a_policy_is_covered_by_the_outer_rule() -> None:
    @nt.function
    class Outer(nt.Policy):
        def forward(self, x: Array) -> Array:
            y = WrongSquare(x)
            self.ctx.save(y)
            return y * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * self.ctx.release[0],)

    assert ones(Outer, X) == [[1.0, 4.0, 9.0]]
    # the saved WrongSquare(x) follows its own rule
    assert nt.grad(lambda x: nt.grad(lambda y: Outer(y).sum())(x).sum())(X).numpy().tolist() == [10.0, 20.0, 30.0]


def test_policy_in_a_backward_is_differentiated_by_its_rule() -> None:
    @nt.function
    class Outer(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return x * 1.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * WrongSquare(self.ctx.release[0]),)

    assert nt.grad(lambda x: nt.grad(lambda y: Outer(y).sum())(x).sum())(X).numpy().tolist() == [10.0, 20.0, 30.0]


def test_a_policys_class_can_be_differentiated_inherited_and_undecorated() -> None:
    class Child(WrongSquare):
        pass

    class Plain(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 1.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * 7.0,)

    assert ones(Child, X) == [[10.0, 20.0, 30.0]]
    assert ones(Plain, X) == [[7.0] * 3]
    assert nt.function(Plain) is Plain
    assert nt.function(check=True)(Plain) is Plain


def test_policies_run_on_every_backend(device: str) -> None:
    x = na.asarray([1.0, 2.0])
    gradient = nt.grad(lambda x: WrongSquare(x).sum())(x)
    assert (gradient.numpy().tolist(), str(gradient.device), gradient.dtype) == ([10.0, 20.0], device, na.float32)
