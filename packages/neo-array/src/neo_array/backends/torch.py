"""The torch backend: raw tensors, no torch autograd."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from neo_array._device import Device
from neo_array._dtypes import DTYPES, DType, Scalar, canonical
from neo_array._errors import DeviceError, DTypeError

NAME: Final = "torch"
RAW: Final = torch.Tensor
KERNELS: Final = (NAME,)

# every NumPy dtype that torch knows under the same name
_NATIVE: Final = {d: getattr(torch, n) for n, d in DTYPES.items() if isinstance(getattr(torch, n, None), torch.dtype)}
# 0-d host tensors that may meet CUDA tensors, by id
_constants: Final[weakref.WeakValueDictionary[int, Any]] = weakref.WeakValueDictionary()
_NUMPY: Final = {native: d for d, native in _NATIVE.items()}


def native_dtype(dtype: DType) -> Any:
    """Return torch's own dtype object."""
    if dtype in _NATIVE:
        return _NATIVE[dtype]
    if dtype.name == "bfloat16":
        return torch.bfloat16
    raise DTypeError(f"dtype: torch has no {dtype}; cast with .astype(...) before moving the array to torch")


def place(device: Device) -> Any:
    """Return torch's own device object, or raise if this machine has none such."""
    if device not in devices():
        raise DeviceError(f"device {str(device)!r}: not on this machine, which has {', '.join(map(str, devices()))}")
    return torch.device(device.place)


def asarray(values: Any, dtype: DType | None, device: Device, copy: bool | None) -> Any:
    """Return a plain tensor outside torch's autograd."""
    native = None if dtype is None else native_dtype(dtype)
    where = place(device)
    if isinstance(values, torch.Tensor):
        if values.layout is not torch.strided:
            raise DTypeError(f"asarray: needs a dense tensor, got layout {values.layout}; write x.to_dense()")
        if copy is False and (native not in (None, values.dtype) or values.device != where):
            raise ValueError("another dtype or device needs a copy")
        moved = values.detach().to(device=where, dtype=native or values.dtype, copy=bool(copy))
        return moved.resolve_conj().resolve_neg() if moved.is_conj() or moved.is_neg() else moved
    values = np.asarray(values)
    same = dtype is None or dtype == values.dtype  # not `in (None, ...)`: NumPy's float64 equals None
    if copy is False and not (values.flags.writeable and same and where.type == "cpu"):
        raise ValueError("another dtype or device, or read-only memory, needs a copy")
    if values.dtype.name == "bfloat16":
        tensor = torch.from_numpy(np.array(values).view(np.int16)).view(torch.bfloat16)
    else:
        own = canonical(values.dtype)
        native_dtype(own)
        tensor = torch.from_numpy((values if copy is False else np.array(values, own)).view(own))
    return tensor.to(device=where, dtype=native or tensor.dtype)


def to_numpy(raw: Any) -> npt.NDArray[Any]:
    """Return a view of a CPU tensor, a copy of another."""
    host = raw.detach().cpu().resolve_conj().resolve_neg()
    if host.dtype is torch.bfloat16:
        import ml_dtypes

        bits: npt.NDArray[Any] = host.view(torch.int16).numpy()
        return bits.view(ml_dtypes.bfloat16)
    values: npt.NDArray[Any] = host.numpy()
    return values


def copy(raw: Any) -> Any:
    """Return a copy with memory of its own."""
    return raw.clone(memory_format=torch.contiguous_format)


def constant(value: Scalar, like: Any) -> Any:
    """Return a 0-d tensor on the host: it costs 1.3 us to combine with, a Python number 2.7. CUDA takes it too."""
    dtype = dtype_of(like)
    if dtype.kind in "iu":
        np.asarray(value, dtype)  # raises OverflowError where torch would wrap around
    made = torch.tensor(value, dtype=like.dtype)
    if torch.cuda.is_available():
        _constants[id(made)] = made
    return made


def constants_for(raw: Any) -> Hashable:
    """Return the library: host tensors meet those of every device."""
    return RAW


def cast(raw: Any, dtype: DType) -> Any:
    """Convert; complex to real drops the imaginary part without torch's warning."""
    return (raw.real if raw.is_complex() and dtype.kind in "fiu" else raw).to(native_dtype(dtype), copy=True)


def full(shape: tuple[int, ...], value: Scalar, dtype: DType, device: Device) -> Any:
    """Return a filled tensor."""
    return torch.full(shape, value, dtype=native_dtype(dtype), device=place(device))


def dtype_of(raw: Any) -> DType:
    """Return the NumPy dtype of the same name."""
    found = _NUMPY.get(raw.dtype)
    if found is None:
        if raw.dtype is not torch.bfloat16:
            raise DTypeError(f"dtype: torch's {raw.dtype} is not one of neo's; cast the tensor first")
        import ml_dtypes

        found = _NUMPY[torch.bfloat16] = np.dtype(ml_dtypes.bfloat16)
    return found


def inexact() -> frozenset[Any]:
    """Return torch's floating and complex dtypes."""
    return frozenset(d for d in (*_NUMPY, torch.bfloat16) if d.is_floating_point or d.is_complex)


def device_of(raw: Any) -> Device:
    """Return the tensor's place."""
    return _HOST if raw.device.type == "cpu" else Device(NAME, str(raw.device))


def devices() -> list[Device]:
    """Return the CPU and every CUDA device."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [_HOST, *(Device(NAME, f"cuda:{i}") for i in range(count))]


_HOST: Final = Device(NAME, "cpu")


def guard(kernel: Callable[..., Any], several: bool) -> Callable[..., Any]:
    """Refuse a 0-d CPU tensor beside a CUDA tensor, which torch takes silently; constants made of numbers may stay."""
    if not several or not torch.cuda.is_available():
        return kernel

    def guarded(*raws: Any, **options: Any) -> Any:
        first = raws[0].device
        if any(r.device != first for r in raws[1:]):
            places = {str(r.device) for r in raws if id(r) not in _constants}
            if len(places) > 1:
                raise DeviceError(f"arguments live on {' and '.join(sorted(places))}")
        return kernel(*raws, **options)

    return guarded


def sole_owner(raw: Any, references: int) -> bool:
    """Count Python references to the tensor, and tensors on its storage: a view shares the storage.

    A tensor that is not contiguous may be an expanded one, whose elements share memory among themselves.
    """
    if sys.getrefcount(raw) > references + _CALL or not raw.is_contiguous():
        return False
    return bool(_use_count is not None and _use_count(raw.untyped_storage()._cdata) <= _FRESH)


def _calibrate() -> int:
    raw = torch.zeros(1)
    return _count(raw) - 1


def _count(raw: Any) -> int:
    return sys.getrefcount(raw)


_CALL: Final = _calibrate()


def _fresh() -> int:
    """Measure what the count is where nothing else uses the storage."""
    raw = torch.zeros(1)  # held: the count of a freed storage is garbage
    return 0 if _use_count is None else int(_use_count(raw.untyped_storage()._cdata))


# torch keeps this function private; in a version without it ownership is never proven, and donation copies
_use_count: Final = getattr(torch._C, "_storage_Use_Count", None)
_FRESH: Final = _fresh()
