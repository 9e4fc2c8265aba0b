"""Ops, models and training steps are described as they are, without being run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_nn as nn
import neo_optim as optim
import neo_tape as nt
from neo_array import Array, Primitive, Sample, testing
from tests.neo_nn.test_primitives import OPS
from tests.neo_tape.descriptions import assert_described, assert_sample_described

CASES = [pytest.param(op, s, id=f"{op.__name__}-{i}") for op in OPS for i, s in enumerate(testing.samples(op))]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_every_op_has_a_shape_rule(op: Primitive[..., Any]) -> None:
    assert op.shape_rule is not None or op.kind == "elementwise"


@pytest.mark.parametrize("device", ["numpy", "torch:cpu"])
@pytest.mark.parametrize(("op", "s"), CASES)
def test_every_sample_is_described(op: Primitive[..., Any], s: Sample, device: str) -> None:
    for dtype in (na.float64, na.float32):
        assert_sample_described(op, s, device, dtype)


def loss(model: nn.MLP, x: Array, labels: Array) -> Array:
    return nn.losses.cross_entropy(model(x), labels)


@pytest.mark.parametrize("device", ["numpy", "torch:cpu"])
def test_a_models_loss_gradient_and_training_step_are_described(device: str) -> None:
    opt = optim.adam(1e-3)

    def step(model: nn.MLP, state: Any, x: Array, labels: Array) -> Any:
        value, gradients = nt.value_and_grad(loss)(model, x, labels)
        return value, optim.step(opt, model, gradients, state)

    with na.use_device(device):
        model = nn.MLP.init(na.random.key(0), (5, 4, 3))
        x, labels = na.ones((7, 5)), na.asarray(np.arange(7) % 3)
        assert_described(nt.value_and_grad(loss), model, x, labels)
        assert_described(nt.vmap(nt.grad(loss), (None, 0, 0)), model, x, labels)
        state = opt.init(model)  # closed over: Adam reads how many steps were taken
        assert_described(lambda model, x, labels: step(model, state, x, labels), model, x, labels)
        assert_described(lambda key: nn.MLP.init(key, (5, 4, 3)), na.random.key(1))


@pytest.mark.parametrize(
    ("f", "shapes"),
    [
        (nn.functional.linear, [(3, 4), (5, 6)]),
        (nn.functional.linear, [(3, 4), (5, 4), (4,)]),
        (nn.functional.linear, [(), (5, 4)]),
        (lambda x, y: nn.losses.cross_entropy(x, na.astype(y, na.int64)), [(3, 4), (4,)]),
        (nn.functional.relu, [(3,), (3,)]),
    ],
)
def test_errors_are_word_for_word_those_of_the_call(f: Any, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises((na.NeoError, TypeError)) as expected:
        f(*[na.ones(s) for s in shapes])
    with pytest.raises((na.NeoError, TypeError)) as found:
        nt.eval_shape(f, *[nt.ShapeDtype(s) for s in shapes])
    assert (type(found.value), str(found.value)) == (type(expected.value), str(expected.value))
