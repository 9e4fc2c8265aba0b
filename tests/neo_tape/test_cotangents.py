"""How cotangents gather, and what is not computed: shared values, broadcasting, extreme values, unwanted inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array


def vector(*values: float) -> Array:
    return na.asarray(np.array(values, np.float64))


X: Final = (1.0, 2.0, 3.0)
Y: Final = (4.0, 5.0, 6.0)


# --- Values used more than once ---
def test_same_array_as_two_arguments_gets_two_gradients() -> None:
    x = vector(*X)
    gradients = nt.grad(lambda a, b: (2.0 * a + 3.0 * b).sum(), (0, 1))(x, x)
    assert [g.numpy().tolist() for g in gradients] == [[2.0] * 3, [3.0] * 3]
    tied = nt.grad(lambda p: (p["a"] * p["b"][0] * 3.0).sum())({"a": x, "b": [x]})
    assert tied["a"].numpy().tolist() == tied["b"][0].numpy().tolist() == [3.0, 6.0, 9.0]


@pytest.mark.parametrize(
    ("f", "by_x", "by_y"),
    [
        (lambda x, y: (x + y) + x, [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]),
        (lambda x, y: x + (y + x), [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]),
        (lambda x, y: (x - y) - x, [0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]),
        (lambda x, y: (x + y) * (x + y), [10.0, 14.0, 18.0], [10.0, 14.0, 18.0]),
        (lambda x, y: x * y * x, [8.0, 20.0, 36.0], [1.0, 4.0, 9.0]),
        (lambda x, y: (x + x) + (x + x) + y, [4.0, 4.0, 4.0], [1.0, 1.0, 1.0]),
        (lambda x, y: x.sum() + (x.sum() * y), [18.0, 18.0, 18.0], [6.0, 6.0, 6.0]),
        (lambda x, y: x.mean() * 3.0 + x * 0.0 + y, [3.0, 3.0, 3.0], [1.0, 1.0, 1.0]),
        (lambda x, y: na.broadcast_to(x.sum(), (3,)) + x + y, [4.0, 4.0, 4.0], [1.0, 1.0, 1.0]),
    ],
)
def test_cotangents_of_a_shared_value_add_up(
    f: Callable[[Array, Array], Array], by_x: list[float], by_y: list[float], device: str
) -> None:
    x, y = na.asarray(X), na.asarray(Y)
    first, second = nt.grad(lambda x, y: f(x, y).sum(), (0, 1))(x, y)
    assert (first.numpy().tolist(), second.numpy().tolist()) == (by_x, by_y)
    _, pullback = nt.vjp(f, x, y)
    for cotangent in (na.ones((3,)), na.broadcast_to(na.asarray(1.0), (3,))):  # the second without memory of its own
        assert [g.numpy().tolist() for g in pullback(cotangent)] == [by_x, by_y]
    pullback(x)  # a cotangent that is itself an input
    assert (x.numpy().tolist(), y.numpy().tolist()) == (list(X), list(Y))


def test_cotangent_that_is_handed_in_is_not_written_to(device: str) -> None:
    x = na.asarray(X)
    cotangent = na.asarray([1.0, 10.0, 100.0])
    for f in (lambda x: (x + x) + x, lambda x: x, lambda x: x.reshape((3, 1)).reshape((3,)) + x, lambda x: -x):
        _, pullback = nt.vjp(f, x)
        before = pullback(cotangent)[0].numpy().tolist()
        assert cotangent.numpy().tolist() == [1.0, 10.0, 100.0]
        assert pullback(cotangent)[0].numpy().tolist() == before


def test_diamonds_of_diamonds() -> None:
    """Each level doubles the paths: 2**40 of them, and 40 additions."""

    def f(x: Array) -> Array:
        for _ in range(40):
            x = x + x
        return x

    assert nt.grad(f)(vector(1.0)[0]).item() == 2.0**40
    assert nt.jvp(f, (vector(1.0),), (vector(1.0),))[1].item() == 2.0**40


@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 3)), ((1,), (2, 1)), ((0, 3), (3,))])
@pytest.mark.parametrize("op", [na.add, na.subtract, na.multiply, na.divide, na.power, na.maximum])
def test_gradient_of_a_broadcast_argument_has_its_shape(
    op: Callable[[Array, Array], Array], shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    """The gradient is the sum over copies of that at explicitly repeated arguments."""
    rng = np.random.default_rng(0)
    values = [rng.uniform(1, 2, size=shape) for shape in shapes]
    full = np.broadcast_shapes(*shapes)
    f = lambda x, y: (op(x, y) * op(x, y)).sum()
    found = nt.grad(f, (0, 1))(*map(na.asarray, values))
    repeated = nt.grad(f, (0, 1))(*(na.asarray(np.broadcast_to(v, full)) for v in values))
    for g, r, shape in zip(found, repeated, shapes, strict=True):
        extra = tuple(range(len(full) - len(shape)))
        kept = tuple(i + len(extra) for i, n in enumerate(shape) if n == 1)
        expected = r.numpy().sum(axis=extra + kept).reshape(shape)
        np.testing.assert_allclose(g.numpy(), expected, rtol=1e-13)


# --- What is not wanted is not computed ---
@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, ...], ...]]:
    """The shapes of all matrix products that run on NumPy."""
    na.ones((1, 1)) @ na.ones((1, 1))
    kernel = na.matmul.kernels[np.ndarray]
    seen: list[tuple[tuple[int, ...], ...]] = []

    def counted(a: Any, b: Any) -> Any:
        seen.append((a.shape, b.shape))
        return kernel(a, b)

    monkeypatch.setitem(na.matmul.kernels, np.ndarray, counted)
    return seen


def test_first_layers_input_gradient_is_never_computed(products: list[tuple[tuple[int, ...], ...]]) -> None:
    x, w1, w2 = na.ones((8, 5)), na.ones((5, 4)), na.ones((4, 3))

    def loss(weights: tuple[Array, Array], x: Array) -> Array:
        return (na.tanh(x @ weights[0]) @ weights[1]).sum()

    nt.grad(loss)((w1, w2), x)
    forward, backward = [((8, 5), (5, 4)), ((8, 4), (4, 3))], [((5, 8), (8, 4)), ((4, 8), (8, 3)), ((8, 3), (3, 4))]
    assert sorted(products) == sorted(forward + backward)
    products.clear()
    nt.grad(loss, (0, 1))((w1, w2), x)
    assert sorted(products) == sorted([*forward, *backward, ((8, 4), (4, 5))])


def test_ops_on_constants_are_not_differentiated(products: list[tuple[tuple[int, ...], ...]]) -> None:
    w = na.ones((3, 3))
    nt.grad(lambda x: (w @ w @ nt.stop_gradient(x @ w)).sum() + x.sum())(w)
    assert len(products) == 3


def test_branch_that_does_not_reach_the_output_is_not_differentiated(
    products: list[tuple[tuple[int, ...], ...]],
) -> None:
    def f(x: Array) -> Array:
        x @ x @ x
        return (x * 2.0).sum()

    nt.grad(f)(na.ones((3, 3)))
    assert len(products) == 2


# --- Arrays that outlive their transform ---
def test_array_of_a_finished_tape_is_a_constant() -> None:
    kept: list[Array] = []

    def f(x: Array) -> Array:
        kept.extend([x, x * x])
        return (x * x).sum()

    nt.grad(f)(vector(*X))
    nt.jvp(f, (vector(*X),), (vector(*X),))
    for x in tuple(kept):
        times = partial(na.multiply, x)
        assert nt.vjp(times, vector(*Y))[1](na.ones_like(x))[0].numpy().tolist() == x.numpy().tolist()
        assert nt.grad(f)(x).numpy().tolist() == (2.0 * x).numpy().tolist()
        assert nt.jvp(times, (x,), (x,))[1].numpy().tolist() == (x * x).numpy().tolist()


def test_value_and_gradient_can_be_differentiated_again_and_exported() -> None:
    value, gradient = nt.value_and_grad(lambda x: (x * x * x).sum())(vector(*X))
    assert value.numpy() == 36.0
    assert nt.grad(lambda g: (g * g).sum())(gradient).numpy().tolist() == [6.0, 24.0, 54.0]


# --- Extreme values ---
INF: Final = math.inf
EXTREMES: Final[list[tuple[str, Callable[[Array], Array], list[float], list[float]]]] = [
    ("square", lambda x: x * x, [1e200, -1e200, 1e-320], [2e200, -2e200, 2e-320]),
    ("exp", na.exp, [1000.0, -1000.0, -INF], [INF, 0.0, 0.0]),
    ("tanh", na.tanh, [1e300, -1e300, INF], [0.0, 0.0, 0.0]),
    ("sin", na.sin, [0.0, INF, math.nan], [1.0, math.nan, math.nan]),
    ("log", na.log, [0.0, INF, 1e-320], [INF, 0.0, INF]),
    ("sqrt", na.sqrt, [0.0, INF, 4.0], [INF, 0.0, 0.25]),
    ("reciprocal", lambda x: 1.0 / x, [0.0, INF, 1e-200], [-INF, 0.0, -INF]),
    ("cube", lambda x: x**3, [0.0, 1e200, math.nan], [0.0, INF, math.nan]),
    ("sum", lambda x: x.sum(), [1.0, INF, math.nan], [1.0, 1.0, 1.0]),
    ("logsumexp", lambda x: na.logsumexp(x), [1e4, 1e4, -INF], [0.5, 0.5, 0.0]),
    ("max", lambda x: x.max(), [1.0, INF, -INF], [0.0, 1.0, 0.0]),
    ("abs", na.abs, [0.0, -INF, 1e-320], [0.0, -1.0, 1.0]),
]


@pytest.mark.parametrize(("f", "x", "expected"), [case[1:] for case in EXTREMES], ids=[case[0] for case in EXTREMES])
def test_extreme_values_flow_without_warnings(
    f: Callable[[Array], Array], x: list[float], expected: list[float], device: str
) -> None:
    point = na.asarray(x, dtype=na.float64)
    np.testing.assert_allclose(nt.grad(lambda x: f(x).sum())(point).numpy(), expected, rtol=1e-12, atol=0)


def test_where_gives_the_branch_not_taken_an_exact_zero(device: str) -> None:
    """Not `0 * cotangent`, which would be nan where the cotangent is infinite or nan."""
    x, y = na.asarray([1.0, 2.0]), na.asarray([math.nan, math.inf])
    f = lambda x, y: (na.where(na.asarray([True, False]), x, y) * na.asarray([2.0, math.inf])).sum()
    by_x, by_y = nt.grad(f, (0, 1))(x, y)
    assert (by_x.numpy().tolist(), by_y.numpy().tolist()) == ([2.0, 0.0], [0.0, INF])


# --- Small shapes ---
def test_empty_arrays(device: str) -> None:
    x = na.zeros((0, 3))
    value, gradient = nt.value_and_grad(lambda x: (x * x).sum())(x)
    assert (value.item(), gradient.shape) == (0.0, (0, 3))
    out, tangent = nt.jvp(lambda x: na.sin(x) @ na.ones((3, 2)), (x,), (x,))
    assert out.shape == tangent.shape == (0, 2)
    assert nt.grad(lambda w: (x @ w).sum())(na.ones((3, 2))).numpy().tolist() == [[0.0, 0.0]] * 3


def test_0d_arrays(device: str) -> None:
    x = na.asarray(3.0)
    assert nt.grad(lambda x: x)(x).item() == 1.0
    assert nt.grad(nt.grad(lambda x: x * x * x))(x).item() == 18.0
    gradient = nt.grad(lambda x: na.reshape(x, (1, 1))[0, 0] * na.asarray([[2.0]]).sum())(x)
    assert (gradient.shape, gradient.item()) == ((), 2.0)
