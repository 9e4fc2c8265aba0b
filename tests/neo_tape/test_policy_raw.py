"""raw = True: backend arrays in and out, one derivative, and an error for whatever else would go missing."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from scipy import special

import neo_array as na
import neo_tape as nt
from neo_array import Array, PolicyError

X: Final = na.asarray(np.array([0.5, 1.5, 2.0]))
W: Final = na.asarray(np.array([3.0, -2.0, 1.5]))


class Bessel(nt.Policy[Any]):
    """The Bessel function of order 0, by SciPy."""

    raw = True

    def forward(self, x: Any) -> Any:
        assert type(x) is np.ndarray
        self.ctx.save(x)
        return special.j0(x)

    def backward(self, grad: Any) -> tuple[Any]:
        assert type(grad) is np.ndarray
        (x,) = self.ctx.release
        return (-grad * special.j1(x),)


class WithForwardMode(Bessel):
    def jvp(self, t: Any) -> Any:
        (x,) = self.ctx.release
        return -t * special.j1(x)


class SavesItsSlope(nt.Policy[Any]):
    """Nothing that it saves depends on its argument, as far as a level can see."""

    raw = True

    def forward(self, x: Any) -> Any:
        self.ctx.save(-special.j1(x))
        return special.j0(x)

    def backward(self, grad: Any) -> tuple[Any]:
        return (grad * self.ctx.release[0],)

    def jvp(self, t: Any) -> Any:
        return t * self.ctx.release[0]


bessel: Final[Any] = Bessel
with_forward_mode: Final[Any] = WithForwardMode


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got.numpy(), np.asarray(expected), rtol=1e-12)


# --- What works ---
def test_value_and_first_derivative() -> None:
    close(bessel(X), special.j0(X.numpy()))
    close(nt.grad(lambda x: (bessel(x * 2.0) * W).sum())(X), -2.0 * W.numpy() * special.j1(2.0 * X.numpy()))
    close(nt.vjp(bessel, X)[1](W)[0], -W.numpy() * special.j1(X.numpy()))
    close(nt.grad(nt.checkpoint(lambda x: bessel(bessel(x)).sum()))(X), nt.grad(lambda x: bessel(bessel(x)).sum())(X))


def test_forward_mode_by_jvp() -> None:
    close(nt.jvp(with_forward_mode, (X,), (W,))[1], -W.numpy() * special.j1(X.numpy()))
    close(nt.linearize(nt.stop_gradient, X)[0], X.numpy())


def test_constants_of_other_derivatives_are_no_second_order() -> None:
    """The inner derivative is a constant for the outer one, which says so."""
    f = lambda w: (nt.stop_gradient(nt.grad(lambda x: bessel(x).sum())(X)) * w).sum()
    close(nt.grad(f)(W), -special.j1(X.numpy()))
    g = lambda w: (nt.grad(lambda x: bessel(x).sum())(nt.stop_gradient(w)) * w).sum()
    close(nt.grad(g)(X), -special.j1(X.numpy()))


def test_torch_tensors_and_their_own_autograd() -> None:
    torch = pytest.importorskip("torch")

    class Softplus(nt.Policy[Any]):
        """torch's own derivative, taken inside backward."""

        raw = True

        def forward(self, x: Any) -> Any:
            assert type(x) is torch.Tensor
            self.ctx.save(x)
            return torch.nn.functional.softplus(x.requires_grad_())

        def backward(self, grad: Any) -> tuple[Any]:
            (x,) = self.ctx.release
            with torch.enable_grad():
                y = torch.nn.functional.softplus(x.requires_grad_())
                return (torch.autograd.grad(y, x, grad)[0],)

    softplus: Any = Softplus
    x = X.to("torch:cpu")
    gradient = nt.grad(lambda x: softplus(x * 1.0).sum())(x)
    close(gradient, 1.0 / (1.0 + np.exp(-X.numpy())))
    assert (str(gradient.device), gradient.raw.requires_grad, x.raw.requires_grad) == ("torch:cpu", False, False)


