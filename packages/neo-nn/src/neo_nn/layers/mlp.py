"""Multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from neo_array import Array, Device, ShapeError, random
from neo_array.random import Key
from neo_nn._module import Module, static
from neo_nn.functional.relu import relu
from neo_nn.initializers import Initializer
from neo_nn.layers._sizes import as_size
from neo_nn.layers.linear import Linear

if TYPE_CHECKING:
    from typing import Self


class MLP(Module):
    """Linear layers with an activation between each two; none after the last.

    Example:
        >>> model = MLP.init(key, (784, 256, 64, 10))
        >>> logits = model(images)  # (batch, 784) -> (batch, 10)
    """

    layers: tuple[Linear, ...]
    activation: Callable[[Array], Array] = static(default=relu)

    @classmethod
    def init(
        cls,
        key: Key,
        widths: Sequence[int],
        /,
        *,
        activation: Callable[[Array], Array] = relu,
        bias: bool = True,
        weight_init: Initializer | None = None,
        dtype: object | None = None,
        device: Device | str | None = None,
    ) -> Self:
        """Make a network with random weights.

        Args:
            key: random key.
            widths: sizes from the input over the hidden layers to the output: at least two.
            activation: a function of one array, applied after every layer but the last.
            bias: whether the layers have one.
            weight_init: scheme for the weights; see `Linear.init`.
            dtype: floating dtype of the parameters, float32 by default.
            device: where they live, the default device if None.

        Raises:
            ShapeError: for fewer than two widths, or one that is not a positive integer.
        """
        sizes = tuple(as_size(f"MLP.init: width {i}", n) for i, n in enumerate(widths))
        if len(sizes) < 2:
            raise ShapeError(f"MLP.init: needs at least two widths, of the input and of the output, got {widths!r}")
        keys = random.split(key, len(sizes) - 1)
        layers = tuple(
            Linear.init(k, n, m, bias=bias, weight_init=weight_init, dtype=dtype, device=device)
            for k, n, m in zip(keys, sizes, sizes[1:], strict=False)
        )
        return cls(layers, activation)

    def __call__(self, x: Array, /) -> Array:
        """Apply the layers: (..., widths[0]) -> (..., widths[-1])."""
        *hidden, last = self.layers
        activation = self.activation
        for layer in hidden:
            x = activation(layer(x))
        return last(x)
