"""checkpoint: the values and derivatives are the function's own, whatever it closes over, returns, draws or reads."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, LevelError, PolicyError, ShapeError
from neo_array._payloads import Donated, donate
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.levels import assert_nothing_open

F = Callable[..., Any]
checkpoint: Final[Any] = nt.checkpoint
grad: Final[Any] = nt.grad


def draw(*shape: int, seed: int = 0) -> Array:
    return na.asarray(np.random.default_rng(seed + len(shape)).normal(size=shape))


X: Final = draw(3)
W: Final = draw(3, 3)


def same(got: Any, expected: Any) -> None:
    assert na.tree.structure(got) == na.tree.structure(expected)
    for x, y in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-11, atol=1e-13)


def plain(f: F) -> F:
    """Stand in for `checkpoint`."""
    return f


def agree(make: Callable[[F], F], *args: Any) -> None:
    """Compare what `make` makes of checkpoint with what it makes without, up to second derivatives in all modes."""
    f, g = make(checkpoint), make(plain)
    numbers = list(range(len(args)))
    same(f(*args), g(*args))
    same(grad(f, numbers)(*args), grad(g, numbers)(*args))
    tangents = na.tree.tree_map(na.cos, args)
    same(nt.jvp(f, args, tangents), nt.jvp(g, args, tangents))
    total: F = lambda f: lambda *a: sum(na.sum(na.sin(x)) for x in na.tree.leaves(grad(f, numbers)(*a)))
    same(grad(total(f), numbers)(*args), grad(total(g), numbers)(*args))
    same(nt.jvp(grad(f, numbers), args, tangents), nt.jvp(grad(g, numbers), args, tangents))
    push: F = lambda f: lambda *a: nt.jvp(f, a, tangents)[1]
    same(grad(push(f), numbers)(*args), grad(push(g), numbers)(*args))
    many = na.tree.tree_map(lambda x: na.stack([x, na.sin(x)]), args)
    same(nt.vmap(grad(f, numbers))(*many), nt.vmap(grad(g, numbers))(*many))
    mapped: F = lambda f: lambda *a: na.sum(nt.vmap(f)(*a))
    same(grad(mapped(f), numbers)(*many), grad(mapped(g), numbers)(*many))
    assert_nothing_open()


# --- Against JAX ---
def layer(xp: Any, p: Any, x: Any) -> Any:
    h = xp.tanh(x @ p["w"] + p["b"])
    return {"h": h, "norm": xp.sum(h * h)}


def test_derivatives_are_jax_s() -> None:
    p, x = {"w": np.asarray(W), "b": np.asarray(X)}, np.asarray(draw(2, 3))

    def loss(xp: Any, remat: F) -> F:
        def f(p: Any, x: Any) -> Any:
            out = remat(lambda p, x: layer(xp, p, x))(p, x)
            out = remat(lambda x: layer(xp, p, x))(out["h"] * out["norm"])  # p is closed over
            return xp.sum(xp.sin(out["h"])) + out["norm"]

        return f

    with jax_in_float64() as jax:
        ours, theirs = loss(na, checkpoint), loss(jax.numpy, jax.checkpoint)
        to_ours, to_theirs = na.tree.tree_map(na.asarray, (p, x)), na.tree.tree_map(jax.numpy.asarray, (p, x))
        same(nt.value_and_grad(ours, (0, 1))(*to_ours), jax.value_and_grad(theirs, (0, 1))(*to_theirs))
        same(nt.jvp(ours, to_ours, to_ours), jax.jvp(theirs, to_theirs, to_theirs))
        hessian: Any = nt.hessian
        same(hessian(ours, 1)(*to_ours), jax.hessian(theirs, 1)(*to_theirs))


# --- Shapes of functions ---
def over_an_intermediate(c: F, x: Array, h: Array) -> Array:
    total: Array = (c(lambda a: a * h)(x) * h).sum()
    return total


FUNCTIONS: Final[dict[str, tuple[Callable[[F], F], tuple[Any, ...]]]] = {
    "elementwise": (lambda c: lambda x: c(lambda a: na.sin(a) * na.exp(a))(x).sum(), (X,)),
    "product": (lambda c: lambda w, x: c(lambda w, x: na.tanh(w @ x))(w, x).sum(), (W, X)),
    "identity": (lambda c: lambda x: (c(lambda a: a)(x) * x).sum(), (X,)),
    "constant": (lambda c: lambda x: (c(lambda a: na.ones(3, dtype=na.float64))(x) * x).sum(), (X,)),
    "input and more": (lambda c: lambda x: na.sum(na.multiply(*c(lambda a: (a, a * a))(x))), (X,)),
    "the same output twice": (lambda c: lambda x: na.sum(na.multiply(*c(lambda a: (na.sin(a),) * 2)(x))), (X,)),
    "the same argument twice": (lambda c: lambda x: c(lambda a, b: a * na.sin(b))(x, x).sum(), (X,)),
    "unused output": (lambda c: lambda x: c(lambda a: {"used": na.sin(a), "not": na.cos(a)})(x)["used"].sum(), (X,)),
    "unused argument": (lambda c: lambda x, w: c(lambda a, b: na.sin(a))(x, w).sum(), (X, W)),
    "no argument": (lambda c: lambda x: c(lambda: na.sin(x) * x)().sum(), (X,)),
    "closure alone and argument": (lambda c: lambda w, x: c(lambda a: na.tanh(w @ a) * a)(x).sum(), (W, X)),
    "closure over its own argument": (lambda c: lambda x: c(lambda a: a * na.sin(x))(x).sum(), (X,)),
    "closure over an intermediate": (lambda c: lambda x: over_an_intermediate(c, x, na.sin(x)), (X,)),
    "closure that is returned": (lambda c: lambda x, w: na.sum(c(lambda a: (w, a))(x)[0] @ x), (X, W)),
    "keywords": (lambda c: lambda x: c(lambda a, *, k, s: na.sin(a) * k if s else a)(x, k=x, s="yes").sum(), (X,)),
    "in sequence": (lambda c: lambda x: c(na.cos)(c(na.exp)(c(na.sin)(x))).sum(), (X,)),
    "nested": (lambda c: lambda x: c(lambda a: na.sin(c(lambda b: na.exp(b) * a)(a * a)) * a)(x).sum(), (X,)),
    "nested thrice": (
        lambda c: lambda x: c(lambda a: c(lambda b: c(lambda d: na.sin(d) * a * b)(b * x))(a))(x).sum(),
        (X,),
    ),
    "grad inside": (lambda c: lambda x: c(grad(lambda a: na.sum(na.sin(a) * x)))(x).sum(), (X,)),
    "grad inside of checkpoint inside": (
        lambda c: lambda x: c(grad(lambda a: na.sum(c(lambda b: na.sin(b) * x * a)(a))))(x).sum(),
        (X,),
    ),
    "jvp inside": (lambda c: lambda x: c(lambda a: nt.jvp(lambda b: na.sin(b) * a, (a,), (x,))[1])(x).sum(), (X,)),
    "vmap inside": (lambda c: lambda w, x: c(lambda w: nt.vmap(lambda r: na.sin(r @ x) * r)(w))(w).sum(), (W, X)),
    "linearize inside": (lambda c: lambda x: c(lambda a: nt.linearize(na.sin, a)[1](x * a))(x).sum(), (X,)),
    "linearized": (lambda c: lambda x: nt.linearize(c(lambda a: na.sin(a) * x), x)[1](x * x).sum(), (X,)),
    "transposed": (lambda c: lambda x: nt.linear_transpose(c(lambda a: na.sin(x) * a), x)(x * x)[0].sum(), (X,)),
    "index by value": (lambda c: lambda w: c(lambda a: na.sin(a[na.argsort(a[:, 0])]) * a)(w).sum(), (W,)),
    "several results of one op": (
        lambda c: lambda w: c(lambda a: na.linalg.svd(a, full_matrices=False)[1])(w).sum(),
        (W,),
    ),
    "stop_gradient inside": (lambda c: lambda x: c(lambda a: a * nt.stop_gradient(na.sin(a)))(x).sum(), (X,)),
    "empty": (lambda c: lambda x: c(lambda a: na.sin(a))(x).sum(), (na.zeros((0, 2), dtype=na.float64),)),
    "0-d": (lambda c: lambda x: c(lambda a: na.sin(a) * a)(x), (na.asarray(np.float64(0.5)),)),
    "named values": (lambda c: lambda x: c(lambda a: nt.name(na.sin(nt.name(a, "a")), "b") * a)(x).sum(), (X,)),
}


@pytest.mark.parametrize(("make", "args"), FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("options", [{}, {"budget_bytes": 24}, {"budget_bytes": 10**6}, {"save": ["b"]}], ids=str)
def test_checkpoint_changes_no_derivative(make: Callable[[F], F], args: tuple[Any, ...], options: Any) -> None:
    agree(lambda c: make(c if c is plain else lambda f: checkpoint(f, **options)), *args)


def test_on_each_backend(device: str) -> None:
    w, x = draw(3, 3).to(device), draw(3).to(device)
    f: F = lambda c: lambda w, x: na.sum(na.sin(c(lambda a: na.tanh(w @ a) * a)(x)))
    got = grad(f(checkpoint), (0, 1))(w, x)
    assert {str(g.device) for g in got} == {device}
    same([g.numpy() for g in got], [g.numpy() for g in grad(f(plain), (0, 1))(w, x)])
    agree(f, w, x)


# --- What is not a return value of arrays ---
def test_what_leaves_by_another_way_has_its_derivative() -> None:
    def make(c: F) -> F:
        def f(x: Array) -> Array:
            box: list[Array] = []

            def g(a: Array) -> Array:
                box.append(na.sin(a) * 2.0)
                return na.cos(a)

            return na.sum(c(g)(x) * box[0])

        return f

    agree(make, X)


def test_pullback_made_inside_may_be_used_outside() -> None:
    def make(c: F) -> F:
        def f(x: Array) -> Array:
            y, pullback = c(lambda a: nt.vjp(lambda b: na.sin(b) * a * b, a))(x)
            return na.sum(pullback(y)[0] * y)

        return f

    same(grad(make(checkpoint))(X), grad(make(plain))(X))
    same(nt.hessian(make(checkpoint))(X), nt.hessian(make(plain))(X))


def test_structure_and_other_leaves_are_returned_as_they_are() -> None:
    def f(a: Array) -> Any:
        return {"a": a * 2.0, "n": na.argmax(a), "i": 3, "s": "text", "none": None, "mask": a > 0}

    def loss(x: Array) -> Any:
        out = checkpoint(f)(x)
        assert (out["i"], out["s"], out["none"]) == (3, "text", None)
        assert out["n"].numpy() == np.argmax(np.asarray(X))  # a constant, which may be read
        assert out["mask"].numpy().tolist() == (np.asarray(X) > 0).tolist()
        return out["a"].sum()

    same(grad(loss)(X), 2.0 * na.ones(3, dtype=na.float64))


def test_constants_made_inside_may_be_read_at_any_depth() -> None:
    def inner(b: Array) -> Any:
        y, ones = checkpoint(lambda c: (na.sin(c), na.ones(3, dtype=na.float64)))(b)
        assert ones.numpy().tolist() == [1.0, 1.0, 1.0]
        return na.sum(y * ones)

    same(grad(lambda x: checkpoint(grad(inner))(x).sum())(X), -na.sin(X))


def test_integers_numbers_and_static_arguments() -> None:
    def loss(p: Any) -> Any:
        return checkpoint(lambda p: p["x"][p["n"]] * p["f"] * p["i"] if p["s"] else p["x"])(p).sum()

    p = {"x": X, "n": na.asarray([0, 2]), "f": 2.0, "i": 3, "s": "text", "none": None}
    got = grad(loss)(p)
    assert got["x"].numpy().tolist() == [6.0, 0.0, 6.0]
    assert (got["n"].numpy().tolist(), got["i"], got["s"], got["none"]) == ([0, 0], 0, "text", None)


# --- One run of the function, as it was ---
def test_function_is_called_once() -> None:
    calls = []

    def f(a: Array) -> Array:
        calls.append(1)
        return na.sin(a)

    nt.hessian(lambda x: checkpoint(f)(x).sum())(X)
    assert len(calls) == 1


def test_variables_assigned_later_do_not_matter() -> None:
    """Each function closes over the loop's variable, which has moved on when the gradient is computed."""

    def make(c: F) -> F:
        def f(*ws: Array) -> Array:
            h = na.cos(ws[0])
            for w in ws:
                h = c(lambda a: na.tanh(a * w))(h)  # noqa: B023
            return na.sum(h)

        return f

    agree(make, *(draw(3, seed=s) for s in range(4)))


