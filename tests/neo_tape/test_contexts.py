"""A derivative belongs to its context: work under a copy takes part, other work gets an error instead of a zero."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, LevelError, PolicyError, _levels
from tests.neo_tape.levels import assert_nothing_open

THREADS = 16


def vector(*values: float) -> Array:
    return na.asarray(np.array(values, np.float64))


# --- Work of one derivative in several threads ---
def test_work_under_copy_context_shares_the_open_tape() -> None:
    def f(x: Array) -> Array:
        work = lambda k: (x * x).sum() * k
        with ThreadPoolExecutor(THREADS) as pool:
            futures = [pool.submit(contextvars.copy_context().run, work, float(k)) for k in range(THREADS)]
            return sum((future.result() for future in futures), na.asarray(0.0, dtype=na.float64))

    value, gradient = nt.value_and_grad(f)(vector(1.0, 2.0))
    assert value.item() == 5 * 120
    assert gradient.numpy().tolist() == [2 * 120, 4 * 120]
    _, tangent = nt.jvp(f, (vector(1.0, 2.0),), (vector(1.0, 0.0),))
    assert tangent.item() == 2 * 120
    assert_nothing_open()


@pytest.mark.parametrize("use", [lambda x: x * 2.0, na.sin, lambda x: x[0], lambda x: x.numpy()])
def test_watched_array_in_a_thread_without_the_context_raises(use: Callable[[Array], object]) -> None:
    def f(x: Array) -> Array:
        with ThreadPoolExecutor(1) as other:
            other.submit(contextvars.Context().run, use, x).result()  # threads of Python 3.14t copy the context
        return x.sum()

    for derivative in (lambda: nt.grad(f)(vector(1.0, 2.0)), lambda: nt.jvp(f, (vector(1.0),), (vector(1.0),))):
        with pytest.raises(LevelError, match=r"being differentiated.*(copy_context|stop_gradient)"):
            derivative()
        assert_nothing_open()


def test_watched_array_in_a_thread_that_differentiates_itself_raises() -> None:
    def f(x: Array) -> Array:
        with ThreadPoolExecutor(1) as other:
            other.submit(contextvars.Context().run, nt.grad(lambda y: (y * x).sum()), vector(1.0, 2.0)).result()
        return x.sum()

    with pytest.raises(LevelError, match=r"multiply: argument 1 is being differentiated by a Tape of another thread"):
        nt.grad(f)(vector(1.0, 2.0))
    assert_nothing_open()


def test_watched_array_in_a_thread_whose_tape_was_open_first_raises() -> None:
    opened, given = threading.Event(), threading.Event()
    handed: list[Array] = []

    def waits(y: Array) -> Array:
        opened.set()
        assert given.wait(timeout=60)
        return (y * handed[0]).sum()

    def f(x: Array, other: Future[Array]) -> Array:
        handed.append(x)
        given.set()
        with pytest.raises(LevelError, match="of another thread"):
            other.result(timeout=60)
        return (x * x).sum()

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(nt.grad(waits), vector(1.0, 2.0))
        assert opened.wait(timeout=60)
        assert nt.grad(f)(vector(1.0, 2.0), other).numpy().tolist() == [2.0, 4.0]
    assert_nothing_open()


def test_stopped_and_unrelated_arrays_are_free_in_other_threads() -> None:
    constant = vector(3.0)

    def f(x: Array) -> Array:
        stopped = nt.stop_gradient(x)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(lambda: (stopped * constant).item()).result() == 6.0
            assert other.submit(lambda: nt.grad(lambda y: (y * stopped).sum())(constant).item()).result() == 2.0
        return (x * constant).sum()

    assert nt.grad(f)(vector(2.0)).item() == 3.0


def test_array_of_a_finished_tape_is_free_everywhere() -> None:
    kept: list[Array] = []

    def f(x: Array) -> Array:
        kept.append(x)
        return x.sum()

    nt.grad(f)(vector(2.0))
    with ThreadPoolExecutor(1) as other:
        assert other.submit(lambda: (kept[0] * kept[0]).numpy().tolist()).result() == [4.0]


# --- asyncio ---
def test_asyncio_tasks_that_take_turns_do_not_mix() -> None:
    async def work(number: int) -> bool:
        right = True
        for turn in range(20):
            x = vector(number, turn)
            await asyncio.sleep(0)
            here = nt.grad(lambda x: (x * x).sum() * number)(x)
            there = await asyncio.to_thread(nt.grad(lambda x: (x * x).sum() * number), x)
            right &= here.numpy().tolist() == there.numpy().tolist() == [2.0 * number * number, 2.0 * number * turn]
        return right

    async def main() -> list[bool]:
        return await asyncio.gather(*map(work, range(THREADS)))

    assert all(asyncio.run(main()))
    assert_nothing_open()


def test_tasks_made_inside_a_function_are_differentiated() -> None:
    """A task copies the context in which it is made, open levels included."""

    def f(x: Array) -> Array:
        async def square() -> Array:
            await asyncio.sleep(0)
            return x * x

        async def main() -> Array:
            parts = await asyncio.gather(square(), square(), asyncio.to_thread(lambda: x * 3.0))
            return (parts[0] + parts[1] + parts[2]).sum()

        return asyncio.run(main())

    assert nt.grad(f)(vector(1.0, 2.0)).numpy().tolist() == [7.0, 11.0]
    assert_nothing_open()


def test_context_that_outlives_the_tape_is_harmless() -> None:
    contexts: list[contextvars.Context] = []
    kept: list[Array] = []

    def f(x: Array) -> Array:
        kept.append(x)
        contexts.append(contextvars.copy_context())
        return (x * x).sum()

    nt.grad(f)(vector(3.0))
    tape = contexts[0].run(_levels.current_stack).levels[0]
    assert contexts[0].run(lambda: (kept[0] * kept[0]).numpy().tolist()) == [9.0]
    assert isinstance(tape, _levels.Recorder)
    assert tape.entries == []  # a closed tape records no more
    assert contexts[0].run(nt.grad(f), vector(5.0)).item() == 10.0
    assert contexts[0].run(lambda: nt.jvp(f, (vector(5.0),), (vector(1.0),))[1].item()) == 10.0
    assert_nothing_open()


# --- Contexts that were copied earlier, and lack what was opened since ---
def a_context_of(transform: Callable[[Callable[[Array], Array]], object]) -> contextvars.Context:
    """Return a copy of the context inside a transform, which has ended since."""
    found: list[contextvars.Context] = []

    def f(x: Array) -> Array:
        found.append(contextvars.copy_context())
        return (x * x).sum()

    transform(f)
    return found[0]


COPIED: dict[str, Callable[[Callable[[Array], Array]], object]] = {
    "grad": lambda f: nt.grad(f)(vector(1.0)),
    "jvp": lambda f: nt.jvp(f, (vector(1.0),), (vector(1.0),)),
    "linearize": lambda f: nt.linearize(f, vector(1.0)),
    "vmap": lambda f: nt.vmap(f)(na.ones((2, 1))),
    "grad of checkpoint": lambda f: nt.grad(nt.checkpoint(f))(vector(1.0)),
}


@pytest.mark.parametrize("transform", COPIED)
@pytest.mark.parametrize("outer", [False, True], ids=["alone", "under an outer tape"])
def test_array_watched_by_a_level_opened_after_the_copy_raises(transform: str, outer: bool) -> None:
    def derivatives(x: Array) -> Array:
        stale = a_context_of(COPIED[transform])
        for work in (lambda y: (y * y).sum(), lambda y: Twice(y).sum(), lambda y: nt.checkpoint(na.sin)(y).sum()):
            for derivative in (
                lambda y, work=work: nt.grad(lambda y: stale.run(work, y))(y),
                lambda y, work=work: nt.jvp(lambda y: stale.run(work, y), (y,), (y,)),
            ):
                with pytest.raises(LevelError, match="of another thread or context"):
                    derivative(vector(1.0, 2.0))
        assert stale.run(nt.grad(lambda y: (y * y).sum()), vector(3.0)).item() == 6.0
        return (x * x).sum()

    assert nt.grad(derivatives)(vector(2.0)).item() == 4.0 if outer else derivatives(vector(2.0)).item() == 4.0
    assert_nothing_open()


@nt.function
class Twice(nt.Policy):
    def forward(self, x: Array) -> Array:
        return x * 2.0

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad * 2.0,)


def test_context_copied_between_two_levels_lacks_the_inner_one() -> None:
    def outer(x: Array) -> Array:
        between = contextvars.copy_context()
        assert between.run(lambda: (x * x).sum()).item() == 5.0
        with pytest.raises(LevelError, match="argument 0 is being differentiated by a Tape of another"):
            nt.grad(lambda y: between.run(lambda: (y * y).sum()))(x)
        return between.run(lambda: (x * x).sum())

    assert nt.grad(outer)(vector(1.0, 2.0)).numpy().tolist() == [2.0, 4.0]


def test_context_copied_inside_a_checkpoint_lives_on() -> None:
    copied: list[contextvars.Context] = []

    def f(x: Array) -> Array:
        copied.append(contextvars.copy_context())
        return na.sin(x) * na.exp(x)

    x = vector(0.3, 0.5)
    expected = (np.cos(x.numpy()) + np.sin(x.numpy())) * np.exp(x.numpy())
    _, pullback = nt.vjp(nt.checkpoint(f), x)

    def later(y: Array) -> Array:
        assert copied[0].run(lambda: (x * x).numpy().tolist()) == (x * x).numpy().tolist()
        return y.sum()

    nt.grad(later)(x)
    np.testing.assert_allclose(pullback(na.ones_like(x))[0].numpy(), expected, rtol=1e-15)

    def inside(y: Array) -> Array:  # the tape is open still, but was hidden when the context was copied
        z = nt.checkpoint(f)(y)
        with pytest.raises(LevelError, match="of another thread or context"):
            copied[-1].run(lambda: y * y)
        return z.sum()

    np.testing.assert_allclose(nt.grad(inside)(x).numpy(), expected, rtol=1e-15)


def test_context_copied_inside_a_policys_forward_lives_on() -> None:
    copied: list[contextvars.Context] = []

    @nt.function
    class Copies(nt.Policy):
        def forward(self, x: Array) -> Array:
            copied.append(contextvars.copy_context())
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * 2.0,)

    def f(x: Array) -> Array:
        y = na.sin(Copies(x))
        with pytest.raises(PolicyError, match=r"Copies\.forward: uses, in multiply"):
            copied[0].run(lambda: y * y)
        return y.sum()

    np.testing.assert_allclose(nt.grad(f)(vector(0.5)).numpy(), 2 * np.cos([1.0]), rtol=1e-15)


# --- Threads in the middle of one transform ---
def test_threads_inside_one_checkpoint_share_its_recording_and_budget() -> None:
    def f(x: Array) -> Array:
        work = lambda k: na.sin(na.exp(na.tanh(x * k)))
        with ThreadPoolExecutor(THREADS) as pool:
            futures = [pool.submit(contextvars.copy_context().run, work, float(k)) for k in range(2 * THREADS)]
            return sum((future.result() for future in futures), na.zeros_like(x))

    x = vector(0.1, 0.2, 0.3)
    expected = nt.grad(lambda x: f(x).sum())(x).numpy()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for budget in (None, 0, 100, 1000) * 5:
            found: Array = nt.grad(lambda x, b=budget: nt.checkpoint(f, budget_bytes=b)(x).sum())(x)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13)
    finally:
        sys.setswitchinterval(before)


def test_threads_inside_one_forward_mode_linearization_and_vmap() -> None:
    def f(x: Array) -> Array:
        work = lambda k: na.sin(na.exp(na.tanh(x * k)))
        with ThreadPoolExecutor(THREADS) as pool:
            futures = [pool.submit(contextvars.copy_context().run, work, float(k)) for k in range(2 * THREADS)]
            return sum((future.result() for future in futures), na.zeros_like(x))

    def alone(x: Array) -> Array:
        return sum((na.sin(na.exp(na.tanh(x * float(k)))) for k in range(2 * THREADS)), na.zeros_like(x))

    x = vector(0.1, 0.2, 0.3)
    for transform in (
        lambda f: nt.jvp(f, (x,), (x,))[1],
        lambda f: nt.linearize(f, x)[1](x),
        lambda f: nt.vmap(f)(x),
        lambda f: nt.vmap(nt.grad(f))(x),
        lambda f: nt.hvp(lambda x: f(x).sum(), x, x),
        lambda f: nt.jacrev(f)(x),
    ):
        np.testing.assert_allclose(transform(f).numpy(), transform(alone).numpy(), rtol=1e-13)
    assert_nothing_open()
