"""The array: an immutable value on a backend."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from types import EllipsisType, ModuleType
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from neo_array import backends
from neo_array._described import Described
from neo_array._device import Device, DeviceLike, as_device
from neo_array._dtypes import DType, Scalar
from neo_array._errors import DeviceError, LevelError, ShapeError
from neo_array._levels import OPEN
from neo_array._payloads import Batched, Donated
from neo_array.backends import dlpack

if TYPE_CHECKING:
    from neo_array.ops.updated import At

ArrayLike: TypeAlias = "Array | Scalar"
Axis: TypeAlias = "int | tuple[int, ...] | None"
_Index1: TypeAlias = "SupportsIndex | slice | EllipsisType | Array | None"
Index: TypeAlias = "_Index1 | list[int] | list[bool] | tuple[_Index1 | list[int] | list[bool], ...]"

API_VERSIONS: Final = ("2021.12", "2022.12", "2023.12", "2024.12")  # of the Python array API standard; the last is ours

_id_lock = threading.Lock()
next_id = itertools.count(1).__next__  # atomic, and never reused, unlike id()


class Array:
    """An immutable array: a raw backend array (NumPy, torch, CuPy) and a process-unique id.

    Operators, methods and attributes follow the Python array API standard. Nothing changes an Array: `x += y` rebinds
    the name, and `x.at[i].set(v)` returns an updated copy.
    """

    __slots__ = ("__weakref__", "_exported", "_id", "_raw")
    __array_ufunc__ = None  # `numpy_array + x` reaches __radd__ instead of looping over elements
    _raw: Any  # ndarray, torch.Tensor, cupy.ndarray, Batched or Donated
    _id: int
    _exported: bool  # set once memory was handed out; such an array is never donated in place

    # There is no __init__: a type without one is made in 50 ns, half the time. `wrap` makes arrays.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Answer for an empty slot: an id is given when it is first asked for, and nothing was exported yet."""
            if name == "_exported":
                return False
            if name != "_id":
                raise AttributeError(f"'Array' object has no attribute {name!r}", name=name, obj=self)
            with _id_lock:
                try:
                    return object.__getattribute__(self, "_id")
                except AttributeError:
                    self._id = next_id()
                    return self._id

    # --- What it is ---
    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return tuple(self._raw.shape)

    @property
    def dtype(self) -> DType:
        """The NumPy dtype object, on every backend."""
        raw = self._raw
        if type(raw) is np.ndarray:
            dtype: DType = raw.dtype
            return dtype
        return backends.of(raw).dtype_of(backends.example(raw))

    @property
    def device(self) -> Device:
        """Where the array lives."""
        return backends.of(self._raw).device_of(backends.example(self._raw))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._raw.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self._raw.shape:
            size *= n
        return size

    @property
    def T(self) -> Array:
        """The transpose of a matrix (of two axes exactly)."""
        if self.ndim != 2:
            raise ShapeError(
                f"T: got shape {self.shape}; use .mT for stacks of matrices or permute_dims for other axes"
            )
        return ops.matrix_transpose(self)

    @property
    def mT(self) -> Array:
        """The transpose of the last two axes."""
        return ops.matrix_transpose(self)

    @property
    def at(self) -> At:
        """Updated copies: `x.at[i].set(v)`, `.add`, `.subtract`, `.multiply`, `.divide`, `.power`, `.min`, `.max`."""
        return ops.At(self)

    # --- Leaving the graph: reading values ---
    def item(self) -> bool | int | float | complex:
        """Return the only element as a Python number."""
        return self._read("x.item()")

    def _read(self, how: str) -> bool | int | float | complex:
        """Return the only element, and let the open levels know that it was read."""
        if self.size != 1:
            raise ShapeError(f"item: needs exactly one element, got shape {self.shape}; index or reduce first")
        for ref in OPEN.copy():
            level = ref()
            if level is not None and level.knows(self):
                level.read(self, how)
        value: bool | int | float | complex = self._raw.item()
        return value

    def numpy(self) -> npt.NDArray[Any]:
        """Return the values as a NumPy array: a read-only view on the CPU, a copy from other places."""
        raw = self._export("x.numpy()")
        view = backends.of(raw).to_numpy(raw)
        if view.flags.writeable:
            view = view.view()
            view.flags.writeable = False
        return view

    @property
    def raw(self) -> Any:
        """The backend's own array. Do not write into it: other arrays may share its memory."""
        return self._export("x.raw")

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_function__(self, function: Any, types: object, args: Any, kwargs: Any) -> Any:
        """Let NumPy's functions read the values, and give what they give for NumPy's arrays: `np.sum(x)`."""
        return function(*_read(args), **_read(kwargs))

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Export through DLPack. Copies unless `copy=False`: consumers write through the view that DLPack hands out.

        Raises:
            BufferError: for a dtype that the backend cannot export, or a device that is neither its own nor the host.
        """
        raw = self._export("DLPack export")
        return dlpack.capsule(raw, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.device(backends.checked(self._raw))

    def _export(self, how: str) -> Any:
        """Return the raw array to the outside, unless an open transform would lose track of it."""
        for ref in OPEN.copy():
            level = ref()
            if level is not None and level.knows(self):
                level.read(self, how)
                raise LevelError(
                    f"{how}: this array is being differentiated, and its derivative would be lost; "
                    "write stop_gradient(x) first, or return the array from the function and read it there"
                )
        raw = backends.checked(self._raw)
        self._exported = True
        return raw

    # --- Moving ---
    def to(self, device: DeviceLike, /) -> Array:
        """Return the array on another device (itself if it is there already)."""
        target = as_device(device)
        return self if target == self.device else ops.to_device(self, device=target)

    def to_device(self, device: DeviceLike, /, *, stream: None = None) -> Array:
        """Do as `to`: the array API standard's name. No stream is to be chosen: the backend's current one is used."""
        if stream is not None:
            raise DeviceError(f"to_device: takes no stream, got {stream!r}; make it the backend's current one")
        return self.to(device)

    def astype(self, dtype: object, /, *, copy: bool = True, device: DeviceLike | None = None) -> Array:
        """Return the array with another dtype, and on another device if one is given."""
        return ops.astype(self, dtype, copy=copy, device=device)

    # --- Python protocol ---
    def __bool__(self) -> bool:
        return bool(self._read("bool(x)"))

    def __float__(self) -> float:
        return float(self._read("float(x)"))  # type: ignore[arg-type]  # complex: Python's own error says it best

    def __int__(self) -> int:
        return int(self._read("int(x)"))  # type: ignore[arg-type]

    def __complex__(self) -> complex:
        return complex(self._read("complex(x)"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"index: needs an integer array of one element, got dtype {self.dtype}")
        return int(self._read("int(x)"))  # type: ignore[arg-type]

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len: a 0-d array has none")
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        if not self.ndim:
            raise TypeError("iteration: a 0-d array has no elements to go over; use .item()")
        return iter(ops.unstack(self))  # one op for all rows: the derivative of each alone is as large as x

    def __contains__(self, value: object) -> bool:
        found: Any = self == value
        return found if type(found) is bool else bool(ops.any(found))

    def __hash__(self) -> int:
        return self._id

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        if self.size != 1:
            raise ShapeError(
                f"format: {spec!r} needs exactly one element, got shape {self.shape}; write {{x!s}}, or format elements"
            )
        return format(self._read("format(x)"), spec)

    def __repr__(self) -> str:
        raw = self._raw
        if type(raw) is Donated:
            return f"Array({raw!r})"
        without = {Batched: "one value per example", Described: "no values"}
        values = without.get(type(raw)) or _text(raw)
        return f"Array({values}, shape={self.shape}, dtype={self.dtype}, device={str(self.device)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (np.array(self.numpy()), str(self.device))

    def __copy__(self) -> Array:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Array:
        return self

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        if api_version not in (None, *API_VERSIONS):
            raise ValueError(f"array API: got version {api_version!r}; use one of {', '.join(API_VERSIONS)}")
        import neo_array

        return neo_array

    # --- Reductions and shapes as methods ---
    def sum(self, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Sum over axes; see `neo_array.sum`."""
        return ops.sum(self, axis=axis, keepdims=keepdims)

    def prod(self, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Multiply over axes; see `neo_array.prod`."""
        return ops.prod(self, axis=axis, keepdims=keepdims)

    def mean(self, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Average over axes; see `neo_array.mean`."""
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def var(self, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
        """Return the variance over axes; see `neo_array.var`."""
        return ops.var(self, axis=axis, correction=correction, keepdims=keepdims)

    def std(self, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
        """Return the standard deviation over axes; see `neo_array.std`."""
        return ops.std(self, axis=axis, correction=correction, keepdims=keepdims)

    def max(self, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Take the maximum over axes; see `neo_array.max`."""
        return ops.max(self, axis=axis, keepdims=keepdims)

    def min(self, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Take the minimum over axes; see `neo_array.min`."""
        return ops.min(self, axis=axis, keepdims=keepdims)

    def argmax(self, *, axis: int | None = None, keepdims: bool = False) -> Array:
        """Return the index of the maximum; see `neo_array.argmax`."""
        return ops.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, *, axis: int | None = None, keepdims: bool = False) -> Array:
        """Return the index of the minimum; see `neo_array.argmin`."""
        return ops.argmin(self, axis=axis, keepdims=keepdims)

    def all(self, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Tell whether all elements along the axes are true; see `neo_array.all`."""
        return ops.all(self, axis=axis, keepdims=keepdims)

    def any(self, *, axis: Axis = None, keepdims: bool = False) -> Array:
        """Tell whether any element along the axes is true; see `neo_array.any`."""
        return ops.any(self, axis=axis, keepdims=keepdims)

    def reshape(self, shape: int | tuple[int, ...], /) -> Array:
        """Return the elements in another shape; see `neo_array.reshape`."""
        return ops.reshape(self, shape)

    def __getitem__(self, index: Index, /) -> Array:
        return ops.getitem(self, index)

    # The primitives' own generated functions are installed as these by ops/operators.py, so that nothing stands between
    # `+` and the op. __setitem__ is installed there too, and hidden from checkers: they are to see that there is none.
    if TYPE_CHECKING:

        def __add__(self, other: ArrayLike, /) -> Array: ...
        def __radd__(self, other: Scalar, /) -> Array: ...
        def __sub__(self, other: ArrayLike, /) -> Array: ...
        def __rsub__(self, other: Scalar, /) -> Array: ...
        def __mul__(self, other: ArrayLike, /) -> Array: ...
        def __rmul__(self, other: Scalar, /) -> Array: ...
        def __truediv__(self, other: ArrayLike, /) -> Array: ...
        def __rtruediv__(self, other: Scalar, /) -> Array: ...
        def __floordiv__(self, other: ArrayLike, /) -> Array: ...
        def __rfloordiv__(self, other: Scalar, /) -> Array: ...
        def __mod__(self, other: ArrayLike, /) -> Array: ...
        def __rmod__(self, other: Scalar, /) -> Array: ...
        def __pow__(self, other: ArrayLike, /) -> Array: ...
        def __rpow__(self, other: Scalar, /) -> Array: ...
        def __matmul__(self, other: Array, /) -> Array: ...
        def __neg__(self) -> Array: ...
        def __pos__(self) -> Array: ...
        def __abs__(self) -> Array: ...
        def __invert__(self) -> Array: ...
        def __and__(self, other: ArrayLike, /) -> Array: ...
        def __rand__(self, other: Scalar, /) -> Array: ...
        def __or__(self, other: ArrayLike, /) -> Array: ...
        def __ror__(self, other: Scalar, /) -> Array: ...
        def __xor__(self, other: ArrayLike, /) -> Array: ...
        def __rxor__(self, other: Scalar, /) -> Array: ...
        def __lshift__(self, other: ArrayLike, /) -> Array: ...
        def __rlshift__(self, other: Scalar, /) -> Array: ...
        def __rshift__(self, other: ArrayLike, /) -> Array: ...
        def __rrshift__(self, other: Scalar, /) -> Array: ...
        def __lt__(self, other: ArrayLike, /) -> Array: ...
        def __le__(self, other: ArrayLike, /) -> Array: ...
        def __gt__(self, other: ArrayLike, /) -> Array: ...
        def __ge__(self, other: ArrayLike, /) -> Array: ...
        def __eq__(self, other: ArrayLike, /) -> Array: ...  # type: ignore[override]
        def __ne__(self, other: ArrayLike, /) -> Array: ...  # type: ignore[override]


def _read(value: Any) -> Any:
    """Return nested arguments of a NumPy function with NumPy's arrays in place of Arrays."""
    if isinstance(value, Array):
        return value.numpy()
    if isinstance(value, list | tuple):
        return list(map(_read, value)) if isinstance(value, list) else tuple(map(_read, value))
    return {k: _read(v) for k, v in value.items()} if isinstance(value, dict) else value


_SHOWN: Final = 60  # elements; of a larger array only the corners are shown, and brought to the host


def _text(raw: Any) -> str:
    edge: int = np.get_printoptions()["edgeitems"]
    large = math.prod(raw.shape) > _SHOWN
    values = _corners(raw, edge) if large else backends.of(raw).to_numpy(raw)
    return np.array2string(values, separator=", ", prefix="Array(", threshold=0 if large else _SHOWN)


def _corners(raw: Any, edge: int, axis: int = 0) -> npt.NDArray[Any]:
    """Return the elements at the ends of each axis, and one between them, for which NumPy will print dots."""
    if axis == raw.ndim:
        return backends.of(raw).to_numpy(raw)
    if raw.shape[axis] <= 2 * edge + 1:
        return _corners(raw, edge, axis + 1)
    before = (slice(None),) * axis
    ends = raw[(*before, slice(edge + 1))], raw[(*before, slice(-edge, None))]
    return np.concatenate([_corners(end, edge, axis + 1) for end in ends], axis)


def _restore(values: npt.NDArray[Any], device: str) -> Array:
    try:
        place = as_device(device)
        return wrap(backends.named(place.backend).asarray(values, None, place, None))
    except DeviceError as error:
        raise DeviceError(
            f"pickle: the array was saved on {device}, which is not to be had here ({error}); "
            'save x.to("numpy") instead, or load it where there is one'
        ) from None


def wrap(raw: Any, /) -> Array:
    """Return the Array around a raw backend array."""
    array = Array()
    array._raw = raw
    return array


from neo_array import ops as ops  # noqa: E402  (the ops need Array, its methods need them: the class comes first)
