"""The checker itself: it passes right rules, and catches rules that are wrong by 0.05 %, wherever they are wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array

check_grads: Final[Any] = nt.check_grads
X: Final = na.asarray(np.array([0.3, 0.7, 1.9]))
W: Final = na.asarray(np.array([[0.2, -0.4], [1.1, 0.6], [-0.8, 0.5]]))
SLIP: Final = 1.0005


def sine(backward: float = 1.0, forward: float | None = None, second: float = 1.0) -> Callable[[Array], Array]:
    """Return sin, whose backward, jvp and second derivative are scaled by these factors; without `forward`, no jvp."""

    @nt.function
    class Cosine(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return na.cos(x)

        def backward(self, grad: Array) -> tuple[Array]:
            return (-second * grad * na.sin(self.ctx.release[0]),)

    @nt.function
    class Sine(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return na.sin(x)

        def backward(self, grad: Array) -> tuple[Array]:
            return (backward * grad * Cosine(self.ctx.release[0]),)

    @nt.function
    class SineWithJvp(Sine):
        def jvp(self, tangent: Array) -> Array:
            assert forward is not None
            return forward * tangent * Cosine(self.ctx.release[0])

    return Sine if forward is None else SineWithJvp


# --- Right rules pass ---
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("modes", [("fwd",), ("rev",), ("fwd", "rev"), ["rev"]])
def test_right_rules_pass(order: int, modes: Any) -> None:
    check_grads(sine(), (X,), order, modes)
    check_grads(sine(forward=1.0), (X,), order, modes)
    check_grads(lambda x, w: na.tanh(x @ w).sum() * x, (X, W), order, modes)


def test_default_is_the_second_order_in_both_modes() -> None:
    check_grads(sine(), (X,))
    for wrong in (sine(backward=SLIP), sine(forward=SLIP), sine(second=SLIP)):
        with pytest.raises(AssertionError, match="check_grads"):
            check_grads(wrong, (X,))


class Both(NamedTuple):
    first: Array
    rest: Any


def test_pytrees_numbers_and_integers_take_part_or_stay_out() -> None:
    def f(p: Both, n: Array, scale: float, flag: bool) -> dict[str, Any]:
        y = p.first * scale * n if flag else p.first
        return {"y": y * p.rest[0], "none": None, "n": n, "count": 3, "fixed": na.ones((2,))}

    arguments = (Both(X, [X, None]), na.asarray([1, 2, 3]), 2.0, True)
    check_grads(f, arguments)


def test_every_backend_and_precision_passes(device: str) -> None:
    for dtype in (na.float32, na.float64):
        check_grads(lambda x: na.sin(x) * x, (na.asarray([0.3, 0.7], dtype=dtype),))


def test_policies_and_empty_or_0d_arrays_pass() -> None:
    check_grads(lambda x: na.sin(x), (na.asarray(0.5, dtype=na.float64),))
    check_grads(lambda x: na.sin(x) @ W, (na.zeros((0, 3), dtype=na.float64),))


# --- Wrong rules are caught ---
@pytest.mark.parametrize(
    ("wrong", "caught_by"),
    [
        (sine(backward=SLIP), {(1, "rev"), (1, "fwd"), (2, "rev"), (2, "fwd")}),  # forward mode transposes backward
        (sine(backward=1 / SLIP), {(1, "rev"), (1, "fwd"), (2, "rev"), (2, "fwd")}),
        (sine(backward=SLIP, forward=1.0), {(1, "rev"), (2, "rev")}),
        (sine(forward=SLIP), {(1, "fwd"), (2, "fwd")}),
        (sine(second=SLIP), {(2, "rev"), (2, "fwd")}),
        (sine(forward=1.0, second=SLIP), {(2, "rev"), (2, "fwd")}),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("mode", ["fwd", "rev"])
def test_rule_that_is_off_by_0_05_percent_is_caught(
    wrong: Callable[[Array], Array], caught_by: set[tuple[int, str]], order: int, mode: str
) -> None:
    if (order, mode) in caught_by:
        with pytest.raises(AssertionError, match=f"check_grads: .*{mode}.* is wrong: got .*, by differences .*error"):
            check_grads(wrong, (X,), order, (mode,))
    else:
        check_grads(wrong, (X,), order, (mode,))


def test_message_names_the_order_and_the_mode() -> None:
    @nt.function
    class Cosine(nt.Policy):  # right in forward mode, and wrong in reverse
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return na.cos(x)

        def backward(self, grad: Array) -> tuple[Array]:
            return (-SLIP * grad * na.sin(self.ctx.release[0]),)

        def jvp(self, tangent: Array) -> Array:
            return -tangent * na.sin(self.ctx.release[0])

    @nt.function
    class Sine(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return na.sin(x)

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * Cosine(self.ctx.release[0]),)

    with pytest.raises(AssertionError, match="check_grads: rev of fwd is wrong"):
        check_grads(Sine, (X,), 2)
    with pytest.raises(AssertionError, match="check_grads: rev of rev is wrong"):
        check_grads(Sine, (X,), 2, ("rev",))
    with pytest.raises(AssertionError, match="check_grads: rev is wrong"):
        check_grads(sine(backward=SLIP, forward=1.0), (X,), 2)


@pytest.mark.parametrize("place", [0, 7, 19])
def test_one_wrong_element_of_twenty_is_caught(place: int) -> None:
    factors = np.ones(20)
    factors[place] = SLIP
    scales = na.asarray(factors)

    @nt.function
    class Square(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return x * x

        def backward(self, grad: Array) -> tuple[Array]:
            return (2.0 * scales * grad * self.ctx.release[0],)

    x = na.asarray(np.linspace(0.5, 2.0, 20))
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError):
            check_grads(Square, (x,), 1, (mode,))


@pytest.mark.parametrize("wrong", [0, 1])
def test_one_wrong_argument_of_two_is_caught(wrong: int) -> None:
    slips = [1.0, 1.0]
    slips[wrong] = SLIP

    @nt.function
    class Product(nt.Policy):
        def forward(self, x: Array, y: Array) -> Array:
            self.ctx.save(x, y)
            return x * y

        def backward(self, grad: Array) -> tuple[Array, Array]:
            x, y = self.ctx.release
            return slips[0] * grad * y, slips[1] * grad * x

    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError):
            check_grads(Product, (X, X + 1.0), 1, (mode,))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * nt.stop_gradient(x),
        lambda x: x * na.asarray([value.item() for value in x], dtype=na.float64),
        lambda x: x + (nt.stop_gradient(x) * 1e-3).sum(),
    ],
)
@pytest.mark.parametrize("mode", ["fwd", "rev"])
def test_lost_gradient_is_caught(f: Callable[[Array], Array], mode: str) -> None:
    with pytest.raises(AssertionError):
        check_grads(f, (X,), 1, (mode,))


def test_swapped_gradients_and_nan_are_caught() -> None:
    @nt.function
    class Swapped(nt.Policy):
        def forward(self, x: Array, y: Array) -> Array:
            self.ctx.save(x, y)
            return x * y

        def backward(self, grad: Array) -> tuple[Array, Array]:
            x, y = self.ctx.release
            return grad * x, grad * y

    with pytest.raises(AssertionError):
        check_grads(Swapped, (X, X + 1.0), 1, ("rev",))
    with pytest.raises(AssertionError):
        check_grads(sine(backward=math.nan), (X,), 1, ("rev",))


# --- Options ---
def test_tolerance_and_seed() -> None:
    check_grads(sine(backward=SLIP), (X,), 1, tolerance=1e-2)
    with pytest.raises(AssertionError):
        check_grads(sine(backward=1.00001), (X,), 1, tolerance=1e-7)
    for seed in range(5):
        check_grads(sine(), (X,), seed=seed)
        with pytest.raises(AssertionError):
            check_grads(sine(backward=SLIP), (X,), 1, seed=seed)


def test_global_random_state_is_left_alone() -> None:
    before = str(np.random.get_state())
    check_grads(sine(), (X,))
    assert str(np.random.get_state()) == before


@pytest.mark.parametrize("options", [{"order": 0}, {"modes": ("forward",)}, {"modes": ()}, {"modes": ("rev", "x")}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='modes must be among "fwd", "rev", and order at least 1, got'):
        check_grads(sine(), (X,), **options)
