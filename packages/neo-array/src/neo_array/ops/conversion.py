"""Making Arrays of values: numbers, lists, other libraries' arrays, DLPack exporters."""

from __future__ import annotations

import array
from typing import Any, Final

import numpy as np

from neo_array import _dtypes, backends
from neo_array._array import Array, wrap
from neo_array._bind import import_kernel
from neo_array._device import DeviceLike, as_device
from neo_array._dtypes import DType, as_dtype
from neo_array._errors import DeviceError, DTypeError, NeoError, ShapeError
from neo_array.ops.casting import astype


def asarray(
    obj: Any, /, *, dtype: object | None = None, device: DeviceLike | None = None, copy: bool | None = None
) -> Array:
    """Make an Array of Python numbers, nested lists, arrays of any backend, buffers, or DLPack exporters.

    Python numbers get the default dtypes (float32, int64, complex64); arrays keep theirs. A tensor stays where it is;
    NumPy data goes to the default device. Memory is copied, so that a later write by its owner cannot corrupt a saved
    value. An Array is returned as it is where dtype and device are right: its values never change.

    Args:
        obj: what to make it of. Lists may hold Arrays, and the result is differentiable in them.
        dtype: the result's dtype.
        device: where the result lives.
        copy: False shares the memory of `obj`. True and None make no difference.

    Raises:
        DTypeError: for things that are no numbers, and numbers that the dtype cannot hold.
        ShapeError: for ragged lists.
        ValueError: for copy=False where a copy is needed.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(obj, Array):
        backends.of(obj._raw)  # raises for one that was donated
        return _from_array(obj, wanted, device, copy)
    owner = backends.foreign(obj)
    if owner is None and hasattr(obj, "__dlpack__"):
        obj = _imported(obj)
        owner = backends.foreign(obj)
    elif isinstance(obj, memoryview | array.array):
        obj = np.asarray(obj)
        owner = backends.named("numpy")
    if owner is not None:
        return _from_foreign(obj, owner, wanted, device, copy)
    if copy is False:
        raise ValueError(f"asarray: copy=False, but a {type(obj).__name__} has no memory to share; drop copy=False")
    inside = _first_array(obj)
    if inside is not None:
        from neo_array.ops.joining import stack

        place = inside.device if device is None else as_device(device)
        items = [x if isinstance(x, Array) and device is None else asarray(x, device=place) for x in obj]
        return asarray(stack(items), dtype=dtype)
    try:
        values = np.array(obj)
    except ValueError as error:
        raise ShapeError(f"asarray: the nested lists are ragged ({error}); make all rows equally long") from None
    if values.dtype.kind == "f" and (wanted is None or wanted.kind in "iu"):
        values = _exact_integers(obj, values)
    known_dtype(values.dtype, obj)
    if wanted is None and not isinstance(obj, np.generic):
        wanted = {"f": _dtypes.float32, "i": _dtypes.int64, "c": _dtypes.complex64}.get(values.dtype.kind)
        wanted = _dtypes.float32 if values.size == 0 else wanted
    if wanted is not None:
        check_fits("asarray", values, wanted)
    place = as_device(device)
    return wrap(backends.named(place.backend).asarray(values, wanted, place, True))


def _exact_integers(obj: object, values: Any) -> Any:
    """Return lists of integers as integers where NumPy made floats of them: where only some are beyond int64."""
    if not (np.abs(values) >= 2.0**63).any():
        return values
    exact = np.array(obj, dtype=object)
    if not all(isinstance(x, int) for x in exact.flat):
        return values
    if exact.min() < 0 or exact.max() >= 2**64:
        raise DTypeError("asarray: the integers fit no integer dtype; make floats of them, or keep them in range")
    return exact.astype(np.uint64)


def check_fits(op: str, values: Any, dtype: DType) -> None:
    """Refuse numbers that a dtype cannot hold: integers out of range, complex or infinite ones among integers."""
    kind = values.dtype.kind
    lost = kind == "c" and dtype.kind != "c"
    if dtype.kind in "iu" and not lost and values.size:
        limits: Any = np.iinfo(dtype.name)
        lost = not np.isfinite(values).all() or values.min() < limits.min or values.max() > limits.max
    if lost:
        raise DTypeError(f"{op}: the numbers do not fit dtype {dtype}; choose a wider dtype, or cast with .astype(...)")


def _from_array(x: Array, wanted: DType | None, device: DeviceLike | None, copy: bool | None) -> Array:
    moved = x if device is None else x.to(device)
    out = moved if wanted is None else astype(moved, wanted)
    if copy is False and out is not x:
        raise ValueError("asarray: copy=False, but another dtype or device needs a copy; drop copy=False")
    return out


_HOST: Final = 1  # kDLCPU, as numbered by DLPack


def _imported(obj: Any) -> Any:
    """Return some library's array on the memory of a DLPack exporter: NumPy's where NumPy can hold it."""
    if int(obj.__dlpack_device__()[0]) == _HOST:
        try:
            return np.from_dlpack(obj)
        except (BufferError, RuntimeError) as error:  # a dtype that NumPy lacks: bfloat16
            refused: Exception = error
        if hasattr(obj, "__array__"):
            return np.asarray(obj)
    else:
        refused = DeviceError("asarray: the memory is not the host's")
    for name in ("torch", "cupy"):
        if name in backends.available():
            return import_kernel(f"{name}:from_dlpack")(obj)
    raise DTypeError(f"asarray: NumPy cannot take a {type(obj).__name__} through DLPack; install torch") from refused


def _from_foreign(
    obj: Any, owner: backends.Backend, wanted: DType | None, device: DeviceLike | None, copy: bool | None
) -> Array:
    """Make an Array of another library's array; with copy=False it shares that one's memory, and is never donated."""
    if isinstance(obj, np.ma.MaskedArray):
        raise DTypeError("asarray: got a masked array, whose mask would be lost; fill it first, x.filled(value)")
    if owner.NAME == "numpy":
        own = known_dtype(obj.dtype, obj)
        place = as_device(device)
    else:
        own = owner.dtype_of(obj)
        place = owner.device_of(obj) if device is None else as_device(device)
    values = obj if place.backend == owner.NAME else owner.to_numpy(obj)
    target = wanted or own
    try:
        out = wrap(backends.named(place.backend).asarray(values, target, place, copy is not False))
    except NeoError:
        raise
    except ValueError as error:
        raise ValueError(f"asarray: copy=False, but {error}; drop copy=False") from None
    if copy is False:
        out._exported = True
    return out


def known_dtype(dtype: np.dtype[Any], obj: object) -> DType:
    """Return a dtype in this machine's byte order; refuse one that no backend computes with."""
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
    """Make an Array of anything that exports DLPack; it copies unless `copy=False`.

    Without a device it stays where it is: the host's memory comes to the default device.
    """
    if not hasattr(obj, "__dlpack__"):
        raise DTypeError(f"from_dlpack: a {type(obj).__name__} has no __dlpack__; use na.asarray(...)")
    return asarray(obj, device=device, copy=copy)
