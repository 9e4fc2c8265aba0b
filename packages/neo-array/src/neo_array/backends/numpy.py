"""The NumPy backend."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neo_array._device import Device
from neo_array._dtypes import DTYPES, DType, Scalar, canonical, is_inexact

NAME: Final = "numpy"
RAW: Final = np.ndarray
KERNELS: Final = (NAME,)


def asarray(values: Any, dtype: DType | None, device: Device, copy: bool | None) -> Any:
    """Return an ndarray; subclasses become plain ones."""
    try:
        array = _as_array(values, dtype=dtype, copy=copy, subok=False)
    except ValueError:
        raise ValueError("another dtype or byte order needs a copy") from None
    own = canonical(array.dtype)
    return array if array.dtype is own else array.view(own)


def to_numpy(raw: Any) -> npt.NDArray[Any]:
    """Return the array itself."""
    array: npt.NDArray[Any] = raw
    return array


def copy(raw: Any) -> Any:
    """Return a contiguous copy."""
    return np.array(raw)


def constant(value: Scalar, like: Any) -> Any:
    """Return a 0-d array: much faster to combine with than a Python number (0.3 against 0.55 us)."""
    return _as_constant(value, like.dtype)


def constants_for(raw: Any) -> Hashable:
    """Return the library."""
    return RAW


def cast(raw: Any, dtype: DType) -> Any:
    """Convert; complex to real drops the imaginary part without NumPy's warning."""
    return _cast(raw.real if raw.dtype.kind == "c" and dtype.kind in "fiu" else raw, dtype)


def full(shape: tuple[int, ...], value: Scalar, dtype: DType, device: Device) -> Any:
    """Return a filled array; zeros come from calloc."""
    return np.zeros(shape, dtype) if repr(value) in ("0", "0.0", "False") else np.full(shape, value, dtype)


def dtype_of(raw: Any) -> DType:
    """Return the dtype."""
    dtype: DType = raw.dtype
    return dtype


def inexact() -> frozenset[Any]:
    """Return NumPy's floating and complex dtypes."""
    return frozenset(d for d in DTYPES.values() if is_inexact(d))


def device_of(raw: Any) -> Device:
    """Return the only place there is."""
    return _HOST


def devices() -> list[Device]:
    """Return the only place there is."""
    return [_HOST]


_HOST: Final = Device(NAME)


def guard(kernel: Callable[..., Any], several: bool) -> Callable[..., Any]:
    """Return the kernel: there is only one place."""
    return kernel


def sole_owner(raw: Any, references: int) -> bool:
    """Count references: every view holds one to its base, so a count that fits proves that there is no view."""
    return bool(raw.flags.owndata and raw.flags.writeable) and sys.getrefcount(raw) <= references + _CALL


def _calibrate() -> int:
    """Measure what calling `sole_owner` itself adds: CPython 3.14 borrows references that older versions count."""
    raw = np.zeros(1)
    return _count(raw) - 1


def _count(raw: Any) -> int:
    return sys.getrefcount(raw)


_CALL: Final = _calibrate()


def numeric(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let a NumPy function refuse booleans, as the other backends do, and keep bfloat16 (`@` makes float32 of it)."""

    def call(x: Any, *others: Any) -> Any:
        if x.dtype.kind == "b":
            raise TypeError
        out = f(x, *others)
        return out.astype(x.dtype) if x.dtype.kind == "V" else out

    return call


def ordered(f: Callable[..., Any], *, refused: str = "c") -> Callable[..., Any]:
    """Let a NumPy function refuse complex numbers, which have no order; NumPy takes them by their real parts."""

    def call(x: Any, *others: Any, **options: Any) -> Any:
        if x.dtype.kind in refused:
            raise TypeError
        return f(x, *others, **options)

    return call


class _Quiet(threading.local):
    """A context of this thread's own in which NumPy's floating-point warnings are off."""

    def __init__(self) -> None:
        context = contextvars.Context()
        context.run(np.seterr, all="ignore")
        self.run = context.run
        self.busy = False  # a context cannot be entered twice: from a signal handler, say


_quiet: Final = _Quiet()


def quiet(f: Callable[..., Any]) -> Callable[..., Any]:
    """Run a NumPy function without its warnings: inf and nan are values here, as on the other backends.

    NumPy keeps its error state in a ContextVar, so a prepared context does it for 0.1 us; `np.errstate` takes 0.9.
    """

    def call(*args: Any, **options: Any) -> Any:
        local = _quiet
        if local.busy:
            with np.errstate(all="ignore"):
                return f(*args, **options)
        local.busy = True
        try:
            return local.run(f, *args, **options)
        finally:
            local.busy = False

    return call


_cast: Final = quiet(np.ndarray.astype)
_as_constant: Final = quiet(np.asarray)
_as_array: Final = quiet(np.array)
