"""Many threads that differentiate at once, each for itself: right results, and nothing left open."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.levels import assert_nothing_open
from tests.neo_tape.transforms import GRADIENTS

THREADS = 16
GRADIENTS_EACH = 200


def vector(*values: float) -> Array:
    return na.asarray(np.array(values, np.float64))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """16 threads that take turns often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    with ThreadPoolExecutor(THREADS) as threads:
        yield threads
    sys.setswitchinterval(before)


def at_once(pool: ThreadPoolExecutor, work: Callable[[int], bool]) -> list[bool]:
    """Run work(0) to work(15), each in a thread of its own, all starting together."""
    start = threading.Barrier(THREADS)

    def begin(number: int) -> bool:
        start.wait(timeout=60)
        return work(number)

    return list(pool.map(begin, range(THREADS)))


# --- Threads ---
def test_gradients_in_16_threads_are_right(pool: ThreadPoolExecutor) -> None:
    shared = vector(1.0, 2.0, 3.0)

    def work(number: int) -> bool:
        factor = vector(number)
        right = True
        for turn in range(GRADIENTS_EACH):
            x = vector(number, turn, 1.0)
            gradient = nt.grad(lambda x, factor=factor: (x * x * shared * factor).sum())(x)
            right &= np.array_equal(gradient.numpy(), 2 * x.numpy() * shared.numpy() * number)
        return right

    assert all(at_once(pool, work))
    assert_nothing_open()


def test_nested_gradients_in_16_threads_are_right(pool: ThreadPoolExecutor) -> None:
    def twice(x: Array, a: float, b: float) -> Array:
        inner = nt.grad(lambda y: x * y * y)(x * b)  # 2 b x**2
        _, tangent = nt.jvp(lambda y: x * x * y, (x,), (na.ones_like(x),))  # x**2
        result: Array = a * inner + tangent
        return result

    def work(number: int) -> bool:
        right = True
        for turn in range(GRADIENTS_EACH):
            a, b = float(number), float(turn)
            right &= nt.grad(lambda x, a=a, b=b: twice(x, a, b))(vector(3.0)[0]).item() == (4 * a * b + 2) * 3
        return right

    assert all(at_once(pool, work))
    assert_nothing_open()


def test_one_function_differentiated_in_many_threads_at_the_same_array(pool: ThreadPoolExecutor) -> None:
    x = vector(1.0, 2.0)
    gradient = nt.grad(lambda x: (x * x).sum())
    assert all(at_once(pool, lambda _: all(gradient(x).numpy().tolist() == [2.0, 4.0] for _ in range(GRADIENTS_EACH))))
    assert_nothing_open()


def test_one_pullback_is_called_from_many_threads(pool: ThreadPoolExecutor) -> None:
    _, pullback = nt.vjp(lambda x: na.sin(x) * x, vector(1.0, 2.0))
    (expected,) = pullback(vector(1.0, 1.0))

    def work(number: int) -> bool:
        found = (pullback(vector(number, number))[0] for _ in range(GRADIENTS_EACH))
        return all(np.allclose(g.numpy(), number * expected.numpy(), rtol=1e-14, atol=0) for g in found)

    assert all(at_once(pool, work))


def test_exceptions_in_some_threads_leave_the_others_right(pool: ThreadPoolExecutor) -> None:
    def f(x: Array, fails: bool) -> Array:
        y = (x * x).sum()
        if fails:
            raise ZeroDivisionError
        return y

    def work(number: int) -> bool:
        right = True
        for turn in range(GRADIENTS_EACH):
            if turn % 3 == number % 3:
                with pytest.raises(ZeroDivisionError):
                    nt.grad(f)(vector(1.0), True)
            else:
                right &= nt.grad(f)(vector(turn), False).numpy().tolist() == [2.0 * turn]
        return right

    assert all(at_once(pool, work))
    assert_nothing_open()


def test_collections_at_any_moment_do_no_harm(pool: ThreadPoolExecutor) -> None:
    """A collection may start at any allocation, and its callbacks let other threads run in the middle of it."""

    def pause(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    def nested(x: Array, depth: int) -> Array:
        if depth == 0:
            return x * x
        return na.multiply(x, nt.grad(lambda y: nested(y, depth - 1))(x))

    def work(number: int) -> bool:
        x = vector(number)[0]
        return all(nested(x, 4).item() == 16.0 * number**2 for _ in range(GRADIENTS_EACH // 10))

    before = gc.get_threshold()
    gc.callbacks.append(pause)
    gc.set_threshold(3)
    try:
        assert all(at_once(pool, work))
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(pause)
    assert_nothing_open()


@pytest.mark.parametrize("transform", GRADIENTS)
def test_every_transform_in_16_threads(pool: ThreadPoolExecutor, transform: str) -> None:
    def work(number: int) -> bool:
        x = vector(number, 1.0, 2.0)
        f = lambda y: (y * y * x).sum() * float(number)  # closes over what is outside
        found = (GRADIENTS[transform](f, x)[0] for _ in range(5))
        return all(np.array_equal(g.numpy(), 2.0 * number * x.numpy() ** 2) for g in found)

    assert all(at_once(pool, work))
    assert_nothing_open()


@pytest.mark.parametrize("transform", GRADIENTS)
def test_every_transform_in_asyncio_tasks_that_take_turns(transform: str) -> None:
    async def work(number: int) -> bool:
        right = True
        for turn in range(3):
            x = vector(number, turn)
            await asyncio.sleep(0)
            here = GRADIENTS[transform](lambda y, x=x: (y * x).sum() * float(number), x)[0]
            right &= here.numpy().tolist() == [float(number) ** 2, float(number * turn)]
        return right

    async def main() -> list[bool]:
        return await asyncio.gather(*map(work, range(THREADS)))

    assert all(asyncio.run(main()))
    assert_nothing_open()


@pytest.mark.parametrize("made", ["pullback of checkpoint", "pushforward", "transpose"])
def test_what_a_transform_has_made_is_called_from_many_threads(pool: ThreadPoolExecutor, made: str) -> None:
    any_nt: Any = nt
    f: Callable[[Array], Array] = lambda x: na.sin(x) * x
    x = vector(0.5, 1.5)
    push = any_nt.linearize(f, x)[1]
    call = {
        "pullback of checkpoint": any_nt.vjp(nt.checkpoint(f), x)[1],
        "pushforward": lambda g: (push(g),),
        "transpose": any_nt.linear_transpose(push, x),
    }[made]
    slope = np.cos(x.numpy()) * x.numpy() + np.sin(x.numpy())

    def work(number: int) -> bool:
        found = (call(vector(number, number))[0] for _ in range(GRADIENTS_EACH // 4))
        return all(np.allclose(g.numpy(), number * slope, rtol=1e-14, atol=0) for g in found)

    assert all(at_once(pool, work))
