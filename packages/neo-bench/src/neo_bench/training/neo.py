"""The side of a training run that neo computes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import neo_array as na
import neo_nn as nn
import neo_optim as optim
import neo_tape as nt
from neo_bench.datasets.dataset import Dataset
from neo_bench.threads import Pool, pool_of
from neo_bench.training.config import TrainConfig
from neo_bench.training.learner import EVALUATION_BATCH, Split, Tree

Host: TypeAlias = npt.NDArray[Any]


def optimizer(config: TrainConfig, /) -> optim.GradientTransformation:
    """Return the optimizer that a training run names, with its defaults for what the run leaves open."""
    match config.optimizer:
        case "sgd":
            return optim.sgd(config.lr, momentum=config.momentum)
        case "adam":
            return optim.adam(config.lr)
        case "adamw":
            return optim.adamw(config.lr)
    raise AssertionError(f"TrainConfig let the optimizer {config.optimizer!r} through")


def loss_fn(model: nn.MLP, x: na.Array, y: na.Array) -> na.Array:
    """Return the mean cross-entropy of a batch of images and their labels."""
    return nn.losses.cross_entropy(model(x), y)


class NeoLearner:
    """An MLP trained by neo-tape and neo-optim on one of neo-array's backends."""

    def __init__(self, config: TrainConfig, dataset: Dataset, model: nn.MLP) -> None:
        """Start from this model, which is on the config's device and of its dtype."""
        self._opt = optimizer(config)
        self._params = model
        self._state = self._opt.init(model)
        self._step = nt.value_and_grad(loss_fn)
        self._images = {
            "train": na.asarray(dataset.train_images, dtype=config.dtype, device=config.device),
            "test": na.asarray(dataset.test_images, dtype=config.dtype, device=config.device),
        }
        self._labels = {
            "train": na.asarray(dataset.train_labels, device=config.device),
            "test": na.asarray(dataset.test_labels, device=config.device),
        }
        self._device = config.device
        self._order = na.zeros(0, dtype=na.int64, device=config.device)

    @property
    def pool(self) -> Pool:
        """The thread pool that the backend computes with."""
        return pool_of(self._device.partition(":")[0])

    def begin_epoch(self, order: npt.NDArray[np.int64], /) -> None:
        """Move the order to the device."""
        self._order = na.asarray(order, device=self._device)

    def train(self, batches: Iterable[slice], /) -> list[float]:
        """Take one step for each slice of the epoch's order; return the losses."""
        images, labels, order = self._images["train"], self._labels["train"], self._order
        opt, step, params, state = self._opt, self._step, self._params, self._state
        losses: list[na.Array] = []
        for batch in batches:
            index = order[batch]
            loss, grads = step(params, images[index], labels[index])
            params, state = optim.step(opt, params, grads, state, donate=True)
            del grads  # as the peer's zero_grad does: the next gradients get this memory, while it is in the cache
            losses.append(loss)
        self._params, self._state = params, state
        return na.stack(losses).numpy().tolist() if losses else []

    def accuracy(self, split: Split, /) -> float:
        """Return the part of a split's images that are classified right."""
        images, labels = self._images[split], self._labels[split]
        n = labels.shape[0]
        batches = [slice(first, first + EVALUATION_BATCH) for first in range(0, n, EVALUATION_BATCH)]
        right = [na.sum(na.argmax(self._params(images[batch]), axis=1) == labels[batch]) for batch in batches]
        return int(na.sum(na.stack(right))) / n

    def tree(self) -> Tree:
        """Return the parameters and the state of the optimizer."""
        return {"params": self._params, "state": self._state}

    def restore(self, tree: Tree, /) -> None:
        """Take back what `tree` returned."""
        params = tree["params"]
        assert isinstance(params, nn.MLP), "tree put the model there"
        self._params, self._state = params, tree["state"]


def initial_model(config: TrainConfig, dataset: Dataset, key: na.Array, /) -> nn.MLP:
    """Return the network with its weights of the first step, on the config's device and of its dtype."""
    sizes = (dataset.features, *config.hidden, dataset.classes)
    return nn.MLP.init(key, sizes, activation=nn.relu, dtype=config.dtype, device=config.device)


def host_weights(model: nn.MLP, /) -> list[tuple[Host, Host]]:
    """Return copies of each layer's weight and bias."""
    leaves = [np.array(leaf.numpy()) for leaf in na.tree.leaves(model)]
    return list(zip(leaves[::2], leaves[1::2], strict=True))
