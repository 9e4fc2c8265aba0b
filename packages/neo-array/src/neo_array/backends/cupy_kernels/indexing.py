"""CuPy kernels for indexing. CuPy lets an index that is out of range come round from the other end: here it raises."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import cupy

from neo_array.backends.cupy_kernels.folding import fold

_ADDED: Final = ("int32", "int64", "uint32", "uint64", "float32", "float64")  # what CUDA adds atomically


def _checked(indices: Any, size: int) -> Any:
    """Return indices as int64; raise if one is out of range. Looking waits for the device."""
    whole = indices.astype(cupy.int64, copy=False)
    if whole.size and bool(((whole < -size) | (whole >= size)).any()):
        raise IndexError
    return whole


def add_at(out_shape: tuple[int, ...], places: tuple[Any, ...], raw: Any) -> Any:
    """Add into zeros at an index where places may repeat; half precision in float32, complex numbers by their parts."""
    dtype = raw.dtype
    if dtype.kind == "c":
        parts = cupy.stack([raw.real, raw.imag], axis=-1)
        out = add_at((*out_shape, 2), places, parts)
        return (out[..., 0] + 1j * out[..., 1]).astype(dtype, copy=False)
    if dtype.name not in _ADDED:
        raw = raw.astype(cupy.int64 if dtype.kind in "biu" else cupy.float32)
    out = cupy.zeros(out_shape, raw.dtype)
    cupy.add.at(out, places, raw)
    return out.astype(dtype, copy=False)


# --- Slices ---
def paste(raw: Any, *, index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Write into zeros at an index."""
    out = cupy.zeros(shape, raw.dtype)
    out[index] = raw
    return out


def replace(raw: Any, values: Any, *, index: tuple[Any, ...]) -> Any:
    """Write values into a copy at an index."""
    out = raw.copy()
    out[index] = values
    return out


# --- One axis ---
def pick(raw: Any, indices: Any, *, axis: int) -> Any:
    """Read slices along an axis."""
    return cupy.take(raw, _checked(indices, raw.shape[axis]), axis)


def pile(raw: Any, indices: Any, *, axis: int, size: int) -> Any:
    """Add slices into zeros along an axis; repeated indices add up."""
    shape = (*raw.shape[:axis], size, *raw.shape[axis + indices.ndim :])
    return add_at(shape, (slice(None),) * axis + (_checked(indices, size),), raw)


def pick_along(raw: Any, indices: Any, *, axis: int) -> Any:
    """Read one element per index along an axis."""
    return cupy.take_along_axis(raw, _checked(indices, raw.shape[axis]), axis)


def pile_along(raw: Any, indices: Any, *, axis: int, size: int) -> Any:
    """Add elements into zeros along an axis; repeated indices add up."""
    places = [cupy.arange(n).reshape((-1, *(1,) * (raw.ndim - 1 - i))) for i, n in enumerate(raw.shape)]
    places[axis] = _checked(indices, size)
    return add_at((*raw.shape[:axis], size, *raw.shape[axis + 1 :]), tuple(places), raw)


# --- Points of the first axes ---
def _points(indices: Any, sizes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(_checked(row, n) for row, n in zip(indices, sizes, strict=False))


def _places(indices: Any, sizes: tuple[int, ...]) -> Any:
    """Return each point's place in row-major order, as a vector."""
    flat = cupy.zeros(indices.shape[1:], cupy.int64)
    for row, n in zip(_points(indices, sizes), sizes, strict=True):
        flat = flat * n + row % max(n, 1)
    return flat.reshape(-1)


def pick_at(raw: Any, indices: Any) -> Any:
    """Read at points."""
    return raw[_points(indices, raw.shape)]


def pile_at(raw: Any, indices: Any, *, shape: tuple[int, ...]) -> Any:
    """Add into zeros at points."""
    return add_at(shape, _points(indices, shape), raw)


def _last(flat: Any, size: int) -> Any:
    """Return for each place in a vector the number of its last occurrence there."""
    last = cupy.zeros(size, cupy.int64)
    cupy.maximum.at(last, flat, cupy.arange(flat.size))
    return last[flat]


def is_last(indices: Any, *, sizes: tuple[int, ...]) -> Any:
    """Tell whether a point is the last at its place."""
    flat = _places(indices, sizes)
    return (_last(flat, math.prod(sizes)) == cupy.arange(flat.size)).reshape(indices.shape[1:])


def grouped(indices: Any, *, sizes: tuple[int, ...]) -> tuple[Any, Any]:
    """Sort points by their places."""
    flat = _places(indices, sizes)
    order = cupy.argsort(flat)  # stable in CuPy
    return order, flat[order]


def _at(raw: Any, values: Any, indices: Any) -> tuple[Any, Any, Any]:
    """Return a copy of the array and the values, one row for each place, and the places."""
    sizes = tuple(raw.shape[: indices.shape[0]])
    flat = _places(indices, sizes)
    rest = math.prod(raw.shape[len(sizes) :])
    return raw.copy().reshape(math.prod(sizes), rest), values.reshape(flat.size, rest), flat


def replace_at(raw: Any, values: Any, indices: Any) -> Any:
    """Write at points; CuPy does not say which of several values for a place counts: here all of them are the last."""
    out, rows, flat = _at(raw, values, indices)
    out[flat] = rows[_last(flat, out.shape[0])]
    return out.reshape(raw.shape)


def _combined(raw: Any, values: Any, indices: Any, combine: Callable[[Any, Any], Any]) -> Any:
    out, rows, flat = _at(raw, values, indices)
    totals, places = fold(combine, rows, flat)
    out[places] = combine(out[places], totals)
    return out.reshape(raw.shape)


def multiply_at(raw: Any, values: Any, indices: Any) -> Any:
    """Multiply at points."""
    return _combined(raw, values, indices, cupy.multiply)


def minimum_at(raw: Any, values: Any, indices: Any) -> Any:
    """Take the minimum at points."""
    return _ordered(raw, values, indices, cupy.minimum)


def maximum_at(raw: Any, values: Any, indices: Any) -> Any:
    """Take the maximum at points."""
    return _ordered(raw, values, indices, cupy.maximum)


def _ordered(raw: Any, values: Any, indices: Any, combine: Callable[[Any, Any], Any]) -> Any:
    if raw.dtype.kind == "c":
        raise TypeError
    return _combined(raw, values, indices, combine)


# --- Counts ---
def repeated_places(counts: Any) -> Any:
    """Return each place as often as its count says; CuPy's repeat takes no array of counts."""
    if not counts.size:
        return cupy.zeros(0, cupy.int64)
    if bool((counts < 0).any()):
        raise ValueError
    ends = counts.astype(cupy.int64).cumsum()
    return cupy.searchsorted(ends, cupy.arange(int(ends[-1])), "right")
