from __future__ import annotations

import numpy as np
import pytest
import torch

import neo_array as na
import neo_optim as optim
from tests.neo_optim.table import NAMES, ROWS, SHAPES, Row, arrays, host_values, recorded

TOLERANCE = {"float32": 1e-6, "float64": 1e-10}


def assert_close(ours: dict[str, na.Array], theirs: dict[str, torch.Tensor], dtype: str) -> None:
    for name, tensor in theirs.items():
        assert ours[name].dtype == np.dtype(dtype)
        limit = TOLERANCE[dtype]
        np.testing.assert_allclose(
            np.array(ours[name].numpy()), tensor.detach().numpy(), rtol=limit, atol=limit, err_msg=name
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_optimizer_follows_torch_for_100_steps(row: Row, shapes: str, dtype: str, device: str) -> None:
    start = host_values(shapes, dtype, 0)
    theirs = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in start.items()}
    peer = row.theirs(list(theirs.values()), row.lr)
    params, opt = arrays(start, device), row.ours(row.lr)
    state = opt.init(params)
    for number, values in enumerate(recorded(shapes, dtype, 100), start=1):
        for name, parameter in theirs.items():
            parameter.grad = torch.from_numpy(values[name].copy())
        peer.step()
        params, state = optim.step(opt, params, arrays(values, device), state, donate=True)
        if number in (1, 2, 3, 10, 50, 100):
            assert_close(params, dict(theirs), dtype)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_update_and_apply_equal_step(row: Row, device: str) -> None:
    params = stepped = arrays(host_values("mlp", "float64", 0), device)
    opt = row.ours(row.lr)
    state = stepped_state = opt.init(params)
    for values in recorded("mlp", "float64", 5):
        gradients = arrays(values, device)
        updates, state = opt.update(gradients, state, params)
        params = optim.apply_updates(params, updates)
        stepped, stepped_state = optim.step(opt, stepped, gradients, stepped_state)
    for ours, same in zip(na.tree.leaves((params, state)), na.tree.leaves((stepped, stepped_state)), strict=True):
        np.testing.assert_allclose(ours.numpy(), same.numpy(), rtol=1e-13)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_nan_and_infinity_spread_as_in_torch(row: Row, device: str) -> None:
    start = np.ones(4, np.float32)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    peer = row.theirs([theirs], row.lr)
    params, opt = na.asarray(start, device=device), row.ours(row.lr)
    state = opt.init(params)
    for bad in (0.0, np.nan, 1.0):
        values = np.array([1.0, bad, -np.inf if bad == 1.0 else 2.0, 0.0], np.float32)
        theirs.grad = torch.from_numpy(values.copy())
        peer.step()
        params, state = optim.step(opt, params, na.asarray(values, device=device), state, donate=True)
        np.testing.assert_allclose(np.array(params.numpy()), theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_half_precision_is_trained(device: str) -> None:
    params = na.asarray(np.ones(3, np.float16), device=device)
    opt = optim.sgd(0.5, momentum=0.5)
    params, _ = optim.step(
        opt, params, na.asarray(np.ones(3, np.float16), device=device), opt.init(params), donate=True
    )
    assert params.dtype == na.float16
    assert params.numpy().tolist() == [0.5] * 3
