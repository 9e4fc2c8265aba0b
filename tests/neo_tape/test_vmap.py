"""vmap: what it takes and gives, what it is like under and around derivatives, and how its misuse is reported."""

from __future__ import annotations

import contextvars
import re
import threading
from collections import namedtuple
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, LevelError, ShapeError, TreeError
from tests.neo_tape.levels import assert_nothing_open

Pair: Final[Any] = namedtuple("Pair", ["left", "right"])  # the container, not a record


def needs(*words: str) -> str:
    """Match a message that has these parts in this order."""
    return ".*".join(map(re.escape, words))


def draw(*shape: int, seed: int = 0) -> Array:
    return na.asarray(np.random.default_rng(seed).normal(size=shape))


def looped(f: Callable[..., Any], axes: tuple[int | None, ...], *args: Array) -> Any:
    """Return what vmap(f, axes) is to give: f of each example, stacked."""
    size = next(a.shape[i] for a, i in zip(args, axes, strict=True) if i is not None)
    pick: Any = lambda a, i, k: a if i is None else na.asarray(np.take(a.numpy(), k, i), device=a.device)
    outs = [f(*(pick(a, i, k) for a, i in zip(args, axes, strict=True))) for k in range(size)]
    columns = zip(*map(na.tree.leaves, outs), strict=True)
    return na.tree.unflatten(na.tree.structure(outs[0]), [na.stack(list(column)) for column in columns])


def same(got: Any, expected: Any, rtol: float = 1e-12) -> None:
    assert na.tree.structure(got) == na.tree.structure(expected)
    for a, b in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=1e-12)


def affine(w: Array, x: Array) -> Array:
    return na.tanh(w @ x) * x.sum()


# --- Axes ---
@pytest.mark.parametrize("out", [0, 1, -1, -2])
@pytest.mark.parametrize("axes", [(0, 0), (1, 1), (-1, -1), (2, 0), (-3, 1), (0, None), (None, -1)])
def test_axes(axes: tuple[int | None, int | None], out: int, device: str) -> None:
    w, x = (draw(3, 3, 3) if axes[0] is not None else draw(3, 3)), draw(3, 3) if axes[1] is not None else draw(3)
    w, x = w.to(device), x.to(device)
    got = nt.vmap(affine, axes, out)(w, x)
    assert str(got.device) == device
    same(na.moveaxis(got, out, 0), looped(affine, axes, w, x))


def test_axes_of_other_sizes() -> None:
    w, x = draw(2, 4, 3), draw(3, 4)
    same(nt.vmap(affine, (1, 1))(w, x), looped(affine, (1, 1), w, x))
    assert nt.vmap(affine, (1, 1), -1)(w, x).shape == (2, 4)


def test_axes_are_prefixes_of_trees() -> None:
    p: Any = {"w": draw(4, 3), "b": [draw(3), draw(3, 4)]}

    def f(p: Any, x: Array) -> Any:
        return {"y": p["w"] * p["b"][0] + x, "z": (p["b"][1].sum(), x)}

    got = nt.vmap(f, ({"w": 0, "b": [None, 1]}, None), {"y": 1, "z": (0, None)})(p, draw(3, seed=1))
    for k in range(4):
        one = f({"w": p["w"][k], "b": [p["b"][0], p["b"][1][:, k]]}, draw(3, seed=1))
        np.testing.assert_allclose(got["y"].numpy()[:, k], one["y"].numpy(), rtol=1e-14)
        np.testing.assert_allclose(got["z"][0].numpy()[k], one["z"][0].numpy(), rtol=1e-14)
    same(got["z"][1], draw(3, seed=1))
    assert nt.vmap(lambda p: p["a"] * p["b"], ({"a": 0, "b": 0},))({"a": draw(2), "b": draw(2)}).shape == (2,)
    pair = nt.vmap(lambda p: Pair(p.right, p.left), (Pair(0, 1),), Pair(1, 0))(Pair(draw(2, 3), draw(3, 2, seed=1)))
    same((pair.left, pair.right), (na.permute_dims(draw(3, 2, seed=1), (0, 1)), draw(2, 3)))