def test_mutable_state_and_host_randomness_are_those_of_the_call() -> None:
    rng, state = np.random.default_rng(0), {"w": X}

    def f(a: Array) -> Array:
        return na.sin(a) * state["w"] * na.asarray(rng.normal(size=3))

    def loss(x: Array) -> Array:
        y = checkpoint(f)(x)
        state["w"] = 100.0 * X
        return na.sum(y)

    _, pullback = nt.vjp(loss, X)
    same(pullback(1.0)[0], na.cos(X) * X * na.asarray(np.random.default_rng(0).normal(size=3)))


def test_branches_and_values_read_are_those_of_the_call() -> None:
    make: F = lambda c: lambda x: c(lambda a: a * float(a[0]) if a.sum() > 0 else a * a * a)(x).sum()
    for x in (na.abs(X), -na.abs(X)):
        same(grad(make(checkpoint))(x), grad(make(plain))(x))


def test_random_draws_are_made_again_from_their_key() -> None:
    keys = na.random.split(na.random.key(3), 4)

    def make(c: F) -> F:
        def f(x: Array, key: Array) -> Array:
            drop = lambda a: a * na.sin(a) * na.random.bernoulli(key, 0.5, (3,)).astype(na.float64)
            return na.sum(c(drop)(x))

        return f

    same(grad(make(checkpoint))(X, keys[0]), grad(make(plain))(X, keys[0]))
    ours, expected = (nt.vmap(grad(make(c)), (None, 0))(X, keys) for c in (checkpoint, plain))
    same(ours, expected)
    assert not np.array_equal(ours.numpy()[0], ours.numpy()[1])


