"""What the array API standard calls inspection: its version, constants, limits and kinds of dtypes, capabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from neo_array import backends
from neo_array._array import Array
from neo_array._device import Device, DeviceLike, as_device, default_device
from neo_array._dtypes import DTYPES, DType, as_dtype, complex64, float32, int64, result_type
from neo_array._errors import DTypeError

e: Final = math.e
inf: Final = math.inf
nan: Final = math.nan
newaxis: Final = None
pi: Final = math.pi

DTypeKind: TypeAlias = "DType | type | str | tuple[DTypeKind, ...]"

_SIGNED: Final = ("int8", "int16", "int32", "int64")
_UNSIGNED: Final = ("uint8", "uint16", "uint32", "uint64")
_REAL: Final = ("float16", "bfloat16", "float32", "float64")
_COMPLEX: Final = ("complex64", "complex128")
_KINDS: Final = {
    "bool": ("bool",),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": _REAL,
    "complex floating": _COMPLEX,
    "numeric": _SIGNED + _UNSIGNED + _REAL + _COMPLEX,
}
_BEYOND_THE_STANDARD: Final = ("float16", "bfloat16")


# --- dtypes ---
@dataclass(frozen=True)
class FloatInfo:
    """The limits of a floating dtype, or of the parts of a complex one; `dtype` is that of the parts."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True)
class IntegerInfo:
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: object, /) -> FloatInfo:
    """Return the limits of a floating or complex dtype, or of an Array's.

    Raises:
        DTypeError: for integers and booleans.
    """
    dtype = _dtype_of("finfo", type)
    if not isdtype(dtype, ("real floating", "complex floating")):
        raise DTypeError(f"finfo: needs a floating or complex dtype, got {dtype}; use iinfo for integers")
    look_up: Any = np.finfo
    if dtype.name == "bfloat16":
        import ml_dtypes

        look_up = ml_dtypes.finfo
    found = look_up(dtype)
    real = as_dtype(found.dtype)
    limits = (float(found.eps), float(found.max), float(found.min), float(found.smallest_normal))
    return FloatInfo(real.itemsize * 8, *limits, real)


def iinfo(type: object, /) -> IntegerInfo:
    """Return the limits of an integer dtype, or of an Array's.

    Raises:
        DTypeError: for booleans and inexact dtypes.
    """
    dtype = _dtype_of("iinfo", type)
    if not isdtype(dtype, "integral"):
        raise DTypeError(f"iinfo: needs an integer dtype, got {dtype}; use finfo for floats")
    found: Any = np.iinfo(dtype.name)
    return IntegerInfo(dtype.itemsize * 8, int(found.max), int(found.min), dtype)


def isdtype(dtype: object, kind: DTypeKind) -> bool:
    """Tell whether a dtype is another one, of a kind, or of one of several.

    Kinds: "bool", "signed integer", "unsigned integer", "integral", "real floating" (float16 and bfloat16 as well),
    "complex floating", "numeric".
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)
    own = as_dtype(dtype)
    if not isinstance(kind, str):
        return own == as_dtype(kind)
    if kind not in _KINDS:
        raise DTypeError(f"isdtype: got kind {kind!r}; use a dtype, a tuple, or one of {', '.join(_KINDS)}")
    return own.name in _KINDS[kind]


def can_cast(from_: object, to: object, /) -> bool:
    """Tell whether promotion may lead from one dtype (or an Array's) to another: `result_type(from_, to) == to`."""
    target = as_dtype(to)
    try:
        return result_type(_dtype_of("can_cast", from_), target) == target
    except DTypeError:
        return False


def _dtype_of(name: str, type_: object) -> DType:
    if isinstance(type_, bool | int | float | complex):
        raise DTypeError(f"{name}: needs a dtype or an Array, got {type_!r}")
    return type_.dtype if isinstance(type_, Array) else as_dtype(type_)


# --- The namespace ---
class NamespaceInfo:
    """What the array API standard lets a caller ask of a library."""

    def capabilities(self) -> dict[str, bool | int | None]:
        """Return what not every array library can do."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """Return the device on which new arrays are made."""
        return default_device()

    def default_dtypes(self, *, device: DeviceLike | None = None) -> dict[str, DType]:
        """Return the dtypes of new arrays; they are the same on every device."""
        as_device(device)
        return {"real floating": float32, "complex floating": complex64, "integral": int64, "indexing": int64}

    def devices(self) -> list[Device]:
        """Return every place to compute on that this machine has."""
        return backends.devices()

    def dtypes(self, *, device: DeviceLike | None = None, kind: DTypeKind | None = None) -> dict[str, DType]:
        """Return the standard's dtypes by name, of one kind or of all; they are the same on every device.

        float16 and bfloat16, which the standard does not know, exist besides. torch stores uint16, uint32 and uint64
        but calculates little with them.
        """
        as_device(device)
        return {
            name: dtype
            for name, dtype in DTYPES.items()
            if name not in _BEYOND_THE_STANDARD and (kind is None or isdtype(dtype, kind))
        }


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807  (the standard's name)
    """Return what can be asked of this namespace: capabilities, devices, dtypes and their defaults."""
    return NamespaceInfo()
