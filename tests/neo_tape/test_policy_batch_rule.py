"""A Policy's `batch` runs in place of forward under vmap; derivatives stay those of backward, as without it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, LevelError, PolicyError, TreeError

SIZE: Final = 4
Fn = Callable[..., Any]


def draw(*shape: int, seed: int = 0) -> Array:
    return na.asarray(np.random.default_rng(seed).normal(size=shape))


def same(got: Any, expected: Any) -> None:
    assert na.tree.structure(got) == na.tree.structure(expected)
    for a, b in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)


def front(x: Array, axis: int | None) -> Array:
    return na.expand_dims(x, axis=0) if axis is None else na.moveaxis(x, axis, 0)


class Saves(nt.Policy):
    """Wrong gradients of matrix-vector products, of arguments, an output and something computed."""

    ran: list[str]

    def forward(self, x: Array, w: Array) -> Array:
        self.ran.append("forward")
        y, square = w @ x, x * x
        self.ctx.save(x, w, y, square)
        return y

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, w, y, square = self.ctx.release
        return 10.0 * (grad * y) @ w * square, na.expand_dims(grad, axis=1) * x * na.sum(square)


class Batches(Saves):
    def batch(self, size: int, args: Any, axes: Any) -> tuple[Array, int]:
        self.ran.append("batch")
        (x, w), (at_x, at_w) = args, axes
        y = na.squeeze(front(w, at_w) @ na.expand_dims(front(x, at_x), axis=2), axis=2)
        square = na.broadcast_to(front(x, at_x) * front(x, at_x), (size, 3))
        self.ctx.save(x, w, y, square)
        return na.broadcast_to(y, (size, 3)) if y.shape[0] == 1 else y, 0


def pair() -> tuple[Any, Any]:
    """Return the Policy with and without its own batching rule."""
    return type("Batches", (Batches,), {"ran": []}), type("Saves", (Saves,), {"ran": []})


def reverse(f: Fn) -> Fn:
    return lambda x, w: nt.grad(lambda x, w: na.sum(na.sin(f(x, w))), 0)(x, w)


def by_second(f: Fn) -> Fn:
    return lambda x, w: nt.grad(lambda x, w: na.sum(na.cos(f(x, w))), 1)(x, w) @ x


def forward(f: Fn) -> Fn:
    return lambda x, w: nt.jvp(f, (x, w), (na.cos(x), na.sin(w)))[1]


def mapped(f: Fn) -> Fn:
    return lambda x, w: na.sum(nt.vmap(f, (1, 0))(na.stack([x, 0.5 * x], axis=1), na.stack([w, w + 1.0])), axis=0)


def shared(f: Fn) -> Fn:
    return lambda x, w: na.sum(nt.vmap(f, (0, None))(na.stack([x, 0.5 * x]), w), axis=0)


STEPS: Final = (reverse, by_second, forward, mapped, shared)
NESTINGS: Final = [
    n
    for depth in range(1, 4)
    for n in itertools.product(STEPS, repeat=depth)
    if {mapped, shared} & {*n} and (depth < 3 or len({*n}) == 3)
]


@pytest.mark.parametrize("nesting", NESTINGS, ids=lambda n: "-".join(t.__name__ for t in n))
def test_same_as_without_a_batching_rule(nesting: tuple[Fn, ...]) -> None:
    x, w = draw(3), draw(3, 3, seed=1)
    found: list[Any] = []
    for policy in pair():
        f: Fn = policy
        for transform in nesting:
            f = transform(f)
        found.append(f(x, w))
    same(*found)


def test_it_runs_in_place_of_forward_once() -> None:
    x, w = draw(SIZE, 3), draw(3, 3, seed=1)
    calls: list[tuple[Fn, list[str]]] = [
        (lambda f: nt.vmap(f, (0, None))(x, w), ["batch"]),
        (lambda f: nt.vmap(nt.grad(lambda x, w: na.sum(f(x, w))), (0, None))(x, w), ["batch"]),
        (lambda f: nt.grad(lambda x: na.sum(nt.vmap(f, (0, None))(x, w)))(x), ["batch"]),
        (lambda f: f(x[0], w), ["forward"]),
        # both derivatives inside: what forward saves is to be differentiated as it is computed
        (lambda f: nt.vmap(lambda x: nt.hvp(lambda x: na.sum(f(x, w)), x, x))(x), ["forward"]),
        # one outside: it follows what batch computes
        (lambda f: nt.grad(lambda x: na.sum(nt.vmap(nt.grad(lambda x: na.sum(f(x, w))))(x)))(x), ["batch"]),
    ]
    for call, ran in calls:
        policy = pair()[0]
        call(policy)
        assert policy.ran == ran


def test_same_array_with_a_batch_and_without() -> None:
    class Mine(nt.Policy):
        def forward(self, a: Array, b: Array) -> Array:
            self.ctx.save(b, a)
            return a * na.sum(b)

        def batch(self, size: int, args: Any, axes: Any) -> tuple[Array, int]:
            (a, b), (at_a, at_b) = args, axes
            assert (at_a, at_b) == (0, None)
            self.ctx.save(b, a)
            return a * na.sum(b), 0

        def backward(self, grad: Array) -> tuple[Array, Array]:
            b, a = self.ctx.release
            return grad * na.sum(b) * 10.0, na.broadcast_to(na.sum(grad * a), b.shape)

    plain: Any = type("Plain", (nt.Policy,), {"forward": Mine.forward, "backward": Mine.backward})
    mine: Any = Mine
    x = draw(3, 3)
    for f in (lambda p: p, lambda p: lambda a, b: nt.grad(lambda a, b: na.sum(p(a, b)), (0, 1))(a, b)):
        same(nt.vmap(f(mine), (0, None))(x, x), nt.vmap(f(plain), (0, None))(x, x))
    total: Any = lambda p: lambda x: na.sum(na.sin(nt.vmap(p, (0, None))(x, x)))
    same(nt.grad(total(mine))(x), nt.grad(total(plain))(x))


def test_pytrees_options_static_arguments_and_shared_outputs() -> None:
    class Mine(nt.Policy[Any, Any]):
        def forward(self, p: dict[str, Any], n: int, *, scale: float) -> dict[str, Any]:
            raise AssertionError("batch runs instead")

        def batch(self, size: int, args: Any, axes: Any, *, scale: float) -> Any:
            (p, n), (at, none) = args, axes
            assert (size, n, none, at) == (SIZE, 2, None, {"b": None, "x": 1, "s": None})
            self.ctx.save(p["x"], n)
            out = {"y": p["x"] * scale + na.expand_dims(p["b"], axis=1), "b": p["b"] * 2.0, "none": None}
            return out, {"y": 1, "b": None, "none": None}

        def backward(self, grad: dict[str, Any]) -> tuple[Any, None]:
            x, n = self.ctx.release
            assert x.shape == grad["y"].shape == (3,)
            return {"x": 10.0 * grad["y"] * x * float(n), "b": grad["b"], "s": None}, None

    mine: Any = Mine
    x, b = draw(3, SIZE), draw(3, seed=1)
    call: Any = lambda x, b: nt.vmap(lambda x: mine({"x": x, "b": b, "s": "static"}, 2, scale=3.0), in_axes=1)(x)
    out = call(x, b)
    same(out["y"], 3.0 * x.mT + b)
    same(out["b"], na.broadcast_to(b * 2.0, (SIZE, 3)))
    loss: Any = lambda x, b: na.sum(call(x, b)["y"]) + na.sum(call(x, b)["b"])
    gx, gb = nt.grad(loss, (0, 1))(x, b)
    same(gx, 20.0 * x)
    same(gb, na.full((3,), float(SIZE), dtype=na.float64))


def test_options_that_hold_batches_go_to_forward() -> None:
    class Mine(nt.Policy):
        def forward(self, x: Array, *, scale: Array) -> Array:
            return x * scale

        def batch(self, size: int, args: Any, axes: Any, *, scale: Array) -> Any:
            assert scale.shape == ()
            return args[0] * scale, axes[0]

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad,)

    mine: Any = Mine
    x = draw(SIZE)
    same(nt.vmap(lambda x: mine(x, scale=x))(x), x * x)
    same(nt.vmap(lambda x: mine(x, scale=na.sum(draw(3))))(x), x * na.sum(draw(3)))


def test_it_may_do_what_cannot_be_done_for_one_example() -> None:
    """Forward reads a value; batch need not."""

    class Halting(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x if float(x) > 0 else -x

        def batch(self, size: int, args: Any, axes: Any) -> tuple[Array, int]:
            return na.asarray([float(v) if float(v) > 0 else -float(v) for v in args[0]], dtype=na.float64), 0

        def backward(self, grad: Array) -> tuple[Array]:
            return (3.0 * grad,)

    halting: Any = Halting
    x = na.asarray(np.array([-1.0, 2.0]))
    assert nt.vmap(halting)(x).numpy().tolist() == [1.0, 2.0]
    assert nt.vmap(nt.grad(halting))(x).numpy().tolist() == [3.0, 3.0]
    assert nt.grad(lambda x: na.sum(nt.vmap(halting)(x)))(x).numpy().tolist() == [3.0, 3.0]


def test_it_runs_within_rules_in_a_scope(device: str) -> None:
    class Sine(nt.Policy):
        def forward(self, x: Array) -> Array:
            raise AssertionError("batch runs instead")

        def batch(self, size: int, args: Any, axes: Any) -> tuple[Array, Any]:
            self.ctx.save(args[0])
            return na.sin(args[0]), axes[0]

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * self.ctx.release[0],)

    x = draw(SIZE, 3).to(device)
    with nt.rules({na.sin: Sine}):
        same(nt.vmap(nt.grad(lambda x: na.sum(na.sin(x))))(x), x)


# --- Where neither runs, and mistakes ---
def test_forward_that_reads_values_says_what_to_write() -> None:
    class Halting(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x if float(x) > 0 else -x

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad,)

    halting: Any = Halting
    with pytest.raises(LevelError) as caught:
        nt.vmap(halting)(draw(SIZE))
    notes = " ".join(caught.value.__notes__)
    assert "Halting.forward runs once for all 4 examples under vmap" in notes
    assert "define batch(self, size, args, axes)" in notes


def closes_over(w: Array) -> Fn:
    return lambda self, size, args, axes: (args[0] * w, 0)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (lambda s, size, args, axes: args[0], PolicyError, r"Mine.batch: must return \(out, out_axes\), got Array"),
        (lambda s, size, args, axes: (args[0], 0, 0), PolicyError, "Mine.batch: must return .*tuple of 3"),
        (lambda s, size, args, axes: (args[0][:2], 0), PolicyError, r"Mine.batch: an output of shape \(2, 3\).*axis 0"),
        (lambda s, size, args, axes: (args[0], 1), PolicyError, r"Mine.batch: an output of shape \(4, 3\).*axis 1"),
        (lambda s, size, args, axes: (args[0], 5), PolicyError, r"Mine.batch: an output of shape \(4, 3\).*axis 5"),
        (lambda s, size, args, axes: (args[0], "x"), PolicyError, r"Mine.batch: an output .*axis 'x'"),
        (lambda s, size, args, axes: (args[0], (0, 0)), TreeError, "Mine.batch: out_axes"),
        (
            lambda s, size, args, axes: (args[0].numpy(), 0),
            (PolicyError, LevelError),
            "got ndarray|being differentiated",
        ),
        (lambda s, size, args, axes: ("text", 0), PolicyError, "must return Arrays.*got str"),
        (
            lambda s, size, args, axes: (s.ctx.save(args[0][0]), (args[0], 0))[1],
            PolicyError,
            r"Mine.batch: a residual of shape \(3,\).*axis 0",
        ),
    ],
)
def test_wrong_return_of_batch(batch: Any, error: Any, message: str) -> None:
    members = {"forward": lambda s, x: x * 1.0, "backward": lambda s, g: (g,), "batch": batch}
    mine: Any = type("Mine", (nt.Policy,), members)
    with pytest.raises(error, match=message):
        nt.vmap(mine)(draw(SIZE, 3))
    with pytest.raises(error, match=message):
        nt.grad(lambda x: na.sum(nt.vmap(mine)(x)))(draw(SIZE, 3))


def test_closures_over_differentiated_arrays_are_refused() -> None:
    def f(w: Array) -> Array:
        members = {"forward": lambda s, x: x * 1.0, "backward": lambda s, g: (g,), "batch": closes_over(w)}
        mine: Any = type("Mine", (nt.Policy,), members)
        return na.sum(nt.vmap(mine)(draw(SIZE, 3)))

    with pytest.raises(PolicyError, match=r"Mine.forward: uses, in multiply, an array.*not an argument"):
        nt.grad(f)(draw(3))