# --- Policies ---
@nt.function
class Tripled(nt.Policy):
    """sin with thrice its derivative, so that a rule that is lost shows."""

    def forward(self, x: Array, w: Array | None = None, *, power: int = 1) -> Array:
        self.ctx.save(na.cos(x), *([] if w is None else [w]))
        return na.sin(x) * power if w is None else na.sin(x) * power * w

    def backward(self, grad: Array) -> tuple[Array, Array | None]:
        cos, *rest = self.ctx.release
        return 3.0 * grad * cos * (rest[0] if rest else 1.0), 5.0 * grad if rest else None


POLICIES: Final[dict[str, tuple[Callable[[F], F], tuple[Any, ...]]]] = {
    "inside": (lambda c: lambda x: c(lambda a: Tripled(a * 2.0) * a)(x).sum(), (X,)),
    "itself": (lambda c: lambda x: c(Tripled)(x, power=2).sum(), (X,)),
    "two inputs": (
        lambda c: lambda x, w: c(lambda a: Tripled(a, na.sin(w), power=2) * w)(x).sum(),
        (X, draw(3, seed=2)),
    ),
    "under grad inside": (lambda c: lambda x: c(grad(lambda a: Tripled(a * x).sum()))(x).sum(), (X,)),
    "under vmap inside": (lambda c: lambda w, x: c(lambda w: nt.vmap(lambda r: Tripled(r, x))(w))(w).sum(), (W, X)),
    "under jvp inside": (lambda c: lambda x: c(lambda a: nt.jvp(Tripled, (a,), (x,))[1])(x).sum(), (X,)),
    "nested": (lambda c: lambda x: c(lambda a: Tripled(c(Tripled)(a) * x))(x).sum(), (X,)),
}