def test_none_numbers_and_other_leaves_are_passed_on() -> None:
    seen: list[Any] = []

    def f(x: Array, options: Any, n: int, *, note: str) -> Any:
        seen.append((options["none"], options["flag"], n, note))
        return {"y": x * options["scale"] + n, "none": None, "note": note, "n": n, "empty": ()}

    out = nt.vmap(f)(draw(3), {"none": None, "flag": True, "scale": 2.0}, 5, note="as it is")
    assert seen == [(None, True, 5, "as it is")]
    assert (out["none"], out["note"], out["n"], out["empty"]) == (None, "as it is", 5, ())
    same(out["y"], draw(3) * 2.0 + 5)


def test_keyword_arguments_are_mapped_over_their_first_axis() -> None:
    x, w = draw(4, 3), draw(4, 3, seed=1)
    same(nt.vmap(lambda x, *, w: x @ w)(x, w=w), na.sum(x * w, axis=1))
    same(nt.vmap(lambda x, *, w: x @ w, (None,))(x[0], w=w), w @ x[0])
    same(nt.vmap(lambda *, w: w.sum(), ())(w=w), na.sum(w, axis=1))


def test_outputs_that_are_the_same_for_all() -> None:
    y = draw(3)
    out = nt.vmap(lambda x: (x, y, y * 2.0, na.ones(2)), out_axes=(0, None, 1, -1))(draw(4, 2))
    same(out, (draw(4, 2), y, na.stack([y * 2.0] * 4, axis=1), na.ones((2, 4))))


def test_axis_size_where_nothing_is_mapped() -> None:
    same(nt.vmap(lambda x: x * 2.0, None, axis_size=3)(draw(2)), na.stack([draw(2) * 2.0] * 3))
    same(nt.vmap(lambda: na.ones(2), axis_size=3)(), na.ones((3, 2)))
    same(nt.vmap(lambda x: x * 2.0, axis_size=3)(draw(3)), draw(3) * 2.0)
    assert nt.vmap(lambda x: x, None, None, axis_size=3)(draw(2)).shape == (2,)


def test_no_examples() -> None:
    x = na.zeros((0, 3))
    f: Any = lambda x: na.softmax(na.sin(x) @ na.ones((3, 2))) + x.max()
    assert nt.vmap(f)(x).shape == (0, 2)
    assert nt.vmap(nt.grad(lambda x: f(x).sum()))(x).shape == (0, 3)
    assert nt.vmap(lambda x: x, axis_size=0)(x).shape == (0, 3)
    assert nt.vmap(lambda x: (x[1:], x[na.asarray([0, 1])]), out_axes=(1, 0))(x)[0].shape == (2, 0)
    w = na.ones(3)
    assert nt.grad(lambda w: nt.vmap(lambda x: (x * w).sum())(x).sum())(w).numpy().tolist() == [0.0] * 3


def test_one_example_and_scalars() -> None:
    same(nt.vmap(lambda x: x * x)(draw(1)), na.square(draw(1)))
    same(nt.vmap(lambda x, y: x - y, (0, None))(draw(5), na.asarray(2.0, dtype=na.float64)), draw(5) - 2.0)


def test_what_an_example_looks_like() -> None:
    seen: list[Any] = []

    def f(x: Array) -> Array:
        seen.append((x.shape, x.ndim, x.size, x.dtype, str(x.device), len(x), type(x) is Array))
        assert "one value per example" in repr(x)
        return na.stack([row.sum() for row in x])  # iterating over an example's own axis

    same(nt.vmap(f, 1)(draw(2, 4, 3)), na.permute_dims(na.sum(draw(2, 4, 3), axis=2), (1, 0)))
    assert seen == [((2, 3), 2, 6, na.float64, "numpy", 2, True)]


def test_dtypes_are_kept_and_promoted_as_in_a_loop() -> None:
    whole, half = na.asarray([1, 2, 3]), na.asarray([0.5, 1.5, 2.5], dtype=na.float16)
    assert nt.vmap(lambda n: n * 2)(whole).dtype == na.int64
    assert nt.vmap(lambda n: n / 2)(whole).dtype == na.float32
    assert nt.vmap(lambda n, x: n * x)(whole, half).dtype == na.float16
    assert nt.vmap(lambda n: n > 2)(whole).numpy().tolist() == [False, False, True]
    assert nt.vmap(lambda n, y: n + y, (0, None))(whole, draw(2)).dtype == na.float64


