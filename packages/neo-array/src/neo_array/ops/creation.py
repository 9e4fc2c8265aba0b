"""Making arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array import _dtypes, backends
from neo_array._array import Array
from neo_array._bind import as_sizes, need_arrays
from neo_array._device import Device, DeviceLike, as_device
from neo_array._dtypes import DType, Scalar, as_dtype
from neo_array._errors import DTypeError, NeoError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.casting import astype


@primitive(discrete="it has no inputs")
def fill(*, shape: tuple[int, ...], value: Scalar, dtype: DType, device: Device) -> Array:
    """Make an array of one value: an op without inputs, so that a trace sees it."""
    return bind(fill, shape=shape, value=value, dtype=dtype, device=device)


@fill.kernel("numpy", "torch", "cupy")
def _(*, shape: tuple[int, ...], value: Scalar, dtype: DType, device: Device) -> Any:
    return backends.named(device.backend).full(shape, value, dtype, device)


fill.batch(missing="it has no inputs that could be a batch")


@fill.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for value, dtype in [(2.5, _dtypes.float32), (-0.0, _dtypes.float64), (7, _dtypes.int64), (True, _dtypes.bool_)]:
        yield sample(shape=(3, 5), value=value, dtype=dtype, device=Device("numpy"))


# --- From values ---
def asarray(
    obj: Any, /, *, dtype: object | None = None, device: DeviceLike | None = None, copy: bool | None = None
) -> Array:
    """Make an Array of Python numbers, nested lists, arrays of any backend, or DLPack exporters.

    Python numbers get the default dtypes (float32, int64, complex64); arrays keep theirs. A tensor stays where it is;
    NumPy data goes to the default device. Memory is copied, so that a later write by its owner cannot corrupt a saved
    value; `copy=False` shares it.

    Raises:
        DTypeError: for things that are no numbers.
        ShapeError: for ragged lists.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(obj, Array):
        backends.of(obj._raw)  # raises for one that was donated
        moved = obj if device is None else obj.to(device)
        return moved if wanted is None else astype(moved, wanted)
    owner = backends.foreign(obj)
    if owner is not None:
        return _from_foreign(obj, owner, wanted, device, copy)
    if hasattr(obj, "__dlpack__"):
        return asarray(np.from_dlpack(obj), dtype=dtype, device=device, copy=copy)
    if copy is False:
        raise ValueError(f"asarray: copy=False, but a {type(obj).__name__} has no memory to share; drop copy=False")
    inside = _first_array(obj)
    if inside is not None:
        from neo_array.ops.shaping import stack

        place = inside.device if device is None else as_device(device)
        items = [x if isinstance(x, Array) and device is None else asarray(x, device=place) for x in obj]
        return asarray(stack(items), dtype=dtype)
    try:
        values = np.array(obj)
    except ValueError as error:
        raise ShapeError(f"asarray: the nested lists are ragged ({error}); make all rows equally long") from None
    _known_dtype(values.dtype, obj)
    if wanted is None and not isinstance(obj, np.generic):
        wanted = {"f": _dtypes.float32, "i": _dtypes.int64, "c": _dtypes.complex64}.get(values.dtype.kind)
        wanted = _dtypes.float32 if values.size == 0 else wanted
    if wanted is not None:
        _check_fits("asarray", values, wanted)
    place = as_device(device)
    return Array(backends.named(place.backend).asarray(values, wanted, place, True))


def _check_fits(op: str, values: Any, dtype: DType) -> None:
    """Refuse numbers that a dtype cannot hold: integers out of range, complex or infinite ones among integers."""
    kind = values.dtype.kind
    lost = kind == "c" and dtype.kind != "c"
    if dtype.kind in "iu" and not lost and values.size:
        limits: Any = np.iinfo(dtype.name)
        lost = not np.isfinite(values).all() or values.min() < limits.min or values.max() > limits.max
    if lost:
        raise DTypeError(f"{op}: the numbers do not fit dtype {dtype}; choose a wider dtype, or cast with .astype(...)")


