"""linearize and linear_transpose: against JAX, and against jvp and vjp where the functions are ours alone."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, LevelError, ShapeError, TreeError
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.levels import assert_nothing_open

F = Callable[..., Any]
linearize: Final[Any] = nt.linearize
linear_transpose: Final[Any] = nt.linear_transpose
jvp: Final[Any] = nt.jvp


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed + len(shape)).normal(size=shape)


def on(make: F, args: Any) -> Any:
    return na.tree.tree_map(make, args)


def same(got: Any, expected: Any) -> None:
    assert na.tree.structure(got) == na.tree.structure(expected)
    for x, y in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-12, atol=1e-13)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Any]:
    with jax_in_float64() as jax:
        yield jax


X: Final = na.asarray(draw(3))
CASES: Final[dict[str, tuple[F, tuple[Any, ...]]]] = {
    "elementwise": (lambda xp, x: xp.sin(x) * xp.exp(x), (draw(3),)),
    "matmul": (lambda xp, w, x: xp.tanh(w @ x), (draw(2, 3), draw(3))),
    "pytrees": (
        lambda xp, p: {"a": p["w"] * p["b"], "b": [xp.sum(p["b"])], "n": None},
        ({"w": draw(3), "b": draw(3)},),
    ),
    "linear": (lambda xp, x: x[1:] * 3.0, (draw(3),)),
    "identity": (lambda xp, x: (x, x), (draw(3),)),
    "unused": (lambda xp, x, y: xp.cos(y), (draw(3), draw(2))),
    "constant": (lambda xp, x: xp.ones((2,), dtype=xp.float64), (draw(3),)),
    "maximum": (lambda xp, x: xp.max(x * x) + xp.where(x > 0, x, 2.0 * x), (draw(5),)),
    "empty": (lambda xp, x: xp.sin(x), (draw(0, 2),)),
    "complex": (lambda xp, z: xp.exp(z) * xp.real(z), (draw(3) + 1j * draw(3, seed=2),)),
}


# --- linearize ---
@pytest.mark.parametrize(("f", "args"), CASES.values(), ids=CASES)
def test_pushforward_is_jax_s(f: F, args: tuple[Any, ...], oracle: Any) -> None:
    xp = oracle.numpy
    out, push = linearize(lambda *a: f(na, *a), *on(na.asarray, args))
    expected, reference = oracle.linearize(lambda *a: f(xp, *a), *on(xp.asarray, args))
    same(out, expected)
    for seed in (1, 2):
        tangents = on(lambda x, seed=seed: np.cos(x * seed), args)
        same(push(*on(na.asarray, tangents)), reference(*on(xp.asarray, tangents)))


def test_pushforward_on_each_backend(device: str) -> None:
    x = na.asarray(draw(3))
    _, push = linearize(lambda x: na.tanh(x) * x.sum(), x)
    got = push(na.cos(x))
    assert str(got.device) == device
    same(got.numpy(), jvp(lambda x: na.tanh(x) * x.sum(), (x,), (na.cos(x),))[1].numpy())


def test_function_runs_once_and_the_pushforward_many_times() -> None:
    calls = []

    def f(x: Array) -> Array:
        calls.append(1)
        return na.sin(x) if x.sum() > -100 else x

    _, push = linearize(f, X)
    for _ in range(3):
        same(push(X), na.cos(X) * X)
    assert len(calls) == 1


def test_leaves_that_have_no_tangent() -> None:
    def f(x: Array, n: Array, i: int, s: str, scale: float) -> Any:
        return {"x": x * n * i * scale, "n": n, "i": i, "s": s, "f": 2.5}

    n = na.asarray([1, 2, 3])
    out, push = linearize(f, X, n, 2, "text", 0.5)
    assert out["s"] == "text"
    got = push(X, n, 5, "other", 0.0)
    same(got["x"], X * n)
    assert (got["n"].dtype, got["n"].numpy().tolist(), got["i"], got["s"], got["f"]) == (
        n.dtype,
        [0, 0, 0],
        0,
        "text",
        0.0,
    )
    same(push(0.0 * X, n, 5, "other", 1.0)["x"], 2.0 * X * n)


def test_aux_comes_third() -> None:
    out, push, aux = linearize(lambda x: (x * x, {"note": x + 1.0}), X, has_aux=True)
    same((out, push(X), aux["note"]), (X * X, 2.0 * X * X, X + 1.0))


def test_pushforward_is_differentiable_by_tangent_closure_and_primal() -> None:
    w, t = na.asarray(draw(3, seed=3)), na.asarray(draw(3, seed=4))

    def pushed(w: Array, x: Array, t: Array) -> Array:
        _, push = linearize(lambda x: na.sin(w * x) * x.sum(), x)
        return na.sum(push(t) * push(2.0 * t + x))

    def reference(w: Array, x: Array, t: Array) -> Array:
        f: F = lambda x: na.sin(w * x) * x.sum()
        return na.sum(jvp(f, (x,), (t,))[1] * jvp(f, (x,), (2.0 * t + x,))[1])

    same(nt.grad(pushed, (0, 1, 2))(w, X, t), nt.grad(reference, (0, 1, 2))(w, X, t))
    nt.check_grads(pushed, (w, X, t), order=2)


def test_pushforward_under_vmap_and_made_under_vmap() -> None:
    ts = na.asarray(draw(4, 3))
    f: F = lambda x: na.sin(x) * x.sum()
    _, push = linearize(f, X)
    same(nt.vmap(push)(ts), na.stack([push(ts[i]) for i in range(4)]))
    got = nt.vmap(lambda x, t: linearize(f, x)[1](t))(na.cos(ts), ts)
    same(got, na.stack([jvp(f, (na.cos(ts[i]),), (ts[i],))[1] for i in range(4)]))


def test_pushforward_of_a_vmap_and_of_derivatives() -> None:
    xs, t = na.asarray(draw(4, 3)), na.asarray(draw(4, 3, seed=3))
    for f in (
        nt.vmap(lambda x: na.sin(x) * x.sum()),
        lambda x: nt.grad(lambda x: (na.sin(x) * x.sum()).sum())(x),
        lambda x: nt.vjp(na.sin, x)[1](x)[0],
        lambda x: jvp(na.sin, (x,), (x * x,))[1],
        lambda x: linearize(lambda y: na.sin(y * x), x)[1](x * x),
        lambda x: nt.vmap(nt.grad(lambda x: na.sin(x).sum() * x.sum()))(x),
    ):
        same(linearize(f, xs)[1](t), jvp(f, (xs,), (t,))[1])


@nt.function
class Cube(nt.Policy):
    """A rule of both modes that are told apart: forward mode gives twice what it should."""

    def forward(self, x: Array, *, scale: float = 1.0) -> tuple[Array, Array]:
        self.ctx.save(x)
        return x * x * x * scale, x + 1.0

    def backward(self, grad: tuple[Array, Array]) -> tuple[Array]:
        (x,) = self.ctx.release
        return (3.0 * x * x * grad[0] + grad[1],)

    def jvp(self, t: Array) -> tuple[Array, Array]:
        (x,) = self.ctx.release
        return 6.0 * x * x * t, Linear(t, 1)


@nt.function
class Linear(nt.Policy):
    """A linear rule, which a forward-mode rule calls on a tangent."""

    def forward(self, t: Array, k: int) -> Array:
        return t * k

    def backward(self, grad: Array) -> tuple[Array, None]:
        return 5.0 * grad, None


def test_pushforward_follows_the_forward_mode_rules_of_policies() -> None:
    t = na.asarray(draw(3, seed=1))
    _, push = linearize(lambda x: Cube(na.sin(x), scale=2.0), X)
    same(push(t), jvp(lambda x: Cube(na.sin(x), scale=2.0), (X,), (t,))[1])
    got = nt.grad(lambda t: push(t)[1].sum())(t)
    same(got, 5.0 * na.cos(X))  # the rule called on the tangent is still one when differentiated
    batched = nt.vmap(lambda x, t: linearize(Cube, x)[1](t))(na.stack([X, 2.0 * X]), na.stack([t, t]))
    same(batched[0], na.stack([6.0 * X * X * t, 24.0 * X * X * t]))
    mapped = linearize(nt.vmap(Cube), na.stack([X, 2.0 * X]))[1](na.stack([t, t]))
    same(mapped, batched)
    outside = nt.grad(lambda t: linearize(nt.vmap(Cube), na.stack([X, X]))[1](t)[1].sum())(na.stack([t, t]))
    same(outside, na.stack([5.0 * na.ones_like(t)] * 2))


def test_rule_that_reads_a_tangent_cannot_be_linearized() -> None:
    @nt.function
    class Reads(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad,)

        def jvp(self, t: Array) -> Array:
            return t if t.sum() > 0 else -t

    with pytest.raises(LevelError, match=r"linearize: .*reads the value of a tangent.*use jvp"):
        linearize(Reads, X)
    with pytest.raises(LevelError, match=r"linearize: .*reads the value of a tangent.*use jvp"):
        linearize(nt.checkpoint(Reads), X)
    assert_nothing_open()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: linearize(na.sin, X)[1](X, X), TreeError, "linearize: the tangents must have the primals' structure"),
        (lambda: linearize(na.sin, X)[1](), TreeError, "linearize: the tangents"),
        (
            lambda: linearize(na.sin, X)[1](X[:2]),
            ShapeError,
            r"linearize: the tangent has shape \(2,\), its primal \(3,\)",
        ),
        (lambda: linearize(na.sin, X)[1](X.astype("float32")), DTypeError, "linearize: the tangent has dtype float32"),
        (lambda: linearize(na.sin, draw(3)), DTypeError, "linearize: .*ndarray; wrap it"),
        (lambda: linearize(lambda x: x, X, has_aux=True), TreeError, r"linearize: .*return \(output, aux\)"),
    ],
)
def test_misuse_of_linearize(call: F, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
    assert_nothing_open()


def test_pushforward_keeps_what_its_rules_need_and_no_more() -> None:
    x = na.asarray(draw(125_000))  # 1 MB
    refs: list[weakref.ref[Any]] = []

    def f(x: Array) -> Array:
        for _ in range(5):
            x = x + 1.0
            refs.append(weakref.ref(x._raw))
        y = na.sin(x)  # keeps cos(x)
        refs.append(weakref.ref(y._raw))
        return y * 2.0

    gc.collect()
    tracemalloc.start()
    out, push = linearize(f, x)
    del out
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert [ref() for ref in refs] == [None] * 6
    assert 1e6 <= kept < 1.1e6
    same(push(x), 2.0 * na.cos(x + 5.0) * x)


def test_exception_leaves_no_level_open() -> None:
    def f(x: Array) -> Array:
        raise KeyError("mine")

    calls: list[F] = [
        lambda: linearize(f, X),
        lambda: linear_transpose(f, X),
        lambda: nt.grad(lambda x: linearize(f, x))(X),
    ]
    for call in calls:
        with pytest.raises(KeyError, match="mine"):
            call()
        assert_nothing_open()


# --- linear_transpose ---
LINEAR: Final[dict[str, tuple[F, tuple[Any, ...]]]] = {
    "matmul": (lambda xp, x: xp.asarray(draw(2, 3)) @ x, (draw(3),)),
    "slices": (lambda xp, x: x[1:] + 2.0 * x[:-1], (draw(4),)),
    "pytrees": (lambda xp, p: {"a": p["w"] + xp.sum(p["b"]), "b": [p["b"] * 2.0]}, ({"w": draw(3), "b": draw(3)},)),
    "two arguments": (lambda xp, x, y: x + 3.0 * y, (draw(3), draw(3))),
    "zero": (lambda xp, x: x * 0.0, (draw(3),)),
    "complex": (lambda xp, z: z * (1.0 + 2.0j), (draw(3) + 1j * draw(3, seed=2),)),
    "reshapes": (lambda xp, x: xp.reshape(xp.stack([x, -x]), (3, 2)).T, (draw(3),)),
}


@pytest.mark.parametrize(("f", "args"), LINEAR.values(), ids=LINEAR)
def test_transpose_is_jax_s(f: F, args: tuple[Any, ...], oracle: Any) -> None:
    xp = oracle.numpy
    ours, theirs = on(na.asarray, args), on(xp.asarray, args)
    cotangent = on(lambda y: np.cos(np.asarray(y)), f(xp, *theirs))
    transposed = linear_transpose(lambda *a: f(na, *a), *ours)
    expected = oracle.linear_transpose(lambda *a: f(xp, *a), *theirs)(on(xp.asarray, cotangent))
    for _ in range(2):
        same(transposed(on(na.asarray, cotangent)), expected)


def test_transpose_of_the_transpose_is_the_function() -> None:
    w = na.asarray(draw(2, 3))
    f: F = lambda x: na.cumulative_sum(w @ x)
    transposed = linear_transpose(f, X)
    again = linear_transpose(lambda g: transposed(g)[0], w[:, 0])
    same(again(X)[0], f(X))


def test_transpose_is_differentiable_by_cotangent_and_closure() -> None:
    w, g = na.asarray(draw(2, 3)), na.asarray(draw(2))
    f: F = lambda w, g: (linear_transpose(lambda x: na.sin(w) @ x, X)(g)[0] ** 2).sum()
    same(nt.grad(f, (0, 1))(w, g), nt.grad(lambda w, g: ((na.sin(w).T @ g) ** 2).sum(), (0, 1))(w, g))
    nt.check_grads(f, (w, g), order=2)


def test_transpose_under_vmap_and_of_vmap() -> None:
    ws, gs = na.asarray(draw(4, 2, 3)), na.asarray(draw(4, 2))
    got = nt.vmap(lambda w, g: linear_transpose(lambda x: w @ x, X)(g)[0])(ws, gs)
    same(got, na.stack([ws[i].T @ gs[i] for i in range(4)]))
    xs = na.asarray(draw(4, 3))
    same(linear_transpose(nt.vmap(lambda x: ws[0] @ x), xs)(gs)[0], gs @ ws[0])


def test_primals_only_say_what_the_arguments_look_like() -> None:
    seen = []

    def f(x: Array, n: Array, scale: float) -> Array:
        seen.append(n.numpy().tolist())
        return 2.0 * x[n[0]]

    by_x, by_n, by_scale = linear_transpose(f, na.asarray(np.array([np.inf, np.nan])), na.asarray([1]), 7.0)(
        na.asarray(np.float64(1))
    )
    assert (by_x.numpy().tolist(), by_n.numpy().tolist(), by_scale.item(), seen) == ([0.0, 2.0], [0], 0.0, [[1]])


NOT_LINEAR: Final[dict[str, tuple[F, str]]] = {
    "sin": (na.sin, "the derivative of sin depends on it"),
    "product": (lambda x: x * x, "the derivative of multiply depends on it"),
    "affine": (lambda x: 2.0 * x + 1.0, "not zero at zero"),
    "number": (lambda x: (x, 1.0), "not zero at zero"),
    "branch": (lambda x: x if x.sum() > 0 else -x, "reads its value"),
    "item": (lambda x: x * x[0].item(), "reads its value"),
    "abs": (na.abs, "abs"),
    "max": (na.max, "max"),
    "sort": (na.sort, "depends on it|reads its value"),
    "where": (lambda x: na.where(x > 0, x, 0.0), "greater reads its value"),
}


@pytest.mark.parametrize(("f", "words"), NOT_LINEAR.values(), ids=NOT_LINEAR)
def test_function_that_is_not_linear_is_refused(f: F, words: str) -> None:
    with pytest.raises(nt.NotLinearError, match=f"linear_transpose: f is not linear: .*({words}).*vjp"):
        linear_transpose(f, X)
    assert issubclass(nt.NotLinearError, TypeError)
    assert_nothing_open()


def test_misuse_of_the_transpose() -> None:
    with pytest.raises(ShapeError, match=r"linear_transpose: the cotangent has shape \(2,\), its output \(3,\)"):
        linear_transpose(lambda x: 2.0 * x, X)(X[:2])
    with pytest.raises(TreeError, match="linear_transpose: the cotangent must have the output's structure"):
        linear_transpose(lambda x: {"a": x}, X)(X)
