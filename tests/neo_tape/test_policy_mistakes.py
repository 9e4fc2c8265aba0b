"""A table of mistakes in Policies: each is an error at the call that made it, with the names of what it is about."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, PolicyError

X: Final = na.asarray(np.array([1.0, 2.0, 3.0]))
W: Final = na.asarray(np.array([4.0, 5.0, 6.0]))
Fn = Callable[..., Any]


def make(**members: Any) -> Any:
    """Return a Policy of x and w, named Mine, with some of its methods replaced."""

    def forward(self: Any, x: Array, w: Array) -> Array:
        self.ctx.save(x, w)
        return x * w

    def backward(self: Any, grad: Array) -> Any:
        x, w = self.ctx.release
        return grad * w, grad * x

    given = {"forward": forward, "backward": backward} | members
    return type("Mine", (nt.Policy,), {k: v for k, v in given.items() if v is not None})


def gradients(policy: Any) -> Any:
    return nt.grad(lambda x, w: na.sum(policy(x, w)), (0, 1))(X, W)


def test_the_policy_that_the_mistakes_are_made_in_has_none() -> None:
    assert [g.numpy().tolist() for g in gradients(nt.function(make()))] == [[4.0, 5.0, 6.0], [1.0, 2.0, 3.0]]


# --- Found when the class is defined ---
async def coroutine(self: Any, x: Array, w: Array) -> Any:
    return x


async def stream(self: Any, x: Array, w: Array) -> Any:
    yield x


def generator(self: Any, x: Array, w: Array) -> Any:
    yield x


DEFINITIONS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "no forward": ({"forward": None}, "Mine: defines no forward; add def forward"),
    "no backward": ({"backward": None}, "Mine: defines no backward; add def backward"),
    "forward is a value": ({"forward": 3}, "Mine.forward: must be a plain method, got int"),
    "forward is None": ({"backward": X}, "Mine.backward: must be a plain method, got Array"),
    "static forward": ({"forward": staticmethod(lambda x, w: x)}, "Mine.forward: must be a plain method, got static"),
    "class method": ({"forward": classmethod(lambda c, x, w: x)}, "Mine.forward: must be a plain method, got class"),
    "property": ({"backward": property(lambda s: None)}, r"Mine.backward: .*got property; write def backward\(self"),
    "static jvp": ({"jvp": staticmethod(lambda t, u: t)}, "Mine.jvp: must be a plain method, got staticmethod"),
    "async forward": ({"forward": coroutine}, r"Mine.forward: .*got a coroutine function \(async def\)"),
    "async generator": ({"forward": stream}, "Mine.forward: .*got an asynchronous generator"),
    "generator": ({"forward": generator}, r"Mine.forward: .*got a generator \(it has yield\)"),
    "async backward": ({"backward": lambda s, g: None, "jvp": coroutine}, "Mine.jvp: .*got a coroutine function"),
    "generator as backward": ({"backward": lambda s, g: (yield)}, "Mine.backward: .*got a generator"),
    "forward forgets self": ({"forward": lambda: X}, r"Mine.forward: takes no self.*write def forward\(self"),
    "backward forgets self": ({"backward": lambda: ()}, r"Mine.backward: takes no self"),
    "backward forgets grad": (
        {"backward": lambda self: ()},
        r"Mine.backward: must take one cotangent.*got parameters \[\]",
    ),
    "backward forgets self, not grad": ({"backward": lambda grad: ()}, r"Mine.backward: must take one cotangent.*\[\]"),
    "backward of two": ({"backward": lambda s, g, h: ()}, r"Mine.backward: must take one cotangent.*\['g', 'h'\]"),
    "backward with a needed option": ({"backward": lambda s, g, *, k: ()}, r"one cotangent.*\['g', 'k'\]"),
    "forward with **options": (
        {"forward": lambda s, x, **o: x},
        r"Mine.forward: must not take \*\*o; name its options",
    ),
    "jvp of too few": ({"jvp": lambda s, t: t}, r"Mine.jvp: must take one tangent for each.*2.*\(x, w\), got.*\['t'\]"),
    "jvp of too many": ({"jvp": lambda s, t, u, v: t}, r"Mine.jvp: must take one tangent for each.*\['t', 'u', 'v'\]"),
    "batch of two": (
        {"batch": lambda s, args, axes: args},
        r"Mine.batch: must take size, args and axes.*write def batch",
    ),
    "raw is no bool": ({"raw": "yes"}, "Mine: raw must be True or False, got 'yes'"),
    "symbolic_zeros is no bool": ({"symbolic_zeros": 1}, "Mine: symbolic_zeros must be True or False, got 1"),
    "raw with batch": (
        {"raw": True, "batch": lambda s, n, args, axes: 0},
        "Mine: has batch, but raw = True has no vmap",
    ),
    "defines __init__": ({"__init__": lambda self, k: None}, "Mine: must not define __init__; .*keyword-only"),
    "defines __new__": ({"__new__": lambda cls, *a: None}, "Mine: must not define __new__"),
}


@pytest.mark.parametrize(("members", "message"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_mistake_in_the_class(members: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        nt.function(make(**members))
    if "__new__" not in members:
        with pytest.raises(PolicyError, match=message):
            gradients(make(**members))  # undecorated: found at the first call


def test_methods_that_are_no_plain_functions_but_work() -> None:
    def forward(self: Any, x: Array, w: Array) -> Array:
        return make()(x, w)  # type: ignore[no-any-return]

    @functools.wraps(forward)
    def wrapped(self: Any, *args: Any) -> Any:
        return forward(self, *args)

    mine = nt.function(make(forward=wrapped, backward=lambda s, g, scale=2.0: (scale * g, None)))
    assert nt.grad(lambda x: mine(x, W).sum())(X).numpy().tolist() == [2.0] * 3


# --- Found at the call: how it is called ---
CALLS: Final[dict[str, tuple[Fn, str]]] = {
    "too few": (lambda f: f(X), r"Mine: missing a required argument: 'w'; forward is Mine\(x: .*w: "),
    "too many": (lambda f: f(X, W, X), r"Mine: too many positional arguments; forward is Mine\(x"),
    "unknown option": (lambda f: f(X, W, scale=2.0), "Mine: got an unexpected keyword argument 'scale'"),
    "ndarray": (lambda f: f(X.numpy(), W), r"Mine: argument 0 \('x'\) is a numpy.ndarray; wrap it in na.asarray"),
    "ndarray in a pytree": (lambda f: f(X, {"a": [1, W.numpy()]}), r"Mine: argument 1 \('w'\) at 'a.1' is a numpy"),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_mistake_in_the_call(call: Fn, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        call(make())


def test_forward_without_self_takes_its_first_argument_for_it() -> None:
    with pytest.raises(PolicyError, match=r"Mine: too many positional.*its first parameter, 'x', is self"):
        make(forward=lambda x, w: x * w)(X, W)


# --- Found at the call: what forward returns, and keeps ---
def keeps(value: Any) -> Fn:
    def forward(self: Any, x: Array, w: Array) -> Array:
        self.kept = value(x)
        return x * w

    return forward


def sets(name: str, value: Any) -> Fn:
    def forward(self: Any, x: Array, w: Array) -> Array:
        setattr(self, name, value)
        return x * w

    return forward


FORWARDS: Final[dict[str, tuple[Fn, str]]] = {
    "nothing": (lambda s, x, w: None, "Mine.forward: must return Arrays, or pytrees of them, got None; return one"),
    "an empty tuple": (lambda s, x, w: (), r"Mine.forward: must return Arrays.*got \(\)"),
    "ndarray": (
        lambda s, x, w: np.ones(3),
        "must return Arrays.*got ndarray; wrap it in na.asarray.*or set raw = True",
    ),
    "ndarray in a dict": (lambda s, x, w: {"y": x, "z": np.ones(3)}, "must return Arrays.*got ndarray; wrap it"),
    "string": (lambda s, x, w: (x, "text"), "Mine.forward: must return Arrays.*got str"),
    "integer": (lambda s, x, w: 3, "Mine.forward: must return Arrays.*got int"),
    "generator object": (lambda s, x, w: (v for v in [x]), "Mine.forward: must return Arrays.*got generator"),
    "a function": (lambda s, x, w: lambda: x, "Mine.forward: must return Arrays.*got function"),
    "array in self": (keeps(lambda x: x), r"Mine.forward: kept an Array in self.kept; use self.ctx.save"),
    "arrays in a dict in self": (keeps(lambda x: {"a": [x * 2.0]}), "Mine.forward: kept an Array in self.kept"),
    "ctx replaced": (sets("ctx", {}), r"Mine.forward: put something else in self.ctx; call self.ctx.save"),
    "ctx replaced by a tuple": (sets("ctx", (X,)), "Mine.forward: put something else in self.ctx"),
}


@pytest.mark.parametrize(("forward", "message"), FORWARDS.values(), ids=FORWARDS)
def test_mistake_in_forward(forward: Fn, message: str) -> None:
    mine = make(forward=forward)
    with pytest.raises(PolicyError, match=message):
        mine(X, W)
    with pytest.raises(PolicyError, match=message):
        gradients(mine)
    with pytest.raises(PolicyError, match=message):
        nt.vmap(mine)(X, W)


def test_torch_tensor_from_forward() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(PolicyError, match=r"Mine.forward: must return Arrays.*got Tensor; wrap it in na.asarray"):
        make(forward=lambda s, x, w: torch.ones(3))(X, W)


# --- Found at the call of backward ---
def on_release(use: Fn) -> Fn:
    return lambda self, g: use(self, g)


BACKWARDS: Final[dict[str, tuple[Fn, str]]] = {
    "nothing": (lambda s, g: None, r"must return a tuple .*2 positional arguments \(x, w\), got NoneType"),
    "the gradient alone": (lambda s, g: g, "must return a tuple.*got Array"),
    "a list": (lambda s, g: [g, g], "must return a tuple.*got list"),
    "a dict": (lambda s, g: {"x": g, "w": g}, "must return a tuple.*got dict"),
    "a generator": (lambda s, g: (v for v in (g, g)), "must return a tuple.*got generator"),
    "too few": (lambda s, g: (g,), r"must return a tuple .*\(x, w\), got a tuple of 1"),
    "too many": (lambda s, g: (g, g, None), r"must return a tuple .*\(x, w\), got a tuple of 3"),
    "None for what is wanted": (
        lambda s, g: (g, None),
        r"returned None for argument 1 \('w'\), which wants a gradient",
    ),
    "a float": (lambda s, g: (g, 1.0), r"gradient of argument 1 \('w'\) must be an Array, got float"),
    "an ndarray": (
        lambda s, g: (np.ones(3), g),
        r"argument 0 \('x'\) must be an Array, got ndarray; wrap it.*raw = True",
    ),
    "a tuple for one": (lambda s, g: (g, (g,)), r"gradient of argument 1 \('w'\) has structure"),
    "a shape that broadcasts": (
        lambda s, g: (g, g.sum()),
        r"argument 1 \('w'\) has shape \(\).*\(3,\).*sum over broad",
    ),
    "an axis more": (lambda s, g: (g, g[None]), r"argument 1 \('w'\) has shape \(1, 3\).*\(3,\)"),
    "another dtype": (lambda s, g: (g.astype(na.float32), g), r"argument 0 \('x'\) has .*float32.*astype\(float64\)"),
    "integers": (lambda s, g: (g.astype(na.int64), g), r"argument 0 \('x'\) has .*int64.*float64"),
    "complex numbers": (lambda s, g: (g.astype(na.complex128), g), r"argument 0 \('x'\) has .*complex128.*float64"),
    "nothing was saved": (on_release(lambda s, g: s.ctx.release), "Mine.backward: ctx.release, but nothing was saved"),
    "saves": (on_release(lambda s, g: s.ctx.save(g)), "Mine.backward: ctx.save has no effect after forward"),
}


@pytest.mark.parametrize(("backward", "message"), BACKWARDS.values(), ids=BACKWARDS)
def test_mistake_in_backward(backward: Fn, message: str) -> None:
    mine = make(forward=lambda s, x, w: x * w, backward=backward)
    calls: list[Fn] = [
        lambda: gradients(mine),
        lambda: nt.vmap(lambda x, w: nt.grad(lambda x, w: na.sum(mine(x, w)), (0, 1))(x, w))(
            na.stack([X]), na.stack([W])
        ),
        lambda: nt.grad(lambda x, w: nt.vmap(mine)(x, w).sum(), (0, 1))(na.stack([X]), na.stack([W])),
        lambda: nt.jvp(mine, (X, W), (X, W)),
    ]
    for call in calls:
        with pytest.raises(PolicyError, match=f"Mine.backward: .*{message}|^{message}"):
            call()


def test_gradient_on_another_device() -> None:
    pytest.importorskip("torch")
    with pytest.raises(PolicyError, match=r"argument 1 \('w'\) has .*torch:cpu.*numpy.*\.to\(\"numpy\"\)"):
        gradients(make(backward=lambda s, g: (g, g.to("torch:cpu"))))


def test_names_of_starred_arguments_and_of_leaves() -> None:
    mine = make(forward=lambda s, x, *rest: x * rest[0]["a"][1], backward=lambda s, g: (g, {"a": [g, g[:1]]}, None))
    with pytest.raises(PolicyError, match=r"argument 1 \('rest\[0\]'\) at 'a.1' has shape \(1,\)"):
        nt.grad(lambda p: na.sum(mine(X, p, W)))({"a": [X, W]})
    with pytest.raises(PolicyError, match=r"None for argument 2 \('rest\[1\]'\)"):
        nt.grad(lambda w: na.sum(mine(X, {"a": [X, X[:1]]}, w)))(W)


# --- Found at the call of jvp ---
JVPS: Final[dict[str, tuple[Fn, str]]] = {
    "nothing": (lambda s, t, u: None, "Mine.jvp: .*got None"),
    "a float": (lambda s, t, u: 1.0, "Mine.jvp: must return an Array.*got float"),
    "a tuple": (lambda s, t, u: (t,), "Mine.jvp: must return tangents with the structure of forward's output"),
    "an ndarray": (lambda s, t, u: np.ones(3), "Mine.jvp: .*got ndarray; wrap it"),
    "a shape that broadcasts": (lambda s, t, u: t[:1], r"Mine.jvp: returned a tangent with shape \(1,\).*\(3,\)"),
    "another dtype": (lambda s, t, u: t.astype(na.float32), r"Mine.jvp: .*float32.*astype\(float64\)"),
    "nothing was saved": (lambda s, t, u: s.ctx.release[0], "Mine.jvp: ctx.release, but nothing was saved"),
}


@pytest.mark.parametrize(("jvp", "message"), JVPS.values(), ids=JVPS)
def test_mistake_in_jvp(jvp: Fn, message: str) -> None:
    mine = make(forward=lambda s, x, w: x * w, jvp=jvp)
    calls: list[Fn] = [
        lambda: nt.jvp(mine, (X, W), (X, W)),
        lambda: nt.vmap(lambda x: nt.jvp(mine, (x, x), (x, x)))(X[None]),
    ]
    for call in calls:
        with pytest.raises(PolicyError, match=message):
            call()


# --- Errors of the user's own ---
def test_an_error_from_inside_a_rule_names_the_rule() -> None:
    def unpacks(self: Any, grad: Array) -> Any:
        x, w, _ = self.ctx.release
        return x, w

    with pytest.raises(ValueError, match="not enough values to unpack") as caught:
        gradients(make(backward=unpacks))
    assert caught.value.__notes__ == ["raised in Mine.backward"]
    with pytest.raises(na.ShapeError) as inside:
        gradients(make(forward=lambda s, x, w: x @ na.ones((2, 2))))
    assert inside.value.__notes__[0] == "raised in Mine.forward"
    with pytest.raises(TypeError, match="not callable") as called:
        gradients(make(backward=lambda s, g: s.ctx.release()))
    assert called.value.__notes__ == ["raised in Mine.backward"]


def test_what_forward_does_to_its_containers_stays_inside() -> None:
    def forward(self: Any, x: Array, p: dict[str, Any]) -> Array:
        p["x"] = x
        p["list"].append(x)
        return x * 2.0

    p: dict[str, Any] = {"list": [W]}
    mine = make(forward=forward, backward=lambda s, g: (g, {"list": [g]}))
    mine(X, p)
    assert nt.grad(lambda p: na.sum(mine(X, p)))(p)["list"][0].numpy().tolist() == [1.0] * 3
    assert (list(p), len(p["list"])) == (["list"], 1)
