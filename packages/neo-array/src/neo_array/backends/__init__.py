"""Backends: one file each, loaded when first met. Everything a vendor library does differently is in its file."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Mapping
from importlib.util import find_spec
from typing import Any, Final, Protocol, TypeAlias

import numpy.typing as npt

from neo_array._device import Device
from neo_array._dtypes import DType, Scalar
from neo_array._errors import DeviceError

_Source: TypeAlias = Callable[..., Any] | str


class Backend(Protocol):
    """What a backend file provides, as module-level functions."""

    NAME: str
    RAW: type
    KERNELS: tuple[str, ...]  # whose kernels it runs: its own, then those of a library whose functions dispatch on RAW

    def asarray(self, values: Any, dtype: DType | None, device: Device, copy: bool | None) -> Any:
        """Return a raw array on `device` from a NumPy array or one of this backend; copy=None: only if needed."""

    def to_numpy(self, raw: Any) -> npt.NDArray[Any]:
        """Return the values on the host, without a copy where possible."""

    def copy(self, raw: Any) -> Any:
        """Return a raw array with memory of its own."""

    def constant(self, value: Scalar, like: Any) -> Any:
        """Return a 0-d raw array of like's dtype that an op can combine with `like`."""

    def constants_for(self, raw: Any) -> Hashable:
        """Return what tells apart arrays that cannot share constants: the library, or also the device."""

    def cast(self, raw: Any, dtype: DType) -> Any:
        """Return the raw array with another dtype."""

    def full(self, shape: tuple[int, ...], value: Scalar, dtype: DType, device: Device) -> Any:
        """Return a raw array filled with `value`."""

    def dtype_of(self, raw: Any) -> DType:
        """Return the NumPy dtype object that stands for the raw array's."""

    def inexact(self) -> frozenset[Any]:
        """Return the library's own dtype objects that are floating or complex."""

    def device_of(self, raw: Any) -> Device:
        """Return where the raw array lives."""

    def devices(self) -> list[Device]:
        """Return the places that this machine has."""

    def guard(self, kernel: Callable[..., Any], several: bool) -> Callable[..., Any]:
        """Wrap a kernel, of an op on one array or on several, where the library would mix devices silently."""

    def sole_owner(self, raw: Any, references: int) -> bool:
        """Tell whether nothing but `references` Python references reaches the array's memory."""


_loaded: Final[dict[str, Backend]] = {}
_by_type: Final[dict[type, Backend]] = {}
INEXACT: Final[set[Any]] = set()  # every loaded library's own floating and complex dtype objects
_ADVICE: Final = {
    "numpy": "install neo-array",
    "torch": "install neo-array[torch], or use device='numpy'",
    "cupy": "install neo-array[cupy], or use device='torch:cuda:0'",
}


def named(name: str) -> Backend:
    """Return a backend, importing its library when first asked for."""
    if name not in _loaded:
        if find_spec(name) is None or find_spec(f"{__name__}.{name}") is None:
            raise DeviceError(f"backend {name!r}: not available here; {_ADVICE[name]}")
        try:
            backend: Backend = importlib.import_module(f"{__name__}.{name}")
        except ImportError as error:  # CuPy's wheels, say, need libraries of CUDA's
            raise DeviceError(f"backend {name!r}: its library does not load: {error}; use device='numpy'") from error
        INEXACT.update(backend.inexact())  # before any other thread can find the backend
        _by_type[backend.RAW] = backend
        _loaded[name] = backend
    return _loaded[name]


def available() -> list[str]:
    """Return the names of the backends whose library is installed."""
    return [name for name in _ADVICE if find_spec(name) and find_spec(f"{__name__}.{name}")]


def devices() -> list[Device]:
    """Return every place to compute on that this machine has: NumPy's, then those of the other installed libraries."""
    return [device for name in available() for device in devices_of(name)]


def devices_of(name: str) -> list[Device]:
    """Return the places that a library has here: none where it is not installed, does not load or finds no device."""
    try:
        return named(name).devices()
    except DeviceError:
        return []


def kernel_source(backend: Backend, sources: Mapping[str, _Source]) -> _Source | None:
    """Return what a backend runs of an op's kernels: its own, or one that dispatches on its arrays."""
    return next((sources[name] for name in backend.KERNELS if name in sources), None)


def of(raw: Any) -> Backend:
    """Return the backend of a raw array, or of what stands in for one."""
    found = _by_type.get(type(raw))
    return found if found is not None else _by_type[type(raw.example())]


def of_type(kind: type) -> Backend | None:
    """Return the backend whose raw arrays are of this type, or None."""
    return _by_type.get(kind)


def example(raw: Any) -> Any:
    """Return a raw array with this one's dtype and device: itself, or what a batch holds."""
    return raw if type(raw) in _by_type else raw.example()


def checked(raw: Any) -> Any:
    """Return a raw array as it is; what only stands in for one (donated, batched) raises its own error."""
    return raw if type(raw) in _by_type else raw.require()


def is_raw(obj: Any) -> bool:
    """Tell whether `obj` is the array of some backend."""
    return foreign(obj) is not None


def foreign(obj: Any) -> Backend | None:
    """Return the backend to which a user's own array (ndarray, Tensor, ...) belongs, else None."""
    for kind in type(obj).__mro__:
        if kind in _by_type:
            return _by_type[kind]
        root = kind.__module__.partition(".")[0]
        if root in _ADVICE and kind.__name__ in ("ndarray", "Tensor") and isinstance(obj, named(root).RAW):
            return named(root)
    return None


named("numpy")
