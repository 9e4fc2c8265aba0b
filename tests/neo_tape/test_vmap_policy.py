"""Policies under vmap: the same as a loop over the examples, in every mode and order; wrong on purpose, to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, LevelError, PolicyError
from tests.neo_tape.levels import assert_nothing_open

SIZE: Final = 3


def draw(*shape: int, seed: int = 0) -> Array:
    return na.asarray(np.random.default_rng(seed).normal(size=shape))


def same(got: Any, expected: Any) -> None:
    assert na.tree.structure(got) == na.tree.structure(expected)
    for a, b in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)


# --- The rules ---
class Saved(nt.Policy):
    """Two arguments, saved; gradients that tell which is which, and how often each is counted."""

    def forward(self, x: Array, w: Array) -> Array:
        self.ctx.save(x, w)
        return na.sin(x) * w

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, w = self.ctx.release
        return 10.0 * grad * x * w, grad * x * x


class SavesOutput(nt.Policy):
    def forward(self, x: Array, w: Array) -> Array:
        y = na.exp(x * 0.5) + w
        self.ctx.save(y)
        return y

    def backward(self, grad: Array) -> tuple[Array, Array]:
        (y,) = self.ctx.release
        return grad * y * 3.0, grad * 2.0


class SavesIntermediate(nt.Policy[Array, Array, str, Array]):
    def forward(self, x: Array, w: Array) -> Array:
        square, total = x * x, na.sum(w)
        self.ctx.save(square, total, "note", w)
        return square * w * total

    def backward(self, grad: Array) -> tuple[Array, Array]:
        square, total, note, w = self.ctx.release
        assert note == "note"
        return grad * square * total * w, grad * total * square


class SavesNothing(nt.Policy):
    def forward(self, x: Array, w: Array) -> Array:
        return x + w

    def backward(self, grad: Array) -> tuple[Array, Array]:
        return 3.0 * grad, 5.0 * grad


class Identity(nt.Policy):
    def forward(self, x: Array, w: Array) -> Array:
        self.ctx.save(x)
        return x

    def backward(self, grad: Array) -> tuple[Array, Array]:
        return grad * self.ctx.release[0], na.zeros_like(grad)


class Constant(nt.Policy):
    """A value that does not depend on the example, with gradients that do."""

    def forward(self, x: Array, w: Array) -> Array:
        self.ctx.save(x, w)
        return na.ones((2,), dtype=na.float64)

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, w = self.ctx.release
        return grad * w, grad * x


class UsesOwnGradient(nt.Policy):
    """Derivatives within forward and within backward."""

    def forward(self, x: Array, w: Array) -> Array:
        slope: Array = nt.grad(lambda z: na.sum(z * z * z * w))(x)
        self.ctx.save(x, w, slope)
        return slope * 0.5

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, w, slope = self.ctx.release
        gx, gw = nt.vjp(lambda x, w: na.cos(x) * w * slope, x, w)[1](grad)
        return gx, gw


class MapsInside(nt.Policy):
    """A vmap within forward and within backward."""

    def forward(self, x: Array, w: Array) -> Array:
        self.ctx.save(x, w)
        y: Array = nt.vmap(lambda a, b: a * a * b)(x, w)
        return y

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, w = self.ctx.release
        return nt.vmap(lambda g, a, b: (g * a * b, g * b * b))(grad, x, w)


class Tripled(nt.Policy):
    def forward(self, x: Array) -> Array:
        return x * 2.0

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad * 3.0,)


class CallsAnother(nt.Policy):
    """A Policy within forward, and one within backward."""

    def forward(self, x: Array, w: Array) -> Array:
        y = Saved(x, w)
        self.ctx.save(y, x)
        return y * x

    def backward(self, grad: Array) -> tuple[Array, Array]:
        y, x = self.ctx.release
        return Tripled(grad) * SavesOutput(x, y), grad * y


class OwnForwardMode(nt.Policy):
    def forward(self, x: Array, w: Array) -> Array:
        self.ctx.save(x, w)
        return x * w

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, w = self.ctx.release
        return na.tanh(grad * w), na.sin(grad) * x  # not linear

    def jvp(self, *tangents: Array) -> Array:
        t, u = tangents
        x, w = self.ctx.release
        return 7.0 * t * w + u * x


class OnlyWanted(nt.Policy):
    def forward(self, x: Array, w: Array) -> Array:
        self.ctx.save(x, w)
        return x * w

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        x, w = self.ctx.release
        wants = self.needs_grad
        return (grad * w if wants[0] else None), (2.0 * grad * x if wants[1] else None)


RULES: Final[list[Any]] = [
    Saved,
    SavesOutput,
    SavesIntermediate,
    SavesNothing,
    Identity,
    Constant,
    UsesOwnGradient,
    MapsInside,
    CallsAnother,
    OwnForwardMode,
    OnlyWanted,
]
F = Callable[..., Any]
AXES: Final = [(0, 0), (0, None), (None, 0), (1, 0), (-1, None)]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
every_axes = pytest.mark.parametrize("axes", AXES, ids=str)


def inputs(axes: tuple[int | None, int | None]) -> tuple[Array, Array]:
    shapes = [(2,) if a is None else (2, SIZE) if a in (1, -1) else (SIZE, 2) for a in axes]
    return draw(*shapes[0]), draw(*shapes[1], seed=1)


def mapped(f: F, axes: Any) -> F:
    return lambda x, w: nt.vmap(f, axes)(x, w)


def looped(f: F, axes: Any) -> F:
    """Return what `mapped` is to do, as differentiable ops."""

    def example(a: Array, axis: int | None, k: int) -> Array:
        return a if axis is None else a[k] if axis == 0 else a[:, k]

    def run(x: Array, w: Array) -> Any:
        outs = [f(example(x, axes[0], k), example(w, axes[1], k)) for k in range(SIZE)]
        columns = zip(*map(na.tree.leaves, outs), strict=True)
        return na.tree.unflatten(na.tree.structure(outs[0]), [na.stack(list(c)) for c in columns])

    return run


def total(f: F) -> F:
    return lambda x, w: na.sum(na.sin(f(x, w)))


def both_gradients(f: F) -> F:
    return nt.grad(f, (0, 1))


def both(f: F, x: Array, w: Array, axes: Any, transform: Callable[[F], F]) -> None:
    """Compare a transform of the mapped function with that of the loop."""
    same(transform(mapped(f, axes))(x, w), transform(looped(f, axes))(x, w))


# --- Against a loop ---
@every_axes
@every_rule
def test_value(rule: Any, axes: Any, device: str) -> None:
    x, w = (a.to(device) for a in inputs(axes))
    both(rule, x, w, axes, lambda f: f)


@every_axes
@every_rule
def test_gradient_of_the_mapped_rule(rule: Any, axes: Any, device: str) -> None:
    x, w = (a.to(device) for a in inputs(axes))
    both(rule, x, w, axes, lambda f: both_gradients(total(f)))
    both(rule, x, w, axes, lambda f: nt.grad(total(f), 0))
    both(rule, x, w, axes, lambda f: nt.grad(total(f), 1))


@every_axes
@every_rule
def test_mapped_gradient_of_the_rule(rule: Any, axes: Any) -> None:
    both(both_gradients(total(rule)), *inputs(axes), axes, lambda f: f)


@every_axes
@every_rule
def test_forward_mode(rule: Any, axes: Any) -> None:
    x, w = inputs(axes)
    both(rule, x, w, axes, lambda f: lambda x, w: nt.jvp(f, (x, w), (na.cos(x), na.sin(w))))
    both(rule, x, w, axes, lambda f: lambda x, w: nt.jvp(lambda x: f(x, w), (x,), (na.cos(x),)))
    both(lambda x, w: nt.jvp(rule, (x, w), (na.cos(x), na.sin(w))), x, w, axes, lambda f: f)


def reverse(f: F) -> F:
    return lambda x, w: both_gradients(total(f))(x, w)[0] * na.sum(both_gradients(total(f))(x, w)[1])


def forward(f: F) -> F:
    return lambda x, w: nt.jvp(f, (x, w), (na.cos(x), na.sin(w)))[1]


@pytest.mark.parametrize("outer", [reverse, forward])
@pytest.mark.parametrize("inner", [reverse, forward])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
@every_rule
def test_second_order(rule: Any, axes: Any, inner: F, outer: F) -> None:
    x, w = inputs(axes)
    both(inner(rule), x, w, axes, outer)  # outer of vmap of inner
    both(outer(inner(rule)), x, w, axes, lambda f: f)  # vmap of outer of inner
    if axes[0] is not None:
        both(rule, x, w, axes, lambda f: outer(inner(f)))  # outer of inner of vmap


@pytest.mark.parametrize("place", [0, 1, 2])
@every_rule
def test_two_maps_with_a_derivative_at_any_place(rule: Any, place: int) -> None:
    """Where both are mapped along axis 0 inside, and x alone along axis 1 outside."""
    x, w = draw(SIZE, SIZE, 2), draw(SIZE, 2, seed=1)

    def build(m: Callable[[F, Any], F]) -> F:
        f: F = rule
        for step in range(3):
            f = reverse(f) if step == place else f
            if step < 2:
                f = m(f, [(0, 0), (0, None)][step])
        return f

    same(build(mapped)(x, w), build(looped)(x, w))


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
@every_rule
def test_a_level_between_two_maps_and_one_outside(rule: Any, axes: Any) -> None:
    x, w = inputs(axes)
    x, w = (na.stack([a, a * 0.5, a + 1.0]) for a in (x, w))
    f: Any = lambda m: total(m(lambda x, w: forward(m(rule, axes))(x, w), (0, 0)))
    same(both_gradients(f(mapped))(x, w), both_gradients(f(looped))(x, w))


# --- What a rule may be and do ---
@nt.function
class Trees(nt.Policy):
    """A dict, an optional Array, an integer Array, a number; a tree of outputs, one of them whole numbers."""

    def forward(self, p: dict[str, Any], n: Array, b: Array | None = None, *, scale: float = 1.0) -> Any:
        self.ctx.save(p["x"], n)
        self.scale = scale
        y = p["x"] * p["w"] * scale
        return {"y": y if b is None else y + b, "n": n + 1, "none": None}

    def backward(self, grad: Any) -> tuple[Any, None, Array | None]:
        x, n = self.ctx.release
        assert grad["n"].dtype == na.int64
        g = grad["y"] * self.scale * n.astype(na.float64)
        return {"x": g, "w": g * x, "none": None}, None, (grad["y"] if self.needs_grad[2] else None)


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_trees_options_integers_and_none(where: str) -> None:
    x, w, n = draw(SIZE, 2), draw(2, seed=1), na.asarray([[1, 2], [3, 4], [5, 6]])

    def f(x: Array, w: Array, n: Array) -> Array:
        out = Trees({"x": x, "w": w, "none": None}, n, scale=2.0)
        assert out["none"] is None
        assert out["n"].dtype == na.int64
        y: Array = out["y"] * (out["n"] - n).astype(na.float64)
        return y

    many = nt.vmap(f, (0, None, 0))
    loop: Any = lambda x, w, n: na.stack([f(x[k], w, n[k]) for k in range(SIZE)])
    if where == "inside":
        got = nt.vmap(nt.grad(lambda *a: f(*a).sum(), (0, 1)), (0, None, 0))(x, w, n)
        same(got[0], nt.grad(lambda x: loop(x, w, n).sum())(x))
    else:
        same(*(nt.grad(lambda *a, g=g: g(*a).sum(), (0, 1))(x, w, n) for g in (many, loop)))
    same(many(x, w, n), loop(x, w, n))


def test_options_that_differ_by_example() -> None:
    @nt.function
    class Scaled(nt.Policy):
        def forward(self, x: Array, *, scale: Array) -> Array:
            self.ctx.save(scale)
            return x * scale

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * self.ctx.release[0] * 3.0,)

    s = draw(SIZE, seed=1)
    for x, axis in ((draw(SIZE, 2), 0), (draw(2), None)):
        many: Any = lambda x, axis=axis: nt.vmap(lambda x, s: Scaled(x, scale=s), (axis, 0))(x, s)
        expected = nt.grad(lambda x: na.sum(x * na.reshape(s, (SIZE, 1)) * 3.0))(x)
        same(nt.grad(lambda x, many=many: many(x).sum())(x), expected)
    with pytest.raises(PolicyError, match="option 'scale' is being differentiated"):
        nt.grad(lambda s: nt.vmap(lambda s: Scaled(draw(2), scale=s))(s).sum())(s)


def test_closures_that_differ_by_example() -> None:
    """Forward and backward close over the example of a vmap, which has ended when backward runs."""

    def make(s: Array) -> Any:
        class Closing(nt.Policy):
            def forward(self, x: Array) -> Array:
                return x * s

            def backward(self, grad: Array) -> tuple[Array]:
                return (grad * s * 3.0,)

        return Closing

    s = draw(SIZE, seed=1)
    for x, axis in ((draw(SIZE, 2), 0), (draw(2), None)):
        f: Any = lambda x, axis=axis: nt.vmap(lambda x, s: make(s)(x), (axis, 0))(x, s)
        expected = nt.grad(lambda x: na.sum(x * na.reshape(s, (SIZE, 1)) * 3.0))(x)
        same(nt.grad(lambda x, f=f: f(x).sum())(x), expected)
        same(nt.jvp(f, (x,), (na.ones_like(x),))[1], na.ones((SIZE, 2), dtype=na.float64) * na.reshape(s, (-1, 1)) * 3)
    for call in (
        lambda: nt.grad(lambda s: nt.vmap(lambda s: make(s)(draw(2)))(s).sum())(s),
        lambda: nt.vmap(nt.grad(lambda s: make(s)(draw(2)).sum()))(s),
        lambda: nt.jvp(nt.vmap(lambda s: make(s)(draw(2))), (s,), (s,)),
    ):
        with pytest.raises(PolicyError, match="is being differentiated but is not an argument"):
            call()
        assert_nothing_open()


def test_closure_in_backward_alone() -> None:
    def make(s: Array) -> Any:
        class Closing(nt.Policy):
            def forward(self, x: Array) -> Array:
                return x * 2.0

            def backward(self, grad: Array) -> tuple[Array]:
                return (grad * s,)

        return Closing

    s, x = draw(SIZE, seed=1), draw(SIZE, 2)
    f: Any = lambda x: nt.vmap(lambda x, s: make(s)(x))(x, s)
    same(nt.grad(lambda x: f(x).sum())(x), na.broadcast_to(na.reshape(s, (SIZE, 1)), (SIZE, 2)))


@pytest.mark.parametrize("way", ["returned", "saved"])
def test_watched_example_that_is_no_argument_is_refused(way: str) -> None:
    def make(s: Array) -> Any:
        class Taking(nt.Policy):
            def forward(self, x: Array) -> Array:
                if way == "saved":
                    self.ctx.save(s)
                return s if way == "returned" else x * 1.0

            def backward(self, grad: Array) -> tuple[Array]:
                return (grad,)

        return Taking

    s = draw(SIZE, 2)
    with pytest.raises(PolicyError, match="is being differentiated but is not an argument"):
        nt.grad(lambda s: nt.vmap(lambda s: make(s)(draw(2)))(s).sum())(s)


def test_backward_that_is_not_linear_runs_on_each_example() -> None:
    """Were it run on sums of cotangents, or on all examples as one, it would give something else."""

    @nt.function
    class Clipped(nt.Policy):
        def forward(self, x: Array, w: Array) -> Array:
            return x * w

        def backward(self, grad: Array) -> tuple[Array, Array]:
            clipped = grad / na.maximum(1.0, na.sum(na.abs(grad)))
            return clipped, clipped * clipped

    axes = (0, None)
    x, w = inputs(axes)
    both(Clipped, x, w, axes, lambda f: both_gradients(lambda x, w: na.sum(f(x, w) * na.exp(3.0 * x))))
    with pytest.raises(PolicyError, match=r"Clipped: .*not linear in its cotangent"):
        nt.jvp(nt.vmap(Clipped, axes), (x, w), (x, w))
    with pytest.raises(PolicyError, match=r"Clipped: .*not linear in its cotangent"):
        nt.vmap(lambda x, w: nt.jvp(Clipped, (x, w), (x, w)), axes)(x, w)
    assert_nothing_open()


def test_gradient_that_is_the_same_for_all_examples_counts_once_for_each() -> None:
    @nt.function
    class Steady(nt.Policy):
        def forward(self, x: Array, w: Array) -> Array:
            return x * w

        def backward(self, grad: Array) -> tuple[Array, Array]:
            return na.full((2,), 2.0, dtype=na.float64), na.full((2,), 5.0, dtype=na.float64)

    for axes in AXES:
        both(Steady, *inputs(axes), axes, lambda f: both_gradients(total(f)))


def test_several_outputs_of_which_some_arrive() -> None:
    @nt.function
    class Parts(nt.Policy):
        def forward(self, x: Array, w: Array) -> tuple[Array, Array, Array]:
            return x * w, x, w * 2.0

        def backward(self, grad: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            return grad[0] * 2.0 + grad[1] * 3.0, grad[0] + 5.0 * grad[2]

    for axes in AXES:
        for part in range(3):
            both(lambda x, w, part=part: Parts(x, w)[part], *inputs(axes), axes, lambda f: both_gradients(total(f)))


def test_needs_grad_under_vmap() -> None:
    seen: list[tuple[bool, ...]] = []

    @nt.function
    class Watching(nt.Policy):
        def forward(self, x: Array, w: Array) -> Array:
            seen.append(self.needs_grad)
            return x * w

        def backward(self, grad: Array) -> tuple[Array, Array]:
            seen.append(self.needs_grad)
            return grad, grad

    f = nt.vmap(Watching, (0, None))
    x, w = draw(SIZE, 2), draw(2)
    f(x, w)
    nt.grad(lambda x: f(x, w).sum())(x)
    nt.grad(lambda w: f(x, w).sum())(w)
    nt.vmap(nt.grad(lambda x, w: Watching(x, w).sum(), 1), (0, None))(x, w)
    none, first, second = (False, False), (True, False), (False, True)
    assert seen == [none, first, first, second, second, second, second]


def test_wrong_gradients_are_reported_in_the_shapes_of_an_example() -> None:
    @nt.function
    class Mine(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad.sum(),)

    for f in (nt.grad(lambda x: nt.vmap(Mine)(x).sum()), nt.vmap(nt.grad(lambda x: Mine(x).sum()))):
        with pytest.raises(PolicyError, match=r"Mine.backward: .* argument 0 .*has shape \(\).*shape \(2,\)"):
            f(draw(SIZE, 2))
        assert_nothing_open()


def test_values_of_examples_may_not_be_read_in_a_rule() -> None:
    @nt.function
    class Branching(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad if float(grad.sum()) > 0 else -grad,)

    for f in (nt.grad(lambda x: nt.vmap(Branching)(x).sum()), nt.vmap(nt.grad(lambda x: (x * Branching(x)).sum()))):
        with pytest.raises(LevelError, match="one value per example"):
            f(draw(SIZE, 2))
        assert_nothing_open()


def test_pullback_of_a_mapped_rule_is_used_twice_and_mapped_again() -> None:
    x, w, gs = draw(SIZE, 2), draw(2, seed=1), draw(4, SIZE, 2, seed=2)
    pullbacks = [nt.vjp(m(Saved, (0, None)), x, w)[1] for m in (mapped, looped)]
    for k in range(2):
        same(pullbacks[0](gs[k]), pullbacks[1](gs[k]))
    same(*(nt.vmap(p)(gs) for p in pullbacks))
    same(
        nt.vmap(pullbacks[0])(gs),
        (na.stack([pullbacks[1](g)[0] for g in gs]), na.stack([pullbacks[1](g)[1] for g in gs])),
    )


def test_rule_on_arrays_without_a_batch_inside_of_a_vmap() -> None:
    x, w = draw(2), draw(2, seed=1)
    f: Any = lambda w: na.sum(nt.vmap(lambda r: r * Saved(x, w))(draw(SIZE, 2)))
    same(nt.grad(f)(w), nt.grad(lambda w: na.sum(na.sum(draw(SIZE, 2), axis=0) * Saved(x, w)))(w))
    assert nt.vmap(lambda r: Saved(x, w), out_axes=None)(draw(SIZE, 2)).shape == (2,)


def test_no_examples() -> None:
    x = na.zeros((0, 2), dtype=na.float64)
    gx, gw = nt.grad(lambda x, w: nt.vmap(Saved, (0, None))(x, w).sum(), (0, 1))(x, draw(2))
    assert (gx.shape, gw.numpy().tolist()) == ((0, 2), [0.0, 0.0])
