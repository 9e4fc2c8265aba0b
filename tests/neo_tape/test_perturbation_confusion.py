"""Nested derivatives must not confuse their perturbations: every nesting of reverse and forward mode to depth 4.

Each level introduces one variable, and the innermost function closes over all of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.transforms import GRADIENTS

NESTINGS: Final = [modes for depth in (1, 2, 3, 4) for modes in itertools.product(("grad", "jvp"), repeat=depth)]
POINTS: Final = (0.7, -1.3, 0.4, 1.9)

every_nesting = pytest.mark.parametrize("modes", NESTINGS, ids="-".join)


# --- Functions of all variables around, and of what lies further in ---
def product(xp: Any, variables: Sequence[Any], inner: Any) -> Any:
    """The classic one: the innermost level multiplies everything."""
    total = inner
    for x in variables:
        total = total * x
    return total * variables[-1]


def waves(xp: Any, variables: Sequence[Any], inner: Any) -> Any:
    phase = sum((k + 1) * x for k, x in enumerate(variables))
    return xp.sin(phase) * xp.exp(variables[-1] * variables[0]) + inner * variables[-1]


def constant_in_its_own_variable(xp: Any, variables: Sequence[Any], inner: Any) -> Any:
    """Inner derivatives are zero, and must be exactly that, while outer variables vary."""
    rest = variables[:-1] or variables
    return inner + sum(xp.tanh(x) * x for x in rest)


def quotient(xp: Any, variables: Sequence[Any], inner: Any) -> Any:
    return (variables[0] - inner * variables[-1]) / (2 + variables[-1] * variables[-1])


FUNCTIONS: Final = (product, waves, constant_in_its_own_variable, quotient)


def nest(
    derivative: Callable[[str, Callable[[Any], Any], Any], Any],
    modes: Sequence[str],
    f: Callable[[Any, Sequence[Any], Any], Any],
    xp: Any,
    points: Sequence[Any],
    variables: tuple[Any, ...] = (),
) -> Any:
    """Differentiate at one level after the other; a level's point depends on the variable of the level around it."""
    level = len(variables)
    if level == len(modes):
        return points[level - 1] * 0.0 + 1.0
    point = points[level] + (0.5 * variables[-1] if variables else 0.0)

    def function(x: Any) -> Any:
        seen = (*variables, x)
        return f(xp, seen, nest(derivative, modes, f, xp, points, seen))

    return derivative(modes[level], function, point)


def neo_derivative(mode: str, f: Callable[[Array], Array], x: Array) -> Array:
    return nt.grad(f)(x) if mode == "grad" else nt.jvp(f, (x,), (na.ones_like(x),))[1]


@every_nesting
@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_nesting_agrees_with_jax(modes: tuple[str, ...], f: Callable[..., Any]) -> None:
    points = [na.asarray(p, dtype=na.float64) for p in POINTS]
    got = nest(neo_derivative, modes, f, na, points).item()
    with jax_in_float64() as jax:

        def derivative(mode: str, g: Callable[[Any], Any], x: Any) -> Any:
            return jax.grad(g)(x) if mode == "grad" else jax.jvp(g, (x,), (jax.numpy.ones_like(x),))[1]

        expected = float(nest(derivative, modes, f, jax.numpy, [jax.numpy.asarray(p) for p in POINTS]))
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-12)


@every_nesting
def test_derivatives_of_a_product_are_counted_once_each(modes: tuple[str, ...]) -> None:
    """The derivative of x1**1 * x2**2 * ... by each variable once is the product of the factorials of 1 to depth."""

    def inner(variables: tuple[Array, ...]) -> Array:
        if len(variables) < len(modes):
            return neo_derivative(modes[len(variables)], lambda x: inner((*variables, x)), na.asarray(1.0))
        total = na.asarray(1.0)
        for k, x in enumerate(variables):
            total = total * x ** (k + 1)
        return total

    assert inner(()).item() == math.factorial(len(modes))


@pytest.mark.parametrize("outer", ["grad", "jvp"])
@pytest.mark.parametrize("within", ["grad", "jvp"])
def test_inner_derivative_does_not_see_the_outer_variable(outer: str, within: str) -> None:
    """d/dx x * (d/dy (x + y)) is 1; a confused system says 2 (Siskind and Pearlmutter 2005)."""
    f = lambda x: x * neo_derivative(within, lambda y: x + y, na.asarray(1.0))
    assert neo_derivative(outer, f, na.asarray(1.0)).item() == 1.0


