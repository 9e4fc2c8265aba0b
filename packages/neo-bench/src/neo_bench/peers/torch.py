"""PyTorch as a peer: plain eager torch.nn and torch.optim, written as its tutorials write it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

import neo_array as na
from neo_bench.cases.chain import ChainProblem
from neo_bench.cases.mlp_step import MLPProblem
from neo_bench.datasets.dataset import Dataset
from neo_bench.threads import Pool
from neo_bench.timing.contender import Answers, Contender
from neo_bench.training.config import TrainConfig
from neo_bench.training.learner import EVALUATION_BATCH, Split, Tree

Host: TypeAlias = npt.NDArray[Any]
_DTYPES: Final = {"float32": torch.float32, "float64": torch.float64}


# --- Threads ---


def thread_count() -> int:
    """Return the number of threads in PyTorch's pool."""
    return torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Park all threads of PyTorch's pool but one inside the `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- Network ---


def mlp(weights: Sequence[tuple[Host, Host]], device: torch.device, /) -> torch.nn.Sequential:
    """Return linear layers with copies of these weights and biases, and a ReLU between each two."""
    layers: list[torch.nn.Module] = []
    for weight, bias in weights:
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], device=device, dtype=torch.from_numpy(bias).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def optimizer(config: TrainConfig, parameters: Iterable[torch.nn.Parameter], /) -> torch.optim.Optimizer:
    """Return the optimizer that a training run names, with PyTorch's defaults for what it leaves open."""
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr=config.lr, momentum=config.momentum)
        case "adam":
            return torch.optim.Adam(parameters, lr=config.lr)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=config.lr)
    raise AssertionError(f"TrainConfig let the optimizer {config.optimizer!r} through")


# --- Training ---