def test_pytrees_options_integers_scalars_and_several_outputs() -> None:
    class Mine(nt.Policy[Any, Any]):
        raw = True
        symbolic_zeros = True

        def forward(self, p: dict[str, Any], n: Any, *, weights: Any) -> Any:
            assert [type(v) for v in (p["x"], n, weights)] == [np.ndarray] * 3
            y = p["x"] * p["w"]
            self.ctx.save(p, y)
            return {"y": y, "max": p["x"].max(), "n": n + 1, "mean": float(weights.mean())}

        def backward(self, grad: dict[str, Any]) -> tuple[Any, None]:
            p, y = self.ctx.release
            assert (type(y), type(grad["max"]), type(grad["n"])) == (np.ndarray, nt.Zero, nt.NoDerivative)
            return {"x": grad["y"] * p["w"], "w": nt.Zero.like(W)}, None

    mine: Any = Mine
    n = na.asarray([1, 2])
    out = mine({"x": X, "w": W}, n, weights=W)
    assert [type(v) for v in out.values()] == [Array] * 4
    assert (out["max"].item(), out["n"].dtype, out["max"].dtype) == (2.0, na.int64, na.float64)
    gradient = nt.grad(lambda p: mine(p, n, weights=W)["y"].sum())({"x": X, "w": W})
    assert [gradient[k].numpy().tolist() for k in "xw"] == [W.numpy().tolist(), [0.0] * 3]


def test_outputs_stay_on_their_own_backend() -> None:
    pytest.importorskip("torch")
    with na.use_device("torch:cpu"):
        assert str(bessel(X).device) == "numpy"
        assert str(nt.grad(lambda x: bessel(x).sum())(X).device) == "numpy"


def test_what_forward_returns_and_saves_may_be_written_to_afterwards() -> None:
    buffer = np.zeros(3)

    class Mine(nt.Policy[Any]):
        raw = True

        def forward(self, x: Any) -> Any:
            np.multiply(x, 2.0, out=buffer)
            self.ctx.save(buffer)
            return buffer

        def backward(self, grad: Any) -> tuple[Any]:
            (y,) = self.ctx.release
            return (grad * y,)

    mine: Any = Mine
    out, pullback = nt.vjp(mine, X)
    buffer[:] = 100.0
    close(out, 2.0 * X.numpy())
    close(pullback(W)[0], 2.0 * X.numpy() * W.numpy())


def test_forward_that_returns_its_argument() -> None:
    mine: Any = type("Mine", (nt.Policy,), {"raw": True, "forward": lambda s, x: x, "backward": lambda s, g: (3 * g,)})
    assert mine(X) is not X
    close(nt.grad(lambda x: (mine(x) + x).sum())(X), [4.0] * 3)


# --- What would lose a derivative ---
def total(f: Any) -> Any:
    return lambda x: f(x).sum()


def squared(f: Any) -> Any:
    return lambda x: f(x * x).sum()


SECOND: Final[dict[str, Any]] = {
    "reverse of reverse": lambda f: nt.grad(total(nt.grad(total(f))))(X),
    "reverse of reverse, of something between": lambda f: nt.grad(total(nt.grad(squared(f))))(X),
    "by the cotangent": lambda f: nt.grad(lambda w: nt.grad(lambda x: (f(x) * w).sum())(X).sum())(W),
    "by a pullback's cotangent": lambda f: nt.grad(lambda w: nt.vjp(f, X)[1](w)[0].sum())(W),
    "forward of reverse": lambda f: nt.jvp(nt.grad(total(f)), (X,), (W,)),
    "forward of reverse, of something between": lambda f: nt.jvp(nt.grad(lambda x: f(na.sin(x)).sum()), (X,), (W,)),
    "hvp": lambda f: nt.hvp(total(f), X, W),
    "hessian": lambda f: nt.hessian(total(f))(X),
    "linearize of reverse": lambda f: nt.linearize(nt.grad(total(f)), X),
    "in a checkpoint": lambda f: nt.grad(total(nt.checkpoint(nt.grad(total(f)))))(X),
}
FORWARD_SECOND: Final[dict[str, Any]] = {
    "reverse of forward": lambda f: nt.grad(lambda x: nt.jvp(f, (x,), (W,))[1].sum())(X),
    "reverse of forward, by the tangent": lambda f: nt.grad(lambda w: nt.jvp(f, (X,), (w,))[1].sum())(W),
    "forward of forward": lambda f: nt.jvp(lambda x: nt.jvp(f, (x,), (W,))[1], (X,), (W,)),
    "linearize": lambda f: nt.linearize(f, X),
}


@pytest.mark.parametrize("call", SECOND.values(), ids=SECOND)
@pytest.mark.parametrize("policy", [bessel, with_forward_mode, SavesItsSlope])
def test_second_order_is_refused(call: Any, policy: Any) -> None:
    with pytest.raises(PolicyError, match=r"raw = True, so (it can be differentiated once|its backward cannot be t)"):
        call(policy)


@pytest.mark.parametrize("call", FORWARD_SECOND.values(), ids=FORWARD_SECOND)
@pytest.mark.parametrize("policy", [with_forward_mode, SavesItsSlope])
def test_second_order_of_forward_mode_is_refused(call: Any, policy: Any) -> None:
    with pytest.raises(PolicyError, match=": has raw = True, so it can be differentiated once"):
        call(policy)