@pytest.mark.parametrize("within", ["grad", "jvp"])
@pytest.mark.parametrize("outer", ["grad", "jvp"])
def test_same_array_inside_and_outside_is_two_variables(outer: str, within: str) -> None:
    """The inner derivative is taken at the outer variable itself, which the function also closes over."""
    x0 = na.asarray(3.0)
    f = lambda x: neo_derivative(within, lambda y: x * x * y, x)  # x**2 at any y
    assert neo_derivative(outer, f, x0).item() == 6.0
    g = lambda x: neo_derivative(within, lambda y: x * y * y, x)  # 2 x**2 at y = x
    assert neo_derivative(outer, g, x0).item() == 12.0


@pytest.mark.parametrize("mode", ["grad", "jvp"])
def test_closure_over_the_differentiated_array_is_a_constant(mode: str) -> None:
    x = na.asarray(3.0)
    assert neo_derivative(mode, lambda y: x * y, x).item() == 3.0


def test_pullback_made_outside_is_differentiated_inside() -> None:
    """The pullback of x*x at 3 is linear: g -> 6 g; so its own derivative is 6, in both modes."""
    _, pullback = nt.vjp(lambda x: x * x, na.asarray(3.0))
    for mode in ("grad", "jvp"):
        assert neo_derivative(mode, lambda g: pullback(g)[0], na.asarray(5.0)).item() == 6.0


@pytest.mark.parametrize("mode", ["grad", "jvp"])
def test_pullback_is_differentiated_by_an_outer_variable(mode: str) -> None:
    def f(x: Array) -> Array:
        _, pullback = nt.vjp(lambda y: x * y * y, x)
        return pullback(x)[0]  # 2 x y g at y = x, g = x: 2 x**3

    assert neo_derivative(mode, f, na.asarray(2.0)).item() == 24.0


# --- The same by all transforms ---
DERIVATIVES: Final = ("grad", "jvp", "vjp", "linearize", "jacrev", "jacfwd", "hvp", "hessian", "linear_transpose")
WRAPPED: Final = ("grad of checkpoint", "checkpoint of grad", "jacfwd of checkpoint", "vmap of grad", "grad of vmap")


def derivative_by(name: str, f: Callable[[Array], Array], x: Array) -> Array:
    found: Array = GRADIENTS[name](f, x)[0]
    return found


@pytest.mark.parametrize("outer", [*DERIVATIVES, *WRAPPED])
def test_every_transform_inside_every_other_counts_each_variable_once(outer: str) -> None:
    """d/dx x d/dy (x y + x**2 y**2) at y = x: the derivative of x**2 + 2 x**4."""
    x = na.asarray(np.array(1.5))
    for inner in (*DERIVATIVES, *WRAPPED):
        f = lambda x, inner=inner: x * derivative_by(inner, lambda y: x * y + x * x * y * y, x)
        assert derivative_by(outer, f, x).item() == pytest.approx(2 * 1.5 + 8 * 1.5**3, rel=1e-13), inner


@pytest.mark.parametrize("outermost", ["grad", "linearize", "jacfwd", "hvp", "grad of checkpoint", "vmap of grad"])
def test_three_transforms_inside_one_another(outermost: str) -> None:
    """d/dx x d/dy y d/dz (x y z + z**2 y x) at z = y and y = x: the derivative of 2 x**3 + 6 x**4."""
    x = na.asarray(np.array(0.5))
    some = ("grad", "linearize", "jacrev", "hessian", "linear_transpose", "grad of checkpoint", "grad of vmap")
    for middle, inner in itertools.product(some, repeat=2):

        def f(x: Array, middle: str = middle, inner: str = inner) -> Array:
            def g(y: Array) -> Array:
                return y * derivative_by(inner, lambda z: x * y * z + z * z * y * x, y)

            return x * derivative_by(middle, g, x)

        # g(y) = y (x y + 2 x y**2), so that f(x) = x (2 x**2 + 6 x**3)
        expected = 6 * 0.5**2 + 24 * 0.5**3
        assert derivative_by(outermost, f, x).item() == pytest.approx(expected, rel=1e-12), (middle, inner)
