"""The stand-in's ndarray: NumPy's memory behind CuPy's interface."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from tests.neo_array.cupy_stand_in import api, devices

installed: Final[dict[str, ModuleType]] = {}  # the modules that are installed now, for dispatching


class Flags(NamedTuple):
    """What CuPy says of an array's layout."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


class Memory:
    """An allocation."""


class MemoryPointer:
    """Where an array's memory is: views share it."""

    def __init__(self, mem: Memory, device_id: int) -> None:
        self.mem, self.device_id = mem, device_id


class ndarray:  # CuPy's name
    """An array on a device. As CuPy's, it converts nothing to NumPy, and cannot be hashed."""

    __module__ = "cupy"
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]
    _host: npt.NDArray[Any]
    base: ndarray | None
    data: MemoryPointer

    # --- What it is ---
    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._host.dtype

    @property
    def ndim(self) -> int:
        return self._host.ndim

    @property
    def size(self) -> int:
        return self._host.size

    @property
    def itemsize(self) -> int:
        return self._host.itemsize

    @property
    def nbytes(self) -> int:
        return self._host.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        return self._host.strides

    @property
    def device(self) -> devices.Device:
        return devices.Device(self.data.device_id)

    @property
    def flags(self) -> Flags:
        return Flags(self._host.flags.c_contiguous, self._host.flags.f_contiguous, self.base is None)

    @property
    def T(self) -> Any:
        return view_of(self, self._host.T)

    @property
    def mT(self) -> Any:
        return view_of(self, self._host.mT)

    @property
    def real(self) -> Any:
        return view_of(self, self._host.real)

    @property
    def imag(self) -> Any:
        return view_of(self, self._host.imag) if self.dtype.kind == "c" else fresh(np.zeros_like(self._host))

    # --- To the host: only when asked to ---
    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> npt.NDArray[Any]:
        """Return a copy on the host."""
        devices.check()
        return np.array(self._host, order="C")

    def item(self) -> Any:
        """Return the only element."""
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous.")
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return repr(self.get())

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.data.device_id

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        if copy is True and dl_device != (1, 0):
            raise BufferError("copy=True only supported for copy to CPU.")
        return self.get().__dlpack__()  # there is no device memory to hand out

    # --- Dispatch: NEP 13 and NEP 18, as CuPy has them ---
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            (options["out"],) = options["out"]
        modules = installed["cupy"], installed["cupyx.scipy.special"]
        found = next((getattr(m, ufunc.__name__) for m in modules if hasattr(m, ufunc.__name__)), None)
        if found is None or (method != "__call__" and not hasattr(found, method)):
            return NotImplemented
        return (found if method == "__call__" else getattr(found, method))(*inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        module: Any = installed["cupy"]
        for part in function.__module__.split(".")[1:]:
            module = getattr(module, part, None)
        found = getattr(module, function.__name__, None)
        if found is None or found is function:
            return NotImplemented
        if not all(issubclass(t, ndarray | np.ndarray) for t in types):
            return NotImplemented
        return found(*args, **options)

    # --- Parts ---
    def __getitem__(self, index: Any) -> Any:
        devices.check_peer(self.data.device_id)
        part = self._host[lowered(index, self.shape)]
        return view_of(self, part) if isinstance(part, np.ndarray) else fresh(np.asarray(part), self)

    def __setitem__(self, index: Any, value: Any) -> None:
        devices.check_peer(self.data.device_id)
        refuse_host(value)
        places = np.arange(self.size).reshape(self.shape)[lowered(index, self.shape)]
        values = np.broadcast_to(np.asarray(unwrap(value)), places.shape).astype(self.dtype)
        # where an index occurs twice, which value is kept is undefined: not the last one, as in NumPy
        self._host.flat[places.reshape(-1)[::-1]] = values.reshape(-1)[::-1]

    # --- Copies and views ---
    def astype(self, dtype: Any, order: str = "K", casting: None = None, subok: None = None, copy: bool = True) -> Any:
        """Cast."""
        devices.check_peer(self.data.device_id)
        target = np.dtype(dtype)
        if target == self.dtype and not copy:
            return self
        if self.dtype.kind == "c" and target.kind not in "cb":
            warnings.warn("Casting complex values to real discards the imaginary part", ComplexWarning, stacklevel=2)
        with np.errstate(all="ignore"):
            return fresh(self._host.astype(target, order=order))  # type: ignore[call-overload]

    def copy(self, order: str = "C") -> Any:
        """Copy to the current device."""
        devices.check()
        if self.data.device_id != devices.machine.current and order != "C" and not self._host.flags.forc:
            raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")
        return fresh(np.array(self._host, order=order))  # type: ignore[call-overload]

    def view(self, dtype: Any = None, type: Any = None) -> Any:  # NumPy's names
        """Return a view, as another dtype or another class."""
        made = view_of(self, self._host.view() if dtype is None else self._host.view(dtype))
        if type is not None:
            made.__class__ = type
        return made

    def fill(self, value: Any) -> None:
        """Fill with a number."""
        refuse_host(value)
        self._host.fill(np.asarray(unwrap(value), self.dtype)[()])

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> Any:
        """Reshape, without a copy if possible."""
        devices.check_peer(self.data.device_id)
        return view_of(self, self._host.reshape(*shape))

    def transpose(self, *axes: Any) -> Any:
        """Permute the axes."""
        return view_of(self, self._host.transpose(*axes))

    def __copy__(self) -> Any:
        return self.copy()


class ComplexWarning(RuntimeWarning):
    """What CuPy says when a cast drops imaginary parts."""


# --- Between the two sides ---
def fresh(host: npt.NDArray[Any], like: ndarray | None = None) -> Any:
    """Return an array of the current device (or like's) that owns this memory."""
    devices.check()
    made = ndarray.__new__(ndarray)
    made._host = host if host.flags.writeable and host.base is None else np.array(host)
    made.base = None
    made.data = MemoryPointer(Memory(), devices.machine.current if like is None else like.data.device_id)
    return made


def view_of(owner: Any, host: npt.NDArray[Any]) -> Any:
    """Return an array for what NumPy made of owner's memory: a view of it, if that is what it is."""
    if not np.may_share_memory(host, owner._host) or host.size == 0:
        return fresh(host, owner)
    made = ndarray.__new__(ndarray)
    made._host = host
    made.base = owner if owner.base is None else owner.base
    made.data = owner.data
    return made


def unwrap(value: Any) -> Any:
    """Return NumPy's arrays in place of the stand-in's, within tuples, lists and dicts as well."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, list | tuple):
        return type(value)(map(unwrap, value))
    return value


def refuse_host(value: Any) -> None:
    """Refuse NumPy's arrays, also in tuples and lists: CuPy moves nothing to the device by itself."""
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, list | tuple):
        for item in value:
            refuse_host(item)


