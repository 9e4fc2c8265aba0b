"""Logistic sigmoid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array import Array, Sample, bind, primitive, sample


@primitive(kind="elementwise", floating=True)
def sigmoid(x: Array, /) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow: 0 and 1 at -1e4 and 1e4."""
    return bind(sigmoid, x)


sigmoid.kernel("torch")("torch:sigmoid")
sigmoid.vjp(x=lambda g, out: g * (out * (1 - out)))


@sigmoid.kernel("numpy")
def _(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, np.ones((), x.dtype)) / (1 + e)


# --- Samples ---
@sigmoid.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)))
    yield sample(rng.normal(size=()))
    yield sample(rng.normal(size=(0, 2)))
    yield sample(np.array([-40.0, 40.0]))
