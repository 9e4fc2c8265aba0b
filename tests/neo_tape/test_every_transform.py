"""What is promised of a gradient holds for each transform that gives one, alone and under another one."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from neo_array._payloads import Batched
from tests.neo_tape.levels import assert_nothing_open
from tests.neo_tape.transforms import GRADIENTS, F, Gradient, lists

every = pytest.mark.parametrize("gradient", GRADIENTS.values(), ids=GRADIENTS)


def vector(*values: float) -> Array:
    return na.asarray(np.array(values, np.float64))


X: Final = vector(1.0, 2.0, 3.0)
Y: Final = vector(4.0, 5.0, 6.0)
S: Final = vector(2.0)[0]


@nt.function
class Half(nt.Policy):
    """Compute x * y, and say that its derivatives are half as large."""

    def forward(self, x: Array, y: Array) -> Array:
        self.ctx.save(x, y)
        return x * y

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, y = self.ctx.release
        return 0.5 * grad * y, 0.5 * grad * x


def doubled(x: Array, times: int) -> Array:
    for _ in range(times):
        x = x + x
    return x


def recursive(x: Array, depth: int) -> Array:
    return x if depth == 0 else recursive(x, depth - 1) * x


def generated(x: Array) -> Array:
    """Sum what a generator of generators yields: 1 x + 2 x + 3 x."""

    def powers() -> Any:
        for k in range(1, 4):
            yield from (x * float(n) for n in (k,))

    total = na.zeros_like(x)
    for term in powers():
        total = total + term
    return total


def handled(x: Array) -> Array:
    """Fail midway, under a derivative of its own, and go on."""

    def fails(y: Array) -> Array:
        (y * x).sum()
        raise ZeroDivisionError

    for derivative in (lambda: nt.grad(fails)(x), lambda: nt.jvp(fails, (x,), (x,)), lambda: nt.vmap(fails)(x)):
        with pytest.raises(ZeroDivisionError):
            derivative()
    return x * x


def pulled_twice(x: Array) -> Array:
    times_x: F = lambda y: x * y
    pullback: Any = nt.vjp(times_x, x)[1]
    total: Array = pullback(x)[0] + pullback(2.0 * x)[0]
    return total  # 3 x**2


CASES: Final[dict[str, tuple[F, tuple[Any, ...], Any]]] = {
    # --- Values used more than once, or not at all ---
    "same array twice": (lambda a, b: (2.0 * a + 3.0 * b).sum(), (X, X), ([2.0] * 3, [3.0] * 3)),
    "product of the same array": (lambda a, b: (a * b * b).sum(), (X, X), ([1.0, 4.0, 9.0], [2.0, 8.0, 18.0])),
    "alias in a pytree": (
        lambda p: (p["a"] * p["b"][0] * 3.0 + p["b"][1]).sum(),
        ({"a": X, "b": [X, X]},),
        ({"a": [3.0, 6.0, 9.0], "b": [[3.0, 6.0, 9.0], [1.0] * 3]},),
    ),
    "unused": (lambda a, b: (a * a).sum(), (X, Y), ([2.0, 4.0, 6.0], [0.0] * 3)),
    "unused leaf": (lambda p: p[0].sum(), ((X, [Y]),), (([1.0] * 3, [[0.0] * 3]),)),
    "all unused": (lambda a: na.asarray(3.0, dtype=na.float64), (X,), ([0.0] * 3,)),
    "an input as the output": (lambda a: a, (S,), (1.0,)),
    "diamond": (lambda x: ((x + x) * (x + x)).sum(), (X,), ([8.0, 16.0, 24.0],)),
    "diamonds of diamonds": (lambda x: doubled(x, 20).sum(), (X,), ([2.0**20] * 3,)),
    "(x + y) + x": (lambda x, y: ((x + y) + x).sum(), (X, Y), ([2.0] * 3, [1.0] * 3)),
    # --- Views and broadcasting ---
    "views": (lambda x: (x[::-1][:2] * vector(1.0, 10.0) + x[1:]).sum(), (X,), ([0.0, 11.0, 2.0],)),
    "views of views": (
        lambda x: (x.mT[0, ::-1] * X + na.reshape(x, (3, 3))[1] + x[..., None][0, :, 0]).sum(),
        (na.reshape(na.arange(9.0, dtype=na.float64), (3, 3)),),
        ([[4.0, 1.0, 1.0], [3.0, 1.0, 1.0], [1.0, 0.0, 0.0]],),
    ),
    "broadcast": (lambda s, x: (na.broadcast_to(s, (2, 3)) * x).sum(), (S, X), (12.0, [4.0] * 3)),
    "broadcast sum": (lambda x: (na.broadcast_to(x.sum(), (3,)) + x).sum(), (X,), ([4.0] * 3,)),
    "broadcast in an op": (
        lambda x, y: (x[:, None] + y * y).sum(),
        (X, vector(2.0)),
        ([1.0] * 3, [12.0]),
    ),
    # --- Small shapes ---
    "0-d": (lambda x: x * x * x, (S,), (12.0,)),
    "0-d beside 1-d": (lambda s, x: (s * x).sum() * s, (S, X), (24.0, [4.0] * 3)),
    "empty": (lambda x, y: (x * x).sum() + y.sum(), (na.zeros((0, 3), dtype=na.float64), X), ([], [1.0] * 3)),
    "empty in the middle": (lambda x: x[:0].sum() + x.sum(), (X,), ([1.0] * 3,)),
    "one element": (lambda x: (x * x).sum(), (vector(3.0),), ([6.0],)),
    # --- Python around the ops ---
    "recursion": (lambda x: recursive(x, 3).sum(), (X,), ([4.0, 32.0, 108.0],)),
    "generators": (lambda x: generated(x).sum(), (X,), ([6.0] * 3,)),
    "exceptions inside": (lambda x: handled(x).sum(), (X,), ([2.0, 4.0, 6.0],)),
    "derivatives inside": (
        lambda x: (nt.grad(lambda y: (x * y * y).sum())(x) + nt.jvp(lambda y: x * y, (x,), (x,))[1]).sum(),
        (X,),  # 2 x**2 + x**2
        ([6.0, 12.0, 18.0],),
    ),
    "pullback inside, used twice": (lambda x: pulled_twice(x).sum(), (X,), ([6.0, 12.0, 18.0],)),
    "checkpoint over a closure": (
        lambda x: nt.checkpoint(lambda y: (x * y).sum())(x),
        (X,),
        ([2.0, 4.0, 6.0],),
    ),
    "vmap over a closure": (
        lambda x: nt.vmap(lambda y: (x * y).sum())(x).sum(),
        (X,),  # (sum of x)**2
        ([12.0] * 3,),
    ),
    "stop_gradient": (lambda x: (x * nt.stop_gradient(x * x)).sum(), (X,), ([1.0, 4.0, 9.0],)),
    "a Policy": (lambda x, y: Half(x, y).sum(), (X, Y), ([2.0, 2.5, 3.0], [0.5, 1.0, 1.5])),
    "a Policy on one array": (lambda x: Half(x, x).sum(), (X,), ([1.0, 2.0, 3.0],)),
    "a Policy on an array and its view": (lambda x: Half(x, x[::-1]).sum(), (X,), ([3.0, 2.0, 1.0],)),
}


@every
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradient(gradient: Gradient, case: tuple[F, tuple[Any, ...], Any]) -> None:
    f, args, expected = case
    found = gradient(f, *args)
    assert na.tree.structure(found) == na.tree.structure(args)
    assert [(g.shape, g.dtype) for g in na.tree.leaves(found)] == [(x.shape, x.dtype) for x in na.tree.leaves(args)]
    assert lists(found) == expected


@every
@pytest.mark.parametrize("outer", ["grad", "jvp", "vmap"])
def test_gradient_inside_of_another_transform(gradient: Gradient, outer: str) -> None:
    """The inner function closes over the outer variable, which is also where the derivative is taken."""
    f: F = lambda x: gradient(lambda y: (x * y * y).sum(), x)[0]  # 2 x y at y = x
    if outer == "grad":
        assert nt.grad(lambda x: f(x).sum())(X).numpy().tolist() == [4.0, 8.0, 12.0]
    elif outer == "jvp":
        assert nt.jvp(f, (X,), (Y,))[1].numpy().tolist() == [16.0, 40.0, 72.0]
    else:
        assert nt.vmap(f)(na.stack([X, Y])).numpy().tolist() == [[2.0, 8.0, 18.0], [32.0, 50.0, 72.0]]


@every
def test_array_of_a_finished_transform_is_a_constant(gradient: Gradient) -> None:
    kept: list[Array] = []

    def f(x: Array) -> Array:
        if not kept:
            kept.extend([x, x * x])
        return (x * x).sum()

    gradient(f, X)
    for x in kept:
        if type(x._raw) is Batched:  # of a vmap that has ended: they raise, which test_vmap looks at
            continue
        assert lists(gradient(lambda y, x=x: (x * y).sum(), Y)) == (x.numpy().tolist(),)
        assert lists(gradient(lambda y: (y * y).sum(), x)) == ((2.0 * x).numpy().tolist(),)


@every
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_exception_passes_through_and_leaves_no_level_open(gradient: Gradient, error: type[BaseException]) -> None:
    @nt.function
    class Raises(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 1.0

        def backward(self, grad: Array) -> tuple[Array]:
            raise error

    def f(x: Array) -> Array:
        (x * x).sum()
        raise error

    for failing in (f, lambda x: Raises(x * x).sum()):
        with pytest.raises(error):
            gradient(failing, X)
        assert_nothing_open()
    assert lists(gradient(lambda x: (x * x).sum(), X)) == ([2.0, 4.0, 6.0],)


@pytest.mark.parametrize(("f", "x", "expected"), [
    ("square", [1e200, -1e200, 1e-320], [2e200, -2e200, 2e-320]),
    ("exp", [700.0, -1000.0, 0.0], [np.exp(700.0), 0.0, 1.0]),
    ("tanh", [1e300, -1e300, 0.0], [0.0, 0.0, 1.0]),
    ("log", [np.inf, 1e300, 4.0], [0.0, 1e-300, 0.25]),
])  # fmt: skip
@every
def test_huge_and_tiny_values(gradient: Gradient, f: str, x: list[float], expected: list[float]) -> None:
    op: Any = getattr(na, f)
    for value, wanted in zip(x, expected, strict=True):
        (found,) = gradient(lambda x: op(x), vector(value)[0])
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=0)
