"""Initial values for weights, from explicit keys: the same key gives the same values on every backend and device.

Every scheme is called as `scheme(key, shape, dtype=..., device=...)`; options are fixed with `functools.partial`.
Shapes are PyTorch's: (out, in) for a linear map, (out, in, *kernel) for a convolution. A unit's fan_in is
in * prod(kernel), its fan_out out * prod(kernel).
"""

from __future__ import annotations

import math
from typing import Literal, Protocol, TypeAlias

import neo_array as na
from neo_array import Array, ShapeError
from neo_array.random import Key

Shape: TypeAlias = tuple[int, ...]
Mode: TypeAlias = Literal["fan_in", "fan_out"]


class Initializer(Protocol):
    """What makes a weight: any of the functions below."""

    def __call__(
        self, key: Key, shape: Shape, /, *, dtype: object | None = None, device: na.Device | str | None = None
    ) -> Array:
        """Return an array of this shape."""


def fans(shape: Shape, /) -> tuple[int, int]:
    """Return fan_in and fan_out of a weight.

    Raises:
        ShapeError: if the shape has fewer than two axes.
    """
    if len(shape) < 2:
        raise ShapeError(
            f"initializers: a shape (out, in, ...) has at least two axes, got {shape}; use uniform or zeros for a bias"
        )
    out, into, *kernel = shape
    return into * math.prod(kernel), out * math.prod(kernel)


# --- Xavier / Glorot ---
def xavier_uniform(
    key: Key, shape: Shape, /, *, gain: float = 1.0, dtype: object | None = None, device: na.Device | str | None = None
) -> Array:
    """Draw from U(-a, a) with a = gain * sqrt(6 / (fan_in + fan_out)), also called Glorot.

    Reference: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    eq. 16.
    """
    return uniform(key, shape, bound=gain * math.sqrt(6 / max(sum(fans(shape)), 1)), dtype=dtype, device=device)


def xavier_normal(
    key: Key, shape: Shape, /, *, gain: float = 1.0, dtype: object | None = None, device: na.Device | str | None = None
) -> Array:
    """Draw from N(0, std**2) with std = gain * sqrt(2 / (fan_in + fan_out)), also called Glorot."""
    return normal(key, shape, std=gain * math.sqrt(2 / max(sum(fans(shape)), 1)), dtype=dtype, device=device)


# --- He / Kaiming ---
def he_uniform(
    key: Key,
    shape: Shape,
    /,
    *,
    gain: float = math.sqrt(2),
    mode: Mode = "fan_in",
    dtype: object | None = None,
    device: na.Device | str | None = None,
) -> Array:
    """Draw from U(-a, a) with a = gain * sqrt(3 / fan), also called Kaiming. The default gain is relu's.

    Reference: He et al., "Delving deep into rectifiers", 2015, eq. 10.
    """
    return uniform(key, shape, bound=gain * math.sqrt(3 / _fan(shape, mode)), dtype=dtype, device=device)


def he_normal(
    key: Key,
    shape: Shape,
    /,
    *,
    gain: float = math.sqrt(2),
    mode: Mode = "fan_in",
    dtype: object | None = None,
    device: na.Device | str | None = None,
) -> Array:
    """Draw from N(0, std**2) with std = gain / sqrt(fan), also called Kaiming. The default gain is relu's."""
    return normal(key, shape, std=gain / math.sqrt(_fan(shape, mode)), dtype=dtype, device=device)


def _fan(shape: Shape, mode: str) -> int:
    fan_in, fan_out = fans(shape)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'initializers: mode must be "fan_in" or "fan_out", got {mode!r}')
    return max(fan_in if mode == "fan_in" else fan_out, 1)


# --- PyTorch's default for linear maps and convolutions ---
def uniform_fan_in(
    key: Key,
    shape: Shape,
    /,
    *,
    fan_in: int | None = None,
    dtype: object | None = None,
    device: na.Device | str | None = None,
) -> Array:
    """Draw from U(-a, a) with a = 1 / sqrt(fan_in). A bias, whose shape does not tell, is given its weight's fan_in."""
    fan = fans(shape)[0] if fan_in is None else fan_in
    return uniform(key, shape, bound=1 / math.sqrt(max(fan, 1)), dtype=dtype, device=device)


# --- Plain distributions and constants ---
def uniform(
    key: Key, shape: Shape, /, *, bound: float = 1.0, dtype: object | None = None, device: na.Device | str | None = None
) -> Array:
    """Draw from U(-bound, bound)."""
    drawn = na.random.uniform(key, shape, minval=-bound, maxval=bound, dtype=dtype, device="numpy")
    return _moved(drawn, device)


def normal(
    key: Key, shape: Shape, /, *, std: float = 1.0, dtype: object | None = None, device: na.Device | str | None = None
) -> Array:
    """Draw from N(0, std**2)."""
    return _moved(na.random.normal(key, shape, dtype=dtype, device="numpy") * std, device)


def _moved(drawn: Array, device: na.Device | str | None) -> Array:
    """Move what was drawn and scaled on the host: so every device gets the same bits."""
    return drawn.to(na.default_device() if device is None else device)


def constant(
    key: Key, shape: Shape, /, *, value: float, dtype: object | None = None, device: na.Device | str | None = None
) -> Array:
    """Return an array of one value; the key is not used."""
    return na.full(shape, value, dtype=na.float32 if dtype is None else dtype, device=device)


def zeros(key: Key, shape: Shape, /, *, dtype: object | None = None, device: na.Device | str | None = None) -> Array:
    """Return zeros; the key is not used."""
    return na.zeros(shape, dtype=dtype, device=device)


def ones(key: Key, shape: Shape, /, *, dtype: object | None = None, device: na.Device | str | None = None) -> Array:
    """Return ones; the key is not used."""
    return na.ones(shape, dtype=dtype, device=device)
