"""Descriptions have a type of their own, where what is described is an Array."""

from __future__ import annotations

from typing import reveal_type

import neo_tape as nt
from neo_array import Array


def loss(w: Array, x: Array) -> Array:
    return (w * x).sum()


def several(x: Array) -> dict[str, Array]:
    return {"x": x}


w = nt.ShapeDtype((3, 4), "float64")
reveal_type(nt.eval_shape(loss, w, w))  # R: ShapeDtype
reveal_type(nt.eval_shape(loss, w, w).shape)  # R: tuple[int, ...]
reveal_type(nt.eval_shape(several, w))  # R: Any
reveal_type(nt.eval_shape(nt.value_and_grad(loss), w, w))  # R: Any
nt.eval_shape(3, w)  # E
nt.ShapeDtype("3")  # E
w.shape = (3,)  # E
reveal_type(nt.from_torch(loss)(w))  # R: Any
reveal_type(nt.to_torch(loss)(w))  # R: Any
nt.from_torch(loss, batch="map")  # E
