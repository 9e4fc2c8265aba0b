"""vjp and jvp: any pytree in and out, pullbacks that serve many times, products that are transposes of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array

vjp: Final[Any] = nt.vjp
jvp: Final[Any] = nt.jvp


class Both(NamedTuple):
    doubled: Array
    rest: Any


X: Final = na.asarray(np.array([1.0, 2.0]))
N: Final = na.asarray([1, 0])


def many(x: Array, p: dict[str, Array]) -> Both:
    return Both(2.0 * x, {"product": x * p["w"], "none": None, "count": N, "fixed": na.ones((2,)), "number": 3.0})


def ones_like(tree: Any) -> Any:
    def one(leaf: Any) -> Any:
        return na.ones_like(leaf) if isinstance(leaf, Array) else leaf

    return na.tree.tree_map(one, tree)


# --- Pytrees ---
def test_output_and_gradients_keep_their_structures() -> None:
    w = na.asarray(np.array([3.0, 4.0]))
    out, pullback = nt.vjp(many, X, {"w": w})
    assert (type(out), list(out.rest)) == (Both, ["product", "none", "count", "fixed", "number"])
    by_x, by_p = pullback(ones_like(out))
    assert by_x.numpy().tolist() == [5.0, 6.0]
    assert {k: g.numpy().tolist() for k, g in by_p.items()} == {"w": [1.0, 2.0]}


def test_tangent_has_the_structure_of_the_output() -> None:
    w = na.asarray(np.array([3.0, 4.0]))
    out, tangent = nt.jvp(many, (X, {"w": w}), (X, {"w": na.zeros_like(w)}))
    assert na.tree.structure(out) == na.tree.structure(tangent)
    assert tangent.doubled.numpy().tolist() == [2.0, 4.0]
    assert tangent.rest["product"].numpy().tolist() == [3.0, 8.0]
    assert (tangent.rest["count"].dtype, tangent.rest["count"].numpy().tolist()) == (N.dtype, [0, 0])
    assert (tangent.rest["fixed"].numpy().tolist(), tangent.rest["number"]) == ([0.0, 0.0], 0.0)


def test_vjp_always_gives_a_tuple_one_entry_a_primal() -> None:
    assert type(nt.vjp(lambda x: x, X)[1](X)) is tuple
    assert nt.vjp(lambda: X)[1](X) == ()
    assert [g.numpy().tolist() for g in nt.vjp(lambda x, y: y, X, X)[1](X)] == [[0.0, 0.0], [1.0, 2.0]]


@pytest.mark.parametrize("number", [2, 2.5, True])
def test_number_serves_as_a_cotangent_or_tangent_of_a_0d_array(number: float) -> None:
    _, pullback = vjp(lambda x: x * x, na.asarray(3.0))
    assert pullback(number)[0].item() == 6.0 * number
    assert jvp(lambda x: x * x, (na.asarray(3.0),), (number,))[1].item() == 6.0 * number


def test_primals_that_are_numbers() -> None:
    out, pullback = vjp(lambda x, n, flag: x * n if flag else x, 3.0, 2, True)
    gradients = pullback(na.asarray(1.0))
    assert (out.item(), gradients[0].item(), gradients[1:]) == (6.0, 2.0, (0, False))
    out, tangent = jvp(lambda x, n, flag: x * n if flag else x, (3.0, 2, True), (1.0, 5, False))
    assert (out.item(), tangent.item()) == (6.0, 2.0)


def test_output_given_twice_and_output_that_is_an_input() -> None:
    def f(x: Array) -> tuple[Array, Array, Array]:
        y = x * x
        return y, y, x

    _, pullback = nt.vjp(f, X)
    assert pullback((X, X, X))[0].numpy().tolist() == [5.0, 18.0]
    _, tangents = nt.jvp(f, (X,), (X,))
    assert [t.numpy().tolist() for t in tangents] == [[2.0, 8.0], [2.0, 8.0], [1.0, 2.0]]


def test_aux_comes_third() -> None:
    f = lambda x: (x * x, {"note": x + 1.0})
    out, pullback, aux = vjp(f, X, has_aux=True)
    assert (out.numpy().tolist(), aux["note"].numpy().tolist()) == ([1.0, 4.0], [2.0, 3.0])
    assert pullback(X)[0].numpy().tolist() == [2.0, 8.0]
    out, tangent, aux = jvp(f, (X,), (X,), has_aux=True)
    assert (tangent.numpy().tolist(), aux["note"].numpy().tolist()) == ([2.0, 8.0], [2.0, 3.0])


# --- Pullbacks ---
def test_pullback_serves_many_times_and_is_linear() -> None:
    _, pullback = nt.vjp(lambda x: na.sin(x) * x, X)
    (once,) = pullback(X)
    assert np.array_equal(pullback(X)[0].numpy(), once.numpy())
    np.testing.assert_allclose(pullback(3.0 * X)[0].numpy(), 3 * once.numpy(), rtol=1e-14)
    assert pullback(na.zeros_like(X))[0].numpy().tolist() == [0.0, 0.0]


def test_pullback_is_differentiable_by_its_cotangent() -> None:
    _, pullback = nt.vjp(lambda x: x * x, X)
    f = lambda g: (pullback(g)[0] * pullback(g)[0]).sum()  # (2 x g)**2
    for _ in range(2):
        assert nt.grad(f)(X).numpy().tolist() == [8.0, 64.0]
    assert nt.jvp(lambda g: pullback(g)[0], (X,), (X,))[1].numpy().tolist() == [2.0, 8.0]


def test_pullback_under_grad_is_differentiable_by_primal_and_cotangent() -> None:
    def f(x: Array, g: Array) -> Array:
        _, pullback = nt.vjp(lambda y: y * y * y, x)
        return pullback(g)[0].sum() + pullback(2.0 * g)[0].sum()  # 9 x**2 g

    by_x, by_g = nt.grad(f, (0, 1))(X, X)
    assert (by_x.numpy().tolist(), by_g.numpy().tolist()) == ([18.0, 72.0], [9.0, 36.0])


def test_pullback_of_an_earlier_gradient_lives_on() -> None:
    """A pullback made inside grad and called after it sees the values of then."""
    kept: list[Callable[[Array], tuple[Array]]] = []

    def f(x: Array) -> Array:
        out, pullback = nt.vjp(lambda y: x * y * y, x)
        kept.append(pullback)
        return out.sum()

    nt.grad(f)(X)
    assert kept[0](X)[0].numpy().tolist() == [2.0, 16.0]


# --- The two modes are transposes, and both are JAX's ---
def composed(x: Any, w: Any, xp: Any) -> Any:
    h = xp.tanh(x @ w)
    return xp.exp(-h) * h.sum(axis=0, keepdims=True), xp.max(h, axis=1) / (1.0 + (w * w).sum())


def arguments() -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in [(4, 3), (3, 2), (4, 3), (3, 2), (4, 2), (4,)]]


def test_forward_and_reverse_products_agree(device: str) -> None:
    x, w, tx, tw, c1, c2 = map(na.asarray, arguments())
    f = lambda x, w: composed(x, w, na)
    t1, t2 = nt.jvp(f, (x, w), (tx, tw))[1]
    g1, g2 = nt.vjp(f, x, w)[1]((c1, c2))
    forward, reverse = (t1 * c1).sum() + (t2 * c2).sum(), (g1 * tx).sum() + (g2 * tw).sum()
    assert forward.item() == pytest.approx(reverse.item(), rel=1e-13)


def test_products_are_those_of_jax() -> None:
    from tests.neo_tape.jax_float64 import jax_in_float64

    f = lambda x, w: composed(x, w, na)
    x, w, tx, tw, c1, c2 = map(na.asarray, arguments())
    mine = [*nt.vjp(f, x, w)[1]((c1, c2)), *nt.jvp(f, (x, w), (tx, tw))[1]]
    with jax_in_float64() as jax:
        g = lambda x, w: composed(x, w, jax.numpy)
        ax, aw, atx, atw, a1, a2 = map(jax.numpy.asarray, arguments())
        theirs = [*jax.vjp(g, ax, aw)[1]((a1, a2)), *jax.jvp(g, (ax, aw), (atx, atw))[1]]
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=1e-12)


# --- stop_gradient ---
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_nothing_flows_through_stop_gradient(mode: str) -> None:
    f = lambda x: x * nt.stop_gradient(x * x)
    if mode == "reverse":
        assert nt.vjp(f, X)[1](na.ones_like(X))[0].numpy().tolist() == [1.0, 4.0]
    else:
        assert nt.jvp(f, (X,), (na.ones_like(X),))[1].numpy().tolist() == [1.0, 4.0]


def test_stop_gradient_holds_in_every_order_and_keeps_structure() -> None:
    second = nt.grad(lambda x: nt.grad(lambda y: (y * y * nt.stop_gradient(y)).sum())(x).sum())
    assert second(X).numpy().tolist() == [2.0, 4.0]  # d/dx of 2 x c, with c = x stopped
    tree: Any = {"b": X, "a": (X, None, "text", 3)}
    stopped = nt.stop_gradient(tree)
    assert (list(stopped), stopped["a"][1:]) == (["b", "a"], (None, "text", 3))
