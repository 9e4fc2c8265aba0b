from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import neo_array as na
import neo_nn as nn
import neo_tape as nt
from neo_nn.losses import cross_entropy
from neo_nn.losses.cross_entropy import softmax_cross_entropy
from tests.neo_nn.oracle import assert_agrees, assert_close

REDUCTIONS: list[Any] = ["mean", "sum", "none"]
LEADING: list[tuple[int, ...]] = [(4,), (1,), (), (2, 3), (2, 3, 2), (0,), (2, 0)]
reductions = pytest.mark.parametrize("reduction", REDUCTIONS)


def flattened(reduction: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """PyTorch has the classes on axis 1; here they are on the last."""

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        rows = logits.reshape(labels.numel(), logits.shape[-1])
        out = torch.nn.functional.cross_entropy(rows, labels.reshape(-1), reduction=reduction)
        return out.reshape(labels.shape) if reduction == "none" else out

    return loss


def example(leading: tuple[int, ...], classes: int = 5, scale: float = 1.0) -> list[Any]:
    rng = np.random.default_rng(0)
    return [scale * rng.normal(size=(*leading, classes)), np.asarray(rng.integers(0, classes, size=leading))]


@pytest.mark.parametrize(
    ("leading", "reduction"),
    [(n, r) for n in LEADING for r in REDUCTIONS if not (0 in n and r == "mean")],  # nan, which has a test of its own
    ids=str,
)
def test_agrees_with_torch(leading: tuple[int, ...], reduction: Any, device: str, dtype: str) -> None:

    def ours(logits: na.Array, labels: na.Array) -> na.Array:
        return cross_entropy(logits, labels, reduction=reduction)

    assert_agrees(ours, flattened(reduction), example(leading), device=device, dtype=dtype)


@reductions
def test_is_exact_for_logits_of_ten_thousand(reduction: Any, device: str, dtype: str) -> None:
    def ours(logits: na.Array, labels: na.Array) -> na.Array:
        return cross_entropy(logits, labels, reduction=reduction)

    assert_agrees(ours, flattened(reduction), example((6,), scale=1e4), device=device, dtype=dtype)
    logits = na.asarray(np.array([[1e4, -1e4], [-1e4, 1e4]], dtype), device=device)
    labels = na.asarray([0, 0], device=device)
    np.testing.assert_array_equal(cross_entropy(logits, labels, reduction="none").numpy(), [0.0, 2e4])


def test_ties_share_the_probability(device: str) -> None:
    logits, labels = na.zeros((2, 4), device=device), na.asarray([0, 3], device=device)
    value, gradient = nt.value_and_grad(lambda x: cross_entropy(x, labels, reduction="sum"))(logits)
    assert value.item() == pytest.approx(2 * np.log(4))
    expected = np.full((2, 4), 0.25)
    expected[0, 0] = expected[1, 3] = -0.75
    np.testing.assert_allclose(gradient.numpy(), expected)


def test_class_ruled_out_by_minus_infinity_agrees_with_torch(device: str, dtype: str) -> None:
    logits = np.array([[0.5, -np.inf, 1.0], [-np.inf, 2.0, -np.inf], [0.0, 1.0, -np.inf]], dtype)
    labels = np.array([0, 1, 2])  # the last example's own class is ruled out: an infinite loss
    tensor = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(tensor, torch.tensor(labels), reduction="none")
    (slope,) = torch.autograd.grad(expected.sum(), tensor)
    x, y = na.asarray(logits, device=device), na.asarray(labels, device=device)
    losses = cross_entropy(x, y, reduction="none")
    np.testing.assert_allclose(losses.numpy(), expected.detach().numpy(), rtol=1e-6)
    assert np.isposinf(losses.numpy()[2])
    gradient = nt.grad(lambda x: cross_entropy(x, y, reduction="sum"))(x)
    assert_close(gradient, slope, dtype, "gradient")


def test_example_with_every_class_ruled_out_is_nan_as_in_torch(device: str) -> None:
    x, y = na.asarray([[-np.inf, -np.inf], [0.0, 1.0]], device=device), na.asarray([0, 1], device=device)
    losses, pullback = nt.vjp(lambda x: cross_entropy(x, y, reduction="none"), x)
    assert np.isnan(losses.numpy()).tolist() == [True, False]
    assert np.isnan(pullback(na.ones_like(losses))[0].numpy()).tolist() == [[True, True], [False, False]]


def test_second_derivative_with_infinite_logits_is_finite(device: str) -> None:
    x, y = na.asarray([[0.5, -np.inf, 1.0]], device=device), na.asarray([0], device=device)
    curve = nt.grad(lambda x: na.sum(nt.grad(lambda x: cross_entropy(x, y))(x)[0, 0]))(x)
    assert np.isfinite(curve.numpy()).all()


@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_mean_over_an_empty_batch_is_nan_as_in_torch(shape: tuple[int, ...], device: str) -> None:
    x, y = na.zeros(shape, device=device), na.zeros(shape[:-1], dtype=na.int64, device=device)
    value, gradient = nt.value_and_grad(lambda x: cross_entropy(x, y))(x)
    assert np.isnan(value.item())
    assert gradient.shape == shape


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8"])
def test_labels_of_any_integer_dtype(kind: str, device: str) -> None:
    logits, labels = example((4,))
    x = na.asarray(logits, device=device)
    expected = cross_entropy(x, na.asarray(labels, device=device)).item()
    assert cross_entropy(x, na.asarray(labels.astype(kind), device=device)).item() == expected


def test_strided_logits_and_labels(device: str) -> None:
    logits, labels = example((4, 6))
    x, y = na.asarray(logits, device=device), na.asarray(labels, device=device)
    expected = cross_entropy(
        na.asarray(np.array(logits[::2, ::3]), device=device), na.asarray(np.array(labels[::2, ::3]), device=device)
    )
    assert cross_entropy(x[::2, ::3], y[::2, ::3]).item() == pytest.approx(expected.item(), rel=1e-12)


def test_cotangent_is_not_written_into(device: str) -> None:
    logits, labels = example((4,))
    x, y = na.asarray(logits, device=device), na.asarray(labels, device=device)
    out, pullback = nt.vjp(lambda x: cross_entropy(x, y, reduction="none"), x)
    cotangent = na.ones_like(out)
    first = pullback(cotangent)[0].numpy().copy()
    np.testing.assert_array_equal(cotangent.numpy(), np.ones(4))
    np.testing.assert_array_equal(pullback(cotangent)[0].numpy(), first)
    np.testing.assert_array_equal(x.numpy(), logits)


# --- Errors ---
@pytest.mark.parametrize("label", [5, -1, -100, 2**40, -(2**63)])
def test_label_out_of_range_is_named(label: int, device: str) -> None:
    x, y = na.zeros((2, 5), device=device), na.asarray(np.array([1, label]), device=device)
    for reduction in REDUCTIONS:
        with pytest.raises(
            IndexError, match=rf"labels must be in \[0, 5\), got values from {min(1, label)} to {max(1, label)}"
        ):
            cross_entropy(x, y, reduction=reduction)


def test_failure_of_the_kernel_itself_is_not_blamed_on_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    for shape in ((2, 5), (0, 5)):
        x, y = na.zeros(shape, device="numpy"), na.zeros(shape[:1], dtype=na.int64, device="numpy")
        cross_entropy(x, y)
        with monkeypatch.context() as patch:
            patch.setitem(softmax_cross_entropy.kernels, np.ndarray, fail)
            with pytest.raises(MemoryError):
                cross_entropy(x, y)


@pytest.mark.parametrize("labels", [(4, 5), (4, 1), (5,), (), (1, 4)])
def test_labels_of_another_shape_are_refused(labels: tuple[int, ...], device: str) -> None:
    with pytest.raises(na.ShapeError, match=r"labels must have shape \(4,\) for logits \(4, 5\), got "):
        cross_entropy(na.zeros((4, 5), device=device), na.zeros(labels, dtype=na.int64, device=device))


@pytest.mark.parametrize("shape", [(), (3, 0)])
def test_logits_without_classes_are_refused(shape: tuple[int, ...], device: str) -> None:
    with pytest.raises(na.ShapeError, match="logits need an axis of classes, got shape"):
        cross_entropy(na.zeros(shape, device=device), na.zeros(shape[:-1], dtype=na.int64, device=device))


@pytest.mark.parametrize("kind", ["float32", "bool"])
def test_labels_that_are_no_integers_are_refused(kind: str, device: str) -> None:
    with pytest.raises(na.DTypeError, match=f"labels must be an Array of integers, got dtype {kind}"):
        cross_entropy(na.zeros((4, 5), device=device), na.zeros((4,), dtype=kind, device=device))


def test_labels_that_are_no_array_are_refused(device: str) -> None:
    labels: Any = [0, 1, 2, 3]
    with pytest.raises(na.DTypeError, match=r"labels must be an Array of integers, got list; write na.asarray"):
        cross_entropy(na.zeros((4, 5), device=device), labels)


@pytest.mark.parametrize("kind", ["int64", "bool", "complex64"])
def test_logits_that_are_not_floating_are_refused(kind: str, device: str) -> None:
    with pytest.raises(na.DTypeError, match=f"logits must be floating, got {kind}"):
        cross_entropy(na.zeros((4, 5), dtype=kind, device=device), na.zeros((4,), dtype=na.int64, device=device))


def test_devices_must_agree(device: str) -> None:
    other = "numpy" if device != "numpy" else "torch:cpu"
    with pytest.raises(na.DeviceError):
        cross_entropy(na.zeros((4, 5), device=device), na.zeros((4,), dtype=na.int64, device=other))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "bce_with_logits"])
def test_another_reduction_is_refused(loss: str) -> None:
    with pytest.raises(ValueError, match=rf'{loss}: reduction must be "mean", "sum" or "none", got \'avg\''):
        getattr(nn.losses, loss)(na.zeros((4, 5)), na.zeros((4,), dtype=na.int64), reduction="avg")
