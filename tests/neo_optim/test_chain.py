from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pytest

import neo_array as na
import neo_optim as optim
from tests.neo_optim.table import NAMES, ROWS, Row, address, arrays, bits, host_values, recorded

T = TypeVar("T")


def clip(limit: float) -> optim.GradientTransformation[optim.EmptyState]:
    """A transformation as a user would write it."""

    def init(params: object, /) -> optim.EmptyState:
        return optim.EmptyState()

    def update(
        updates: T, state: optim.EmptyState, params: T | None = None, /, **extra: Any
    ) -> tuple[T, optim.EmptyState]:
        return na.tree.tree_map(lambda u: na.minimum(na.maximum(u, -limit), limit), updates), state

    return optim.GradientTransformation(init, update)


def test_chain_of_none_leaves_gradients_as_they_are() -> None:
    opt = optim.chain()
    params, gradients = {"w": na.asarray([1.0])}, {"w": na.asarray([2.0])}
    assert opt.init(params) == ()
    assert opt.update(gradients, (), params) == (gradients, ())
    assert optim.step(opt, params, gradients, ())[0]["w"].item() == 3.0


def test_chain_runs_in_order(device: str) -> None:
    params, gradients = na.asarray([0.0], device=device), na.asarray([10.0], device=device)
    first = optim.chain(clip(1.0), optim.scale_by_learning_rate(0.5))
    last = optim.chain(optim.scale_by_learning_rate(0.5), clip(1.0))
    assert optim.step(first, params, gradients, first.init(params))[0].item() == -0.5
    assert optim.step(last, params, gradients, last.init(params))[0].item() == -1.0


def test_chains_nest() -> None:
    params, gradients = {"w": na.asarray([1.0])}, {"w": na.asarray([2.0])}
    nested = optim.chain(optim.chain(clip(1.0), optim.trace(0.9)), optim.chain(optim.scale_by_learning_rate(0.1)))
    flat = optim.chain(clip(1.0), optim.trace(0.9), optim.scale_by_learning_rate(0.1))
    state, flat_state = nested.init(params), flat.init(params)
    ours = theirs = params
    for _ in range(3):
        ours, state = optim.step(nested, ours, gradients, state)
        theirs, flat_state = optim.step(flat, theirs, gradients, flat_state)
    assert bits(ours) == bits(theirs)
    assert na.tree.structure(state) != na.tree.structure(flat_state)
    assert bits(state) == bits(flat_state)


def test_an_optimizer_is_a_chain_of_its_parts(device: str) -> None:
    parts = optim.chain(optim.scale_by_adam(b1=0.8), optim.scale_by_learning_rate(0.1))
    whole = optim.adamw(0.1, b1=0.8, weight_decay=0.0)
    params = theirs = arrays(host_values("mlp", "float64", 0), device)
    state, their_state = parts.init(params), whole.init(params)
    for values in recorded("mlp", "float64", 3):
        params, state = optim.step(parts, params, arrays(values, device), state)
        theirs, their_state = optim.step(whole, theirs, arrays(values, device), their_state)
    assert bits((params, state)) == bits((theirs, their_state))


def test_decay_before_the_learning_rate_equals_decay_in_it(device: str) -> None:
    apart = optim.chain(optim.add_decayed_weights(0.1), optim.scale_by_learning_rate(0.5))
    rates = (0.5, na.asarray(0.5, dtype=na.float64, device=device), lambda step: 0.5)
    params = arrays(host_values("mlp", "float64", 0), device)
    gradients = arrays(recorded("mlp", "float64", 1)[0], device)
    wanted, _ = optim.step(apart, params, gradients, apart.init(params))
    for rate in rates:
        together = optim.chain(optim.scale_by_learning_rate(rate, weight_decay=0.1))
        stepped, _ = optim.step(together, params, gradients, together.init(params))
        updates, _ = together.update(gradients, together.init(params), params)
        for name in params:
            for found in (stepped, optim.apply_updates(params, updates)):
                np.testing.assert_allclose(found[name].numpy(), wanted[name].numpy(), rtol=1e-13, atol=1e-15)


