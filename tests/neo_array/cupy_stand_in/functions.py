"""The stand-in's functions: NumPy's and SciPy's, called with CuPy's parameters on arrays of the current device."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from tests.neo_array.cupy_stand_in import api, arrays, devices
from tests.neo_array.cupy_stand_in.ufuncs import ufunc

_OURS: Final = {
    "cupy": "numpy",
    "cupy.linalg": "numpy.linalg",
    "cupy.fft": "numpy.fft",
    "cupyx": "numpy",
    "cupyx.scipy.special": "scipy.special",
}
# computed in float32 on bfloat16, as CuPy does; other functions move elements and let them be
_HALF: Final = {
    "sum",
    "prod",
    "max",
    "min",
    "amax",
    "amin",
    "mean",
    "var",
    "std",
    "matmul",
    "dot",
    "tensordot",
    "einsum",
}
_NO_BFLOAT16: Final = {"argmax", "argmin", "sort", "argsort", "partition", "argpartition", "cumsum", "cumprod"}
_CHOOSING: Final = {"tril", "triu"}  # made of `where`, which has no loop for bfloat16, and gives float32
_CHOOSE: Final = ("??", *(c * 2 for c in "bBhHiIlLqQefdFD"))  # no E


@cache
def namespaces() -> dict[str, dict[str, Any]]:
    """Return the contents of CuPy's modules."""
    out: dict[str, dict[str, Any]] = {module: {} for module in _OURS}
    for full, entry in api.read().items():
        module, _, name = full.rpartition(".")
        if isinstance(entry, api.Ufunc):
            out[module][name] = ufunc(name, entry.loops)
            continue
        own = _OWN.get(full) or getattr(importlib.import_module(_OURS[module]), name, None)
        if own is not None:
            out[module][name] = _function(full, entry, own)
    out["cupy"].update({name: getattr(np, name) for name in (*_DTYPES, "inf", "nan", "pi", "newaxis", "dtype")})
    return out


