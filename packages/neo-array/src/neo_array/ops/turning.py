"""Turning: elements in another order along whole axes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neo_array._array import Array
from neo_array._batching import batch_by_axis
from neo_array._bind import as_sizes, need_arrays
from neo_array._described import first, same
from neo_array._errors import ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.shaping import Places, normalize_axes, normalize_axis, permute_dims, reshape


@primitive(kind="linear")
def reverse(x: Array, /, *, axes: tuple[int, ...]) -> Array:
    """Reverse the order along axes."""
    return bind(reverse, x, axes=axes)


@primitive(kind="linear")
def rotate(x: Array, /, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """Shift along axes; what leaves at one end comes in at the other."""
    return bind(rotate, x, shifts=shifts, axes=axes)


reverse.kernel("numpy")(lambda x, *, axes: np.flip(x, axes))
reverse.kernel("torch")("neo_array.backends.torch_kernels.shaping:reverse")
rotate.kernel("numpy")(lambda x, *, shifts, axes: np.roll(x, shifts, axes))
rotate.kernel("torch")("neo_array.backends.torch_kernels.shaping:rotate")


@reverse.vjp("x")
def _(g: Array, *, axes: tuple[int, ...]) -> Array:
    return bind(reverse, g, axes=axes)


@rotate.vjp("x")
def _(g: Array, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    return bind(rotate, g, shifts=tuple(-s for s in shifts), axes=axes)


def flip(x: Array, /, *, axis: Places | None = None) -> Array:
    """Reverse the order along axes (all of them by default)."""
    need_arrays("flip", x)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axes("flip", x, axis)
    return bind(reverse, x, axes=axes) if axes else x


def roll(x: Array, /, shift: Places, *, axis: Places | None = None) -> Array:
    """Shift elements along axes; what leaves at one end comes in at the other.

    Args:
        x: any array.
        shift: by how many places, towards higher indices; one number for all axes, or a tuple with one for each.
        axis: along which; shifts along an axis named twice add up. None: along the flattened array.
    """
    need_arrays("roll", x)
    if axis is None:
        return reshape(roll(reshape(x, -1), shift, axis=0), x.shape)
    shifts = as_sizes("roll", shift)
    axes = tuple(normalize_axis("roll", x, a) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if isinstance(shift, tuple | list) and len(shifts) not in (1, len(axes)) and len(axes) != 1:
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes; give one for each")
    totals = dict.fromkeys(axes, 0)
    for a, s in np.broadcast(axes, shifts):
        totals[int(a)] += int(s)
    moved = {a: s % x.shape[a] for a, s in totals.items() if x.shape[a] and s % x.shape[a]}
    return bind(rotate, x, shifts=tuple(moved.values()), axes=tuple(moved)) if moved else x


def rot90(x: Array, /, *, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """Turn by k quarters in the plane of two axes, from the first towards the second."""
    need_arrays("rot90", x)
    if len(axes) != 2:
        raise ShapeError(f"rot90: a plane has two axes, got {axes}")
    first, second = normalize_axes("rot90", x, axes)
    turns = k % 4
    if turns == 2:
        return flip(x, axis=(first, second))
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    if turns == 1:
        return permute_dims(flip(x, axis=second), tuple(order))
    return flip(permute_dims(x, tuple(order)), axis=second) if turns else x


# --- Batches ---
for _op in (reverse, rotate):
    _op.batch(batch_by_axis(_op, "axes"))


# --- Shapes ---
reverse.shape(same, dtype=first)
rotate.shape(same, dtype=first)


# --- Samples ---
@reverse.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), axes=(1,))
    yield sample(rng.normal(size=(2, 3, 5)), axes=(0, 2))
    yield sample(rng.normal(size=(0, 2)) + 0j, axes=(0, 1))


@rotate.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), shifts=(2,), axes=(1,))
    yield sample(rng.normal(size=(2, 3, 5)), shifts=(1, -1), axes=(2, 1))
