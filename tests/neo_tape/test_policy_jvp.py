"""Forward mode of a Policy: its own jvp, or the transpose of its backward, or an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, PolicyError

X: Final = na.asarray(np.array([1.0, 2.0, 3.0]))
T: Final = na.asarray(np.array([4.0, 5.0, 6.0]))


def with_backward(backward: Callable[[Array, Array], Array]) -> Any:
    """Return a Policy of one argument x, named Mine, with this map from (cotangent, x) to the gradient."""

    @nt.function
    class Mine(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            (x,) = self.ctx.release
            return (backward(grad, x),)

    return Mine


@nt.function
class Sevenfold(nt.Policy):
    def forward(self, x: Array) -> Array:
        return 7.0 * x

    def backward(self, grad: Array) -> tuple[Array]:
        return (7.0 * grad,)


# --- By transposition ---
LINEAR: Final[dict[str, tuple[Callable[[Array, Array], Array], list[float]]]] = {
    "identity": (lambda g, x: g, [4.0, 5.0, 6.0]),
    "scaled": (lambda g, x: 3.0 * g * x, [12.0, 30.0, 54.0]),
    "divided": (lambda g, x: g / x, [4.0, 2.5, 2.0]),
    "zero": (lambda g, x: na.zeros_like(g), [0.0, 0.0, 0.0]),
    "sum": (lambda g, x: na.broadcast_to(g.sum(), (3,)) * x, [32.0, 32.0, 32.0]),
    "reversed": (lambda g, x: g[::-1], [6.0, 5.0, 4.0]),
    "shifted": (lambda g, x: na.concat([g[1:], na.zeros((1,), dtype=na.float64)]), [0.0, 4.0, 5.0]),
    "matrix": (lambda g, x: na.reshape(x, (3, 1)) @ na.reshape(g, (1, 3)) @ x, [32.0, 64.0, 96.0]),
    "masked by x": (lambda g, x: na.where(x > 1.5, g, 0.0), [0.0, 5.0, 6.0]),
    "through vjp": (lambda g, x: nt.vjp(lambda y: y * y, x)[1](g)[0], [8.0, 20.0, 36.0]),
    "through another Policy": (lambda g, x: Sevenfold(g), [28.0, 35.0, 42.0]),
}


@pytest.mark.parametrize(("backward", "expected"), LINEAR.values(), ids=LINEAR)
def test_linear_backward_is_transposed(backward: Callable[[Array, Array], Array], expected: list[float]) -> None:
    mine = with_backward(backward)
    out, tangent = nt.jvp(mine, (X,), (T,))
    assert out.numpy().tolist() == [2.0, 4.0, 6.0]
    np.testing.assert_allclose(tangent.numpy(), expected, rtol=1e-15)
    (reverse,) = nt.vjp(mine, X)[1](X)
    np.testing.assert_allclose((reverse * T).sum().item(), (tangent * X).sum().item(), rtol=1e-14)


def test_transposed_rule_is_differentiated_by_primal_and_tangent() -> None:
    mine = with_backward(lambda g, x: g * na.sin(x))
    f = lambda x, t: (nt.jvp(mine, (x,), (t,))[1] * T).sum()
    by_x, by_t = nt.grad(f, (0, 1))(X, T)
    np.testing.assert_allclose(by_x.numpy(), T.numpy() ** 2 * np.cos(X.numpy()), rtol=1e-14)
    np.testing.assert_allclose(by_t.numpy(), T.numpy() * np.sin(X.numpy()), rtol=1e-14)
    twice = nt.jvp(lambda x: nt.jvp(mine, (x,), (T,))[1], (X,), (T,))[1]
    np.testing.assert_allclose(twice.numpy(), T.numpy() ** 2 * np.cos(X.numpy()), rtol=1e-14)


NONLINEAR: Final[dict[str, Callable[[Array, Array], Array]]] = {
    "squared": lambda g, x: g * g,
    "sine": lambda g, x: na.sin(g),
    "shifted": lambda g, x: g + 1.0,
    "constant": lambda g, x: na.ones_like(g),
    "clipped": lambda g, x: na.minimum(na.maximum(g, -1.0), 1.0),
    "absolute": lambda g, x: na.abs(g),
    "normalised": lambda g, x: g / (1e-3 + na.sum(g * g)),
    "masked by itself": lambda g, x: na.where(g > 0.0, g, 0.0),
    "stopped": lambda g, x: nt.stop_gradient(g),
    "its sign": lambda g, x: na.sign(g),
    "scaled by its value": lambda g, x: g * float(g.sum()),
    "branch on its value": lambda g, x: g if float(g.sum()) >= 0.0 else -2.0 * g,
    "branch on its item": lambda g, x: g if g[0].item() == 0 else 2.0 * g,
    "branch on its truth": lambda g, x: g if g.sum() else 2.0 * g,
    "branch on a comparison": lambda g, x: g if (g > -1.0).numpy().all() else 2.0 * g,
    "through NumPy": lambda g, x: na.asarray(g.numpy() * 2.0),
    "maximum": lambda g, x: g.max() * x,
}


@pytest.mark.parametrize("backward", NONLINEAR.values(), ids=NONLINEAR)
def test_backward_that_is_not_linear_has_no_forward_mode(backward: Callable[[Array, Array], Array]) -> None:
    mine = with_backward(backward)
    nt.vjp(mine, X)[1](T)  # reverse mode takes it
    with pytest.raises(PolicyError, match=r"Mine: .*not linear in its cotangent.*define jvp\(self, \*tangents\)"):
        nt.jvp(mine, (X,), (T,))
    with pytest.raises(PolicyError, match="not linear"):
        nt.grad(lambda x: nt.jvp(mine, (x,), (T,))[1].sum())(X)


def test_only_wanted_arguments_take_part_in_the_transpose() -> None:
    @nt.function
    class Product(nt.Policy):
        def forward(self, x: Array, y: Array, n: Array) -> Array:
            self.ctx.save(x, y)
            return x * y

        def backward(self, grad: Array) -> tuple[Array | None, Array | None, None]:
            x, y = self.ctx.release
            return (grad * y if self.needs_grad[0] else None), (2.0 * grad * x if self.needs_grad[1] else None), None

    n = na.asarray([1, 2])
    assert nt.jvp(lambda x: Product(x, T, n), (X,), (X,))[1].numpy().tolist() == [4.0, 10.0, 18.0]
    assert nt.jvp(lambda y: Product(X, y, n), (T,), (X,))[1].numpy().tolist() == [2.0, 8.0, 18.0]
    both = nt.jvp(lambda x: Product(x, x, n), (X,), (X,))[1]
    assert both.numpy().tolist() == [3.0, 12.0, 27.0]


# --- By a jvp of its own ---
@nt.function
class Own(nt.Policy):
    """Forward mode says 7 x t + u, reverse mode says otherwise: each mode uses its own rule."""

    def forward(self, x: Array, p: dict[str, Array | None], n: int = 2) -> dict[str, Array]:
        self.ctx.save(x)
        return {"y": x * float(n)}

    def backward(self, grad: dict[str, Array]) -> tuple[Array, dict[str, Array | None], None]:
        g = grad["y"]
        return na.sin(g), {"u": g, "none": None}, None

    def jvp(self, *tangents: Any) -> dict[str, Array]:
        t, p, n = tangents
        assert n is None
        assert p["none"] is None
        return {"y": 7.0 * self.ctx.release[0] * t + p["u"]}


def test_own_jvp_is_used_in_forward_mode_alone() -> None:
    f: Any = lambda x, u: Own(x, {"u": u, "none": None})["y"]
    assert nt.jvp(f, (X, T), (X, T))[1].numpy().tolist() == [11.0, 33.0, 69.0]
    assert nt.jvp(lambda x: f(x, T), (X,), (X,))[1].numpy().tolist() == [7.0, 28.0, 63.0]  # zeros where constant
    by_x, by_u = nt.vjp(f, X, T)[1](T)
    np.testing.assert_allclose(by_x.numpy(), np.sin(T.numpy()), rtol=1e-15)
    assert by_u.numpy().tolist() == T.numpy().tolist()


def test_own_jvp_is_differentiated() -> None:
    f: Any = lambda x: nt.jvp(lambda y: Own(y, {"u": T, "none": None})["y"], (x,), (T,))[1].sum()
    assert nt.grad(f)(X).numpy().tolist() == [28.0, 35.0, 42.0]


@pytest.mark.parametrize(
    ("tangent", "message"),
    [
        (lambda t: t.sum(), r"Mine.jvp: .*shape \(\).*shape \(3,\)"),
        (lambda t: t.astype(na.float32), "Mine.jvp: .*float32.*float64"),
        (lambda t: (t,), "Mine.jvp: .*structure"),
        (lambda t: None, "Mine.jvp: .*got None"),
        (lambda t: 1.0, "Mine.jvp: .*(Array|structure)"),
    ],
)
def test_wrong_return_of_jvp(tangent: Callable[[Array], Any], message: str) -> None:
    @nt.function
    class Mine(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad,)

        def jvp(self, t: Array) -> Any:
            return tangent(t)

    with pytest.raises(PolicyError, match=message):
        nt.jvp(Mine, (X,), (T,))


def test_infinite_and_nan_derivatives_are_transposed() -> None:
    """A square root has an infinite derivative at zero: its backward gives nan for a cotangent of zero."""

    @nt.function
    class Root(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return na.sqrt(x)

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * 0.5 / na.sqrt(self.ctx.release[0]),)

    x = na.asarray(np.array([0.0, 4.0, np.nan]))
    for f in (Root, na.sqrt, nt.vmap(Root), nt.checkpoint(Root)):
        np.testing.assert_array_equal(nt.jvp(f, (x,), (na.ones_like(x),))[1].numpy(), [np.inf, 0.25, np.nan])