def test_metadata_of_the_function_is_kept() -> None:
    def f(x: Array) -> Array:
        """Say hello."""
        return x

    assert (nt.vmap(f).__name__, nt.vmap(f).__doc__) == ("f", "Say hello.")


# --- vmap inside vmap ---
@pytest.mark.parametrize("inner", [(0, 0), (1, 0), (0, 1), (-1, None), (None, 0)])
@pytest.mark.parametrize("outer", [(0, 0), (2, 1), (1, None), (None, -1)])
def test_two_levels_with_different_axes(outer: Any, inner: Any) -> None:
    x = draw(3, 3, 3) if outer[0] is not None else draw(3, 3)
    y = draw(3, 3, 3, seed=1) if outer[1] is not None else draw(3, 3, seed=1)
    f: Any = lambda x, y: na.sin(x) * na.sum(y) + x * na.sum(x)
    got = nt.vmap(nt.vmap(f, inner), outer)(x, y)
    same(got, looped(lambda a, b: looped(f, inner, a, b), outer, x, y))


def test_pairs_of_all_rows() -> None:
    x, y = draw(4, 3), draw(5, 3, seed=1)
    outer = nt.vmap(nt.vmap(lambda a, b: a @ b, (None, 0)), (0, None))
    same(outer(x, y), x @ y.T)
    same(nt.vmap(nt.vmap(lambda a, b: a @ b, (0, None)), (None, 0), 1)(x, y), x @ y.T)


def test_inner_function_closes_over_the_outer_example() -> None:
    x, y = draw(4, 3), draw(5, 3, seed=1)
    got = nt.vmap(lambda a: nt.vmap(lambda b: (a * b).sum() + a[0])(y))(x)
    same(got, x @ y.T + x[:, :1])


def test_outer_example_is_an_output_of_the_inner_vmap() -> None:
    x, y = draw(4), draw(5)
    same(nt.vmap(lambda a: nt.vmap(lambda b: a)(y))(x), na.broadcast_to(na.reshape(x, (4, 1)), (4, 5)))
    same(nt.vmap(lambda a: nt.vmap(lambda b: a, out_axes=None)(y))(x), x)


def test_five_levels() -> None:
    f: Any = lambda x: na.sin(x) * x
    for axis in (0, -1, 0, -1, 0):
        f = nt.vmap(f, axis, axis)
    x = draw(2, 2, 2, 2, 2)
    same(f(x), na.sin(x) * x)


# --- Around and inside derivatives ---
def test_gradients_of_each_example() -> None:
    w, x = draw(3, 3), draw(4, 3)
    loss: Any = lambda w, x: na.sum(affine(w, x))
    same(nt.vmap(nt.grad(loss), (None, 0))(w, x), looped(nt.grad(loss), (None, 0), w, x))
    both = nt.vmap(nt.value_and_grad(loss, (0, 1)), (None, 0))(w, x)
    same(both, looped(nt.value_and_grad(loss, (0, 1)), (None, 0), w, x))


def test_gradient_of_a_mapped_function() -> None:
    w, x = draw(3, 3), draw(4, 3)
    total: Any = lambda f: lambda w, x: na.sum(na.sin(f(w, x)))
    mapped = nt.vmap(affine, (None, 0))
    loop: Any = lambda w, x: na.stack([affine(w, x[k]) for k in range(4)])
    same(nt.grad(total(mapped), (0, 1))(w, x), nt.grad(total(loop), (0, 1))(w, x))
    nt.check_grads(lambda w, x: mapped(w, x), (w, x), order=2)


