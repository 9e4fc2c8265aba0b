"""A derivative belongs to its context: work under a copy takes part, other work gets an error instead of a zero."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, LevelError, _levels
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
            other.submit(use, x).result()
        return x.sum()

    for derivative in (lambda: nt.grad(f)(vector(1.0, 2.0)), lambda: nt.jvp(f, (vector(1.0),), (vector(1.0),))):
        with pytest.raises(LevelError, match=r"being differentiated.*(copy_context|stop_gradient)"):
            derivative()
        assert_nothing_open()


def test_watched_array_in_a_thread_that_differentiates_itself_raises() -> None:
    def f(x: Array) -> Array:
        with ThreadPoolExecutor(1) as other:
            other.submit(nt.grad(lambda y: (y * x).sum()), vector(1.0, 2.0)).result()
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
