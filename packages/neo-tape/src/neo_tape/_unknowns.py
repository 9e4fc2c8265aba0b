"""The unknowns of an equation: their structure, and what a function of them must return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neo_array import Array, DTypeError, NeoError, asarray, stop_gradient, tree
from neo_array._bind import is_differentiable
from neo_tape._meta import Meta


class ConvergenceError(NeoError, ArithmeticError):
    """An iteration did not arrive where it should."""


class Unknowns:
    """A pytree of real floating arrays; `who` is the user's call."""

    __slots__ = ("leaves", "metas", "paths", "tree", "treedef", "who")

    def __init__(self, guess: object, who: str) -> None:
        self.who = who
        self.treedef = tree.structure(guess)
        self.paths = [path for path, _ in tree.leaves_with_paths(guess)]
        self.leaves = [self._unknown(leaf, path) for path, leaf in zip(self.paths, tree.leaves(guess), strict=True)]
        self.metas = list(map(Meta, self.leaves))
        self.tree = self.structured(self.leaves)

    def _unknown(self, leaf: object, path: str) -> Array:
        """Return a leaf of the guess as an Array. The guess is a constant: the solution does not depend on it."""
        x = asarray(leaf) if isinstance(leaf, float) else leaf
        if type(x) is not Array or not is_differentiable(x) or x.dtype.kind == "c":
            kind = f"dtype {x.dtype}" if type(x) is Array else f"type {type(x).__name__}"
            raise DTypeError(
                f"{self.who}: the unknown{_at(path)} has {kind}, and must be a real floating Array; start from "
                "x.astype(na.float32), split a complex number into its parts, and leave constants to closures"
            )
        return stop_gradient(x)

    def structured(self, leaves: list[Array]) -> Any:
        """Return arrays in the structure of the unknowns."""
        return tree.unflatten(self.treedef, leaves)

    def checked(self, value: object, what: str) -> list[Array]:
        """Return the leaves of what must look like the unknowns; `what` says whose it is: "f must return"."""
        found = tree.match(self.treedef, self.tree, value, f"{self.who}: {what} the structure of the unknowns;")
        return [self._like(*row, what) for row in zip(found, self.metas, self.paths, strict=True)]

    def _like(self, leaf: object, meta: Meta, path: str, what: str) -> Array:
        x = asarray(leaf, dtype=meta.dtype, device=meta.device) if isinstance(leaf, int | float) else leaf
        if type(x) is Array and Meta(x) == meta:
            return x
        got = Meta(x) if type(x) is Array else f"type {type(x).__name__}"
        raise DTypeError(f"{self.who}: {what} what looks like the unknown{_at(path)} ({meta}), got {got}")

    def function(self, f: Callable[[list[Array]], list[Array]], what: str) -> Callable[[Any], Any]:
        """Return a function of lists as one of pytrees."""
        return lambda x: self.structured(f(self.checked(x, f"{what} must be called with")))


def _at(path: str) -> str:
    return f" at {path!r}" if path else ""