@pytest.mark.parametrize("out", [0, 1])
def test_products_with_the_jacobian(out: int) -> None:
    w, x = draw(3, 3), draw(4, 3)
    mapped = nt.vmap(affine, (None, 0), out)
    loop: Any = lambda w, x: na.stack([affine(w, x[k]) for k in range(4)], axis=out)
    same(nt.jvp(mapped, (w, x), (na.sin(w), na.cos(x))), nt.jvp(loop, (w, x), (na.sin(w), na.cos(x))))
    g = draw(4, 3, seed=2) if out == 0 else draw(3, 4, seed=2)
    same(nt.vjp(mapped, w, x)[1](g), nt.vjp(loop, w, x)[1](g))


def test_jacobians_by_mapping_over_the_basis() -> None:
    w, x = draw(3, 3), draw(3)
    basis = na.eye(3, dtype=na.float64)
    out, pullback = nt.vjp(lambda x: affine(w, x), x)
    by_rows = nt.vmap(lambda g: pullback(g)[0])(basis)
    by_columns = nt.vmap(lambda t: nt.jvp(lambda x: affine(w, x), (x,), (t,))[1], out_axes=1)(basis)
    same(by_rows, by_columns)
    same(by_rows, na.stack([pullback(basis[k])[0] for k in range(3)]))
    hessian = nt.vmap(lambda t: nt.jvp(nt.grad(lambda x: affine(w, x).sum()), (x,), (t,))[1])(basis)
    same(hessian, hessian.T)
    assert out.shape == (3,)


def test_derivative_inside_of_what_the_vmap_maps_and_of_what_it_does_not() -> None:
    """Both the mapped array and a closure are watched outside; inside, each is differentiated once more."""
    w, x = draw(3), draw(4, 3)

    def f(w: Array, x: Array) -> Array:
        inner: Any = lambda row: nt.grad(lambda r: na.sum(na.sin(r * w) * row))(row)
        return na.sum(nt.vmap(inner)(x) * x)

    def loop(w: Array, x: Array) -> Array:
        inner: Any = lambda row: nt.grad(lambda r: na.sum(na.sin(r * w) * row))(row)
        return na.sum(na.stack([inner(x[k]) for k in range(4)]) * x)

    same(nt.grad(f, (0, 1))(w, x), nt.grad(loop, (0, 1))(w, x))
    same(nt.jvp(f, (w, x), (w, x)), nt.jvp(loop, (w, x), (w, x)))


def test_closure_over_an_array_that_is_watched_between_two_vmaps() -> None:
    x, y = draw(4), draw(3, seed=1)

    def per_example(a: Array) -> Array:
        def of(b: Array) -> Array:
            return na.sum(nt.vmap(lambda c: na.sin(a * b * c))(y))

        return nt.grad(of)(a)

    def by_hand(a: Array) -> Array:
        return na.sum(na.cos(a * a * y) * a * y)

    same(nt.vmap(per_example)(x), looped(by_hand, (0,), x))


def test_jvp_with_tangents_that_only_some_examples_have() -> None:
    x, t = draw(4, 3), draw(4, 3, seed=1)
    f: Any = lambda x, t: nt.jvp(na.sin, (x,), (t,))[1]
    same(nt.vmap(f, (None, 0))(x[0], t), looped(f, (None, 0), x[0], t))
    same(nt.vmap(f, (0, None))(x, t[0]), looped(f, (0, None), x, t[0]))


def test_pullback_of_a_mapped_function_under_another_vmap() -> None:
    x, gs = draw(4, 3), draw(5, 4, 3, seed=1)
    _, pullback = nt.vjp(nt.vmap(lambda r: na.sin(r) * r.sum()), x)
    same(nt.vmap(lambda g: pullback(g)[0])(gs), looped(lambda g: pullback(g)[0], (0,), gs))


def test_stop_gradient_and_integers_inside() -> None:
    x = draw(4, 3)
    f: Any = lambda x: nt.vmap(lambda r: r * nt.stop_gradient(r) * na.argmax(r).astype(na.float64))(x).sum()
    loop: Any = lambda x: na.stack(
        [x[k] * nt.stop_gradient(x[k]) * float(np.argmax(x.numpy()[k])) for k in range(4)]
    ).sum()
    same(nt.grad(f)(x), nt.grad(lambda v: (v * nt.stop_gradient(v) * na.argmax(x, axis=1, keepdims=True)).sum())(x))
    np.testing.assert_allclose(f(x).item(), loop(x).item())


