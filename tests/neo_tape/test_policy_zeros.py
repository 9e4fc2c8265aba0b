"""What did not arrive, what has no derivative, and what nobody asked for: three things, in both modes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, NoDerivative, PolicyError

X: Final = na.asarray(np.array([-1.0, 0.5, 2.0]))
W: Final = na.asarray(np.array([3.0, -2.0, 1.5]))
N: Final = na.asarray([1, 2, 3])


def kind(x: object) -> str:
    return "None" if x is None else type(x).__name__


class Several(nt.Policy[Any, Any]):
    """Two arguments and an integer one; a product, a sum and an integer result. Says what it was handed."""

    symbolic_zeros = True
    handed: list[Any]

    def forward(self, x: Array, p: dict[str, Any], n: Array) -> dict[str, Array]:
        self.ctx.save(x, p)
        return {"product": x * p["w"], "sum": x + 1.0, "n": n}

    def backward(self, grad: dict[str, Any]) -> tuple[Any, Any, Any]:
        self.handed.append(({k: kind(g) for k, g in grad.items()}, self.needs_grad))
        x, p = self.ctx.release
        by_product, by_sum = grad["product"], grad["sum"]
        if isinstance(by_product, nt.Zero):
            return by_sum, {"w": nt.Zero.like(x), "static": None}, None
        gx = by_product * p["w"] if isinstance(by_sum, nt.Zero) else by_product * p["w"] + by_sum
        return gx, {"w": by_product * x, "static": None}, None

    def jvp(self, *tangents: Any) -> dict[str, Any]:
        t, p, n = tangents
        self.handed.append((kind(t), kind(p["w"]), p["static"], kind(n)))
        x, q = self.ctx.release
        if isinstance(t, nt.Zero):
            return {"product": x * p["w"], "sum": t, "n": n}
        by_w = 0.0 if isinstance(p["w"], nt.Zero) else x * p["w"]
        return {"product": t * q["w"] + by_w, "sum": t, "n": None}


@pytest.fixture
def several() -> Any:
    return type("Several", (Several,), {"handed": []})


P: Final[Any] = {"w": W, "static": 7}


def test_cotangents_that_did_not_arrive_are_typed_zeros(several: Any) -> None:
    gradient = nt.grad(lambda x: several(x, P, N)["sum"].sum())(X)
    assert gradient.numpy().tolist() == [1.0] * 3
    gradient = nt.grad(lambda x: several(x, P, N)["product"].sum())(X)
    assert gradient.numpy().tolist() == W.numpy().tolist()

    def both(x: Array) -> Array:
        out = several(x, P, N)
        return na.sum(out["sum"] + out["product"])

    nt.grad(both)(X)
    assert several.handed == [
        ({"product": "Zero", "sum": "Array", "n": "NoDerivative"}, (True, False, False)),
        ({"product": "Array", "sum": "Zero", "n": "NoDerivative"}, (True, False, False)),
        ({"product": "Array", "sum": "Array", "n": "NoDerivative"}, (True, False, False)),
    ]


def test_returned_zeros_are_zero_gradients(several: Any) -> None:
    gradient = nt.grad(lambda w: several(X, {"w": w, "static": 7}, N)["sum"].sum() + w.sum())(W)
    assert gradient.numpy().tolist() == [1.0] * 3
    alone = nt.grad(lambda w: several(X, {"w": w, "static": 7}, N)["sum"].sum())(W)
    assert (alone.numpy().tolist(), alone.dtype) == ([0.0] * 3, W.dtype)
    under_vmap = nt.grad(lambda w: nt.vmap(lambda x: several(x, {"w": w[0], "static": 7}, N[0])["sum"])(X).sum())(W)
    assert under_vmap.numpy().tolist() == [0.0] * 3


def test_tangents_of_constants_are_typed_zeros(several: Any) -> None:
    out = nt.jvp(lambda x: several(x, P, N), (X,), (W,))[1]
    assert [out[k].numpy().tolist() for k in ("product", "sum")] == [[9.0, 4.0, 2.25], W.numpy().tolist()]
    out = nt.jvp(lambda w: several(X, {"w": w, "static": 7}, N), (W,), (X,))[1]
    assert [out[k].numpy().tolist() for k in ("product", "sum", "n")] == [[1.0, 0.25, 4.0], [0.0] * 3, [0] * 3]
    assert several.handed == [("Array", "Zero", None, "NoDerivative"), ("Zero", "Array", None, "NoDerivative")]


def test_linearize_and_vmap_take_returned_zeros(several: Any) -> None:
    out = nt.linearize(lambda w: several(X, {"w": w, "static": 7}, N), W)[1](X)
    assert out["sum"].numpy().tolist() == [0.0] * 3
    out = nt.vmap(lambda x, t: nt.jvp(lambda w: several(x, {"w": w, "static": 7}, N[0])["sum"], (x,), (t,))[1])(X, W)
    assert out.numpy().tolist() == [0.0] * 3


def test_transposed_backward_may_return_zeros() -> None:
    class Mine(nt.Policy):
        def forward(self, x: Array, w: Array) -> Array:
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Any, Any]:
            return 2.0 * grad, nt.Zero.like(grad)

    mine: Any = Mine
    assert nt.jvp(mine, (X, W), (W, X))[1].numpy().tolist() == (2.0 * W).numpy().tolist()
    assert [g.numpy().tolist() for g in nt.vjp(mine, X, W)[1](W)] == [(2.0 * W).numpy().tolist(), [0.0] * 3]


def test_second_order_over_zeros(several: Any) -> None:
    """The inner derivative gets a Zero for the sum; the outer one goes through what was computed without it."""
    square = lambda x, w: (several(x, {"w": w, "static": 7}, N)["product"] ** 2).sum()
    found = nt.grad(lambda w: nt.grad(square)(w, w).sum())(X)
    # d/dy (y w)^2 = 2 y w^2 at y = w = x: 2 x^3
    np.testing.assert_allclose(found.numpy(), 6.0 * X.numpy() ** 2, rtol=1e-13)


def test_without_the_attribute_zeros_are_made() -> None:
    seen: list[str] = []

    class Mine(nt.Policy):
        def forward(self, x: Array, n: Array) -> tuple[Array, Array, Array]:
            return x, x * 1.0, n

        def backward(self, grad: tuple[Array, Array, Array]) -> tuple[Array, None]:
            seen.extend(map(kind, grad))
            return grad[0] + grad[1], None

    mine: Any = Mine
    nt.grad(lambda x: mine(x, N)[0].sum())(X)
    assert seen == ["Array"] * 3


# --- What has no derivative ---
class Shifted(nt.Policy):
    def forward(self, x: Array, rate: Array) -> Array:
        return x + 1.0

    def backward(self, grad: Array) -> tuple[Any, Any]:
        return grad, NoDerivative("it only counts")

    def jvp(self, *tangents: Array) -> Array:
        return tangents[0]


shifted: Final[Any] = Shifted


def test_no_derivative_raises_where_one_is_wanted() -> None:
    assert nt.grad(lambda x: shifted(x, W).sum())(X).numpy().tolist() == [1.0] * 3
    assert nt.grad(lambda x: shifted(x, nt.stop_gradient(x)).sum())(X).numpy().tolist() == [1.0] * 3
    with pytest.raises(
        PolicyError,
        match=r"Shifted.backward: no derivative with respect to argument 1 \('rate'\): it only counts.*stop",
    ):
        nt.grad(lambda rate: shifted(X, rate).sum())(W)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda g: nt.Zero((2,), g.dtype, g.device), r"Mine.backward: .*argument 0 \('x'\) has shape \(2,\).*\(3,\)"),
        (lambda g: nt.Zero(g.shape, na.float32, g.device), r"argument 0 \('x'\) has .*float32.*float64"),
        (lambda g: nt.Zero, r"argument 0 \('x'\) must be an Array, got type"),
        (lambda g: NoDerivative, r"argument 0 \('x'\) must be an Array, got type"),
    ],
)
def test_zeros_that_do_not_fit(returned: Any, message: str) -> None:
    members = {"forward": lambda self, x: x * 1.0, "backward": lambda self, g: (returned(g),)}
    mine: Any = type("Mine", (nt.Policy,), members)
    with pytest.raises(PolicyError, match=message):
        nt.grad(lambda x: mine(x).sum())(X)


# --- What is wanted ---
class Wants(nt.Policy):
    """Notes what it is asked for, in forward and in backward."""

    seen: list[Any]

    def forward(self, x: Array, p: dict[str, Any], flag: bool = True) -> Array:
        self.seen.append(self.needs_grad)
        return na.add(x * p["a"], p["b"][0])

    def backward(self, grad: Array) -> tuple[Any, Any, None]:
        self.seen.append(self.needs_grad)
        return grad, {"a": grad, "b": [grad, None]}, None


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        (lambda f: f(X, {"a": W, "b": [W, 1]}), [(False, False, False)]),
        (lambda f: nt.grad(lambda x: f(x, {"a": W, "b": [W, 1]}).sum())(X), [(True, False, False)] * 2),
        (lambda f: nt.grad(lambda w: f(X, {"a": W, "b": [w, 1]}).sum())(X), [(False, True, False)] * 2),
        (lambda f: nt.vmap(nt.grad(lambda w: f(1.0, {"a": w, "b": [w, 1]})))(X), [(False, True, False)] * 2),
        (
            lambda f: nt.grad(lambda x: nt.vmap(lambda x: f(x, {"a": W[0], "b": [W[1], 1]}))(x).sum())(X),
            [(True, False, False)] * 2,
        ),
        (
            # forward: some level wants each; backward: the inner tape wants x, the outer one w, which alone it knows
            lambda f: nt.grad(
                lambda w: nt.grad(lambda x: (f(x, {"a": w, "b": [w, 1]}) ** 2).sum())(X).sum(),
            )(W),
            [(True, True, False), (True, False, False), (False, True, False)],
        ),
        (lambda f: nt.jvp(lambda x: f(x, {"a": W, "b": [W, 1]}), (X,), (W,)), [(True, False, False)] * 2),
    ],
)
def test_needs_grad_says_what_is_wanted(call: Any, seen: Any) -> None:
    wants = type("Wants", (Wants,), {"seen": []})
    call(wants)
    assert wants.seen == seen  # type: ignore[attr-defined]
