"""Arrays themselves: operators, methods, and what must not be done with them."""

from __future__ import annotations

from typing import reveal_type

import neo_array as na
from neo_array import Array


def use(x: Array, key: Array) -> None:
    reveal_type(2.0 * x + x / 3)  # R: Array
    reveal_type(x[0, ..., None])  # R: Array
    reveal_type(x @ x.T)  # R: Array
    reveal_type(x == 0)  # R: Array
    reveal_type(x.shape)  # R: tuple[int, ...]
    reveal_type(na.sum(x, axis=(0, 1), keepdims=True))  # R: Array
    reveal_type(na.random.normal(key, (2, 3)))  # R: Array
    reveal_type(list(x))  # R: list[Array]


def misuse(x: Array, key: Array) -> None:
    x[0] = 1.0  # E
    x + "1"  # E
    na.sum(x, 0)  # E
    na.random.normal(0, (2, 3))  # E
    x.grad  # E
    na.add(x=x, y=x)  # E