def test_a_chain_that_ends_in_a_users_transformation_donates_too(device: str) -> None:
    opt = optim.chain(optim.sgd(1.0), clip(0.5))
    params, gradients = na.asarray([1.0, 2.0], device=device), na.asarray([3.0, 0.25], device=device)
    before = address(params)
    new, _ = optim.step(opt, params, gradients, opt.init(params), donate=True)
    assert new.numpy().tolist() == [0.5, 1.75]
    assert address(new) == before
    with pytest.raises(na.DonatedError):
        params.numpy()


def test_extra_arguments_reach_every_transformation() -> None:
    seen = []

    def update(
        updates: T, state: optim.EmptyState, params: T | None = None, /, **extra: Any
    ) -> tuple[T, optim.EmptyState]:
        seen.append(extra)
        return updates, state

    listener = optim.GradientTransformation(lambda params: optim.EmptyState(), update)
    opt = optim.chain(optim.sgd(0.1, momentum=0.9), listener, optim.adam(0.1), listener)
    params = na.asarray([1.0])
    optim.step(opt, params, params, opt.init(params), value=3.0)
    opt.update(params, opt.init(params), params, value=3.0)
    assert seen == [{"value": 3.0, "donate": None}] * 4


# --- State ---
def test_state_has_named_paths_in_the_structure_of_the_parameters() -> None:
    params = {"layers": [{"weight": na.zeros((2, 3)), "bias": na.zeros((2,))}]}
    adam = optim.adam(0.1).init(params)
    assert [path for path, _ in na.tree.leaves_with_paths(adam)] == [
        "1.step",
        "1.mean.layers.0.bias",
        "1.mean.layers.0.weight",
        "1.square.layers.0.bias",
        "1.square.layers.0.weight",
    ]
    assert na.tree.structure(adam[1].mean) == na.tree.structure(params)
    assert na.tree.leaves(optim.sgd(0.1).init(params)) == []
    momentum = optim.sgd(lambda step: 0.1, momentum=0.9).init(params)
    assert [path for path, _ in na.tree.leaves_with_paths(momentum)] == [
        "1.step",
        "1.trace.layers.0.bias",
        "1.trace.layers.0.weight",
        "2.step",
    ]


def test_state_is_of_the_parameters_kind(device: str) -> None:
    params = {"a": na.ones((2,), dtype=na.float64, device=device), "b": na.ones((), dtype=na.float16, device=device)}
    mean = optim.adam(0.1).init(params)[1].mean
    assert isinstance(mean, dict)
    for name, leaf in params.items():
        assert (mean[name].shape, mean[name].dtype, mean[name].device) == (leaf.shape, leaf.dtype, leaf.device)


@pytest.mark.parametrize("donate", [False, True])
def test_step_is_an_int64_on_the_host(device: str, donate: bool) -> None:
    opt = optim.adam(lambda step: 0.1)
    params = na.asarray([1.0], device=device)
    state = opt.init(params)
    for number in range(3):
        for step in (state[1].step, state[2].step):
            assert step is not None
            assert (step.item(), step.shape, step.dtype, str(step.device)) == (number, (), na.int64, "numpy")
        params, state = optim.step(opt, params, na.ones_like(params), state, donate=donate)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_a_run_resumed_from_stored_values_is_the_unbroken_run(row: Row, device: str) -> None:
    opt = row.ours(lambda step: row.lr / (1 + int(step)))
    params = arrays(host_values("mlp", "float32", 0), device)
    run: Any = (params, opt.init(params))
    stored: Any = None
    for number, values in enumerate(recorded("mlp", "float32", 10)):
        if number == 5:
            stored = [(np.array(leaf.numpy()), str(leaf.device)) for leaf in na.tree.leaves(run)]
        run = optim.step(opt, run[0], arrays(values, device), run[1], donate=True)
    like = arrays(host_values("mlp", "float32", 1), device)
    treedef = na.tree.structure((like, opt.init(like)))
    resumed = na.tree.unflatten(treedef, [na.asarray(value, device=place) for value, place in stored])
    for values in recorded("mlp", "float32", 10)[5:]:
        resumed = optim.step(opt, resumed[0], arrays(values, device), resumed[1], donate=True)
    assert bits(resumed) == bits(run)
