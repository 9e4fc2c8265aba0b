"""A training loop: the gradient of a loss with respect to a model is a model, and an optimizer takes it as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import reveal_type

from downstream.model import Model, Temperature

import neo_nn as nn
import neo_optim as optim
import neo_tape as nt
from neo_array import Array


def loss(model: Model, x: Array, y: Array) -> Array:
    return nn.losses.cross_entropy(model(x), y)


def calibrated(model: Model, temperature: Temperature, x: Array, y: Array) -> tuple[Array, dict[str, Array]]:
    logits = model(x) / temperature.value
    return nn.losses.cross_entropy(logits, y), {"logits": logits}


def train(model: Model, batches: Iterable[tuple[Array, Array]]) -> Model:
    optimizer = optim.adam(1e-3)
    state = optimizer.init(model)
    loss_and_grad = nt.value_and_grad(loss)
    for x, y in batches:
        _, grads = loss_and_grad(model, x, y)
        model, state = optim.step(optimizer, model, grads, state, donate=True)
    return model


def use(model: Model, temperature: Temperature, x: Array, y: Array) -> None:
    reveal_type(nt.value_and_grad(loss)(model, x, y))  # R: tuple[Array, Model]
    reveal_type(nt.grad(loss)(model, x, y))  # R: Model
    reveal_type(nt.grad(loss)(model, x, y=y).head.weight)  # R: Array

    (value, aux), (by_model, by_temperature) = nt.value_and_grad(calibrated, (0, 1), has_aux=True)(
        model, temperature, x, y
    )
    reveal_type(value)  # R: Array
    reveal_type(aux["logits"])  # R: Array
    reveal_type(by_model)  # R: Model
    reveal_type(by_temperature.name)  # R: str

    optimizer = optim.chain(optim.sgd(0.1, momentum=0.9), optim.scale_by_learning_rate(0.5))
    updates, _ = optimizer.update(by_model, optimizer.init(model), model)
    reveal_type(optim.apply_updates(model, updates))  # R: Model
    reveal_type(train(model, [(x, y)]))  # R: Model


def misuse(model: Model, x: Array, y: Array) -> None:
    nt.grad(loss)(x, x, y)  # E
    nt.grad(loss)(model, x)  # E
    nt.grad(loss)(model, x, y, y)  # E
    nt.grad(loss)(model, x, z=y)  # E
    nt.value_and_grad(loss)(model, x, "labels")  # E
    nt.value_and_grad(calibrated)(model, x, x, y)  # E
    wrong: tuple[Array, Array] = nt.value_and_grad(loss)(model, x, y)  # E
    nt.grad(loss)(model, x, y).tail  # E