def _from_foreign(
    obj: Any, owner: backends.Backend, wanted: DType | None, device: DeviceLike | None, copy: bool | None
) -> Array:
    """Make an Array of another library's array; with copy=False it shares that one's memory, and is never donated."""
    if isinstance(obj, np.ma.MaskedArray):
        raise DTypeError("asarray: got a masked array, whose mask would be lost; fill it first, x.filled(value)")
    if owner.NAME == "numpy":
        own = _known_dtype(obj.dtype, obj)
        place = as_device(device)
    else:
        own = owner.dtype_of(obj)
        place = owner.device_of(obj) if device is None else as_device(device)
    values = obj if place.backend == owner.NAME else owner.to_numpy(obj)
    target = wanted or own
    try:
        out = Array(backends.named(place.backend).asarray(values, target, place, copy is not False))
    except NeoError:
        raise
    except ValueError as error:
        raise ValueError(f"asarray: copy=False, but {error}; drop copy=False") from None
    if copy is False:
        out._exported = True
    return out


def _known_dtype(dtype: np.dtype[Any], obj: object) -> DType:
    native = dtype.newbyteorder("=")
    if native.name not in _dtypes.DTYPES and native.name != "bfloat16":
        raise DTypeError(f"asarray: needs numbers of a known dtype, got {type(obj).__name__} of dtype {dtype}")
    return native


def _first_array(obj: object) -> Array | None:
    """Return an Array that nested lists hold, or None."""
    if isinstance(obj, Array):
        return obj
    inside = map(_first_array, obj) if isinstance(obj, list | tuple) else ()
    return next((x for x in inside if x is not None), None)


def from_dlpack(obj: Any, /, *, device: DeviceLike | None = None, copy: bool | None = None) -> Array:
    """Make an Array of anything that exports DLPack; copies unless `copy=False`."""
    return asarray(obj, device=device, copy=copy)


# --- Filled ---
def full(
    shape: int | tuple[int, ...], value: Scalar, /, *, dtype: object | None = None, device: DeviceLike | None = None
) -> Array:
    """Make an array filled with `value`."""
    sizes = as_sizes("full", shape)
    if any(n < 0 for n in sizes):
        raise ShapeError(f"full: sizes must not be negative, got {sizes}")
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) not in (bool, int, float, complex):
        raise DTypeError(f"full: the value must be a number, got {type(value).__name__}")
    chosen = _dtypes.result_type(value) if dtype is None else as_dtype(dtype)
    _known_dtype(np.asarray(value).dtype, value)
    _check_fits("full", np.asarray(value), chosen)
    if type(value) is float and chosen.kind == "f":
        value = float(backends.named("numpy").cast(np.asarray(value), chosen))  # inf where it is too large
    return bind(fill, shape=sizes, value=value, dtype=chosen, device=as_device(device))


def zeros(shape: int | tuple[int, ...], /, *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make an array of zeros, float32 unless told otherwise."""
    return full(shape, 0.0, dtype=dtype, device=device)


def ones(shape: int | tuple[int, ...], /, *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make an array of ones, float32 unless told otherwise."""
    return full(shape, 1.0, dtype=dtype, device=device)


def full_like(x: Array, value: Scalar, /, *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make a filled array of x's shape, dtype and device."""
    need_arrays("full_like", x)
    return full(
        x.shape, value, dtype=x.dtype if dtype is None else dtype, device=x.device if device is None else device
    )


def zeros_like(x: Array, /, *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make zeros of x's shape, dtype and device."""
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Array, /, *, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Make ones of x's shape, dtype and device."""
    return full_like(x, 1, dtype=dtype, device=device)


# --- Ranges and matrices ---
def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Make evenly spaced values in the half-open interval [start, stop)."""
    if step == 0:
        raise ShapeError("arange: step must not be 0")
    first, last = (0, start) if stop is None else (start, stop)
    whole = all(isinstance(v, int) for v in (first, last, step))
    values = first + step * np.arange(max(0, math.ceil((last - first) / step)))
    return asarray(values, dtype=dtype or (_dtypes.int64 if whole else _dtypes.float32), device=as_device(device))


def linspace(
    start: float, stop: float, /, num: int, *, dtype: object | None = None, device: DeviceLike | None = None
) -> Array:
    """Make `num` evenly spaced values from start to stop, both included."""
    return asarray(np.linspace(start, stop, num), dtype=dtype or _dtypes.float32, device=as_device(device))


def eye(
    rows: int, columns: int | None = None, /, *, dtype: object | None = None, device: DeviceLike | None = None
) -> Array:
    """Make a matrix with ones on its main diagonal."""
    return asarray(np.eye(rows, columns), dtype=dtype or _dtypes.float32, device=as_device(device))