@pytest.mark.parametrize(("make", "args"), POLICIES.values(), ids=POLICIES)
def test_policies_inside_keep_their_rules(make: Callable[[F], F], args: tuple[Any, ...]) -> None:
    agree(make, *args)


def test_checkpoint_inside_a_policy() -> None:
    @nt.function
    class Outer(nt.Policy):
        def forward(self, x: Array) -> Array:
            h = checkpoint(na.sin)(x)
            self.ctx.save(x, h)
            out: Array = h * h
            return out

        def backward(self, grad: Array) -> tuple[Array]:
            x, h = self.ctx.release
            return (grad * checkpoint(lambda x: 2.0 * h * na.cos(x))(x),)

    agree(lambda c: lambda x: (Outer if c is checkpoint else lambda x: na.sin(x) ** 2)(x * x).sum(), X)


def test_policy_that_closes_over_a_watched_array_raises_at_the_call() -> None:
    def loss(w: Array) -> Any:
        @nt.function
        class Closes(nt.Policy):
            def forward(self, x: Array) -> Array:
                return x * w

            def backward(self, grad: Array) -> tuple[Array]:
                return (grad,)

        return checkpoint(lambda a: Closes(a))(X).sum()

    with pytest.raises(PolicyError, match=r"Closes.forward: uses, in multiply, .*its gradient would be lost"):
        nt.vjp(loss, X)
    assert_nothing_open()


