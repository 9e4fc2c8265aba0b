"""custom_jvp: one rule for both modes, at every order and in every transform, as in JAX."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, PolicyError
from tests.neo_tape.jax_float64 import jax_in_float64

X: Final = na.asarray(np.array([-1.0, 0.5, 2.0]))
W: Final = na.asarray(np.array([3.0, -2.0, 1.5]))
Fn = Callable[..., Any]


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got.numpy(), np.asarray(expected), rtol=1e-11, atol=1e-13)


# --- Against JAX: wrong rules, so that it shows which one was used ---
RULES: Final[dict[str, tuple[Fn, Fn]]] = {
    # name: f and its rule; each of a namespace first, the rule of the function itself second
    "linear in both": (
        lambda p, x, w: p.sin(x) * w,
        lambda p, f, xs, ts: (f(*xs), 10.0 * ts[0] * xs[0] * xs[1] + ts[1] * p.cos(xs[0])),
    ),
    "calls the function": (
        lambda p, x, w: p.exp(0.5 * x) * w,
        lambda p, f, xs, ts: (f(*xs), 3.0 * ts[0] * f(*xs) + 2.0 * ts[1] * f(xs[1], xs[0])),
    ),
    "mixes elements": (
        lambda p, x, w: x * p.sum(w),
        lambda p, f, xs, ts: (f(*xs), xs[0] * p.sum(ts[0] * xs[1]) + ts[1][::-1]),
    ),
    "leaves one out": (
        lambda p, x, w: x + p.tanh(w),
        lambda p, f, xs, ts: (f(*xs), 5.0 * ts[1] * xs[0] * xs[1]),
    ),
}


def reverse(grad: Fn, jvp: Fn, vmap: Fn, p: Any, f: Fn) -> Fn:
    return lambda x, w: grad(lambda y, v: p.sum(p.sin(f(y, v))))(x, w) * x


def forward(grad: Fn, jvp: Fn, vmap: Fn, p: Any, f: Fn) -> Fn:
    return lambda x, w: jvp(f, (x, w), (p.cos(x), p.sin(w)))[1]


def mapped(grad: Fn, jvp: Fn, vmap: Fn, p: Any, f: Fn) -> Fn:
    return lambda x, w: vmap(lambda a, v: f(a, v) * 2.0, (0, None))(p.stack([x, x * 0.5]), w)[1]


STEPS: Final = (reverse, forward, mapped)
NESTINGS: Final = [*itertools.product(STEPS), *itertools.product(STEPS, repeat=2), *itertools.permutations(STEPS)]


@pytest.mark.parametrize("name", RULES)
def test_jax_agrees_in_all_nestings(name: str) -> None:
    f, rule = RULES[name]

    def built(nesting: Any, g: Fn, grad: Fn, jvp: Fn, vmap: Fn, p: Any) -> Fn:
        for transform in nesting:
            g = transform(grad, jvp, vmap, p, g)
        return g

    with jax_in_float64() as jax:
        other = jax.custom_jvp(lambda x, w: f(jax.numpy, x, w))
        other.defjvp(lambda xs, ts: rule(jax.numpy, other, xs, ts))
        transforms = jax.grad, jax.jvp, jax.vmap, jax.numpy
        expected = [np.asarray(built(n, other, *transforms)(X.numpy(), W.numpy())) for n in NESTINGS]

    functions: Any = (lambda x, w: f(na, x, w)), (lambda xs, ts: rule(na, mine, xs, ts))
    mine: Fn = nt.custom_jvp(*functions)
    for nesting, values in zip(NESTINGS, expected, strict=True):
        found = built(nesting, mine, nt.grad, nt.jvp, nt.vmap, na)(X, W)
        np.testing.assert_allclose(found.numpy(), values, rtol=1e-10, atol=1e-12, err_msg=str(nesting))


def test_both_modes_and_all_products_follow_the_rule(device: str) -> None:
    f = nt.custom_jvp(lambda x: x * x, lambda xs, ts: (xs[0] * xs[0], 10.0 * xs[0] * ts[0]))
    x, w = X.to(device), W.to(device)
    close(nt.grad(lambda x: f(x).sum())(x), 10.0 * X.numpy())
    close(nt.jvp(f, (x,), (w,))[1], 10.0 * X.numpy() * W.numpy())
    close(nt.linearize(f, x)[1](w), 10.0 * X.numpy() * W.numpy())
    close(nt.jacrev(f)(x), np.diag(10.0 * X.numpy()))
    close(nt.jacfwd(f)(x), np.diag(10.0 * X.numpy()))
    close(nt.hessian(lambda x: f(x).sum())(x), 10.0 * np.eye(3))
    close(nt.grad(nt.checkpoint(lambda x: f(f(x)).sum()))(x), 100.0 * X.numpy() ** 3)


def test_infinite_slopes_are_no_mistake() -> None:
    root = nt.custom_jvp(na.sqrt, lambda xs, ts: (na.sqrt(xs[0]), 0.5 * ts[0] / na.sqrt(xs[0])))
    x = na.asarray(np.array([0.0, 4.0]))
    assert nt.grad(lambda x: root(x).sum())(x).numpy().tolist() == [np.inf, 0.25]
    assert nt.grad(lambda x: nt.vmap(root)(x).sum())(x).numpy().tolist() == [np.inf, 0.25]


def test_pytrees_none_static_integers_and_options() -> None:
    def f(p: dict[str, Any], b: Array | None, n: Array, power: int = 2, *, scale: float = 1.0) -> Any:
        y = scale * p["x"] ** power * p["w"]
        return {"y": y if b is None else y + b, "n": n + 1, "none": None}

    def rule(primals: Any, tangents: Any, *, scale: float) -> Any:
        (p, b, n, power), (tp, tb, tn, tpower) = primals, tangents
        assert (power, tpower, tn.dtype, scale) == (3, None, na.int64, 2.0)
        assert (b is None) == (tb is None)
        t = 7.0 * tp["x"] * scale + tp["w"] * p["x"] + (0.0 if tb is None else 5.0 * tb)
        return f(p, b, n, power, scale=scale), {"y": t, "n": None, "none": None}

    mine = nt.custom_jvp(f, rule)
    p, n = {"x": X, "w": W}, na.asarray([1, 2])
    gradient = nt.grad(lambda p: mine(p, None, n, 3, scale=2.0)["y"].sum())(p)
    close(gradient["x"], [14.0] * 3)
    close(gradient["w"], X.numpy())
    close(nt.grad(lambda b: mine(p, b, n, 3, scale=2.0)["y"].sum())(W), [5.0] * 3)
    out, tangent = nt.jvp(lambda x: mine({"x": x, "w": W}, None, n, 3, scale=2.0), (X,), (W,))
    close(tangent["y"], 14.0 * W.numpy())
    assert (tangent["n"].numpy().tolist(), out["n"].numpy().tolist()) == ([0, 0], [2, 3])


def test_unwanted_arguments_take_no_part() -> None:
    """The rule may be anything in the tangents of what is not being differentiated."""
    mine = nt.custom_jvp(lambda x, w: x * w, lambda xs, ts: (xs[0] * xs[1], ts[0] * xs[1] + na.sin(ts[1])))
    close(nt.grad(lambda x: mine(x, W).sum())(X), W.numpy())
    with pytest.raises(PolicyError, match=r"custom_jvp\(<lambda>\).jvp: reverse mode transposes .* not linear"):
        nt.grad(lambda w: mine(X, w).sum())(W)


# --- Mistakes ---
def square(x: Array) -> Array:
    return x * x


@pytest.mark.parametrize(
    ("f", "rule", "message"),
    [
        (3, lambda xs, ts: None, r"custom_jvp\(int\): f must be a function"),
        (square, 3, r"custom_jvp\(square\): jvp must be a function, got int"),
        (square, lambda xs: None, r"custom_jvp\(square\).jvp: must take the primals and the tangents.*\['xs'\]"),
        (lambda x, *, s: x, lambda xs, ts: None, r"jvp: must take .* and f's options \['s'\]"),
        (lambda **k: k["x"], lambda xs, ts, **k: None, r"must not take \*\*k; name its options"),
    ],
)
def test_functions_that_do_not_fit(f: Any, rule: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        nt.custom_jvp(f, rule)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda xs, ts: ts[0], r"custom_jvp\(square\).jvp: must return \(output, tangent of the output\), got Array"),
        (lambda xs, ts: (xs[0], ts[0], 1), r"jvp: must return .* got a tuple of 3"),
        (lambda xs, ts: (xs[0], None), r"jvp: .*got None"),
        (lambda xs, ts: (xs[0], (ts[0],)), r"jvp: must return tangents with the structure"),
        (lambda xs, ts: (xs[0], ts[0][:1]), r"jvp: .*shape \(1,\).*shape \(3,\)"),
        (lambda xs, ts: (xs[0], ts[0].astype(na.float32)), r"jvp: .*float32.*float64.*astype"),
        (lambda xs, ts: (xs[0], 1.0), r"jvp: .*got float"),
        (lambda xs, ts: (xs[0], ts[0].numpy()), r"(?s).*"),
    ],
)
def test_wrong_returns_in_both_modes(rule: Any, message: str) -> None:
    mine = nt.custom_jvp(square, rule)
    with pytest.raises(PolicyError, match=message):
        nt.jvp(mine, (X,), (W,))
    with pytest.raises(PolicyError, match=message):
        nt.grad(lambda x: mine(x).sum())(X)


NONLINEAR: Final[dict[str, Fn]] = {
    "squared": lambda x, t: t * t,
    "shifted": lambda x, t: t + 1.0,
    "constant": lambda x, t: na.ones_like(t),
    "read": lambda x, t: t * float(t.sum()),
    "stopped": lambda x, t: nt.stop_gradient(t),
    "branched": lambda x, t: na.where(t > 0.0, t, -t),
}


@pytest.mark.parametrize("tangent", NONLINEAR.values(), ids=NONLINEAR)
def test_rule_that_is_not_linear_has_no_reverse_mode(tangent: Fn) -> None:
    mine = nt.custom_jvp(square, lambda xs, ts: (xs[0] * xs[0], tangent(xs[0], ts[0])))
    nt.jvp(mine, (X,), (W,))
    with pytest.raises(PolicyError, match=r"custom_jvp\(square\).jvp: reverse mode transposes.*not linear.*custom_vjp"):
        nt.grad(lambda x: mine(x).sum())(X)


def test_closures_over_differentiated_arrays_are_refused() -> None:
    def loss(w: Array) -> Array:
        f = nt.custom_jvp(lambda x: x * w, lambda xs, ts: (xs[0] * w, ts[0] * w))
        return na.sum(f(X))

    with pytest.raises(PolicyError, match=r"custom_jvp\(<lambda>\).f: uses, in multiply, an array.*not an argument"):
        nt.grad(loss)(W)
