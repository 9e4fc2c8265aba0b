"""Rules in a scope: as if the function called the Policy where it calls the op, in every transform, nowhere else."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, LevelError, PolicyError
from neo_array._levels import Args, Level, Params, Stack, current_stack, entered, left, set_stack
from tests.neo_tape.levels import assert_nothing_open

if TYPE_CHECKING:
    import neo_nn.functional as F
else:
    F = pytest.importorskip("neo_nn.functional", reason="the op to replace is neo_nn's relu")

X: Final = na.asarray(np.array([-1.0, 0.5, 2.0]))
W: Final = na.asarray(np.array([3.0, -2.0, 1.5]))
Fn = Callable[..., Any]


class Guided(nt.Policy):
    """relu, whose backward lets positive cotangents through only; calls relu in both. Not linear: it has a jvp."""

    def forward(self, x: Array) -> Array:
        y = F.relu(x)
        self.ctx.save(y)
        return y

    def backward(self, grad: Array) -> tuple[Array]:
        (y,) = self.ctx.release
        return (F.relu(grad) * y,)

    def jvp(self, *tangents: Array) -> Array:
        (y,) = self.ctx.release
        return 7.0 * tangents[0] * y


class Product(nt.Policy):
    """x1 * x2, whose gradients are 3 and 5 times too large. Both may be Python numbers."""

    def forward(self, x1: Array | float, x2: Array | float) -> Array:
        self.ctx.save(x1, x2)  # type: ignore[arg-type]
        return na.asarray(x1) * x2 if isinstance(x1, float) else x1 * x2

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        x1, x2 = self.ctx.release
        wants = self.needs_grad
        return (3.0 * grad * x2 if wants[0] else None), (5.0 * grad * x1 if wants[1] else None)


class Total(nt.Policy[Any, Any]):
    """reduce_sum, whose gradient is doubled; its options come through."""

    def forward(self, x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        self.ctx.save(x.shape, axis)
        return na.sum(x, axis=axis, keepdims=keepdims)

    def backward(self, grad: Array) -> tuple[Array]:
        shape, axis = self.ctx.release
        return (2.0 * na.broadcast_to(grad.reshape(tuple(1 if i in axis else n for i, n in enumerate(shape))), shape),)


guided: Final[Any] = Guided
product: Final[Any] = Product


def same(got: Any, expected: Any) -> None:
    assert na.tree.structure(got) == na.tree.structure(expected)
    for a, b in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype, a.device) == (b.shape, b.dtype, b.device)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)


def replaced(f: Fn, table: Any) -> Fn:
    """Return f, run in a scope of its own."""

    def run(*args: Any) -> Any:
        with nt.rules(table):
            return f(*args)

    return run


# --- As if the Policy were called ---
def reverse(f: Fn) -> Fn:
    return lambda x: nt.grad(lambda y: na.vecdot(f(y), na.cos(y)))(x)


def forward(f: Fn) -> Fn:
    return lambda x: nt.jvp(f, (x,), (na.cos(x),))[1]


def mapped(f: Fn) -> Fn:
    return lambda x: nt.vmap(f)(na.stack([x, 0.5 * x, x + 0.25]))[1]


def linear(f: Fn) -> Fn:
    return lambda x: nt.linearize(f, x)[1](na.cos(x))


def checkpointed(f: Fn) -> Fn:
    return nt.checkpoint(f)


TRANSFORMS: Final = (reverse, forward, mapped)
NESTINGS: Final[list[tuple[Fn, ...]]] = [
    *(n for depth in range(4) for n in itertools.product(TRANSFORMS, repeat=depth)),
    *((linear,), (linear, reverse), (reverse, linear), (checkpointed, reverse), (mapped, checkpointed, reverse)),
]


def network(relu: Fn) -> Fn:
    """Return a function whose other ops the scope leaves alone."""
    return lambda x: relu(na.sin(x) * W + relu(x)) * x


@pytest.mark.parametrize("nesting", NESTINGS, ids=lambda n: "-".join(t.__name__ for t in n) or "value")
def test_as_if_the_policy_were_called_wherever_the_scope_begins(nesting: tuple[Fn, ...]) -> None:
    def built(f: Fn, scope_at: int | None) -> Fn:
        for place, transform in enumerate(nesting):
            f = replaced(f, {F.relu: Guided}) if place == scope_at else f
            f = transform(f)
        return replaced(f, {F.relu: Guided}) if scope_at == len(nesting) else f

    expected = built(network(guided), None)(X)
    for place in range(len(nesting) + 1):
        same(built(network(F.relu), place)(X), expected)


@pytest.mark.parametrize("nesting", NESTINGS, ids=lambda n: "-".join(t.__name__ for t in n) or "value")
def test_derivative_and_batching_rules_run_on_the_ops_as_they_are(nesting: tuple[Fn, ...]) -> None:
    """Multiplication is in every rule and in the walk; only the two of the function are replaced."""

    def built(multiply: Fn) -> Fn:
        f: Fn = lambda x: multiply(na.sin(multiply(x, x)), 0.5)
        for transform in nesting:
            f = transform(f)
        return f

    # the transforms of this test multiply as well, outside of f: the scope stands right around each call
    inside: Fn = lambda a, b: replaced(lambda a, b: a * b, {na.multiply: Product})(a, b)
    same(built(inside)(X), built(product)(X))


def test_scope_outside_replaces_what_the_function_does_and_not_what_the_walk_does() -> None:
    cube: Any = lambda multiply: lambda x: multiply(multiply(x, x), x)
    with nt.rules({na.multiply: Product}):
        first = nt.grad(cube(na.multiply))(na.asarray(2.0))
        second = nt.grad(nt.grad(cube(na.multiply)))(na.asarray(2.0))
        pulled = nt.vjp(cube(na.multiply), na.asarray(2.0))
        again = pulled[1](na.asarray(1.0))[0]
    expected = nt.grad(cube(product))(na.asarray(2.0)).item()
    assert first.item() == again.item() == pulled[1](na.asarray(1.0))[0].item() == expected == (3 * 8 + 5) * 4.0
    assert second.item() == nt.grad(nt.grad(cube(product)))(na.asarray(2.0)).item()


def test_jax_agrees_on_a_replaced_rule() -> None:
    from tests.neo_tape.jax_float64 import jax_in_float64

    with jax_in_float64() as jax:
        doubled = jax.custom_vjp(lambda x: jax.numpy.tanh(x))
        # in JAX, too, the output follows the rule at every order if fwd calls the function
        doubled.defvjp(lambda x: (doubled(x), x), lambda x, g: (2.0 * g * jax.numpy.cos(x),))
        theirs = jax.vmap(jax.grad(lambda x: jax.grad(lambda y: doubled(y * y) * y)(x) * x))(X.numpy())
    rule = nt.custom_vjp(na.tanh, lambda x: (na.tanh(x), x), lambda x, g: (2.0 * g * na.cos(x),))
    with nt.rules({na.tanh: rule}):
        mine = nt.vmap(nt.grad(lambda x: nt.grad(lambda y: na.tanh(y * y) * y)(x) * x))(X)
    np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-12)


# --- Every way to call an op ---
CALLS: Final[dict[str, tuple[Any, Any, Fn, float]]] = {
    "function": (na.multiply, Product, na.multiply, 3.0),
    "function by bind": (na.multiply, Product, lambda x, w: na.bind(na.multiply, x, w), 3.0),
    "operator": (na.multiply, Product, lambda x, w: x * w, 3.0),
    "operator, other side": (na.multiply, Product, lambda x, w: w * x, 5.0),
    "number on the right": (na.multiply, Product, lambda x, w: x * 2.0, 3.0),
    "number on the left": (na.multiply, Product, lambda x, w: 2.0 * x, 3.0),
    "promoted": (na.multiply, Product, lambda x, w: x * na.asarray([1, 2, 3], device=x.device), 3.0),
    "broadcast": ("multiply", Product, lambda x, w: x * w[0], 3.0),
    "method of a reduction": ("reduce_sum", Total, lambda x, w: x.sum(keepdims=True), 2.0),
    "function of a reduction": ("reduce_sum", Total, lambda x, w: na.sum(x, axis=-1, keepdims=True), 2.0),
    "under vmap": (na.multiply, Product, lambda x, w: nt.vmap(na.multiply)(x, w), 3.0),
    "shared under vmap": (na.multiply, Product, lambda x, w: nt.vmap(lambda x: x * w[1])(x), 3.0),
    "in a checkpoint": (na.multiply, Product, lambda x, w: nt.checkpoint(lambda x: x * w)(x), 3.0),
    "in a checkpoint that closes over it": (na.multiply, Product, lambda x, w: nt.checkpoint(lambda: x * w)(), 3.0),
}


@pytest.mark.parametrize(("op", "policy", "f", "factor"), CALLS.values(), ids=CALLS)
def test_every_way_to_call_an_op(op: Any, policy: Any, f: Fn, factor: float, device: str) -> None:
    x, w = X.to(device), W.to(device)
    value, pullback = nt.vjp(lambda x: f(x, w), x)
    cotangent = na.ones_like(value)
    (plain,) = pullback(cotangent)
    with nt.rules({op: policy}):
        found, replaced_pullback = nt.vjp(lambda x: f(x, w), x)
    same(found, value)
    same(replaced_pullback(cotangent)[0], plain * factor)
    same(nt.vjp(lambda x: f(x, w), x)[1](cotangent)[0], plain)


def test_ops_of_several_arrays_and_of_several_results() -> None:
    class Joined(nt.Policy):
        def forward(self, *arrays: Array, axis: int) -> Array:
            return na.concat(arrays, axis=axis)

        def backward(self, grad: Array) -> tuple[Array, ...]:
            return tuple(2.0 * g for g in na.split(grad, len(self.needs_grad), axis=0))

    def total(parts: Any) -> Array:
        return na.sum(parts[0] + 10.0 * parts[1])

    class Parts(nt.Policy):
        def forward(self, x: Array, *, sizes: tuple[int, ...], axis: int) -> tuple[Array, ...]:
            return tuple(na.split(x, len(sizes), axis=axis))

        def backward(self, grad: tuple[Array, ...]) -> tuple[Array]:
            return (3.0 * na.concat(grad, axis=0),)

    with nt.rules({"join": Joined, "parts": Parts}):
        gradients = nt.grad(lambda x, w: na.vecdot(na.concat([x, w]), na.concat([W, W])), (0, 1))(X, X)
        parts = nt.grad(lambda x: total(na.split(x, 2)))(na.asarray([1.0, 2.0, 3.0, 4.0]))
    assert [g.numpy().tolist() for g in gradients] == [[6.0, -4.0, 3.0]] * 2
    assert parts.numpy().tolist() == [3.0, 3.0, 30.0, 30.0]


def test_bodies_of_control_flow_are_replaced_in() -> None:
    start = na.asarray(np.array(0.0))
    body: Fn = lambda carry, row: (carry + F.relu(row), carry)
    branch: Fn = lambda x: na.sum(F.relu(x))
    functions: list[Fn] = [
        lambda x: nt.scan(body, start, x)[0],
        lambda x: nt.cond(x[0] < 0, branch, na.sum, x),
    ]
    for f in functions:
        plain = nt.grad(f)(X)
        with nt.rules({F.relu: scaled(10.0)}):
            same(nt.grad(f)(X), na.full_like(X, 10.0))
        same(nt.grad(f)(X), plain)


def test_shapes_without_values_are_found_as_well() -> None:
    with nt.rules({F.relu: Guided}):
        total: Fn = lambda x: na.sum(F.relu(x))
        found = nt.eval_shape(nt.grad(total), X)
    assert (found.shape, found.dtype) == (X.shape, X.dtype)


# --- What the levels see ---
class Spy(Level):
    """A level that writes down what it is shown."""

    watched: Any = frozenset()

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def see(self, stack: Stack, index: int, op: Any, args: Args, params: Params, out: Any) -> None:
        rule = params.get("rule")
        self.seen.append(op.__name__ if rule is None else (rule.name, rule.replaces))

    def close(self) -> None:
        pass


def test_a_trace_shows_the_policy_and_the_op_that_it_replaces() -> None:
    spy = Spy()
    outer = current_stack()
    try:
        set_stack(entered(spy))
        with nt.rules({F.relu: Guided}):
            F.relu(X)
        guided(X)
    finally:
        set_stack(outer)
        left(spy)
    assert [s for s in spy.seen if isinstance(s, tuple)] == [("Guided", "relu"), ("Guided", None)]


def test_a_program_holds_the_policy_and_is_not_replaced_again() -> None:
    f: Any = lambda x: na.sum(F.relu(x * W))
    with nt.rules({F.relu: Guided}):
        value, gradient, mapped_program = nt.trace(f)(X), nt.trace(nt.grad(f))(X), nt.trace(nt.vmap(F.relu))(X)
        expected = nt.grad(f)(X)
    for program in (value, gradient, mapped_program):
        assert "Guided for relu" in str(program)
    functions: Any = (lambda x, y: x + y), (lambda x, y: (x + y, None)), (lambda _, g: (g, g))
    with nt.rules({F.relu: scaled(3.0), na.multiply: nt.custom_vjp(*functions)}):
        found = gradient.eval(X), nt.grad(value.eval)(X), value.eval(X)  # type: ignore[arg-type]
    same(found, (expected, expected, f(X)))


def test_what_is_run_again_later_is_what_ran_in_the_scope() -> None:
    with nt.rules({F.relu: Guided}):
        _, pullback = nt.vjp(nt.checkpoint(lambda x: F.relu(F.relu(x) * 2.0)), X)
        _, pushforward = nt.linearize(F.relu, X)
    same(pullback(W)[0], nt.vjp(lambda x: guided(guided(x) * 2.0), X)[1](W)[0])
    same(pushforward(W), 7.0 * W * F.relu(X))
    _, plain = nt.linearize(lambda x: x * x, X)
    before = plain(W)
    functions: Any = (lambda x, y: x + y), (lambda x, y: (x + y, None)), (lambda _, g: (g, g))
    with nt.rules({na.multiply: nt.custom_vjp(*functions)}):
        assert (W * W).numpy().tolist() == (W + W).numpy().tolist()
        same(plain(W), before)


# --- Scopes ---
def slope(x: float = 2.0) -> float:
    return float(nt.grad(lambda x: F.relu(x) * 1.0)(na.asarray(x)).item())


def scaled(factor: float) -> Any:
    return nt.custom_vjp(F.relu, lambda x: (F.relu(x), None), lambda _, g: (factor * g,))


def test_inner_scope_counts_and_the_outer_one_comes_back() -> None:
    with nt.rules({F.relu: scaled(2.0), na.sin: scaled(1.0)}):
        assert slope() == 2.0
        with nt.rules({F.relu: scaled(3.0)}):
            assert slope() == 3.0
            with nt.rules({}):
                assert slope() == 3.0
        assert slope() == 2.0
        with pytest.raises(ZeroDivisionError), nt.rules({F.relu: scaled(4.0)}):
            1 / int(slope() - 4.0)
        assert slope() == 2.0
    assert slope() == 1.0
    assert_nothing_open()


def test_scope_is_also_a_decorator() -> None:
    decorated: Any = nt.rules({F.relu: scaled(2.0)})(slope)  # type: ignore[operator]
    assert (decorated(), decorated(), slope()) == (2.0, 2.0, 1.0)


def test_policy_of_a_scope_calls_the_op_itself_and_other_policies_are_left_alone() -> None:
    class Other(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return F.relu(x)

        def backward(self, grad: Array) -> tuple[Array]:
            (x,) = self.ctx.release
            return (nt.vjp(F.relu, x)[1](grad)[0],)

    other: Any = Other
    calls: list[str] = []

    class Counted(nt.Policy):
        def forward(self, x: Array) -> Array:
            calls.append("forward")
            return F.relu(x)

        def backward(self, grad: Array) -> tuple[Array]:
            calls.append("backward")
            return (F.relu(grad),)

    with nt.rules({F.relu: Counted}):
        nt.grad(lambda x: other(x).sum())(X)
        assert calls == []
        nt.grad(lambda x: F.relu(x).sum())(X)
    assert calls == ["forward", "backward"]


def test_threads_and_tasks_are_unaffected() -> None:
    found: dict[str, float] = {}

    async def task(name: str, factor: float | None, order: asyncio.Event, gate: asyncio.Event) -> None:
        if factor is None:
            order.set()
            await gate.wait()
            found[name] = slope()
        else:
            with nt.rules({F.relu: scaled(factor)}):
                await order.wait()
                found[name] = slope()
                gate.set()
                await asyncio.sleep(0)
                found[f"{name} later"] = slope()

    async def main() -> None:
        order, gate = asyncio.Event(), asyncio.Event()
        await asyncio.gather(task("scoped", 3.0, order, gate), task("free", None, order, gate))

    asyncio.run(main())
    with nt.rules({F.relu: scaled(2.0)}):
        thread = threading.Thread(target=lambda: found.update(thread=slope()))
        context = contextvars.copy_context()
        inherited = threading.Thread(target=lambda: found.update(inherited=context.run(slope)))
        for each in (thread, inherited):
            each.start()
            each.join()
    found["inherited, after the block"] = context.run(slope)
    assert found == {
        "scoped": 3.0,
        "scoped later": 3.0,
        "free": 1.0,
        "thread": 1.0,
        "inherited": 2.0,
        "inherited, after the block": 2.0,
    }


def test_scope_of_a_generator_that_ends_under_another_transform_is_refused() -> None:
    def generator() -> Iterator[None]:
        with nt.rules({F.relu: scaled(2.0)}):
            yield

    def f(x: Array) -> Array:
        next(running[0])
        return F.relu(x)

    def run() -> None:
        running.append(generator())
        next(running[0])
        with pytest.raises(LevelError, match=r"rules: the block ends.*do not yield"):
            nt.grad(f)(na.asarray(2.0))
        assert slope() == 1.0  # the scope may still be held there, but it replaces nothing any more

    running: list[Iterator[None]] = []
    contextvars.Context().run(run)


# --- Mistakes ---
def passes(self: Any, x: Array) -> Array:
    return x * 1.0


def policy_with(forward: Fn, **members: Any) -> Any:
    return type("Mine", (nt.Policy,), {"forward": forward, "backward": lambda self, g: (g,), **members})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([(F.relu, Guided)], "rules: needs a dict.*got list"),
        ({na.sum: Total}, "rules: sum is no op.*'reduce_sum': replace that"),
        ({F.linear: Guided}, "rules: linear is no op.*'affine'"),
        ({na.zeros: Guided}, "rules: zeros is no op"),
        ({"nothing": Guided}, "rules: there is no op 'nothing'.*operations.md"),
        ({3: Guided}, "rules: 3 is no op"),
        ({"policy_call": Guided}, "rules: policy_call stands for calls"),
        ({"fill": Guided}, "rules: fill takes no arrays"),
        ({F.relu: na.tanh}, "rules: relu must be replaced by a Policy.*tanh"),
        ({F.relu: lambda x: x}, "rules: relu must be replaced by a Policy.*custom_vjp"),
        ({F.relu: Guided(X)}, "rules: relu must be replaced by a Policy.*Array"),
        ({F.relu: nt.Policy}, "Policy: defines no forward"),
        ({"reduce_sum": Guided}, r"rules: reduce_sum is called with \(x, \*, axis, keepdims\).*Guided.forward.*'axis'"),
        ({na.multiply: Guided}, r"rules: multiply is called with \(x1, x2\).*Guided.forward takes \(x: .*too many"),
        ({F.relu: Product}, r"rules: relu is called with \(x\).*Product.forward.*'x2'"),
        ({"join": Total}, r"rules: join is called with \(\*arrays, \*, axis\)"),
    ],
)
def test_wrong_table_is_refused_where_it_is_given(table: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        nt.rules(table)


def test_output_that_is_not_what_the_op_gives() -> None:
    with (
        nt.rules({F.relu: policy_with(lambda self, x: (x, x))}),
        pytest.raises(PolicyError, match=r"Mine.forward: stands for relu.*one Array, got tuple"),
    ):
        F.relu(X)


def test_closures_over_differentiated_arrays_are_refused() -> None:
    def f(x: Array) -> Array:
        with nt.rules({F.relu: policy_with(lambda self, y: y * x)}):
            return F.relu(X).sum()

    with pytest.raises(PolicyError, match=r"Mine.forward: uses, in multiply, an array.*not an argument"):
        nt.grad(f)(X)
