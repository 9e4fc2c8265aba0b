"""custom_root: derivatives by the implicit function theorem, against JAX, closed forms and differences."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, LevelError, LinAlgError, PolicyError, TreeError
from neo_array._levels import RETAINED
from neo_tape import _linear_systems
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.levels import assert_nothing_open

F = Callable[..., Any]
grad: Final[Any] = nt.grad
hessian: Final[Any] = nt.hessian
jacrev: Final[Any] = nt.jacrev


def draw(*shape: int, seed: int = 0) -> Array:
    return na.asarray(np.random.default_rng(seed + len(shape)).normal(size=shape))


def same(got: Any, expected: Any, rtol: float = 1e-9) -> None:
    assert len(na.tree.leaves(got)) == len(na.tree.leaves(expected))
    for x, y in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=1e-10)


def newton(f: F, x: Array) -> Array:
    """Solve for one number, or element by element: in a fixed number of steps, so that it runs under vmap."""
    for _ in range(9):
        value, slope = nt.jvp(f, (x,), (na.ones_like(x),))
        x = x - value / slope
    return x


def cube_root(a: Array) -> Array:
    return nt.custom_root(lambda x: x * x * x - a, na.ones_like(a), newton)


A: Final = na.asarray(np.array([0.5, 2.0, 3.0]))
ONE: Final = na.asarray(np.array(2.0))


# --- Closed forms: the third derivatives of a cube root, by any mixture of modes ---
def pushed(f: F) -> F:
    return lambda a: nt.jvp(f, (a,), (na.ones_like(a),))[1]


def pulled(f: F) -> F:
    return lambda a: nt.vjp(f, a)[1](na.ones_like(a))[0]


def linearized(f: F) -> F:
    return lambda a: nt.linearize(f, a)[1](na.ones_like(a))


def checkpointed_pull(f: F) -> F:
    return pulled(nt.checkpoint(f))


def mapped(f: F) -> F:
    return lambda a: nt.vmap(f)(na.stack([a, a]))[0]


def transposed(f: F) -> F:
    return lambda a: nt.linear_transpose(nt.linearize(f, a)[1], a)(na.ones_like(a))[0]


MODES: Final = (pushed, pulled, linearized, checkpointed_pull, transposed)


@pytest.mark.parametrize("first", MODES)
@pytest.mark.parametrize("second", MODES)
@pytest.mark.parametrize("between", [lambda f: f, mapped, nt.checkpoint])
def test_second_derivatives_in_mixed_modes(first: F, second: F, between: F) -> None:
    raw = np.asarray(A)
    same(first(between(cube_root))(A), raw ** (-2 / 3) / 3)
    same(second(between(first(cube_root)))(A), -2 / 9 * raw ** (-5 / 3))
    assert_nothing_open()


@pytest.mark.parametrize("modes", [(pulled,) * 3, (pushed,) * 3, (pulled, pushed, pulled), (pushed, pulled, pushed)])
def test_third_derivatives(modes: tuple[F, ...]) -> None:
    f: F = cube_root
    for mode in modes:
        f = mode(f)
    same(f(A), 10 / 27 * np.asarray(A) ** (-8 / 3))
    same(nt.vmap(f)(A), 10 / 27 * np.asarray(A) ** (-8 / 3))


# --- JAX: pytrees, closures, a solver for systems ---
def system(xp: Any, p: Any, x: Any) -> Any:
    """Return two equations in two unknowns of different shapes, which have one solution."""
    return {
        "a": x["a"] - 0.3 * xp.tanh(p["w"] @ x["a"] + x["b"] * p["c"]),
        "b": [x["b"] - 0.2 * xp.sin(xp.sum(x["a"] * p["c"]) + p["s"])][0],
    }


def by_iteration(f: F, x: Any) -> Any:
    for _ in range(45):
        r = f(x)
        x = {name: x[name] - r[name] for name in x}
    return x


PARAMS: Final = {"w": np.asarray(draw(3, 3)), "c": np.asarray(draw(3)), "s": np.array(0.7)}
GUESS: Final = {"a": np.zeros(3), "b": np.array(0.0)}


def test_a_system_of_pytrees_is_jax_s(device: str) -> None:
    def loss(xp: Any, root: F, guess: Any, **options: Any) -> F:
        def f(p: Any) -> Any:
            q = {**p, "c": xp.sin(p["c"])}  # an intermediate value is closed over too
            x = root(lambda x: system(xp, q, x), guess, by_iteration, **options)
            return xp.sum(x["a"] ** 3) * x["b"] + xp.sum(p["c"] * x["a"])

        return f

    with jax_in_float64() as jax:
        jnp = jax.numpy

        def dense(g: F, y: Any) -> Any:
            flat, unravel = jax.flatten_util.ravel_pytree(y)
            matrix = jax.jacobian(lambda v: jax.flatten_util.ravel_pytree(g(unravel(v)))[0])(flat)
            return unravel(jnp.linalg.solve(matrix, flat))

        import jax.flatten_util

        ours = loss(na, nt.custom_root, na.tree.tree_map(na.asarray, GUESS))
        theirs = loss(jnp, jax.lax.custom_root, GUESS, tangent_solve=dense)
        p, q = na.tree.tree_map(na.asarray, PARAMS), jax.tree.map(jnp.asarray, PARAMS)
        same(nt.value_and_grad(ours)(p), jax.value_and_grad(theirs)(q))
        same(nt.jvp(ours, (p,), (p,)), jax.jvp(theirs, (q,), (q,)))
        same(hessian(ours)(p), jax.hessian(theirs)(q), rtol=1e-7)
        many = na.tree.tree_map(lambda x: na.stack([x, 0.5 * x]), p)
        same(nt.vmap(grad(ours))(many), jax.vmap(jax.grad(theirs))(jax.tree.map(lambda x: jnp.stack([x, 0.5 * x]), q)))


def test_closures_that_are_batched_and_closures_that_are_not() -> None:
    w = draw(3, 3) * 0.2
    x0 = na.zeros(3, dtype=na.float64)

    def solve(f: F, x: Array) -> Array:
        for _ in range(60):
            x = x - f(x)
        return x

    def root(w: Array, b: Array) -> Array:
        return nt.custom_root(lambda x: x - na.tanh(w @ x + b), x0, solve)

    def unrolled(w: Array, b: Array) -> Array:
        x = x0
        for _ in range(60):
            x = na.tanh(w @ x + b)
        return x

    bs = draw(4, 3)
    for in_axes in ((None, 0), (None, None)):
        args = (w, bs) if in_axes[1] == 0 else (w, bs[0])
        total: F = lambda f, axes: lambda *a: na.sum(na.sin(nt.vmap(f, in_axes=axes, axis_size=4)(*a)))
        ours, expected = total(root, in_axes), total(unrolled, in_axes)
        same(grad(ours, [0, 1])(*args), grad(expected, [0, 1])(*args))
        same(hessian(ours)(*args), hessian(expected)(*args))
        same(nt.jvp(grad(ours), args, args), nt.jvp(grad(expected), args, args))


def test_nested_roots() -> None:
    def outer(a: Array) -> Array:  # y^3 = cbrt(a y), so y^8 = a
        return nt.custom_root(lambda y: y * y * y - cube_root(a * y), 1.2 * na.ones_like(a), newton)

    raw = np.asarray(A)
    same(outer(A), raw ** (1 / 8))
    same(pulled(outer)(A), raw ** (-7 / 8) / 8)
    same(pushed(pulled(outer))(A), -7 / 64 * raw ** (-15 / 8))
    same(nt.vmap(grad(grad(outer)))(A), -7 / 64 * raw ** (-15 / 8))


def test_a_closure_of_an_outer_level_only() -> None:
    def f(a: Array) -> Array:
        inner: Array = grad(lambda b: (b * cube_root(a)).sum())(a)  # the root does not depend on b
        total: Array = (inner * a).sum()
        return total

    same(grad(f)(A), 4 / 3 * np.cbrt(np.asarray(A)))


# --- The linear systems ---
def steady_state(n: int, p: Array, *, tangent_solve: F | None = None) -> Array:
    """Solve x - 0.1 x^3 + 0.3 (its neighbours) = p."""

    def f(x: Array) -> Array:
        return x - 0.1 * x * x * x + 0.15 * (na.roll(x, 1) - 2.0 * na.roll(x, -1)) - p

    def solve(f: F, x: Array) -> Array:
        for _ in range(120):
            x = x - 0.8 * f(x)
        return x

    return nt.custom_root(f, na.zeros(n, dtype=p.dtype), solve, tangent_solve)


@pytest.mark.parametrize("order", [grad, lambda f: grad(lambda p: na.sin(grad(f)(p)).sum())])
def test_gmres_gives_what_the_factorization_gives(order: F, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    p = na.asarray(np.random.default_rng(3).normal(size=60)) * 0.3
    f: F = lambda p: (steady_state(60, p) ** 2).sum()
    expected = order(f)(p), nt.vmap(order(f))(na.stack([p, 0.1 * p, 0.0 * p])), nt.jvp(f, (p,), (p,))
    monkeypatch.setattr(_linear_systems, "DENSE", 0)
    same((order(f)(p), nt.vmap(order(f))(na.stack([p, 0.1 * p, 0.0 * p])), nt.jvp(f, (p,), (p,))), expected)


@pytest.mark.parametrize("dtype", [na.float32, na.float64])
def test_gmres_solves_what_scipy_solves(dtype: Any) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    n = 400
    rng = np.random.default_rng(0)
    matrix = sparse.csr_matrix(rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.02)) + sparse.diags(
        rng.uniform(2, 9, n)
    )
    dense, b = na.asarray(matrix.toarray().astype(dtype)), rng.normal(size=n).astype(dtype)
    root: F = lambda b: nt.custom_root(
        lambda x: dense @ x - b, na.zeros(n, dtype=dtype), lambda f, x: na.linalg.solve(dense, b)
    )
    weights = na.asarray(rng.normal(size=n).astype(dtype))
    expected = sparse.linalg.spsolve(matrix.T.tocsc(), np.asarray(weights, dtype=np.float64))
    got = grad(lambda b: weights @ root(b))(na.asarray(b))
    np.testing.assert_allclose(np.asarray(got), expected, rtol=0, atol=2e-5 if dtype == na.float32 else 1e-12)


def test_tangent_solve_gets_the_jacobian_and_its_transpose() -> None:
    matrix = draw(3, 3) + 4.0 * na.eye(3, dtype=na.float64)
    seen: list[Array] = []

    def tangent_solve(g: F, y: Array) -> Array:
        seen.append(nt.jacfwd(g)(y))
        return na.linalg.solve(seen[-1], y)

    f: F = lambda b: nt.custom_root(
        lambda x: matrix @ x - b, na.zeros(3, dtype=na.float64), lambda f, x: na.linalg.solve(matrix, b), tangent_solve
    )
    b = draw(3)
    same(nt.jvp(f, (b,), (b,))[1], np.linalg.solve(np.asarray(matrix), np.asarray(b)))
    same(nt.vjp(f, b)[1](b)[0], np.linalg.solve(np.asarray(matrix).T, np.asarray(b)))
    same(seen, [np.asarray(matrix), np.asarray(matrix).T])
    same(jacrev(f)(b), np.linalg.inv(np.asarray(matrix)))


def test_half_precision() -> None:
    a = na.asarray(np.array([0.5, 2.0], dtype=np.float16))
    got = grad(lambda a: cube_root(a).sum())(a)
    assert got.dtype == na.float16
    np.testing.assert_allclose(np.asarray(got), np.array([0.5, 2.0]) ** (-2 / 3) / 3, rtol=3e-3)


# --- What is constant ---
def test_the_guess_and_what_the_solver_closes_over_are_constants() -> None:
    def f(a: Array, guess: Array, steps: Array) -> Array:
        return nt.custom_root(lambda x: x * x - a, guess, lambda f, x: x - 0.25 * f(x) * steps + na.sin(x) * 0.0).sum()

    four = na.asarray(np.array(4.0))
    found = grad(f, [0, 1, 2])(four, na.asarray(np.array(2.0)), na.asarray(np.array(1.0)))
    same(found, [0.25, 0.0, 0.0])


def test_no_steps_are_kept(device: str) -> None:
    n = 20_000
    a = na.asarray(np.full(n, 2.0))

    def root(a: Array, steps: int) -> Array:
        def solve(f: F, x: Array) -> Array:
            for _ in range(steps):
                x = x - 0.1 * f(x)
            return x

        return nt.custom_root(lambda x: x * x * x - a, na.full(n, 1.2, dtype=na.float64), solve)

    def entries(steps: int) -> int:
        gc.collect()
        kept = nt.vjp(lambda a: root(a, steps), a)
        levels: list[Any] = [ref() for ref in tuple(RETAINED)]
        del kept
        return sum([len(level.entries) for level in levels])

    few, many = entries(3), entries(60)
    assert few == many
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = nt.vjp(lambda a: root(a, 60), a)
        assert tracemalloc.get_traced_memory()[0] - before < 8 * n * 8
        del kept
    finally:
        tracemalloc.stop()


def test_f_runs_without_a_level_and_its_values_may_be_read() -> None:
    reads: list[float] = []

    def solve(f: F, x: Array) -> Array:
        while abs(float(f(x))) > 1e-13:
            reads.append(float(x))
            x = x - f(x) / (2.0 * x)
        return x

    f: F = lambda a: nt.custom_root(lambda x: x * x - a if a > 1.0 else x - a, ONE, solve)
    same(hessian(f)(ONE), -0.25 * 2.0**-1.5)
    assert reads


# --- Errors ---
def root_of(f: F, x: Any, solve: F = lambda f, x: x, tangent_solve: Any = None) -> Any:
    return nt.custom_root(f, x, solve, tangent_solve)


X: Final = na.asarray(np.array([1.0, 2.0]))
ERRORS: Final[dict[str, tuple[Any, F, str]]] = {
    "integer unknowns": (DTypeError, lambda: root_of(lambda x: x, na.asarray([1])), "unknown has dtype int64.*real"),
    "integer leaf": (DTypeError, lambda: root_of(lambda x: x, {"a": X, "n": 3}), "unknown at 'n' has type int"),
    "complex": (DTypeError, lambda: root_of(lambda x: x, X.astype(na.complex128)), "complex128.*split"),
    "no function": (DTypeError, lambda: root_of(X, X), "f must be a function, got Array"),  # type: ignore[arg-type]
    "no solver": (DTypeError, lambda: root_of(lambda x: x, X, X), "solve must be a function"),  # type: ignore[arg-type]
    "solver of": (DTypeError, lambda: root_of(lambda x: x, X, tangent_solve=1), "tangent_solve must be a function"),
    "structure of solve": (TreeError, lambda: root_of(lambda x: x, X, lambda f, x: (x, x)), "solve must return"),
    "shape of solve": (DTypeError, lambda: root_of(lambda x: x, X, lambda f, x: x[0]), r"solve must return.*\(2,\)"),
    "dtype of solve": (
        DTypeError,
        lambda: root_of(lambda x: x, X, lambda f, x: x.astype(na.float32)),
        "solve must return .* float64.* float32",
    ),
    "structure of f": (TreeError, lambda: root_of(lambda x: [x], X), "f must return the structure"),
    "fewer equations": (DTypeError, lambda: root_of(lambda x: x.sum(), X), "f must return what looks like"),
    "called with": (DTypeError, lambda: root_of(lambda x: x, X, lambda f, x: f(x[0])), "f must be called with"),
    "singular": (
        LinAlgError,
        lambda: grad(lambda a: root_of(lambda x: (x - a).sum() * na.ones_like(x), X).sum())(X),
        "custom_root: the Jacobian of f at the solution is singular",
    ),
    "nearly singular": (
        LinAlgError,
        lambda: grad(lambda a: root_of(lambda x: na.asarray(np.array([[0.1, 0.3], [0.3, 0.9]])) @ x - a, X).sum())(X),
        "singular",
    ),
    "no unknown in it": (LinAlgError, lambda: grad(lambda a: root_of(lambda x: a, X).sum())(X), "singular"),
    "under vmap": (LevelError, lambda: nt.vmap(lambda a: root_of(lambda x: x - a, X[0], branching))(X), "where"),
    "what solve gives back": (
        TreeError,
        lambda: grad(lambda a: root_of(lambda x: x - a, X, tangent_solve=lambda g, y: [y]).sum())(X),
        "tangent_solve must return",
    ),
}


def branching(f: F, x: Array) -> Array:
    return x if f(x) > 0 else f(x)


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    kind, call, message = ERRORS[case]
    with pytest.raises(kind, match=f"(?s){message}"):
        call()
    assert_nothing_open(nothing_retained=False)


def test_gmres_says_that_it_found_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_linear_systems, "DENSE", 0)
    with pytest.raises(LinAlgError, match=r"GMRES found no solution .*\(2 unknowns\).*tangent_solve"):
        grad(lambda a: root_of(lambda x: (x - a).sum() * na.ones_like(x) + 0.0 * a, X)[0])(X)


def test_nan_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (256, 0):
        monkeypatch.setattr(_linear_systems, "DENSE", size)
        _, pullback = nt.vjp(cube_root, A)
        assert np.isnan(np.asarray(pullback(na.asarray(np.array([1.0, np.nan, 0.0])))[0])).any()


def test_a_closure_that_a_policy_would_lose_is_refused() -> None:
    @nt.function
    class Hides(nt.Policy):
        def forward(self, a: Array) -> Array:
            return nt.custom_root(lambda x: x - a * A, A, lambda f, x: x - f(x))

        def backward(self, g: Array) -> tuple[Array]:
            return (g,)

    same(grad(lambda a: Hides(a).sum())(A), np.ones(3))

    def lost(b: Array) -> Array:
        @nt.function
        class Loses(nt.Policy):
            def forward(self, a: Array) -> Array:
                return nt.custom_root(lambda x: x - a * b, A, lambda f, x: x - f(x))

            def backward(self, g: Array) -> tuple[Array]:
                return (g,)

        out: Array = Loses(A).sum()
        return out

    with pytest.raises(PolicyError, match="not an argument"):
        grad(lost)(A)


def test_a_program_solves_again_for_other_values() -> None:
    program = nt.trace(grad(lambda a: cube_root(a * a).sum()))(A)
    other = na.asarray(np.array([1.5, 2.5, 0.7]))
    same(program.eval(other), 2 / 3 * np.asarray(other) ** (-1 / 3))
    same(pulled(program.eval)(other), -2 / 9 * np.asarray(other) ** (-4 / 3))
    same(nt.vmap(program.eval)(na.stack([A, other])), 2 / 3 * np.stack([A, other]) ** (-1 / 3))


def closing_solver(a: Array) -> Array:
    return nt.custom_root(lambda x: x * x - a, ONE, lambda f, x: na.sqrt(a))


def branching_f(a: Array) -> Array:
    return nt.custom_root(lambda x: x * x - a if bool(a > 1.0) else x - a, ONE, newton)


@pytest.mark.parametrize("f", [closing_solver, branching_f])
def test_what_depends_on_values_by_stealth_runs_again_for_these_values_only(f: F) -> None:
    same(grad(nt.checkpoint(f))(ONE), 0.5 / np.sqrt(2.0))
    same(nt.linearize(grad(f), ONE)[1](ONE), -0.5 * 2.0**-1.5)
    program = nt.trace(f)(ONE)
    same(program.eval(ONE), np.sqrt(2.0))
    with pytest.raises((LevelError, nt.GuardError)):
        program.eval(ONE * 0.25)


def test_an_empty_unknown() -> None:
    empty = na.zeros((0, 2), dtype=na.float64)
    f: F = lambda a: nt.custom_root(lambda x: {"x": x["x"] * a, "none": None}, {"x": empty, "none": None}, by)
    assert f(ONE)["none"] is None
    same(grad(lambda a: f(a)["x"].sum())(ONE), 0.0)


def by(f: F, x: Any) -> Any:
    return f(x)