# --- The levels ---
READS: Final[dict[str, Callable[[Array, Array], Any]]] = {
    "argument": lambda a, x: a.numpy(),
    "intermediate": lambda a, x: np.asarray(na.sin(a)),
    "closure": lambda a, x: x.raw,
    "made of a closure": lambda a, x: na.sin(x).numpy(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_taking_an_array_out_of_the_graph_raises_at_the_call(read: Callable[[Array, Array], Any]) -> None:
    def f(x: Array) -> Any:
        return checkpoint(lambda a: (read(a, x), a)[1])(x * x)

    with pytest.raises(LevelError, match="is being differentiated"):
        nt.vjp(f, X)
    assert_nothing_open()


def test_exception_leaves_no_level_open() -> None:
    def f(a: Array) -> Array:
        na.sin(a)
        raise KeyError("mine")

    calls: list[F] = [lambda: grad(lambda x: checkpoint(f)(x))(X), lambda: nt.vmap(grad(checkpoint(f)))(W)]
    for call in calls:
        with pytest.raises(KeyError, match="mine"):
            call()
        assert_nothing_open()
    agree(FUNCTIONS["product"][0], W, X)


def test_without_a_tape_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    from neo_tape import _checkpoint

    monkeypatch.setattr(_checkpoint, "Inside", None)
    same(checkpoint(na.sin)(X), na.sin(X))
    same(nt.jvp(checkpoint(na.sin), (X,), (X,))[1], na.cos(X) * X)
    same(nt.vmap(checkpoint(na.sin))(W), na.sin(W))
    with pytest.raises(TypeError):
        grad(lambda x: checkpoint(na.sin)(x).sum())(X)


def test_threads_do_not_disturb_each_other() -> None:
    def work(seed: int) -> None:
        x = draw(3, seed=seed)
        f: F = lambda c: lambda x: c(lambda a: na.sin(a) * c(na.exp)(x))(x).sum()
        for _ in range(10):
            same(nt.hessian(f(checkpoint))(x), nt.hessian(f(plain))(x))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def test_work_in_another_thread_needs_the_context() -> None:
    def run(f: Callable[[], Any]) -> Any:
        results: list[Any] = []

        def work() -> None:
            try:
                results.append(f())
            except LevelError as error:
                results.append(error)

        thread = threading.Thread(target=contextvars.Context().run, args=(work,))
        thread.start()
        thread.join()
        return results[0]

    def inside(a: Array) -> Array:
        assert isinstance(run(lambda: na.sin(a)), LevelError)
        context = contextvars.copy_context()
        out: Array = run(lambda: context.run(na.sin, a))
        return out

    same(grad(lambda x: checkpoint(inside)(x).sum())(X), na.cos(X))


@pytest.mark.parametrize("op", [na.subtract, na.multiply], ids=["subtract", "multiply"])
@pytest.mark.parametrize("given", ["made inside", "closure", "argument"])
def test_arrays_donated_inside_serve_the_backward_pass(op: Any, given: str) -> None:
    """The gradient needs values of arrays whose buffers were given away."""

    def make(c: F) -> F:
        def f(w: Array) -> Array:
            y = w * 1.0
            made = (lambda a: donate(op, Donated("test"), a * 1.0, w)) if given == "made inside" else None
            over = made or (lambda a: donate(op, Donated("test"), y if given == "closure" else a, w * w))
            return na.sum(na.sin(c(over)(y if given == "argument" else w)) * w)

        return f

    same(grad(make(checkpoint))(X), grad(make(plain))(X))


def test_constants_donated_after_the_call_serve_the_backward_pass() -> None:
    constant = X * 1.0
    _, pullback = nt.vjp(checkpoint(lambda a: na.sin(a * constant)), X)
    _, push = nt.linearize(lambda a: a * constant, X)
    donate(na.add, Donated("test"), constant, 1.0)
    same(pullback(X)[0], na.cos(X * X) * X * X)
    same(push(X), X * X)


def test_entry_of_a_donating_op_keeps_what_its_rule_needs() -> None:
    f = lambda w: na.sum(na.sin(donate(na.multiply, Donated("test"), w * 1.0, w)))
    same(grad(f)(X), na.cos(X * X) * 2.0 * X)


# --- Use ---
def test_decorator_forms_and_metadata() -> None:
    @nt.checkpoint
    def f(x: Array) -> Array:
        """Say hello."""
        return na.sin(x)

    @nt.checkpoint(save=["h"], budget_bytes=100)
    def g(x: Array) -> Array:
        return na.sin(x)

    class Layer:
        @nt.checkpoint
        def __call__(self, x: Array, *, scale: float = 2.0) -> Array:
            return na.sin(x) * scale

    assert (f.__name__, f.__doc__, g.__name__) == ("f", "Say hello.", "g")
    for function, factor in ((f, 1.0), (g, 1.0), (Layer(), 2.0)):
        same(grad(lambda x, function=function: function(x).sum())(X), na.cos(X) * factor)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: checkpoint(3), DTypeError, "checkpoint: needs a function, got int"),
        (lambda: checkpoint(na.sin, save=[1]), DTypeError, "checkpoint: save must consist of the names"),
        (lambda: checkpoint(na.sin, budget_bytes=1.5), DTypeError, "checkpoint: budget_bytes must be an int"),
        (lambda: checkpoint(na.sin, budget_bytes=-1), ShapeError, "checkpoint: budget_bytes must not be negative"),
        (lambda: nt.checkpoint_sequence([na.sin], X, segments=0), ShapeError, "checkpoint_sequence: segments must be"),
        (lambda: nt.name(X, 3), DTypeError, "name: the label must be a str, got 3"),  # type: ignore[arg-type]
    ],
)
def test_misuse(call: F, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_name_takes_trees_and_changes_nothing() -> None:
    tree = {"x": X, "n": 3, "none": None}
    got = nt.name(tree, "label")
    assert (got["n"], got["none"]) == (3, None)
    same(got["x"], X)
    agree(lambda c: lambda x: na.sum(na.sin(nt.name(c(na.exp)(x), "h"))), X)


# --- Sequences ---
@pytest.mark.parametrize("segments", [None, 1, 2, 3, 7, 50])
@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_sequence_applies_all_functions_in_order(length: int, segments: int | None) -> None:
    ws = [draw(3, 3, seed=s) for s in range(length)]

    def make(c: F) -> F:
        def f(x: Array, *ws: Array) -> Array:
            fs: list[F] = [lambda h, w=w: na.tanh(w @ h) for w in ws]
            if c is checkpoint:
                return na.sum(nt.checkpoint_sequence(fs, x, segments=segments))
            for each in fs:
                x = each(x)
            return na.sum(x)

        return f

    numbers = list(range(1 + length))
    same(make(checkpoint)(X, *ws), make(plain)(X, *ws))
    same(grad(make(checkpoint), numbers)(X, *ws), grad(make(plain), numbers)(X, *ws))
    same(nt.jvp(grad(make(checkpoint)), (X, *ws), (X, *ws)), nt.jvp(grad(make(plain)), (X, *ws), (X, *ws)))


def test_sequence_of_pytrees() -> None:
    def step(state: dict[str, Array]) -> dict[str, Array]:
        return {"x": na.sin(state["x"]) * state["v"], "v": state["v"] + state["x"]}

    f: F = lambda p: nt.checkpoint_sequence([step] * 6, p, segments=3)["x"].sum()

    def reference(p: dict[str, Array]) -> Array:
        for _ in range(6):
            p = step(p)
        return p["x"].sum()

    p = {"x": X, "v": na.cos(X)}
    same(grad(f)(p), grad(reference)(p))


# --- Freeing ---
@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_nothing_of_a_call_outlives_the_gradient() -> None:
    refs: list[weakref.ref[Any]] = []

    def f(a: Array) -> Array:
        h = na.sin(a)
        refs.extend([weakref.ref(h), weakref.ref(h._raw)])
        return na.exp(h) * nt.name(h, "h")

    for options in ({}, {"save": ["h"]}, {"budget_bytes": 10**6}):
        grad(lambda x, options=options: checkpoint(f, **options)(x).sum())(X)
        nt.jvp(grad(lambda x, options=options: checkpoint(f, **options)(x).sum()), (X,), (X,))
    assert [ref() for ref in refs] == [None] * 12
    assert_nothing_open()
