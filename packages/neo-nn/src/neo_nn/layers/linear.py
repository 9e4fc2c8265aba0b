"""Linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neo_array import Array, Device, random
from neo_array.random import Key
from neo_nn._module import Module
from neo_nn.functional.linear import linear
from neo_nn.initializers import Initializer, uniform_fan_in
from neo_nn.layers._sizes import as_size

if TYPE_CHECKING:
    from typing import Self


class Linear(Module):
    """Affine map of the last axis: x @ weight.T + bias.

    Shapes: weight (out_features, in_features), bias (out_features,) or None;
    x (..., in_features) -> (..., out_features).
    """

    weight: Array
    bias: Array | None

    @classmethod
    def init(
        cls,
        key: Key,
        in_features: int,
        out_features: int,
        /,
        *,
        bias: bool = True,
        weight_init: Initializer | None = None,
        dtype: object | None = None,
        device: Device | str | None = None,
    ) -> Self:
        """Make a layer with random weights.

        Args:
            key: random key.
            in_features: size of the input's last axis.
            out_features: size of the output's last axis.
            bias: whether to add a bias.
            weight_init: a scheme of `neo_nn.initializers`; by default, as in PyTorch, U(-a, a) with
                a = 1 / sqrt(in_features). The bias is drawn from that distribution in any case.
            dtype: floating dtype of weight and bias, float32 by default.
            device: where they live, the default device if None.

        Raises:
            ShapeError: if a size is not a positive integer.
        """
        n, m = as_size("Linear.init: in_features", in_features), as_size("Linear.init: out_features", out_features)
        weight_key, bias_key = random.split(key)
        scheme = uniform_fan_in if weight_init is None else weight_init
        weight = scheme(weight_key, (m, n), dtype=dtype, device=device)
        if not bias:
            return cls(weight, None)
        return cls(weight, uniform_fan_in(bias_key, (m,), fan_in=n, dtype=dtype, device=device))

    @property
    def in_features(self) -> int:
        """The size of the input's last axis."""
        return self.weight.shape[1]

    @property
    def out_features(self) -> int:
        """The size of the output's last axis."""
        return self.weight.shape[0]

    def __call__(self, x: Array, /) -> Array:
        """Apply the map to the last axis of x."""
        return linear(x, self.weight, self.bias)
