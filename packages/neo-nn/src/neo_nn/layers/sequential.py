"""Layers one after the other."""

from __future__ import annotations

from neo_array import Array, tree
from neo_array.random import Key
from neo_nn._module import Module
from neo_nn.layers.function import Lambda
from neo_nn.layers.layer import PlainLayer, StochasticLayer, call_layer


class Sequential(Module):
    """Call layers one after the other; `key` and `train` reach those that take them.

    Each layer that takes a key gets its own, made of the given key and the layer's number. Functions are wrapped in
    `Lambda`.

    Example:
        >>> model = Sequential(Linear.init(key, 8, 16), relu, Linear.init(key, 16, 3))
    """

    layers: tuple[PlainLayer | StochasticLayer, ...]

    def __init__(self, *layers: PlainLayer | StochasticLayer) -> None:
        """Chain these layers.

        Raises:
            TypeError: if one of them cannot be called, or is a class.
        """
        object.__setattr__(self, "layers", tuple(_as_layer(i, layer) for i, layer in enumerate(layers)))

    def __call__(self, x: Array, /, *, key: Key | None = None, train: bool = False) -> Array:
        """Apply the layers."""
        for number, layer in enumerate(self.layers):
            x = call_layer(layer, x, number, key, train)
        return x


def _as_layer(number: int, layer: object) -> PlainLayer | StochasticLayer:
    if isinstance(layer, type):
        raise TypeError(
            f"Sequential: layer {number} is the class {layer.__name__}; pass an instance, {layer.__name__}.init(...)"
        )
    if not isinstance(layer, PlainLayer):
        raise TypeError(f"Sequential: layer {number} must be a layer or a function, got {type(layer).__name__}")
    is_leaf = any(leaf is layer for leaf in tree.leaves(layer))
    return Lambda(layer) if is_leaf else layer
