"""Leaving the graph, on purpose."""

from __future__ import annotations

from typing import Any, TypeVar

import neo_array as na
from neo_array import Array, tree

S = TypeVar("S")


def stop_gradient(x: S, /) -> S:
    """Return the same values as constants: no derivative flows through them, in any mode or order. Takes any pytree."""
    leaves, treedef = tree.flatten(x)
    stopped: list[Any] = [na.stop_gradient(leaf) if type(leaf) is Array else leaf for leaf in leaves]
    result: S = tree.unflatten(treedef, stopped)
    return result
