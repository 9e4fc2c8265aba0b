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


# --- Where a check could pass without having checked ---
def scaled(factor: float, backward: float = 1.0, forward: float = 1.0) -> Callable[[Array], Array]:
    """Return factor * sin, whose backward and jvp are off by these factors."""
    wrong = sine(backward, forward)
    return lambda x: factor * wrong(x)


@pytest.mark.parametrize("factor", [1e-10, 1e-6, 1e-3, 1e3, 1e9])
def test_small_and_large_functions_are_held_to_the_same_relative_error(factor: float) -> None:
    check_grads(scaled(factor), (X,))
    for wrong in (scaled(factor, backward=SLIP), scaled(factor, forward=SLIP), scaled(factor, backward=0.0)):
        with pytest.raises(AssertionError):
            check_grads(wrong, (X,), 1)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_infinite_and_nan_derivatives_are_caught(value: float) -> None:
    for wrong, mode in ((sine(backward=value), "rev"), (sine(forward=value), "fwd")):
        with pytest.raises(AssertionError, match=f"{mode} is wrong"):
            check_grads(wrong, (X,), 1, (mode,))


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_a_derivative_beside_a_large_value_is_checked(offset: float) -> None:
    check_grads(lambda x: offset + sine()(x), (X,), 1)
    with pytest.raises(AssertionError):
        check_grads(lambda x: offset + sine(backward=1.01)(x), (X,), 1)


@pytest.mark.parametrize("size", [1e5, 1e8, 1e12])
def test_large_arguments_pass_and_mistakes_there_are_caught(size: float) -> None:
    @nt.function
    class Square(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return x * x

        def backward(self, grad: Array) -> tuple[Array]:
            return (2.001 * grad * self.ctx.release[0],)

    check_grads(lambda x: x * x, (X * size,))
    with pytest.raises(AssertionError):
        check_grads(Square, (X * size,), 1)


def test_where_all_derivatives_are_zero_passes() -> None:
    zeros = na.zeros((3,), dtype=na.float64)
    check_grads(lambda x: x * x * x, (zeros,), 3)
    check_grads(lambda x: (x + 1.0) - 1.0 - x, (X,))
    check_grads(lambda x: x - x, (X,))


def test_a_cotangent_that_backward_detaches_is_caught() -> None:
    @nt.function
    class Detached(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return na.sin(x)

        def backward(self, grad: Array) -> tuple[Array]:
            return (nt.stop_gradient(grad) * na.cos(self.ctx.release[0]),)

        def jvp(self, tangent: Array) -> Array:
            return nt.stop_gradient(tangent) * na.cos(self.ctx.release[0])

    check_grads(Detached, (X,), 1)
    for modes in (("rev",), ("fwd",)):
        with pytest.raises(AssertionError, match="is wrong"):
            check_grads(Detached, (X,), 2, modes)


def test_output_that_left_the_graph_as_a_python_number_is_caught() -> None:
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError, match=f"{mode} is wrong"):
            check_grads(lambda x: (x * 2.0, x.sum().item()), (X,), 1, (mode,))
    check_grads(lambda x: {"x": x * 2.0, "constant": 2.5, "complex": 1j, "numpy": np.float32(3)}, (X,))


def test_numbers_of_every_kind_are_arguments() -> None:
    for number in (2.0, np.float64(2.0), np.float32(2.0)):
        check_grads(lambda x, a: a * a * x, (X, number))
    check_grads(lambda z, a: a * a * z * na.conj(z), (X + 1j, 2.0 - 1j))


def test_complex_mistakes_are_caught() -> None:
    @nt.function
    class Conjugated(nt.Policy):  # PyTorch's convention, not ours
        def forward(self, z: Array) -> Array:
            self.ctx.save(z)
            return z * z

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * 2.0 * na.conj(self.ctx.release[0]),)

    z = X + na.asarray([1j, -0.5j, 2j])
    check_grads(lambda z: z * z, (z,))
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError):
            check_grads(Conjugated, (z,), 1, (mode,))


@pytest.mark.parametrize("factor", [1.1, 0.9, -1.0, 0.0])
@pytest.mark.parametrize("dtype", [na.float32, na.complex64])
def test_coarse_mistakes_are_caught_in_single_precision(dtype: na.DType, factor: float) -> None:
    x = X.astype(dtype)
    for wrong in (sine(backward=factor, forward=1.0), sine(forward=factor)):
        with pytest.raises(AssertionError):
            check_grads(wrong, (x,), 1)


def test_random_keys_are_constants() -> None:
    def noisy(x: Array, key: Array) -> Array:
        return x * na.random.normal(key, x.shape, dtype=na.float64)

    check_grads(noisy, (X, na.random.key(0)))


def test_third_order_mistakes_are_caught_at_the_third_order() -> None:
    @nt.function
    class Square(nt.Policy):  # its derivative's derivative is a constant to the tape, though not its value
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return x**3

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * Slope(self.ctx.release[0]),)

    @nt.function
    class Slope(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return 3.0 * x * x

        def backward(self, grad: Array) -> tuple[Array]:
            return (6.0 * grad * nt.stop_gradient(self.ctx.release[0]),)

    check_grads(Square, (X,), 2)
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError, match=rf"\w+ of \w+ of {mode} is wrong"):
            check_grads(Square, (X,), 3, (mode,))


@pytest.mark.parametrize("args", [(na.asarray([1, 2]),), (na.asarray([True]), 3), (na.random.key(0), None, "x"), ()])
def test_nothing_to_differentiate_is_an_error(args: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="no argument is floating or complex"):
        check_grads(lambda *args: X, args)


def test_no_output_to_differentiate_is_an_error() -> None:
    for f in (lambda x: x > 0, lambda x: None, lambda x: (na.argmax(x), 3)):
        with pytest.raises(ValueError, match="returns nothing floating or complex"):
            check_grads(f, (X,))


# --- What else may be the reason ---
def test_a_kink_is_suspected() -> None:
    x = na.asarray([1.0, 0.0, -2.0], dtype=na.float64)
    with pytest.raises(AssertionError, match="is there a kink or a jump at these arguments"):
        check_grads(lambda x: na.maximum(x, 0.0) * 3.0 + na.where(x > 0, x, 0.0), (x,), 1)


def test_values_that_are_nan_beside_the_arguments_are_suspected() -> None:
    with pytest.raises(AssertionError, match="the function is nan or infinite at these arguments or beside them"):
        check_grads(na.log, (na.asarray([1.0, -2.0], dtype=na.float64),), 1)


def test_a_function_that_draws_is_suspected() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match=r"returns other values at each call: .* or a key"):
        check_grads(lambda x: x * rng.normal(), (X,), 1)


# --- Options ---
def test_tolerance_and_seed() -> None:
    check_grads(sine(backward=SLIP), (X,), 1, tolerance=1e-2)
    with pytest.raises(AssertionError):
        check_grads(sine(backward=1.00001), (X,), 1, tolerance=1e-7)
    with pytest.raises(AssertionError):
        check_grads(sine(backward=1 + 3e-7), (X,), 1, tolerance=0.0)
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