class TorchLearner:
    """The side of a training run that PyTorch computes."""

    def __init__(self, config: TrainConfig, dataset: Dataset, weights: Sequence[tuple[Host, Host]]) -> None:
        """Start from these weights and biases, layer by layer, on the device that the config's device stands on."""
        self._device = place_of(config.device)
        self._model = mlp(weights, self._device)
        self._optimizer = optimizer(config, self._model.parameters())
        dtype = _DTYPES[config.dtype]
        self._images = {
            "train": torch.tensor(dataset.train_images, dtype=dtype, device=self._device),
            "test": torch.tensor(dataset.test_images, dtype=dtype, device=self._device),
        }
        self._labels = {
            "train": torch.tensor(dataset.train_labels, device=self._device),
            "test": torch.tensor(dataset.test_labels, device=self._device),
        }
        self._order = torch.empty(0, dtype=torch.int64)

    @property
    def pool(self) -> Pool:
        """PyTorch's own thread pool."""
        return "torch"

    def begin_epoch(self, order: npt.NDArray[np.int64], /) -> None:
        """Move the order to the device."""
        self._order = torch.tensor(order, device=self._device)

    def train(self, batches: Iterable[slice], /) -> list[float]:
        """Take one step for each slice of the epoch's order; return the losses."""
        images, labels, order = self._images["train"], self._labels["train"], self._order
        losses: list[torch.Tensor] = []
        for batch in batches:
            index = order[batch]
            x, y = images.index_select(0, index), labels.index_select(0, index)  # twice as fast as images[index]
            self._optimizer.zero_grad()
            loss = F.cross_entropy(self._model(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            losses.append(loss.detach())
        values: list[float] = torch.stack(losses).tolist() if losses else []
        return values

    @torch.no_grad()
    def accuracy(self, split: Split, /) -> float:
        """Return the part of a split's images that are classified right."""
        images, labels = self._images[split], self._labels[split]
        n = len(labels)
        batches = [slice(first, first + EVALUATION_BATCH) for first in range(0, n, EVALUATION_BATCH)]
        right = [(self._model(images[batch]).argmax(dim=1) == labels[batch]).sum() for batch in batches]
        return int(torch.stack(right).sum()) / n

    def tree(self) -> Tree:
        """Return parameters and optimizer state; what PyTorch has not made yet is zeros, as it is going to be."""
        named = {name: parameter.detach() for name, parameter in self._model.named_parameters()}
        for name, parameter in self._model.named_parameters():
            state = self._optimizer.state[parameter]
            named |= {f"{name}.{slot}": state.get(slot, zeros) for slot, zeros in self._slots(parameter).items()}
        return {name: na.asarray(tensor.cpu().numpy(), device="numpy", copy=True) for name, tensor in named.items()}

    def restore(self, tree: Tree, /) -> None:
        """Take back what `tree` returned."""

        def tensor(name: str) -> torch.Tensor:
            array = tree[name]
            assert isinstance(array, na.Array), "tree made a flat dict of Arrays"
            return torch.from_numpy(np.array(array.numpy()))

        for name, parameter in self._model.named_parameters():
            with torch.no_grad():
                parameter.copy_(tensor(name))
            state = self._optimizer.state[parameter]
            state |= {slot: tensor(f"{name}.{slot}").to(zeros.device) for slot, zeros in self._slots(parameter).items()}

    def _slots(self, parameter: torch.nn.Parameter, /) -> dict[str, torch.Tensor]:
        """Return the state that the optimizer keeps for a parameter, as it is before the first step."""
        zeros = torch.zeros_like(parameter)
        match self._optimizer:
            case torch.optim.SGD(defaults={"momentum": 0.0}):
                return {}
            case torch.optim.SGD():
                return {"momentum_buffer": zeros}
        return {"step": torch.tensor(0.0), "exp_avg": zeros, "exp_avg_sq": zeros}  # the step counts on the host


def place_of(device: str, /) -> torch.device:
    """Return the torch device on the same place as a device of neo: NumPy's is the CPU, CuPy's the GPU."""
    backend, _, place = device.partition(":")
    match backend:
        case "numpy":
            return torch.device("cpu")
        case "cupy":
            return torch.device(f"cuda:{place}")
    return torch.device(place)


# --- Benchmark cases ---


def host(tensor: torch.Tensor | None, /) -> Host:
    """Return a copy of a tensor's values."""
    assert tensor is not None, "backward has run, so every parameter has a gradient"
    return tensor.detach().numpy(force=True).copy()


def mlp_step(problem: MLPProblem, /) -> Contender:
    """Return PyTorch's side of the case `mlp_step`."""
    model = mlp(problem.weights, torch.device("cpu"))
    sgd = torch.optim.SGD(model.parameters(), lr=problem.lr)
    images, labels = torch.tensor(problem.images), torch.tensor(problem.labels)

    def backward() -> torch.Tensor:
        loss = F.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def run() -> None:
        backward()
        sgd.step()
        sgd.zero_grad()

    def answers() -> Answers:
        loss = backward()
        parameters = list(model.parameters())
        gradients = {f"gradient {i}": host(p.grad) for i, p in enumerate(parameters)}
        sgd.step()
        sgd.zero_grad()
        updated = {f"parameter {i}": host(p) for i, p in enumerate(parameters)}
        return {"loss": host(loss)} | gradients | updated

    return Contender("PyTorch", "torch", run, answers)


def chain(problem: ChainProblem, /) -> Contender:
    """Return PyTorch's side of the case `chain`."""
    start = torch.tensor(problem.x, requires_grad=True)
    a, b = torch.tensor(problem.a), torch.tensor(problem.b)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        x: torch.Tensor = start
        for _ in range(problem.pairs):
            x = x * a
            x = x + b
        total = x.sum()
        (gradient,) = torch.autograd.grad(total, start)
        return total, gradient

    def answers() -> Answers:
        total, gradient = run()
        return {"value": host(total), "gradient": host(gradient)}

    return Contender("PyTorch", "torch", run, answers)
