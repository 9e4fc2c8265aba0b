"""Mean squared error."""

from __future__ import annotations

from neo_array import Array, square
from neo_nn.losses._reduction import Reduction, check_reduction, check_same_shape, reduce


def mse(prediction: Array, target: Array, /, *, reduction: Reduction = "mean") -> Array:
    """Return the squared error, (prediction - target)**2.

    Args:
        prediction: any shape.
        target: the same shape.
        reduction: `"mean"` over all elements, `"sum"`, or `"none"` for one value per element. The mean of none is nan.

    Raises:
        ShapeError: if the shapes differ, even where they would broadcast.
        ValueError: for another reduction.
    """
    check_reduction("mse", reduction)
    check_same_shape("mse", prediction, target)
    return reduce(square(prediction - target), reduction)
