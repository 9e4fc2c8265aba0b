"""Every mistake in a Policy is an error that names the Policy, the argument, and both sides; none is a silent zero."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, PolicyError

X: Final = na.asarray(np.array([1.0, 2.0, 3.0]))
W: Final = na.asarray(np.array([4.0, 5.0, 6.0]))
policy_class: Final[Any] = nt.Policy


def needs(*words: str) -> str:
    """Match a message that has these parts in this order."""
    return ".*".join(map(re.escape, words))


def make(forward: Callable[..., Any], backward: Callable[..., Any] | None, **members: Any) -> Any:
    """Return a Policy named Mine, unchecked, so that its calls are what is tested."""
    given = {"forward": forward} | ({} if backward is None else {"backward": backward}) | members
    return type("Mine", (nt.Policy,), given)


def doubled(self: Any, x: Array) -> Array:
    return x * 2.0


def gradient_of(policy: Any) -> Any:
    return nt.grad(lambda x: na.sum(policy(x)))(X)


# --- What backward returns ---
RETURNS: Final[dict[str, tuple[Callable[[Any, Array], Any], tuple[str, ...]]]] = {
    "too many": (lambda s, g: (g, g), ("1 positional arguments", "got a tuple of 2")),
    "too few": (lambda s, g: (), ("1 positional arguments", "got a tuple of 0")),
    "bare array": (lambda s, g: g, ("must return a tuple", "got Array")),
    "list": (lambda s, g: [g], ("must return a tuple", "got list")),
    "nothing": (lambda s, g: None, ("must return a tuple", "got NoneType")),
    "None where wanted": (lambda s, g: (None,), ("None for argument 0", "wants a gradient", "needs_grad")),
    "other shape": (lambda s, g: (g[:2],), ("gradient of argument 0", "(2,)", "(3,)")),
    "broadcastable": (lambda s, g: (na.sum(g, keepdims=True),), ("gradient of argument 0", "(1,)", "(3,)", "equal")),
    "scalar": (lambda s, g: (na.sum(g),), ("gradient of argument 0", "()", "(3,)", "equal")),
    "extra axis": (lambda s, g: (na.reshape(g, (1, 3)),), ("gradient of argument 0", "(1, 3)", "(3,)")),
    "other dtype": (lambda s, g: (g.astype(na.float32),), ("gradient of argument 0", "float32", "float64")),
    "integers": (lambda s, g: (g.astype(na.int64),), ("gradient of argument 0", "int64", "float64")),
    "number": (lambda s, g: (1.0,), ("gradient of argument 0", "Array", "got float")),
    "ndarray": (lambda s, g: (np.ones(3),), ("gradient of argument 0", "Array", "got ndarray")),
    "list of arrays": (lambda s, g: ([g],), ("gradient of argument 0",)),
}


@pytest.mark.parametrize(("backward", "words"), RETURNS.values(), ids=RETURNS)
def test_wrong_return_of_backward(backward: Callable[[Any, Array], Any], words: tuple[str, ...]) -> None:
    mine = make(doubled, backward)
    with pytest.raises(PolicyError, match=needs("Mine.backward", *words)):
        gradient_of(mine)
    with pytest.raises(PolicyError, match=needs("Mine.backward", *words)):
        nt.vjp(mine, X)[1](X)
    with pytest.raises(PolicyError, match=needs("Mine", "")):
        nt.jvp(mine, (X,), (X,))


def test_gradient_on_another_device() -> None:
    pytest.importorskip("torch")
    with pytest.raises(PolicyError, match=needs("Mine.backward", "argument 0", "torch:cpu", "numpy")):
        gradient_of(make(doubled, lambda s, g: (g.to("torch:cpu"),)))


@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (lambda g: {"a": g}, ("argument 1", "structure", "'a'", "'b'")),
        (lambda g: [g, g], ("argument 1", "structure")),
        (lambda g: {"a": g, "b": None}, ("None for argument 1",)),
        (lambda g: {"a": g, "b": g[:1]}, ("gradient of argument 1", "(1,)", "(3,)")),
        (lambda g: None, ("None for argument 1",)),
    ],
)
def test_wrong_structure_of_a_pytrees_gradient(gradient: Callable[[Array], Any], words: tuple[str, ...]) -> None:
    mine = make(lambda s, k, p: p["a"] * p["b"], lambda s, g: (None, gradient(g)))
    with pytest.raises(PolicyError, match=needs("Mine.backward", *words)):
        nt.grad(lambda p: na.sum(mine(W, p)))({"a": X, "b": X})


def test_none_is_allowed_for_what_is_not_wanted() -> None:
    mine = make(lambda s, x, p: x * p["a"] + p["b"], lambda s, g: (None, {"a": None, "b": g}))
    assert nt.grad(lambda b: na.sum(mine(X, {"a": X, "b": b})))(X).numpy().tolist() == [1.0] * 3
    with pytest.raises(PolicyError, match=needs("None for argument 0")):
        nt.grad(lambda x: na.sum(mine(x, {"a": X, "b": X})))(X)


# --- The class ---
@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (int, ("function", "subclass of neo_tape.Policy", "int")),
        (doubled, ("function", "subclass of neo_tape.Policy")),
        (make(doubled, None), ("Mine", "no backward")),
        (type("Mine", (nt.Policy,), {"backward": lambda s, g: (g,)}), ("Mine", "no forward")),
        (make(doubled, lambda s, g: (g,), __init__=lambda s, scale: None), ("Mine", "__init__", "keyword-only")),
        (make(doubled, lambda s, g, h: (g,)), ("Mine.backward", "one cotangent", "['g', 'h']")),
        (make(doubled, lambda s: (None,)), ("Mine.backward", "one cotangent", "[]")),
        (make(doubled, lambda s, *, g: (g,)), ("Mine.backward", "one cotangent", "['g']")),
        (make(lambda s, x, **k: x, lambda s, g: (g,)), ("Mine.forward", "**k", "keyword-only")),
    ],
)
def test_class_that_is_no_policy(cls: Any, words: tuple[str, ...]) -> None:
    for decorate in (nt.function, nt.function(check=True)):
        with pytest.raises(PolicyError, match=needs(*words)):
            decorate(cls)


def test_backward_may_have_further_parameters_with_defaults() -> None:
    assert gradient_of(nt.function(make(doubled, lambda s, g, scale=3.0: (g * scale,)))).numpy().tolist() == [3.0] * 3


# --- The call ---
def test_call_that_does_not_fit_forward() -> None:
    mine = make(lambda self, x, *, scale: x, lambda s, g: (g,))
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: mine(), "'x'"),
        (lambda: mine(X), "'scale'"),
        (lambda: mine(X, X, scale=1.0), "too many positional"),
        (lambda: mine(X, scale=1.0, other=2), "'other'"),
    ]
    for call, word in calls:
        with pytest.raises(PolicyError, match=needs("Mine", word, "Mine(x, *, scale)")):
            call()


@pytest.mark.parametrize("under", ["nothing", "grad"])
@pytest.mark.parametrize("output", [3, "text", np.ones(3), object()])
def test_output_that_is_no_array(output: Any, under: str) -> None:
    mine = make(lambda s, x: (x, output), lambda s, g: (g[0],))
    with pytest.raises(PolicyError, match=needs("Mine.forward", "must return Arrays", type(output).__name__)):
        mine(X) if under == "nothing" else nt.grad(lambda x: na.sum(mine(x)[0]))(X)


def test_number_from_forward_becomes_an_array_everywhere() -> None:
    mine = make(lambda s, x: 3.0, lambda s, g: (X * g,))
    assert isinstance(mine(X), Array)
    assert nt.vjp(mine, X)[0].item() == 3.0


def test_array_kept_on_self_is_refused() -> None:
    def forward(self: Any, x: Array) -> Array:
        self.kept = {"here": [x]}
        return x * 2.0

    with pytest.raises(PolicyError, match=needs("Mine.forward", "self.kept", "self.ctx.save")):
        gradient_of(make(forward, lambda s, g: (g,)))


def test_release_without_save() -> None:
    with pytest.raises(PolicyError, match=needs("nothing was saved", "self.ctx.save")):
        gradient_of(make(doubled, lambda s, g: (g * s.ctx.release[0],)))


def test_differentiated_option_is_refused() -> None:
    mine = make(lambda s, x, *, scale: x * scale, lambda s, g: (g,))
    with pytest.raises(PolicyError, match=needs("Mine", "option 'scale'", "positional argument", "stop_gradient")):
        nt.grad(lambda x: na.sum(mine(X, scale=x)))(X)
    assert mine(X, scale=W).numpy().tolist() == [4.0, 10.0, 18.0]
    stopped = nt.grad(lambda x: na.sum(mine(x, scale={"s": nt.stop_gradient(x)}["s"])))(X)
    assert stopped.numpy().tolist() == [1.0] * 3


# --- Differentiated arrays that come in by another way ---
def closing_over(w: Array, way: str) -> Any:
    """Return a Policy whose forward uses w in this way, w being none of its arguments."""
    through: dict[str, Callable[[Any, Array], Any]] = {
        "closure": lambda self, x: x * w,
        "class attribute": lambda self, x: x * self.w,
        "returned": lambda self, x: w,
        "saved": lambda self, x: (self.ctx.save(w), x * 2.0)[1],
        "inside another Policy": lambda self, x: make(lambda s, y: y * w, lambda s, g: (g,))(x),
        "inside a gradient": lambda self, x: nt.grad(lambda y: na.sum(y * w))(x),
        "inside a tangent": lambda self, x: nt.jvp(lambda y: y * w, (x,), (x,))[1],
        "argument of another Policy": lambda self, x: make(lambda s, y, v: y * v, lambda s, g: (g, g))(x, w),
    }
    return make(through[way], lambda s, g: (g,), w=w)


WAYS: Final = (
    "closure",
    "class attribute",
    "returned",
    "saved",
    "inside another Policy",
    "inside a gradient",
    "inside a tangent",
    "argument of another Policy",
)


@pytest.mark.parametrize("way", WAYS)
def test_watched_array_that_is_no_argument_is_refused(way: str) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "one tape": lambda: nt.grad(lambda w, x: na.sum(closing_over(w, way)(x)), (0, 1))(W, X),
        "x a constant": lambda: nt.grad(lambda w: na.sum(closing_over(w, way)(X)))(W),
        "computed": lambda: nt.grad(lambda w: na.sum(closing_over(na.sin(w) * 2.0, way)(X)))(W),
        "forward mode": lambda: nt.jvp(lambda w: closing_over(w, way)(X), (W,), (W,)),
        "outer tape": lambda: nt.grad(lambda w: na.sum(nt.grad(lambda x: na.sum(closing_over(w, way)(x)))(X)))(W),
        "outer tangent": lambda: nt.jvp(lambda w: nt.grad(lambda x: na.sum(closing_over(w, way)(x)))(X), (W,), (W,)),
        "inner tape": lambda: nt.grad(lambda x: na.sum(nt.grad(lambda w: na.sum(closing_over(w, way)(x)))(W)))(X),
    }
    for name, call in calls.items():
        with pytest.raises(PolicyError, match=needs("Mine.forward", "is not an argument", "stop_gradient")):
            pytest.fail(f"{name}: {call()}")


@pytest.mark.parametrize("way", WAYS)
def test_constants_may_come_in_by_any_way(way: str) -> None:
    assert nt.grad(lambda x: na.sum(closing_over(W, way)(x)))(X).numpy().tolist() == [1.0] * 3
    stopped = nt.grad(lambda w: na.sum(closing_over(nt.stop_gradient(w), way)(w)))(X)
    assert stopped.numpy().tolist() == [1.0] * 3


def test_values_may_be_read_and_compared_from_a_closure() -> None:
    def f(w: Array) -> Array:
        mine = make(lambda s, x: x * 2.0 if float(w[0]) > 0 else x, lambda s, g: (g,))
        other = make(lambda s, x: na.where(nt.stop_gradient(w) > 4.5, x, 0.0), lambda s, g: (g,))
        return na.sum(mine(w) + other(w))

    assert nt.grad(f)(W).numpy().tolist() == [2.0] * 3
