"""One training step of an MLP: forward, cross-entropy, backward, SGD in place."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import neo_array as na
import neo_nn as nn
import neo_optim as optim
import neo_tape as nt
from neo_bench.cases.case import Case
from neo_bench.threads import pool_of
from neo_bench.timing.contender import Answers, Contender, Pair
from neo_bench.training.neo import host_weights, loss_fn
from neo_nn.initializers import Initializer


class MLPProblem(NamedTuple):
    """What both sides start from: initial weights and biases, one batch of images and labels, the learning rate."""

    weights: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    lr: float


def build(backend: str, quick: bool, /) -> Pair:
    """Set up 784-256-64-10 with a batch of 64, or a small network."""
    return step_of((12, 8, 4), 6, backend) if quick else step_of((784, 256, 64, 10), 64, backend)


def step_of(
    sizes: tuple[int, ...],
    batch: int,
    backend: str,
    /,
    *,
    weight_init: Initializer | None = None,
    tolerance: float = 1e-4,
) -> Pair:
    """Set up a step of a network of these widths."""
    from neo_bench.peers.torch import mlp_step

    init_key, image_key, label_key = na.random.split(na.random.key(0), 3)
    device = "torch:cpu" if backend == "torch" else backend
    model = nn.MLP.init(init_key, sizes, activation=nn.relu, weight_init=weight_init, device=device)
    problem = MLPProblem(
        weights=host_weights(model),
        images=np.array(na.random.uniform(image_key, (batch, sizes[0]), device="numpy").numpy()),
        labels=np.array(na.random.randint(label_key, (batch,), 0, sizes[-1]).numpy(), np.int64),
        lr=0.01,
    )
    return Pair(neo=_neo_step(device, model, problem), peer=mlp_step(problem), tolerance=tolerance)


def _neo_step(device: str, params: nn.MLP, problem: MLPProblem, /) -> Contender:
    """Return neo's side."""
    x = na.asarray(problem.images, device=device)
    y = na.asarray(problem.labels, device=device)
    opt = optim.sgd(problem.lr)
    state = opt.init(params)
    value_and_grad = nt.value_and_grad(loss_fn)

    def run() -> None:
        nonlocal params, state
        _, grads = value_and_grad(params, x, y)
        params, state = optim.step(opt, params, grads, state, donate=True)
        del grads  # as the peer's zero_grad does: the next gradients get this memory, while it is in the cache

    def answers() -> Answers:
        loss, grads = value_and_grad(params, x, y)
        run()
        gradients = {f"gradient {i}": np.array(leaf.numpy()) for i, leaf in enumerate(na.tree.leaves(grads))}
        updated = {f"parameter {i}": np.array(leaf.numpy()) for i, leaf in enumerate(na.tree.leaves(params))}
        return {"loss": np.array(loss.numpy())} | gradients | updated

    return Contender(f"neo on {device}", pool_of(device.partition(":")[0]), run, answers)


CASE = Case(
    name="mlp_step",
    summary="MLP 784-256-64-10, batch 64, SGD step",
    peer="PyTorch eager",
    backends=("torch", "numpy"),
    build=build,
)
