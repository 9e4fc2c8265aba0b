from __future__ import annotations

import numpy as np
import pytest
import torch

import neo_array as na
import neo_optim as optim
from tests.neo_optim.table import NAMES, ROWS, Row, arrays, host_values, recorded


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_schedule_follows_torchs(row: Row, device: str) -> None:
    def factor(step: int) -> float:
        return 0.5 ** (step // 3)

    start = host_values("mlp", "float64", 0)
    theirs = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in start.items()}
    peer = row.theirs(list(theirs.values()), row.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(peer, factor)
    params, opt = arrays(start, device), row.ours(lambda step: row.lr * factor(int(step)))
    state = opt.init(params)
    for values in recorded("mlp", "float64", 10):
        for name, parameter in theirs.items():
            parameter.grad = torch.from_numpy(values[name].copy())
        peer.step()
        schedule.step()
        params, state = optim.step(opt, params, arrays(values, device), state, donate=True)
    for name, parameter in theirs.items():
        np.testing.assert_allclose(params[name].numpy(), parameter.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_schedule_gets_the_number_of_steps_taken(device: str) -> None:
    seen: list[na.Array] = []

    def schedule(step: na.Array) -> float:
        seen.append(na.asarray(step.item()))
        assert (step.shape, step.dtype, str(step.device)) == ((), na.int64, "numpy")
        return 1.0

    opt = optim.sgd(schedule)
    params = na.asarray([0.0], device=device)
    state = opt.init(params)
    for _ in range(3):
        params, state = optim.step(opt, params, na.ones_like(params), state, donate=True)
    _, state = opt.update(params, state)
    assert [step.item() for step in seen] == [0, 1, 2, 3]
    assert params.item() == -3.0


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("dtype", [na.float32, na.float64])
def test_schedule_may_return_an_array(device: str, dtype: na.DType, donate: bool) -> None:
    opt = optim.sgd(lambda step: 1 / (step + 1))  # 1, 1/2, on the host
    params = na.asarray([0.0], dtype=dtype, device=device)
    state = opt.init(params)
    for _ in range(2):
        params, state = optim.step(opt, params, na.ones_like(params), state, donate=donate)
    assert params.item() == -1.5
    assert params.dtype == dtype


def test_schedule_may_return_an_integer() -> None:
    opt = optim.sgd(lambda step: 1)
    params = na.asarray([0.0])
    assert optim.step(opt, params, na.ones_like(params), opt.init(params))[0].item() == -1.0


@pytest.mark.parametrize("wrong", [None, "0.1", [0.1], 1j, True])
def test_schedule_that_returns_no_number_raises(wrong: object) -> None:
    opt = optim.sgd(lambda step: wrong)  # type: ignore[arg-type, return-value]
    params = na.asarray([0.0])
    with pytest.raises(
        na.DTypeError, match=r"schedule: the learning rate must be a number.*got " + type(wrong).__name__
    ):
        optim.step(opt, params, params, opt.init(params))


def test_schedule_needs_the_state_of_a_schedule() -> None:
    params = na.asarray([0.0])
    opt = optim.sgd(lambda step: 0.1)
    with pytest.raises(na.TreeError, match=r"has no step.*opt\.init\(params\)"):
        optim.step(opt, params, params, optim.sgd(0.1).init(params))
