"""while_loop: the values and derivatives of a Python loop, with as many steps as each example needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, LevelError, TreeError
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.levels import assert_nothing_open
from tests.neo_tape.test_cond import TRANSFORMS, same
from tests.neo_tape.test_scan import entries

F = Callable[..., Any]
grad: Final[Any] = nt.grad
while_loop: Final[Any] = nt.while_loop
trace: Final[Any] = nt.trace


def python_while(test: F, body: F, value: Any) -> Any:
    """Do what while_loop does, for the levels to follow step by step: the oracle for one example."""
    while bool(test(value)):
        value = body(value)
    return value


# --- Functions of two numbers; one step more than needed gives nan, or an infinite derivative ---
def roots(xp: Any, loop: F, x: Any, w: Any) -> Any:
    last = loop(lambda v: v["v"] > 1.0, lambda v: {"v": xp.sqrt(v["v"] - 1.0) * w, "n": v["n"] + 1}, {"v": x, "n": 0})
    return last["v"] * x + w * last["n"]


def logarithms(xp: Any, loop: F, x: Any, w: Any) -> Any:
    limit = xp.exp(w) * 0.1
    return loop(lambda v: v > limit, lambda v: xp.log(v + 0.9) * 0.9 * w, x + 0.0 * w) * x


def count_down(xp: Any, loop: F, x: Any, w: Any) -> Any:
    return loop(lambda v: v[0] > 0, lambda v: (v[0] - 1, v[1] * w + x), (4, x * 1.0))[1]


CASES: Final[dict[str, F]] = {f.__name__: f for f in (roots, logarithms, count_down)}
XS: Final = np.array([0.2, 0.9, 1.4, 3.3, 6.5])
W: Final = np.array(1.2)


@pytest.mark.parametrize("case", CASES)
def test_forward_mode_is_jax_s(case: str) -> None:
    with jax_in_float64() as jax:
        jnp = jax.numpy
        theirs: F = lambda x, w: CASES[case](jnp, jax.lax.while_loop, x, w)
        ours: F = lambda x, w: CASES[case](na, while_loop, x, w)
        push: F = lambda jvp, f: lambda x, w: jvp(lambda *a: jvp(f, a, (w, x))[1], (x, w), (x, w))
        for x in XS:
            a, b = (na.asarray(np.array(x)), na.asarray(W)), (jnp.asarray(x), jnp.asarray(W))
            same(nt.jvp(ours, a, a), jax.jvp(theirs, b, b))
            same(push(nt.jvp, ours)(*a), push(jax.jvp, theirs)(*b))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("transform", [t for t in TRANSFORMS if t != "transposed"])
def test_each_example_of_a_batch_takes_its_own_number_of_steps(transform: str, case: str, device: str) -> None:
    ours: F = TRANSFORMS[transform](lambda x, w: CASES[case](na, while_loop, x, w))
    plain = transform if "program" not in transform else "second" if "second" in transform else "grad"
    alone: F = TRANSFORMS[plain](lambda x, w: CASES[case](na, python_while, x, w))
    w, xs = na.asarray(W), na.asarray(XS)
    expected = [na.tree.leaves(alone(x, w)) for x in xs]
    same([na.tree.leaves(ours(x, w)) for x in xs], expected)
    rows = [np.stack([np.asarray(x) for x in column]) for column in zip(*expected, strict=True)]
    same(nt.vmap(ours, in_axes=(0, None))(xs, w), rows)
    if transform in ("value", "grad", "jvp", "second"):
        twice = nt.vmap(nt.vmap(ours, in_axes=(0, None)), in_axes=(0, None))(na.stack([xs, xs[::-1]]), w)
        same(twice, [np.stack([r, r[::-1]]) for r in rows])
    assert_nothing_open()


@pytest.mark.parametrize("case", CASES)
def test_derivatives_from_outside_of_a_vmap(case: str, device: str) -> None:
    def total(loop: F, batched: bool) -> F:
        f: F = lambda x, w: CASES[case](na, loop, x, w)
        if batched:
            return lambda xs, w: na.sum(nt.vmap(f, in_axes=(0, None))(xs, w))
        return lambda xs, w: sum(f(x, w) for x in xs)

    args = na.asarray(XS), na.asarray(W)
    both: F = lambda f: grad(lambda *a: sum(na.sum(na.sin(g)) for g in grad(f, (0, 1))(*a)), (0, 1))
    for make in (lambda f: grad(f, (0, 1)), both, lambda f: lambda *a: nt.jvp(grad(f, (0, 1)), a, a)):
        same(make(total(while_loop, True))(*args), make(total(python_while, False))(*args))


def test_finished_examples_keep_their_values_exactly() -> None:
    f: F = lambda x: while_loop(lambda v: v > 1.0, lambda v: v * 0.7, x)
    xs = na.asarray(np.array([0.3, 5.0, 1.1, 1e9]))
    assert nt.vmap(f)(xs).numpy().tolist() == [f(x).item() for x in xs]


def test_a_program_runs_as_often_as_needed() -> None:
    f: F = lambda x: while_loop(lambda v: v > 1.0, lambda v: v / 2.0, x)
    program = trace(f)(na.asarray(8.0))
    assert [e.op.__name__ for e in program.equations] == ["repeat_while"]
    assert [program.eval(na.asarray(x)).item() for x in (0.5, 3.0, 2.0**9)] == [0.5, 0.75, 1.0]


def test_a_program_of_reverse_mode_runs_for_other_numbers_of_steps() -> None:
    f: F = lambda x: while_loop(lambda v: v > 1.0, lambda v: v * v / 10.0, x)
    df: F = lambda x: grad(f)(x).item()
    program = trace(grad(f))(na.asarray(8.0))
    assert [program.eval(na.asarray(x)).item() for x in (0.5, 7.0, 9.9)] == [df(0.5), df(7.0), df(9.9)]
    batch = trace(nt.vmap(grad(f)))(na.asarray([8.0, 3.0]))
    assert batch.eval(na.asarray([1.5, 9.5])).numpy().tolist() == [df(1.5), df(9.5)]
    second = trace(grad(grad(f)))(na.asarray(8.0))
    assert second.eval(na.asarray(9.9)).item() == grad(grad(f))(9.9).item()


def test_the_graph_does_not_grow_with_the_steps() -> None:
    def f(x: Array, n: float) -> Array:
        out: Array = while_loop(lambda v: v[1] < n, lambda v: (na.sin(v[0]), v[1] + 1.0), (x, 0.0))[0]
        return out

    sizes = [entries(lambda x, n=n: f(x, n), na.asarray(1.0)) for n in (10, 1000)]
    assert sizes[0] == sizes[1] > 0


def test_no_step_at_all_and_no_arrays() -> None:
    x = na.asarray(np.array(0.5))
    f: F = lambda x: while_loop(lambda v: v > 1.0, lambda v: na.log(v - 1.0), x)
    assert (f(x).item(), grad(f)(x).item(), grad(grad(f))(x).item()) == (0.5, 1.0, 0.0)
    assert while_loop(lambda v: False, lambda v: v, {"none": None}) == {"none": None}
    assert while_loop(lambda n: n < 5, lambda n: n + 2, 0).item() == 6


def test_a_loop_in_a_loop() -> None:
    def f(loop: F) -> F:
        def inner(v: Array, w: Array) -> Array:
            out: Array = loop(lambda u: u > 0.5, lambda u: na.sin(u * w) * 0.6, v)
            return out

        return lambda x, w: loop(lambda v: v < 3.0, lambda v: v * 1.7 + inner(v, w), x)

    args = na.asarray(np.array(0.4)), na.asarray(np.array(0.9))
    ours, plain = f(while_loop), f(python_while)
    for make in (lambda f: grad(f, (0, 1)), lambda f: lambda *a: nt.jvp(grad(f, (0, 1)), a, a)):
        same(make(ours)(*args), make(plain)(*args))
    xs = na.asarray(np.array([0.4, 1.4, 2.9]))
    expected = [grad(plain)(x, args[1]) for x in xs]
    same(nt.vmap(grad(ours), in_axes=(0, None))(xs, args[1]), np.stack(expected))


def test_a_solver_for_custom_root_runs_under_vmap() -> None:
    def newton(f: F, x: Array) -> Any:
        def step(x: Array) -> Array:
            value, slope = nt.jvp(f, (x,), (na.ones_like(x),))
            new: Array = x - value / slope
            return new

        return while_loop(lambda x: na.abs(f(x)) > 1e-13, step, x)

    def root(a: Array) -> Array:
        return nt.custom_root(lambda x: x * x - a, a, newton)

    a = na.asarray(np.array([4.0, 9.0, 2.0]))
    same(nt.vmap(root)(a), np.sqrt(np.asarray(a)))
    same(nt.vmap(grad(grad(root)))(a), -0.25 * np.asarray(a) ** -1.5)
    same(nt.trace(grad(root))(a[0]).eval(a[1]), 1 / 6)


X: Final = na.asarray(2.0)
ERRORS: Final[dict[str, tuple[Any, F, str]]] = {
    "structure": (TreeError, lambda: while_loop(lambda v: v > 1, lambda v: (v, v), X), "body_fun returns must have"),
    "shape": (
        DTypeError,
        lambda: while_loop(lambda v: v["a"] > 1, lambda v: {"a": na.stack([v["a"]] * 2)}, {"a": X}),
        r"what body_fun returns at 'a' must look as in init_val, shape \(\).*got shape \(2,\)",
    ),
    "dtype": (DTypeError, lambda: while_loop(lambda v: v > 1, lambda v: v.astype(na.int64), X), "float32.*int64"),
    "no truth": (DTypeError, lambda: while_loop(lambda v: v, lambda v: v, na.ones(2)), "cond_fun must return a truth"),
    "nothing": (DTypeError, lambda: while_loop(lambda v: None, lambda v: v, X), "truth value.*got NoneType"),
    "no function": (DTypeError, lambda: while_loop(X, lambda v: v, X), "cond_fun must be a function, got Array"),
    "string": (DTypeError, lambda: while_loop(lambda v: v, lambda v: v, {"s": "x"}), "init_val at 's'.*got str"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    kind, call, message = ERRORS[case]
    with pytest.raises(kind, match=f"(?s)while_loop: .*{message}"):
        call()
    assert_nothing_open(nothing_retained=False)


def test_reads_in_the_body() -> None:
    with pytest.raises(nt.GuardError, match=r"truth value.*cond"):
        while_loop(lambda v: v > 0, lambda v: v - 1.0 if v > 2.0 else v - 2.0, na.asarray(3.0))
    with pytest.raises(LevelError, match="float"):
        while_loop(lambda v: float(v) > 0, lambda v: v - 1.0, X)
