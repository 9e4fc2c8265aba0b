"""Naming values in the middle of a function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from neo_array import Array, DTypeError, primitive, tree
from neo_array._primitive import Sample, bind, sample

S = TypeVar("S")


@primitive(kind="elementwise")
def named(x: Array, /, *, label: str) -> Array:
    """Return the same value: an op that shows the levels its label."""
    return bind(named, x, label=label)


named.kernel("numpy", "torch", "cupy")(lambda x, *, label: x)
named.vjp(x=lambda g: g)


@named.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), label="x")


def name(x: S, label: str, /) -> S:
    """Return the same values under a name, by which `checkpoint(f, save=[label])` knows what to keep. Takes any pytree.

    It changes no value and no derivative. Several values may share a name.

    Example:
        >>> from neo_array import asarray
        >>> name(asarray([1.0, 2.0]), "hidden").numpy().tolist()
        [1.0, 2.0]
    """
    if not isinstance(label, str):
        raise DTypeError(f"name: the label must be a str, got {label!r}; write name(x, 'label')")
    leaves, treedef = tree.flatten(x)
    found: list[Any] = [bind(named, leaf, label=label) if type(leaf) is Array else leaf for leaf in leaves]
    result: S = tree.unflatten(treedef, found)
    return result
