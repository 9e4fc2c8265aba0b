"""Sizes of layers."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from neo_array import ShapeError


def as_size(what: str, value: object) -> int:
    """Return a size as an int, or raise ShapeError unless it is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex) or (size := operator.index(value)) < 1:
        raise ShapeError(f"{what} must be a positive integer, got {value!r}")
    return size
