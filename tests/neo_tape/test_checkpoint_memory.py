"""What checkpoint keeps between the passes, what it computes again, and what `save` and `budget_bytes` change."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, primitive
from neo_array._primitive import REGISTRY, bind

MB: Final = 1_000_000
SIZE: Final = 125_000  # elements of float64: one MB
F = Callable[..., Any]
checkpoint: Final[Any] = nt.checkpoint
grad: Final[Any] = nt.grad


@pytest.fixture
def ran() -> list[str]:
    """The tags of the counted ops that have run."""
    _RAN.clear()
    return _RAN


_RAN: Final[list[str]] = []


@primitive(kind="elementwise")
def counted(x: Array, /, *, tag: str) -> Array:
    """Compute a sine, whose rule needs x."""
    return bind(counted, x, tag=tag)


@primitive(kind="elementwise")
def counted_exp(x: Array, /, *, tag: str) -> Array:
    """Compute an exponential, whose rule needs its output."""
    return bind(counted_exp, x, tag=tag)


@counted.kernel("numpy")
def _(x: Any, *, tag: str) -> Any:
    _RAN.append(tag)
    return np.sin(x)


@counted_exp.kernel("numpy")
def _(x: Any, *, tag: str) -> Any:
    _RAN.append(tag)
    return np.exp(x)


counted.vjp(x=lambda g, x: g * na.cos(x))
counted_exp.vjp(x=lambda g, out: g * out)
for _name in ("counted", "counted_exp"):
    del REGISTRY[_name]  # no other test is to meet them


@pytest.fixture
def kept() -> Iterator[Callable[[Callable[[], Any]], float]]:
    """Give a function that measures what a call's result holds, in MB."""

    def measure(call: Callable[[], Any]) -> float:
        gc.collect()
        tracemalloc.start()
        result = call()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        del result
        return held / MB

    yield measure
    tracemalloc.stop()


def peak(call: Callable[[], Any]) -> float:
    gc.collect()
    tracemalloc.start()
    call()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / MB


def big(seed: int = 0) -> Array:
    return na.asarray(np.random.default_rng(seed).normal(size=SIZE))


def four(x: Array) -> Array:
    """Apply four sines, the second of them named."""
    a = counted(x, tag="a")
    b = nt.name(counted(a, tag="b"), "b")
    return counted(counted(b, tag="c"), tag="d")


# --- What is computed again ---
@pytest.mark.parametrize(
    ("options", "again", "held"),
    [
        ({}, ["a", "b", "c"], 0),  # d's result is no rule's: not even computed again
        ({"save": ["b"]}, ["a", "c"], 1),
        ({"save": "b"}, ["a", "c"], 1),
        ({"save": ["other"]}, ["a", "b", "c"], 0),
        ({"budget_bytes": 0}, ["a", "b", "c"], 0),
        ({"budget_bytes": MB - 1}, ["a", "b", "c"], 0),
        ({"budget_bytes": MB}, ["b", "c"], 1),
        ({"budget_bytes": 2 * MB}, ["c"], 2),
        ({"budget_bytes": 100 * MB}, [], 3),
        ({"save": ["b"], "budget_bytes": 2 * MB}, ["c"], 2),
        ({"save": ["b"], "budget_bytes": 0}, ["a", "c"], 1),
    ],
    ids=str,
)
def test_kept_values_are_not_computed_again(
    options: dict[str, Any], again: list[str], held: int, ran: list[str], kept: Callable[[Callable[[], Any]], float]
) -> None:
    x = big()
    expected = nt.vjp(four, x)[1](x)[0]
    ran.clear()
    assert kept(lambda: nt.vjp(checkpoint(four, **options), x)) == pytest.approx(1 + held, abs=0.05)  # the output, and
    ran.clear()
    _, pullback = nt.vjp(checkpoint(four, **options), x)
    assert ran == ["a", "b", "c", "d"]
    for _ in range(2):
        ran.clear()
        np.testing.assert_array_equal(pullback(x)[0].numpy(), expected.numpy())
        assert ran == again


