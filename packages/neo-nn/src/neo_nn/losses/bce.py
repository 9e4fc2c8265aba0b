"""Binary cross-entropy from logits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array import Array, Sample, bind, primitive, sample
from neo_nn.functional.sigmoid import sigmoid
from neo_nn.losses._reduction import Reduction, check_reduction, check_same_shape, reduce


@primitive(kind="elementwise", floating=True)
def logistic_loss(x: Array, y: Array, /) -> Array:
    """Return -y * log(sigmoid(x)) - (1 - y) * log(1 - sigmoid(x)) as max(x, 0) - x * y + log1p(exp(-abs(x)))."""
    return bind(logistic_loss, x, y)


logistic_loss.kernel("torch")("neo_nn._torch.losses:logistic_loss")
logistic_loss.vjp(x=lambda g, x, y: g * (sigmoid(x) - y), y=lambda g, x: -(g * x))


@logistic_loss.kernel("numpy")
@np.errstate(all="ignore")
def _(x: Any, y: Any) -> Any:
    return np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))


def bce_with_logits(logits: Array, target: Array, /, *, reduction: Reduction = "mean") -> Array:
    """Return the binary cross-entropy between sigmoid(logits) and a target probability, exact also for logits of 1e4.

    Args:
        logits: any shape.
        target: the same shape; probabilities in [0, 1]. Integers and booleans count as 0 and 1.
        reduction: `"mean"` over all elements, `"sum"`, or `"none"` for one value per element. The mean of none is nan.

    Raises:
        ShapeError: if the shapes differ, even where they would broadcast.
        ValueError: for another reduction.
    """
    check_reduction("bce_with_logits", reduction)
    check_same_shape("bce_with_logits", logits, target)
    return reduce(logistic_loss(logits, target), reduction)


# --- Samples ---
@logistic_loss.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), rng.uniform(size=(3, 5)))
    yield sample(rng.normal(size=()), rng.uniform(size=()))
    yield sample(np.array([-40.0, 0.0, 40.0]), np.array([1.0, 0.0, 1.0]))
    yield sample(rng.normal(size=(0, 2)), rng.uniform(size=(0, 2)))
