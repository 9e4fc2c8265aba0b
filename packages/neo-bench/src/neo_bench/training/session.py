"""Begin a training run, or take one up where its checkpoint left it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

import neo_array as na
from neo_bench import datasets
from neo_bench.peers import require_torch
from neo_bench.training.checkpoint import read_checkpoint, restore
from neo_bench.training.config import TrainConfig, resumed
from neo_bench.training.neo import NeoLearner, host_weights, initial_model
from neo_bench.training.progress import Progress
from neo_bench.training.run import Run, Side


def begin(config: TrainConfig, /) -> Run:
    """Return a run before its first step: every side has the same initial weights."""
    if config.against == "torch":
        require_torch("--against torch")
    dataset = datasets.load(config.dataset)
    init_key, order_key = na.random.split(na.random.key(config.seed))
    model = initial_model(config, dataset, init_key)
    weights = host_weights(model)
    sides = [Side("neo", NeoLearner(config, dataset, model), Progress())]
    if config.against == "torch":
        from neo_bench.peers.torch import TorchLearner

        sides.append(Side("torch", TorchLearner(config, dataset, weights), Progress()))
    return Run(config=config, key=order_key, images=len(dataset.train_labels), sides=sides)


def resume(path: Path, asked: TrainConfig, given: AbstractSet[str], /) -> Run:
    """Return the run in a checkpoint; options `given` on the command line must not change what it computes."""
    saved = read_checkpoint(path)
    run = begin(resumed(saved.config, asked, given))
    restore(run, path, saved)
    return run


def resolved_device(name: str, /) -> str:
    """Return the full name of a device, `"cpu"` and `"cuda"` resolved; raise DeviceError if it is not there."""
    return str(na.zeros(0, device=name).device)
