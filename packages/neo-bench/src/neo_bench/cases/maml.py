"""Second-order MAML on sinusoids (Finn et al., 2017): the gradient of a network's loss after five gradient steps.

A task is a sinusoid of its own amplitude and phase. Each adapts the same initial network to ten of its points, and the
meta-gradient is that of the mean loss on ten others, through the steps. Three programs do it, each beside PyTorch's own
version of the same: one task under `vmap`, a loop over the tasks, and matrices with an axis of tasks, written by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

import neo_array as na
import neo_nn as nn
import neo_tape as nt
from neo_bench.cases.case import Case
from neo_bench.threads import pool_of
from neo_bench.timing.contender import Answers, Contender, Pair
from neo_bench.training.neo import host_weights

Points: TypeAlias = npt.NDArray[np.float32]
MetaGradient: TypeAlias = Callable[[nn.MLP], nn.MLP]


class MAMLProblem(NamedTuple):
    """What both sides start from: initial weights and biases, and points of shape (tasks, points, 1)."""

    weights: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
    data: tuple[Points, Points, Points, Points]  # x and y to adapt to, x and y to be judged by
    lr: float
    steps: int


def _problem(model: nn.MLP, tasks: int, points: int, steps: int) -> MAMLProblem:
    """Draw amplitudes, phases and points as in the paper's section 5.1."""
    amplitude_key, phase_key, support_key, query_key = na.random.split(na.random.key(1), 4)
    amplitude = _uniform(amplitude_key, (tasks, 1, 1), 0.1, 5.0)
    phase = _uniform(phase_key, (tasks, 1, 1), 0.0, np.pi)
    x, new_x = (_uniform(key, (tasks, points, 1), -5.0, 5.0) for key in (support_key, query_key))
    data = (x, amplitude * np.sin(x - phase), new_x, amplitude * np.sin(new_x - phase))
    return MAMLProblem(weights=host_weights(model), data=data, lr=0.01, steps=steps)


def _uniform(key: na.Array, shape: tuple[int, ...], low: float, high: float) -> Points:
    return np.array(na.random.uniform(key, shape, minval=low, maxval=high, device="numpy").numpy())


def _build(name: str, backend: str, quick: bool, /) -> Pair:
    """Set up 1-40-40-1, 25 tasks of 10 points and 5 steps, or 1-4-4-1, 3 tasks of 5 points and 2 steps."""
    from neo_bench.peers import torch_maml

    device = "torch:cpu" if backend == "torch" else backend
    widths, tasks, points, steps = ((1, 4, 4, 1), 3, 5, 2) if quick else ((1, 40, 40, 1), 25, 10, 5)
    model = nn.MLP.init(na.random.key(0), widths, activation=nn.relu, device=device)
    problem = _problem(model, tasks, points, steps)
    meta_gradient = _PROGRAMS[name](problem, device)

    def run() -> nn.MLP:
        return meta_gradient(model)

    def answers() -> Answers:
        return {f"meta-gradient {i}": np.array(leaf.numpy()) for i, leaf in enumerate(na.tree.leaves(run()))}

    neo = Contender(f"neo on {device}", pool_of(backend), run, answers)
    return Pair(neo=neo, peer=getattr(torch_maml, name)(problem), tolerance=1e-5)


def _loss(model: nn.MLP, x: na.Array, y: na.Array) -> na.Array:
    return nn.losses.mse(model(x), y)


def _adapted_loss(
    problem: MAMLProblem, model: nn.MLP, x: na.Array, y: na.Array, new_x: na.Array, new_y: na.Array
) -> na.Array:
    """Return one task's loss on new points, after some steps of gradient descent on the others."""
    gradient = nt.grad(_loss)
    for _ in range(problem.steps):
        model = na.tree.tree_map(lambda p, g: p - problem.lr * g, model, gradient(model, x, y))
    return _loss(model, new_x, new_y)


def _mapped(problem: MAMLProblem, device: str, /) -> MetaGradient:
    """Write one task, and map it over all."""
    data = [na.asarray(values, device=device) for values in problem.data]
    losses = nt.vmap(partial(_adapted_loss, problem), (None, 0, 0, 0, 0))
    return nt.grad(lambda model: losses(model, *data).mean())


def _looped(problem: MAMLProblem, device: str, /) -> MetaGradient:
    """Write one task, and go over all in Python."""
    tasks = [[na.asarray(task, device=device) for task in values] for values in problem.data]
    return nt.grad(
        lambda model: na.stack([_adapted_loss(problem, model, *task) for task in zip(*tasks, strict=True)]).mean()
    )


def _batched(problem: MAMLProblem, device: str, /) -> MetaGradient:
    """Write all tasks at once: each has weights of its own, of shape (tasks, out, in)."""
    x, y, new_x, new_y = (na.asarray(values, device=device) for values in problem.data)

    def losses(layers: list[tuple[na.Array, na.Array]], x: na.Array, y: na.Array) -> na.Array:
        *hidden, (weight, bias) = layers
        for w, b in hidden:
            x = nn.relu(x @ w.mT + b)
        return na.square(x @ weight.mT + bias - y).mean(axis=(1, 2))

    gradient = nt.grad(lambda layers: losses(layers, x, y).sum())

    def total(model: nn.MLP) -> na.Array:
        tasks = len(problem.data[0])
        layers = [
            (na.broadcast_to(layer.weight, (tasks, *layer.weight.shape)), _row(layer.bias, tasks))
            for layer in model.layers
        ]
        for _ in range(problem.steps):
            layers = na.tree.tree_map(lambda p, g: p - problem.lr * g, layers, gradient(layers))
        return losses(layers, new_x, new_y).mean()

    return nt.grad(total)


def _row(bias: na.Array | None, tasks: int) -> na.Array:
    assert bias is not None, "the network was made with biases"
    return na.broadcast_to(bias, (tasks, 1, *bias.shape))


_PROGRAMS: Final = {"mapped": _mapped, "looped": _looped, "batched": _batched}


def _case(name: str, program: str, how: str, peer: str) -> Case:
    return Case(
        name=name,
        summary=f"meta-gradient of second-order MAML, 25 tasks {how}",
        peer=peer,
        backends=("numpy", "torch"),
        build=partial(_build, program),
    )


MAPPED = _case("maml", "mapped", "under vmap", "torch.func")
LOOPED = _case("maml_loop", "looped", "in a loop", "PyTorch create_graph")
BATCHED = _case("maml_batched", "batched", "in one array", "PyTorch create_graph")