def test_result_of_a_rule_that_is_the_same_for_all_examples_keeps_its_derivative() -> None:
    @na.primitive(kind="linear")
    def second_doubled(x: Array, w: Array, /) -> Array:
        """Return 2 w."""
        return na.bind(second_doubled, x, w)

    second_doubled.kernel("numpy")(lambda x, w: w * 2.0)
    second_doubled.vjp(x=na.NoDerivative("it is not used"), w=lambda g: g * 2.0)
    second_doubled.batch(lambda size, args, axes, /: (args[1] * 2.0, axes[1]))
    x, w = draw(4, 3), draw(3, seed=1)
    f: Any = lambda w: nt.vmap(lambda r: second_doubled(r, w) * r)(x)
    same(nt.grad(lambda w: f(w).sum())(w), 2.0 * na.sum(x, axis=0))
    same(nt.jvp(f, (w,), (na.ones_like(w),))[1], 2.0 * x)


def test_shared_input_gets_the_sum_of_all_examples() -> None:
    w, x = draw(3), draw(5, 3)
    gradient = nt.grad(lambda w: nt.vmap(lambda r: (r * w).sum())(x).sum())(w)
    same(gradient, na.sum(x, axis=0))


# --- Random numbers ---
def test_mapped_keys_draw_as_in_a_loop() -> None:
    keys = na.random.split(na.random.key(3), 4)
    f: Any = lambda key: na.random.normal(key, (2,), dtype=na.float64)
    same(nt.vmap(f)(keys), na.stack([f(k) for k in keys]))
    same(nt.vmap(lambda k: na.random.split(k, 3))(keys), na.stack([na.random.split(k, 3) for k in keys]))
    shared = nt.vmap(lambda x: x + na.random.normal(na.random.key(0), (2,), dtype=na.float64))(draw(4, 2))
    same(shared, draw(4, 2) + na.random.normal(na.random.key(0), (2,), dtype=na.float64))


def test_dropout_of_each_example_and_its_gradient() -> None:
    keys, x, w = na.random.split(na.random.key(1), 4), draw(4, 5), draw(5, seed=1)
    mask: Any = lambda key: (na.random.uniform(key, (5,)) > 0.5).astype(na.float64)
    f: Any = lambda w: na.sum(nt.vmap(lambda key, r: r * w * mask(key))(keys, x))
    same(nt.grad(f)(w), na.sum(x * na.stack([mask(k) for k in keys]), axis=0))


