"""Where eigenvectors and singular vectors are not unique: their phases, and values that repeat.

A vector is determined up to its phase (a real one up to its sign). The kernels choose it so that the vector's first
component of at least `ANCHOR` times its largest modulus is positive: the anchor. That makes the vectors the same on
every backend, and gives complex ones a derivative. The largest component itself would be a worse anchor: in many
matrices two are equal in size, and which is larger is a matter of rounding.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from neo_array._array import Array
from neo_array.ops.arithmetic import abs as abs_
from neo_array.ops.arithmetic import stop_gradient, where
from neo_array.ops.complex_parts import imag, real
from neo_array.ops.matrices import columns, constant, is_complex, rounding, rows
from neo_array.ops.reductions import any as any_
from neo_array.ops.reductions import argmax
from neo_array.ops.reductions import max as max_
from neo_array.ops.reductions import sum as sum_

ANCHOR: Final = 0.55


# --- Phases ---
def phases(vectors: Any) -> Any:
    """Return the phases of the anchors of NumPy column vectors, as a row: divided by them, the anchors are positive."""
    if not vectors.size:
        return np.ones_like(vectors, shape=(*vectors.shape[:-2], 1, vectors.shape[-1]))
    size = np.abs(vectors)
    place = np.argmax(size >= ANCHOR * size.max(-2, keepdims=True), -2)[..., None, :]
    anchor = np.take_along_axis(vectors, place, -2)
    size = np.take_along_axis(size, place, -2)
    return np.where(size > 0, anchor / np.where(size > 0, size, 1), 1)


def _anchors(vectors: Array) -> tuple[Array, Array]:
    """Return where the anchors of column vectors are, as a mask, and what they are: positive numbers."""
    fixed = stop_gradient(vectors)
    size = abs_(fixed)
    place = argmax(size >= ANCHOR * max_(size, axis=-2, keepdims=True), axis=-2, keepdims=True)
    mask = columns(constant(np.arange(vectors.shape[-2]), vectors)) == place
    return mask, real(sum_(where(mask, vectors, 0.0), axis=-2))


def turning(tangent: Array, vectors: Array) -> Array:
    """Return by how much tangents of complex column vectors must turn, as i angle vector, to leave the anchors real."""
    mask, anchors = _anchors(vectors)
    return -imag(sum_(where(mask, tangent, 0.0), axis=-2)) / anchors


def unturned(g: Array, vectors: Array, turned: Array) -> Array:
    """Return the cotangent of complex column vectors for a tangent in any phase: the transpose of `turning`.

    `turned` says by how much a turn changes the function: the imaginary part of the diagonal of vectors^H g.
    """
    mask, anchors = _anchors(vectors)
    return g - 1j * where(mask, rows(turned / anchors), 0.0)


def needs_phase(vectors: Array) -> bool:
    """Tell whether the vectors have a phase to speak of: a sign does not move."""
    return is_complex(vectors) and vectors.size > 0


# --- Values that repeat ---
def negligible(values: Array, size: int) -> Array:
    """Return what the values' differences may be by rounding alone: size times the precision of the largest."""
    fixed = abs_(stop_gradient(values))
    largest = max_(fixed, axis=-1, keepdims=True) if values.shape[-1] else fixed
    return size * rounding(values) * largest


def coinciding(values: Array, size: int) -> Array:
    """Return the pairs of values, as a mask without the diagonal, that are the same but for rounding."""
    fixed = stop_gradient(values)
    other = constant(~np.eye(values.shape[-1], dtype=bool), values)
    return (abs_(rows(fixed) - columns(fixed)) <= columns(negligible(values, size))) & other


def touched(g: Array) -> Array:
    """Return which columns have a cotangent that is not zero: what no function depends on may be degenerate."""
    return any_(stop_gradient(g) != 0, axis=-2)


def pairs(mask: Array, vectors: Array) -> Array:
    """Tell whether the mask of pairs holds for a vector that is marked."""
    return any_(mask & (rows(vectors) | columns(vectors)), axis=(-2, -1))


def reciprocal(x: Array, undefined: Array, fill: float = 0.0) -> Array:
    """Return 1 / x, and `fill`, with zero derivative, where it is undefined."""
    return where(undefined, fill, 1 / where(undefined, 1.0, x))
