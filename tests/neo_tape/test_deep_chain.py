"""Long chains of ops: no recursion, memory linear in the length, and freed on the way back."""

from __future__ import annotations

import gc
import itertools
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from neo_tape import _tape

LENGTHS: Final = (1_000, 10_000, 100_000)
STEP: Final = 1e-5


def start() -> Array:
    return na.asarray(np.array([0.3, 0.5, 0.7, 0.9]))


def affine_chain(x: Array, length: int) -> Array:
    """Shrink and shift in turn: `length` ops whose rules keep no array at all."""
    for _ in range(length // 2):
        x = x * (1.0 - STEP) + STEP
    return x


def sine_chain(x: Array, length: int) -> Array:
    """Apply sin again and again: each op keeps its argument."""
    for _ in range(length):
        x = na.sin(x)
    return x


def sine_chain_derivative(x: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
    product = np.ones_like(x)
    for _ in range(length):
        product, x = product * np.cos(x), np.sin(x)
    return product


# --- Right, and no recursion ---
@pytest.mark.parametrize("length", LENGTHS)
def test_gradient_of_a_chain_is_right(length: int) -> None:
    gradient = nt.grad(lambda x: affine_chain(x, length).sum())(start())
    np.testing.assert_allclose(gradient.numpy(), (1.0 - STEP) ** (length // 2), rtol=1e-10)
    gradient = nt.grad(lambda x: sine_chain(x, length).sum())(start())
    np.testing.assert_allclose(gradient.numpy(), sine_chain_derivative(start().numpy(), length), rtol=1e-9)


@pytest.mark.parametrize("length", LENGTHS)
def test_tangent_of_a_chain_is_right(length: int) -> None:
    _, tangent = nt.jvp(lambda x: affine_chain(x, length), (start(),), (na.ones_like(start()),))
    np.testing.assert_allclose(tangent.numpy(), (1.0 - STEP) ** (length // 2), rtol=1e-10)
    _, tangent = nt.jvp(lambda x: sine_chain(x, length), (start(),), (na.ones_like(start()),))
    np.testing.assert_allclose(tangent.numpy(), sine_chain_derivative(start().numpy(), length), rtol=1e-9)


def test_second_derivatives_of_a_chain_agree_in_all_modes() -> None:
    """With x -> a x + b and then a square, the second derivative is 2 a**2, whatever the length."""
    length = 20_000

    def f(x: Array) -> Array:
        y = affine_chain(x, length)
        return (y * y).sum()

    x, ones = start(), na.ones_like(start())
    expected = 2 * (1.0 - STEP) ** length
    reverse = nt.grad(lambda x: nt.grad(f)(x).sum())(x)
    forward_over_reverse = nt.jvp(nt.grad(f), (x,), (ones,))[1]
    reverse_over_forward = nt.grad(lambda x: nt.jvp(f, (x,), (ones,))[1])(x)
    for found in (reverse, forward_over_reverse, reverse_over_forward):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_one_array_used_100_000_times_gathers_all_its_cotangents() -> None:
    def f(x: Array) -> Array:
        total = x
        for _ in range(99_999):
            total = total + x
        return total.sum()

    assert nt.grad(f)(start()).numpy().tolist() == [100_000.0] * 4


# --- Linear, and no more than that ---
@dataclass(frozen=True)
class Cost:
    entries: int
    peak: int
    left: int
    seconds: float


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], object]], Cost]]:
    """Give a function that measures entries, peak memory, memory left over and time of a call."""
    entries: list[int] = []
    walk = _tape.Tape.walk

    def counting_walk(tape: _tape.Tape, *args: Any, **options: Any) -> Any:
        entries.append(len(tape.entries))
        return walk(tape, *args, **options)

    monkeypatch.setattr(_tape.Tape, "walk", counting_walk)

    def cost(call: Callable[[], object]) -> Cost:
        begin = time.perf_counter()
        call()
        seconds = time.perf_counter() - begin
        entries.clear()
        gc.collect()
        tracemalloc.start()
        result = call()
        peak, before = tracemalloc.get_traced_memory()[1], len(entries)
        del result
        left = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return Cost(sum(entries[:before]), peak, left, seconds)

    yield cost
    tracemalloc.stop()


def report(title: str, costs: list[Cost]) -> None:
    for length, cost in zip(LENGTHS, costs, strict=True):
        sys.stdout.write(
            f"{title}, {length:>7,} ops: {cost.seconds:8.4f} s, {cost.seconds / length * 1e6:5.2f} us an op, "
            f"peak {cost.peak / 1e3:10,.1f} kB, {cost.peak / length:7.1f} bytes an op, {cost.entries} entries\n"
        )


@pytest.mark.parametrize("chain", [affine_chain, sine_chain], ids=["affine", "sine"])
def test_reverse_mode_costs_grow_linearly(
    chain: Callable[[Array, int], Array], measure: Callable[[Callable[[], object]], Cost]
) -> None:

    def gradient(length: int) -> Array:
        found: Array = nt.grad(lambda x: chain(x, length).sum())(start())
        return found

    costs = [measure(partial(gradient, length)) for length in LENGTHS]
    report(f"grad of the {chain.__name__}", costs)
    assert [cost.entries for cost in costs] == [length + 1 for length in LENGTHS]  # one an op, and the sum's
    for shorter, longer in itertools.pairwise(costs):
        assert 8 <= longer.peak / shorter.peak <= 12
        assert longer.seconds / shorter.seconds < 40  # far from the 100 of quadratic time, whatever else runs here
    assert costs[-1].left < 1e6  # what Python keeps for reuse


def test_forward_mode_holds_one_tangent_whatever_the_length(measure: Callable[[Callable[[], object]], Cost]) -> None:
    def tangent(length: int) -> Array:
        return nt.jvp(lambda x: affine_chain(x, length), (start(),), (na.ones_like(start()),))[1]

    costs = [measure(partial(tangent, length)) for length in LENGTHS]
    report("jvp of the affine_chain", costs)
    assert costs[-1].peak < 2 * costs[0].peak
    assert costs[2].seconds / costs[1].seconds < 40


def test_entries_without_residuals_are_smaller_than_a_big_array(
    measure: Callable[[Callable[[], object]], Cost],
) -> None:
    """A chain of 200 sums of 1 MB arrays holds a few of them, not 200: their rules name nothing."""
    big = na.zeros(125_000, dtype=na.float64)
    cost = measure(lambda: nt.grad(lambda x: affine_chain(x, 200).sum())(big))
    assert cost.peak < 8e6
    cost = measure(lambda: nt.jvp(lambda x: affine_chain(x, 200), (big,), (big,)))
    assert cost.peak < 12e6
