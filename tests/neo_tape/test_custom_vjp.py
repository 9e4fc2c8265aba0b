"""custom_vjp: the rule counts at every order and in every transform, as in JAX; mistakes are named where they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

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
    np.testing.assert_allclose(got.numpy(), np.asarray(expected), rtol=1e-12, atol=1e-13)


# --- Against JAX: wrong rules, so that it shows which one was used ---
RULES: Final[dict[str, tuple[Fn, Fn, Fn]]] = {
    # name: f, residuals, bwd; each of a namespace first
    "residual is the argument": (
        lambda p, x, w: p.sin(x) * w,
        lambda p, y, x, w: (x, w),
        lambda p, res, g: (10.0 * g * res[0] * res[1], g * res[0] * res[0]),
    ),
    "residual is the output": (
        lambda p, x, w: p.exp(0.5 * x) + w,
        lambda p, y, x, w: y,
        lambda p, res, g: (3.0 * g * res, 2.0 * g * p.cos(res)),
    ),
    "residual was computed": (
        lambda p, x, w: x * w * w,
        lambda p, y, x, w: {"square": x * x, "rest": [w * 2.0]},
        lambda p, res, g: (g * res["square"], g * res["rest"][0] * res["square"]),
    ),
    "no residual": (
        lambda p, x, w: x + p.tanh(w),
        lambda p, y, x, w: None,
        lambda p, res, g: (3.0 * g, 5.0 * g),
    ),
}


def reverse(grad: Fn, jvp: Fn, vmap: Fn, p: Any, f: Fn) -> Fn:
    return lambda x, w: grad(lambda y, v: p.sum(p.sin(f(y, v))))(x, w) * x


def by_second(grad: Fn, jvp: Fn, vmap: Fn, p: Any, f: Fn) -> Fn:
    return lambda x, w: grad(lambda v: p.sum(p.cos(f(x, v))))(w) * w


def mapped(grad: Fn, jvp: Fn, vmap: Fn, p: Any, f: Fn) -> Fn:
    return lambda x, w: vmap(lambda a, v: f(a, v) * 2.0, (0, None))(p.stack([x, x * 0.5]), w)[1]


STEPS: Final = (reverse, by_second, mapped)
NESTINGS: Final = [*itertools.product(STEPS), *itertools.product(STEPS, repeat=2), *itertools.permutations(STEPS)]


@pytest.mark.parametrize("name", RULES)
def test_jax_agrees_in_all_nestings(name: str) -> None:
    f, residuals, bwd = RULES[name]
    with jax_in_float64() as jax:
        other = jax.custom_vjp(lambda x, w: f(jax.numpy, x, w))

        def other_fwd(x: Any, w: Any) -> Any:
            y = other(x, w)  # so that the rule counts for the output at higher orders, as it always does here
            return y, residuals(jax.numpy, y, x, w)

        other.defvjp(other_fwd, lambda res, g: bwd(jax.numpy, res, g))

        def theirs(nesting: Any) -> Any:
            g: Any = other
            for transform in nesting:
                g = transform(jax.grad, jax.jvp, jax.vmap, jax.numpy, g)
            return np.asarray(g(X.numpy(), W.numpy()))

        expected = [theirs(nesting) for nesting in NESTINGS]

    def fwd(x: Array, w: Array) -> Any:
        y = f(na, x, w)
        return y, residuals(na, y, x, w)

    mine = nt.custom_vjp(lambda x, w: f(na, x, w), fwd, lambda res, g: bwd(na, res, g))
    for nesting, values in zip(NESTINGS, expected, strict=True):
        g: Any = mine
        for transform in nesting:
            g = transform(nt.grad, nt.jvp, nt.vmap, na, g)
        np.testing.assert_allclose(g(X, W).numpy(), values, rtol=1e-10, atol=1e-12, err_msg=str(nesting))


def test_forward_mode_transposes_bwd() -> None:
    f = nt.custom_vjp(lambda x: x * x, lambda x: (x * x, x), lambda x, g: (10.0 * g * x,))
    close(nt.jvp(f, (X,), (W,))[1], 10.0 * X.numpy() * W.numpy())
    close(nt.linearize(f, X)[1](W), 10.0 * X.numpy() * W.numpy())
    close(nt.hvp(lambda x: f(x).sum(), X, W), 10.0 * W.numpy())


def test_checkpoint_runs_the_rule_again() -> None:
    f = nt.custom_vjp(na.sin, lambda x: (na.sin(x), x), lambda x, g: (10.0 * g * x,))
    for order in (lambda g: g, nt.grad):
        once = order(lambda x: nt.grad(lambda y: f(f(y) * y))(x))
        again = order(lambda x: nt.grad(nt.checkpoint(lambda y: f(f(y) * y)))(x))
        close(again(na.asarray(0.5)), once(na.asarray(0.5)).numpy())


# --- Arguments of every kind ---
class Pair(NamedTuple):
    first: Array
    second: Array | None


def test_pytrees_none_static_and_keyword_arguments() -> None:
    def f(p: dict[str, Any], b: Array | None, power: int = 2, mode: str = "plain", *, scale: float = 1.0) -> Pair:
        assert mode == "plain"
        y = scale * p["x"] ** power * p["deep"][0]
        return Pair(y if b is None else y + b, None)

    def fwd(p: dict[str, Any], b: Array | None, power: int = 2, mode: str = "plain", *, scale: float = 1.0) -> Any:
        return f(p, b, power, mode, scale=scale), (p, b is None, power, mode, scale)

    def bwd(residuals: Any, grad: Pair) -> Any:
        p, without, power, mode, scale = residuals
        assert (mode, power, grad.second) == ("plain", 3, None)
        g = grad.first * scale
        return {"x": g * p["deep"][0], "deep": [100.0 * g, None]}, None if without else 7.0 * grad.first, None, None

    mine = nt.custom_vjp(f, fwd, bwd)
    p = {"x": X, "deep": [W, 3]}
    close(mine(p, None, 3, scale=2.0).first, 2.0 * X.numpy() ** 3 * W.numpy())
    gradient = nt.grad(lambda p: mine(p, None, mode="plain", power=3, scale=2.0).first.sum())(p)
    close(gradient["x"], 2.0 * W.numpy())
    close(gradient["deep"][0], [200.0] * 3)
    assert gradient["deep"][1] == 0
    close(nt.grad(lambda b: mine(p, b, 3).first.sum())(W), [7.0] * 3)
    with pytest.raises(PolicyError, match=r"f: option 'scale' is being differentiated"):
        nt.grad(lambda s: mine(p, None, 3, scale=s).first.sum())(na.asarray(2.0))


def test_several_outputs_and_integer_outputs(device: str) -> None:
    def fwd(x: Array) -> Any:
        return (na.max(x), na.argmax(x), {"twice": x * 2.0}), (x.shape, na.argmax(x))

    def bwd(residuals: Any, grad: Any) -> Any:
        shape, index = residuals
        g, none, rest = grad
        assert none.dtype == na.int64
        return (g * na.one_hot(index, shape[0]).astype(g.dtype) + 3.0 * rest["twice"],)

    largest = nt.custom_vjp(lambda x: fwd(x)[0], fwd, bwd)
    x = X.to(device)
    assert largest(x)[1].item() == 2
    close(nt.grad(lambda x: largest(x)[0])(x), [0.0, 0.0, 1.0])
    close(nt.grad(lambda x: largest(x)[2]["twice"].sum() + largest(x)[0])(x), [3.0, 3.0, 4.0])
    close(nt.vmap(nt.grad(lambda x: largest(x)[0]))(na.stack([x, -x])), [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def test_it_is_a_function_and_a_method() -> None:
    class Layer:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        def apply(self, x: Array) -> Array:
            """Scale."""
            return x * self.scale

        call = nt.custom_vjp(apply, lambda self, x: (self.apply(x), self.scale), lambda s, g: (None, 10.0 * s * g))

    layer = Layer(2.0)
    close(layer.call(X), 2.0 * X.numpy())
    close(nt.grad(lambda x: layer.call(x).sum())(X), [20.0] * 3)
    assert (Layer.call.__name__, Layer.call.__doc__) == ("apply", "Scale.")


def test_f_runs_where_nothing_is_differentiated_and_fwd_where_something_is() -> None:
    ran: list[str] = []

    def f(x: Array, n: Array) -> Array:
        ran.append("f")
        return x * 1.0

    def fwd(x: Array, n: Array) -> Any:
        ran.append("fwd")
        return x * 1.0, None

    mine = nt.custom_vjp(f, fwd, lambda _, g: (g, None))
    n = na.asarray([1])
    mine(X, n)
    nt.vmap(lambda x: mine(x, n))(X)
    nt.grad(lambda y: mine(X, n).sum() + y.sum())(X)
    assert ran == ["f"] * 3
    nt.vmap(nt.grad(lambda x: mine(x, n)))(X)
    nt.grad(lambda x: nt.vmap(lambda x: mine(x, n))(x).sum())(X)
    nt.jvp(lambda x: mine(x, n), (X,), (X,))
    assert ran == ["f"] * 3 + ["fwd"] * 3


def test_closures_over_differentiated_arrays_are_refused() -> None:
    def loss(w: Array) -> Array:
        functions: Any = (lambda x: x * w), (lambda x: (x * w, None)), (lambda _, g: (g,))
        return na.sum(nt.custom_vjp(*functions)(X))

    with pytest.raises(PolicyError, match=r"custom_vjp\(<lambda>\).fwd: uses, in multiply, an array.*not an argument"):
        nt.grad(loss)(W)
    with pytest.raises(PolicyError, match="not an argument"):
        nt.jvp(loss, (W,), (W,))


# --- Pieces ---
def test_straight_through_and_gradient_reversal_as_torch_does_them() -> None:
    torch = pytest.importorskip("torch")
    straight_through = nt.custom_vjp(na.round, lambda x: (na.round(x), None), lambda _, g: (g,))
    reverse_gradient = nt.custom_vjp(lambda x: x, lambda x: (x, None), lambda _, g: (-g,))
    x = torch.tensor(X.numpy().copy() * 1.3, requires_grad=True)
    (((x.round() - x).detach() + x) * x - torch.sin(x) * 2.0).sum().backward()
    mine = nt.grad(lambda x: (straight_through(x) * x + na.sin(reverse_gradient(x)) * 2.0).sum())(X * 1.3)
    close(mine, x.grad)


# --- Mistakes ---
def identity(x: Array) -> Array:
    return x * 1.0


async def coroutine(x: Array) -> Any:
    return x, None


def generator(x: Array) -> Any:
    yield x


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ((3, identity, identity), "custom_vjp.int.: f must be a function, got int"),
        ((identity, None, lambda r, g: (g,)), "custom_vjp.identity.: fwd must be a function, got NoneType"),
        (
            (identity, coroutine, lambda r, g: (g,)),
            r"fwd must be a plain function, got a coroutine function",
        ),
        ((identity, generator, lambda r, g: (g,)), "fwd must be a plain function, got a generator"),
        ((identity, lambda x, y: (x, y), lambda r, g: (g,)), r"fwd must take the arguments of f, .*, got \(x, y\)"),
        ((identity, lambda x, *, s: (x, s), lambda r, g: (g,)), r"fwd must take the arguments of f"),
        (
            (identity, lambda x: (x, None), lambda g: (g,)),
            r"custom_vjp\(identity\).bwd: must take the residuals.*'g'",
        ),
        ((identity, lambda x: (x, None), lambda a, b, c: (a,)), r"bwd: must take the residuals.*\['a', 'b', 'c'\]"),
        ((lambda **k: k["x"], lambda **k: (k["x"], None), lambda r, g: (g,)), r"must not take \*\*k; name its options"),
    ],
)
def test_functions_that_do_not_fit(functions: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        nt.custom_vjp(*functions)


@pytest.mark.parametrize(
    ("fwd", "bwd", "message"),
    [
        (lambda x, w: x * w, lambda r, g: (g, g), r"custom_vjp\(f\).fwd: must return \(output, residuals\), got Array"),
        (lambda x, w: (x, w, 1), lambda r, g: (g, g), r"custom_vjp\(f\).fwd: must return .*, got a tuple of 3"),
        (lambda x, w: ("a", w), lambda r, g: (g, g), r"custom_vjp\(f\).fwd: must return Arrays.*got str"),
        (
            lambda x, w: (x, w),
            lambda r, g: (g,),
            r"custom_vjp\(f\).bwd: must return a tuple .*\(x, w\), got a tuple of 1",
        ),
        (lambda x, w: (x, w), lambda r, g: g, r"custom_vjp\(f\).bwd: must return a tuple.*got Array"),
        (lambda x, w: (x, w), lambda r, g: (g, None), r"custom_vjp\(f\).bwd: returned None for argument 1 \('w'\)"),
        (lambda x, w: (x, w), lambda r, g: (g, g[:1]), r"custom_vjp\(f\).bwd: .*argument 1 \('w'\) has shape \(1,\)"),
    ],
)
def test_wrong_returns(fwd: Fn, bwd: Fn, message: str) -> None:
    def f(x: Array, w: Array) -> Array:
        return x * w

    mine = nt.custom_vjp(f, fwd, bwd)
    with pytest.raises(PolicyError, match=message):
        nt.grad(lambda x, w: na.sum(mine(x, w)), (0, 1))(X, W)


def test_wrong_call_names_the_signature() -> None:
    rule: Any = (lambda x: (x, None)), (lambda _, g: (g,))
    mine: Any = nt.custom_vjp(identity, *rule)
    with pytest.raises(PolicyError, match=r"identity: too many positional arguments; forward is identity\(x: "):
        mine(X, X)
    with pytest.raises(PolicyError, match=r"identity: argument 0 \('x'\) is a numpy.ndarray; wrap it in na.asarray"):
        mine(X.numpy())
