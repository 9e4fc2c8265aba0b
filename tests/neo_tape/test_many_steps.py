"""Memory over many steps, and within one: residuals are freed on the way back, and nothing stays behind."""

from __future__ import annotations

import gc
import resource
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, _bind, _levels

STEPS: Final = 10_000
MB: Final = 1_000_000
SIZE: Final = MB // 8  # elements of float64: one MB
checkpoint: Final[Any] = nt.checkpoint
any_nt: Final[Any] = nt


# --- Many steps ---
class Layer(NamedTuple):
    weight: Array
    bias: Any  # an Array or None


@nt.function
class Clipped(nt.Policy):
    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return na.clip(x, min=-1.0, max=1.0)

    def backward(self, grad: Array) -> tuple[Array]:
        (x,) = self.ctx.release
        return (na.where(na.abs(x) < 1.0, grad, 0.1 * grad),)


def network(layers: list[Layer], x: Array) -> Array:
    first, second = layers
    h = checkpoint(lambda x: Clipped(na.tanh(x @ first.weight) + first.bias), save=["h"])(x)
    y = h @ second.weight
    loss: Array = (y * y).sum() / float(y.size)
    return loss


def step(layers: list[Layer], x: Array) -> list[Layer]:
    return na.tree.tree_map(lambda p, g: p - 0.01 * g, layers, nt.grad(network)(layers, x))


def step_by_examples(layers: list[Layer], x: Array) -> list[Layer]:
    each = nt.vmap(nt.grad(network), in_axes=(None, 0))(layers, x)
    return na.tree.tree_map(lambda p, g: p - 0.01 * na.mean(g, axis=0), layers, each)


def second_order_step(layers: list[Layer], x: Array) -> list[Layer]:
    _, push = any_nt.linearize(nt.grad(lambda layers: network(layers, x)), layers)
    return na.tree.tree_map(lambda p, h: p - 0.001 * h, layers, push(layers))


def failing_step(layers: list[Layer], x: Array) -> list[Layer]:
    def fails(layers: list[Layer]) -> Array:
        network(layers, x)
        raise ZeroDivisionError

    try:
        nt.grad(fails)(layers)
    except ZeroDivisionError:
        return step(layers, x)
    raise AssertionError("it must fail")


def resident() -> float:
    """Return the memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MB


def counts() -> tuple[int, ...]:
    gc.collect()
    arrays = sum(type(x) is Array for x in gc.get_objects())
    return len(gc.get_objects()), arrays, len(_levels.OPEN) + len(_levels.RETAINED), len(_bind._CONSTANTS)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_behind_by_10_000_steps() -> None:
    """All of them through a checkpoint and a Policy, some under vmap, of second order, or failing midway."""
    rng = np.random.default_rng(0)
    layers = [
        Layer(na.asarray(rng.normal(size=(3, 4))), na.asarray(rng.normal(size=(4,)))),
        Layer(na.asarray(rng.normal(size=(4, 2))), None),
    ]
    x = na.asarray(rng.normal(size=(5, 3)))
    kinds: list[tuple[Callable[[list[Layer], Array], list[Layer]], int]] = [
        (step, 17),
        (step_by_examples, 1),
        (second_order_step, 1),
        (failing_step, 1),
    ]

    def run(steps: int) -> None:
        nonlocal layers
        for _ in range(steps // 20):
            for take, times in kinds:
                for _ in range(times):
                    layers = take(layers, x)

    run(STEPS // 10)
    before, memory = counts(), resident()
    run(STEPS - STEPS // 10)
    after = counts()
    assert all(np.isfinite(leaf.numpy()).all() for leaf in na.tree.leaves(layers))
    assert after[0] - before[0] < 50, "objects"
    assert after[1:] == before[1:], "Arrays, levels, constants"
    assert resident() - memory < 8, "MB"


# --- One step ---
def peak(call: Callable[[], Any]) -> float:
    """Return the most memory that a call holds at a time, in MB."""
    gc.collect()
    tracemalloc.start()
    call()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / MB


def big() -> Array:
    return na.asarray(np.random.default_rng(0).normal(size=SIZE))


def chain(length: int) -> Callable[[Array], Array]:
    def f(x: Array) -> Array:
        for _ in range(length):
            x = na.sin(x)
        return x.sum()

    return f


@pytest.mark.parametrize("length", [20, 80])
def test_peak_is_the_sum_of_the_residuals_since_each_is_freed_before_the_next_rule(length: int) -> None:
    """sin keeps its argument: length - 1 results, as x is there before; beside them are only a rule's own values."""
    x = big()
    most = peak(lambda: nt.grad(chain(length))(x))
    assert length - 1 < most < length + 3
    held = peak(lambda: nt.vjp(chain(length), x)[1](na.asarray(1.0, dtype=na.float64)))  # these are kept
    assert held < length + 4


def test_residuals_are_freed_under_every_reverse_mode_transform() -> None:
    x, length = big(), 40
    f = chain(length)
    transforms: dict[str, tuple[Callable[[], Any], float]] = {
        "value_and_grad": (lambda: nt.value_and_grad(f)(x), 1),
        "vmap of grad": (lambda: nt.vmap(nt.grad(f))(na.reshape(x, (5, -1))), 1),
        "grad of vmap": (lambda: nt.grad(lambda x: nt.vmap(f)(x).sum())(na.reshape(x, (5, -1))), 1),
        "hvp": (lambda: nt.hvp(f, x, x), 4),  # the values, their tangents, and cosines for both
        "jvp": (lambda: nt.jvp(f, (x,), (x,)), 0.2),
    }
    for name, (call, times) in transforms.items():
        assert peak(call) < times * length + 6, name


def test_intermediates_that_no_rule_needs_are_not_kept() -> None:
    """Sums, differences, scalings, reshapes and constants: nothing of the forward pass stays."""

    def f(x: Array) -> Array:
        for k in range(40):
            x = na.reshape(x + 1.0 - 2.0 * x, (-1, 5)).T.reshape(x.shape) / (2.0 + k)
        return x.sum()

    x = big()
    assert peak(lambda: nt.grad(f)(x)) < 8
    assert peak(lambda: nt.vjp(f, x)) < 8
    assert peak(lambda: nt.grad(lambda x: nt.vmap(f)(x).sum())(na.reshape(x, (5, -1)))) < 8


@pytest.mark.parametrize("layers", [16, 64, 256])
def test_checkpoints_need_the_square_root_of_a_chain(layers: int) -> None:
    """With n layers in sqrt(n) segments: sqrt(n) values between them, and sqrt(n) inside one."""
    x, root = big(), int(layers**0.5)
    fs = [na.sin] * layers
    most = peak(lambda: nt.grad(lambda x: nt.checkpoint_sequence(fs, x).sum())(x))
    assert 2 * root - 3 < most < 2 * root + 4


@pytest.mark.parametrize("budget", [0, 4, 16, 40])
def test_budget_is_what_a_chain_holds_between_the_passes(budget: int) -> None:
    x, layers = big(), 64

    def f(x: Array) -> Array:
        for _ in range(layers):
            x = na.sin(x)
        return x

    gc.collect()
    tracemalloc.start()
    output_and_pullback = any_nt.vjp(checkpoint(f, budget_bytes=budget * MB), x)
    held = tracemalloc.get_traced_memory()[0] / MB
    tracemalloc.stop()
    assert budget < held - 1 < budget + 0.2  # the output, 1 MB, comes on top
    expected = nt.vjp(f, x)[1](x)[0].numpy()
    np.testing.assert_array_equal(output_and_pullback[1](x)[0].numpy(), expected)
