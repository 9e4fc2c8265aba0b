"""cond: one branch's values and derivatives, in a Program and for each example of a batch; none of the other's nan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, ShapeError, TreeError
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.levels import assert_nothing_open

F = Callable[..., Any]
grad: Final[Any] = nt.grad
cond: Final[Any] = nt.cond


def same(got: Any, expected: Any, rtol: float = 1e-10) -> None:
    assert len(na.tree.leaves(got)) == len(na.tree.leaves(expected))
    for x, y in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=1e-12)


def python_if(pred: Any, f: F, g: F, *args: Any) -> Any:
    """Choose by Python: the oracle for one example."""
    return f(*args) if bool(pred) else g(*args)


# --- Functions of two numbers, each branch of which is nan or infinite where the other is taken ---
def roots(xp: Any, cond: F, x: Any, w: Any) -> Any:
    return cond(x > 0.0, lambda x: xp.sqrt(x) * w, lambda x: x * x * xp.sin(w), x)


def logarithms(xp: Any, cond: F, x: Any, w: Any) -> Any:
    return cond(x > 0.0, lambda: xp.log(x) * w, lambda: xp.log(1.0 - x) / w)


def pytrees(xp: Any, cond: F, x: Any, w: Any) -> Any:
    out = cond(
        x * w > 0.0,
        lambda a, b: {"a": a["p"] / a["q"], "b": [b * 2.0], "none": None},
        lambda a, b: {"a": a["q"], "b": [xp.exp(a["p"])], "none": None},
        {"p": x, "q": xp.where(x > 0.0, x, 0.0), "none": None},
        w,
    )
    return out["a"] * w + out["b"][0]


def nested(xp: Any, cond: F, x: Any, w: Any) -> Any:
    inner: F = lambda x: cond(x > 2.0, lambda x: xp.sqrt(x - 2.0) * w, lambda x: xp.sqrt(2.0 - x) + w, x)
    return cond(x > 0.0, lambda x: inner(x) * x, lambda x: x * w, x)


def of_an_integer(xp: Any, cond: F, x: Any, w: Any) -> Any:
    n = xp.asarray(x, dtype=xp.int64) if xp is not na else x.astype(na.int64)
    return cond(n > 0, lambda n: x * n * w, lambda n: n - w * w, n)


CASES: Final[dict[str, F]] = {f.__name__: f for f in (roots, logarithms, pytrees, nested, of_an_integer)}
XS: Final = np.array([-1.5, -0.3, 0.4, 1.2, 3.7])
W: Final = np.array(1.3)


def second(f: F, xp: Any, grad: F) -> F:
    found: F = grad(lambda x, w: sum(map(xp.sin, grad(f, (0, 1))(x, w))), (0, 1))
    return found


TRANSFORMS: Final[dict[str, F]] = {
    "value": lambda f: f,
    "grad": lambda f: grad(f, (0, 1)),
    "jvp": lambda f: lambda x, w: nt.jvp(f, (x, w), (w, x)),
    "second": lambda f: second(f, na, grad),
    "forward over reverse": lambda f: lambda x, w: nt.jvp(grad(f, (0, 1)), (x, w), (w, x)),
    "reverse over forward": lambda f: grad(lambda x, w: nt.jvp(f, (x, w), (w, x))[1], (0, 1)),
    "linearize": lambda f: lambda x, w: nt.linearize(f, x, w)[1](w, x),
    "transposed": lambda f: lambda x, w: nt.linear_transpose(nt.linearize(f, x, w)[1], x, w)(na.ones_like(x)),
    "checkpoint": lambda f: grad(nt.checkpoint(f), (0, 1)),
    "program": lambda f: nt.trace(grad(f, (0, 1)))(na.asarray(0.5 * W), na.asarray(W)).eval,
    "grad of a program": lambda f: grad(nt.trace(f)(na.asarray(-0.5 * W), na.asarray(W)).eval, (0, 1)),
    "second of a program": lambda f: second(nt.trace(f)(na.asarray(-0.5 * W), na.asarray(W)).eval, na, grad),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_are_jax_s(case: str) -> None:
    with jax_in_float64() as jax:
        jnp = jax.numpy
        theirs: F = lambda x, w: CASES[case](jnp, jax.lax.cond, x, w)
        ours: F = lambda x, w: CASES[case](na, cond, x, w)
        for x in XS:
            a, b = (na.asarray(np.array(x)), na.asarray(W)), (jnp.asarray(x), jnp.asarray(W))
            same(nt.value_and_grad(ours, (0, 1))(*a), jax.value_and_grad(theirs, (0, 1))(*b))
            same(nt.jvp(ours, a, a), jax.jvp(theirs, b, b))
            same(second(ours, na, grad)(*a), second(theirs, jnp, jax.grad)(*b))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_example_of_a_batch_gets_its_own_branch(transform: str, case: str, device: str) -> None:
    ours: F = TRANSFORMS[transform](lambda x, w: CASES[case](na, cond, x, w))
    plain = transform if "program" not in transform else "second" if "second" in transform else "grad"
    alone: F = TRANSFORMS[plain](lambda x, w: CASES[case](na, python_if, x, w))
    w, xs = na.asarray(W), na.asarray(XS)
    expected = [na.tree.leaves(alone(x, w)) for x in xs]
    same([na.tree.leaves(ours(x, w)) for x in xs], expected)
    rows = [np.stack([np.asarray(x) for x in column]) for column in zip(*expected, strict=True)]
    same(nt.vmap(ours, in_axes=(0, None))(xs, w), rows)
    twice = nt.vmap(nt.vmap(ours, in_axes=(0, None)), in_axes=(0, None))(na.stack([xs, xs[::-1]]), w)
    same(twice, [np.stack([r, r[::-1]]) for r in rows])
    assert_nothing_open()


@pytest.mark.parametrize("case", CASES)
def test_derivatives_from_outside_of_a_vmap(case: str, device: str) -> None:
    def total(choose: F, batched: bool) -> F:
        f: F = lambda x, w: CASES[case](na, choose, x, w)
        if batched:
            return lambda xs, w: na.sum(nt.vmap(f, in_axes=(0, None))(xs, w))
        return lambda xs, w: sum(f(x, w) for x in xs)

    args = na.asarray(XS), na.asarray(W)
    both: F = lambda f: grad(lambda *a: sum(na.sum(na.sin(g)) for g in grad(f, (0, 1))(*a)), (0, 1))
    for make in (lambda f: grad(f, (0, 1)), both, lambda f: lambda *a: nt.jvp(grad(f, (0, 1)), a, a)):
        same(make(total(cond, True))(*args), make(total(python_if, False))(*args))


def test_a_program_holds_both_branches_and_chooses_when_it_runs() -> None:
    f: F = lambda x: cond(x > 0, lambda x: na.sin(x), lambda x: na.cos(x) * 2.0, x)
    program = nt.trace(f)(na.asarray(1.0))
    assert [e.op.__name__ for e in program.equations] == ["greater", "conditional"]
    rule: Any = program.equations[1].params["rule"]
    ops = [[e.op.__name__ for e in part.equations] for part in rule.programs()]
    assert ops == [["sin"], ["cos", "multiply"]]
    same(program.eval(na.asarray(-2.0)), np.float32(np.cos(2.0) * 2.0), rtol=1e-6)


def test_only_the_branch_that_is_taken_runs() -> None:
    calls: list[str] = []

    def branch(name: str) -> F:
        def run(x: Array) -> Array:
            calls.append(name)
            return x

        return run

    cond(na.asarray(True), branch("true"), branch("false"), na.asarray(1.0))
    grad(lambda x: cond(x > 2.0, branch("true"), branch("false"), x))(1.0)
    assert calls == ["true", "false"]


def test_a_condition_that_all_examples_share() -> None:
    xs = na.asarray(XS)
    f: F = lambda flag: nt.vmap(lambda x: cond(flag, lambda x: x * x, lambda x: -x, x))(xs)
    same(f(na.asarray(1)), XS**2)
    same(f(na.asarray(0.0)), -XS)
    same(nt.trace(f)(na.asarray(1)).eval(na.asarray(0)), -XS)
    same(nt.vmap(f)(na.asarray([0, 1])), np.stack([-XS, XS**2]))


@pytest.mark.parametrize("pred", [True, 1, 0.5, np.True_])
def test_numbers_as_conditions(pred: Any) -> None:
    same(cond(na.asarray(pred) if isinstance(pred, np.generic) else pred, na.sin, na.cos, na.asarray(0.0)), 0.0)
    same(cond(not pred, na.sin, na.cos, na.asarray(0.0)), 1.0)


def test_results_that_are_arguments_and_constants() -> None:
    f: F = lambda x: cond(x > 0, lambda x: (x, 1.0), lambda x: (2.0 * x, x), x)
    xs = na.asarray(XS)
    same(nt.vmap(f)(xs), (np.where(XS > 0, XS, 2 * XS), np.where(XS > 0, 1.0, XS)))
    same(nt.vmap(grad(lambda x: f(x)[0] * f(x)[1]))(xs), np.where(XS > 0, 1.0, 4 * XS))


@pytest.mark.parametrize("transform", ["value", "grad", "second"])
def test_a_condition_that_differs_by_the_examples_of_one_vmap_of_two(transform: str) -> None:
    xs, ws = na.asarray(XS), na.asarray(np.array([0.7, 1.3]))
    make = TRANSFORMS[transform]
    ours, alone = (make(lambda x, w, c=c: roots(na, c, x, w)) for c in (cond, python_if))
    expected = [[na.tree.leaves(alone(x, w)) for x in xs] for w in ws]
    rows = [
        np.array([[np.asarray(leaves[i]) for leaves in row] for row in expected]) for i in range(len(expected[0][0]))
    ]
    inside = nt.vmap(lambda w: nt.vmap(lambda x: ours(x, w))(xs))(ws)
    outside = nt.vmap(lambda x: nt.vmap(lambda w: ours(x, w))(ws), out_axes=1)(xs)
    same(inside, rows)
    same(outside, rows)


def test_keys_and_other_devices_beside_the_condition(device: str) -> None:
    keys = na.random.split(na.random.key(0), 3)
    f: F = lambda key, x: cond(x > 0, lambda k: na.random.normal(k, (2,)), lambda k: na.zeros(2), key)
    got = nt.vmap(f)(keys, na.asarray([1.0, -1.0, 1.0]))
    same(got, np.stack([na.random.normal(keys[0], (2,)), np.zeros(2), na.random.normal(keys[2], (2,))]))


# --- What goes wrong ---
X: Final = na.asarray([1.0, -1.0])


def batched(f: F, g: F) -> Any:
    return nt.vmap(lambda x: cond(x > 0, f, g, x))(X)


ERRORS: Final[dict[str, tuple[Any, F, str]]] = {
    "structure": (TreeError, lambda: batched(lambda x: x, lambda x: (x, x)), "different structures"),
    "dtype": (
        DTypeError,
        lambda: batched(lambda x: {"a": x}, lambda x: {"a": x.astype(na.float64)}),
        "result of false_fn at 'a' must look as in the result of true_fn.*float32.*float64",
    ),
    "shape": (DTypeError, lambda: batched(lambda x: x, lambda x: na.stack([x, x])), r"shape \(\).*shape \(2,\)"),
    "shape of pred": (ShapeError, lambda: cond(X > 0, na.sin, na.cos, X), r"pred must have shape \(\), got \(2,\)"),
    "kind of pred": (DTypeError, lambda: cond("yes", na.sin, na.cos, X), "pred must be a number or an Array.*str"),
    "no function": (DTypeError, lambda: cond(True, X, X), "true_fn must be a function, got Array"),
    "no arrays": (DTypeError, lambda: batched(lambda x: "a", lambda x: "b"), "result of true_fn must be an Array"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    kind, call, message = ERRORS[case]
    with pytest.raises(kind, match=f"(?s)cond: .*{message}"):
        call()
    assert_nothing_open(nothing_retained=False)
