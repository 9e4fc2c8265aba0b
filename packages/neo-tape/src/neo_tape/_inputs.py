"""The differentiated arguments: what each leaf is, and what its gradient looks like."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from neo_array import Array, DTypeError, alias, asarray, tree, zeros_like
from neo_array._bind import is_differentiable
from neo_array.backends import is_raw


class Inputs:
    """The leaves of a tree, opened for differentiation.

    Floating Arrays are passed through `alias`, an op that the outer levels see: so the same array given twice counts
    twice, and a closure over the outer array is a constant here. Python floats become 0-d Arrays. Integers, booleans
    and anything else pass through as constants.
    """

    __slots__ = ("leaves", "treedef", "watched")

    def __init__(self, values: object, who: str) -> None:
        leaves, self.treedef = tree.flatten(values)
        self.watched: list[Array] = []
        for i, leaf in enumerate(leaves):
            if type(leaf) is Array:
                if not is_differentiable(leaf):
                    continue
                opened = alias.bind(leaf)
            elif isinstance(leaf, float | complex | np.inexact):
                opened = asarray(leaf)
            elif is_raw(leaf):
                _refuse(values, leaf, who)
            else:
                continue
            leaves[i] = opened
            self.watched.append(opened)
        self.leaves: list[Any] = leaves

    def tree(self) -> Any:
        """Return the opened values in their structure."""
        return tree.unflatten(self.treedef, self.leaves)

    def gradients(self, found: dict[int, Array]) -> Any:
        """Return gradients in the structure of the inputs: zeros for what was unused or is an integer."""
        return tree.unflatten(self.treedef, [self._gradient(leaf, found) for leaf in self.leaves])

    @staticmethod
    def _gradient(leaf: Any, found: dict[int, Array]) -> Any:
        if type(leaf) is Array:
            gradient = found.get(leaf._id)
            return zeros_like(leaf) if gradient is None else gradient
        return own_zero(leaf)


def own_zero(leaf: Any) -> Any:
    """Return the derivative of a leaf that is no Array: a number's own zero, or else the leaf itself."""
    return type(leaf)(0) if isinstance(leaf, int | float | complex | np.number | np.bool_) else leaf


def _refuse(values: object, leaf: Any, who: str) -> NoReturn:
    path = next(p for p, x in tree.leaves_with_paths(values) if x is leaf)
    kind = f"{type(leaf).__module__}.{type(leaf).__name__}"
    raise DTypeError(f"{who}: the differentiated leaf {path!r} is a {kind}; wrap it in na.asarray(...)")