def lowered(index: Any, shape: tuple[int, ...]) -> Any:
    """Return an index for NumPy. Integers in arrays that are out of range come round from the other end, as in CuPy."""
    refuse_host(index)
    items = list(index) if isinstance(index, tuple) else [index]
    masks = [i for i in items if isinstance(i, ndarray) and i.dtype.kind == "b"]
    if len(masks) > 1:
        raise NotImplementedError("CuPy does not support several boolean arrays in an index")
    used = sum(_width(i) for i in items)
    out: list[Any] = []
    axis = 0
    for item in items:
        if item is ...:
            axis = len(shape) - (used - axis)
        elif isinstance(item, ndarray):
            if item.dtype.kind not in "biu":
                raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {item.dtype})")
            out.append(item._host if item.dtype.kind == "b" else item._host.astype(np.int64) % max(shape[axis], 1))
            axis += _width(item)
            continue
        else:
            axis += _width(item)
        out.append(item)
    return tuple(out) if isinstance(index, tuple) else out[0]


def _width(item: Any) -> int:
    if item is None or item is ...:
        return 0
    return item.ndim if isinstance(item, ndarray) and item.dtype.kind == "b" else 1


# --- Operators and methods ---
_OPERATORS: Final = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "lshift": "left_shift",
    "rshift": "right_shift",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "matmul": "matmul",
}
_COMPARISONS: Final = {
    "lt": "less",
    "le": "less_equal",
    "eq": "equal",
    "ne": "not_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
_UNARY: Final = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
# CuPy's methods, which its compiled code does not tell; each is a function of the same name
_METHODS: Final = {
    "all": "(axis=None, out=None, keepdims=False)",
    "any": "(axis=None, out=None, keepdims=False)",
    "argmax": "(axis=None, out=None, dtype=None, keepdims=False)",
    "argmin": "(axis=None, out=None, dtype=None, keepdims=False)",
    "argpartition": "(kth, axis=-1)",
    "argsort": "(axis=-1, kind=None)",
    "clip": "(min=None, max=None, out=None)",
    "conj": "()",
    "cumprod": "(axis=None, dtype=None, out=None)",
    "cumsum": "(axis=None, dtype=None, out=None)",
    "diagonal": "(offset=0, axis1=0, axis2=1)",
    "dot": "(b, out=None)",
    "max": "(axis=None, out=None, keepdims=False)",
    "mean": "(axis=None, dtype=None, out=None, keepdims=False)",
    "min": "(axis=None, out=None, keepdims=False)",
    "nonzero": "()",
    "prod": "(axis=None, dtype=None, out=None, keepdims=None)",
    "ravel": "(order='C')",
    "repeat": "(repeats, axis=None)",
    "round": "(decimals=0, out=None)",
    "searchsorted": "(v, side='left', sorter=None)",
    "squeeze": "(axis=None)",
    "std": "(axis=None, dtype=None, out=None, ddof=0, keepdims=False)",
    "sum": "(axis=None, dtype=None, out=None, keepdims=False)",
    "swapaxes": "(axis1, axis2)",
    "take": "(indices, axis=None, out=None)",
    "trace": "(offset=0, axis1=0, axis2=1, dtype=None, out=None)",
    "var": "(axis=None, dtype=None, out=None, ddof=0, keepdims=False)",
}


def _function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(installed["cupy"], name)
    return found


def _defers(self: ndarray, other: Any) -> bool:
    """Tell whether the other side's reflected operator is to be tried, as NEP 13 has it."""
    missing = object()
    own = getattr(other, "__array_ufunc__", missing)
    if own is missing:
        return bool(self.__array_priority__ < getattr(other, "__array_priority__", 0))
    return own is None


def _binary(name: str, reflected: bool = False) -> Callable[[ndarray, Any], Any]:
    def operator(self: ndarray, other: Any) -> Any:
        pair = (other, self) if reflected else (self, other)
        if isinstance(other, ndarray):
            return _function(name)(*pair)
        return NotImplemented if _defers(self, other) else getattr(np, name)(*pair)

    return operator


def _in_place(name: str) -> Callable[[ndarray, Any], Any]:
    def operator(self: ndarray, other: Any) -> Any:
        return _function(name)(self, other, out=self)

    return operator


def _unary(name: str) -> Callable[[ndarray], Any]:
    return lambda self: _function(name)(self)


def _method(name: str, parameters: str) -> Callable[..., Any]:
    signature = api.signature(parameters)

    def method(self: ndarray, *args: Any, **options: Any) -> Any:
        given = signature.bind(*args, **options).arguments
        if name == "clip":
            return _function("clip")(self, given.get("min"), given.get("max"))
        return _function(name)(self, **{k: v for k, v in given.items() if v is not None})

    return method


def _equip() -> None:
    for name, function in {**_OPERATORS, **_COMPARISONS}.items():
        setattr(ndarray, f"__{name}__", _binary(function))
        if name in _OPERATORS:
            setattr(ndarray, f"__r{name}__", _binary(function, reflected=True))
            setattr(ndarray, f"__i{name}__", _in_place(function))
    for name, function in _UNARY.items():
        setattr(ndarray, f"__{name}__", _unary(function))
    for name, parameters in _METHODS.items():
        setattr(ndarray, name, _method(name, parameters))


_equip()
