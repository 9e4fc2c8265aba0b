"""Making arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neo_array import _dtypes, backends
from neo_array._array import Array, wrap
from neo_array._bind import as_sizes, need_arrays
from neo_array._described import chosen, describe, nothing_runs
from neo_array._device import Device, DeviceLike, as_device
from neo_array._dtypes import DType, Scalar, as_dtype
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.casting import astype
from neo_array.ops.comparison import equal
from neo_array.ops.conversion import asarray as asarray
from neo_array.ops.conversion import check_fits, known_dtype


@primitive(discrete="it has no inputs")
def fill(*, shape: tuple[int, ...], value: Scalar, dtype: DType, device: Device) -> Array:
    """Make an array of one value: an op without inputs, so that a trace sees it."""
    return bind(fill, shape=shape, value=value, dtype=dtype, device=device)


@fill.kernel("numpy", "torch", "cupy")
def _(*, shape: tuple[int, ...], value: Scalar, dtype: DType, device: Device) -> Any:
    return backends.named(device.backend).full(shape, value, dtype, device)


fill.batch(missing="it has no inputs that could be a batch")


# --- Shapes ---
fill.shape(lambda *, shape, value, dtype, device: shape, dtype=chosen)


# --- Samples ---
@fill.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for value, dtype in [(2.5, _dtypes.float32), (-0.0, _dtypes.float64), (7, _dtypes.int64), (True, _dtypes.bool_)]:
        yield sample(shape=(3, 5), value=value, dtype=dtype, device=Device("numpy"))


# --- Filled ---
def full(
    shape: int | tuple[int, ...],
    fill_value: Scalar,
    *,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Make an array filled with one number, of that number's default dtype unless told otherwise."""
    sizes = as_sizes("full", shape)
    if any(n < 0 for n in sizes):
        raise ShapeError(f"full: sizes must not be negative, got {sizes}")
    value = fill_value.item() if isinstance(fill_value, np.generic) else fill_value
    if type(value) not in (bool, int, float, complex):
        raise DTypeError(f"full: the value must be a number, got {type(value).__name__}")
    chosen = _dtypes.result_type(value) if dtype is None else as_dtype(dtype)
    known_dtype(np.asarray(value).dtype, value)
    check_fits("full", np.asarray(value), chosen)
    if type(value) is float and chosen.kind == "f":
        value = float(backends.named("numpy").cast(np.asarray(value), chosen))  # inf where it is too large
    return bind(fill, shape=sizes, value=value, dtype=chosen, device=as_device(device))


