"""Softmax cross-entropy from integer labels, in one op forward and one back."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from neo_array import (
    Array,
    DTypeError,
    NoDerivative,
    Sample,
    ShapeError,
    bind,
    broadcast_to,
    expand_dims,
    int64,
    mean,
    primitive,
    sample,
    softmax,
    squeeze,
    sum,
    take_along_axis,
)
from neo_array._batching import Axes, Batch, filled
from neo_array._described import Sizes, first, need
from neo_nn.losses._reduction import Reduction, check_reduction, reduce

_LABELS: Final = NoDerivative("labels are integers")


def cross_entropy(logits: Array, labels: Array, /, *, reduction: Reduction = "mean") -> Array:
    """Return -log(softmax(logits)) at the labels, exact also for logits of 1e4.

    Args:
        logits: (..., classes), floating. A class may be ruled out with -inf.
        labels: (...), integers in [0, classes).
        reduction: `"mean"` over all examples, `"sum"`, or `"none"` for one value per example. The mean over an empty
            batch is nan, as in PyTorch.

    Raises:
        ShapeError: if labels' shape is not that of logits without the last axis.
        DTypeError: if logits are not floating or labels not integers.
        IndexError: if a label is out of range. On CUDA, where looking would wait for the device, the device asserts it.
        ValueError: for another reduction.
    """
    check_reduction("cross_entropy", reduction)
    if type(labels) is not Array or labels.dtype != int64:
        labels = _as_labels(labels)
    loss: Array = softmax_cross_entropy.bind(logits, labels, reduction=reduction)
    return loss


def _as_labels(labels: object) -> Array:
    """Return class numbers as int64."""
    if not isinstance(labels, Array) or labels.dtype.kind not in "iu":
        got = f"dtype {labels.dtype}" if isinstance(labels, Array) else type(labels).__name__
        raise DTypeError(
            f"cross_entropy: labels must be an Array of integers, got {got}; write na.asarray(labels, dtype=na.int64)"
        )
    return labels.astype(int64)


# --- The loss ---
@primitive()
def softmax_cross_entropy(logits: Array, labels: Array, /, *, reduction: Reduction) -> Array:
    """Return the loss of int64 labels."""
    return bind(softmax_cross_entropy, logits, labels, reduction=reduction)


softmax_cross_entropy.kernel("torch")("neo_nn._torch.losses:softmax_cross_entropy")
softmax_cross_entropy.vjp(labels=_LABELS)


@softmax_cross_entropy.kernel("numpy")
@np.errstate(all="ignore")
def _(logits: Any, labels: Any, *, reduction: Reduction) -> Any:
    if logits.dtype.kind not in "fV" or labels.shape != logits.shape[:-1]:
        raise ValueError
    rows, at = _rows(logits), labels.reshape(-1)
    if at.size and np.maximum.reduce(at.view(np.uint64)) >= rows.shape[1]:  # a negative label is a huge unsigned one
        raise IndexError
    shifted = rows - np.maximum.reduce(rows, axis=1, keepdims=True)
    loss = np.log(np.add.reduce(np.exp(shifted), axis=1))
    loss -= shifted[np.arange(at.size), at]
    if reduction == "none":
        return loss.reshape(labels.shape)
    total = np.add.reduce(loss)
    return total / total.dtype.type(at.size) if reduction == "mean" else total


@softmax_cross_entropy.vjp("logits")
def _(g: Array, logits: Array, labels: Array, *, reduction: Reduction) -> Array:
    out: Array = cross_entropy_grad.bind(g, logits, labels, reduction=reduction)
    return out


@softmax_cross_entropy.jvp
def _(t: Array, _: None, logits: Array, labels: Array, *, reduction: Reduction) -> Array:
    return _slope(t, logits, labels, reduction)


# --- Its gradient ---
@primitive()
def cross_entropy_grad(cotangent: Array, logits: Array, labels: Array, /, *, reduction: Reduction) -> Array:
    """Return cotangent * (softmax(logits) - one_hot(labels)), over the number of examples for the mean."""
    return bind(cross_entropy_grad, cotangent, logits, labels, reduction=reduction)


cross_entropy_grad.kernel("torch")("neo_nn._torch.losses:cross_entropy_grad")
cross_entropy_grad.vjp(labels=_LABELS)


@cross_entropy_grad.kernel("numpy")
@np.errstate(all="ignore")
def _(g: Any, logits: Any, labels: Any, *, reduction: Reduction) -> Any:
    rows, at = _rows(logits), labels.reshape(-1)
    p = rows - np.maximum.reduce(rows, axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= np.add.reduce(p, axis=1, keepdims=True)
    p[np.arange(at.size), at] -= 1
    p *= g.reshape(-1, 1) if reduction == "none" else g / g.dtype.type(at.size) if reduction == "mean" else g
    return p.reshape(logits.shape)


@cross_entropy_grad.vjp("cotangent")
def _(g: Array, logits: Array, labels: Array, *, reduction: Reduction) -> Array:
    return _slope(g, logits, labels, reduction)


@cross_entropy_grad.vjp("logits")
def _(g: Array, cotangent: Array, logits: Array, *, reduction: Reduction) -> Array:
    return _curvature(g, cotangent, logits, reduction)


@cross_entropy_grad.jvp
def _(
    tc: Array | None, tx: Array | None, _: None, cotangent: Array, logits: Array, labels: Array, *, reduction: Reduction
) -> Array:
    curved = None if tx is None else _curvature(tx, cotangent, logits, reduction)
    if tc is None:
        assert curved is not None, "an input has a tangent"
        return curved
    scaled = cross_entropy_grad(tc, logits, labels, reduction=reduction)
    return scaled if curved is None else scaled + curved


# --- Derivatives along a direction t ---
def _slope(t: Array, logits: Array, labels: Array, reduction: Reduction) -> Array:
    """Return the loss's derivative: sum((softmax(logits) - one_hot(labels)) * t)."""
    at_label = squeeze(take_along_axis(t, expand_dims(labels, axis=-1), axis=-1), -1)
    return reduce(sum(softmax(logits) * t, axis=-1) - at_label, reduction)


