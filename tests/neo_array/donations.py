"""What the tests of donation share: one donating call, and arrays to give to it."""

from __future__ import annotations

from typing import Any

import numpy as np

import neo_array as na
from neo_array import Array, Donated

Op = na.Primitive[..., Any]


def step(x: Array, *args: Any, op: Op = na.add_scaled, **options: Any) -> Array:
    """Donate x to an op: by default x + 10 * other."""
    if op is na.add_scaled:
        options.setdefault("scale", 10.0)
    out: Array = na.donate(op, Donated("step"), x, *args, **options)
    return out


def fresh(device: str, values: Any = (1.0, 2.0, 3.0, 4.0)) -> Array:
    return na.asarray(np.array(values).reshape(2, -1), device=device)


def ones(device: str) -> Array:
    return na.ones((2, 2), dtype=na.float64, device=device)