def test_forward_mode_without_jvp_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"Bessel: has raw = True.*cannot be transposed.*define jvp"):
        nt.jvp(bessel, (X,), (W,))


@pytest.mark.parametrize(
    "call",
    [
        lambda: nt.vmap(bessel)(X),
        lambda: nt.vmap(nt.grad(bessel))(X),
        lambda: nt.grad(lambda x: nt.vmap(bessel)(x).sum())(X),
        lambda: nt.jacrev(bessel)(X),
        lambda: nt.vmap(lambda g: nt.vjp(bessel, X[0])[1](g))(W),
    ],
)
def test_vmap_is_refused(call: Any) -> None:
    with pytest.raises(PolicyError, match=r"Bessel: has raw = True.*vmap"):
        call()


def test_shapes_without_values_cannot_be_found() -> None:
    with pytest.raises(na.LevelError, match="no values, since nothing runs") as caught:
        nt.eval_shape(bessel, X)
    assert "raised in Bessel.forward" in caught.value.__notes__


# --- Mistakes ---
def raw_policy(forward: Any, backward: Any = lambda self, g: (g,), **members: Any) -> Any:
    return type("Mine", (nt.Policy,), {"raw": True, "forward": forward, "backward": backward, **members})


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            raw_policy(lambda s, x: na.asarray(x)),
            r"Mine.forward: has raw = True.*must return ndarrays, got an Array",
        ),
        (raw_policy(lambda s, x: "text"), r"Mine.forward: must return Arrays.*got str"),
        (raw_policy(lambda s, x: None), r"Mine.forward: must return Arrays.*got None"),
        (raw_policy(lambda s, x: x * 2, lambda s, g: (na.asarray(g),)), r"Mine.backward: has raw = True.*got an Array"),
        (raw_policy(lambda s, x: x * 2, lambda s, g: g), r"Mine.backward: must return a tuple.*got Array"),
        (raw_policy(lambda s, x: x * 2, lambda s, g: (g[:1],)), r"Mine.backward: .*\(1,\).*\(3,\)"),
        (raw_policy(lambda s, x: x * 2, lambda s, g: (np.float32(g),)), r"Mine.backward: .*float32.*float64"),
        (raw_policy(lambda s, x: x * 2, lambda s, g: (1.0,)), r"Mine.backward: .*got float"),
        (raw_policy(lambda s, x: x * 2, lambda s, g: (None,)), r"Mine.backward: returned None for argument 0 \('x'\)"),
        (
            raw_policy(lambda s, x: x * 2, lambda s, g: s.ctx.release),
            r"Mine.backward: ctx.release, but nothing was",
        ),
    ],
)
def test_wrong_returns(policy: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        nt.grad(lambda x: policy(x).sum())(X)


def written(x: Any) -> Any:
    x[0] = 7.0
    return x


@pytest.mark.parametrize("where", ["forward", "backward", "saved"])
def test_writing_into_what_was_given_is_an_error(where: str, device: str) -> None:
    x = X.to(device)

    def forward(self: Any, x: Any) -> Any:
        self.ctx.save(x)
        return written(x) if where == "forward" else x * 2.0

    def backward(self: Any, grad: Any) -> Any:
        (x,) = self.ctx.release
        return (written(x if where == "saved" else grad),)

    errors = (PolicyError, ValueError)
    with pytest.raises(errors, match=r"read-only|wrote into an array of shape \(3,\)") as caught:
        nt.grad(lambda x: raw_policy(forward, backward)(x).sum())(x)
    assert "Mine." in "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    if device == "numpy":
        close(x, [0.5, 1.5, 2.0])


def test_writing_into_a_cotangent_leaves_the_engines_constants_alone(device: str) -> None:
    x = X.to(device)
    f: Any = lambda x: raw_policy(lambda s, x: x * 2.0, lambda s, g: (written(g),))(x)
    for loss in (lambda x: f(x).sum(), lambda x: na.sum(f(x[:1])), lambda x: f(x)[:1].sum() * 1.0):
        with pytest.raises((PolicyError, ValueError), match=r"read-only|wrote into"):
            nt.grad(loss)(x)
    assert nt.grad(lambda x: x.sum())(x).numpy().tolist() == [1.0] * 3
    assert nt.grad(lambda x: (x * 1.0)[:1].sum())(x).numpy().tolist() == [1.0, 0.0, 0.0]


def test_closures_over_differentiated_arrays_are_refused() -> None:
    def f(w: Array) -> Array:
        return raw_policy(lambda self, x: x * w.numpy())(X).sum()  # type: ignore[no-any-return]

    with pytest.raises(na.LevelError, match="being differentiated"):
        nt.grad(f)(W)