def _curvature(t: Array, g: Array, logits: Array, reduction: Reduction) -> Array:
    """Return g times softmax's derivative, softmax(logits) * (t - sum(softmax(logits) * t)). It is symmetric in t."""
    p = softmax(logits)
    weighted = p * t
    if reduction == "none":
        g = expand_dims(g, axis=-1)
    elif reduction == "mean":
        g = g / (logits.size // logits.shape[-1])
    return g * (weighted - p * sum(weighted, axis=-1, keepdims=True))


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


# --- Errors ---
@softmax_cross_entropy.explain
def _(logits: Array, labels: Array, /, *, reduction: Reduction) -> None:
    if logits.dtype.kind not in "fV":
        raise DTypeError(f"cross_entropy: logits must be floating, got {logits.dtype}; use .astype(na.float32)")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ShapeError(f"cross_entropy: logits need an axis of classes, got shape {logits.shape}")
    if labels.shape != logits.shape[:-1]:
        raise ShapeError(
            f"cross_entropy: labels must have shape {logits.shape[:-1]} for logits {logits.shape}, got {labels.shape}; "
            "the classes are the last axis of the logits, and labels are class numbers, not one-hot rows"
        )
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high >= logits.shape[-1]:
        raise IndexError(f"cross_entropy: labels must be in [0, {logits.shape[-1]}), got values from {low} to {high}")


# --- Batches: one loss for each element, reduced over the axes of each example ---
@softmax_cross_entropy.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, reduction: Reduction) -> Batch:
    logits, labels = (filled(x, axis, size) for x, axis in zip(args, axes, strict=True))
    losses = softmax_cross_entropy(logits, labels, reduction="none")
    if reduction == "none":
        return losses, 0
    inner = tuple(range(1, losses.ndim))
    return (mean if reduction == "mean" else sum)(losses, axis=inner), 0


@cross_entropy_grad.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, reduction: Reduction) -> Batch:
    cotangent, logits, labels = (filled(x, axis, size) for x, axis in zip(args, axes, strict=True))
    if reduction == "mean":
        cotangent = cotangent / math.prod(labels.shape[1:])
    if reduction != "none":
        cotangent = broadcast_to(cotangent.reshape((size, *(1,) * (labels.ndim - 1))), labels.shape)
    return cross_entropy_grad(cotangent, logits, labels, reduction="none"), 0


# --- Shapes ---


@functools.partial(softmax_cross_entropy.shape, dtype=first)
def _(logits: Sizes, labels: Sizes, *, reduction: Reduction) -> Sizes:
    need(logits[:-1] == labels)
    return labels if reduction == "none" else ()


@functools.partial(cross_entropy_grad.shape, dtype=first)
def _(g: Sizes, logits: Sizes, labels: Sizes, *, reduction: Reduction) -> Sizes:
    need(logits[:-1] == labels)
    return logits


# --- Samples ---
def _examples(rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    for leading in [(3,), (), (2, 3), (1,)]:
        yield rng.normal(size=(*leading, 5)), np.asarray(rng.integers(0, 5, size=leading))


@softmax_cross_entropy.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for logits, labels in _examples(rng):
        for reduction in ("mean", "sum", "none"):
            yield sample(logits, labels, reduction=reduction)


@cross_entropy_grad.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for logits, labels in _examples(rng):
        yield sample(rng.normal(size=()), logits, labels, reduction="mean")
        yield sample(rng.normal(size=()), logits, labels, reduction="sum")
        yield sample(rng.normal(size=labels.shape), logits, labels, reduction="none")
