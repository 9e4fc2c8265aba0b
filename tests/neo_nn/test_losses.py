from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neo_array as na
import neo_nn as nn
from tests.neo_nn.oracle import assert_agrees

rng = np.random.default_rng(0)
LOSSES: dict[str, tuple[Any, Any]] = {
    "mse": (nn.losses.mse, torch.nn.functional.mse_loss),
    "bce_with_logits": (nn.losses.bce_with_logits, torch.nn.functional.binary_cross_entropy_with_logits),
}
losses = pytest.mark.parametrize("loss", LOSSES)


SHAPES: list[tuple[int, ...]] = [(4,), (1,), (), (3, 5), (2, 3, 4), (0, 2)]


@losses
@pytest.mark.parametrize(
    ("shape", "reduction"),
    # the mean of nothing is nan, which has a test of its own
    [(s, r) for s in SHAPES for r in ("mean", "sum", "none") if not (0 in s and r == "mean")],
    ids=str,
)
def test_loss_agrees_with_torch(loss: str, shape: tuple[int, ...], reduction: str, device: str, dtype: str) -> None:
    ours, theirs = LOSSES[loss]
    assert_agrees(
        lambda x, y: ours(x, y, reduction=reduction),
        lambda x, y: theirs(x, y, reduction=reduction),
        [np.asarray(rng.normal(size=shape)), np.asarray(rng.uniform(size=shape))],
        device=device,
        dtype=dtype,
    )


@losses
def test_mean_of_nothing_is_nan_as_in_torch(loss: str, device: str) -> None:
    assert np.isnan(LOSSES[loss][0](na.zeros((0, 2), device=device), na.zeros((0, 2), device=device)).item())


@losses
@pytest.mark.parametrize("shapes", [((4, 1), (4,)), ((4,), ()), ((2, 3), (3, 2))])
def test_shapes_that_only_broadcast_are_refused(loss: str, shapes: Any, device: str) -> None:
    x, y = (na.zeros(shape, device=device) for shape in shapes)
    with pytest.raises(na.ShapeError, match=rf"{loss}: prediction and target must have the same shape, got \("):
        LOSSES[loss][0](x, y)


def test_bce_is_exact_for_extreme_logits(device: str, dtype: str) -> None:
    x = np.array([1e4, -1e4, 1e4, -1e4, 50.0, -50.0, 0.0], dtype)
    y = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.5], dtype)
    values = nn.losses.bce_with_logits(
        na.asarray(x, device=device), na.asarray(y, device=device), reduction="none"
    ).numpy()
    small = np.log1p(np.exp(-50.0))
    np.testing.assert_allclose(values, [0.0, 0.0, 1e4, 1e4, small, small, np.log(2.0)], rtol=1e-6)


def test_bce_of_extreme_logits_agrees_with_torch(device: str, dtype: str) -> None:
    ours, theirs = LOSSES["bce_with_logits"]
    x = np.array([1e4, -1e4, 1e4, -1e4, 0.0])
    y = np.array([1.0, 0.0, 0.0, 1.0, 0.3])
    assert_agrees(ours, theirs, [x, y], device=device, dtype=dtype)


def test_bce_takes_integer_and_boolean_targets(device: str) -> None:
    x = na.asarray([0.5, -1.0, 2.0], device=device)
    expected = nn.losses.bce_with_logits(x, na.asarray([1.0, 0.0, 1.0], device=device)).item()
    for target in ([1, 0, 1], [True, False, True]):
        got = nn.losses.bce_with_logits(x, na.asarray(target, device=device))
        assert got.dtype == na.float32
        assert got.item() == expected


@losses
def test_devices_must_agree(loss: str) -> None:
    with pytest.raises(na.DeviceError, match="numpy and torch:cpu"):
        LOSSES[loss][0](na.zeros((4,), device="numpy"), na.zeros((4,), device="torch:cpu"))