# --- Errors ---
def test_sizes_that_differ() -> None:
    with pytest.raises(ShapeError, match=needs("vmap", "one size", "0.a", "4", "1", "3", "in_axes")):
        nt.vmap(lambda p, y: p["a"] * y)({"a": draw(4)}, draw(3))
    with pytest.raises(ShapeError, match=needs("vmap", "one size", "4", "axis_size", "3")):
        nt.vmap(lambda x: x, axis_size=3)(draw(4))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nt.vmap(na.sin, 2)(draw(2, 3)), ShapeError, ("in_axes has axis 2", "(2, 3)")),
        (lambda: nt.vmap(na.sin, -3)(draw(2, 3)), ShapeError, ("in_axes has axis -3", "(2, 3)")),
        (lambda: nt.vmap(na.sin)(na.asarray(1.0)), ShapeError, ("in_axes has axis 0", "()", "None")),
        (lambda: nt.vmap(na.add, (0, 0, 0))(draw(2), draw(2)), TreeError, ("in_axes=(0, 0, 0)", "2")),
        (lambda: nt.vmap(na.add, [0, 0])(draw(2), draw(2)), TreeError, ("in_axes=[0, 0]", "tuple")),
        (lambda: nt.vmap(na.sin, 1.0)(draw(2)), TreeError, ("in_axes", "ints and None", "1.0")),
        (lambda: nt.vmap(na.sin, True)(draw(2)), TreeError, ("in_axes", "ints and None", "True")),
        (lambda: nt.vmap(na.sin, ({"a": 0},))(draw(2)), TreeError, ("in_axes", "no prefix")),
        (lambda: nt.vmap(na.sin, None)(draw(2)), ShapeError, ("no argument is mapped", "axis_size=")),
        (lambda: nt.vmap(lambda: na.ones(2))(), ShapeError, ("no argument is mapped", "axis_size=")),
        (lambda: nt.vmap(lambda x: 2.0)(3.0), ShapeError, ("no argument is mapped",)),
        (lambda: nt.vmap(na.sin, 0, 2)(draw(2, 3)), ShapeError, ("out_axes has 2", "(3,)")),
        (lambda: nt.vmap(na.sin, 0, 0.5)(draw(2, 3)), ShapeError, ("out_axes has 0.5",)),
        (lambda: nt.vmap(na.sin, 0, None)(draw(2, 3)), ShapeError, ("out_axes is None", "(3,)", "differs by example")),
        (lambda: nt.vmap(lambda x: (x, x), 0, (0, 0, 0))(draw(2)), TreeError, ("out_axes=(0, 0, 0)", "no prefix")),
        (lambda: nt.vmap(na.sin, axis_size=-1)(draw(2)), ShapeError, ("axis_size", "-1")),
        (lambda: nt.vmap(lambda: na.ones(2), axis_size=-1)(), ShapeError, ("axis_size", "-1")),
        (lambda: nt.vmap(lambda: na.ones(2), axis_size=2.5)(), na.DTypeError, ("axis_size", "2.5")),  # type: ignore[arg-type]
    ],
)
def test_wrong_axes(call: Callable[[], object], error: type[Exception], words: tuple[str, ...]) -> None:
    with pytest.raises(error, match=needs("vmap", *words)):
        call()
    assert_nothing_open()


VALUES: Final[dict[str, Callable[[Array], Any]]] = {
    "truth": lambda x: x if x.sum() > 0 else -x,
    "truth of an example": lambda x: [] if x[0] else [1],
    "float": lambda x: x * float(x.sum()),
    "int": lambda x: range(int(x[0])),
    "item": lambda x: x[0].item(),
    "numpy": lambda x: x.numpy(),
    "np.asarray": lambda x: np.asarray(x),
    "raw": lambda x: x.raw,
    "mask": lambda x: x[x > 0],
    "in a list": lambda x: x[[0, 1]] if x[0] > 0 else x,
}


@pytest.mark.parametrize("read", VALUES.values(), ids=VALUES)
def test_reading_the_value_of_an_example_raises(read: Callable[[Array], Any], device: str) -> None:
    x = draw(4, 3).to(device)
    for call in (nt.vmap(read), nt.vmap(nt.vmap(lambda y: read(x[0] * y)))):
        with pytest.raises(LevelError, match=r"vmap.*where\("):
            call(x)
        assert_nothing_open()
    with pytest.raises(LevelError):
        nt.vmap(lambda r: nt.vjp(read, r))(x)
    assert_nothing_open()


def test_a_value_that_does_not_depend_on_the_example_may_be_read() -> None:
    y = draw(3)
    assert nt.vmap(lambda x: x * float(y.sum()) if y[0] else x)(draw(4, 3)).shape == (4, 3)


def leaked(then: Callable[[Array], Any] = lambda x: x) -> Array:
    kept: list[Array] = []
    nt.vmap(lambda x: kept.append(then(x)))(draw(4, 3))
    return kept[0]


AFTERWARDS: Final[dict[str, Callable[[Array], Any]]] = {
    "elementwise": lambda x: na.sin(x),
    "with another": lambda x: x + draw(3),
    "with a number": lambda x: 2.0 * x,
    "product": lambda x: draw(2, 3) @ x,
    "reduction": lambda x: x.sum(),
    "shape": lambda x: na.reshape(x, (3, 1)),
    "index": lambda x: x[0],
    "comparison": lambda x: x == 0,
    "in another vmap": lambda x: nt.vmap(lambda y: x * y)(draw(4, 3)),
    "its gradient": lambda x: nt.grad(lambda y: y.sum())(x),
    "its tangent": lambda x: nt.jvp(na.sin, (x,), (x,)),
}


