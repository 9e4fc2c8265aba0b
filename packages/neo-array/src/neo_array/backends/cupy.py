"""The CuPy backend: raw cupy.ndarrays on CUDA devices, and NumPy's kernels where they dispatch on them.

Importing CuPy needs no device; the first thing it is asked for does. So this file loads wherever CuPy is installed,
`devices()` is empty where it finds no device, and asking for a place then says so.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Hashable
from typing import Any, Final

import cupy
import numpy as np
import numpy.typing as npt

from neo_array._device import Device
from neo_array._dtypes import DTYPES, DType, Scalar, canonical
from neo_array._errors import DeviceError, DTypeError
from neo_array.backends import numpy as host

NAME: Final = "cupy"
RAW: Final = cupy.ndarray
KERNELS: Final = (NAME, host.NAME)  # NumPy's functions dispatch on CuPy's arrays (NEP 13 and NEP 18)


def place(device: Device) -> Any:
    """Return CuPy's own device object, a context that makes it current, or raise if this machine has none such."""
    here = devices()
    if device not in here:
        found = f"not on this machine, which has {', '.join(map(str, here))}" if here else _nothing()
        raise DeviceError(f"device {str(device)!r}: {found}; use device='numpy'")
    return cupy.cuda.Device(int(device.place))


def devices() -> list[Device]:
    """Return every CUDA device that CuPy can use: none where there is no driver, or no GPU."""
    return [Device(NAME, str(i)) for i in range(_count())]


def _count() -> int:
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


def _nothing() -> str:
    reason = ""
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        reason = f" ({error})"
    return f"CuPy is installed, but finds no CUDA device{reason}"


def asarray(values: Any, dtype: DType | None, device: Device, copy: bool | None) -> Any:
    """Return a cupy.ndarray; subclasses become plain ones."""
    there = place(device)
    own = values.dtype if isinstance(values, cupy.ndarray | np.ndarray) else np.asarray(values).dtype
    chosen = canonical(own if dtype is None else dtype)
    if isinstance(values, cupy.ndarray):
        moved = values.device != there
        if copy is False and (moved or chosen != own):
            raise ValueError("another dtype or device needs a copy")
        with there:  # from another device CuPy copies contiguous arrays alone
            array = cupy.array(values, chosen, copy=copy, order="C" if moved else "K")
            return array if type(array) is RAW else array.view(type=RAW)
    if copy is False:
        raise ValueError("a CUDA device cannot share the host's memory: it needs a copy")
    native = host.asarray(np.asarray(values), chosen, Device(host.NAME), None)
    with there:  # blocking: CuPy copies from pinned memory later, when its owner may have written to it
        return cupy.array(native, chosen, blocking=True)


def to_numpy(raw: Any) -> npt.NDArray[Any]:
    """Return a copy on the host."""
    with raw.device:
        values: npt.NDArray[Any] = raw.get()
        return values


def copy(raw: Any) -> Any:
    """Return a contiguous copy."""
    with raw.device:
        return raw.copy()


def constant(value: Scalar, like: Any) -> Any:
    """Return a 0-d array on like's device. It is kept, so it must be there for every stream."""
    with like.device:
        made = cupy.array(host.constant(value, like))
        cupy.cuda.get_current_stream().synchronize()
    return made


def constants_for(raw: Any) -> Hashable:
    """Return what tells apart arrays that cannot share constants: where they live."""
    return RAW, raw.device.id


def cast(raw: Any, dtype: DType) -> Any:
    """Convert; complex to real drops the imaginary part without CuPy's warning."""
    with raw.device:
        return (raw.real if raw.dtype.kind == "c" and dtype.kind in "fiu" else raw).astype(dtype)


def full(shape: tuple[int, ...], value: Scalar, dtype: DType, device: Device) -> Any:
    """Return a filled array."""
    with place(device):
        return cupy.full(shape, value, dtype)


def dtype_of(raw: Any) -> DType:
    """Return the dtype, which is NumPy's."""
    dtype: DType = raw.dtype
    if dtype.name not in DTYPES and dtype.name != "bfloat16":
        raise DTypeError(f"dtype: CuPy's {dtype} is not one of neo's; cast the array first")
    return dtype


def inexact() -> frozenset[Any]:
    """Return NumPy's floating and complex dtypes: CuPy's are the same objects."""
    return host.inexact()


def device_of(raw: Any) -> Device:
    """Return the array's place."""
    return _place(raw.device.id)


@functools.cache
def _place(number: int) -> Device:
    return Device(NAME, str(number))


def guard(kernel: Callable[..., Any], several: bool) -> Callable[..., Any]:
    """Run a kernel on its arrays' device where there are several devices, and refuse arrays of two of them.

    CuPy runs everything on the current device; it reads another's memory if the hardware can, with a mere warning.
    """
    if _count() < 2:
        return kernel

    def guarded(*raws: Any, **options: Any) -> Any:
        if not raws:  # it makes arrays, and enters the place itself
            return kernel(**options)
        where = raws[0].device
        for other in raws[1:]:
            if other.device != where:
                raise DeviceError(f"arguments live on {device_of(raws[0])} and {device_of(other)}")
        with where:
            return kernel(*raws, **options)

    return guarded


def sole_owner(raw: Any, references: int) -> bool:
    """Count Python references to the array, and to its memory: a view holds both its base and the memory."""
    if raw.base is not None or sys.getrefcount(raw) > references + _CALL:
        return False
    return bool(raw.flags.c_contiguous) and sys.getrefcount(raw.data.mem) <= _fresh()


def _calibrate() -> int:
    """Measure what calling `sole_owner` itself adds."""
    raw = object()
    return _references(raw) - 1


def _references(raw: Any) -> int:
    return sys.getrefcount(raw)


_CALL: Final = _calibrate()


@functools.cache
def _fresh() -> int:
    """Measure what the count is where nothing else uses the memory; this needs a device."""
    raw = cupy.zeros(1)
    return sys.getrefcount(raw.data.mem)
