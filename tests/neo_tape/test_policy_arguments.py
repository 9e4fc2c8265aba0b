"""What a Policy takes and gives: pytrees, None, numbers, options, integers; and what backward is told."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.gradients import ones

X: Final = na.asarray(np.array([1.0, 2.0, 3.0]))
W: Final = na.asarray(np.array([4.0, 5.0, 6.0]))


@nt.function
class Weighted(nt.Policy):
    """A dict, an optional Array, a number, an option; returns a dict."""

    def forward(
        self, p: dict[str, Array], b: Array | None, power: float = 1.0, *, scale: float = 1.0
    ) -> dict[str, Any]:
        self.ctx.save(p["x"], p["w"])
        self.scale = scale
        y = scale * power * p["x"] * p["w"]
        return {"y": y if b is None else y + b, "none": None, "parts": (p["x"] * 2.0,)}

    def backward(self, grad: dict[str, Any]) -> tuple[dict[str, Array], Array | None, None]:
        x, w = self.ctx.release
        assert list(grad) == ["y", "none", "parts"]
        g = self.scale * grad["y"]
        b = grad["y"] if self.needs_grad[1] else None
        return {"w": g * x, "x": g * w + 2.0 * grad["parts"][0]}, b, None


def test_pytrees_none_numbers_and_options() -> None:
    out = Weighted({"w": W, "x": X}, None, scale=2.0)
    assert (list(out), out["none"], out["y"].numpy().tolist()) == (["y", "none", "parts"], None, [8.0, 20.0, 36.0])
    gradient = nt.grad(lambda p: Weighted(p, None, scale=2.0)["y"].sum())({"w": W, "x": X})
    assert (list(gradient), gradient["w"].numpy().tolist()) == (["w", "x"], [2.0, 4.0, 6.0])
    assert gradient["x"].numpy().tolist() == [8.0, 10.0, 12.0]
    assert ones(lambda x, b: Weighted({"w": W, "x": x}, b)["y"], X, X) == [[4.0, 5.0, 6.0], [1.0] * 3]


def test_arguments_by_keyword_and_default() -> None:
    call = lambda x: Weighted(b=None, p={"w": W, "x": x}, power=1.0)["y"]
    assert ones(call, X) == [[4.0, 5.0, 6.0]]


def test_cotangent_that_did_not_arrive_is_zeros() -> None:
    p = {"w": W, "x": X}
    gradient = nt.grad(lambda p: na.sum(Weighted(p, None)["parts"][0]))(p)
    assert (gradient["w"].numpy().tolist(), gradient["x"].numpy().tolist()) == ([0.0] * 3, [2.0] * 3)


def test_forward_mode_of_pytrees() -> None:
    p, t = {"w": W, "x": X}, {"w": na.zeros_like(W), "x": na.ones_like(X)}
    _, tangent = nt.jvp(lambda p: Weighted(p, None, scale=2.0), (p,), (t,))
    assert tangent["y"].numpy().tolist() == [8.0, 10.0, 12.0]
    assert (tangent["parts"][0].numpy().tolist(), tangent["none"]) == ([2.0] * 3, None)


def test_starred_arguments() -> None:
    @nt.function
    class Total(nt.Policy):
        def forward(self, *xs: Array) -> Array:
            self.count = len(xs)
            return na.sum(na.stack(xs), axis=0)

        def backward(self, grad: Array) -> tuple[Array, ...]:
            return tuple(grad * float(k) for k in range(self.count))

    assert ones(Total, X, X, X) == [[0.0] * 3, [1.0] * 3, [2.0] * 3]


def test_integer_argument_and_integer_output_take_no_gradient() -> None:
    @nt.function
    class Gather(nt.Policy):
        def forward(self, x: Array, index: Array) -> tuple[Array, Array]:
            self.ctx.save(index)
            return na.take(x, index, axis=0), index + 1

        def backward(self, grad: tuple[Array, Array]) -> tuple[Array, None]:
            assert grad[1].dtype == na.int64
            return grad[0] * 2.0, None

    index = na.asarray([2, 0, 1])
    assert ones(lambda x: Gather(x, index)[0], X) == [[2.0] * 3]
    out, tangent = nt.jvp(lambda x: Gather(x, index), (X,), (X,))
    assert (tangent[0].numpy().tolist(), tangent[1].numpy().tolist()) == ([2.0, 4.0, 6.0], [0, 0, 0])
    assert out[1].dtype == tangent[1].dtype == na.int64


def test_same_array_twice_gets_both_gradients() -> None:
    @nt.function
    class Sided(nt.Policy):
        def forward(self, a: Array, b: Array) -> Array:
            return a + b

        def backward(self, grad: Array) -> tuple[Array, Array]:
            return 2.0 * grad, 5.0 * grad

    assert ones(lambda x: Sided(x, x), X) == [[7.0] * 3]
    assert nt.jvp(lambda x: Sided(x, x), (X,), (X,))[1].numpy().tolist() == [7.0, 14.0, 21.0]


def test_one_array_returned_twice_is_two_outputs() -> None:
    @nt.function
    class Copies(nt.Policy):
        def forward(self, x: Array) -> tuple[Array, Array]:
            y = x * 1.0
            return y, y

        def backward(self, grad: tuple[Array, Array]) -> tuple[Array]:
            return (grad[0] * 2.0 + grad[1] * 5.0,)

    assert ones(lambda x: Copies(x)[0], X) == [[2.0] * 3]
    assert ones(lambda x: Copies(x)[1], X) == [[5.0] * 3]


def test_needs_grad_says_which_arguments_want_one() -> None:
    seen: list[tuple[bool, ...]] = []

    @nt.function
    class Watching(nt.Policy):
        def forward(self, a: Array, b: dict[str, Array], c: Array | None = None, n: int = 3) -> Array:
            seen.append(self.needs_grad)
            return a + b["x"]

        def backward(self, grad: Array) -> tuple[Any, ...]:
            seen.append(self.needs_grad)
            wants = self.needs_grad
            return (grad if wants[0] else None), ({"x": grad} if wants[1] else None), None, None

    Watching(X, {"x": W})
    nt.grad(lambda a: Watching(a, {"x": W}).sum())(X)
    nt.grad(lambda b: Watching(X, {"x": b}).sum())(W)
    nt.grad(lambda a, b: Watching(a, {"x": b}).sum(), (0, 1))(X, W)
    a, b, both = (True, False, False, False), (False, True, False, False), (True, True, False, False)
    assert seen == [(False,) * 4, a, a, b, b, both, both]
    # per backward call: the outer variable is none of the inner one's business
    seen.clear()
    nt.grad(lambda a: nt.grad(lambda b: Watching(a, {"x": b}).sum())(W).sum())(X)
    assert seen == [both, b]


def test_static_attributes_reach_backward_and_calls_do_not_share_them() -> None:
    @nt.function
    class Remembers(nt.Policy):
        factor = 1.0

        def forward(self, x: Array, *, factor: float) -> Array:
            self.factor = factor
            self.shape, self.note = x.shape, {"list": [1, 2]}
            return x * 1.0

        def backward(self, grad: Array) -> tuple[Array]:
            assert (self.shape, self.note) == ((3,), {"list": [1, 2]})
            return (grad * self.factor,)

    assert ones(lambda x: Remembers(x, factor=2.0) + Remembers(x, factor=5.0), X) == [[7.0] * 3]
    assert Remembers.factor == 1.0
