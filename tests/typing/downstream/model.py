"""A model of modules, and a registered dataclass: both keep their own type through every transform."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import reveal_type

import neo_array as na
import neo_nn as nn
from neo_array import Array


class Residual(nn.Module):
    """A module with children, one of them optional, and an option."""

    inner: nn.Linear
    gain: Array | None
    scale: float = nn.static(default=1.0)

    def __call__(self, x: Array) -> Array:
        y = x + self.scale * nn.relu(self.inner(x))
        return y if self.gain is None else y * self.gain


class Model(nn.Module):
    """A small classifier."""

    blocks: tuple[Residual, ...]
    head: nn.Linear

    @classmethod
    def init(cls, key: Array, width: int, classes: int) -> Model:
        first, second = na.random.split(key)
        block = Residual(nn.Linear.init(first, width, width), None, scale=0.5)
        return cls((block,), nn.Linear.init(second, width, classes))

    def __call__(self, x: Array) -> Array:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


@dataclass
class Temperature:
    """A class of the user's own, made a pytree by registering it."""

    value: Array
    name: str


def _flatten(t: Temperature) -> tuple[tuple[object, ...], str, tuple[str, ...]]:
    return (t.value,), t.name, ("value",)


def _unflatten(name: str, children: Iterable[Array]) -> Temperature:
    (value,) = children
    return Temperature(value, name)


na.tree.register(Temperature, _flatten, _unflatten)


def build(key: Array) -> None:
    model = Model.init(key, 64, 10)
    reveal_type(model)  # R: Model
    reveal_type(model.blocks[0].gain)  # R: Array | None
    reveal_type(model.head.weight)  # R: Array
    reveal_type(model.replace(head=nn.Linear.init(key, 64, 2)))  # R: Model
    reveal_type(na.tree.tree_map(lambda leaf: leaf * 2.0, model))  # R: Model
    reveal_type(nn.MLP.init(key, (784, 256, 10)))  # R: MLP


def misuse(model: Model, key: Array) -> None:
    model.head = nn.Linear.init(key, 64, 2)  # E
    Residual(model.head, None, scale="large")  # E
    Residual(model.head)  # E
    Model.init(key, "64", 10)  # E
    model.blocks[0](1, 2)  # E
