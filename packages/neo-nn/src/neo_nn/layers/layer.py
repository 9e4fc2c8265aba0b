"""What counts as a layer, and what a container passes on to one."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Protocol, runtime_checkable

from neo_array import Array, random
from neo_array.random import Key


@runtime_checkable
class PlainLayer(Protocol):
    """A function of its input alone."""

    def __call__(self, x: Array, /) -> Array:
        """Return the layer's output."""


@runtime_checkable
class StochasticLayer(Protocol):
    """A layer that draws random numbers, or behaves otherwise in training."""

    def __call__(self, x: Array, /, *, key: Key | None = None, train: bool = False) -> Array:
        """Return the layer's output."""


@functools.cache
def accepted(kind: type) -> frozenset[str]:
    """Return which of `key` and `train` calling a layer of this class takes; looked up once per class."""
    call: Any = kind.__call__
    parameters = inspect.signature(call).parameters
    every = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return frozenset(name for name in ("key", "train") if every or name in parameters)


def call_layer(layer: PlainLayer | StochasticLayer, x: Array, number: int, key: Key | None, train: bool) -> Array:
    """Call a container's layer with what it takes; each layer gets a key of its own, made of its number."""
    names = accepted(type(layer))
    if not names:
        return layer(x)
    options: dict[str, Any] = {"train": train} if "train" in names else {}
    if "key" in names:
        options["key"] = None if key is None else random.fold_in(key, number)
    return layer(x, **options)