@pytest.mark.parametrize("use", AFTERWARDS.values(), ids=AFTERWARDS)
def test_an_array_of_a_vmap_that_has_ended_raises(use: Callable[[Array], Any]) -> None:
    for x in (leaked(), leaked(na.sin)):
        with pytest.raises(LevelError, match=needs("belongs to a vmap that has ended", "return it from the function")):
            use(x)


def test_an_array_of_a_vmap_that_has_ended_has_no_value() -> None:
    with pytest.raises(LevelError, match="one value per example"):
        leaked().numpy()
    assert "one value per example" in repr(leaked())


def test_a_pullback_that_leaves_the_vmap_raises() -> None:
    kept: list[Any] = []
    nt.vmap(lambda x: kept.append(nt.vjp(lambda y: y * y, x)[1]))(draw(4, 3))
    with pytest.raises(LevelError, match="vmap that has ended"):
        kept[0](draw(3))


@pytest.mark.parametrize("wrap", ["plain", "grad", "vmap"])
def test_an_exception_leaves_no_level_open(wrap: str) -> None:
    def f(x: Array) -> Array:
        raise KeyError("mine")

    g: Any = {"plain": f, "grad": nt.grad(f), "vmap": nt.vmap(f)}[wrap]
    for call in (nt.vmap(g), nt.grad(lambda x: nt.vmap(g)(x).sum())):
        with pytest.raises(KeyError, match="mine"):
            call(draw(3, 2))
        assert_nothing_open()
    same(nt.vmap(na.sin)(draw(3)), na.sin(draw(3)))  # and all works as before


def test_errors_of_ops_speak_of_examples() -> None:
    with pytest.raises(ShapeError, match=needs("matmul", "inner sizes differ")):
        nt.vmap(lambda x: draw(2, 2) @ x)(draw(4, 3))
    with pytest.raises(ShapeError, match=needs("reshape", "3 elements of shape (3,)")):
        nt.vmap(lambda x: na.reshape(x, (2, 2)))(draw(4, 3))
    with pytest.raises(ShapeError, match=needs("sum", "axis 1", "(3,)")):
        nt.vmap(lambda x: na.sum(x, axis=1))(draw(4, 3))
    with pytest.raises(IndexError, match=needs("(3,)")):
        nt.vmap(lambda x: x[3])(draw(4, 3))


def test_shapes_of_examples_do_not_broadcast_with_the_batch() -> None:
    """(3,) and (4, 3) with a batch of 4: the 4 of one is an axis of the example, the other's is the batch."""
    x, y = draw(4, 3), draw(4, 3, seed=1)
    same(nt.vmap(lambda r: r + y)(x), looped(lambda r: r + y, (0,), x))
    with pytest.raises(ShapeError, match="broadcast") as caught:
        nt.vmap(lambda r, s: r + s)(draw(2, 4), draw(2, 3))
    assert caught.value.__notes__ == ["add: under vmap, over 2 examples; one has the shapes (4,), (3,)"]


# --- Threads ---
def test_threads_do_not_disturb_each_other() -> None:
    x, failures = draw(5, 3), []

    def work(seed: int) -> None:
        try:
            w = draw(3, seed=seed)
            for _ in range(20):
                f: Any = lambda w: na.sum(nt.vmap(lambda r: na.sin(r * w).sum())(x))
                same(nt.grad(f)(w), na.sum(na.cos(x * w) * x, axis=0))
        except (AssertionError, na.NeoError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


def test_another_thread_needs_the_context_of_the_vmap() -> None:
    results: list[Any] = []

    def run(f: Callable[[], Any]) -> None:
        def work() -> None:
            try:
                results.append(f())
            except LevelError as error:
                results.append(error)

        t = threading.Thread(target=contextvars.Context().run, args=(work,))
        t.start()
        t.join()

    def mapped(x: Array) -> Array:
        run(lambda: na.sin(x))
        context = copy_context()
        run(lambda: context.run(na.sin, x))
        out: Array = results[1]
        return out

    same(nt.vmap(mapped)(draw(4)), na.sin(draw(4)))
    assert isinstance(results[0], LevelError)
    assert "another context" in str(results[0])
