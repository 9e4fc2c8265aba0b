"""Flatten axes into one."""

from __future__ import annotations

import math

from neo_array import Array, ShapeError, reshape
from neo_nn._module import Module, static


class Flatten(Module):
    """Join the axes from `start` on into one: (batch, channels, height, width) -> (batch, channels * height * width).

    Raises:
        ShapeError: if the input has no axis number `start`.
    """

    start: int = static(default=1)

    def __call__(self, x: Array, /) -> Array:
        """Flatten x."""
        if not 0 <= self.start < x.ndim:
            raise ShapeError(f"Flatten: start={self.start} is no axis of an input of shape {x.shape}")
        return reshape(x, (*x.shape[: self.start], math.prod(x.shape[self.start :])))