_DTYPES: Final = (
    *("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
_MAKES: Final = {"cupy.array", "cupy.asarray", "cupy.ascontiguousarray"}


def _function(full: str, entry: api.Function, own: Callable[..., Any]) -> Callable[..., Any]:
    name = full.rpartition(".")[2]

    def call(*args: Any, **options: Any) -> Any:
        entry.signature.bind(*args, **options)
        devices.check()
        given = [*_arrays(args), *_arrays(options.values())]
        if full not in _MAKES:
            arrays.refuse_host(args)
            arrays.refuse_host(tuple(options.values()))
            for a in given:
                devices.check_peer(a.data.device_id)
        if full in _WHOLE:
            return own(*args, **options)
        half = any(api.is_bfloat16(a.dtype) for a in given)
        if half and name in _NO_BFLOAT16 and options.get("dtype") is None:
            raise NotImplementedError(f"cupy.{name} does not know bfloat16")
        widen = half and name in _HALF | _CHOOSING
        hosts = [_widened(a, widen) for a in args]
        with np.errstate(all="ignore"):
            result = own(*hosts, **{k: _widened(v, widen) for k, v in options.items()})
        return _wrapped(result, given, half and name in _HALF)

    call.__name__ = name
    return call


def _arrays(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, arrays.ndarray):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _arrays(value)
    return found


def _widened(value: Any, widen: bool) -> Any:
    host = arrays.unwrap(value)
    return host.astype(np.float32) if widen and isinstance(host, np.ndarray) and api.is_bfloat16(host.dtype) else host


def _wrapped(result: Any, given: list[Any], narrow: bool) -> Any:
    """Return CuPy's arrays for NumPy's, also for NumPy's scalars: 0-d results stay arrays."""
    if isinstance(result, list | tuple):
        items = [_wrapped(r, given, narrow) for r in result]
        return type(result)(*items) if hasattr(result, "_fields") else type(result)(items)
    if not isinstance(result, np.ndarray | np.generic):
        return result
    host = np.asarray(result)
    if narrow and host.dtype == np.float32:
        host = host.astype(api.BFLOAT16)
    for a in given:
        if host.size and np.may_share_memory(host, a._host):
            return arrays.view_of(a, host)
    return arrays.fresh(host)


# --- What CuPy does in its own way ---
def _array(obj: Any, dtype: Any = None, copy: bool | None = True, order: str = "K", **options: Any) -> Any:
    if not isinstance(obj, arrays.ndarray):
        arrays.refuse_host([] if isinstance(obj, np.ndarray) else obj)
        return arrays.fresh(np.array(obj, dtype))
    here = obj.data.device_id == devices.machine.current
    if copy is not True and here and (dtype is None or dtype == obj.dtype):
        return obj
    if copy is False:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    there = obj if here else obj.copy(order)
    return there.astype(obj.dtype if dtype is None else dtype)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None:
        return condition.nonzero()
    return _choose(condition.astype("?", copy=False), x, y)


def _take(a: Any, indices: Any, axis: int | None = None, out: None = None) -> Any:
    if axis is None:
        return a.ravel()[indices]
    return a[(slice(None),) * (axis % a.ndim) + (indices,)]


def _take_along_axis(a: Any, indices: Any, axis: int) -> Any:
    at = axis % a.ndim
    if indices.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    wrapped = indices._host.astype(np.int64) % max(a.shape[at], 1)
    return arrays.fresh(np.take_along_axis(a._host, wrapped, at))


def _sort(a: Any, axis: int | None = -1, kind: str | None = None) -> Any:
    _check_kind(kind)
    if a.ndim == 0:
        raise np.exceptions.AxisError("Sorting arrays with the rank of zero is not supported")
    return np.sort(a, axis, kind="stable")


def _argsort(a: Any, axis: int | None = -1, kind: str | None = None) -> Any:
    _check_kind(kind)
    return np.argsort(a, axis, kind="stable")


def _check_kind(kind: str | None) -> None:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")


def _scan(name: str) -> Callable[..., Any]:
    def scan(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
        if not a.size and (axis is None or a.shape[axis]):
            raise devices.CUDARuntimeError("cudaErrorInvalidConfiguration: invalid configuration argument")
        return getattr(np, name)(a, axis, dtype)

    return scan


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if not isinstance(v, np.ndarray):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    return np.searchsorted(a, v, side, sorter)  # type: ignore[call-overload]


def _isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    return np.isin(element, test_elements, assume_unique, invert)


def _scatter(name: str) -> Callable[..., Any]:
    def scatter(a: Any, slices: Any, value: Any) -> None:
        getattr(arrays.installed["cupy"], name).at(a, slices, value)

    return scatter


_choose = ufunc("where", tuple((api.dtypes("?" + pair), api.dtypes(pair[0])) for pair in _CHOOSE))
_OWN: Final[dict[str, Callable[..., Any]]] = {
    "cupy.array": _array,
    "cupy.asarray": lambda a, dtype=None, order=None, copy=None, blocking=False: _array(a, dtype, copy),
    "cupy.ascontiguousarray": lambda a, dtype=None: a.astype(a.dtype if dtype is None else dtype, order="C"),
    "cupy.where": _where,
    "cupy.take": _take,
    "cupy.take_along_axis": _take_along_axis,
    "cupy.sort": _sort,
    "cupy.argsort": _argsort,
    "cupy.cumsum": _scan("cumsum"),
    "cupy.cumprod": _scan("cumprod"),
    "cupy.searchsorted": _searchsorted,
    "cupy.isin": _isin,
    "cupy.asnumpy": lambda a, stream=None, order="C", out=None, blocking=True: a.get(),
    "cupy.nonzero": lambda a: np.nonzero(a),
    "cupyx.scatter_add": _scatter("add"),
    "cupyx.scatter_max": _scatter("maximum"),
    "cupyx.scatter_min": _scatter("minimum"),
    "cupyx.seterr": SimpleNamespace,
}
# these take and give the stand-in's arrays
_WHOLE: Final = {
    *("cupy.array", "cupy.asarray", "cupy.ascontiguousarray", "cupy.where", "cupy.take", "cupy.take_along_axis"),
    *("cupy.asnumpy", "cupyx.scatter_add", "cupyx.scatter_max", "cupyx.scatter_min"),
}
