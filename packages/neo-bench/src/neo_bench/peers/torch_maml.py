"""PyTorch's side of the case `maml`, in its three ways: torch.func, and create_graph=True for one task and for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F

from neo_bench.cases.maml import MAMLProblem
from neo_bench.peers.torch import host
from neo_bench.timing.contender import Answers, Contender

Weights: TypeAlias = tuple[torch.Tensor, ...]  # weight, bias, weight, ...


def mapped(problem: MAMLProblem, /) -> Contender:
    """Return the meta-gradient by torch.func's grad and vmap."""
    data = [torch.tensor(values) for values in problem.data]
    gradient = torch.func.grad(_loss)

    def adapted_loss(
        weights: Weights, x: torch.Tensor, y: torch.Tensor, new_x: torch.Tensor, new_y: torch.Tensor
    ) -> torch.Tensor:
        for _ in range(problem.steps):
            weights = _descended(weights, gradient(weights, x, y), problem.lr)
        return _loss(weights, new_x, new_y)

    losses = torch.func.vmap(adapted_loss, (None, 0, 0, 0, 0))
    meta_gradient = torch.func.grad(lambda weights: losses(weights, *data).mean())
    return _contender(meta_gradient, _weights(problem))


def looped(problem: MAMLProblem, /) -> Contender:
    """Return the meta-gradient by autograd with create_graph=True, one task after the other."""
    tasks = [[torch.tensor(task) for task in values] for values in problem.data]

    def adapted_loss(
        weights: Weights, x: torch.Tensor, y: torch.Tensor, new_x: torch.Tensor, new_y: torch.Tensor
    ) -> torch.Tensor:
        for _ in range(problem.steps):
            gradients = torch.autograd.grad(_loss(weights, x, y), weights, create_graph=True)
            weights = _descended(weights, gradients, problem.lr)
        return _loss(weights, new_x, new_y)

    def meta_gradient(weights: Weights) -> Weights:
        losses = [adapted_loss(weights, *task) for task in zip(*tasks, strict=True)]
        return torch.autograd.grad(torch.stack(losses).mean(), weights)

    return _contender(meta_gradient, _watched(problem))


def batched(problem: MAMLProblem, /) -> Contender:
    """Return the meta-gradient by autograd with create_graph=True, each task with weights of its own in one tensor."""
    x, y, new_x, new_y = (torch.tensor(values) for values in problem.data)

    def losses(weights: Weights, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            x = F.relu(torch.baddbmm(bias.unsqueeze(1), x, weight.mT))
        out = torch.baddbmm(weights[-1].unsqueeze(1), x, weights[-2].mT)
        return F.mse_loss(out, y, reduction="none").mean(dim=(1, 2))

    def meta_gradient(weights: Weights) -> Weights:
        each = tuple(weight.expand(len(x), *weight.shape) for weight in weights)
        for _ in range(problem.steps):
            gradients = torch.autograd.grad(losses(each, x, y).sum(), each, create_graph=True)
            each = _descended(each, gradients, problem.lr)
        return torch.autograd.grad(losses(each, new_x, new_y).mean(), weights)

    return _contender(meta_gradient, _watched(problem))


def _weights(problem: MAMLProblem) -> Weights:
    return tuple(torch.tensor(values) for layer in problem.weights for values in layer)


def _watched(problem: MAMLProblem) -> Weights:
    return tuple(weight.requires_grad_() for weight in _weights(problem))


def _loss(weights: Weights, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error; plain functions are faster here than a Module under `functional_call`."""
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = F.relu(F.linear(x, weight, bias))
    return F.mse_loss(F.linear(x, weights[-2], weights[-1]), y)


def _descended(weights: Weights, gradients: Weights, lr: float) -> Weights:
    return tuple(weight - lr * gradient for weight, gradient in zip(weights, gradients, strict=True))


def _contender(meta_gradient: Callable[[Weights], Weights], weights: Weights) -> Contender:
    def run() -> Weights:
        return meta_gradient(weights)

    def answers() -> Answers:
        return {f"meta-gradient {i}": host(gradient) for i, gradient in enumerate(run())}

    return Contender("PyTorch", "torch", run, answers)