def test_only_what_the_wanted_gradients_need_is_computed_again(ran: list[str]) -> None:
    def f(x: Array, y: Array) -> Array:
        return counted(x, tag="x") * counted(counted(y, tag="y"), tag="yy") + counted_exp(counted(x, tag="u"), tag="e")

    x, y = big(1), big(2)
    for wanted, again in ((0, ["y", "yy", "u", "e"]), (1, ["x", "y"]), ([0, 1], ["x", "y", "yy", "u", "e"])):
        gradient: Any = grad(lambda x, y: checkpoint(f)(x, y).sum(), wanted)
        ran.clear()
        got = gradient(x, y)
        assert ran == ["x", "y", "yy", "u", "e", *again]
        expected: Any = grad(lambda x, y: f(x, y).sum(), wanted)(x, y)
        for a, b in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_ops_that_no_rule_needs_are_never_computed_again(ran: list[str]) -> None:
    f = lambda x: counted(x, tag="a") + 2.0 * counted(x, tag="b") - na.sum(counted(x, tag="c"))
    grad(lambda x: checkpoint(f)(x).sum())(big())
    assert ran == ["a", "b", "c"]


def test_forward_mode_alone_computes_nothing_again(ran: list[str]) -> None:
    nt.jvp(checkpoint(four), (big(),), (big(1),))
    nt.vmap(checkpoint(four))(na.reshape(big(), (5, -1)))
    assert ran == ["a", "b", "c", "d"] * 2


def test_forward_over_reverse_runs_once_forward_and_once_again(ran: list[str]) -> None:
    nt.jvp(grad(lambda x: checkpoint(four)(x).sum()), (big(),), (big(1),))
    assert ran == ["a", "b", "c", "d"] * 2


def test_each_pass_of_a_nested_checkpoint_computes_its_own_part(ran: list[str]) -> None:
    def outer(x: Array) -> Array:
        h = counted(x, tag="o")
        return counted(checkpoint(lambda h: counted(counted(h, tag="i"), tag="j"))(h), tag="p")

    grad(lambda x: checkpoint(outer)(x).sum())(big())
    # the inner part runs once more with the outer one, as part of it, and once for its own backward pass
    assert ran == ["o", "i", "j", "p", "o", "i", "j", "i"]


def test_kept_values_serve_under_vmap(ran: list[str], kept: Callable[[Callable[[], Any]], float]) -> None:
    x = na.reshape(big(), (5, -1))
    for options, again, held in (
        ({}, ["a", "b", "c"], 0),
        ({"budget_bytes": 2 * MB}, ["c"], 2),
        ({"save": "b"}, ["a", "c"], 1),
    ):
        inside: F = lambda x, options=options: nt.vmap(checkpoint(four, **options))(x)
        assert kept(partial(nt.vjp, inside, x)) == pytest.approx(1 + held, abs=0.05)
        ran.clear()
        got: Any = grad(lambda x, inside=inside: inside(x).sum())(x)
        outside: Any = nt.vmap(grad(lambda x, options=options: checkpoint(four, **options)(x).sum()))(x)
        assert ran == ["a", "b", "c", "d", *again] * 2
        for gradient in (got, outside):
            np.testing.assert_allclose(gradient.numpy(), grad(lambda x: four(x).sum())(x).numpy(), rtol=1e-15)


def test_higher_derivatives_do_not_take_kept_values_for_constants(ran: list[str]) -> None:
    x = na.asarray(np.array([0.3, 0.5]))
    f: F = lambda options: lambda x: checkpoint(four, **options)(x).sum()
    expected = nt.hessian(lambda x: four(x).sum())(x)
    for options in ({}, {"save": "b"}, {"budget_bytes": 10**6}):
        np.testing.assert_allclose(nt.hessian(f(options))(x).numpy(), expected.numpy(), rtol=1e-13)
        twice: Any = grad(lambda x, options=options: na.sum(grad(f(options))(x) ** 2))
        np.testing.assert_allclose(
            twice(x).numpy(), grad(lambda x: na.sum(grad(lambda x: four(x).sum())(x) ** 2))(x).numpy(), rtol=1e-13
        )


