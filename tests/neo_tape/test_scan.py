"""scan and fori_loop: values and derivatives are those of JAX's, and of a Python loop; the graph does not grow."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, LevelError, PolicyError, ShapeError, TreeError
from neo_array._levels import RETAINED
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.levels import assert_nothing_open

F = Callable[..., Any]
grad: Final[Any] = nt.grad
scan: Final[Any] = nt.scan


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed + len(shape)).normal(size=shape)


def on(make: F, args: Any) -> Any:
    return na.tree.tree_map(make, args)


def same(got: Any, expected: Any, rtol: float = 1e-10) -> None:
    assert len(na.tree.leaves(got)) == len(na.tree.leaves(expected))
    for x, y in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=1e-12)


def python_loop(f: F, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False) -> Any:
    """Do what scan does, for the levels to follow step by step: the oracle where JAX has none."""
    count = na.tree.leaves(xs)[0].shape[0] if length is None else length
    carry, ys = init, []
    for i in reversed(range(count)) if reverse else range(count):
        carry, y = f(carry, na.tree.tree_map(lambda x: x[i], xs))  # noqa: B023
        ys.append(y)
    ys = ys[::-1] if reverse else ys
    return carry, na.tree.unflatten(na.tree.structure(ys[0]), map(na.stack, zip(*map(na.tree.leaves, ys), strict=True)))


# --- Functions of arrays with a loop in them ---
def recurrent(xp: Any, scan: F, w: Any, h: Any, xs: Any) -> Any:
    b = xp.sin(w[0])  # closed over, an argument and an intermediate value
    last, ys = scan(lambda h, x: (xp.tanh(w @ h + b * x),) * 2, h, xs)
    return xp.sum(last * last) + xp.sum(ys**3)


def pytrees(xp: Any, scan: F, w: Any, h: Any, xs: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        new = {"h": xp.tanh(w @ c["h"]) * x["a"], "t": c["t"] * 1.1 + xp.sum(c["h"]), "none": None}
        return new, (xp.cos(new["t"]), {"none": None, "s": x["b"] * c["t"]})

    init = {"h": h, "t": xp.sum(h) * 0.1, "none": None}
    last, (y, rest) = scan(step, init, {"a": xs, "b": xs[:, 0], "none": None})
    return xp.sum(last["h"]) * last["t"] + xp.sum(y * rest["s"])


def backwards(xp: Any, scan: F, w: Any, h: Any, xs: Any) -> Any:
    last, ys = scan(lambda h, x: (xp.sin(w @ h) * x, h * x), h, xs, reverse=True)
    return xp.sum(last) + xp.sum(ys[0] * 2.0 + ys[3])


def only_carry(xp: Any, scan: F, w: Any, h: Any, xs: Any) -> Any:
    return xp.sum(scan(lambda h, _: (xp.tanh(w @ h), None), h, None, length=6)[0] ** 2)


def only_ys(xp: Any, scan: F, w: Any, h: Any, xs: Any) -> Any:
    return xp.sum(scan(lambda c, x: (c, xp.exp(x * h)), None, xs)[1] * w[0])


def integers(xp: Any, scan: F, w: Any, h: Any, xs: Any) -> Any:
    step: F = lambda c, x: ((c[0] + 1, xp.tanh(c[1] * x) * c[0]), c[0] * 2)
    (n, last), ys = scan(step, (xp.asarray(2), h), xs)
    return xp.sum(last) * n + xp.sum(ys)


def nested(xp: Any, scan: F, w: Any, h: Any, xs: Any) -> Any:
    def outer(c: Any, x: Any) -> Any:
        inner, ys = scan(lambda d, z: (xp.tanh(w @ d) * z + c * 0.1, xp.sum(d)), c, xs[:3] * x)
        return inner, ys

    last, ys = scan(outer, h, xs)
    return xp.sum(last) + xp.sum(xp.sin(ys))


def unused(xp: Any, scan: F, w: Any, h: Any, xs: Any) -> Any:
    last, _ = scan(lambda c, x: ((c[0] * 2.0, c[1] + xp.sum(x)), x), (h, 0.0 * xp.sum(h)), xs)
    return last[1] * xp.sum(h)


CASES: Final[dict[str, F]] = {
    f.__name__: f for f in (recurrent, pytrees, backwards, only_carry, only_ys, integers, nested, unused)
}
ARGS: Final = (draw(3, 3) * 0.5, draw(3), draw(5, 3))


def total_of(f: F, grad: F, xp: Any) -> F:
    return lambda *a: sum(xp.sum(xp.sin(g)) for g in grad(f, (0, 1, 2))(*a))


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_are_jax_s(case: str) -> None:
    with jax_in_float64() as jax:
        jnp = jax.numpy
        ours: F = lambda *a: CASES[case](na, scan, *a)
        theirs: F = lambda *a: CASES[case](jnp, jax.lax.scan, *a)
        args, given = on(na.asarray, ARGS), on(jnp.asarray, ARGS)
        same(nt.value_and_grad(ours, (0, 1, 2))(*args), jax.value_and_grad(theirs, (0, 1, 2))(*given))
        same(nt.jvp(ours, args, args), jax.jvp(theirs, given, given))
        second = grad(total_of(ours, grad, na), (0, 1, 2))(*args)
        same(second, jax.grad(total_of(theirs, jax.grad, jnp), (0, 1, 2))(*given))
    assert_nothing_open()


def transforms(f: F) -> dict[str, F]:
    """Return what is made of a function of three arrays, by name."""
    wrt = (0, 1, 2)
    total = total_of(f, grad, na)
    spread: F = lambda f: lambda *a: na.sum(nt.vmap(f, in_axes=(None, 0, 1))(*a))
    many: F = lambda f: lambda w, h, xs: f(w, na.stack([h, na.cos(h)]), na.stack([xs, xs * xs], axis=1))
    return {
        "forward over reverse": lambda *a: nt.jvp(grad(f, wrt), a, a),
        "reverse over forward": lambda *a: grad(lambda *b: nt.jvp(f, b, a)[1], wrt)(*a),
        "forward over forward": lambda *a: nt.jvp(lambda *b: nt.jvp(f, b, a)[1], a, a),
        "vmap of grad": many(nt.vmap(grad(f, wrt), in_axes=(None, 0, 1))),
        "grad of vmap": many(grad(spread(f), wrt)),
        "grad of vmap of grad": many(grad(spread(total), wrt)),
        "vmap of jvp of grad": many(
            nt.vmap(lambda *a: nt.jvp(grad(f, wrt), a, a)[1], in_axes=(None, 0, 1)),
        ),
        "vmap of vmap": lambda w, h, xs: nt.vmap(nt.vmap(grad(f), (None, 0, None)), (0, None, None))(
            na.stack([w, -w]), na.stack([h, na.cos(h)]), xs
        ),
        "checkpoint": lambda *a: grad(nt.checkpoint(f), wrt)(*a),
        "grad of checkpoint of grad": lambda *a: grad(nt.checkpoint(total), wrt)(*a),
        "linearize": lambda *a: nt.linearize(f, *a)[1](*a),
        "transposed": lambda *a: nt.linear_transpose(nt.linearize(f, *a)[1], *a)(na.asarray(np.array(1.0))),
        "grad of transposed": grad(
            lambda *a: na.sum(nt.linear_transpose(nt.linearize(f, *a)[1], *a)(na.asarray(np.array(1.0)))[0]), wrt
        ),
        "program": lambda *a: nt.trace(f)(*on(na.sin, a)).eval(*a),
        "grad of a program": lambda *a: grad(nt.trace(f)(*on(na.sin, a)).eval, wrt)(*a),
        "program of a grad": lambda *a: nt.trace(grad(f, wrt))(*on(na.sin, a)).eval(*a),
        "vmap of a program of a grad": many(
            lambda w, h, xs: nt.vmap(nt.trace(grad(f, wrt))(w, h[0], xs[:, 0]).eval, in_axes=(None, 0, 1))(w, h, xs)
        ),
    }


NESTINGS: Final = tuple(transforms(lambda *a: a[0]))


@pytest.mark.parametrize("nesting", NESTINGS)
def test_nestings_agree_with_a_python_loop(nesting: str, device: str) -> None:
    args = on(na.asarray, ARGS)
    for case in ("recurrent", "pytrees", "backwards") if nesting != "grad of transposed" else ("recurrent",):
        ours, plain = (transforms(lambda *a, s=s: CASES[case](na, s, *a))[nesting] for s in (scan, python_loop))  # noqa: B023
        same(ours(*args), plain(*args))
    assert_nothing_open()


# --- The size of the graph ---
def chain(n: int) -> F:
    return lambda h: na.sum(scan(lambda h, _: (na.sin(h) * 1.01, None), h, None, n)[0])


def entries(f: F, *args: Any) -> int:
    """Count what the tape of a pullback holds."""
    gc.collect()
    before = set(RETAINED)
    _, pullback = nt.vjp(f, *args)
    levels: list[Any] = [ref() for ref in set(RETAINED) - before]
    found = sum(len(level.entries) for level in levels if type(level) is nt._tape.Tape)
    del pullback
    return found


def test_the_graph_does_not_grow_with_the_steps() -> None:
    h = na.asarray(draw(4))
    for transform in (lambda f: f, grad, nt.checkpoint):
        sizes = {n: entries(lambda h, n=n, t=transform: na.sum(t(chain(n))(h)), h) for n in (10, 1000)}
        assert sizes[10] == sizes[1000] > 0
        programs = [len(nt.trace(transform(chain(n)))(h).equations) for n in (10, 1000)]
        assert programs[0] == programs[1] > 0


def test_memory_holds_the_carries_and_not_what_is_inside_a_step() -> None:
    h = na.asarray(np.ones(10_000))

    def wide(h: Array, x: None) -> tuple[Array, None]:
        for _ in range(10):
            h = na.sin(h) * na.cos(h)
        return h, None

    def held(n: int) -> float:
        """Return the memory that reverse mode holds, in arrays like h."""
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            kept = nt.vjp(lambda h: scan(wide, h, None, n)[0], h)
            gc.collect()
            found: float = (tracemalloc.get_traced_memory()[0] - before) / np.asarray(h).nbytes
            del kept
            return found
        finally:
            tracemalloc.stop()

    held(2)
    assert held(50) < 50 + 8  # 1,000 with a Python loop


# --- Meaning ---
def test_random_numbers_differ_by_step(device: str) -> None:
    def step(key: Any, x: Array) -> Any:
        key, use = na.random.split(key)
        return key, na.random.normal(use, (2,)) * x

    xs = na.asarray(draw(4))
    key = na.random.key(3)
    got, expected = scan(step, key, xs)[1], python_loop(step, key, xs)[1]
    same(got, expected)
    assert len(set(np.asarray(got / na.reshape(xs, (4, 1))).ravel().tolist())) == 8
    same(
        grad(lambda x: na.sum(scan(step, key, x)[1] ** 2))(xs),
        grad(lambda x: (python_loop(step, key, x)[1] ** 2).sum())(xs),
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_no_steps(reverse: bool) -> None:
    h, xs = na.asarray(draw(3)), na.zeros((0, 3), dtype=na.float64)
    f: F = lambda h, xs: scan(lambda h, x: (na.sin(h * x), h[:2]), h, xs, reverse=reverse)
    last, ys = f(h, xs)
    same((last, ys), (h, np.zeros((0, 2))))
    total: F = lambda h, xs: na.sum(f(h, xs)[0] ** 2) + na.sum(f(h, xs)[1])
    same(grad(total, (0, 1))(h, xs), (2.0 * h, xs))
    same(nt.jvp(total, (h, xs), (h, xs))[1], 2.0 * na.sum(h * h))
    same(nt.vmap(grad(total))(na.stack([h, h]), na.zeros((2, 0, 3), dtype=na.float64)), na.stack([h, h]) * 2.0)
    assert scan(lambda c, x: (c, None), None, None, 0) == (None, None)


def test_nothing_but_constants() -> None:
    same(scan(lambda c, x: (c, na.ones(2)), None, None, 3), (None, np.ones((3, 2))))
    same(scan(lambda c, x: (c + 1, c), 0, None, 3), (np.array(3), np.array([0, 1, 2])))


def test_numbers_in_init_take_the_dtype_of_the_body() -> None:
    xs = na.asarray(draw(3))
    last, ys = scan(lambda c, x: (c + x, c), 0.0, xs)
    assert (last.dtype, ys.dtype) == (na.float64, na.float64)
    same(last, na.sum(xs))
    n, _ = scan(lambda c, x: (c * 0.5, None), 1, None, 2)
    assert n.item() == 0.25


def test_fori_loop_is_jax_s() -> None:
    with jax_in_float64() as jax:
        body: F = lambda i, c: c * (1.0 + i) + c**2 * 0.01
        for lower, upper in ((0, 4), (2, 5), (3, 3), (3, 1)):
            got: F = lambda c, n=lower, m=upper: nt.fori_loop(n, m, body, c)
            expected: F = lambda c, n=lower, m=upper: jax.lax.fori_loop(n, m, body, c)
            same(nt.value_and_grad(got)(na.asarray(np.array(0.3))), jax.value_and_grad(expected)(0.3))


def test_a_policy_a_checkpoint_and_a_root_inside_a_step() -> None:
    @nt.function
    class Doubled(nt.Policy):
        """Its gradient is three times as large as it should be, which would show if its rule was lost."""

        def forward(self, x: Array) -> Array:
            return 2.0 * x

        def backward(self, g: Array) -> tuple[Array]:
            return (6.0 * g,)

    def step(c: Array, x: Array) -> tuple[Array, Array]:
        c = nt.checkpoint(lambda c: na.tanh(c) + 0.1 * Doubled(c * x))(c)
        root = nt.fixed_point(lambda y, c: 0.5 * na.cos(y) + 0.1 * c, na.zeros_like(c), c, tol=1e-14)
        return c + root, root

    def total(s: F) -> F:
        def f(h: Array, xs: Array) -> Array:
            last, ys = s(step, h, xs)
            out: Array = na.sum(last**2) + na.sum(ys)
            return out

        return f

    args = na.asarray(draw(3)), na.asarray(draw(4, 3))
    for make in (
        lambda f: grad(f, (0, 1)),
        lambda f: grad(lambda *a: na.sum(na.sin(grad(f)(*a))), (0, 1)),
        lambda f: lambda *a: nt.jvp(f, a, a),
        lambda f: lambda h, xs: nt.vmap(grad(f), (0, None))(na.stack([h, 2.0 * h]), xs),
    ):
        same(make(total(scan))(*args), make(total(python_loop))(*args), rtol=1e-7)


def test_a_loop_inside_the_equation_of_a_root() -> None:
    def f(s: F) -> F:
        def solve(a: Array) -> Array:
            body: F = lambda x: lambda c, _: (0.5 * na.sin(c) + 0.2 * a * x, None)
            return nt.fixed_point(lambda x: s(body(x), x, None, 3)[0], na.zeros_like(a), tol=1e-14)

        return solve

    a = na.asarray(draw(3))
    hessian: F = lambda f: grad(lambda a: na.sum(na.sin(grad(lambda a: na.sum(f(a)))(a))))
    makes: tuple[F, ...] = (nt.jacrev, nt.jacfwd, hessian)
    for make in makes:
        same(make(f(scan))(a), make(f(python_loop))(a), rtol=1e-7)


# --- What goes wrong ---
X: Final = na.asarray(draw(3))
ERRORS: Final[dict[str, tuple[Any, F, str]]] = {
    "shape": (
        DTypeError,
        lambda: scan(lambda c, x: ({"a": na.stack([c["a"]] * 2)}, x), {"a": X}, X),
        r"carry that f returns at 'a' must look as in init, shape \(3,\).*got shape \(2, 3\)",
    ),
    "dtype": (DTypeError, lambda: scan(lambda c, x: (c.astype(na.float32), x), X[0], X), "float64.*float32"),
    "grows": (DTypeError, lambda: scan(lambda c, x: (c * 1.0, x), na.asarray(1), X), "init, .*int64.*float32"),
    "structure": (
        TreeError,
        lambda: scan(lambda c, x: ((c, c), x), X, X),
        "the carry that f returns must have",
    ),
    "no pair": (TreeError, lambda: scan(lambda c, x: c, X, X), r"must return \(carry, y\), got Array"),
    "y": (DTypeError, lambda: scan(lambda c, x: (c, "y"), X, X), "the y that f returns must be an Array.*str"),
    "lengths": (ShapeError, lambda: scan(lambda c, x: (c, c), X, {"a": X, "b": X[:2]}), "3 for xs at 'a', 2 for xs"),
    "length": (ShapeError, lambda: scan(lambda c, x: (c, c), X, X, 4), "4 for length, 3 for xs"),
    "negative": (ShapeError, lambda: scan(lambda c, x: (c, c), X, None, -1), "not negative, got -1"),
    "no length": (ShapeError, lambda: scan(lambda c, x: (c, c), X), "say how many by length="),
    "scalar": (ShapeError, lambda: scan(lambda c, x: (c, c), X, {"n": X[0]}), r"xs at 'n' has shape \(\)"),
    "raw": (DTypeError, lambda: scan(lambda c, x: (c, c), np.ones(2), X), "init must be an Array.*na.asarray"),
    "no function": (DTypeError, lambda: scan(X, X, X), "f must be a function, got Array"),
    "reads": (LevelError, lambda: scan(lambda c, x: (c * float(x), c), X[0], X), "float"),
    "branches": (
        nt.GuardError,
        lambda: scan(lambda c, x: (c + x, c) if x > 2 else (c - x, c), 0.0, na.asarray([1.0, 3.0])),
        "truth value .*False when .*True now.*cond",
    ),
    "bounds": (DTypeError, lambda: nt.fori_loop(0, X[0], lambda i, c: c, X), "bounds must be ints"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    kind, call, message = ERRORS[case]
    with pytest.raises(kind, match=f"(?s){message}"):
        call()
    with pytest.raises(kind, match=f"(?s){message}"):  # nor is a level left open inside others
        grad(lambda x: nt.vmap(lambda _: call())(X) * x)(1.0)
    assert_nothing_open(nothing_retained=False)


def test_branches_that_hold_for_all_steps_are_allowed() -> None:
    f: F = lambda h, xs: scan(lambda c, x: (c * x, c) if x > 0 else (c, c), h, xs)[0]
    xs = na.asarray(np.array([1.0, 2.0, 3.0]))
    same(grad(f)(X[0], xs), 6.0)


def test_a_closure_that_a_policy_would_lose_is_refused() -> None:
    def lost(b: Array) -> Array:
        @nt.function
        class Loses(nt.Policy):
            def forward(self, a: Array) -> Array:
                out: Array = scan(lambda c, _: (c * b, None), a, None, 2)[0]
                return out

            def backward(self, g: Array) -> tuple[Array]:
                return (g,)

        out: Array = na.sum(Loses(X))
        return out

    with pytest.raises(PolicyError, match="not an argument"):
        grad(lost)(X)
