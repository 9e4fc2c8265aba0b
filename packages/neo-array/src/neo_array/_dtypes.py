"""The dtypes and how they combine. dtype objects are NumPy's, on every backend."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from neo_array._errors import DTypeError

DType: TypeAlias = "np.dtype[np.generic]"
Scalar: TypeAlias = bool | int | float | complex

bool_: Final[DType] = np.dtype("bool")
int8: Final[DType] = np.dtype("int8")
int16: Final[DType] = np.dtype("int16")
int32: Final[DType] = np.dtype("int32")
int64: Final[DType] = np.dtype("int64")
uint8: Final[DType] = np.dtype("uint8")
uint16: Final[DType] = np.dtype("uint16")
uint32: Final[DType] = np.dtype("uint32")
uint64: Final[DType] = np.dtype("uint64")
float16: Final[DType] = np.dtype("float16")
float32: Final[DType] = np.dtype("float32")
float64: Final[DType] = np.dtype("float64")
complex64: Final[DType] = np.dtype("complex64")
complex128: Final[DType] = np.dtype("complex128")

DTYPES: Final = {
    d.name: d
    for d in (
        *(bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64),
        *(float16, float32, float64, complex64, complex128),
    )
}
# bool < integer < floating < complex; bfloat16 is of NumPy's kind "V" when ml_dtypes defines it
_RANK: Final = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2, "c": 3}
_SCALAR_RANK: Final = {bool: 0, int: 1, float: 2, complex: 3}
_DEFAULT: Final = (bool_, int64, float32, complex64)


def as_dtype(dtype: object) -> DType:
    """Return the dtype that a name, a Python type, a NumPy type or a dtype stands for."""
    if type(dtype) is str and dtype == "bfloat16":  # not every dtype: NumPy's == swallows an interrupt
        return _bfloat16()
    python = {bool: bool_, int: int64, float: float32, complex: complex64}
    if isinstance(dtype, type) and dtype in python:
        return python[dtype]
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        found = None
    if dtype is None:  # NumPy's float64
        found = None
    if found is None or (found.name not in DTYPES and found.name != "bfloat16"):
        raise DTypeError(f"dtype: got {dtype!r}; use one of {', '.join(DTYPES)}")
    result: DType = found
    return result


def canonical(dtype: np.dtype[Any]) -> DType:
    """Return the one object for a dtype, in this machine's byte order: NumPy has two for int64, one of each C type."""
    return _bfloat16() if dtype.name == "bfloat16" else DTYPES.get(dtype.name, dtype.newbyteorder("="))


def _bfloat16() -> DType:
    """Return the dtype that NumPy lacks and ml_dtypes defines."""
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        raise DTypeError("dtype: bfloat16 needs the package ml_dtypes; install neo-array[bfloat16]") from None
    found: DType = np.dtype(ml_dtypes.bfloat16)
    return found


def is_inexact(dtype: DType) -> bool:
    """Tell whether the dtype is floating or complex, so that derivatives make sense."""
    return _RANK[dtype.kind] >= 2


def result_type(*operands: object) -> DType:
    """Return the dtype that an op on these gives.

    Operands are Arrays, dtypes, names of dtypes, and Python or NumPy numbers. Arrays promote by kind first
    (bool < integer < floating < complex), then by size within the kind, as torch does: int64 with float32 is float32.
    Numbers are weak: they only raise the kind, to its default dtype.
    """
    numbers = [x.item() if isinstance(x, np.generic) else x for x in operands]
    scalars = [x for x in numbers if type(x) in _SCALAR_RANK]
    dtypes = [as_dtype(getattr(x, "dtype", x)) for x in numbers if type(x) not in _SCALAR_RANK]
    if not operands:
        raise DTypeError("result_type: needs at least one operand")
    out: DType | None = None
    for dtype in dtypes:
        out = dtype if out is None else _promote(out, dtype)
    rank = max((_SCALAR_RANK[type(s)] for s in scalars), default=-1)
    if out is None:
        return _DEFAULT[rank]
    if rank <= _RANK[out.kind]:
        return out
    return complex128 if rank == 3 and out == float64 else _DEFAULT[rank]


def _promote(a: DType, b: DType) -> DType:
    rank_a, rank_b = _RANK[a.kind], _RANK[b.kind]
    if rank_a < rank_b:
        a, b, rank_a, rank_b = b, a, rank_b, rank_a
    if rank_a != rank_b:
        return complex128 if a == complex64 and b == float64 else a
    if uint64 in (a, b) and "i" in (a.kind, b.kind):
        raise DTypeError(f"promotion: {a} with {b} has no common integer dtype; cast one side with .astype(...)")
    if "bfloat16" in (a.name, b.name) and a != b:  # NumPy does not know how bfloat16 combines; torch's table
        return float32 if float16 in (a, b) else (b if a.name == "bfloat16" else a)
    return np.promote_types(a, b)