def zeros(shape: int | tuple[int, ...], *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make an array of zeros, float32 unless told otherwise."""
    return full(shape, 0.0, dtype=dtype, device=device)


def ones(shape: int | tuple[int, ...], *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make an array of ones, float32 unless told otherwise."""
    return full(shape, 1.0, dtype=dtype, device=device)


def empty(shape: int | tuple[int, ...], *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make an array of no values in particular: zeros, since nothing could ever write others."""
    return full(shape, 0.0, dtype=dtype, device=device)


def full_like(
    x: Array, /, fill_value: Scalar, *, dtype: object | None = None, device: DeviceLike | None = None
) -> Array:
    """Make a filled array of x's shape, dtype and device."""
    need_arrays("full_like", x)
    return full(
        x.shape, fill_value, dtype=x.dtype if dtype is None else dtype, device=x.device if device is None else device
    )


def zeros_like(x: Array, /, *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make zeros of x's shape, dtype and device."""
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Array, /, *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make ones of x's shape, dtype and device."""
    return full_like(x, 1, dtype=dtype, device=device)


def empty_like(x: Array, /, *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make an array of no values in particular (zeros) of x's shape, dtype and device."""
    return full_like(x, 0, dtype=dtype, device=device)


# --- Ranges and matrices: computed on the host in float64 or int64 ---
def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Make evenly spaced values in the half-open interval [start, stop); without stop, [0, start).

    The dtype is int64 if all of them are integers, else float32.
    """
    first, last, step = map(_real, (0, start, step) if stop is None else (start, stop, step))
    if step == 0:
        raise ShapeError("arange: step must not be 0")
    if all(isinstance(v, int) for v in (first, last, step)):
        steps = range(int(first), int(last), int(step))
        ends: Any = np.array([steps[0], steps[-1]] if steps else [0])
        chosen = _dtypes.int64 if dtype is None else as_dtype(dtype)
        known_dtype(ends.dtype, first)
        check_fits("arange", ends, chosen)

        def integers() -> Any:
            return np.arange(steps.start, steps.stop, steps.step, dtype=ends.dtype) if steps else ends[:0]

        return _placed(integers, (len(steps),), chosen, device)
    count = max(0, math.ceil((last - first) / step))
    kept = _dtypes.float32 if dtype is None else as_dtype(dtype)
    return _placed(lambda: first + step * np.arange(count), (count,), kept, device)


def _real(value: Any) -> int | float:
    number: object = value.item() if isinstance(value, np.generic) else value
    if not (isinstance(number, int | float) and math.isfinite(number)):
        raise DTypeError(f"arange: needs finite real numbers, got {number!r}")
    return number


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: object | None = None,
    device: DeviceLike | None = None,
    endpoint: bool = True,
) -> Array:
    """Make `num` evenly spaced values from start to stop, which is the last of them only with `endpoint`.

    The dtype is float32, or complex64 if an end is complex; integers are rounded down.
    """
    (count,) = as_sizes("linspace", num)
    if count < 0:
        raise ShapeError(f"linspace: num must not be negative, got {count}")
    chosen = _dtypes.result_type(start, stop, 1.0) if dtype is None else as_dtype(dtype)

    def values() -> Any:
        found: Any = np.linspace(start, stop, count, endpoint)
        if chosen.kind in "iu":
            found = np.floor(found)
        check_fits("linspace", found, chosen)
        return found

    return _placed(values, (count,), chosen, device)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Make a matrix with ones on diagonal k, which k > 0 counts to the right of the main one, k < 0 to below it."""
    sizes = as_sizes("eye", (n_rows, n_rows if n_cols is None else n_cols))
    if any(n < 0 for n in sizes):
        raise ShapeError(f"eye: sizes must not be negative, got {sizes}")
    kept = _dtypes.float32 if dtype is None else as_dtype(dtype)
    return _placed(lambda: np.eye(sizes[0], sizes[1], k), sizes, kept, device)


def _placed(make: Callable[[], Any], shape: tuple[int, ...], dtype: DType, device: DeviceLike | None) -> Array:
    """Return an Array of host values that `make` gives, and that nobody else holds."""
    place = as_device(device)
    if nothing_runs():
        return describe(shape, dtype, place)
    values = backends.named("numpy").cast(make(), dtype)
    return wrap(backends.named(place.backend).asarray(values, dtype, place, None))


def meshgrid(*arrays: Array, indexing: str = "xy") -> list[Array]:
    """Return the coordinates of a grid: one array for each vector of positions, all of the grid's shape.

    Args:
        *arrays: vectors, of one dtype.
        indexing: "ij": the axes of the grid are in the vectors' order. "xy": the first two are swapped, so that rows
            go with the second vector, as in pictures.
    """
    from neo_array.ops.shaping import broadcast_to, reshape

    need_arrays("meshgrid", *arrays)
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    if any(a.ndim > 1 for a in arrays):
        raise ShapeError(f"meshgrid: needs vectors, got shapes {[a.shape for a in arrays]}")
    if len({a.dtype for a in arrays}) > 1:
        raise DTypeError(f"meshgrid: needs one dtype, got {[str(a.dtype) for a in arrays]}; cast with .astype(...)")
    order = list(range(len(arrays)))
    if indexing == "xy":
        order[:2] = reversed(order[:2])
    shape = tuple(arrays[i].size for i in order)
    return [
        broadcast_to(reshape(a, tuple(a.size if j == i else 1 for j in order)), shape) for i, a in enumerate(arrays)
    ]


def one_hot(x: Array, /, num_classes: int, *, axis: int = -1, dtype: object | None = None) -> Array:
    """Return 1 at the class that x names and 0 at the others, along a new axis; float32 unless told otherwise.

    A class outside 0, ..., num_classes - 1 gives zeros alone, so that -1 can stand for "none". Classes are integers:
    there is no derivative.
    """
    from neo_array.ops.shaping import expand_dims, normalize_axis, reshape

    need_arrays("one_hot", x)
    if x.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: classes must be integers, got {x.dtype}; use .astype(na.int64)")
    at = normalize_axis("one_hot", x, axis, new=1)
    (count,) = as_sizes("one_hot", num_classes)
    classes = reshape(arange(count, device=x.device), (count, *(1,) * (x.ndim - at)))
    wide = astype(x, _dtypes.int64)
    return astype(equal(expand_dims(wide, axis=at), classes), _dtypes.float32 if dtype is None else dtype)