OPTIONS: Final[tuple[dict[str, Any], ...]] = ({}, {"save": "kept"}, {"budget_bytes": 30}, {"budget_bytes": 10**6})


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("nested", [False, True])
def test_kept_values_of_a_closure_are_no_constants_to_a_level_outside(options: dict[str, Any], nested: bool) -> None:
    """The gradient of sin(w) x by x is sin(w), whatever is kept; and its derivative by w is cos(w), in forward mode."""
    w, x = na.asarray(np.array([0.3, 0.5])), na.asarray(np.array([1.0, 2.0]))
    times: F = lambda w, x: nt.name(na.sin(w), "kept") * x
    f: F = lambda w, x: checkpoint(lambda x: times(w, x))(x) if nested else times(w, x)
    by_x: F = lambda w: grad(lambda x: checkpoint(lambda x: f(w, x), **options)(x).sum())(x)
    jacobian: Any = nt.jacfwd(by_x)(w)
    for tangent in (nt.jvp(by_x, (w,), (x,))[1], jacobian @ x):
        np.testing.assert_allclose(tangent.numpy(), np.cos(w.numpy()) * x.numpy(), rtol=1e-14)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_kept_values_of_what_a_vmap_does_not_map_are_no_constants_outside_of_it(options: dict[str, Any]) -> None:
    x, y = na.reshape(big()[:6], (2, 3)), na.asarray(np.array([1.0, 2.0, 3.0]))

    def f(x: Array, wrap: F) -> Array:
        times: F = lambda row: nt.name(na.sin(x[0]), "kept") * row
        each: Array = nt.vmap(lambda row: nt.vjp(wrap(times), row)[1](y)[0])(x)
        return each.sum()  # 2 y sin(x[0])

    got = grad(lambda x: checkpoint(lambda x: f(x, lambda g: checkpoint(g, **options)), **options)(x))(x)
    expected = np.stack([2.0 * y.numpy() * np.cos(x[0].numpy()), np.zeros(3)])
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-14)


