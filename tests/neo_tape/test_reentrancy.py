"""Python around and between the ops: generators, recursion, and transforms called from inside a backward."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError
from tests.neo_tape.levels import assert_nothing_open
from tests.neo_tape.transforms import GRADIENTS, F, Gradient

every = pytest.mark.parametrize("gradient", GRADIENTS.values(), ids=GRADIENTS)


def vector(*values: float) -> Array:
    return na.asarray(np.array(values, np.float64))


X: Final = vector(1.0, 2.0, 3.0)
Y: Final = vector(4.0, 5.0, 6.0)


# --- Generators: their body runs under the levels of whoever asks for the next value ---
def powers(x: Array) -> Generator[Array, None, None]:
    y = x
    while True:
        yield y
        y = y * x


@pytest.mark.parametrize(
    "inner", ["grad", "value_and_grad", "vjp", "jacrev", "hessian", "grad of checkpoint", "linear_transpose"]
)
@pytest.mark.parametrize("outer", ["grad", "vjp", "jvp", "linearize", "jacrev", "jacfwd", "grad of checkpoint"])
def test_generator_of_an_outer_level_runs_on_inside_an_inner_one(outer: str, inner: str) -> None:
    def f(x: Array) -> Array:
        terms = powers(x)
        first = next(terms)
        (found,) = GRADIENTS[inner](lambda y: (y * next(terms)).sum(), x.sum() * Y)  # x**2 at any y
        total: Array = (first * found + next(terms) / x**2).sum()  # x**3 and x
        return total

    assert_close(GRADIENTS[outer](f, X), ([4.0, 13.0, 28.0],))


def assert_close(got: Any, expected: Any) -> None:
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g.numpy(), e, rtol=1e-13)


def test_generator_of_a_finished_level_goes_on_with_constants() -> None:
    kept: list[Generator[Array, None, None]] = []

    def f(x: Array) -> Array:
        kept.append(powers(x))
        return (x * next(kept[-1])).sum()

    assert nt.grad(f)(X).numpy().tolist() == [2.0, 4.0, 6.0]
    nt.jvp(f, (X,), (X,))
    for terms in kept:
        assert next(terms).numpy().tolist() == [1.0, 4.0, 9.0]
        assert nt.grad(lambda y, terms=terms: (y * next(terms)).sum())(X).numpy().tolist() == [1.0, 8.0, 27.0]
        terms.close()
    assert_nothing_open()


@pytest.mark.parametrize(
    "outer", ["grad", "jvp", "linearize", "jacrev", "jacfwd", "grad of checkpoint", "vmap of grad"]
)
@pytest.mark.parametrize("end", ["close", "throw", "drop", "exhaust"])
def test_generator_that_differentiates_may_stop_anywhere(outer: str, end: str) -> None:
    """Its own levels are open only while it computes a value, and its last words may differentiate too."""
    said: list[Array] = []

    def gradients(x: Array) -> Generator[Array, None, None]:
        try:
            for k in range(1, 4):
                yield nt.grad(lambda y, k=k: (x * y**k).sum())(x)  # k x**k
        finally:
            said.append(nt.grad(lambda y: (x * y * y).sum())(x))  # 2 x**2

    def f(x: Array) -> Array:
        one, other = gradients(x), gradients(2.0 * x)
        total = next(one) + next(other)  # x and 2 x
        within = nt.jvp(lambda y: y * next(other), (x,), (x,))[1]  # x 2 (2 x)**2
        if end == "throw":
            with pytest.raises(ZeroDivisionError):
                nt.grad(lambda y: one.throw(ZeroDivisionError))(x)
        elif end == "close":
            nt.grad(lambda y: closing(one, y))(x)
        elif end == "exhaust":
            assert len(list(one)) == 2
        else:
            del one
        other.close()
        return (total + within + said[-2]).sum()

    assert_close(GRADIENTS[outer](f, X), (3.0 + 24.0 * X.numpy() ** 2 + 4.0 * X.numpy(),))
    assert_nothing_open()


def closing(generator: Generator[Array, None, None], y: Array) -> Array:
    generator.close()
    return (y * y).sum()


def keep(x: Any, into: list[Any]) -> Any:
    into.append(x)
    return x


def test_generator_function_and_coroutine_function_are_no_functions_of_arrays() -> None:
    async def coroutine(x: Array) -> Array:
        return x.sum()

    made: list[Any] = []
    functions: list[tuple[F, str]] = [(powers, "generator"), (coroutine, "coroutine")]
    for f, kind in functions:
        g: Any = lambda x, f=f: keep(f(x), made)
        with pytest.raises(DTypeError, match=f"scalar Array, got {kind}"):
            nt.grad(g)(X)
        with pytest.raises(DTypeError, match=f"floating Arrays, but its output has type {kind}"):
            nt.jacrev(g)(X)
    for each in made:
        each.close()


# --- Recursion ---
def nth(f: F, n: int) -> F:
    return f if n == 0 else nth(lambda x: nt.grad(f)(x) if n % 2 else nt.jvp(f, (x,), (na.ones_like(x),))[1], n - 1)


def test_derivative_by_recursion() -> None:
    x = vector(0.7)[0]
    for n in range(8):
        assert nth(na.sin, n)(x).item() == pytest.approx(np.sin(0.7 + n * np.pi / 2), rel=1e-12)


def test_function_that_differentiates_itself() -> None:
    """f(x, n) = x d/dx f(x, n - 1), with f(x, 0) = x**3: 3**n x**3."""

    def f(x: Array, n: int) -> Array:
        if n == 0:
            return x * x * x
        result: Array = x * nt.grad(lambda y: f(y, n - 1))(x)
        return result

    assert f(vector(2.0)[0], 4).item() == 81 * 8
    assert nt.grad(lambda x: f(x, 4))(vector(2.0)[0]).item() == 81 * 12
    assert nt.vmap(lambda x: f(x, 3))(X).numpy().tolist() == [27.0, 27 * 8.0, 27 * 27.0]


@pytest.mark.parametrize("name", ["grad", "vjp", "jacrev", "grad of checkpoint"])
def test_recursion_without_end_closes_all_levels(name: str) -> None:
    def f(x: Array) -> Array:
        found: Array = GRADIENTS[name](f, x)[0].sum()
        return found

    with pytest.raises(RecursionError):
        GRADIENTS[name](f, X)
    assert_nothing_open()
    assert nt.grad(lambda x: (x * x).sum())(X).numpy().tolist() == [2.0, 4.0, 6.0]


# --- A backward that differentiates ---
def cubed_by(gradient: Gradient) -> Any:
    """Return a Policy for x**3 whose backward has the factor 3 x**2 from a transform."""

    @nt.function
    class Cube(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return x * x * x

        def backward(self, grad: Array) -> tuple[Array]:
            (x,) = self.ctx.release
            return (grad * gradient(lambda y: (y * y * y).sum(), x)[0],)

    return Cube


@every
def test_backward_that_calls_a_transform(gradient: Gradient) -> None:
    cube = cubed_by(gradient)
    f = lambda x: cube(x * 1.0).sum()
    assert_close((nt.grad(f)(X),), (3 * X.numpy() ** 2,))
    assert_close(nt.vjp(cube, X)[1](Y), (3 * X.numpy() ** 2 * Y.numpy(),))
    assert_close((nt.hvp(f, X, Y),), (6 * X.numpy() * Y.numpy(),))
    assert_close((nt.grad(lambda x: nt.grad(f)(x).sum())(X),), (6 * X.numpy(),))
    assert_close((nt.vmap(nt.grad(lambda x: cube(x)))(X),), (3 * X.numpy() ** 2,))
    assert_close((nt.jvp(cube, (X,), (Y,))[1],), (3 * X.numpy() ** 2 * Y.numpy(),))
    assert_close((nt.grad(nt.checkpoint(f))(X),), (3 * X.numpy() ** 2,))


def test_backward_that_calls_a_backward_that_calls_a_backward() -> None:
    inner = cubed_by(GRADIENTS["grad"])
    middle = cubed_by(lambda f, x: GRADIENTS["vjp"](lambda y: inner(y).sum(), x))
    outer = cubed_by(lambda f, x: GRADIENTS["jacrev"](lambda y: middle(y).sum(), x))
    assert_close((nt.grad(lambda x: outer(x).sum())(X),), (3 * X.numpy() ** 2,))
    assert_close((nt.hvp(lambda x: outer(x).sum(), X, Y),), (6 * X.numpy() * Y.numpy(),))


def test_pullback_that_is_called_again_while_it_runs() -> None:
    """Its backward calls the very pullback that runs it, once."""
    depth: list[int] = []
    pullbacks: list[Callable[[Array], tuple[Array]]] = []

    @nt.function
    class Again(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            if len(depth) > 2:
                return (grad * 2.0,)
            depth.append(len(depth))
            return (grad * 2.0 + 0.0 * pullbacks[0](grad)[0],)

    _, pullback = nt.vjp(lambda x: Again(x * x) * 3.0, X)
    pullbacks.append(pullback)
    assert pullback(na.ones_like(X))[0].numpy().tolist() == (12.0 * X.numpy()).tolist()
    assert depth == [0, 1, 2]


def test_policy_that_calls_itself() -> None:
    @nt.function
    class Power(nt.Policy[Array, int]):
        def forward(self, x: Array, *, n: int) -> Array:
            self.ctx.save(x, n)
            out: Array = x if n == 1 else x * Power(x, n=n - 1)
            return out

        def backward(self, grad: Array) -> tuple[Array]:
            x, n = self.ctx.release
            rest = Power(x, n=n - 1) if n > 1 else na.ones_like(x)
            return (grad * float(n) * rest,)

    f = lambda x: Power(x, n=5).sum()
    assert_close((nt.grad(f)(X),), (5 * X.numpy() ** 4,))
    assert_close((nt.hvp(f, X, Y),), (20 * X.numpy() ** 3 * Y.numpy(),))
    assert_close((nt.vmap(nt.grad(lambda x: Power(x, n=5)))(X),), (5 * X.numpy() ** 4,))


def test_backward_that_raises_midway_in_a_derivative_of_its_own() -> None:
    def fails(y: Array) -> Array:
        (y * y).sum()
        raise ZeroDivisionError

    for name in ("grad", "jvp", "linearize", "vmap of grad", "grad of checkpoint"):
        cube = cubed_by(lambda f, x, name=name: GRADIENTS[name](fails, x))
        with pytest.raises(ZeroDivisionError):
            nt.grad(lambda x, cube=cube: cube(x).sum())(X)
        assert_nothing_open(nothing_retained=False)  # the traceback holds a pushforward
