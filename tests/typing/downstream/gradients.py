"""A gradient has the type of what it is taken with respect to."""

from typing import reveal_type

import neo_tape as nt
from neo_array import Array


def loss(x: Array) -> Array:
    return (x * x).sum()


def use(x: Array) -> None:
    reveal_type(nt.value_and_grad(loss)(x))  # R: tuple[Array, Array]
    nt.grad(loss)("x")  # E
