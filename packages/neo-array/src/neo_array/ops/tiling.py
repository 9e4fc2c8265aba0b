"""Repeating elements, and repeating whole arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._bind import as_sizes, need_arrays
from neo_array._errors import DTypeError, LevelError, ShapeError
from neo_array._payloads import Batched
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.creation import asarray
from neo_array.ops.picking import pick
from neo_array.ops.shaping import broadcast_to, expand_dims, normalize_axis, reshape


@primitive(discrete="its result is an index")
def repeated_places(counts: Array, /) -> Array:
    """Return 0, 1, 2, ..., each as often as its count says."""
    return bind(repeated_places, counts)


@repeated_places.kernel("numpy")
def _(counts: Any) -> Any:
    return np.repeat(np.arange(counts.size), counts.astype(np.int64))


repeated_places.kernel("torch")("neo_array.backends.torch_kernels.indexing:repeated_places")
repeated_places.kernel("cupy")("neo_array.backends.cupy_kernels.indexing:repeated_places")
repeated_places.batch(missing="the shape of its result depends on the counts, which differ by example")


@repeated_places.explain
def _(counts: Array, /) -> None:
    raise ShapeError(f"repeat: counts must not be negative, got {counts.min()._raw.item()}")


def repeat(x: Array, repeats: int | Array | Sequence[int], /, *, axis: int | None = None) -> Array:
    """Repeat each element, next to itself.

    Args:
        x: any array.
        repeats: how often: one number for all, or an integer Array with one for each element of the axis. Such a one
            decides the shape of the result, so it may not differ by example under vmap.
        axis: along which. None: along the flattened array.
    """
    need_arrays("repeat", x)
    if axis is None:
        x, axis = reshape(x, -1), 0
    at = normalize_axis("repeat", x, axis)
    n = x.shape[at]
    if isinstance(repeats, list | tuple):
        repeats = asarray(repeats, device=x.device)
    if not isinstance(repeats, Array):
        return _repeat_evenly(x, as_sizes("repeat", repeats)[0], at)
    if repeats.dtype.kind not in "iu":
        raise DTypeError(f"repeat: counts must be integers, got {repeats.dtype}; use .astype(na.int64)")
    if repeats.shape not in ((), (1,), (n,)):
        raise ShapeError(f"repeat: counts of shape {repeats.shape} for axis {axis} of shape {x.shape}; give {n} or one")
    if type(repeats._raw) is Batched:
        raise LevelError("repeat: under vmap the counts decide the shape, and must be the same for every example")
    return bind(pick, x, repeated_places(broadcast_to(repeats, (n,))), axis=at)


def _repeat_evenly(x: Array, count: int, axis: int) -> Array:
    if count < 0:
        raise ShapeError(f"repeat: counts must not be negative, got {count}")
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    return reshape(
        broadcast_to(expand_dims(x, axis=axis + 1), (*before, n, count, *after)), (*before, n * count, *after)
    )


def tile(x: Array, repetitions: tuple[int, ...], /) -> Array:
    """Repeat the whole array: `repetitions` says how often along each axis, aligned at the last one."""
    need_arrays("tile", x)
    times = as_sizes("tile", repetitions)
    if any(t < 0 for t in times):
        raise ShapeError(f"tile: repetitions must not be negative, got {times}")
    sizes = (1,) * (len(times) - x.ndim) + x.shape
    times = (1,) * (x.ndim - len(times)) + times
    if all(t == 1 for t in times):
        return reshape(x, sizes)
    apart = reshape(x, tuple(m for n in sizes for m in (1, n)))
    many = broadcast_to(apart, tuple(m for t, n in zip(times, sizes, strict=True) for m in (t, n)))
    return reshape(many, tuple(t * n for t, n in zip(times, sizes, strict=True)))


# --- Shapes ---
repeated_places.shape(missing="the counts say how long the result is; give repeat an int")


# --- Samples ---
@repeated_places.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(np.array([2, 0, 3]))
    yield sample(np.array([1, 1], np.uint8))
    yield sample(np.zeros((0,), np.int64))