# --- What the budget is spent on ---
def test_budget_goes_to_what_takes_the_most_work_for_its_size(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of matrices is kept rather than the elementwise results before it."""
    w = na.asarray(np.random.default_rng(0).normal(size=(300, 300)))
    bind_matmul = na.matmul.bind

    def counting(*args: Array) -> Any:
        ran.append("@")
        return bind_matmul(*args)

    def f(w: Array) -> Array:
        h = counted(counted(w, tag="a"), tag="b")
        return counted(counted(h @ h, tag="c") * 1.0, tag="d")

    monkeypatch.setattr(na.matmul, "bind", counting)
    backward, size = ["@", "@"], w.size * 8
    for budget, again in ((0, ["a", "b", "@", "c"]), (size, ["a", "b", "c"]), (2 * size, ["b", "c"])):
        _, pullback = nt.vjp(checkpoint(f, budget_bytes=budget), w)
        ran.clear()
        pullback(w)
        assert ran == again + backward


@pytest.mark.parametrize("budget", [0.5, 1, 2.5, 5, 10])
def test_budget_is_respected_at_all_times(budget: float, kept: Callable[[Callable[[], Any]], float]) -> None:
    def f(x: Array) -> Array:
        for _ in range(30):
            x = na.sin(x)
        return x

    x = big()
    held = kept(lambda: nt.vjp(checkpoint(f, budget_bytes=int(budget * MB)), x))
    assert 1 + int(budget) - 0.05 < held < 1 + int(budget) + 0.1  # the output, and whole intermediates
    assert peak(lambda: nt.vjp(checkpoint(f, budget_bytes=int(budget * MB)), x)) < 4 + budget


def test_constants_made_inside_are_not_kept(kept: Callable[[Callable[[], Any]], float]) -> None:
    """Not at any depth: a mask that a nested checkpoint draws is drawn again."""
    x, key = big(), na.random.key(0)
    mask: F = lambda: na.random.uniform(key, (SIZE,), dtype=na.float64)
    for f in (lambda a: a * na.sin(a) * mask(), lambda a: na.sin(a) * checkpoint(mask)() * checkpoint(mask)()):
        _, pullback = nt.vjp(checkpoint(f), x)
        np.testing.assert_array_equal(pullback(x)[0].numpy(), nt.vjp(f, x)[1](x)[0].numpy())
        del pullback
        assert kept(partial(nt.vjp, checkpoint(f), x)) < 1.1  # the output


def test_views_and_aliases_are_not_paid_for(kept: Callable[[Callable[[], Any]], float]) -> None:
    def f(x: Array) -> Array:
        y = na.reshape(na.sin(x), (5, -1))
        return na.sin(nt.name(nt.name(y, "y").T, "t")[:1])

    x = big()
    assert kept(lambda: nt.vjp(checkpoint(f, budget_bytes=MB), x)) < 1.1


# --- How memory grows ---
def chain(length: int, segments: int | None) -> F:
    fs = [na.sin] * length

    def f(x: Array) -> Array:
        if segments is not None:
            return nt.checkpoint_sequence(fs, x, segments=segments).sum()
        for each in fs:
            x = each(x)
        return x.sum()

    return f


def test_memory_of_a_chain_grows_with_the_square_root_of_its_length() -> None:
    x = big()
    plain = peak(lambda: grad(chain(100, None))(x))
    roots = {n: peak(partial(grad(chain(n * n, n)), x)) for n in (5, 10, 20)}
    assert plain > 100
    for n, most in roots.items():
        assert 2 * n - 3 < most < 2 * n + 4
    by_default = peak(lambda: grad(lambda x: nt.checkpoint_sequence([na.sin] * 100, x).sum())(x))
    assert by_default == pytest.approx(roots[10], abs=0.5)
    np.testing.assert_allclose(grad(chain(100, 10))(x).numpy(), grad(chain(100, None))(x).numpy(), rtol=1e-15)


def test_recursive_checkpoints_hold_the_logarithm() -> None:
    def halves(n: int) -> F:
        if n == 1:
            return na.sin
        half: F = halves(n // 2)
        return lambda x: half(checkpoint(half)(x))

    x = big()
    assert peak(lambda: grad(lambda x: halves(64)(x).sum())(x)) < 14
    expected = grad(chain(64, None))(x)
    np.testing.assert_allclose(grad(lambda x: halves(64)(x).sum())(x).numpy(), expected.numpy(), rtol=1e-15)


def test_memory_of_second_derivatives_grows_slower_too() -> None:
    x = na.asarray(np.random.default_rng(0).normal(size=SIZE // 10))
    twice: F = lambda f: grad(lambda x: na.sum(grad(f)(x)))
    plain, checkpointed = (peak(partial(twice(f), x)) for f in (chain(100, None), chain(100, 10)))
    assert checkpointed < 0.5 * plain
    np.testing.assert_allclose(twice(chain(100, 10))(x).numpy(), twice(chain(100, None))(x).numpy(), rtol=1e-12)


def test_many_steps_leave_nothing_behind() -> None:
    w = na.asarray(np.random.default_rng(0).normal(size=(8, 8)))
    step = grad(lambda w: checkpoint(lambda a: na.tanh(a @ w), save=["x"], budget_bytes=300)(w).sum())
    for _ in range(20):
        step(w)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(200):
        step(w)
    gc.collect()
    assert len(gc.get_objects()) - before < 50
