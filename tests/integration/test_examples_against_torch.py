"""The gradients that the examples take, against PyTorch's of the same formulas with the same weights and data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import neo_array as na
import neo_nn as nn
import neo_optim as optim
import neo_tape as nt
from examples import (
    gradient_reversal,
    gradient_surgery,
    implicit_ridge,
    maml_sinusoid,
    per_example_gradients,
    spiking_neurons,
)

T = TypeVar("T")
Tensors = Sequence[torch.Tensor]
TOLERANCE = {"float32": 1e-5, "float64": 1e-11}


@pytest.fixture(params=["numpy", "torch:cpu"], autouse=True)
def _device(request: pytest.FixtureRequest) -> Iterator[None]:
    with na.use_device(request.param):
        yield


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def cast(tree: T, dtype: str) -> T:
    """Return a tree with its floating leaves in another dtype."""
    return na.tree.tree_map(lambda x: x.astype(dtype) if x.dtype.kind == "f" else x, tree)


def tensors(tree: object, requires_grad: bool = False) -> list[torch.Tensor]:
    return [torch.tensor(leaf.numpy(), requires_grad=requires_grad) for leaf in na.tree.leaves(tree)]


def assert_agrees(ours: object, theirs: Tensors, tolerance: float) -> None:
    """Compare leaf by leaf, relative to the largest element of a leaf."""
    for mine, other in zip(na.tree.leaves(ours), theirs, strict=True):
        expected = other.detach().numpy()
        assert mine.dtype == expected.dtype
        np.testing.assert_allclose(mine.numpy(), expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))


def mlp(parameters: Tensors, x: torch.Tensor, activation: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        x = activation(F.linear(x, weight, bias))
    return F.linear(x, parameters[-2], parameters[-1])


# --- MAML ---
def adapted_loss(parameters: Tensors, task: Tensors, steps: int) -> torch.Tensor:
    """Return the loss of one task after some steps of SGD at a rate of 0.01, differentiable with create_graph."""
    x, y, x_query, y_query = task
    for _ in range(steps):
        grads = torch.autograd.grad(F.mse_loss(mlp(parameters, x, F.relu), y), parameters, create_graph=True)
        parameters = [p - 0.01 * g for p, g in zip(parameters, grads, strict=True)]
    return F.mse_loss(mlp(parameters, x_query, F.relu), y_query)


def meta_loss(parameters: Tensors, tasks: maml_sinusoid.Tasks, steps: int = 5) -> torch.Tensor:
    return torch.stack([adapted_loss(parameters, task, steps) for task in zip(*tensors(tasks), strict=True)]).mean()


def sinusoid_model(dtype: str) -> nn.MLP:
    return cast(nn.MLP.init(na.random.key(0), (1, 40, 40, 1)), dtype)


@pytest.mark.parametrize("steps", range(6))
def test_losses_after_each_inner_step_are_pytorchs(dtype: str, steps: int) -> None:
    model, tasks = sinusoid_model(dtype), cast(maml_sinusoid.sinusoids(na.random.key(1), 25), dtype)
    ours = maml_sinusoid.loss_after(model, tasks, steps)
    assert_agrees(ours, [meta_loss(tensors(model, True), tasks, steps)], TOLERANCE[dtype])


def test_the_meta_gradient_through_five_steps_is_pytorchs(dtype: str) -> None:
    model, tasks = sinusoid_model(dtype), cast(maml_sinusoid.sinusoids(na.random.key(1), 25), dtype)
    parameters = tensors(model, True)
    expected = torch.autograd.grad(meta_loss(parameters, tasks), parameters)
    assert_agrees(nt.grad(maml_sinusoid.loss_after)(model, tasks), expected, TOLERANCE[dtype])


def test_meta_training_follows_pytorchs_losses() -> None:
    model, optimizer = sinusoid_model("float64"), optim.adam(0.005)
    parameters, state = tensors(model, True), optimizer.init(model)
    torch_optimizer = torch.optim.Adam(parameters, lr=0.005)
    for step in range(10):
        tasks = cast(maml_sinusoid.sinusoids(na.random.key(step), 25), "float64")
        value, grads = nt.value_and_grad(maml_sinusoid.loss_after)(model, tasks)
        model, state = optim.step(optimizer, model, grads, state)
        expected = meta_loss(parameters, tasks)
        torch_optimizer.zero_grad()
        expected.backward()  # type: ignore[no-untyped-call]
        torch_optimizer.step()
        assert_agrees(value, [expected], 1e-8)
    assert_agrees(model, parameters, 1e-8)


# --- Spiking neurons ---
class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, above: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(above)
        return (above > 0).to(above.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        above: torch.Tensor = ctx.saved_tensors[0]
        return grads[0] / (1 + 10 * above.abs()) ** 2


def spiking_loss(parameters: Tensors, spikes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    weight, bias, out_weight, out_bias = parameters
    potential = fired = torch.zeros(len(spikes), len(weight), dtype=spikes.dtype)
    output, outputs = F.linear(fired, out_weight, out_bias), []
    for now in spikes.unbind(1):
        potential = 0.9 * potential * (1 - fired) + F.linear(now, weight, bias)
        fired = Spike.apply(potential - 1)  # type: ignore[no-untyped-call]
        output = 0.9 * output + F.linear(fired, out_weight, out_bias)
        outputs.append(output)
    return F.cross_entropy(torch.stack(outputs).amax(0), labels)


def test_the_surrogate_gradient_through_time_is_pytorchs() -> None:
    spikes, labels = cast(spiking_neurons.patterns(na.random.key(0), 32), "float64")
    of_hidden, of_readout = na.random.split(na.random.key(1))
    network = cast(
        spiking_neurons.Network(nn.Linear.init(of_hidden, 20, 50), nn.Linear.init(of_readout, 50, 4)), "float64"
    )
    value, grads = nt.value_and_grad(spiking_neurons.loss)(network, spikes, labels)
    parameters = tensors(network, True)
    expected = spiking_loss(parameters, *tensors((spikes, labels)))
    assert_agrees(value, [expected], 1e-11)
    assert_agrees(grads, torch.autograd.grad(expected, parameters), 1e-11)
    assert na.any(grads.hidden.weight != 0)  # what the step itself would have left at zero


def test_each_input_fires_once() -> None:
    spikes, _ = spiking_neurons.patterns(na.random.key(0), 32)
    assert spikes.shape == (32, 30, 20)
    assert na.all(na.sum(spikes, axis=1) == 1)


# --- Gradient reversal ---
class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return -0.5 * grads[0]


def test_the_reversed_gradient_is_pytorchs(dtype: str) -> None:
    of_features, of_label, of_domain, of_source, of_target = na.random.split(na.random.key(0), 5)
    model = cast(
        gradient_reversal.Model(
            nn.MLP.init(of_features, (2, 16, 8)), nn.Linear.init(of_label, 8, 1), nn.MLP.init(of_domain, (8, 16, 1))
        ),
        dtype,
    )
    source, labels = cast(gradient_reversal.pictures(of_source, 40, shift=0.0), dtype)
    target, _ = cast(gradient_reversal.pictures(of_target, 30, shift=3.0), dtype)

    def loss(parameters: Tensors, source: torch.Tensor, labels: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        from_source, from_target = (mlp(parameters[:4], x, F.relu) for x in (source, target))
        logits = F.linear(from_source, parameters[4], parameters[5])[:, 0]
        reversed_ = Reverse.apply(torch.cat([from_source, from_target]))  # type: ignore[no-untyped-call]
        domains = torch.cat([torch.zeros(40), torch.ones(30)]).to(source.dtype)
        told = mlp(parameters[6:], reversed_, F.relu)[:, 0]
        return F.binary_cross_entropy_with_logits(logits, labels) + F.binary_cross_entropy_with_logits(told, domains)

    value, grads = nt.value_and_grad(gradient_reversal.loss)(model, source, labels, target, 0.5)
    parameters = tensors(model, True)
    expected = loss(parameters, *tensors((source, labels, target)))
    assert_agrees(value, [expected], TOLERANCE[dtype])
    assert_agrees(grads, torch.autograd.grad(expected, parameters), TOLERANCE[dtype])


# --- Gradient surgery ---
def projected_sum(gradients: Tensors) -> torch.Tensor:
    """Return the sum of the projected gradients: algorithm 1 of Yu et al. (2020), as it is written there."""
    projected = []
    for i, gradient in enumerate(gradients):
        for j, other in enumerate(gradients):
            if j != i and gradient @ other < 0:
                gradient = gradient - (gradient @ other) / (other @ other) * other
        projected.append(gradient)
    return torch.stack(projected).sum(0)


@pytest.mark.parametrize("seed", range(4))
def test_surgery_adds_up_the_projected_gradients(dtype: str, seed: int) -> None:
    of_data, of_model = na.random.split(na.random.key(seed))
    x, y = cast(gradient_surgery.tasks(of_data), dtype)
    model = cast(nn.MLP.init(of_model, (2, 16, 16, 2), activation=nn.tanh), dtype)
    gradients = nt.jacrev(gradient_surgery.losses)(model, x, y)
    inner = gradient_surgery.products(gradients)
    moved = gradient_surgery.step(model, gradients, gradient_surgery.surgery(inner), rate=1.0)

    parameters = tensors(model, True)
    inputs, targets = tensors((x, y))
    errors = ((mlp(parameters, inputs, torch.tanh) - targets) ** 2).mean(0)
    each = [torch.autograd.grad(error, parameters, retain_graph=True) for error in errors]
    flat = [torch.cat([g.reshape(-1) for g in grads]) for grads in each]
    expected = torch.cat([p.reshape(-1) for p in parameters]) - projected_sum(flat)
    ours = na.concat([na.reshape(leaf, (-1,)) for leaf in na.tree.leaves(moved)])
    assert_agrees(inner, [torch.stack(flat) @ torch.stack(flat).T], 10 * TOLERANCE[dtype])
    assert_agrees(ours, [expected], 10 * TOLERANCE[dtype])


def test_surgery_leaves_gradients_alone_that_agree() -> None:
    inner = na.asarray([[2.0, 1.0], [1.0, 3.0]])
    assert gradient_surgery.surgery(inner).numpy().tolist() == [1.0, 1.0]


# --- Ridge penalties ---
def ridge_data(n: int) -> implicit_ridge.Data:
    x, y = cast(implicit_ridge.draw(na.random.key(0), n, 12), "float64")
    return implicit_ridge.Data(x, y)


def ridge_loss(log_penalty: torch.Tensor, training: Tensors, judged: Tensors) -> torch.Tensor:
    """Return the loss of the closed form, through which PyTorch differentiates."""
    (x, y), n = training, len(training[0])
    weights = torch.linalg.solve(x.T @ x / n + torch.diag(log_penalty.exp().expand(x.shape[1])), x.T @ y / n)
    return F.mse_loss(judged[0] @ weights, judged[1])


def log_penalties(shape: tuple[int, ...]) -> na.Array:
    return na.random.normal(na.random.key(2), shape, dtype="float64")


@pytest.mark.parametrize("shape", [(), (12,)])
def test_derivatives_by_the_penalties_are_those_of_the_closed_form(shape: tuple[int, ...]) -> None:
    data = ridge_data(70)
    training, judged = implicit_ridge.Data(data.x[:30], data.y[:30]), implicit_ridge.Data(data.x[30:], data.y[30:])
    at = log_penalties(shape)
    (point,), known = tensors(at, True), (tensors(training), tensors(judged))
    expected = ridge_loss(point, *known)
    value, gradient = nt.value_and_grad(implicit_ridge.loss)(at, training, judged)
    assert_agrees(value, [expected], 1e-9)
    assert_agrees(gradient, torch.autograd.grad(expected, point), 1e-9)
    second = nt.hvp(implicit_ridge.loss, at, na.ones_like(at), training, judged)
    hessian: Any = torch.autograd.functional.hessian(lambda p: ridge_loss(p, *known), point.detach())  # type: ignore[no-untyped-call]
    assert_agrees(second, [hessian.reshape(point.numel(), -1).sum(1).reshape(point.shape)], 1e-9)


@pytest.mark.parametrize("shape", [(), (12,)])
def test_derivatives_by_the_penalties_are_those_of_differences(shape: tuple[int, ...]) -> None:
    data = ridge_data(30)
    nt.check_grads(lambda p: implicit_ridge.loss(p, data, data), (log_penalties(shape),))


def test_the_weights_are_those_of_the_closed_form() -> None:
    data, at = ridge_data(30), log_penalties((12,))
    x, y = tensors(data)
    expected = torch.linalg.solve(x.T @ x / 30 + torch.diag(tensors(at)[0].exp()), x.T @ y / 30)
    assert_agrees(implicit_ridge.ridge(at, data), [expected], 1e-9)


# --- Per-example gradients ---
@pytest.mark.parametrize("limit", [0.5, 3.0, float("inf")])
def test_clipped_gradients_are_those_of_a_loop_over_the_examples(dtype: str, limit: float) -> None:
    x, _, y = cast(per_example_gradients.data(na.random.key(0), 40), dtype)
    model = cast(nn.Linear.init(na.random.key(1), 3, 1), dtype)
    parameters = tensors(model, True)
    total = [torch.zeros_like(p) for p in parameters]
    for inputs, target in zip(*tensors((x, y)), strict=True):
        error = (F.linear(inputs, parameters[0], parameters[1])[0] - target) ** 2
        grads = torch.autograd.grad(error, parameters)
        norm = torch.sqrt(sum((g**2).sum() for g in grads))  # type: ignore[arg-type]
        total = [t + g * min(1.0, limit / norm.item()) / 40 for t, g in zip(total, grads, strict=True)]
    assert_agrees(per_example_gradients.clipped_gradient(model, x, y, limit), total, TOLERANCE[dtype])
