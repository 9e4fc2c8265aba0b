"""The stand-in's ufuncs: CuPy's loops, chosen as CuPy chooses them, computed by NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import scipy.special

from tests.neo_array.cupy_stand_in import api, arrays, devices

_SCALARS: Final = (bool, int, float, complex, np.generic)
_KINDS: Final = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 2, "V": 3}
# loops that are there to raise
_REFUSED: Final = {("subtract", "?"), ("negative", "?"), ("positive", "?"), ("gcd", "?"), ("lcm", "?")}
_SCATTERED: Final = {
    "add": "iIlLqQefd",
    "subtract": "iI",
    "maximum": "iIlLqQfd",
    "minimum": "iIlLqQfd",
    "bitwise_and": "iIlLqQ",
    "bitwise_or": "iIlLqQ",
    "bitwise_xor": "iIlLqQ",
}


class ufunc:  # CuPy's name
    """A ufunc with CuPy's loops."""

    def __init__(self, name: str, loops: tuple[api.Loop, ...]) -> None:
        self.__name__ = name
        self.loops = loops
        self.nin, self.nout = len(loops[0][0]), len(loops[0][1])

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.__name__}'>"

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        """Compute on arrays of the current device and on numbers."""
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for {self.__name__!r}")
        inputs, outs = args[: self.nin], args[self.nin :]
        if out is not None:
            outs = out if isinstance(out, tuple) else (out,)
        for a in (*inputs, *outs):
            if isinstance(a, arrays.ndarray):
                devices.check_peer(a.data.device_id)
            elif not isinstance(a, _SCALARS):
                raise TypeError(f"Unsupported type {type(a)}")
        takes, gives = self._loop(inputs, None if dtype is None else np.dtype(dtype))
        hosts = [_computable(arrays.unwrap(a), t) for a, t in zip(inputs, takes, strict=True)]
        with np.errstate(all="ignore"):
            results = _implementation(self.__name__)(*hosts)
        results = results if isinstance(results, tuple) else (results,)
        made = [np.asarray(r).astype(t) for r, t in zip(results, gives, strict=True)]
        if outs:
            for target, value in zip(outs, made, strict=True):
                if not np.can_cast(value.dtype, target.dtype, casting):  # type: ignore[arg-type]
                    raise TypeError(f"output (typecode {value.dtype.char!r}) could not be coerced to {target.dtype}")
                target._host[...] = value
            return outs[0] if len(outs) == 1 else tuple(outs)
        wrapped = tuple(arrays.fresh(np.array(value)) for value in made)
        return wrapped[0] if self.nout == 1 else wrapped

    def _loop(self, inputs: tuple[Any, ...], dtype: np.dtype[Any] | None) -> api.Loop:
        """Return the first loop that all inputs can safely be cast to; Python's numbers are weak."""
        dtypes = [_dtype(a) for a in inputs]
        weak = [type(a) in (int, float, complex) for a in inputs]
        strong = [_KINDS[d.kind] for d, w in zip(dtypes, weak, strict=True) if not w]
        numbers = [_KINDS[d.kind] for d, w in zip(dtypes, weak, strict=True) if w]
        if not strong or max(numbers, default=0) > max(strong):
            weak = [False] * len(inputs)
        for takes, gives in self.loops:
            if dtype is not None:
                fits = all(t == dtype for t in gives)
            else:
                fits = all(
                    np.can_cast(d, t) or (w and _keeps(a, t))
                    for a, d, t, w in zip(inputs, dtypes, takes, weak, strict=True)
                )
            if fits:
                if (self.__name__, takes[0].char) in _REFUSED:
                    raise TypeError(f"cupy boolean {self.__name__} is not supported")
                return takes, gives
        raise TypeError(f"Wrong type ({dtype or dtypes}) of arguments for cupy_{self.__name__}")

    # --- Methods: those of CuPy that do more than raise ---
    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        """Combine in place at the indices."""
        if self.__name__ not in _SCATTERED:
            raise NotImplementedError(f"`cupy_{self.__name__}.at` is not supported yet")
        if a.dtype.char not in _SCATTERED[self.__name__]:
            raise TypeError(f"cupy.{self.__name__}.at does not support {a.dtype}")
        devices.check_peer(a.data.device_id)
        operation: Any = getattr(np, self.__name__)
        operation.at(a._host, arrays.lowered(indices, a.shape), arrays.unwrap(b))

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Reduce: sums and products alone."""
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`cupy_{self.__name__}.reduce` is not supported yet")
        return getattr(array, {"add": "sum", "multiply": "prod"}[self.__name__])(axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        """Accumulate: sums and products alone."""
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`cupy_{self.__name__}.accumulate` is not supported yet")
        return getattr(array, {"add": "cumsum", "multiply": "cumprod"}[self.__name__])(axis, dtype, out)

    def reduceat(self, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        """Reduce over slices: sums alone, which no kernel here needs."""
        raise NotImplementedError(f"`cupy_{self.__name__}.reduceat` is not supported yet")

    def outer(self, a: Any, b: Any, **options: Any) -> Any:
        """Combine all pairs."""
        return self(a.reshape(a.shape + (1,) * b.ndim), b, **options)


def _dtype(a: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = a.dtype if hasattr(a, "dtype") else np.asarray(a).dtype
    return dtype


def _keeps(number: Any, dtype: np.dtype[Any]) -> bool:
    try:
        return bool(np.result_type(type(number)(0), dtype) == dtype)
    except TypeError:
        return False


def _computable(a: Any, dtype: np.dtype[Any]) -> Any:
    """Cast to the loop's dtype; bfloat16 is computed in float32."""
    cast = np.asarray(a, dtype) if not isinstance(a, np.ndarray) else a.astype(dtype)
    return cast.astype(np.float32) if api.is_bfloat16(dtype) else cast


def _implementation(name: str) -> Callable[..., Any]:
    own: dict[str, Callable[..., Any]] = {
        "rsqrt": lambda x: 1 / np.sqrt(x),
        "where": np.where,
        "power": _power,
        "floor_divide": _floor_divide,
        "remainder": lambda x, y: x - _floor_divide(x, y) * y if x.dtype.kind == "f" else np.remainder(x, y),
        "conj": np.conj,
    }
    found: Any = own.get(name) or getattr(np, name, None) or getattr(scipy.special, name)
    return found  # type: ignore[no-any-return]


def _floor_divide(x: Any, y: Any) -> Any:
    return np.floor(x / y) if x.dtype.kind == "f" else np.floor_divide(x, y)


def _power(base: Any, exponent: Any) -> Any:
    """Raise to a power; CuPy has 0 for integers to negative powers (1 and -1 for those of 1 and -1)."""
    if base.dtype.kind not in "iu":
        return np.power(base, exponent)
    ones = np.where(base == 1, 1, np.where(base == -1, np.where(exponent % 2 == 0, 1, -1), 0))
    return np.where(exponent < 0, ones, np.power(base, np.maximum(exponent, 0)))
