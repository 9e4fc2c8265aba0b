"""Gradients written out as lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import neo_array as na
import neo_tape as nt
from neo_array import Array


def ones(f: Callable[..., Array], *args: Array) -> list[Any]:
    """Return the gradients of the sum of f's elements, one list an argument."""
    gradients: Any = nt.grad(lambda *a: na.sum(f(*a)), list(range(len(args))))(*args)
    return [gradient.numpy().tolist() for gradient in gradients]
