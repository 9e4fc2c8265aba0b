"""A function as a layer, and the layer that does nothing."""

from __future__ import annotations

from collections.abc import Callable

from neo_array import Array
from neo_nn._module import Module, static


class Lambda(Module):
    """Call a function. It holds no parameters: arrays that it closes over are constants."""

    f: Callable[[Array], Array] = static()

    def __call__(self, x: Array, /) -> Array:
        """Return f(x)."""
        return self.f(x)


class Identity(Module):
    """Return the input."""

    def __call__(self, x: Array, /) -> Array:
        """Return x."""
        return x
